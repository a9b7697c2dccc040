"""The report as one HTML file that opens offline, needs no script and prints."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pprl.errors import MissingDependency
from pprl.evaluation.report.model import Count, Figure, LinkageReport
from pprl.evaluation.report.svg import inline

if TYPE_CHECKING:
    import matplotlib.figure

WITHHELD = "withheld"
METHODS = {
    "estimate": "estimated",
    "review": "clerical review",
    "truth": "against the truth",
}


def render(report: LinkageReport) -> str:
    """Return the page.

    Raises:
        MissingDependency: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingDependency.of(
            "report.html needs the packages jinja2 and matplotlib", "report"
        ) from None
    home = files("pprl.evaluation.report")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": said,
        "difference": difference,
        "figure": figure,
        "method": METHODS.__getitem__,
        "share": share,
        "words": lambda name: str(name).replace("_", " "),
    }
    template = environment.from_string((home / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        r=report,
        css=(home / "report.css").read_text(encoding="utf-8"),
        pictures=_pictures(report),
        title=report.software.given.title or _title(report),
        truth=next((one for one in report.error_rates if one.method == "truth"), None),
        estimate=next((one for one in report.error_rates if one.method == "estimate"), None),
        entries=_entries,
    )


def said(count: Count | None) -> str:
    """Write a count, or what may be told of it."""
    if count is None:
        return "-"
    if count.value is not None:
        return f"{count.value:,}"
    if count.high is not None:
        return f"under {count.high + 1:,}"
    return WITHHELD if count.low is None else f"at least {count.low:,}"


def share(value: float | None, digits: int = 1) -> str:
    """Write a share as a percentage that is 100 % only where it is."""
    if value is None:
        return WITHHELD
    text = f"{100 * value:.{digits}f}"
    if value < 1 and float(text) == 100:
        text = f"{100 * value:.2f}"
    return f"{text} %"


def figure(value: Figure | None, digits: int = 1) -> str:
    """Write a proportion with its interval."""
    if value is None:
        return "-"
    low, high = (f"{100 * end:.{digits}f}" for end in (value.low, value.high))
    return f"{share(value.value, digits)} ({low} to {high})"


def difference(value: float | None) -> str:
    """Write a standardised difference."""
    if value is None:
        return "-"
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}"


def _title(report: LinkageReport) -> str:
    holders = [source.holder for source in report.sources]
    if len(holders) == 1:
        return f"Duplicates in {holders[0]}"
    if len(holders) > 4:
        return f"Linkage of {len(holders)} registers"
    return "Linkage of " + ", ".join(holders[:-1]) + " and " + holders[-1]


def _entries(given: Any) -> dict[str, Any]:
    """Return what users gave of a part, without what they left out."""
    return {} if given is None else given.model_dump(exclude_none=True)


def _pictures(report: LinkageReport) -> dict[str, str]:
    from pprl.evaluation import plots

    found: dict[str, str] = {}

    def add(
        name: str,
        draw: Callable[..., matplotlib.figure.Figure],
        text: str,
        *more: Any,
        **options: Any,
    ) -> None:
        found[name] = inline(draw(*(more or (report,)), **options), name, text)

    content = report.flow
    add(
        "flow",
        plots.flow,
        f"Flow from {sum(one.encoded for one in content.sources):,} records through "
        f"{content.compared:,} compared pairs and {said(content.candidates)} candidates to "
        f"{said(content.links)} {content.kind}.",
    )
    if report.results.similarities:
        cut = report.matching.threshold
        where = "" if cut is None else f" Links begin at {cut:.3g}."
        add(
            "similarities",
            plots.similarity_distribution,
            f"Numbers of pairs and of links by similarity, on a logarithmic scale.{where} The "
            f"numbers are in the table below.",
        )
    sensitivity = report.sensitivity
    if sensitivity.against_truth:
        add(
            "precision-recall",
            plots.precision_recall,
            "Precision by recall, with intervals. The numbers are in the table below.",
        )
    for name, cuts, measured in (
        ("estimated", sensitivity.estimated, False),
        ("measured", sensitivity.against_truth, True),
    ):
        if cuts:
            add(
                f"thresholds-{name}",
                plots.threshold_sensitivity,
                f"Number of links and their {name} figures at {len(cuts)} thresholds. The numbers "
                f"are in the table below.",
                against_truth=measured,
            )
    for at, group in enumerate(report.subgroups):
        if any(one.linkage_rate for one in group.groups or ()):
            add(
                f"group-{at}",
                plots.subgroup_rates,
                f"Linkage rate and standardised difference by {group.variable} at {group.holder}. "
                f"The numbers are in the table beside it.",
                group,
            )
    add(
        "funnel",
        plots.blocking_funnel,
        f"Of {report.blocking.pairs:,} pairs {report.blocking.compared:,} were compared.",
    )
    if report.identifiers:
        add(
            "completeness",
            plots.completeness,
            "Share of records with each field filled, by holder. The numbers are in the table.",
        )
    return found
