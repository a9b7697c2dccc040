"""A binary heap in two arrays, for kernels: smallest key first, then smallest item."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline


@inline
def push(keys: NDArray[Any], items: NDArray[np.int64], size: int, key: float, item: int) -> None:
    """Add to a binary heap that is ordered by key, then item."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] < key or (keys[above] == key and items[above] <= item):
            break
        keys[at] = keys[above]
        items[at] = items[above]
        at = above
    keys[at] = key
    items[at] = item


@inline
def pop(keys: NDArray[Any], items: NDArray[np.int64], size: int) -> None:
    """Remove the first of a heap of ``size``."""
    last = size - 1
    key = keys[last]
    item = items[last]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        other = below + 1
        if other < last and (
            keys[other] < keys[below]
            or (keys[other] == keys[below] and items[other] < items[below])
        ):
            below = other
        if key < keys[below] or (key == keys[below] and item <= items[below]):
            break
        keys[at] = keys[below]
        items[at] = items[below]
        at = below
    keys[at] = key
    items[at] = item
