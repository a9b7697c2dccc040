"""Cleaning values: pure functions from an Arrow string array to one of the same length.

A null stays null; a value of which nothing is left becomes empty or null, and both
are missing. Every function can be used alone::

    >>> import pyarrow as pa
    >>> fold_case(strip_accents(pa.array(["José", None]))).to_pylist()
    ['jose', None]

Functions on names expect what people write, not a fixed case.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import MissingDependency
from pprl.holder.addresses import house_addition, house_number, house_number_parts, street_words
from pprl.holder.dates import date_dmy, date_mdy
from pprl.holder.letters import plain_letters, plain_marks, to_latin
from pprl.holder.sexes import sex_code

Normaliser = Callable[[pa.StringArray], pa.StringArray]


def trim(values: pa.StringArray) -> pa.StringArray:
    """Remove white space at both ends and make every run of it inside one blank."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(values, r"[\s\p{Z}]+", " "))


def compose(values: pa.StringArray) -> pa.StringArray:
    """Bring text to Unicode form NFKC, so that equal looks are equal code points."""
    if pc.all(pc.string_is_ascii(values)).as_py() is not False:
        return values
    # Arrow's own, before version 26, leaves a letter and its accent apart.
    made = [text and unicodedata.normalize("NFKC", text) for text in values.to_pylist()]
    return pa.array(made, pa.string())


def decompose(values: pa.StringArray) -> pa.StringArray:
    """Bring text to Unicode form NFKD: accents become characters of their own."""
    return pc.utf8_normalize(values, "NFKD")


def fold_case(values: pa.StringArray) -> pa.StringArray:
    """Lower-case text; ß becomes ss, as Unicode case folding has it, and İ a plain i."""
    lower = pc.replace_substring(pc.utf8_lower(values), "ß", "ss")
    return pc.replace_substring(lower, "i\u0307", "i")


def strip_accents(values: pa.StringArray) -> pa.StringArray:
    """Write Latin letters as their plain twins: é, ü, ø, ł, ı become e, u, o, l, i."""
    return plain_letters(values)


def letters_only(values: pa.StringArray) -> pa.StringArray:
    """Keep letters and single blanks; hyphens, slashes, dots and commas become blanks."""
    apart = pc.replace_substring_regex(plain_marks(values), r"[-/_.,]+", " ")
    # O' Brien is O'Brien; van 't Hof keeps its blank.
    apart = pc.replace_substring_regex(apart, r"(\p{L})' +(\p{L})", r"\1\2")
    return trim(pc.replace_substring_regex(apart, r"[^\p{L}\p{M} ]+", ""))


def alphanumeric(values: pa.StringArray) -> pa.StringArray:
    """Keep letters and digits only, without blanks: 1234 AB becomes 1234AB."""
    return pc.replace_substring_regex(values, r"[^\p{L}\p{M}\p{Nd}]+", "")


def words_only(values: pa.StringArray) -> pa.StringArray:
    """Keep letters, digits and single blanks: Kerkstraat 12-a becomes Kerkstraat 12 a."""
    plain = pc.replace_substring(plain_marks(values), "'", "")
    return trim(pc.replace_substring_regex(plain, r"[^\p{L}\p{M}\p{Nd}]+", " "))


def digits_only(values: pa.StringArray) -> pa.StringArray:
    """Keep digits only: 2007-06-28 becomes 20070628."""
    return pc.replace_substring_regex(values, r"[^\p{Nd}]+", "")


# Names.

_PREFIXES = (
    r"(?i)^((?:(?:van|von|vande|vander|vanden|de|den|der|het|te|ten|ter|tot|in|op|aan|bij|uit|over|"
    r"onder|voor|el|al|la|le|los|du|des|da|das|do|dos|di|zu|zum|zur|af|av)\s+|"
    r"(?:'t|'s|’t|’s|d'|d’|l'|l’)\s*)+)(\S.*)$"
)


def drop_prefixes(values: pa.StringArray) -> pa.StringArray:
    """Drop tussenvoegsels: van der Berg and 't Hart become Berg and Hart."""
    return pc.replace_substring_regex(trim(values), _PREFIXES, r"\2")


def move_prefixes(values: pa.StringArray) -> pa.StringArray:
    """Move tussenvoegsels behind the name: van der Berg becomes Berg van der."""
    return trim(pc.replace_substring_regex(trim(values), _PREFIXES, r"\2 \1"))


