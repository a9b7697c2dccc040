"""Encodings cut into secret shares for three computing parties, and results put together.

A record's bits are the XOR of three strings, two of them from the system's random numbers.
Party p gets the strings p and p + 1, as replicated secret sharing has it (Araki and others,
2016): either is uniformly random by itself, so a party's file says nothing but its sizes.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pprl.errors import DataError, LengthMismatch, UnreadableFile, UsageError
from pprl.exchange.encodings import Encodings
from pprl.exchange.files import new_folder
from pprl.exchange.sealing import open_sealed, sealed_writer
from pprl.exchange.secure_job import Answer, SecureJob

MAGIC = b"pprl-shares-1\n"
_LENGTH = struct.Struct("<I")
_METADATA = b"pprl-secure"
_STEP = 8
"""Block capacities are multiples of this, so that the largest block is known only roughly."""

Slots = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each record stands in the shares.

    Attributes:
        passes: For each pass (blocks, capacity) int64 numbers of rows, -1 where nobody is.
    """

    passes: tuple[Slots, ...]

    @property
    def slots(self) -> int:
        """Places of all passes, empty ones too."""
        return sum(one.size for one in self.passes)


def lay_out(encodings: Encodings, job: SecureJob) -> Layout:
    """Give each record a place, at random: alone, or in a block for each of its blocking keys.

    A block is a remainder of the keyed hash, so all blocks are about as full as chance has it.
    All are filled up to one capacity, and neither keys nor the sizes of blocks are seen.

    Raises:
        UsageError: The job blocks by keys, and the encodings have none.
    """
    n = len(encodings)
    shuffled = np.argsort(_random(8 * n).view(np.uint64), kind="stable")
    if job.job.blocking == "none":
        return Layout((shuffled[None, :].astype(np.int64),))
    keys = encodings.block_keys
    if keys is None or not keys.shape[1]:
        raise UsageError(
            "the job compares by blocking keys, and these encodings have none. Encode with a "
            "schema that has blocking passes, or make the job with --blocking none."
        )
    passes = []
    for column in range(keys.shape[1]):
        mine = keys[shuffled, column]
        rows = shuffled[mine > 0]
        block = (mine[mine > 0] % np.uint64(job.job.blocks)).astype(np.int64)
        order = np.argsort(block, kind="stable")
        sizes = np.bincount(block, minlength=job.job.blocks)
        capacity = -(-max(int(sizes.max()), 1) // _STEP) * _STEP
        slots = np.full((job.job.blocks, capacity), -1, np.int64)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        slots[block[order], place] = rows[order]
        # Else the empty places of a block would all stand at its end.
        mixed = np.argsort(_random(8 * slots.size).view(np.uint64).reshape(slots.shape), axis=1)
        passes.append(np.take_along_axis(slots, mixed, axis=1))
    return Layout(tuple(passes))


def split(
    encodings: Encodings,
    job: SecureJob,
    holder: str,
    layout: Layout,
    within: Sequence[Sequence[int]],
    folder: str | PathLike[str],
) -> list[Path]:
    """Write shares sealed to each party, and the record ids sealed to whom gets the links.

    Args:
        encodings: One row for each record.
        job: The job.
        holder: This holder's name in the job.
        layout: What `lay_out` gave.
        within: Numbers of pairs within the file at each threshold of the grid, by pass.
        folder: Where ``HOLDER.party0.age`` to ``HOLDER.party2.age`` and ``HOLDER.ids.age`` go.

    Raises:
        UsageError: The job does not name the holder, or the records have variants.
        LengthMismatch: The encodings are longer or shorter than the job says.
        OutputExists: One of the files exists.
    """
    if holder not in job.job.holders:
        raise UsageError(f"the job is between {' and '.join(job.job.holders)}; not {holder!r}.")
    if encodings.variants is not None and (encodings.variants > 0).any():
        raise UsageError(
            "some records have several encodings (variants), which a secure linkage cannot take. "
            "Encode without variants."
        )
    if encodings.info.bits != job.job.bits:
        raise LengthMismatch(
            f"the encodings have {encodings.info.bits} bits and the job {job.job.bits}."
        )
    base = Path(folder)
    targets = [base / f"{holder}.party{number}.age" for number in range(3)]
    ids = base / f"{holder}.ids.age"
    new_folder(base, [*targets, ids])
    name = secrets.token_hex(16)
    header = {"job": job.job.id, "holder": holder, "bits": job.job.bits, "layout": name}
    header["passes"] = [list(slots.shape) for slots in layout.passes]
    strings = [_strings(encodings.clks, slots) for slots in layout.passes]
    for number, target in enumerate(targets):
        document = json.dumps(header | {"party": number}).encode()
        with sealed_writer(target, [job.party[number].recipient]) as writer:
            writer.write(MAGIC + _LENGTH.pack(len(document)) + document)
            for three in strings:
                writer.write(three[number].data)
                writer.write(three[(number + 1) % 3].data)
    _write_ids(encodings, layout, header | {"within": [list(one) for one in within]}, ids, job)
    return [*targets, ids]


def _strings(clks: NDArray[np.uint8], slots: Slots) -> tuple[NDArray[np.uint8], ...]:
    """XOR-split the bits of each place; an empty place has no bit set."""
    bits = np.where(slots[..., None] >= 0, clks[slots], np.uint8(0))
    first, second = (_random(bits.size).reshape(bits.shape) for _ in range(2))
    return first, second, np.ascontiguousarray(bits ^ first ^ second)


def _random(size: int) -> NDArray[np.uint8]:
    """Draw bytes from the operating system."""
    return np.frombuffer(os.urandom(size), np.uint8)


def _write_ids(
    encodings: Encodings, layout: Layout, header: dict[str, Any], path: Path, job: SecureJob
) -> None:
    """Say which record stands where, for whom gets the links."""
    rows = [slots.reshape(-1) for slots in layout.passes]
    table = pa.table(
        {
            "pass": np.repeat(np.arange(len(rows)), [len(one) for one in rows]),
            "row": np.concatenate(rows),
        }
    )
    names = json.dumps(encodings.record_ids.to_pylist())
    meta = {_METADATA: json.dumps(header).encode(), b"record_ids": names.encode()}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(meta), buffer, compression="zstd")
    with sealed_writer(path, [job.links_to.recipient]) as writer:
        writer.write(buffer.getvalue())


