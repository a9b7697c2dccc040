"""The audit as one page that opens offline."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pprl.errors import MissingDependency

if TYPE_CHECKING:
    from pprl.evaluation.audit.auditing import Audit
    from pprl.evaluation.audit.results import Attack


def page(audit: Audit) -> str:
    """Write the page: a self-contained HTML document with its curves as inline SVG.

    Raises:
        MissingDependency: jinja2 or matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingDependency.of(
            f"the audit's page needs the package {error.name}", "report"
        ) from None
    text = (files("pprl.evaluation.audit") / "audit.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    with mpl.rc_context({"svg.hashsalt": "pprl", "font.size": 9}):
        pictures = {name: Markup(svg) for name, svg in _pictures(audit.attacks)}  # noqa: S704
    return template.render(**audit.to_dict(), pictures=pictures)


def _pictures(attacks: Sequence[Attack]) -> list[tuple[str, str]]:
    pairs = [one for one in attacks if one.known_pairs]
    sweep = [
        one
        for one in attacks
        if one.name == _whole(attacks) and one.knowledge == "nothing" and not one.noise
    ]
    found = []
    if pairs:
        found.append(("Known pairs", _curves(pairs, "known_pairs", "known pairs", log=True)))
    if len(sweep) > 1:
        axis = "share of the victims on the list"
        found.append(("Graph matching by overlap", _curves(sweep, "overlap", axis)))
    return found


def _whole(attacks: Sequence[Attack]) -> str:
    """Name the graph attack that was swept: the one that is there with less than full overlap."""
    return next((one.name for one in attacks if one.overlap < 1), "")


def _curves(attacks: Sequence[Attack], axis: str, label: str, *, log: bool = False) -> str:
    """Draw re-identification rates with their intervals, a curve for each attack."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes: Any = figure.subplots()
    for name in dict.fromkeys(one.name for one in attacks):
        own = sorted((one for one in attacks if one.name == name), key=lambda x: getattr(x, axis))
        x = [getattr(one, axis) for one in own]
        axes.plot(x, [one.reidentification_rate for one in own], "o-", ms=3, lw=1.2, label=name)
        axes.fill_between(x, [one.low for one in own], [one.high for one in own], alpha=0.12)
    if log:
        axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.set_xlabel(label)
    axes.set_ylabel("re-identified")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return svg(figure)


def svg(figure: Any) -> str:
    """Write a figure as an SVG element without a date, the same for the same figure."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
