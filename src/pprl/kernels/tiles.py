"""Counting the common bits of a block of filters and tiles of others.

The second file is laid out in tiles of `LANES` records, bit by bit (`pprl.kernels.lanes`);
a row of the first file is the list of its set bits. What is counted are the bits of the
row that the records of the tile *miss*: the planes hold the inverted bits, and those of
the row's bits are added up. A pair may miss so many; the counters are preset so that one
more overflows. When all lanes have, the rest need not be read: nothing is lost. The bits
that the fewest records have come first, for they are missed soonest.

Records are sorted by popcount before they are tiled, so that whole tiles can be passed
over: two filters with x and y bits share at most min(x, y).

What similarity is wanted, the kernel does not know. A table says how many common
bits filters of two popcounts need at least; popcounts are given by their place in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel
from pprl.kernels.bits import popcount64
from pprl.kernels.lanes import LANES, STEP, WORDS, add_planes, all_lanes, load, store

_DENSE = 24
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_FULL = np.uint64(2**64 - 1)
_HALF = np.uint64(0x00000000FFFFFFFF)
# A plane of zeros, and one of ones.
_FLAGS = np.repeat(np.array([_ZERO, _FULL]), WORDS)


@inline
def _transpose(block):  # type: ignore[no-untyped-def]
    """Turn (64,) words about: bit j of word i becomes bit i of word j."""
    width = 32
    mask = _HALF
    while width:
        shift = np.uint64(width)
        for one in range(64):
            if one & width == 0:
                moved = ((block[one] >> shift) ^ block[one + width]) & mask
                block[one] ^= moved << shift
                block[one + width] ^= moved
        width >>= 1
        mask ^= mask << np.uint64(width)


@kernel
def lay_tiles(
    words: NDArray[np.uint64],
    order: NDArray[np.int64],
    plane: NDArray[np.int64],
    block: NDArray[np.uint64],
    tiles: NDArray[np.uint64],
) -> None:
    """Lay rows ``words[order]`` (n, w), inverted, into ``tiles`` (t, 64 w + 1, WORDS).

    Bit i goes to plane ``plane[i]``; the last plane is zero. A lane without a record is
    like a record without bits. ``block`` is working space, (64,).
    """
    for tile in range(tiles.shape[0]):
        for part in range(WORDS):
            first = tile * LANES + 64 * part
            for word in range(words.shape[1]):
                for one in range(64):
                    block[one] = _ZERO
                    if first + one < order.shape[0]:
                        block[one] = words[order[first + one], word]
                _transpose(block)
                for bit in range(64):
                    tiles[tile, plane[64 * word + bit], part] = ~block[bit]
            tiles[tile, tiles.shape[1] - 1, part] = _ZERO


@kernel
def list_planes(
    rows: NDArray[np.uint64],
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    places: NDArray[np.int32],
) -> None:
    """List for each row where in a tile the planes of its bits begin.

    Args:
        rows: (m, w) words; bit i is word i >> 6, mask 1 << (i & 63).
        order: (64 w,) the bit of each plane.
        starts: Output, (m + 1,): row r's are ``places[starts[r] : starts[r + 1]]``, filled
            up with the place of the zero plane to a multiple of `STEP`.
        places: Output, room for them and one more.
    """
    # Unsigned, an index is not looked at for being from the end.
    at = np.uint64(0)
    step = np.uint64(STEP)
    for row in range(rows.shape[0]):
        starts[row] = at
        words = rows[row]
        for one in range(order.shape[0]):
            bit = np.uint64(order[one])
            places[at] = WORDS * one
            at += (words[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & _ONE
        while (at - np.uint64(starts[row])) % step != _ZERO:
            places[at] = WORDS * order.shape[0]
            at += _ONE
    starts[rows.shape[0]] = at


@inline
def count_misses(planes, places, first, last, allowed, levels, counters):  # type: ignore[no-untyped-def]
    """Count in each lane the planes that are set; say whether some lane has few enough.

    Args:
        planes: (p,) words of a tile.
        places: Where planes begin in it.
        first: The planes at ``places[first:last]`` are added; a multiple of `STEP` of them.
        last: See ``first``.
        allowed: The most that a lane may have.
        levels: Bits of a counter, at least 5; enough for ``last - first``.
        counters: Output, (levels + 1, WORDS) words in a row: bit by bit, what the counters
            are above ``allowed - 2 ** levels + 1``; and the lanes that have more.

    Returns:
        Whether any lane has at most ``allowed``. The counters are complete only then.
    """
    preset = (1 << levels) - 1 - allowed
    ones = load(_FLAGS, WORDS * (preset & 1))
    twos = load(_FLAGS, WORDS * ((preset >> 1) & 1))
    fours = load(_FLAGS, WORDS * ((preset >> 2) & 1))
    eights = load(_FLAGS, WORDS * ((preset >> 3) & 1))
    sixteens = load(_FLAGS, WORDS * ((preset >> 4) & 1))
    for level in range(5, levels):
        store(counters, WORDS * level, load(_FLAGS, WORDS * ((preset >> level) & 1)))
    over = load(_FLAGS, 0)
    at = first
    while at < last:
        ones, twos, fours, eights, sixteens, carry = add_planes(
            planes, places, at, (ones, twos, fours, eights, sixteens)
        )
        for level in range(5, levels):
            counter = load(counters, WORDS * level)
            store(counters, WORDS * level, counter ^ carry)
            carry = counter & carry
        over = over | carry
        at += STEP
        if all_lanes(over):
            return False
    store(counters, 0, ones)
    store(counters, WORDS, twos)
    store(counters, WORDS * 2, fours)
    store(counters, WORDS * 3, eights)
    store(counters, WORDS * 4, sixteens)
    store(counters, WORDS * levels, over)
    return True


@inline
def read_counter(counters, levels, lane):  # type: ignore[no-untyped-def]
    """Read one lane's counter, with what overflowed."""
    at = lane >> 6
    shift = np.uint64(lane & 63)
    value = _ZERO
    for level in range(levels + 1):
        value |= ((counters[WORDS * level + at] >> shift) & _ONE) << np.uint64(level)
    return np.int64(value)


