"""A starting schema from one holder's data: types, normalisers, tokens and weights.

Columns are recognised by name (English, Dutch, German, French and Spanish) and by content. A
field's weight is proportional to the square root of its Renyi entropy of order 2, which is minus
the logarithm of the chance that two people share a value; fields of the address and
of contact change together, so as a group they are held at two fifths of the bits.
Nothing is estimated from a truth, and no value of the data enters the schema.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import EmptyInput, UsageError
from pprl.holder.choices import SuggestHardening
from pprl.holder.families import draw_dwellings, holds_families, whole_dwellings
from pprl.holder.normalize import NORMALISERS, digits_only, postcode_nl, trim
from pprl.holder.profiles import (
    MASK,
    STRONG,
    Member,
    Role,
    Setting,
    field_group_lines,
    field_lines,
    group_lines,
    preset,
    setting_lines,
)
from pprl.holder.records import CsvFormat, Records, column_names, read_batches
from pprl.holder.schema import Schema
from pprl.holder.values import as_text

EXPECTED_BITS = 400
"""Insertions a record into a plain CLK of 1,024 bits: fills about 0.3 of it."""
ADDRESS_SHARE = 0.37
_SAMPLE = 200_000
_SAME = 0.9
_NUMBERED = 0.3
_PLACEHOLDER = 0.05
_NAME = ("compose", "fold_case", "strip_accents", "letters_only")
_OWN = frozenset(
    ("first name", "middle name", "initials", "date", "year of birth", "part of a birth date")
)
"""Kinds of fields in which members of a family differ."""
_DWELLING = frozenset(("street", "house number", "postcode", "city", "state"))
"""Kinds of fields that together say where somebody lives."""
SHARED = (
    "what is a person's own (first name,\n# birth date) weighs more than what a family shares "
    "(surname, address)."
)


@dataclass(frozen=True)
class Kind:
    """A kind of field: how its columns are called, cleaned and cut."""

    label: str
    pattern: str
    normalise: tuple[str, ...]
    tokens: str
    address: bool = False


_BIGRAMS = '{ type = "ngram", n = 2 }'
_POSITIONAL = '{ type = "ngram", n = 2, positional = true }'
_EXACT = '{ type = "exact" }'

# The first kind whose pattern is found in a column's name is taken.
KINDS = (
    Kind(
        "date",
        r"birth.?(da(te|y$)|dt\b)|date.?of.?birth|\bdo ?b\b|geb(oorte|urts)?.?dat"
        r"|date.?(de.?)?naiss|fecha.?(de.?)?nac",
        (),
        _POSITIONAL,
    ),
    Kind(
        "year of birth",
        r"(birth|geboorte).?(year|jaar)|year.?of.?birth|\byob\b",
        ("digits_only",),
        _POSITIONAL,
    ),
    Kind(
        "part of a birth date",
        r"(birth|geboorte).?(day|dag|month|maand)|(day|month).?of.?birth",
        ("digits_only",),
        _EXACT,
    ),
    Kind(
        "place of birth",
        r"(birth|geboorte).?(place|plaats|town|city)|place.?of.?birth",
        _NAME,
        _BIGRAMS,
    ),
    Kind("sex", r"\b(sexe?|sexo|gender|geslacht|geschlecht)\b", ("sex_code",), _EXACT),
    Kind("e-mail", r"e.?mail", ("email",), _BIGRAMS, address=True),
    Kind(
        "telephone",
        r"phone|\btel\b|telefo|mobiel|mobile",
        ("digits_only",),
        _POSITIONAL,
        address=True,
    ),
    Kind(
        "postcode",
        r"post.?code|zip|postal|\bplz\b|postleit",
        ("fold_case", "alphanumeric"),
        _POSITIONAL,
        address=True,
    ),
    Kind(
        "house number",
        r"(street|house|huis|haus).?(number|nummer|num|no|nr)\b",
        ("fold_case", "alphanumeric"),
        _POSITIONAL,
        address=True,
    ),
    Kind(
        "street",
        r"street|stra(at|sse|ße)|\baddr|address|adres|\broad\b|\brue\b|\bcalle\b",
        _NAME,
        _BIGRAMS,
        address=True,
    ),
    Kind(
        "city",
        r"\bcity|town\b|suburb|woonplaats|\bplaats\b|gemeente|municipality|wohnort|\bort\b"
        r"|\bville\b|ciudad",
        _NAME,
        _BIGRAMS,
        address=True,
    ),
    Kind("state", r"\bstate\b|province|provincie|county", _NAME, _BIGRAMS, address=True),
    Kind("middle name", r"middle.?(name|initial)|tussenvoegsel", _NAME, _BIGRAMS),
    Kind("initials", r"initial|voorletter", ("strip_accents", "initials"), _BIGRAMS),
    Kind(
        "first name",
        r"(given|first|fore).?name|voorna|roepnaam|\bfname\b|^first$|vorname|pr[eé]nom|\bnombre",
        _NAME,
        _BIGRAMS,
    ),
    Kind(
        "surname",
        r"(sur|last|family|maiden|birth|partner).?name|achterna|(geboorte|familie|partner).?naam"
        r"|\blname\b|^last$|nachname|familienname|\bnom\b|apellido",
        _NAME,
        _BIGRAMS,
    ),
    Kind("name", r"\bnaam\b|\bname\b|full.?name", _NAME, _BIGRAMS),
)

_OTHERS = (
    r"hospital|ziekenhuis|clinic|\bward\b|practice|praktijk|\bgp\b|huisarts|doctor|physician"
    r"|company|employer|werkgever|school|\bkin\b|insurer|\bfile\b|product|\bdrug\b"
)
"""Of whom a name is not the person's."""

