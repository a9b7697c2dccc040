"""Several holders' encodings as one set, with each record's holder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings, count_bits
from pprl.linkage.candidates.pairs import Pairs

_CHUNK = 1 << 19
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Pool:
    """The records of all files in one numbering, file after file.

    Attributes:
        encodings: All rows. Record ids are the holders' own and may repeat across files.
        names: The files' holders.
        file: (n,) int64, the number of each record's file.
        record_ids: (n,) the holders' own ids.
    """

    encodings: Encodings
    names: tuple[str, ...]
    file: NDArray[np.int64]
    record_ids: pa.StringArray

    def __len__(self) -> int:
        return len(self.file)

    @classmethod
    def of(cls, files: Sequence[Encodings]) -> Pool:
        """Pool files that were checked by `check_compatible`.

        Raises:
            UsageError: Two files are of one holder.
        """
        names = tuple(one.info.holder or f"file {at}" for at, one in enumerate(files, start=1))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(
                f"two files are of holder {twice[0]!r}; a cluster could not tell their records "
                f"apart. Let each delivery have a name of its own (pprl encode --holder)."
            )
        records = [one.info.records for one in files]
        info = files[0].info.model_copy(
            update={"records": sum(records), "rows": sum(len(one) for one in files)}
        )
        return cls(
            Encodings(
                pa.concat_arrays([one.record_ids for one in files]),
                np.concatenate([one.clks for one in files]),
                info,
                _variants(files),
                _joined([one.present for one in files]),
                _joined([one.block_keys for one in files]),
            ),
            names,
            np.repeat(np.arange(len(files)), records),
            pa.concat_arrays([one.unique_ids() for one in files]),
        )

    def groups(self, deduplicated: bool | Collection[str]) -> NDArray[np.int64]:
        """Give each record its file's number, or -1 where a file may repeat a person.

        Raises:
            UsageError: A name is no holder's.
        """
        if isinstance(deduplicated, bool):
            return self.file if deduplicated else np.full(len(self), -1, np.int64)
        unknown = sorted(set(deduplicated) - set(self.names))
        if unknown:
            raise UsageError(
                f"there is no holder {unknown[0]!r}; the holders are: "
                f"{', '.join(map(repr, self.names))}."
            )
        one_each = np.array([name in deduplicated for name in self.names])
        return np.where(one_each[self.file], self.file, -1)

    def subset(self, records: NDArray[np.bool_]) -> Encodings:
        """Take the encodings of some records."""
        return subset(self.encodings, records)

    @property
    def sizes(self) -> NDArray[np.float64]:
        """Number of records of each file: (files,)."""
        return np.bincount(self.file, minlength=len(self.names)).astype(np.float64)

    def compared(self, pairs: Pairs) -> Pairs:
        """Give pairs of records their Dice similarity; of variants the best counts."""
        left, right = pairs.left, pairs.right
        rows, words = self.encodings.record_numbers(), self.encodings.words
        starts = np.searchsorted(rows, np.arange(len(self) + 1))
        variants = np.diff(starts)
        out = np.zeros(len(left))
        for i in range(int(variants.max(initial=0))):
            for j in range(int(variants.max(initial=0))):
                both = np.flatnonzero((variants[left] > i) & (variants[right] > j))
                for at in range(0, len(both), _CHUNK):
                    these = both[at : at + _CHUNK]
                    x = words[starts[left[these]] + i]
                    y = words[starts[right[these]] + j]
                    bits = count_bits(x) + count_bits(y)
                    found = 2.0 * count_bits(x & y) / np.maximum(bits, 1)
                    out[these] = np.maximum(out[these], found)
        return Pairs(left, right, out)

    def number(self, holder: NDArray[np.int64], record_ids: pa.Array) -> NDArray[np.int64]:
        """Find records by their file's number and id; -1 where there is none."""
        out = np.full(len(record_ids), -1, np.int64)
        for at in range(len(self.names)):
            own = np.flatnonzero(self.file == at)
            asked = np.flatnonzero(holder == at)
            places = pc.index_in(
                record_ids.take(pa.array(asked)), self.record_ids.take(pa.array(own))
            )
            found = places.fill_null(-1).to_numpy().astype(np.int64)
            out[asked] = np.where(found >= 0, own[found] if len(own) else -1, -1)
        return out


def subset(part: Encodings, records: NDArray[np.bool_]) -> Encodings:
    """Take the encodings of some records, with their variants."""
    rows = records[part.record_numbers()]
    info = part.info.model_copy(update={"records": int(records.sum()), "rows": int(rows.sum())})
    return Encodings(
        part.record_ids.filter(pa.array(rows)),
        part.clks[rows],
        info,
        None if part.variants is None else part.variants[rows],
        None if part.present is None else part.present[rows],
        None if part.block_keys is None else part.block_keys[rows],
    )


def all_pairs_within(labels: NDArray[np.int64], largest: int) -> tuple[Pairs, NDArray[np.bool_]]:
    """List every pair of records that have one label, without similarities.

    Returns:
        The pairs, and for each record whether its label is of more than ``largest``
        records, whose pairs are not listed.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    large = sizes[labels] > largest
    order = order[~large[order] & (sizes[labels[order]] > 1)]
    # Each record of a group, in order, meets those after it.
    _, start, count = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(start, count)
    following = np.repeat(count, count) - 1 - place
    left = np.repeat(np.arange(len(order)), following)
    skip = np.arange(len(left)) - np.repeat(np.cumsum(following) - following, following)
    right = left + 1 + skip
    return Pairs(order[left], order[right], np.zeros(len(left))), large


def _variants(files: Sequence[Encodings]) -> NDArray[np.uint8] | None:
    """Join variant numbers; without any, a file's rows are its records' own encodings."""
    if all(one.variants is None for one in files):
        return None
    return np.concatenate(
        [np.zeros(len(one), np.uint8) if one.variants is None else one.variants for one in files]
    )


def _joined(columns: Sequence[NDArray[_Number] | None]) -> NDArray[_Number] | None:
    """Join what all files have or none: masks, blocking keys."""
    there = [one for one in columns if one is not None]
    return np.concatenate(there) if len(there) == len(columns) else None
