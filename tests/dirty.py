"""Three hundred kinds of dirty columns: sixty for each of five columns of a table of people."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import pprl
from pprl.errors import PprlError

MARK = "ZZLEAKZZ"
COLUMNS = ("id", "surname", "born", "sex", "postcode")
ROWS = 12

SCHEMA = """
version = 1
name = "dirty"
bits = 512
hardening = { method = "none" }

[[fields]]
name = "surname"
normalise = ["fold_case", "strip_accents", "letters_only"]
tokens = { type = "ngram", n = 2 }
bits_per_feature = 60

[[fields]]
name = "born"
format = { type = "date", format = "%Y-%m-%d" }
tokens = { type = "ngram", n = 2, positional = true }
bits_per_feature = 60

[[fields]]
name = "sex"
normalise = ["sex_code"]
tokens = { type = "exact" }
bits_per_token = 20

[[fields]]
name = "postcode"
normalise = ["alphanumeric"]
tokens = { type = "exact" }
bits_per_token = 40
"""

_OBJECTS: list[Any] = [
    *(0, -1, 10**30, 1.5, float("nan"), float("inf"), True, 1j, b"bytes", b"\xff", bytearray(b"x")),
    *(None, "", " ", MARK, "\x00", "\ud800", "\u202e" + MARK, "a" * 100_000, "\u0301" * 5_000),
    *("\U0001f600", "=1+1", "\x1b[2J", "1e999", "٣٤", "ﷺ" * 50, [], [1], {}, {"a": MARK}, (1, 2)),
    *(set(), frozenset({MARK}), np.arange(3), np.float16(1), np.datetime64("NaT"), pd.NA, pd.NaT),
    *(dt.date(1, 1, 1), dt.datetime(9999, 12, 31), dt.time(1), dt.timedelta(days=1), object()),
    *(decimal.Decimal("NaN"), decimal.Decimal("1e500"), fractions.Fraction(1, 3), uuid.UUID(int=1)),
    *(range(3), ValueError(MARK), Path(MARK), pd.Period("2020", "Y"), pd.Interval(0, 1), print),
]


def _typed() -> list[Any]:
    """Columns whose type, not one of their values, is odd."""
    stamps = pd.date_range("1970-01-01", periods=ROWS, tz="Europe/Paris")
    words = [f"{MARK}{at}" for at in range(ROWS)]
    numbers = list(range(ROWS))
    arrow = [
        pa.array(words, pa.large_string()),
        pa.array(words, pa.string_view()),
        pa.array(words).dictionary_encode(),
        pa.array([one.encode() for one in words]),
        pa.nulls(ROWS),
        pa.array([[at] for at in numbers]),
        pa.array([{"a": one} for one in words]),
        pa.array([decimal.Decimal(at) for at in numbers], pa.decimal256(40, 3)),
        pa.array(numbers, pa.duration("ns")),
        pa.array(numbers, pa.time64("us")),
        pa.array([2**62 + at for at in numbers], pa.timestamp("s")),
        pa.array(numbers, pa.date64()),
        pa.array([2**64 - 1 - at for at in numbers], pa.uint64()),
        pa.array([float("nan")] * ROWS, pa.float64()),
        pa.array([(1, 2, 3)] * ROWS, pa.month_day_nano_interval()),
        pa.array([True, False] * (ROWS // 2)),
    ]
    frames = [
        pd.Series(words, dtype="category"),
        pd.Series(stamps),
        pd.Series(stamps.tz_localize(None)),
        pd.Series(pd.arrays.SparseArray(numbers)),
        pd.Series(numbers, dtype="Int64").mask(pd.Series(numbers) > 3),
        pd.Series(pd.to_timedelta(numbers, unit="D")),
        pd.Series(pd.period_range("2000", periods=ROWS, freq="M")),
        pd.Series(np.arange(ROWS) + 1j),
        pd.Series([pd.NA] * ROWS, dtype="boolean"),
    ]
    return [*arrow, *frames]


def dirty_tables() -> Iterator[Any]:
    """Yield 300 tables, each with one dirty column."""
    kinds = [*_OBJECTS, *_typed()]
    # Sixty of each column: all types, and the values in turn.
    typed, values = kinds[len(_OBJECTS) :], _OBJECTS
    for place, column in enumerate(COLUMNS):
        turned = [values[(place * 13 + at) % len(values)] for at in range(60 - len(typed))]
        for kind in [*typed, *turned]:
            yield _with(column, kind)


def _clean() -> dict[str, Any]:
    return {
        "id": [f"r{at}" for at in range(ROWS)],
        "surname": [f"Jansen{chr(97 + at)}" for at in range(ROWS)],
        "born": [f"19{50 + at}-01-02" for at in range(ROWS)],
        "sex": ["f", "m"] * (ROWS // 2),
        "postcode": [f"{1000 + at}AB" for at in range(ROWS)],
    }


def _with(column: str, kind: Any) -> Any:
    clean = _clean()
    if isinstance(kind, pa.Array):
        return pa.table({**clean, column: kind})
    if isinstance(kind, pd.Series):
        return pd.DataFrame({**clean, column: kind})
    values: list[Any] = list(clean[column])
    values[5] = kind
    return pd.DataFrame({**clean, column: pd.Series(values, dtype=object)})


def encoded(table: Any, schema: Path, key: pprl.LinkageKey, on_invalid: Any) -> str:
    """Encode a dirty table: right, refused, leaked or traceback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pprl.encode(table, schema, key, id_column="id", on_invalid=on_invalid)
        except PprlError as error:
            return "leaked" if MARK in str(error) else "refused"
        except Exception as error:  # noqa: BLE001 - what a trial is to find
            return f"traceback {type(error).__name__}"
    return "right"
