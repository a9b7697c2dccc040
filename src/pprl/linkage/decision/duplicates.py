"""Which pairs within a file may be records of one person, where it should have none.

They would be taken for non-matches who are as alike as matches. Three things tell: pairs that
stand out of their file's similarities; two records whose best partner in the other file is one
and the same, about as near as they are to each other; and a file that has many more close
pairs than others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from pprl.kernels.comparison import best_partners
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.density_valley import find_valley
from pprl.linkage.local_fdr import count_reaching
from pprl.linkage.model.compared_pairs import ComparedPairs
from pprl.linkage.model.comparison_vectors import View

_NEAR = 0.02
_TIMES, _SURPRISE = 4.0, 1e-3
_LEVELS = 24


def standing_out(some: ComparedPairs, floor: float, centre: float) -> NDArray[np.bool_]:
    """Mark pairs of a file that are so much more alike than others that their number rises.

    The number of pairs of different people falls with similarity, and where some people are in
    a file several times it rises again (`pprl.linkage.decision.density_valley.find_valley`). With
    CLK groups it must do so, too, if a pair is taken to be as alike as in the group in which it is
    least: relatives share an address, and little in a group without it.

    Args:
        some: (p,) pairs within the file, all from a Dice similarity up.
        floor: That similarity.
        centre: The Dice similarity of two records by chance.
    """
    if len(some.left.groups) > 2 and len(some) and centre < 1:
        _, least = View.of(some.left, some.right).signal_and_least(some)
        # What has more than this in every group has more than the floor in all, and is there.
        least_floor = (floor - centre) / (1 - centre)
        if not find_valley(least[least >= least_floor], least_floor, 0.0).pairs:
            return np.zeros(len(some), bool)
    alike = some.pairs.similarity
    marked: NDArray[np.bool_] = alike >= find_valley(alike, floor, centre).threshold
    return marked


def maybe_repeated(
    within: Pairs,
    partner: NDArray[np.int64],
    best: NDArray[np.float64],
    to_partner: NDArray[np.float64] | None = None,
) -> NDArray[np.bool_]:
    """Mark pairs within a file that may be one person's two records.

    Args:
        within: Pairs of one file, by similarity.
        partner: (n,) most similar record in the other file, -1 where none is known.
        best: (n,) similarity to it.
        to_partner: (p,) similarity of the right record to the left one's partner, where
            the right one's own partner is not known, else NaN; None where all are known.
    """
    left, right = within.left, within.right
    others = best[right]
    same = partner[left] == partner[right]
    if to_partner is not None:
        unknown = ~np.isnan(to_partner)
        same |= unknown
        others = np.where(unknown, to_partner, others)
    nearest = np.minimum(best[left], others)
    same &= partner[left] >= 0
    marked: NDArray[np.bool_] = same & (nearest >= within.similarity - _NEAR)
    return marked


def surely_repeated(
    doubtful: NDArray[np.bool_], score: NDArray[np.float64], median: float
) -> NDArray[np.bool_]:
    """Keep as many marks of `maybe_repeated` as the links' scores suggest, the highest scores'.

    Members of a household look like one person's records, too: two of them here are both near
    to a third in the other file. But one person's records are as alike within a file as between
    two, so that half of the pairs they make reach the median of the links.

    Args:
        doubtful: (p,) whether a pair is marked.
        score: (p,) the pairs' scores.
        median: Of the links' scores.
    """
    marked = np.flatnonzero(doubtful)
    many = 2 * int((score[marked] >= median).sum())
    kept = np.zeros(len(score), bool)
    kept[marked[np.argsort(-score[marked], kind="stable")[:many]]] = True
    return kept


def best_partner(
    record: NDArray[np.int64], other: NDArray[np.int64], similarity: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each record's most similar record in the other file, and how similar it is."""
    partner, best = np.full(n, -1, np.int64), np.zeros(n)
    best_partners(record, other, similarity, partner, best)
    return partner, best


def repeat_people(
    between: NDArray[np.float64],
    within: Sequence[Pairs],
    records: Sequence[int],
    counts: Sequence[NDArray[np.float64]],
    shares: Sequence[float],
) -> NDArray[np.bool_]:
    """Tell which files have duplicates that the others show they should not have.

    At some similarity of the pairs between files, more pairs within a file reach it than is
    likely (Poisson, one in a thousand) even if a file had four times as many as the others,
    and yet no more than where everybody is in it twice: too few for it to be what many
    non-matches come to. The others are the cleaner half of them, at that similarity.

    Args:
        between: (m,) similarities of the pairs between files that may be links, falling.
        within: Pairs within each file, but for those that `maybe_repeated` marks.
        records: Number of records of each file.
        counts: (p,) for how many each of a file's pairs counts.
        shares: The share of each file's pairs of records that were compared.

    Returns:
        (files,) whether it does.
    """
    n = np.asarray(records, np.float64)
    found = np.zeros(len(n), bool)
    if not len(between) or len(n) < 2:
        return found
    levels = between[np.unique(np.geomspace(1, len(between), _LEVELS).astype(int) - 1)]
    all_pairs = np.maximum(n * (n - 1) * np.asarray(shares), 1.0)
    # As many as there are if everybody is in the file twice.
    most = n / 2 * np.asarray(shares)
    each = list(zip([one.similarity for one in within], counts, strict=True))
    reached = np.stack([count_reaching(one, levels, count) for one, count in each])
    # One pair that counts for several is no surprise.
    surely = [np.rint(count_reaching(one, levels, np.minimum(count, 1.0))) for one, count in each]
    for file in range(len(n)):
        rest = np.delete(np.arange(len(n)), file)
        for pairs, others in zip(surely[file], reached[rest].T, strict=True):
            # One pair more than there is, so that a small file without any is not clean yet.
            order = np.argsort((others + 1) / all_pairs[rest], kind="stable")
            cleaner = order[: (len(rest) + 1) // 2]
            rate = (others[cleaner].sum() + 1) / all_pairs[rest][cleaner].sum()
            surprise = pdtrc(pairs - 1, _TIMES * rate * all_pairs[file])
            found[file] |= 0 < pairs <= most[file] and surprise < _SURPRISE
    return found
