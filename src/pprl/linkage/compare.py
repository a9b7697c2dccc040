"""Comparing every pair of CLKs, exactly, in tiles, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import TooManyPairs, UsageError
from pprl.exchange.encodings import Encodings, check_compatible, count_bits
from pprl.exchange.links import SCHEMA, Links
from pprl.exchange.threads import in_order, threads
from pprl.kernels.dice import LANES, lay_tiles, pairs_above

ROWS_PER_TASK = 1024
_OUTPUT = 1 << 16

Progress = Callable[[int, int], None]
"""Called with the number of pairs compared so far, and in all."""


@dataclass(frozen=True)
class Pairs:
    """Scored pairs by number, in order of left and then right.

    Attributes:
        left, right: (p,) int64 row or record numbers in either file.
        similarity: (p,) float64 Dice coefficient.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Pairs:
        """Select pairs by place or mask."""
        return Pairs(self.left[places], self.right[places], self.similarity[places])

    def to_links(self, a: Encodings, b: Encodings) -> Links:
        """Give pairs of records their record ids."""
        columns = [
            a.unique_ids().take(pa.array(self.left)),
            b.unique_ids().take(pa.array(self.right)),
            pa.array(self.similarity),
            pa.nulls(len(self), pa.float64()),
        ]
        return Links(pa.table(columns, schema=SCHEMA))


def compare(
    a: Encodings,
    b: Encodings,
    *,
    threshold: float,
    workers: int | None = None,
    max_pairs: int | None = None,
    progress: Progress | None = None,
) -> Links:
    """Find every pair of records whose Dice similarity is at or above a threshold.

    Every pair is compared; none is lost. A CLK without a single bit is similar to
    nothing; of several encodings of one record the best counts. The order is that of
    the records of ``a``, then of ``b``.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder, made with the same schema and key.
        threshold: Dice similarity, 0 to 1.
        workers: Threads; all processors by default. The result does not depend on it.
        max_pairs: Stop with an error when more pairs than this qualify.
        progress: Called after each block of rows.

    Returns:
        ``left_id, right_id, similarity``.

    Raises:
        UsageError: The threshold is outside 0 to 1.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs qualify.
    """
    check_compatible([a.info, b.info])
    pairs = scored_pairs(a, b, threshold, workers=workers, max_pairs=max_pairs, progress=progress)
    return pairs.to_links(a, b)


def scored_pairs(
    a: Encodings,
    b: Encodings,
    threshold: float,
    *,
    workers: int | None = None,
    max_pairs: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """Like `compare`, by record number, for encodings that were checked before.

    Where records have several encodings, the best over their variants counts.
    """
    parts = []
    found = 0
    for part in iterate_pairs(a, b, threshold, workers=workers, progress=progress):
        found += len(part)
        if max_pairs is not None and found > max_pairs:
            raise TooManyPairs(
                f"more than {max_pairs:,} pairs are at or above {threshold}. "
                f"Raise the threshold, or allow more pairs."
            )
        parts.append(part)
    pairs = Pairs(
        np.concatenate([np.empty(0, np.int64), *(part.left for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.right for part in parts)]),
        np.concatenate([np.empty(0, np.float64), *(part.similarity for part in parts)]),
    )
    if a.variants is None and b.variants is None:
        return pairs
    return _best_variants(pairs, a.record_numbers(), b.record_numbers())


def _best_variants(
    pairs: Pairs, a_records: NDArray[np.int64], b_records: NDArray[np.int64]
) -> Pairs:
    """Turn pairs of rows into pairs of records, each once, with its best similarity."""
    left, right = a_records[pairs.left], b_records[pairs.right]
    order = np.lexsort((-pairs.similarity, right, left))
    left, right, similarity = left[order], right[order], pairs.similarity[order]
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(left) != 0) | (np.diff(right) != 0)
    return Pairs(left[first], right[first], similarity[first])


