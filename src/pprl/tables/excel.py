"""Excel and OpenDocument sheets, read by python-calamine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pprl.errors import MissingDependency, UnreadableFile, UsageError
from pprl.tables.columns import require_columns
from pprl.tables.sources import Source, is_url

_ROWS = 1 << 16
_SIGNS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def is_excel(source: Source) -> bool:
    """Tell a sheet by its first bytes: a ZIP archive or an OLE document."""
    return source.start(4).startswith(_SIGNS)


def cut_sheet(where: str) -> tuple[str, str | None]:
    """Cut ``people.xlsx#Patients`` into the file and the name of the sheet.

    >>> cut_sheet("people.xlsx#Patients")
    ('people.xlsx', 'Patients')
    """
    file, mark, sheet = where.rpartition("#")
    if mark and (is_url(where) or not Path(where).exists()):
        return file, sheet
    return where, None


def excel_names(source: Source, sheet: str | None) -> list[str]:
    """Return the columns of a sheet: its first row that is not empty."""
    return _rows(source, sheet)[0]


def excel_batches(
    source: Source, sheet: str | None, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Read the named columns of a sheet, as text.

    Raises:
        MissingColumn: A column is not in the sheet.
        UnreadableFile: It is no sheet, or is damaged.
        MissingDependency: python-calamine is not installed.
    """
    names, rows = _rows(source, sheet)
    require_columns(columns, names, source.name)
    places = [names.index(column) for column in columns]
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        arrays = [pa.array([_cell_text(row[at]) for row in some], pa.string()) for at in places]
        yield pa.record_batch(arrays, names=list(columns))


def _rows(source: Source, sheet: str | None) -> tuple[list[str], list[list[Any]]]:
    try:
        import python_calamine as calamine
    except ImportError:
        raise MissingDependency.of(
            f"{source.name}: sheets need the package python-calamine", "excel"
        ) from None
    try:
        with source.open() as file:
            book = calamine.CalamineWorkbook.from_filelike(file)
            names = book.sheet_names
            if sheet is not None and sheet not in names:
                raise UsageError(
                    f"{source.name} has no sheet {sheet!r}; it has {', '.join(map(repr, names))}."
                )
            rows: list[list[Any]] = book.get_sheet_by_name(sheet or names[0]).to_python()
    except (calamine.CalamineError, OSError, IndexError) as error:
        raise UnreadableFile(
            f"{source.name} cannot be read as a sheet ({type(error).__name__}). Is it whole?"
        ) from None
    filled = [row for row in rows if any(cell != "" for cell in row)]
    if not filled:
        return [], []
    header = [_cell_text(cell) for cell in filled[0]]
    return [name or f"column {at}" for at, name in enumerate(header, 1)], filled[1:]


def _cell_text(value: object) -> str | None:
    if value == "" or value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value).strip()
