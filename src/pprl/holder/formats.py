"""The formats of fields: what a value must look like, and its canonical text.

Most values plainly fit and are done at once, as arrays; the rest go through a rule,
one by one, which decides and says what is wrong.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.holder.dates import full_year, next_day_of_evening
from pprl.holder.patterns import Pattern
from pprl.holder.schema import (
    BsnFormat,
    DateFormat,
    EnumFormat,
    Field,
    IntegerFormat,
    Numeric,
    StringFormat,
)


def canonical(
    values: pa.StringArray, field: Field, *, verbatim: bool, validate: bool
) -> tuple[pa.StringArray, dict[int, str]]:
    """Write each value in its canonical form; return the reasons where that fails.

    Args:
        values: Distinct values; a null, or an empty text unless verbatim, is missing.
        field: Its format, tokens and missing code decide.
        verbatim: Do as clkhash does, to the letter.
        validate: Check the rules of the format that do not change the text.

    Returns:
        Texts of the same length, null where missing or wrong, and the reason for
        each place that is wrong.
    """
    texts = _at_once(values, field, validate)
    if isinstance(field.tokens, Numeric):
        texts = _keep(texts, pc.match_substring_regex(texts, r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$"))
    if field.missing:
        texts = _keep(texts, pc.not_equal(values, field.missing.sentinel))
    open_ = pc.and_(pc.is_null(texts), pc.is_valid(values))
    if not verbatim:
        open_ = pc.and_(open_, pc.not_equal(values, ""))
    open_ = pc.fill_null(open_, False)
    places = np.flatnonzero(open_.to_numpy(zero_copy_only=False))
    if not len(places):
        return texts, {}
    rule = _rule(field, verbatim, validate)
    decided: list[str | None] = []
    reasons = {}
    for place, value in zip(
        places.tolist(), values.take(pa.array(places)).to_pylist(), strict=True
    ):
        text: str | None = None
        try:
            if field.missing and value == field.missing.sentinel:
                text = field.missing.replace_with
            else:
                text = rule(value)
            if text and isinstance(field.tokens, Numeric) and not _is_number(text, field.tokens):
                raise _BrokenRule("is not a number")
        except _BrokenRule as broken:
            text = None
            reasons[place] = str(broken)
        decided.append(text)
    return pc.replace_with_mask(texts, open_, pa.array(decided, pa.string())), reasons


def _at_once(values: pa.StringArray, field: Field, validate: bool) -> pa.StringArray:
    """Write the values that plainly fit; null where a rule must decide."""
    match field.format:
        case StringFormat() as text:
            return values if not validate else _keep(values, _plain_text(values, text))
        case IntegerFormat(minimum=None, maximum=None):
            return _keep(values, pc.match_substring_regex(values, "^(0|[1-9][0-9]*)$"))
        case DateFormat() as date:
            return _plain_dates(values, date)
        case EnumFormat() as enum:
            allowed = pc.is_in(values, pa.array(enum.values, pa.string()))
            return values if not validate else _keep(values, allowed)
    return pa.nulls(len(values), pa.string())


def _plain_text(values: pa.StringArray, format_: StringFormat) -> pa.BooleanArray:
    fits = pc.is_valid(values)
    if format_.pattern is not None:
        return pa.array(Pattern.of(format_.pattern).fits(values))
    if format_.min_length is not None:
        fits = pc.and_(fits, pc.greater_equal(pc.utf8_length(values), format_.min_length))
    if format_.max_length is not None:
        fits = pc.and_(fits, pc.less_equal(pc.utf8_length(values), format_.max_length))
    if format_.case != "mixed" or format_.encoding == "ascii":
        fits = pc.and_(fits, pc.string_is_ascii(values))
    if format_.case == "upper":
        fits = pc.and_(fits, pc.equal(pc.ascii_upper(values), values))
    if format_.case == "lower":
        fits = pc.and_(fits, pc.equal(pc.ascii_lower(values), values))
    return fits


_PARTS = {"%Y": 4, "%m": 2, "%d": 2}
"""Digits of the parts of a date, in the order in which they are encoded."""


def _plain_dates(values: pa.StringArray, format_: DateFormat) -> pa.StringArray:
    """Rearrange dates that are written in full digits; null for every other."""
    found = re.fullmatch(f"([^%]*)({'|'.join(_PARTS)})" * 3 + "([^%]*)", format_.format)
    if not found or len({found[2], found[4], found[6]}) < 3:
        return pa.nulls(len(values), pa.string())
    at = 0
    places: dict[str, list[int]] = {}
    marks: dict[int, int] = {}
    for piece in found.groups():
        if width := _PARTS.get(piece):
            places[piece] = list(range(at, at + width))
            at += width
        else:
            marks |= dict(enumerate(piece.encode(), at))
            at += len(piece.encode())
    letters, fits = _letters(values, at)
    fits &= (letters[:, list(marks)] == np.array(list(marks.values()), np.uint8)).all(axis=1)
    digits = letters[:, [place for part in _PARTS for place in places[part]]] - np.uint8(48)
    fits &= (digits <= 9).all(axis=1)
    y, md = digits[:, :4] @ _THOUSANDS, digits[:, 4:] @ _THOUSANDS
    m, d = md // 100, md % 100
    leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0))
    days = _DAYS[np.minimum(m, 13)] + ((m == 2) & leap)
    # Years before 1000 are written differently for clkhash, and placeholders shortened.
    fits &= (y >= 1000) & (d >= 1) & (d <= days)
    if format_.placeholders:
        fits &= ~np.isin(md, [int(p.replace("-", "")) for p in format_.placeholders])
    text = np.ascontiguousarray(np.where(fits[:, None], digits + np.uint8(48), np.uint8(48)))
    ends = np.arange(len(values) + 1, dtype=np.int32) * 8
    joined = pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(text))
    return _keep(joined, pa.array(fits))


def _letters(values: pa.StringArray, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Lay out the bytes of values (n, width), and say which have just so many."""
    _, borders, data = values.buffers()
    ends = np.frombuffer(borders, np.int32)[values.offset : values.offset + len(values) + 1]
    text = np.frombuffer(data or b"", np.uint8)
    fits = (np.diff(ends) == width) & values.is_valid().to_numpy(zero_copy_only=False)
    letters = np.zeros((len(values), width), np.uint8)
    if fits.any():
        starts = ends[:-1][fits]
        letters[fits] = np.lib.stride_tricks.sliding_window_view(text, width)[starts]
    return letters, fits


