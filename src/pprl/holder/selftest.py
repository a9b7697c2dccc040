"""Twenty built-in fictitious people, to notice that two holders encode differently."""

from __future__ import annotations

import datetime as dt
import itertools

import pyarrow as pa

from pprl.holder.formats import passes_eleven_test
from pprl.holder.schema import (
    BsnFormat,
    DateFormat,
    EnumFormat,
    Field,
    IntegerFormat,
    Numeric,
    Schema,
)

_NAMES = (
    *("José", "Åsa", "Łukasz", "Siobhán", "Jürgen", "Anne-Marie", "D'Arcy", "van der Berg"),
    *("Ünal", "Nguyễn", "IJsbrand", "Çelik", "Müller", "O'Neill", "Straße", "de Wit"),
    *("Jansen", "El Idrissi", "Smith", "Øster"),
)


_WRITTEN = {
    "date_dmy": (
        *("28-6-1957", "1957-06-28", "28.06.57", "28 juni 1957", "1957", "00-06-1957"),
        *("31-02-1957", "onbekend", "1957-06-27T22:00:00Z", "19570628"),
    ),
    "date_mdy": ("6/28/1957", "1957-06-28", "06/28/57", "June 28, 1957", "28/06/1957"),
    "sex_code": ("M", "V", "man", "weiblich", "1", "2", "Kadın", "x"),
    "house_number_parts": ("12-1", "121", "12A", "012 bis"),
    "street_words": ("Dorpsstraat", "Dorpsstr. 12", "Sint Jansplein", "High Street"),
    "strip_accents": (
        *("Yıldız", "Łukasz", "Þórður", "Anne\u2013Marie", "O\u02bbNeill", "Nguyễn", "NULL"),
        *("van der Berg", "D’Arcy", "Straße"),
    ),
}
"""What a normaliser must read alike at every holder, so that two versions are told apart."""


def fictitious_people(schema: Schema) -> pa.RecordBatch:
    """Make up a value that fits the format of every field, for twenty people."""
    return pa.record_batch(
        {
            field.name: pa.array([_value(field, at) for at in range(len(_NAMES))], pa.string())
            for field in schema.encoded_fields
        }
    )


def _value(field: Field, at: int) -> str:
    match field.format:
        case EnumFormat():
            return field.format.values[at % len(field.format.values)]
        case DateFormat():
            day = dt.date(1921 + 4 * at, 1 + at % 12, 1 + at)
            return day.strftime(field.format.format)
        case IntegerFormat():
            return str(1000 + 37 * at)
        case BsnFormat():
            candidates = (f"{number:09}" for number in itertools.count(100_000_000 + 7919 * at))
            return next(digits for digits in candidates if passes_eleven_test(digits))
    if isinstance(field.tokens, Numeric):
        return str(17 * at)
    for normaliser, written in _WRITTEN.items():
        if normaliser in field.normalise and at % 2:
            return written[at // 2 % len(written)]
    name = _NAMES[at]
    return name if field.format.encoding != "ascii" else name.encode("ascii", "ignore").decode()
