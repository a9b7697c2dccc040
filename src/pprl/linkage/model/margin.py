"""The rival margin: a score, less what a pair's best rival exceeds a floor by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.kernels.comparison import best_two, less_rivals
from pprl.linkage.candidates.pairs import Pairs

WEIGHT = 0.45
"""Weight of the margin. From 0.3 to 0.6 the means over data sets are alike; a greater weight helps
where near-twins of a record are about, a smaller one where values are often wrong."""


@dataclass(frozen=True, eq=False)
class Rivals:
    """The best and second best score of each place, gathered in one pass over pairs.

    Attributes:
        best: (places,) the best score, or the floor.
        second: (places,) the next best, or the floor.
        holder: (places,) number of the pair that has the best, -1 where there is none.
        floor: What is no rival.
    """

    best: NDArray[np.float64]
    second: NDArray[np.float64]
    holder: NDArray[np.int64]
    floor: float

    @classmethod
    def of(
        cls,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        score: NDArray[np.float64],
        floor: float,
    ) -> Rivals:
        """Gather the rivals of pairs; see `with_margin`."""
        made = cls.none(1 + max(int(left.max(initial=-1)), int(right.max(initial=-1))), floor)
        made.see((left, right), score, 0)
        return made

    @classmethod
    def none(cls, places: int, floor: float) -> Rivals:
        """Know of no pair yet."""
        best, second = np.full(places, floor), np.full(places, floor)
        return cls(best, second, np.full(places, -1, np.int64), floor)

    def see(
        self, places: Sequence[NDArray[np.int64]], score: NDArray[np.float64], first: int
    ) -> None:
        """Take in pairs, of which the first has this number among all.

        Args:
            places: (p,) each, the places that a pair takes up: one or two.
            score: (p,) the pairs' scores.
            first: Number of the first pair.
        """
        for place in places:
            best_two(place, score, self.best, self.second, self.holder, first)

    def less(
        self, places: Sequence[NDArray[np.int64]], score: NDArray[np.float64], first: int
    ) -> NDArray[np.float64]:
        """Take the margin off the scores of pairs that were seen, in the same places: (p,)."""
        left, right = places[0], places[-1]
        out = np.empty(len(score))
        less_rivals(
            left,
            right,
            score,
            self.best,
            self.second,
            self.holder,
            first,
            self.floor,
            WEIGHT,
            out,
        )
        return out


def with_margin(
    pairs: Pairs, left: NDArray[np.int64], right: NDArray[np.int64], floor: float
) -> Pairs:
    """Lower each pair's score by 0.45 times what its runner-up exceeds ``floor`` by.

    The runner-up is the best other pair that has either of the pair's places.

    Args:
        pairs: The pairs, with a score for similarity.
        left: (p,) the place that each pair takes up on the left, from 0: a record, or a record
            and the file that its partner is in.
        right: (p,) the place on the right; one that is a left place, too, has the same number.
        floor: What is no rival.

    Returns:
        The pairs, with the score less the margin; it may be below 0.
    """
    found = Rivals.of(left, right, pairs.similarity, floor)
    score = found.less((left, right), pairs.similarity, 0)
    return Pairs(pairs.left, pairs.right, score)
