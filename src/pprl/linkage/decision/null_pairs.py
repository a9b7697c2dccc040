"""Null pairs: the more similar pairs within a file, which show what non-matches look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Null
from pprl.linkage.decision.duplicates import maybe_repeated, standing_out, surely_repeated
from pprl.linkage.decision.missingness import Odds
from pprl.linkage.model.compared_pairs import ComparedPairs
from pprl.linkage.model.density_ratio import Evidence
from pprl.linkage.model.margin import with_margin


@dataclass(frozen=True, eq=False)
class Within:
    """Pairs of records within one file, all from some Dice similarity up.

    Attributes:
        number: The file's number.
        numbering: The place of its records' kinds in `Odds.kinds`.
        pairs: The pairs.
        n: Number of records in the numbering that the pairs use.
        size: Number of records of the file.
        records: Number of records that were compared with others of the file.
        others: Number of other records that each of these was compared with.
        sampled: Whether only a sample was compared with the rest, which then stands on the right.
        parts: The number of parts that the file is dealt into; 1 where it is not.
        share: Share of the file's pairs of records that were compared.
        centre: The Dice similarity of two records by chance.
        to_partner: (p,) see `pprl.linkage.decision.duplicates.maybe_repeated`.
    """

    number: int
    numbering: int
    pairs: ComparedPairs
    n: int
    size: int
    records: int
    others: float
    sampled: bool
    parts: int
    share: float
    centre: float
    to_partner: NDArray[np.float64] | None = None

    def take(self, places: NDArray[np.bool_]) -> Within:
        """Select pairs."""
        known = None if self.to_partner is None else self.to_partner[places]
        return replace(self, pairs=self.pairs.take(places), to_partner=known)


@dataclass(frozen=True, eq=False)
class NullPairs:
    """The pairs within a file that are probably not two records of one person.

    Attributes:
        within: Pairs of records of the file, but for those that stand out as one person's.
        doubtful: (p,) whether a pair may be one person's two records all the same.
        repeated: Number of pairs that stand out.
    """

    within: Within
    doubtful: NDArray[np.bool_]
    repeated: int

    @classmethod
    def of(
        cls,
        within: Within,
        floor: float,
        partner: NDArray[np.int64],
        best: NDArray[np.float64],
    ) -> NullPairs:
        """Tell what may be one person's: by the pairs' own shape, and by what else is near.

        Args:
            within: Pairs of the file's records.
            floor: The Dice similarity from which on these are.
            partner: (n,) the record's most similar in another file, -1 where none is known.
            best: (n,) similarity to it.
        """
        repeated = standing_out(within.pairs, floor, within.centre)
        kept = within.take(~repeated) if repeated.any() else within
        doubtful = maybe_repeated(kept.pairs.pairs, partner, best, kept.to_partner)
        return cls(kept, doubtful, int(repeated.sum()))

    @property
    def pairs(self) -> ComparedPairs:
        """The pairs that are beyond doubt not of one person."""
        return self.within.pairs.take(~self.doubtful) if self.doubtful.any() else self.within.pairs

    def weighted(self, odds: Odds, share: float) -> ComparedPairs:
        """Give them importance weights: how many candidates between the files each represents.

        Args:
            odds: How many pairs between the files each represents.
            share: Share of the pairs between the files that could be candidates.
        """
        some = self.pairs
        return some.weighted(odds.pairs(self.within.numbering, some.pairs) * share)

    @property
    def records(self) -> float:
        """Records of a file that is compared whole and has as many pairs as were compared."""
        within = self.within
        return within.share * within.size if within.sampled else within.pairs.left.records

    def null(
        self,
        score: NDArray[np.float64] | None,
        floor: float,
        odds: Odds,
        once: Sequence[bool] = (True,),
    ) -> Null:
        """Take the rival margin off the scores of the null pairs, as with the links.

        If the file is much larger than the other, it is split at random into parts of the size
        of the other. Rivals are then as many as between the files. If another file may have a
        person several times, a record of this one may have several links: it is met by records
        that have one link each, and these alone have rivals.
        """
        within, some = self.within, self.pairs
        weight = odds.relative(within.numbering, some.pairs)
        pairs, least = scored(score, some, floor)
        n = within.n
        if not all(once):
            return _of_one_side(pairs, within, weight, least)
        if within.sampled:
            placed = _with_sampled_margin(pairs, within, least)
            return Null(placed, within.records, within.others, weight, takes=1)
        if within.parts < 2:
            result = with_margin(pairs, pairs.left, pairs.right, least)
            return Null(result, within.records, within.others, weight)
        part = np.random.default_rng(0).integers(within.parts, size=n)
        apart = part[pairs.left] != part[pairs.right]
        pairs, weight = pairs.take(apart), weight[apart]
        left = np.concatenate([pairs.left, pairs.right])
        right = np.concatenate([pairs.right, pairs.left])
        # The part that a record is met by has a place for it, after those of the records.
        _, place = np.unique(part[left] * n + right, return_inverse=True)
        dealt = Pairs(left, n + place, np.tile(pairs.similarity, 2))
        result = with_margin(dealt, dealt.left, dealt.right, least)
        others = within.records * (1 - 1 / within.parts)
        return Null(result, within.records, others, np.tile(weight, 2), takes=1)

    def surely_repeated(
        self,
        evidence: Evidence | None,
        score: NDArray[np.float64] | None,
        median: float,
        floor: float,
    ) -> NullPairs:
        """Doubt only as many pairs as the links' median score lets expect.

        Args:
            evidence: How pairs are scored; None where that is by Dice similarity.
            score: (null pairs,) scores of those that are not in doubt.
            median: Of the links' scores.
            floor: What makes no rival, where pairs are scored by Dice similarity.
        """
        if not self.doubtful.any():
            return self
        within, every = self.within, None
        if evidence is not None and score is not None:
            every = np.empty(len(self.doubtful))
            every[~self.doubtful] = score
            every[self.doubtful] = evidence.odds(within.pairs.take(self.doubtful))
        pairs, least = scored(every, within.pairs, floor)
        if within.sampled:
            final = _with_sampled_margin(pairs, within, least).similarity
        else:
            final = with_margin(pairs, pairs.left, pairs.right, least).similarity
        return replace(self, doubtful=surely_repeated(self.doubtful, final, median))


def _of_one_side(pairs: Pairs, within: Within, weight: NDArray[np.float64], least: float) -> Null:
    """Let each record meet the others, which may be met by any number; a sampled one if sampled."""
    met = pairs.left
    score = pairs.similarity
    if not within.sampled:
        met, score = np.concatenate([met, pairs.right]), np.tile(score, 2)
        weight = np.tile(weight, 2)
    # Each pair has a place of its own on the right, after those of the records.
    every = Pairs(met, within.n + np.arange(len(met)), score)
    result = with_margin(every, every.left, every.right, least)
    return Null(result, within.records, within.others, weight, takes=1)


def _with_sampled_margin(pairs: Pairs, within: Within, least: float) -> Pairs:
    """Take the rival margin off pairs of sampled records, on the left, and others, on the right.

    A record on the right was compared with the sample only, so that most of its rivals are not
    known. It gets the best score of a sampled record, drawn at random, for one more rival.

    Returns:
        The pairs, with places of their own on the right.
    """
    n = within.n
    best = np.full(n, -np.inf)
    np.maximum.at(best, pairs.left, pairs.similarity)
    known = np.full(within.records, least)
    found = best[best > -np.inf]
    known[: len(found)] = found
    others = np.unique(pairs.right)
    drawn = np.random.default_rng(0).choice(known, len(others))
    left = np.concatenate([pairs.left, 2 * n + np.arange(len(others))])
    right = n + np.concatenate([pairs.right, others])
    every = Pairs(left, right, np.concatenate([pairs.similarity, drawn]))
    return with_margin(every, left, right, least).take(slice(len(pairs)))


def scored(
    score: NDArray[np.float64] | None, some: ComparedPairs, floor: float
) -> tuple[Pairs, float]:
    """Give pairs their scores, Dice similarity if None, and return the score that is no rival."""
    if score is None:
        return some.pairs, floor
    # Scores of 0 or less, which null pairs reach, make no rival.
    return Pairs(some.pairs.left, some.pairs.right, score), 0.0
