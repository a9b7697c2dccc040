"""How results look in a notebook: a small table and a small picture, no value of a record.

Written by hand, so that no room needs matplotlib or another room for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

_BINS = 40
_WIDTH, _HEIGHT = 240, 48
_LEAST = 100


def card(
    title: str,
    rows: Mapping[str, str],
    values: NDArray[np.float64] | None = None,
    what: str = "similarity",
    *,
    picture: str = "",
) -> str:
    """Return HTML: a table, and the distribution of values from 0 to 1 or another picture."""
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;padding:1px 1.2em 1px 0;'
        f'opacity:.75">{escape(name)}</th>'
        f'<td style="text-align:left;padding:1px 0">{escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    drawn = picture if values is None else sparkline(values, what)
    return (
        f'<div style="font-variant-numeric:tabular-nums"><strong>{escape(title)}</strong>'
        f'<table style="border-collapse:collapse;margin:.3em 0">{cells}</table>{drawn}</div>'
    )


def sparkline(values: NDArray[np.float64], what: str) -> str:
    """Draw how values from 0 to 1 are distributed; nothing for fewer than a hundred."""
    if len(values) < _LEAST:
        return ""
    counts, edges = np.histogram(values, _BINS, (float(np.floor(20 * values.min()) / 20), 1.0))
    tall = counts / counts.max() * (_HEIGHT - 14)
    wide = _WIDTH / _BINS
    bars = "".join(
        f'<rect x="{at * wide:.1f}" y="{_HEIGHT - 13 - height:.1f}" width="{wide - 1:.1f}" '
        f'height="{height:.1f}"/>'
        for at, height in enumerate(tall)
        if height >= 0.05
    )
    ends = _text(0, _HEIGHT - 2, f"{what} {edges[0]:.2f}") + _text(_WIDTH, _HEIGHT - 2, "1", "end")
    return _svg(bars + ends, _HEIGHT, f"Distribution of {what} from {edges[0]:.2f} to 1")


def intervals(figures: Mapping[str, tuple[float, float, float]]) -> str:
    """Draw proportions with their intervals, from the lowest to 1."""
    floor = min(low for _, low, _ in figures.values())
    start = max(0.0, float(np.floor(20 * floor - 0.5)) / 20)
    drawn, left = "", 64

    def place(value: float) -> float:
        return left + (_WIDTH - left - 4) * (value - start) / (1 - start)

    for at, (name, (value, low, high)) in enumerate(figures.items()):
        y = 10 + 16 * at
        drawn += _text(0, y + 3, name) + (
            f'<rect x="{place(low):.1f}" y="{y - 1}" height="2" '
            f'width="{max(place(high) - place(low), 1):.1f}"/>'
            f'<circle cx="{place(value):.1f}" cy="{y}" r="3"/>'
        )
    height = 16 * len(figures) + 16
    drawn += _text(left, height - 2, f"{start:.2f}") + _text(_WIDTH, height - 2, "1", "end")
    said = ", ".join(f"{name} {value:.3f}" for name, (value, _, _) in figures.items())
    return _svg(drawn, height, said)


def share(value: float, low: float, high: float) -> str:
    """Write a proportion with its interval."""
    return f"{value:.4f} ({low:.3f} to {high:.3f})"


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="10">{escape(text)}</text>'


def _svg(content: str, height: int, label: str) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" fill="currentColor" '
        f'font-family="sans-serif">{content}</svg>'
    )
