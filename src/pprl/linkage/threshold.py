"""Where to cut when there is no truth: the neighbours within each file are the null.

A file without duplicates shows what non-matches look like: its own nearest
neighbours. From them follows how many of the links above a score are false, without
a model of the scores, and so for any hardening. Two rates are combined by their
geometric mean: pairs that survive a one-to-one assignment within the file,
desaturated, and plain counts of pairs. Duplicates within a file break the
assumption; a pair within a file is left out when both records have the same best
partner in the other file, about as near as they are to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings, count_bits
from pprl.kernels.assignment import greedy
from pprl.linkage.pairs import Pairs

LOCAL_PRECISION = 0.5
_WINDOW_SHARE, _WINDOW_LEAST = 0.015, 20
_NEIGHBOURS = 20
_SAMPLE = 256
_NEAR = 0.02
_ROUNDS = 50
_TIMES, _SURPRISE = 4.0, 3.0

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """The links that are kept, counted from the best, and what is estimated of them.

    Attributes:
        links: How many of the ranked links to keep; 0 where there seem to be none.
        false_links: Expected number of false ones among them.
        probability: (links,) float64 estimated chance that each is true, not rising.
        expected: (m,) float64 expected number of false links down to each rank, of all
            that were ranked.
        range: Fewest and most links, by each of the two counts alone.
    """

    links: int
    false_links: float
    probability: NDArray[np.float64]
    expected: NDArray[np.float64]
    range: tuple[int, int]

    def down_to(self, precision: float) -> Cut:
        """Keep only so many links that of all kept this share, 0 to 1, is expected to be true."""
        links = most_precise(self.expected[: self.links], np.arange(1, self.links + 1), precision)
        return replace(
            self,
            links=links,
            false_links=float(self.expected[links - 1]) if links else 0.0,
            probability=self.probability[:links],
        )


def most_precise(false: NDArray[np.float64], links: NDArray[np.int64], precision: float) -> int:
    """Choose the most ``links`` (rising) of which few enough are expected to be false."""
    enough = np.flatnonzero(false <= (1 - precision) * links)
    return int(links[enough[-1]]) if len(enough) else 0


def find_floor(a: Encodings, b: Encodings) -> float:
    """Choose the similarity above which a record has about twenty pairs, on a sample."""
    return max(_quantile(a, b), _quantile(a, a), _quantile(b, b))


def find_centre(a: Encodings) -> float:
    """Return the similarity of two records by chance: the median, on a sample."""
    rows = a.words[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    bits = count_bits(rows)
    similarity = [
        2.0 * count_bits(rows[:at] & row) / np.maximum(bits[:at] + bits[at], 1)
        for at, row in enumerate(rows)
    ]
    return float(np.median(np.concatenate(similarity))) if len(rows) > 1 else 0.0


def maybe_repeated(
    within: Pairs, partner: NDArray[np.int64], best: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mark pairs within a file that may be one person's two records.

    Args:
        within: Pairs of one file, by similarity.
        partner: (n,) most similar record in the other file, -1 where none is known.
        best: (n,) similarity to it.
    """
    left, right = within.left, within.right
    nearest = np.minimum(best[left], best[right])
    same = (partner[left] == partner[right]) & (partner[left] >= 0)
    marked: NDArray[np.bool_] = same & (nearest >= within.similarity - _NEAR)
    return marked


def surely_repeated(
    doubtful: NDArray[np.bool_], score: NDArray[np.float64], median: float
) -> NDArray[np.bool_]:
    """Keep as many marks of `maybe_repeated` as the links' scores suggest, the highest scores'.

    Members of a household look like one person's records, too: two of them here are both near
    to a third in the other file. But one person's records are as alike within a file as between
    two, so that half of the pairs they make reach the median of the links.

    Args:
        doubtful: (p,) whether a pair is marked.
        score: (p,) the pairs' scores.
        median: Of the links' scores.
    """
    marked = np.flatnonzero(doubtful)
    many = 2 * int((score[marked] >= median).sum())
    kept = np.zeros(len(score), bool)
    kept[marked[np.argsort(-score[marked], kind="stable")[:many]]] = True
    return kept


