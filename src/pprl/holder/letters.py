"""Letters and marks: what has a plain twin is written as the twin.

Registries write one name with the letters that they have: Yıldız and Yildiz, Łukasz and
Lukasz, Anne–Marie with any of a dozen dashes. Everything here works on the values that are not
plain ASCII, which are few.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import MissingDependency

_TWINS = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "TH",
    "ð": "d", "Ð": "D", "ı": "i", "ȷ": "j", "ĸ": "q", "ŋ": "n", "Ŋ": "N", "ſ": "s", "ə": "a",
    "Ə": "A", "ƒ": "f", "ʒ": "z", "Ʒ": "Z", "ŉ": "n", "ẚ": "a", "Ɖ": "D", "Ŀ": "L", "ŀ": "l",
    "ɵ": "o", "Ɵ": "O", "ʉ": "u", "Ʉ": "U", "ɛ": "e", "Ɛ": "E", "ɔ": "o", "Ɔ": "O",
}  # fmt: skip
"""Letters that Unicode does not take apart, and whose name does not say the twin.

Source: ICAO Doc 9303, part 3, section 6 (passports), but that å, ä, ö, ø and ü lose their marks.
"""
_NAMED = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .*)?$")
_LATIN = ((0x80, 0x2B0), (0x1E00, 0x1F00), (0x2C60, 0x2C80), (0xA720, 0xA800))


@cache
def twins() -> dict[int, str]:
    """Return the plain twin of every Latin letter that Unicode does not take apart.

    ø, ł, đ, ħ, ŧ, ɨ and the like have it in their Unicode name: LETTER O WITH STROKE.
    """
    table = {ord(letter): twin for letter, twin in _TWINS.items()}
    for start, end in _LATIN:
        for point in range(start, end):
            found = _NAMED.match(unicodedata.name(chr(point), ""))
            if found and point not in table:
                letter = found[2] if found[1] == "CAPITAL" else found[2].lower()
                table[point] = letter
    return table


_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u058a\u05be\u301c\ufe58\ufe63\uff0d"
_APOSTROPHES = (
    "\u2018\u2019\u201a\u201b\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb"
    "\u2032\u2035\u00b4\u055a\u05f3\ua78b\ua78c\uff07"
)
_UNSEEN = (
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
)
_MARKS = (
    dict.fromkeys(map(ord, _DASHES), "-")
    | dict.fromkeys(map(ord, _APOSTROPHES), "'")
    | dict.fromkeys(map(ord, _UNSEEN), "")
    | {ord("\u00b7"): "", ord("\u2027"): "", ord("\u30fb"): " ", ord("\u0085"): " "}
)


def plain_marks(values: pa.StringArray) -> pa.StringArray:
    """Write every dash as a hyphen and every apostrophe as ', and drop what is not seen.

    What is not seen: soft hyphens, joiners, marks of direction and of byte order.

        >>> plain_marks(pa.array(["Anne–Marie", "D’Arcy", "Ma\u200bria"])).to_pylist()
        ['Anne-Marie', "D'Arcy", 'Maria']
    """
    return of_some(values, lambda text: text.translate(_MARKS))


def plain_letters(values: pa.StringArray) -> pa.StringArray:
    """Write every Latin letter as its plain twin, without accents and strokes.

    >>> plain_letters(pa.array(["Yıldız", "Sørensen", "Þór", "Nguyễn"])).to_pylist()
    ['Yildiz', 'Sorensen', 'THor', 'Nguyen']
    """
    table = twins()

    def plain(text: str) -> str:
        apart = unicodedata.normalize("NFKD", text)
        bare = "".join(c for c in apart if unicodedata.category(c) != "Mn")
        return bare.translate(table)

    return of_some(values, plain)


def to_latin(values: pa.StringArray) -> pa.StringArray:
    """Write Greek, Cyrillic, Arabic and other scripts in Latin letters, by the table of anyascii.

        >>> to_latin(pa.array(["Иванов", "Παπαδόπουλος", "Jansen"])).to_pylist()
        ['Ivanov', 'Papadopoylos', 'Jansen']

    Raises:
        MissingDependency: The package anyascii is not installed.
    """
    try:
        from anyascii import anyascii
    except ImportError:
        raise MissingDependency.of("to_latin needs the package anyascii", "scripts") from None
    return of_some(values, anyascii)


def of_some(values: pa.StringArray, change: Callable[[str], str]) -> pa.StringArray:
    """Change the values that are not plain ASCII, one by one."""
    ascii_ = pc.string_is_ascii(values)
    if pc.all(ascii_).as_py() is not False:
        return values
    mask = pc.fill_null(pc.invert(ascii_), False)
    places = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
    changed = [change(text) for text in values.take(pa.array(places)).to_pylist()]
    return pc.replace_with_mask(values, mask, pa.array(changed, pa.string()))
