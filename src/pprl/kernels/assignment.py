"""One-to-one assignment over pairs that are already in order of preference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel


@kernel
def greedy(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    left_taken: NDArray[np.bool_],
    right_taken: NDArray[np.bool_],
    keep: NDArray[np.bool_],
) -> None:
    """Keep a pair when both of its records are still free, best pair first."""
    for pair in range(left.shape[0]):
        i = left[pair]
        j = right[pair]
        if not left_taken[i] and not right_taken[j]:
            left_taken[i] = True
            right_taken[j] = True
            keep[pair] = True