_THOUSANDS = np.array([1000, 100, 10, 1], np.int32)
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0])


def _keep(values: pa.StringArray, fits: pa.BooleanArray) -> pa.StringArray:
    return pc.if_else(fits, values, pa.scalar(None, pa.string()))


def _is_number(text: str, tokens: Numeric) -> bool:
    try:
        int(text, base=10)
    except ValueError:
        try:
            return math.isfinite(float(text) * pow(10, tokens.fractional_precision))
        except (ValueError, OverflowError):
            return False
    return True


class _BrokenRule(Exception):
    """A value breaks a rule; the text says which rule and never the value."""


def _rule(field: Field, verbatim: bool, validate: bool) -> Callable[[str], str]:
    format_ = field.format
    match format_:
        case StringFormat():
            return _string_rule(format_) if validate else str
        case IntegerFormat():
            return _integer_rule(format_, validate)
        case DateFormat():
            return _date_rule(format_, verbatim)
        case EnumFormat():
            return _enum_rule(format_) if validate else str
        case BsnFormat():
            return _bsn_rule


def _string_rule(format_: StringFormat) -> Callable[[str], str]:
    pattern = Pattern.of(format_.pattern) if format_.pattern is not None else None
    shortest = format_.min_length or 0
    longest = format_.max_length

    def rule(value: str) -> str:
        if pattern and not pattern.fits([value])[0]:
            raise _BrokenRule("does not have the pattern that the schema asks for")
        if len(value) < shortest:
            raise _BrokenRule(f"is shorter than {shortest} characters")
        if longest is not None and len(value) > longest:
            raise _BrokenRule(f"is longer than {longest} characters")
        if format_.case == "upper" and value.upper() != value:
            raise _BrokenRule("is not in upper case")
        if format_.case == "lower" and value.lower() != value:
            raise _BrokenRule("is not in lower case")
        if format_.encoding == "ascii" and not value.isascii():
            raise _BrokenRule("has characters outside ASCII")
        return value

    return rule


