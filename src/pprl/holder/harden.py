"""Hardening: changing finished filters so that they are harder to attack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.holder.schema import NoHardening, XorFold


def harden(filters: NDArray[np.uint8], hardening: NoHardening | XorFold) -> NDArray[np.uint8]:
    """Apply a schema's hardening to (n, filter_bits / 8) filters; return (n, bits / 8)."""
    match hardening:
        case NoHardening():
            return filters
        case XorFold():
            return xor_fold(filters, hardening.folds)


def xor_fold(filters: NDArray[np.uint8], folds: int) -> NDArray[np.uint8]:
    """XOR the second half of each filter onto the first, ``folds`` times.

    Source: Schnell and Borgs, XOR-folding for Bloom filter-based encryptions for
    privacy-preserving record linkage (2016).
    """
    for _ in range(folds):
        half = filters.shape[1] // 2
        filters = filters[:, :half] ^ filters[:, half:]
    return filters
