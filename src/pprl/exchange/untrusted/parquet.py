"""Foreign Parquet: sizes from the metadata before memory is taken, then checksums and digests."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pprl.errors import PprlError, PprlWarning, UnreadableFile
from pprl.exchange.digests import DIGEST_KEY, TableDigest, differences
from pprl.exchange.untrusted.limits import (
    EXPANSION,
    EXPANSION_FROM,
    FOOTER_ITEMS,
    FOOTER_STRING_BYTES,
    ID_BYTES,
)

FOREIGN_ERRORS = (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError)
"""What a damaged file makes Arrow raise; `pa.ArrowException` is not the base of all of it."""


@contextmanager
def open_parquet(
    path: str | PathLike[str], source: Any = None, *, buffer: int = 0
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; the checksums of its pages are compared as they are read.

    Args:
        path: What to call it in errors, and what to open if there is no source.
        source: An open stream, where the file is sealed or far away.
        buffer: Bytes that are read ahead of each column; 0 for none.

    Raises:
        UnreadableFile: The file is missing or cannot be read.
    """
    try:
        file = _opened(path, source, buffer, [])
        # Kept as a dictionary until its lengths are known: a text that stands once in the file
        # may stand a million times in the column.
        texts = [one.name for one in file.schema_arrow if pa.types.is_string(one.type)]
        if texts:
            file.close()
            file = _opened(path, source, buffer, texts)
        names = file.schema_arrow.names
    except FileNotFoundError:
        raise UnreadableFile(f"{path}: there is no such file.") from None
    except FOREIGN_ERRORS as error:
        raise not_parquet(path, error) from None
    with file:
        if len(set(names)) < len(names):
            raise UnreadableFile(f"{path}: two columns have the same name.")
        yield file


def _opened(
    path: str | PathLike[str], source: Any, buffer: int, dictionaries: list[str]
) -> pq.ParquetFile:
    if source is not None:
        source.seek(0)
    return pq.ParquetFile(
        path if source is None else source,
        buffer_size=buffer,
        read_dictionary=dictionaries,
        page_checksum_verification=True,
        thrift_string_size_limit=FOOTER_STRING_BYTES,
        thrift_container_size_limit=FOOTER_ITEMS,
    )


def not_parquet(path: str | PathLike[str], error: Exception) -> UnreadableFile:
    """Make the error for a file that cannot be read as Parquet."""
    empty = Path(path).is_file() and not os.path.getsize(path)
    reason = "it is empty" if empty else type(error).__name__
    return UnreadableFile(
        f"{path} cannot be read as Parquet ({reason}). Was it cut short on its way?"
    )


@contextmanager
def foreign(path: str | PathLike[str]) -> Iterator[None]:
    """Make an error of ours of whatever Arrow raises on a damaged file.

    Raises:
        UnreadableFile: The file is damaged.
    """
    try:
        yield
    except PprlError:
        raise
    except FOREIGN_ERRORS as error:
        raise UnreadableFile(
            f"{path} is damaged: its content cannot be read ({type(error).__name__}). Ask for it "
            f"again."
        ) from None


def check_types(
    path: str | PathLike[str], schema: pa.Schema, expected: Mapping[str, pa.DataType]
) -> None:
    """Refuse a file that lacks a column, or has one of another type.

    Raises:
        UnreadableFile: Names the column.
    """
    for name, kind in expected.items():
        if name not in schema.names or plain_type(schema.field(name).type) != kind:
            raise UnreadableFile(f"{path}: column {name!r} is missing or not of type {kind}.")
    # Other columns that are not expected are left unread: another writer may have added them.
    if "block_keys" in schema.names and "block_keys" not in expected:
        raise UnreadableFile(
            f"{path}: there are blocking keys, and the header names no blocking passes. Header "
            f"and rows are not of one file."
        )


