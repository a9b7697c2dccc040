"""Codes and words for sex, as the languages of the EU and the standards of health data write them.

Most are clear by themselves. A few letters are not: M is a man in most languages and a woman
(mujer, moteris) beside H or V; 0 and 1 may be either. They are read by what else the
column holds, or refused.

Sources: ISO/IEC 5218 (1 male, 2 female); FHIR administrative-gender; HL7 v2 table 0001; OMOP
concepts 8507 and 8532; SNOMED CT 248153007 and 248152002.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import InvalidValues

_MALE = """
m man male mannelijk jongen jongetje dhr heer meneer
mann mannlich maennlich junge herr hr
homme masculin garcon monsieur h mr
hombre masculino varon nino senor
homem rapaz senhor uomo maschio maschile signore
mezczyzna meski chlopiec pan
erkek bay e oglan adam
mand mies miespuolinen poika herra pojke gutt dreng hankoen
muz muzsky muzske chlapec mezi moski muski muskarac decek
ferfi fiu
barbat barbatesc baiat b
vyras vyriskas virietis virs mees poiss
andras arren arsen agori
mazh mj muzhski muzhskoi momche
ragel fear fir fireann fearach buachaill
boy men son xy masc mascul maschju mannl mannlig mannelig mnl mezcz deheer
arseniko vyr 1 01 j 8507 248153007 la28 c46109
"""
_FEMALE = """
f v w k woman women female vrouw vrouwelijk meisje mevr mevrouw mw
frau weiblich madchen maedchen fraulein
femme feminin feminine fille madame mme mlle
mujer hembra femenino femenina nina senora mrs ms
mulher feminino feminina rapariga senhora donna femmina femminile signora
kobieta zenski zenska dziewczyna dziewczynka pani
kadin kiz bayan kadinlik
kvinna kvinde kvinne kvindelig flicka jente pige nainen naispuolinen tytto rouva
z zena zensky zenske divka dievca zenska zensko djevojka deklica
no noi
femeie femeiesc fata
moteris moteriska mergina sieviete sievietis naine tudruk
gynaika thily thilu koritsi
zhena zh zhenski zhenskiy momiche
mara bean bain baineann cailin
girl daughter xx fem weibl kvinnelig vrl kob kobiet fru thiliko thilyko femina mot
kvinnlig fr 2 02 8532 248152002 la36 c46110
"""
_GREEK_CYRILLIC = {
    "ανδρας": "m", "αρρεν": "m", "αρσενικο": "m", "αγορι": "m",
    "γυναικα": "f", "θηλυ": "f", "θηλυκο": "f", "κοριτσι": "f", "θ": "f", "γ": "f",
    "мъж": "m", "мъжки": "m", "м": "m", "мужской": "m", "муж": "m", "чоловік": "m",
    "жена": "f", "женски": "f", "ж": "f", "женский": "f", "жен": "f", "жінка": "f",
}  # fmt: skip


def plain_code(text: str) -> str:
    """Write a code as `WORDS` has it.

    >>> plain_code("Männlich."), plain_code("Dhr.")
    ('mannlich', 'dhr')
    """
    whole = re.sub(r"\.0*$", "", text.strip())
    # The code of an address, as FHIR writes it, is behind the last # or |.
    whole = re.split(r"[#|]", whole)[-1] if "://" in whole else whole
    whole = whole.replace("♂", "m").replace("♀", "f")
    apart = unicodedata.normalize("NFKD", whole.casefold().replace("ı", "i").replace("ł", "l"))
    return re.sub(r"[\W_]+", "", "".join(c for c in apart if not unicodedata.combining(c)))


WORDS: Mapping[str, str] = (
    dict.fromkeys(_MALE.split(), "m")
    | dict.fromkeys(_FEMALE.split(), "f")
    | {plain_code(word): sex for word, sex in _GREEK_CYRILLIC.items()}
)
"""m or f by the text in lower case, without accents, dots and blanks."""


def sex_code(values: pa.StringArray) -> pa.StringArray:
    """Write codes and words for sex as m or f; anything else is missing.

    A letter that means different things in different countries is read as Dutch, English, French
    and German have it; `reading` finds out about others from a whole column.

        >>> sex_code(pa.array(["Vrouw", "M", "weiblich", "x"])).to_pylist()
        ['f', 'm', 'f', None]
    """
    distinct = pc.dictionary_encode(values)
    read = [None if text is None else _read(text) for text in distinct.dictionary.to_pylist()]
    return pa.array(read, pa.string()).take(distinct.indices)


def _read(text: str) -> str | None:
    """Read a code, or a code with its word beside it that says the same: M - Male, Male (M)."""
    whole = WORDS.get(plain_code(text))
    if whole is not None:
        return whole
    said = {WORDS.get(plain_code(part)) for part in re.split(r"[^\w.]+", text) if plain_code(part)}
    return said.pop() if len(said) == 1 else None


_RARE = 0.005
"""A code that has less than this share of a column's records is taken for an error in it."""

