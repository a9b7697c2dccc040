"""A starting schema whose hardening is calibrated on the holder's own file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import get_args

from pprl.errors import UsageError
from pprl.evaluation.calibration.calibrate import WITHSTAND, Tell, calibrate
from pprl.evaluation.calibration.price import points_lost
from pprl.holder.choices import Attacker, SuggestHardening
from pprl.holder.profiles import Setting, setting_of
from pprl.holder.records import CsvFormat, Records
from pprl.holder.schema import Schema
from pprl.holder.suggest import (
    hardening_of,
    people_of_dwellings,
    study_columns,
    write_schema,
)

MOST = 3_000
"""People who are attacked at most: one attack takes about a minute for so many."""
FEWEST = 100
"""With fewer people a share of one in a hundred cannot be counted."""


@dataclass(frozen=True)
class Suggested:
    """A suggested schema, and what it leaves out.

    Attributes:
        text: The schema, as commented TOML.
        left_out: Why, by column.
    """

    text: str
    left_out: Mapping[str, str]


def suggest_schema(
    data: Records,
    *,
    name: str = "suggested",
    hardening: SuggestHardening = "default",
    withstand: float | None = WITHSTAND,
    known_pairs: int = 0,
    attacker: Attacker = "exact",
    at_least: Schema | str | PathLike[str] | None = None,
    fields: Sequence[str] | None = None,
    csv_format: CsvFormat | None = None,
    seed: int = 1,
    tell: Tell | None = None,
) -> str:
    """Write a starting schema for the columns of a file, hardened as this file needs.

    Fields, weights and groups follow from the columns. With ``hardening="default"`` attacks are run
    on the file itself under one setting after the other, and the lightest is taken under which
    they name at most a share ``withstand`` of the people. This takes some minutes.

    Args:
        data: What `pprl.encode` takes.
        name: The schema's name.
        hardening: ``default``; ``strong``, for whole households and an attacker who knows 200
            of the people; ``salted``; ``fields`` and ``none`` protect least. Only ``default`` and
            ``salted`` are calibrated.
        withstand: The share of people that attacks may name. None: no attack is run, and the
            hardening is a preset.
        known_pairs: How many of the encodings' persons the attacker knows.
        attacker: ``exact``: a list of just these people, without an error. ``population``: a
            list of ten times as many people, one in ten values mistyped.
        at_least: Another holder's suggested schema; the hardening is never lighter than there.
        fields: The columns to take, whatever they are called; by default those that are
            recognised.
        csv_format: Delimiter and encoding of a CSV file.
        seed: Of the sample and the attacks.
        tell: Called with what is being done.

    Returns:
        The schema as commented TOML; comments say what was tried and found.

    Raises:
        UsageError: No column is recognised, an option is out of range, or ``at_least`` is not a
            schema of this kind.
        MissingColumn: A column of ``fields`` is not there.
        EmptyInput: There are no records, or no recognised column has a value.

    Examples:
        >>> import pandas as pd
        >>> people = pd.DataFrame({"surname": ["Vos", "Smit"], "first_name": ["An", "Bo"]})
        >>> text = suggest_schema(people, withstand=None)
        >>> "minhash" in text
        True
    """
    return suggest(
        data,
        name=name,
        hardening=hardening,
        withstand=withstand,
        known_pairs=known_pairs,
        attacker=attacker,
        at_least=at_least,
        fields=fields,
        csv_format=csv_format,
        seed=seed,
        tell=tell,
    ).text


def suggest(
    data: Records,
    *,
    name: str = "suggested",
    hardening: SuggestHardening = "default",
    withstand: float | None = WITHSTAND,
    known_pairs: int = 0,
    attacker: Attacker = "exact",
    at_least: Schema | str | PathLike[str] | None = None,
    fields: Sequence[str] | None = None,
    csv_format: CsvFormat | None = None,
    seed: int = 1,
    tell: Tell | None = None,
) -> Suggested:
    """Do what `suggest_schema` does; return which columns are left out, too."""
    if hardening not in get_args(SuggestHardening):
        raise UsageError(
            f"hardening must be one of {get_args(SuggestHardening)}, not {hardening!r}."
        )
    study = study_columns(data, fields, csv_format)
    least = _setting_in(at_least)
    usual = hardening_of(hardening, study)
    remarks: list[str] = []
    if isinstance(usual, Setting):
        attacked = hardening != "strong" and withstand is not None
        people = people_of_dwellings(data, study, MOST, seed, csv_format) if attacked else None
        if people is None or withstand is None or len(people) < FEWEST:
            usual = usual.stricter(least) if least else usual
            if people is not None:
                remarks = [
                    f"Not calibrated: {len(people)} people are too few to count one in a hundred."
                ]
        else:
            found = calibrate(
                study,
                people,
                usual,
                withstand=withstand,
                known_pairs=known_pairs,
                attacker=attacker,
                at_least=least,
                seed=seed,
                tell=tell,
            )
            if tell:
                tell("links that each of them loses, with errors put into these records")
            lost = points_lost(study, people, found.choices(), seed=seed)
            usual, remarks = found.setting, list(found.remarks(lost))
    return Suggested(write_schema(study, name, usual, remarks), study.left_out)


def _setting_in(schema: Schema | str | PathLike[str] | None) -> Setting | None:
    if schema is None:
        return None
    return setting_of(schema if isinstance(schema, Schema) else Schema.load(schema))
