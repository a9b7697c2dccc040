"""A population: households at addresses, in Parquet, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pprl.errors import UsageError
from pprl.synthetic import households, identity
from pprl.synthetic import names as name_lists
from pprl.synthetic._arrays import (
    Ints,
    check_seed,
    coded,
    dates,
    digits,
    mix,
    stream,
    text,
    whole_files,
)
from pprl.synthetic.households import CHILD, GRANDMOTHER, REFERENCE, ROLES, YEAR, Block
from pprl.synthetic.identity import NAME_USES, PRECISIONS, Identity
from pprl.synthetic.names import Names
from pprl.synthetic.places import ADDITIONS, PLACES, STREETS, Places

BLOCK = 16_384
"""Households in a block. Part of what a seed means: another number, another population."""

MOST_PERSONS = 20_000_000
ROW_GROUP = 8
"""Blocks in a row group."""

_CODE = pa.dictionary(pa.int32(), pa.string())
_ADDRESS = {
    "street": _CODE,
    "house_number": pa.int32(),
    "house_addition": _CODE,
    "postcode": pa.string(),
    "city": _CODE,
}
SCHEMA = pa.schema(
    {
        "person_id": pa.int64(),
        "household_id": pa.int64(),
        "role": _CODE,
        "origin": _CODE,
        "sex": _CODE,
        "birth_date": pa.date32(),
        "birth_date_known": _CODE,
        "death_date": pa.date32(),
        "first_names": pa.string(),
        "given_name": pa.string(),
        "first_name_variant": pa.string(),
        "prefix": pa.string(),
        "surname": pa.string(),
        "surname_variant": pa.string(),
        "partner_prefix": pa.string(),
        "partner_surname": pa.string(),
        "name_use": _CODE,
        "bsn": pa.string(),
        "phone": pa.string(),
        "email": pa.string(),
        **_ADDRESS,
        "moved_on": pa.date32(),
        **{f"former_{name}": kind for name, kind in _ADDRESS.items()},
        "mother_id": pa.int64(),
        "father_id": pa.int64(),
        "twin_id": pa.int64(),
    }
)
"""The columns of a population; docs/reference/synthetic.md says what each holds."""

_MAIL_ENDINGS = pa.array(
    [f"{number}@{host}.example" for number in range(1, 100) for host in ("mail", "post", "web")]
)


def population(
    path: str | PathLike[str], persons: int, *, seed: int, row_group: int = ROW_GROUP
) -> None:
    """Write a population of Dutch-like households to a Parquet file.

    Rows are in the order of households. The same persons, seed, version of pprl and version of
    numpy give the same rows, whatever ``row_group`` is; another number of persons gives another
    population.

    Args:
        path: File to write, whole or not at all.
        persons: Rows, 1 to 20,000,000. People who died in the ten years before 1 January 2025
            are among them. Fewer persons are fewer postcode areas, each as dense as a real one.
        seed: An integer of 0 or more.
        row_group: Blocks of 16,384 households (some 35,000 persons) in a row group, which is
            what is in memory at a time.

    Raises:
        UsageError: A number is out of range.
        OutputExists: There is something at ``path`` already.
        UnreadableFile: ``path`` cannot be written to.
    """
    _check(persons, seed)
    if not 1 <= row_group <= 1000:
        raise UsageError("row_group must be 1 to 1,000 blocks.")
    with (
        whole_files(path) as [part],
        pq.ParquetWriter(part, SCHEMA, compression="zstd", compression_level=1) as writer,
    ):
        waiting: list[pa.Table] = []
        for table in blocks(persons, seed):
            waiting.append(table)
            if len(waiting) == row_group:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def population_table(persons: int, *, seed: int) -> pa.Table:
    """Return the rows that `population` writes, in memory.

    Raises:
        UsageError: A number is out of range.
    """
    _check(persons, seed)
    return pa.concat_tables(blocks(persons, seed))


def _check(persons: int, seed: int) -> None:
    if isinstance(persons, bool) or not isinstance(persons, int | np.integer):
        raise UsageError("persons must be an integer.")
    if not 1 <= persons <= MOST_PERSONS:
        raise UsageError(f"persons must be 1 to {MOST_PERSONS:,}.")
    check_seed(seed)


def blocks(persons: int, seed: int) -> Iterator[pa.Table]:
    """Yield the population block by block; the last block is cut off at ``persons``."""
    names = name_lists.load()
    places = Places(persons, seed)
    done = number = 0
    while done < persons:
        table = _block(names, places, seed, number, done)
        yield _cut(table, persons - done, persons)
        done += len(table)
        number += 1


def _cut(table: pa.Table, most: int, persons: int) -> pa.Table:
    """Keep the first rows, and no reference to a person who is not there."""
    if len(table) <= most:
        return table
    table = table.slice(0, most)
    for name in ("mother_id", "father_id", "twin_id"):
        column = table[name]
        there = pc.if_else(pc.less(column, persons), column, pa.scalar(None, pa.int64()))
        table = table.set_column(table.schema.get_field_index(name), name, there)
    return table


def _block(names: Names, places: Places, seed: int, number: int, first: int) -> pa.Table:
    rng = stream(seed, "block", number)
    dwelling = (number * BLOCK + rng.permutation(BLOCK)) % places.total
    density = np.where(places.urban(dwelling), 1.6, 0.6)
    foreign = rng.random(BLOCK) < (1 - names.shares[0]) * density
    which = np.searchsorted(
        np.cumsum(names.shares[1:])[:-1] / names.shares[1:].sum(), rng.random(BLOCK), "right"
    )
    people = households.make(rng, np.where(foreign, which + 1, 0))
    called = identity.name(rng, names, people)
    count = len(people.born)

    def person(numbers: Ints) -> pa.Array:
        return pa.array(numbers + first, mask=numbers < 0)

    columns = {
        "person_id": pa.array(np.arange(first, first + count)),
        "household_id": pa.array(number * BLOCK + people.home),
        "role": coded(_role(people.slot), pa.array(ROLES)),
        "origin": coded(people.group, pa.array(names.groups)),
        "sex": coded(people.female.astype(np.int64), pa.array(["male", "female"])),
        "birth_date": dates(people.born),
        "birth_date_known": coded(called.precision, pa.array(PRECISIONS)),
        "death_date": dates(people.died, people.died >= 0),
        **_names(names, called),
        "bsn": _bsn(np.arange(first, first + count), seed),
        **_contact(rng, names, people, called),
        **_homes(rng, places, people, dwelling),
        "mother_id": person(people.mother),
        "father_id": person(people.father),
        "twin_id": person(people.twin),
    }
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _role(slot: Ints) -> Ints:
    return np.select([slot < CHILD, slot < GRANDMOTHER], [slot, 2], 3)


def _take(values: pa.StringArray, numbers: Ints) -> pa.StringArray:
    return values.take(pa.array(numbers, mask=numbers < 0))


def _names(names: Names, called: Identity) -> dict[str, pa.Array]:
    first = [_take(names.first.texts, called.first[:, column]) for column in range(3)]
    surname = _take(names.surnames.texts, called.surname)
    double = np.flatnonzero(called.second >= 0)
    if len(double):
        whole = pc.binary_join_element_wise(
            surname.take(pa.array(double)),
            _take(names.surnames.prefixes, called.second[double]),
            _take(names.surnames.texts, called.second[double]),
            " ",
            null_handling="skip",
        )
        surname = pc.replace_with_mask(surname, pa.array(called.second >= 0), whole)
    return {
        "first_names": pc.binary_join_element_wise(*first, " ", null_handling="skip"),
        "given_name": _take(names.first.texts, called.given),
        "first_name_variant": _take(names.first.texts, called.other_given),
        "prefix": _take(names.surnames.prefixes, called.surname),
        "surname": surname,
        "surname_variant": _take(
            names.surnames.texts, np.where(called.second >= 0, -1, called.other_surname)
        ),
        "partner_prefix": _take(names.surnames.prefixes, called.partner),
        "partner_surname": _take(names.surnames.texts, called.partner),
        "name_use": coded(called.use, pa.array(NAME_USES)),
    }


def _bsn(person: Ints, seed: int) -> pa.StringArray:
    """Number people with nine digits that pass the eleven-test, each once.

    A person's place among 45 million gives two candidates for the first eight digits; the
    check digit of at most one of them would be ten.
    """
    slots = 45_000_000
    start = int(stream(seed, "bsn").integers(slots))
    slot = (person * 28_934_611 + start) % slots
    leading = 10_000_000 + 2 * slot + (mix(slot) & np.uint64(1)).astype(np.int64)
    weights = np.arange(9, 1, -1)

    def check(values: Ints) -> Ints:
        sums: Ints = (values[:, None] // 10 ** np.arange(7, -1, -1) % 10 * weights).sum(1)
        return sums % 11

    leading = np.where(check(leading) == 10, leading ^ 1, leading)
    return text(digits(leading * 10 + check(leading), 9))


def _contact(
    rng: np.random.Generator, names: Names, people: Block, called: Identity
) -> dict[str, pa.Array]:
    count = len(people.born)
    age = people.age
    lines = 10_000_000 + rng.integers(0, 90_000_000, count)
    has_phone = (age > 12) & (rng.random(count) < 0.82)
    phone = text(digits(600_000_000 + lines, 10))
    has_mail = (age > 14) & (rng.random(count) < np.interp(age, (20, 60, 90), (0.9, 0.75, 0.25)))
    ending = rng.integers(0, len(_MAIL_ENDINGS), count)
    mail = pc.binary_join_element_wise(
        _take(names.first.ascii, np.where(has_mail, called.given, -1)),
        _take(names.surnames.ascii, called.surname),
        ".",
    )
    blank = pa.scalar(None, pa.string())
    return {
        "phone": pc.if_else(pa.array(has_phone), phone, blank),
        "email": pc.binary_join_element_wise(mail, _MAIL_ENDINGS.take(pa.array(ending)), ""),
    }


def _homes(
    rng: np.random.Generator, places: Places, people: Block, dwelling: Ints
) -> dict[str, pa.Array]:
    """Return present and former addresses, and the day of the move between them."""
    homes = len(dwelling)
    since, from_mother = identity.move(rng, people)
    near = rng.random(homes) < 0.45
    close = np.clip(dwelling + rng.integers(-900, 901, homes), 0, places.total - 1)
    former = np.where(near, close, rng.integers(0, places.total, homes))
    came = former[people.home]
    # A partner who came from elsewhere than the head.
    apart = (people.slot == 1) & (people.age < 45) & (rng.random(len(came)) < 0.4)
    came[apart] = rng.integers(0, places.total, int(apart.sum()))
    home = dwelling[people.home]
    came = np.where(from_mother, home[np.maximum(people.mother, 0)], came)
    moved = np.isfinite(since) & (came != home)
    day = REFERENCE - 1 - (np.where(moved, since, 0) * YEAR).astype(np.int64)
    moved &= (day > people.born) & ((people.died < 0) | (day < people.died))
    columns: dict[str, pa.Array] = {"moved_on": dates(day, moved)}
    for start, where, there in (("", dwelling, None), ("former_", came, moved)):
        if there is None:
            found, rows = places.addresses(where), people.home
        else:
            found, rows = places.addresses(where), np.where(there, np.arange(len(came)), -1)
        number = pa.array(found.number.astype(np.int32))
        columns[f"{start}street"] = coded(_at(found.street, rows), STREETS)
        columns[f"{start}house_number"] = _take(number, rows)
        columns[f"{start}house_addition"] = coded(_at(found.addition, rows), ADDITIONS)
        columns[f"{start}postcode"] = _take(found.postcode(), rows)
        columns[f"{start}city"] = coded(_at(found.place, rows), PLACES)
    return columns


def _at(codes: Ints, rows: Ints) -> Ints:
    return np.where(rows >= 0, codes[rows], -1)
