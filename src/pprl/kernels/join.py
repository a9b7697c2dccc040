"""Comparing the pairs of rows that share a block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel
from pprl.kernels.bits import popcount64

_NONE = np.uint64(0)


@kernel
def pairs_in_blocks(
    blocks: NDArray[np.int64],
    order_a: NDArray[np.int64],
    order_b: NDArray[np.int64],
    keys_a: NDArray[np.uint64],
    keys_b: NDArray[np.uint64],
    at_pass: int,
    within: bool,
    words_a: NDArray[np.uint64],
    words_b: NDArray[np.uint64],
    kinds_a: NDArray[np.int64],
    kinds_b: NDArray[np.int64],
    needed: NDArray[np.int32],
    start: NDArray[np.int64],
    compared: NDArray[np.int64],
    out_a: NDArray[np.int64],
    out_b: NDArray[np.int64],
    out_shared: NDArray[np.int64],
) -> int:
    """Collect the pairs of a pass with the needed number of common bits; return the count.

    A pair that shares an earlier pass's key was met there and is left out.

    Args:
        blocks: (k, 4) first place and number in ``order_a``, and in ``order_b``, of the
            rows with one key.
        order_a: Row numbers of the first file, by key.
        order_b: Row numbers of the second file, by key.
        keys_a: (n, passes) keys; 0 is none.
        keys_b: (m, passes) keys.
        at_pass: The pass that the blocks are of.
        within: Both files are one; a row meets rows of larger numbers only.
        words_a: (n, w) words.
        words_b: (m, w) words.
        kinds_a: (n,) the line of ``needed`` for each row.
        kinds_b: (m,) the column of ``needed`` for each row.
        needed: Fewest common bits for each two kinds.
        start: (2,) block, and row in it, to begin with; where to go on if the output is
            full. Its capacity is at least the largest number of rows of b in a block.
        compared: (1,) raised by the number of pairs compared.
        out_a: Output, rows of a.
        out_b: Output, rows of b.
        out_shared: Output, common bits.
    """
    count = 0
    first = start[1]
    for block in range(start[0], blocks.shape[0]):
        from_b = blocks[block, 2]
        until_b = from_b + blocks[block, 3]
        for at in range(first, blocks[block, 1]):
            if count + blocks[block, 3] > out_a.shape[0]:
                start[0] = block
                start[1] = at
                return count
            i = order_a[blocks[block, 0] + at]
            for place in range(from_b, until_b):
                j = order_b[place]
                if within and j <= i:
                    continue
                need = needed[kinds_a[i], kinds_b[j]]
                # Without a branch, several keys are looked at at once.
                met = _NONE
                for earlier in range(at_pass):
                    key = keys_a[i, earlier]
                    met += np.uint64((key == keys_b[j, earlier]) & (key != _NONE))
                if met != _NONE:
                    continue
                compared[0] += 1
                if need > words_a.shape[1] * 64:
                    continue
                shared = np.uint64(0)
                for word in range(words_a.shape[1]):
                    shared += popcount64(words_a[i, word] & words_b[j, word])
                if np.int64(shared) >= need:
                    out_a[count] = i
                    out_b[count] = j
                    out_shared[count] = shared
                    count += 1
        first = 0
    start[0] = blocks.shape[0]
    start[1] = 0
    return count


@kernel
def sample_bits(
    words: NDArray[np.uint64], places: NDArray[np.int64], out: NDArray[np.uint64]
) -> None:
    """Read bits ``places[p]`` of each row as the key of pass p, under a leading 1.

    ``words`` is (n, w), bit i of a row word i >> 6, mask 1 << (i & 63); ``places`` is
    (passes, at most 63); ``out`` is (n, passes).
    """
    for row in range(words.shape[0]):
        for one in range(places.shape[0]):
            key = np.uint64(1)
            for at in range(places.shape[1]):
                place = places[one, at]
                bit = (words[row, place >> 6] >> np.uint64(place & 63)) & np.uint64(1)
                key = (key << np.uint64(1)) | bit
            out[row, one] = key