_ABOUT = (
    r"\b(type|status|verified|consent|flag|source|quality|marital|language|count|updated|valid)\b"
)
"""What is said about a value and is not the value."""

_NUMBERS = r"\b(bsn|ssn|nhs)\b|burgerservice|soc.?sec|national.?id|nhs.?n|insurance|polis"


@dataclass(frozen=True)
class Suggestion:
    """A suggested field and the reasons for it.

    Attributes:
        column: The column.
        kind: What it was taken for.
        normalise: Names of normalisers.
        filled: Share of records with a value after cleaning.
        distinct: Number of distinct values after cleaning.
        entropy: Renyi entropy of order 2, in bits.
        commonest: Share of the commonest value.
        year: Which characters are a year of birth (4 or -4); None if none are.
        bits: Bits to insert, ``bits_per_feature``.
    """

    column: str
    kind: Kind
    normalise: tuple[str, ...]
    filled: float
    distinct: int
    entropy: float
    commonest: float
    year: int | None = None
    bits: int = 0


@dataclass(frozen=True)
class Study:
    """What was found in the columns of one holder's file.

    Attributes:
        columns: All columns of the file.
        found: The fields to encode; their ``bits`` are not shared out yet.
        records: Number of records of the file.
        sample: The columns of ``found`` as text, of every record or an even sample of a large
            file.
        families: Whether people of the file share addresses.
    """

    columns: tuple[str, ...]
    found: tuple[Suggestion, ...]
    records: int
    sample: pa.Table
    families: bool


def suggest_schema(
    data: Records,
    *,
    name: str = "suggested",
    hardening: SuggestHardening = "default",
    csv_format: CsvFormat | None = None,
) -> str:
    """Write a starting schema for the columns of a file or table, as commented TOML.

    The hardening is a preset. `pprl.suggest_schema` and ``pprl schema suggest`` calibrate it by
    attacks on the file itself.

    Args:
        data: What `pprl.encode` takes. Of large data an even sample is read.
        name: The schema's name.
        hardening: ``default``, ``strong``, ``salted`` (see `pprl.holder.profiles`); ``fields`` (a
            plain filter for each field) and ``none`` (one plain CLK) protect least.
        csv_format: Delimiter and encoding of a CSV file.

    Raises:
        UsageError: No column is recognised as identifying a person.
        EmptyInput: There are no records, or no recognised column has a value.
    """
    if hardening not in get_args(SuggestHardening):
        raise UsageError(
            f"hardening must be one of {get_args(SuggestHardening)}, not {hardening!r}."
        )
    study = study_columns(data, csv_format)
    return write_schema(study, name, hardening_of(hardening, study))


