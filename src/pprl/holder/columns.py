"""What a column holds: told from its name in seven languages, and else from its values.

Names of columns are read in English, Dutch, German, French, Spanish, Polish and Turkish, without
accents and in any case. A column with another name is a birth date, a sex, an e-mail address, a
postcode or a telephone number by what is in it.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.holder.absent import means_nothing
from pprl.holder.dates import date_dmy, date_mdy
from pprl.holder.letters import plain_marks
from pprl.holder.normalize import NORMALISERS, email, postcode_nl, trim
from pprl.holder.sexes import counted, plain_code, reading, sex_code

NAME = ("compose", "fold_case", "strip_accents", "letters_only")


@dataclass(frozen=True)
class Kind:
    """A kind of field: how its columns are called, cleaned and cut."""

    label: str
    pattern: str
    normalise: tuple[str, ...]
    tokens: str
    address: bool = False


BIGRAMS = '{ type = "ngram", n = 2 }'
POSITIONAL = '{ type = "ngram", n = 2, positional = true }'
EXACT = '{ type = "exact" }'

_BIRTH = (
    r"(birth|\bborn\b|\bdob\b|\bdo b\b|\byob\b|geboor|geboren|\bgeb\b|geburt|naiss|\bnee?\b|nacim"
    r"|nacid|\bnac\b|urodz|\bur\b|dogum|\bdogdu)"
)
_YEAR = r"(year|jaar|jahr|annee|\bano\b|\brok\b|\byil|\byob\b)"
_PART = (
    r"(\bday\b|\bdag\b|\btag\b|\bjour\b|\bdia\b|\bdzien\b|\bgun|month|maand|monat|\bmois\b|\bmes\b"
    r"|miesiac|\bay\b|\bayi\b)"
)
_PLACE = (
    r"(place|plaats|town|city|country|\bland\b|\bort\b|\blieu\b|lugar|miejsce|\byeri?\b|gemeente"
    r"|municip|region)"
)
_NOT_DATE = (
    r"(weight|gewicht|order|type|multipl|length|certificate|akte|hospital|mother|father|moeder"
    r"|vader)"
)

# The first kind whose pattern is found in a column's name is taken.
KINDS = (
    Kind(
        "name",
        r"full name|volledige naam|vollstandiger name|nom complet|nom et prenom|prenom et nom"
        r"|nombre completo|nombre y apellido|imie i nazwisko|ad soyad|adi soyadi|name vorname",
        NAME,
        BIGRAMS,
    ),
    Kind("year of birth", rf"(?=.*{_BIRTH})(?=.*{_YEAR})", ("digits_only",), POSITIONAL),
    Kind("part of a birth date", rf"(?=.*{_BIRTH})(?=.*{_PART})", ("digits_only",), EXACT),
    Kind("place of birth", rf"(?=.*{_BIRTH})(?=.*{_PLACE})", NAME, BIGRAMS),
    Kind(
        "surname",
        r"(sur|last|family|maiden|birth|partner) ?name|\bname last\b|achterna|\bgeslachtsnaam"
        r"|(geboorte|familie|partner|eigen) ?naam|\blname\b|^last$|nachname|familienname"
        r"|geburtsname|nom de (famille|naissance|jeune)|nom usuel|apellido|nazwisko|soyad",
        NAME,
        BIGRAMS,
    ),
    Kind("date", rf"^(?!.*{_NOT_DATE})(?=.*{_BIRTH})|\bddn\b", (), POSITIONAL),
    Kind(
        "sex",
        r"\b(sexe?|sexo|gender|genre|genero|geslacht|geschlecht|plec|cinsiyeti?|m ?v|man vrouw)\b",
        ("sex_code",),
        EXACT,
    ),
    Kind(
        "e-mail",
        r"e.?mail|\bmail\b|correo|courriel|e ?posta\b",
        ("email",),
        BIGRAMS,
        address=True,
    ),
    Kind(
        "telephone",
        r"phone|\btel\b|telefo|mobiel|mobile|\bhandy\b|\bgsm\b|\bmovil|portable|komorka|\bcep\b",
        ("digits_only",),
        POSITIONAL,
        address=True,
    ),
    Kind(
        "postcode",
        r"post ?code|zip|postal|\bplz\b|postleit|\bcp\b|kod pocztowy|posta kodu|\bpc ?[46]?\b",
        ("fold_case", "alphanumeric"),
        POSITIONAL,
        address=True,
    ),
    Kind(
        "house addition",
        r"huisletter|(huis|house|haus).*(letter|toevoeg|addition|suffix|zusatz)|toevoeging"
        r"|\bzusatz\b",
        ("fold_case", "alphanumeric"),
        EXACT,
        address=True,
    ),
    Kind(
        "house number",
        r"(street|house|huis|haus|straat|strassen) ?(number|nummer|num|no|nr)\b"
        r"|num(ero)?\.? (de )?(maison|casa|rue|voie|calle|portal)|nr domu|numer domu|kapi no"
        r"|bina no|\bhuisnr|\bhnr\b",
        ("fold_case", "house_number_parts"),
        POSITIONAL,
        address=True,
    ),
    Kind(
        "street",
        r"street|stra(at|sse)|\baddr|address|adres|\broad\b|\brue\b|\bvoie\b|\bcalle\b|direccion"
        r"|domicilio|anschrift|ulica|sokak|cadde",
        ("compose", "fold_case", "street_words", "strip_accents", "letters_only"),
        BIGRAMS,
        address=True,
    ),
    Kind(
        "city",
        r"\bcity|town\b|suburb|woonplaats|\bplaats\b|\bstad\b|gemeente|municip|wohnort|\bort\b"
        r"|\bville\b|\bcommune\b|ciudad|localidad|poblacion|miasto|miejscowosc|sehir|\bilce",
        NAME,
        BIGRAMS,
        address=True,
    ),
    Kind(
        "state",
        r"\bstate\b|province|provincie|provincia|county|bundesland|departement|wojewodztwo|\bil\b",
        NAME,
        BIGRAMS,
        address=True,
    ),
    Kind(
        "middle name",
        r"middle ?(name|initial)|tussenvoegsel|voorvoegsel|\binfix\b|second name|zweitname"
        r"|segundo nombre|(deuxieme|second) prenom|drugie imie",
        NAME,
        BIGRAMS,
    ),
    Kind(
        "initials", r"initial|voorletter|iniciales|inicjaly", ("strip_accents", "initials"), BIGRAMS
    ),
    Kind(
        "first name",
        r"(given|first|fore|calling|christian) ?name|\bname first\b|voorna|roepnaam|\bfname\b"
        r"|^first$|^given$|vorname|rufname|prenom|\bnombres?\b|\bimie\b|imiona|^adi?$"
        r"|\bisim\b|ilk adi?\b",
        NAME,
        BIGRAMS,
    ),
    Kind("surname", r"\bnom\b", NAME, BIGRAMS),
    Kind("name", r"\bnaam\b|\bname\b", NAME, BIGRAMS),
)

TEXT = Kind("text", "", ("compose", "fold_case", "strip_accents", "words_only"), BIGRAMS)
"""What a column is that was asked for and not recognised."""

_OTHERS = (
    r"hospital|ziekenhuis|krankenhaus|hopital|szpital|hastane|clinic|\bward\b|practice|praktijk"
    r"|\bgp\b|huisarts|hausarzt|medecin|medico|lekarz|doctor|doktor|physician|arzt\b|specialist"
    r"|company|employer|werkgever|arbeitgeber|school|\bkin\b|insurer|verzekeraar|\bfile\b"
    r"|product|\bdrug\b|contact|emergency|mother|father|moeder|vader|mutter|\bmere\b|\bpere\b"
    r"|madre|padre|matki|ojca|anne adi|baba adi"
)
"""Of whom a name is not the person's."""

