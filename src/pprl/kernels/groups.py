"""Counting the common bits of CLK groups, pair by pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel
from pprl.kernels.bits import popcount64


@kernel
def common_bits(
    left_words: NDArray[np.uint64],
    right_words: NDArray[np.uint64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    starts: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Count the common bits of each group of each pair.

    Args:
        left_words: (n, w) words of the first file.
        right_words: (m, w) words of the second file.
        left: (p,) rows of the first file.
        right: (p,) rows of the second file.
        starts: (g + 1,) first word of each group, and the end.
        out: Output, (p, g).
    """
    for pair in range(left.shape[0]):
        x = left_words[left[pair]]
        y = right_words[right[pair]]
        for group in range(starts.shape[0] - 1):
            shared = np.uint64(0)
            for word in range(starts[group], starts[group + 1]):
                shared += popcount64(x[word] & y[word])
            out[pair, group] = np.int32(shared)
