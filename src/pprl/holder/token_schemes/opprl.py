"""OPPRL: the Open Privacy Preserving Record Linkage protocol, versions 0, 1 and 2.

A token is AES-256-GCM-SIV, with a nonce of zeros, over the SHA-512 of some attributes; the key
of AES is derived from an RSA private key. Equal attributes give equal tokens, so a token
is a pseudonym under that key, and its frequency shows.

Source: the package ``spindle-token`` (Apache 2.0), whose vectors the tests hold.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pprl.errors import LinkageKeyError, MissingDependency
from pprl.holder.token_schemes.calendar import is_day

Value = str | None
Sign = Callable[[bytes], str]

VERSIONS = ("v0", "v1", "v2")
_NONCE = bytes(12)
_AES_BYTES = 32
_SSN_DIGITS = 9
_SPACE = re.compile(r"\s", re.ASCII)
_SEXES = {"F": "F", "W": "F", "G": "F", "M": "M", "B": "M"}

PARTS: Mapping[str, str] = {
    "first": "first_name", "last": "last_name", "gender": "gender", "birth_date": "birth_date",
    "email": "email", "hem": "hem", "phone": "phone", "ssn": "ssn",
    "group_number": "group_number", "member_id": "member_id",
}  # fmt: skip
"""The column of each attribute. ``hem`` is an e-mail address that is hashed already."""

_V0 = {
    1: ("first.initial", "last", "gender", "birth_date"),
    2: ("first.soundex", "last.soundex", "gender", "birth_date"),
    3: ("first.metaphone", "last.metaphone", "gender", "birth_date"),
}
_LATER = _V0 | {
    4: ("first.initial", "last", "birth_date"),
    5: ("first.soundex", "last.soundex", "birth_date"),
    6: ("first.metaphone", "last.metaphone", "birth_date"),
    7: ("first", "phone"),
    8: ("birth_date", "phone"),
    9: ("first", "ssn"),
    10: ("birth_date", "ssn"),
    11: ("email",),
    12: ("email.sha2",),
    13: ("group_number", "member_id"),
}


def tokens_of(version: str) -> dict[str, tuple[str, ...]]:
    """Return the attributes of each token of a version, by the name the scheme gives it.

    >>> tokens_of("v2")["opprl_token_4v2"]
    ('first.initial', 'last', 'birth_date')
    """
    made = _V0 if version == "v0" else _LATER
    return {f"opprl_token_{number}{version}": parts for number, parts in made.items()}


def signer(version: str, private_key: bytes) -> Sign:
    """Return the function that turns a message into a token.

    Args:
        version: ``v0``, ``v1`` or ``v2``.
        private_key: An RSA private key in PEM. To versions 0 and 1 every byte of the text
            counts, the last line's end, too.

    Raises:
        LinkageKeyError: It is no RSA private key.
        MissingDependency: OpenSSL is older than 3.2 and does not have AES-GCM-SIV.
    """
    try:
        key = load_pem_private_key(private_key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        del private_key
        raise LinkageKeyError("OPPRL needs an RSA private key in PEM, without a password.")
    if version == "v0":
        secret = hashlib.shake_256(private_key).digest(_AES_BYTES)
    else:
        canonical = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        secret = HKDF(SHA256(), _AES_BYTES, salt=None, info=f"opprl.{version}.aes".encode()).derive(
            private_key if version == "v1" else canonical
        )
    try:
        cipher = AESGCMSIV(secret)
    except UnsupportedAlgorithm:
        raise MissingDependency(
            "tokens of OPPRL need AES-GCM-SIV, which OpenSSL has since 3.2: install a newer "
            "version of the package cryptography."
        ) from None

    def sign(message: bytes) -> str:
        digest = hashlib.sha512(message).digest()
        return base64.b64encode(cipher.encrypt(_NONCE, digest, None)).decode()

    return sign


def attributes() -> dict[str, Callable[[Mapping[str, Value]], Value]]:
    """Return, for each attribute, what it is of a record's values."""
    return {
        "first": lambda row: _name(row["first_name"]),
        "first.initial": lambda row: _part(_initial, _name(row["first_name"])),
        "first.soundex": lambda row: _part(soundex, _name(row["first_name"])),
        "first.metaphone": lambda row: _part(_metaphone(), _name(row["first_name"])),
        "last": lambda row: _name(row["last_name"]),
        "last.soundex": lambda row: _part(soundex, _name(row["last_name"])),
        "last.metaphone": lambda row: _part(_metaphone(), _name(row["last_name"])),
        "gender": lambda row: _gender(row["gender"]),
        "birth_date": lambda row: _date(row["birth_date"]),
        "email": lambda row: _email(row["email"]),
        "email.sha2": _hashed_email,
        "phone": lambda row: _part(_phone(), row["phone"]),
        "ssn": lambda row: _ssn(row["ssn"]),
        "group_number": lambda row: _code(row["group_number"]),
        "member_id": lambda row: _code(row["member_id"]),
    }


