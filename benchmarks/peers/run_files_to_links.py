"""People files to links with clkhash and anonlink; called by bench_compare.py.

python run_files_to_links.py A.csv B.csv SCHEMA.json THRESHOLD WORKERS
"""

import io
import json
import sys
import time
from pathlib import Path

import anonlink
from clkhash import clk
from clkhash.schema import from_json_file
from common import peak_mib

SECRET = "a secret for the benchmark"


def main():
    schema = from_json_file(io.StringIO(Path(sys.argv[3]).read_text()))
    start = time.perf_counter()
    filters = []
    for path in sys.argv[1:3]:
        with open(path) as file:
            filters.append(
                clk.generate_clk_from_csv(
                    file, SECRET, schema, progress_bar=False, max_workers=int(sys.argv[5])
                )
            )
    encoded = time.perf_counter() - start
    candidates = anonlink.candidate_generation.find_candidate_pairs(
        filters, anonlink.similarities.dice_coefficient_accelerated, float(sys.argv[4]), k=None
    )
    groups = anonlink.solving.greedy_solve(candidates)
    seconds = time.perf_counter() - start
    links = sum(len(group) == 2 for group in groups)
    print(
        json.dumps({"seconds": seconds, "encoding": encoded, "links": links, "peak_mb": peak_mib()})
    )


if __name__ == "__main__":
    main()
