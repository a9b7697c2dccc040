"""Reading people's records: files and tables in, record batches out, in constant memory."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pprl.errors import EmptyInput, InvalidValues, MissingColumn, UnreadableFile, UsageError

Records: TypeAlias = "str | PathLike[str] | Any"
"""A CSV or Parquet file, or any table that speaks Arrow: pandas, polars, DuckDB, pyarrow."""

BATCH_ROWS = 1 << 16
_CSV_BLOCK = 1 << 24
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written; what is None is found out from the file.

    Attributes:
        delimiter: One character; else the most frequent of ``, ; tab |`` in the header.
        encoding: A Python codec; else what the byte order mark says, UTF-8 if the whole
            file is, and Windows-1252 if it is not.
    """

    delimiter: str | None = None
    encoding: str | None = None


def read_batches(
    data: Records, columns: Sequence[str], csv_format: CsvFormat | None = None
) -> Iterator[pa.RecordBatch]:
    """Read the named columns, in batches of at most 65,536 rows.

    Every column of a CSV file is read as text, so leading zeros stay.

    Raises:
        MissingColumn: A column is not in the data.
        EmptyInput: There are no records.
        UnreadableFile: The file is missing, damaged or of another kind.
    """
    if isinstance(data, str | PathLike):
        path = _existing(data)
        if _is_parquet(path):
            batches = _parquet(path, columns)
        else:
            batches = _csv(path, columns, csv_format or CsvFormat())
        yield from _not_empty(batches, str(path))
    else:
        yield from _not_empty(_table(data, columns), "the table")


def count_rows(data: Records) -> int | None:
    """Count the records of a table in memory; None where that would mean reading them."""
    in_memory = type(data).__module__.split(".")[0] in ("pandas", "polars", "pyarrow")
    return len(data) if in_memory and isinstance(data, Sized) else None


def read_ids(path: str | PathLike[str]) -> list[str]:
    """Read the record ids in the first column of a CSV file with a header.

    Raises:
        UnreadableFile: The file is missing or not UTF-8 text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            next(rows, None)
            return [row[0] for row in rows if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{path} cannot be read ({type(error).__name__}).") from None


def column_names(data: Records, csv_format: CsvFormat | None = None) -> list[str]:
    """Return the names of the columns of what `read_batches` takes.

    Raises:
        UnreadableFile: The file is missing, damaged or of another kind.
        EmptyInput: The file is empty.
    """
    if not isinstance(data, str | PathLike):
        names = data.columns if _is_pandas(data) else _reader(data).schema.names
        return [str(name) for name in names]
    path = _existing(data)
    if not _is_parquet(path):
        given = csv_format or CsvFormat()
        return _csv_header(path, given.encoding or _detect_encoding(path), given.delimiter)[0]
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise _not_parquet(path, error) from None


def _existing(data: str | PathLike[str]) -> Path:
    path = Path(data)
    if not path.is_file():
        raise UnreadableFile(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise EmptyInput(f"{path} is empty.")
    return path


def _not_parquet(path: Path, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{path} cannot be read as Parquet ({type(error).__name__}). Is it whole?"
    )


def _not_empty(batches: Iterator[pa.RecordBatch], source: str) -> Iterator[pa.RecordBatch]:
    any_rows = False
    for batch in batches:
        pieces = _pieces(batch.num_rows)
        borders = [batch.num_rows * at // pieces for at in range(pieces + 1)] if pieces else []
        for start, end in pairwise(borders):
            any_rows = True
            yield batch.slice(start, end - start)
    if not any_rows:
        raise EmptyInput(f"{source} has no records.")


def _pieces(rows: int) -> int:
    """Cut rows into so many batches of one size, so that no thread is left with much more."""
    return -(-rows // BATCH_ROWS)


def _is_parquet(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            require_columns(columns, file.schema_arrow.names, str(path))
            total = file.metadata.num_rows
            rows = -(-total // _pieces(total)) if total else BATCH_ROWS
            for batch in file.iter_batches(rows, columns=list(dict.fromkeys(columns))):
                batch.validate(full=True)
                yield batch.select(list(columns))
    except (pa.ArrowException, OSError) as error:
        raise _not_parquet(path, error) from None


def _csv(path: Path, columns: Sequence[str], given: CsvFormat) -> Iterator[pa.RecordBatch]:
    encoding = given.encoding or _detect_encoding(path)
    names, delimiter = _csv_header(path, encoding, given.delimiter)
    if not set(columns) & set(names):
        # Perhaps a file without a header: its first record must not be repeated.
        raise MissingColumn(
            f"{path} has none of the columns {', '.join(map(repr, columns))} in its first line. "
            f"Does it have a header, and is the delimiter {delimiter!r}?"
        )
    require_columns(columns, names, str(path))
    try:
        with pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                block_size=_CSV_BLOCK, encoding=encoding.replace("utf-8-sig", "utf-8")
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(dict.fromkeys(columns)),
            ),
        ) as reader:
            for batch in reader:
                yield batch.select(list(columns))
    except (pa.ArrowException, UnicodeError) as error:
        raise UnreadableFile(f"{path}: {_csv_reason(str(error), encoding)}") from None


def _detect_encoding(path: Path) -> str:
    """Tell UTF-8, UTF-16 and Windows-1252 apart, reading the file once in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as file:
        piece = file.read(_CSV_BLOCK)
        if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if piece.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        try:
            while piece:
                decoder.decode(piece)
                piece = file.read(_CSV_BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "windows-1252"
    return "utf-8"


def _csv_header(path: Path, encoding: str, delimiter: str | None) -> tuple[list[str], str]:
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii()):
        raise UsageError(f"the delimiter must be one ASCII character, not {delimiter!r}.")
    try:
        with open(path, encoding=encoding, newline="") as file:
            first = file.readline(_LONGEST_HEADER)
            if delimiter is None:
                delimiter = max(",;\t|", key=first.count)
            header = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except LookupError:
        raise UsageError(f"there is no text encoding {encoding!r}.") from None
    except (UnicodeError, csv.Error):
        raise UnreadableFile(
            f"{path} is neither Parquet nor CSV in the encoding {encoding}."
        ) from None
    for at, name in enumerate(header):
        if name in header[:at]:
            raise UnreadableFile(
                f"{path}: columns {header.index(name) + 1} and {at + 1} have the same name. "
                f"Is the first line a header? Rename one."
            )
    return header, delimiter


