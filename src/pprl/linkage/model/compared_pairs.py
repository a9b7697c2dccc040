"""Pairs of records with what comparing them costs most: the common bits of each CLK group.

They are counted once and kept; comparison vectors, duplicates and scores are made of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import EncodingInfo, Encodings, count_bits
from pprl.kernels.groups import common_bits
from pprl.linkage.candidates.pairs import Pairs

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Side:
    """One file, laid out for looking at pairs.

    Attributes:
        words: (n, words) CLKs; those of the first rows where the file was sampled, and the
            others' common bits were counted when they were read.
        groups: (groups + 1,) first word of each group, and the end.
        sizes: (n, groups) set bits of each group.
        mask: (n, fields) which fields have a value; None without masks.
        starts: (records + 1,) first row of each record, and the end; None where each
            record has one row.
        info: The file's header.
    """

    words: NDArray[np.uint64]
    groups: Rows
    sizes: NDArray[np.int64]
    mask: NDArray[np.bool_] | None
    starts: Rows | None
    info: EncodingInfo

    @classmethod
    def of(cls, encodings: Encodings) -> Side:
        """Lay out a file."""
        made = cls.of_rows(encodings.words, encodings.present, encodings.info)
        if encodings.variants is None:
            return made
        records = np.arange(encodings.info.records + 1)
        return replace(made, starts=np.searchsorted(encodings.record_numbers(), records))

    @classmethod
    def of_rows(
        cls, words: NDArray[np.uint64], present: NDArray[np.uint8] | None, info: EncodingInfo
    ) -> Side:
        """Lay out rows, each of which counts as a record."""
        groups = group_starts(info)
        sizes = [
            count_bits(np.ascontiguousarray(words[:, first:last]))
            for first, last in pairwise(groups)
        ]
        return cls(words, groups, np.stack(sizes, axis=1), fields_of(present, info), None, info)

    @cached_property
    def fingerprints(self) -> NDArray[np.uint64]:
        """A number for each filter that equal ones have in common: (n, groups)."""
        return fingerprints(self.words, self.groups)

    @property
    def records(self) -> int:
        """Number of records."""
        return self.info.records

    def common(self, other: Side, left: Rows, right: Rows) -> NDArray[np.int32]:
        """Count the common bits of each group of pairs of rows: (p, groups)."""
        shared = np.empty((len(left), len(self.groups) - 1), np.int32)
        common_bits(self.words, other.words, left, right, self.groups, shared)
        return shared

    def dice(self, other: Side, left: Rows, right: Rows) -> NDArray[np.float64]:
        """Return the Dice similarity of each group of pairs of rows: (p, groups)."""
        sizes = self.sizes[left] + other.sizes[right]
        found: NDArray[np.float64] = 2.0 * self.common(other, left, right) / np.maximum(sizes, 1)
        return found


@dataclass(frozen=True, eq=False)
class ComparedPairs:
    """Pairs of records between two files, or within one.

    Attributes:
        left: The file of the left records.
        right: The file of the right records; within a file the same value.
        pairs: (p,) the pairs, with their Dice similarity.
        weight: (p,) importance weight: how many pairs between the files each represents.
    """

    left: Side
    right: Side
    pairs: Pairs
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pairs)

    @classmethod
    def of(cls, left: Side, right: Side, pairs: Pairs) -> ComparedPairs:
        """Take pairs that represent one each."""
        return cls(left, right, pairs, np.ones(len(pairs)))

    @classmethod
    def known(
        cls,
        left: Side,
        right: Side,
        pairs: Pairs,
        rows: tuple[Rows, Rows],
        shared: NDArray[np.int32],
    ) -> ComparedPairs:
        """Take pairs whose rows and common bits were found when they were compared."""
        made = cls.of(left, right, pairs)
        made.__dict__["rows"], made.__dict__["shared"] = rows, shared
        return made

    @cached_property
    def rows(self) -> tuple[Rows, Rows]:
        """The rows compared: of all variants of two records those that are most alike."""
        return _most_alike(self.left, self.right, self.pairs.left, self.pairs.right)

    @cached_property
    def shared(self) -> NDArray[np.int32]:
        """Common bits of each group: (p, groups) int32."""
        return self.left.common(self.right, *self.rows)

    def weighted(self, weight: NDArray[np.float64]) -> ComparedPairs:
        """Give the pairs other importance weights."""
        return self._with_known(replace(self, weight=weight), slice(None))

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_] | slice) -> ComparedPairs:
        """Select pairs by place or mask, with what is known of them."""
        made = replace(self, pairs=self.pairs.take(places), weight=self.weight[places])
        return self._with_known(made, places)

    def _with_known(
        self,
        made: ComparedPairs,
        places: NDArray[np.int64] | NDArray[np.bool_] | slice,
    ) -> ComparedPairs:
        # What was counted already is not counted again.
        if "rows" in self.__dict__:
            made.__dict__["rows"] = tuple(one[places] for one in self.rows)
        if "shared" in self.__dict__:
            made.__dict__["shared"] = self.shared[places]
        return made


def group_starts(info: EncodingInfo) -> Rows:
    """Return the word at which each group starts, and where the last ends: (groups + 1,)."""
    bits = list(info.groups.values()) or [64 * (-(-info.bits // 64))]
    return np.cumsum([0, *bits]) // 64


def fields_of(present: NDArray[np.uint8] | None, info: EncodingInfo) -> NDArray[np.bool_] | None:
    """Unpack field-presence masks: (n, fields)."""
    if present is None or not info.weights:
        return None
    return np.unpackbits(present, axis=1)[:, : len(info.present)].astype(bool)


def _most_alike(x: Side, y: Side, left: Rows, right: Rows) -> tuple[Rows, Rows]:
    """Find the rows, of all variants of two records, that are most alike."""
    if x.starts is None and y.starts is None:
        return left, right
    starts = [
        np.arange(len(side.words) + 1) if side.starts is None else side.starts for side in (x, y)
    ]
    counts = [np.diff(one) for one in starts]
    rows = starts[0][left].copy(), starts[1][right].copy()
    best = np.full(len(left), -1.0)
    whole = [side.sizes.sum(axis=1) for side in (x, y)]
    for i in range(int(counts[0].max(initial=0))):
        for j in range(int(counts[1].max(initial=0))):
            both = np.flatnonzero((counts[0][left] > i) & (counts[1][right] > j))
            mine, theirs = starts[0][left[both]] + i, starts[1][right[both]] + j
            bits = np.maximum(whole[0][mine] + whole[1][theirs], 1)
            dice = 2.0 * x.common(y, mine, theirs).sum(axis=1) / bits
            better = dice > best[both]
            places = both[better]
            best[places] = dice[better]
            rows[0][places], rows[1][places] = mine[better], theirs[better]
    return rows


def fingerprints(words: NDArray[np.uint64], groups: Rows) -> NDArray[np.uint64]:
    """Give each filter a number that equal ones have in common: (n, groups)."""
    columns = []
    for first, last in pairwise(groups):
        # An odd number for each word, so that filters collide by chance alone: 1 in 2**63.
        odd = np.random.default_rng(0).integers(1 << 62, size=last - first, dtype=np.uint64)
        columns.append((words[:, first:last] * (2 * odd + np.uint64(1))).sum(axis=1))
    return np.stack(columns, axis=1)
