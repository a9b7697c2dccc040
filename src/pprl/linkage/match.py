"""From scored pairs to links: who may have how many partners."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from pprl.errors import UsageError
from pprl.kernels.assignment import greedy
from pprl.linkage.compare import Pairs

Matching = Literal["one-to-one", "many-to-many"]


def match(pairs: Pairs, n_left: int, n_right: int, matching: Matching) -> Pairs:
    """Choose the links among scored pairs.

    ``one-to-one`` takes the most similar pair first and drops the pairs whose
    record is taken (greedy); equal similarities go by left row, then right row.
    ``many-to-many`` keeps every pair.

    Raises:
        UsageError: ``matching`` is not one of the two.
    """
    check_matching(matching)
    if matching == "many-to-many":
        return pairs
    best_first = np.lexsort((pairs.right, pairs.left, -pairs.similarity))
    keep = np.zeros(len(pairs), bool)
    greedy(
        pairs.left[best_first],
        pairs.right[best_first],
        np.zeros(n_left, bool),
        np.zeros(n_right, bool),
        keep,
    )
    return pairs.take(np.sort(best_first[keep]))


def check_matching(matching: str) -> None:
    """Raise `UsageError` unless ``matching`` is a rule that `match` knows."""
    if matching not in get_args(Matching):
        raise UsageError(f"matching must be one of {get_args(Matching)}, not {matching!r}.")
