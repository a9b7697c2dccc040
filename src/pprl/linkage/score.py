"""Scoring pairs for a decision: similarity, less what a rival comes near to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.pairs import Pairs

WEIGHT = 0.45
"""Weight of the margin. From 0.3 to 0.6 the means over data sets are alike; a greater weight helps
where near-twins of a record are about, a smaller one where values are often wrong."""


def with_margin(
    pairs: Pairs,
    n_left: int,
    n_right: int,
    floor: float,
    *,
    within: bool = False,
) -> Pairs:
    """Lower each pair's similarity by 0.45 times what its runner-up exceeds ``floor`` by.

    The runner-up is the most similar other pair of either record. With ``within``, both sides
    number the same file.

    Returns:
        The pairs, with the score for similarity; it may be below 0.
    """
    if within:
        half = len(pairs)
        ends = np.concatenate([pairs.left, pairs.right])
        rivals = _runner_up(ends, np.tile(pairs.similarity, 2), n_left, floor)
        runner = np.maximum(rivals[:half], rivals[half:])
    else:
        runner = np.maximum(
            _runner_up(pairs.left, pairs.similarity, n_left, floor),
            _runner_up(pairs.right, pairs.similarity, n_right, floor),
        )
    score = pairs.similarity - WEIGHT * np.maximum(runner - floor, 0.0)
    return Pairs(pairs.left, pairs.right, score)


def _runner_up(
    record: NDArray[np.int64], similarity: NDArray[np.float64], n: int, floor: float
) -> NDArray[np.float64]:
    """For each pair, the best similarity among the other pairs of its record."""
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
