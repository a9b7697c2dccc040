"""Rows kept until all are there, in memory or in a temporary file without a name."""

from __future__ import annotations

import itertools
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from pprl.holder.row_order import Rows, drained, random_rows, records_of, rows_of

IN_MEMORY = 256 << 20
"""Bytes of rows that are kept in memory: about 250,000 records of 8,192 bits."""
_BUCKETS = 128
"""Parts of the temporary file, each read as a whole: 80 MB of 10,000,000 records of 8,192
bits. A power of two, so that random bytes choose among them evenly."""
_BATCH_ROWS = 1 << 16
"""Rows that are given back at a time, as many as are encoded at a time."""
_BLOCK = 16
"""Bytes of a block of AES."""


class RowStore:
    """Keeps rows until all are there, then gives them back.

    Rows are kept in memory up to `IN_MEMORY`; what is more goes to a temporary file, which
    vanishes with the process. To shuffle, each record is put into one of the file's
    parts by chance, and each part is shuffled when it is read: together this is a
    permutation of all records, each as likely as any other.

    Args:
        folder: Where the temporary file is to be.
        shuffle: Give rows back in random order; otherwise as they came.
        encrypt: Encrypt the temporary file under a key that is never written: for files
            that are to be sealed on their way to the disk.
    """

    def __init__(self, folder: Path, *, shuffle: bool, encrypt: bool = False) -> None:
        self._folder = folder
        self._shuffle = shuffle
        self._encrypt = encrypt
        self._parts: list[Rows] = []
        self._bytes = 0
        self._file: _RowFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, rows: Rows) -> None:
        """Keep more rows."""
        self._parts.append(rows)
        self._bytes += rows.nbytes
        if self._bytes > IN_MEMORY:
            if self._file is None:
                self._file = _RowFile(self._folder, self._encrypt)
            for part in drained(self._parts):
                self._spill(part, self._file)

    def batches(self) -> Iterator[Rows]:
        """Give back all rows, in batches, once; a batch lasts until the next is asked for."""
        if self._file is not None:
            yield from self._from_file(self._file)
        elif self._parts and not self._shuffle:
            yield from drained(self._parts)
        elif self._parts:
            order = random_rows(np.concatenate([part.variants for part in self._parts]))
            width = self._parts[0].clks.shape[1]
            room = np.empty((min(len(order), _BATCH_ROWS), width), np.uint8)
            for start in range(0, len(order), _BATCH_ROWS):
                some = order[start : start + _BATCH_ROWS]
                yield Rows.taken(self._parts, some, room[: len(some)])

    def _spill(self, rows: Rows, file: _RowFile) -> None:
        if not self._shuffle:
            file.write(rows, np.array([0, len(rows)]))
            return
        firsts, sizes = records_of(rows.variants)
        bucket = np.frombuffer(os.urandom(len(firsts)), np.uint8) % _BUCKETS
        order = np.argsort(bucket, kind="stable")
        counts = np.bincount(np.repeat(bucket, sizes), minlength=_BUCKETS)
        borders = np.concatenate([[0], np.cumsum(counts)])
        file.write(rows.take(rows_of(firsts[order], sizes[order])), borders)

    def _from_file(self, file: _RowFile) -> Iterator[Rows]:
        if not self._shuffle:
            for batch in file.batches:
                yield file.read([(batch, 0)])
            return
        waiting: list[tuple[_Batch, int]] = []
        for bucket in range(_BUCKETS):
            waiting += [(batch, bucket) for batch in file.batches]
            rows = sum(batch.rows(at) for batch, at in waiting)
            if rows >= _BATCH_ROWS or (rows and bucket == _BUCKETS - 1):
                found = file.read(waiting)
                yield found.shuffled()
                waiting = []


@dataclass(frozen=True)
class _Batch:
    """Where the rows of one batch are in the temporary file, bucket by bucket."""

    borders: NDArray[np.int64]
    clks_at: int
    rest_at: Sequence[tuple[int, int]]

    def rows(self, bucket: int) -> int:
        """Count the rows of a bucket."""
        return int(self.borders[bucket + 1] - self.borders[bucket])


