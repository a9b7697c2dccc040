"""Scoring pairs for a decision: similarity, less what a rival comes near to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.pairs import Pairs

WEIGHT = 0.45
"""Weight of the margin. From 0.3 to 0.6 the means over data sets are alike; a greater weight helps
where near-twins of a record are about, a smaller one where values are often wrong."""


def with_margin(
    pairs: Pairs, left: NDArray[np.int64], right: NDArray[np.int64], n: int, floor: float
) -> Pairs:
    """Lower each pair's similarity by 0.45 times what its runner-up exceeds ``floor`` by.

    The runner-up is the most similar other pair that has either of the pair's places.

    Args:
        pairs: The pairs.
        left: (p,) the place that each pair takes up on the left, from 0: a record, or a record
            and the file that its partner is in.
        right: (p,) the place on the right; one that is a left place, too, has the same number.
        n: Number of places.
        floor: What is no rival.

    Returns:
        The pairs, with the score for similarity; it may be below 0.
    """
    rivals = _runner_up(np.concatenate([left, right]), np.tile(pairs.similarity, 2), n, floor)
    runner = np.maximum(rivals[: len(pairs)], rivals[len(pairs) :])
    score = pairs.similarity - WEIGHT * np.maximum(runner - floor, 0.0)
    return Pairs(pairs.left, pairs.right, score)


def _runner_up(
    record: NDArray[np.int64], similarity: NDArray[np.float64], n: int, floor: float
) -> NDArray[np.float64]:
    """For each pair, the best similarity among the other pairs of its place."""
    order = np.lexsort((-similarity, record))
    ranked = record[order]
    first = np.ones(len(order), bool)
    first[1:] = ranked[1:] != ranked[:-1]
    second = np.zeros(len(order), bool)
    second[1:] = first[:-1] & ~first[1:]
    best, next_best = np.full(n, floor), np.full(n, floor)
    best[ranked[first]] = similarity[order[first]]
    next_best[ranked[second]] = similarity[order[second]]
    result = best[record]
    top = order[first]
    result[top] = next_best[record[top]]
    return result