_PAIRS: Mapping[frozenset[str], Mapping[str, str]] = {
    # Hombre, mujer; homem, mulher.
    frozenset("hm"): {"h": "m", "m": "f"},
    # Jongen, meisje; Junge, Mädchen.
    frozenset("jm"): {"j": "m", "m": "f"},
    # Férfi, nő.
    frozenset("fn"): {"f": "m", "n": "f"},
    # Vīrietis, sieviete.
    frozenset("vs"): {"v": "m", "s": "f"},
    # Mees, naine; mies, nainen.
    frozenset("mn"): {"m": "m", "n": "f"},
    # Garçon, fille.
    frozenset("gf"): {"g": "m", "f": "f"},
    # Boy, girl.
    frozenset("bg"): {"b": "m", "g": "f"},
    # Fear, bean; fireann, baineann.
    frozenset("αγ"): {"α": "m", "γ": "f"},
    frozenset("αθ"): {"α": "m", "θ": "f"},
    # Dame, Herr or heer.
    frozenset("dh"): {"d": "f", "h": "m"},
}
_UNKNOWN = frozenset(
    {"", "u", "o", "x", "9", "3", "unknown", "other", "onbekend", "divers", "none"}
)


def reading(codes: Mapping[str, int], field: str) -> Mapping[str, str]:
    """Find out what the codes of a column mean where that depends on what it holds.

        >>> dict(reading({"H": 500, "M": 480}, "sex"))
        {'h': 'm', 'm': 'f'}

    Args:
        codes: How many records have each text of the column.
        field: What messages call it.

    Returns:
        m or f for each plain code; empty where `sex_code` alone reads the column rightly.

    Raises:
        InvalidValues: Nothing in the column says what its codes mean.
    """
    there: dict[str, int] = {}
    for text, count in codes.items():
        code = plain_code(text)
        there[code] = there.get(code, 0) + count
    least = _RARE * sum(codes.values())
    often = {code for code, n in there.items() if n >= least and code not in _UNKNOWN}
    if {"0", "1"} <= often and "2" not in often:
        raise _unclear(field, "0 and 1")
    letters = frozenset(code for code in often if len(code) == 1 and not code.isdigit())
    if letters in _PAIRS:
        return _PAIRS[letters]
    if len(letters) > 1 and {WORDS.get(code) for code in letters} == {"m"}:
        raise _unclear(field, " and ".join(sorted(code.upper() for code in letters)))
    if {"h", "m"} <= letters and len(letters) > 2:
        raise _unclear(field, "H, M and others")
    return {}


def as_read(column: pa.StringArray, meaning: Mapping[str, str]) -> pa.StringArray:
    """Write the codes of a column as m or f where `reading` found out what they mean."""
    distinct = pc.dictionary_encode(column)
    texts = [
        None if text is None else meaning.get(plain_code(text), text)
        for text in distinct.dictionary.to_pylist()
    ]
    return pa.array(texts, pa.string()).take(distinct.indices)


def _unclear(field: str, what: str) -> InvalidValues:
    return InvalidValues(
        f"field {field!r} holds the codes {what}, and nothing says which of them means a man. "
        f'Say it in the schema: values = {{ "0" = "m", "1" = "f" }}, with your codes.'
    )


def counted(column: pa.StringArray) -> dict[str, int]:
    """Count the texts of a column."""
    counts = pc.value_counts(column)
    texts, numbers = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
    return {text: n for text, n in zip(texts, numbers, strict=True) if text}
