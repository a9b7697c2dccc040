"""Where to cut when there is no truth: the neighbours within each file are the null.

A file without duplicates shows what non-matches look like: its own nearest
neighbours. From them follows how many of the links above a score are false, without
a model of the scores, and so for any hardening. Two rates are combined by their
geometric mean: pairs that survive a one-to-one assignment within the file,
desaturated, and plain counts of pairs. Duplicates within a file break the
assumption, and are left out before (`pprl.linkage.decision.duplicates`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.kernels.assignment import greedy
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.local_fdr import (
    count_reaching,
    first_below,
    local_precision,
    most_precise,
    rising,
)

_TAIL = 30
_DRAWN = 1.5
"""Where a null pair represents more pairs between files than this, the tail is drawn smoothly."""

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

    @classmethod
    def none(cls) -> Cut:
        """Keep nothing, where there is nothing to keep."""
        return cls(0, 0.0, np.empty(0), np.empty(0), (0, 0))

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


@dataclass(frozen=True)
class Null:
    """Non-matching pairs, scored as the links are.

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


@dataclass(frozen=True)
class NullDistribution:
    """What non-matches reach: all that is needed to cut ranked links, wherever they are ranked.

    Attributes:
        nulls: Null pairs of each file that does not repeat people.
        weight: How many pairs between the files a null pair represents; 1 at least.
    """

    nulls: tuple[Null, ...]
    weight: float

    def cut(self, ranked: _Values, expect: Callable[[_Values], _Values]) -> Cut:
        """Find where to cut links.

        Args:
            ranked: (m,) scores of the links, falling.
            expect: See `find_cut`.
        """
        drawn = self.weight > _DRAWN
        return find_cut(ranked, self.nulls, expect, self.weight, drawn=drawn)


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
        nulls: Non-matching pairs.
        expect: Turns the chance, at each rank, that two records which are no match reach
            its score into the number of false links down to there: `false_links`.
        weight: How many false links a non-matching pair stands for; 1 at least.
        drawn: Whether the tail of the non-matches' scores is drawn smoothly.
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
