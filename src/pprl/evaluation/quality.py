"""Linkage quality against a known truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.evaluation.figures import Figure, f1_of, wilson
from pprl.evaluation.subgroups import Groups, Subgroup, read_groups, split
from pprl.evaluation.tables import PairTable, check_met, links_of, pair_codes, true_pairs
from pprl.exchange.encodings import Encodings
from pprl.exchange.opening import Encoded, opened
from pprl.linkage.candidates.blocking import BlockingReport
from pprl.linkage.link import LinkResult

__all__ = [
    "BlockingQuality",
    "Figure",
    "Quality",
    "Truth",
    "evaluate",
    "read_true_pairs",
    "wilson",
]

Truth: TypeAlias = PairTable
"""True pairs, in any of the forms that pairs have."""


@dataclass(frozen=True)
class BlockingQuality:
    """What blocking saved and what it cost.

    Attributes:
        pairs_completeness: Share of true pairs among the candidate pairs; None where
            only the report of blocking was given, which does not name them.
        reduction_ratio: Share of all pairs that are no candidate pairs; None where the
            number of all pairs is not known.
        candidate_pairs: Their number, each counted once.
    """

    pairs_completeness: Figure | None
    reduction_ratio: float | None
    candidate_pairs: int


@dataclass(frozen=True)
class Quality:
    """How well links agree with the truth.

    Attributes:
        precision: Share of links that are true matches (Wilson interval).
        recall: Share of true matches that were linked (Wilson interval).
        f1: Their harmonic mean; the interval is that of the share of true positives
            among all pairs that are linked or true, which F1 is a function of.
        true_positives, false_positives, false_negatives: Counts of pairs.
        links, true_pairs: Counts of pairs.
        pairs: Number of pairs of records in all, where both encodings were given.
        blocking: Where candidate pairs or a report of blocking were given.
        subgroups: The same figures for each group of records, where groups were given.
    """

    precision: Figure
    recall: Figure
    f1: Figure
    true_positives: int
    false_positives: int
    false_negatives: int
    links: int
    true_pairs: int
    pairs: int | None = None
    blocking: BlockingQuality | None = None
    subgroups: tuple[Subgroup, ...] = ()

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card, intervals, share

        figures = {"precision": self.precision, "recall": self.recall, "F1": self.f1}
        rows = {name: share(one.value, one.low, one.high) for name, one in figures.items()}
        rows |= {"links": f"{self.links:,}", "true pairs": f"{self.true_pairs:,}"}
        bars = {name: (one.value, one.low, one.high) for name, one in figures.items()}
        return card("Quality", rows, picture=intervals(bars))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``quality.json``."""
        return asdict(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for all pairs and one for each subgroup, with intervals as columns."""
        everybody = Subgroup.count("", "all", self.true_positives, self.links, self.true_pairs)
        return pd.json_normalize(
            [asdict(part) for part in (everybody, *self.subgroups)], sep="_"
        ).rename(columns=lambda name: name.removesuffix("_value"))

    def save(self, path: str | PathLike[str]) -> None:
        """Write ``quality.json``.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.files import write_json

        write_json(self.to_dict(), path)


def evaluate(
    links: LinkResult | PairTable,
    truth: Truth,
    *,
    a: Encoded | None = None,
    b: Encoded | None = None,
    groups: Groups | None = None,
    candidates: PairTable | None = None,
    blocking: BlockingReport | None = None,
) -> Quality:
    """Compare links with the truth.

    Args:
        links: The result of `pprl.link`, or links of this library or of another (see
            `pprl.evaluation.tables.PairTable`).
        truth: Every true pair of record ids, ``left_id, right_id``.
        a: The left encodings. How many left ids of the truth they do not have is told; if
            they have none, the truth is refused.
        b: The right encodings, likewise.
        groups: ``record_id`` and a column for each way of grouping records, such as sex
            or decade of birth. A pair counts for the group of its left record or, where the
            table does not have that, of its right record.
        candidates: The candidate pairs that blocking left, ``left_id, right_id``.
        blocking: The report of blocking of a `LinkResult`.

    Raises:
        UsageError: The truth is empty.
        RecordIdError: No record of the truth is in the encodings or, without them, in the
            links; or the truth's ids have lost their leading zeros; or one is missing.
        MissingColumn: The truth has no column ``left_id`` or ``right_id``, or the groups
            have no ``record_id``.
        UnreadableFile: The truth cannot be read.
    """
    a, b = (None if one is None else opened(one) for one in (a, b))
    true = true_pairs(truth)
    given = links.links if isinstance(links, LinkResult) else links
    found = links_of(given, "the table of links").to_pandas()[["left_id", "right_id"]]
    _check_known(true, found, [("left", a), ("right", b)])
    found_codes, true_codes = pair_codes(found, true)
    right = np.isin(found_codes, true_codes)
    hits = int(right.sum())
    pairs = a.info.records * b.info.records if a is not None and b is not None else None
    subgroups: Sequence[Subgroup] = ()
    if groups is not None:
        subgroups = split(read_groups(groups), found, right, true)
    return Quality(
        precision=wilson(hits, len(found)),
        recall=wilson(hits, len(true)),
        f1=f1_of(hits, len(found) - hits, len(true) - hits),
        true_positives=hits,
        false_positives=len(found) - hits,
        false_negatives=len(true) - hits,
        links=len(found),
        true_pairs=len(true),
        pairs=pairs,
        blocking=_blocking(candidates, blocking, true, pairs),
        subgroups=tuple(subgroups),
    )


def read_true_pairs(truth: Truth) -> pd.MultiIndex:
    """Return the distinct true pairs of record ids, left and right, whatever holds them.

    Raises:
        UsageError: There are none.
        MissingColumn: The truth has no column ``left_id`` or ``right_id``.
        UnreadableFile: The truth cannot be read.
    """
    return pd.MultiIndex.from_frame(true_pairs(truth))


def _check_known(
    true: pd.DataFrame, found: pd.DataFrame, sides: list[tuple[str, Encodings | None]]
) -> None:
    """Check that the truth speaks of these records: of the files, or else of the links."""
    for side, encodings in sides:
        asked = true[f"{side}_id"]
        if encodings is not None:
            there = encodings.record_ids.to_pylist()
            check_met(asked, there, f"{side}_id of the truth", f"the {side} file")
    if len(found) and all(encodings is None for _, encodings in sides):
        met = [true[name].isin(found[name]).any() for name in ("left_id", "right_id")]
        if not any(met):
            for name in ("left_id", "right_id"):
                # A few links may all be of records that the truth does not have.
                many = len(found) >= _FEW
                check_met(
                    true[name], found[name], f"{name} of the truth", "any link", refuse_all=many
                )


_FEW = 20
"""Links from which on a truth that has none of their records is refused."""


def _blocking(
    candidates: PairTable | None,
    report: BlockingReport | None,
    true: pd.DataFrame,
    pairs: int | None,
) -> BlockingQuality | None:
    if candidates is None:
        if report is None:
            return None
        return BlockingQuality(None, report.reduction_ratio, report.compared)
    table = links_of(candidates, "the table of candidate pairs").to_pandas()
    codes: list[NDArray[np.int64]] = pair_codes(table, true)
    # A pair that shares several blocks is one candidate pair.
    kept = len(np.unique(codes[0]))
    ratio = report.reduction_ratio if report else None if pairs is None else 1 - kept / pairs
    return BlockingQuality(
        wilson(int(np.isin(codes[1], codes[0]).sum()), len(true)),
        ratio,
        report.compared if report else kept,
    )
