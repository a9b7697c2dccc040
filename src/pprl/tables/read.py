"""Tables of any kind, in batches, or whole as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from pprl.errors import EmptyInput, UnreadableFile
from pprl.tables.columns import require_columns
from pprl.tables.csv_files import CsvFormat, csv_batches, dialect_of
from pprl.tables.excel import cut_sheet, excel_batches, excel_names, is_excel
from pprl.tables.frames import frame_batches, frame_names
from pprl.tables.sources import Source
from pprl.tables.sql import (
    PREFIX,
    Query,
    cursor_batches,
    cursor_names,
    duckdb_relation,
    is_cursor,
)
from pprl.tables.text import plain_text

if TYPE_CHECKING:
    import pandas as pd

Table: TypeAlias = "str | PathLike[str] | Any"
"""A file (CSV, Parquet, Excel, OpenDocument), by path or URL; ``duckdb:SELECT ...``; a table
that speaks Arrow: pandas, polars (lazy, too), DuckDB, pyarrow; a `pprl.tables.sql.Query`; or a
cursor of a database."""

BATCH_ROWS = 1 << 16


def read_batches(
    data: Table, columns: Sequence[str], csv_format: CsvFormat | None = None
) -> Iterator[pa.RecordBatch]:
    """Read the named columns, in batches of at most 65,536 rows.

    Every column of a CSV file and of a sheet is read as text, so leading zeros stay.

    Raises:
        MissingColumn: A column is not in the data.
        EmptyInput: There are no records.
        UnreadableFile: The file is missing, damaged or of another kind.
    """
    batches, name = _open(data, columns, csv_format or CsvFormat())
    yield from _even(batches, name)


def count_rows(data: Table) -> int | None:
    """Count the records of a table in memory; None where that would mean reading them."""
    in_memory = type(data).__module__.split(".")[0] in ("pandas", "polars", "pyarrow")
    return len(data) if in_memory and isinstance(data, Sized) else None


def column_names(data: Table, csv_format: CsvFormat | None = None) -> list[str]:
    """Return the names of the columns of what `read_batches` takes.

    Raises:
        UnreadableFile: The file is missing, damaged or of another kind.
        EmptyInput: The file is empty.
    """
    if isinstance(data, Query):
        return cursor_names(data.cursor())
    if not isinstance(data, str | PathLike):
        return cursor_names(data) if is_cursor(data) else frame_names(data)
    if str(data).startswith(PREFIX):
        return list(duckdb_relation(str(data)).columns)
    where, sheet = cut_sheet(str(data))
    source = Source.at(where)
    if _is_parquet(source):
        try:
            with source.open() as file:
                return list(pq.read_schema(file).names)
        except (pa.ArrowException, OSError) as error:
            raise _not_parquet(source, error) from None
    if is_excel(source):
        return excel_names(source, sheet)
    return list(dialect_of(source, csv_format or CsvFormat()).names)


def read_texts(
    data: Table, columns: Sequence[str] | None = None, csv_format: CsvFormat | None = None
) -> pd.DataFrame:
    """Read a table whole, every value as text, what is missing as None.

    Args:
        data: What `read_batches` takes.
        columns: Which columns; all by default.
        csv_format: How a CSV file is written.

    Returns:
        A pandas table with columns of text, maybe without rows.

    Raises:
        MissingColumn: A column is not in the data.
        UnreadableFile: The file is missing, damaged or of another kind.
    """
    wanted = list(columns) if columns is not None else column_names(data, csv_format)
    batches, _ = _open(data, wanted, csv_format or CsvFormat())
    texts = [
        pa.table(
            [plain_text(one, f"column {name!r}") for one, name in zip(batch, wanted, strict=True)],
            names=wanted,
        )
        for batch in batches
    ]
    empty = pa.table([pa.array([], pa.string())] * len(wanted), names=wanted)
    frame: pd.DataFrame = pa.concat_tables([empty, *texts]).to_pandas()
    return frame


def _open(
    data: Table, columns: Sequence[str], csv_format: CsvFormat
) -> tuple[Iterator[pa.RecordBatch], str]:
    """Return the batches as the source has them, and what messages call it."""
    if isinstance(data, Query):
        return cursor_batches(data.cursor(), columns), "the answer of the database"
    if not isinstance(data, str | PathLike):
        if is_cursor(data):
            return cursor_batches(data, columns), "the answer of the database"
        return frame_batches(data, columns), "the table"
    if str(data).startswith(PREFIX):
        return frame_batches(duckdb_relation(str(data)), columns), "the answer of DuckDB"
    where, sheet = cut_sheet(str(data))
    source = Source.at(where)
    if _is_parquet(source):
        return _parquet(source, columns), source.name
    if is_excel(source):
        return excel_batches(source, sheet, columns), source.name
    return csv_batches(source, columns, csv_format), source.name


def _is_parquet(source: Source) -> bool:
    return source.start(4) == b"PAR1"


def _not_parquet(source: Source, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{source.name} cannot be read as Parquet ({type(error).__name__}). Is it whole?"
    )


def _parquet(source: Source, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        with source.open() as opened, pq.ParquetFile(opened) as file:
            require_columns(columns, file.schema_arrow.names, source.name)
            total = file.metadata.num_rows
            rows = -(-total // _pieces(total)) if total else BATCH_ROWS
            for batch in file.iter_batches(rows, columns=list(dict.fromkeys(columns))):
                batch.validate(full=True)
                yield batch.select(list(columns))
    except (pa.ArrowException, OSError) as error:
        raise _not_parquet(source, error) from None


def _even(batches: Iterator[pa.RecordBatch], source: str) -> Iterator[pa.RecordBatch]:
    """Put small batches together and cut large ones into pieces of one size."""
    any_rows = False
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        any_rows = any_rows or batch.num_rows > 0
        if not waiting and 2 * batch.num_rows > BATCH_ROWS:
            yield from _cut(batch)
        elif batch.num_rows:
            waiting.append(batch)
            rows += batch.num_rows
            if rows >= BATCH_ROWS:
                yield from _cut(_joined(waiting))
                waiting, rows = [], 0
    if waiting:
        yield from _cut(_joined(waiting))
    if not any_rows:
        raise EmptyInput(f"{source} has no records.")


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    # The same column may stand in a batch twice, so columns go by place.
    columns = [
        pa.chunked_array([batch.column(at) for batch in batches])
        .unify_dictionaries()
        .combine_chunks()
        for at in range(batches[0].num_columns)
    ]
    return pa.record_batch(columns, names=batches[0].schema.names)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    pieces = _pieces(batch.num_rows)
    borders = [batch.num_rows * at // pieces for at in range(pieces + 1)]
    for start, end in pairwise(borders):
        yield batch.slice(start, end - start)


def _pieces(rows: int) -> int:
    """Cut rows into so many batches of one size, so that no thread is left with much more."""
    return -(-rows // BATCH_ROWS)
