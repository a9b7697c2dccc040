"""Reading the list of people, and who among them is behind which encoding."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import MissingColumn, RecordIdError, UsageError
from pprl.evaluation.audit.bits import Rows
from pprl.exchange.encodings import Encodings
from pprl.holder.records import CsvFormat, Records, column_names, read_batches
from pprl.holder.schema import Schema
from pprl.holder.values import as_text

Truth: TypeAlias = "str | PathLike[str] | Any"
"""A CSV or Parquet file or a table with ``record_id, reference_id``."""


def read_people(
    encodings: Encodings,
    reference: Records,
    schema: Schema,
    truth: Truth | None,
    id_column: str | None,
    columns: Mapping[str, str],
    csv_format: CsvFormat | None,
) -> tuple[pa.Table, Rows | None]:
    """Read the list, and place each record on it.

    Returns:
        A column of text for every field that is encoded, by the field's name; and for each
        record (without its variants) its person's row or -1, None where nothing says so.

    Raises:
        MissingColumn: A column is not there.
        RecordIdError: The list's ids are missing or not unique, or the truth's are not on it.
        UsageError: A mapped field is not in the schema.
    """
    names = [one.name for one in schema.encoded_fields]
    for name in columns:
        if name not in names:
            raise UsageError(f"a column is mapped to {name!r}, which is no field of the schema.")
    wanted = [columns.get(name, name) for name in names]
    pairs = _read_truth(truth) if truth is not None else None
    if id_column is None and pairs is not None:
        id_column = _find_ids(reference, wanted, pairs[1], csv_format)
    read = [*wanted, *([id_column] if id_column else [])]
    batches = list(read_batches(reference, read, csv_format))
    table = pa.Table.from_batches([_as_texts(batch) for batch in batches])
    arrays = [table.column(at).combine_chunks() for at in range(len(names))]
    people = pa.table(arrays, names=names)
    if id_column is None:
        return people, None
    ids = table.column(len(names)).combine_chunks()
    if ids.null_count or pc.count_distinct(ids).as_py() < len(ids):
        raise RecordIdError(
            f"the reference's column {id_column!r} is not a unique id in every row."
        )
    own = encodings.unique_ids()
    partners = own
    if pairs is not None:
        place = pc.index_in(own, pairs[0])
        partners = pc.take(pairs[1], place)
    who = pc.fill_null(pc.index_in(partners, ids, skip_nulls=True), -1)
    return people, who.to_numpy(zero_copy_only=False).astype(np.int64)


def _as_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    arrays = [as_text(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=[str(at) for at in range(len(arrays))])


def _read_truth(truth: Truth) -> tuple[pa.StringArray, pa.StringArray]:
    batches = list(read_batches(truth, ["record_id", "reference_id"]))
    table = pa.Table.from_batches([_as_texts(batch) for batch in batches])
    records, persons = (table.column(at).combine_chunks() for at in range(2))
    if records.null_count or persons.null_count:
        raise RecordIdError("the truth has a row without record_id or reference_id.")
    if pc.count_distinct(records).as_py() < len(records):
        raise RecordIdError("the truth names a record_id twice.")
    return records, persons


def _find_ids(
    reference: Records, fields: list[str], wanted: pa.StringArray, csv_format: CsvFormat | None
) -> str:
    """Find the column of the list that has the truth's ids."""
    others = [name for name in column_names(reference, csv_format) if name not in fields]
    for name in others:
        batches = read_batches(reference, [name], csv_format)
        ids = pa.concat_arrays([as_text(batch.column(0)) for batch in batches])
        if pc.all(pc.is_in(wanted, ids)).as_py():
            return name
    if not others:
        raise MissingColumn(
            "the reference has no column besides the schema's fields; the truth's reference_id "
            "must be in one."
        )
    raise RecordIdError(
        "no column of the reference has all of the truth's reference_id. Name the column of the "
        "ids (--id-column), or correct the truth."
    )
