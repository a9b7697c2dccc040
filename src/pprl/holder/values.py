"""From a column of any type to the text that is encoded.

One value has one text, however it was stored: 2257, 2257.0, "2257" and a
category 2257 are the same; NaN, None, NaT and "" are all missing.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import InvalidValues
from pprl.holder.normalize import NORMALISERS, trim
from pprl.holder.schema import (
    BsnFormat,
    DateFormat,
    EnumFormat,
    Field,
    IntegerFormat,
    Numeric,
    StringFormat,
)


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a column, and which of them each row has.

    Attributes:
        rows: (n,) int32 index into ``values``; -1 where the value is missing.
        values: (v,) the distinct texts that are encoded.
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
    encoded = pc.dictionary_encode(as_text(column, field), null_encoding="mask")
    raw = encoded.dictionary
    if verbatim:
        cleaned = raw
        # A null has the same meaning as the empty cell of a CSV file.
        if encoded.null_count:
            return distinct_texts(
                pc.fill_null(as_text(column, field), ""), field, verbatim=True, validate=validate
            )
    else:
        cleaned = _clean(raw, field)
    texts, reasons = _format(cleaned, field, verbatim=verbatim, validate=validate)
    rows = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    problems = tuple((np.flatnonzero(rows == at), reason) for at, reason in sorted(reasons.items()))
    # Cleaning may have made distinct values equal, or left nothing of one.
    again = pc.dictionary_encode(pc.if_else(pc.equal(texts, ""), None, texts))
    renumber = pc.fill_null(again.indices, -1).to_numpy(zero_copy_only=False)
    renumber = np.append(renumber, np.int32(-1)).astype(np.int32)
    return Texts(renumber[rows], again.dictionary, problems)


def _clean(values: pa.StringArray, field: Field) -> pa.StringArray:
    cleaned = trim(values)
    if field.missing_codes:
        absent = pc.is_in(cleaned, pa.array(field.missing_codes, pa.string()))
        cleaned = pc.if_else(absent, None, cleaned)
    for name in field.normalise:
        cleaned = NORMALISERS[name](cleaned)
    return cleaned


def _format(
    values: pa.StringArray, field: Field, *, verbatim: bool, validate: bool
) -> tuple[pa.StringArray, dict[int, str]]:
    """Write each value in its canonical form; return the reasons where that fails."""
    if isinstance(field.format, StringFormat) and not _restricted(field, validate):
        return values, {}
    rule = _rule(field, verbatim, validate)
    sentinel = field.missing.sentinel if field.missing else None
    out: list[str | None] = []
    reasons = {}
    for at, value in enumerate(values.to_pylist()):
        text: str | None = None
        if value is None or (value == "" and not verbatim):
            pass
        elif field.missing and value == sentinel:
            text = field.missing.replace_with
        else:
            try:
                text = rule(value)
            except _BrokenRule as broken:
                reasons[at] = str(broken)
        if text and isinstance(field.tokens, Numeric) and not _is_number(text, field.tokens):
            text = None
            reasons[at] = "is not a number"
        out.append(text)
    return pa.array(out, pa.string()), reasons


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


def _restricted(field: Field, validate: bool) -> bool:
    if field.missing or isinstance(field.tokens, Numeric):
        return True
    return validate and field.format != StringFormat(encoding=field.format.encoding)  # type: ignore[union-attr]


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
    pattern = re.compile(format_.pattern) if format_.pattern is not None else None
    shortest = format_.min_length or 0
    longest = format_.max_length

    def rule(value: str) -> str:
        if pattern and not pattern.fullmatch(value):
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

    def rule(value: str) -> str:
        for one in formats:
            try:
                text = template.format(dt.datetime.strptime(value, one))
            except ValueError:
                continue
            placeholder = f"{text[-4:-2]}-{text[-2:]}" in format_.placeholders
            return text[:-4] if placeholder else text
        for pattern in partial:
            if found := pattern.fullmatch(value):
                return _partial_date(**found.groupdict())
        raise _BrokenRule(f"is not a date of the form {named}")

    return rule


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
