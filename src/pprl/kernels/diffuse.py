"""Diffusion, bit-sliced: 64 records at a time, one bit of each in a word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel

_LOW_HALF = np.uint64(0x00000000FFFFFFFF)


@inline
def _transpose(block: NDArray[np.uint64]) -> None:
    """Transpose each column of ``block`` (64, w) as a matrix of 64 by 64 bits, in place.

    Halves are swapped, then quarters, and so on (Warren, Hacker's Delight, section 7-3).
    """
    step = 32
    mask = _LOW_HALF
    while step:
        shift = np.uint64(step)
        row = 0
        while row < 64:
            for word in range(block.shape[1]):
                swap = ((block[row, word] >> shift) ^ block[row + step, word]) & mask
                block[row + step, word] ^= swap
                block[row, word] ^= swap << shift
            row = (row + step + 1) & ~step
        step >>= 1
        mask ^= mask << np.uint64(step)


@kernel
def xor_positions(
    words: NDArray[np.uint64], sets: NDArray[np.uint16], out: NDArray[np.uint64]
) -> None:
    """Set bit j of row r of ``out`` to the XOR of the bits ``sets[j]`` of row r of ``words``.

    ``words`` is (n, w), ``sets`` (64 v, t) and ``out`` (n, v). Bits are counted as in
    `pprl.kernels.bits`; in a little-endian word, bit i is the one of weight 2**(i ^ 7).
    """
    before = np.empty((64, words.shape[1]), np.uint64)
    after = np.empty((64, out.shape[1]), np.uint64)
    for start in range(0, words.shape[0], 64):
        rows = min(64, words.shape[0] - start)
        for row in range(rows):
            for word in range(words.shape[1]):
                before[row, word] = words[start + row, word]
        for row in range(rows, 64):
            for word in range(words.shape[1]):
                before[row, word] = 0
        _transpose(before)
        for bit in range(sets.shape[0]):
            total = np.uint64(0)
            for k in range(sets.shape[1]):
                position = sets[bit, k]
                total ^= before[(position & 63) ^ 7, position >> 6]
            after[(bit & 63) ^ 7, bit >> 6] = total
        _transpose(after)
        for row in range(rows):
            for word in range(out.shape[1]):
                out[start + row, word] = after[row, word]
