"""What a comparison will cost and find, before it is run."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings, check_compatible
from pprl.exchange.threads import threads
from pprl.linkage.candidates.blocked import take_rows
from pprl.linkage.candidates.blocking import Blocking, KeyBlocking, Method, PSig, as_union
from pprl.linkage.candidates.floor import find_floor
from pprl.linkage.candidates.lsh import (
    MOST_TABLES,
    PAIR_NS,
    SORT_NS,
    HammingLSH,
    LambdaFold,
    LSHPlan,
)
from pprl.linkage.candidates.similarity import Measure
from pprl.linkage.candidates.tiling import Tiling
from pprl.linkage.predicted import predict_decision

_SAMPLED_ROWS, _SAMPLED_OTHERS = 512, 16_384
_SAMPLE = 50_000


@dataclass(frozen=True)
class Cost:
    """What one way of comparing is expected to do.

    Attributes:
        name: ``exact``, a pass of the schema, ``lsh``, ``lambda-fold`` or ``deciding``.
        pairs: Pairs to compare. Those of several passes overlap; each is compared once.
        seconds: Wall time, from a sample that was timed on this machine (exact), or from
            constants.
        memory: Bytes beside the encodings and the pairs that qualify.
        completeness: The expected share of the pairs at the similarity in question that
            are compared; None where it cannot be known from the encodings.
        advice: What to do instead, if anything; else empty.
    """

    name: str
    pairs: int
    seconds: float
    memory: int
    completeness: float | None
    advice: str = ""


@dataclass(frozen=True)
class Explanation:
    """What a comparison is expected to do.

    Attributes:
        all_pairs: Pairs of rows there are.
        pairs: Pairs to be compared, at most: of several ways those of all, though each is
            compared once.
        seconds: Wall time.
        memory: Bytes beside the encodings and the pairs that qualify.
        completeness: The largest expected of any way; None where none can be known.
        keyless: Rows of each file that no key of a holder reaches.
        ways: What each way does.
    """

    all_pairs: int
    pairs: int
    seconds: float
    memory: int
    completeness: float | None
    keyless: tuple[int, int]
    ways: tuple[Cost, ...]

    @property
    def reduction_ratio(self) -> float:
        """The share of pairs that are not compared, at least."""
        return 1 - self.pairs / self.all_pairs if self.all_pairs else 0.0

    @property
    def advice(self) -> str:
        """What to do instead, if anything; else empty."""
        return " ".join(dict.fromkeys(one.advice for one in self.ways if one.advice))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self) | {
            "reduction_ratio": self.reduction_ratio,
            "advice": self.advice,
        }


def explain(
    a: Encodings,
    b: Encodings | None = None,
    *,
    threshold: float | Literal["auto"],
    measure: Measure = "dice",
    blocking: Blocking | None = None,
    workers: int | None = None,
) -> Explanation:
    """Say what `compare` with the same arguments is expected to cost and find.

    With ``threshold="auto"`` it says what `link` is expected to cost: a small decision is run and
    timed, and the last of the ways is what deciding costs beside comparing.

    Raises:
        UsageError: The encodings have no keys that ``blocking`` asks for, or ``auto`` is asked
            of one file.
        IncompatibleEncodings: Different schemas, keys or lengths.
    """
    check_compatible([a.info, (b or a).info])
    if threshold == "auto":
        if b is None:
            raise UsageError("explain predicts the automatic decision of two files: give both.")
        return _explain_decision(a, b, blocking, workers)
    n, m = len(a), len(b or a)
    every = n * m if b is not None else n * (n - 1) // 2
    n_threads = threads(workers)
    exact = _exact(a, b, every, threshold, measure, n_threads)
    if blocking is None:
        return Explanation(every, every, exact.seconds, exact.memory, 1.0, (0, 0), (exact,))
    union = as_union(blocking)
    ways = [way for method in union.methods for way in _ways(method, a, b, threshold, n_threads)]
    keyless = _keyless(union.methods, a, b or a)
    if union.unreachable == "compare" and any(keyless):
        x, y = keyless
        pairs = x * m + (n - x) * y if b is not None else x * (x - 1) // 2 + x * (n - x)
        share = pairs / max(every, 1)
        ways.append(
            Cost("unreachable", pairs, exact.seconds * share, int(exact.memory * share), None)
        )
    known = [way.completeness for way in ways if way.completeness is not None]
    pairs = min(sum(way.pairs for way in ways), every)
    seconds = sum(way.seconds for way in ways)
    if seconds > exact.seconds:
        slow = f"Comparing every pair takes about {exact.seconds:,.0f} s and loses none."
        ways[-1] = dataclasses.replace(ways[-1], advice=f"{ways[-1].advice} {slow}".strip())
    memory = max(way.memory for way in ways)
    return Explanation(
        every, pairs, seconds, memory, max(known, default=None), keyless, tuple(ways)
    )


def _explain_decision(
    a: Encodings, b: Encodings, blocking: Blocking | None, workers: int | None
) -> Explanation:
    """Add what deciding costs to what comparing costs from the floor up."""
    compared = explain(a, b, threshold=find_floor(a, b), blocking=blocking, workers=workers)
    n_threads = threads(workers)
    pair_seconds = compared.seconds * n_threads / max(compared.pairs, 1)
    found = predict_decision(a, b, blocking, pair_seconds, compared.pairs)
    seconds = found.seconds + found.pairs * pair_seconds / n_threads
    deciding = Cost("deciding", found.pairs, seconds, found.memory, None)
    return dataclasses.replace(
        compared,
        seconds=compared.seconds + seconds,
        memory=compared.memory + found.memory,
        ways=(*compared.ways, deciding),
    )


def _exact(
    a: Encodings,
    b: Encodings | None,
    every: int,
    threshold: float,
    measure: Measure,
    n_threads: int,
) -> Cost:
    """Time a sample of rows against a sample of tiles, after what must be compiled."""
    some = take_rows(a, _spaced(len(a), _SAMPLED_ROWS))
    others = take_rows(b or a, _spaced(len(b or a), _SAMPLED_OTHERS))
    few = take_rows(some, _spaced(len(some), 2))
    list(Tiling.make(few, few, 1.0, measure).compare(0, len(few)))
    tiling = Tiling.make(some, others, threshold, measure)
    start = time.perf_counter()
    found = sum(len(left) for left, _, _ in tiling.compare(0, len(some)))
    seconds = time.perf_counter() - start
    sampled = max(len(some) * len(others), 1)
    laid_out = (len(b or a) + 255) // 256 * 256 * a.words.shape[1] * 8
    waiting = int(found / sampled * 1024 * len(b or a) * 24 * 3 * n_threads)
    return Cost("exact", every, seconds * every / sampled / n_threads, laid_out + waiting, 1.0)


def _ways(
    method: Method, a: Encodings, b: Encodings | None, threshold: float, n_threads: int
) -> list[Cost]:
    other = b or a
    if isinstance(method, (KeyBlocking, PSig)):
        names, keys = method.names(a), method.keys(a, other)
        pairs = [_key_pairs(method, keys[0][:, at], keys[1][:, at]) for at in range(len(names))]
        if b is None:
            pairs = [
                (count - int((keys[0][:, at] > 0).sum())) // 2 for at, count in enumerate(pairs)
            ]
        return [
            _blocked(name, max(count, 0), 1, a, other, n_threads, None)
            for name, count in zip(names, pairs, strict=True)
        ]
    half = 1 if b is not None else 2
    similarity = threshold if 0 < threshold < 1 else 0.99
    if isinstance(method, LambdaFold):
        pairs_found = _sampled_pairs(method, a, other) // half
        recall = method.recall(a, other, similarity)
        return [_blocked("lambda-fold", pairs_found, method.tables, a, other, n_threads, recall)]
    plan = method.plan(a, other)
    if plan.tables > MOST_TABLES:
        best = LSHPlan.make(method, a, other, MOST_TABLES)
        advice = (
            f"LSH would need {plan.tables:,} tables to find {method.recall:.1%} of the pairs at "
            f"similarity {method.similarity:g}; {MOST_TABLES} find {best.recall:.1%}. Compare "
            f"every pair, or block by keys that the holders make."
        )
        pairs_met = int(min(best.comparisons, len(a) * len(other))) // half
        cost = _blocked("lsh", pairs_met, MOST_TABLES, a, other, n_threads, best.recall)
        return [dataclasses.replace(cost, advice=advice)]
    pairs_found = _sampled_pairs(method, a, other) // half
    return [_blocked("lsh", pairs_found, plan.tables, a, other, n_threads, plan.recall)]


def _blocked(
    name: str,
    pairs: int,
    tables: int,
    a: Encodings,
    b: Encodings,
    n_threads: int,
    completeness: float | None,
) -> Cost:
    rows = len(a) + len(b)
    seconds = (tables * rows * SORT_NS + pairs * PAIR_NS / n_threads) / 1e9
    return Cost(name, pairs, seconds, rows * (8 * tables + 40), completeness)


def _key_pairs(method: KeyBlocking | PSig, x: NDArray[np.uint64], y: NDArray[np.uint64]) -> int:
    """Count the pairs of rows that share a key of a block that is kept."""
    (keys_x, counts_x), (keys_y, counts_y) = (
        np.unique(keys[keys > 0], return_counts=True) for keys in (x, y)
    )
    _, i, j = np.intersect1d(keys_x, keys_y, assume_unique=True, return_indices=True)
    counts_x, counts_y = counts_x[i], counts_y[j]
    keep = np.ones(len(counts_x), bool)
    if method.largest_block is not None:
        keep &= counts_x * counts_y <= method.largest_block
    if isinstance(method, PSig):
        keep &= method.keeps(counts_x, counts_y, len(x), len(y))
    return int((counts_x * counts_y)[keep].sum())


def _sampled_pairs(method: HammingLSH | LambdaFold, a: Encodings, b: Encodings) -> int:
    """Estimate the pairs that agree in a table, one counted for each table, from a sample."""
    some, others = (take_rows(one, _spaced(len(one), _SAMPLE)) for one in (a, b))
    if isinstance(method, HammingLSH):
        plan = method.plan(a, b)
        keys = LambdaFold(plan.tables, plan.bits).keys(some, others, plan.telling)
    else:
        keys = method.keys(some, others)
    found = 0
    for at in range(keys[0].shape[1]):
        (x, counts_x), (y, counts_y) = (
            np.unique(part[part[:, at] > 0, at], return_counts=True) for part in keys
        )
        _, i, j = np.intersect1d(x, y, assume_unique=True, return_indices=True)
        found += int((counts_x[i] * counts_y[j]).sum())
    return int(found * (len(a) / max(len(some), 1)) * (len(b) / max(len(others), 1)))


def _keyless(methods: tuple[Method, ...], a: Encodings, b: Encodings) -> tuple[int, int]:
    """Count the rows that no way reaches; LSH reaches all that have a bit."""
    if not all(isinstance(method, (KeyBlocking, PSig)) for method in methods):
        return int((a.popcounts() == 0).sum()), int((b.popcounts() == 0).sum())
    none = [np.ones(len(a), bool), np.ones(len(b), bool)]
    for method in methods:
        for side, keys in enumerate(method.keys(a, b)):
            none[side] &= ~keys.any(axis=1)
    return int(none[0].sum()), int(none[1].sum())


def _spaced(n: int, most: int) -> NDArray[np.int64]:
    """Choose rows evenly from all."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.arange(0)
