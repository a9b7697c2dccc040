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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from pprl.exchange.encodings import Encodings, count_bits
from pprl.kernels.assignment import greedy
from pprl.linkage.pairs import Pairs

LOCAL_PRECISION = 0.5
_WINDOW_SHARE, _WINDOW_LEAST = 0.015, 20
_NEIGHBOURS = 20
_SAMPLE = 256
_NEAR = 0.02
_ROUNDS = 50
_TIMES, _SURPRISE = 4.0, 1e-3
_LEVELS = 24
_TAIL = 30

_Values = NDArray[np.float64]
_Count = Callable[[_Values, _Values], NDArray[Any]]


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


def repeat_people(
    between: NDArray[np.float64], within: Sequence[Pairs], records: Sequence[int]
) -> NDArray[np.bool_]:
    """Tell which files have duplicates that the others show they should not have.

    At some similarity of the pairs between files, more pairs within a file reach it than is
    likely (Poisson, one in a thousand) even if a file had four times as many as the others,
    and yet no more than where everybody is in it twice: too few for it to be what many
    strangers come to. The others are the cleaner half of them, at that similarity.

    Args:
        between: (m,) similarities of the pairs between files that may be links, falling.
        within: Pairs within each file, but for those that `maybe_repeated` marks.
        records: Number of records of each file.

    Returns:
        (files,) whether it does.
    """
    n = np.asarray(records, np.float64)
    found = np.zeros(len(n), bool)
    if not len(between) or len(n) < 2:
        return found
    levels = between[np.unique(np.geomspace(1, len(between), _LEVELS).astype(int) - 1)]
    all_pairs = np.maximum(n * (n - 1), 1.0)
    reached = np.stack([_reach(one.similarity, levels) for one in within])
    for file in range(len(n)):
        rest = np.delete(np.arange(len(n)), file)
        for pairs, others in zip(reached[file], reached[rest].T, strict=True):
            # One pair more than there is, so that a small file without any is not clean yet.
            order = np.argsort((others + 1) / all_pairs[rest], kind="stable")
            cleaner = order[: (len(rest) + 1) // 2]
            rate = (others[cleaner].sum() + 1) / all_pairs[rest][cleaner].sum()
            surprise = pdtrc(pairs - 1, _TIMES * rate * all_pairs[file])
            found[file] |= 0 < pairs <= n[file] / 2 and surprise < _SURPRISE
    return found


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
    ranked: NDArray[np.float64],
    nulls: Sequence[Null],
    expect: Callable[[_Values], _Values],
    weight: float = 1.0,
) -> Cut:
    """Find the first rank at which as many links are false as true.

    Args:
        ranked: (m,) scores of the one-to-one links, falling.
        nulls: Pairs of strangers.
        expect: Turns the chance, at each rank, that two records which are no match reach
            its score into the number of false links down to there: `false_links`.
        weight: How many false links a pair of strangers stands for; 1 at least. Where it is more,
            the tail of their scores is drawn smoothly.
    """
    count = _reach if weight <= 1 else _draw
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
        keep, taken = np.zeros(len(pairs), bool), np.zeros(n, bool)
        greedy(pairs.left[order], pairs.right[order], taken, taken, keep)
        used = np.minimum(2 * count(pairs.similarity[order[keep]], ranked) / n, 1 - 1 / n)
        rates.append(used / ((1 - used) * (null.others + 1)))
    return np.asarray(sum(rates) / len(rates))


def _pair_rate(ranked: _Values, nulls: Sequence[Null], count: _Count) -> _Values:
    rates = [
        2 * count(null.pairs.similarity, ranked) / (null.records * max(null.others, 1))
        for null in nulls
    ]
    return np.asarray(sum(rates) / len(rates))


def _reach(similarity: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the similarities at or above each value."""
    return len(similarity) - np.searchsorted(np.sort(similarity), at, side="left")


def _draw(similarity: NDArray[np.float64], at: NDArray[np.float64]) -> _Values:
    """Count the similarities at or above each value; of the highest thirty, draw the tail.

    Where a single pair would stand for many false links, their number is taken to fall
    exponentially from the thirtieth up. The median, which says how fast, does not mind a few
    that are far too high.
    """
    count = _reach(similarity, at).astype(np.float64)
    if len(similarity) <= _TAIL:
        return count
    top = np.sort(similarity)[-_TAIL - 1 :]
    scale = max(float(np.median(top[1:] - top[0])) / np.log(2.0), 1e-9)
    above = np.maximum(at - top[0], 0.0)
    return np.where(above > 0, _TAIL * np.exp(-above / scale), count)


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
