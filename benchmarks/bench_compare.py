"""Comparison speed against anonlink and FAISS, on the same filters, pairs compared.

    make benchmarks/peers/.ready                 once: the peers' own environment
    python benchmarks/bench_compare.py           minutes
    python benchmarks/bench_compare.py --files 100000 --sizes 10000 30000 100000 300000

Name CLKs are clkhash's own (its NameList and schema); half-full filters are random bits,
as after diffusion. anonlink has one thread and its better time of two counts; of ours,
the better of two after one that does not count, with one thread and with two. With one
thread, time is processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pickle
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import llvmlite.binding
import numpy as np
import pyarrow as pa
from bitarray import bitarray

import pprl
from peak import peak_mib
from pprl.exchange.clkhash_files import from_bitarrays
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.exhaustive import scored_pairs

HERE = Path(__file__).parent
PEERS = HERE / "peers" / "venv" / "bin" / "python"
SECRET = "a secret for the benchmark"
WIDTH = 128


def peer(script: str, *arguments: object) -> dict[str, float]:
    command = [PEERS, HERE / "peers" / script, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def name_clks(folder: Path, records: int) -> np.ndarray:
    """CLKs of clkhash's NameList, encoded by clkhash."""
    peer("run_clkhash.py", folder, records, 2)
    return np.frombuffer((folder / "clks.bin").read_bytes(), np.uint8).reshape(-1, WIDTH)


def half_full(records: int) -> np.ndarray:
    return np.random.default_rng(records).integers(0, 256, (records, WIDTH)).astype(np.uint8)


def as_encodings(clks: np.ndarray) -> Encodings:
    """Filters without a header, as from other software."""
    few = from_bitarrays([bitarray(8 * WIDTH)], ["0"])
    ids = pa.array(np.arange(len(clks)).astype(str))
    info = few.info.model_copy(update={"records": len(clks), "rows": len(clks)})
    return dataclasses.replace(few, record_ids=ids, clks=np.ascontiguousarray(clks), info=info)


def timed(
    a: Encodings, b: Encodings, threshold: float, workers: int, runs: int = 2
) -> tuple[float, float, np.ndarray]:
    """Seconds of wall time and of processor time in the best of some runs, and the pairs."""
    scored_pairs(a, b, 1.0, workers=workers)
    times = []
    for _ in range(runs):
        start, cpu = time.perf_counter(), time.process_time()
        pairs = scored_pairs(a, b, threshold, workers=workers)
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    return *min(times), np.stack([pairs.left, pairs.right])


def against_peers(
    folder: Path, label: str, clks: np.ndarray, threshold: float
) -> dict[str, object]:
    """The same two files with anonlink, FAISS and pprl; anonlink's pairs must be ours."""
    half = len(clks) // 2
    for name, rows in (("a.bin", clks[:half]), ("b.bin", clks[half:])):
        (folder / name).write_bytes(rows.tobytes())
    theirs = peer("run_anonlink.py", folder, WIDTH, threshold)
    faiss = peer("run_anonlink.py", folder, WIDTH, threshold, "faiss")
    a, b = as_encodings(clks[:half]), as_encodings(clks[half:])
    _, one, pairs = timed(a, b, threshold, 1)
    two, _, again = timed(a, b, threshold, 2)
    expected = np.load(folder / "pairs.npy")
    if not (np.array_equal(pairs, expected) and np.array_equal(again, expected)):
        raise SystemExit(f"{label}: the pairs differ from anonlink's")
    compared = half * half
    return {
        "work": label,
        "threshold": threshold,
        "compared": compared,
        "pairs": pairs.shape[1],
        "anonlink_m_per_s": compared / theirs["cpu"] / 1e6,
        "faiss_m_per_s": compared / faiss["cpu"] / 1e6,
        "pprl_one_thread_m_per_s": compared / one / 1e6,
        "pprl_two_threads_m_per_s": compared / two / 1e6,
        "ratio_anonlink_one": theirs["cpu"] / one,
        "ratio_anonlink_two": theirs["seconds"] / two,
        "ratio_faiss_one": faiss["cpu"] / one,
    }


