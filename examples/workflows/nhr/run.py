"""Seventy hospitals, a row a procedure; deduplicate within and across, then add a year.

python examples/workflows/nhr/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

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
    short,
)

import pprl
from pprl import synthetic
from pprl.linkage.cascade import exact_clusters

HERE = Path(__file__).parent
THRESHOLD = 0.62
"""Chosen for this schema with the truth of made-up people; see the README."""
PROCEDURES = synthetic.Register(
    name="procedures",
    coverage=((0, 0.002), (50, 0.03), (75, 0.12), (90, 0.08)),
    columns=COLUMNS,
    events=1.8,
    surname="birth",
    letters="upper",
    missing={"postcode": 0.01, "first_names": 0.01},
    errors=ERRORS,
)


def hospitals(procedures: pd.DataFrame, person: np.ndarray, number: int) -> np.ndarray:
    """Choose each procedure's hospital: the person's own, or another one in a quarter."""
    rng = np.random.default_rng(SEED)
    own = np.random.default_rng(1).integers(0, number, int(person.max()) + 1)[person]
    elsewhere = rng.random(len(procedures)) < 0.25
    return np.where(elsewhere, rng.integers(0, number, len(procedures)), own)


def main() -> None:
    """Play the hospitals and the registration's linkage unit, for two years."""
    given = options("nhr", __doc__, small=40_000, full=1_500_000)
    folder, clock = given.output, Clock()
    number = 70
    people = population(folder, given.persons)
    path, truth = draw(people, PROCEDURES)
    procedures = pd.read_parquet(path)
    hospital = hospitals(procedures, truth["person_id"].to_numpy(), number)
    late = procedures["event_date"].to_numpy(str) >= "2023-01-01"

    key = project_key()
    schema = pprl.Schema.load(HERE / "schema.toml")

    def deliver(year: str, rows: np.ndarray) -> list[pprl.Encodings]:
        """Let every hospital that has procedures encode its own file."""
        made = []
        for one in range(number):
            mine = procedures[rows & (hospital == one)]
            if len(mine):
                name = f"hospital {one + 1:02} {year}"
                made.append(pprl.encode(mine, schema, key, id_column="record_id", holder=name))
        return made

    with clock.counted():
        before = deliver("2022", ~late)
        # No hospital is taken to have a patient once: this deduplicates within and across.
        first = pprl.cluster(*before, deduplicated=False, threshold=THRESHOLD)
        # The next delivery: old records are not compared with each other again, ids stay.
        new = deliver("2023", late)
        second = pprl.cluster(
            *before, *new, deduplicated=False, threshold=THRESHOLD, against=first.clusters
        )
    at_once = pprl.cluster(*before, *new, deduplicated=False, threshold=THRESHOLD)

    unit = pprl.PseudonymKey.generate()
    made = [
        pprl.pseudonymise(one.clusters, unit, project="heart", version="1")
        for one in (first, second)
    ]
    made[1].save(folder / "pseudonyms")
    crosswalks = [one.research.to_pandas() for one in made]
    both = crosswalks[0].merge(crosswalks[1], on="pseudonym", suffixes=("_old", "_new"))
    kept = float((both["research_pseudonym_old"] == both["research_pseudonym_new"]).mean())
    label = set(crosswalks[1]["version"])

    holder = np.char.add(
        np.char.add("hospital ", np.char.zfill((hospital + 1).astype(str), 2)), " "
    )
    known = pd.DataFrame(
        {
            "holder": np.char.add(holder, np.where(late, "2023", "2022")),
            "record_id": procedures["record_id"],
            "person_id": truth["person_id"],
        }
    )
    quality = pprl.evaluate_clusters(second.clusters, known)
    exact = pprl.evaluate_clusters(exact_clusters(*before, *new, passes=["palga8"]), known)
    within, across = _by_place(second.clusters, known)
    finish(
        Figure(
            workflow="nhr",
            size=given.size,
            records=quality.records,
            links=_pairs(second.clusters),
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga8",
            exact_recall=exact.recall.value,
            exact_precision=exact.precision.value,
            seconds=clock.seconds,
            more={
                "senders": len(before) + len(new),
                "patients found, patients": [quality.clusters, quality.persons],
                "recall within a hospital": round(within, 4),
                "recall across hospitals": round(across, 4),
                "recall, precision when linked at once": short(
                    pprl.evaluate_clusters(at_once.clusters, known)
                ),
                "research pseudonyms of the old delivery that stayed": round(kept, 4),
                "version label on every pseudonym": sorted(label),
                "pairs compared for the new delivery": second.pairs_compared,
                "pairs compared at once": at_once.pairs_compared,
            },
        ),
        folder,
    )


def _pairs(clusters: pprl.Clusters) -> int:
    sizes = clusters.to_pandas()["cluster_id"].value_counts()
    return int((sizes * (sizes - 1) // 2).sum())


def _by_place(clusters: pprl.Clusters, known: pd.DataFrame) -> tuple[float, float]:
    """Recall of the pairs of one hospital, whatever the year, and of those of two."""
    frame = clusters.to_pandas().merge(known, on=["holder", "record_id"])
    frame["place"] = frame["holder"].str.slice(0, 11)
    pairs = frame.merge(frame, on="person_id")
    pairs = pairs[pairs["record_id_x"] < pairs["record_id_y"]]
    found = pairs["cluster_id_x"] == pairs["cluster_id_y"]
    same = pairs["place_x"] == pairs["place_y"]
    return float(found[same].mean()), float(found[~same].mean())


if __name__ == "__main__":
    main()
