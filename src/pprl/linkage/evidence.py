"""Weighing CLK groups and missing fields, learned from the files themselves.

With several groups in a CLK, a pair may agree in one and not in another: somebody moved, or
two people share a household. How much each kind of agreement says is not known beforehand, and
there is no truth to learn it from. But the files tell: pairs *between* two files are matches and
strangers, pairs *within* a file without duplicates are strangers only. A logistic regression
of "between" against "within" learns what sets matches apart; its log-odds are the score.
They are the logarithm of a density ratio (Sugiyama, Suzuki and Kanamori, Density Ratio
Estimation in Machine Learning, 2012, section 4), which only matches raise above nought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pprl.exchange.encodings import Encodings
from pprl.linkage.pairs import Pairs
from pprl.linkage.signals import Side, View

_RIDGE = 10.0
_PER_RECORD = 5
_LEAST_EXCESS = 50.0
_LEARNED_FROM = 1 << 21


@dataclass(frozen=True)
class Evidence:
    """Log-odds that a pair is one between files, not one within.

    Attributes:
        view: How pairs are described.
        mean, scale: (features,) what features are standardised with.
        weights: (features + 1,) the constant, then a weight for each feature.
        learned: Whether there were enough matches to learn from; if not, only the
            signal counts.
    """

    view: View
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    learned: bool

    def score(self, x: Encodings, y: Encodings, pairs: Pairs) -> Pairs:
        """Give pairs of records their evidence for similarity."""
        features = self.view.features(Side.of(x, self.view), Side.of(y, self.view), pairs)
        score = self.weights[0] + (features - self.mean) / self.scale @ self.weights[1:]
        return Pairs(pairs.left, pairs.right, score)


def learn(
    a: Encodings, b: Encodings, between: Pairs, within: Sequence[tuple[Encodings, Pairs]]
) -> Evidence:
    """Learn what sets pairs between two files apart from pairs within them.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder.
        between: The more similar pairs between the files.
        within: One or both of the files, each with those of its own pairs that are as
            similar, without duplicates of a person.
    """
    view = View.of(a, b)
    kinds = [(Side.of(a, view), Side.of(b, view), between)]
    for file, pairs in within:
        side = Side.of(file, view)
        kinds.append((side, side, pairs))
    # As many pairs as there would be between the files if nobody were in both.
    possible = a.info.records * b.info.records
    sizes = [file.info.records for file, _ in within]
    shares = [1.0, *(2 * possible / max(n * (n - 1), 1) / len(within) for n in sizes)]
    signals = [view.signal(*kind) for kind in kinds]
    low = max(_reached_by(_PER_RECORD * n, own) for n, own in zip(sizes, signals[1:], strict=True))
    parts, counts = [], []
    rng = np.random.default_rng(0)
    for kind, signal, share in zip(kinds, signals, shares, strict=True):
        chosen = np.flatnonzero(signal >= low)
        if len(chosen) > _LEARNED_FROM:
            chosen = np.sort(rng.choice(chosen, _LEARNED_FROM, replace=False))
        parts.append(view.features(kind[0], kind[1], kind[2].take(chosen)))
        counts.append(np.full(len(chosen), share * (signal >= low).sum() / max(len(chosen), 1)))
    features, weight = np.concatenate(parts), np.concatenate(counts)
    is_between = np.arange(len(weight)) < len(parts[0])
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    excess = weight[is_between].sum() - weight[~is_between].sum()
    spread = np.sqrt((weight**2).sum())
    if excess < max(_LEAST_EXCESS, 2 * spread):
        plain = np.zeros(features.shape[1] + 1)
        plain[1] = 1.0
        return Evidence(view, np.zeros_like(mean), np.ones_like(scale), plain, learned=False)
    found = _logistic((features - mean) / scale, is_between, weight)
    return Evidence(view, mean, scale, found, learned=True)


def _reached_by(most: int, signal: NDArray[np.float64]) -> float:
    """Find the signal that so many pairs reach; 0 if there are no more."""
    if len(signal) <= most:
        return 0.0
    return float(np.partition(signal, len(signal) - most)[len(signal) - most])


def _logistic(
    features: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a ridge logistic regression to weighted rows; the constant comes first."""
    sign = np.where(positive, 1.0, -1.0)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (features @ at[1:] + at[0])
        value = float(weight @ np.logaddexp(0.0, -margin)) + _RIDGE / 2 * float(at[1:] @ at[1:])
        pull = -weight * sign / (1.0 + np.exp(np.minimum(margin, 700.0)))
        return value, np.append(pull.sum(), pull @ features + _RIDGE * at[1:])

    start = np.zeros(features.shape[1] + 1)
    found: NDArray[np.float64] = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found
