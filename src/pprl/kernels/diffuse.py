"""Diffusion, bit-sliced: one bit of 256 records in a vector (`pprl.kernels.lanes`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel
from pprl.kernels.lanes import LANES, WORDS, load, store

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
    n, width = words.shape
    wide = out.shape[1]
    t = sets.shape[1]
    # Word w of record 64 l + r of a block stands in row r, column WORDS w + l; transposed,
    # bit i of 64 records in row (i & 63) ^ 7, column WORDS (i >> 6) + l.
    before = np.empty((64, width * WORDS), np.uint64)
    after = np.empty((64, wide * WORDS), np.uint64)
    planes = before.reshape(before.size)
    made = after.reshape(after.size)
    places = np.empty(sets.size, np.int32)
    targets = np.empty(sets.shape[0], np.int32)
    for bit in range(sets.shape[0]):
        targets[bit] = (((bit & 63) ^ 7) * wide + (bit >> 6)) * WORDS
        for k in range(t):
            position = np.int64(sets[bit, k])
            places[bit * t + k] = (((position & 63) ^ 7) * width + (position >> 6)) * WORDS
    for start in range(0, n, LANES):
        before[:] = 0
        for lane in range(WORDS):
            first = start + 64 * lane
            for row in range(min(64, n - first)):
                for word in range(width):
                    before[row, WORDS * word + lane] = words[first + row, word]
        _transpose(before)
        for bit in range(sets.shape[0]):
            total = load(planes, places[bit * t])
            for k in range(bit * t + 1, (bit + 1) * t):
                total = total ^ load(planes, places[k])
            store(made, targets[bit], total)
        _transpose(after)
        for lane in range(WORDS):
            first = start + 64 * lane
            for row in range(min(64, n - first)):
                for word in range(wide):
                    out[first + row, word] = after[row, WORDS * word + lane]
