"""Ranking the candidate links of two files and cutting them where no truth is known."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings
from pprl.linkage.assignment import one_to_one
from pprl.linkage.candidates.blocking import Blocking, BlockingReport
from pprl.linkage.candidates.exhaustive import Progress, scored_pairs
from pprl.linkage.candidates.floor import find_floor
from pprl.linkage.candidates.in_blocks import blocked_pairs
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut, find_cut
from pprl.linkage.decision.duplicates import best_partner, repeat_people
from pprl.linkage.decision.missingness import Kinds, Odds, kinds_of, lack_alike
from pprl.linkage.decision.null_pairs import Neighbours
from pprl.linkage.local_fdr import false_links
from pprl.linkage.model.comparison_vectors import can_be_weighed
from pprl.linkage.model.density_ratio import Evidence, learn
from pprl.linkage.model.margin import scored_for

_MODEL_ERROR = 2.5
"""The factor by which the expected number of false links is wrong at most, nearly always."""
_CURVE = 512
_LEAST_TRUE = 0.75


@dataclass(frozen=True)
class Figure:
    """An estimate with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What is known of the links without a truth.

    Attributes:
        precision: Estimated precision; None where there are no links. The interval holds a
            number of false links up to 2.5 times as great or as small as estimated, with
            twice the standard deviation of the count of strangers that it comes from on
            top, and two such strangers; calibrated on simulated files.
        false_links: Expected number of false links.
    """

    precision: Figure | None
    false_links: float

    @classmethod
    def of(cls, cut: Cut) -> Estimate:
        """Estimate what a cut gives."""
        links, false = cut.links, cut.false_links
        if not links:
            return cls(None, 0.0)
        chance = 2 * math.sqrt(false * cut.weight)
        high = min(false * _MODEL_ERROR + chance + 2 * cut.weight, links)
        low = max(false / _MODEL_ERROR - chance, 0.0)
        return cls(Figure(1 - false / links, 1 - high / links, 1 - low / links), false)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``estimate.json``."""
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """Candidate links, best score first, and how many of them to keep.

    Attributes:
        ranked: One-to-one pairs with their Dice similarity, best score first.
        scores: (m,) their scores, falling.
        cut: How many to keep.
        candidates: (p,) similarities of all pairs that were looked at.
        evidence: How groups and missing fields were weighed; None where there is but one
            similarity.
        blocking: What blocking left out; None where every pair was compared.
        repeating: The holders whose files seem to repeat people.
    """

    ranked: Pairs
    scores: NDArray[np.float64]
    cut: Cut
    candidates: NDArray[np.float64]
    evidence: Evidence | None
    blocking: BlockingReport | None
    repeating: tuple[str, ...]

    @property
    def kept(self) -> Pairs:
        """The links, best score first."""
        return self.ranked.take(np.arange(self.cut.links))

    @property
    def curve(self) -> pa.Table:
        """What other cuts would give: at most 512 rows, the score falling.

        Columns: ``score`` of the cut, ``similarity`` of the link there, ``links`` at or
        above, and how many of these are expected to be false (``expected_false``).
        """
        m = len(self.scores)
        ranks = np.unique(np.linspace(0, m - 1, min(m, _CURVE)).astype(np.int64))
        return pa.table(
            {
                "score": self.scores[ranks],
                "similarity": self.ranked.similarity[ranks],
                "links": ranks + 1,
                "expected_false": self.cut.expected[ranks],
            }
        )

    @property
    def estimate(self) -> Estimate:
        """What is estimated of the links."""
        return Estimate.of(self.cut)


def unless_all_false(cut: Cut) -> Cut:
    """Keep no link where all may be false, and more than a quarter is expected to be.

    Wherever files that had nobody in common, of those that this was tried on, seemed to have
    links, that was so; and nowhere else.
    """
    precision = Estimate.of(cut).precision
    all_false = precision and precision.low <= 0 and precision.value < _LEAST_TRUE
    return cut.keep(0) if all_false else cut


def check_precision(precision: float | None, threshold: float | str) -> None:
    """Refuse a precision that cannot be asked for.

    Raises:
        UsageError: It is outside 0 to 1, or given with a fixed threshold.
    """
    if precision is None:
        return
    if threshold != "auto":
        raise UsageError("a precision is for the automatic threshold: leave one of them out.")
    if not 0.0 <= precision <= 1.0:
        raise UsageError(f"the precision must be between 0 and 1, not {precision:g}.")


