"""Times of day behind birth dates: taken away, or read as midnight elsewhere.

A birth date is a date of the calendar. Software that stores it as midnight and converts it to UTC
makes it 21:00, 22:00 or 23:00 of the day before.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_TIME = re.compile(
    r"^(?P<date>.*\d.*?)(?:[ tT]\s*)(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)"
    r"(?P<less>[.,]\d+)?)?(?:\s*(?P<half>[aApP])\.?[mM]\.?)?\s*(?P<zone>[zZ]|UTC|[+-]\d\d:?\d\d)?$"
)
_ZONED_DATE = re.compile(r"^(\d{4}-\d\d-\d\d)(?:[zZ]|[+-]\d\d:\d\d)$")
_YEAR_FIRST = re.compile(r"^(\d{4})([-/.]?)(\d\d)\2(\d\d)$")
_YEAR_LAST = re.compile(r"^(\d\d?)([-/.])(\d\d?)\2(\d{4})$")
_UTC = re.compile(r"^(?:[zZ]|UTC|[+-]00:?00)$")
_EVENING = (21, 22, 23)


@dataclass(frozen=True)
class _Moment:
    """A text that is a date with a time of day."""

    date: str
    midnight: bool
    evening: bool
    zone: str | None


def dates_of_times(
    values: pa.StringArray, *, month_first: bool
) -> tuple[pa.StringArray, list[int]]:
    """Write dates with a time of day as dates; others stay as they are.

    21:00, 22:00 and 23:00 to the second are midnight of the next day, in UTC always and without a
    zone where no value has another time: then the times are no times of birth.

        >>> texts = pa.array(["1950-04-30 22:00:00", "1-5-1950 00:00", "1950-05-01"])
        >>> dates_of_times(texts, month_first=False)[0].to_pylist()
        ['1950-05-01', '1-5-1950', '1950-05-01']

    Args:
        values: Distinct texts of a column.
        month_first: Where the year comes last, the month comes first.

    Returns:
        The texts, and the places of those without a zone that were taken for the next day.
    """
    with_time = pc.match_substring_regex(values, r"\d:\d\d")
    places = np.flatnonzero(pc.fill_null(with_time, False).to_numpy(zero_copy_only=False))
    if not len(places):
        return values, []
    found = {
        at: moment
        for at, text in zip(places.tolist(), values.take(pa.array(places)).to_pylist(), strict=True)
        if (moment := _moment(text))
    }
    zoneless = [one for one in found.values() if one.zone is None]
    converted = all(one.midnight or one.evening for one in zoneless)
    texts = values.to_pylist()
    moved = []
    for at, one in found.items():
        texts[at] = one.date
        in_utc = one.zone is not None and bool(_UTC.match(one.zone))
        if one.evening and (in_utc or (one.zone is None and converted)):
            later = _next_day(one.date, month_first)
            if later is not None:
                texts[at] = later
                if one.zone is None:
                    moved.append(at)
    return pa.array(texts, pa.string()), moved


def _moment(text: str) -> _Moment | None:
    if zoned := _ZONED_DATE.match(text):
        return _Moment(zoned.group(1), True, False, None)
    parts = _TIME.match(text)
    if not parts:
        return None
    hour = int(parts["hour"])
    if parts["half"]:
        hour = hour % 12 + (12 if parts["half"] in "pP" else 0)
    whole = not int(parts["minute"]) and not int(parts["second"] or 0)
    whole = whole and not (parts["less"] or "").strip(".,0")
    return _Moment(
        parts["date"].strip(" ,"), whole and not hour, whole and hour in _EVENING, parts["zone"]
    )


def _next_day(date: str, month_first: bool) -> str | None:
    """Return the next day, in the form that the date has; None where its form is unknown."""
    if parts := _YEAR_FIRST.match(date):
        year, between, month, day = parts.groups()
        form = f"%Y{between}%m{between}%d"
    elif parts := _YEAR_LAST.match(date):
        one, between, two, year = parts.groups()
        month, day = (one, two) if month_first else (two, one)
        form = between.join(("%m", "%d") if month_first else ("%d", "%m")) + f"{between}%Y"
    else:
        return None
    try:
        later = dt.date(int(year), int(month), int(day)) + dt.timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return later.strftime(form)
