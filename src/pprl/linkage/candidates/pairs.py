"""Scored pairs, and putting them in order, each once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.exchange.links import SCHEMA, Links
from pprl.kernels.pairs import best_in_order
from pprl.linkage.candidates.tiling import Tiling

_MANY = 1 << 22
_BIN = 0.005


@dataclass(frozen=True)
class Pairs:
    """Scored pairs by number.

    Attributes:
        left, right: (p,) int64 row or record numbers in either file.
        similarity: (p,) float64.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Pairs:
        """Select pairs by place, mask or slice."""
        return Pairs(self.left[places], self.right[places], self.similarity[places])

    def to_links(
        self, a: Encodings, b: Encodings, probability: NDArray[np.float64] | None = None
    ) -> Links:
        """Give pairs of records their record ids, and a probability where there is one."""
        columns = [
            a.unique_ids().take(pa.array(self.left)),
            b.unique_ids().take(pa.array(self.right)),
            pa.array(self.similarity),
            pa.nulls(len(self), pa.float64()) if probability is None else pa.array(probability),
        ]
        return Links(pa.table(columns, schema=SCHEMA))

    @classmethod
    def concat(cls, parts: list[Pairs]) -> Pairs:
        """Join parts in their order."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(part.left for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.right for part in parts)]),
            np.concatenate([np.empty(0, np.float64), *(part.similarity for part in parts)]),
        )


@dataclass(frozen=True)
class Reduction:
    """From pairs of rows to the pairs of records that are wanted, in order."""

    left_records: NDArray[np.int64] | None
    right_records: NDArray[np.int64] | None
    within: bool
    top: int | None

    @classmethod
    def make(cls, a: Encodings, b: Encodings | None, top: int | None) -> Reduction:
        """Plan the reduction for two files, or for one with itself."""
        left, right = (
            None if one.variants is None else one.record_numbers() for one in (a, b or a)
        )
        return cls(left, right, b is None, top)

    def run(self, tiling: Tiling, start: int, end: int) -> Pairs:
        """Compare a block of rows; in memory bounded by what is kept, if ``top`` is given."""
        kept: list[Pairs] = []
        waiting = 0
        for left, right, similarity in tiling.compare(start, end):
            chunk = self.records(left, right, similarity)
            kept.append(chunk)
            waiting += len(chunk)
            if self.top and waiting > _MANY:
                kept = [self.reduce(Pairs.concat(kept))]
                waiting = 0
        return self.reduce(Pairs.concat(kept))

    def records(
        self, left: NDArray[np.int64], right: NDArray[np.int64], similarity: NDArray[np.float64]
    ) -> Pairs:
        """Turn rows into the records that they are encodings of."""
        return Pairs(
            left if self.left_records is None else self.left_records[left],
            right if self.right_records is None else self.right_records[right],
            similarity,
        )

    def reduce(self, pairs: Pairs) -> Pairs:
        """Keep each wanted pair once, with its best similarity, in order."""
        if self.within:
            pairs = pairs.take(pairs.left != pairs.right if self.top else pairs.left < pairs.right)
        pairs = sorted_once(pairs)
        return most_similar(pairs, self.top) if self.top else pairs


def sorted_once(pairs: Pairs) -> Pairs:
    """Sort pairs by left and then right, each once, with its best similarity."""
    if not len(pairs):
        return pairs
    n = len(pairs)
    low = pairs.left.min()
    left = pairs.left - low
    rights = int(pairs.right.max()) + 1
    out = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.float64)
    count = best_in_order(
        left,
        pairs.right,
        pairs.similarity,
        np.zeros(int(left.max()) + 2, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.float64),
        np.empty(rights, np.float64),
        np.zeros(-(-rights // 64), np.uint64),
        *out,
    )
    return Pairs(out[0][:count] + low, out[1][:count], out[2][:count])


def most_similar(pairs: Pairs, top: int) -> Pairs:
    """Keep the ``top`` most similar of each left record, in the order of the pairs."""
    ranked = np.lexsort((pairs.right, -pairs.similarity, pairs.left))
    left = pairs.left[ranked]
    rank = np.arange(len(left)) - np.searchsorted(left, left)
    return pairs.take(np.sort(ranked[rank < top]))


def by_similarity(pairs: NDArray[np.float64], links: NDArray[np.float64]) -> pa.Table:
    """Count pairs, and links among them, in bins of similarity that are not empty."""
    edges = np.linspace(0.0, 1.0, round(1 / _BIN) + 1)
    counts = [np.histogram(values, edges)[0] for values in (pairs, links)]
    filled = counts[0] > 0
    return pa.table(
        {
            "similarity": edges[:-1][filled].round(3),
            "pairs": counts[0][filled],
            "links": counts[1][filled],
        }
    )
