"""Tables of results in other formats than Parquet: CSV, CSV for Excel, and Arrow.

Every file appears whole or not at all, readable by its owner only: a table of links or pseudonyms
says who is in a register.

Excel takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and runs it; and it
turns ``00123`` into 123 and digits beyond the fifteenth into zeros. In a CSV file for Excel such
texts begin with an apostrophe. That changes them: the file is for people to read, not for machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

import pyarrow as pa
import pyarrow.compute as pc

from pprl.exchange.atomic import whole_file

Format = Literal["parquet", "csv", "arrow"]

_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
    ".feather": "arrow",
}
# Leading tabs and returns are dropped by Excel, and what follows is then read as a formula.
# Sixteen digits are more than Excel keeps.
_UNSAFE = r"^[=+\-@\t\r\n'|]|^0[0-9]|^[0-9]{16}"


class _Writer(Protocol):
    def write(self, rows: pa.Table | pa.RecordBatch, /) -> Any: ...


def format_of(path: str | PathLike[str]) -> Format | None:
    """Return the format that a file's name asks for; None for any other name, as a folder's.

    Examples:
        >>> format_of("links.csv"), format_of("links.feather"), format_of("job-2026")
        ('csv', 'arrow', None)
    """
    return _SUFFIXES.get(Path(path).suffix.lower())


def excel_safe(rows: pa.Table) -> pa.Table:
    """Return a table whose texts Excel shows as they are, and runs none of.

    Examples:
        >>> excel_safe(pa.table({"id": ["=1+1", "00123", "123", "A-1"]}))["id"].to_pylist()
        ["'=1+1", "'00123", '123', 'A-1']
    """
    columns = []
    for name in rows.column_names:
        column = rows[name]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            marked = pc.binary_join_element_wise("'", column, "")
            column = pc.if_else(pc.match_substring_regex(column, _UNSAFE), marked, column)
        columns.append(column)
    return pa.table(columns, names=rows.column_names)


def write_as(
    table: pa.Table, path: str | PathLike[str], kind: Format | None = None, *, excel: bool = False
) -> None:
    """Write a table in the format that is given, or that the file's name asks for, else Parquet.

    Args:
        table: The rows.
        path: The file.
        kind: The format.
        excel: A CSV file for Excel; see above.

    Raises:
        OutputExists: There is a file already.
        UnwritableFile: It cannot be written.
    """
    kind = kind or format_of(path) or "parquet"
    table = table.replace_schema_metadata(None)
    if kind == "parquet":
        from pprl.exchange.files import write_table

        write_table(table, path)
        return
    _write([table], table.schema, path, kind, excel)


def copy_as(
    source: str | PathLike[str],
    path: str | PathLike[str],
    kind: Literal["csv", "arrow"],
    *,
    excel: bool = False,
) -> None:
    """Write what a Parquet file of results holds in another format, in bounded memory.

    Args:
        source: A Parquet file that pprl wrote.
        path: The file.
        kind: The format.
        excel: A CSV file for Excel; see above.

    Raises:
        OutputExists: There is a file already.
        UnreadableFile: The source is missing or damaged.
        UnwritableFile: The file cannot be written.
    """
    from pprl.exchange.untrusted.parquet import open_parquet

    with open_parquet(source) as file:
        # Texts may come as dictionaries; they are written as what they are.
        kinds = ((one.name, one.type) for one in file.schema_arrow)
        schema = pa.schema(
            (name, kind.value_type if pa.types.is_dictionary(kind) else kind)
            for name, kind in kinds
        )
        batches = (pa.Table.from_batches([one]).cast(schema) for one in file.iter_batches())
        _write(batches, schema, path, kind, excel)


def _write(
    rows: Iterable[pa.Table],
    schema: pa.Schema,
    path: str | PathLike[str],
    kind: Literal["csv", "arrow"],
    excel: bool,
) -> None:
    with (
        whole_file(path, private=True) as temporary,
        open(temporary, "wb") as file,
        _writer(file, schema, kind, excel) as writer,
    ):
        for some in rows:
            writer.write(excel_safe(some) if excel and kind == "csv" else some)


@contextmanager
def _writer(
    file: IO[bytes], schema: pa.Schema, kind: Literal["csv", "arrow"], excel: bool
) -> Iterator[_Writer]:
    if kind == "arrow":
        with pa.ipc.new_file(file, schema) as made:
            yield cast("_Writer", made)
        return
    from pyarrow import csv

    if excel:
        # By this mark Excel knows that the file is UTF-8.
        file.write(b"\xef\xbb\xbf")
    options = csv.WriteOptions(quoting_style="needed")
    with csv.CSVWriter(file, schema, write_options=options) as made:
        yield cast("_Writer", made)


__all__ = ["Format", "copy_as", "excel_safe", "format_of", "write_as"]
