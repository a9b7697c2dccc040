"""How many of the links down to a score are false: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LOCAL_PRECISION = 0.5
_WINDOW_SHARE, _WINDOW_LEAST = 0.015, 20
_ROUNDS = 50

_Values = NDArray[np.float64]


def most_precise(false: NDArray[np.float64], links: NDArray[np.int64], precision: float) -> int:
    """Choose the most ``links`` (rising) of which few enough are expected to be false."""
    enough = np.flatnonzero(false <= (1 - precision) * links)
    return int(links[enough[-1]]) if len(enough) else 0


def rising(false: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let expected numbers of false links never fall, nor exceed their rank."""
    highest: NDArray[np.float64] = np.maximum.accumulate(false)
    return np.minimum(highest, np.arange(1, len(false) + 1))


def local_precision(false: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the precision of the links around each rank."""
    m = len(false)
    rank = np.arange(m)
    half = np.maximum(_WINDOW_LEAST, _WINDOW_SHARE * rank).astype(np.int64) // 2
    low, high = np.maximum(rank - half, 0), np.minimum(rank + half, m - 1)
    local: NDArray[np.float64] = 1 - (false[high] - false[low]) / np.maximum(high - low, 1)
    # Before the middle of the first window there is nothing but that window.
    local[: _WINDOW_LEAST // 2] = local[min(_WINDOW_LEAST // 2, m - 1)] if m else 0.0
    return local


def first_below(local: NDArray[np.float64]) -> int:
    """Find the first rank at which as many links are false as true; all if there is none."""
    below = np.flatnonzero(local < LOCAL_PRECISION)
    return int(below[0]) if len(below) else len(local)


def count_reaching(similarity: _Values, at: _Values, weight: _Values | None = None) -> NDArray[Any]:
    """Count the similarities at or above each value, or sum their weights."""
    below = np.searchsorted(np.sort(similarity), at, side="left")
    if weight is None:
        return len(similarity) - below
    left = np.append(np.cumsum(weight[np.argsort(-similarity, kind="stable")])[::-1], 0.0)
    return left[below]


def false_links_of_many(
    links: NDArray[np.float64], rate: NDArray[np.float64], one: int, many: int
) -> NDArray[np.float64]:
    """Expect so many false ones among links of which several may be of one person.

    Args:
        links: (m,) numbers of links, counted from the best.
        rate: (m,) chance that two records that are no match reach the last link's score.
        one: Records in the file that has a person once.
        many: Records in the other file, each of which has one link at most.
    """
    false = np.zeros(len(links))
    for _ in range(_ROUNDS):
        reach = (many - links + false) * one * rate / (1 + rate * one)
        false = np.minimum(reach, links)
    return false


def false_links(
    links: NDArray[np.int64] | NDArray[np.float64], rate: NDArray[np.float64], n_a: int, n_b: int
) -> NDArray[np.float64]:
    """Expect so many false ones among a number of links, as matched records are out of reach.

    Args:
        links: (m,) numbers of links, counted from the best.
        rate: (m,) chance that two records that are no match reach the last link's score.
        n_a: Records in the first file.
        n_b: Records in the second file.
    """
    false = np.zeros(len(links))
    for _ in range(_ROUNDS):
        free_a, free_b = n_a - links + false, n_b - links + false
        reach = free_a * free_b * rate / (1 + rate * np.maximum(free_a, free_b))
        false = np.minimum(reach, links)
    return false
