"""From a column of any type to the text that is encoded.

One value has one text, however it was stored: 2257, 2257.0, "2257" and a
category 2257 are the same; NaN, None, NaT and "" are all missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import InvalidValues
from pprl.holder.formats import canonical
from pprl.holder.normalize import NORMALISERS, trim
from pprl.holder.schema import DateFormat, Field, StringFormat


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a column, and which of them each row has.

    Attributes:
        rows: (n,) int32 index into ``values``; -1 where the value is missing.
        values: (v,) the texts that are encoded; distinct, but for some that only a
            rewriting without normalisers made equal.
        problems: For each raw value that breaks the field's rules: the rows, and why.
    """

    rows: np.ndarray
    values: pa.StringArray
    problems: tuple[tuple[np.ndarray, str], ...]


def as_text(column: pa.Array, field: Field | None = None) -> pa.StringArray:
    """Write a column of any type as text; what is not there becomes null.

    Whole numbers lose a trailing ``.0``; numbers in a string field with a minimum
    length get their leading zeros back; dates are written in the field's format.

    Raises:
        InvalidValues: The type cannot be text (lists, structs, raw bytes).
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode(), field)
    if pa.types.is_string(kind):
        return column
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _pad(_float_text(column), field)
    if pa.types.is_integer(kind):
        return _pad(column.cast(pa.string()), field)
    if pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        format_ = field.format.format if field and isinstance(field.format, DateFormat) else None
        return pc.strftime(column, format_ or "%Y-%m-%d")
    name = f"field {field.name!r}" if field else "the column"
    raise InvalidValues(f"{name} has type {kind}, which is not text, a number or a date.")


def _float_text(column: pa.Array) -> pa.StringArray:
    values = column.to_numpy(zero_copy_only=False)
    texts: list[str | None] = []
    for value, valid in zip(values, column.is_valid().to_pylist(), strict=True):
        if not valid or value != value:
            texts.append(None)
        elif abs(value) < 1e18 and value == int(value):
            texts.append(str(int(value)))
        else:
            texts.append(str(value))
    return pa.array(texts, pa.string())


def _pad(texts: pa.StringArray, field: Field | None) -> pa.StringArray:
    if field and isinstance(field.format, StringFormat) and field.format.min_length:
        return pc.utf8_lpad(texts, field.format.min_length, "0")
    return texts


def distinct_texts(column: pa.Array, field: Field, *, verbatim: bool, validate: bool) -> Texts:
    """Bring a column to the distinct texts that are tokenised.

    Args:
        column: One column of a batch, of any type.
        field: What the schema says about it.
        verbatim: Take text as it is, as clkhash does, instead of cleaning it.
        validate: Check the rules of the field's format.
    """
    written = as_text(column, field)
    # To clkhash a missing value is the empty cell of a CSV file.
    encoded = pc.dictionary_encode(pc.fill_null(written, "") if verbatim else written)
    cleaned = encoded.dictionary if verbatim else _clean(encoded.dictionary, field)
    texts, reasons = canonical(cleaned, field, verbatim=verbatim, validate=validate)
    rows = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    problems = tuple((np.flatnonzero(rows == at), reason) for at, reason in sorted(reasons.items()))
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    if field.normalise:
        # Cleaning made distinct values equal, perhaps many.
        again = pc.dictionary_encode(texts)
        numbers, texts = pc.fill_null(again.indices, -1), again.dictionary
        renumber = numbers.to_numpy(zero_copy_only=False)
    elif texts.null_count:
        there = pc.is_valid(texts).to_numpy(zero_copy_only=False)
        renumber = np.where(there, np.cumsum(there) - 1, -1)
        texts = pc.drop_null(texts)
    else:
        return Texts(rows, texts, problems)
    return Texts(np.append(renumber, -1).astype(np.int32)[rows], texts, problems)


def _clean(values: pa.StringArray, field: Field) -> pa.StringArray:
    cleaned = trim(values)
    if field.missing_codes:
        absent = pc.is_in(cleaned, pa.array(field.missing_codes, pa.string()))
        cleaned = pc.if_else(absent, None, cleaned)
    for name in field.normalise:
        cleaned = NORMALISERS[name](cleaned)
    return cleaned
