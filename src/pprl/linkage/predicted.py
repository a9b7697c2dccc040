"""What an automatic decision will cost: a small one is run, and scaled to the whole."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.errors import PprlWarning
from pprl.exchange.encodings import Encodings
from pprl.linkage.decision.gather import decide_two_files, null_records

_SMALL, _LESS = 3_000, 1_000
"""Records of each file in the two small runs: what both cost alike does not grow with files."""
_NEAR = 20


@dataclass(frozen=True)
class Predicted:
    """What deciding takes beside comparing the files.

    Attributes:
        pairs: Pairs of rows within the files that are compared.
        seconds: Processor seconds of weighing pairs and deciding, in one thread.
        memory: Bytes for the pairs.
    """

    pairs: int
    seconds: float
    memory: int


def predict_decision(a: Encodings, b: Encodings, pair_seconds: float) -> Predicted:
    """Predict what the automatic decision takes beside comparing two files.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder.
        pair_seconds: Processor seconds that comparing a pair of rows takes in one thread.
    """
    records = a.info.records, b.info.records
    within = 0
    for file in (a, b):
        n, rows = file.info.records, len(file)
        wanted = null_records(n, records)
        within += int(rows * (rows / 2 if wanted == n else rows * wanted / n))
    runs = [_small_run(a, b, most, pair_seconds) for most in (_LESS, _SMALL)]
    (few, cheap, small), (many, dear, large) = runs
    each = max(dear - cheap, 0.0) / max(many - few, 1)
    fixed = max(cheap - few * each, 0.0)
    weighed = _weighed(records)
    grow = max(large - small, 0) / max(many - few, 1)
    return Predicted(within, fixed + each * weighed, int(small + grow * max(weighed - few, 0)))


def _weighed(records: tuple[int, int]) -> int:
    """Estimate how many pairs are above the floor: twenty for a record, of the larger file."""
    n, m = records
    largest = max(n, m)
    found = _NEAR * n * m // largest
    for one in records:
        wanted = null_records(one, records)
        share = _NEAR * one / largest
        found += int(one * share / 2 if wanted == one else wanted * share)
    return found


def _small_run(
    a: Encodings, b: Encodings, most: int, pair_seconds: float
) -> tuple[int, float, int]:
    """Decide for a few records of each file.

    Returns:
        The pairs that were weighed, the processor seconds without comparing, and bytes.
    """
    x, y = (_some(one, most) for one in (a, b))
    n, m = x.info.records, y.info.records
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        decide_two_files(x, y, workers=1)
        start = time.process_time()
        decide_two_files(x, y, workers=1)
        seconds = time.process_time() - start
        tracemalloc.start()
        try:
            decide_two_files(x, y, workers=1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    compared = len(x) * len(y) + len(x) ** 2 / 2 + len(y) ** 2 / 2
    laid_out = max(len(x), len(y)) * x.clks.shape[1]
    return _weighed((n, m)), max(seconds - compared * pair_seconds, 0.0), max(peak - laid_out, 0)


def _some(one: Encodings, most: int) -> Encodings:
    """Take some records, evenly from all."""
    from pprl.linkage.candidates.pool import subset

    n = one.info.records
    chosen = np.zeros(n, bool)
    places: NDArray[np.int64] = np.linspace(0, n - 1, min(n, most)).astype(np.int64)
    chosen[places] = True
    return subset(one, chosen)
