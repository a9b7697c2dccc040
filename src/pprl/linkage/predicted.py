"""What an automatic decision will cost: small ones are run, and scaled to the whole."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from dataclasses import dataclass

import numpy as np

from pprl.errors import PprlWarning
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.blocking import Blocking
from pprl.linkage.candidates.pool import subset
from pprl.linkage.decision.gather import decide_two_files, null_records

_FEW, _MANY = 400, 1_600
"""Records of the smaller file in the two small runs: what both cost does not grow with files."""
_MOST_COMPARED = 2 * 10**8
"""Pairs that a small run compares at most, by taking fewer records of the larger file."""
_NEAR = 20
"""Pairs above the floor for each record: see `pprl.linkage.candidates.floor`."""


@dataclass(frozen=True)
class Predicted:
    """What deciding takes beside comparing the files.

    Attributes:
        pairs: Pairs of rows within the files that are compared.
        seconds: Processor seconds of weighing pairs and deciding, in one thread.
        memory: Bytes for the pairs that are weighed.
    """

    pairs: int
    seconds: float
    memory: int


def predict_decision(
    a: Encodings, b: Encodings, blocking: Blocking | None, pair_seconds: float, compared: int
) -> Predicted:
    """Predict what the automatic decision takes beside comparing two files.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder.
        blocking: How pairs are blocked; None where every pair is compared.
        pair_seconds: Processor seconds that comparing a pair of rows takes in one thread.
        compared: Pairs of rows between the files that are compared.
    """
    small, large = (a, b) if a.info.records <= b.info.records else (b, a)
    records = small.info.records, large.info.records
    if blocking is None:
        within = sum(_compared_within(one.info.records, records) for one in (small, large))
    else:
        within = compared * (records[0] / records[1] + records[1] / records[0]) / 2
    most = min(records[1], max(_MOST_COMPARED // _MANY, _MANY))
    others = _some(large, most)
    cheap, dear = (_small_run(_some(small, n), others, pair_seconds) for n in (_FEW, _MANY))
    more = max(dear.weighed - cheap.weighed, 1)
    weighed = _weighed(records)
    if blocking is not None:
        # Of the pairs above the floor, those in blocks.
        weighed = int(weighed * min(compared / len(a) / len(b) * records[1] / _NEAR, 1.0))
    beyond = weighed - dear.weighed
    seconds = dear.seconds + max(dear.seconds - cheap.seconds, 0.0) / more * beyond
    memory = dear.memory + max(dear.memory - cheap.memory, 0.0) / more * beyond
    return Predicted(int(within), max(seconds, cheap.seconds), int(max(memory, cheap.memory)))


@dataclass(frozen=True)
class _Run:
    weighed: int
    seconds: float
    memory: float


def _small_run(x: Encodings, y: Encodings, pair_seconds: float) -> _Run:
    """Decide between few records and many, and measure all but the comparison."""
    records = x.info.records, y.info.records
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        # First, what must be compiled.
        decide_two_files(_some(x, _FEW), _some(y, _FEW), workers=1)
        tracemalloc.start()
        try:
            start = time.process_time()
            decide_two_files(x, y, workers=1)
            seconds = time.process_time() - start
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    compared = records[0] * records[1] + sum(_compared_within(n, records) for n in records)
    laid_out = len(y) * y.clks.shape[1]
    return _Run(_weighed(records), max(seconds - compared * pair_seconds, 0.0), peak - laid_out)


def _compared_within(n: int, records: tuple[int, int]) -> float:
    """Count the pairs of a file's own records that `decide_two_files` compares."""
    wanted = null_records(n, records)
    return n * (n - 1) / 2 if wanted == n else wanted * n


def _weighed(records: tuple[int, int]) -> int:
    """Estimate how many pairs are above the floor, between the files and within.

    A record has twenty in the larger file, and as fewer in the other as that is smaller.
    """
    small, large = min(records), max(records)
    found = float(_NEAR * small)
    for n in records:
        wanted = null_records(n, records)
        each = _NEAR * n / large
        found += n * each / 2 if wanted == n else wanted * each
    return int(found)


def _some(one: Encodings, most: int) -> Encodings:
    """Take some records, evenly from all."""
    n = one.info.records
    chosen = np.zeros(n, bool)
    chosen[np.linspace(0, n - 1, min(n, most)).astype(np.int64)] = True
    return subset(one, chosen)
