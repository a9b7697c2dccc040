"""Blocking against comparing every pair: what is found, what it costs.

    python benchmarks/bench_blocking.py [--records 1000000] [--exact] [--docs]

Names are clkhash's NameList (benchmarks/peers); one file's are typed again, a quarter of them
with an error. Pairs completeness is the share of the pairs above 0.9 that a sample of rows,
compared with everything, has; the recall that LSH is asked for is that of pairs *at* 0.9.
The exact linkage is one at 0.8.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

import pprl
from bench_compare import SECRET, peer, write_speed
from peak import peak_mib
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.blocked import take_rows
from pprl.linkage.candidates.blocking import Blocking, HammingLSH, LambdaFold
from pprl.linkage.candidates.exhaustive import scored_pairs
from pprl.linkage.candidates.in_blocks import blocked_pairs
from pprl.linkage.explain import explain

THRESHOLD = 0.9
"""Every pair typed again with an error is above; at 0.8, of 14 pairs one would be of one person."""
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
    """Encode NameList, and NameList typed again; leave both in ``folder`` as CSV, too."""
    peer("run_clkhash.py", folder, records)
    schema_file = folder / "schema.json"
    document = json.loads(schema_file.read_text())
    schema_file.write_text(json.dumps(document["schema"]))
    schema = pprl.Schema.load(schema_file)
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    rows = pickle.loads((folder / "rows.pickle").read_bytes())
    made = []
    for name, people in (("a", rows), ("b", typed_again(rows, 1))):
        columns = dict(zip(document["fields"], map(list, zip(*people, strict=True)), strict=True))
        table = pa.table(columns)
        pyarrow.csv.write_csv(table, folder / f"{name.upper()}.csv")
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


def exactly(folder: Path, records: int) -> dict[str, object]:
    """People files to links in a process of its own, every pair compared."""
    command = [sys.executable, str(Path(__file__).parent / "bench_compare.py"), "--link", folder]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    ours = json.loads(done.stdout)
    return {
        "way": "exact, people files to links",
        "records": records,
        "seconds": ours["seconds"],
        "pairs": ours["links"],
        "compared": records**2,
        "m_per_s": records**2 / ours["seconds"] / 1e6,
        "peak_mb": ours["peak_mb"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--exact", action="store_true", help="also, people files to links, exact")
    parser.add_argument("--lambda-fold", action="store_true", help="also, 30 tables of 30 bits")
    parser.add_argument("--docs", action="store_true", help="write docs/explanation/speed.md")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    runs = []
    with tempfile.TemporaryDirectory() as name:
        a, b = files(Path(name), given.records)
        if given.exact:
            runs.append(exactly(Path(name), given.records))
            print(json.dumps(runs[-1]), flush=True)
    ways: dict[str, Blocking] = {"lsh": HammingLSH(recall=0.95, similarity=THRESHOLD)}
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
    if given.docs:
        write_speed("blocking", table(runs))


def table(runs: list[dict[str, object]]) -> list[str]:
    """Lay the runs out in Markdown."""
    lines = [
        "| way | records | seconds | peak MiB | pairs compared | found | pairs completeness |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        share = run.get("pairs_completeness")
        known = "1" if share is None else f"{share:.4f}"
        lines.append(
            f"| {run['way']} | 2 x {run['records']:,} | {run['seconds']:.1f} | "
            f"{run['peak_mb']:,.0f} | {run['compared']:,} | {run['pairs']:,} | {known} |"
        )
    return lines


if __name__ == "__main__":
    main()
