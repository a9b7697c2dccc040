"""Precision and recall at other thresholds: as estimated, and against a truth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pprl.evaluation.quality import wilson
from pprl.evaluation.report.model import Bin, Cut, Figure, Similarities
from pprl.evaluation.report.suppression import coarsen, is_small

ROWS = 40
"""About how many thresholds are reported."""


def estimated_cuts(curve: pa.Table, links: int, least: int) -> list[Cut]:
    """Estimate precision at other cuts, down to the one that is used.

    Below the cut that is used only links are counted: which of them are true is not estimated
    well there, and neither is recall.

    Args:
        curve: ``score, links, expected_false, false_low, false_high``, falling score. Without the
            last two, as earlier versions wrote it, no precision is told.
        links: Links at the cut that is used.
        least: Cuts differ by at least so many links.

    Returns:
        The cuts, from high to low.
    """
    count, score = (curve[name].to_numpy() for name in ("links", "score"))
    if not len(count):
        return []
    known = {"false_low", "false_high"} <= set(curve.column_names)
    false = [
        curve[name].to_numpy() if known else np.zeros(len(count))
        for name in ("expected_false", "false_high", "false_low")
    ]
    used = min(int(np.searchsorted(count, links)), len(count) - 1)
    cuts = []
    for at in _apart(count, used, least):
        value, low, high = (_short(1 - min(part[at] / count[at], 1.0)) for part in false)
        told = known and at <= used
        cuts.append(
            Cut(
                threshold=_short(score[at]),
                links=int(count[at]),
                precision=Figure(value=value, low=low, high=high) if told else None,
                recall=None,
            )
        )
    return cuts


def true_cuts(similarity: np.ndarray, hit: np.ndarray, true_pairs: int, least: int) -> list[Cut]:
    """Measure precision and recall of the links at or above thresholds.

    Args:
        similarity: (n,) of the links.
        hit: (n,) true where a link is a true pair.
        true_pairs: Number of true pairs.
        least: Cuts differ by at least so many links.
    """
    order = np.argsort(-similarity, kind="stable")
    similarity, hits = similarity[order], np.cumsum(hit[order])
    # The last link of each similarity: a threshold cannot divide equals.
    ends = np.flatnonzero(np.append(np.diff(similarity) != 0, True)) if len(order) else order
    cuts = []
    for at in _apart(ends + 1, len(ends) - 1, least):
        count, right = int(ends[at]) + 1, int(hits[ends[at]])
        cuts.append(
            Cut(
                threshold=_short(similarity[ends[at]]),
                links=count,
                precision=figure(right, count),
                recall=figure(right, true_pairs),
            )
        )
    return cuts


def pair_cuts(similarities: pa.Table, least: int) -> list[Cut]:
    """Count the pairs at or above thresholds, where nothing more is known."""
    low = similarities["similarity"].to_numpy()
    order = np.argsort(-low)
    low, count = low[order], np.cumsum(similarities["pairs"].to_numpy()[order])
    return [
        Cut(threshold=_short(low[at]), links=int(count[at]), precision=None, recall=None)
        for at in _apart(count, len(count) - 1, least)
    ]


def bins(similarities: pa.Table, least: int) -> Similarities | None:
    """Merge bins of similarity until none has few pairs, of links and of others each.

    Where all other pairs together are few, only links are shown; see `few_others`. Returns None
    where all links are few.
    """
    order = np.argsort(similarities["similarity"].to_numpy())
    low, pairs, links = (
        similarities[name].to_numpy()[order] for name in ("similarity", "pairs", "links")
    )
    width = float(np.diff(low).min()) if len(low) > 1 else 0.005
    found = {}
    for name, counts in (("links", links), ("others", pairs - links)):
        parts = coarsen(counts[:, np.newaxis], least)
        if name == "links" and counts.any() and not parts:
            return None
        found[name] = [
            Bin(
                low=_short(low[part.start]),
                high=_short(low[part.stop - 1] + width),
                pairs=int(counts[part].sum()),
            )
            for part in parts
            if counts[part].any()
        ]
    return Similarities(**found)


def few_others(similarities: pa.Table | None, least: int) -> bool:
    """Tell whether pairs that are no links are so few that their number is withheld."""
    if similarities is None:
        return False
    pairs, links = (int(similarities[name].to_numpy().sum()) for name in ("pairs", "links"))
    return is_small(pairs - links, least)


def figure(successes: int, trials: int) -> Figure:
    """Estimate a proportion with its Wilson interval, rounded for a report."""
    found = wilson(successes, trials)
    return Figure(value=round(found.value, 4), low=round(found.low, 4), high=round(found.high, 4))


def _apart(count: np.ndarray, kept: int, least: int) -> list[int]:
    """Choose rows whose counts rise by ``least`` or more, from ``least``; ``kept`` among them."""
    if not len(count) or count[kept] < max(least, 1):
        return []
    step = max(least, 1, int(count[-1]) // ROWS)
    rows = [kept]
    while True:
        before = int(np.searchsorted(count, count[rows[-1]] - step, side="right")) - 1
        if before < 0 or count[before] < least:
            break
        rows.append(before)
    rows.reverse()
    while True:
        after = int(np.searchsorted(count, count[rows[-1]] + step))
        if after >= len(count):
            return rows
        rows.append(after)


def _short(value: float) -> float:
    return round(float(value), 4)
