"""A threshold for the pairs of several files, or of one file that repeats people.

Where no file has duplicates, pairs within files show what strangers look like, as for two
files. A file with duplicates is no null for itself: its nearest neighbours are the duplicates.
What is left is the shape. The number of pairs of different people falls steeply and steadily with
similarity, many times faster than that of pairs of one person, which errors spread
widely. Where the fall of all pairs has slowed to half its steepest rate, about half of the
pairs at that similarity are of one person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.compare import Progress, scored_pairs
from pprl.linkage.pairs import Pairs
from pprl.linkage.pool import Pool
from pprl.linkage.threshold import (
    best_partner,
    find_floor,
    first_below,
    local_precision,
    maybe_repeated,
    rising,
)

_STEP = 0.002
_WIDTH = 0.8
_LEAST = 20
_EDGE = 2.5
_CONTRAST = 2.0
_WINDOW, _WINDOW_LEAST = 0.01, 300
_COMPARISONS = 10_000_000_000


@dataclass(frozen=True)
class Gap:
    """Where pairs of one person begin to outnumber the others.

    Attributes:
        threshold: Dice similarity; above 1 where there seem to be no such pairs.
        pairs: Number of pairs at or above it, among those looked at.
        false_pairs: Expected number of pairs of different people among them, if their
            number goes on falling as steeply.
    """

    threshold: float
    pairs: int
    false_pairs: float


NOWHERE = Gap(float(np.nextafter(1.0, 2.0)), 0, 0.0)
"""No pairs of one person."""


def find_gap(similarity: NDArray[np.float64], floor: float) -> Gap:
    """Find the similarity at which the fall in the number of pairs has slowed to half.

    The counts are smoothed with a Gaussian kernel of 0.8 times the similarity over which
    pairs at the floor fall by a factor e; smoothing leaves the slope of an exponential as
    it is, but raises its level, which moves the threshold up a little (by a third of the
    similarity over which pairs fall by e): the careful side.

    Args:
        similarity: (p,) similarities of all pairs at or above the floor, or of the pairs of
            a random sample of records.
        floor: Low enough for nearly all pairs there to be of different people.
    """
    if len(similarity) < _LEAST or not np.median(similarity) > floor:
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
    places = np.flatnonzero((at >= floor + _EDGE * width) & (smooth >= _LEAST))
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


def find_threshold(
    pool: Pool,
    groups: NDArray[np.int64],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Gap:
    """Find the threshold for the pairs of a pool, on a sample of records if it is large.

    Pairs within a deduplicated file are left out; where every file is one, they show what
    strangers look like.
    """
    everybody = pool.encodings
    floor = find_floor(everybody, everybody)
    n = len(pool)
    if n * n <= 2 * _COMPARISONS:
        pairs = scored_pairs(everybody, None, floor, workers=workers, progress=progress)
        left, right = pairs.left, pairs.right
    else:
        sampled = np.zeros(n, bool)
        sampled[np.linspace(0, n - 1, _COMPARISONS // n).astype(np.int64)] = True
        part = pool.subset(sampled)
        pairs = scored_pairs(part, everybody, floor, workers=workers, progress=progress)
        left, right = np.flatnonzero(sampled)[pairs.left], pairs.right
    if (groups >= 0).all() and len(pool.names) > 1:
        across = pool.file[left] != pool.file[right]
        return find_end(pairs.similarity[across], *_strangers(pairs, left, right, across, pool))
    keep = (left != right) & ((groups[left] != groups[right]) | (groups[left] < 0))
    gap = find_gap(pairs.similarity[keep], floor)
    if not gap.pairs or (groups >= 0).any():
        return gap
    across = pool.file[left] != pool.file[right]
    return raise_by_contrast(
        gap, pairs.similarity[across], pairs.similarity[~across & (left != right)], pool.file
    )


def find_end(across: NDArray[np.float64], within: NDArray[np.float64], odds: float) -> Gap:
    """Find the similarity at which, from above, as many pairs are of strangers as are not.

    Args:
        across: Similarities of the pairs between files without duplicates.
        within: Similarities of the pairs within them.
        odds: Pairs of records between files, for each pair of records within one.
    """
    ranked = np.sort(across)[::-1]
    reach = len(within) - np.searchsorted(np.sort(within), ranked, side="left")
    false = rising(np.asarray(odds * reach, np.float64))
    links = first_below(local_precision(false))
    if not links:
        return NOWHERE
    return Gap(float(ranked[links - 1]), links, float(false[links - 1]))


def _strangers(
    pairs: Pairs,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    across: NDArray[np.bool_],
    pool: Pool,
) -> tuple[NDArray[np.float64], float]:
    """Take the pairs within files that are not one person's, and the odds of a pair between."""
    n = len(pool)
    ends = (
        np.concatenate([left[across], right[across]]),
        np.concatenate([right[across], left[across]]),
    )
    partner, best = best_partner(*ends, np.tile(pairs.similarity[across], 2), n)
    inside = ~across & (left != right)
    own = Pairs(left[inside], right[inside], pairs.similarity[inside])
    sizes = np.bincount(pool.file).astype(np.float64)
    within = (sizes * (sizes - 1)).sum()
    strangers = own.take(~maybe_repeated(own, partner, best))
    return strangers.similarity, (n * n - (sizes**2).sum()) / within


def raise_by_contrast(
    gap: Gap,
    across: NDArray[np.float64],
    within: NDArray[np.float64],
    file: NDArray[np.int64],
) -> Gap:
    """Raise a threshold where pairs above it divide over files as strangers do.

    Pairs of different people, household members among them, are within one file or across two
    about as often as any two records are. Duplicates within a file are usually rarer, or
    more frequent, than the same person in two files: the most similar pairs show how much. Where
    the two ratios differ twofold, they tell at each similarity what share of the pairs are of
    one person. The threshold is raised to where, from above, that share first falls below half.

    Args:
        gap: From `find_gap`.
        across: Similarities of the pairs across files.
        within: Similarities of the pairs within a file.
        file: (n,) file of each record.
    """
    sizes = np.bincount(file).astype(np.float64)
    stranger = (sizes**2).sum() / sizes.sum() ** 2
    every = np.sort(np.concatenate([across, within]))
    top = every[-max(gap.pairs // 2, 1)]
    alike = (within >= top).sum(), (across >= top).sum()
    match = alike[0] / sum(alike)
    if min(sum(alike), stranger * sum(alike)) < _LEAST or (
        1 / _CONTRAST < match / stranger < _CONTRAST
    ):
        return gap
    edges = np.append(np.arange(gap.threshold, 1.0, _WINDOW), 1.0 + _WINDOW)
    inside, outside = (np.histogram(part, edges)[0] for part in (within, across))
    # From above: windows of at least a hundred pairs.
    counts = (inside + outside)[::-1].cumsum()
    starts = np.searchsorted(counts, np.arange(0, counts[-1], _WINDOW_LEAST), side="right")
    starts = np.unique(starts)
    for first, last in zip(starts, [*starts[1:], len(counts)], strict=True):
        bins = slice(len(counts) - last, len(counts) - first)
        pairs = inside[bins].sum() + outside[bins].sum()
        if pairs == 0 or edges[bins.start] >= top:
            continue
        share = (inside[bins].sum() / pairs - stranger) / (match - stranger)
        if share < 0.5:
            cut = float(edges[bins.stop])
            above = int((every >= cut).sum())
            return Gap(cut, above, min(gap.false_pairs, above / 2))
    return gap
