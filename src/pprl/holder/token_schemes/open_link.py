"""Open Link Token: the tokens T1 to T5.

A token is HMAC-SHA-256, under a secret, over the hexadecimal SHA-256 of some attributes. This is
what the scheme calls the privacy-protected identifier; what it wraps around it for the way to
somebody else is encrypted anew each time and is not compared.

Source: the package ``openlinktoken`` (MIT), whose vectors the tests hold.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping

from pprl.errors import LinkageKeyError
from pprl.holder.token_schemes.placeholders import (
    CANADIAN_AREAS,
    CANADIAN_CODES,
    LETTERS,
    NAMES,
    NUMBERS,
    ZIP_CODES,
)

Value = str | None
Sign = Callable[[bytes], str]

TOKENS: Mapping[str, tuple[str, ...]] = {
    "openlinktoken_t1": ("last_name", "first_name.1", "sex", "birth_date"),
    "openlinktoken_t2": ("last_name", "first_name", "birth_date", "postal_code.3"),
    "openlinktoken_t3": ("last_name", "first_name", "sex", "birth_date"),
    "openlinktoken_t4": ("ssn", "sex", "birth_date"),
    "openlinktoken_t5": ("last_name", "first_name.3", "sex"),
}
"""The attributes of each token, in the order in which they are joined."""

PARTS: Mapping[str, str] = {
    name: name for name in ("last_name", "first_name", "sex", "birth_date", "postal_code", "ssn")
}

_TITLE = re.compile(
    r"(?i)^\s*(?:(?:mr|mrs|ms|miss|dr|prof|capt|sir|col|gen|cmdr|lt|"
    r"rabbi|father|brother|sister|hon|honorable|reverend|rev|doctor)\.?\s+)+"
)
_GENERATION = re.compile(
    r"(?i)(?:\s+(?:jr\.?|junior|sr\.?|senior|I{1,3}|IV|V|VI{0,3}|IX|X|\d+(?:st|nd|rd|th)))+$"
)
_LAST_INITIAL = re.compile(r"\s[^\s]\.?$")
_FIRST_OF_SEVERAL = re.compile(
    r"^([A-Za-z]{3,})[\s./]+[A-Za-z]+(?:[\s./\-\u2010-\u2015\u2212]+[A-Za-z]+)*$"
)
_LAST_NAME = re.compile(
    r"^\s*(?:(?:.{3,})|(?:[^aeiouAEIOU\s][aeiouAEIOU])|"
    r"(?:[aeiouAEIOU][^aeiouAEIOU\s])|(?:[aeiouAEIOU]{2})|(?:[Nn][Gg]))\s*$"
)
_SEX = re.compile(r"^\s*([Mm](ale)?|[Ff](emale)?)\s*$")
_ZIP = re.compile(r"^\s*(\d{3}|\d{4}|\d{5}(-\d{4})?|\d{9})\s*$")
_CANADIAN = re.compile(r"^\s*[A-Za-z]\d[A-Za-z](\s?\d([A-Za-z]\d?)?)?\s*$")
_SSN = re.compile(
    r"^(?:\d{7,9}(?:[.]0*)?)$|(?:^(?!000|666|9\d\d)(\d{3})-?(?!00)(\d{2})-?(?!0000)(\d{4})$)"
)
_DATE = re.compile(
    r"^(?:\d{4}[-/]\d{2}[-/]\d{2}|\d{2}[-./]\d{2}[-./]\d{4}|"
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?(?:Z|[+-]\d{2}:\d{2})?)$"
)
_DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z",
)  # fmt: skip
_FIRST_DAY = dt.date(1910, 1, 1)
_SSN_DIGITS = range(7, 10)


def signer(secret: bytes) -> Sign:
    """Return the function that turns a message into a token.

    Args:
        secret: The scheme's hashing secret.

    Raises:
        LinkageKeyError: The secret is empty.
    """
    if not secret.strip():
        raise LinkageKeyError("Open Link Token needs a hashing secret; the file is empty.")

    def sign(message: bytes) -> str:
        digest = hashlib.sha256(message).hexdigest().encode()
        return base64.b64encode(hmac.digest(secret, digest, "sha256")).decode()

    return sign


def attributes() -> dict[str, Callable[[Mapping[str, Value]], Value]]:
    """Return, for each attribute, what it is of a record's values."""
    return {
        "last_name": lambda row: _upper(_last_name(row["last_name"])),
        "first_name": lambda row: _upper(_first_name(row["first_name"])),
        "first_name.1": lambda row: _upper(_first_name(row["first_name"]), 1),
        "first_name.3": lambda row: _upper(_first_name(row["first_name"]), 3),
        "sex": lambda row: _sex(row["sex"]),
        "birth_date": lambda row: _date(row["birth_date"]),
        "postal_code.3": lambda row: _upper(_postal_code(row["postal_code"]), 3),
        "ssn": lambda row: _ssn(row["ssn"]),
    }


