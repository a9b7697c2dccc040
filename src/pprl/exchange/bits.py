"""Filters as words, and their bits counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def as_words(clks: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View (n, bytes) filters as (n, ceil(bytes / 8)) words, zero padded where needed."""
    short = -clks.shape[1] % 8
    padded = np.pad(clks, ((0, 0), (0, short))) if short else clks
    return np.ascontiguousarray(padded).view(np.uint64)


def count_bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the set bits of each row of (n, words); (n,) int64."""
    counts: NDArray[np.int64] = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return counts


def count_columns(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count for each bit of (n, w) words the rows that have it: (64 w,) int64.

    Bit i is word i >> 6, mask 1 << (i & 63).
    """
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    counts: NDArray[np.int64] = bits.sum(axis=0, dtype=np.int64)
    return counts
