"""A threshold of similarity for the pairs of several files, or of one that repeats people.

Where no file has duplicates, `pprl.linkage.decision.decide` decides better, with all the evidence
there is; here pairs within files show what non-matches look like, for a threshold of the similarity
alone. A file with duplicates is no null for itself: its nearest neighbours are the duplicates.
What is left is the shape of the similarities, see `pprl.linkage.decision.density_valley`; and,
where several files may have duplicates, how the pairs divide over the files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.candidates.exhaustive import Progress, scored_pairs
from pprl.linkage.candidates.floor import find_centre, find_floor, find_floor_of_repeated
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.decision.density_valley import LEAST, NOWHERE, Gap, find_gap, find_slowing
from pprl.linkage.decision.duplicates import best_partner, maybe_repeated
from pprl.linkage.local_fdr import count_reaching, first_below, local_precision, rising

_CONTRAST = 2.0
_WINDOW, _WINDOW_LEAST = 0.01, 300
_COMPARISONS = 10_000_000_000


def find_threshold(
    pool: Pool,
    groups: NDArray[np.int64],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Gap:
    """Find the threshold for the pairs of a pool, on a sample of records if it is large.

    Pairs within a deduplicated file are left out; where every file is one, they show what
    non-matches look like.
    """
    everybody = pool.encodings
    clean = (groups >= 0).all() and len(pool.names) > 1
    floor = (
        find_floor(everybody, everybody, len(pool.names) - 1)
        if clean
        else find_floor_of_repeated(everybody)
    )
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
    if clean:
        across = pool.file[left] != pool.file[right]
        return find_end(pairs.similarity[across], *_non_matches(pairs, left, right, across, pool))
    keep = (left != right) & ((groups[left] != groups[right]) | (groups[left] < 0))
    similarity = pairs.similarity[keep]
    gap = find_gap(similarity, floor, find_centre(everybody))
    slowing = find_slowing(similarity, floor)
    if not slowing.pairs or (groups >= 0).any():
        return gap
    across = (pool.file[left] != pool.file[right])[keep]
    return raise_by_contrast(slowing, gap, similarity[across], similarity[~across], pool.file)


def find_end(across: NDArray[np.float64], within: NDArray[np.float64], odds: float) -> Gap:
    """Find the similarity at which, from above, as many pairs are non-matches as matches.

    Args:
        across: Similarities of the pairs between files without duplicates.
        within: Similarities of the pairs within them.
        odds: Pairs of records between files, for each pair of records within one.
    """
    ranked = np.sort(across)[::-1]
    false = rising(np.asarray(odds * count_reaching(within, ranked), np.float64))
    links = first_below(local_precision(false))
    if not links:
        return NOWHERE
    return Gap(float(ranked[links - 1]), links, float(false[links - 1]))


def _non_matches(
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
    sizes = pool.sizes
    within = max((sizes * (sizes - 1)).sum(), 1.0)
    non_matches = own.take(~maybe_repeated(own, partner, best))
    return non_matches.similarity, (n * n - (sizes**2).sum()) / within


def raise_by_contrast(
    slowing: Gap,
    gap: Gap,
    across: NDArray[np.float64],
    within: NDArray[np.float64],
    file: NDArray[np.int64],
) -> Gap:
    """Raise a threshold where pairs above it divide over files as non-matches do, if they tell.

    Pairs of different people, household members among them, are within one file or across two
    about as often as any two records are. Duplicates within a file are usually rarer, or
    more frequent, than the same person in two files: the most similar pairs show how much. Where
    the two ratios differ twofold, they tell at each similarity what share of the pairs are of
    one person. The threshold is raised from where the fall slows to where, from above, that share
    first falls below half.

    Args:
        slowing: From `find_slowing`: the lowest threshold there may be.
        gap: From `find_gap`: what is returned where the files do not tell.
        across: Similarities of the pairs across files.
        within: Similarities of the pairs within a file.
        file: (n,) file of each record.
    """
    sizes = np.bincount(file).astype(np.float64)
    by_chance = (sizes**2).sum() / sizes.sum() ** 2
    every = np.sort(np.concatenate([across, within]))
    top = every[-max((gap.pairs or slowing.pairs) // 2, 1)]
    alike = (within >= top).sum(), (across >= top).sum()
    match = alike[0] / sum(alike)
    if min(sum(alike), by_chance * sum(alike)) < LEAST or (
        1 / _CONTRAST < match / by_chance < _CONTRAST
    ):
        return gap
    edges = np.append(np.arange(slowing.threshold, 1.0, _WINDOW), 1.0 + _WINDOW)
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
        share = (inside[bins].sum() / pairs - by_chance) / (match - by_chance)
        if share < 0.5:
            cut = float(edges[bins.stop])
            above = int((every >= cut).sum())
            return Gap(cut, above, min(slowing.false_pairs, above / 2))
    return slowing
