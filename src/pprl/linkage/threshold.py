"""Where to cut when there is no truth: the neighbours within each file are the null.

A file without duplicates shows what non-matches look like: its own nearest
neighbours. From them follows how many of the links above a score are false, without
a model of the scores, and so for any hardening. Two rates are combined by their
geometric mean: pairs that survive a one-to-one assignment within the file,
desaturated, and plain counts of pairs. Duplicates within a file break the
assumption, and are left out before (`pprl.linkage.repeats`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings, count_bits
from pprl.kernels.assignment import greedy
from pprl.linkage.pairs import Pairs

LOCAL_PRECISION = 0.5
_WINDOW_SHARE, _WINDOW_LEAST = 0.015, 20
_NEIGHBOURS = 20
_SAMPLE = 256
_ROUNDS = 50
_TAIL = 30

_Values = NDArray[np.float64]
_Count = Callable[[_Values, _Values, _Values], NDArray[Any]]


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
        weight: How many false links a pair within the files stands for; 1 at least.
    """

    links: int
    false_links: float
    probability: NDArray[np.float64]
    expected: NDArray[np.float64]
    range: tuple[int, int]
    weight: float = 1.0

    def keep(self, links: int) -> Cut:
        """Keep only so many links, no more than now."""
        return replace(
            self,
            links=links,
            false_links=float(self.expected[links - 1]) if links else 0.0,
            probability=self.probability[:links],
        )

    def down_to(self, precision: float) -> Cut:
        """Keep only so many links that of all kept this share, 0 to 1, is expected to be true."""
        ranks = np.arange(1, self.links + 1)
        return self.keep(most_precise(self.expected[: self.links], ranks, precision))


def most_precise(false: NDArray[np.float64], links: NDArray[np.int64], precision: float) -> int:
    """Choose the most ``links`` (rising) of which few enough are expected to be false."""
    enough = np.flatnonzero(false <= (1 - precision) * links)
    return int(links[enough[-1]]) if len(enough) else 0


def find_floor(a: Encodings, b: Encodings, partners: int = 0) -> float:
    """Choose the similarity above which a record has about twenty pairs, on a sample.

    Args:
        a: Encodings.
        b: Others, or the same.
        partners: How many true partners a record may have, on top of these.
    """
    most = _NEIGHBOURS + partners
    return max(_quantile(x, y, most) for x, y in ((a, b), (a, a), (b, b)))


def find_centre(a: Encodings) -> float:
    """Return the similarity of two records by chance: the median, on a sample."""
    rows = a.words[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    bits = count_bits(rows)
    similarity = [
        2.0 * count_bits(rows[:at] & row) / np.maximum(bits[:at] + bits[at], 1)
        for at, row in enumerate(rows)
    ]
    return float(np.median(np.concatenate(similarity))) if len(rows) > 1 else 0.0


@dataclass(frozen=True)
class Null:
    """Pairs of strangers, scored as the links are.

    Attributes:
        pairs: Those within files without duplicates.
        records: Number of records that they are of.
        others: Number of other records that one of these could be paired with, on average.
        weight: (p,) how many pairs each counts for, 1 on average.
        takes: How many of the records a pair takes up: two, or one where its right end is a
            place that no record's left end can be.
    """

    pairs: Pairs
    records: int
    others: float
    weight: _Values
    takes: int = 2


def find_cut(
    ranked: NDArray[np.float64],
    nulls: Sequence[Null],
    expect: Callable[[_Values], _Values],
    weight: float = 1.0,
    *,
    drawn: bool = False,
) -> Cut:
    """Find the first rank at which as many links are false as true.

    Args:
        ranked: (m,) scores of the one-to-one links, falling.
        nulls: Pairs of strangers.
        expect: Turns the chance, at each rank, that two records which are no match reach
            its score into the number of false links down to there: `false_links`.
        weight: How many false links a pair of strangers stands for; 1 at least.
        drawn: Whether the tail of the strangers' scores is drawn smoothly.
    """
    count = _draw if drawn else count_reaching
    each = [expect(rate(ranked, nulls, count)) for rate in (_assigned_rate, _pair_rate)]
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
        weight,
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


def _assigned_rate(ranked: _Values, nulls: Sequence[Null], count: _Count) -> _Values:
    rates = []
    for null in nulls:
        pairs, n = null.pairs, null.records
        order = np.lexsort((pairs.right, pairs.left, -pairs.similarity))
        places = max(int(pairs.left.max(initial=0)), int(pairs.right.max(initial=0))) + 1
        keep, taken = np.zeros(len(pairs), bool), np.zeros(places, bool)
        greedy(pairs.left[order], pairs.right[order], taken, taken, keep)
        chosen = order[keep]
        reached = count(pairs.similarity[chosen], ranked, null.weight[chosen])
        used = np.minimum(null.takes * reached / n, 1 - 1 / n)
        rates.append(used / ((1 - used) * (null.others + 1)))
    return _mean(rates, nulls)


def _pair_rate(ranked: _Values, nulls: Sequence[Null], count: _Count) -> _Values:
    rates = [
        null.takes
        * count(null.pairs.similarity, ranked, null.weight)
        / (null.records * max(null.others, 1))
        for null in nulls
    ]
    return _mean(rates, nulls)


def _mean(rates: Sequence[_Values], nulls: Sequence[Null]) -> _Values:
    """Average rates by the numbers of pairs that they are of."""
    pairs = [max(null.records * null.others, 1.0) for null in nulls]
    return np.asarray(np.average(rates, axis=0, weights=pairs))


def count_reaching(similarity: _Values, at: _Values, weight: _Values | None = None) -> NDArray[Any]:
    """Count the similarities at or above each value, or sum their weights."""
    below = np.searchsorted(np.sort(similarity), at, side="left")
    if weight is None:
        return len(similarity) - below
    left = np.append(np.cumsum(weight[np.argsort(-similarity, kind="stable")])[::-1], 0.0)
    return left[below]


def _draw(similarity: _Values, at: _Values, weight: _Values) -> _Values:
    """Count them so, too; of the highest thirty, draw the tail.

    Where a single pair would stand for many false links, their number is taken to fall
    exponentially from the thirtieth up. The median, which says how fast, does not mind a few
    that are far too high.
    """
    count = count_reaching(similarity, at, weight).astype(np.float64)
    if len(similarity) <= _TAIL:
        return count
    highest = np.argsort(similarity, kind="stable")[-_TAIL - 1 :]
    top = similarity[highest]
    scale = max(float(np.median(top[1:] - top[0])) / np.log(2.0), 1e-9)
    above = np.maximum(at - top[0], 0.0)
    many = weight[highest[1:]].sum()
    return np.where(above > 0, many * np.exp(-above / scale), count)


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


def _quantile(a: Encodings, b: Encodings, most: int) -> float:
    """Return the similarity that about so many of ``b`` reach, for a sample of ``a``."""
    n = len(b)
    if n <= most or not len(a):
        return 0.0
    rows = a.words[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    bits, other = count_bits(rows), count_bits(b.words)
    kept = []
    for row, own in zip(rows, bits, strict=True):
        similarity = 2.0 * count_bits(b.words & row) / np.maximum(own + other, 1)
        kept.append(np.partition(similarity, n - most)[n - most :])
    return float(np.quantile(np.concatenate(kept), 0.3))
