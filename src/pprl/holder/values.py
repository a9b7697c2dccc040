"""From a column of any type to the text that is encoded.

One value has one text, however it was stored: 2257, 2257.0, "2257" and a
category 2257 are the same; NaN, None, NaT and "" are all missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.holder.absent import means_nothing
from pprl.holder.formats import canonical, latest_date
from pprl.holder.letters import plain_marks
from pprl.holder.normalize import NORMALISERS, trim
from pprl.holder.schema import DateFormat, EnumFormat, Field, StringFormat
from pprl.holder.times import dates_of_times
from pprl.tables.text import calendar_dates, evenings, plain_text


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a column, and which of them each row has.

    Attributes:
        rows: (n,) int32 index into ``values``; -1 where the value is missing.
        values: (v,) the texts that are encoded; distinct, but for some that only a
            rewriting without normalisers made equal.
        problems: For each raw value that breaks the field's rules: the rows, and why.
        dropped: Values that are there and were taken for missing: the rows, and why.
        moved: How many rows have a time of the evening, without a zone, that was taken for
            midnight of the next day.
    """

    rows: np.ndarray
    values: pa.StringArray
    problems: tuple[tuple[np.ndarray, str], ...]
    dropped: tuple[tuple[np.ndarray, str], ...] = ()
    moved: int = 0


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
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        return _pad(plain_text(column), field)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        format_ = field.format.format if field and isinstance(field.format, DateFormat) else None
        dates = calendar_dates(column) if pa.types.is_timestamp(kind) else column
        return pc.strftime(dates, format_ or "%Y-%m-%d")
    return plain_text(column, f"field {field.name!r}" if field else "the column")


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
    cleaned, why, later = (
        (encoded.dictionary, {}, []) if verbatim else _clean(encoded.dictionary, field)
    )
    texts, reasons = canonical(cleaned, field, verbatim=verbatim, validate=validate)
    if isinstance(field.format, DateFormat) and not verbatim and not field.format.future:
        texts = _not_in_future(texts, field.format, why)
    rows = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    problems = tuple((np.flatnonzero(rows == at), reason) for at, reason in sorted(reasons.items()))
    dropped = _by_reason(rows, why, len(texts))
    moved = int(np.isin(rows, later).sum()) if later else 0
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        moved = int(pc.sum(evenings(column)).as_py() or 0)
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    if field.normalise or field.values:
        # Cleaning made distinct values equal, perhaps many.
        again = pc.dictionary_encode(texts)
        numbers, texts = pc.fill_null(again.indices, -1), again.dictionary
        renumber = numbers.to_numpy(zero_copy_only=False)
    elif texts.null_count:
        there = pc.is_valid(texts).to_numpy(zero_copy_only=False)
        renumber = np.where(there, np.cumsum(there) - 1, -1)
        texts = pc.drop_null(texts)
    else:
        return Texts(rows, texts, problems, dropped, moved)
    renumbered = np.append(renumber, -1).astype(np.int32)[rows]
    return Texts(renumbered, texts, problems, dropped, moved)


def _by_reason(
    rows: np.ndarray, why: dict[int, str], values: int
) -> tuple[tuple[np.ndarray, str], ...]:
    """Return the rows of each reason for which distinct values were dropped."""
    if not why:
        return ()
    names = sorted(set(why.values()))
    number = np.full(values + 1, -1, np.int32)
    number[list(why)] = [names.index(reason) for reason in why.values()]
    of_row = number[rows]
    return tuple((np.flatnonzero(of_row == at), reason) for at, reason in enumerate(names))


def _not_in_future(
    texts: pa.StringArray, format_: DateFormat, why: dict[int, str]
) -> pa.StringArray:
    """Make dates after today missing; YYYYMMDD and its beginnings sort as text."""
    late = pc.greater(texts, f"{latest_date(format_):%Y%m%d}")
    if not pc.any(late).as_py():
        return texts
    for at in np.flatnonzero(pc.fill_null(late, False).to_numpy(zero_copy_only=False)).tolist():
        why[at] = "is a date in the future"
    return pc.if_else(late, None, texts)


def _clean(
    values: pa.StringArray, field: Field
) -> tuple[pa.StringArray, dict[int, str], list[int]]:
    """Clean distinct values; say for each that is taken for missing why, and which moved a day."""
    why: dict[int, str] = {}
    tidy = trim(plain_marks(values))
    cleaned = tidy
    if field.values:
        cleaned = _mapped(cleaned, field.values)
    if field.missing_codes:
        absent = pc.is_in(cleaned, pa.array(field.missing_codes, pa.string()))
        cleaned = pc.if_else(absent, None, cleaned)
        _note(why, tidy, cleaned, "is one of the schema's missing_codes")
    if not field.keep_unknown and not isinstance(field.format, EnumFormat):
        absent = means_nothing(cleaned)
        if pc.any(absent).as_py():
            cleaned = pc.if_else(absent, None, cleaned)
            _note(why, tidy, cleaned, "means that nothing is known")
    later: list[int] = []
    month_first = _month_first(field)
    if month_first is not None:
        cleaned, later = dates_of_times(cleaned, month_first=month_first)
    gone = _gone(cleaned) if field.normalise else 0
    for name in field.normalise:
        before = cleaned
        cleaned = NORMALISERS[name](cleaned)
        if (now := _gone(cleaned)) > gone:
            _note(why, before, cleaned, f"cannot be read by {name}")
            gone = now
    return cleaned, why, later


def _month_first(field: Field) -> bool | None:
    """Say whether a date's month comes before its day; None for what is no date without time."""
    if isinstance(field.format, DateFormat):
        formats = (field.format.format, *field.format.also)
        if any(code in one for one in formats for code in ("%H", "%I", "%T", "%c", "%X")):
            return None
        return 0 <= formats[0].find("%m") < formats[0].find("%d")
    if "date_mdy" in field.normalise:
        return True
    return False if "date_dmy" in field.normalise else None


def _mapped(values: pa.StringArray, meanings: dict[str, str]) -> pa.StringArray:
    place = pc.index_in(values, pa.array(list(meanings), pa.string()))
    return pc.coalesce(pa.array(list(meanings.values()), pa.string()).take(place), values)


def _gone(values: pa.StringArray) -> int:
    """Count the values that are null or empty."""
    if not len(values):
        return 0
    ends = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    # A null has no bytes either.
    return max(int((np.diff(ends) == 0).sum()), int(values.null_count))


def _note(why: dict[int, str], before: pa.StringArray, after: pa.StringArray, reason: str) -> None:
    """Note the places that had a value before and have none after."""
    had = pc.fill_null(pc.not_equal(before, ""), False)
    has = pc.fill_null(pc.not_equal(after, ""), False)
    lost = pc.and_(had, pc.invert(has)).to_numpy(zero_copy_only=False)
    for at in np.flatnonzero(lost).tolist():
        why.setdefault(at, reason)
