"""Pictures of the way from records to links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pprl.evaluation.plots._drawing import (
    FAINT,
    INK,
    LINKS,
    MUTED,
    RULE,
    no_minor_ticks,
    picture,
    shorter,
    style,
    whole,
)
from pprl.evaluation.plots._given import Run, as_report
from pprl.evaluation.report.model import Count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def flow(report: Run) -> Figure:
    """Draw what became of the records, from files to links, with counts.

    Args:
        report: A report, a result, or a run's folder.

    Raises:
        UsageError: It is something else.
    """
    content = as_report(report).flow
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
    compared = f"{content.compared:,}"
    if content.compared >= 1e10:
        compared = f"{content.compared / 1e9:,.1f} billion"
    rows.append([("compared", f"{compared} pairs")])
    rows.append([("candidates", f"{_said(content.candidates)} pairs")])
    rows.append([(content.kind, _said(content.links))])
    if many:
        singles = sum(one.unlinked.value or 0 for one in content.sources)
        known = all(one.unlinked.value is not None for one in content.sources)
        rows.append([("single records", f"{singles:,}" if known else "withheld")])
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


def blocking_funnel(report: Run) -> Figure:
    """Draw how many pairs are left at each step, on a logarithmic scale.

    Takes and raises what `flow` does.
    """
    counts = as_report(report).flow
    steps = {
        "all pairs": counts.pairs,
        "compared": counts.compared,
        "candidates": counts.candidates.value,
        counts.kind: counts.links.value,
    }
    shown = {name: value for name, value in steps.items() if value}
    with style():
        figure, (axes,) = picture(2.0)
        most = max([10, *shown.values()])
        for at, (name, value) in enumerate(reversed(shown.items())):
            colour = LINKS if name == counts.kind else FAINT
            axes.barh(at, value, left=1, color=colour, height=0.62)
            axes.text(1.15, at, f"{value:,}", va="center", color=_on(colour))
        axes.set_yticks(range(len(shown)), list(reversed(shown)))
        axes.set_xscale("log")
        axes.set_xlim(1, most * 1.6)
        axes.set_xticks([10**at for at in range(0, 20, 3) if 10**at <= most * 1.6])
        axes.xaxis.set_major_formatter(whole)
        no_minor_ticks(axes)
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.set_xlabel("pairs, logarithmic")
        return figure


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
    axes.text(x, y + 0.13, shorter(name), ha="center", va="center", color=MUTED, fontsize=9.5)
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


def _on(colour: str) -> str:
    return RULE if colour == LINKS else INK
