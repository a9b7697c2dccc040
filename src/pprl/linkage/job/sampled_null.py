"""Where to cut a job's links without a truth: sampled neighbours within each file are the null.

The method is that of `pprl.linkage.decision.cut`, with two differences that scale demands. Links
are ranked by their score alone, without a margin to runners-up. And the null is a sample: whole
buckets of each blocking pass, and in them some records with all their neighbours in the same file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut
from pprl.linkage.decision.density_valley import find_valley
from pprl.linkage.decision.duplicates import maybe_repeated, surely_repeated
from pprl.linkage.decision.estimate import unless_all_false
from pprl.linkage.job.compare_parts import by_key, compare_rows
from pprl.linkage.job.plan import SIDES, Plan, Side
from pprl.linkage.job.rows import Rows, bucket_rows
from pprl.linkage.job.scores import Score
from pprl.linkage.job.spill import SCHEMA, merged, part_file, read_facts, sorted_part, write_facts
from pprl.linkage.local_fdr import LOCAL_PRECISION, count_reaching, false_links, most_precise

_NEIGHBOURS = 20
_FLOOR_ROWS = 256
_NULL_BUCKETS = 4
_GRID = 100_000
_ABOVE = 0.1
_WINDOW_SHARE, _WINDOW_LEAST = 0.015, 20


def null_parts(plan: Plan) -> dict[str, tuple[Side, int]]:
    """Name the parts that look for neighbours within a file."""
    if plan.in_memory:
        return {}
    return {f"null/{side}-{at:02}": (side, at) for side in SIDES for at in range(len(plan.passes))}


def write_floor(
    plan: Plan, left: Sequence[Path], right: Sequence[Path], score: Score, path: Path
) -> dict[str, int]:
    """Find the similarity above which there are some twenty pairs for each record.

    More precisely, so many pairs that the file of fewer records has twenty each; of a sample of
    right rows in the largest bucket of each pass. And the median of that sample.
    """
    found, weights = [np.empty(0)], [np.empty(0)]
    for at, one in enumerate(plan.passes):
        bucket = int(np.argmax(np.minimum(one.left_rows, one.right_rows)))
        of_right = one.right_rows[bucket]
        if not of_right:
            continue
        sample = _every(right, at, bucket, max(of_right // _FLOOR_ROWS, 1))
        for rows in bucket_rows(left, at, bucket):
            for a, b, i, j, dice, _ in compare_rows(by_key(rows, at), sample, at, 0.0, plan.bits):
                scores = score(a, b, i, j, dice)
                found.append(scores)
                weights.append(np.full(len(scores), sum(one.right_rows) / len(sample)))
    scores, weight = np.concatenate(found), np.concatenate(weights)
    order = np.argsort(-scores, kind="stable")
    enough = np.searchsorted(np.cumsum(weight[order]), _NEIGHBOURS * min(plan.records))
    floor = float(scores[order[enough]]) if enough < len(scores) else 0.0
    middle = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    centre = float(scores[order[middle]]) if len(scores) else 0.0
    with part_file(path, SCHEMA) as writer:
        write_facts(writer, {"floor": max(floor, 0.0), "centre": centre})
    return {}


def write_null(
    plan: Plan,
    side: Side,
    at: int,
    paths: Sequence[Path],
    floor: float,
    sample: int,
    score: Score,
    path: Path,
) -> dict[str, int]:
    """Find the neighbours, within their file, of some records of some buckets of a pass.

    A pair is of the sampled record on the left, and of another on the right.
    """
    rows = plan.passes[at].left_rows if side == "left" else plan.passes[at].right_rows
    filled = np.flatnonzero(np.array(rows))
    chosen = filled[:: max(len(filled) // _NULL_BUCKETS, 1)]
    step = max(int(np.array(rows)[chosen].sum()) // sample, 1)
    with sorted_part(path, "by-record", plan.spill) as writer:
        sampled = 0
        for bucket in chosen.tolist():
            some = _every(paths, at, bucket, step)
            sampled += len(some)
            for others in bucket_rows(paths, at, bucket):
                both = compare_rows(some, by_key(others, at), at, floor, plan.bits)
                for a, b, i, j, dice, _ in both:
                    pairs = Pairs(a.record[i], b.record[j], score(a, b, i, j, dice))
                    writer.add(
                        pairs.take((pairs.left != pairs.right) & (pairs.similarity >= floor))
                    )
        writer.facts |= {"sampled": sampled, "rows": sum(rows)}
    return {"null": writer.found}


def _every(paths: Sequence[Path], at: int, bucket: int, step: int) -> Rows:
    """Take rows of a bucket at equal distances, by the order of the file, in the order of keys."""
    picked = []
    before = 0
    for rows in bucket_rows(paths, at, bucket):
        picked.append(rows.take(np.arange(-before % step, len(rows), step)))
        before += len(rows)
    return by_key(
        Rows(
            *(
                np.concatenate([getattr(one, name) for one in picked])
                for name in ("record", "words", "keys", "bits")
            )
        ),
        at,
    )


@dataclass(frozen=True, eq=False)
class Null:
    """The neighbours within one file.

    Attributes:
        passes: For each pass the sampled pairs, but for those that stand out as one person's;
            the rows sampled, and those that have a key.
        records: (r,) records in them, rising.
        partner: (r,) their best partner in the other file, -1 where none is known.
        best: (r,) similarity to it.
    """

    passes: tuple[tuple[Pairs, int, int], ...]
    records: NDArray[np.int64]
    partner: NDArray[np.int64]
    best: NDArray[np.float64]

    @classmethod
    def load(cls, paths: Sequence[Path], floor: float, centre: float) -> Null:
        """Read what `write_null` wrote for each pass of one file, from a floor up.

        The centre is what two records come to in the middle; in small blocks the floor may be
        below it.
        """
        floor = max(floor, centre + _ABOVE * (1 - centre))
        made = []
        for path in paths:
            facts = read_facts(path)
            pairs = Pairs.concat(list(merged([path], "by-record", _GRID)))
            similar = pairs.similarity[pairs.similarity >= floor]
            pairs = pairs.take(pairs.similarity < find_valley(similar, floor, centre).threshold)
            made.append((pairs, int(facts["sampled"]), int(facts["rows"])))
        ends = [end for pairs, _, _ in made for end in (pairs.left, pairs.right)]
        records = np.unique(np.concatenate([np.empty(0, np.int64), *ends]))
        return cls(
            tuple(made), records, np.full(len(records), -1, np.int64), np.zeros(len(records))
        )

    def see(
        self, own: NDArray[np.int64], other: NDArray[np.int64], similarity: NDArray[np.float64]
    ) -> None:
        """Learn from pairs with the other file, best first, who is whose best partner."""
        if not len(self.records):
            return
        place = np.minimum(np.searchsorted(self.records, own), len(self.records) - 1)
        known = np.flatnonzero((self.records[place] == own) & (self.partner[place] < 0))
        _, first = np.unique(place[known], return_index=True)
        first = known[first]
        self.partner[place[first]], self.best[place[first]] = other[first], similarity[first]

    def rates(
        self, at: NDArray[np.float64], n: int, median: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Estimate at each similarity the two rates of `pprl.linkage.decision.cut`, for a pair.

        Args:
            at: (m,) similarities.
            n: Records in the file.
            median: Similarity of the links, for `surely_repeated`; 0 as long as it is not known.

        Returns:
            That of records that have a neighbour, desaturated, and that of neighbours.
        """
        pairs_each = np.zeros(len(at))
        alone = np.ones(len(at))
        for pairs, sampled, rows in self.passes:
            if not sampled:
                continue
            placed = Pairs(
                np.searchsorted(self.records, pairs.left),
                np.searchsorted(self.records, pairs.right),
                pairs.similarity,
            )
            repeated = surely_repeated(
                maybe_repeated(placed, self.partner, self.best), placed.similarity, median
            )
            kept = placed.take(~repeated)
            pairs_each += count_reaching(kept.similarity, at) / sampled * (rows / n)
            order = np.lexsort((-kept.similarity, kept.left))
            _, first = np.unique(kept.left[order], return_index=True)
            nearest = kept.similarity[order[first]]
            alone *= 1 - np.minimum(count_reaching(nearest, at) / sampled, 1.0) * min(rows / n, 1.0)
        used = np.minimum(1 - alone, 1 - 1 / n)
        return used / ((1 - used) * n), pairs_each / max(n - 1, 1)


