"""A survey against the population register, as a statistics office links it.

python examples/workflows/cbs/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import (
    COLUMNS,
    ERRORS,
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
from pprl.exchange.files import write_table
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.cascade import exact_pass_links
from pprl.linkage.compare import compare

HERE = Path(__file__).parent
THRESHOLD = 0.56
"""Chosen once, with the truth of a small population; the same at every size."""
MARGIN = 0.05
SURVEY = synthetic.Register(
    name="survey",
    coverage=((0, 0.0), (18, 0.03), (90, 0.03)),
    columns=(*COLUMNS, "bsn"),
    first_names="initials",
    letters="upper",
    diacritics=False,
    missing={"postcode": 0.005, "house_number": 0.005, "first_names": 0.02},
    errors=ERRORS,
)
BSN_SURVEY = synthetic.Register(
    name="survey", columns=("bsn",), coverage=SURVEY.coverage, errors=synthetic.Errors(digit=0.001)
)


def register(people: Path, out: Path) -> None:
    """Write the living as the population register has them, with their former address."""
    columns = {
        "person": "person_id",
        "bsn": "bsn",
        "prefix": "prefix",
        "surname": "surname",
        "first_names": "first_names",
        "birth_date": "birth_date",
        "sex": "sex",
        "postcode": "postcode",
        "house_number": "house_number",
        "former_postcode": "former_postcode",
        "former_house_number": "former_house_number",
    }
    schema = pa.schema(dict.fromkeys(columns, pa.string()))
    with pq.ParquetFile(people) as file, pq.ParquetWriter(out, schema) as writer:
        for group in range(file.num_row_groups):
            part = file.read_row_group(group)
            part = part.filter(pc.is_null(part["death_date"]))
            made = {to: part[name].cast(pa.string()) for to, name in columns.items()}
            # The register knows as much of the date as anybody.
            known = part["birth_date_known"].cast(pa.string())
            date = made["birth_date"]
            for unknown, letters, blank in (("month", 7, "-00"), ("year", 4, "-00-00")):
                cut = pc.binary_join_element_wise(
                    pc.utf8_slice_codeunits(date, 0, letters), pa.scalar(blank), ""
                )
                date = pc.if_else(pc.equal(known, unknown), cut, date)
            writer.write_table(pa.table(made | {"birth_date": date}, schema=schema))


def with_status(survey: pprl.Encodings, found: pa.Table, several: set[str]) -> pa.Table:
    """A row for every survey record: R with the register's number, or S, not identified."""
    ids = survey.unique_ids()
    at = pc.index_in(ids, found["left_id"])
    return pa.table(
        {
            "record_id": ids,
            "status": pc.if_else(pc.is_valid(at), "R", "S"),
            "register_id": found["right_id"].take(at),
            "similarity": found["similarity"].take(at),
            "several": pc.is_in(ids, pa.array(sorted(several), pa.string())),
        }
    )


def main() -> None:
    """Play holder, register and linkage unit."""
    given = options("cbs", __doc__, small=20_000, full=18_000_000)
    folder, clock = given.output, Clock()
    people = population(folder, given.persons)
    survey_file, survey_truth = draw(people, SURVEY)
    register_file = folder / "register.parquet"
    register(people, register_file)
    survey = pq.read_table(survey_file)
    # Nobody wrote a former address on the form.
    blank = pa.nulls(len(survey), pa.string())
    for name in ("former_postcode", "former_house_number"):
        survey = survey.append_column(name, blank)

    # Both holders: they share the schema and the key, the linkage unit has neither.
    key = project_key()
    schema = pprl.Schema.load(HERE / "schema.toml")
    with clock.counted():
        a = pprl.encode(survey, schema, key, id_column="record_id", holder="survey")
        b = pprl.encode(register_file, schema, key, id_column="person", holder="register")

        # Linkage unit: candidates share a key; the best of each is its link.
        result = pprl.link(a, b, threshold=THRESHOLD, blocking=KeyBlocking())
    near = compare(a, b, threshold=THRESHOLD, blocking=KeyBlocking(), top=2).table
    best, second = near.sort_by([("left_id", "ascending"), ("similarity", "descending")]), {}
    for left, score in zip(
        best["left_id"].to_pylist(), best["similarity"].to_pylist(), strict=True
    ):
        second.setdefault(left, []).append(score)
    several = {left for left, at in second.items() if len(at) > 1 and at[0] - at[1] < MARGIN}
    status = with_status(a, result.links.table, several)
    write_table(status, folder / "match-status.parquet")
    write_table(
        near.filter(pc.is_in(near["left_id"], pa.array(sorted(several), pa.string()))),
        folder / "multi-match.parquet",
    )

    # Today: date of birth, sex, postcode and house number, then four digits of the postcode.
    truth = true_pairs(
        survey_truth,
        survey_truth[["person_id"]].assign(record_id=survey_truth["person_id"].astype(str)),
    )
    truth = truth[truth["right_id"].isin(b.unique_ids().to_pylist())]
    quality = pprl.evaluate(result.links, truth)
    exact = exact_pass_links(a, b, ["pht_address", "pc4"])
    exact_quality = pprl.evaluate(exact.links, truth)
    one_pass = exact_pass_links(a, b, ["pht_address"])

    # Where the citizen service number may be used, it is compared exactly.
    bsn_schema = pprl.Schema.load(HERE / "schema-bsn.toml")
    numbers, _ = draw(people, BSN_SURVEY, "survey-bsn")
    c = pprl.encode(numbers, bsn_schema, key, id_column="record_id", on_invalid="warn")
    d = pprl.encode(register_file, bsn_schema, key, id_column="person")
    by_bsn = exact_pass_links(c, d, ["bsn"])

    n = a.info.records
    finish(
        Figure(
            workflow="cbs",
            size=given.size,
            records=n + b.info.records,
            links=len(result.links),
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="address, PC4",
            exact_recall=exact_quality.recall.value,
            exact_precision=exact_quality.precision.value,
            seconds=clock.seconds,
            more={
                "survey records": n,
                "status R": len(result.links),
                "status S": n - len(result.links),
                "listed with several matches": len(several),
                "unidentified with CLKs": round(1 - len(result.links) / n, 4),
                "unidentified with date of birth, sex, PC6, house number": round(
                    1 - len(one_pass.links) / n, 4
                ),
                "published for that": "up to 0.05",
                "unidentified with BSN": round(1 - len(by_bsn.links) / n, 4),
                "published for BSN": "up to 0.001",
                "reduction ratio": round(result.blocking.reduction_ratio, 6),
            },
        ),
        folder,
    )


if __name__ == "__main__":
    main()
