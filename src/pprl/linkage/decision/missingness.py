"""For how many pairs of records between two files a non-matching pair within them stands.

Where files carry field-presence masks and lack different fields, pairs within a file are
not missing what pairs between two files are: records that both lack the address are compared
by names and dates alone, and if nobody lacks it in the other file, no pair between the files
is. So a pair within a file stands for pairs between that lack the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.pairs import Pairs

Kinds = Sequence[NDArray[np.int64]]
"""For each file, the kind of each record: which fields it has."""

Population = Sequence[NDArray[np.float64]]
"""For each file, the number of its records of each kind."""

_MOST_KINDS = 256
_STRONGEST = 4.0
"""How many times the average a pair may stand for, so that a few do not decide all."""
_NONE = 1e-9
_LEAST_SHOWN = 0.5
"""What share of the pairs between files must have the like within, or all count the same."""


@dataclass(frozen=True)
class Odds:
    """What non-matching pairs stand for, by which fields their records have.

    Attributes:
        kinds: For each file, the kind of each record.
        table: (kinds, kinds) pairs between for each pair within, symmetric.
        shown: (kinds, kinds) how many pairs within, so counted, there are for each pair between:
            1 everywhere if all kinds are within as they are between, 0 where none is.
        mean: Pairs between for each pair within, on average.
    """

    kinds: Kinds
    table: NDArray[np.float64]
    shown: NDArray[np.float64]
    mean: float

    @classmethod
    def of(
        cls,
        kinds: Kinds,
        asked: Sequence[float] | NDArray[np.float64] | None = None,
        population: Population | None = None,
    ) -> Odds:
        """Count pairs by the fields that one and the other record has.

        Args:
            kinds: The kind of each record of each file, by `kinds_of`.
            asked: The share of each file's pairs that are null pairs, 0 for files that are
                left out; all of them if None.
            population: How many records of each kind each file has, where ``kinds`` are those
                of a sample; if None, ``kinds`` are counted.
        """
        between, within = _count(count_kinds(kinds) if population is None else population, asked)
        mean = float(between.sum() / max(within.sum(), 1.0))
        odds = np.minimum(between / np.maximum(within, _NONE), _STRONGEST * mean)
        shown = (odds * within).sum()
        odds = odds * (between.sum() / shown) if shown else np.full_like(between, mean)
        return cls(kinds, odds, odds * within / np.maximum(between, _NONE), mean)

    @classmethod
    def within(cls, kinds: Kinds, file: int, population: Population | None = None) -> Odds:
        """Count pairs so where only those within this file show non-matches."""
        return cls.of(kinds, [float(at == file) for at in range(len(kinds))], population)

    def pooled(self) -> Odds:
        """Take the records of all files, one after another, for one file's."""
        return replace(self, kinds=[np.concatenate(self.kinds)])

    def pairs(self, file: int, pairs: Pairs) -> NDArray[np.float64]:
        """Return for how many pairs between files each pair within this one stands: (p,)."""
        kind = self.kinds[file]
        return self.table[kind[pairs.left], kind[pairs.right]]

    def relative(self, file: int, pairs: Pairs) -> NDArray[np.float64]:
        """Return the same as times the average: (p,)."""
        return self.pairs(file, pairs) / self.mean

    def between(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return for how much each pair between two files counts beside those within: (p,).

        What no pair within a file shows of non-matches cannot be told from what matches are like.
        """
        left, right = self.kinds[0], self.kinds[-1]
        return self.shown[left[pairs.left], right[pairs.right]]


def lack_alike(population: Population) -> bool:
    """Tell whether most pairs of records between two files lack what pairs within lack.

    If not, as where a field is filled in one file only, masks say less of a pair than of
    which file a record is in.

    Args:
        population: How many records of each kind each file has.
    """
    between, within = _count(population, None)
    return bool(between[within > 0].sum() >= _LEAST_SHOWN * between.sum())


def count_kinds(kinds: Kinds) -> Population:
    """Count the records of each kind in each file."""
    count = max(int(one.max(initial=0)) for one in kinds) + 1
    return [np.bincount(one, minlength=count).astype(np.float64) for one in kinds]


def _count(
    files: Population, asked: Sequence[float] | NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count pairs between and within files by the kinds of their records.

    Returns:
        Two symmetric (kinds, kinds) tables; of each two kinds, either place has half of the
        pairs.
    """
    count = len(files[0])
    everybody = np.sum(files, axis=0)
    between, within = np.outer(everybody, everybody) / 2, np.zeros((count, count))
    shares = np.ones(len(files)) if asked is None else asked
    for records, one in zip(files, shares, strict=True):
        own = np.outer(records, records) / 2
        between -= own
        within += one * (own - np.diag(records) / 2)
    return between, within


def kinds_of(files: Sequence[Encodings]) -> Kinds:
    """Number the combinations of fields that records have; of many, the rarest are one.

    Without masks in all files all records are of one kind.
    """
    masks = [
        one.present
        if one.present is None or one.variants is None
        else one.present[one.variants == 0]
        for one in files
    ]
    known = [mask for mask in masks if mask is not None]
    if len(known) < len(files):
        return [np.zeros(one.info.records, np.int64) for one in files]
    return kinds_of_masks(known, np.ones(sum(map(len, known)), bool))


def kinds_of_masks(masks: Sequence[NDArray[Any]], counted: NDArray[np.bool_]) -> Kinds:
    """Number the field-presence masks of records; of many, the rarest are one.

    Args:
        masks: (records, any) mask of each record, by file.
        counted: (all records,) which of them say how frequent a mask is.
    """
    _, kind = np.unique(np.concatenate(masks), axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    counts = np.bincount(kind[counted], minlength=int(kind.max(initial=-1)) + 1)
    place = np.empty(len(counts), np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    kind = np.minimum(place[kind], _MOST_KINDS - 1)
    return np.split(kind, np.cumsum([len(mask) for mask in masks])[:-1])
