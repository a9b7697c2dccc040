"""An audit in one call, and its figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pprl.errors import AuditFailed, PprlWarning, SchemaMismatch, UsageError
from pprl.evaluation.audit.attacker import Attacker, targets_of
from pprl.evaluation.audit.clear import clear_attacks, order_attack
from pprl.evaluation.audit.findings import DOES_NOT_PROTECT, weaknesses
from pprl.evaluation.audit.metrics import file_metrics
from pprl.evaluation.audit.people import Truth, read_people
from pprl.evaluation.audit.results import Attack
from pprl.evaluation.audit.run import (
    NOISE,
    Case,
    control,
    graph_attacks,
    key_attack,
    other_attacks,
    overlap_sweep,
    pair_attacks,
)
from pprl.evaluation.audit.strong import decoding_attack, percolations
from pprl.evaluation.audit.vulnerabilities import vulnerabilities
from pprl.exchange.encodings import UNKNOWN, Encodings
from pprl.holder.keys import LinkageKey
from pprl.holder.records import CsvFormat, Records
from pprl.holder.schema import Schema

LIMIT = 0.01
"""The rate above which an attack is said to have succeeded, unless another is given."""
VICTIMS = 2_000
KNOWN_PAIRS = (50, 200, 1_000, 5_000)
FEWEST = 50
MOST_KNOWN = 1_000
"""Known pairs up to which percolation is tried; with more, the other attacks say enough."""
POPULATION = 3
"""How many times as many people the realistic list has as there are victims."""
MISTYPED = 0.1
"""Share of the realistic list's values that are mistyped."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Audit:
    """What was measured of one file of encodings.

    Attributes:
        file: What the file's header says of itself.
        metrics: From the file alone.
        weaknesses: What they show, in words: group, weakness, meaning.
        vulnerabilities: By group, against a list of people; empty without one.
        attacks: Those that were run, counted with the truth.
        control: The graph attack on the same people without hardening; None where it was
            not run.
        limit: The rate above which an attack is said to have succeeded.
        sampling: How victims were drawn; empty where nothing was attacked.
    """

    file: Mapping[str, Any]
    metrics: dict[str, Any]
    weaknesses: list[dict[str, str]]
    vulnerabilities: dict[str, Any] = field(default_factory=dict)
    attacks: tuple[Attack, ...] = ()
    control: tuple[Attack, ...] = ()
    limit: float = LIMIT
    sampling: str = ""

    @property
    def succeeded(self) -> list[Attack]:
        """Attacks that need neither the key nor known pairs, and succeeded at this size."""
        return [
            one for one in self.attacks if one.knowledge == "nothing" and one.succeeded(self.limit)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``audit.json``."""
        return {
            "file": dict(self.file),
            "metrics": self.metrics,
            "weaknesses": self.weaknesses,
            "vulnerabilities": self.vulnerabilities,
            "attacks": [self._said(one) for one in self.attacks],
            "positive_control": [self._said(one) for one in self.control],
            "limit": self.limit,
            "sampling": self.sampling,
            "broken": [
                f"{one.name}: {one.reidentification_rate:.0%} of {one.n_victims:,} people were "
                "named without the key and without known pairs"
                for one in self.succeeded
            ],
            "does_not_protect_against": list(DOES_NOT_PROTECT),
        }

    def _said(self, one: Attack) -> dict[str, Any]:
        words = "succeeded" if one.succeeded(self.limit) else "did not succeed"
        return one.to_dict() | {"verdict": f"{words} at this size"}

    def save(self, folder: str | PathLike[str]) -> None:
        """Write ``audit.json`` and ``audit.html`` into a folder.

        Raises:
            OutputExists: One of them exists.
            MissingDependency: jinja2 or matplotlib is not installed.
        """
        from pprl.evaluation.audit.report import page
        from pprl.exchange.files import new_folder, write_json, write_text

        files = [Path(folder) / name for name in ("audit.json", "audit.html")]
        html = page(self)
        new_folder(folder, files)
        write_json(self.to_dict(), files[0])
        write_text(html, files[1])

    def check(self) -> None:
        """Refuse to release a file that an attack without key and known pairs succeeded on.

        Raises:
            AuditFailed: Which attacks, and how far they got.
        """
        if self.succeeded:
            found = "; ".join(
                f"{one.name}: {one.reidentification_rate:.1%} of {one.n_victims:,} "
                f"(overlap {one.overlap:.0%}, noise {one.noise:.0%})"
                for one in self.succeeded
            )
            raise AuditFailed(
                f"re-identified without the key, above the limit of {self.limit:.1%}: {found}. "
                f"Do not release the file; harden it (pprl schema suggest) and encode again."
            )


def audit(
    encodings: Encodings,
    *,
    reference: Records | None = None,
    schema: Schema | None = None,
    truth: Truth | None = None,
    id_column: str | None = None,
    columns: Mapping[str, str] | None = None,
    csv_format: CsvFormat | None = None,
    key: LinkageKey | None = None,
    victims: int = VICTIMS,
    known_pairs: Sequence[int] = KNOWN_PAIRS,
    limit: float = LIMIT,
    seed: int = 1,
    tell: Told | None = None,
) -> Audit:
    """Measure a file of encodings and, with a list of people, attack it.

    Args:
        encodings: The file.
        reference: People like those encoded, best the very ones: what an attacker could have.
        schema: The schema that the encodings were made with.
        truth: Who is who, ``record_id, reference_id``; a CSV or Parquet file or a table. With
            ``id_column`` alone, the same id is the same person. Without either, success
            cannot be counted and nothing is attacked.
        id_column: The reference's column with the ids; found by the truth's if not given.
        columns: The reference's column for a field of the schema, where names differ.
        csv_format: Of a reference in CSV.
        key: The linkage key, to count what who has it can look up.
        victims: Encodings to attack, at most; drawn at random.
        known_pairs: Numbers of known pairs to try.
        limit: The rate above which an attack is said to have succeeded.
        seed: Of everything that is drawn.
        tell: Called with what is being done.

    Raises:
        UsageError: The reference is without a schema, the truth without a reference, or a
            number is out of range.
        SchemaMismatch: The encodings were made with another schema.
        MissingColumn: A column is not there.
        RecordIdError: The reference's ids are not unique, or the truth names none of them.
    """
    say = tell or (lambda _: None)
    if not 0 <= limit <= 1:
        raise UsageError(f"the limit must be between 0 and 1, not {limit}.")
    if victims < FEWEST:
        raise UsageError(f"attack at least {FEWEST} encodings, not {victims}.")
    if (reference is None) != (schema is None):
        raise UsageError("a reference and the schema go together: give both or neither.")
    if reference is None and (truth is not None or key is not None):
        raise UsageError("a truth or a key needs a reference list and its schema, too.")
    about = {
        "records": encodings.info.records,
        "bits": encodings.info.bits,
        "groups": dict(encodings.info.groups),
        "hardening": dict(encodings.info.hardening),
        "schema_fingerprint": encodings.info.schema_fingerprint,
        "key_check": encodings.info.key_check,
        "library": encodings.info.library,
    }
    if reference is None or schema is None:
        say("measuring the file")
        metrics = file_metrics(encodings, seed)
        return Audit(about, metrics, weaknesses(metrics), limit=limit)
    _check_schema(encodings, schema)
    people, who = read_people(
        encodings, reference, schema, truth, id_column, columns or {}, csv_format
    )
    if who is not None and (who >= 0).sum() < FEWEST:
        raise UsageError(
            f"the truth says who {(who >= 0).sum():,} of the encodings are; attacks need {FEWEST}."
        )
    say("measuring the file")
    metrics = file_metrics(encodings, seed)
    named = weaknesses(metrics)
    own = np.flatnonzero(encodings.variants == 0) if encodings.variants is not None else slice(None)
    clks = encodings.clks[own]
    present = None if encodings.present is None else encodings.present[own]
    keys = None if encodings.block_keys is None else encodings.block_keys[own]
    say("comparing with the list")
    measured = _against_list(clks, people, who, schema, victims, seed)
    if who is None:
        warnings.warn(
            "without a truth (record_id, reference_id) nothing is attacked, since success could "
            "not be counted",
            PprlWarning,
            stacklevel=2,
        )
        return Audit(about, metrics, named, measured, limit=limit)
    rows = np.flatnonzero(who >= 0)
    whole = Case(
        clks[rows],
        people,
        who[rows],
        schema,
        seed,
        None if present is None else present[rows],
        None if keys is None else keys[rows],
    )
    case = whole.sample_clusters(victims)
    attacks: list[Attack] = []
    say("what lies in the clear")
    attacks += [order_attack(whole), *clear_attacks(whole)]
    say("linear hardening")
    attacks += [one for one in [decoding_attack(case)] if one]
    say("percolation")
    attacks += percolations(case, known_pairs=[one for one in known_pairs if one <= MOST_KNOWN])
    attacks += percolations(
        whole.sample_clusters(victims, POPULATION), noise=MISTYPED, label=", realistic list"
    )
    say("frequency alignment and pattern mining")
    attacks += other_attacks(case)
    say("graph matching")
    attacks += graph_attacks(case)
    attacks += overlap_sweep(case)
    attacks += graph_attacks(case, noise=NOISE, only_whole=True)
    say("known pairs")
    attacks += pair_attacks(
        whole.sample(max(victims, 2 * max(known_pairs, default=0))), known_pairs
    )
    if key is not None:
        attacks.append(key_attack(case, key))
    say("the same people without hardening")
    bare = control(case)
    against = list(graph_attacks(bare)) if bare else []
    sampling = (
        "every encoding whose person is on the list was attacked"
        if len(case.clks) == len(whole.clks)
        else f"{len(case.clks):,} of {len(whole.clks):,} encodings were attacked, drawn together "
        "with those who share their address or family; on a larger file attacks name more"
    )
    return Audit(about, metrics, named, measured, tuple(attacks), tuple(against), limit, sampling)


def _check_schema(encodings: Encodings, schema: Schema) -> None:
    known = encodings.info.schema_fingerprint
    if known not in (UNKNOWN, schema.fingerprint):
        raise SchemaMismatch(
            f"the encodings were made with another schema ({known[:12]}) than the one given "
            f"({schema.fingerprint[:12]}). 'pprl schema check' prints a schema's fingerprint."
        )
    if encodings.info.bits != schema.total_bits:
        raise SchemaMismatch(
            f"the encodings have {encodings.info.bits} bits, the schema makes {schema.total_bits}."
        )


def _against_list(
    clks: Any, people: Any, who: Any, schema: Schema, victims: int, seed: int
) -> dict[str, Any]:
    """Measure the five vulnerabilities of every group, on a sample."""
    if who is not None:
        rows = np.flatnonzero(who >= 0)
        case = Case(clks[rows], people, who[rows], schema, seed).sample(victims)
        clks, people, who = case.clks, case.people, case.who
    else:
        rng = np.random.default_rng(seed)
        clks = clks[rng.permutation(len(clks))[:victims]]
        people = people.take(rng.permutation(len(people))[:victims])
    attacker = Attacker(people, schema, seed)
    one, two = attacker.encodings(0), attacker.encodings(1)
    return {
        target.name: vulnerabilities(
            clks[:, target.columns], one[:, target.columns], two[:, target.columns], who
        )
        for target in targets_of(schema)
    }
