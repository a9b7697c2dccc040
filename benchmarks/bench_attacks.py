"""Percolation on made-up registers and on data sets: how many people a setting lets be named.

    python benchmarks/bench_attacks.py OUT.json [--set households] [--records 2000] [--t 4,4,4,4]
        [--data FOLDER] [--known 0,50,200,1000] [--real]

Without ``--real`` agreements are simulated from plaintext (`predict`); with it people are encoded
under a random key and the encodings attacked. ``--t`` gives each group min-hashes with that t;
without it the suggested default is attacked as it is. Results are added to OUT.json.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from bench_privacy import registers, suggested

import pprl
from pprl.evaluation.audit.agreement import expected_agreement
from pprl.evaluation.audit.percolation import predict
from pprl.evaluation.audit.run import Case
from pprl.evaluation.audit.strong import percolations
from pprl.holder.hardening.options import MinHash


def people_of(options: argparse.Namespace) -> tuple[pd.DataFrame, str]:
    """Take whole addresses of the made-up register, or a data set's first file."""
    if options.set != "households":
        people = pd.read_parquet(options.data / options.set / "a.parquet")
        return people.drop(columns="entity_id"), "rec_id"
    (people, _), _ = registers(max(12_000, round(1.4 * options.records)), 3, 0.95)
    return people, "record_id"


def schema_of(people: pd.DataFrame, options: argparse.Namespace) -> pprl.Schema:
    schema = pprl.Schema.from_toml(suggested(people, "default"))
    if not options.t:
        return schema
    depths = [int(one) for one in options.t.split(",")]
    groups = tuple(
        group.model_copy(update={"hardening": MinHash(method="minhash", t=t)})
        for group, t in zip(schema.groups, depths, strict=True)
    )
    return schema.model_copy(update={"groups": groups})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", default="households")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--t", default="")
    parser.add_argument("--known", default="0")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    records, id_column = people_of(options)
    schema = schema_of(records.drop(columns=id_column), options)
    names = [field.name for field in schema.encoded_fields]
    table = pa.table(
        {name: pa.array(records[name].replace("", None), pa.string()) for name in names}
    )
    clks = np.zeros((len(table), schema.total_bits // 8), np.uint8)
    if options.real:
        key = pprl.LinkageKey.generate()
        clks = pprl.encode(records, schema, key, id_column=id_column, on_invalid="warn").clks
    case = Case(clks, table, np.arange(len(table)), schema, options.seed)
    case = case.sample_clusters(options.records)
    known = [int(one) for one in options.known.split(",")]
    rows: list[dict[str, Any]] = []
    start = time.process_time()
    mark = {"set": options.set, "t": options.t, "real": options.real}
    if options.real:
        pairs = [one for one in known if one]
        rows += [mark | one.to_dict() for one in percolations(case, known_pairs=pairs)]
    else:
        expected = expected_agreement(case.people, schema)
        for number in known:
            found = predict(
                case.people, schema, known_pairs=number, seed=options.seed, expected=expected
            )
            rows.append(
                mark
                | {
                    "known_pairs": number,
                    "n_victims": found.attacked,
                    "reidentification_rate": found.rate,
                }
            )
    for row in rows:
        row["processor_seconds"] = round(time.process_time() - start, 1)
        print(json.dumps(row))
    before = json.loads(options.out.read_text()) if options.out.exists() else []
    options.out.write_text(json.dumps(before + rows, indent=1))


if __name__ == "__main__":
    main()
