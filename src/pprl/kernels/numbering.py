"""Numbering distinct codes in the order in which they first appear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def number(
    codes: NDArray[np.uint32] | NDArray[np.uint64],
    slots: NDArray[np.int32],
    shift: int,
    ids: NDArray[np.int32],
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
        slot = np.int64((np.uint64(code) * _GOLDEN) >> np.uint64(shift))
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


@kernel
def number_small(
    codes: NDArray[np.uint32] | NDArray[np.uint64],
    numbers: NDArray[np.int32],
    ids: NDArray[np.int32],
    firsts: NDArray[np.int64],
) -> int:
    """Like `number`, for small codes: ``numbers`` has an entry for each, filled with -1."""
    count = 0
    for i in range(codes.shape[0]):
        code = codes[i]
        if numbers[code] < 0:
            numbers[code] = count
            firsts[count] = i
            count += 1
        ids[i] = numbers[code]
    return count


@kernel
def hash_runs(
    data: NDArray[np.uint8], ends: NDArray[np.int32], seed: np.uint64, out: NDArray[np.uint64]
) -> None:
    """Hash each run ``data[ends[i]:ends[i + 1]]`` of bytes to 64 bits.

    FNV-1a (Fowler, Noll, Vo) from a seed, with the finaliser of MurmurHash3. For
    finding equal runs; not for secrets.
    """
    for run in range(out.shape[0]):
        state = np.uint64(0xCBF29CE484222325) ^ seed
        for at in range(ends[run], ends[run + 1]):
            state = (state ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
        state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        state = (state ^ (state >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        out[run] = state ^ (state >> np.uint64(33))
