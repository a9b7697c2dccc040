"""Counting what blocking keys give away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.exposure import Blocks

_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio (Knuth, The art of computer programming 3, 6.4)."""


def blocks_of(keys: NDArray[np.uint64]) -> Blocks:
    """Describe the blocks of one pass: (n,) keys, 0 where a row has none."""
    _, sizes = np.unique(keys[keys > 0], return_counts=True)
    return Blocks(
        blocks=len(sizes),
        smallest=int(sizes.min(initial=len(keys))) if len(sizes) else 0,
        alone=_share((sizes == 1).sum(), len(keys)),
    )


def alone_by_keys(keys: NDArray[np.uint64]) -> float:
    """Return the share of rows whose combination of (n, passes) keys no other row has."""
    # Keys are keyed hashes already, so that this sum collides no more than one of them would.
    mixed = np.zeros(len(keys), np.uint64)
    for column in keys.T:
        mixed = mixed * _MIX + column
    _, sizes = np.unique(mixed, return_counts=True)
    return _share((sizes == 1).sum(), len(keys))


def _share(count: int, of: int) -> float:
    return round(int(count) / max(of, 1), 6)