@dataclass(frozen=True, eq=False)
class Ids:
    """Which of a holder's records stands where in its shares."""

    holder: str
    job: str
    split: str
    record_ids: pa.StringArray
    layout: Layout
    within: NDArray[np.int64]

    @classmethod
    def load(cls, path: str | PathLike[str], identity: str | PathLike[str]) -> Ids:
        """Open a holder's sealed ids.

        Raises:
            UnreadableFile: It is no such file, or not sealed to this identity.
        """
        try:
            table = pq.read_table(open_sealed(path, identity))
            header = json.loads(table.schema.metadata[_METADATA])
            names = pa.array(json.loads(table.schema.metadata[b"record_ids"]), pa.string())
            at, rows = table["pass"].to_numpy(), table["row"].to_numpy()
            shapes = header["passes"]
            passes = tuple(rows[at == n].reshape(shape) for n, shape in enumerate(shapes))
            if len(rows) and not -1 <= rows.min() <= rows.max() < len(names):
                raise ValueError
            within = np.array(header["within"], np.int64)
            return cls(
                header["holder"], header["job"], header["layout"], names, Layout(passes), within
            )
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise UnreadableFile(f"{path} does not hold a holder's record ids.") from None


def read_answer(path: str | PathLike[str], identity: str | PathLike[str]) -> Answer:
    """Open what a party sealed.

    Raises:
        UnreadableFile: It is no such file, or not sealed to this identity.
    """
    raw = open_sealed(path, identity).getvalue()
    start = len(MAGIC) + _LENGTH.size
    try:
        if not raw.startswith(MAGIC):
            raise ValueError
        (length,) = _LENGTH.unpack(raw[len(MAGIC) : start])
        header = json.loads(raw[start : start + length])
        missing = {"job", "step", "party", "agreed", "layouts", "run", "units"} - set(header)
    except (ValueError, TypeError, struct.error):
        raise UnreadableFile(f"{path} is no answer of a computing party.") from None
    if missing:
        raise UnreadableFile(f"{path} is no answer of a computing party.")
    return Answer(header, raw[start + length :])


def put_together(answers: Sequence[Answer], job: SecureJob, ids: Sequence[Ids]) -> Answer:
    """Put three parties' shares of one step together.

    Returns:
        The common header, and the results: bits packed (`compare`, `order`), or the
        little-endian bytes of uint64 counts (`count`).

    Raises:
        UnreadableFile: They are not of three parties, one job, one split and one run.
    """
    headers = [answer.header for answer in answers]
    if sorted(header["party"] for header in headers) != [0, 1, 2]:
        raise UnreadableFile("the answers must be of parties 0, 1 and 2, one of each.")
    first = headers[0]
    if any(header[name] != first[name] for header in headers for name in ("agreed", "run")):
        raise UnreadableFile(
            "the three answers are not of the same run. Take those that the parties wrote when "
            "all three were done."
        )
    if first["job"] != job.job.id:
        raise UnreadableFile("the answers are of another job.")
    if first["layouts"] != {one.holder: one.split for one in ids}:
        raise UnreadableFile("the answers and the record ids are not of the same shares.")
    if len({len(answer.payload) for answer in answers}) > 1:
        raise UnreadableFile("the answers differ in length: one was cut short.")
    if first["step"] == "count":
        # The ring's sums wrap at 2^64, as they must.
        total = sum((np.frombuffer(answer.payload, np.uint64) for answer in answers), np.uint64(0))
        return Answer(first, np.asarray(total).tobytes())
    x, y, z = (np.frombuffer(answer.payload, np.uint8) for answer in answers)
    return Answer(first, (x ^ y ^ z).tobytes())
