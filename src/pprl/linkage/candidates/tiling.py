"""Laying out encodings in tiles, and running the comparison kernel over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings, count_bits, count_columns
from pprl.kernels.lanes import LANES, STEP, WORDS
from pprl.kernels.tiles import lay_tiles, list_planes, pairs_above
from pprl.linkage.candidates.similarity import UNREACHABLE, Measure, fewest_common_bits, similarity

_OUTPUT = 1 << 16
_SAMPLE = 500
# So many rows' lists of planes stay in the cache while they meet tile after tile.
_ROWS = 256

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
    bit_order: NDArray[np.int64]
    levels: int
    order: NDArray[np.int64]
    tiles: NDArray[np.uint64]
    tile_bits: NDArray[np.int64]
    tile_kinds: NDArray[np.int64]
    needed: NDArray[np.int32]
    least: NDArray[np.int32]
    possible: NDArray[np.int32]
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
        bit_order = _rarest_first(others)
        # NumPy sorts short integers by their digits.
        short = np.min_scalar_type(other_bits.max(initial=0))
        order = np.argsort(other_bits.astype(short), kind="stable")
        n_tiles = -(-len(others) // LANES)
        tiles = _aligned((n_tiles, len(bit_order) + 1, WORDS))
        lay_tiles(others, order, np.argsort(bit_order), np.empty(64, np.uint64), tiles)

        x, row_kinds = np.unique(row_bits, return_inverse=True)
        y, kinds = np.unique(other_bits[order], return_inverse=True)
        # One more column, for lanes without a record.
        needed = np.full((len(x), len(y) + 1), UNREACHABLE)
        needed[:, :-1] = fewest_common_bits(measure, threshold, x, y, bits)
        least = np.minimum.accumulate(needed[:, ::-1], axis=1)[:, ::-1].copy()
        possible = np.zeros((len(x), len(y) + 2), np.int32)
        np.cumsum(needed < UNREACHABLE, axis=1, out=possible[:, 1:])
        tile_kinds = np.full(n_tiles * LANES, len(y), np.int64)
        tile_kinds[: len(kinds)] = kinds
        return cls(
            words,
            row_bits,
            row_kinds.astype(np.int32),
            order if b is None else None,
            bit_order,
            max(int(row_bits.max(initial=0)).bit_length(), 5),
            order,
            tiles,
            other_bits[order],
            tile_kinds.reshape(n_tiles, LANES),
            needed,
            least,
            possible,
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
        n_tiles = len(self.tiles)
        tile_low = self.tile_kinds[:, 0].copy()
        last_lanes = np.minimum(np.arange(1, n_tiles + 1) * LANES, len(self.order)) - 1
        tile_high = self.tile_kinds.reshape(-1)[last_lanes]
        out = [np.empty(_OUTPUT, np.int32) for _ in range(3)]
        for first in range(start, end, _ROWS):
            last = min(first + _ROWS, end)
            numbers = np.arange(first, last)
            if self.row_order is not None:
                numbers = self.row_order[numbers]
            row_kinds, row_bits = self.row_kinds[numbers], self.row_bits[numbers]
            starts = np.empty(len(numbers) + 1, np.int64)
            places = np.empty(int((-(-row_bits // STEP) * STEP).sum()) + 1, np.int32)
            list_planes(self.words[numbers], self.bit_order, starts, places)
            first_place = -1 if self.row_order is None else first
            at = np.array([max(first_place, 0) // LANES, 0])
            while at[0] < n_tiles:
                count = pairs_above(
                    places,
                    starts,
                    row_bits,
                    row_kinds,
                    self.levels,
                    self.tiles.reshape(n_tiles, -1),
                    self.tile_kinds,
                    tile_low,
                    tile_high,
                    self.needed,
                    self.least,
                    self.possible,
                    first_place,
                    at,
                    np.empty((self.levels + 1) * WORDS, np.uint64),
                    np.empty(LANES, np.uint64),
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


def _rarest_first(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Order bits by how many of a sample of (n, w) words have them, fewest first."""
    counts = count_columns(words[:: max(len(words) // _SAMPLE, 1)])
    return np.argsort(counts, kind="stable")


def _aligned(shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Make room that begins on a cache line, so that no plane lies across two."""
    size = int(np.prod(shape))
    room = np.empty(size + 7, np.uint64)
    first = -(room.ctypes.data // 8) % 8
    return room[first : first + size].reshape(shape)
