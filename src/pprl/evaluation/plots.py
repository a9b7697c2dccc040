"""The pictures of the linkage report, as functions that return matplotlib figures.

Each takes a report, as `pprl.report` returns it, and so shows nothing that the report withholds;
those that say so take plain arrays or encodings as well. They need ``pip install 'pprl[report]'``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from pprl.errors import UsageError
from pprl.evaluation._drawing import (
    DOUBT,
    FAINT,
    INK,
    LINKS,
    MUTED,
    RULE,
    SERIES,
    percent,
    picture,
    style,
    whole,
)
from pprl.evaluation.report.curves import bins, true_cuts
from pprl.evaluation.report.model import Count, Cut, LinkageReport, Subgroup
from pprl.exchange.encodings import Encodings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "blocking_funnel",
    "completeness",
    "flow",
    "popcounts",
    "precision_recall",
    "similarity_distribution",
    "subgroup_rates",
    "threshold_sensitivity",
]

_BIN = 0.005


def similarity_distribution(
    data: LinkageReport | ArrayLike,
    linked: ArrayLike | None = None,
    *,
    threshold: float | None = None,
) -> Figure:
    """Draw how many pairs, and how many links, there are at each similarity.

    Args:
        data: A report; or (n,) similarities of pairs.
        linked: (n,) true where a pair is a link.
        threshold: Where links begin; a report knows it.

    Raises:
        UsageError: The report has no similarities.
    """
    false = missed = None
    if isinstance(data, LinkageReport):
        if data.results.similarities is None:
            raise UsageError("the report has no similarities.")
        found, threshold = data.results.similarities, data.matching.threshold
        estimate = next((one for one in data.error_rates if one.method == "estimate"), None)
        false = (estimate.counts or {}).get("false_links") if estimate else None
        missed = data.sensitivity.missed_at_least
    else:
        found = bins(_histogram(np.asarray(data, float), linked), 0)
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    width = (high - low) / _BIN
    with style():
        figure, (axes,) = picture(3.3)
        heights = {
            "other pairs": (np.array([one.pairs - one.links for one in found]) / width, FAINT),
            "links": (np.array([one.links for one in found]) / width, LINKS),
        }
        edges = np.append(low, high[-1])
        for name, (height, colour) in heights.items():
            axes.stairs(height, edges, color=colour, fill=True, alpha=0.85, label=name)
        axes.set_yscale("symlog", linthresh=1)
        top = max(float(height.max()) for height, _ in heights.values())
        axes.set_ylim(0, 12 * max(top, 1))
        axes.yaxis.set_major_formatter(whole)
        axes.yaxis.set_minor_locator(_none())
        axes.set(xlabel="Dice similarity", title=f"pairs in each {_BIN:g} of similarity")
        if threshold is not None and threshold <= 1:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
            height = axes.get_ylim()[1]
            before = f"at least {missed:,.0f}\ntrue links missed " if missed is not None else ""
            after = f" about {false:,.0f}\n false links" if false is not None else ""
            for text, side in ((before, "right"), (after, "left")):
                axes.text(threshold, height, text, ha=side, va="top", color=INK, linespacing=1.3)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, -0.42), ncols=2, handlelength=1, borderaxespad=0
        )
        return figure


def precision_recall(
    data: LinkageReport | ArrayLike, hit: ArrayLike | None = None, true_pairs: int | None = None
) -> Figure:
    """Draw precision by recall: measured against a truth, and as far as it can be estimated.

    The estimated curve has the share of the findable true links in place of recall, which is
    never less than recall.

    Args:
        data: A report; or (n,) similarities of links.
        hit: (n,) true where a link is a true pair.
        true_pairs: Number of true pairs.

    Raises:
        UsageError: There is no curve.
    """
    estimated, true = _curves(data, hit, true_pairs)
    with style():
        figure, (axes,) = picture(3.3)
        axes.grid(True, axis="x")
        lowest = 1.0
        for cuts, colour, name in (
            (estimated, SERIES[1], "estimated, by share of findable links"),
            (true, SERIES[0], "against the truth, by recall"),
        ):
            points = [
                (cut.recall.value if cut.recall else cut.found, cut.precision)
                for cut in cuts
                if cut.precision is not None
            ]
            x, y, low, high = _band([(a, b) for a, b in points if a is not None and b is not None])
            if not len(x):
                continue
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, y, color=colour, label=name, marker="." if len(x) < 3 else "")
            lowest = min(lowest, float(low.min()))
        axes.set(xlim=(0, 1.01), ylim=(max(0.0, lowest - 0.02), 1.005), xlabel="recall")
        axes.set_title("precision, with intervals")
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        axes.legend(loc="lower left", bbox_to_anchor=(0, -0.52), borderaxespad=0)
        return figure


def threshold_sensitivity(
    data: LinkageReport | ArrayLike,
    hit: ArrayLike | None = None,
    true_pairs: int | None = None,
    *,
    against_truth: bool | None = None,
) -> Figure:
    """Draw the links, and their precision and recall, at other thresholds.

    Args:
        data: A report; or (n,) similarities of links.
        hit: (n,) true where a link is a true pair.
        true_pairs: Number of true pairs.
        against_truth: Draw the measured figures, not the estimated ones; by default only
            where nothing was estimated.

    Raises:
        UsageError: There is no curve.
    """
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
        lower.set_xlabel("Dice similarity" if measured else "score: similarity less the rival's")
        if chosen is not None:
            for axes in (upper, lower):
                axes.axvline(chosen, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        return figure


def subgroup_rates(data: LinkageReport | Subgroup, holder: str = "", variable: str = "") -> Figure:
    """Draw linkage rates by group, with intervals, and standardised differences beside them.

    Args:
        data: A report, or one of its subgroups.
        holder: Whose, of a report; the first by default.
        variable: By which property; the first by default.

    Raises:
        UsageError: The report has no such subgroups, or all of them are withheld.
    """
    if isinstance(data, LinkageReport):
        fits = [
            one
            for one in data.subgroups
            if holder in {"", one.holder} and variable in {"", one.variable}
        ]
        if not fits:
            raise UsageError("the report has no such subgroups.")
        data = fits[0]
    groups = data.groups or []
    if not any(group.linkage_rate for group in groups):
        raise UsageError("all of these subgroups' counts are withheld.")
    with style():
        figure, (rates, apart) = picture(0.95 + 0.31 * len(groups), (3, 2))
        for at, group in enumerate(reversed(groups)):
            rate = group.linkage_rate
            if rate is None or group.difference is None:
                rates.text(0.5, at, "withheld", color=MUTED, va="center", ha="center")
                continue
            rates.plot([rate.low, rate.high], [at, at], color=LINKS, linewidth=1.4)
            rates.plot(rate.value, at, "o", color=LINKS, markersize=4.5)
            apart.plot([0, group.difference], [at, at], color=DOUBT, linewidth=1.4)
            apart.plot(group.difference, at, "o", color=DOUBT, markersize=4.5)
        names = [group.group for group in reversed(groups)]
        rates.set_yticks(range(len(groups)), [_cut_short(name) for name in names])
        apart.set_yticks(range(len(groups)), [])
        rates.set(xlim=(0, 1), title="linked")
        rates.xaxis.set_major_formatter(percent)
        rates.set_xticks([0, 0.5, 1])
        reach = max([0.25, *(abs(group.difference or 0) * 1.15 for group in groups)])
        apart.set(xlim=(-reach, reach), title="difference")
        apart.axvline(0, color=MUTED, linewidth=0.8)
        for edge in (-0.1, 0.1):
            apart.axvline(edge, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
        apart.set_xticks([-0.1, 0.1])
        for axes in (rates, apart):
            axes.set_ylim(-0.6, len(groups) - 0.4)
            axes.grid(True, axis="x")
            axes.grid(False, axis="y")
        return figure


def flow(report: LinkageReport) -> Figure:
    """Draw what became of the records, from files to links, with counts."""
    content = report.flow
    many = len(content.sources) > 2
    rows: list[list[tuple[str, str]]] = []
    records = [(one.holder, f"{one.encoded:,} records") for one in content.sources]
    if any(one.received for one in content.sources) and not many:
        rows.append(
            [
                (one.holder, f"{_said(one.received)} received" if one.received else "-")
                for one in content.sources
            ]
        )
        records = [("encoded", text) for _, text in records]
    total = sum(one.encoded for one in content.sources)
    rows.append([(f"{len(records)} holders", f"{total:,} records")] if many else records)
    compared = f"{whole(content.compared)} pairs" if content.compared >= 1e6 else ""
    rows.append([("compared", compared or f"{content.compared:,} pairs")])
    rows.append([("candidates", f"{content.candidates:,} pairs")])
    rows.append([(content.kind, _said(content.links))])
    if many:
        singles = sum(one.unlinked.value or 0 for one in content.sources)
        known = all(one.unlinked.value is not None for one in content.sources)
        rows.append([("records on their own", f"{singles:,}" if known else "withheld")])
    else:
        rows.append([(one.holder, f"{_said(one.unlinked)} unlinked") for one in content.sources])
    with style():
        figure, (axes,) = picture(0.78 * len(rows) + 0.1)
        axes.set_axis_off()
        axes.set(xlim=(0, 2), ylim=(-len(rows), 0))
        for at, row in enumerate(rows):
            last = at == len(rows) - 1
            for place, (name, text) in enumerate(row):
                centre = 1.0 if len(row) == 1 else 0.5 + place
                _box(axes, centre, -at - 0.45, name, text, at, rows, last)
        return figure


def blocking_funnel(report: LinkageReport) -> Figure:
    """Draw how many pairs are left at each step, on a logarithmic scale."""
    steps = {
        "all pairs": report.flow.pairs,
        "compared": report.flow.compared,
        "candidates": report.flow.candidates,
        report.flow.kind: report.flow.links.value,
    }
    shown = {name: value for name, value in steps.items() if value}
    with style():
        figure, (axes,) = picture(2.0)
        most = max([10, *shown.values()])
        for at, (name, value) in enumerate(reversed(shown.items())):
            colour = LINKS if name == report.flow.kind else FAINT
            axes.barh(at, value, left=1, color=colour, height=0.62)
            axes.text(1.15, at, f"{value:,}", va="center", color=_on(colour))
        axes.set_yticks(range(len(shown)), list(reversed(shown)))
        axes.set_xscale("log")
        axes.set_xlim(1, most * 1.6)
        axes.xaxis.set_major_formatter(whole)
        axes.xaxis.set_minor_locator(_none())
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.set_xlabel("pairs, logarithmic")
        return figure


def popcounts(*encodings: Encodings) -> Figure:
    """Draw how many bits the CLKs of each holder have set.

    Raises:
        UsageError: There are no encodings.
    """
    if not encodings:
        raise UsageError("give at least one file of encodings.")
    with style():
        figure, (axes,) = picture(3.0)
        for at, one in enumerate(encodings):
            counts = np.bincount(one.popcounts(), minlength=one.info.bits + 1) / max(len(one), 1)
            step = max(one.info.bits // 128, 1)
            padded = np.pad(counts, (0, -len(counts) % step)).reshape(-1, step).sum(axis=1)
            edges = np.arange(len(padded) + 1) * step / one.info.bits
            axes.stairs(
                padded,
                edges,
                color=SERIES[at % len(SERIES)],
                linewidth=1.5,
                linestyle=("-", "--", ":")[at // len(SERIES) % 3],
                label=one.info.holder or f"file {at + 1}",
            )
        axes.set(xlim=(0, 1), xlabel="share of bits set", title="share of records")
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        axes.legend(loc="upper right")
        return figure


def completeness(data: LinkageReport | Encodings, *more: Encodings) -> Figure:
    """Draw how often each field is filled, by holder.

    Args:
        data: A report, or encodings.
        *more: Further encodings.
    """
    if isinstance(data, LinkageReport):
        holders = [one.holder for one in data.sources]
        shares = {
            one.field: [part.share for part in one.completeness] for one in data.identifiers
        }
    else:
        files = (data, *more)
        holders = [one.info.holder or f"file {at}" for at, one in enumerate(files, start=1)]
        shares = {
            name: [one.info.present.get(name) for one in files] for name in data.info.present
        }
    with style():
        figure, (axes,) = picture(1.15 + 0.33 * len(shares) + 0.2 * math.ceil(len(holders) / 2))
        span = 0.44
        for at, values in enumerate(reversed(shares.values())):
            known = [value for value in values if value is not None]
            if known:
                axes.plot([min(known), max(known)], [at, at], color=FAINT, linewidth=2, zorder=1)
            for place, value in enumerate(values):
                shift = span * (0.5 - (place + 0.5) / len(values)) if len(values) > 1 else 0
                label = holders[place] if at == 0 else None
                axes.plot(
                    [] if value is None else value,
                    [] if value is None else at + shift,
                    "osD^v"[place % 5],
                    color=SERIES[place % len(SERIES)],
                    markersize=5,
                    linestyle="",
                    label=label,
                )
        axes.set_yticks(range(len(shares)), [_cut_short(name) for name in reversed(shares)])
        lowest = min([1.0, *(v for values in shares.values() for v in values if v is not None)])
        axes.set_xlim(max(0.0, math.floor(20 * lowest - 0.5) / 20), 1.01)
        axes.set_ylim(-0.6, len(shares) - 0.4)
        axes.xaxis.set_major_formatter(percent)
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.set_xlabel("records with the field filled")
        figure.legend(loc="outside lower left", ncols=2, handletextpad=0.2)
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
    data: LinkageReport | ArrayLike, hit: ArrayLike | None, true_pairs: int | None
) -> tuple[list[Cut], list[Cut]]:
    if isinstance(data, LinkageReport):
        found = data.sensitivity.estimated or [], data.sensitivity.against_truth or []
        if not any(found):
            raise UsageError("the report has no results at other thresholds.")
        return found
    if hit is None or true_pairs is None:
        raise UsageError("similarities need hit and true_pairs beside them.")
    return [], true_cuts(np.asarray(data, float), np.asarray(hit, bool), true_pairs, 0)


def _band(points: Sequence[tuple[float, Any]]) -> tuple[np.ndarray, ...]:
    rows = [(x, one.value, one.low, one.high) for x, one in points if one is not None]
    return tuple(np.array(rows, float).reshape(-1, 4).T)


def _stacked() -> tuple[Figure, list[Axes]]:
    figure, (axes,) = picture(4.4)
    axes.remove()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    return figure, [upper, lower]


def _box(
    axes: Axes,
    x: float,
    y: float,
    name: str,
    text: str,
    at: int,
    rows: list[list[tuple[str, str]]],
    last: bool,
) -> None:
    from matplotlib.patches import FancyBboxPatch

    wide, high = 0.92, 0.62
    axes.add_patch(
        FancyBboxPatch(
            (x - wide / 2, y - high / 2),
            wide,
            high,
            boxstyle="round,pad=0,rounding_size=0.04",
            linewidth=1.4 if name in {"links", "clusters"} else 0.8,
            edgecolor=LINKS if name in {"links", "clusters"} else MUTED,
            facecolor="none",
            linestyle=(0, (3, 2)) if last else "-",
        )
    )
    axes.text(x, y + 0.13, _cut_short(name), ha="center", va="center", color=MUTED, fontsize=9.5)
    axes.text(x, y - 0.14, text, ha="center", va="center", color=INK, fontsize=10.5)
    if not last:
        below = rows[at + 1]
        for place in range(max(len(below), 1)):
            goal = 1.0 if len(below) == 1 else 0.5 + place
            if len(rows[at]) == len(below) and goal != x:
                continue
            axes.annotate(
                "",
                (x + (goal - x) * 0.45, y - 1 + high / 2 + 0.02),
                (x, y - high / 2),
                arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8},
            )


def _said(count: Count) -> str:
    if count.value is not None:
        return f"{count.value:,}"
    if count.low and count.high is None:
        return f"at least {count.low:,}"
    return f"under {count.high + 1:,}" if count.high is not None else "withheld"


def _cut_short(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "\N{HORIZONTAL ELLIPSIS}"


def _on(colour: str) -> str:
    return RULE if colour == LINKS else INK


def _none() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
