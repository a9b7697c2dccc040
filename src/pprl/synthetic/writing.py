"""How a register writes the people that are in it, errors included."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.synthetic import corrupt
from pprl.synthetic._arrays import Bools, Ints, civil

if TYPE_CHECKING:
    from pprl.synthetic.registers import Errors, Register

CHOICES: dict[str, tuple[str | None, ...]] = {
    "sex": (None, "male", "female"),
    "surname": ("birth", "used"),
    "prefix": ("separate", "before", "after", "left out"),
    "first_names": ("all", "first", "initials", "called"),
    "letters": ("title", "upper", "lower"),
    "unknown_dates": ("zeros", "first"),
}
"""What some options of a register can be."""

TEXTS = ("first_names", "surname", "street", "city")
NUMBERS = ("house_number", "postcode", "bsn", "phone")
_PLAIN_LETTERS = (("ł", "l"), ("Ł", "L"), ("ı", "i"), ("ß", "ss"), ("ø", "o"), ("Ø", "O"))

Draw = Callable[..., np.random.Generator]


def plain(table: pa.Table) -> pa.Table:
    """Turn coded columns into text, and each column into one chunk."""
    columns = []
    for column in table.combine_chunks().columns:
        chunk = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        columns.append(chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk)
    return pa.table(columns, names=table.column_names)


def days(column: pa.ChunkedArray, missing: int) -> Ints:
    """Return dates as days since 1970-01-01."""
    return np.asarray(pc.fill_null(column.cast(pa.int32()).cast(pa.int64()), missing))


def values(draw: Draw, register: Register, people: pa.Table, day: Ints) -> dict[str, pa.Array]:
    """Return the columns of a register's records: one for each row of ``people``."""
    people = plain(people)
    errors = register.errors
    columns = {
        **_names(draw("names"), register, people),
        **_birth(draw("birth_date"), register, people),
        "sex": _sex(draw("sex"), register, people),
        **_address(draw("address"), errors, people, day),
        **{name: _chunk(people, name) for name in ("bsn", "phone", "email")},
        "death_date": _death(register, people),
        "event_date": _date(day, register),
    }
    columns = {name: columns[name] for name in register.written}
    spelling = [
        (errors.keyboard, corrupt.keyboard),
        (errors.phonetic, corrupt.phonetic),
        (errors.ocr, corrupt.ocr),
        (errors.truncation, corrupt.truncate),
    ]
    for name in columns:
        if name in TEXTS:
            columns[name] = corrupt.some(draw("errors", name), columns[name], spelling)
        elif name in NUMBERS:
            rates = [(errors.digit, corrupt.one_digit)]
            columns[name] = corrupt.some(draw("errors", name), columns[name], rates)
        elif name == "email":
            columns[name] = corrupt.some(draw("errors", name), columns[name], spelling[:1])
    if {"first_names", "surname"} <= set(columns):
        swap = draw("swapped_names").random(len(people)) < errors.swapped_names
        first, last = columns["first_names"], columns["surname"]
        columns["first_names"] = pc.if_else(pa.array(swap), last, first)
        columns["surname"] = pc.if_else(pa.array(swap), first, last)
    if register.postcode_space and "postcode" in columns:
        columns["postcode"] = pc.utf8_replace_slice(columns["postcode"], 4, 4, " ")
    for name in columns:
        if name in (*TEXTS, "prefix"):
            columns[name] = _form(columns[name], register, cut=name in ("first_names", "surname"))
        lost = draw("missing", name).random(len(people)) < register.missing.get(name, 0)
        if lost.any():
            columns[name] = pc.if_else(pa.array(lost), pa.scalar(None, pa.string()), columns[name])
    return columns


def _chunk(people: pa.Table, name: str) -> pa.Array:
    column = people[name]
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _form(values: pa.StringArray, register: Register, *, cut: bool) -> pa.StringArray:
    if not register.diacritics:
        values = pc.utf8_normalize(values, "NFKD")
        values = pc.replace_substring_regex(values, r"\p{Mn}", "")
        for letter, bare in _PLAIN_LETTERS:
            values = pc.replace_substring(values, letter, bare)
    if cut and register.most_letters is not None:
        values = pc.utf8_slice_codeunits(values, 0, register.most_letters)
    if register.letters == "title":
        return values
    return pc.utf8_upper(values) if register.letters == "upper" else pc.utf8_lower(values)