_ABOUT = (
    r"\b(type|status|verified|consent|flag|source|quality|marital|language|count|updated|valid)\b"
)
"""What is said about a value and is not the value."""

_NUMBERS = (
    r"\b(bsn|ssn|nhs|pesel|dni|nie|nir|tckn|kvnr)\b|burgerservice|soc.?sec|national.?id|nhs.?n"
    r"|insurance|polis|steuer.?id|kimlik"
)
_DATED = r"\b(date|datum|fecha|data|tarih|since|seit|depuis)\b"


def plain_name(column: str) -> str:
    """Write the name of a column in lower case, without accents, as words.

    >>> plain_name("DoğumTarihi"), plain_name("date_de_naissance")
    ('dogum tarihi', 'date de naissance')
    """
    words = re.sub(r"([a-zß-ÿ\u0100-\u017f])([A-ZÀ-Þ])", r"\1 \2", column).casefold()
    words = words.replace("ı", "i").replace("ł", "l").replace("i\u0307", "i")
    bare = "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))
    return re.sub(r"[_\W]+", " ", bare).strip()


def recognise(column: str) -> Kind | None:
    """Tell from its name what kind of field a column is; None if it is no identifier.

    >>> recognise("Soyadı").label, recognise("born").label, recognise("diagnosis")
    ('surname', 'date', None)
    """
    words = plain_name(column)
    if names_another(column):
        return None
    kind = next((kind for kind in KINDS if re.search(kind.pattern, words)), None)
    # Of another date than that of birth: since when somebody lives there.
    other_date = kind is not None and kind.address and re.search(_DATED, words)
    return None if other_date else kind


