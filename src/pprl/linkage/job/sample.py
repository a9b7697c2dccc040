"""The sample from which a job larger than memory learns: how large it is, and who is in it.

Without blocking, so many records of each file are drawn as `pprl.link` draws to compare with the
rest of the file, 16,384 at most, and each has some twenty pairs above the floor. See
`pprl.linkage.decision.gather` for why so many. With blocks a record has fewer pairs, often less
than one, and they cost less. So the share of the records is chosen that gives about as many pairs,
327,680, as long as comparing them within each file costs a sixth of comparing the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts
from pprl.linkage.candidates.floor import find_centre, find_floor, find_floor_of_samples
from pprl.linkage.candidates.implausible import all_alike, beyond, bit_limits, set_aside
from pprl.linkage.job.compare_parts import by_key, compare_rows
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.rows import Rows
from pprl.linkage.job.spill import SCHEMA, damaged, part_file, read_facts, write_facts

_PAIRS = 20 * 16_384
_COST = 6
_FEW_COMPARED = 1 << 24
"""Comparisons within a file that are always allowed: about a second of them."""
_CHUNK = 1 << 20

Samples = tuple[Rows, Rows]
"""Rows of the left and of the right file, drawn at random."""


def drawn_records(plan: Plan, side: int) -> NDArray[np.int64]:
    """Draw records of a file, rising; which depends on the numbers of records alone."""
    n, wanted = plan.records[side], plan.samples[side]
    drawn = np.random.default_rng(side).choice(n, wanted, replace=False, shuffle=False)
    return np.sort(drawn).astype(np.int64)


@dataclass(frozen=True)
class Limits:
    """What rows drawn from both files say before anything is compared.

    Attributes:
        floor: The Dice similarity from which on pairs are looked at.
        centres: The similarity of two records by chance, in each file.
        bits: For each file and group, the most bits that a record can have.
        shares: The share of each file's records that the decision is learned from.
        untold: Whether all records are alike, so that nothing tells matches.
    """

    floor: float
    centres: tuple[float, float]
    bits: tuple[NDArray[np.float64], NDArray[np.float64]]
    shares: tuple[float, float]
    untold: bool

    @classmethod
    def load(cls, path: Path) -> Limits:
        """Read what `write_limits` wrote.

        Raises:
            UnreadableFile: The part is damaged.
        """
        facts = read_facts(path)
        try:
            left, right = (np.array(one, np.float64) for one in facts["bits"])
            first, second = map(float, facts["centres"])
            one, other = map(float, facts["shares"])
            return cls(
                float(facts["floor"]),
                (first, second),
                (left, right),
                (one, other),
                bool(facts["untold"]),
            )
        except (KeyError, TypeError, ValueError):
            raise damaged(path) from None

    def sampled(self, plan: Plan, side: int, records: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which records of a file the decision is learned from: (n,)."""
        if plan.passes:
            return _uniform(records, side) < self.shares[side]
        drawn = drawn_records(plan, side)
        place = np.minimum(np.searchsorted(drawn, records), len(drawn) - 1)
        found: NDArray[np.bool_] = drawn[place] == records
        return found

    def count(self, plan: Plan, side: int) -> int:
        """Count the records of a file that the decision is learned from."""
        n = plan.records[side]
        if not plan.passes:
            return plan.samples[side]
        parts = (np.arange(at, min(at + _CHUNK, n)) for at in range(0, n, _CHUNK))
        return sum(int(self.sampled(plan, side, part).sum()) for part in parts)


def _uniform(records: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Give each record a number from 0 to 1 that looks random, but is always the same.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood, Fast splittable pseudorandom number
    generators, 2014).
    """
    x = records.astype(np.uint64) + np.uint64(side << 60) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def write_limits(plan: Plan, infos: Sequence[EncodingInfo], samples: Samples, path: Path) -> None:
    """Choose the floor and the size of the sample, and tell which filters no record can have."""
    files = [_encodings(rows, info) for rows, info in zip(samples, infos, strict=True)]
    untold = max(plan.records) < 2 or all(all_alike(one) for one in files)
    limits = [bit_limits(one) for one in files]
    odd = [beyond(one.words, one.info, most) for one, most in zip(files, limits, strict=True)]
    a, b = (set_aside(one, rows) for one, rows in zip(files, odd, strict=True))
    if plan.samples == plan.records:
        floor = find_floor(a, b, once=plan.once)
    else:
        floor = find_floor_of_samples(a, b, plan.records, plan.once, blocked=bool(plan.passes))
    shares = [plan.samples[side] / plan.records[side] for side in (0, 1)]
    if plan.passes and not untold:
        plausible = [one.without(rows) for one, rows in zip(samples, odd, strict=True)]
        shares = [_share(plan, side, plausible[side], floor) for side in (0, 1)]
    with part_file(path, SCHEMA) as writer:
        facts = {
            "floor": floor,
            "centres": [find_centre(one) for one in (a, b)],
            "bits": [one.tolist() for one in limits],
            "shares": shares,
            "untold": untold,
        }
        write_facts(writer, facts)


def _share(plan: Plan, side: int, drawn: Rows, floor: float) -> float:
    """Choose the share of a file's records that gives enough pairs in blocks, and costs little."""
    n, other = plan.records[side], plan.records[1 - side]
    found = 0
    for at in range(len(plan.passes)):
        rows = by_key(drawn, at)
        for one, two, i, j, _, _ in compare_rows(rows, rows, at, floor, plan.bits):
            found += int((one.record[i] != two.record[j]).sum())
    # Each of the drawn has met as large a share of the file as was drawn.
    pairs = (found + 1) / len(drawn) / len(drawn) * n * n
    compared = max(plan.pairs * n / other, 1.0)
    affordable = max(plan.pairs / _COST, _FEW_COMPARED) / compared
    return min(max(min(_PAIRS / pairs, affordable), plan.samples[side] / n), 1.0)


def _encodings(rows: Rows, info: EncodingInfo) -> Encodings:
    """Take each row for a record."""
    n = len(rows)
    changes = {"records": n, "rows": n, "popcounts": Popcounts.of({}), "blocking": {}}
    clks = np.ascontiguousarray(rows.words).view(np.uint8)[:, : info.bits // 8]
    ids = pa.array(np.arange(n)).cast(pa.string())
    return Encodings(ids, np.ascontiguousarray(clks), info.model_copy(update=changes))
