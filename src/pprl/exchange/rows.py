"""Reading an encodings file piece by piece, in bounded memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pprl.errors import MissingDependency, UnreadableFile, UsageError
from pprl.exchange.columns import clk_columns, from_binary, from_key_lists
from pprl.exchange.digests import DIGEST_KEY, TableDigest
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.sealing import MAGIC
from pprl.exchange.untrusted.filters import FilterBounds
from pprl.exchange.untrusted.header import parse_header
from pprl.exchange.untrusted.parquet import (
    FOREIGN_ERRORS,
    check_digests,
    check_size,
    check_types,
    open_parquet,
    plain_texts,
)
from pprl.exchange.untrusted.rows import RowChecks, expected_columns, warn_impossible

_BATCH = 1 << 15
_BUFFER = 1 << 20
# Bytes that an id's digest takes while it is sorted and compared.
_ID_BYTES = 64


@dataclass(frozen=True)
class EncodingsFile:
    """An encodings file of which only the header was read.

    Attributes:
        path: A path, or an address that fsspec knows (``s3://...``).
        info: Its header.
        row_groups: Rows of each row group.
        columns: The columns that it has.
    """

    path: str
    info: EncodingInfo
    row_groups: tuple[int, ...]
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: str) -> EncodingsFile:
        """Read the header.

        Raises:
            UnreadableFile: The file is missing, damaged or not an encodings file.
            UsageError: It is sealed.
        """
        with _parquet(path) as (file, size):
            metadata = file.metadata
            info = parse_header(path, metadata.metadata or {})
            names = file.schema_arrow.names
            expected = expected_columns(info, names)
            check_types(path, file.schema_arrow, expected)
            if metadata.num_rows != info.rows:
                raise UnreadableFile(
                    f"{path}: the header announces {info.rows:,} rows, the file holds "
                    f"{metadata.num_rows:,}. Ask the holder to send it again."
                )
            check_size(path, file, list(expected), size)
            groups = tuple(metadata.row_group(at).num_rows for at in range(file.num_row_groups))
            return cls(path, info, groups, tuple(expected))

    @property
    def has_variants(self) -> bool:
        """Records may have several encodings, which stand together."""
        return "variant" in self.columns

    def check(self, memory: int = 1 << 30) -> None:
        """Read every row once, and compare it with the header and with the file's digests.

        Warns where the file carries no digests, and where filters are set aside.

        Args:
            memory: Bytes to use at most for finding record ids that stand twice.

        Raises:
            UnreadableFile: Says what is wrong.
        """
        shares = max(-(-self.info.records * _ID_BYTES // max(memory, 1)), 1)
        checks = RowChecks(self.path, self.info, FilterBounds.of(self.info), shares=shares)
        metadata, digest = self._metadata(), None
        for _, batch in self.batches(list(self.columns)):
            if DIGEST_KEY in metadata:
                digest = digest or TableDigest(batch.schema)
                digest.update(batch)
            of = {name: batch.column(name) for name in self.columns}
            checks.see(
                of["record_id"],
                self.all_clks(batch),
                of["variant"].to_numpy() if "variant" in of else None,
                from_binary(of["present"]) if "present" in of else None,
                of.get("block_keys"),
            )
        found = {} if digest is None else digest.columns()
        check_digests(self.path, metadata, found, self.info.rows, tell=True)
        checks.finish()
        columns = ["record_id"] + (["variant"] if self.has_variants else [])
        for share in range(1, shares):
            checks.next_share(share)
            for _, batch in self.batches(columns):
                own = batch.column("variant").to_numpy() == 0 if self.has_variants else None
                checks.see_ids(batch.column("record_id"), own)
            checks.check_unique()
        warn_impossible(self.path, checks.impossible, self.info.rows)

    def _metadata(self) -> dict[bytes, bytes]:
        with _parquet(self.path) as (file, _):
            return file.metadata.metadata or {}

    def batches(
        self, columns: list[str], start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the first row number and the columns of consecutive rows.

        Raises:
            UnreadableFile: A row group is damaged.
        """
        last = self.info.rows if end is None else end
        with _parquet(self.path) as (file, _):
            if file.num_row_groups != len(self.row_groups):
                raise UnreadableFile(f"{self.path} changed while it was read.")
            first = 0
            for group, rows in enumerate(self.row_groups):
                if first < last and first + rows > start:
                    yield from self._of_group(file, group, columns, first, start, last)
                first += rows

    def _of_group(
        self, file: pq.ParquetFile, group: int, columns: list[str], at: int, start: int, end: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        first, rows = at, self.row_groups[group]
        try:
            for batch in file.iter_batches(_BATCH, [group], columns, use_threads=False):
                arrays = [plain_texts(self.path, batch.column(name)) for name in columns]
                for array in arrays:
                    array.validate(full=True)
                whole = pa.record_batch(arrays, names=columns)
                low, high = max(start - at, 0), min(end - at, len(whole))
                if low < high:
                    part = whole.slice(low, high - low)
                    if any(column.null_count for column in part.columns):
                        raise UnreadableFile(
                            f"{self.path}, row group {group}: a column has missing values."
                        )
                    yield at + low, part
                at += len(whole)
                if at >= end:
                    return
        except FOREIGN_ERRORS as error:
            if isinstance(error, UnreadableFile):
                raise
            raise UnreadableFile(
                f"{self.path}: row group {group}, from row {at:,}, cannot be read "
                f"({type(error).__name__}). Ask the holder to send the file again."
            ) from None
        if at != first + rows:
            raise UnreadableFile(
                f"{self.path}: row group {group} has {at - first:,} rows, not {rows:,} as it says."
            )

    def clk_columns(self) -> list[str]:
        """Name the columns that hold the CLK, in the order of its bits."""
        return list(clk_columns(self.info.bits, self.info.groups))

    def clks(self, batch: pa.RecordBatch) -> NDArray[np.uint8]:
        """Take the CLKs out of a batch: (n, bits / 8) uint8; impossible filters are empty."""
        return FilterBounds.of(self.info).without_impossible(self.all_clks(batch))[0]

    def all_clks(self, batch: pa.RecordBatch) -> NDArray[np.uint8]:
        """Take the CLKs out of a batch as they are: (n, bits / 8) uint8."""
        parts = [from_binary(batch.column(name)) for name in self.clk_columns()]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def keys(self, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        """Take the blocking keys out of a batch: (n, passes) uint64, 0 for none."""
        return from_key_lists(self.path, batch.column("block_keys"), len(self.info.blocking))


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits.

    Args:
        path: A path, or an address that fsspec knows.

    Raises:
        UnreadableFile: It cannot be read.
    """
    made = hashlib.sha256()
    with _bytes(path) as stream:
        while piece := stream.read(1 << 22):
            made.update(piece)
    return made.hexdigest()


def state_of(path: str) -> tuple[int, int, int] | None:
    """Return size, time of the last change and inode of a file; None for an address of fsspec.

    Raises:
        UnreadableFile: It is missing or cannot be read.
    """
    if "://" in path:
        return None
    try:
        found = os.stat(path)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({error.strerror}).") from None
    return found.st_size, found.st_mtime_ns, found.st_ino


@contextmanager
def _parquet(path: str) -> Iterator[tuple[pq.ParquetFile, int]]:
    """Open a file, and say its size."""
    with _bytes(path) as stream:
        start = stream.read(len(MAGIC))
        if start == MAGIC:
            raise UsageError(
                f"{path} is sealed. A job reads its inputs piece by piece: open it first with "
                f"'pprl unseal'."
            )
        size = stream.seek(0, os.SEEK_END)
        with open_parquet(path, stream, buffer=_BUFFER) as file:
            yield file, size


@contextmanager
def _bytes(path: str) -> Iterator[IO[bytes]]:
    """Open a path, or with fsspec an address."""
    if "://" in path:
        try:
            import fsspec
        except ImportError:
            raise MissingDependency.of(f"reading {path} needs the package fsspec", "dask") from None
        opened = fsspec.open(path, "rb")
    else:
        opened = None
    try:
        stream = open(path, "rb") if opened is None else opened.open()  # noqa: SIM115
    except (OSError, ValueError, ImportError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UnreadableFile(f"{path} cannot be read ({why}).") from None
    with stream:
        yield stream
