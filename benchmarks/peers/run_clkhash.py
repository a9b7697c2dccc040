"""Encode with clkhash, in the peers' environment; called by bench_encode.py.

    python run_clkhash.py FOLDER RECORDS [WORKERS ...]

Makes clkhash's own NameList data (seeded), saves it with its schema for the other
side, encodes it from memory with each number of workers, and saves the CLKs.
"""

import json
import pickle
import pkgutil
import random
import sys
import time
from pathlib import Path

from clkhash import clk
from clkhash.randomnames import NameList
from common import peak_mib

SECRET = "a secret for the benchmark"


def schema_document():
    """NameList's own schema, as clkhash ships it."""
    return json.loads(pkgutil.get_data("clkhash", "data/randomnames-schema-v2.json"))


def main():
    folder, records = Path(sys.argv[1]), int(sys.argv[2])
    random.seed(records)
    names = NameList(records)
    rows = [tuple(str(value) for value in row) for row in names.names]
    (folder / "rows.pickle").write_bytes(pickle.dumps(rows))
    document = {"fields": [field.identifier for field in names.SCHEMA.fields]}
    document["schema"] = schema_document()
    document["secret"] = SECRET
    (folder / "schema.json").write_text(json.dumps(document))
    seconds, clks = {}, []
    for workers in map(int, sys.argv[3:]):
        start = time.perf_counter()
        clks = clk.generate_clks(rows, names.SCHEMA, SECRET, validate=True, max_workers=workers)
        seconds[workers] = min(time.perf_counter() - start, seconds.get(workers, 1e9))
    (folder / "clks.bin").write_bytes(b"".join(bits.tobytes() for bits in clks))
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mib()}))


if __name__ == "__main__":
    main()
