"""The pairs of two files that share a block, in order, and what blocking left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from pprl.errors import PprlWarning, TooManyPairs, UsageError
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.blocked import BlockedComparison
from pprl.linkage.candidates.blocking import Blocking, BlockingReport
from pprl.linkage.candidates.exhaustive import check_options
from pprl.linkage.candidates.pairs import Pairs, Reduction, most_similar, sorted_once
from pprl.linkage.candidates.similarity import Measure


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
    check_options(threshold, measure, top)
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


def iterate_blocked(
    a: Encodings,
    b: Encodings | None,
    threshold: float,
    top: int | None,
    measure: Measure,
    blocking: Blocking,
    workers: int | None,
) -> Iterator[Pairs]:
    """Yield the pairs of blocks as they are found."""
    check_options(threshold, measure, top)
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
        left, right = report.purged
        warnings.warn(
            f"blocks were passed over for their size: {report.dropped_pairs:,} pairs in "
            f"{sum(report.dropped_blocks.values())} blocks ({', '.join(report.dropped_blocks)}). "
            f"No block is left to {left:,} records of the first file and {right:,} of the second: "
            f"they were compared with nobody.",
            PprlWarning,
            stacklevel=4,
        )
