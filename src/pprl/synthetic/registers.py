"""Registers drawn from a population: who is in it, how it writes, and where it errs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pprl.errors import UnreadableFile, UsageError
from pprl.synthetic import writing
from pprl.synthetic._arrays import Bools, Ints, check_seed, hexadecimal, mix, stream, whole_files
from pprl.synthetic.households import YEAR
from pprl.synthetic.population import SCHEMA as POPULATION

SLICE = 65_536
"""Persons that are drawn from at a time. Part of what a seed means."""

FIELDS = (
    "first_names",
    "prefix",
    "surname",
    "birth_date",
    "sex",
    "street",
    "house_number",
    "house_addition",
    "postcode",
    "city",
    "bsn",
    "phone",
    "email",
    "death_date",
    "event_date",
)
"""The fields a register can have, in the order they are written in."""

USUAL_FIELDS = FIELDS[:10]

USED = [
    name
    for name in POPULATION.names
    if name not in {"household_id", "role", "origin", "mother_id", "father_id", "twin_id"}
]

TRUTH = pa.schema({"record_id": pa.string(), "person_id": pa.int64()})


@dataclass(frozen=True, kw_only=True)
class Errors:
    """How often a register errs: shares from 0 to 1.

    ``keyboard``, ``phonetic``, ``ocr`` and ``truncation`` are of each value of first names,
    surname, street and city that is there (e-mail: ``keyboard``), and ``digit`` of each house
    number, postcode, bsn and phone number; a value has at most one of them. The others are of
    each record: ``swapped_names`` (first names and surname change places), ``day_month_swap``
    (or a slip, where no other date would come of it), ``date_slip``, ``wrong_sex``,
    ``outdated_address`` (of people with a former one), ``transliteration`` (of people whose
    names are also spelt otherwise; for each of the two names).
    """

    keyboard: float = 0.0
    phonetic: float = 0.0
    ocr: float = 0.0
    truncation: float = 0.0
    digit: float = 0.0
    swapped_names: float = 0.0
    day_month_swap: float = 0.0
    date_slip: float = 0.0
    wrong_sex: float = 0.0
    outdated_address: float = 0.0
    transliteration: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a share."""
        for option in fields(self):
            _share(getattr(self, option.name), f"errors: {option.name}")
        if self.keyboard + self.phonetic + self.ocr + self.truncation > 1:
            raise UsageError("errors: keyboard, phonetic, ocr and truncation exceed 1 together.")
        if self.day_month_swap + self.date_slip > 1:
            raise UsageError("errors: day_month_swap and date_slip exceed 1 together.")


