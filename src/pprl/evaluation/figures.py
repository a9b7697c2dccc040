"""A proportion with its interval, and how it is estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Figure:
    """A proportion with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(successes: float, trials: float) -> Figure:
    """Estimate a proportion with its 95 % interval (Wilson, JASA 22 (1927), p. 209).

    Without trials the value is 0 and the interval is 0 to 1.
    """
    if trials == 0:
        return Figure(0.0, 0.0, 1.0)
    share = successes / trials
    scale = 1 + _Z95**2 / trials
    centre = (share + _Z95**2 / (2 * trials)) / scale
    spread = _Z95 / scale * math.sqrt(share * (1 - share) / trials + _Z95**2 / (4 * trials**2))
    return Figure(share, max(0.0, centre - spread), min(1.0, centre + spread))


def f1_of(hits: int, false_positives: int, false_negatives: int) -> Figure:
    """F1 = 2 J / (1 + J), where J = hits / (hits + both kinds of error) is a proportion."""
    jaccard = wilson(hits, hits + false_positives + false_negatives)
    return Figure(*(2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high)))
