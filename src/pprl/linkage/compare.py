"""Comparing every pair of CLKs, exactly, in tiles, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from os import PathLike

import numpy as np
import pyarrow.parquet as pq

from pprl.errors import PprlWarning, TooManyPairs, UsageError
from pprl.exchange.encodings import Encodings, check_compatible
from pprl.exchange.files import whole_file
from pprl.exchange.links import SCHEMA, Links
from pprl.exchange.opening import Encoded, opened
from pprl.exchange.threads import in_order, threads
from pprl.linkage.blocking import Blocking, BlockingReport
from pprl.linkage.blocks import BlockedComparison
from pprl.linkage.pairs import Pairs, Reduction, most_similar, sorted_once
from pprl.linkage.similarity import Measure, check_measure
from pprl.linkage.tiling import Tiling

MAX_PAIRS = 200_000_000
"""Pairs that are kept in memory unless more are asked for; about 5 GB."""

ROWS_PER_TASK = 512

Progress = Callable[[int, int], None]
"""Called with the number of pairs compared so far, and in all."""


def compare(
    a: Encoded,
    b: Encoded | None = None,
    *,
    threshold: float = 0.0,
    top: int | None = None,
    measure: Measure = "dice",
    blocking: Blocking | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> Links:
    """Find every pair of records that is similar enough.

    A CLK without a single bit is similar to
    nothing; of several encodings of one record the best counts. The order is that of
    the records of ``a``, then of ``b``.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder, made with the same schema and key. Without
            them the records of ``a`` are compared with each other, each pair once.
        threshold: The least similarity, 0 to 1.
        top: Keep so many partners of each record of ``a``, the most similar; equals go
            by the order of records. Within one set a pair then stands both ways if
            each is among the other's.
        measure: ``dice``, ``jaccard``, ``cosine``, ``overlap`` or ``hamming``; see
            `pprl.linkage.similarity`.
        blocking: A value of `pprl.linkage.blocking`, to compare fewer pairs and lose some.
            Without it every pair is compared; none is lost.
        workers: Threads; all processors by default. The result does not depend on it.
        max_pairs: Stop with an error when more pairs than this qualify;
            `compare_file` has no limit.
        progress: Called after each block of rows.

    Returns:
        ``left_id, right_id, similarity``.

    Raises:
        UsageError: The threshold is outside 0 to 1, ``top`` below 1, ``measure`` unknown.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs qualify.
    """
    a, b = opened(a), None if b is None else opened(b)
    check_compatible([a.info, (b or a).info])
    if blocking is not None:
        pairs, _ = blocked_pairs(
            a,
            b,
            threshold,
            blocking,
            top=top,
            measure=measure,
            workers=workers,
            max_pairs=max_pairs,
        )
    else:
        pairs = scored_pairs(
            a,
            b,
            threshold,
            top=top,
            measure=measure,
            workers=workers,
            max_pairs=max_pairs,
            progress=progress,
        )
    return pairs.to_links(a, b or a)


def compare_file(
    a: Encoded,
    b: Encoded | None,
    out: str | PathLike[str],
    *,
    threshold: float = 0.0,
    top: int | None = None,
    measure: Measure = "dice",
    blocking: Blocking | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Like `compare`, into a Parquet file, in bounded memory however many pairs qualify.

    Takes what `compare` takes and raises what it raises. Where a set is compared with
    itself, or blocks are compared, the order of the pairs is another, though always the
    same. ``top`` and variants need all of a record's pairs at once, and are not for blocks.

    Returns:
        The number of pairs.

    Raises:
        OutputExists: There is a file at ``out`` already.
    """
    a, b = opened(a), None if b is None else opened(b)
    check_compatible([a.info, (b or a).info])
    found = 0
    with whole_file(out) as part, pq.ParquetWriter(part, SCHEMA) as writer:
        blocks = (
            iterate_pairs(
                a, b, threshold, top=top, measure=measure, workers=workers, progress=progress
            )
            if blocking is None
            else _iterate_blocked(a, b, threshold, top, measure, blocking, workers)
        )
        for pairs in blocks:
            found += len(pairs)
            writer.write_table(pairs.to_links(a, b or a).table)
    return found


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


def blocked_pairs(
    a: Encodings,
    b: Encodings | None,
    threshold: float,
    blocking: Blocking,
    *,
    top: int | None = None,
    measure: Measure = "dice",
    workers: int | None = None,
    max_pairs: int | None = None,
) -> tuple[Pairs, BlockingReport]:
    """Like `scored_pairs`, among the pairs that share a block; and what blocking left out."""
    _check_options(threshold, measure, top)
    reduction = Reduction.make(a, b, None)
    comparison = BlockedComparison(a, b, threshold, measure, blocking)
    parts = []
    found = 0
    for chunk in comparison.chunks(workers):
        found += len(chunk[0])
        if max_pairs is not None and found > max_pairs:
            raise TooManyPairs(
                f"more than {max_pairs:,} pairs are at or above {threshold}: {found:,} after "
                f"{comparison.share_done:.1%} of the blocks, so up to about "
                f"{int(found / max(comparison.share_done, 1e-9)):,} in all. Raise the threshold, "
                f"keep the top few of each record, allow more pairs, or write them to a file "
                f"(compare_file)."
            )
        parts.append(reduction.records(*chunk))
    pairs = reduction.reduce(Pairs.concat(parts))
    report = comparison.report()
    _warn_dropped(report)
    if top is None:
        return pairs, report
    if b is None:
        both = Pairs.concat([pairs, Pairs(pairs.right, pairs.left, pairs.similarity)])
        pairs = sorted_once(both)
    return most_similar(pairs, top), report


def _iterate_blocked(
    a: Encodings,
    b: Encodings | None,
    threshold: float,
    top: int | None,
    measure: Measure,
    blocking: Blocking,
    workers: int | None,
) -> Iterator[Pairs]:
    """Yield the pairs of blocks as they are found."""
    _check_options(threshold, measure, top)
    if top is not None or a.variants is not None or (b is not None and b.variants is not None):
        raise UsageError(
            "pairs of blocks go to a file as they are found: without top, and with one encoding "
            "for each record. Compare in memory, or without blocking."
        )
    comparison = BlockedComparison(a, b, threshold, measure, blocking)
    for chunk in comparison.chunks(workers):
        yield Pairs(*chunk)
    _warn_dropped(comparison.report())


def _warn_dropped(report: BlockingReport) -> None:
    if report.dropped_pairs:
        warnings.warn(
            f"blocks were passed over for their size: {report.dropped_pairs:,} pairs in "
            f"{sum(report.dropped_blocks.values())} blocks ({', '.join(report.dropped_blocks)})",
            PprlWarning,
            stacklevel=4,
        )


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
    _check_options(threshold, measure, top)
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


def check_threshold(threshold: float) -> None:
    """Raise `UsageError` unless the threshold is a number from 0 to 1."""
    if isinstance(threshold, str) or not 0.0 <= threshold <= 1.0:
        raise UsageError(f"the threshold must be a number from 0 to 1, not {threshold!r}.")


def _check_options(threshold: float, measure: str, top: int | None) -> None:
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
