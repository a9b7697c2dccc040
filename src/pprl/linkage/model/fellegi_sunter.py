"""Fellegi-Sunter weights of encoded fields, for files that carry a filter of each.

Each field of a pair agrees to some level, from nothing to equality; a field that one of the two
records lacks says nothing. The weight of a level is the logarithm of m / u: how often
matches have it, and how often non-matches do (Fellegi and Sunter, A Theory for Record Linkage,
Journal of the American Statistical Association 64, 1969).

- u is counted on random pairs of records; that of equality from how often each filter is there.
- m is estimated by expectation and maximisation over one-to-one links, in which the expectation is
  not the model's own: how many of the links at a score are false is told by the pairs of
  non-matches within the files. A model that counts one move four times believes in itself too much.
- Equality of a value that many have says less than that of a rare one: where two filters are
  equal, u is the share of records that have this one. It needs no more than equal filters for
  equal values, and so stands in the way of no hardening that leaves them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from pprl.exchange.encodings import EncodingInfo
from pprl.linkage.assignment import one_to_one
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.local_fdr import count_reaching, local_precision, rising
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.comparison_vectors import View

EDGES = np.array([0.15, 0.35, 0.55, 0.7, 0.85, 0.9999])
"""Contrasts at which a level begins; level 0 is for what is missing, 1 for no agreement."""
LEVELS = len(EDGES) + 2
_EQUAL = LEVELS - 1
_ROUNDS = 8
_SAMPLE = 400_000
_LEAST_MATCHES = 50.0
_PRIOR = 1.0
_NONE = 1e-7
_COUNTED = 10
"""A value that so many records have has a share of its own; rarer ones have one together."""
_MOST = 6.0
"""How much a value's share moves the weight of equality, at most; in natural logarithms."""

_CHUNK = 1 << 16

_Values = NDArray[np.float64]
_Rows = NDArray[np.int64]


def can_be_added(info: EncodingInfo) -> bool:
    """Tell whether no field is in two groups, so that weights of groups may be added up."""
    fields = [name for group in info.groups for name in info.weights.get(group, {})]
    return len(info.groups) > 1 and len(fields) == len(set(fields)) and len(fields) > 0


