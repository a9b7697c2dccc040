"""Columns of encodings files: between Arrow's fixed-size values and NumPy's rows of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import UnreadableFile

KEY_LISTS = pa.list_(pa.binary(8))
"""The type of blocking keys: a list of 8 bytes for each pass, null where a record has no key."""


def clk_columns(bits: int, groups: Mapping[str, int]) -> dict[str, int]:
    """Name the columns that hold CLKs, with their lengths in bits."""
    return {f"clk_{name}": width for name, width in groups.items()} or {"clk": bits}


def to_binary(rows: NDArray[np.uint8]) -> pa.FixedSizeBinaryArray:
    """View (n, width) bytes as fixed-size binary values."""
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, data])


def from_binary(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """View fixed-size binary values as rows of bytes, without a copy."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def to_key_lists(keys: NDArray[np.uint64]) -> pa.ListArray:
    """Write (n, passes) keys as lists of 8 bytes, most significant first; null for 0."""
    flat = np.ascontiguousarray(keys).reshape(-1)
    present = pa.array(flat != 0).buffers()[1]
    data = pa.py_buffer(flat.astype(">u8"))
    values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(flat), [present, data])
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * keys.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=KEY_LISTS)


def from_key_lists(
    path: str | PathLike[str], column: pa.ListArray, passes: int
) -> NDArray[np.uint64]:
    """Read lists of keys: (n, passes) uint64, 0 for none.

    Raises:
        UnreadableFile: A record has another number of keys.
    """
    values = pc.fill_null(column.flatten(), bytes(8))
    if (np.diff(column.offsets.to_numpy()) != passes).any():
        raise UnreadableFile(f"{path}: a record does not have {passes} blocking keys.")
    return from_binary(values).copy().view(">u8").astype(np.uint64).reshape(-1, passes)


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Put the chunks of a column together."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
