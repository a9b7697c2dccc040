"""Gathering candidates for a decision: pairs between files, and null pairs within them.

Null pairs are learned from a sample where a file is large: comparing it with itself would cost
more than the linkage. So many records are compared with the rest of their file as the smaller
file has, 6,000 at least and 16,384 at most; files of up to 12,000 records are compared whole. On
12,644 and 16,987 made-up records, hardened, 3,000 records lost 0.0013 of F1 beside whole files, and
6,000 lost 0.0005. With 16,384 the number of false links at the cut, if that is one in a thousand
records, is known to a quarter, and the interval of the estimate allows for a factor of 2.5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.blocking import Blocking, BlockingReport
from pprl.linkage.candidates.crowding import between as side_by_side
from pprl.linkage.candidates.exhaustive import Progress, scored_pairs
from pprl.linkage.candidates.floor import find_centre, find_floor
from pprl.linkage.candidates.implausible import (
    all_alike,
    implausible,
    set_aside,
    was_set_aside,
)
from pprl.linkage.candidates.in_blocks import blocked_pairs
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool, subset
from pprl.linkage.decision.decide import Decision, decide
from pprl.linkage.decision.design import SeveralFiles, TwoFiles, once_of
from pprl.linkage.decision.fit import Candidates
from pprl.linkage.decision.missingness import count_kinds, kinds_of, lack_alike
from pprl.linkage.decision.null_pairs import Within
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.options import MOST_SAMPLED

_FEWEST = 6_000
_SHARE = 1 / 3
"""What comparing within files may cost at most beside comparing between them, beyond the fewest."""


def decide_two_files(
    a: Encodings,
    b: Encodings,
    *,
    precision: float | None = None,
    matching: str = "one-to-one",
    blocking: Blocking | None = None,
    workers: int | None = None,
    max_pairs: int | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Compare two files and decide; they must have been checked by `check_compatible`.

    With blocking, only pairs that share a block are looked at, between the files and within.
    A file that may have a person several times, as ``matching`` says, shows no null pairs.
    """
    records = a.info.records, b.info.records
    names = tuple(one.info.holder or f"file {at}" for at, one in enumerate((a, b), start=1))
    if not all(records):
        return Decision.nothing()
    if max(records) < 2 or (all_alike(a) and all_alike(b)):
        return Decision.nothing(untold=True)
    odd = [implausible(one) for one in (a, b)]
    emptied = any(map(was_set_aside, (a, b)))
    a, b = (set_aside(one, rows) for one, rows in zip((a, b), odd, strict=True))
    design = TwoFiles.of(names, np.array(records, np.int64), matching)
    kinds = kinds_of([a, b])
    if not lack_alike(count_kinds(kinds)):
        a, b = (replace(one, present=None) for one in (a, b))
        kinds = kinds_of([a, b])
    floor = find_floor(a, b, once=once_of(matching))
    sides = Side.of(a), Side.of(b)
    report: BlockingReport | None = None
    if blocking is None:
        pairs = scored_pairs(a, b, floor, workers=workers, max_pairs=max_pairs, progress=progress)
    else:
        pairs, report = blocked_pairs(a, b, floor, blocking, workers=workers, max_pairs=max_pairs)
    within = tuple(
        _within(number, file, side, floor, records, blocking, workers, progress)
        for number, (file, side) in enumerate(zip((a, b), sides, strict=True))
        if design.once[number]
    )
    compared = len(a) * len(b) if report is None else report.compared
    between = ComparedPairs.of(*sides, pairs)
    candidates = Candidates(floor, between, within, kinds, False, compared, report)
    decision = decide(candidates, design, precision=precision)
    decision = decision.with_crowded(
        side_by_side(between.pairs, records[0]),
        side_by_side(decision.kept, records[0]),
        np.repeat([0, 1], records),
        names,
        set_aside=emptied or any(rows.any() for rows in odd),
    )
    counts = {name: int(rows.sum()) for name, rows in zip(names, odd, strict=True) if rows.any()}
    return replace(decision, implausible=counts)


def null_records(n: int, records: tuple[int, int], most: int = MOST_SAMPLED) -> int:
    """Choose how many records of a file are compared with the rest of it; all where that is less.

    Args:
        n: Records of the file.
        records: Records of both files.
        most: So many at most.
    """
    each = int(_SHARE * records[0] * records[1] / max(sum(records), 1))
    fewest = min(records)
    wanted = min(max(each, _FEWEST), most, fewest)
    return n if n <= 2 * wanted else wanted


def _within(
    number: int,
    file: Encodings,
    side: Side,
    floor: float,
    records: tuple[int, int],
    blocking: Blocking | None,
    workers: int | None,
    progress: Progress | None,
) -> Within:
    n, centre = file.info.records, find_centre(file)
    wanted = n if blocking is not None else null_records(n, records)
    if wanted == n:
        if blocking is None:
            pairs = scored_pairs(file, None, floor, workers=workers, progress=progress)
        else:
            pairs, _ = blocked_pairs(file, None, floor, blocking, workers=workers)
        parts = max(round(n / min(records)), 1)
        some = ComparedPairs.of(side, side, pairs)
        return Within(number, number, some, n, n, n, n - 1, False, parts, 1.0, centre)
    sample = np.zeros(n, bool)
    sample[np.random.default_rng(number).choice(n, wanted, replace=False)] = True
    part = subset(file, sample)
    found = scored_pairs(part, file, floor, workers=workers, progress=progress)
    found = found.take(~sample[found.right])
    pairs = Pairs(np.flatnonzero(sample)[found.left], found.right, found.similarity)
    some = ComparedPairs.of(side, side, pairs)
    share = wanted * (n - wanted) / (n * (n - 1) / 2)
    return Within(number, number, some, n, n, wanted, n - wanted, True, 1, share, centre)


def decide_pool(pool: Pool, pairs: Pairs, floor: float, compared: int) -> Decision:
    """Decide for several files, none of which repeats a person.

    Args:
        pool: The records.
        pairs: All their pairs from the floor up, between files and within.
        floor: A Dice similarity.
        compared: Number of pairs of rows that were compared.
    """
    everybody, sizes = pool.encodings, pool.sizes.astype(np.int64)
    starts = np.cumsum(sizes)[:-1]
    kinds = np.split(kinds_of([everybody])[0], starts)
    if not lack_alike(count_kinds(kinds)):
        everybody = replace(everybody, present=None)
        kinds = np.split(kinds_of([everybody])[0], starts)
    side, centre, n = Side.of(everybody), find_centre(everybody), len(pool)
    across = pool.file[pairs.left] != pool.file[pairs.right]
    own = pairs.take(~across)
    within = []
    for number in np.flatnonzero(sizes).tolist():
        some = ComparedPairs.of(side, side, own.take(pool.file[own.left] == number))
        size = int(sizes[number])
        within.append(Within(number, 0, some, n, size, size, size - 1, False, 1, 1.0, centre))
    design = SeveralFiles(pool.names, sizes, pool.file)
    between = ComparedPairs.of(side, side, pairs.take(across))
    decision = decide(Candidates(floor, between, tuple(within), kinds, True, compared), design)
    return decision.with_crowded(
        between.pairs,
        decision.kept,
        pool.file,
        pool.names,
        set_aside=was_set_aside(pool.encodings),
    )


def floor_of_pool(pool: Pool) -> float:
    """Choose the similarity from which on pairs of a pool are looked at.

    A record may have its partner in each of the other files, on top of its null pairs.
    """
    files = int(np.count_nonzero(pool.sizes))
    return find_floor(pool.encodings, pool.encodings, files - 1)
