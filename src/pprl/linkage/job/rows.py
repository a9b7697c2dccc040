"""Rows of encodings, and the parts that sort them into buckets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pprl.errors import UnreadableFile
from pprl.exchange.columns import from_binary, to_binary
from pprl.exchange.encodings import as_words, count_bits
from pprl.exchange.rows import EncodingsFile
from pprl.exchange.untrusted.parquet import FOREIGN_ERRORS
from pprl.linkage.job.count_passes import cells_of
from pprl.linkage.job.plan import Chunk, Pass
from pprl.linkage.job.spill import damaged, opened, part_file, read_facts, write_facts


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one file, in memory.

    Attributes:
        record: (n,) int64 number of each row's record in the file.
        words: (n, w) uint64 the CLKs.
        keys: (n, passes) uint64 blocking keys of the job's passes, 0 for none.
        bits: (n,) int64 bits set in each CLK.
        present: (n, bytes) uint8 field-presence masks; of no bytes where there are none.
    """

    record: NDArray[np.int64]
    words: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    bits: NDArray[np.int64]
    present: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.record)

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Select rows."""
        return Rows(
            self.record[places],
            self.words[places],
            self.keys[places],
            self.bits[places],
            self.present[places],
        )

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        """Put rows of one file together; there must be some part."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def without(self, rows: NDArray[np.bool_]) -> Rows:
        """Empty the CLKs of some rows, so that they are similar to nothing."""
        if not rows.any():
            return self
        words, bits = self.words.copy(), self.bits.copy()
        words[rows], bits[rows] = 0, 0
        return replace(self, words=words, bits=bits)


