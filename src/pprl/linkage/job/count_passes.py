"""What blocking will do, counted from the keys alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pprl.errors import JobError
from pprl.exchange.rows import EncodingsFile

CELLS = 4096
"""Keys are counted by their first twelve bits; a bucket is a range of such cells."""

_SHIFT = np.uint64(52)
# Bytes that a key takes while it is sorted and counted.
_KEY_BYTES = 48


@dataclass(frozen=True, eq=False)
class PassCounts:
    """A pass, counted.

    Attributes:
        left, right: (CELLS,) int64 rows with a key in each cell, without the dropped keys.
        pairs: (CELLS,) int64 pairs that share a key.
        dropped: Keys of blocks that are too large.
        dropped_pairs: Pairs in them.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    pairs: NDArray[np.int64]
    dropped: NDArray[np.uint64]
    dropped_pairs: int


def cells_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the cell of each key, (n,) int64."""
    return (keys >> _SHIFT).astype(np.int64)


def count_passes(
    files: Sequence[EncodingsFile], passes: Sequence[int], largest_block: int | None, memory: int
) -> tuple[list[PassCounts], tuple[int, int]]:
    """Count rows and pairs of each pass, reading the keys as often as memory demands.

    Returns:
        The counts, and the rows of each file without any key in these passes.
    """
    rows = sum(file.info.rows for file in files)
    slices = max(-(-rows * len(passes) * _KEY_BYTES // max(memory, 1)), 1)
    bounds = [CELLS * at // slices for at in range(slices + 1)]
    nothing = np.zeros(CELLS, np.int64)
    made = [PassCounts(nothing, nothing, nothing, np.empty(0, np.uint64), 0) for _ in passes]
    keyless = [0, 0]
    for low, high in pairwise(bounds):
        if low == high:
            continue
        found: list[list[NDArray[np.uint64]]] = []
        for number, file in enumerate(files):
            parts: list[list[NDArray[np.uint64]]] = [[] for _ in passes]
            for _, batch in file.batches(["block_keys"]):
                keys = file.keys(batch)[:, list(passes)]
                if low == 0:
                    keyless[number] += int((keys == 0).all(axis=1).sum())
                for at in range(len(passes)):
                    column = keys[:, at]
                    cell = cells_of(column)
                    parts[at].append(column[(column != 0) & (cell >= low) & (cell < high)])
            found.append([np.concatenate([np.empty(0, np.uint64), *part]) for part in parts])
        made = [_add(one, found[0][at], found[1][at], largest_block) for at, one in enumerate(made)]
    return made, (keyless[0], keyless[1])


def _add(
    counts: PassCounts,
    left: NDArray[np.uint64],
    right: NDArray[np.uint64],
    largest_block: int | None,
) -> PassCounts:
    x, of_left = np.unique(left, return_counts=True)
    y, of_right = np.unique(right, return_counts=True)
    shared, at_x, at_y = np.intersect1d(x, y, assume_unique=True, return_indices=True)
    pairs = of_left[at_x] * of_right[at_y]
    too_large = np.zeros(len(pairs), bool) if largest_block is None else pairs > largest_block
    dropped = shared[too_large]
    sides = [
        np.bincount(
            cells_of(keys), np.where(np.isin(keys, dropped), 0, number), minlength=CELLS
        ).astype(np.int64)
        for keys, number in ((x, of_left), (y, of_right))
    ]
    kept = np.where(too_large, 0, pairs)
    per_cell = np.zeros(CELLS, np.int64)
    np.add.at(per_cell, cells_of(shared), kept)
    return PassCounts(
        counts.left + sides[0],
        counts.right + sides[1],
        counts.pairs + per_cell,
        np.concatenate([counts.dropped, dropped]),
        counts.dropped_pairs + int(pairs[too_large].sum()),
    )


def records_before(file: EncodingsFile, starts: Sequence[int]) -> list[int]:
    """Count the records that begin before each of some rising rows.

    Raises:
        JobError: The variants do not agree with the header's number of records.
    """
    if not file.has_variants:
        return list(starts)
    before = np.zeros(len(starts), np.int64)
    total = 0
    wanted = np.asarray(starts)
    for first, batch in file.batches(["variant"]):
        own = np.concatenate([[0], np.cumsum(batch.column("variant").to_numpy() == 0)])
        inside = (wanted >= first) & (wanted < first + len(batch))
        before[inside] = total + own[wanted[inside] - first]
        total += int(own[-1])
    if total != file.info.records:
        raise JobError(
            f"{file.path}: the header announces {file.info.records:,} records, the file holds "
            f"{total:,}."
        )
    return [int(number) for number in before]
