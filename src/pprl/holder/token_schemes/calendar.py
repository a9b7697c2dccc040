"""Days of the calendar, as token schemes write them."""

from __future__ import annotations

import datetime as dt
import re

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_day(value: str) -> bool:
    """Say whether a text is a day that exists, written YYYY-MM-DD.

    The year 0000 counts, as it does in Spark; it has a 29th of February.

    >>> is_day("1952-02-29"), is_day("1951-02-29"), is_day("1951-2-1")
    (True, False, False)
    """
    if not _DAY.fullmatch(value):
        return False
    try:
        dt.date.fromisoformat(f"2000{value[4:]}" if value.startswith("0000") else value)
    except ValueError:
        return False
    return True
