"""From which similarity on pairs are candidates, read off a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings, as_words, count_bits
from pprl.kernels.comparison import common_bits_of_all

_NEIGHBOURS = 20
_SAMPLE = 256
_OTHERS = 4096
"""Records that those of the sample are compared with."""


def find_floor(a: Encodings, b: Encodings, partners: int = 0) -> float:
    """Choose the similarity above which a record has about twenty pairs, on a sample.

    Args:
        a: Encodings.
        b: Others, or the same.
        partners: How many true partners a record may have, on top of these.
    """
    most = _NEIGHBOURS + partners
    return max(_quantile(x, y, most) for x, y in ((a, b), (a, a), (b, b)))


def find_centre(a: Encodings) -> float:
    """Return the similarity of two records by chance: the median, on a sample."""
    rows = _sample(a, _SAMPLE)
    left, right = np.triu_indices(len(rows), 1)
    return float(np.median(_dice(rows, rows)[left, right])) if len(rows) > 1 else 0.0


def _quantile(a: Encodings, b: Encodings, most: int) -> float:
    """Return the similarity that about so many of ``b`` reach, for a sample of ``a``."""
    if len(b) <= most or not len(a):
        return 0.0
    others = _sample(b, _OTHERS)
    n = len(others)
    # Of so many in all, this many are among those that were sampled.
    most = max(round(most * n / len(b)), 1)
    dice = _dice(_sample(a, _SAMPLE), others)
    nearest = np.partition(dice, n - most, axis=1)[:, n - most :]
    return float(np.quantile(nearest, 0.3))


def _sample(a: Encodings, most: int) -> NDArray[np.uint64]:
    """Take words of rows, evenly from all."""
    if len(a) <= most:
        return a.words
    return as_words(a.clks[np.linspace(0, len(a) - 1, most).astype(np.int64)])


def _dice(rows: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Compare every row with every other: (n, m)."""
    shared = np.empty((len(rows), len(others)), np.int32)
    common_bits_of_all(rows, others, shared)
    bits = count_bits(rows)[:, None] + count_bits(others)
    found: NDArray[np.float64] = 2.0 * shared / np.maximum(bits, 1)
    return found
