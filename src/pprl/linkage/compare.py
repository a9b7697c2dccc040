"""Comparing CLKs: every pair, or those that share a block, above a similarity."""

from __future__ import annotations

from os import PathLike

from pprl.exchange.encodings import check_compatible
from pprl.exchange.files import table_writer
from pprl.exchange.links import SCHEMA, Links
from pprl.exchange.opening import Encoded, opened
from pprl.linkage.candidates.blocking import Blocking
from pprl.linkage.candidates.exhaustive import MAX_PAIRS, Progress, iterate_pairs, scored_pairs
from pprl.linkage.candidates.in_blocks import blocked_pairs, iterate_blocked
from pprl.linkage.candidates.similarity import Measure

__all__ = ["MAX_PAIRS", "Progress", "compare", "compare_file"]


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
            `pprl.linkage.candidates.similarity`.
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
    with table_writer(out, SCHEMA) as writer:
        blocks = (
            iterate_pairs(
                a, b, threshold, top=top, measure=measure, workers=workers, progress=progress
            )
            if blocking is None
            else iterate_blocked(a, b, threshold, top, measure, blocking, workers)
        )
        for pairs in blocks:
            found += len(pairs)
            writer.write(pairs.to_links(a, b or a).table)
    return found
