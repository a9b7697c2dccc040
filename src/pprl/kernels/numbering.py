"""Numbering distinct codes in the order in which they first appear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def number(
    codes: NDArray[np.uint64],
    slots: NDArray[np.int64],
    shift: int,
    ids: NDArray[np.int64],
    firsts: NDArray[np.int64],
) -> int:
    """Give each distinct code a number; return how many there are.

    ``slots`` is an open-addressing table of 2**(64 - shift) entries, filled with
    -1 and at least twice as long as there are distinct codes (multiplicative
    hashing, Knuth, TAOCP vol. 3, section 6.4). ``ids[i]`` becomes the number of
    ``codes[i]``, ``firsts[k]`` the place where code number k first appears.
    Returns -1 if the table is more than half full: call again with a larger one.
    """
    count = 0
    mask = slots.shape[0] - 1
    limit = slots.shape[0] // 2
    for i in range(codes.shape[0]):
        code = codes[i]
        slot = np.int64((code * _GOLDEN) >> np.uint64(shift))
        while True:
            found = slots[slot]
            if found < 0:
                if count == limit:
                    return -1
                slots[slot] = count
                firsts[count] = i
                ids[i] = count
                count += 1
                break
            if codes[firsts[found]] == code:
                ids[i] = found
                break
            slot = (slot + 1) & mask
    return count