def names_another(column: str) -> bool:
    """Tell whether a column is by its name a number of a register, or about somebody else."""
    words = plain_name(column)
    never = (_NUMBERS, _OTHERS, _ABOUT, r"\b(id|key|uuid|hash|entity)\b")
    return any(re.search(pattern, words) for pattern in never)


_MOST = 0.9
_DISTINCT = 20
_SPREAD = 30
_GROWN = 40


def recognise_content(values: pa.StringArray) -> Kind | None:
    """Tell from its values what kind of field a column is; None if they do not say.

    A birth date is a date with years that lie thirty and more apart, and of people of forty
    and more; other dates of a register are younger, and closer together.

    Args:
        values: A sample of the column.
    """
    there = known(values)
    if len(there) < _DISTINCT:
        return None
    some = there.slice(0, 20_000)
    distinct = pc.unique(some)
    if 2 <= len(distinct) <= 8 and _is_sex(some):
        return _kind("sex")
    if len(distinct) < _DISTINCT:
        return None
    if share(email(some)) > _MOST:
        return _kind("e-mail")
    if share(postcode_nl(some)) > _MOST:
        return _kind("postcode")
    read = max(date_dmy(distinct), date_mdy(distinct), key=share)
    if share(read) > _MOST:
        years = pc.utf8_slice_codeunits(read.drop_null(), 0, 4).cast(pa.int32())
        low, high = np.quantile(years.to_numpy(), [0.02, 0.98])
        wide = high - low >= _SPREAD and low <= dt.date.today().year - _GROWN
        return _kind("date") if wide else None
    number = pc.match_substring_regex(some, r"^(\+|0)[0-9 ()./-]{8,17}$")
    return _kind("telephone") if (pc.mean(number).as_py() or 0) > _MOST else None


def looks_like_a_name(values: pa.StringArray) -> bool:
    """Tell whether a column holds words of letters that many people do not share."""
    there = known(values)
    if len(there) < _DISTINCT:
        return False
    some = there.slice(0, 20_000)
    letters = pc.mean(pc.match_substring_regex(some, r"^[\p{L}\p{M}' .-]{2,40}$")).as_py() or 0
    return letters > _MOST and len(pc.unique(some)) > 0.05 * len(some)


