"""What candidates teach: how to score pairs of records, and what non-matches reach.

It is the larger part of the decision, told once for all candidates and for those of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.assignment import one_to_one
from pprl.linkage.candidates.blocking import BlockingReport
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut, NullDistribution
from pprl.linkage.decision.design import Design, Partners
from pprl.linkage.decision.duplicates import repeat_people
from pprl.linkage.decision.missingness import Kinds, Odds, Population
from pprl.linkage.decision.null_pairs import NullPairs, Within, scored
from pprl.linkage.model.compared_pairs import ComparedPairs
from pprl.linkage.model.comparison_vectors import can_be_weighed
from pprl.linkage.model.density_ratio import Evidence, learn
from pprl.linkage.model.margin import with_margin


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
        share: Share of the pairs between the files that could be here: below 1 where
            they are those of a sample of records.
        population: Where only a sample of the files' records is here, how many records of each
            kind each file has.
        partners: The same: each record's most similar record in another file, as by
            `pprl.linkage.decision.design.Design.partners`.
    """

    floor: float
    between: ComparedPairs
    within: tuple[Within, ...]
    kinds: Kinds
    pooled: bool
    compared: int
    blocking: BlockingReport | None = None
    share: float = 1.0
    population: Population | None = None
    partners: Partners | None = None


@dataclass(frozen=True, eq=False)
class Fit:
    """What candidates teach: how to score pairs, and what non-matches reach.

    Attributes:
        evidence: How groups and masks are weighed; None where there is but one similarity.
        null: What null pairs reach.
        links: The candidates' one-to-one links with their Dice similarity, best score first.
        scores: (m,) their scores, falling.
        cut: Where the links end.
        repeating: The holders whose files seem to repeat people.
        known: Scores of the null pairs that are beyond doubt, without the rival margin.
    """

    evidence: Evidence | None
    null: NullDistribution
    links: Pairs
    scores: NDArray[np.float64]
    cut: Cut
    repeating: tuple[str, ...]
    known: Sequence[NDArray[np.float64] | None]


def fit(candidates: Candidates, design: Design) -> Fit:
    """Learn from candidates how to score pairs, and what non-matches reach.

    The steps: set probable duplicates within files aside; learn the score from pairs between
    files against null pairs; take off the rival margin; assign one-to-one, best first; cut where
    as many links are false as true, by what null pairs reach. If the links show that fewer of
    the doubtful pairs are duplicates, do it once more with these as null pairs.

    Args:
        candidates: The pairs that were compared: all of them, or those of a sample of records.
        design: Who may be linked to whom.
    """
    floor, between, share = candidates.floor, candidates.between, candidates.share
    places, n_left, n_right = design.places(between.pairs)
    partners = candidates.partners
    if partners is None:
        partners = design.partners(between.pairs)
    everything = [NullPairs.of(one, floor, *partners[one.numbering]) for one in candidates.within]
    repeating = _repeating(candidates, design, places, n_left, n_right, everything)
    # If all files seem to repeat people, their pairs are all that there is.
    once = np.array(design.once)
    clean = once & ~repeating if (once & ~repeating).any() else once
    asked = np.zeros(len(design.sizes))
    for one in everything:
        asked[one.within.number] = one.within.share * clean[one.within.number]
    odds = Odds.of(candidates.kinds, asked, candidates.population)
    if candidates.pooled:
        odds = odds.pooled()
    between = between.weighted(odds.between(between.pairs))
    masked = between.left.mask is not None and between.right.mask is not None
    weighed = can_be_weighed(between.left.info, between.right.info, masked)
    weight = max(odds.mean, 1.0)

    def rank(null: list[NullPairs], before: Evidence | None) -> Fit:
        """Score the pairs by what these null pairs teach, choose the links, and cut them."""
        evidence: Evidence | None = None
        known: Sequence[NDArray[np.float64] | None] = [None] * len(null)
        if weighed:
            evidence, known = learn(
                between,
                [one.weighted(odds, share) for one in null],
                before,
                records=[one.records for one in null],
            )
        own = None if evidence is None else evidence.odds(between)
        score, least = scored(own, between, floor)
        ends = Pairs(places.left, places.right, score.similarity)
        final = with_margin(ends, places.left, n_left + places.right, least)
        chosen = one_to_one(final, n_left, n_right)
        chosen = chosen[np.argsort(-final.similarity[chosen], kind="stable")]
        ranked, links = final.similarity[chosen], between.pairs.take(chosen)
        nulls = [
            one.null(said, floor, odds, design.once) for one, said in zip(null, known, strict=True)
        ]
        reached = NullDistribution(tuple(nulls), weight)
        cut = reached.cut(ranked, design.expect(links, share))
        return Fit(evidence, reached, links, ranked, cut, named, known)

    stand_out = {one.within.number for one in everything if one.repeated}
    named = tuple(name for at, name in enumerate(design.names) if repeating[at] or at in stand_out)
    null = [one for one in everything if clean[one.within.number]]
    found = rank(null, None)
    if found.cut.links:
        median = float(found.scores[found.cut.links // 2])
        surer = [
            one.surely_repeated(found.evidence, own, median, floor)
            for one, own in zip(null, found.known, strict=True)
        ]
        if any((now.doubtful != one.doubtful).any() for now, one in zip(surer, null, strict=True)):
            found = rank(surer, found.evidence)
    return found


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
        odds = Odds.within(candidates.kinds, one.within.number, candidates.population)
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