def check_size(
    path: str | PathLike[str], file: pq.ParquetFile, columns: Sequence[str], size: int
) -> None:
    """Refuse a file that would take far more memory than its size lets one expect.

    The size is computed from the metadata, before anything is read.

    Args:
        path: What to call the file.
        file: The open file.
        columns: The columns that will be read.
        size: The size of the file in bytes.

    Raises:
        UnreadableFile: Says how large it would be, and what the limit is.
    """
    with foreign(path):
        needed = _needed(path, file, columns)
    most = max(EXPANSION_FROM, EXPANSION * size)
    if needed > most:
        raise UnreadableFile(
            f"{path} has {size:,} bytes and would take {needed:,} in memory. A file may take "
            f"{EXPANSION} times its size, or {EXPANSION_FROM >> 20} MiB; nothing of it was read."
        )


def _needed(path: str | PathLike[str], file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """Compute from the metadata how many bytes columns take in memory."""
    metadata = file.metadata
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    if any(group.num_rows < 0 for group in groups) or metadata.num_rows != sum(
        group.num_rows for group in groups
    ):
        raise UnreadableFile(f"{path}: its row groups do not add up to its number of rows.")
    width = sum(_width(plain_type(file.schema_arrow.field(name).type)) for name in columns)
    # Not column by column: on a damaged footer that ends the process (pyarrow 26).
    pages = sum(max(int(group.total_byte_size), 0) for group in groups)
    return int(metadata.num_rows) * width + pages


def read_columns(
    path: str | PathLike[str], file: pq.ParquetFile, columns: Sequence[str]
) -> pa.Table:
    """Read columns whose size was checked, texts only after a look at their lengths.

    Raises:
        UnreadableFile: The file is damaged, or a text is too long.
    """
    with foreign(path):
        table = file.read(columns=list(columns), use_threads=False)
        arrays = [plain_texts(path, table.column(name)) for name in columns]
        for array in arrays:
            array.validate(full=True)
    return pa.table(arrays, names=list(columns), metadata=None)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, whether or not it is kept as a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def plain_texts(path: str | PathLike[str], values: Any) -> Any:
    """Write a dictionary of texts out, if none is too long.

    Raises:
        UnreadableFile: A text is longer than an id may be.
    """
    if not pa.types.is_dictionary(values.type):
        return values
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    for chunk in chunks:
        longest = pc.max(pc.binary_length(chunk.dictionary)).as_py()
        if longest is not None and longest > ID_BYTES:
            raise UnreadableFile(f"{path}: a text has more than {ID_BYTES:,} bytes.")
    return values.cast(values.type.value_type)


def verify(
    path: str | PathLike[str], metadata: Mapping[bytes, bytes], table: pa.Table, *, tell: bool
) -> None:
    """Compare a table with the digests that its file carries.

    Args:
        path: What to call the file.
        metadata: Its metadata entries.
        table: Whole columns of it.
        tell: Warn where the file carries none.

    Raises:
        UnreadableFile: Something was altered; says what.
    """
    found: dict[str, str] = {}
    if DIGEST_KEY in metadata:
        made = TableDigest(table.schema)
        made.update(table)
        found = made.columns()
    check_digests(path, metadata, found, table.num_rows, tell=tell)


def check_digests(
    path: str | PathLike[str],
    metadata: Mapping[bytes, bytes],
    found: Mapping[str, str],
    rows: int,
    *,
    tell: bool,
) -> None:
    """Compare digests of columns with those that a file carries.

    Raises:
        UnreadableFile: Something was altered; says what.
    """
    wrong = differences(metadata, found, rows)
    if wrong:
        raise UnreadableFile(
            f"{path} was damaged or altered after it was written: {', '.join(wrong[:5])} differ "
            f"from the file's own digests. Ask for it again."
        )
    if wrong is None and tell:
        warnings.warn(
            f"{path} is unverified: it carries no digests, so damage on its way cannot be seen. "
            f"Files written by this version of pprl carry them.",
            PprlWarning,
            stacklevel=2,
        )


def size_of(path: str | PathLike[str], stream: IO[bytes] | None = None) -> int:
    """Return the size of a file, or of a stream that can be sought in."""
    if stream is None:
        return os.path.getsize(path)
    at = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    stream.seek(at)
    return size


def _width(kind: pa.DataType) -> int:
    """Return the bytes that a value takes in memory, without the bytes of texts."""
    if pa.types.is_list(kind):
        return 4 + _width(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return 4
    return (int(kind.bit_width) + 7) // 8
