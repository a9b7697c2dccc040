"""clkhash and anonlink on FOLDER; called by side_by_side.py.

clkhash suggests no schema, so this one is ours, in the manner of its tutorials: bigrams of every
column, those of digits with positions, 400 insertions a record into 1,024 bits, no two alike.
Default: anonlink's greedy solver at 0.8, the threshold of its documentation.
"""

import io
import json

import anonlink
from clkhash import clk
from clkhash.schema import from_json_dict
from common import GRID, Run

run = Run("clkhash", "anonlink")
a, b = run.rows("a"), run.rows("b")
names = [name for name in a[0] if name != "id"]


def feature(name):
    digits = sum(row[name].replace("-", "").isdigit() for row in a) > len(a) / 2
    return {
        "identifier": name,
        "format": {"type": "string", "encoding": "utf-8"},
        "hashing": {
            "comparison": {"type": "ngram", "n": 2, "positional": digits},
            "strategy": {"bitsPerFeature": 400 // len(names)},
            "hash": {"type": "blakeHash"},
        },
    }


schema = from_json_dict(
    json.loads(
        json.dumps(
            {
                "version": 3,
                "clkConfig": {"l": 1024, "kdf": {"type": "HKDF"}},
                "features": [feature(name) for name in names],
            }
        )
    )
)
run.start()
filters = []
for rows in (a, b):
    text = "\n".join([",".join(names), *(",".join(row[name] for name in names) for row in rows)])
    filters.append(
        clk.generate_clk_from_csv(
            io.StringIO(text + "\n"), "a secret for the benchmark", schema, progress_bar=False
        )
    )
run.took("encode")


def link(threshold):
    found = anonlink.candidate_generation.find_candidate_pairs(
        filters, anonlink.similarities.dice_coefficient_accelerated, threshold, k=None
    )
    groups = anonlink.solving.greedy_solve(found)
    return [
        (next(r for d, r in group if d == 0), next(r for d, r in group if d == 1))
        for group in groups
        if len(group) == 2
    ]


run.keep("default", link(0.8))
run.took("link")
for threshold in GRID:
    # Below this, anonlink sorts millions of candidates.
    if threshold >= 0.6:
        run.keep(threshold, link(threshold))
run.done()