def best_partner(
    record: NDArray[np.int64], other: NDArray[np.int64], similarity: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each record's most similar record in the other file, and how similar it is."""
    order = np.lexsort((-other, similarity))
    partner, best = np.full(n, -1, np.int64), np.zeros(n)
    partner[record[order]] = other[order]
    best[record[order]] = similarity[order]
    return partner, best


def repeats_people(
    between: NDArray[np.float64], within: Pairs, n: int, other: Pairs, times: float
) -> bool:
    """Tell whether a file has duplicates that other files show it should not have.

    At some similarity of the pairs between files, four times as many pairs within this file
    reach it as the others let expect, and yet no more than where everybody is in it twice:
    too few for it to be what many strangers come to.

    Args:
        between: (m,) similarities of the pairs between files that may be links, falling.
        within: Pairs within this file, but for those that `maybe_repeated` marks.
        n: Its records.
        other: Pairs within the other files.
        times: Pairs of records within this file, for each within the others.
    """
    levels = between[np.unique(np.geomspace(1, max(len(between), 1), 24).astype(int) - 1)]
    pairs, others = (_reach(one.similarity, levels) for one in (within, other))
    expected = (others + _SURPRISE) * times
    many = pairs > _TIMES * np.maximum(expected, _SURPRISE)
    return bool((many & (pairs <= n / 2)).any())


@dataclass(frozen=True)
class Null:
    """Pairs of strangers, scored as the links are.

    Attributes:
        pairs: Those within files without duplicates.
        records: Number of records that they are of.
        others: Number of other records that one of these could be paired with, on average.
    """

    pairs: Pairs
    records: int
    others: float


def find_cut(
    ranked: NDArray[np.float64], nulls: Sequence[Null], expect: Callable[[_Values], _Values]
) -> Cut:
    """Find the first rank at which as many links are false as true.

    Args:
        ranked: (m,) scores of the one-to-one links, falling.
        nulls: Pairs of strangers.
        expect: Turns the chance, at each rank, that two records which are no match reach
            its score into the number of false links down to there: `false_links`.
    """
    each = [expect(rate(ranked, nulls)) for rate in (_assigned_rate, _pair_rate)]
    false = rising(np.sqrt(each[0] * each[1]))
    local = local_precision(false)
    links = first_below(local)
    probability = np.minimum.accumulate(np.clip(local[:links], 0.0, 1.0))
    return Cut(
        links,
        float(false[links - 1]) if links else 0.0,
        probability,
        false,
        tuple(sorted(first_below(local_precision(rising(one))) for one in each)),  # type: ignore[arg-type]
    )


def rising(false: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let expected numbers of false links never fall, nor exceed their rank."""
    highest: NDArray[np.float64] = np.maximum.accumulate(false)
    return np.minimum(highest, np.arange(1, len(false) + 1))


def local_precision(false: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the precision of the links around each rank."""
    m = len(false)
    rank = np.arange(m)
    half = np.maximum(_WINDOW_LEAST, _WINDOW_SHARE * rank).astype(np.int64) // 2
    low, high = np.maximum(rank - half, 0), np.minimum(rank + half, m - 1)
    local: NDArray[np.float64] = 1 - (false[high] - false[low]) / np.maximum(high - low, 1)
    # Before the middle of the first window there is nothing but that window.
    local[: _WINDOW_LEAST // 2] = local[min(_WINDOW_LEAST // 2, m - 1)] if m else 0.0
    return local


def first_below(local: NDArray[np.float64]) -> int:
    """Find the first rank at which as many links are false as true; all if there is none."""
    below = np.flatnonzero(local < LOCAL_PRECISION)
    return int(below[0]) if len(below) else len(local)


def _assigned_rate(ranked: _Values, nulls: Sequence[Null]) -> _Values:
    rates = []
    for null in nulls:
        pairs, n = null.pairs, null.records
        order = np.lexsort((pairs.right, pairs.left, -pairs.similarity))
        keep, taken = np.zeros(len(pairs), bool), np.zeros(n, bool)
        greedy(pairs.left[order], pairs.right[order], taken, taken, keep)
        used = np.minimum(2 * _reach(pairs.similarity[order[keep]], ranked) / n, 1 - 1 / n)
        rates.append(used / ((1 - used) * (null.others + 1)))
    return np.asarray(sum(rates) / len(rates))


def _pair_rate(ranked: _Values, nulls: Sequence[Null]) -> _Values:
    rates = [
        2 * _reach(null.pairs.similarity, ranked) / (null.records * max(null.others, 1))
        for null in nulls
    ]
    return np.asarray(sum(rates) / len(rates))


def _reach(similarity: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the similarities at or above each value."""
    return len(similarity) - np.searchsorted(np.sort(similarity), at, side="left")


def false_links(
    links: NDArray[np.int64], rate: NDArray[np.float64], n_a: int, n_b: int
) -> NDArray[np.float64]:
    """Expect so many false ones among a number of links, as matched records are out of reach.

    Args:
        links: (m,) numbers of links, counted from the best.
        rate: (m,) chance that two records that are no match reach the last link's score.
        n_a: Records in the first file.
        n_b: Records in the second file.
    """
    false = np.zeros(len(links))
    for _ in range(_ROUNDS):
        free_a, free_b = n_a - links + false, n_b - links + false
        reach = free_a * free_b * rate / (1 + rate * np.maximum(free_a, free_b))
        false = np.minimum(reach, links)
    return false


def _quantile(a: Encodings, b: Encodings) -> float:
    """Return the similarity that about twenty of ``b`` reach, for a sample of ``a``."""
    n = len(b)
    if n <= _NEIGHBOURS:
        return 0.0
    rows = a.words[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    bits, other = count_bits(rows), count_bits(b.words)
    kept = []
    for row, own in zip(rows, bits, strict=True):
        similarity = 2.0 * count_bits(b.words & row) / np.maximum(own + other, 1)
        kept.append(np.partition(similarity, n - _NEIGHBOURS)[n - _NEIGHBOURS :])
    pooled = np.concatenate(kept)
    return float(np.quantile(pooled, 0.0 if len(pooled) < _NEIGHBOURS else 0.3))