def _csv_reason(message: str, encoding: str) -> str:
    """Describe pyarrow's error without its quotation of the row."""
    found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message)
    if found:
        row = f"line {found[1]} " if found[1] else "a line "
        return f"{row}has {found[3]} columns where the header has {found[2]}."
    if "UTF8" in message or "codec" in message:
        return f"the text is not in the encoding {encoding}. Give the right one with --encoding."
    return "it cannot be read as CSV. Is it whole, and are quotes closed?"


def _is_pandas(data: Any) -> bool:
    return type(data).__module__.split(".")[0] == "pandas"


def _table(data: Any, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    if _is_pandas(data):
        data = _from_pandas(data, columns)
    reader = _reader(data)
    require_columns(columns, reader.schema.names, "the table")
    for batch in reader:
        yield batch.select(list(columns))


def _reader(data: Any) -> pa.RecordBatchReader:
    if isinstance(data, pa.RecordBatch):
        data = pa.table(data)
    if not hasattr(data, "__arrow_c_stream__"):
        raise UsageError(
            f"cannot read records from {type(data).__name__}: give a file name, or a table from "
            f"pandas, polars, DuckDB or pyarrow."
        )
    return pa.RecordBatchReader.from_stream(data)


def _from_pandas(frame: Any, columns: Sequence[str]) -> pa.Table:
    """Convert only what is needed; a column of mixed objects becomes text."""
    require_columns(columns, [str(name) for name in frame.columns], "the table")
    return pa.table({name: _from_series(frame[name]) for name in dict.fromkeys(columns)})


def _from_series(series: Any) -> pa.Array:
    from pandas.api.types import infer_dtype

    if series.dtype != object:
        return pa.Array.from_pandas(series)
    try:
        if infer_dtype(series, skipna=True) == "string":
            return pa.array(series, pa.string(), from_pandas=True)
        missing = series.isna()
        texts = (None if gone else _object_text(v) for v, gone in zip(series, missing, strict=True))
        return pa.array(list(texts), pa.string())
    except (UnicodeError, _Bytes):
        # The error's own message would quote the value.
        raise InvalidValues(
            f"the column {series.name!r} holds bytes, or text that no encoding can hold. "
            f"Decode it to text first."
        ) from None


class _Bytes(Exception):
    """A value is bytes, and nothing says in which encoding."""


def _object_text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        raise _Bytes
    if isinstance(value, float | np.floating | Decimal) and value % 1 == 0:
        return str(int(value))
    return str(value)


def require_columns(wanted: Sequence[str], present: Sequence[str], source: str) -> None:
    """Raise `MissingColumn` if a column is not there; name those that are."""
    missing = [name for name in wanted if name not in present]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        some = ", ".join(repr(name) for name in list(present)[:30])
        raise MissingColumn(
            f"{source} has no column {names}. Its columns are: {some}. "
            f"Name the record id with --id-column, and the fields as the schema does."
        )
