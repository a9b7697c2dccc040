"""A population and a registry, from files to links, as a batch job.

    python benchmarks/bench_job.py OUT.json [--persons 1800000] [--hardening none] [--dask 2]

Makes a population, a registry of some 22 % of it with errors, and their encodings (kept in the
folder, and used again), then links them in a process of its own with two blocking passes, for time
and peak memory. ``--persons 18000000`` is the national scale: 70 GB of disk where hardened, 12 GB
where not. ``--dask N`` leaves the parts to a cluster of N processes of one thread on this machine
(started before the clock, memory summed up). Files are kept in ``--folder DIR``. ``--docs PAGE``
writes the tables of OUT.json between the page's markers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import pprl
from pprl import synthetic
from pprl.exchange.rows import EncodingsFile
from pprl.holder.suggest import suggest_schema

SEED = 2026
PASSES = """
[[blocking]]
name = "birth date and sex"
parts = [{ field = "birth_date" }, { field = "sex" }]

[[blocking]]
name = "postcode area and birth year"
parts = [{ field = "postcode", first = 4 }, { field = "birth_date", first = 4 }]
"""
REGISTRY = synthetic.Register(
    name="registry",
    coverage=((0, 0.1), (40, 0.2), (60, 0.36), (80, 0.5)),
    surname="used",
    letters="upper",
    diacritics=False,
    missing={"first_names": 0.01, "postcode": 0.02},
    errors=synthetic.Errors(
        keyboard=0.02,
        phonetic=0.01,
        digit=0.005,
        day_month_swap=0.003,
        date_slip=0.01,
        wrong_sex=0.001,
        outdated_address=0.08,
        transliteration=0.1,
    ),
)
RUN = """
import json, re, sys, time
from pathlib import Path
from pprl.linkage.job.config import Job
from pprl.linkage.job.run import run_job
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
def main(document, processes="0"):
    job, stages, client = Job.from_document(json.loads(document)), {}, None
    def note(now):
        stages[now.stage] = now.seconds
    more = {}
    if int(processes):
        from distributed import Client, LocalCluster
        from pprl.linkage.engine import DaskEngine
        client = Client(LocalCluster(n_workers=int(processes), threads_per_worker=1,
                                     dashboard_address=None, memory_limit=None))
        more["engine"] = DaskEngine(client)
    start = time.perf_counter()
    facts = dict(run_job(job, progress=note, **more).facts)
    facts["seconds"] = time.perf_counter() - start
    facts["stages"] = stages
    facts["peak_mib"] = peak() + (sum(client.run(peak).values()) if client else 0)
    print(json.dumps(facts))
    if client:
        client.shutdown()
if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def make(folder: Path, persons: int, hardening: str) -> tuple[Path, Path]:
    """Make the two files of encodings unless they are there."""
    population = folder / f"population-{persons}.parquet"
    if not population.exists():
        synthetic.population(population, persons, seed=SEED)
    files = {}
    for register in (synthetic.Register(name="population"), REGISTRY):
        records = folder / f"{register.name}-{persons}-records.parquet"
        if not records.exists():
            truth = folder / f"{register.name}-{persons}-truth.parquet"
            truth.unlink(missing_ok=True)
            synthetic.register(population, records, truth, register, seed=SEED)
        files[register.name] = records
    made = []
    for name, records in files.items():
        out = folder / f"{name}-{persons}-{hardening}.clk.parquet"
        if not out.exists():
            schema = schema_of(files["population"], hardening)
            key = pprl.LinkageKey.from_secret("benchmark secret of the batch jobs", allow_weak=True)
            pprl.encode_file(
                records, schema, key, out, id_column="record_id", holder=name, on_invalid="warn"
            )
        made.append(out)
    return made[0], made[1]


def schema_of(records: Path, hardening: str) -> pprl.Schema:
    """Take the schema that is suggested from the first records, with two blocking passes."""
    with tempfile.TemporaryDirectory() as name, pq.ParquetFile(records) as file:
        some = file.read_row_group(0).slice(0, 50_000).drop_columns(["record_id"])
        pq.write_table(some, f"{name}/some.parquet")
        text = suggest_schema(f"{name}/some.parquet", name="population", hardening=hardening)
        Path(f"{name}/schema.toml").write_text(text + PASSES)
        return pprl.Schema.load(f"{name}/schema.toml")


def truth_of(folder: Path, persons: int) -> pd.DataFrame:
    """Return left_id, right_id of the pairs of one person."""
    left, right = (
        pd.read_parquet(folder / f"{name}-{persons}-truth.parquet")
        for name in ("population", "registry")
    )
    both = left.merge(right, on="person_id", suffixes=("_left", "_right"))
    return both.rename(columns={"record_id_left": "left_id", "record_id_right": "right_id"})


