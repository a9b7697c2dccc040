"""Reading the pairs of sampled records, as `pprl.linkage.job.sampled_pairs` wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import UnreadableFile
from pprl.exchange.columns import from_binary
from pprl.exchange.untrusted.parquet import FOREIGN_ERRORS
from pprl.linkage.job.spill import damaged, opened

_BYTES = {"shared": np.int32, "sizes": np.int32, "prints": np.uint64, "present": np.uint8}
"""Columns of bytes, by the last word of their names, and what they hold."""


@dataclass(frozen=True, eq=False)
class End:
    """One end of pairs.

    Attributes:
        record: (p,) the record in its file.
        sizes: (p, groups) bits set in each group.
        prints: (p, groups) `pprl.linkage.model.compared_pairs.fingerprints`, where fields have
            a filter each; else (p, 0).
        present: (p, bytes) field-presence masks.
    """

    record: NDArray[np.int64]
    sizes: NDArray[np.int32]
    prints: NDArray[np.uint64]
    present: NDArray[np.uint8]

    def take(self, places: NDArray[np.int64]) -> End:
        """Select pairs."""
        return End(*(getattr(self, one.name)[places] for one in fields(self)))


@dataclass(frozen=True, eq=False)
class Hits:
    """Pairs of sampled records of one file, on the left, and records of the same or the other file.

    Attributes:
        left: The sampled records.
        right: The others.
        similarity: (p,) Dice similarity.
        shared: (p, groups) common bits.
        at: (p,) the place of each pair in all parts.
    """

    left: End
    right: End
    similarity: NDArray[np.float64]
    shared: NDArray[np.int32]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.similarity)

    def once(self) -> Hits:
        """Put pairs in the order of their records, each once: of variants the most similar."""
        left, right = self.left.record, self.right.record
        order = np.lexsort((-self.similarity, right, left))
        one, other = left[order], right[order]
        new = np.ones(len(order), bool)
        new[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        kept = order[new]
        return Hits(
            self.left.take(kept),
            self.right.take(kept),
            self.similarity[kept],
            self.shared[kept],
            self.at[kept],
        )


def read_hits(paths: Sequence[Path]) -> dict[tuple[int, int], Hits]:
    """Read all pairs without their filters.

    Returns:
        Those of the sample of one file with the records of another, by the files' numbers.

    Raises:
        UnreadableFile: A part is damaged.
    """
    every = [(side, own) for side in (0, 1) for own in (0, 1)]
    pieces: dict[tuple[int, int], list[dict[str, NDArray[Any]]]] = {one: [] for one in every}
    first = 0
    for path in paths:
        with opened(path) as file:
            names = [name for name in file.schema_arrow.names if name != "words"]
            # A part without pairs says how wide its columns are, too.
            groups = [_plain(file.schema_arrow.empty_table().select(names))]
            groups += [_arrays(file, at, names, path) for at in range(file.num_row_groups)]
        for columns in groups:
            columns["at"] = np.arange(first, first + len(columns["sample"]))
            first += len(columns["sample"])
            for side, own in every:
                chosen = np.flatnonzero((columns["sample"] == side) & (columns["file"] == own))
                pieces[side, own].append({name: one[chosen] for name, one in columns.items()})
    return {one: _joined(pieces.pop(one)) for one in every}


def _joined(pieces: list[dict[str, NDArray[Any]]]) -> Hits:
    part = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    pieces.clear()
    left, right = (
        End(
            part[f"{end}_record"],
            part[f"{end}_sizes"],
            part.get(f"{end}_prints", np.empty((len(part["at"]), 0), np.uint64)),
            part.get(f"{end}_present", np.empty((len(part["at"]), 0), np.uint8)),
        )
        for end in ("left", "right")
    )
    return Hits(left, right, part["similarity"], part["shared"], part["at"]).once()


def words_of_hits(paths: Sequence[Path]) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Yield the filters of the right records with the place of the first, a row group at once.

    Raises:
        UnreadableFile: A part is damaged.
    """
    first = 0
    for path in paths:
        with opened(path) as file:
            for group in range(file.num_row_groups):
                words = _arrays(file, group, ["words"], path)["words"]
                yield first, words
                first += len(words)


def _arrays(file: Any, group: int, names: list[str], path: Path) -> dict[str, NDArray[Any]]:
    try:
        table = file.read_row_group(group, names, use_threads=False)
        if any(column.null_count for column in table.columns):
            raise damaged(path)
    except FOREIGN_ERRORS as error:
        raise error if isinstance(error, UnreadableFile) else damaged(path) from None
    return _plain(table)


def _plain(table: pa.Table) -> dict[str, NDArray[Any]]:
    made: dict[str, NDArray[Any]] = {}
    for name, column in zip(table.column_names, table.combine_chunks().columns, strict=True):
        kind: Any = np.uint64 if name == "words" else _BYTES.get(name.rpartition("_")[2])
        if kind is None:
            made[name] = column.to_numpy()
        elif not len(column):
            width = column.type.byte_width // np.dtype(kind).itemsize
            made[name] = np.empty((0, width), kind)
        else:
            made[name] = from_binary(column.chunk(0)).view(kind)
    return made
