"""Pictures of similarities, thresholds and error rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from pprl.errors import UsageError
from pprl.evaluation.plots._drawing import (
    FAINT,
    INK,
    LINKS,
    SERIES,
    no_minor_ticks,
    percent,
    picture,
    style,
    whole,
)
from pprl.evaluation.plots._given import Run, as_numbers, as_report, is_run
from pprl.evaluation.report.curves import bins, true_cuts
from pprl.evaluation.report.model import Cut, LinkageReport, Similarities
from pprl.exchange.links import Links

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_BIN = 0.005


def similarity_distribution(
    data: Run | Links | ArrayLike,
    linked: ArrayLike | None = None,
    *,
    threshold: float | None = None,
) -> Figure:
    """Draw how many pairs, and how many links, there are at each similarity.

    Args:
        data: A report, a result, links, or a run's folder; or (n,) similarities of pairs.
        linked: (n,) true where a pair is a link.
        threshold: Where links begin; a report knows it.

    Raises:
        UsageError: The report has no similarities.
    """
    false = None
    if is_run(data):
        data = as_report(data)
        if data.results.similarities is None:
            raise UsageError("the report has no similarities.")
        found, threshold = data.results.similarities, data.matching.threshold
        estimate = next((one for one in data.error_rates if one.method == "estimate"), None)
        false = (estimate.counts or {}).get("false_links") if estimate else None
    else:
        numbers = as_numbers(data)
        chosen = np.ones(len(numbers), bool) if isinstance(data, Links) else linked
        drawn = bins(_histogram(numbers, chosen), 0)
        found = drawn or Similarities(links=[], others=[])
    with style():
        figure, (axes,) = picture(3.4)
        ends, top = [], 1.0
        for name, parts, colour in (
            ("other pairs", found.others, FAINT),
            ("links", found.links, LINKS),
        ):
            low, high, pairs = (
                np.array([getattr(one, part) for one in parts]) for part in ("low", "high", "pairs")
            )
            if not len(low):
                continue
            height = pairs * _BIN / (high - low)
            axes.bar(low, height, high - low, align="edge", color=colour, alpha=0.85, label=name)
            top = max(top, float(height.max()))
            ends += [low.min(), high.max()]
        axes.set_yscale("symlog", linthresh=1)
        axes.set(ylim=(0, 60 * top), xlim=(min(ends, default=0.0), 1.005))
        axes.yaxis.set_major_formatter(whole)
        no_minor_ticks(axes)
        axes.set(xlabel="Dice similarity", title=f"pairs in each {_BIN:g} of similarity")
        if threshold is not None and threshold <= 1:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
            # The arrow points at the links, of which this is told.
            said = "" if false is None else f"\N{RIGHTWARDS ARROW} about {false:,.0f} false links"
            left, right = axes.get_xlim()
            side = "left" if threshold < (left + right) / 2 else "right"
            shift = 0.012 * (right - left) * (1 if side == "left" else -1)
            where = threshold + shift, axes.get_ylim()[1]
            axes.text(*where, said, ha=side, va="top", color=INK)
        figure.legend(loc="outside lower left", ncols=2, handlelength=1)
        return figure


def precision_recall(
    data: Run | Links | ArrayLike, hit: ArrayLike | None = None, true_pairs: int | None = None
) -> Figure:
    """Draw precision by recall, measured against a truth.

    Args:
        data: A report, a result or a run's folder; or links or (n,) their similarities.
        hit: (n,) true where a link is a true pair.
        true_pairs: Number of true pairs.

    Raises:
        UsageError: There is no truth.
    """
    if is_run(data):
        data = as_report(data)
    _, true = _curves(data, hit, true_pairs)
    if not true:
        raise UsageError("recall needs a truth, and the report has none.")
    with style():
        figure, (axes,) = picture(3.3)
        axes.grid(True, axis="x")
        points = [(cut.recall.value, cut.precision) for cut in true if cut.recall is not None]
        x, y, low, high = _band(points)
        axes.fill_between(x, low, high, color=SERIES[0], alpha=0.18, linewidth=0)
        axes.plot(x, y, color=SERIES[0], marker="." if len(x) < 3 else "")
        lowest = min(0.97, float(low.min()))
        axes.set(xlim=(0, 1.01), ylim=(max(0.0, lowest - 0.02), 1.005), xlabel="recall")
        axes.set_title("precision against the truth, with intervals")
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        return figure


def threshold_sensitivity(
    data: Run | Links | ArrayLike,
    hit: ArrayLike | None = None,
    true_pairs: int | None = None,
    *,
    against_truth: bool | None = None,
) -> Figure:
    """Draw the links, and their precision and recall, at other thresholds.

    Args:
        data: A report, a result or a run's folder; or links or (n,) their similarities.
        hit: (n,) true where a link is a true pair.
        true_pairs: Number of true pairs.
        against_truth: Draw the measured figures, not the estimated ones; by default only
            where nothing was estimated.

    Raises:
        UsageError: There is no curve.
    """
    if is_run(data):
        data = as_report(data)
    estimated, true = _curves(data, hit, true_pairs)
    measured = not estimated if against_truth is None else against_truth
    cuts = true if measured else estimated
    if not cuts:
        raise UsageError("the report has no such results at other thresholds.")
    chosen = data.sensitivity.chosen if isinstance(data, LinkageReport) else None
    if measured and isinstance(data, LinkageReport):
        chosen = data.matching.threshold
    x = np.array([cut.threshold for cut in cuts])
    with style():
        figure, (upper, lower) = _stacked()
        lowest = 1.0
        for name, figures, colour in (
            ("precision", [cut.precision for cut in cuts], SERIES[1]),
            ("recall", [cut.recall for cut in cuts], SERIES[0]),
        ):
            at, y, low, high = _band(list(zip(x.tolist(), figures, strict=True)))
            if len(at):
                upper.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
                upper.plot(at, y, color=colour, label=name)
                lowest = min(lowest, float(low.min()))
        upper.set_ylim(max(0.0, lowest - 0.02), 1.005)
        upper.yaxis.set_major_formatter(percent)
        upper.set_title("measured, with intervals" if measured else "estimated, with intervals")
        upper.legend(loc="lower center", ncols=2)
        lower.plot(x, [cut.links for cut in cuts], color=INK)
        lower.set_ylim(bottom=0)
        lower.yaxis.set_major_formatter(whole)
        lower.set_title("links at or above the threshold")
        lower.set_xlabel("Dice similarity" if measured else "score, without a unit")
        if chosen is not None:
            for axes in (upper, lower):
                axes.axvline(chosen, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        return figure


def _histogram(similarity: np.ndarray, linked: ArrayLike | None) -> pa.Table:
    last = round(1 / _BIN)
    number = np.clip((similarity / _BIN + 1e-9).astype(np.int64), 0, last)
    chosen = np.zeros(len(number), bool) if linked is None else np.asarray(linked, bool)
    pairs, links = (np.bincount(part, minlength=last + 1) for part in (number, number[chosen]))
    first = int(np.flatnonzero(pairs)[0]) if len(number) else 0
    return pa.table(
        {
            "similarity": (np.arange(last + 1) * _BIN)[first:],
            "pairs": pairs[first:],
            "links": links[first:],
        }
    )


def _curves(
    data: object, hit: ArrayLike | None, true_pairs: int | None
) -> tuple[list[Cut], list[Cut]]:
    if isinstance(data, LinkageReport):
        found = data.sensitivity.estimated or [], data.sensitivity.against_truth or []
        if not any(found):
            raise UsageError("the report has no results at other thresholds.")
        return found
    numbers = as_numbers(data)
    if hit is None or true_pairs is None:
        raise UsageError("similarities need hit and true_pairs beside them.")
    return [], true_cuts(numbers, np.asarray(hit, bool), true_pairs, 0)


def _band(points: Sequence[tuple[float, Any]]) -> tuple[np.ndarray, ...]:
    rows = [(x, one.value, one.low, one.high) for x, one in points if one is not None]
    return tuple(np.array(rows, float).reshape(-1, 4).T)


def _stacked() -> tuple[Figure, list[Axes]]:
    figure, (axes,) = picture(4.4)
    axes.remove()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    return figure, [upper, lower]
