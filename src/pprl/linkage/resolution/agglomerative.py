"""The rule that turns similar pairs into clusters."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pprl.errors import UsageError
from pprl.kernels.agglomerate import BY_LEAST, BY_MEAN, BY_SUM, agglomerate
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool, all_pairs_within
from pprl.linkage.model.scoring import Criterion
from pprl.linkage.options import Rule, RuleChoice

_ORDER = {"average": BY_MEAN, "complete": BY_LEAST, "correlation": BY_SUM}

LARGEST = 400
"""Records of the largest component of which every pair is compared."""

SLACK = 0.02
"""So far below the threshold, a similarity is as good as at it."""
_UNKNOWN = -0.1
_TRUSTED = 0.9
_KEPT = 0.05


def check_rule(rule: str) -> None:
    """Raise `UsageError` unless ``rule`` is ``auto`` or one that `join` knows."""
    if rule not in get_args(RuleChoice):
        raise UsageError(f"rule must be one of {get_args(RuleChoice)}, not {rule!r}.")


def choose_rule(expected_precision: float | None, *, low: bool = False) -> Rule:
    """Choose how much one pair below the threshold counts, from how false pairs above it are.

    Where nearly all pairs above an automatic threshold are of one person, a pair below it
    is most likely an error of writing, which the mean forgives. Where more than one in ten is
    not, as with households in the files, it is a reason for doubt, and every pair must reach
    the threshold. So it must where a given threshold is ``low``, well below the automatic one.
    Where nothing is known, the mean decides.
    """
    doubtful = low or (expected_precision is not None and expected_precision < _TRUSTED)
    return "complete" if doubtful else "average"


def components(pairs: Pairs, n: int) -> NDArray[np.int64]:
    """Number the connected components of records: (n,) int64."""
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs.left, pairs.right)), shape=(n, n))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def join(
    pool: Pool,
    pairs: Pairs,
    criterion: Criterion,
    groups: NDArray[np.int64],
    rule: Rule,
    earlier: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Join records into clusters.

    Clusters lie within the connected components of the pairs at or above the threshold.
    There, the similarity of every pair is computed, and clusters are joined two by two
    as long as one pair between the two is at or above the threshold and all of them are on
    average, or at most 0.02 below it, and unless both have a record of one deduplicated
    file. ``average`` joins those of the highest mean first (average linkage, Sokal and
    Michener, Univ. Kansas Sci. Bull. 38 (1958), p. 1409); ``correlation`` those with the greatest
    sum of similarity less threshold first, which is greedy edge contraction for correlation
    clustering (Bansal and others, Machine Learning 56 (2004), p. 89; Keuper and others, ICCV
    2015, p. 1751). ``complete`` demands that all pairs between the two are at or above the
    threshold, and joins first where the least similar one is most similar (complete linkage,
    Sorensen, Biologiske Skrifter 5(4) (1948), p. 1).

    In components of more than 400 records, pairs below the threshold are not computed but
    count as 0.1 below it, and records of one earlier cluster as the same.

    Args:
        pool: The records.
        pairs: Linked pairs, each once.
        criterion: How pairs are scored, and where the threshold is.
        groups: (n,) from `Pool.groups`.
        rule: Which clusters are joined first, and which may be.
        earlier: (n,) number of each record's cluster in an earlier delivery, -1 for new ones.
            Pairs within one count 0.05 more, so that it comes apart only for a good reason.

    Returns:
        (n,) the smallest record number of each record's cluster.
    """
    parts = components(pairs, len(pool))
    inside, large = all_pairs_within(parts, LARGEST)
    rest = pairs.take(large[pairs.left])
    every = Pairs.concat([pool.compared(inside), rest])
    left, right = every.left, every.right
    excess = criterion.excess(pool, every)
    if earlier is not None:
        same = (earlier[left] == earlier[right]) & (earlier[left] >= 0)
        excess[same] += _KEPT
        excess[same & large[left]] = 1.0
    order = np.lexsort((right, left))
    cluster = np.empty(len(pool), np.int64)
    agglomerate(
        left[order],
        right[order],
        excess[order],
        _UNKNOWN,
        SLACK,
        groups,
        len(pool.names),
        _ORDER[rule],
        cluster,
    )
    return cluster
