"""A three-generation cohort and a pharmacy register: consent, families, two projects.

python examples/workflows/lifelines/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import (
    COLUMNS,
    ERRORS,
    SEED,
    Clock,
    Figure,
    draw,
    finish,
    options,
    population,
    project_key,
    true_pairs,
)

import pprl
from pprl import synthetic
from pprl.linkage.cascade import exact_pass_links

HERE = Path(__file__).parent
COHORT = synthetic.Register(name="cohort", columns=COLUMNS, errors=ERRORS)
PHARMACY_SHARE = 0.5
PHARMACY = synthetic.Register(
    name="pharmacy",
    coverage=PHARMACY_SHARE,
    columns=COLUMNS,
    first_names="initials",
    letters="upper",
    diacritics=False,
    missing={"postcode": 0.01},
    errors=ERRORS,
)


def families(people: pd.DataFrame) -> set[int]:
    """Choose who takes part: of a third of the households everybody, and their parents."""
    rng = np.random.default_rng(SEED)
    homes = people["household_id"].unique()
    chosen = people["household_id"].isin(homes[rng.random(len(homes)) < 0.3])
    parents = pd.concat([people.loc[chosen, name].dropna() for name in ("mother_id", "father_id")])
    return set(people.index[chosen]) | set(parents.astype(int))


def kinds_of_false_links(pairs: pd.DataFrame, people: pd.DataFrame) -> dict[str, int]:
    """Count false links between relatives."""
    wrong = pairs[pairs["person_left"] != pairs["person_right"]]
    x, y = (people.loc[wrong[side]].reset_index() for side in ("person_left", "person_right"))
    one_home = x["household_id"] == y["household_id"]
    return {
        "all": len(wrong),
        "twins": int((x["twin_id"] == y["person_id"]).sum()),
        "parent and child": int(
            sum(
                (one[name] == other["person_id"]).sum()
                for one, other in ((x, y), (y, x))
                for name in ("mother_id", "father_id")
            )
        ),
        "one household": int(one_home.sum()),
    }


def main() -> None:
    """Play the cohort, the pharmacy register and the linkage unit."""
    given = options("lifelines", __doc__, small=20_000, full=500_000)
    folder, clock = given.output, Clock()
    people_file = population(folder, given.persons)
    people = (
        pq.read_table(
            people_file, columns=["person_id", "household_id", "mother_id", "father_id", "twin_id"]
        )
        .to_pandas()
        .set_index("person_id")
    )
    members = families(people)
    path, truth = draw(people_file, COHORT)
    inside = truth["person_id"].isin(members).to_numpy()
    cohort, cohort_truth = pd.read_parquet(path)[inside], truth[inside]
    pharmacy, pharmacy_truth = draw(people_file, PHARMACY)

    # Consent to this linkage: who objected is left out before anything is encoded.
    rng = np.random.default_rng(SEED)
    objected = cohort["record_id"][rng.random(len(cohort)) < 0.04]
    objected.to_frame().to_csv(folder / "objected.csv", index=False)

    key = project_key()
    schema = pprl.Schema.load(HERE / "schema.toml")
    with clock.counted():
        a = pprl.encode(
            cohort,
            schema,
            key,
            id_column="record_id",
            holder="cohort",
            exclude=set(objected),
            consent="informed consent; objections up to the day of encoding left out",
        )
        b = pprl.encode(pharmacy, schema, key, id_column="record_id", holder="pharmacy")
        result = pprl.link(a, b)

    agreed = cohort_truth[~cohort_truth["record_id"].isin(objected)]
    pairs = true_pairs(agreed, pharmacy_truth)
    quality = pprl.evaluate(result.links, pairs)
    exact = exact_pass_links(a, b, ["palga8"])
    exact_quality = pprl.evaluate(exact.links, pairs)

    def who(links: pprl.Links) -> pd.DataFrame:
        ids = links.to_pandas()
        sides = (("left", agreed), ("right", pharmacy_truth))
        for side, known in sides:
            ids[f"person_{side}"] = ids[f"{side}_id"].map(known.set_index("record_id")["person_id"])
        return ids

    # Two projects get pseudonyms of their own; the linkage unit's key joins them, nothing else.
    clusters = pprl.cluster(a, b, threshold=result.threshold).clusters
    unit = pprl.PseudonymKey.generate()
    first, second = (
        pprl.pseudonymise(clusters, unit, project=name) for name in ("asthma", "sleep")
    )
    first.save(folder / "asthma")
    second.save(folder / "sleep")
    shared = sum(
        len(set(x.to_pylist()) & set(y.to_pylist()))
        for x, y in (
            (first.research[name], second.research[name])
            for name in ("research_pseudonym", "pseudonym")
        )
    )
    # Nor does the order of rows: the rank of a person in one project says nothing of the other.
    ranks = [
        one.holders["cohort"].to_pandas().set_index("record_id")["pseudonym"].rank()
        for one in (first, second)
    ]
    correlation = float(np.corrcoef(ranks[0], ranks[1].loc[ranks[0].index])[0, 1])

    n = a.info.records
    finish(
        Figure(
            workflow="lifelines",
            size=given.size,
            records=n + b.info.records,
            links=len(result.links),
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga8",
            exact_recall=exact_quality.recall.value,
            exact_precision=exact_quality.precision.value,
            seconds=clock.seconds,
            more={
                "left out for an objection": len(objected),
                "linked although objected": int(
                    result.links.to_pandas()["left_id"].isin(set(objected)).sum()
                ),
                "overlap expected of coverage alone": round(n * PHARMACY_SHARE),
                "overlap found": len(result.links),
                "false links": kinds_of_false_links(who(result.links), people),
                "false links of palga8": kinds_of_false_links(who(exact.links), people),
                "pseudonyms that two projects share": shared,
                "correlation of their order": round(correlation, 3),
                "precision estimated without a truth": round(result.estimate.precision.value, 4),
            },
        ),
        folder,
    )


if __name__ == "__main__":
    main()
