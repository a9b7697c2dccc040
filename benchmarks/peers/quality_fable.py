"""fable-core on FOLDER; called by side_by_side.py.

Its primitives as its documentation puts them together: bigrams, HMAC-SHA-256 for the initial
values, double hashing of five bits into 1,024, Dice. Default: all pairs at or above 0.8.
"""

import hmac
import re

from bitarray import bitarray
from common import GRID, Run, greedy
from fable_core import bits, similarity

run = Run("fable-core")
a, b = run.rows("a"), run.rows("b")
names = [name for name in a[0] if re.search("name|birth|dob|postcode|suburb|city", name)]
KEY = b"a secret for the benchmark"


def encode(row):
    made = bitarray(1024)
    made.setall(0)
    for name in names:
        value = row[name].lower().strip()
        padded = f" {value} "
        for at in range(len(padded) - 1 if value else 0):
            token = f"{name}{padded[at : at + 2]}".encode()
            digest = hmac.digest(KEY, token, "sha256")
            bits.double_hash(
                made, 5, int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")
            )
    return made


run.start()
left, right = ([encode(row) for row in rows] for rows in (a, b))
run.took("encode")
scored = []
for i, one in enumerate(left):
    for j, other in enumerate(right):
        score = similarity.dice(one, other)
        if score >= GRID[0]:
            scored.append((score, i, j))
run.took("link")
scored.sort(reverse=True)
run.keep("default", [(i, j) for score, i, j in scored if score >= 0.8])
for threshold in GRID:
    run.keep(threshold, greedy(scored, threshold))
run.done()
