"""Blocking against comparing every pair: what is found, what it costs.

    python benchmarks/bench_blocking.py [--records 1000000] [--exact 300000]

Names are clkhash's NameList (benchmarks/peers); one file's are typed again, a quarter of them
with an error. Pairs completeness is the share of the pairs above the threshold that a sample
of rows, compared with everything, has.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

import pprl
from bench_compare import SECRET, peer, write_speed
from peak import peak_mib
from pprl.exchange.encodings import Encodings
from pprl.linkage.blocking import Blocking, HammingLSH, LambdaFold
from pprl.linkage.blocks import take_rows
from pprl.linkage.compare import blocked_pairs, scored_pairs
from pprl.linkage.explain import explain

THRESHOLD = 0.8
SAMPLED = 2_000
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def typed_again(rows: list[tuple[str, ...]], seed: int) -> list[list[str]]:
    """The same people in another order; in a quarter a letter or digit is replaced."""
    rng = np.random.default_rng(seed)
    made = [list(rows[i]) for i in rng.permutation(len(rows))]
    for row in made:
        if rng.random() < 0.25:
            field = int(rng.choice([1, 1, 2]))
            at = int(rng.integers(0, len(row[field])))
            old = row[field][at]
            if not old.isalnum():
                continue
            new = str(rng.integers(0, 10)) if old.isdigit() else str(rng.choice(LETTERS))
            if field == 2 and at not in (3, 9):  # keep the date a date
                continue
            row[field] = row[field][:at] + new + row[field][at + 1 :]
    return made


def files(folder: Path, records: int) -> tuple[Encodings, Encodings]:
    """Encode NameList, and NameList typed again."""
    peer("run_clkhash.py", folder, records)
    document = json.loads((folder / "schema.json").read_text())
    schema_file = folder / "clkhash.json"
    schema_file.write_text(json.dumps(document["schema"]))
    schema = pprl.Schema.load(schema_file)
    key = pprl.LinkageKey.from_secret(SECRET)
    rows = pickle.loads((folder / "rows.pickle").read_bytes())
    made = []
    for name, people in (("a", rows), ("b", typed_again(rows, 1))):
        columns = dict(zip(document["fields"], map(list, zip(*people, strict=True)), strict=True))
        table = pa.table(columns)
        made.append(
            pprl.encode(table, schema, key, id_column="INDEX", holder=name, on_invalid="warn")
        )
    return made[0], made[1]


def completeness(a: Encodings, b: Encodings, how: Blocking) -> dict[str, float]:
    """Run one way of blocking; count what it misses of a sample of rows."""
    start = time.perf_counter()
    found, report = blocked_pairs(a, b, THRESHOLD, how, workers=2)
    seconds = time.perf_counter() - start
    rows = np.linspace(0, len(a) - 1, min(SAMPLED, len(a))).astype(np.int64)
    every = scored_pairs(take_rows(a, rows), b, THRESHOLD, workers=2)
    wanted = rows[every.left] * len(b) + every.right
    had = np.isin(wanted, found.left * len(b) + found.right)
    return {
        "seconds": seconds,
        "pairs": len(found),
        "compared": report.compared,
        "reduction_ratio": report.reduction_ratio,
        "sampled_pairs": len(wanted),
        "pairs_completeness": float(had.mean()),
        "peak_mb": peak_mib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--exact", type=int, default=0, help="compare so many exactly")
    parser.add_argument("--lambda-fold", action="store_true", help="also, 30 tables of 30 bits")
    parser.add_argument("--docs", action="store_true", help="write docs/explanation/speed.md")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    runs = []
    with tempfile.TemporaryDirectory() as name:
        a, b = files(Path(name), given.records)
    ways: dict[str, Blocking] = {"lsh": HammingLSH(recall=0.995, similarity=THRESHOLD)}
    if given.lambda_fold:
        ways["lambda-fold"] = LambdaFold(tables=30, bits=30)
    blocked_pairs(take_rows(a, np.arange(9)), take_rows(b, np.arange(9)), THRESHOLD, LambdaFold())
    for label, how in ways.items():
        said = explain(a, b, threshold=THRESHOLD, blocking=how, workers=2)
        run = {"way": label, "records": given.records} | completeness(a, b, how)
        run["expected_completeness"] = said.completeness
        run["expected_pairs"] = said.pairs
        run["expected_seconds"] = said.seconds
        runs.append(run)
        print(json.dumps(run), flush=True)
    if given.exact:
        some = np.arange(min(given.exact, given.records))
        x, y = take_rows(a, some), take_rows(b, some)
        start = time.perf_counter()
        pairs = scored_pairs(x, y, THRESHOLD, workers=2)
        seconds = time.perf_counter() - start
        run = {
            "way": "exact",
            "records": len(some),
            "seconds": seconds,
            "pairs": len(pairs),
            "compared": len(some) ** 2,
            "m_per_s": len(some) ** 2 / seconds / 1e6,
            "peak_mb": peak_mib(),
        }
        runs.append(run)
        print(json.dumps(run), flush=True)
    if given.docs:
        write_speed("blocking", table(runs))


def table(runs: list[dict[str, object]]) -> list[str]:
    """Lay the runs out in Markdown."""
    lines = [
        "| way | records | seconds | pairs compared | pairs found | pairs completeness |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        share = run.get("pairs_completeness")
        known = "1" if share is None else f"{share:.4f}"
        lines.append(
            f"| {run['way']} | 2 x {run['records']:,} | {run['seconds']:.1f} | "
            f"{run['compared']:,} | {run['pairs']:,} | {known} |"
        )
    return lines


if __name__ == "__main__":
    main()
