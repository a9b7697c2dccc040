"""The files of a secure linkage as a computing party reads and writes them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyrage

MAGIC = b"pprl-shares-1\n"
_LENGTH = struct.Struct("<I")
_AGE = b"age-encryption.org/"


class WorkerError(Exception):
    """What a person can put right: a file, an option, or another party that is not there."""


@dataclass(frozen=True)
class Job:
    """The document that all parties agree on; ``digest`` is of its bytes."""

    id: str
    holders: tuple[str, str]
    bits: int
    blocking: str
    threshold: tuple[int, int] | None
    count_grid: tuple[tuple[int, int], ...]
    count_least: int
    order_most: int
    links_to: str
    addresses: tuple[str, str, str]
    timeout: int
    tile: int
    digest: str


@dataclass(frozen=True)
class Shares:
    """Two of three XOR shares of a holder's bits: of each block ``capacity`` slots.

    Attributes:
        passes: For each pass (blocks, capacity, bytes) uint8 of the own and the next share.
    """

    holder: str
    passes: tuple[tuple[np.ndarray, np.ndarray], ...]
    digest: str


def read_job(path: Path) -> Job:
    """Read a job file; its exact numbers were put there by ``pprl secure job``."""
    raw = _read(path)
    try:
        document = tomllib.loads(raw.decode("utf-8"))
        job, party = document["job"], document["party"]
        exact = job.get("threshold_exact")
        if len(party) != 3 or job["format"] != 1:
            raise KeyError("party")
        return Job(
            id=job["id"],
            holders=(job["holders"][0], job["holders"][1]),
            bits=job["bits"],
            blocking=job["blocking"],
            threshold=exact and (exact[0], exact[1]),
            count_grid=tuple((one[0], one[1]) for one in job.get("grid_exact", [])),
            count_least=job["least_count"],
            order_most=job["most_order"],
            links_to=document["links_to"]["recipient"],
            addresses=(party[0]["address"], party[1]["address"], party[2]["address"]),
            timeout=job["timeout"],
            tile=job["tile"],
            digest=hashlib.sha256(raw).hexdigest(),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WorkerError(
            f"{path} is no job file of a secure linkage ({type(error).__name__}). Make it with "
            f"'pprl secure job'."
        ) from None


def read_shares(path: Path, identity: Path, job: Job, party: int) -> Shares:
    """Open a sealed file of shares, and check that it is this party's for this job."""
    raw = _unseal(path, identity)
    start = len(MAGIC) + _LENGTH.size
    try:
        if not raw.startswith(MAGIC):
            raise ValueError
        (length,) = _LENGTH.unpack(raw[len(MAGIC) : start])
        header = json.loads(raw[start : start + length])
        said = (header["job"], header["party"], header["bits"])
        holder, shapes = header["holder"], header["passes"]
    except (ValueError, KeyError, struct.error):
        raise WorkerError(f"{path} is not a file of shares, or was cut short.") from None
    if said != (job.id, party, job.bits):
        raise WorkerError(
            f"{path} is for job {said[0]}, party {said[1]}, {said[2]} bits; this is party {party} "
            f"of job {job.id} with {job.bits} bits."
        )
    if holder not in job.holders:
        raise WorkerError(f"{path} is of a holder that job {job.id} does not name.")
    width = job.bits // 8
    passes, at = [], start + length
    for blocks, capacity in shapes:
        size = blocks * capacity * width
        both = np.frombuffer(raw, np.uint8, 2 * size, at).reshape(2, blocks, capacity, width)
        passes.append((both[0], both[1]))
        at += 2 * size
    if at != len(raw):
        raise WorkerError(f"{path} has {len(raw)} bytes where its header announces {at}.")
    return Shares(holder, tuple(passes), header["layout"])


def write_sealed(value: dict[str, Any], payload: bytes, path: Path, recipient: str) -> None:
    """Seal a header and bytes to a recipient; the file appears whole or not at all."""
    header = json.dumps(value).encode()
    plain = io.BytesIO(MAGIC + _LENGTH.pack(len(header)) + header + payload)
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as target:
        pyrage.encrypt_io(plain, target, [pyrage.x25519.Recipient.from_str(recipient)])
        target.flush()
        os.fsync(target.fileno())
    part.replace(path)


def _unseal(path: Path, identity: Path) -> bytes:
    lines = [line.strip() for line in _read(identity).decode("utf-8", "replace").splitlines()]
    try:
        keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-")]
        if not keys:
            raise WorkerError(f"{identity} holds no age identity.")
        sealed = _read(path)
        if not sealed.startswith(_AGE):
            raise WorkerError(f"{path} is not sealed. Shares travel sealed to one party only.")
        return bytes(pyrage.decrypt(sealed, keys))
    except (pyrage.DecryptError, pyrage.IdentityError):
        raise WorkerError(
            f"{path} cannot be opened with {identity}: it is sealed for another party, or was "
            f"altered or cut short."
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WorkerError(f"{path} cannot be read: {error.strerror}.") from None
