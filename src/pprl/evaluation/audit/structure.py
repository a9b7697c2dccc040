"""Traces of how filters were made: double hashing, balance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.bits import Floats, Rows
from pprl.evaluation.audit.patterns import Patterns

_CHAIN = 0.7
"""Share of a set's columns that must lie in steps of one length."""


def progressions(patterns: Patterns, bits: int) -> dict[str, Any]:
    """Test mined sets of columns for arithmetic progressions, the trace of double hashing.

    Double hashing sets positions a, a + b, a + 2 b ... modulo the length. For each set the
    most frequent difference between two of its columns is counted: k positions in
    progression have k - 1 pairs of one difference, random ones two or three.

    Returns:
        How many sets of five columns or more were tested, and the share in progression.
    """
    tested = [columns for columns in patterns.columns if 5 <= len(columns) <= bits // 8]
    if not tested:
        return {"tested": 0, "share": 0.0}
    chains = [_most_frequent_step(columns, bits) / (len(columns) - 1) for columns in tested]
    return {"tested": len(tested), "share": float((np.array(chains) >= _CHAIN).mean())}


def _most_frequent_step(columns: Rows, bits: int) -> int:
    steps = (columns[:, None] - columns[None]) % bits
    counts = np.bincount(steps[steps > 0], minlength=bits)
    return int(counts.max())


def complement_columns(dense: Floats) -> int:
    """Count columns that are the complement of another in every record.

    Args:
        dense: (n, bits) zeros and ones, at most 8,192 records.
    """
    share = dense.mean(axis=0)
    columns = dense[:, (share > 0) & (share < 1)].astype(np.float64)
    # A random weight a record: a column and its complement add up to the sum of weights. Whole
    # numbers small enough that float64 sums are exact.
    weights = np.random.default_rng(0).integers(1, 1 << 40, len(dense)).astype(np.float64)
    totals = weights @ columns
    return int(np.isin(weights.sum() - totals, totals).sum())


def runs_of_complement(clks: NDArray[np.uint8]) -> bool:
    """Tell whether every filter's second half is the complement of its first."""
    if clks.shape[1] % 2 or not len(clks):
        return False
    half = clks.shape[1] // 2
    return bool((clks[:, :half] == ~clks[:, half:]).all())
