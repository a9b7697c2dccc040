"""The decision, told once: which candidate pairs are linked where no truth is known.

Pairs within a file without duplicates are null pairs: they show what non-matches look like. The
steps are the same for two files and for several, in memory and in a job; what differs between
them is the `pprl.linkage.decision.design.Design`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.linkage.assignment import one_to_one
from pprl.linkage.candidates.blocking import BlockingReport
from pprl.linkage.candidates.crowding import by_file, crowded, near_everybody
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut, find_cut
from pprl.linkage.decision.design import Design
from pprl.linkage.decision.duplicates import repeat_people
from pprl.linkage.decision.estimate import Estimate, false_links_within, unless_all_false
from pprl.linkage.decision.missingness import Kinds, Odds
from pprl.linkage.decision.null_pairs import NullPairs, Within, scored
from pprl.linkage.model.compared_pairs import ComparedPairs
from pprl.linkage.model.comparison_vectors import can_be_weighed
from pprl.linkage.model.density_ratio import Evidence, learn
from pprl.linkage.model.margin import with_margin
from pprl.linkage.model.scoring import Criterion

_CURVE = 512
_FEW_BELOW = 0.02
_DRAWN = 1.5
"""Where a null pair represents more pairs between files than this, the tail is drawn smoothly."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of records that were compared, between files and within them.

    Attributes:
        floor: The Dice similarity from which on they are here.
        between: Pairs between files, in the order of left and right record.
        within: Pairs within each file.
        kinds: For each numbering of records, which fields each record has
            (`pprl.linkage.decision.missingness.kinds_of`), by file.
        pooled: Whether all files have one numbering.
        compared: Number of pairs of rows between files that were compared.
        blocking: What blocking left out; None where every pair was compared.
    """

    floor: float
    between: ComparedPairs
    within: tuple[Within, ...]
    kinds: Kinds
    pooled: bool
    compared: int
    blocking: BlockingReport | None = None


@dataclass(frozen=True, eq=False)
class Decision:
    """Candidate links, best score first, and how many of them to keep.

    Attributes:
        ranked: One-to-one pairs with their Dice similarity, best score first.
        scores: (m,) their scores, falling.
        cut: How many to keep.
        floor: The Dice similarity from which on pairs were looked at.
        similarities: (p,) similarities of all pairs between files that were looked at.
        evidence: How groups and masks were weighed; None where there is but one similarity.
        blocking: What blocking left out; None where every pair was compared.
        compared: Number of pairs of rows between files that were compared.
        repeating: The holders whose files seem to repeat people.
        implausible: Filters that no record can have, by holder; they were set aside.
        crowded: Records that are like improbably many others, by holder.
        taken: How many links are of such records.
        poisoned: Whether there were records of either kind.
        untold: Whether there is nothing to tell matches from: all records are alike, or there
            is one in each file.
    """

    ranked: Pairs
    scores: NDArray[np.float64]
    cut: Cut
    floor: float
    similarities: NDArray[np.float64]
    evidence: Evidence | None
    blocking: BlockingReport | None
    compared: int
    repeating: tuple[str, ...]
    implausible: Mapping[str, int] = field(default_factory=dict)
    crowded: Mapping[str, int] = field(default_factory=dict)
    taken: int = 0
    poisoned: bool = False
    untold: bool = False

    @classmethod
    def nothing(cls, *, untold: bool = False) -> Decision:
        """Decide nothing, where there are no two files with records to tell apart."""
        none = np.empty(0)
        cut = Cut(0, 0.0, none, none, (0, 0))
        return cls(Pairs.concat([]), none, cut, 0.0, none, None, None, 0, (), untold=untold)

    @cached_property
    def kept(self) -> Pairs:
        """The links, best score first."""
        return self.ranked.take(slice(self.cut.links))

    @property
    def criterion(self) -> Criterion:
        """How pairs are scored, and the score from which on they are linked."""
        if not self.cut.links:
            return Criterion.nothing()
        last = float(self.scores[self.cut.links - 1])
        return Criterion(last, self.floor, rivals=True, evidence=self.evidence)

    @property
    def curve(self) -> pa.Table:
        """What other cuts would give: at most 513 rows, the score falling.

        The cut that was decided is one of the rows, so that it can be found in the curve.

        Columns: ``score`` of the cut, ``similarity`` of the link there, ``links`` at or
        above, how many of these are expected to be false (``expected_false``), and the
        interval of that number (``false_low``, ``false_high``), as of `Estimate`.
        """
        m = len(self.scores)
        ranks = np.linspace(0, m - 1, min(m, _CURVE)).astype(np.int64)
        ranks = np.union1d(ranks, [self.cut.links - 1] if self.cut.links else []).astype(np.int64)
        expected = self.cut.expected[ranks]
        within = [
            false_links_within(float(false), int(rank) + 1, self.cut.weight)
            for false, rank in zip(expected, ranks, strict=True)
        ]
        low, high = np.array(within, np.float64).reshape(-1, 2).T
        return pa.table(
            {
                "score": self.scores[ranks],
                "similarity": self.ranked.similarity[ranks],
                "links": ranks + 1,
                "expected_false": expected,
                "false_low": low,
                "false_high": high,
            }
        )

    @property
    def estimate(self) -> Estimate:
        """What is estimated of the links."""
        return Estimate.of(self.cut, self.taken, poisoned=self.poisoned)

    @property
    def nearly_least(self) -> float:
        """The similarity that all but one in fifty of the links reach; 1 without links.

        The score has more to it than the similarity, so that a few links may be much less alike.
        """
        kept = self.kept.similarity
        return float(np.quantile(kept, _FEW_BELOW)) if len(kept) else 1.0

    def with_crowded(
        self,
        pairs: Pairs,
        links: Pairs,
        files: NDArray[np.int64],
        names: Sequence[str],
        *,
        set_aside: bool,
    ) -> Decision:
        """Find the records that are like improbably many others.

        Args:
            pairs: The pairs between files that were looked at, records of all files in one row.
            links: The links, numbered in the same way.
            files: (records,) the file of each record.
            names: The files' names.
            set_aside: Whether there were filters that no record can have.
        """
        reached = pairs.take(pairs.similarity >= self.nearly_least)
        marked = crowded(reached, len(files)) | near_everybody(pairs, files)
        counts = by_file(marked, files, names)
        taken = int((marked[links.left] | marked[links.right]).sum())
        poisoned = set_aside or bool(counts)
        return replace(self, crowded=counts, taken=taken, poisoned=poisoned)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Links, best score first, and what they were scored and cut by."""

    evidence: Evidence | None
    null: Sequence[NDArray[np.float64] | None]
    cut: Cut
    links: Pairs
    scores: NDArray[np.float64]


