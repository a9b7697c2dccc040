"""Comparing a block of filters with tiles of others.

The second file is laid out in tiles of `LANES` records, word by word: entry
``tiles[t, w, lane]`` is word ``w`` of record ``lane`` of tile ``t``. The inner
loop then runs over contiguous lanes, which LLVM turns into vector popcounts.
Records are sorted by popcount before they are tiled, so that whole tiles can be
passed over: two filters with x and y bits share at most min(x, y).
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
def _intersections(row, tile, first, last, shared):  # type: ignore[no-untyped-def]
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


@kernel
def pairs_above(
    rows: NDArray[np.uint64],
    row_bits: NDArray[np.int64],
    row_tail_bits: NDArray[np.int64],
    tiles: NDArray[np.uint64],
    tile_bits: NDArray[np.int64],
    tile_tail_bits: NDArray[np.int64],
    tile_low: NDArray[np.int64],
    tile_high: NDArray[np.int64],
    needed: NDArray[np.int64],
    half: int,
    start: NDArray[np.int64],
    out_row: NDArray[np.int32],
    out_place: NDArray[np.int32],
    out_shared: NDArray[np.int32],
) -> int:
    """Collect every pair that shares at least ``needed[x + y]`` bits; return the count.

    An empty filter is similar to nothing, whatever the threshold.

    Args:
        rows: (m, w) words of the first file's block.
        row_bits: (m,) popcount of each row.
        row_tail_bits: (m,) popcount of each row's words from ``half`` on.
        tiles: (t, w, LANES) words of the second file.
        tile_bits: (t, LANES) popcounts, rising; -1 marks an empty lane.
        tile_tail_bits: (t, LANES) popcounts of the words from ``half`` on.
        tile_low: (t,) smallest popcount in a tile.
        tile_high: (t,) largest popcount in a tile.
        needed: (2 * bits + 1,) fewest common bits for each sum of popcounts.
        half: The word after which a tile without hope is dropped.
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
        bits = tile_bits[t]
        tails = tile_tail_bits[t]
        low = tile_low[t]
        high = tile_high[t]
        for r in range(first_row, rows.shape[0]):
            x = row_bits[r]
            if x == 0:
                continue
            # The fewest bits that any lane could need, and the most it could share.
            fewest = needed[x + low]
            if min(x, high) < needed[x + min(high, max(low, x))]:
                continue
            row = rows[r]
            for lane in range(LANES):
                shared[lane] = _ZERO
            _intersections(row, tile, 0, half, shared)
            if half < n_words:
                tail = row_tail_bits[r]
                most = np.int64(0)
                for lane in range(LANES):
                    reach = np.int64(shared[lane]) + min(tail, tails[lane])
                    most = max(most, reach)
                if most < fewest:
                    continue
                _intersections(row, tile, half, n_words, shared)
            most = np.int64(0)
            for lane in range(LANES):
                most = max(most, np.int64(shared[lane]))
            if most < fewest:
                continue
            if count + LANES > capacity:
                start[0] = t
                start[1] = r
                return count
            for lane in range(LANES):
                y = bits[lane]
                if y > 0 and np.int64(shared[lane]) >= needed[x + y]:
                    out_row[count] = r
                    out_place[count] = t * LANES + lane
                    out_shared[count] = shared[lane]
                    count += 1
        first_row = 0
    start[0] = tiles.shape[0]
    start[1] = 0
    return count
