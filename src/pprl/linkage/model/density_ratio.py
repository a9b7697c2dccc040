"""Weighing CLK groups and missing fields, learned from the files themselves.

With several groups in a CLK, a pair may agree in one and not in another: somebody moved, or
two people share a household. How much each kind of agreement says is not known beforehand, and
there is no truth to learn it from. But the files tell: pairs *between* two files are matches and
strangers, pairs *within* a file without duplicates are strangers only. How much more
often features are seen between than within is a density ratio (Sugiyama, Suzuki and Kanamori,
Density Ratio Estimation in Machine Learning, 2012, section 4), which only matches raise above
one: what it exceeds one by are the odds of a match. Their logarithm, linear in the features, is
the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.model.comparison_vectors import Side, View
from pprl.linkage.model.fellegi_sunter import FieldWeights, Sample, can_be_added

_RIDGE, _STRONG_RIDGE = 1.0, 10.0
_LEAST_SCALE = 0.02
_STEPS = 500
_PER_RECORD = (5.0, 2.0, 1.0, 0.5, 0.2)
_LEAST_EXCESS = 50.0
_LEARNED_FROM = 1 << 18


@dataclass(frozen=True)
class Evidence:
    """Log-odds that a pair is a match, less what strangers reach.

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
        left = Side.of(x, self.view)
        right = left if y is x else Side.of(y, self.view)
        return Pairs(pairs.left, pairs.right, self.odds(left, right, pairs))

    def odds(self, x: Side, y: Side, pairs: Pairs) -> NDArray[np.float64]:
        """Return the evidence of pairs of records: (p,)."""
        features = _features(self.view, self.fields, x, y)

        def describe(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
            standard = (features(left, right) - self.mean) / self.scale
            odds: NDArray[np.float64] = self.weights[0] + standard @ self.weights[1:]
            return odds

        return self.view.in_chunks(describe, x, y, pairs)


@dataclass(frozen=True)
class Strangers:
    """Pairs of records that are of different people, and what they stand for.

    Attributes:
        file: Encodings of the records.
        pairs: The more similar pairs within files, without duplicates of a person.
        odds: (p,) for how many pairs of records between the files each stands.
    """

    file: Encodings
    pairs: Pairs
    odds: NDArray[np.float64]


def learn(
    a: Encodings,
    b: Encodings,
    between: Pairs,
    within: Sequence[Strangers],
    counts: NDArray[np.float64],
) -> Evidence:
    """Learn what sets pairs between files apart from pairs within them.

    Args:
        a: Encodings of the left records.
        b: Encodings of the right records.
        between: The more similar pairs between files.
        within: As similar pairs of strangers, from one file or several.
        counts: (p,) for how much each pair between counts beside these.
    """
    view = View.of(a, b)
    left = Side.of(a, view)
    right = left if b is a else Side.of(b, view)
    # Within there are as many pairs as there would be between if nobody were in both files.
    samples = [Sample(left, right, between, counts)]
    for known in within:
        side = left if known.file is a else right if known.file is b else Side.of(known.file, view)
        samples.append(Sample(side, side, known.pairs, known.odds))
    signals = [view.signal(one.left, one.right, one.pairs) for one in samples]
    records = [known.file.info.records for known in within]
    fields = None
    if can_be_added(a.info):
        least = _reached(_PER_RECORD[0], records, signals[1:])
        near = [one.take(signal >= least) for one, signal in zip(samples, signals, strict=True)]
        fields = FieldWeights.learn(view, near[0], near[1:])
    if fields is not None:
        signals = [fields.score(one.left, one.right, one.pairs) for one in samples]
    shares = [one.stands for one in samples]
    low = _level(signals, shares, records, grouped=len(view.chance) > 1)
    if low is None:
        plain = np.zeros(view.width + 1)
        plain[1] = 1.0
        return Evidence(view, np.zeros(view.width), np.ones(view.width), plain, learned=False)
    parts, weights = [], []
    rng = np.random.default_rng(0)
    for one, signal in zip(samples, signals, strict=True):
        x, y, chosen = one.left, one.right, np.flatnonzero(signal >= low)
        every = len(chosen)
        if every > _LEARNED_FROM:
            chosen = np.sort(rng.choice(chosen, _LEARNED_FROM, replace=False))
        parts.append(view.in_chunks(_features(view, fields, x, y), x, y, one.pairs.take(chosen)))
        weights.append(one.stands[chosen] * (every / max(len(chosen), 1)))
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
    found = _odds_of_match((features - mean) / scale, is_between, weight, ridge, expected)
    evidence = Evidence(view, mean, scale, found, learned=True, fields=fields)
    strangers = [evidence.odds(one.left, one.right, one.pairs) for one in samples[1:]]
    least = min((odds.min() for odds in strangers if len(odds)), default=0.0)
    # What so many strangers reach makes no rival: it is nought from here on.
    nought = max(_reached(_PER_RECORD[0], records, strangers), least)
    return replace(evidence, weights=np.append(found[0] - nought, found[1:]))


def _features(
    view: View, fields: FieldWeights | None, x: Side, y: Side
) -> Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]:
    seen = view.features(x, y)
    if fields is None:
        return seen
    said = fields.features(x, y)
    return lambda left, right: np.hstack([seen(left, right), said(left, right)])


def _level(
    signals: Sequence[NDArray[np.float64]],
    shares: Sequence[NDArray[np.float64]],
    records: Sequence[int],
    *,
    grouped: bool,
) -> float | None:
    """Choose from which signal on pairs are learned from, as low as matches can be told apart.

    There are five pairs of strangers for a record from there, or fewer, where among so many a
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
        spread = np.sqrt((weights**2 / np.clip(counts, 1, _LEARNED_FROM)).sum())
        if weights[0] - weights[1:].sum() >= max(_LEAST_EXCESS, 2 * spread):
            return low
    return None


def _reached(
    per_record: float, records: Sequence[int], signals: Sequence[NDArray[np.float64]]
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
) -> NDArray[np.float64]:
    """Fit the log-odds z that a pair between is a match; the constant comes first.

    Pairs between are strangers, as many as within, and matches on top: the odds of "between" are
    1 + exp(z). Where features say much against a pair, these are 1 whatever z is, so that z may go
    on falling as a sum of weights does, while a logistic regression would have to bend.

    Args:
        features: (p, f) standardised.
        positive: (p,) which pairs are between.
        weight: (p,) for how many each stands.
        ridge: (f,) how strongly each coefficient is drawn to what is expected.
        expected: (f + 1,) coefficients.
    """

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = features @ at[1:] + at[0]
        both = np.logaddexp(np.log(2.0), z)
        value = float(weight @ (both - np.where(positive, np.logaddexp(0.0, z), 0.0)))
        pull = weight * (expit(z - np.log(2.0)) - np.where(positive, expit(z), 0.0))
        away = at[1:] - expected[1:]
        gradient = np.append(pull.sum(), pull @ features + ridge * away)
        return value + float(ridge @ away**2) / 2, gradient

    # It is not convex; from a logistic regression it came to the same wherever that was tried.
    fit = minimize(loss, expected, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    found: NDArray[np.float64] = fit.x
    return found