def read_chunk(
    file: EncodingsFile, chunk: Chunk, passes: Sequence[Pass], *, masked: bool = False
) -> Rows:
    """Read a range of rows; the keys of blocks that are passed over become 0.

    Args:
        file: The file.
        chunk: Rows of it.
        passes: The passes whose keys are wanted.
        masked: Whether field-presence masks are.
    """
    n = chunk.end - chunk.start
    words = np.empty((n, -(-file.info.bits // 64)), np.uint64)
    keys = np.zeros((n, len(passes)), np.uint64)
    own = np.zeros(n, bool)
    present = np.zeros((n, -(-len(file.info.present) // 8) if masked else 0), np.uint8)
    seen = 0
    columns = file.clk_columns()
    columns += ["present"] if masked else []
    columns += ["variant"] if file.has_variants else []
    columns += ["block_keys"] if passes else []
    for first, batch in file.batches(columns, chunk.start, chunk.end):
        here = slice(first - chunk.start, first - chunk.start + len(batch))
        seen += len(batch)
        words[here] = as_words(file.clks(batch))
        own[here] = batch.column("variant").to_numpy() == 0 if file.has_variants else True
        if masked:
            present[here] = from_binary(batch.column("present"))
        if passes:
            keys[here] = file.keys(batch)[:, [one.at for one in passes]]
    if seen != n:
        raise UnreadableFile(f"{file.path} has fewer rows than when the job was begun.")
    for at, one in enumerate(passes):
        if one.dropped:
            keys[np.isin(keys[:, at], np.array(one.dropped, np.uint64)), at] = 0
    record = chunk.first_record + np.cumsum(own) - 1
    return Rows(record, words, keys, count_bits(words), present)


def write_buckets(
    file: EncodingsFile,
    chunk: Chunk,
    passes: Sequence[Pass],
    sample: NDArray[np.int64],
    path: Path,
    *,
    masked: bool,
) -> dict[str, int]:
    """Write a chunk's rows by pass and bucket, a row group for each that has rows; then a sample.

    Args:
        file: The file.
        chunk: Rows of it.
        passes: The job's passes.
        sample: (s,) records of the file, rising; those in the chunk are written once more, last.
        path: The part.
        masked: Whether field-presence masks are wanted.
    """
    rows = read_chunk(file, chunk, passes, masked=masked)
    counts: list[list[int]] = []
    columns = {"record": pa.int64()} | {
        name: pa.binary(array.nbytes // max(len(array), 1)) for name, array in _packed(rows).items()
    }
    schema = pa.schema(list(columns.items()))

    def write(part: Rows) -> None:
        arrays = [pa.array(part.record)]
        arrays += [to_binary(array.view(np.uint8)) for array in _packed(part).values()]
        writer.write_table(pa.table(arrays, schema=schema), row_group_size=len(part))

    with part_file(path, schema) as writer:
        for at, one in enumerate(passes):
            order = np.flatnonzero(rows.keys[:, at])
            bucket = np.searchsorted(
                np.array(one.borders, np.int64), cells_of(rows.keys[order, at]), side="right"
            )
            order = order[np.argsort(bucket, kind="stable")]
            sizes = np.bincount(bucket, minlength=len(one.borders) + 1)
            for end, size in zip(np.cumsum(sizes).tolist(), sizes.tolist(), strict=True):
                if size:
                    write(rows.take(order[end - size : end]))
            counts.append(sizes.tolist())
        place = np.minimum(np.searchsorted(sample, rows.record), len(sample) - 1)
        sampled = np.flatnonzero(sample[place] == rows.record) if len(sample) else place[:0]
        if len(sampled):
            write(rows.take(sampled))
        empty = int((rows.bits == 0).sum())
        write_facts(writer, {"counts": counts, "sampled": len(sampled), "empty": empty})
    return {"rows": len(rows)}


def _packed(rows: Rows) -> dict[str, NDArray[Any]]:
    """Name the columns that hold bytes: all that have any."""
    every: dict[str, NDArray[Any]] = {
        "keys": rows.keys,
        "words": rows.words,
        "present": rows.present,
    }
    return {name: array for name, array in every.items() if array.shape[1]}


def sampled_rows(paths: Sequence[Path]) -> Rows:
    """Read the sample that `write_buckets` left in the parts of one file."""
    found = []
    for path in paths:
        sampled = read_facts(path).get("sampled")
        if type(sampled) is not int:
            raise damaged(path)
        with opened(path) as file:
            if sampled:
                found.append(_read(file, path, file.num_row_groups - 1, sampled))
    return Rows.concat(found)


def bucket_rows(paths: Sequence[Path], at: int, bucket: int) -> Iterator[Rows]:
    """Yield a bucket's rows, chunk by chunk."""
    for path in paths:
        counts = _counts(path, at, bucket)
        if not counts[at][bucket]:
            continue
        before = [size for pass_counts in counts[:at] for size in pass_counts]
        before += counts[at][:bucket]
        with opened(path) as file:
            yield _read(file, path, sum(1 for size in before if size), counts[at][bucket])


def _counts(path: Path, at: int, bucket: int) -> list[list[int]]:
    """Read how many rows a part has in each pass and bucket, and that it has these."""
    counts = read_facts(path).get("counts")
    if (
        not isinstance(counts, list)
        or not all(isinstance(sizes, list) for sizes in counts)
        or not all(type(size) is int and size >= 0 for sizes in counts for size in sizes)
        or len(counts) <= at
        or len(counts[at]) <= bucket
    ):
        raise damaged(path)
    return counts


def _read(file: pq.ParquetFile, path: Path, group: int, rows: int) -> Rows:
    try:
        table = file.read_row_group(group, use_threads=False).combine_chunks()
        names = table.schema.names
        good = names[:1] == ["record"] and "words" in names and table.num_rows == rows
        good = good and set(names) <= {"record", "keys", "words", "present"}
        good = good and table.schema.field("record").type == pa.int64()
        for name in names[1:] if good else []:
            kind = table.schema.field(name).type
            good = good and pa.types.is_fixed_size_binary(kind)
            good = good and (name == "present" or kind.byte_width % 8 == 0)
        if not good or any(column.null_count for column in table.columns):
            raise damaged(path)
    except FOREIGN_ERRORS as error:
        raise error if isinstance(error, UnreadableFile) else damaged(path) from None
    none = np.zeros((rows, 0), np.uint8)
    held = {name: from_binary(table.column(name).chunk(0)) for name in names[1:]}
    words = held["words"].view(np.uint64)
    keys = held["keys"].view(np.uint64) if "keys" in held else none.view(np.uint64)
    record = table.column("record").to_numpy()
    return Rows(record, words, keys, count_bits(words), held.get("present", none))


def joined(pieces: Iterator[Rows], n: int) -> Rows | None:
    """Put pieces of together n rows into one; None where there are none."""
    made: Rows | None = None
    at = 0
    for piece in pieces:
        if made is None:
            made = Rows(
                np.empty(n, np.int64),
                np.empty((n, piece.words.shape[1]), np.uint64),
                np.empty((n, piece.keys.shape[1]), np.uint64),
                np.empty(n, np.int64),
                np.empty((n, piece.present.shape[1]), np.uint8),
            )
        here = slice(at, at + len(piece))
        if here.stop > n or piece.words.shape[1:] != made.words.shape[1:]:
            raise UnreadableFile("parts of the job do not fit together. Begin it anew.")
        made.record[here], made.words[here] = piece.record, piece.words
        made.keys[here], made.bits[here] = piece.keys, piece.bits
        made.present[here] = piece.present
        at += len(piece)
    if made is not None and at != n:
        raise UnreadableFile("parts of the job do not fit together. Begin it anew.")
    return made
