"""Tumours to persons, and a cancer registry against pathology and death registers.

python examples/workflows/iknl/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import (
    COLUMNS,
    ERRORS,
    Clock,
    Figure,
    draw,
    finish,
    judge,
    options,
    population,
    project_key,
    short,
)

import pprl
from pprl import synthetic
from pprl.linkage.cascade import exact_clusters

HERE = Path(__file__).parent
THRESHOLD = 0.62
"""Chosen for this schema with the truth of made-up people; see the README."""
AGES = ((0, 0.01), (40, 0.02), (70, 0.12), (90, 0.2))
REGISTERS = {
    # One row a tumour; names as they were at birth.
    "cancer": synthetic.Register(
        name="cancer", coverage=AGES, columns=COLUMNS, events=1.15, deceased=True, errors=ERRORS
    ),
    # One row an excerpt; initials in capitals. Two thirds of its people have no cancer.
    "pathology": synthetic.Register(
        name="pathology",
        coverage=((0, 0.05), (40, 0.15), (90, 0.3)),
        columns=COLUMNS,
        events=1.6,
        deceased=True,
        first_names="initials",
        letters="upper",
        diacritics=False,
        missing={"postcode": 0.02},
        errors=ERRORS,
    ),
}
DEATHS = "deaths"


def deaths(people: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the register of deaths: everybody who died, once."""
    register = synthetic.Register(
        name=DEATHS, columns=(*COLUMNS, "death_date"), deceased=True, errors=synthetic.Errors()
    )
    path, truth = draw(people, register)
    frame = pd.read_parquet(path)
    died = frame["death_date"].notna()
    return frame[died], truth[died]


def main() -> None:
    """Play three registers and the linkage unit."""
    given = options("iknl", __doc__, small=20_000, full=1_000_000)
    folder, clock = given.output, Clock()
    people = population(folder, given.persons)
    drawn = {name: draw(people, one) for name, one in REGISTERS.items()}
    drawn[DEATHS] = deaths(people)
    truth = pd.concat([one.assign(holder=name) for name, (_, one) in drawn.items()])

    key = project_key()
    schema = pprl.Schema.load(HERE / "schema.toml")
    with clock.counted():
        files = [
            pprl.encode(data, schema, key, id_column="record_id", holder=name)
            for name, (data, _) in drawn.items()
        ]
        result = pprl.cluster(*files, deduplicated=[DEATHS], threshold=THRESHOLD)
    result.clusters.save(folder / "clusters.parquet")
    exact = {name: exact_clusters(*files, passes=[name]) for name in ("palga4", "palga8")}

    quality = judge(result.clusters, truth, "cancer", "pathology")
    today = {name: judge(one, truth, "cancer", "pathology") for name, one in exact.items()}
    died = judge(result.clusters, truth, "cancer", DEATHS)
    died_today = judge(exact["palga4"], truth, "cancer", DEATHS)
    table = result.clusters.table
    tumours = pprl.Clusters(table.filter(pc.equal(table["holder"], "cancer")))
    of_tumours = pprl.evaluate_clusters(tumours, truth)
    finish(
        Figure(
            workflow="iknl",
            size=given.size,
            records=sum(one.info.records for one in files),
            links=quality.links,
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga4",
            exact_recall=today["palga4"].recall.value,
            exact_precision=today["palga4"].precision.value,
            seconds=clock.seconds,
            more={
                "published for the key of four letters (1990)": "recall 0.98, precision 0.98",
                "palga8: recall, precision": short(today["palga8"]),
                "tumours": of_tumours.records,
                "persons found, persons": [of_tumours.clusters, of_tumours.persons],
                "pairs of tumours: recall, precision": [
                    round(of_tumours.recall.value, 4),
                    round(of_tumours.precision.value, 4),
                ],
                "deaths: recall, precision": short(died),
                "deaths by palga4: recall, precision": short(died_today),
            },
        ),
        folder,
    )


if __name__ == "__main__":
    main()