def message_of(version: str, names: tuple[str, ...], values: Mapping[str, Value]) -> bytes | None:
    """Join a token's attributes in the order of their names; None where one is missing."""
    parts = [values[name] for name in sorted(names, key=lambda name: f"opprl.{version}.{name}")]
    return None if None in parts else ":".join(part or "" for part in parts).encode()


def _part(function: Callable[[str], Value], value: Value) -> Value:
    return None if value is None else function(value)


def _initial(value: str) -> str:
    return value[:1]


def _name(value: Value) -> Value:
    if value is None:
        return None
    # Only A to Z and blanks are left: a letter with an accent is dropped, not replaced.
    plain = re.sub("[^a-zA-Z ]", "", value).upper()
    return re.sub(" +", " ", plain).strip(" ") or None


def _gender(value: Value) -> Value:
    if value is None:
        return None
    plain = re.sub(r"\s+", " ", value.upper(), flags=re.ASCII).strip(" ")
    return _SEXES.get(plain[:1], "O")


def _date(value: Value) -> Value:
    return value if value is not None and is_day(value) else None


def _email(value: Value) -> Value:
    return None if value is None else _SPACE.sub("", value.lower()) or None


def _hashed_email(row: Mapping[str, Value]) -> Value:
    if "hem" in row:
        return _part(str.lower, row["hem"])
    address = _email(row.get("email"))
    return None if address is None else hashlib.sha256(address.encode()).hexdigest()


def _code(value: Value) -> Value:
    return None if value is None else _SPACE.sub("", value.upper()) or None


def _ssn(value: Value) -> Value:
    digits = re.sub("[^0-9]", "", value or "")
    wrong = (
        len(digits) != _SSN_DIGITS
        or digits[0] == "9"
        or digits[:3] in ("000", "666")
        or digits[3:5] == "00"
        or digits[5:] == "0000"
    )
    return None if wrong else digits


# Of A to Z; 7 is skipped, as if it were not there.
_SOUNDEX = "01230127022455012623017202"
_SOUNDEX_LENGTH = 4


def soundex(value: str) -> str:
    """Return a name's Soundex as Apache Spark makes it, of capital letters and blanks.

    A blank separates equal codes, H and W do not. What does not begin with a letter stays.

    >>> soundex("VAN DER BERG")
    'V536'
    """
    if not value or not "A" <= value[0] <= "Z":
        return value
    made = value[0]
    last = _SOUNDEX[ord(value[0]) - ord("A")]
    for letter in value[1:]:
        if not "A" <= letter <= "Z":
            last = "0"
            continue
        code = _SOUNDEX[ord(letter) - ord("A")]
        if code == "7":
            continue
        if code not in ("0", last):
            made += code
            if len(made) == _SOUNDEX_LENGTH:
                break
        last = code
    return made.ljust(_SOUNDEX_LENGTH, "0")


def _metaphone() -> Callable[[str], Value]:
    try:
        import jellyfish
    except ImportError:
        what = "tokens of OPPRL with Metaphone need the package jellyfish"
        raise MissingDependency.of(what, "phonetic") from None
    function: Callable[[str], str] = jellyfish.metaphone
    return function


def _phone() -> Callable[[str], Value]:
    try:
        import phonenumbers
    except ImportError:
        what = "tokens of OPPRL with a telephone number need the package phonenumbers"
        raise MissingDependency.of(what, "phone") from None

    def e164(value: str) -> Value:
        try:
            number = phonenumbers.parse(value, "US")
        except phonenumbers.NumberParseException:
            return None
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

    return e164
