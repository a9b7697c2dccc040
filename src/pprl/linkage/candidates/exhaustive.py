"""Every pair of CLKs, compared exactly, in tiles, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from pprl.errors import TooManyPairs, UsageError
from pprl.exchange.encodings import Encodings
from pprl.exchange.threads import in_order, threads
from pprl.linkage.candidates.pairs import Pairs, Reduction, sorted_once
from pprl.linkage.candidates.similarity import Measure, check_measure
from pprl.linkage.candidates.tiling import Tiling

MAX_PAIRS = 200_000_000
"""Pairs that are kept in memory unless more are asked for; about 5 GB."""

ROWS_PER_TASK = 512

Progress = Callable[[int, int], None]
"""Called with the number of pairs compared so far, and in all."""


def scored_pairs(
    a: Encodings,
    b: Encodings | None,
    threshold: float,
    *,
    top: int | None = None,
    measure: Measure = "dice",
    workers: int | None = None,
    max_pairs: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """Like `compare`, by record number, for encodings that were checked before."""
    parts = []
    found = done = every = 0

    def note(now: int, all_pairs: int) -> None:
        nonlocal done, every
        done, every = now, all_pairs
        if progress:
            progress(now, all_pairs)

    for part in iterate_pairs(
        a, b, threshold, top=top, measure=measure, workers=workers, progress=note
    ):
        found += len(part)
        if max_pairs is not None and found > max_pairs:
            raise TooManyPairs(
                f"more than {max_pairs:,} pairs are at or above {threshold}: {found:,} after "
                f"{done / every:.1%} of the work, so about {found * every // done:,} in all. "
                f"Raise the threshold, keep the top few of each record, allow more pairs, or "
                f"write them to a file (compare_file)."
            )
        parts.append(part)
    pairs = Pairs.concat(parts)
    return pairs if b is not None else sorted_once(pairs)


def iterate_pairs(
    a: Encodings,
    b: Encodings | None,
    threshold: float,
    *,
    top: int | None = None,
    measure: Measure = "dice",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Pairs]:
    """Yield the pairs of records at or above the threshold, block by block.

    Between two files the order is that of `compare`. The pairs of a set with itself
    come in another order, with the smaller record number on the left.
    """
    check_options(threshold, measure, top)
    n_threads = threads(workers)
    # To rank each record's partners, or its variants', pairs of one set are met from both sides.
    both_sides = b is None and (top is not None or a.variants is not None)
    tiling = Tiling.make(a, a if both_sides else b, threshold, measure)
    reduction = Reduction.make(a, b, top)
    borders = _record_borders(a)
    total = tiling.pairs_before(len(a))
    with ThreadPoolExecutor(n_threads) as pool:
        blocks = (
            pool.submit(reduction.run, tiling, start, end) for start, end in pairwise(borders)
        )
        for end, pairs in zip(borders[1:], in_order(blocks, 2 * n_threads), strict=True):
            if progress:
                progress(tiling.pairs_before(end), total)
            yield pairs


def check_threshold(threshold: float | str | None) -> None:
    """Raise `UsageError` unless the threshold is a number from 0 to 1."""
    if threshold is None or isinstance(threshold, str):
        raise UsageError(f"the threshold must be a number from 0 to 1, not {threshold!r}.")
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"the threshold must be between 0 and 1, not {threshold}.")


def check_options(threshold: float, measure: str, top: int | None) -> None:
    """Raise `UsageError` unless these are options of a comparison."""
    check_threshold(threshold)
    check_measure(measure)
    if top is not None and top < 1:
        raise UsageError(f"top must be 1 or more, not {top}.")


def _record_borders(a: Encodings) -> list[int]:
    """Cut rows into blocks that keep the variants of a record together."""
    if a.variants is None:
        return [*range(0, len(a), ROWS_PER_TASK), len(a)]
    starts = np.append(np.flatnonzero(a.variants == 0), len(a))
    cuts = starts[np.searchsorted(starts, [*range(0, len(a), ROWS_PER_TASK), len(a)])]
    borders: list[int] = np.unique(cuts).tolist()
    return borders