def study_columns(data: Records, csv_format: CsvFormat | None = None) -> Study:
    """Find the columns that identify people, and measure them.

    Raises:
        UsageError: No column is recognised as identifying a person.
        EmptyInput: There are no records, or no recognised column has a value.
    """
    columns = column_names(data, csv_format)
    recognised = {column: kind for column in columns if (kind := recognise(column))}
    if not recognised:
        raise UsageError(
            "no column is recognised as a name, birth date, sex, address or contact. Write the "
            "schema by hand, or rename columns (surname, given_name, date_of_birth, sex, postcode)."
        )
    sample, records = _sample(data, list(recognised), csv_format)
    found: list[Suggestion] = []
    for column, kind in recognised.items():
        measured = _measure(sample.column(column).combine_chunks(), column, kind)
        if (
            measured
            and measured.distinct > 1
            and not any(_says_the_same(measured, other, sample) for other in found)
        ):
            found.append(measured)
    if not found:
        raise EmptyInput("no recognised column has different values.")
    sample = sample.select([one.column for one in found])
    families = holds_families(sample, dwelling_of(found))
    return Study(tuple(columns), tuple(found), records, sample, families)


def dwelling_of(found: Sequence[Suggestion]) -> list[str]:
    """Return the columns that together say where somebody lives; none if only a city is known."""
    if not any(one.kind.label in ("street", "postcode") for one in found):
        return []
    return [one.column for one in found if one.kind.label in _DWELLING]


def people_of_dwellings(
    data: Records, study: Study, most: int, seed: int, csv_format: CsvFormat | None = None
) -> pa.Table:
    """Draw people by whole dwellings, for attacks on what their encodings would show.

    Args:
        data: The file that was studied.
        study: What was found in it.
        most: Number of people to draw at most.
        seed: Of the draw.
        csv_format: Delimiter and encoding of a CSV file.

    Returns:
        The columns of ``study.found``, as text.
    """
    names = [one.column for one in study.found]
    dwelling = dwelling_of(study.found)
    people = study.sample
    if len(people) < study.records:
        # The sample of a large file tears dwellings apart; half as many again make up for chance.
        share = 1.5 * most / study.records
        people = draw_dwellings(data, names, dwelling, share, seed, csv_format)
    return people.take(pa.array(whole_dwellings(people, dwelling, most, seed)))


def hardening_of(name: SuggestHardening, study: Study) -> Setting | Literal["fields", "none"]:
    """Return what a hardening's name stands for in a file, without calibration."""
    match name:
        case "default":
            return preset(study.records, study.families)
        case "strong":
            return STRONG
        case "salted":
            return replace(preset(study.records, study.families), salted=True)
        case "fields" | "none":
            return name


def write_schema(
    study: Study,
    name: str,
    hardening: Setting | Literal["fields", "none"],
    remarks: Sequence[str] = (),
) -> str:
    """Write the schema of a study as commented TOML.

    Args:
        study: What `study_columns` found.
        name: The schema's name.
        hardening: A setting of its groups; or ``fields`` or ``none``.
        remarks: Lines of comment on how the hardening was chosen.
    """
    text = "\n".join(_lines(study, name, hardening, remarks)) + "\n"
    Schema.from_toml(text)
    return text