@dataclass(frozen=True, kw_only=True)
class Register:
    """What a register holds and how.

    Attributes:
        name: Keeps registers with one seed apart: another name, other people and errors.
        coverage: Share of the population that is in it, or the share by age in years as
            (age, share) points with straight lines between them.
        sex: Only people of one sex.
        snapshot: The day the register is of: who was born, which address held, who had died.
        deceased: Keep people who died before the snapshot.
        columns: Which of `FIELDS`.
        surname: By birth, or as used: one's own, the partner's, or both with a hyphen.
        prefix: The tussenvoegsel in a column, before the surname, after it, or left out.
        first_names: All, the first, initials (``J.C.``), or what the person is called.
        letters: Case of names and places.
        diacritics: Keep them, or write the letter without.
        date_pattern: ``YYYY``, ``MM`` and ``DD`` once each, with other characters between.
        unknown_dates: An unknown day or month as ``00`` or as ``01``.
        sex_codes: How male and female are written.
        postcode_space: ``1234 AB``, not ``1234AB``.
        most_letters: First names and surname are cut off there.
        events: Mean number of records a person, such as tumours or visits, at least 1: one
            and a Poisson number. With it comes ``event_date``; the address is of that day.
        events_from: First day of events.
        duplicates: Share of records that are entered once more, with errors of their own.
        missing: Share of values that are missing, by field.
        errors: How often it errs.

    Raises:
        UsageError: A value is out of range or names what is not there.
    """

    name: str
    coverage: float | tuple[tuple[float, float], ...] = 1.0
    sex: str | None = None
    snapshot: dt.date = dt.date(2025, 1, 1)
    deceased: bool = False
    columns: tuple[str, ...] = USUAL_FIELDS
    surname: str = "birth"
    prefix: str = "separate"
    first_names: str = "all"
    letters: str = "title"
    diacritics: bool = True
    date_pattern: str = "YYYY-MM-DD"
    unknown_dates: str = "zeros"
    sex_codes: tuple[str, str] = ("M", "V")
    postcode_space: bool = False
    most_letters: int | None = None
    events: float | None = None
    events_from: dt.date = dt.date(2015, 1, 1)
    duplicates: float = 0.0
    missing: Mapping[str, float] = field(default_factory=dict)
    errors: Errors = field(default_factory=Errors)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not self.name:
            raise UsageError("a register needs a name.")
        if isinstance(self.coverage, tuple):
            ages = [age for age, _ in self.coverage]
            if not ages or ages != sorted(set(ages)):
                raise UsageError(f"register {self.name}: coverage needs rising ages.")
            for _, share in self.coverage:
                _share(share, f"register {self.name}: coverage")
        else:
            _share(self.coverage, f"register {self.name}: coverage")
        for option, allowed in writing.CHOICES.items():
            if getattr(self, option) not in allowed:
                raise UsageError(
                    f"register {self.name}: {option} must be one of "
                    f"{', '.join(str(choice) for choice in allowed)}."
                )
        unknown = {*self.columns, *self.missing} - set(FIELDS)
        if unknown or not self.columns or len(set(self.columns)) < len(self.columns):
            raise UsageError(
                f"register {self.name}: columns and missing must name fields once each, of: "
                f"{', '.join(FIELDS)}."
            )
        tokens = [self.date_pattern.count(token) for token in ("YYYY", "MM", "DD")]
        if tokens != [1, 1, 1] or not self.date_pattern.isascii():
            raise UsageError(f"register {self.name}: date_pattern needs YYYY, MM and DD once each.")
        if self.events is not None and not 1 <= self.events <= 1000:
            raise UsageError(f"register {self.name}: events must be 1 to 1,000.")
        if ("event_date" in self.columns) > (self.events is not None):
            raise UsageError(f"register {self.name}: event_date needs events.")
        if self.events is not None and self.events_from >= self.snapshot:
            raise UsageError(f"register {self.name}: events_from must be before the snapshot.")
        if self.most_letters is not None and self.most_letters < 1:
            raise UsageError(f"register {self.name}: most_letters must be 1 or more.")
        if len(self.sex_codes) != 2:
            raise UsageError(f"register {self.name}: sex_codes are two, male and female.")
        _share(self.duplicates, f"register {self.name}: duplicates")
        for name, share in self.missing.items():
            _share(share, f"register {self.name}: missing {name}")

    @property
    def written(self) -> tuple[str, ...]:
        """The columns of its file, after ``record_id``."""
        columns = {*self.columns, *(["event_date"] if self.events is not None else [])}
        if self.prefix != "separate":
            columns -= {"prefix"}
        return tuple(name for name in FIELDS if name in columns)


