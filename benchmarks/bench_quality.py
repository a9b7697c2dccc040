"""F1 of the automatic threshold against the best threshold, no settings per set.

Usage: python benchmarks/bench_quality.py DATA_FOLDER OUT.json [SET...]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import pprl
from pprl.holder.suggest import suggest_schema
from pprl.linkage.auto import decide

KEYS = 3


def main() -> None:
    data, out, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    rows = []
    for name in names or sorted(p.parent.name for p in data.glob("*/a.parquet")):
        a, b = (pd.read_parquet(data / name / f"{side}.parquet") for side in "ab")
        truth = a[["rec_id", "entity_id"]].merge(b[["rec_id", "entity_id"]], on="entity_id")
        true = set(zip(truth["rec_id_x"], truth["rec_id_y"], strict=True))
        with tempfile.TemporaryDirectory() as folder:
            people = Path(folder) / "a.parquet"
            a.drop(columns=["entity_id", "rec_id"]).to_parquet(people)
            schema_file = Path(folder) / "s.toml"
            schema_file.write_text(suggest_schema(people, name="s", hardening="none"))
            schema = pprl.Schema.load(schema_file)
        for number in range(KEYS):
            key = pprl.LinkageKey.from_secret(f"benchmark secret number {number} of quality")
            left, right = (
                pprl.encode(
                    x.drop(columns="entity_id"), schema, key, id_column="rec_id", on_invalid="warn"
                )
                for x in (a, b)
            )
            start = time.perf_counter()
            found = decide(left, right, workers=1)
            seconds = time.perf_counter() - start
            ids = found.ranked.to_links(left, right).table
            pairs = zip(ids["left_id"].to_pylist(), ids["right_id"].to_pylist(), strict=True)
            hit = np.cumsum([pair in true for pair in pairs])
            f1 = 2 * hit / (np.arange(1, len(hit) + 1) + len(true))
            cut = found.cut
            rows.append(
                {
                    "set": name,
                    "key": number,
                    "f1_auto": float(f1[cut.links - 1]) if cut.links else 0.0,
                    "f1_oracle": float(f1.max()),
                    "estimated_precision": 1 - cut.false_links / cut.links if cut.links else None,
                    "precision": float(hit[cut.links - 1] / cut.links) if cut.links else None,
                    "links": cut.links,
                    "seconds": round(seconds, 2),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
            out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
