"""Rows of encodings, and the parts that sort them into buckets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """

    record: NDArray[np.int64]
    words: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    bits: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.record)

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Select rows."""
        return Rows(self.record[places], self.words[places], self.keys[places], self.bits[places])


def read_chunk(file: EncodingsFile, chunk: Chunk, passes: Sequence[Pass]) -> Rows:
    """Read a range of rows; the keys of blocks that are passed over become 0."""
    n = chunk.end - chunk.start
    words = np.empty((n, -(-file.info.bits // 64)), np.uint64)
    keys = np.zeros((n, len(passes)), np.uint64)
    own = np.zeros(n, bool)
    seen = 0
    columns = file.clk_columns()
    columns += ["variant"] if file.has_variants else []
    columns += ["block_keys"] if passes else []
    for first, batch in file.batches(columns, chunk.start, chunk.end):
        here = slice(first - chunk.start, first - chunk.start + len(batch))
        seen += len(batch)
        words[here] = as_words(file.clks(batch))
        own[here] = batch.column("variant").to_numpy() == 0 if file.has_variants else True
        if passes:
            keys[here] = file.keys(batch)[:, [one.at for one in passes]]
    if seen != n:
        raise UnreadableFile(f"{file.path} has fewer rows than when the job was begun.")
    for at, one in enumerate(passes):
        if one.dropped:
            keys[np.isin(keys[:, at], np.array(one.dropped, np.uint64)), at] = 0
    return Rows(chunk.first_record + np.cumsum(own) - 1, words, keys, count_bits(words))


def write_buckets(
    file: EncodingsFile, chunk: Chunk, passes: Sequence[Pass], path: Path
) -> dict[str, int]:
    """Write a chunk's rows by pass and bucket: a row group for each that has rows."""
    rows = read_chunk(file, chunk, passes)
    counts: list[list[int]] = []
    schema = pa.schema(
        [
            ("record", pa.int64()),
            ("keys", pa.binary(8 * len(passes))),
            ("words", pa.binary(8 * rows.words.shape[1])),
        ]
    )
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
                    part = rows.take(order[end - size : end])
                    columns = [
                        pa.array(part.record),
                        to_binary(part.keys.view(np.uint8)),
                        to_binary(part.words.view(np.uint8)),
                    ]
                    writer.write_table(pa.table(columns, schema=schema), row_group_size=size)
            counts.append(sizes.tolist())
        write_facts(writer, {"counts": counts})
    return {"rows": len(rows)}


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
        good = table.schema.names == ["record", "keys", "words"] and table.num_rows == rows
        good = good and table.schema.field("record").type == pa.int64()
        for name in ("keys", "words"):
            kind = table.schema.field(name).type if good else pa.null()
            good = good and pa.types.is_fixed_size_binary(kind) and kind.byte_width % 8 == 0
        if not good or any(column.null_count for column in table.columns):
            raise damaged(path)
    except FOREIGN_ERRORS as error:
        raise error if isinstance(error, UnreadableFile) else damaged(path) from None
    keys, words = (
        from_binary(table.column(name).chunk(0)).view(np.uint64) for name in ("keys", "words")
    )
    return Rows(table.column("record").to_numpy(), words, keys, count_bits(words))


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
            )
        here = slice(at, at + len(piece))
        if here.stop > n or piece.words.shape[1:] != made.words.shape[1:]:
            raise UnreadableFile("parts of the job do not fit together. Begin it anew.")
        made.record[here], made.words[here] = piece.record, piece.words
        made.keys[here], made.bits[here] = piece.keys, piece.bits
        at += len(piece)
    if made is not None and at != n:
        raise UnreadableFile("parts of the job do not fit together. Begin it anew.")
    return made