def unify_ij(values: pa.StringArray) -> pa.StringArray:
    """Write ij and the ligature as y, as registries do without agreement: Dijk, Dyk."""
    single = pc.replace_substring_regex(values, "[ĳĲ]", "y")
    return pc.replace_substring_regex(single, "(?i)ij", "y")


def first_of_double(values: pa.StringArray) -> pa.StringArray:
    """Keep what stands before the hyphen of a double surname: Jansen-de Vries, Jansen."""
    return trim(pc.replace_substring_regex(values, r"^([^-]*\S)\s*-.*$", r"\1"))


def last_of_double(values: pa.StringArray) -> pa.StringArray:
    """Keep what stands behind the hyphen of a double surname: Jansen-de Vries, de Vries."""
    return trim(pc.replace_substring_regex(values, r"^.*-\s*(\S.*)$", r"\1"))


def initials(values: pa.StringArray) -> pa.StringArray:
    """Keep first letters: Anna Maria and A.M. become AM."""
    apart = pc.replace_substring_regex(values, r"[^\p{L}\p{M}]+", " ")
    return pc.replace_substring_regex(pc.utf8_upper(trim(apart)), r"(\S)\S* ?", r"\1")


def first_name(values: pa.StringArray) -> pa.StringArray:
    """Keep the first of several first names: Anna Maria becomes Anna."""
    return pc.replace_substring_regex(trim(values), r"^(\S+)\s.*$", r"\1")


# Codes and numbers.


def postcode_nl(values: pa.StringArray) -> pa.StringArray:
    """Write a Dutch postcode as 1234AB; what is not one is missing."""
    plain = alphanumeric(pc.utf8_upper(values))
    return pc.if_else(pc.match_substring_regex(plain, r"^[1-9]\d{3}[A-Z]{2}$"), plain, None)


def postcode4_nl(values: pa.StringArray) -> pa.StringArray:
    """Keep the four digits of a Dutch postcode, with or without letters behind them."""
    plain = alphanumeric(pc.utf8_upper(values))
    fits = pc.match_substring_regex(plain, r"^[1-9]\d{3}(?:[A-Z]{2})?$")
    return pc.if_else(fits, pc.utf8_slice_codeunits(plain, 0, 4), None)


def email(values: pa.StringArray) -> pa.StringArray:
    """Lower-case an e-mail address without blanks; what has no @ is missing."""
    plain = pc.utf8_lower(pc.replace_substring_regex(values, r"\s+", ""))
    return pc.if_else(pc.match_substring_regex(plain, r"^[^@]+@[^@]+$"), plain, None)


def phone(values: pa.StringArray, region: str) -> pa.StringArray:
    """Write telephone numbers in E.164: 06-1234 5678 becomes +31612345678 in NL.

    What cannot be a number of that region, or an international one, is missing.

    Raises:
        MissingDependency: The package phonenumbers is not installed.
    """
    try:
        import phonenumbers
    except ImportError:
        raise MissingDependency.of(
            "telephone numbers need the package phonenumbers", "phone"
        ) from None

    def one(text: str | None) -> str | None:
        if text is None:
            return None
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_possible_number(number):
            return None
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

    return pa.array([one(text) for text in values.to_pylist()], pa.string())


PHONE_REGIONS = ("NL", "BE", "DE", "GB", "FR", "AU", "US")

NORMALISERS: dict[str, Normaliser] = {
    "trim": trim,
    "compose": compose,
    "decompose": decompose,
    "fold_case": fold_case,
    "strip_accents": strip_accents,
    "to_latin": to_latin,
    "letters_only": letters_only,
    "alphanumeric": alphanumeric,
    "words_only": words_only,
    "digits_only": digits_only,
    "date_dmy": date_dmy,
    "date_mdy": date_mdy,
    "drop_prefixes": drop_prefixes,
    "move_prefixes": move_prefixes,
    "unify_ij": unify_ij,
    "first_of_double": first_of_double,
    "last_of_double": last_of_double,
    "initials": initials,
    "first_name": first_name,
    "sex_code": sex_code,
    "postcode_nl": postcode_nl,
    "postcode4_nl": postcode4_nl,
    "house_number": house_number,
    "house_addition": house_addition,
    "house_number_parts": house_number_parts,
    "street_words": street_words,
    "email": email,
    **{f"phone_{region.lower()}": partial(phone, region=region) for region in PHONE_REGIONS},
}
"""Every normaliser by the name it has in a schema."""