def iterate_pairs(
    a: Encodings,
    b: Encodings,
    threshold: float,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Pairs]:
    """Yield the pairs at or above the threshold, one block of rows of ``a`` at a time."""
    check_threshold(threshold)
    n_threads = threads(workers)
    plan = _Plan.make(b, threshold)
    words = a.words
    done = 0
    with ThreadPoolExecutor(n_threads) as pool:
        tasks = (
            pool.submit(plan.compare, words[start : start + ROWS_PER_TASK], start)
            for start in range(0, len(a), ROWS_PER_TASK)
        )
        for pairs in in_order(tasks, 2 * n_threads):
            done = min(done + ROWS_PER_TASK, len(a))
            if progress:
                progress(done * len(b), len(a) * len(b))
            yield pairs


def check_threshold(threshold: float) -> None:
    """Raise `UsageError` unless the threshold is a number from 0 to 1."""
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"the threshold must be between 0 and 1, not {threshold}.")


@dataclass(frozen=True)
class _Plan:
    """The second file, sorted by popcount and laid out in tiles."""

    order: NDArray[np.int64]
    tiles: NDArray[np.uint64]
    tile_bits: NDArray[np.int64]
    tile_tail_bits: NDArray[np.int64]
    tile_low: NDArray[np.int64]
    tile_high: NDArray[np.int64]
    needed: NDArray[np.int64]
    half: int

    @classmethod
    def make(cls, b: Encodings, threshold: float) -> _Plan:
        words = b.words
        n, width = words.shape
        half = (width + 1) // 2
        bits = count_bits(words)
        order = np.argsort(bits, kind="stable")
        n_tiles = -(-n // LANES)
        tiles = np.zeros((n_tiles, width, LANES), np.uint64)
        lay_tiles(words, order, tiles)
        tile_bits = np.full(n_tiles * LANES, -1, np.int64)
        tile_bits[:n] = bits[order]
        tails = np.zeros(n_tiles * LANES, np.int64)
        tails[:n] = count_bits(words[:, half:])[order]
        lanes = tile_bits.reshape(n_tiles, LANES)
        return cls(
            order,
            tiles,
            lanes,
            tails.reshape(n_tiles, LANES),
            lanes[:, 0].copy(),
            lanes.max(axis=1, initial=-1),
            fewest_common_bits(threshold, 64 * width),
            half,
        )

    def compare(self, rows: NDArray[np.uint64], first_row: int) -> Pairs:
        """Compare a block of rows with every tile; pairs in order of row and right row."""
        row_bits = count_bits(rows)
        row_tail_bits = count_bits(rows[:, self.half :])
        start = np.zeros(2, np.int64)
        found = []
        while start[0] < len(self.tiles):
            out = [np.empty(_OUTPUT, np.int32) for _ in range(3)]
            count = pairs_above(
                rows,
                row_bits,
                row_tail_bits,
                self.tiles,
                self.tile_bits,
                self.tile_tail_bits,
                self.tile_low,
                self.tile_high,
                self.needed,
                self.half,
                start,
                *out,
            )
            found.append([column[:count].copy() for column in out])
        row, place, shared = (
            np.concatenate([np.empty(0, np.int32), *(part[i] for part in found)]) for i in range(3)
        )
        right = self.order[place]
        in_order = np.lexsort((right, row))
        row, place, shared, right = (
            row[in_order],
            place[in_order],
            shared[in_order],
            right[in_order],
        )
        total = row_bits[row] + self.tile_bits.reshape(-1)[place]
        return Pairs(row.astype(np.int64) + first_row, right, 2.0 * shared / total)


def fewest_common_bits(threshold: float, bits: int) -> NDArray[np.int64]:
    """For each sum of two popcounts, the fewest common bits that reach a Dice threshold.

    The bound is decided in the same floating point arithmetic in which the
    similarity is reported, so that a pair is in exactly when
    ``2 * common / total >= threshold``.

    Returns:
        (2 * bits + 1,) int64, never falling with the sum.
    """
    total = np.arange(2 * bits + 1)
    fewest = np.maximum(np.ceil(threshold * total / 2).astype(np.int64) - 1, 0)
    for _ in range(2):
        fewest += 2.0 * fewest / np.maximum(total, 1) < threshold
    return fewest
