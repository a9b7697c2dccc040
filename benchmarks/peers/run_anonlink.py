"""Compare with anonlink, and with FAISS, in the peers' environment; called by bench_compare.py.

    python run_anonlink.py FOLDER BYTES THRESHOLD [faiss]

Reads a.bin and b.bin, finds all pairs at or above a Dice threshold, saves them in order,
and prints the seconds, and those of the processor. FAISS has no Dice; its range search by
Hamming distance gets the radius at which it reports about as many pairs, and saves nothing.
"""

import json
import sys
import time
from pathlib import Path

import anonlink
import numpy as np
from bitarray import bitarray
from common import peak_mib


def read(path, width):
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, width)


def with_anonlink(folder, a, b, threshold):
    filters = []
    for rows in (a, b):
        made = []
        for row in rows:
            bits = bitarray()
            bits.frombytes(row.tobytes())
            made.append(bits)
        filters.append(made)
    start, cpu = time.perf_counter(), time.process_time()
    scores, _, (left, right) = anonlink.candidate_generation.find_candidate_pairs(
        filters, anonlink.similarities.dice_coefficient_accelerated, threshold, k=None
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    pairs = np.stack([np.frombuffer(left, np.uint32), np.frombuffer(right, np.uint32)])
    np.save(folder / "pairs.npy", pairs[:, np.lexsort(pairs[::-1])])
    return seconds, cpu, len(scores)


def with_faiss(a, b, threshold):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(8 * a.shape[1])
    index.add(np.ascontiguousarray(b))
    # Two filters of k bits have Dice t where they differ in 2 k (1 - t) bits.
    mean = np.unpackbits(a[:1000], axis=1).sum(1).mean()
    radius = int(2 * mean * (1 - threshold)) + 1
    start, cpu = time.perf_counter(), time.process_time()
    limits, _, _ = index.range_search(np.ascontiguousarray(a), radius)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return seconds, cpu, int(limits[-1])


def main():
    folder, width, threshold = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    a, b = (read(folder / name, width) for name in ("a.bin", "b.bin"))
    if sys.argv[4:] == ["faiss"]:
        seconds, cpu, found = with_faiss(a, b, threshold)
    else:
        seconds, cpu, found = min(with_anonlink(folder, a, b, threshold) for _ in range(2))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "pairs": found, "peak_mb": peak_mib()}))


if __name__ == "__main__":
    main()
