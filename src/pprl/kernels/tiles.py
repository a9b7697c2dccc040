"""Counting the common bits of a block of filters and tiles of others.

The second file is laid out in tiles of `LANES` records, word by word: entry
``tiles[t, w, lane]`` is word ``w`` of record ``lane`` of tile ``t``. The inner
loop then runs over contiguous lanes, which LLVM turns into vector popcounts.
Records are sorted by popcount before they are tiled, so that whole tiles can be
passed over: two filters with x and y bits share at most min(x, y).

What similarity is wanted, the kernel does not know. A table says how many common
bits filters of two popcounts need at least; popcounts are given by their place in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel
from pprl.kernels.bits import popcount64

LANES = 128
_ZERO = np.uint64(0)


@kernel
def lay_tiles(
    words: NDArray[np.uint64], order: NDArray[np.int64], tiles: NDArray[np.uint64]
) -> None:
    """Write rows ``words[order]`` (n, w) into zeroed ``tiles`` (t, w, LANES)."""
    for place in range(order.shape[0]):
        tile = place // LANES
        lane = place % LANES
        row = order[place]
        for word in range(words.shape[1]):
            tiles[tile, word, lane] = words[row, word]


@inline
def _first_words(row, tile, shared):  # type: ignore[no-untyped-def]
    """Set ``shared[lane]`` to the common bits of the first words; return how many they are."""
    if row.shape[0] < 4:
        for lane in range(LANES):
            shared[lane] = _ZERO
        return 0
    r0 = row[0]
    r1 = row[1]
    r2 = row[2]
    r3 = row[3]
    for lane in range(LANES):
        shared[lane] = (
            popcount64(r0 & tile[0, lane])
            + popcount64(r1 & tile[1, lane])
            + popcount64(r2 & tile[2, lane])
            + popcount64(r3 & tile[3, lane])
        )
    return 4


@inline
def _more_words(row, tile, first, last, shared):  # type: ignore[no-untyped-def]
    """Add to ``shared[lane]`` the common bits of words first..last - 1."""
    word = first
    while word + 4 <= last:
        r0 = row[word]
        r1 = row[word + 1]
        r2 = row[word + 2]
        r3 = row[word + 3]
        for lane in range(LANES):
            shared[lane] += (
                popcount64(r0 & tile[word, lane])
                + popcount64(r1 & tile[word + 1, lane])
                + popcount64(r2 & tile[word + 2, lane])
                + popcount64(r3 & tile[word + 3, lane])
            )
        word += 4
    while word < last:
        r0 = row[word]
        for lane in range(LANES):
            shared[lane] += popcount64(r0 & tile[word, lane])
        word += 1


@inline
def _two_words_and_reach(row, tile, word, shared, tail, tails):  # type: ignore[no-untyped-def]
    """Add two words; return the most common bits that a lane can still come to."""
    r0 = row[word]
    r1 = row[word + 1]
    most = np.int64(0)
    for lane in range(LANES):
        common = shared[lane]
        common += popcount64(r0 & tile[word, lane]) + popcount64(r1 & tile[word + 1, lane])
        shared[lane] = common
        most = max(most, np.int64(common) + min(tail, tails[lane]))
    return most


@kernel
def pairs_above(
    rows: NDArray[np.uint64],
    row_kinds: NDArray[np.int32],
    row_tails: NDArray[np.int64],
    stop: int,
    tiles: NDArray[np.uint64],
    tile_kinds: NDArray[np.int64],
    tile_tails: NDArray[np.int64],
    tile_low: NDArray[np.int64],
    tile_high: NDArray[np.int64],
    needed: NDArray[np.int32],
    least: NDArray[np.int32],
    possible: NDArray[np.int32],
    first_place: int,
    start: NDArray[np.int64],
    out_row: NDArray[np.int32],
    out_place: NDArray[np.int32],
    out_shared: NDArray[np.int32],
) -> int:
    """Collect every pair with at least the needed number of common bits; return the count.

    Args:
        rows: (m, w) words of the first file's block.
        row_kinds: (m,) the line of ``needed`` for each row.
        row_tails: (m,) popcount of each row's words from ``stop`` on.
        stop: The word before which a tile without hope is dropped, at least 6; 0 for none.
        tiles: (t, w, LANES) words of the second file.
        tile_kinds: (t, LANES) the column of ``needed`` for each lane, rising; that of an
            empty lane is one that nothing reaches.
        tile_tails: (t, LANES) popcounts of the words from ``stop`` on.
        tile_low: (t,) smallest column among a tile's records.
        tile_high: (t,) largest column among a tile's records.
        needed: (kinds of rows, kinds of lanes) fewest common bits.
        least: Like ``needed``, the least of this column and all after it.
        possible: (kinds of rows, kinds of lanes + 1) how many of the columns before this
            one can be reached at all.
        first_place: Where a set is compared with itself, the place of row 0; row r then
            meets the places after its own only. Otherwise -1.
        start: (2,) tile and row to begin with; where to go on if the output is full.
        out_row: Output, the row of each pair; its capacity is at least LANES.
        out_place: Output, the place ``tile * LANES + lane`` of each pair.
        out_shared: Output, the number of common bits of each pair.
    """
    n_words = rows.shape[1]
    capacity = out_row.shape[0]
    shared = np.zeros(LANES, np.uint64)
    count = 0
    first_row = start[1]
    for t in range(start[0], tiles.shape[0]):
        tile = tiles[t]
        kinds = tile_kinds[t]
        tails = tile_tails[t]
        low = tile_low[t]
        high = tile_high[t]
        for r in range(first_row, rows.shape[0]):
            need = needed[row_kinds[r]]
            hope = possible[row_kinds[r]]
            if hope[high + 1] == hope[low]:
                continue
            first_lane = max(first_place + r + 1 - t * LANES, 0) if first_place >= 0 else 0
            if first_lane >= LANES:
                continue
            fewest = least[row_kinds[r], low]
            row = rows[r]
            word = _first_words(row, tile, shared)
            if stop:
                _more_words(row, tile, word, stop - 2, shared)
                word = stop
                reach = _two_words_and_reach(row, tile, stop - 2, shared, row_tails[r], tails)
                if reach < fewest:
                    continue
            _more_words(row, tile, word, n_words, shared)
            most = np.int64(0)
            for lane in range(LANES):
                most = max(most, np.int64(shared[lane]))
            if most < fewest:
                continue
            if count + LANES > capacity:
                start[0] = t
                start[1] = r
                return count
            for lane in range(first_lane, LANES):
                if np.int64(shared[lane]) >= need[kinds[lane]]:
                    out_row[count] = r
                    out_place[count] = t * LANES + lane
                    out_shared[count] = shared[lane]
                    count += 1
        first_row = 0
    start[0] = tiles.shape[0]
    start[1] = 0
    return count
