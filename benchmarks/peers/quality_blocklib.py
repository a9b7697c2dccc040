"""blocklib's P-Sig on FOLDER: which pairs it would compare; called by side_by_side.py.

Signatures as in its tutorial: initials, and the sound of either name. A pair counts once.
"""

import contextlib
import io

from blocklib import generate_blocks, generate_candidate_blocks
from common import Run

run = Run("blocklib")
rows = [run.rows(name) for name in "ab"]
names = list(rows[0][0])
first, last = names.index("given_name"), names.index("surname")
config = {
    "type": "p-sig",
    "version": 1,
    "config": {
        "blocking-features": [first, last],
        "record-id-col": 0,
        "filter": {"type": "ratio", "max": 0.02, "min": 0.0},
        "blocking-filter": {
            "type": "bloom filter",
            "number-hash-functions": 4,
            "bf-len": 2048,
        },
        "signatureSpecs": [
            [
                {"type": "characters-at", "config": {"pos": [0]}, "feature": first},
                {"type": "characters-at", "config": {"pos": [0]}, "feature": last},
            ],
            [{"type": "metaphone", "feature": first}],
            [{"type": "metaphone", "feature": last}],
        ],
    },
}
run.start()
with contextlib.redirect_stdout(io.StringIO()):
    candidates = [
        generate_candidate_blocks([tuple(row.values()) for row in side], config) for side in rows
    ]
    blocks = generate_blocks(candidates, K=2)
run.took("block")
rowof = [{row["id"]: at for at, row in enumerate(side)} for side in rows]
pairs = set()
keys = set(blocks[0]) & set(blocks[1])
for key in keys:
    pairs |= {(rowof[0][str(i)], rowof[1][str(j)]) for i in blocks[0][key] for j in blocks[1][key]}
run.keep("compared", pairs)
run.done()
