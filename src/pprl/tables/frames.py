"""Tables in memory: pandas, polars, DuckDB, pyarrow, and what speaks the Arrow protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from pprl.errors import InvalidValues, UnreadableFile, UsageError
from pprl.tables.columns import require_columns

NOT_TEXT = (ArithmeticError, ValueError, TypeError, RecursionError, pa.ArrowException)
"""What writing a value as text may raise: numbers beyond all bounds, and values of odd classes."""


def frame_names(data: Any) -> list[str]:
    """Return the names of a table's columns; of a pandas one those of its index, too."""
    if is_pandas(data):
        return [str(name) for name in _with_index(data, None).columns]
    return [str(name) for name in _reader(data).schema.names]


def frame_batches(data: Any, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read the named columns of a table.

    Raises:
        MissingColumn: A column is not there.
        UnreadableFile: Two columns have one name.
        UsageError: It is no table.
    """
    if is_pandas(data):
        data = _from_pandas(data, columns)
    reader = _reader(data)
    names = reader.schema.names
    require_columns(columns, names, "the table")
    _once(columns, names)
    for batch in reader:
        yield batch.select(list(columns))


def is_pandas(data: Any) -> bool:
    """Tell a pandas table without importing pandas."""
    return type(data).__module__.split(".")[0] == "pandas"


def _once(columns: Sequence[str], names: Sequence[str]) -> None:
    for name in columns:
        if list(names).count(name) > 1:
            raise UnreadableFile(
                f"the table has {list(names).count(name)} columns with the name {name!r}. "
                f"Rename or drop all but one."
            )


def _reader(data: Any) -> pa.RecordBatchReader:
    if isinstance(data, pa.RecordBatch):
        data = pa.table(data)
    if type(data).__module__.split(".")[0] == "polars" and hasattr(data, "collect"):
        data = data.collect()
    if not hasattr(data, "__arrow_c_stream__"):
        raise UsageError(
            f"cannot read records from {type(data).__name__}: give a file name, or a table from "
            f"pandas, polars, DuckDB or pyarrow, or a cursor of a database."
        )
    return pa.RecordBatchReader.from_stream(data)


def _with_index(frame: Any, wanted: Sequence[str] | None) -> Any:
    """Make named levels of the index columns, where the table has no column of that name."""
    if not hasattr(frame, "columns"):
        raise UsageError("a pandas Series is one column; give a DataFrame.")
    have = {str(name) for name in frame.columns}
    levels = [
        name
        for name in frame.index.names
        if name is not None and str(name) not in have and (wanted is None or str(name) in wanted)
    ]
    if not levels:
        return frame
    values = {name: frame.index.get_level_values(name) for name in levels}
    return frame.assign(**{str(name): one for name, one in values.items()})


def _from_pandas(frame: Any, columns: Sequence[str]) -> pa.Table:
    """Convert only what is needed; a column of mixed objects becomes text."""
    frame = _with_index(frame, columns)
    names = [str(name) for name in frame.columns]
    require_columns(columns, names, "the table")
    _once(columns, names)
    places = {name: frame.iloc[:, names.index(name)] for name in dict.fromkeys(columns)}
    return pa.table({name: _from_series(one) for name, one in places.items()})


def _from_series(series: Any) -> pa.Array:
    from pandas.api.types import infer_dtype

    if series.dtype != object:
        try:
            # Only a sparse column has a type within its type that Arrow does not know.
            dense = series.sparse.to_dense() if str(series.dtype).startswith("Sparse") else series
            return pa.Array.from_pandas(dense)
        except (pa.ArrowException, TypeError, ValueError):
            raise InvalidValues(
                f"the column {str(series.name)!r} has type {series.dtype}, which is not text, a "
                f"number or a date."
            ) from None
    try:
        if infer_dtype(series, skipna=True) == "string":
            return pa.array(series, pa.string(), from_pandas=True)
        missing = series.isna()
        texts = (None if gone else object_text(v) for v, gone in zip(series, missing, strict=True))
        return pa.array(list(texts), pa.string())
    except (UnicodeError, BytesFound):
        # The error's own message would quote the value.
        raise InvalidValues(
            f"the column {series.name!r} holds bytes, or text that no encoding can hold. "
            f"Decode it to text first."
        ) from None
    except NOT_TEXT:
        raise InvalidValues(
            f"the column {series.name!r} holds a value that cannot be written as text."
        ) from None


class BytesFound(Exception):
    """A value is bytes, and nothing says in which encoding."""


def object_text(value: object) -> str:
    """Write one value as text; a whole number without ``.0``.

    Raises:
        BytesFound: It is bytes.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        raise BytesFound
    if isinstance(value, float | np.floating | Decimal) and value % 1 == 0:
        return str(int(value))
    return str(value)
