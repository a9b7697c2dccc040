"""Weighing CLK groups and missing fields, learned from the files themselves.

With several groups in a CLK, a pair may agree in one and not in another: somebody moved, or
two people share a household. How much each kind of agreement says is not known beforehand, and
there is no truth to learn it from. But the files tell: pairs *between* two files are matches and
non-matches, pairs *within* a file without duplicates are non-matches only. How much more
often features are seen between than within is a density ratio (Sugiyama, Suzuki and Kanamori,
Density Ratio Estimation in Machine Learning, 2012, section 4), which only matches raise above
one: what it exceeds one by are the odds of a match. Their logarithm, linear in the features, is
the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pprl.exchange.encodings import Encodings
from pprl.kernels.comparison import add_up, odds_of_match
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.comparison_vectors import View
from pprl.linkage.model.fellegi_sunter import FieldWeights, can_be_added

_RIDGE, _STRONG_RIDGE = 1.0, 10.0
_LEAST_SCALE = 0.02
_STEPS = 500
_PER_RECORD = (5.0, 2.0, 1.0, 0.5, 0.2)
_LEAST_EXCESS = 50.0
_MOST_COUNTED = 1 << 18
_KEPT = 20_000
"""Pairs of each sample that the fit keeps one by one, those of the highest signal; of the
others about as many are drawn. That is a thousand pairs for each weight."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Evidence:
    """Log-odds that a pair is a match, less what non-matches reach.

    Attributes:
        view: How pairs are described.
        mean, scale: (features,) what features are standardised with.
        weights: (features + 1,) the constant, then a weight for each feature.
        learned: Whether there were enough matches to learn from; if not, only the
            signal counts.
        fields: What fields say that have a filter each; None where they have not.
    """

    view: View
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    learned: bool
    fields: FieldWeights | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``linkage.json``."""
        return {
            "view": self.view.to_dict(),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "learned": self.learned,
            "fields": self.fields and self.fields.to_dict(),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Evidence:
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        view, learned = View.from_dict(said["view"]), said["learned"]
        known = said.get("fields")
        fields = None if known is None else FieldWeights.from_dict(view, known)
        names = ("mean", "scale", "weights")
        mean, scale, weights = (np.asarray(said[name], np.float64) for name in names)
        width = view.width + (fields.width if fields else 0)
        shapes = [(width,), (width,), (width + 1,)]
        fits = [one.shape for one in (mean, scale, weights)] == shapes
        finite = all(np.isfinite(one).all() for one in (mean, scale, weights))
        if not (fits and finite and (scale > 0).all() and isinstance(learned, bool)):
            raise ValueError("no evidence")
        return cls(view, mean, scale, weights, learned, fields)

    def score(self, x: Encodings, y: Encodings, pairs: Pairs) -> Pairs:
        """Give pairs of records their evidence for similarity."""
        left = Side.of(x)
        right = left if y is x else Side.of(y)
        found = self.odds(ComparedPairs.of(left, right, pairs))
        return Pairs(pairs.left, pairs.right, found)

    def odds(self, some: ComparedPairs) -> NDArray[np.float64]:
        """Return the evidence of pairs of records: (p,)."""
        fields = None if self.fields is None else self.fields.for_files(some.left, some.right)
        slope = self.weights[1:] / self.scale
        constant = float(self.weights[0] - self.mean @ slope)
        out = np.empty(len(some))
        for start in range(0, len(some), _CHUNK):
            part = slice(start, start + _CHUNK)
            add_up(_features(self.view, fields, some.take(part)), slope, constant, out[part])
        return out


def learn(
    between: ComparedPairs,
    within: Sequence[ComparedPairs],
    before: Evidence | None = None,
    *,
    records: Sequence[float] | None = None,
) -> tuple[Evidence, list[NDArray[np.float64]]]:
    """Learn what sets pairs between files apart from pairs within them.

    Args:
        between: The more similar pairs between files, weighted by how much each counts.
        within: As similar null pairs, from one file or several, weighted by how many pairs
            between the files each represents.
        before: What was learned from nearly the same pairs: the fit begins there.
        records: For the null pairs of each file, the records of a file which, compared whole,
            has as many pairs as were compared; those of the file by default.

    Returns:
        What was learned, and the scores of the null pairs.
    """
    view = View.of(between.left, between.right)
    samples = [between, *within]
    signals = [view.signal_and_least(one)[0] for one in samples]
    if records is None:
        records = [one.left.records for one in within]
    fields = None
    if can_be_added(between.left.info):
        least = _reached(_PER_RECORD[0], records, signals[1:])
        near = [one.take(signal >= least) for one, signal in zip(samples, signals, strict=True)]
        fields = FieldWeights.learn(view, near[0], near[1:])
    if fields is not None:
        signals = [fields.score(one) for one in samples]
    shares = [one.weight for one in samples]
    low = _level(signals, shares, records, grouped=len(view.chance) > 1)
    if low is None:
        plain = np.zeros(view.width + 1)
        plain[1] = 1.0
        known = Evidence(view, np.zeros(view.width), np.ones(view.width), plain, learned=False)
        return known, [known.odds(one) for one in within]
    parts, weights = [], []
    for one, signal in zip(samples, signals, strict=True):
        chosen, stands = _chosen(signal, low)
        some = one.take(chosen)
        counted = None if fields is None else fields.for_files(one.left, one.right)
        parts.append(_features(view, counted, some))
        weights.append(some.weight * stands)
    features, weight = np.concatenate(parts), np.concatenate(weights)
    is_between = np.arange(len(weight)) < len(parts[0])
    # Of what hardly varies, a little more would move the score a lot.
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_SCALE)
    ridge = np.full(len(mean), _RIDGE)
    ridge[view.width - view.patterns : view.width] = _STRONG_RIDGE
    expected = np.zeros(len(mean) + 1)
    if fields is not None:
        # The sum of the weights is the first feature of theirs.
        expected[1 + view.width] = scale[view.width]
    start = expected
    if before is not None and len(before.weights) == len(expected) and before.learned:
        slope = before.weights[1:] / before.scale
        start = np.append(before.weights[0] + (mean - before.mean) @ slope, slope * scale)
    features -= mean
    features /= scale
    found = _odds_of_match(features, is_between, weight, ridge, expected, start)
    evidence = Evidence(view, mean, scale, found, learned=True, fields=fields)
    null = [evidence.odds(one) for one in within]
    least = min((odds.min() for odds in null if len(odds)), default=0.0)
    # What so many null pairs reach makes no rival: scores are shifted so that it is 0.
    zero = max(_reached(_PER_RECORD[0], records, null), least)
    shifted = replace(evidence, weights=np.append(found[0] - zero, found[1:]))
    return shifted, [odds - zero for odds in null]


def _features(view: View, fields: FieldWeights | None, some: ComparedPairs) -> NDArray[np.float64]:
    seen = view.features(some)
    return seen if fields is None else np.hstack([seen, fields.features(some)])


def _chosen(
    signal: NDArray[np.float64], low: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose pairs to fit to, from a signal up, and how many pairs each represents.

    Those of the highest signal are all taken, since matches are among them; of the others every
    so many, in the order of the records.
    """
    chosen = np.flatnonzero(signal >= low)
    if len(chosen) <= 2 * _KEPT:
        return chosen, np.ones(len(chosen))
    some = signal[chosen]
    top = some >= np.partition(some, len(some) - _KEPT)[len(some) - _KEPT]
    rest = chosen[~top]
    step = max(len(rest) // _KEPT, 1)
    drawn = rest[step // 2 :: step]
    stands = np.ones(len(signal))
    stands[drawn] = len(rest) / max(len(drawn), 1)
    places = np.sort(np.concatenate([chosen[top], drawn]))
    return places, stands[places]


def _level(
    signals: Sequence[NDArray[np.float64]],
    shares: Sequence[NDArray[np.float64]],
    records: Sequence[float],
    *,
    grouped: bool,
) -> float | None:
    """Choose from which signal on pairs are learned from, as low as matches can be told apart.

    There are five non-matching pairs for a record from there, or fewer, where among so many a
    small difference between the files outweighs the matches. With one group there is little to
    learn from fewer.

    Args:
        signals: Of the pairs between files, then of those within each.
        shares: For how many pairs between each of these pairs stands.
        records: Number of records of each file of the latter.
        grouped: Whether there are several groups.

    Returns:
        None where there are not enough matches to learn from.
    """
    for per_record in _PER_RECORD if grouped else _PER_RECORD[:1]:
        low = _reached(per_record, records, signals[1:])
        above = [signal >= low for signal in signals]
        counts = np.array([some.sum() for some in above], np.float64)
        weights = np.array([share[some].sum() for share, some in zip(shares, above, strict=True)])
        spread = np.sqrt((weights**2 / np.clip(counts, 1, _MOST_COUNTED)).sum())
        if weights[0] - weights[1:].sum() >= max(_LEAST_EXCESS, 2 * spread):
            return low
    return None


def _reached(
    per_record: float, records: Sequence[float], signals: Sequence[NDArray[np.float64]]
) -> float:
    """Find the signal that no more than so many pairs for a record reach, within any file."""
    return max(
        _reached_by(int(per_record * n), signal) for n, signal in zip(records, signals, strict=True)
    )


def _reached_by(most: int, signal: NDArray[np.float64]) -> float:
    """Find the signal that so many pairs reach; none if there are no more."""
    if len(signal) <= most:
        return -np.inf
    return float(np.partition(signal, len(signal) - most)[len(signal) - most])


def _odds_of_match(
    features: NDArray[np.float64],
    positive: NDArray[np.bool_],
    weight: NDArray[np.float64],
    ridge: NDArray[np.float64],
    expected: NDArray[np.float64],
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Fit the log-odds z that a pair between is a match; the constant comes first.

    Pairs between are non-matches, as many as within, and matches on top: the odds of "between" are
    1 + exp(z). Where features say much against a pair, these are 1 whatever z is, so that z may go
    on falling as a sum of weights does, while a logistic regression would have to bend.

    Args:
        features: (p, f) standardised.
        positive: (p,) which pairs are between.
        weight: (p,) importance weights.
        ridge: (f,) how strongly each coefficient is drawn to what is expected.
        expected: (f + 1,) coefficients.
        start: (f + 1,) where the fit begins; at what is expected if None.
    """

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        gradient = np.empty(len(at))
        value = odds_of_match(features, positive, weight, at, gradient)
        away = at[1:] - expected[1:]
        gradient[1:] += ridge * away
        return value + float(ridge @ away**2) / 2, gradient

    # It is not convex; from a logistic regression it came to the same wherever that was tried.
    fit = minimize(
        loss,
        expected if start is None else start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS},
    )
    found: NDArray[np.float64] = fit.x
    return found