def _share(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{what} must be a share from 0 to 1.")


def register(
    population: str | PathLike[str],
    path: str | PathLike[str],
    truth: str | PathLike[str],
    register: Register,
    *,
    seed: int,
) -> int:
    """Draw a register from a population file; return its number of records.

    Writes the records (``record_id`` and the register's fields, all text, missing values null)
    and, in a file of its own, the truth (``record_id``, ``person_id``), in the same order.
    Some 65,000 persons are in memory at a time, and within so many the order is shuffled. The
    same population, register, seed and version of numpy give the same rows. A register that
    differs in errors, missing values or forms only has the same people in the same order.

    Raises:
        UsageError: The seed is not an integer of 0 or more.
        UnreadableFile: The population cannot be read, or a file cannot be written.
        OutputExists: There is something at ``path`` or ``truth`` already.
    """
    check_seed(seed)
    schema = pa.schema({"record_id": pa.string()} | dict.fromkeys(register.written, pa.string()))
    total = 0
    with (
        whole_files(path, truth) as [records_part, truth_part],
        pq.ParquetWriter(records_part, schema, compression="zstd", compression_level=1) as records,
        pq.ParquetWriter(truth_part, TRUTH, compression="zstd", compression_level=1) as truths,
    ):
        for made, known in _drawn(_slices_of_file(population), register, seed):
            records.write_table(made)
            truths.write_table(known)
            total += len(made)
    return total


def register_table(
    population: pa.Table, register: Register, *, seed: int
) -> tuple[pa.Table, pa.Table]:
    """Draw a register from a population in memory; return records and truth.

    The rows are those that `register` writes.

    Raises:
        UsageError: The seed is not an integer of 0 or more.
        UnreadableFile: The table is not a population.
    """
    check_seed(seed)
    if not set(POPULATION.names) <= set(population.column_names):
        raise UnreadableFile("the table is not a population: columns are missing.")
    slices = (population.slice(at, SLICE) for at in range(0, len(population), SLICE))
    schema = pa.schema({"record_id": pa.string()} | dict.fromkeys(register.written, pa.string()))
    drawn = list(_drawn(slices, register, seed))
    return (
        pa.concat_tables([schema.empty_table(), *(made for made, _ in drawn)]),
        pa.concat_tables([TRUTH.empty_table(), *(known for _, known in drawn)]),
    )


def _slices_of_file(path: str | PathLike[str]) -> Iterator[pa.Table]:
    """Yield the population so many persons at a time, whatever its row groups are."""
    try:
        with pq.ParquetFile(Path(path)) as file:
            if not set(POPULATION.names) <= set(file.schema_arrow.names):
                raise UnreadableFile(f"{path} is not a population: columns are missing.")
            # One row group after another: an iterator over all of them holds part of each.
            rest = writing.plain(POPULATION.empty_table().select(USED))
            for group in range(file.num_row_groups):
                rest = pa.concat_tables([rest, writing.plain(file.read_row_group(group, USED))])
                whole = len(rest) - len(rest) % SLICE
                for at in range(0, whole, SLICE):
                    yield rest.slice(at, SLICE)
                rest = rest.slice(whole)
            if len(rest):
                yield rest
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadableFile(
            f"{path} cannot be read as Parquet ({type(error).__name__})."
        ) from None


def _drawn(
    slices: Iterator[pa.Table], register: Register, seed: int
) -> Iterator[tuple[pa.Table, pa.Table]]:
    start = int(stream(seed, "register", register.name).integers(1 << 62))
    done = 0
    for number, people in enumerate(map(writing.plain, slices)):

        def draw(*purpose: str, number: int = number) -> np.random.Generator:
            return stream(seed, "register", register.name, number, *purpose)

        rows, days = _rows(draw("rows"), register, people)
        ids = hexadecimal(mix(np.arange(done, done + len(rows)) + start))
        done += len(rows)
        chosen = people.take(pa.array(rows))
        values = writing.values(draw, register, chosen, days)
        columns = [values[name] for name in register.written]
        made = pa.table([ids, *columns], names=["record_id", *register.written])
        yield made, pa.table([ids, chosen["person_id"]], schema=TRUTH)


def _rows(rng: np.random.Generator, register: Register, people: pa.Table) -> tuple[Ints, Ints]:
    """Choose the persons of the records, and the day of each record."""
    snapshot = _day(register.snapshot)
    born = writing.days(people["birth_date"], snapshot)
    died = writing.days(people["death_date"], 1 << 40)
    covered = _covered(rng, register, people, born, died, snapshot)
    first = np.maximum(born, _day(register.events_from) if register.events else born)
    last = np.minimum(snapshot, died)
    if register.events is None:
        rows = np.flatnonzero(covered)
    else:
        counts = 1 + rng.poisson(register.events - 1, len(people))
        rows = np.repeat(np.arange(len(people)), np.where(covered & (last > first), counts, 0))
    day = np.full(len(rows), snapshot)
    if register.events is not None:
        span = last[rows] - first[rows]
        day = first[rows] + (rng.random(len(rows)) * span).astype(np.int64)
    twice = np.flatnonzero(rng.random(len(rows)) < register.duplicates)
    order = rng.permutation(len(rows) + len(twice))
    return np.concatenate([rows, rows[twice]])[order], np.concatenate([day, day[twice]])[order]


def _covered(
    rng: np.random.Generator,
    register: Register,
    people: pa.Table,
    born: Ints,
    died: Ints,
    snapshot: int,
) -> Bools:
    share: float | np.ndarray[tuple[int], np.dtype[np.float64]]
    if isinstance(register.coverage, tuple):
        ages, shares = zip(*register.coverage, strict=True)
        share = np.interp((snapshot - born) / YEAR, ages, shares)
    else:
        share = register.coverage
    covered = (rng.random(len(people)) < share) & (born < snapshot)
    if not register.deceased:
        covered &= died >= snapshot
    if register.sex is not None:
        covered &= np.asarray(pc.equal(people["sex"], register.sex))
    return covered


def _day(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days