def _names(rng: np.random.Generator, register: Register, people: pa.Table) -> dict[str, pa.Array]:
    rate = register.errors.transliteration
    otherwise = pa.array(rng.random(len(people)) < rate), pa.array(rng.random(len(people)) < rate)
    names = _chunk(people, "first_names")
    called = _chunk(people, "given_name")
    variant = _chunk(people, "first_name_variant")
    uses = pc.and_(otherwise[0], pc.is_valid(variant))
    rest = pc.replace_substring_regex(names, r"^[^ ]+", "")
    names = pc.if_else(uses, pc.binary_join_element_wise(variant, rest, ""), names)
    called = pc.if_else(uses, variant, called)
    if register.first_names == "first":
        names = pc.replace_substring_regex(names, r"[ ].*$", "")
    elif register.first_names == "initials":
        names = pc.replace_substring_regex(names, r"([^ ])[^ ]*[ ]?", r"\1.")
    elif register.first_names == "called":
        names = called

    prefix, surname = _chunk(people, "prefix"), _chunk(people, "surname")
    variant = _chunk(people, "surname_variant")
    surname = pc.if_else(pc.and_(otherwise[1], pc.is_valid(variant)), variant, surname)
    if register.surname == "used":
        prefix, surname = _as_used(people, prefix, surname)
    if register.prefix == "before":
        surname = pc.binary_join_element_wise(prefix, surname, " ", null_handling="skip")
    elif register.prefix == "after":
        surname = pc.binary_join_element_wise(surname, prefix, ", ", null_handling="skip")
    return {"first_names": names, "prefix": prefix, "surname": surname}


def _as_used(people: pa.Table, prefix: pa.Array, surname: pa.Array) -> tuple[pa.Array, pa.Array]:
    use = _chunk(people, "name_use")
    # Joining with null_handling="skip" loses the rows where nothing is left to join.
    other = pc.fill_null(_chunk(people, "partner_surname"), "")
    other_prefix = _chunk(people, "partner_prefix")

    def joined(first: pa.Array, second_prefix: pa.Array, second: pa.Array) -> pa.Array:
        second = pc.binary_join_element_wise(second_prefix, second, " ", null_handling="skip")
        return pc.binary_join_element_wise(first, second, "-")

    starts_other = pc.is_in(use, pa.array(["partner", "partner-own"]))
    whole = pc.if_else(pc.equal(use, "partner"), other, surname)
    whole = pc.if_else(pc.equal(use, "partner-own"), joined(other, prefix, surname), whole)
    whole = pc.if_else(pc.equal(use, "own-partner"), joined(surname, other_prefix, other), whole)
    return pc.if_else(starts_other, other_prefix, prefix), whole


def _birth(rng: np.random.Generator, register: Register, people: pa.Table) -> dict[str, pa.Array]:
    year, month, day = civil(days(people["birth_date"], 0))
    known = _chunk(people, "birth_date_known")
    errors = register.errors
    chance = rng.random(len(people))
    swap = chance < errors.day_month_swap
    swapped = corrupt.swap_day_and_month(month, day, swap)
    slips = (swap & ~swapped) | (~swap & (chance < errors.day_month_swap + errors.date_slip))
    corrupt.slip(rng, year, month, day, slips)
    blank = 0 if register.unknown_dates == "zeros" else 1
    month = np.where(np.asarray(pc.equal(known, "year")), blank, month)
    day = np.where(np.asarray(pc.equal(known, "day")), day, blank)
    return {"birth_date": corrupt.written(year, month, day, register.date_pattern)}


def _sex(rng: np.random.Generator, register: Register, people: pa.Table) -> pa.Array:
    female: Bools = np.asarray(pc.equal(people["sex"], "female"))
    female = female ^ (rng.random(len(people)) < register.errors.wrong_sex)
    male, woman = register.sex_codes
    return pc.if_else(pa.array(female), pa.scalar(woman), pa.scalar(male))


def _address(
    rng: np.random.Generator, errors: Errors, people: pa.Table, day: Ints
) -> dict[str, pa.Array]:
    """Return the address that held on each record's day, or still the one before."""
    moved = days(people["moved_on"], -(1 << 40))
    stale = (rng.random(len(people)) < errors.outdated_address) & (moved > -(1 << 40))
    before = pa.array((moved > day) | stale)
    columns = {}
    for name in ("street", "house_number", "house_addition", "postcode", "city"):
        value = pc.if_else(before, _chunk(people, f"former_{name}"), _chunk(people, name))
        columns[name] = value.cast(pa.string())
    return columns


def _date(day: Ints, register: Register) -> pa.Array:
    return corrupt.written(*civil(day), register.date_pattern)


def _death(register: Register, people: pa.Table) -> pa.Array:
    never = 1 << 30
    died = days(people["death_date"], never)
    snapshot = np.datetime64(register.snapshot, "D").astype(np.int64)
    known = died < snapshot
    shown = _date(np.where(known, died, 0), register)
    return pc.if_else(pa.array(known), shown, pa.scalar(None, pa.string()))
