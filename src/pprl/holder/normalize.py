"""Cleaning values: pure functions from an Arrow string array to one of the same length.

A null stays null. Every function can be used alone::

    >>> import pyarrow as pa
    >>> fold_case(strip_accents(pa.array(["José", None]))).to_pylist()
    ['jose', None]
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

Normaliser = Callable[[pa.StringArray], pa.StringArray]


def trim(values: pa.StringArray) -> pa.StringArray:
    """Remove white space at both ends and make every run of it inside one blank."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(values, r"[\s\p{Z}]+", " "))


def compose(values: pa.StringArray) -> pa.StringArray:
    """Bring text to Unicode form NFKC, so that equal looks are equal code points."""
    return pc.utf8_normalize(values, "NFKC")


def fold_case(values: pa.StringArray) -> pa.StringArray:
    """Lower-case text; ß becomes ss, as Unicode case folding has it."""
    return pc.replace_substring(pc.utf8_lower(values), "ß", "ss")


def strip_accents(values: pa.StringArray) -> pa.StringArray:
    """Remove diacritics: é becomes e, ü becomes u, ø and ł lose their strokes."""
    plain = pc.replace_substring_regex(pc.utf8_normalize(values, "NFKD"), r"\p{Mn}+", "")
    for letter, replacement in _STROKES.items():
        plain = pc.replace_substring(plain, letter, replacement)
    return plain


def letters_only(values: pa.StringArray) -> pa.StringArray:
    """Keep letters and single blanks; a hyphen or slash becomes a blank."""
    apart = pc.replace_substring_regex(values, r"[-/_.,]+", " ")
    return trim(pc.replace_substring_regex(apart, r"[^\p{L}\p{M} ]+", ""))


def alphanumeric(values: pa.StringArray) -> pa.StringArray:
    """Keep letters and digits only, without blanks: 1234 AB becomes 1234AB."""
    return pc.replace_substring_regex(values, r"[^\p{L}\p{M}\p{Nd}]+", "")


def digits_only(values: pa.StringArray) -> pa.StringArray:
    """Keep digits only: 2007-06-28 becomes 20070628."""
    return pc.replace_substring_regex(values, r"[^\p{Nd}]+", "")


_STROKES = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE"}

NORMALISERS: dict[str, Normaliser] = {
    "trim": trim,
    "compose": compose,
    "fold_case": fold_case,
    "strip_accents": strip_accents,
    "letters_only": letters_only,
    "alphanumeric": alphanumeric,
    "digits_only": digits_only,
}
"""Every normaliser by the name it has in a schema."""
