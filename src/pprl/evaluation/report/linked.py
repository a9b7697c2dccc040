"""Which records were linked, and how many of that may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pprl.evaluation.report.model import Count, ErrorRates, Figure
from pprl.evaluation.report.run import Run
from pprl.evaluation.report.suppression import two_columns, withhold
from pprl.exchange.links import Clusters, Links

HIDDEN = Count(value=None)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of the records.

    Attributes:
        kind: Links or clusters.
        linked_ids: For each holder, the ids of its records that were linked.
        counts: For each holder, its linked and unlinked records, or what is told of them.
        links: Links, or clusters of two records or more.
        sizes: Clusters by number of records; None for links, or where nothing may be told.
        hidden: Whether the number of links is withheld, and with it all that gives it away.
        few: Whether there are so few links that not even rates are told.
    """

    kind: Literal["links", "clusters"]
    linked_ids: tuple[Any, ...]
    counts: tuple[tuple[Count, Count], ...]
    links: Count
    sizes: dict[str, Count] | None
    hidden: bool
    few: bool

    @classmethod
    def of(cls, run: Run, least: int) -> Outcome:
        """Count, and withhold what is small."""
        if isinstance(run.found, Links):
            return _of_links(run, run.found, least)
        return _of_clusters(run, run.found, least)

    def estimated(self, run: Run) -> ErrorRates | None:
        """Return what was estimated without a truth."""
        if run.estimate is None:
            return None
        precision, counts = run.estimate.get("precision"), None
        if not self.hidden and precision is not None:
            # The same number twice: its interval is that of precision.
            counts = {"false_links": round(float(run.estimate.get("false_links", 0.0)), 1)}
        note = ""
        if self.kind == "clusters":
            note = "Of the best pairs, one at most of a record with each other file. "
        note += (
            "From the neighbours within each file. The interval is a working range; recall is not "
            "estimated without a truth."
        )
        return ErrorRates(
            method="estimate",
            unit="pairs of records" if self.kind == "clusters" else "links",
            precision=None if precision is None or self.few else self.rounded(precision),
            recall=None,
            f1=None,
            counts=counts,
            note=note,
        )

    def reviewed(self, run: Run) -> ErrorRates | None:
        """Return what a clerical review of a sample found."""
        if run.review is None or self.few:
            return None
        names = ("false_links", "missed_matches", "answered")
        counts = {name: round(run.review[name], 1) for name in names if name in run.review}
        return ErrorRates(
            method="review",
            unit="pairs of records" if self.kind == "clusters" else "links",
            counts=None if self.hidden else counts,
            note="From a clerical review of a sample of pairs, with intervals of 95 %; recall is "
            "of the matches among the pairs that could be drawn, and so an upper bound.",
            precision=self.rounded(run.review["precision"]),
            recall=self.rounded(run.review["recall"]),
            f1=self.rounded(run.review["f1"]),
        )

    def evaluated(self, run: Run) -> ErrorRates | None:
        """Return what an earlier evaluation against a truth found."""
        if run.quality is None or self.few:
            return None
        return self.rates(run.quality)

    def rates(self, quality: dict[str, Any]) -> ErrorRates:
        """Report the content of ``quality.json``."""
        figures = {name: self.rounded(quality[name]) for name in ("precision", "recall", "f1")}
        names = ("true_positives", "false_positives", "false_negatives", "links", "true_pairs")
        counts = {name: quality[name] for name in names if quality.get(name) is not None}
        others: dict[str, float] = {
            str(name): round(float(quality[name]), 4)
            for name in ("bcubed_precision", "bcubed_recall", "bcubed_f1", "cluster_f1")
            if name in quality
        }
        return ErrorRates(
            method="truth",
            unit="pairs of records" if self.kind == "clusters" else "links",
            counts=None if self.hidden or not counts else counts,
            others=others,
            note="Against the truth that was given; intervals of 95 % (Wilson)."
            + (
                " Pairs of one cluster are not independent, so the intervals are too narrow."
                if self.kind == "clusters"
                else ""
            ),
            **figures,
        )

    def rounded(self, figure: dict[str, float]) -> Figure:
        """Round a rate; more where its denominator is withheld."""
        digits = 3 if self.hidden else 4
        return Figure(**{name: round(figure[name], digits) for name in ("value", "low", "high")})


def _of_links(run: Run, links: Links, least: int) -> Outcome:
    linked = tuple(links.table[side].unique().to_pandas() for side in ("left_id", "right_id"))
    numbers = [
        (len(ids), info.records - len(ids)) for ids, info in zip(linked, run.inputs, strict=True)
    ]
    few = least > 1 and len(links) < least
    # Records of one side tell those of the other: all of it is withheld, or nothing.
    hidden = few or (least > 1 and min(min(pair) for pair in numbers) < least)
    return Outcome(
        kind="links",
        linked_ids=linked,
        counts=tuple(_told(*pair, hidden, least) for pair in numbers),
        links=HIDDEN if hidden else Count(value=len(links)),
        sizes=None,
        hidden=hidden,
        few=few,
    )


def _of_clusters(run: Run, clusters: Clusters, least: int) -> Outcome:
    frame = clusters.to_pandas()
    size = frame.groupby("cluster_id")["record_id"].transform("size")
    together = size > 1
    names = [info.holder for info in run.inputs]
    parts = [frame["holder"] == name for name in names]
    if len(names) == 1:
        parts = [pd.Series(True, frame.index)]
    numbers = [(int((part & together).sum()), int((part & ~together).sum())) for part in parts]
    by_size = size.drop_duplicates().sort_values().to_numpy()
    counts = np.array([int((size == one).sum()) // one for one in by_size], np.int64)
    made = int(counts[by_size > 1].sum())
    totals = np.array(numbers).sum(axis=0)
    few = least > 1 and made < least
    hidden = few or (least > 1 and int(totals.min()) < least)
    mask = None
    if not hidden:
        mask = withhold([n for pair in numbers for n in pair], two_columns(len(numbers)), least)
    shown = (
        [False] * len(numbers) if mask is None else [not pair.any() for pair in mask.reshape(-1, 2)]
    )
    return Outcome(
        kind="clusters",
        linked_ids=tuple(frame["record_id"][part & together].to_numpy() for part in parts),
        counts=tuple(
            (Count(value=yes), Count(value=no))
            if show
            else (_told(yes, no, True, least) if len(numbers) == 1 else (HIDDEN, HIDDEN))
            for (yes, no), show in zip(numbers, shown, strict=True)
        ),
        links=HIDDEN if hidden else Count(value=made),
        sizes=None if hidden else _sizes(by_size, counts, least),
        hidden=hidden,
        few=few,
    )


def _told(linked: int, unlinked: int, hidden: bool, least: int) -> tuple[Count, Count]:
    """Tell two counts, or where one is small only that."""
    if not hidden:
        return Count(value=linked), Count(value=unlinked)
    n = linked + unlinked
    few, many = Count(value=None, low=0, high=least - 1), Count(value=None, low=n - least + 1)
    if unlinked < least <= linked:
        return many, few
    if linked < least <= unlinked:
        return few, many
    return HIDDEN, HIDDEN


def _sizes(by_size: np.ndarray, counts: np.ndarray, least: int) -> dict[str, Count] | None:
    # Published beside them: all records, single records, and clusters of two or more.
    sums = np.stack([by_size, by_size == 1, by_size > 1]).astype(float)
    mask = withhold(counts.tolist(), sums, least)
    if mask is None:
        return None
    return {
        str(int(size)): HIDDEN if hide else Count(value=int(count))
        for size, count, hide in zip(by_size, counts, mask, strict=True)
    }
