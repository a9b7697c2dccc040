"""What the tests of secure linkage share: files with rivals, identities, a job, split shares."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from conftest import changed, encodings_of
from pprl.exchange.encodings import Encodings
from pprl.exchange.identities import new_identity
from pprl.exchange.sealing import open_sealed
from pprl.exchange.secure_job import Answer, LinksTo, Party, SecureJob, Terms, new_id
from pprl.exchange.shares import MAGIC, Ids, lay_out, split
from pprl.linkage.secure import count_within, exact

HOLDERS = ("hospital", "registry")


def made_up(n: int, m: int, bits: int = 256, seed: int = 3) -> tuple[Encodings, Encodings]:
    """Draw two files with pairs alike to all degrees, several partners and equal similarities."""
    rng = np.random.default_rng(seed)
    base = rng.random((max(n, m), bits)) < 0.3
    right = base[:m] ^ (rng.random((m, bits)) < rng.choice([0.0, 0.02, 0.08, 0.3], (m, 1)))
    right[1 : m // 8] = right[0]
    left = base[:n].copy()
    left[n // 2 : n // 2 + 3] = left[0]
    left[-1] = right[-1] = False
    keys = rng.integers(1, 12, (max(n, m), 2)).astype(np.uint64)
    keys[:3, 1] = 0
    made = []
    for name, some in zip(HOLDERS, (left, right), strict=True):
        file = encodings_of(np.packbits(some, axis=1), name, blocking={"x": 1.0, "y": 0.9})
        made.append(changed(file, block_keys=keys[: len(some)]))
    return made[0], made[1]


@dataclass(frozen=True)
class Parts:
    """A folder with identities, a job file, and both holders' sealed shares."""

    folder: Path
    job: SecureJob
    ids: tuple[Ids, Ids]

    def identity(self, who: str) -> Path:
        return self.folder / f"{who}.identity"

    def shares(self, holder: str, party: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Open a party's shares: for each pass (2, blocks, capacity, bytes)."""
        path = self.folder / "shares" / f"{holder}.party{party}.age"
        raw = open_sealed(path, self.identity(f"party{party}")).getvalue()
        (length,) = struct.unpack_from("<I", raw, len(MAGIC))
        at = len(MAGIC) + 4
        header = json.loads(raw[at : at + length])
        at += length
        passes = []
        for shape in header["passes"]:
            whole = (2, *shape, header["bits"] // 8)
            size = int(np.prod(whole))
            passes.append(np.frombuffer(raw, np.uint8, size, at).reshape(whole))
            at += size
        assert at == len(raw)
        return header, passes


def parts(
    folder: Path,
    files: tuple[Encodings, Encodings],
    *,
    threshold: float | None,
    matching: str = "one-to-one",
    blocks: int = 1,
    tile: int = 1024,
    ports: tuple[int, int, int] = (1, 2, 3),
    grid: tuple[float, ...] = (0.6, 0.7, 0.8, 0.9),
) -> Parts:
    """Make everything that is there before the parties begin."""
    recipients = [new_identity(folder / f"party{n}.identity") for n in range(3)]
    bits = files[0].info.bits
    job = SecureJob(
        job=Terms(
            id=new_id(),
            holders=HOLDERS,
            bits=bits,
            matching=matching,
            blocking="none" if blocks == 1 else "keys",
            blocks=blocks,
            threshold=threshold,
            threshold_exact=None if threshold is None else exact(threshold, bits),
            grid_exact=() if threshold is not None else tuple(exact(t, bits) for t in grid),
            least_count=2,
            most_order=10_000,
            timeout=30,
            tile=tile,
        ),
        links_to=LinksTo(recipient=new_identity(folder / "links.identity")),
        party=tuple(
            Party(name=f"party{n}", address=f"127.0.0.1:{port}", recipient=recipient)
            for n, (port, recipient) in enumerate(zip(ports, recipients, strict=True))
        ),
    )
    job.save(folder / "job.toml")
    ids = []
    for name, file in zip(HOLDERS, files, strict=True):
        layout = lay_out(file, job)
        within = count_within(file, layout, job.job.grid_exact, 1).tolist()
        split(file, job, name, layout, within, folder / "shares")
        ids.append(Ids.load(folder / "shares" / f"{name}.ids.age", folder / "links.identity"))
    return Parts(folder, job, (ids[0], ids[1]))


def counts(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count common bits, and bits of both, of every two rows of unpacked bits."""
    wide = x.astype(np.int64), y.astype(np.int64)
    return wide[0] @ wide[1].T, wide[0].sum(1)[:, None] + wide[1].sum(1)[None, :]


def rebuilt(made: Parts, holder: str) -> list[np.ndarray]:
    """XOR the three parties' own strings: what the shares are shares of, unpacked."""
    each = [made.shares(holder, party)[1] for party in range(3)]
    return [
        np.unpackbits(each[0][n][0] ^ each[1][n][0] ^ each[2][n][0], axis=-1)
        for n in range(len(each[0]))
    ]


def answered(made: Parts, step: dict[str, Any]) -> list[Answer]:
    """Play three parties that reconstruct everything: an oracle for what the engine must give."""
    left, right = (rebuilt(made, name) for name in HOLDERS)
    rng = np.random.default_rng(5)
    units, results = [], []
    if step["step"] == "compare":
        p, q = step["threshold"]
        for number, (a, b) in enumerate(zip(left, right, strict=True)):
            for block in range(a.shape[0]):
                units.append([number, block, block + 1, 0, a.shape[1], 0, b.shape[1]])
                common, both = counts(a[block], b[block])
                results.append(np.packbits((2 * q * common >= p * both) & (both > 0)))
    else:
        found = [counts(left[n][k, [i]], right[n][k, [j]]) for n, k, i, j in step["pairs"]]
        alike = [Fraction(2 * int(common[0, 0]), int(both[0, 0])) for common, both in found]
        results.append(np.packbits([alike[x] >= alike[y] for x, y in step["rivals"]]))
    whole = np.concatenate(results)
    one, two = (rng.integers(0, 256, len(whole), np.uint8) for _ in range(2))
    header = {
        "job": made.job.job.id,
        "step": step["step"],
        "agreed": "same",
        "run": "one",
        "layouts": {ids.holder: ids.split for ids in made.ids},
        "units": units,
    }
    return [
        Answer(header | {"party": party}, share.tobytes())
        for party, share in enumerate((one, two, whole ^ one ^ two))
    ]
