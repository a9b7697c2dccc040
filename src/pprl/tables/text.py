"""From a column of any type to text: one value has one text, however it was stored."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import InvalidValues


def plain_text(column: pa.Array, what: str = "the column") -> pa.StringArray:
    """Write a column of any type as text; what is not there becomes null.

    2257, 2257.0, "2257" and a category 2257 are the same; NaN, None and NaT are null.
    Dates are written as ``YYYY-MM-DD``. A time of midnight is dropped; of a time of day in
    the zone UTC that is midnight in central or eastern Europe, the day there is taken.

        >>> plain_text(pa.array([12.0, None, 1.5])).to_pylist()
        ['12', None, '1.5']

    Raises:
        InvalidValues: The type cannot be text (lists, structs, raw bytes).
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain_text(column.dictionary_decode(), what)
    if pa.types.is_string(kind):
        return column
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number_text(column)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_date(kind):
        return pc.strftime(column, "%Y-%m-%d")
    if pa.types.is_timestamp(kind):
        return pc.strftime(calendar_dates(column), "%Y-%m-%d")
    raise InvalidValues(f"{what} has type {kind}, which is not text, a number or a date.")


def calendar_dates(column: pa.Array) -> pa.Array:
    """Bring times to the calendar dates that they were made from.

    A birth date is a date of the calendar. Software that stores it as midnight and converts
    it to UTC makes it the evening before: 22:00 or 23:00 where it was midnight at UTC+2 or
    UTC+1, 21:00 at UTC+3. Such a time, to the second, in the zone UTC is taken for the next day;
    without a zone, too, where no value has another time. A time with another zone has its own date
    already.
    """
    local = pc.local_timestamp(column) if column.type.tz else column
    evening = evenings(column)
    if not pc.any(evening).as_py():
        return local
    later = pc.add(local, pa.scalar(dt.timedelta(days=1), pa.duration(local.type.unit)))
    return pc.if_else(evening, later, local)


def evenings(column: pa.Array) -> pa.BooleanArray:
    """Tell which times are midnight of the next day elsewhere; see `calendar_dates`."""
    local = pc.local_timestamp(column) if column.type.tz else column
    in_utc = column.type.tz in ("UTC", "Etc/UTC", "GMT", "+00:00", "Z")
    days = pc.equal(pc.floor_temporal(local, 1, "day"), local)
    if pc.all(days).as_py() is not False or (column.type.tz and not in_utc):
        return pa.repeat(pa.scalar(False), len(column))
    whole = pc.equal(pc.floor_temporal(local, 1, "hour"), local)
    evening = pc.and_(whole, pc.greater_equal(pc.hour(local), 21))
    if not in_utc and pc.all(pc.or_(days, evening)).as_py() is False:
        return pa.repeat(pa.scalar(False), len(column))
    return evening


def _number_text(column: pa.Array) -> pa.StringArray:
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
