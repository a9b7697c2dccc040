"""Samples of encodings as dense matrices: what the attacks compute with.

An attack is run on a few thousand records, so matrices of all their pairs fit into
memory; nothing here is meant for whole files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]


def unpacked(clks: NDArray[np.uint8]) -> Floats:
    """Unpack (n, bytes) filters into (n, bits) zeros and ones."""
    return np.unpackbits(clks, axis=1).astype(np.float32)


def centred(clks: NDArray[np.uint8], means: Floats | None = None) -> Floats:
    """Unpack filters into +1 and -1, less each column's mean (their own by default)."""
    signs = 2 * unpacked(clks) - 1
    return signs - (signs.mean(axis=0) if means is None else means)


def column_means(clks: NDArray[np.uint8]) -> Floats:
    """Return the (bits,) means of +1 and -1."""
    means: Floats = 2 * unpacked(clks).mean(axis=0) - 1
    return means


def dice(clks: NDArray[np.uint8]) -> Floats:
    """Return the (n, n) Dice similarities of (n, bytes) filters."""
    bits = unpacked(clks)
    counts = bits.sum(axis=1)
    similarity: Floats = 2 * (bits @ bits.T) / np.maximum(counts[:, None] + counts[None], 1)
    return similarity


def hamming(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> Floats:
    """Return the (n, m) numbers of bits in which filters differ."""
    a, b = unpacked(x), unpacked(y)
    differ: Floats = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - 2 * (a @ b.T)
    return differ


def squared_distances(x: Floats, y: Floats) -> Floats:
    """Return the (n, m) squared distances between the rows of two matrices."""
    both: Floats = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None] - 2 * (x @ y.T)
    return np.maximum(both, 0)


def distinct_rows(clks: NDArray[np.uint8]) -> tuple[Rows, Rows, Rows]:
    """Number equal rows.

    Returns:
        For each distinct row its first place and how often it is there, and for each row
        which distinct one it is.
    """
    view = np.ascontiguousarray(clks).view(np.dtype((np.void, clks.shape[1]))).reshape(-1)
    _, firsts, numbers, counts = np.unique(
        view, return_index=True, return_inverse=True, return_counts=True
    )
    return firsts, counts, numbers.reshape(-1)
