"""Scoring pairs for a decision: similarity, less what a rival comes near to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.model.density_ratio import Evidence

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


def scored_for(
    evidence: Evidence | None, a: Encodings, b: Encodings | None, pairs: Pairs, floor: float
) -> Pairs:
    """Score pairs between two files, or within one, with the margin to their rivals."""
    first = 0 if b is None else a.info.records
    pairs, least = weighed(evidence, a, b or a, pairs, floor)
    return with_margin(pairs, pairs.left, first + pairs.right, least)


def weighed(
    evidence: Evidence | None, a: Encodings, b: Encodings, pairs: Pairs, floor: float
) -> tuple[Pairs, float]:
    """Score pairs without their rivals; and say what score makes none."""
    if evidence is None:
        return pairs, floor
    # Evidence of nought or less, which strangers reach, makes no rival.
    return evidence.score(a, b, pairs), 0.0


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