def recognise(column: str) -> Kind | None:
    """Tell from its name what kind of field a column is; None if it is no identifier."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", column).lower()
    words = re.sub(r"[_\W]+", " ", words).strip()
    never = (_NUMBERS, _OTHERS, _ABOUT, r"\b(id|key|uuid|hash|entity)\b")
    if any(re.search(pattern, words) for pattern in never):
        return None
    kind = next((kind for kind in KINDS if re.search(kind.pattern, words)), None)
    # Of another date than that of birth: since when somebody lives there.
    other_date = kind is not None and kind.address and re.search(r"\b(date|datum|since)\b", words)
    return None if other_date else kind


def allocate(found: Sequence[Suggestion], setting: Setting | None = None) -> list[Suggestion]:
    """Share out the expected bits of a record among its fields.

    Args:
        found: The fields.
        setting: How they are hardened: where the file holds families, what is a person's own
            gets more.
    """
    weights = {one.column: math.sqrt(max(one.entropy, 0.05)) for one in found}
    expected = {one.column: weights[one.column] * one.filled for one in found}
    address = sum(expected[one.column] for one in found if one.kind.address)
    person = sum(expected.values()) - address
    if person > 0 and address > ADDRESS_SHARE * (address + person):
        shrink = ADDRESS_SHARE / (1 - ADDRESS_SHARE) * person / address
        weights |= {one.column: weights[one.column] * shrink for one in found if one.kind.address}
    if setting is not None:
        weights |= {
            one.column: weights[one.column] * setting.weight(one.kind.label in _OWN)
            for one in found
        }
    total = sum(weights[one.column] * one.filled for one in found)
    return [
        replace(one, bits=max(1, round(EXPECTED_BITS * weights[one.column] / total)))
        for one in found
    ]


def _sample(
    data: Records, columns: list[str], csv_format: CsvFormat | None
) -> tuple[pa.Table, int]:
    """Keep every k-th record, so that about 100,000 to 200,000 remain of large data; count all."""
    kept: list[pa.Table] = []
    step = 1
    seen = 0
    for batch in read_batches(data, columns, csv_format):
        texts = pa.table([as_text(column) for column in batch.columns], names=columns)
        kept.append(texts.take(pa.array(range(-seen % step, texts.num_rows, step), pa.int64())))
        seen += batch.num_rows
        while sum(table.num_rows for table in kept) > _SAMPLE:
            whole = pa.concat_tables(kept)
            kept = [whole.take(pa.array(range(0, whole.num_rows, 2), pa.int64()))]
            step *= 2
    return pa.concat_tables(kept), seen


def _says_the_same(one: Suggestion, other: Suggestion, sample: pa.Table) -> bool:
    """Tell whether a column is another of its kind over again, say a date in another form."""
    if one.kind != other.kind:
        return False
    each = [
        _cleaned(sample.column(of.column).combine_chunks(), of.normalise) for of in (one, other)
    ]
    equal = pc.mean(pc.fill_null(pc.equal(*each), False)).as_py() or 0.0
    return bool(equal >= _SAME * one.filled)


def _cleaned(values: pa.StringArray, normalise: tuple[str, ...]) -> pa.StringArray:
    cleaned = trim(values)
    for name in normalise:
        cleaned = NORMALISERS[name](cleaned)
    return pc.if_else(pc.equal(cleaned, ""), None, cleaned)


def _measure(values: pa.StringArray, column: str, kind: Kind) -> Suggestion | None:
    normalise = _normalisers(values, kind)
    cleaned = _cleaned(values, normalise)
    present = cleaned.drop_null()
    if not len(present):
        return None
    counts = pc.value_counts(present).field("counts").to_numpy(zero_copy_only=False)
    return Suggestion(
        column,
        kind,
        normalise,
        filled=len(present) / len(values),
        distinct=len(counts),
        entropy=renyi_entropy(counts.astype(float)),
        commonest=float(counts.max() / counts.sum()),
        year=_year(present) if kind.label in ("date", "year of birth") else None,
    )


def _year(values: pa.StringArray) -> int | None:
    """Tell whether a date's first or last four characters are its year."""
    for place in (4, -4):
        cut = (0, 4) if place > 0 else (-4, None)
        century = pc.match_substring_regex(pc.utf8_slice_codeunits(values, *cut), "^(18|19|20)")
        if pc.mean(century).as_py() > 0.95:
            return place
    return None


def renyi_entropy(counts: np.ndarray) -> float:
    """Estimate the Renyi entropy of order 2, in bits, from the counts of values.

    The chance that two different records share a value, without bias; where none do,
    one pair is counted.
    """
    total = counts.sum()
    pairs = max(total * (total - 1), 1.0)
    same = max(float((counts * (counts - 1)).sum()), 1.0)
    return max(0.0, -math.log2(min(1.0, same / pairs)))


def _normalisers(values: pa.StringArray, kind: Kind) -> tuple[str, ...]:
    """Decide by content where the name of a column does not say enough."""
    present = _cleaned(values, ()).drop_null()
    if not len(present):
        return kind.normalise
    if kind.label == "postcode" and _share(postcode_nl(present)) > 0.9:
        return ("postcode_nl",)
    if kind.label == "sex" and _share(NORMALISERS["sex_code"](present)) < 0.5:
        return ("fold_case",)
    if kind.label == "date":
        digits = pc.utf8_length(digits_only(present))
        if pc.mean(pc.less(digits, 6)).as_py() > 0.5:
            return ("fold_case",)
        return ("date_mdy",) if _month_first(present) else ("date_dmy",)
    numbered = pc.mean(pc.match_substring_regex(present, r"\d")).as_py()
    if kind.label == "street" and numbered > _NUMBERED:
        return tuple("words_only" if name == "letters_only" else name for name in kind.normalise)
    return kind.normalise


