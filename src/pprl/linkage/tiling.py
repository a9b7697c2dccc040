"""Laying out encodings in tiles, and running the comparison kernel over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings, count_bits
from pprl.kernels.bits import count_columns, reorder_bits
from pprl.kernels.tiles import LANES, lay_tiles, pairs_above
from pprl.linkage.similarity import UNREACHABLE, Measure, fewest_common_bits, similarity

_OUTPUT = 1 << 16
_SAMPLE = 5_000
_SAMPLED_ROWS = 32
_SAMPLED_TILES = 16
_WORTH_PLANNING = 50_000_000

Chunk = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Left rows, right rows and similarities."""


@dataclass(frozen=True)
class Tiling:
    """Rows of one file, and those of another, sorted by popcount and laid out in tiles.

    Where a set is compared with itself, its rows are taken in the order of the tiles,
    and each meets those after it.
    """

    words: NDArray[np.uint64]
    row_bits: NDArray[np.int64]
    row_kinds: NDArray[np.int32]
    row_order: NDArray[np.int64] | None
    bit_order: NDArray[np.int64] | None
    order: NDArray[np.int64]
    tiles: NDArray[np.uint64]
    tile_bits: NDArray[np.int64]
    tile_kinds: NDArray[np.int64]
    tile_tails: NDArray[np.int64]
    needed: NDArray[np.int32]
    least: NDArray[np.int32]
    possible: NDArray[np.int32]
    stop: int
    bits: int
    measure: Measure

    @classmethod
    def make(cls, a: Encodings, b: Encodings | None, threshold: float, measure: Measure) -> Tiling:
        """Lay out ``b``, or without it ``a`` for a comparison with itself."""
        return cls.of_words(
            a.words, None if b is None else b.words, threshold, measure, a.info.bits
        )

    @classmethod
    def of_words(
        cls,
        words: NDArray[np.uint64],
        b: NDArray[np.uint64] | None,
        threshold: float,
        measure: Measure,
        bits: int,
    ) -> Tiling:
        """Lay out CLKs as (n, w) words: ``b``, or without it ``words`` themselves."""
        row_bits = count_bits(words)
        others, other_bits = (words, row_bits) if b is None else (b, count_bits(b))
        n, width = others.shape
        worth_planning = n >= LANES and len(words) * n >= _WORTH_PLANNING
        bit_order = _telling_bits_first(others) if worth_planning else None
        others = _reordered(others, bit_order)
        order = np.argsort(other_bits, kind="stable")
        n_tiles = -(-n // LANES)
        tiles = np.zeros((n_tiles, width, LANES), np.uint64)
        lay_tiles(others, order, tiles)

        x, row_kinds = np.unique(row_bits, return_inverse=True)
        y, kinds = np.unique(other_bits[order], return_inverse=True)
        # One more column, for lanes without a record.
        needed = np.full((len(x), len(y) + 1), UNREACHABLE)
        needed[:, :-1] = fewest_common_bits(measure, threshold, x, y, bits)
        least = np.minimum.accumulate(needed[:, ::-1], axis=1)[:, ::-1].copy()
        stop = width // 4 * 2 if width >= 12 else 0
        if worth_planning and width >= 8:
            some = np.linspace(0, len(words) - 1, _SAMPLED_ROWS).astype(int)
            whole = np.linspace(0, n // LANES - 1, _SAMPLED_TILES).astype(int)
            lanes = others[order[: n // LANES * LANES].reshape(-1, LANES)[whole]]
            fewest = least[row_kinds[some]][:, kinds[whole * LANES]]
            stop = _plan_stop(_reordered(words[some], bit_order), lanes, fewest)
        possible = np.zeros((len(x), len(y) + 2), np.int32)
        np.cumsum(needed < UNREACHABLE, axis=1, out=possible[:, 1:])
        return cls(
            words,
            row_bits,
            row_kinds.astype(np.int32),
            order if b is None else None,
            bit_order,
            order,
            tiles,
            other_bits[order],
            _in_lanes(kinds, n_tiles, len(y)),
            _in_lanes(count_bits(others[:, stop:])[order], n_tiles, 0),
            needed,
            least,
            possible,
            stop,
            bits,
            measure,
        )

    def pairs_before(self, row: int) -> int:
        """Count the pairs that are compared in blocks of rows before this one."""
        others = len(self.order)
        if self.row_order is None:
            return row * others
        return row * (others - 1) - row * (row - 1) // 2

    def compare(self, start: int, end: int) -> Iterator[Chunk]:
        """Compare rows ``start`` to ``end`` with all tiles; chunks of pairs, unsorted."""
        numbers = np.arange(start, end) if self.row_order is None else self.row_order[start:end]
        rows = _reordered(self.words[numbers], self.bit_order)
        row_kinds, row_bits = self.row_kinds[numbers], self.row_bits[numbers]
        row_tails = count_bits(rows[:, self.stop :])
        first_place = -1 if self.row_order is None else start
        n_tiles = len(self.tiles)
        tile_low = self.tile_kinds[:, 0].copy()
        last_lanes = np.minimum(np.arange(1, n_tiles + 1) * LANES, len(self.order)) - 1
        tile_high = self.tile_kinds.reshape(-1)[last_lanes]
        at = np.array([max(first_place, 0) // LANES, 0])
        while at[0] < n_tiles:
            out = [np.empty(_OUTPUT, np.int32) for _ in range(3)]
            count = pairs_above(
                rows,
                row_kinds,
                row_tails,
                self.stop,
                self.tiles,
                self.tile_kinds,
                self.tile_tails,
                tile_low,
                tile_high,
                self.needed,
                self.least,
                self.possible,
                first_place,
                at,
                *out,
            )
            row, place, shared = (column[:count] for column in out)
            score = similarity(
                self.measure, shared, row_bits[row], self.tile_bits[place], self.bits
            )
            left, right = numbers[row], self.order[place]
            if self.row_order is not None:
                left, right = np.minimum(left, right), np.maximum(left, right)
            yield left, right, score


def _in_lanes(values: NDArray[np.int64], n_tiles: int, empty: int) -> NDArray[np.int64]:
    lanes = np.full(n_tiles * LANES, empty, np.int64)
    lanes[: len(values)] = values
    return lanes.reshape(n_tiles, LANES)


def _plan_stop(
    rows: NDArray[np.uint64], lanes: NDArray[np.uint64], fewest: NDArray[np.int32]
) -> int:
    """Choose the word before which to look whether a tile can still qualify; 0 for none.

    From a sample of (m, w) rows and (t, LANES, w) tiles and the fewest bits (m, t) that
    qualify: the one with which the fewest words would be read. A look costs about one.
    """
    width = rows.shape[1]
    best, chosen = float(width), 0
    for stop in np.unique(np.linspace(6, width, 11).astype(int)[:-1] // 2 * 2).tolist():
        row_tails, lane_tails = count_bits(rows[:, stop:]), _counts(lanes[:, :, stop:])
        alive = [
            (_counts(lanes[:, :, :stop] & row[:stop]) + np.minimum(lane_tails, tail)).max(axis=1)
            >= need
            for row, tail, need in zip(rows, row_tails, fewest, strict=True)
        ]
        cost = stop + 1 + float(np.mean(alive)) * (width - stop)
        if cost < best:
            best, chosen = cost, stop
    return chosen


def _counts(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the bits along the last axis."""
    flat = np.ascontiguousarray(words).reshape(-1, words.shape[-1])
    return count_bits(flat).reshape(words.shape[:-1])


def _telling_bits_first(words: NDArray[np.uint64]) -> NDArray[np.int64] | None:
    """Order bits by how far from one half their frequency is, nearest first.

    The first half of the words then decides about most pairs. None where all bits are
    much alike, as after diffusion, and where there is only one word.
    """
    sample = words[:: max(len(words) // _SAMPLE, 1)]
    counts = np.zeros(64 * words.shape[1], np.int64)
    count_columns(np.ascontiguousarray(sample), counts)
    from_half = np.abs(counts / len(sample) - 0.5)
    if words.shape[1] < 2 or np.median(from_half) < 0.1:
        return None
    return np.argsort(from_half, kind="stable")


def _reordered(words: NDArray[np.uint64], order: NDArray[np.int64] | None) -> NDArray[np.uint64]:
    if order is None:
        return np.ascontiguousarray(words)
    out = np.empty_like(words)
    reorder_bits(words, order, out)
    return out