def _integer_rule(format_: IntegerFormat, validate: bool) -> Callable[[str], str]:
    def rule(value: str) -> str:
        try:
            number = int(value, base=10)
        except ValueError:
            raise _BrokenRule("is not a whole number") from None
        if validate and format_.minimum is not None and number < format_.minimum:
            raise _BrokenRule(f"is below {format_.minimum}")
        if validate and format_.maximum is not None and number > format_.maximum:
            raise _BrokenRule(f"is above {format_.maximum}")
        return str(number)

    return rule


def _bsn_rule(value: str) -> str:
    """Write a citizen service number with its nine digits, if it can be one."""
    digits = re.sub(r"[ .]", "", value).rjust(9, "0")
    if not re.fullmatch(r"[0-9]{9}", digits) or not int(digits):
        raise _BrokenRule("is not a citizen service number of 9 digits")
    if not passes_eleven_test(digits):
        raise _BrokenRule("does not pass the eleven-test")
    return digits


def passes_eleven_test(digits: str) -> bool:
    """Check nine digits: 9 a + 8 b + ... + 2 h - i must be a multiple of 11."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 11 == 0


def _date_rule(format_: DateFormat, verbatim: bool) -> Callable[[str], str]:
    # clkhash writes years before 1000 as glibc's strftime does, without leading zeros.
    year = "{0.year}" if verbatim else "{0.year:04}"
    template = year + "{0.month:02}{0.day:02}"

    formats = (format_.format, *format_.also)
    partial = [_partial_pattern(one) for one in formats] if format_.unknown_parts else []
    named = " or ".join(formats)
    latest = latest_date(format_)

    def rule(value: str) -> str:
        if not verbatim:
            value = next_day_of_evening(value) or value
        for one in formats:
            try:
                date = dt.datetime.strptime(value, one)
            except ValueError:
                continue
            if "%y" in one and not verbatim:
                date = _in_full(date, latest)
            text = template.format(date)
            placeholder = f"{text[-4:-2]}-{text[-2:]}" in format_.placeholders
            return text[:-4] if placeholder else text
        for pattern in partial:
            if found := pattern.fullmatch(value):
                return _partial_date(**found.groupdict())
        raise _BrokenRule(f"is not a date of the form {named}")

    return rule


def latest_date(format_: DateFormat) -> dt.date:
    """Return the last day on which somebody can be born: today, or the end of a year."""
    return dt.date(format_.latest_year, 12, 31) if format_.latest_year else dt.date.today()


def _in_full(date: dt.datetime, latest: dt.date) -> dt.datetime:
    """Give a date whose year has two digits the last year that is not in the future."""
    year = full_year(date.year % 100, latest, date.month, date.day)
    try:
        return date.replace(year=year)
    except ValueError:
        raise _BrokenRule("is the 29th of February of a year that has none") from None


def _partial_pattern(format_: str) -> re.Pattern[str]:
    """Match what a numeric date format writes, zeros for a day or month included."""
    parts = {"%Y": r"(?P<year>\d{4})", "%m": r"(?P<month>\d{1,2})", "%d": r"(?P<day>\d{1,2})"}
    pattern = re.escape(format_)
    for code, part in parts.items():
        pattern = pattern.replace(re.escape(code), part)
    return re.compile(pattern)


def _partial_date(year: str = "0", month: str = "0", day: str = "0") -> str:
    """Write the known leading parts of a date; a day without its month says nothing."""
    if not int(year) or int(month) > 12 or (int(month) and int(day)):
        raise _BrokenRule("is not a date, not even in part")
    return f"{int(year):04}{int(month):02}" if int(month) else f"{int(year):04}"


def _enum_rule(format_: EnumFormat) -> Callable[[str], str]:
    allowed = frozenset(format_.values)

    def rule(value: str) -> str:
        if value not in allowed:
            raise _BrokenRule("is not one of the codes that the schema lists")
        return value

    return rule