def completeness(a: Path, b: Path, truth: pd.DataFrame) -> float:
    """Return the share of the true pairs that share a blocking key."""
    keys = []
    for path, ids in ((a, truth["left_id"]), (b, truth["right_id"])):
        file = EncodingsFile.open(str(path))
        parts = [
            (x.column("record_id"), file.keys(x))
            for _, x in file.batches(["record_id", "block_keys"])
        ]
        index = pd.Index(np.concatenate([x.to_numpy(zero_copy_only=False) for x, _ in parts]))
        keys.append(np.concatenate([y for _, y in parts])[index.get_indexer(ids)])
    return float(((keys[0] == keys[1]) & (keys[0] != 0)).any(axis=1).mean())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Link, and compare with the truth."""
    folder = options.folder
    a, b = make(folder, options.persons, options.hardening)
    out = folder / f"job-{os.getpid()}"
    document = {
        "inputs": {"left": {"path": str(a)}, "right": {"path": str(b)}},
        "blocking": {"method": "keys"},
        "linkage": {"threshold": _given(options.threshold)},
        "output": {"folder": str(out)},
        "resources": {
            "memory": options.memory,
            "workers": 1 if options.dask else options.workers,
        },
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(document), str(options.dask)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    facts = json.loads(done.stdout)
    team = f"{options.dask} Dask processes" if options.dask else f"{options.workers} threads"
    digest = hashlib.sha256((out / "links.parquet").read_bytes()).hexdigest()
    links = pd.read_parquet(out / "links.parquet")
    shutil.rmtree(out)
    truth = truth_of(folder, options.persons)
    hits = len(links.merge(truth, on=["left_id", "right_id"]))
    left, right = facts["inputs"]
    return {
        "records": f"{left['records']:,} x {right['records']:,}",
        "left": left["records"],
        "right": right["records"],
        "hardening": options.hardening,
        "bits": left["bits"],
        "memory limit": options.memory,
        "workers": team,
        "links digest": digest,
        "threshold": facts["threshold"],
        "pairs compared": facts["pairs_compared"],
        "candidate links": facts["pairs_above"],
        "links": facts["links"],
        "pairs completeness": completeness(a, b, truth),
        "recall": hits / len(truth),
        "precision": hits / max(len(links), 1),
        "seconds": facts["seconds"],
        "peak MiB": facts["peak_mib"],
        "stages": facts["stages"],
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def write_docs(rows: list[dict[str, Any]], page: Path) -> None:
    """Write the tables between the page's markers."""
    columns = [
        "records",
        "bits",
        "workers",
        "pairs compared",
        "links",
        "pairs completeness",
        "recall",
        "precision",
        "seconds",
        "peak MiB",
    ]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row[name]) for name in columns) + " |" for row in rows]
    _put(page, "job", "\n".join([*lines, "", f"{rows[-1]['machine']}."]))
    _put(page, "hours", _hours(rows))


def _hours(rows: list[dict[str, Any]]) -> str:
    """Scale the largest runs' times: rows grow as the files do, pairs as their product."""
    lines = [
        "| left x right records | bits | pairs compared | hours, 2 threads |",
        "|---|---|---|---|",
    ]
    alone = [row for row in rows if "Dask" not in row["workers"]]
    largest = {row["bits"]: row for row in sorted(alone, key=lambda row: row["left"])}
    for row in largest.values():
        stages, total = row["stages"], row["seconds"]
        comparing = stages["comparing"] - stages["sorting rows"]
        size = row["left"] + row["right"]
        for left in (10**6, 10**7, 10**8):
            right = left // 4
            more = (left + right) / size
            pairs = row["pairs compared"] * left * right / (row["left"] * row["right"])
            hours = ((total - comparing) * more + comparing * pairs / row["pairs compared"]) / 3600
            lines.append(f"| {left:,} x {right:,} | {row['bits']:,} | {pairs:,.0f} | {hours:.2f} |")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if value <= 1 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _given(threshold: str) -> str | float:
    return threshold if threshold == "auto" else float(threshold)


def _put(page: Path, marker: str, text: str) -> None:
    body = page.read_text(encoding="utf-8")
    body = re.sub(
        rf"(<!-- {marker}: .*? -->\n).*?(<!-- end {marker} -->)",
        lambda match: f"{match[1]}\n{text}\n\n{match[2]}",
        body,
        flags=re.DOTALL,
    )
    page.write_text(body, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--persons", type=int, default=1_800_000)
    parser.add_argument("--hardening", default="none")
    parser.add_argument("--threshold", default="auto", help="or a similarity")
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dask", type=int, default=0, help="processes; none by default")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "pprl-job")
    parser.add_argument("--make", action="store_true", help="only make the files")
    parser.add_argument("--docs", type=Path, help="page to write the tables of OUT.json into")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads(options.out.read_text()) if options.out.exists() else []
    if options.docs:
        write_docs(rows, options.docs)
        return
    if options.make:
        start = time.perf_counter()
        print(make(options.folder, options.persons, options.hardening), time.perf_counter() - start)
        return
    row = run(options)
    print(json.dumps(row, indent=1), flush=True)
    options.out.write_text(json.dumps([*rows, row], indent=1))


if __name__ == "__main__":
    main()