def _month_first(dates: pa.StringArray) -> bool:
    """Tell from days above 12 whether dates with the year last begin with the month."""
    first, second = (
        pc.sum(pc.match_substring_regex(dates, rf"^{before}(?:1[3-9]|2\d|3[01])\D{after}\d{{4}}\b"))
        for before, after in (("", r"\d\d?\D"), (r"\d\d?\D", ""))
    )
    return bool((second.as_py() or 0) > (first.as_py() or 0))


def _share(values: pa.StringArray) -> float:
    return 1.0 - float(values.null_count) / max(len(values), 1)


def _role(one: Suggestion) -> Role:
    if one.kind.address:
        return "address"
    return "name" if "name" in one.kind.label or one.kind.label == "initials" else "birth"


def _lines(
    study: Study,
    name: str,
    hardening: Setting | Literal["fields", "none"],
    remarks: Sequence[str],
) -> Iterator[str]:
    setting = hardening if isinstance(hardening, Setting) else None
    found = allocate(study.found, setting)
    members = [Member(one.column, _role(one), one.bits, one.year) for one in found]
    yield f"# Suggested from the columns of one holder, {study.records:,} records. Read every line"
    yield "# before you use it, and give the same file to every holder."
    yield f"# {EXPECTED_BITS} bits a record, by the square root of each field's Renyi entropy of"
    yield "# order 2 (how rarely two people share a value);"
    yield f"# fields of address and contact together have at most {ADDRESS_SHARE:.0%} of them."
    if setting is not None and setting.families:
        yield f"# People of this file share addresses: {SHARED}"
    yield from (f"# {line}".rstrip() for line in remarks)
    yield "version = 1"
    yield f"name = {json.dumps(name)}"
    if setting is not None:
        yield from setting_lines(setting, members)
    elif hardening == "none":
        yield "bits = 1024"
        yield 'hardening = { method = "none" }    # the plain CLK; graph matching breaks it'
        yield f"presence_mask = true    # {MASK}"
    else:
        yield from field_lines()
    taken = {one.column for one in found}
    left_out = [column for column in study.columns if column not in taken]
    if left_out:
        yield ""
        yield "# Left out, because not recognised, empty, the same for all, or a number to compare"
        yield "# exactly:"
        yield from (f"#   {json.dumps(column)}" for column in left_out)
    for what, labels in (("surname", {"surname", "name"}), ("birth date", {"date"})):
        if not labels & {one.kind.label for one in found}:
            yield f"# No column was taken for a {what}. Is there one under another name?"
    for one in found:
        yield ""
        yield f"# Taken for: {one.kind.label}. Filled in {one.filled:.1%} of records;"
        yield f"# {one.distinct:,} distinct values; entropy {one.entropy:.1f} bits{_advice(one)}."
        yield "[[fields]]"
        yield f"name = {json.dumps(one.column)}"
        if one.normalise:
            yield f"normalise = {json.dumps(list(one.normalise))}"
        yield f"tokens = {one.kind.tokens}"
        yield f"bits_per_feature = {one.bits}"
    if setting is not None:
        yield from group_lines(setting, members)
    elif hardening == "fields":
        yield from field_group_lines(members)


def _advice(one: Suggestion) -> str:
    if one.commonest > _PLACEHOLDER and one.kind.label in ("date", "telephone", "e-mail"):
        return (
            f".\n# {one.commonest:.0%} of its values are one and the same: if it stands for "
            f"unknown, name it in missing_codes{_reading(one)}"
        )
    return _reading(one)


def _reading(one: Suggestion) -> str:
    if one.kind.label == "date":
        return (
            "; written as YYYYMMDD before it is encoded.\n"
            "# Where a holder's dates have the year last, this says what comes first: dmy or mdy"
        )
    return ""
