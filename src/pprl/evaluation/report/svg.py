"""A figure as SVG that stands in a page: in its colours and font, with an alternative text."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from pprl.evaluation.plots._drawing import FAINT, INK, MUTED, RULE, SERIES, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _round(attribute: str) -> str:
    return re.sub(r"(\d\.\d{2})\d+", r"\1", attribute)


_COLOURS = {INK: "ink", MUTED: "muted", RULE: "rule", FAINT: "faint"} | {
    colour: f"series-{at}" for at, colour in enumerate(SERIES, start=1)
}


def inline(figure: Figure, name: str, text: str) -> str:
    """Return an ``<svg>`` element.

    Args:
        figure: Drawn in the report's palette.
        name: Makes the element's ids unlike those of other figures.
        text: What is to be seen, for those who do not see it.
    """
    svg = to_svg(figure, name)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(
        r' id="([^"]+)"',
        lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "",
        svg,
    )
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r"font-family: [^;\"]+;?\s*", "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", svg)
    svg = re.sub(r' (?:d|x|y|transform)="[^"]+"', lambda found: _round(found[0]), svg)
    head, rest = svg.split(">", 1)
    box = head[head.index("viewBox=") :].split('"')[1]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" role="img" aria-labelledby="{name}-title">'
        f'<title id="{name}-title">{escape(text)}</title>{rest}'
    )
