"""Addresses: house numbers with their additions, and the words of streets."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc


def house_number(values: pa.StringArray) -> pa.StringArray:
    """Keep the number of a house number with addition: 12-a, 12 hs and 012 become 12."""
    return pc.replace_substring_regex(values, r"^\D*0*(\d*).*$", r"\1")


def house_addition(values: pa.StringArray) -> pa.StringArray:
    """Keep the addition of a house number: 12-a and 12 A become A."""
    addition = pc.utf8_upper(pc.replace_substring_regex(values, r"^\D*\d*", ""))
    return pc.replace_substring_regex(addition, r"[^\p{L}\p{M}\p{Nd}]+", "")


def house_number_parts(values: pa.StringArray) -> pa.StringArray:
    """Write a house number and its addition, apart: 12-1 becomes "12 1" and is not 121.

    >>> house_number_parts(pa.array(["12-1", "121", "12A", "012 bis-2", "nr. 7"])).to_pylist()
    ['12 1', '121', '12 A', '12 BIS2', '7']
    """
    # A number that a spreadsheet wrote has ".0" behind it.
    whole = pc.replace_substring_regex(values, r"^(\s*\d+)\.0+\s*$", r"\1")
    parts = pc.binary_join_element_wise(house_number(whole), house_addition(whole), " ")
    return pc.utf8_trim_whitespace(parts)


_LAST = {
    "straat": "str", "strasse": "str", "straße": "str", "str": "str", "street": "st", "st": "st",
    "laan": "ln", "ln": "ln", "lane": "la", "la": "la", "road": "rd", "rd": "rd", "avenue": "av",
    "ave": "av", "av": "av", "boulevard": "bd", "blvd": "bd", "bld": "bd", "bd": "bd",
    "drive": "dr", "dr": "dr", "court": "ct", "ct": "ct", "place": "pl", "plein": "pl",
    "platz": "pl", "pl": "pl", "pln": "pl", "square": "sq", "sq": "sq",
    "crescent": "cr", "cres": "cr",
    "steenweg": "stwg", "stwg": "stwg", "gracht": "gr", "gr": "gr", "singel": "sgl", "sgl": "sgl",
    "kade": "kd", "kd": "kd",
    "markt": "mkt", "mkt": "mkt", "dijk": "dk", "dk": "dk",
    "weg": "wg", "wg": "wg", "terrace": "tce", "tce": "tce", "close": "cl", "cl": "cl",
    "sokak": "sk", "sokağı": "sk", "sok": "sk", "sk": "sk", "caddesi": "cd", "cadde": "cd",
    "cad": "cd", "cd": "cd", "parade": "pde", "pde": "pde", "circuit": "cct", "cct": "cct",
}  # fmt: skip
_FIRST = {
    "burgemeester": "burg", "burg": "burg", "bgm": "burg", "professor": "prof", "prof": "prof",
    "doctor": "dr",
    "dokter": "dr", "grote": "gr", "gr": "gr", "groot": "gr", "nieuwe": "n", "n": "n",
    "doktor": "dr", "dr": "dr", "sint": "st", "saint": "st", "sankt": "st", "st": "st",
    "generaal": "gen", "gen": "gen", "koningin": "kon", "kon": "kon", "prins": "pr",
    "pr": "pr", "ave": "av", "bld": "bd", "blvd": "bd", "bvd": "bd",
    "ulica": "ul", "ul": "ul", "aleja": "al", "al": "al", "calle": "c", "c": "c",
    "avenida": "av", "avda": "av", "avenue": "av", "av": "av", "boulevard": "bd", "bd": "bd",
    "rue": "r", "r": "r", "place": "pl", "pl": "pl", "plaza": "pl",
}  # fmt: skip
_ENDING = re.compile(
    r"(straat|strasse|straße|str|laan|ln|plein|pln|platz|pl|gracht|kade|steenweg|weg|singel|markt"
    r"|dijk)$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+\w*")


def street_words(values: pa.StringArray) -> pa.StringArray:
    """Write the usual words of streets in their short form, in lower case.

    Dorpsstraat, Dorpsstr. and Dorps straat become "dorps str"; Burg. and Burgemeester "burg".
    Words of Dutch, German, English, French, Spanish, Polish and Turkish.

        >>> street_words(pa.array(["Dorpsstraat", "dorpsstr. 12", "Burg. Vlugtlaan"])).to_pylist()
        ['dorps str', 'dorps str 12', 'burg vlugt ln']
    """
    distinct = pc.dictionary_encode(pc.utf8_lower(values))
    made = [None if text is None else _short(text) for text in distinct.dictionary.to_pylist()]
    return pa.array(made, pa.string()).take(distinct.indices)


def _short(text: str) -> str:
    words = _WORD.findall(text)
    # The last word that is no house number.
    last = max((at for at, word in enumerate(words) if not word[0].isdigit()), default=-1)
    if last < 0:
        return " ".join(words)
    if last and words[last] in _LAST:
        words[last] = _LAST[words[last]]
    elif (found := _ENDING.search(words[last])) and found.start():
        words[last] = f"{words[last][: found.start()]} {_LAST[found[1]]}"
    if last and words[0] in _FIRST:
        words[0] = _FIRST[words[0]]
    return " ".join(words)