def decide(
    a: Encodings,
    b: Encodings,
    *,
    precision: float | None = None,
    blocking: Blocking | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Rank the pairs of two files, and find where to cut.

    The score is the evidence of groups and masks where there are any, and Dice similarity
    otherwise, with the margin to rivals. With blocking, only pairs that share a block are
    looked at, between the files and within them. With ``precision``, links end where the
    estimated precision of all of them falls below it, if that is sooner.

    The files must have been checked by `check_compatible`.
    """
    n_a, n_b = a.info.records, b.info.records
    if not n_a or not n_b:
        none, no_links = np.empty(0), Pairs.concat([])
        return Decision(no_links, none, Cut(0, 0.0, none, none, (0, 0)), none, None, None, ())
    kinds = kinds_of([a, b])
    if not lack_alike(kinds):
        a, b = (replace(one, present=None) for one in (a, b))
        kinds = kinds_of([a, b])
    floor = find_floor(a, b)
    report: BlockingReport | None = None

    def candidates(x: Encodings, y: Encodings | None) -> Pairs:
        nonlocal report
        if blocking is None:
            return scored_pairs(x, y, floor, workers=workers, progress=progress)
        found, said = blocked_pairs(x, y, floor, blocking, workers=workers)
        report = said if y is not None else report
        return found

    pairs = candidates(a, b)
    between = np.sort(pairs.similarity[one_to_one(pairs, n_a, n_b)])[::-1]
    own = []
    for number, file in enumerate((a, b)):
        near = candidates(file, None)
        ends = (pairs.right, pairs.left) if number else (pairs.left, pairs.right)
        partner, best = best_partner(*ends, pairs.similarity, file.info.records)
        own.append(Neighbours.of(number, file, near, floor, partner, best))
    within, repeating = _strangers_only(between, own, kinds)
    odds = Odds.of(kinds, asked=[one in within for one in own])
    weighed = can_be_weighed(a, b)

    def rank(neighbours: list[Neighbours]) -> tuple[Evidence | None, Cut, Pairs, NDArray[Any]]:
        """Score the pairs by what these neighbours teach, choose the links, and cut them."""
        strangers = [one.strangers_for(odds) for one in neighbours]
        evidence = learn(a, b, pairs, strangers, odds.between(pairs)) if weighed else None
        scored = scored_for(evidence, a, b, pairs, floor)
        place = one_to_one(scored, n_a, n_b)
        place = place[np.argsort(-scored.similarity[place], kind="stable")]
        ranked = scored.similarity[place]
        nulls = [one.null(evidence, floor, odds, min(n_a, n_b)) for one in neighbours]

        def expect(rate: NDArray[np.float64]) -> NDArray[np.float64]:
            return false_links(np.arange(1, len(rate) + 1), rate, n_a, n_b)

        cut = find_cut(ranked, nulls, expect, max(odds.mean, 1.0))
        return evidence, cut, pairs.take(place), ranked

    evidence, cut, chosen, ranked = rank(within)
    if cut.links:
        median = ranked[cut.links // 2]
        surer = [one.surely_repeated(evidence, median, floor) for one in within]
        if any(
            (now.doubtful != one.doubtful).any() for now, one in zip(surer, within, strict=True)
        ):
            evidence, cut, chosen, ranked = rank(surer)
    cut = unless_all_false(cut)
    if precision is not None:
        cut = cut.down_to(precision)
    return Decision(chosen, ranked, cut, pairs.similarity, evidence, report, repeating)


def _strangers_only(
    between: NDArray[np.float64], own: list[Neighbours], kinds: Kinds
) -> tuple[list[Neighbours], tuple[str, ...]]:
    """Leave out the file that repeats people beyond what stands out, and name all that do."""
    records = [one.file.info.records for one in own]
    strangers = [one.strangers for one in own]
    # Pairs that are alike because they lack fields are more in one file than in another.
    counts = [Odds.within(kinds, at).relative(at, pairs) for at, pairs in enumerate(strangers)]
    left_out = repeat_people(between, strangers, records, counts)
    named = tuple(
        one.file.info.holder or f"file {one.number + 1}"
        for one, out in zip(own, left_out, strict=True)
        if out or one.repeated
    )
    if not left_out.any():
        return own, named
    return [own[1 - int(left_out.argmax())]], named
