"""Precision and recall at other thresholds: as estimated, and against a truth."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from pprl.evaluation.quality import wilson
from pprl.evaluation.report.model import Bin, Cut, Figure, Similarities
from pprl.evaluation.report.suppression import coarsen

ROWS = 40
"""About how many thresholds are reported."""
_MODEL_ERROR = 0.01  # as of `pprl.linkage.decision.decide`, whose interval this is


def estimated_cuts(curve: pa.Table, links: int, least: int) -> tuple[list[Cut], float | None]:
    """Estimate precision at other cuts, and how many true links lie below the one that is used.

    Args:
        curve: ``score, links, expected_false``, falling score.
        links: Links at the cut that is used.
        least: Cuts differ by at least so many links.

    Returns:
        The cuts, from high to low, and the estimated true links below the one that is used,
        None where the curve does not reach below it.
    """
    count, false = (curve[name].to_numpy() for name in ("links", "expected_false"))
    score = curve["score"].to_numpy()
    if not len(count):
        return [], None
    true = np.maximum.accumulate(count - false)
    used = int(np.searchsorted(count, links))
    cuts = []
    for at in _apart(count, min(used, len(count) - 1), least):
        precision = _precision(int(count[at]), float(false[at]))
        found = min(float(true[at] / true[-1]), 1.0) if true[-1] > 0 else None
        cuts.append(
            Cut(
                threshold=_short(score[at]),
                links=int(count[at]),
                precision=precision,
                recall=None,
                found=None if found is None else round(found, 4),
            )
        )
    if used >= len(count) - 1:
        return cuts, None
    return cuts, round(float(true[-1] - true[used]), 1)


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
                found=None,
            )
        )
    return cuts


def pair_cuts(similarities: pa.Table, least: int) -> list[Cut]:
    """Count the pairs at or above thresholds, where nothing more is known."""
    low = similarities["similarity"].to_numpy()
    order = np.argsort(-low)
    low, count = low[order], np.cumsum(similarities["pairs"].to_numpy()[order])
    return [
        Cut(
            threshold=_short(low[at]), links=int(count[at]), precision=None, recall=None, found=None
        )
        for at in _apart(count, len(count) - 1, least)
    ]


def bins(similarities: pa.Table, least: int) -> Similarities | None:
    """Merge bins of similarity until none has few pairs, of links and of others each.

    Returns None where all of either are few.
    """
    order = np.argsort(similarities["similarity"].to_numpy())
    low, pairs, links = (
        similarities[name].to_numpy()[order] for name in ("similarity", "pairs", "links")
    )
    width = float(np.diff(low).min()) if len(low) > 1 else 0.005
    found = {}
    for name, counts in (("links", links), ("others", pairs - links)):
        parts = coarsen(counts[:, np.newaxis], least)
        if counts.any() and not parts:
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


def figure(successes: int, trials: int) -> Figure:
    """Estimate a proportion with its Wilson interval, rounded for a report."""
    found = wilson(successes, trials)
    return Figure(value=round(found.value, 4), low=round(found.low, 4), high=round(found.high, 4))


def _precision(links: int, false: float) -> Figure:
    value = min(max(1 - false / max(links, 1), 0.0), 1.0)
    spread = 2 * math.sqrt(value * (1 - value) / max(links, 1) + _MODEL_ERROR**2)
    return Figure(
        value=round(value, 4),
        low=round(max(value - spread, 0.0), 4),
        high=round(min(value + spread, 1.0), 4),
    )


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