def files_to_links(folder: Path, records: int) -> dict[str, float]:
    """People files to links: encode, compare, decide greedily; the peers' chain and ours."""
    names = folder / "names"
    names.mkdir()
    peer("run_clkhash.py", names, 2 * records, 2)
    rows = pickle.loads((names / "rows.pickle").read_bytes())
    document = json.loads((names / "schema.json").read_text())
    for name, part in (("A", rows[:records]), ("B", rows[records:])):
        lines = [",".join(document["fields"]), *(",".join(row) for row in part)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    schema = folder / "schema.json"
    schema.write_text(json.dumps(document["schema"]))
    theirs = min(
        (
            peer("run_files_to_links.py", folder / "A.csv", folder / "B.csv", schema, 0.8, workers)
            for workers in (1, 2)
        ),
        key=lambda run: run["seconds"],
    )
    command = [sys.executable, __file__, "--link", folder]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    ours = json.loads(done.stdout)
    return {
        "records": records,
        "peers_s": theirs["seconds"],
        "peers_encoding_s": theirs["encoding"],
        "peers_mb": theirs["peak_mb"],
        "peers_links": theirs["links"],
        "pprl_s": ours["seconds"],
        "pprl_mb": ours["peak_mb"],
        "pprl_links": ours["links"],
        "ratio": theirs["seconds"] / ours["seconds"],
    }


def link_files(folder: Path) -> None:
    """Link what `files_to_links` left; runs in a process of its own."""
    schema = pprl.Schema.load(folder / "schema.json")
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    start = time.perf_counter()
    a, b = (
        pprl.encode(
            folder / f"{name}.csv", schema, key, id_column="INDEX", holder=name, on_invalid="warn"
        )
        for name in ("A", "B")
    )
    result = pprl.link(a, b, threshold=0.8)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "links": len(result.links), "peak_mb": peak_mib()}))


def growth(clks: np.ndarray, sizes: list[int]) -> list[dict[str, float]]:
    """Time per pair by size, two threads; short runs are disturbed more, so there are more."""
    found = []
    for size in sizes:
        a, b = as_encodings(clks[:size]), as_encodings(clks[-size:])
        seconds, _, _ = timed(a, b, 0.8, 2, runs=max(2, 200_000 // size))
        found.append({"records": size, "m_per_s": size * size / seconds / 1e6})
    return found


SPEED = HERE.parent / "docs" / "explanation" / "speed.md"


def machine() -> str:
    """This machine and the versions that matter."""
    import numba

    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{model[1] if model else platform.machine()} "
        f"({llvmlite.binding.get_host_cpu_name()}), {len(os.sched_getaffinity(0))} processors, "
        f"Python {platform.python_version()}, numba {numba.__version__}, NumPy {np.__version__}"
    )


def write_speed(part: str, lines: list[str]) -> None:
    """Put lines between a part's markers in docs/explanation/speed.md."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    text = SPEED.read_text()
    before, rest = text.split(begin)
    body = "\n".join([machine() + ":", "", *lines])
    SPEED.write_text(f"{before}{begin}\n{body}\n{end}{rest.split(end)[1]}")


def speed_tables(
    runs: list[dict[str, object]], grown: list[dict[str, float]], files: dict[str, float]
) -> list[str]:
    """Lay the figures out in Markdown."""
    lines = [
        "| work | from | anonlink | FAISS | pprl | two | pprl/anonlink | two/anonlink | /FAISS |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {run['work']} | {run['threshold']} | {run['anonlink_m_per_s']:.1f} | "
        f"{run['faiss_m_per_s']:.0f} | {run['pprl_one_thread_m_per_s']:.0f} | "
        f"{run['pprl_two_threads_m_per_s']:.0f} | {run['ratio_anonlink_one']:.1f} | "
        f"{run['ratio_anonlink_two']:.1f} | {run['ratio_faiss_one']:.1f} |"
        for run in runs
    ]
    lines += ["", "Million pairs per second; ratios of times. By size, two threads:", ""]
    lines += ["| records on either side | million pairs/s |", "|---|---|"]
    lines += [f"| {run['records']:,} | {run['m_per_s']:.0f} |" for run in grown]
    peers = f"{files['peers_s']:.1f} s, {files['peers_mb']:.0f} MB"
    ours = f"{files['pprl_s']:.1f} s, {files['pprl_mb']:.0f} MB; {files['ratio']:.1f} times"
    chain = f"People files to links, {files['records']:,} records on either side: "
    lines += ["", f"{chain}clkhash and anonlink {peers}; pprl {ours}."]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=40_000, help="in each of two files")
    parser.add_argument("--files", type=int, default=20_000, help="people files to links")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--docs", action="store_true", help="write docs/explanation/speed.md")
    parser.add_argument("--link", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.link:
        link_files(given.link)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = name_clks(folder, max(2 * given.records, 2 * max(given.sizes, default=0)))
        half = half_full(2 * given.records)
        few = half_full(10_000)
        runs = [
            against_peers(folder, "names", names[: 2 * given.records], 0.8),
            against_peers(folder, "half-full, nothing to prune", half, 0.7),
            against_peers(folder, "half-full, half of all pairs qualify", few, 0.5),
        ]
        for run in runs:
            print(json.dumps(run))
        grown = growth(names, given.sizes)
        print(json.dumps(grown))
        files = files_to_links(folder, given.files)
        print(json.dumps(files))
    if given.docs:
        write_speed("compare", speed_tables(runs, grown, files))
    if given.json:
        given.json.write_text(json.dumps({"runs": runs, "growth": grown, "files": files}, indent=2))


if __name__ == "__main__":
    main()
