"""Pictures of who is linked, and of what the files hold."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pprl.errors import UsageError
from pprl.evaluation.plots._drawing import (
    DOUBT,
    FAINT,
    LINKS,
    MUTED,
    SERIES,
    percent,
    picture,
    shorter,
    style,
)
from pprl.evaluation.plots._given import Run, as_report
from pprl.evaluation.report.model import Subgroup
from pprl.exchange.encodings import Encodings
from pprl.exchange.opening import Encoded, opened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def subgroup_rates(data: Run | Subgroup, holder: str = "", variable: str = "") -> Figure:
    """Draw linkage rates by group, with intervals, and standardised differences beside them.

    Args:
        data: A report, a result or a run's folder; or one of a report's subgroups.
        holder: Whose, of a report; the first by default.
        variable: By which property; the first by default.

    Raises:
        UsageError: The report has no such subgroups, or all of them are withheld.
    """
    if not isinstance(data, Subgroup):
        fits = [
            one
            for one in as_report(data).subgroups
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
        rates.set_yticks(range(len(groups)), [shorter(name) for name in names])
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


def popcounts(*encodings: Encoded) -> Figure:
    """Draw how many bits the CLKs of each holder have set.

    Args:
        *encodings: Encodings, or paths of their files.

    Raises:
        UsageError: There are no encodings.
    """
    if not encodings:
        raise UsageError("give at least one file of encodings.")
    with style():
        figure, (axes,) = picture(3.0)
        for at, one in enumerate(map(opened, encodings)):
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


def completeness(data: Run | Encodings, *more: Encoded) -> Figure:
    """Draw how often each field is filled, by holder.

    Args:
        data: A report, a result or a run's folder; or encodings, or the path of their file.
        *more: Further encodings, or paths of their files.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(data, Encodings) and not (
        isinstance(data, str | PathLike) and Path(data).is_file()
    ):
        found = as_report(data)
        holders = [one.holder for one in found.sources]
        shares = {one.field: [part.share for part in one.completeness] for one in found.identifiers}
    else:
        files = [opened(one) for one in (data, *more)]
        holders = [one.info.holder or f"file {at}" for at, one in enumerate(files, start=1)]
        fields = files[0].info.present
        shares = {name: [one.info.present.get(name) for one in files] for name in fields}
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
        axes.set_yticks(range(len(shares)), [shorter(name) for name in reversed(shares)])
        lowest = min([1.0, *(v for values in shares.values() for v in values if v is not None)])
        axes.set_xlim(max(0.0, math.floor(20 * lowest - 0.5) / 20), 1.01)
        axes.set_ylim(-0.6, len(shares) - 0.4)
        axes.xaxis.set_major_formatter(percent)
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.set_xlabel("records with the field filled")
        figure.legend(loc="outside lower left", ncols=2, handletextpad=0.2)
        return figure
