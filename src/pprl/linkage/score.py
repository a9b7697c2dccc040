"""Scoring pairs for a decision: similarity, less what a rival comes near to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.pairs import Pairs

WEIGHT = 0.45
"""Weight of the margin. From 0.3 to 0.6 the means over data sets are alike; a greater weight helps
where near-twins of a record are about, a smaller one where values are often wrong."""


def with_margin(
    pairs: Pairs, left: NDArray[np.int64], right: NDArray[np.int64], floor: float
) -> Pairs:
    """Lower each pair's similarity by 0.45 times what its runner-up exceeds ``floor`` by.

    The runner-up is the most similar other pair that has either of the pair's places.

    Args:
        pairs: The pairs.
        left: (p,) the place that each pair takes up on the left, from 0: a record, or a record
            and the file that its partner is in.
        right: (p,) the place on the right; one that is a left place, too, has the same number.
        floor: What is no rival.

    Returns:
        The pairs, with the score for similarity; it may be below 0.
    """
    rivals = _runner_up(np.concatenate([left, right]), np.tile(pairs.similarity, 2), floor)
    runner = np.maximum(rivals[: len(pairs)], rivals[len(pairs) :])
    score = pairs.similarity - WEIGHT * np.maximum(runner - floor, 0.0)
    return Pairs(pairs.left, pairs.right, score)


def _runner_up(
    place: NDArray[np.int64], similarity: NDArray[np.float64], floor: float
) -> NDArray[np.float64]:
    """For each pair, the best similarity among the other pairs of its place; else the floor."""
    order = np.lexsort((-similarity, place))
    ranked, falling = place[order], similarity[order]
    new = np.ones(len(order), bool)
    new[1:] = ranked[1:] != ranked[:-1]
    first = np.flatnonzero(new)
    best = np.repeat(falling[first], np.diff(first, append=len(order)))
    # The best of a place has the next one for a rival, if that is of the same place.
    best[first] = np.where(np.append(new[1:], True)[first], floor, np.append(falling[1:], 0)[first])
    result = np.empty(len(order))
    result[order] = best
    return result
