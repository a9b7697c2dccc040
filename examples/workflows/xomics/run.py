"""Samples of a laboratory and the cohort they came from, joined without identifiers.

python examples/workflows/xomics/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
from pprl.exchange.files import write_table
from pprl.linkage.cascade import exact_clusters

HERE = Path(__file__).parent
THRESHOLD = 0.6
"""Chosen for this schema with the truth of made-up people; see the README."""
COHORT = synthetic.Register(name="cohort", coverage=0.2, columns=COLUMNS, errors=ERRORS)
# A row a sample: a person has about three, taken at several visits.
SAMPLES = synthetic.Register(
    name="laboratory",
    coverage=0.06,
    columns=COLUMNS,
    events=3.0,
    first_names="called",
    surname="birth",
    letters="upper",
    missing={"postcode": 0.1, "house_number": 0.1},
    errors=ERRORS,
)


def main() -> None:
    """Play cohort, laboratory, linkage unit and researcher."""
    given = options("xomics", __doc__, small=20_000, full=500_000)
    folder, clock = given.output, Clock()
    people = population(folder, given.persons)
    cohort_file, cohort_truth = draw(people, COHORT)
    lab_file, lab_truth = draw(people, SAMPLES)

    key = project_key()
    schema = pprl.Schema.load(HERE / "schema.toml")
    job = folder / "job"
    with clock.counted():
        files = [
            pprl.encode(path, schema, key, id_column="record_id", holder=name)
            for name, path in (("cohort", cohort_file), ("laboratory", lab_file))
        ]
        paths = [folder / f"{one.info.holder}.clk.parquet" for one in files]
        for one, path in zip(files, paths, strict=True):
            one.save(path)
        # The cohort has a person once, the laboratory a row a sample.
        how = ("--deduplicated", "cohort", "--threshold", THRESHOLD)
        _common.pprl("link", *paths, "-o", job, *how)
    clusters = pprl.Clusters.load(job / "clusters.parquet")
    unit = pprl.PseudonymKey.generate()
    made = pprl.pseudonymise(clusters, unit, project="x-omics")
    made.save(folder / "pseudonyms")

    # Cohort and laboratory: each puts its own pseudonyms on its data, and the names go.
    rng = np.random.default_rng(SEED)
    cohort = pd.read_parquet(cohort_file)
    phenotypes = _with_pseudonyms(cohort[["record_id"]], made.holders["cohort"])
    phenotypes["hba1c"] = rng.normal(38, 6, len(phenotypes)).round(1)
    samples = pd.read_parquet(lab_file)
    omics = _with_pseudonyms(samples[["record_id", "event_date"]], made.holders["laboratory"])
    omics["metabolite"] = rng.lognormal(0, 1, len(omics)).round(3)

    # Researcher: two tables and the crosswalk, nothing else.
    crosswalk = made.research.to_pandas()
    who = {
        name: crosswalk[crosswalk["holder"] == name][["research_pseudonym", "pseudonym"]]
        for name in ("cohort", "laboratory")
    }
    sample_map = omics.merge(who["laboratory"], on="pseudonym").sort_values(
        ["research_pseudonym", "event_date", "pseudonym"]
    )
    sample_map["visit"] = sample_map.groupby("research_pseudonym")["event_date"].rank("dense")
    joined = sample_map.merge(
        phenotypes.merge(who["cohort"], on="pseudonym"),
        on="research_pseudonym",
        suffixes=("_sample", "_person"),
    )
    columns = ["research_pseudonym", "pseudonym_sample", "visit", "metabolite", "hba1c"]
    write_table(
        pa.Table.from_pandas(joined[columns], preserve_index=False), folder / "joined.parquet"
    )
    traces = _traces(folder / "joined.parquet", cohort, samples)

    truth = pd.concat([cohort_truth.assign(holder="cohort"), lab_truth.assign(holder="laboratory")])
    quality = judge(clusters, truth, "cohort", "laboratory")
    exact = judge(exact_clusters(*files, passes=["palga8"]), truth, "cohort", "laboratory")
    per_person = joined.groupby("research_pseudonym").size()
    everybody = folder / "truth.csv"
    truth[["holder", "record_id", "person_id"]].to_csv(everybody, index=False)
    _common.pprl("report", job, "--truth", everybody)
    about = folder / "about"
    describe(job, HERE / "facts.toml", about, records=len(joined), individuals=len(per_person))
    finish(
        Figure(
            workflow="xomics",
            size=given.size,
            records=sum(one.info.records for one in files),
            links=quality.links,
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga8",
            exact_recall=exact.recall.value,
            exact_precision=exact.precision.value,
            seconds=clock.seconds,
            more={
                "samples": len(omics),
                "samples joined to a person of the cohort": len(joined),
                "samples a person": round(float(per_person.mean()), 2),
                "visits a person": round(
                    float(joined.groupby("research_pseudonym")["visit"].nunique().mean()), 2
                ),
                "identifiers or record ids in the joined file": traces,
            },
        ),
        folder,
    )


def _with_pseudonyms(data: pd.DataFrame, pseudonyms: pa.Table) -> pd.DataFrame:
    """Replace a holder's record ids by its pseudonyms of the project."""
    named = data.merge(pseudonyms.to_pandas()[["record_id", "pseudonym"]], on="record_id")
    return named.drop(columns="record_id")


def _traces(path: Path, *sources: pd.DataFrame) -> int:
    """Count values of identifying columns, or record ids, that are in a file."""
    known = {
        value
        for source in sources
        for name in ("record_id", "first_names", "surname", "birth_date", "postcode")
        for value in source[name].dropna()
    }
    table = pq.read_table(path)
    texts = [column for column in table.columns if pa.types.is_string(column.type)]
    return sum(value in known for column in texts for value in column.to_pylist())


if __name__ == "__main__":
    main()
