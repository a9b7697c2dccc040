"""Ranking the candidate links of two files and cutting them where no truth is known."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pprl.exchange.encodings import Encodings
from pprl.linkage.compare import Pairs, Progress, scored_pairs
from pprl.linkage.match import match
from pprl.linkage.score import with_margin
from pprl.linkage.threshold import (
    Cut,
    best_partner,
    find_cut,
    find_floor,
    without_duplicates,
)

_MODEL_ERROR = 0.01


@dataclass(frozen=True)
class Figure:
    """An estimate with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What is known of the links without a truth.

    Attributes:
        precision: Estimated precision. Its interval carries the sampling error and one
            point of model error, twice; it is a working range, its coverage was not
            calibrated. None where there are no links.
        false_links: Expected number of false links.
    """

    precision: Figure | None
    false_links: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``estimate.json``."""
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """Candidate links, best score first, and how many of them to keep.

    Attributes:
        ranked: One-to-one pairs with their Dice similarity, best score first.
        cut: How many to keep.
        floor: The similarity from which pairs were looked at.
    """

    ranked: Pairs
    cut: Cut
    floor: float

    @property
    def kept(self) -> Pairs:
        """The links, best score first."""
        return self.ranked.take(np.arange(self.cut.links))

    @property
    def estimate(self) -> Estimate:
        """What is estimated of the links."""
        links, false = self.cut.links, self.cut.false_links
        if not links:
            return Estimate(None, 0.0)
        precision = 1 - false / links
        # Sampling, and a point for what the method itself has been seen to err by.
        spread = 2 * math.sqrt(precision * (1 - precision) / links + _MODEL_ERROR**2)
        low, high = max(precision - spread, 0.0), min(precision + spread, 1.0)
        return Estimate(Figure(precision, low, high), false)


def decide(
    a: Encodings, b: Encodings, *, workers: int | None = None, progress: Progress | None = None
) -> Decision:
    """Rank the pairs of two files by Dice with margin, and find where to cut.

    The files must have been checked by `check_compatible`.
    """
    n_a, n_b = a.info.records, b.info.records
    floor = find_floor(a, b)
    pairs = scored_pairs(a, b, floor, workers=workers, progress=progress)
    scored = with_margin(pairs, n_a, n_b, floor)
    place = _places(match(scored, n_a, n_b, "one-to-one"), scored, n_b)
    place = place[np.argsort(-scored.similarity[place], kind="stable")]
    nulls = []
    for file, ends in ((a, (pairs.left, pairs.right)), (b, (pairs.right, pairs.left))):
        n = file.info.records
        partner, best = best_partner(*ends, pairs.similarity, n)
        own = scored_pairs(file, None, floor, workers=workers, progress=progress)
        within = without_duplicates(own, partner, best)
        nulls.append(with_margin(within, n, n, floor, within=True))
    cut = find_cut(scored.similarity[place], nulls[0], nulls[1], n_a, n_b)
    return Decision(pairs.take(place), cut, floor)


def _places(chosen: Pairs, among: Pairs, n_right: int) -> np.ndarray:
    """Return where the chosen pairs stand among all, both in order of left and right."""
    return np.searchsorted(among.left * n_right + among.right, chosen.left * n_right + chosen.right)