def find_cut(
    ranked: NDArray[np.float64],
    nulls: tuple[Null, Null],
    records: tuple[int, int],
    precision: float | None,
) -> Cut:
    """Find the first rank at which as many links are false as true.

    As `pprl.linkage.decision.cut.find_cut`, at up to 100,000 ranks; so many are expected false.
    """
    m = len(ranked)
    if not m:
        return Cut(0, 0.0, np.empty(0), np.empty(0), (0, 0))
    first = _cut(ranked, nulls, records, 0.0, None)
    median = float(ranked[first.links // 2]) if first.links else 0.0
    return _cut(ranked, nulls, records, median, precision)


def _cut(
    ranked: NDArray[np.float64],
    nulls: tuple[Null, Null],
    records: tuple[int, int],
    median: float,
    precision: float | None,
) -> Cut:
    m = len(ranked)
    rank = np.unique(np.linspace(0, m - 1, min(m, _GRID)).astype(np.int64))
    rates = [null.rates(ranked[rank], n, median) for null, n in zip(nulls, records, strict=True)]
    estimates = [
        false_links(rank + 1, (rates[0][kind] + rates[1][kind]) / 2, *records) for kind in (0, 1)
    ]
    false = np.minimum(np.maximum.accumulate(np.sqrt(estimates[0] * estimates[1])), rank + 1)
    half = np.maximum(_WINDOW_LEAST, _WINDOW_SHARE * rank).astype(np.int64) // 2
    low, high = np.maximum(rank - half, 0), np.minimum(rank + half, m - 1)
    rise = np.interp(high, rank, false) - np.interp(low, rank, false)
    local = 1 - rise / np.maximum(high - low, 1)
    local[rank < _WINDOW_LEAST // 2] = np.interp(_WINDOW_LEAST // 2, rank, local)
    below = np.flatnonzero(local < LOCAL_PRECISION)
    links = int(rank[below[0]]) if len(below) else m
    if precision is not None:
        links = min(links, most_precise(false, rank + 1, precision))
    if not links:
        return Cut(0, 0.0, np.empty(0), false, (0, 0))
    falling = np.minimum.accumulate(np.clip(local, 0.0, 1.0))
    return Cut(
        links,
        float(np.interp(links - 1, rank, false)),
        np.interp(np.arange(links), rank, falling),
        false,
        (links, links),
    )


@dataclass
class Judge:
    """Watches the pairs go by, best first, and then cuts the links chosen among them."""

    nulls: tuple[Null, Null]
    records: tuple[int, int]
    floor: float
    precision: float | None
    facts: Mapping[str, object] = field(default_factory=dict)

    def watch(self, stream: Iterator[Pairs]) -> Iterator[Pairs]:
        """Pass the pairs on."""
        for pairs in stream:
            self.nulls[0].see(pairs.left, pairs.right, pairs.similarity)
            self.nulls[1].see(pairs.right, pairs.left, pairs.similarity)
            yield pairs

    def cut(self, chosen: Pairs) -> Cut:
        """Say how many of the chosen links to keep."""
        return unless_all_false(
            find_cut(chosen.similarity, self.nulls, self.records, self.precision)
        )