@dataclass(frozen=True, eq=False)
class Shares:
    """What it adds to the weight of equality how many records have the same filter.

    Attributes:
        prints: For each group, rising, the fingerprints of filters that ten records or more have.
        gains: For each group, what each of these adds, and last what all others do.
    """

    prints: tuple[NDArray[np.uint64], ...]
    gains: tuple[_Values, ...]

    @classmethod
    def of(cls, view: View, sides: Sequence[Side]) -> tuple[Shares, _Values]:
        """Count the filters of files; and say how likely two records have the same: (groups,)."""
        each = [side.fingerprints[: len(side.words)] for side in sides]
        prints, gains, equal = [], [], []
        for group in range(len(view.chance)):
            filled = [
                one[side.sizes[: len(one), group] > 0, group]
                for one, side in zip(each, sides, strict=True)
            ]
            found, counts = np.unique(np.concatenate(filled), return_counts=True)
            share = counts / max(counts.sum(), 1)
            chance = max(float((share**2).sum()), _NONE)
            often = counts >= _COUNTED
            rare = share[~often]
            # Of the records with a rare value, on average, as the chance is of all records.
            typical = float((rare**2).sum() / rare.sum()) if len(rare) else _NONE
            gain = np.log(chance / np.append(share[often], typical))
            prints.append(found[often])
            gains.append(np.clip(gain, -_MOST, _MOST))
            equal.append(chance)
        return cls(tuple(prints), tuple(gains)), np.array(equal)

    def added(self, side: Side) -> _Values:
        """Return what equality adds in each row of a file: (n, groups)."""
        columns = []
        for own, prints, gains in zip(side.fingerprints.T, self.prints, self.gains, strict=True):
            place = np.searchsorted(prints, own)
            known = np.append(prints, np.uint64(0))[place] == own
            columns.append(gains[np.where(known, place, len(prints))])
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class FieldWeights:
    """What agreement of each field to each level says.

    Attributes:
        view: How pairs are described.
        weights: (groups, LEVELS) natural logarithm of m / u, not falling from level 1 on.
        shares: How many records have each filter; None where those at hand are to be counted.
    """

    view: View
    weights: _Values
    shares: Shares | None

    @classmethod
    def learn(
        cls, view: View, between: ComparedPairs, within: Sequence[ComparedPairs]
    ) -> FieldWeights | None:
        """Estimate m and u from the more similar pairs, and from pairs taken at random.

        Returns:
            None where fewer than 50 matches can be told from non-matches.
        """
        shares, equal = Shares.of(view, _distinct(between))
        u = _chances(view, between, equal)
        samples = [between, *within]
        levels = [_level(view, one) for one in samples]
        added = [_added(one, shares, level) for one, level in zip(samples, levels, strict=True)]
        scores = [one.pairs.similarity for one in samples]
        stands = np.concatenate([one.weight for one in within])
        groups = np.arange(len(u))
        weights = np.zeros(u.shape)
        for _ in range(_ROUNDS):
            chosen = _one_to_one(between, scores[0])
            true = _chance_true(scores[0][chosen], np.concatenate(scores[1:]), stands)
            if true.sum() < _LEAST_MATCHES:
                return None
            weights = _weights(levels[0][chosen], true, u)
            scores = [
                weights[groups, level].sum(axis=1) + more
                for level, more in zip(levels, added, strict=True)
            ]
        return cls(view, weights, shares)

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.weights) + 5

    def for_files(self, x: Side, y: Side) -> FieldWeights:
        """Count how many records have each filter, where that is not known."""
        if self.shares is not None:
            return self
        return replace(self, shares=Shares.of(self.view, [x] if x is y else [x, y])[0])

    def score(self, some: ComparedPairs) -> _Values:
        """Add up what the fields of pairs of records say: (p,)."""
        out = np.empty(len(some))
        known = self.for_files(some.left, some.right)
        for start in range(0, len(some), _CHUNK):
            part = slice(start, start + _CHUNK)
            out[part] = known.field_weights(some.take(part)).sum(axis=1)
        return out

    def features(self, some: ComparedPairs) -> _Values:
        """Describe pairs of two files: (p, width).

        The sum of what the fields say, what speaks for the pair, what against it, the strongest of
        either, and each field.
        """
        said = self.for_files(some.left, some.right).field_weights(some)
        sums = [one.sum(axis=1) for one in (said, np.maximum(said, 0.0), np.minimum(said, 0.0))]
        return np.stack([*sums, said.max(axis=1), said.min(axis=1), *said.T], axis=1)

    def field_weights(self, some: ComparedPairs) -> _Values:
        """Weigh the fields of pairs: (p, groups)."""
        assert self.shares is not None  # noqa: S101
        level = _level(self.view, some)
        said: _Values = self.weights[np.arange(len(self.weights)), level]
        added = self.shares.added(some.left)
        return said + np.where(level == _EQUAL, added[some.rows[0]], 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: no filters, nor how many records have them."""
        return {"weights": self.weights.tolist()}

    @classmethod
    def from_dict(cls, view: View, said: Mapping[str, Any]) -> FieldWeights:
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        weights = np.asarray(said["weights"], np.float64)
        if weights.shape != (len(view.chance), LEVELS) or not np.isfinite(weights).all():
            raise ValueError("no weights of fields")
        return cls(view, weights, None)


def _distinct(between: ComparedPairs) -> list[Side]:
    one, other = between.left, between.right
    return [one] if one is other else [one, other]


def _level(view: View, some: ComparedPairs) -> NDArray[np.int64]:
    """Say to which level rows agree: (p, groups)."""
    left, right = some.rows
    level = 1 + np.searchsorted(EDGES, view.contrast(some), side="right")
    return np.where((some.left.sizes[left] > 0) & (some.right.sizes[right] > 0), level, 0)


def _added(some: ComparedPairs, shares: Shares, level: NDArray[np.int64]) -> _Values:
    """Add up what equality adds in the fields of pairs that are equal: (p,)."""
    added = shares.added(some.left)[some.rows[0]]
    total: _Values = np.where(level == _EQUAL, added, 0.0).sum(axis=1)
    return total


def _chances(view: View, between: ComparedPairs, equal: _Values) -> _Values:
    """Estimate u from random pairs: (groups, LEVELS), 1 for what is missing."""
    rng = np.random.default_rng(0)
    x, y = between.left, between.right
    left, right = (rng.integers(len(side.words), size=_SAMPLE) for side in (x, y))
    # Rows, whatever records they are of.
    some = ComparedPairs.of(
        replace(x, starts=None), replace(y, starts=None), Pairs(left, right, np.empty(_SAMPLE))
    )
    level = _level(view, some)
    counts = [np.bincount(one, minlength=LEVELS) for one in level.T]
    u = np.stack(counts).astype(np.float64) + 0.5
    u[:, 1:] /= u[:, 1:].sum(axis=1, keepdims=True)
    u[:, 0], u[:, _EQUAL] = 1.0, equal
    return u


def _one_to_one(between: ComparedPairs, score: _Values) -> NDArray[np.int64]:
    """Choose links, and put the places of the best first."""
    pairs = replace(between.pairs, similarity=score)
    n_left, n_right = (int(side.max(initial=-1)) + 1 for side in (pairs.left, pairs.right))
    chosen = one_to_one(pairs, n_left, n_right)
    return chosen[np.argsort(-score[chosen], kind="stable")]


def _chance_true(ranked: _Values, non_matches: _Values, stands: _Values) -> _Values:
    """Estimate how likely each link, best first, is true: not rising."""
    false = count_reaching(non_matches, ranked, stands).astype(np.float64)
    local = local_precision(rising(false))
    falling: _Values = np.minimum.accumulate(np.clip(local, 0.0, 1.0))
    return falling


def _weights(level: NDArray[np.int64], true: _Values, u: _Values) -> _Values:
    """Estimate m from links, and from it the weights.

    Levels that would say less than a lower one are taken together with it.
    """
    weights = np.zeros(u.shape)
    for at, chance in enumerate(u[:, 1:]):
        m = np.bincount(level[:, at], true, minlength=LEVELS)[1:] + _PRIOR * chance
        ratio = isotonic_regression(m / m.sum() / chance, weights=chance).x
        weights[at, 1:] = np.log(ratio)
    return weights
