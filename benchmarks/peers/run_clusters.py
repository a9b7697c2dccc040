"""Cluster with anonlink in the peers' environment; called by bench_clusters.py.

    python run_clusters.py PAIRS.npz OUT.npz DEDUPLICATED

Reads similarities, file numbers and record numbers of candidate pairs, and saves a label for
each record of each group, for both of anonlink's greedy solvers.
"""

import sys
import time
from array import array

import anonlink.solving
import numpy as np


def labels(groups):
    rows = [(file, record, at) for at, group in enumerate(groups) for file, record in group]
    return np.array(rows, np.int64).reshape(-1, 3)


def main():
    pairs, out, deduplicated = np.load(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"
    order = np.lexsort((*(pairs[x] for x in ("j", "i", "g", "f")), -pairs["similarity"]))
    unsigned = {x: array("I", pairs[x][order].astype(np.uint32).tobytes()) for x in "fgij"}
    candidates = (
        array("d", pairs["similarity"][order].tobytes()),
        (unsigned["f"], unsigned["g"]),
        (unsigned["i"], unsigned["j"]),
    )
    result = {}
    for name, share in (("greedy", 1.0), ("probabilistic", 0.5)):
        start = time.perf_counter()
        result[name] = labels(
            anonlink.solving.probabilistic_greedy_solve(
                candidates, merge_threshold=share, deduplicated=deduplicated
            )
        )
        result[f"{name}_seconds"] = time.perf_counter() - start
    np.savez(out, **result)


if __name__ == "__main__":
    main()
