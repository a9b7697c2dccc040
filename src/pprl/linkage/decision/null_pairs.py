"""The more similar pairs within a file, which show what strangers look like."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Null
from pprl.linkage.decision.duplicates import maybe_repeated, standing_out, surely_repeated
from pprl.linkage.decision.missingness import Odds
from pprl.linkage.model.density_ratio import Evidence, Strangers
from pprl.linkage.model.margin import scored_for, weighed, with_margin


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The more similar pairs within a file.

    Attributes:
        number: 0 for the first file, 1 for the second.
        file: The file.
        pairs: (p,) pairs of its records, but for those that stand out as one person's.
        doubtful: (p,) whether a pair may be one person's two records all the same.
        repeated: Number of pairs that stand out.
    """

    number: int
    file: Encodings
    pairs: Pairs
    doubtful: NDArray[np.bool_]
    repeated: int

    @classmethod
    def of(
        cls,
        number: int,
        file: Encodings,
        near: Pairs,
        floor: float,
        partner: NDArray[np.int64],
        best: NDArray[np.float64],
    ) -> Neighbours:
        """Tell what may be one person's: by the pairs' own shape, and by what else is near.

        Args:
            number: 0 for the first file, 1 for the second.
            file: The file.
            near: Pairs of its records.
            floor: The Dice similarity from which on these are.
            partner: (n,) the record's most similar in the other file, -1 where none is known.
            best: (n,) similarity to it.
        """
        repeated = standing_out(file, near, np.zeros(len(near), np.int64), floor)
        strangers = near.take(~repeated)
        doubtful = maybe_repeated(strangers, partner, best)
        return cls(number, file, strangers, doubtful, int(repeated.sum()))

    @property
    def strangers(self) -> Pairs:
        """The pairs that are beyond doubt not of one person."""
        return self.pairs.take(~self.doubtful)

    def strangers_for(self, odds: Odds) -> Strangers:
        """Let them stand for pairs of records between the files."""
        strangers = self.strangers
        return Strangers(self.file, strangers, odds.pairs(self.number, strangers))

    def null(self, evidence: Evidence | None, floor: float, odds: Odds, fewest: int) -> Null:
        """Score them as the links are.

        Of the smaller file's records, ``fewest``, only so many can be rivals for one of a much
        larger file. There, too: it is dealt into parts as small, each of which is compared
        with the others.
        """
        n, strangers = self.file.info.records, self.strangers
        weight = odds.relative(self.number, strangers)
        parts = round(n / fewest)
        if parts < 2:
            scored = scored_for(evidence, self.file, None, strangers, floor)
            return Null(scored, n, n - 1, weight)
        pairs, least = weighed(evidence, self.file, self.file, strangers, floor)
        part = np.random.default_rng(0).integers(parts, size=n)
        apart = part[pairs.left] != part[pairs.right]
        pairs, weight = pairs.take(apart), weight[apart]
        left = np.concatenate([pairs.left, pairs.right])
        right = np.concatenate([pairs.right, pairs.left])
        # The part that a record is met by has a place for it, after those of the records.
        _, place = np.unique(part[left] * n + right, return_inverse=True)
        dealt = Pairs(left, n + place, np.tile(pairs.similarity, 2))
        scored = with_margin(dealt, dealt.left, dealt.right, least)
        others = n * (1 - 1 / parts)
        return Null(scored, n, others, np.tile(weight, 2), takes=1)

    def surely_repeated(self, evidence: Evidence | None, median: float, floor: float) -> Neighbours:
        """Doubt only as many pairs as the links' median score lets expect."""
        if not self.doubtful.any():
            return self
        score = scored_for(evidence, self.file, None, self.pairs, floor).similarity
        return replace(self, doubtful=surely_repeated(self.doubtful, score, median))
