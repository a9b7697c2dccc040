"""Putting scored pairs in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel
from pprl.kernels.bits import popcount64

_ONE = np.uint64(1)
_ZERO = np.uint64(0)


@kernel
def best_in_order(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    score: NDArray[np.float64],
    starts: NDArray[np.int64],
    by_left: NDArray[np.int64],
    by_left_score: NDArray[np.float64],
    best: NDArray[np.float64],
    met: NDArray[np.uint64],
    out_left: NDArray[np.int64],
    out_right: NDArray[np.int64],
    out_score: NDArray[np.float64],
) -> int:
    """Sort pairs by left and then right, each once with its best score; return how many.

    First the pairs are laid out by their left member; then, one after the other, the
    right members of each are marked in a row of bits and read off again.

    Args:
        left: (p,) left members, from 0.
        right: (p,) right members, from 0.
        score: (p,) scores.
        starts: Zeroed, two entries more than the largest left member.
        by_left: (p,) working space.
        by_left_score: (p,) working space.
        best: Working space, an entry for each right member.
        met: Zeroed, a bit for each right member.
        out_left: Output, (p,).
        out_right: Output, (p,).
        out_score: Output, (p,).
    """
    for i in range(left.shape[0]):
        starts[left[i] + 1] += 1
    for i in range(1, starts.shape[0]):
        starts[i] += starts[i - 1]
    for i in range(left.shape[0]):
        at = starts[left[i]]
        starts[left[i]] += 1
        by_left[at] = right[i]
        by_left_score[at] = score[i]
    count = 0
    start = 0
    for one in range(starts.shape[0] - 1):
        end = starts[one]
        if end == start:
            continue
        first = met.shape[0]
        last = 0
        for i in range(start, end):
            other = by_left[i]
            word = other >> 6
            bit = _ONE << np.uint64(other & 63)
            if met[word] & bit:
                best[other] = max(best[other], by_left_score[i])
            else:
                met[word] |= bit
                best[other] = by_left_score[i]
            first = min(first, word)
            last = max(last, word)
        for word in range(first, last + 1):
            marks = met[word]
            while marks != _ZERO:
                lowest = marks & (~marks + _ONE)
                other = 64 * word + np.int64(popcount64(lowest - _ONE))
                out_left[count] = one
                out_right[count] = other
                out_score[count] = best[other]
                count += 1
                marks ^= lowest
            met[word] = _ZERO
        start = end
    return count
