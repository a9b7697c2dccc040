"""Two small registers and their truth, to practise on: what the tutorials work with."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv

from pprl.errors import UnwritableFile
from pprl.synthetic._arrays import whole_files
from pprl.synthetic.population import population_table
from pprl.synthetic.registers import Errors, Register, register_table

HOSPITAL = Register(
    name="hospital",
    coverage=0.15,
    errors=Errors(keyboard=0.02, digit=0.01, date_slip=0.01, outdated_address=0.05),
    missing={"postcode": 0.03},
)
"""Careful with names, less so with addresses."""

REGISTRY = Register(
    name="registry",
    coverage=0.2,
    letters="upper",
    diacritics=False,
    sex_codes=("1", "2"),
    postcode_space=True,
    errors=Errors(keyboard=0.02, phonetic=0.01, day_month_swap=0.01, wrong_sex=0.005),
    missing={"first_names": 0.01},
)
"""Writes in capitals, without accents, and codes sex by numbers."""


FILES = ("hospital.csv", "registry.csv", "truth.csv")
"""The files that `practice` writes."""


def practice(
    folder: str | PathLike[str], *, persons: int = 10_000, seed: int = 1
) -> dict[str, int]:
    """Write ``hospital.csv``, ``registry.csv`` and ``truth.csv`` into a folder.

    Two registers of made-up people who live in one region, written in different ways and each
    with errors of its own; the truth (``left_id,right_id``) says who is in both. The same number
    of persons and seed give the same files.

    Args:
        folder: Made if it is not there.
        persons: Size of the population that both are drawn from.
        seed: An integer of 0 or more.

    Returns:
        The number of rows of each file, by its name.

    Raises:
        OutputExists: One of the files is there already.
        UnwritableFile: The folder cannot be made or written to.
        UsageError: ``persons`` or ``seed`` is out of range.
    """
    people = population_table(persons, seed=seed)
    (left, left_truth), (right, right_truth) = (
        register_table(people, register, seed=seed) for register in (HOSPITAL, REGISTRY)
    )
    both = left_truth.join(
        right_truth, keys="person_id", join_type="inner", left_suffix="", right_suffix="_right"
    )
    truth = pa.table({"left_id": both["record_id"], "right_id": both["record_id_right"]})
    tables = dict(zip(FILES, (left, right, truth.sort_by("left_id")), strict=True))
    place = Path(folder)
    try:
        os.makedirs(place, exist_ok=True)
    except OSError as error:
        raise UnwritableFile(
            f"cannot make the folder {place}: {error.strerror}. Is the disk that holds "
            f"{place.absolute().parent} full?"
        ) from None
    with whole_files(*(place / name for name in tables)) as parts:
        for part, table in zip(parts, tables.values(), strict=True):
            csv.write_csv(table, part)
    return {name: len(table) for name, table in tables.items()}
