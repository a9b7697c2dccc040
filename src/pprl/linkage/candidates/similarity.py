"""Measures of similarity between two CLKs, all from three counts of bits."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError

Measure = Literal["dice", "jaccard", "cosine", "overlap", "hamming"]

_Counts = NDArray[Any]

UNREACHABLE = np.int32(2**31 - 1)
"""More common bits than any two filters have."""

ABOVE_ALL = float(np.nextafter(1.0, 2.0))
"""A threshold that no similarity reaches."""


def similarity(
    measure: Measure, shared: _Counts, x: _Counts, y: _Counts, bits: int
) -> NDArray[np.float64]:
    """Compute a similarity from 0 to 1.

    Args:
        measure: ``dice`` 2s / (x + y), ``jaccard`` s / (x + y - s), ``cosine``
            s / sqrt(x y), ``overlap`` s / min(x, y), ``hamming`` 1 - (x + y - 2s) / bits.
        shared: The number of common bits s.
        x: The numbers of bits set in the left filters, above 0.
        y: The numbers of bits set in the right filters, above 0.
        bits: The length of the filters.
    """
    score: NDArray[np.float64]
    match measure:
        case "dice":
            score = 2.0 * shared / (x + y)
        case "jaccard":
            score = 1.0 * shared / (x + y - shared)
        case "cosine":
            score = shared / np.sqrt(1.0 * x * y)
        case "overlap":
            score = 1.0 * shared / np.minimum(x, y)
        case "hamming":
            score = 1.0 - (x + y - 2 * shared) / bits
    return score


def check_measure(measure: str) -> None:
    """Raise `UsageError` unless ``measure`` is one that `similarity` knows."""
    if measure not in get_args(Measure):
        raise UsageError(f"measure must be one of {get_args(Measure)}, not {measure!r}.")


def fewest_common_bits(
    measure: Measure, threshold: float, x: NDArray[np.int64], y: NDArray[np.int64], bits: int
) -> NDArray[np.int32]:
    """For each two popcounts, the fewest common bits that reach a threshold.

    Decided in the floating point arithmetic in which the similarity is reported, so
    that a pair is in exactly when ``similarity >= threshold``. Popcounts that cannot
    reach it, and empty filters, which are similar to nothing, need `UNREACHABLE` bits.

    Returns:
        (len(x), len(y)) int32.
    """
    most = np.minimum(x[:, None], y[None, :])
    empty = most == 0
    # So that nothing is divided by the nothing of an empty filter.
    lines, columns = np.maximum(x[:, None], 1), np.maximum(y[None, :], 1)
    # The fewest lies above low, and at or below high; similarity never falls with it.
    low, high = np.full(most.shape, -1), most + 1
    # Most measures are a line, whose crossing is tried first; from there the gap is halved.
    none, all_ = (similarity(measure, n, lines, columns, bits) for n in (np.zeros_like(most), most))
    crossing = most * (threshold - none) / np.where(empty, 1.0, all_ - none)
    tries = [np.floor(crossing).astype(np.int64) + more for more in (1, 0)]
    while (high - low > 1).any():
        middle = tries.pop() if tries else (low + high) // 2
        # Between them, where there is room; where there is none, one of them again.
        middle = np.maximum(np.minimum(middle, high - 1), np.maximum(low, 0))
        reached = similarity(measure, middle, lines, columns, bits) >= threshold
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    return np.where(empty | (high > most), UNREACHABLE, high).astype(np.int32)