@inline
def read_counters(counters, levels, values):  # type: ignore[no-untyped-def]
    """Read all lanes' counters, with what overflowed, into ``values`` (LANES,)."""
    for part in range(WORDS):
        for lane in range(64):
            values[64 * part + lane] = _ZERO
        for level in range(levels + 1):
            word = counters[WORDS * level + part]
            for lane in range(64):
                bit = (word >> np.uint64(lane)) & _ONE
                values[64 * part + lane] |= bit << np.uint64(level)


@kernel
def pairs_above(
    places: NDArray[np.int32],
    starts: NDArray[np.int64],
    row_bits: NDArray[np.int64],
    row_kinds: NDArray[np.int32],
    levels: int,
    tiles: NDArray[np.uint64],
    tile_kinds: NDArray[np.int64],
    tile_low: NDArray[np.int64],
    tile_high: NDArray[np.int64],
    needed: NDArray[np.int32],
    least: NDArray[np.int32],
    possible: NDArray[np.int32],
    first_place: int,
    start: NDArray[np.int64],
    counters: NDArray[np.uint64],
    values: NDArray[np.uint64],
    out_row: NDArray[np.int32],
    out_place: NDArray[np.int32],
    out_shared: NDArray[np.int32],
) -> int:
    """Collect every pair with at least the needed number of common bits; return the count.

    Args:
        places: The planes of the rows' bits, from `list_planes`.
        starts: (m + 1,) where each row's begin.
        row_bits: (m,) popcounts of the rows.
        row_kinds: (m,) the line of ``needed`` for each row.
        levels: Bits that the largest of ``row_bits`` takes, and at least 5.
        tiles: (t, planes WORDS) the second file, from `lay_tiles`.
        tile_kinds: (t, LANES) the column of ``needed`` for each lane, rising; that of an
            empty lane is one that nothing reaches.
        tile_low: (t,) smallest column among a tile's records.
        tile_high: (t,) largest column among a tile's records.
        needed: (kinds of rows, kinds of lanes) fewest common bits.
        least: Like ``needed``, the least of this column and all after it.
        possible: (kinds of rows, kinds of lanes + 1) how many of the columns before this
            one can be reached at all.
        first_place: Where a set is compared with itself, the place of row 0; row r then
            meets the places after its own only. Otherwise -1.
        start: (2,) tile and row to begin with; where to go on if the output is full.
        counters: Working space, (levels + 1) WORDS.
        values: Working space, LANES.
        out_row: Output, the row of each pair; its capacity is at least LANES.
        out_place: Output, the place ``tile * LANES + lane`` of each pair.
        out_shared: Output, the number of common bits of each pair.
    """
    capacity = out_row.shape[0]
    count = np.int64(0)
    first_row = start[1]
    for t in range(start[0], tiles.shape[0]):
        planes = tiles[t]
        kinds = tile_kinds[t]
        low = tile_low[t]
        high = tile_high[t]
        for r in range(first_row, row_bits.shape[0]):
            hope = possible[row_kinds[r]]
            allowed = row_bits[r] - least[row_kinds[r], low]
            if allowed < 0 or hope[high + 1] == hope[low]:
                continue
            first_lane = 0
            if first_place + r >= t * LANES and first_place >= 0:
                first_lane = first_place + r + 1 - t * LANES
            if first_lane >= LANES:
                continue
            if not count_misses(
                planes, places, starts[r], starts[r + 1], allowed, levels, counters
            ):
                continue
            if count + LANES > capacity:
                start[0] = t
                start[1] = r
                return int(count)
            need = needed[row_kinds[r]]
            # A lane's counter is this less its common bits.
            whole = (1 << levels) - 1 - allowed + row_bits[r]
            alive = np.int64(0)
            for part in range(WORDS):
                alive += np.int64(popcount64(~counters[WORDS * levels + part]))
            if alive > _DENSE:
                read_counters(counters, levels, values)
                # Unsigned, an index is not looked at for being from the end; and without a
                # branch on what is wanted, none is guessed wrong half the time.
                at = np.uint64(count)
                for lane in range(np.uint64(first_lane), np.uint64(LANES)):
                    shared = whole - np.int64(values[lane])
                    out_row[at] = r
                    out_place[at] = np.int64(lane) + t * LANES
                    out_shared[at] = shared
                    at += np.uint64(shared >= need[np.uint64(kinds[lane])])
                count = np.int64(at)
                continue
            for part in range(WORDS):
                left = ~counters[WORDS * levels + part]
                while left != _ZERO:
                    lowest = left & (~left + _ONE)
                    left ^= lowest
                    place = 64 * part + np.int64(popcount64(lowest - _ONE))
                    shared = whole - read_counter(counters, levels, place)
                    if place >= first_lane and shared >= need[kinds[place]]:
                        out_row[count] = r
                        out_place[count] = t * LANES + place
                        out_shared[count] = shared
                        count += 1
        first_row = 0
    start[0] = tiles.shape[0]
    start[1] = 0
    return int(count)
