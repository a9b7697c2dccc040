"""Encoding speed against clkhash, on clkhash's own data and schema, bits compared.

    make benchmarks/peers/.ready                 once: the peers' own environment
    python benchmarks/bench_encode.py --records 1000000

Both sides hold their rows in memory. clkhash runs with one worker and twice with two,
and its best time counts; of ours, the median of five after one that does not count.
Then ours alone: throughput by size, in memory and file to file, and peak memory while
streaming from Parquet, each in a process of its own. And what hardening costs, in processor time.

Before each run in memory the processors do something else for six seconds, after which the system
has taken freed memory back: a virtual machine may hand it to its host, and a first touch then
costs ten times as much. So every size begins with memory that nobody has, and with processors
that are awake, as a process does that reads its records and encodes once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import platform
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pprl
from bench_compare import write_speed
from peak import peak_mib
from pprl.exchange.threads import threads

HERE = Path(__file__).parent
PEERS = HERE / "peers" / "venv" / "bin" / "python"
SECRET = "a secret for the benchmark"
PAUSE = 6.0
NAMES_SCHEMA = {
    "version": 1,
    "name": "seven fields",
    "hardening": {"method": "none"},
    "fields": [
        {"name": f"f{i}", "bits_per_feature": 57, "tokens": {"type": "ngram", "positional": i > 3}}
        for i in range(7)
    ],
}


def against_clkhash(folder: Path, records: int) -> dict[str, float]:
    """Encode the same rows with clkhash and with pprl; the CLKs must be equal."""
    command = [PEERS, HERE / "peers" / "run_clkhash.py", folder, records, 2, 1, 2]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    theirs = json.loads(done.stdout)
    table, schema, key = load(folder)
    pprl.encode(table, schema, key, id_column="row id")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        made = pprl.encode(table, schema, key, id_column="row id", keep_order=True)
        seconds.append(time.perf_counter() - start)
    if made.clks.tobytes() != (folder / "clks.bin").read_bytes():
        raise SystemExit("the CLKs differ from clkhash's")
    best = min(theirs["seconds"].values())
    return {
        "records": records,
        "clkhash_records_per_s": records / best,
        "pprl_records_per_s": records / median(seconds),
        "ratio": best / median(seconds),
    }


def load(folder: Path) -> tuple[pa.Table, pprl.Schema, pprl.LinkageKey]:
    """Read what run_clkhash.py left: rows, schema and secret."""
    described = json.loads((folder / "schema.json").read_text())
    rows = pickle.loads((folder / "rows.pickle").read_bytes())
    columns = {
        name: pa.array(column, pa.string())
        for name, column in zip(described["fields"], zip(*rows, strict=True), strict=True)
    }
    columns["row id"] = pa.array(np.arange(len(rows)).astype(str))
    schema = pprl.Schema.from_document(described["schema"])
    return pa.table(columns), schema, pprl.LinkageKey.from_secret(SECRET, allow_weak=True)


def people(path: Path, records: int) -> None:
    """Write made-up records of seven fields to Parquet, piece by piece."""
    rng = np.random.default_rng(records)
    syllables = np.array([a + b for a in "bdfgklmnprst" for b in "aeiou"])

    def names(size: int, pool: int, parts: int) -> np.ndarray:
        pieces = syllables[rng.integers(0, len(syllables), (pool, parts))]
        words = np.array(["".join(row) for row in pieces])
        return words[(rng.random(size) ** 2 * pool).astype(int)]

    def text(numbers: np.ndarray, width: int) -> np.ndarray:
        return np.char.zfill(numbers.astype(str), width)

    writer = None
    for start in range(0, records, 500_000):
        size = min(500_000, records - start)
        table = pa.table(
            {
                "id": np.arange(start, start + size).astype(str),
                "f0": names(size, 5_000, 3),
                "f1": names(size, 100_000, 4),
                "f2": names(size, 3_000, 4),
                "f3": names(size, 20_000, 5),
                "f4": text(19_000_000 + rng.integers(0, 1_000_000, size), 8),
                "f5": text(rng.integers(1000, 9999, size), 4),
                "f6": text(rng.integers(1, 300, size), 1),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def stream(path: Path) -> None:
    """Encode file to file; print seconds and peak memory. Runs in its own process."""
    schema = pprl.Schema.from_document(NAMES_SCHEMA)
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    with tempfile.TemporaryDirectory() as folder:
        # Load the kernels, the writer and both threads' memory first.
        first = next(pq.ParquetFile(path).iter_batches(100_000))
        pprl.encode_file(first, schema, key, Path(folder) / "warm-up", id_column="id")
        seconds = []
        for at in range(_runs(pq.ParquetFile(path).metadata.num_rows)):
            start = time.perf_counter()
            pprl.encode_file(path, schema, key, Path(folder) / f"{at}.parquet", id_column="id")
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": median(seconds), "peak_mb": peak_mib()}))


def _runs(records: int) -> int:
    """Say how often to measure: a short run is disturbed more."""
    return 15 if records <= 300_000 else 9 if records <= 1_000_000 else 3


def occupy(seconds: float) -> None:
    """Keep the processors at work without using memory."""

    def work() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            hashlib.sha256(piece).digest()

    piece = bytes(1 << 16)
    every = [threading.Thread(target=work) for _ in range(threads(None))]
    for one in every:
        one.start()
    for one in every:
        one.join()


def hold(path: Path) -> None:
    """Encode in memory; print the seconds it takes. Runs in its own process."""
    schema = pprl.Schema.from_document(NAMES_SCHEMA)
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    table = pq.read_table(path)
    pprl.encode(table[:100_000], schema, key, id_column="id")
    seconds = []
    for _ in range(_runs(len(table))):
        occupy(PAUSE)
        start = time.perf_counter()
        pprl.encode(table, schema, key, id_column="id")
        seconds.append(time.perf_counter() - start)
    print(json.dumps(median(seconds)))


def scaling(folder: Path, sizes: list[int]) -> list[dict[str, float]]:
    """Throughput in memory, and with peak memory file to file, by number of records."""
    found = []
    for records in sizes:
        path = folder / "people.parquet"
        people(path, records)
        run = _own_process("--stream", path)
        found.append(
            {
                "records": records,
                "memory_per_s": records / _own_process("--hold", path),
                "file_per_s": records / run["seconds"],
                "peak_mb": run["peak_mb"],
            }
        )
    return found


def _own_process(*arguments: object) -> Any:
    command = [sys.executable, __file__, *(str(one) for one in arguments)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


GROUPS = {
    "names_birth": ["f0", "f1", "f4"],
    "birth_address": ["f4", "f2", "f3", "f5", "f6"],
    "names_address": ["f0", "f1", "f2", "f3", "f5", "f6"],
    "person": ["f0", "f1", "f2", "f3", "f4", "f5", "f6"],
}
DIFFUSED = 12
"""Positions XORed into each bit, as profiles had them."""
NONE = {"method": "none"}


def diffusion(t: int) -> dict[str, Any]:
    return {"method": "diffusion", "t": t}


def groups(*, diffused: bool) -> list[dict[str, Any]]:
    """Groups as profiles have them, on the seven fields."""
    return [
        {"name": name, "fields": fields, "inserted_bits": 400 if diffused else 200}
        | ({"hardening": diffusion(DIFFUSED)} if diffused else {})
        for name, fields in GROUPS.items()
    ]


HARDENED: dict[str, dict[str, Any]] = {
    "one filter of 1,024 bits, plain": {"hardening": NONE},
    "one filter of 2,048 bits, diffused": {
        "hardening": diffusion(DIFFUSED),
        "bits": 2048,
    },
    "four groups of 1,024 bits, plain": {"hardening": NONE, "groups": groups(diffused=False)},
    "four groups of 2,048 bits, each diffused (default)": {
        "hardening": NONE,
        "bits": 2048,
        "groups": groups(diffused=True),
    },
    "four groups of 2,048 bits, minhash, t = 4": {
        "hardening": {"method": "minhash", "t": 4},
        "bits": 2048,
        "groups": groups(diffused=False),
    },
    "four groups of 2,048 bits, minhash, t = 6": {
        "hardening": {"method": "minhash", "t": 6},
        "bits": 2048,
        "groups": groups(diffused=False),
    },
}


def hardened(folder: Path, records: int = 200_000) -> dict[str, float]:
    """Records a second of processor time by hardening, seven fields: the best of five in turn."""
    path = folder / "hardened.parquet"
    people(path, records)
    table, key = pq.read_table(path), pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    schemas = {
        name: pprl.Schema.from_document(NAMES_SCHEMA | changes)
        for name, changes in HARDENED.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in schemas}
    for _ in range(5):
        for name, schema in schemas.items():
            start = time.process_time()
            pprl.encode(table, schema, key, id_column="id", workers=1)
            seconds[name].append(time.process_time() - start)
    return {name: records / min(all_) for name, all_ in seconds.items()}


def tables(
    peer: dict[str, float], own: list[dict[str, float]], costs: dict[str, float]
) -> list[str]:
    """Lay the figures out in Markdown."""
    return [
        "| records, seven fields | in memory | Parquet to file | peak MiB of that |",
        "|---|---|---|---|",
        *(
            f"| {run['records']:,} | {run['memory_per_s']:,.0f} | {run['file_per_s']:,.0f} | "
            f"{run['peak_mb']:,.0f} |"
            for run in own
        ),
        "",
        (
            f"Records per second, two threads, memory as it is for a process that encodes once. "
            f"clkhash's own three fields, {peer['records']:,} records in memory, bits equal: "
            f"clkhash {peer['clkhash_records_per_s']:,.0f}, "
            f"pprl {peer['pprl_records_per_s']:,.0f}, {peer['ratio']:.1f} times."
        ),
        "",
        "| hardening, seven fields, one processor | records per second |",
        "|---|---|",
        *(f"| {what} | {speed:,.0f} |" for what, speed in costs.items()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=200_000, help="against clkhash")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[100_000, 1_000_000], help="add 10000000"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--docs", action="store_true", help="write the tables into the docs")
    parser.add_argument("--hardening", action="store_true", help="only what hardening costs")
    parser.add_argument("--stream", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hold", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.stream:
        stream(given.stream)
        return
    if given.hold:
        hold(given.hold)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = hardened(folder)
        for what, speed in costs.items():
            print(f"{what}: {speed:,.0f} records/s")
        if given.hardening:
            return
        peer = against_clkhash(folder, given.records)
        own = scaling(folder, given.sizes)
    print(
        f"{peer['records']:,} records, three fields, in memory, bits equal: "
        f"clkhash {peer['clkhash_records_per_s']:,.0f}/s, "
        f"pprl {peer['pprl_records_per_s']:,.0f}/s, ratio {peer['ratio']:.1f}"
    )
    for run in own:
        print(
            f"{run['records']:>12,} records, seven fields: in memory "
            f"{run['memory_per_s']:,.0f}/s, Parquet to file {run['file_per_s']:,.0f}/s, "
            f"peak {run['peak_mb']:,.0f} MB"
        )
    if given.docs:
        write_speed("encode", tables(peer, own, costs))
    if given.json:
        facts = {"python": platform.python_version(), "machine": platform.processor()}
        given.json.write_text(
            json.dumps({"facts": facts, "peer": peer, "own": own, "hardened": costs}, indent=2)
        )


if __name__ == "__main__":
    main()
