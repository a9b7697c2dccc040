"""For how many pairs of records between two files a pair of strangers within them stands.

Where files carry field-presence masks and lack different fields, pairs within a file are
not missing what pairs between two files are: records that both lack the address are compared
by names and dates alone, and if nobody lacks it in the other file, no pair between the files
is. So a pair within a file stands for pairs between that lack the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.linkage.pairs import Pairs

Kinds = tuple[NDArray[np.int64], NDArray[np.int64]]
"""For each of two files, the kind of each record: which fields it has."""

_MOST_KINDS = 256
_STRONGEST = 4.0
"""How many times the average a pair may stand for, so that a few do not decide all."""
_NONE = 1e-9
_LEAST_SHOWN = 0.5
"""What share of the pairs between files must have the like within, or all count the same."""


@dataclass(frozen=True)
class Odds:
    """What pairs of strangers stand for, by which fields their records have.

    Attributes:
        kinds: For each of the two files, the kind of each record.
        table: (kinds, kinds) pairs between for each pair within, symmetric.
        mean: The same, on average.
    """

    kinds: Kinds
    table: NDArray[np.float64]
    mean: float

    @classmethod
    def of(cls, kinds: Kinds, asked: Sequence[bool] = (True, True)) -> Odds:
        """Count pairs by the fields that one and the other record has.

        Args:
            kinds: The kind of each record, by `kinds_of`.
            asked: Whether the pairs within the first, and the second, show strangers.
        """
        between, within = _count(kinds, asked)
        mean = float(between.sum() / max(within.sum(), 1.0))
        odds = np.minimum(between / np.maximum(within, _NONE), _STRONGEST * mean)
        shown = (odds * within).sum()
        odds = odds * (between.sum() / shown) if shown else np.full_like(between, mean)
        return cls(kinds, odds, mean)

    def pairs(self, file: int, pairs: Pairs) -> NDArray[np.float64]:
        """Return for how many pairs between the files each pair of file 0 or 1 stands: (p,)."""
        kind = self.kinds[file]
        return self.table[kind[pairs.left], kind[pairs.right]]


def lack_alike(kinds: Kinds) -> bool:
    """Tell whether most pairs of records between two files lack what pairs within lack.

    If not, as where a field is filled in one file only, masks say less of a pair than of
    which file a record is in.
    """
    between, within = _count(kinds, (True, True))
    return bool(between[within > 0].sum() >= _LEAST_SHOWN * between.sum())


def _count(kinds: Kinds, asked: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count pairs between and within files by the kinds of their records.

    Returns:
        Two symmetric (kinds, kinds) tables; of each two kinds, either place has half of the
        pairs.
    """
    count = max(int(one.max(initial=0)) for one in kinds) + 1
    x, y = (np.bincount(one, minlength=count).astype(np.float64) for one in kinds)
    between = (np.outer(x, y) + np.outer(y, x)) / 2
    within = np.zeros((count, count))
    for records, one in zip((x, y), asked, strict=True):
        within += one * (np.outer(records, records) - np.diag(records)) / 2
    return between, within


def kinds_of(a: Encodings, b: Encodings) -> Kinds:
    """Number the combinations of fields that records have; of many, the rarest are one.

    Without masks in both files all records are of one kind.
    """
    if a.present is None or b.present is None:
        return np.zeros(a.info.records, np.int64), np.zeros(b.info.records, np.int64)
    first, second = (
        mask if one.variants is None else mask[one.variants == 0]
        for one, mask in ((a, a.present), (b, b.present))
    )
    _, kind, counts = np.unique(
        np.concatenate([first, second]), axis=0, return_inverse=True, return_counts=True
    )
    place = np.empty(len(counts), np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    kind = np.minimum(place[kind.reshape(-1)], _MOST_KINDS - 1)
    return kind[: len(first)], kind[len(first) :]
