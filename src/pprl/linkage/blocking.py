"""Blocking: comparing only pairs that share a key in one of several passes.

Sorted neighbourhood is left out on purpose: it needs keys whose order means something,
and such keys give away what they are made of.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings
from pprl.exchange.threads import in_order, threads
from pprl.kernels.bits import count_columns
from pprl.kernels.join import pairs_in_blocks, sample_bits
from pprl.linkage.similarity import Measure, fewest_common_bits, similarity

_TASK_PAIRS = 4_000_000
_OUTPUT = 1 << 16
_SAMPLE = 20_000
_TELLING_BITS = 256
_MAXIMUM_TABLES = 256
# Nanoseconds to sort a row and to compare a pair, for choosing between plans.
_SORT_NS, _PAIR_NS = 150.0, 40.0


@dataclass(frozen=True)
class KeyBlocking:
    """Compare records that share a blocking key that the holders made.

    Attributes:
        largest_block: A block of more pairs than this is passed over, and reported.
    """

    largest_block: int = 10_000_000

    def keys(self, a: Encodings, b: Encodings) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the keys of both files, (n, passes) uint64, 0 for none.

        Raises:
            UsageError: A file has no blocking keys.
        """
        if a.block_keys is None or b.block_keys is None:
            raise UsageError(
                "the encodings have no blocking keys. Add blocking passes to the schema and "
                "let the holders encode again, or compare without blocking."
            )
        return a.block_keys, b.block_keys


