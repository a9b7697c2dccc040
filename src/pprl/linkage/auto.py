"""Ranking the candidate links of two files and cutting them where no truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pprl.exchange.encodings import Encodings
from pprl.linkage.compare import Pairs
from pprl.linkage.match import match
from pprl.linkage.score import with_margin
from pprl.linkage.threshold import (
    Cut,
    best_partner,
    find_cut,
    find_floor,
    neighbours,
    without_duplicates,
)


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
        """The links."""
        return self.ranked.take(np.arange(self.cut.links))


def decide(a: Encodings, b: Encodings, *, workers: int | None = None) -> Decision:
    """Rank the pairs of two files by Dice with margin, and find where to cut.

    The files must have been checked by `check_compatible`.
    """
    n_a, n_b = a.info.records, b.info.records
    floor = find_floor(a, b)
    pairs = neighbours(a, b, floor, workers)
    scored = with_margin(pairs, n_a, n_b, floor)
    place = _places(match(scored, n_a, n_b, "one-to-one"), scored, n_b)
    place = place[np.argsort(-scored.similarity[place], kind="stable")]
    nulls = []
    for file, ends in ((a, (pairs.left, pairs.right)), (b, (pairs.right, pairs.left))):
        n = file.info.records
        partner, best = best_partner(*ends, pairs.similarity, n)
        within = without_duplicates(neighbours(file, None, floor, workers), partner, best)
        nulls.append(with_margin(within, n, n, floor, within=True))
    cut = find_cut(scored.similarity[place], nulls[0], nulls[1], n_a, n_b)
    return Decision(pairs.take(place), cut, floor)


def _places(chosen: Pairs, among: Pairs, n_right: int) -> np.ndarray:
    """Return where the chosen pairs stand among all, both in order of left and right."""
    return np.searchsorted(among.left * n_right + among.right, chosen.left * n_right + chosen.right)
