"""Finding blocks, comparing the pairs in them, and saying what was left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.exchange.threads import in_order, threads
from pprl.kernels.join import pairs_in_blocks
from pprl.linkage.candidates.blocking import (
    Blocking,
    BlockingReport,
    KeyBlocking,
    Method,
    PassReport,
    PSig,
    as_union,
)
from pprl.linkage.candidates.similarity import Measure, fewest_common_bits, similarity
from pprl.linkage.candidates.tiling import Chunk, Tiling

_TASK_PAIRS = 4_000_000
_TASK_ROWS = 1024
_OUTPUT = 1 << 16
_TILED = 1_000_000
"""Pairs of a block from which on it is laid out in tiles, where a pair costs a tenth."""
_FEW_PASSES = 6
"""Earlier passes up to which it is: the pairs that they met are counted by combinations of them."""


class BlockedComparison:
    """Compares the pairs of two files, or of one with itself, that share a key."""

    def __init__(
        self, a: Encodings, b: Encodings | None, threshold: float, measure: Measure, how: Blocking
    ) -> None:
        union = as_union(how)
        self._a, self._b, self._measure, self._threshold = a, b or a, measure, threshold
        self._within = b is None
        self._unreachable = union.unreachable
        keys = [method.keys(a, self._b) for method in union.methods]
        # Copies: keys of blocks that are passed over are struck out.
        self._keys = [np.concatenate(part, axis=1) for part in zip(*keys, strict=True)]
        self._columns: list[tuple[str, Method]] = []
        for method, (made, _) in zip(union.methods, keys, strict=True):
            names = _pass_names(method, a, made.shape[1])
            self._columns += [(name, method) for name in names]
        if self._within:
            self._keys[1] = self._keys[0]
        self._words = self._a.words, self._b.words
        self._keyless = [~keys.any(axis=1) for keys in self._keys]
        self._bits = [one.popcounts() for one in (a, self._b)]
        (x, kinds_a), (y, kinds_b) = (np.unique(bits, return_inverse=True) for bits in self._bits)
        self._kinds = kinds_a, kinds_b
        self._needed = fewest_common_bits(measure, threshold, x, y, a.info.bits)
        self._compared = 0
        self._passes: dict[str, PassReport] = {}
        self.share_done = 0.0

    def chunks(self, workers: int | None) -> Iterator[Chunk]:
        """Yield rows and similarities of pairs at or above the threshold, pass by pass."""
        n_threads = threads(workers)
        with ThreadPoolExecutor(n_threads) as pool:
            for at in range(len(self._columns)):
                orders, blocks = self._blocks(at)
                large = (blocks[:, 1] * blocks[:, 3] >= _TILED) & (at <= _FEW_PASSES)
                yield from self._large(at, blocks[large], orders, pool, 2 * n_threads)
                parts = list(_tasks(blocks[~large]))
                tasks = (pool.submit(self._compare, at, part, orders) for part in parts)
                done = enumerate(in_order(tasks, 2 * n_threads), start=1)
                for number, (found, compared) in done:
                    self._compared += compared
                    self.share_done = (at + number / len(parts)) / len(self._columns)
                    yield from found
            if self._unreachable == "compare":
                yield from self._unreached(pool, 2 * n_threads)

    def report(self) -> BlockingReport:
        """Say what was compared and what was not; complete when all chunks were taken."""
        n, m = len(self._a), len(self._b)
        keyless = [int(none.sum()) for none in self._keyless]
        left = [int((~keys.any(axis=1)).sum()) for keys in self._keys]
        return BlockingReport(
            self._compared,
            n * (n - 1) // 2 if self._within else n * m,
            (keyless[0], keyless[1]),
            (left[0] - keyless[0], left[1] - keyless[1]),
            self._unreachable,
            tuple(self._passes.values()),
        )

    def _blocks(self, at: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """Find the keys of a pass that both files have, and the rows that have them."""
        name, method = self._columns[at]
        other = None if self._within else self._keys[1][:, at]
        (order_a, order_b), blocks = shared_blocks(self._keys[0][:, at], other)
        if self._within:
            blocks = blocks[blocks[:, 1] > 1]
        x, y = blocks[:, 1], blocks[:, 3]
        pairs = x * (x - 1) // 2 if self._within else x * y
        keep = np.ones(len(blocks), bool)
        if method.largest_block is not None:
            keep &= x * y <= method.largest_block
        if isinstance(method, PSig):
            keep &= method.keeps(x, y, len(self._a), len(self._b))
        # What is not compared here must not count as met when a later pass looks back.
        dropped = blocks[~keep]
        self._keys[0][order_a[_spread(dropped[:, 0], dropped[:, 1])], at] = 0
        self._keys[1][order_b[_spread(dropped[:, 2], dropped[:, 3])], at] = 0
        self._note(name, pairs, keep, x, y)
        return [order_a, order_b], blocks[keep]

    def _note(
        self,
        name: str,
        pairs: NDArray[np.int64],
        keep: NDArray[np.bool_],
        x: NDArray[np.int64],
        y: NDArray[np.int64],
    ) -> None:
        before = self._passes.get(name, PassReport(name, 0, 0, 0, 0, (0, 0)))
        largest = before.largest_dropped
        if not keep.all():
            at = np.argmax(np.where(keep, -1, pairs))
            largest = max(largest, (int(x[at]), int(y[at])), key=lambda rows: rows[0] * rows[1])
        self._passes[name] = PassReport(
            name,
            before.blocks + int(keep.sum()),
            before.pairs + int(pairs[keep].sum()),
            before.dropped_blocks + int((~keep).sum()),
            before.dropped_pairs + int(pairs[~keep].sum()),
            largest,
        )

    def _compare(
        self, at: int, blocks: NDArray[np.int64], orders: list[NDArray[np.int64]]
    ) -> tuple[list[Chunk], int]:
        start, compared, found = np.zeros(2, np.int64), np.zeros(1, np.int64), []
        room = max(_OUTPUT, int(blocks[:, 3].max(initial=0)))
        out = [np.empty(room, np.int64) for _ in range(3)]
        while start[0] < len(blocks):
            count = pairs_in_blocks(
                blocks,
                orders[0],
                orders[1],
                self._keys[0],
                self._keys[1],
                at,
                self._within,
                self._words[0],
                self._words[1],
                self._kinds[0],
                self._kinds[1],
                self._needed,
                start,
                compared,
                out[0],
                out[1],
                out[2],
            )
            left, right, shared = (column[:count].copy() for column in out)
            x, y = self._bits[0][left], self._bits[1][right]
            score = similarity(self._measure, shared, x, y, self._a.info.bits)
            found.append((left, right, score))
        return found, int(compared[0])

    def _large(
        self,
        at: int,
        blocks: NDArray[np.int64],
        orders: list[NDArray[np.int64]],
        pool: ThreadPoolExecutor,
        ahead: int,
    ) -> Iterator[Chunk]:
        """Compare large blocks in tiles, and leave out the pairs that an earlier pass met."""
        for first, count, first_b, count_b in blocks.tolist():
            rows = np.sort(orders[0][first : first + count])
            others = None if self._within else np.sort(orders[1][first_b : first_b + count_b])
            second = None if others is None else take_rows(self._b, others)
            tiling = Tiling.make(take_rows(self._a, rows), second, self._threshold, self._measure)
            pairs = tiling.pairs_before(len(rows))
            self._compared += pairs - self._met_earlier(at, rows, others)
            compare = partial(_all_chunks, tiling, len(rows))
            tasks = (pool.submit(compare, start) for start in range(0, len(rows), _TASK_ROWS))
            for found in in_order(tasks, ahead):
                for left, right, score in found:
                    i, j = rows[left], (rows if others is None else others)[right]
                    new = np.ones(len(i), bool)
                    for earlier in range(at):
                        key = self._keys[0][i, earlier]
                        new &= (key == 0) | (key != self._keys[1][j, earlier])
                    yield i[new], j[new], score[new]

    def _met_earlier(
        self, at: int, rows: NDArray[np.int64], others: NDArray[np.int64] | None
    ) -> int:
        """Count the pairs of a block that share a key of an earlier pass.

        Pairs that share keys of several are counted once: inclusion and exclusion.
        """
        met = 0
        for many in range(1, at + 1):
            for passes in combinations(range(at), many):
                columns = list(passes)
                own = self._keys[0][rows][:, columns]
                if others is None:
                    _, counts = _counted(own)
                    shared = int((counts * (counts - 1) // 2).sum())
                else:
                    shared = _shared_pairs(own, self._keys[1][others][:, columns])
                met += shared if many % 2 else -shared
        return met

    def _unreached(self, pool: ThreadPoolExecutor, ahead: int) -> Iterator[Chunk]:
        """Compare the rows without a key with all others, each pair once."""
        everything = np.arange(len(self._a)), np.arange(len(self._b))
        # Empty filters are similar to nothing.
        alone = [
            np.flatnonzero(none & (bits > 0))
            for none, bits in zip(self._keyless, self._bits, strict=True)
        ]
        rest = [np.setdiff1d(every, one) for every, one in zip(everything, alone, strict=True)]
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64] | None]]
        if self._within:
            parts = [(alone[0], rest[0]), (alone[0], None)]
        else:
            parts = [(alone[0], everything[1]), (rest[0], alone[1])]
        for rows, others in parts:
            if not len(rows) or (others is not None and not len(others)):
                continue
            second = None if others is None else take_rows(self._b, others)
            tiling = Tiling.make(take_rows(self._a, rows), second, self._threshold, self._measure)
            self._compared += tiling.pairs_before(len(rows))
            compare = partial(_all_chunks, tiling, len(rows))
            tasks = (pool.submit(compare, at) for at in range(0, len(rows), _TASK_ROWS))
            for found in in_order(tasks, ahead):
                for left, right, score in found:
                    i, j = rows[left], (rows if others is None else others)[right]
                    if self._within:
                        i, j = np.minimum(i, j), np.maximum(i, j)
                    yield i, j, score


def shared_blocks(
    keys_a: NDArray[np.uint64], keys_b: NDArray[np.uint64] | None
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]:
    """Find the keys that two sets of rows share, or one has; 0 is no key.

    Returns:
        The rows of either set that have a key, by key, and (k, 4) first place and number
        there of the rows with each shared key, of a and of b.
    """
    runs = [_runs(keys) for keys in (keys_a, keys_b) if keys is not None]
    (unique_a, starts_a, counts_a, order_a) = runs[0]
    (unique_b, starts_b, counts_b, order_b) = runs[-1]
    place = np.searchsorted(unique_b, unique_a)
    in_both = place < len(unique_b)
    in_both[in_both] = unique_b[place[in_both]] == unique_a[in_both]
    here = place[in_both]
    blocks = np.stack(
        [starts_a[in_both], counts_a[in_both], starts_b[here], counts_b[here]], axis=1
    )
    return (order_a, order_b), blocks


def _runs(
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sort rows by key: the distinct keys, where each begins, how many, and the row numbers.

    Where they fit into one word, key and row number are sorted together, which is several
    times as fast.
    """
    row_bits = len(keys).bit_length()
    rows = np.flatnonzero(keys)
    made = keys[rows]
    if int(made.max(initial=0)).bit_length() + row_bits <= 64:
        shift = np.uint64(row_bits)
        made = np.sort((made << shift) | rows.astype(np.uint64))
        order = (made & ((np.uint64(1) << shift) - np.uint64(1))).astype(np.int64)
        made >>= shift
    else:
        sort = np.argsort(made)
        order, made = rows[sort], made[sort]
    starts = np.flatnonzero(np.append(True, made[1:] != made[:-1])[: len(made)])
    return made[starts], starts, np.diff(np.append(starts, len(made))), order


