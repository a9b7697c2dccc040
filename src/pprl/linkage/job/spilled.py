"""Pairs of records on their way through the files of a job, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["best-first", "by-record"]
"""By falling score, then left and right record; or by left, right, falling similarity."""


@dataclass(frozen=True)
class Spilled:
    """Pairs of records on their way through files.

    Attributes:
        left, right: (p,) int64 record numbers.
        similarity: (p,) float64 Dice similarity.
        score: (p,) float64 beside it; None where pairs are ranked by similarity.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]
    score: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.left)

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Spilled:
        """Select pairs by place, mask or slice."""
        score = None if self.score is None else self.score[places]
        return Spilled(self.left[places], self.right[places], self.similarity[places], score)

    @classmethod
    def concat(cls, parts: Sequence[Spilled]) -> Spilled:
        """Join parts in their order; all have a score or none."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        scores = [part.score for part in parts if part.score is not None]
        return cls(
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.similarity for part in parts]),
            np.concatenate(scores) if scores else None,
        )

    @property
    def ranking(self) -> NDArray[np.float64]:
        """What pairs are ranked by: (p,)."""
        return self.similarity if self.score is None else self.score


def sort_pairs(pairs: Spilled, order: Order) -> Spilled:
    """Put pairs in order."""
    keys = order_keys(pairs, order)
    return pairs.take(np.lexsort(keys[::-1]))


def order_keys(pairs: Spilled, order: Order) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return what pairs are sorted by, most important first."""
    if order == "best-first":
        return -pairs.ranking, pairs.left, pairs.right
    return pairs.left, pairs.right, -pairs.similarity
