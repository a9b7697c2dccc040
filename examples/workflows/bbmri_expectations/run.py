"""What recall and precision to expect with these identifiers and errors, before any access.

python examples/workflows/bbmri_expectations/run.py --size small|full [-o FOLDER]

The notebook beside it asks the same questions one by one.
"""

from __future__ import annotations

import sys
import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import (
    COLUMNS,
    ERRORS,
    SEED,
    Clock,
    Figure,
    finish,
    options,
    project_key,
    true_pairs,
)

import pprl
from pprl import synthetic
from pprl.errors import PprlWarning, UsageError
from pprl.holder.match_keys import with_match_keys
from pprl.linkage.cascade import exact_pass_links

HERE = Path(__file__).parent
EVERYTHING = ("surname", "first_names", "birth_date", "sex", "postcode", "house_number")
SETTINGS = {
    "names, date of birth, sex, address": EVERYTHING,
    "names, date of birth, sex": EVERYTHING[:4],
    "surname, date of birth, sex, postcode": ("surname", "birth_date", "sex", "postcode"),
    "date of birth, sex, postcode, house number": EVERYTHING[2:],
}
KEYS = {"palga8": {"surname", "birth_date", "sex"}, "pht_address": set(EVERYTHING[2:])}


@dataclass(frozen=True)
class Expectation:
    """What a simulation found.

    Attributes:
        identifiers: What both sides have.
        errors: Errors, as a multiple of the routine rates of `_common.ERRORS`.
        records, links: Of both registers.
        recall, precision: Of the links at the automatic threshold.
        exact: The exact key in use today that these identifiers allow.
        exact_recall, exact_precision: Of linking on it.
    """

    identifiers: str
    errors: float
    records: int
    links: int
    recall: float
    precision: float
    exact: str
    exact_recall: float
    exact_precision: float


def schema_of(identifiers: Sequence[str]) -> pprl.Schema:
    """Take some fields of the full schema, with the exact keys they allow."""
    document = tomllib.loads((HERE / "schema.toml").read_text())
    unknown = set(identifiers) - set(EVERYTHING)
    if unknown:
        raise UsageError(f"no identifier {min(unknown)!r}; there are {', '.join(EVERYTHING)}.")
    document["fields"] = [one for one in document["fields"] if one["name"] in identifiers]
    keys = [name for name, needs in KEYS.items() if needs <= set(identifiers)]
    return with_match_keys(pprl.Schema.from_document(document), keys)


def rates(times: float) -> synthetic.Errors:
    """Multiply every routine error rate."""
    return synthetic.Errors(
        **{one.name: min(times * getattr(ERRORS, one.name), 0.5) for one in fields(ERRORS)}
    )


def expect(
    identifiers: Sequence[str],
    *,
    errors: float = 1.0,
    coverage: tuple[float, float] = (0.3, 0.3),
    people: pa.Table | None = None,
    persons: int = 10_000,
    seed: int = SEED,
) -> Expectation:
    """Simulate two registers with these identifiers and errors, link them, and count.

    Args:
        identifiers: What both registers have, of `EVERYTHING`.
        errors: How many times the routine rates they err.
        coverage: The share of the population in either register.
        people: A population; by default one of ``persons``.
        persons: Size of the population. Make it as large as the one your registers are drawn
            from: in a larger one, more people are alike.
        seed: Another number is another simulation.
    """
    table = synthetic.population_table(persons, seed=seed) if people is None else people
    schema, key = schema_of(identifiers), project_key()
    drawn = [
        synthetic.register_table(
            table,
            synthetic.Register(
                name=name, coverage=share, columns=COLUMNS, errors=rates(errors), **style
            ),
            seed=seed,
        )
        for name, share, style in (
            ("left", coverage[0], {}),
            ("right", coverage[1], {"first_names": "initials", "letters": "upper"}),
        )
    ]
    a, b = (
        pprl.encode(records, schema, key, id_column="record_id", holder=name)
        for name, (records, _) in zip(("left", "right"), drawn, strict=True)
    )
    truth = true_pairs(*(known.to_pandas() for _, known in drawn))
    with warnings.catch_warnings():
        # Where identifiers cannot tell people apart there are no links: the counts say so.
        warnings.simplefilter("ignore", PprlWarning)
        links = pprl.link(a, b).links
    quality = pprl.evaluate(links, truth)
    exact = schema.blocking[0].name
    today = pprl.evaluate(exact_pass_links(a, b, [exact]).links, truth)
    return Expectation(
        identifiers=", ".join(identifiers),
        errors=errors,
        records=a.info.records + b.info.records,
        links=quality.links,
        recall=round(quality.recall.value, 4),
        precision=round(quality.precision.value, 4),
        exact=exact,
        exact_recall=round(today.recall.value, 4),
        exact_precision=round(today.precision.value, 4),
    )


def main() -> None:
    """Ask for every setting at half, once and twice the routine errors."""
    given = options("expectations", __doc__, small=8_000, full=500_000)
    clock = Clock()
    people = synthetic.population_table(given.persons, seed=SEED)
    with clock.counted():
        found = [
            expect(identifiers, errors=times, people=people)
            for identifiers in SETTINGS.values()
            for times in (0.5, 1.0, 2.0)
        ]
    table = pd.DataFrame([asdict(one) for one in found])
    table.to_csv(given.output / "expectations.csv", index=False)
    routine = next(one for one in found if one.errors == 1.0)
    finish(
        Figure(
            workflow="bbmri_expectations",
            size=given.size,
            records=routine.records,
            links=routine.links,
            recall=routine.recall,
            precision=routine.precision,
            exact=routine.exact,
            exact_recall=routine.exact_recall,
            exact_precision=routine.exact_precision,
            seconds=clock.seconds,
            more={
                f"{one.identifiers}; errors x {one.errors:g}": f"recall {one.recall:.3f}, "
                f"precision {one.precision:.3f} ({one.exact}: {one.exact_recall:.3f}, "
                f"{one.exact_precision:.3f})"
                for one in found
            },
        ),
        given.output,
    )


if __name__ == "__main__":
    main()
