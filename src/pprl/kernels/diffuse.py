"""Diffusion, bit-sliced: one bit of 64 records in a word, and four such words side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel

_LOW_HALF = np.uint64(0x00000000FFFFFFFF)
_LANES = 4
"""Words of 64 records that are worked on at once; with 8, a block outgrows the nearest cache."""


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
    n, width = words.shape
    wide = out.shape[1]
    # Word w of record 64 l + r of a block stands in row r, column _LANES w + l; transposed,
    # bit i of 64 records in row (i & 63) ^ 7, column _LANES (i >> 6) + l.
    before = np.empty((64, width * _LANES), np.uint64)
    after = np.empty((64, wide * _LANES), np.uint64)
    flat = before.reshape(before.size)
    places = np.empty(sets.shape, np.int64)
    for bit in range(sets.shape[0]):
        for k in range(sets.shape[1]):
            position = np.int64(sets[bit, k])
            places[bit, k] = (((position & 63) ^ 7) * width + (position >> 6)) * _LANES
    total = np.empty(_LANES, np.uint64)
    for start in range(0, n, 64 * _LANES):
        before[:] = 0
        for lane in range(_LANES):
            first = start + 64 * lane
            for row in range(min(64, n - first)):
                for word in range(width):
                    before[row, _LANES * word + lane] = words[first + row, word]
        _transpose(before)
        for bit in range(sets.shape[0]):
            for lane in range(_LANES):
                total[lane] = 0
            for k in range(sets.shape[1]):
                place = places[bit, k]
                for lane in range(_LANES):
                    total[lane] ^= flat[place + lane]
            for lane in range(_LANES):
                after[(bit & 63) ^ 7, _LANES * (bit >> 6) + lane] = total[lane]
        _transpose(after)
        for lane in range(_LANES):
            first = start + 64 * lane
            for row in range(min(64, n - first)):
                for word in range(wide):
                    out[first + row, word] = after[row, _LANES * word + lane]
