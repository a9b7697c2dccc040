"""Answers of databases: cursors (ADBC, DB-API) and queries that DuckDB runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pprl.errors import InvalidValues, MissingDependency, UnreadableFile, UsageError
from pprl.tables.columns import require_columns
from pprl.tables.frames import NOT_TEXT, BytesFound, object_text

PREFIX = "duckdb:"
_ROWS = 1 << 16


@dataclass(frozen=True)
class Query:
    """A query and the connection that answers it, as a table that can be read several times.

    Attributes:
        connection: Of ADBC, or any DB-API connection (sqlite3, psycopg, oracledb, pyodbc).
        sql: The query.
    """

    connection: Any
    sql: str

    def cursor(self) -> Any:
        """Run the query; return its cursor.

        Raises:
            UnreadableFile: The database refuses it. Its own message is not repeated, since it
                may quote values.
        """
        try:
            cursor = self.connection.cursor()
            cursor.execute(self.sql)
        except Exception as error:
            raise UnreadableFile(
                f"the database did not answer the query ({type(error).__name__})."
            ) from None
        return cursor


def is_cursor(data: object) -> bool:
    """Tell a cursor with an answer: it has a description, and rows to fetch."""
    return hasattr(data, "fetchmany") and bool(getattr(data, "description", None))


def cursor_names(cursor: Any) -> list[str]:
    """Return the columns of an answer."""
    return [str(column[0]) for column in cursor.description]


def cursor_batches(cursor: Any, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read the named columns of an answer; by Arrow where the cursor has it (ADBC).

    Raises:
        MissingColumn: A column is not in the answer.
        InvalidValues: A value is bytes.
    """
    names = cursor_names(cursor)
    require_columns(columns, names, "the answer of the database")
    if hasattr(cursor, "fetch_record_batch"):
        for batch in cursor.fetch_record_batch():
            yield batch.select(list(columns))
        return
    places = [names.index(column) for column in columns]
    while rows := cursor.fetchmany(_ROWS):
        try:
            arrays = [
                pa.array(
                    [None if row[at] is None else object_text(row[at]) for row in rows],
                    pa.string(),
                )
                for at in places
            ]
        except BytesFound:
            raise InvalidValues(
                "the answer of the database holds bytes. Make them text in the query."
            ) from None
        except NOT_TEXT:
            raise InvalidValues(
                "the answer of the database holds a value that cannot be written as text. Make it "
                "text in the query."
            ) from None
        yield pa.record_batch(arrays, names=list(columns))


def duckdb_relation(where: str) -> Any:
    """Run ``duckdb:QUERY``, or ``duckdb:FILE#QUERY`` in a database file; return the relation.

    Raises:
        MissingDependency: DuckDB is not installed.
        UnreadableFile: There is no such file, or DuckDB refuses the query.
        UsageError: There is no query.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingDependency("duckdb: needs the package duckdb: pip install duckdb") from None
    file, mark, query = where.removeprefix(PREFIX).partition("#")
    if not mark:
        file, query = "", file
    if not query.strip():
        raise UsageError("duckdb: takes a query, duckdb:SELECT ..., or duckdb:FILE#SELECT ...")
    if file and not Path(file).is_file():
        raise UnreadableFile(f"{file}: there is no such file.")
    try:
        database = duckdb.connect(file or ":memory:", read_only=bool(file))
        return database.sql(query)
    except duckdb.Error as error:
        raise UnreadableFile(f"DuckDB did not answer the query ({type(error).__name__}).") from None
