"""How pictures look: one palette, one size, no global state of matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pprl.errors import MissingDependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, FAINT = "#1c2126", "#5d6771", "#d5dbe2", "#bcc5ce"
SERIES = ("#1f6391", "#b3531d", "#3c7a49", "#7a4f9b", "#8a6c1d", "#a83c5b")
"""Colours of holders or curves, in order; the first is also that of links."""
LINKS, DOUBT = SERIES[:2]

WIDTH = 4.6
"""Inches; a picture is read at about 72 pixels to the inch, on a telephone as on a desk."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.7,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "none",
    # A holder's name is no formula.
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 10,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
}


@contextmanager
def style(salt: str = "") -> Iterator[None]:
    """Draw and save in the report's style, whatever the user's own settings are.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingDependency.of("pictures need the package matplotlib", "report") from None
    with rc_context({**_STYLE, "svg.hashsalt": salt or None}):
        yield


def picture(height: float, columns: Sequence[float] = (1,)) -> tuple[Figure, list[Axes]]:
    """Make a figure of the common width with a row of axes of the given relative widths."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that a notebook shows without pyplot."""

        def _repr_svg_(self) -> str:
            return to_svg(self)

    figure = Picture(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(1, len(columns), squeeze=False, width_ratios=list(columns))
    return figure, list(axes[0])


def to_svg(figure: Figure, salt: str = "") -> str:
    """Save a figure as SVG text, the same at every run for a given salt."""
    stream = io.StringIO()
    with style(salt):
        metadata: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=metadata)
    return stream.getvalue()


def whole(value: float, _: object = None) -> str:
    """Write a count for an axis: 1,000 or 2 M."""
    for size, sign in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:,.0f}" if value >= 1 else ""


def percent(value: float, _: object = None) -> str:
    """Write a share for an axis."""
    return f"{100 * value:.4g} %"


def shorter(name: str) -> str:
    """Cut a long name for an axis."""
    return name if len(name) <= 18 else name[:17] + "\N{HORIZONTAL ELLIPSIS}"


def no_minor_ticks(axes: Axes) -> None:
    """Leave out the minor ticks of logarithmic axes."""
    from matplotlib.ticker import NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
