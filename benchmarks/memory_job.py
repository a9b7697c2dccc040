"""A job with far more qualifying pairs than fit in its memory: peak memory, and the result.

    python benchmarks/memory_job.py [--records 1000000] [--pairs 50000000] [--memory 2GiB] [--check]

Random CLKs of 512 bits and two passes of random keys; ten times the wanted number of pairs share
a key, and the threshold is set on a sample so that a tenth of them qualify. ``--check`` links the
same files in memory, too, and compares.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import pprl
from bench_job import RUN
from kill_job import encodings
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.candidates.similarity import similarity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=50_000_000)
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    n = options.records
    rng = np.random.default_rng(1)
    spread = max(2 * n * n // (10 * options.pairs), 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [encodings(rng, n, side, spread) for side in ("left", "right")]
        for one in made:
            one.save(folder / f"{one.info.holder}.parquet")
        a, b = (one.words[rng.integers(0, n, 100_000)] for one in made)
        counts = [np.bitwise_count(words).sum(axis=1).astype(np.int64) for words in (a & b, a, b)]
        threshold = float(np.quantile(similarity("dice", *counts, 512), 0.9))
        if not options.check:
            del made
        document = {
            "inputs": {
                side: {"path": str(folder / f"{side}.parquet")} for side in ("left", "right")
            },
            "blocking": {"method": "keys"},
            "linkage": {"threshold": threshold},
            "output": {"folder": str(folder / "out")},
            "resources": {"memory": options.memory, "workers": options.workers},
        }
        arguments = [sys.executable, "-c", RUN, json.dumps(document)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        facts = json.loads(done.stdout)
        row = {
            "records": n,
            "pairs compared": facts["pairs_compared"],
            "qualifying pairs": facts["pairs_above"],
            "links": facts["links"],
            "memory limit": options.memory,
            "peak MiB": round(facts["peak_mib"]),
            "seconds": round(facts["seconds"], 1),
        }
        if options.check:
            expected = pprl.link(*made, threshold=threshold, blocking=KeyBlocking())
            links = pprl.Links.load(folder / "out" / "links.parquet")
            row["as in memory"] = links.table.equals(expected.links.table)
        print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
