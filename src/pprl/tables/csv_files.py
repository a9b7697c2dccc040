"""CSV of any usual dialect, in batches; what the file does not say is found out from it."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.csv

from pprl.errors import PprlWarning, UnreadableFile, UsageError
from pprl.tables.arguments import argument, setting
from pprl.tables.columns import require_columns
from pprl.tables.sources import Source

Ragged = Literal["error", "skip"]

_BLOCK = 1 << 24
_LONGEST_HEADER = 1 << 20
_SHOWN = 10


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written; what is not given is found out from the file.

    Attributes:
        delimiter: One character; else what a ``sep=`` line says, or the most frequent of
            ``, ; tab |`` in the header.
        encoding: A Python codec; else what the byte order mark says, UTF-8 if the whole
            file is, and Windows-1252 if it is not.
        names: Names of the columns of a file that has no header.
        ragged: What to do with a line that has more or fewer values than there are columns:
            ``error`` names such lines by number, ``skip`` leaves them out with a warning.
    """

    delimiter: str | None = None
    encoding: str | None = None
    names: tuple[str, ...] | None = None
    ragged: Ragged = "error"

    def __post_init__(self) -> None:
        given = self.delimiter
        if given is not None and (len(given) != 1 or not given.isascii()):
            raise UsageError(f"the delimiter must be one ASCII character, not {given!r}.")
        if self.ragged not in get_args(Ragged):
            raise UsageError(f"ragged must be one of {get_args(Ragged)}, not {self.ragged!r}.")


