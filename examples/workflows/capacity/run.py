"""Many centres with transferred patients: REDCap exports to clusters, at the command line.

python examples/workflows/capacity/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _common
from _common import COLUMNS, ERRORS, SEED, Clock, Figure, finish, options, project_key

import pprl
from pprl import synthetic
from pprl.linkage.cascade import exact_clusters

HERE = Path(__file__).parent
THRESHOLD = 0.62
"""Chosen for this schema with the truth of made-up people; see the README."""
CENTRES = {"small": 12, "full": 75}
PATIENTS = synthetic.Register(
    name="patients",
    columns=COLUMNS,
    first_names="called",
    prefix="before",
    missing={"postcode": 0.05, "house_number": 0.05},
    errors=ERRORS,
)
# What each field is called in the export, as a form of a REDCap project might have it.
REDCAP = {
    "record_id": "record_id",
    "surname": "demo_surname",
    "first_names": "demo_firstname",
    "birth_date": "demo_dob",
    "sex": "demo_sex",
    "postcode": "demo_zip",
    "house_number": "demo_houseno",
}


def patients(people: Path) -> pa.Table:
    """Choose patients of all origins: of the groups with other customs, as many as Dutch ones."""
    table = pq.read_table(people)
    rng = np.random.default_rng(SEED)
    dutch = pc.equal(table["origin"], "dutch").to_numpy(zero_copy_only=False)
    share = np.where(dutch, 0.05, 0.25)
    return table.filter(pa.array(rng.random(len(table)) < share))


def export(centre: str, records: pd.DataFrame, path: Path) -> None:
    """Write a centre's patients as REDCap exports them."""
    frame = records.rename(columns=REDCAP)[list(REDCAP.values())]
    frame.insert(1, "redcap_event_name", "admission_arm_1")
    frame.insert(2, "redcap_data_access_group", centre)
    frame.to_csv(path, index=False)


def main() -> None:
    """Play the centres and the linkage unit."""
    given = options("capacity", __doc__, small=20_000, full=150_000)
    folder, clock = given.output, Clock()
    centres = [f"centre-{at + 1:02}" for at in range(CENTRES[given.size])]
    chosen = patients(_common.population(folder, given.persons))
    # Stays: an eighth of the patients is moved on, each centre writing down its own record.
    rng = np.random.default_rng(SEED)
    known, files = [], []
    stays = 1 + (rng.random(len(chosen)) < 0.125)
    turn = np.argsort(rng.random((len(chosen), len(centres))), axis=1)
    for at, centre in enumerate(centres):
        here = ((turn == at) & (np.arange(len(centres)) < stays[:, None])).any(axis=1)
        one = synthetic.Register(**(vars(PATIENTS) | {"name": centre}))
        records, truth = synthetic.register_table(chosen.filter(pa.array(here)), one, seed=SEED)
        files.append(folder / f"{centre}.csv")
        export(centre, records.to_pandas(), files[-1])
        known.append(truth.to_pandas().assign(holder=centre))
    persons = pd.concat(known)
    persons.to_csv(folder / "truth.csv", index=False)

    # Centres. One of them at the command line, as each would; the others by the same function.
    schema_file, key_file = HERE / "schema.toml", folder / "project.key"
    project_key().save(key_file)
    names = {field: name for field, name in REDCAP.items() if field != "record_id"}
    maps = [word for pair in names.items() for word in ("--map", "=".join(pair))]
    encoded = [path.with_suffix(".clk.parquet") for path in files]
    arguments = ["-s", schema_file, "-k", key_file, "--id-column", "record_id", "--holder"]
    with clock.counted():
        _common.pprl("encode", files[0], *arguments, centres[0], *maps, "-o", encoded[0])
        schema, key = pprl.Schema.load(schema_file), pprl.LinkageKey.load(key_file)
        for centre, path, out in zip(centres[1:], files[1:], encoded[1:], strict=True):
            pprl.encode_file(
                path, schema, key, out, id_column="record_id", holder=centre, columns=names
            )

        # Linkage unit: a centre has each patient once, so a cluster has one record of each.
        job = folder / "job"
        choice = ["--deduplicated", "all", "--threshold", THRESHOLD]
        _common.pprl("link", *encoded, "-o", job, *choice)
    quality = json.loads(_common.pprl("evaluate", job, "--truth", folder / "truth.csv", "--json"))
    exact = pprl.evaluate_clusters(
        exact_clusters(*map(pprl.Encodings.load, encoded), passes=["palga4"]), persons
    )
    clusters = pprl.Clusters.load(job / "clusters.parquet")
    abroad = chosen.filter(pc.not_equal(chosen["origin"], "dutch"))["person_id"].to_pylist()
    international = persons[persons["person_id"].isin(abroad)]
    of_them = pprl.evaluate_clusters(_only(clusters, international), international)
    sizes = clusters.to_pandas()["cluster_id"].value_counts()
    finish(
        Figure(
            workflow="capacity",
            size=given.size,
            records=quality["records"],
            links=int((sizes * (sizes - 1) // 2).sum()),
            recall=quality["recall"]["value"],
            precision=quality["precision"]["value"],
            exact="palga4",
            exact_recall=exact.recall.value,
            exact_precision=exact.precision.value,
            seconds=clock.seconds,
            more={
                "centres": len(centres),
                "patients found, patients": [quality["clusters"], quality["persons"]],
                "transferred patients": int((stays > 1).sum()),
                "of other naming customs: recall, precision": [
                    round(of_them.recall.value, 4),
                    round(of_them.precision.value, 4),
                ],
            },
        ),
        folder,
    )


def _only(clusters: pprl.Clusters, persons: pd.DataFrame) -> pprl.Clusters:
    """Keep the records of some persons."""
    keep = clusters.to_pandas().merge(persons, on=["holder", "record_id"])
    return pprl.Clusters(
        pa.Table.from_pandas(keep[["cluster_id", "holder", "record_id"]], preserve_index=False)
    )


if __name__ == "__main__":
    main()
