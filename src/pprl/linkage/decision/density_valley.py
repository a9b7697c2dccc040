"""A threshold from the shape of the similarities, where nothing shows what non-matches look like.

Non-matching pairs fall steeply and steadily with similarity. Two things can end the fall:

- it slows (`find_slowing`), as errors spread the pairs of one person widely; but members of a
  household, who share a surname and an address, slow it as well;
- their number rises again (`find_valley`), as people are written alike more often than not; but
  where nearly everybody is written in several ways, it does not.

So neither is enough, and `find_gap` chooses between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.special import xlogy

from pprl.linkage.candidates.similarity import ABOVE_ALL

LEAST = 20
"""Fewer pairs than this say nothing."""
_STEP = 0.002
_WIDTH = 0.8
_EDGE = 2.5
_BINS = 240
_GAIN = 10.0
_TAIL = 100
_FALL = 1.0


@dataclass(frozen=True)
class Gap:
    """Where pairs of one person begin to outnumber the others.

    Attributes:
        threshold: Dice similarity; above 1 where there seem to be no such pairs.
        pairs: Number of pairs at or above it, among those looked at.
        false_pairs: Expected number of pairs of different people among them.
        doubtful: Number of pairs below it, among those looked at, that the other of the two
            ends would have taken in.
        doubtful_from: The least of their similarities; above 1 where there are none.
    """

    threshold: float
    pairs: int
    false_pairs: float
    doubtful: int = 0
    doubtful_from: float = ABOVE_ALL


NOWHERE = Gap(ABOVE_ALL, 0, 0.0)
"""No pairs of one person."""


def find_gap(similarity: NDArray[np.float64], floor: float, centre: float) -> Gap:
    """Choose between the similarity where the fall slows and the one where the number rises.

    The lower one is the threshold, unless the pairs between the two fall as those of households
    do: by a factor e or more over a unit of the logarithm of what they are more alike than
    non-matches. In the sets where this was tried, pairs of one person written in several ways fell
    by 0.4 at most, those of household members by 1.8 to 8.

    Args:
        similarity: (p,) similarities of all pairs at or above the floor, or of the pairs of
            a random sample of records.
        floor: Low enough for nearly all pairs there to be of different people.
        centre: What non-matches come to on average.
    """
    slowing = find_slowing(similarity, floor)
    valley = find_valley(similarity, floor, centre)
    if valley.threshold <= slowing.threshold:
        return valley
    low, high = slowing.threshold, min(valley.threshold, 1.0)
    between = similarity[(similarity >= low) & (similarity < valley.threshold)]
    start, end = _distance(np.array([low, high]), centre)
    total = float((start - _distance(between, centre)).sum())
    if _fall(total, len(between), start - end) < _FALL:
        return slowing
    return replace(valley, doubtful=len(between), doubtful_from=low)


def find_slowing(similarity: NDArray[np.float64], floor: float) -> Gap:
    """Find the similarity at which the fall in the number of pairs has slowed to half.

    About as many pairs are of one person there as are not. The counts are smoothed with a Gaussian
    kernel of 0.8 times the similarity over which
    pairs at the floor fall by a factor e; smoothing leaves the slope of an exponential as
    it is, but raises its level, which moves the threshold up a little (by a third of the
    similarity over which pairs fall by e): the careful side.

    Args:
        similarity: As for `find_gap`.
        floor: As for `find_gap`.
    """
    if len(similarity) < LEAST or not np.median(similarity) > floor:
        return NOWHERE
    width = _WIDTH * (np.median(similarity) - floor) / np.log(2)
    edges = np.append(np.arange(floor, 1.0, _STEP), 1.0 + _STEP)
    counts = np.histogram(similarity, edges)[0]
    at = edges[:-1] + _STEP / 2
    distance = (at[:, None] - at) / width
    weight = np.exp(-(distance**2) / 2)
    smooth = weight @ counts
    fall = (weight * distance) @ counts / (width * np.maximum(smooth, 1e-300))
    # Below, the kernel reaches under the floor; above, there are too few pairs to tell.
    places = np.flatnonzero((at >= floor + _EDGE * width) & (smooth >= LEAST))
    steepest = np.maximum.accumulate(fall[places])
    slowed = np.flatnonzero(fall[places] < steepest / 2)
    if not len(slowed):
        return NOWHERE
    place, rate = places[slowed[0]], steepest[slowed[0]]
    pairs = int((similarity >= at[place]).sum())
    density = smooth[place] / (width * np.sqrt(2 * np.pi))
    # Half of it, before smoothing raised it, with an exponential tail above.
    false_pairs = float(min(density / 2 / np.exp((width * rate) ** 2 / 2) / rate, pairs))
    if false_pairs > pairs / 2:
        return NOWHERE
    return Gap(float(at[place]), pairs, false_pairs)


def find_valley(similarity: NDArray[np.float64], floor: float, centre: float) -> Gap:
    """Find the similarity at which the number of pairs no longer falls, but begins to rise.

    Counted on the logarithmic scale of how much more alike than non-matches a pair is, on which an
    error moves a pair by as much wherever it was, with diffusion and without. The
    likeliest counts that first fall and then rise (isotonic regression on either side, of each
    possible valley) must be likelier than any that only fall by 10 in the logarithm. Pairs above
    that are of non-matches after all are expected to go on falling as the hundred below do.

    Args:
        similarity: As for `find_gap`.
        floor: As for `find_gap`.
        centre: As for `find_gap`.
    """
    if len(similarity) < LEAST or floor <= centre:
        return NOWHERE
    distance = _distance(similarity, centre)
    edges = np.linspace(0.0, _distance(np.array([floor]), centre)[0], _BINS + 1)
    counts = np.histogram(distance, edges)[0][::-1].astype(np.float64)
    fits = [
        np.append(_monotone(counts[:at], False), _monotone(counts[at:], True))
        for at in range(_BINS + 1)
    ]
    likely = [float((xlogy(counts, np.maximum(fit, 1e-9)) - fit).sum()) for fit in fits]
    at = int(np.argmax(likely))
    if likely[at] < likely[_BINS] + _GAIN:
        return NOWHERE
    threshold = float(centre + (1 - centre) * np.exp(-edges[_BINS - at]))
    pairs = int((similarity >= threshold).sum())
    # From the valley down, what stands out of its level.
    excess = (fits[at][:at] - fits[at][at])[::-1] if at < _BINS else np.empty(0)
    excess = np.maximum(excess, 0.0)[: int(np.searchsorted(excess.cumsum(), _TAIL)) + 1]
    far = np.arange(len(excess))[::-1] + 0.5
    fall = _fall(float(far @ excess), float(excess.sum()), len(excess))
    false_pairs = excess.sum() / np.expm1(fall * len(excess)) if fall else excess.sum()
    return Gap(threshold, pairs, float(min(false_pairs, pairs / 2)))


def _distance(similarity: NDArray[np.float64], centre: float) -> NDArray[np.float64]:
    """Return the logarithm of how much more alike a pair could be, 0 where it is the same."""
    excess = (similarity - centre) / (1 - centre)
    distance: NDArray[np.float64] = -np.log(np.clip(excess, 1e-9, 1.0))
    return distance


def _monotone(counts: NDArray[np.float64], increasing: bool) -> NDArray[np.float64]:
    if not len(counts):
        return counts
    fit: NDArray[np.float64] = isotonic_regression(counts, increasing=increasing).x
    return fit


def _fall(total: float, pairs: float, length: float) -> float:
    """Estimate the rate at which pairs fall off from 0 to a length, 0 where they do not.

    The rate of the likeliest exponential, by the sum of the pairs' distances from 0.
    """
    share = total / (pairs * length) if pairs else 0.5
    least, most = 0.01, 700.0
    if share >= 0.5 - least / 12:
        return 0.0
    if share <= 1 / most:
        return most / length
    return float(brentq(lambda a: 1 / a - 1 / np.expm1(a) - share, least, most)) / length
