"""Kill a job at random moments with SIGKILL, resume it, and compare the result byte for byte.

    python benchmarks/kill_job.py [KILLS] [--records N] [--seed N] [--memory 1GiB]

Each time a new job is begun, killed once at a moment drawn from the length of an undisturbed run
(and then at another, if it was not done), and resumed until it is done.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts, count_bits

CHILD = """
import json, sys
from pprl.linkage.job import plan, run
from pprl.linkage.job.config import Job
import pprl.kernels.join, pprl.kernels.tiles, pprl.kernels.assignment, pprl.linkage.job.parts
plan._MOST_ROWS, plan._ROWS_PER_BUCKET, plan.FAN_IN = json.loads(sys.argv[2])
print("ready", flush=True)
def note(now):
    print(now.stage, flush=True)
run.run_job(Job.from_document(json.loads(sys.argv[1])), resume=True, progress=note)
print("writing", flush=True)
"""


def encodings(rng: np.random.Generator, n: int, holder: str, spread: int) -> Encodings:
    """Random CLKs with two passes of so many keys."""
    # The bits of two random numbers: a quarter of them are set.
    clks = rng.integers(0, 256, (2, n, 64), np.uint8)
    clks = clks[0] & clks[1]
    keys = rng.integers(1, spread + 1, (n, 2)).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = count_bits(clks.view(np.uint64))
    info = EncodingInfo(
        holder=holder,
        schema_name="random",
        schema_fingerprint="f" * 64,
        key_check="c" * 16,
        self_test="s" * 16,
        bits=512,
        hardening={"method": "none"},
        records=n,
        rows=n,
        popcounts=Popcounts.of(Counter(bits.tolist())),
        present={"name": 1.0},
        blocking={"one": 1.0, "two": 1.0},
        created="2026-01-01T00:00:00+00:00",
    )
    ids = pa.array([f"{holder}{i}" for i in range(n)], pa.string())
    return dataclasses.replace(Encodings(ids, clks, info), block_keys=keys)


def run(
    document: dict[str, object], sizes: list[int], kill_after: float | None
) -> tuple[bool, float, str]:
    """Run the job in a process; kill it so many seconds after it has loaded.

    Returns:
        Whether it ended by itself, how long it took, and the stage it was in.
    """
    arguments = [sys.executable, "-c", CHILD, json.dumps(document), json.dumps(sizes)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        start = time.perf_counter()
        if kill_after is not None:
            try:
                child.wait(kill_after)
            except subprocess.TimeoutExpired:
                child.kill()
        stages = child.stdout.read().split("\n")
        child.wait()
        seconds = time.perf_counter() - start
        if child.returncode not in {0, -9}:
            raise SystemExit("the job failed by itself")
        return child.returncode == 0, seconds, next((s for s in stages[::-1] if s), "planning")


def kill_and_resume(
    folder: Path, kills: int, records: int, seed: int, threshold: float | str, matching: str
) -> dict[str, object]:
    """Do it; returns how many results were byte-identical, and when jobs were killed."""
    rng = np.random.default_rng(seed)
    for side in ("left", "right"):
        encodings(rng, records, side, records // 8 + 1).save(folder / f"{side}.parquet")

    def document(name: str) -> dict[str, object]:
        return {
            "inputs": {
                side: {"path": str(folder / f"{side}.parquet")} for side in ("left", "right")
            },
            "blocking": {"method": "keys"},
            "linkage": {"threshold": threshold, "matching": matching},
            "output": {"folder": str(folder / name)},
            "resources": {"memory": "1GiB", "workers": 2},
        }

    sizes = [max(records // 8, 64), max(records // 8, 64), 8]
    run(document("warm"), sizes, None)
    _, whole, _ = run(document("whole"), sizes, None)
    wanted = digest(folder / "whole")
    same, stages = 0, Counter[str]()
    done = 0
    while done < kills:
        name = f"job-{done}"
        ended = False
        while not ended:
            after = float(rng.uniform(0, whole)) if done < kills else None
            ended, _, stage = run(document(name), sizes, after)
            if not ended:
                stages[stage] += 1
                done += 1
        same += digest(folder / name) == wanted
        shutil.rmtree(folder / name)
        stages["jobs"] += 1
        print(f"{done} kills, {same} of {stages['jobs']} identical", file=sys.stderr, flush=True)
    return {
        "kills": done,
        "jobs": stages.pop("jobs"),
        "identical": same,
        "killed in": stages,
        "seconds undisturbed": whole,
    }


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "links.parquet").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = kill_and_resume(
            Path(name), options.kills, options.records, options.seed, 0.32, "one-to-one"
        )
    print(json.dumps(made, indent=1))
    if made["identical"] != made["jobs"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
