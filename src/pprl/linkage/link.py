"""Linking two files of encodings: the whole pipeline, in the order in which it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pprl.exchange.encodings import EncodingInfo, Encodings, check_compatible, warn_absent_fields
from pprl.exchange.links import Links
from pprl.linkage.compare import Progress, check_threshold, scored_pairs
from pprl.linkage.match import Matching, check_matching, match


@dataclass(frozen=True, eq=False)
class LinkResult:
    """The links, and what was done to find them.

    Attributes:
        links: ``left_id, right_id, similarity, probability``.
        threshold: The Dice similarity from which pairs were considered.
        matching: How pairs became links.
        pairs_compared: Number of pairs of records that were compared.
        pairs_above: Number of pairs at or above the threshold.
        seconds: Wall time of the comparison and the matching.
    """

    links: Links
    threshold: float
    matching: Matching
    pairs_compared: int
    pairs_above: int
    seconds: float

    def facts(self, *inputs: EncodingInfo) -> dict[str, Any]:
        """Return what was done as plain values, for ``linkage.json``."""
        return {
            "library": inputs[0].library,
            "inputs": [info.model_dump(mode="json") for info in inputs],
            "threshold": self.threshold,
            "matching": self.matching,
            "pairs_compared": self.pairs_compared,
            "pairs_above": self.pairs_above,
            "links": len(self.links),
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return (
            f"LinkResult({len(self.links):,} links, {self.matching}, "
            f"threshold {self.threshold:g}, {self.pairs_compared:,} pairs compared)"
        )


def link(
    a: Encodings,
    b: Encodings,
    *,
    threshold: float,
    matching: Matching = "one-to-one",
    workers: int | None = None,
    max_pairs: int | None = None,
    progress: Progress | None = None,
) -> LinkResult:
    """Link the records of two data holders from their encodings alone.

    Every pair is compared. Warns when a field is filled at one holder and (almost)
    empty at the other.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder, made with the same schema and key.
        threshold: Dice similarity, 0 to 1, at or above which a pair is considered.
        matching: ``one-to-one`` (greedy, most similar first) or ``many-to-many``.
        workers: Threads; all processors by default. The result does not depend on it.
        max_pairs: Stop with an error when more pairs than this reach the threshold.
        progress: Called with the pairs compared so far and in all.

    Raises:
        UsageError: The threshold is outside 0 to 1, or ``matching`` is unknown.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs reach the threshold.
    """
    check_threshold(threshold)
    check_matching(matching)
    check_compatible([a.info, b.info])
    warn_absent_fields([a.info, b.info])
    start = time.perf_counter()
    pairs = scored_pairs(a, b, threshold, workers=workers, max_pairs=max_pairs, progress=progress)
    chosen = match(pairs, a.info.records, b.info.records, matching)
    return LinkResult(
        links=chosen.to_links(a, b),
        threshold=threshold,
        matching=matching,
        pairs_compared=len(a) * len(b),
        pairs_above=len(pairs),
        seconds=time.perf_counter() - start,
    )