@dataclass(frozen=True)
class Dialect:
    """What was found out about a CSV file.

    Attributes:
        encoding: A Python codec.
        delimiter: One character.
        names: The columns.
        before: Lines before the first record.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    before: int


def dialect_of(source: Source, given: CsvFormat) -> Dialect:
    """Find out how a CSV file is written.

    Raises:
        UnreadableFile: It is not text, or two columns have the same name.
        UsageError: There is no such encoding.
    """
    encoding = given.encoding or _encoding_of(source)
    try:
        with _text(source, encoding) as file:
            first = file.readline(_LONGEST_HEADER)
            said = re.fullmatch(r'\ufeff?"?sep=([^"\r\n])"?[;,]*\r?\n?', first, re.IGNORECASE)
            if said:
                first = file.readline(_LONGEST_HEADER)
            delimiter = given.delimiter or (said[1] if said else _most_frequent(first))
            cells = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except LookupError:
        raise UsageError(f"there is no text encoding {encoding!r}.") from None
    except (UnicodeError, csv.Error):
        raise UnreadableFile(
            f"{source.name} is neither Parquet nor CSV in the encoding {encoding}."
        ) from None
    lines = 1 if said else 0
    if given.names is not None:
        if len(given.names) != len(cells):
            raise UsageError(
                f"{source.name}: {len(given.names)} names of columns were given, and its first "
                f"line has {len(cells)} values."
            )
        return Dialect(encoding, delimiter, given.names, lines)
    return Dialect(encoding, delimiter, _named(cells, source.name), lines + 1)


def csv_batches(
    source: Source, columns: Sequence[str], given: CsvFormat
) -> Iterator[pa.RecordBatch]:
    """Read the named columns of a CSV file as text, so that leading zeros stay.

    Raises:
        MissingColumn: A column is not in the file.
        UnreadableFile: The file is damaged, or a line has too many or too few values.
    """
    dialect = dialect_of(source, given)
    require_columns(columns, dialect.names, source.name, shown=_is_header(columns, dialect))
    skipped: list[int | None] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        skipped.append(row.number)
        return given.ragged

    encoding = dialect.encoding.replace("utf-8-sig", "utf-8")
    try:
        with (
            source.open() as file,
            pyarrow.csv.open_csv(
                file,
                read_options=pyarrow.csv.ReadOptions(
                    block_size=_BLOCK,
                    encoding=encoding,
                    column_names=list(dialect.names),
                    skip_rows=dialect.before,
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=skip,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(dialect.names, pa.string()),
                    include_columns=list(dict.fromkeys(columns)),
                ),
            ) as reader,
        ):
            for batch in reader:
                yield batch.select(list(columns))
    except (pa.ArrowException, UnicodeError) as error:
        raise UnreadableFile(_reason(str(error), source, dialect)) from None
    if skipped:
        lines = _ragged_lines(source, dialect)
        warnings.warn(
            f"{source.name}: {len(lines):,} lines do not have {len(dialect.names)} values and were "
            f"left out: {_listed(lines)}.",
            PprlWarning,
            stacklevel=2,
        )


def _is_header(columns: Sequence[str], dialect: Dialect) -> bool:
    """Tell whether the first line is a header for certain: then it may be shown in a message."""
    names = {name.casefold() for name in dialect.names}
    return bool(names & {column.casefold() for column in columns})


def _text(source: Source, encoding: str) -> io.TextIOWrapper:
    file = source.open()
    try:
        return io.TextIOWrapper(file, encoding=encoding, newline="")
    except LookupError:
        file.close()
        raise


def _encoding_of(source: Source) -> str:
    """Tell UTF-8, UTF-16 and Windows-1252 apart, reading the file once in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with source.open() as file:
        piece = file.read(_BLOCK)
        if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if piece.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        try:
            while piece:
                decoder.decode(piece)
                piece = file.read(_BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "windows-1252"
    return "utf-8"


def _most_frequent(header: str) -> str:
    """Choose the delimiter that is most frequent outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=bare.count)


def _named(cells: Sequence[str], name: str) -> tuple[str, ...]:
    """Strip the names of a header; a column without a name gets one of its place."""
    names = [cell.strip().lstrip("\ufeff") or f"column {at}" for at, cell in enumerate(cells, 1)]
    for at, one in enumerate(names):
        if one in names[:at]:
            raise UnreadableFile(
                f"{name}: columns {names.index(one) + 1} and {at + 1} have the same name. "
                f"Is the first line a header? Rename one."
            )
    return tuple(names)


def _ragged_lines(source: Source, dialect: Dialect) -> list[tuple[int, int]]:
    """Return the number of each line with too many or too few values, and how many it has."""
    found = []
    with _text(source, dialect.encoding) as file:
        for _ in range(dialect.before):
            file.readline()
        line = dialect.before + 1
        rows = csv.reader(file, delimiter=dialect.delimiter)
        try:
            for row in rows:
                if row and len(row) != len(dialect.names):
                    found.append((line, len(row)))
                line = dialect.before + rows.line_num + 1
        except (csv.Error, UnicodeError):
            pass
    return found


def _listed(lines: Sequence[tuple[int, int]]) -> str:
    shown = ", ".join(f"line {line} has {values}" for line, values in lines[:_SHOWN])
    more = len(lines) - _SHOWN
    return shown + (f", and {more:,} more" if more > 0 else "")


def _reason(message: str, source: Source, dialect: Dialect) -> str:
    """Describe pyarrow's error without its quotation of the row."""
    if re.search(r"Expected \d+ columns, got \d+", message):
        lines = _ragged_lines(source, dialect)
        return (
            f"{source.name}: the header has {len(dialect.names)} columns, and {_listed(lines)}. "
            f"Put quotes around values that hold {dialect.delimiter!r}, or leave such lines out "
            f"with {setting('on_invalid', 'skip')}."
            if lines
            else f"{source.name}: a line has another number of columns than the header."
        )
    if "UTF8" in message or "codec" in message:
        return (
            f"{source.name}: the text is not in the encoding {dialect.encoding}. Give the right "
            f"one with {argument('csv_format', '--encoding')}."
        )
    return f"{source.name}: it cannot be read as CSV. Is it whole, and are quotes closed?"
