"""From scored pairs to links: who may have how many partners."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.kernels.assignment import greedy, heaviest
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.options import Matching

_UNIT = float(1 << 40)
"""Similarities are added up as whole numbers of this fraction, so that sums are exact."""


def match(pairs: Pairs, n_left: int, n_right: int, matching: Matching) -> Pairs:
    """Choose the links among scored pairs.

    ``one-to-one`` takes the most similar pair first and drops the pairs whose
    record is taken (greedy). ``optimal`` is one-to-one, too, with the greatest sum of
    similarities. ``one-to-many`` gives each right record its most similar left record, which
    may have any number (a person on the left, visits on the right); ``many-to-one`` the
    other way round. ``many-to-many`` keeps every pair.

    Equal similarities go by left record, then right record; of several optimal
    assignments it is always the same one, whatever the order of the pairs.

    Raises:
        UsageError: ``matching`` is not one of these.
    """
    check_matching(matching)
    if matching == "many-to-many":
        return pairs
    if matching == "optimal":
        return pairs.take(_optimal(pairs, n_left, n_right))
    if matching == "one-to-one":
        return pairs.take(one_to_one(pairs, n_left, n_right))
    best_first = _best_first(pairs)
    if matching == "one-to-many":
        return pairs.take(_first_of_each(pairs.right, best_first))
    return pairs.take(_first_of_each(pairs.left, best_first))


def one_to_one(pairs: Pairs, n_left: int, n_right: int) -> NDArray[np.int64]:
    """Choose the links that `match` takes ``one-to-one``: their places, rising."""
    best_first = _best_first(pairs)
    keep = np.zeros(len(pairs), bool)
    greedy(
        pairs.left[best_first],
        pairs.right[best_first],
        np.zeros(n_left, bool),
        np.zeros(n_right, bool),
        keep,
    )
    return np.sort(best_first[keep])


def check_matching(matching: str) -> None:
    """Raise `UsageError` unless ``matching`` is a rule that `match` knows."""
    if matching not in get_args(Matching):
        raise UsageError(f"matching must be one of {get_args(Matching)}, not {matching!r}.")


def find_rivals(links: Pairs, candidates: Pairs, margin: float) -> tuple[NDArray[np.bool_], Pairs]:
    """Find the links that another candidate pair of one of their records comes near to.

    Args:
        links: The links, chosen among the candidates.
        candidates: Candidate pairs; those below the threshold may be among them.
        margin: A candidate is a rival when it is at most so much less similar.

    Returns:
        For each link whether it has a rival, and the rivals: the candidates that are
        not links themselves, in their order.
    """
    span = 1 + max(links.right.max(initial=0), candidates.right.max(initial=0))
    other = ~np.isin(candidates.left * span + candidates.right, links.left * span + links.right)
    others = candidates.take(other)
    ambiguous = np.zeros(len(links), bool)
    rival = np.zeros(len(others), bool)
    for mine, theirs in ((links.left, others.left), (links.right, others.right)):
        n = 1 + max(mine.max(initial=0), theirs.max(initial=0))
        weakest, strongest = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(weakest, mine, links.similarity)
        np.maximum.at(strongest, theirs, others.similarity)
        ambiguous |= strongest[mine] >= links.similarity - margin
        rival |= others.similarity >= weakest[theirs] - margin
    return ambiguous, others.take(rival)


def _best_first(pairs: Pairs) -> NDArray[np.int64]:
    left, right = pairs.left, pairs.right
    step = np.diff(left)
    if ((step > 0) | ((step == 0) & (np.diff(right) > 0))).all():
        # In the order of records, so that a stable sort leaves equals as they should be.
        return np.argsort(-pairs.similarity, kind="stable")
    return np.lexsort((right, left, -pairs.similarity))


def _first_of_each(record: NDArray[np.int64], best_first: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first = np.unique(record[best_first], return_index=True)
    return np.sort(best_first[first])


def _optimal(pairs: Pairs, n_left: int, n_right: int) -> NDArray[np.int64]:
    """Return the places of the pairs with the greatest sum, one for a record at most."""
    order = np.lexsort((pairs.right, pairs.left))
    order = order[pairs.similarity[order] > 0]
    starts = np.zeros(n_left + 1, np.int64)
    np.cumsum(np.bincount(pairs.left[order], minlength=n_left), out=starts[1:])
    weight = np.rint(pairs.similarity[order] * _UNIT).astype(np.int64)
    chosen = np.empty(n_left, np.int64)
    heaviest(starts, pairs.right[order], weight, n_right, chosen)
    return np.sort(order[chosen[chosen >= 0]])
