"""Reading an encodings file piece by piece, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pprl.errors import MissingDependency, UnreadableFile, UsageError
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.files import (
    _clk_columns,
    _from_binary,
    _from_key_lists,
    _parse_info,
)
from pprl.exchange.sealing import MAGIC

_BATCH = 1 << 15
_BUFFER = 1 << 20


@dataclass(frozen=True)
class EncodingsFile:
    """An encodings file of which only the header was read.

    Attributes:
        path: A path, or an address that fsspec knows (``s3://...``).
        info: Its header.
        row_groups: Rows of each row group.
        has_variants: Records may have several encodings, which stand together.
    """

    path: str
    info: EncodingInfo
    row_groups: tuple[int, ...]
    has_variants: bool

    @classmethod
    def open(cls, path: str) -> EncodingsFile:
        """Read the header.

        Raises:
            UnreadableFile: The file is missing, damaged or not an encodings file.
            UsageError: It is sealed.
        """
        with _parquet(path) as file:
            metadata = file.metadata
            info = _parse_info(path, metadata.metadata or {})
            names = file.schema_arrow.names
            types = {name: pa.binary(bits // 8) for name, bits in _columns(info).items()}
            for name, kind in types.items():
                if name not in names or file.schema_arrow.field(name).type != kind:
                    raise UnreadableFile(
                        f"{path}: column {name!r} is missing or not of type {kind}."
                    )
            if metadata.num_rows != info.rows:
                raise UnreadableFile(
                    f"{path}: the header announces {info.rows:,} rows, the file holds "
                    f"{metadata.num_rows:,}. Ask the holder to send it again."
                )
            groups = tuple(metadata.row_group(at).num_rows for at in range(file.num_row_groups))
            return cls(path, info, groups, "variant" in names)

    def digest(self) -> str:
        """Return the SHA-256 of the file's bytes, in hexadecimal digits."""
        with _bytes(self.path) as stream:
            made = hashlib.sha256()
            while piece := stream.read(1 << 22):
                made.update(piece)
        return made.hexdigest()

    def batches(
        self, columns: list[str], start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the first row number and the columns of consecutive rows.

        Raises:
            UnreadableFile: A row group is damaged.
        """
        last = self.info.rows if end is None else end
        with _parquet(self.path) as file:
            first = 0
            for group, rows in enumerate(self.row_groups):
                if first < last and first + rows > start:
                    yield from self._of_group(file, group, columns, first, start, last)
                first += rows

    def _of_group(
        self, file: pq.ParquetFile, group: int, columns: list[str], at: int, start: int, end: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        try:
            for batch in file.iter_batches(_BATCH, [group], columns, use_threads=False):
                low, high = max(start - at, 0), min(end - at, len(batch))
                if low < high:
                    part = batch.slice(low, high - low)
                    if any(column.null_count for column in part.columns):
                        raise UnreadableFile(
                            f"{self.path}, row group {group}: a column has missing values."
                        )
                    yield at + low, part
                at += len(batch)
                if at >= end:
                    break
        except (pa.ArrowException, OSError) as error:
            raise UnreadableFile(
                f"{self.path}: row group {group}, from row {at:,}, cannot be read "
                f"({type(error).__name__}). Ask the holder to send the file again."
            ) from None

    def clk_columns(self) -> list[str]:
        """Name the columns that hold the CLK, in the order of its bits."""
        return list(_columns(self.info))

    def clks(self, batch: pa.RecordBatch) -> NDArray[np.uint8]:
        """Take the CLKs out of a batch: (n, bits / 8) uint8."""
        parts = [_from_binary(batch.column(name)) for name in self.clk_columns()]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def keys(self, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        """Take the blocking keys out of a batch: (n, passes) uint64, 0 for none."""
        return _from_key_lists(self.path, batch.column("block_keys"), len(self.info.blocking))


def _columns(info: EncodingInfo) -> dict[str, int]:
    return _clk_columns(info.bits, info.groups)


@contextmanager
def _parquet(path: str) -> Iterator[pq.ParquetFile]:
    with _bytes(path) as stream:
        start = stream.read(len(MAGIC))
        if start == MAGIC:
            raise UsageError(
                f"{path} is sealed. A job reads its inputs piece by piece: open it first with "
                f"'pprl unseal'."
            )
        stream.seek(0)
        try:
            file = pq.ParquetFile(stream, buffer_size=_BUFFER, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            reason = "it is empty" if not start else type(error).__name__
            raise UnreadableFile(
                f"{path} cannot be read as Parquet ({reason}). Was it cut short on its way?"
            ) from None
        with file:
            yield file


@contextmanager
def _bytes(path: str) -> Iterator[IO[bytes]]:
    """Open a path, or with fsspec an address."""
    if "://" in path:
        try:
            import fsspec
        except ImportError:
            raise MissingDependency(
                f"reading {path} needs the package fsspec. Install it: pip install 'pprl[dask]'"
            ) from None
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
