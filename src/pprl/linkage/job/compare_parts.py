"""The parts that compare: a bucket of a blocking pass, or two chunks with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.rows import EncodingsFile
from pprl.kernels.join import pairs_in_blocks
from pprl.linkage.candidates.blocked import shared_blocks
from pprl.linkage.candidates.similarity import fewest_common_bits, similarity
from pprl.linkage.candidates.tiling import Tiling
from pprl.linkage.job.plan import Chunk, Plan
from pprl.linkage.job.rows import Rows, bucket_rows, joined, read_chunk
from pprl.linkage.job.spill import RunWriter, sorted_part
from pprl.linkage.job.spilled import Order, Spilled

_OUTPUT = 1 << 16
_STEP = 64
_TILE_ROWS = 1024

Found = tuple[Rows, Rows, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int]
"""Left rows, right rows, places in either, Dice similarities, pairs compared."""


class Scoring(Protocol):
    """What scores pairs: `pprl.linkage.job.fitted.Scorer`."""

    def plausible(self, rows: Rows, side: int) -> Rows:
        """Set filters aside that no record can have."""

    def score(
        self,
        left: Rows,
        right: Rows,
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        similarity: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Score pairs of rows; return the places of those that may become links, and scores."""


def write_bucket_pairs(
    plan: Plan,
    at: int,
    bucket: int,
    left: Sequence[Path],
    right: Sequence[Path],
    floor: float,
    scorer: Scoring | None,
    order: Order,
    limit: int,
    path: Path,
) -> dict[str, int]:
    """Compare the pairs of a bucket that share the pass's key and no earlier pass's.

    Without a scorer they are ranked by Dice similarity.
    """
    one = plan.passes[at]
    sizes = one.left_rows[bucket], one.right_rows[bucket]
    with sorted_part(path, order, plan.spill, limit, scored=scorer is not None) as writer:
        compared = 0
        for found in pairs_of_bucket(plan.bits, at, bucket, left, right, sizes, floor, scorer):
            compared += found[-1]
            _add(writer, found, scorer)
        writer.facts["compared"] = compared
    return {"pairs": compared, "found": writer.found}


def pairs_of_bucket(
    bits: int,
    at: int,
    bucket: int,
    left: Sequence[Path],
    right: Sequence[Path],
    sizes: tuple[int, int],
    floor: float,
    scorer: Scoring | None,
) -> Iterator[Found]:
    """Hold the smaller side of a bucket, and go through the other chunk by chunk."""
    if not all(sizes):
        return

    def ready(rows: Rows, side: int) -> Rows:
        return by_key(rows if scorer is None else scorer.plausible(rows, side), at)

    if sizes[0] < sizes[1]:
        held = joined(bucket_rows(left, at, bucket), sizes[0])
        if held is not None:
            held = ready(held, 0)
            for rows in bucket_rows(right, at, bucket):
                yield from compare_rows(held, ready(rows, 1), at, floor, bits)
        return
    held = joined(bucket_rows(right, at, bucket), sizes[1])
    if held is not None:
        held = ready(held, 1)
        for rows in bucket_rows(left, at, bucket):
            yield from compare_rows(ready(rows, 0), held, at, floor, bits)


def compare_rows(left: Rows, right: Rows, at: int, floor: float, bits: int) -> Iterator[Found]:
    """Compare the rows that share a key of a pass; both sets are in the order of their keys."""
    orders, blocks = shared_blocks(left.keys[:, at], right.keys[:, at])
    if not len(blocks):
        return
    (low_a, needed_a), (low_b, needed_b) = (_range(rows.bits) for rows in (left, right))
    needed = _needed(floor, low_a, needed_a, low_b, needed_b, bits)
    kinds = left.bits - low_a, right.bits - low_b
    start, compared = np.zeros(2, np.int64), np.zeros(1, np.int64)
    room = max(_OUTPUT, int(blocks[:, 3].max()))
    out = [np.empty(room, np.int64) for _ in range(3)]
    counted = 0
    while start[0] < len(blocks):
        count = pairs_in_blocks(
            blocks,
            orders[0],
            orders[1],
            left.keys,
            right.keys,
            at,
            False,
            left.words,
            right.words,
            kinds[0],
            kinds[1],
            needed,
            start,
            compared,
            out[0],
            out[1],
            out[2],
        )
        i, j, shared = (column[:count].copy() for column in out)
        dice = similarity("dice", shared, left.bits[i], right.bits[j], bits)
        yield left, right, i, j, dice, int(compared[0]) - counted
        counted = int(compared[0])


def write_tile_pairs(
    files: tuple[EncodingsFile, EncodingsFile],
    chunks: tuple[Chunk, Chunk],
    plan: Plan,
    floor: float,
    scorer: Scoring | None,
    order: Order,
    limit: int,
    path: Path,
) -> dict[str, int]:
    """Compare every row of a chunk with every row of another."""
    left, right = (
        read_chunk(file, chunk, (), masked=plan.masked)
        for file, chunk in zip(files, chunks, strict=True)
    )
    if scorer is not None:
        left, right = scorer.plausible(left, 0), scorer.plausible(right, 1)
    tiling = Tiling.of_words(left.words, right.words, floor, "dice", plan.bits)
    compared = len(left) * len(right)
    with sorted_part(path, order, plan.spill, limit, scored=scorer is not None) as writer:
        writer.facts["compared"] = compared
        for start in range(0, len(left), _TILE_ROWS):
            for i, j, dice in tiling.compare(start, min(start + _TILE_ROWS, len(left))):
                _add(writer, (left, right, i, j, dice, 0), scorer)
    return {"pairs": compared, "found": writer.found}


def _add(writer: RunWriter, found: Found, scorer: Scoring | None) -> None:
    left, right, i, j, dice, _ = found
    score = None
    if scorer is not None:
        kept, score = scorer.score(left, right, i, j, dice)
        i, j, dice = i[kept], j[kept], dice[kept]
    writer.add(Spilled(left.record[i], right.record[j], dice, score))


def by_key(rows: Rows, at: int) -> Rows:
    """Put rows beside those they are compared with."""
    return rows.take(np.argsort(rows.keys[:, at], kind="stable"))


def _range(bits: NDArray[np.int64]) -> tuple[int, int]:
    """Bound the numbers of bits by multiples of 64, so that few tables serve all parts."""
    low = int(bits.min()) // _STEP * _STEP
    return low, int(bits.max()) // _STEP * _STEP + _STEP


@lru_cache(maxsize=16)
def _needed(
    floor: float, low_a: int, high_a: int, low_b: int, high_b: int, bits: int
) -> NDArray[np.int32]:
    x, y = np.arange(low_a, high_a), np.arange(low_b, high_b)
    return fewest_common_bits("dice", floor, x, y, bits)