def message_of(names: tuple[str, ...], values: Mapping[str, Value]) -> bytes | None:
    """Join a token's attributes; None where one is missing or not valid."""
    parts = [values[name] for name in names]
    return None if None in parts else "|".join(filter(None, parts)).encode()


def _upper(value: Value, first: int | None = None) -> Value:
    return None if value is None else value.strip()[:first].upper()


def _plain(value: str) -> str:
    twins = "".join(LETTERS.get(letter, letter) for letter in value.strip())
    apart = unicodedata.normalize("NFD", twins)
    return "".join(one for one in apart if not unicodedata.category(one).startswith("M"))


def _first_name(value: Value) -> Value:
    if value is None or not value.strip() or value.lower() in NAMES:
        return None
    made = _plain(value)
    made = _TITLE.sub("", made).strip() or made
    made = _GENERATION.sub("", made).strip() or made
    made = _LAST_INITIAL.sub("", made).strip()
    several = _FIRST_OF_SEVERAL.match(made)
    made = re.sub("[^a-zA-Z]", "", several.group(1) if several else made)
    return made if made and made.lower() not in NAMES else None


def _last_name(value: Value) -> Value:
    if value is None or not value.strip() or value.lower() in NAMES:
        return None
    plain = _plain(value)
    without = _GENERATION.sub("", plain)
    made = re.sub("[^a-zA-Z]", "", without if without.strip() else plain)
    there = bool(made) and made.lower() not in NAMES and bool(_LAST_NAME.match(made))
    return made if there else None


def _sex(value: Value) -> Value:
    if value is None or not _SEX.match(value):
        return None
    return "MALE" if value.strip()[0] in "mM" else "FEMALE"


def _date(value: Value) -> Value:
    if value is None or not _DATE.match(value):
        return None
    for pattern in _DATE_FORMATS:
        try:
            day = dt.datetime.strptime(value.strip(), pattern).date()
        except ValueError:
            continue
        return day.isoformat() if _FIRST_DAY <= day <= dt.date.today() else None
    return None


def _postal_code(value: Value) -> Value:
    if value is None or not value.strip():
        return None
    if _ZIP.match(value) and not value.strip().startswith(tuple(ZIP_CODES)):
        return re.sub(r"\s+", "", value).ljust(5, "0")[:5]
    if not _CANADIAN.match(value):
        return None
    short = re.sub(r"\s+", "", value).upper()
    filled = {3: f"{short} 000", 4: f"{short[:3]} {short[3:]}A0", 5: f"{short[:3]} {short[3:]}0"}
    full = filled.get(len(short), f"{short[:3]} {short[3:]}")
    if full in CANADIAN_CODES:
        return None
    tail = full[4:]
    padded = tail == "000" or re.match(r"\d[A-Z]0$", tail)
    return None if padded and full[:3] in CANADIAN_AREAS else full


def _ssn(value: Value) -> Value:
    if value is None or value in NUMBERS or not _SSN.match(value):
        return None
    digits = re.sub(r"\s+", "", value).replace("-", "").split(".")[0]
    if not re.fullmatch(r"\d+", digits) or len(digits) not in _SSN_DIGITS:
        return "".join(re.findall(r"\d+", value))
    return digits.zfill(_SSN_DIGITS[-1])