def decide(candidates: Candidates, design: Design, *, precision: float | None = None) -> Decision:
    """Rank candidate pairs, and find where to cut.

    The steps: set probable duplicates within files aside; learn the score from pairs between
    files against null pairs; take off the rival margin; assign one-to-one, best first; cut where
    as many links are false as true, by what null pairs reach. If the links show that fewer of
    the doubtful pairs are duplicates, do it once more with these as null pairs.

    Args:
        candidates: The pairs that were compared.
        design: Who may be linked to whom.
        precision: Links end where the estimated precision of all of them falls below this, if
            that is sooner.
    """
    floor, between = candidates.floor, candidates.between
    places, n_left, n_right = design.places(between.pairs)
    partners = design.partners(between.pairs)
    everything = [NullPairs.of(one, floor, *partners[one.numbering]) for one in candidates.within]
    repeating = _repeating(candidates, design, places, n_left, n_right, everything)
    # If all files seem to repeat people, their pairs are all that there is.
    clean = ~repeating if not repeating.all() else np.ones(len(repeating), bool)
    asked = np.zeros(len(design.sizes))
    for one in everything:
        asked[one.within.number] = one.within.share * clean[one.within.number]
    odds = Odds.of(candidates.kinds, asked)
    if candidates.pooled:
        odds = odds.pooled()
    between = between.weighted(odds.between(between.pairs))
    masked = between.left.mask is not None and between.right.mask is not None
    weighed = can_be_weighed(between.left.info, between.right.info, masked)
    weight = max(odds.mean, 1.0)

    def rank(null: list[NullPairs], before: Evidence | None) -> _Ranked:
        """Score the pairs by what these null pairs teach, choose the links, and cut them."""
        evidence: Evidence | None = None
        known: Sequence[NDArray[np.float64] | None] = [None] * len(null)
        if weighed:
            evidence, known = learn(between, [one.weighted(odds) for one in null], before)
        own = None if evidence is None else evidence.odds(between)
        score, least = scored(own, between, floor)
        ends = Pairs(places.left, places.right, score.similarity)
        final = with_margin(ends, places.left, n_left + places.right, least)
        chosen = one_to_one(final, n_left, n_right)
        chosen = chosen[np.argsort(-final.similarity[chosen], kind="stable")]
        ranked, links = final.similarity[chosen], between.pairs.take(chosen)
        nulls = [one.null(said, floor, odds) for one, said in zip(null, known, strict=True)]
        cut = find_cut(ranked, nulls, design.expect(links), weight, drawn=weight > _DRAWN)
        return _Ranked(evidence, known, cut, links, ranked)

    null = [one for one in everything if clean[one.within.number]]
    found = rank(null, None)
    if found.cut.links:
        median = float(found.scores[found.cut.links // 2])
        surer = [
            one.surely_repeated(found.evidence, own, median, floor)
            for one, own in zip(null, found.null, strict=True)
        ]
        if any((now.doubtful != one.doubtful).any() for now, one in zip(surer, null, strict=True)):
            found = rank(surer, found.evidence)
    cut = unless_all_false(found.cut)
    if precision is not None:
        cut = cut.down_to(precision)
    stand_out = {one.within.number for one in everything if one.repeated}
    named = tuple(name for at, name in enumerate(design.names) if repeating[at] or at in stand_out)
    return Decision(
        found.links,
        found.scores,
        cut,
        floor,
        between.pairs.similarity,
        found.evidence,
        candidates.blocking,
        candidates.compared,
        named,
    )


def _repeating(
    candidates: Candidates,
    design: Design,
    places: Pairs,
    n_left: int,
    n_right: int,
    everything: list[NullPairs],
) -> NDArray[np.bool_]:
    """Tell which files repeat people beyond what stands out: (files,)."""
    best = one_to_one(places, n_left, n_right)
    between = np.sort(places.similarity[best])[::-1]
    counts = []
    for one in everything:
        # Pairs that are alike because they lack fields are more in one file than in another.
        odds = Odds.within(candidates.kinds, one.within.number)
        odds = odds.pooled() if candidates.pooled else odds
        counts.append(odds.relative(one.within.numbering, one.pairs.pairs))
    found = np.zeros(len(design.sizes), bool)
    numbers = [one.within.number for one in everything]
    found[numbers] = repeat_people(
        between,
        [one.pairs.pairs for one in everything],
        [int(design.sizes[number]) for number in numbers],
        counts,
        [one.within.share for one in everything],
    )
    return found
