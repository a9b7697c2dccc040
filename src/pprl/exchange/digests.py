"""Digests of what a Parquet file of ours says: its metadata, and every value of every column.

Parquet's own page checksums find a damaged page. They do not cover the footer, which says where
pages are and what the header says, nor a page of another file put in place of one. So every file
that we write carries the SHA-256 of its metadata and of each column's values, whatever the pages
and row groups that they stand in. A reader computes them anew and compares.

A digest finds damage, and a change made by accident. Whoever alters a file on purpose can write
its digests anew; against that seal it (`pprl.exchange.sealing`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DIGEST_KEY = b"pprl-digest"
"""The metadata entry that holds the digests, as JSON."""

_OWN = {DIGEST_KEY, b"ARROW:schema"}


class TableDigest:
    """Takes batches of rows, and then says their digests.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"left_id": ["a", "b"]})
        >>> whole, pieces = TableDigest(table.schema), TableDigest(table.schema)
        >>> whole.update(table)
        >>> for at in range(2):
        ...     pieces.update(table.slice(at, 1))
        >>> whole.entry({}) == pieces.entry({})
        True
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = {field.name: _Column(field.type) for field in schema}
        self._rows = 0

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take rows that have the columns of the schema."""
        self._rows += rows.num_rows
        for name, column in self._columns.items():
            values = rows.column(name)
            for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
                column.update(chunk)

    def columns(self) -> dict[str, str]:
        """Return the digest of each column, in hexadecimal digits."""
        return {name: column.digest(self._rows) for name, column in self._columns.items()}

    def entry(self, metadata: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Return the metadata entry for a file with this metadata and these rows."""
        content = {
            "algorithm": "sha256",
            "rows": self._rows,
            "metadata": metadata_digest(metadata),
            "columns": self.columns(),
        }
        return {DIGEST_KEY: json.dumps(content).encode()}


def digest_of(table: pa.Table, metadata: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the digest entry of a whole table."""
    made = TableDigest(table.schema)
    made.update(table)
    return made.entry(metadata)


def metadata_digest(metadata: Mapping[bytes, bytes]) -> str:
    """Return the digest of a file's metadata entries, but for the digests and Arrow's schema."""
    made = hashlib.sha256()
    for name in sorted(set(metadata) - _OWN):
        for part in (name, metadata[name]):
            made.update(len(part).to_bytes(8, "little") + part)
    return made.hexdigest()


def differences(
    metadata: Mapping[bytes, bytes], found: Mapping[str, str], rows: int
) -> list[str] | None:
    """Compare a file with the digests it carries.

    Args:
        metadata: The metadata entries of the file.
        found: The digests of its columns, all that it should have.
        rows: Its rows.

    Returns:
        What differs; empty if nothing does, None where the file carries no digests.
    """
    if DIGEST_KEY not in metadata:
        return None
    try:
        said: Any = json.loads(metadata[DIGEST_KEY])
        wrong = [] if said["metadata"] == metadata_digest(metadata) else ["the header"]
        wrong += [] if said["rows"] == rows else ["the number of rows"]
        columns = said["columns"]
        names = list(dict.fromkeys([*columns, *found]))
        return wrong + [
            f"column {name!r}" for name in names if columns.get(name) != found.get(name)
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ["the digests themselves"]


class _Column:
    """The digest of one column: validity, lengths and values, each in a stream of its own."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._streams = {"valid": hashlib.sha256()}
        self._inner = _Column(kind.value_type) if pa.types.is_list(kind) else None

    def update(self, values: pa.Array) -> None:
        valid = values.is_valid().to_numpy(zero_copy_only=False) if values.null_count else None
        rows = np.ones(len(values), np.uint8) if valid is None else valid.astype(np.uint8)
        self._streams["valid"].update(rows.tobytes())
        for name, data in _parts(values, self._kind):
            self._streams.setdefault(name, hashlib.sha256()).update(data)
        if self._inner is not None:
            self._inner.update(values.flatten())

    def digest(self, rows: int) -> str:
        # The name of a list's items is a writer's own.
        kind = "list" if pa.types.is_list(self._kind) else str(self._kind)
        made = hashlib.sha256(f"{kind} {rows}".encode())
        for name in sorted(self._streams):
            made.update(name.encode() + self._streams[name].digest())
        if self._inner is not None:
            made.update(self._inner.digest(rows).encode())
        return made.hexdigest()


def _parts(values: pa.Array, kind: pa.DataType) -> Iterable[tuple[str, Any]]:
    """Yield the lengths and the bytes of an array's values; nulls count as empty or as zero."""
    if pa.types.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(values), 0)
        yield "lengths", np.ascontiguousarray(lengths.to_numpy(zero_copy_only=False), "<i4")
        return
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        filled = pc.fill_null(values, b"" if pa.types.is_binary(kind) else "")
        _, ends, data = filled.buffers()
        borders = np.frombuffer(ends, "<i4")[filled.offset : filled.offset + len(filled) + 1]
        yield "lengths", np.ascontiguousarray(np.diff(borders))
        if data is not None and len(filled):
            yield "values", memoryview(data)[int(borders[0]) : int(borders[-1])]
        return
    if pa.types.is_fixed_size_binary(kind):
        filled = pc.fill_null(values, bytes(kind.byte_width)) if values.null_count else values
        start, width = filled.offset * kind.byte_width, len(filled) * kind.byte_width
        if width:
            yield "values", memoryview(filled.buffers()[1])[start : start + width]
        return
    if pa.types.is_boolean(kind):
        values = pc.fill_null(values, False)
        yield "values", values.to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()
        return
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        filled = pc.fill_null(values, 0) if values.null_count else values
        numbers = filled.to_numpy(zero_copy_only=False)
        yield "values", numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
        return
    raise TypeError(f"no digest of a column of {kind}")