def known(values: pa.StringArray) -> pa.StringArray:
    """Return the values that are there and mean something, trimmed."""
    tidy = trim(plain_marks(values))
    there = pc.and_(pc.not_equal(tidy, ""), pc.invert(means_nothing(tidy)))
    return tidy.filter(pc.fill_null(there, False))


def share(values: pa.StringArray) -> float:
    """Return the share of values that are there."""
    return 1.0 - float(values.null_count) / max(len(values), 1)


_LEAST_CODE = 20
_LEAST_SHARE = 0.005
_TOO_FREQUENT = 4
"""A commonest name is at most about twice as common as the next one; a placeholder stands apart."""
_RANKS = 5
_PERSONAL = frozenset(
    ("surname", "first name", "name", "date", "telephone", "e-mail", "street", "text")
)
"""Kinds in which no value is common: a placeholder stands out in them."""


def placeholders(values: pa.StringArray, kind: Kind) -> tuple[str, ...]:
    """Find values that are far too frequent for their column: they stand for "unknown".

    A value of a name, date, street, telephone or e-mail that at least twenty records and one in
    200 have, and four times as many as have the value that comes next in frequency.
    """
    if kind.label not in _PERSONAL:
        return ()
    counts = sorted(counted(known(values)).items(), key=lambda one: -one[1])[: _RANKS + 1]
    least = max(_LEAST_CODE, _LEAST_SHARE * len(values))
    for place in range(len(counts) - 1, 0, -1):
        if counts[place - 1][1] >= max(least, _TOO_FREQUENT * counts[place][1]):
            return tuple(text for text, _ in counts[:place])
    return ()


def normalisers(values: pa.StringArray, kind: Kind) -> tuple[str, ...]:
    """Decide by content where the name of a column does not say enough how it is cleaned."""
    present = known(values)
    if not len(present):
        return kind.normalise
    if kind.label == "postcode" and share(postcode_nl(present)) > _MOST:
        return ("postcode_nl",)
    if kind.label == "sex" and share(sex_code(present)) < 0.5:
        return ("fold_case",)
    if kind.label == "date":
        return ("date_mdy",) if month_first(present) else ("date_dmy",)
    numbered = pc.mean(pc.match_substring_regex(present, r"\d")).as_py()
    if kind.label == "street" and numbered > _NUMBERED:
        return tuple("words_only" if name == "letters_only" else name for name in kind.normalise)
    return kind.normalise


_NUMBERED = 0.3


def month_first(dates: pa.StringArray) -> bool:
    """Tell from days above 12 whether dates with the year last begin with the month."""
    first, second = (
        pc.sum(
            pc.match_substring_regex(dates, rf"^{before}(?:1[3-9]|2\d|3[01])\D{after}\d{{2,4}}\b")
        )
        for before, after in (("", r"\d\d?\D"), (r"\d\d?\D", ""))
    )
    return bool((second.as_py() or 0) > (first.as_py() or 0))


def cleaned(values: pa.StringArray, normalise: tuple[str, ...]) -> pa.StringArray:
    """Clean values as encoding does; null where nothing is left."""
    made = trim(plain_marks(values))
    made = pc.if_else(means_nothing(made), None, made)
    for name in normalise:
        made = NORMALISERS[name](made)
    return pc.if_else(pc.equal(made, ""), None, made)


def _is_sex(values: pa.StringArray) -> bool:
    counts = counted(values)
    if all(plain_code(text).isdigit() for text in counts):
        return False
    try:
        meaning = reading(counts, "")
    except ValueError:
        return False
    read = {text: meaning.get(plain_code(text)) for text in counts}
    known_ = sex_code(pa.array(list(counts)))
    sexes = {
        text: read[text] or plain for text, plain in zip(counts, known_.to_pylist(), strict=True)
    }
    fits = sum(n for text, n in counts.items() if sexes[text])
    return fits > 0.95 * sum(counts.values()) and {"m", "f"} <= set(sexes.values())


def _kind(label: str) -> Kind:
    return next(kind for kind in KINDS if kind.label == label)