def _counted(
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Count the rows of each combination of keys, without those that lack one."""
    found, counts = np.unique(keys[(keys > 0).all(axis=1)], axis=0, return_counts=True)
    return found, counts.astype(np.int64)


def _shared_pairs(x: NDArray[np.uint64], y: NDArray[np.uint64]) -> int:
    """Count the pairs of rows that have the same keys, and lack none."""
    (one, of_one), (other, of_other) = _counted(x), _counted(y)
    _, number = np.unique(np.concatenate([one, other]), axis=0, return_inverse=True)
    number = number.reshape(-1)
    counts = np.zeros((2, int(number.max(initial=-1)) + 1), np.int64)
    counts[0, number[: len(one)]] = of_one
    counts[1, number[len(one) :]] = of_other
    return int((counts[0] * counts[1]).sum())


def _spread(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the places of runs: start, start + 1, ... for each."""
    before = np.cumsum(counts) - counts
    places: NDArray[np.int64] = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    return places


def take_rows(one: Encodings, rows: NDArray[np.int64]) -> Encodings:
    """Take some rows, without what comparing filters does not need; each is then a record."""
    return dataclasses.replace(
        one,
        info=one.info.model_copy(update={"records": len(rows), "rows": len(rows)}),
        record_ids=one.record_ids.take(pa.array(rows)),
        clks=one.clks[rows],
        variants=None,
        present=None,
        block_keys=None,
    )


def _pass_names(method: Method, a: Encodings, passes: int) -> list[str]:
    if isinstance(method, (KeyBlocking, PSig)):
        return method.names(a)
    return [method.label] * passes


def _all_chunks(tiling: Tiling, end: int, start: int) -> list[Chunk]:
    return list(tiling.compare(start, min(start + _TASK_ROWS, end)))


def _tasks(blocks: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut blocks into tasks of about the same number of pairs."""
    if len(blocks):
        task = np.cumsum(blocks[:, 1] * blocks[:, 3]) // _TASK_PAIRS
        yield from np.split(blocks, np.flatnonzero(np.diff(task)) + 1)
