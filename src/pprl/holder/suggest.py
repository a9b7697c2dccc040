"""A starting schema from one holder's data: types, normalisers, tokens and weights.

Columns are recognised by name and by content (`pprl.holder.columns`). A field's weight is
proportional to the square root of its Renyi entropy of order 2, which is minus the logarithm of
the chance that two people share a value; fields of the address and of contact change together, so
as a group they are held at two fifths of the bits. Nothing is estimated from a truth. No value of
the data enters the schema but texts that many records have in place of a value of their own, as
``missing_codes``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import EmptyInput, UsageError
from pprl.holder.choices import SuggestHardening
from pprl.holder.columns import (
    TEXT,
    Kind,
    cleaned,
    known,
    looks_like_a_name,
    names_another,
    normalisers,
    placeholders,
    recognise,
    recognise_content,
    share,
)
from pprl.holder.families import draw_dwellings, holds_families, whole_dwellings
from pprl.holder.normalize import NORMALISERS, trim
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
from pprl.holder.records import CsvFormat, Records, column_names, read_batches, require_columns
from pprl.holder.schema import Schema
from pprl.holder.values import as_text
from pprl.tables.arguments import argument

EXPECTED_BITS = 400
"""Insertions a record into a plain CLK of 1,024 bits: fills about 0.3 of it."""
ADDRESS_SHARE = 0.37
_SAMPLE = 200_000
_SAME = 0.9
_PLACEHOLDER = 0.05
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
        missing: Values that are far too frequent, ``missing_codes``.
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
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """What was found in the columns of one holder's file.

    Attributes:
        found: The fields to encode; their ``bits`` are not shared out yet.
        left_out: The other columns, and why.
        records: Number of records of the file.
        sample: The columns of ``found`` as text, of every record or an even sample of a large
            file.
        families: Whether people of the file share addresses.
    """

    found: tuple[Suggestion, ...]
    left_out: Mapping[str, str]
    records: int
    sample: pa.Table
    families: bool


def suggest_schema(
    data: Records,
    *,
    name: str = "suggested",
    hardening: SuggestHardening = "default",
    fields: Sequence[str] | None = None,
    csv_format: CsvFormat | None = None,
) -> str:
    r"""Write a starting schema for the columns of a file or table, as commented TOML.

        >>> import pandas as pd
        >>> people = pd.DataFrame({"surname": ["Bos", "Vos"], "born": ["1950-01-31", "1961-03-01"]})
        >>> 'normalise = ["date_dmy"]' in suggest_schema(people)
        True

    The hardening is a preset. `pprl.suggest_schema` and ``pprl schema suggest`` calibrate it by
    attacks on the file itself.

    Args:
        data: What `pprl.encode` takes. Of large data an even sample is read.
        name: The schema's name.
        hardening: ``default``, ``strong``, ``salted`` (see `pprl.holder.profiles`); ``fields`` (a
            plain filter for each field) and ``none`` (one plain CLK) protect least.
        fields: The columns to take, whatever they are called; by default those that are
            recognised.
        csv_format: Delimiter and encoding of a CSV file.

    Raises:
        UsageError: No column is recognised as identifying a person.
        MissingColumn: A column of ``fields`` is not there.
        EmptyInput: There are no records, or no recognised column has a value.
    """
    if hardening not in get_args(SuggestHardening):
        raise UsageError(
            f"hardening must be one of {get_args(SuggestHardening)}, not {hardening!r}."
        )
    study = study_columns(data, fields, csv_format)
    return write_schema(study, name, hardening_of(hardening, study))


def study_columns(
    data: Records, fields: Sequence[str] | None = None, csv_format: CsvFormat | None = None
) -> Study:
    """Find the columns that identify people, and measure them.

    Args:
        data: What `pprl.encode` takes. Of large data an even sample is read.
        fields: The columns to take, whatever they are called; by default those that are
            recognised.
        csv_format: Delimiter and encoding of a CSV file.

    Raises:
        UsageError: No column is recognised as identifying a person.
        MissingColumn: A column of ``fields`` is not there.
        EmptyInput: There are no records, or no recognised column has a value.
    """
    if isinstance(fields, str):
        raise UsageError(f"fields takes a list of columns, not the text {fields!r}.")
    columns = column_names(data, csv_format)
    if fields is not None:
        require_columns(fields, columns, "the data")
    sample, records = _sample(data, columns if fields is None else list(fields), csv_format)
    kinds, left_out = _kinds(sample, fields is not None)
    if fields is not None:
        left_out = (
            dict.fromkeys((c for c in columns if c not in fields), "not asked for") | left_out
        )
    if not kinds:
        raise UsageError(
            "no column is recognised as a name, birth date, sex, address or contact. Name the "
            f"columns to take ({argument('fields')}), or rename them (surname, given_name, "
            f"date_of_birth, sex, postcode)."
        )
    found: list[Suggestion] = []
    for column, kind in kinds.items():
        measured = _measure(sample.column(column).combine_chunks(), column, kind)
        if measured is None:
            left_out[column] = "empty"
        elif measured.distinct < 2:
            left_out[column] = "the same for all"
        elif twin := next((one for one in found if _says_the_same(measured, one, sample)), None):
            left_out[column] = f"says the same as {twin.column!r}"
        else:
            found.append(measured)
    if not found:
        raise EmptyInput("no recognised column has different values.")
    sample = sample.select([one.column for one in found])
    families = holds_families(sample, dwelling_of(found))
    in_order = {one: left_out[one] for one in columns if one in left_out}
    return Study(tuple(found), in_order, records, sample, families)


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


def _kinds(sample: pa.Table, asked: bool) -> tuple[dict[str, Kind], dict[str, str]]:
    """Recognise columns by name, and by content where no name says it."""
    kinds: dict[str, Kind] = {}
    left_out: dict[str, str] = {}
    by_name = {name: recognise(name) for name in sample.column_names}
    named = {kind.label for kind in by_name.values() if kind}
    for name, by in by_name.items():
        values = sample.column(name).combine_chunks()
        kind = by
        if kind is not None and kind.label == "date" and not asked and _is_no_date(values):
            left_out[name] = "by its name a birth date, and its values are none"
            continue
        if kind is None and (asked or not names_another(name)):
            content = recognise_content(values)
            if content is not None and (asked or content.label not in named):
                kind = content
        if kind is None and asked:
            kind = TEXT
        if kind is not None:
            kinds[name] = kind
        elif names_another(name):
            left_out[name] = "a number to compare exactly, or not of the person"
        elif looks_like_a_name(values):
            left_out[name] = "not recognised; its values look like names"
        else:
            left_out[name] = "not recognised"
    return kinds, left_out


def _is_no_date(values: pa.StringArray) -> bool:
    """Tell whether hardly a value can be read as a date, in either order."""
    there = known(values).slice(0, _LOOKED_AT)
    read = max(share(NORMALISERS[name](there)) for name in ("date_dmy", "date_mdy"))
    return len(there) > 0 and read < _FEW_DATES


_LOOKED_AT = 10_000
_FEW_DATES = 0.3


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
    each = [cleaned(sample.column(of.column).combine_chunks(), of.normalise) for of in (one, other)]
    equal = pc.mean(pc.fill_null(pc.equal(*each), False)).as_py() or 0.0
    return bool(equal >= _SAME * one.filled)


def _measure(values: pa.StringArray, column: str, kind: Kind) -> Suggestion | None:
    normalise = normalisers(values, kind)
    missing = placeholders(values, kind)
    if missing:
        tidy = trim(values)
        values = pc.if_else(pc.is_in(tidy, pa.array(missing)), None, values)
    present = cleaned(values, normalise).drop_null()
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
        missing=missing,
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
    members = [
        Member(one.column, _role(one), one.bits, one.kind.label in _OWN, one.year) for one in found
    ]
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
    left_out = study.left_out
    if left_out:
        yield ""
        yield "# Left out:"
        yield from (f"#   {json.dumps(column)}: {why}" for column, why in left_out.items())
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
        if one.missing:
            yield "# Far too frequent to be anybody's own: texts that stand for unknown."
            yield f"missing_codes = {json.dumps(list(one.missing), ensure_ascii=False)}"
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