@dataclass(frozen=True)
class HammingLSH:
    """Compare records whose CLKs agree in one of several random selections of bits.

    The bits and tables are planned from the bits' frequencies. Meant for CLKs without
    diffusion: after it, similar records differ in too many bits.

    Source: Durham, A framework for accurate, efficient private record linkage (2012),
    chapter 5; the choice of bits by their entropy is ours.

    Attributes:
        recall: The share of pairs at ``similarity`` that some table should bring
            together; of more similar ones more.
        similarity: Dice similarity of the least similar pairs that are wanted.
        seed: Another number selects other bits; with the files' key check it makes the
            selection unlike that of any other project.
        largest_block: A block of more pairs than this is passed over, and reported.
    """

    recall: float = 0.99
    similarity: float = 0.8
    seed: int = 0
    largest_block: int = 10_000_000

    def __post_init__(self) -> None:
        if not 0.0 < self.recall < 1.0 or not 0.0 < self.similarity < 1.0:
            raise UsageError("recall and similarity must be between 0 and 1, both excluded.")

    def plan(self, a: Encodings, b: Encodings) -> LSHPlan:
        """Choose bits and tables for two files."""
        return LSHPlan.make(self, a, b)

    def keys(self, a: Encodings, b: Encodings) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the keys of both files, (n, tables) uint64, 0 for an empty CLK.

        Raises:
            UsageError: The recall cannot be reached with a sensible number of tables.
        """
        plan = self.plan(a, b)
        if plan.tables > _MAXIMUM_TABLES:
            raise UsageError(
                f"finding {self.recall:.1%} of the pairs of similarity {self.similarity:g} takes "
                f"{plan.tables:,} tables of {plan.bits} bits on these encodings. Compare without "
                f"blocking, or block by keys that the holders make."
            )
        seed = f"{a.info.key_check}/{self.seed}".encode()
        rng = np.random.default_rng(list(hashlib.sha256(seed).digest()))
        places = np.stack(
            [rng.choice(plan.telling, plan.bits, replace=False) for _ in range(plan.tables)]
        )
        made = []
        for one in (a, b):
            keys = np.empty((len(one), plan.tables), np.uint64)
            sample_bits(one.words, places, keys)
            keys[one.popcounts() == 0] = 0
            made.append(keys)
        return made[0], made[1]


Blocking = KeyBlocking | HammingLSH


@dataclass(frozen=True, eq=False)
class LSHPlan:
    """What `HammingLSH` chose, and what it expects.

    Attributes:
        telling: The bits that tables are drawn from, by entropy.
        bits: Bits of a table's key.
        tables: Number of tables.
        recall: Expected share of the pairs at the wanted similarity.
        comparisons: Expected comparisons of pairs that are no matches, if bits were
            independent; real files have more.
    """

    telling: NDArray[np.int64]
    bits: int
    tables: int
    recall: float
    comparisons: float

    @classmethod
    def make(cls, wanted: HammingLSH, a: Encodings, b: Encodings) -> LSHPlan:
        """Choose the cheapest plan that reaches the recall."""
        frequency = (_frequencies(a) + _frequencies(b)) / 2
        spread = frequency * (1 - frequency)
        telling = np.argsort(-spread, kind="stable")[: min(_TELLING_BITS, (spread > 0).sum())]
        if not len(telling):
            raise UsageError("every CLK is the same; there is nothing to block by.")
        # Pairs of one similarity vary; a tenth more differing bits keeps the promise.
        differing = 1.1 * 2 * frequency.sum() * (1 - wanted.similarity)
        # A differing bit is the likelier at a place, the more that place varies.
        agree = 1 - np.minimum(differing * spread[telling] / spread.sum(), 0.999)
        same = frequency[telling] ** 2 + (1 - frequency[telling]) ** 2
        log_agree, log_same = np.log(agree).mean(), np.log(same).mean()
        plans = []
        for bits in range(4, min(63, len(telling)) + 1):
            hit = math.exp(bits * log_agree)
            tables = math.ceil(math.log(1 - wanted.recall) / math.log1p(-min(hit, 1 - 1e-12)))
            pairs = tables * len(a) * len(b) * math.exp(bits * log_same)
            cost = tables * (len(a) + len(b)) * _SORT_NS + pairs * _PAIR_NS
            plans.append((cost, bits, tables, 1 - (1 - hit) ** tables, pairs))
        _, bits, tables, recall, pairs = min(plans)
        return cls(telling, bits, tables, recall, pairs)


@dataclass(frozen=True)
class BlockingReport:
    """What blocking left out.

    Attributes:
        compared: Pairs of rows that were compared, each counted once.
        all_pairs: Pairs of rows there are.
        keyless: Rows of each file without any key, which nothing is compared with.
        dropped_blocks: Blocks that were too large, by pass.
        dropped_pairs: Pairs in them.
    """

    compared: int
    all_pairs: int
    keyless: tuple[int, int]
    dropped_blocks: dict[str, int]
    dropped_pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``linkage.json``."""
        return asdict(self) | {"reduction_ratio": self.reduction_ratio}

    @property
    def reduction_ratio(self) -> float:
        """The share of pairs that were not compared."""
        return 1 - self.compared / self.all_pairs if self.all_pairs else 0.0


