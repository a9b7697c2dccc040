"""Two data stations, a linkage unit and a user: all roles over files, at the command line.

python examples/workflows/health_ri/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyrage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _common
from _common import (
    COLUMNS,
    ERRORS,
    SEED,
    Clock,
    Figure,
    describe,
    draw,
    finish,
    judge,
    options,
    population,
    project_key,
)

import pprl
from pprl import synthetic
from pprl.linkage.cascade import exact_clusters

HERE = Path(__file__).parent
PROJECT, VERSION = "diabetes-and-heart", "1"
STATIONS = {
    "station-a": synthetic.Register(name="station-a", coverage=0.3, columns=COLUMNS, errors=ERRORS),
    "station-b": synthetic.Register(
        name="station-b",
        coverage=0.3,
        columns=COLUMNS,
        first_names="initials",
        letters="upper",
        diacritics=False,
        errors=ERRORS,
    ),
}


def main() -> None:
    """Play every role in a folder of its own; what travels is copied by nobody else."""
    given = options("health-ri", __doc__, small=10_000, full=1_000_000)
    folder, clock = given.output, Clock()
    people = population(folder, given.persons)
    drawn = {name: draw(people, one) for name, one in STATIONS.items()}
    roles = {name: folder / name for name in (*STATIONS, "linkage-unit", "user")}
    for place in roles.values():
        place.mkdir()
    unit = roles["linkage-unit"]
    schema = HERE / "schema.toml"

    # Linkage unit: an age identity to receive encodings, and a key for pseudonyms.
    identity = pyrage.x25519.Identity.generate()
    (unit / "identity.txt").write_text(f"{identity}\n")
    _common.pprl("keygen", unit / "unit.key", "--pseudonyms")
    # Stations: one key between them.
    keys = [roles[name] / "project.key" for name in STATIONS]
    for path in keys:
        project_key().save(path)

    with clock.counted():
        for (name, (data, _)), key in zip(drawn.items(), keys, strict=True):
            sealed = unit / f"{name}.clk.parquet.age"
            _common.pprl(
                "encode", data, "-s", schema, "-k", key, "--id-column", "record_id",
                "--holder", name, "--seal-to", str(identity.to_public()), "-o", sealed,
            )  # fmt: skip
        files = [unit / f"{name}.clk.parquet.age" for name in STATIONS]
        job, opened = unit / "job", ("--identity", unit / "identity.txt")
        _common.pprl("link", *files, "-o", job, "--deduplicated", "all", *opened)
        _common.pprl(
            "pseudonyms", job, "-k", unit / "unit.key", "--project", PROJECT, "--version", VERSION
        )

    # Stations: the uniform pseudonym in place of the record id; identifiers stay.
    rng = np.random.default_rng(SEED)
    for name, (data, _) in drawn.items():
        records = pd.read_parquet(data)[["record_id", "sex", "birth_date"]]
        records["birth_year"] = records.pop("birth_date").str.slice(0, 4)
        records[f"measured_{name[-1]}"] = rng.normal(0, 1, len(records)).round(3)
        own = pd.read_parquet(job / "pseudonyms" / "holders" / f"{name}.parquet")
        named = records.merge(own, on="record_id").drop(columns="record_id")
        named.to_parquet(roles["user"] / f"{name}.parquet", index=False)

    # User, in a secure environment: two data sets and the crosswalk.
    research = pd.read_parquet(job / "pseudonyms" / "research.parquet")
    a, b = (
        pd.read_parquet(roles["user"] / f"{name}.parquet")
        .merge(research[["research_pseudonym", "pseudonym"]], on="pseudonym")
        .drop(columns=["pseudonym", "version"])
        for name in STATIONS
    )
    joined = a.merge(b, on="research_pseudonym", suffixes=("_a", "_b"))
    joined.to_parquet(roles["user"] / "joined.parquet", index=False)

    truth = pd.concat([known.assign(holder=name) for name, (_, known) in drawn.items()])
    clusters = pprl.Clusters.load(job / "clusters.parquet")
    quality = judge(clusters, truth, *STATIONS)
    encodings = [pprl.Encodings.load(file, identity=unit / "identity.txt") for file in files]
    exact = judge(exact_clusters(*encodings, passes=["palga8"]), truth, *STATIONS)
    facts = json.loads((job / "linkage.json").read_text())
    truth[["holder", "record_id", "person_id"]].to_csv(unit / "truth.csv", index=False)
    _common.pprl("report", job, "--truth", unit / "truth.csv")
    about = roles["user"] / "about"
    persons = joined["research_pseudonym"].nunique()
    describe(job, HERE / "facts.toml", about, records=len(joined), individuals=persons)
    # Impossible in one person: a check on precision that needs no truth.
    other = joined["birth_year_a"] != joined["birth_year_b"]
    finish(
        Figure(
            workflow="health_ri",
            size=given.size,
            records=sum(one.info.records for one in encodings),
            links=quality.links,
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga8",
            exact_recall=exact.recall.value,
            exact_precision=exact.precision.value,
            seconds=clock.seconds,
            more={
                "rows that the user joined": len(joined),
                "with two sexes": int((joined["sex_a"] != joined["sex_b"]).sum()),
                "with two years of birth": int(other.sum()),
                "label on every pseudonym": f"{PROJECT}/{VERSION}",
                "threshold": round(facts["threshold"], 3),
            },
        ),
        folder,
    )


if __name__ == "__main__":
    main()
