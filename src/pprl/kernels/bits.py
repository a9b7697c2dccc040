"""Setting, merging and counting bits.

Bit ``i`` of a filter is byte ``i >> 3``, mask ``0x80 >> (i & 7)``, the order in
which clkhash and bitarray write it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel

_M1 = np.uint64(0x5555555555555555)
_M2 = np.uint64(0x3333333333333333)
_M4 = np.uint64(0x0F0F0F0F0F0F0F0F)
_H01 = np.uint64(0x0101010101010101)
_S1 = np.uint64(1)
_S2 = np.uint64(2)
_S4 = np.uint64(4)
_S56 = np.uint64(56)


@inline
def popcount64(x: np.uint64) -> np.uint64:
    """Count the bits of one word; LLVM turns this pattern into ``popcnt``."""
    x = x - ((x >> _S1) & _M1)
    x = (x & _M2) + ((x >> _S2) & _M2)
    x = (x + (x >> _S4)) & _M4
    return (x * _H01) >> _S56


@kernel
def set_bits(
    positions: NDArray[np.uint32],
    tokens: NDArray[np.int64],
    counts: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None:
    """Set in row r of ``out`` the first ``counts[r]`` positions of token ``tokens[r]``.

    ``positions`` is (tokens, at least max count), ``out`` is (rows, bytes), zeroed.
    """
    for row in range(out.shape[0]):
        token = tokens[row]
        for j in range(counts[row]):
            position = positions[token, j]
            out[row, position >> 3] |= np.uint8(0x80 >> (position & 7))


@kernel
def share_out(
    members: NDArray[np.int32],
    offsets: NDArray[np.int64],
    total: int,
    room: int,
    out: NDArray[np.uint32] | NDArray[np.uint64],
) -> None:
    """Share ``total`` insertions out among the members of each run, the first getting more.

    Writes for every member ``member * room`` + its insertions, which are below ``room``.
    """
    for run in range(offsets.shape[0] - 1):
        begin = offsets[run]
        length = offsets[run + 1] - begin
        if length:
            each = total // length
            more = total - each * length
            for place in range(length):
                count = each + 1 if place < more else each
                out[begin + place] = members[begin + place] * room + count


@kernel
def merge_runs(
    members: NDArray[np.int32],
    offsets: NDArray[np.int64],
    filters: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    """OR into row r of ``out`` the filters ``members[offsets[r]:offsets[r + 1]]``."""
    for row in range(out.shape[0]):
        for at in range(offsets[row], offsets[row + 1]):
            member = members[at]
            for word in range(out.shape[1]):
                out[row, word] |= filters[member, word]


@kernel
def merge_rows(
    rows: NDArray[np.int32], filters: NDArray[np.uint64], out: NDArray[np.uint64]
) -> None:
    """OR filter ``rows[r]`` into row r of ``out``; a negative number adds nothing."""
    for row in range(out.shape[0]):
        member = rows[row]
        if member >= 0:
            for word in range(out.shape[1]):
                out[row, word] |= filters[member, word]


@kernel
def merge_row_runs(
    rows: NDArray[np.int32],
    members: NDArray[np.int32],
    offsets: NDArray[np.int64],
    filters: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    """OR into row r of ``out`` the filters of run ``rows[r]``, as `merge_runs` merges them."""
    for row in range(out.shape[0]):
        run = rows[row]
        if run >= 0:
            for at in range(offsets[run], offsets[run + 1]):
                member = members[at]
                for word in range(out.shape[1]):
                    out[row, word] |= filters[member, word]


@kernel
def reorder_bits(
    words: NDArray[np.uint64], order: NDArray[np.int64], out: NDArray[np.uint64]
) -> None:
    """Put bit ``order[i]`` of each row of ``words`` at place i of ``out``.

    Both are (n, w); bit i is word i >> 6, mask 1 << (i & 63).
    """
    for row in range(words.shape[0]):
        for word in range(out.shape[1]):
            made = np.uint64(0)
            for bit in range(64):
                place = order[64 * word + bit]
                value = (words[row, place >> 6] >> np.uint64(place & 63)) & _S1
                made |= value << np.uint64(bit)
            out[row, word] = made


@kernel
def copy_rows(
    source: NDArray[np.uint8],
    rows: NDArray[np.int64],
    out: NDArray[np.uint8],
    places: NDArray[np.int64],
) -> None:
    """Copy row ``rows[i]`` of ``source`` to row ``places[i]`` of ``out``, for every i."""
    for i in range(rows.shape[0]):
        for at in range(source.shape[1]):
            out[places[i], at] = source[rows[i], at]


@kernel
def reorder_rows(rows: NDArray[np.uint8], order: NDArray[np.int64]) -> None:
    """Put row ``order[i]`` at place i, for every i, without a second copy of all rows.

    Follows the cycles of the permutation. ``order`` is used up: it ends as 0..n-1.
    """
    kept = np.empty(rows.shape[1], np.uint8)
    for start in range(rows.shape[0]):
        if order[start] == start:
            continue
        kept[:] = rows[start]
        at = start
        while order[at] != start:
            source = order[at]
            rows[at] = rows[source]
            order[at] = at
            at = source
        rows[at] = kept
        order[at] = at