class _RowFile:
    """Rows in a temporary file: without a name where the system can, its owner's only."""

    def __init__(self, folder: Path, encrypt: bool) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._aes = AES(secrets.token_bytes(32)) if encrypt else None
        self._end = 0
        self.batches: list[_Batch] = []
        self._schema = pa.schema([])
        self._width = self._mask_bytes = self._passes = 0

    def close(self) -> None:
        """Let the file vanish."""
        self._file.close()

    def write(self, rows: Rows, borders: NDArray[np.int64]) -> None:
        """Append a batch whose rows stand bucket by bucket."""
        self._width, self._mask_bytes = rows.clks.shape[1], rows.mask.shape[1]
        self._passes = rows.block_keys.shape[1]
        clks_at = self._append(np.ascontiguousarray(rows.clks).data)
        columns = {"id": rows.ids, "variant": pa.array(rows.variants)}
        columns |= {f"mask {at}": pa.array(one) for at, one in enumerate(rows.mask.T.copy())}
        columns |= {f"key {at}": pa.array(one) for at, one in enumerate(rows.block_keys.T.copy())}
        rest = pa.record_batch(columns)
        self._schema = rest.schema
        rest_at = []
        for start, end in itertools.pairwise(borders.tolist()):
            piece = rest.slice(start, end - start).serialize()
            rest_at.append((self._append(memoryview(piece)), piece.size))
        self.batches.append(_Batch(borders, clks_at, rest_at))

    def read(self, pieces: Sequence[tuple[_Batch, int]]) -> Rows:
        """Read buckets of batches, below one another."""
        clks = np.empty((sum(batch.rows(at) for batch, at in pieces), self._width), np.uint8)
        rest = []
        done = 0
        for batch, at in pieces:
            room = clks[done : done + batch.rows(at)]
            self._fill(room, batch.clks_at + int(batch.borders[at]) * self._width)
            done += len(room)
            place, length = batch.rest_at[at]
            buffer = np.empty(length, np.uint8)
            self._fill(buffer, place)
            rest.append(pa.ipc.read_record_batch(pa.py_buffer(buffer), self._schema))
        table = pa.Table.from_batches(rest)
        numbers = [column.to_numpy() for column in table.columns[1:]]
        mask = np.empty((len(clks), self._mask_bytes), np.uint8)
        keys = np.empty((len(clks), self._passes), np.uint64)
        for at, column in enumerate(numbers[1 : 1 + self._mask_bytes]):
            mask[:, at] = column
        for at, column in enumerate(numbers[1 + self._mask_bytes :]):
            keys[:, at] = column
        ids = pa.concat_arrays(table.column(0).chunks)
        return Rows(ids, clks, numbers[0], mask, keys)

    def _append(self, data: memoryview) -> int:
        """Append bytes, from the beginning of a block; return where they are."""
        at = -(-self._end // _BLOCK) * _BLOCK
        self._file.seek(at)
        left = memoryview(self._crypted(data, at) if self._aes else data.cast("B"))
        self._end = at + len(left)
        while left:
            left = left[self._file.write(left) :]
        return at

    def _fill(self, room: NDArray[np.uint8], at: int) -> None:
        """Read bytes into an array, all of which must be there."""
        skip = at % _BLOCK if self._aes else 0
        data = np.empty(skip + room.nbytes, np.uint8) if self._aes else room.reshape(-1)
        self._file.seek(at - skip)
        left = data.data
        while left:
            count = self._file.readinto(left)  # type: ignore[attr-defined]
            if not count:
                raise OSError("the temporary file of the encoding was cut short")
            left = left[count:]
        if self._aes:
            plain = self._crypted(data.data, at - skip)
            room.reshape(-1)[:] = np.frombuffer(plain, np.uint8)[skip:]

    def _crypted(self, data: memoryview, at: int) -> bytes:
        """Encrypt or decrypt what is at a multiple of a block: AES-256 in counter mode."""
        if self._aes is None:
            return bytes(data)
        counter = (at // _BLOCK).to_bytes(_BLOCK, "big")
        return Cipher(self._aes, CTR(counter)).encryptor().update(data.cast("B"))