class BlockedComparison:
    """Compares the pairs of two files, or of one with itself, that share a key."""

    def __init__(
        self, a: Encodings, b: Encodings | None, threshold: float, measure: Measure, how: Blocking
    ) -> None:
        self._a, self._b, self._how, self._measure = a, b or a, how, measure
        self._within = b is None
        self._keys = how.keys(a, self._b)
        self._keyless = [int((one == 0).all(axis=1).sum()) for one in self._keys]
        self._bits = [one.popcounts() for one in (a, self._b)]
        (x, kinds_a), (y, kinds_b) = (np.unique(bits, return_inverse=True) for bits in self._bits)
        self._kinds = kinds_a, kinds_b
        self._needed = fewest_common_bits(measure, threshold, x, y, a.info.bits)
        self._compared = 0
        self._dropped: dict[str, int] = {}
        self._dropped_pairs = 0

    def chunks(
        self, workers: int | None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        """Yield rows and similarities of pairs at or above the threshold, pass by pass."""
        n_threads = threads(workers)
        words = self._a.words, self._b.words
        with ThreadPoolExecutor(n_threads) as pool:
            for at in range(self._keys[0].shape[1]):
                orders, blocks = self._blocks(at)
                tasks = (
                    pool.submit(self._compare, at, part, orders, words) for part in _tasks(blocks)
                )
                for found, compared in in_order(tasks, 2 * n_threads):
                    self._compared += compared
                    yield from found

    def report(self) -> BlockingReport:
        """Say what was compared and what was not; complete when all chunks were taken."""
        n, m = len(self._a), len(self._b)
        return BlockingReport(
            self._compared,
            n * (n - 1) // 2 if self._within else n * m,
            (self._keyless[0], self._keyless[1]),
            self._dropped,
            self._dropped_pairs,
        )

    def _blocks(
        self, at: int
    ) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]:
        """Find the keys of a pass that both files have, and the rows that have them.

        The keys of blocks that are passed over are erased, so that later passes do not
        take their pairs for compared.
        """
        orders, blocks = shared_blocks(self._keys[0][:, at], self._keys[1][:, at])
        too_large = blocks[:, 1] * blocks[:, 3] > self._how.largest_block
        if too_large.any():
            by_key = isinstance(self._how, KeyBlocking)
            name = list(self._a.info.blocking)[at] if by_key else "lsh"
            self._dropped[name] = self._dropped.get(name, 0) + int(too_large.sum())
            self._dropped_pairs += int((blocks[too_large, 1] * blocks[too_large, 3]).sum())
            dropped = self._keys[0][orders[0][blocks[too_large, 0]], at]
            kept = self._keys[0].copy(), self._keys[1].copy()
            for keys in kept:
                keys[np.isin(keys[:, at], dropped), at] = 0
            self._keys = kept
        return orders, blocks[~too_large]

    def _compare(
        self,
        at: int,
        blocks: NDArray[np.int64],
        orders: tuple[NDArray[np.int64], NDArray[np.int64]],
        words: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    ) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]], int]:
        start, compared, found = np.zeros(2, np.int64), np.zeros(1, np.int64), []
        room = max(_OUTPUT, int(blocks[:, 3].max(initial=0)))
        while start[0] < len(blocks):
            out = [np.empty(room, np.int64) for _ in range(3)]
            count = pairs_in_blocks(
                blocks,
                orders[0],
                orders[1],
                self._keys[0],
                self._keys[1],
                at,
                self._within,
                words[0],
                words[1],
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
            score = similarity(
                self._measure,
                shared,
                self._bits[0][left],
                self._bits[1][right],
                self._a.info.bits,
            )
            found.append((left, right, score))
        return found, int(compared[0])


def shared_blocks(
    keys_a: NDArray[np.uint64], keys_b: NDArray[np.uint64]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]:
    """Find the keys that two sets of rows share; 0 is no key.

    Returns:
        The rows of either set that have a key, by key, and (k, 4) first place and number
        there of the rows with each shared key, of a and of b.
    """
    orders, uniques, starts, counts = [], [], [], []
    for keys in (keys_a, keys_b):
        order = np.argsort(keys, kind="stable")
        order = order[np.count_nonzero(keys == 0) :]
        unique, start, count = np.unique(keys[order], return_index=True, return_counts=True)
        orders.append(order)
        uniques.append(unique)
        starts.append(start)
        counts.append(count)
    _, left, right = np.intersect1d(uniques[0], uniques[1], assume_unique=True, return_indices=True)
    blocks = np.stack(
        [starts[0][left], counts[0][left], starts[1][right], counts[1][right]], axis=1
    )
    return (orders[0], orders[1]), blocks


def _tasks(blocks: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut blocks into tasks of about the same number of pairs."""
    if len(blocks):
        task = np.cumsum(blocks[:, 1] * blocks[:, 3]) // _TASK_PAIRS
        yield from np.split(blocks, np.flatnonzero(np.diff(task)) + 1)


def _frequencies(encodings: Encodings) -> NDArray[np.float64]:
    words = encodings.words
    sample = np.ascontiguousarray(words[:: max(len(words) // _SAMPLE, 1)])
    counts = np.zeros(64 * words.shape[1], np.int64)
    count_columns(sample, counts)
    return counts / max(len(sample), 1)
