"""Write the demonstration's outcome into README.md, between its markers, and its picture.

The picture: half-overlapping FEBRL 4, a schema suggested from one file, the default hardening, a
key that does not change. For each record of the left file its most similar partner; links as
`pprl.link` decides them by itself. Nothing about the truth enters but the colours.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

import pprl
from pprl import demo
from pprl.holder.suggest import suggest_schema

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "result.svg"
MARKERS = re.compile(r"(<!-- demo: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
MATCH, STRANGER, INK = "#1f4e8c", "#c9782c", "#222222"
WIDTH, HEIGHT, BINS = 880.0, 300.0, 60


def table() -> str:
    """Run the demonstration and format its figures."""
    with tempfile.TemporaryDirectory() as folder:
        qualities = demo.run(Path(folder) / "demo", lambda _: None)
    lines = ["| linkage | precision | recall | F1 |", "|---|---|---|---|"]
    for name, quality in qualities.items():
        figures = " | ".join(
            f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
            for figure in (quality.precision, quality.recall, quality.f1)
        )
        lines.append(f"| {name} | {figures} |")
    # Where the demonstration uses a threshold of its own, that must be said.
    threshold = getattr(demo, "THRESHOLD", None)
    note = "With 95 % intervals. The key is random, so the last digit changes from run to run."
    if threshold is not None:
        note = f"At the threshold {threshold}, chosen knowing this data set's truth. {note}"
    return "\n".join([*lines, "", note, ""])


def picture() -> str:
    """Link, and draw the distribution of each left record's greatest similarity."""
    people = demo.half_overlap(demo.febrl4())
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "left.csv"
        people.left.to_csv(csv, index=False)
        schema_file = Path(folder) / "schema.toml"
        schema_file.write_text(suggest_schema(csv, name="febrl", hardening="default"))
        schema = pprl.Schema.load(schema_file)
    key = pprl.LinkageKey.from_secret(b"the key of the picture, no secret", allow_weak=True)
    left, right = (
        pprl.encode(records, schema, key, id_column="rec_id", on_invalid="warn", holder=holder)
        for records, holder in ((people.left, "left"), (people.right, "right"))
    )
    best = pprl.compare(left, right, top=1).table.to_pandas()
    best = best.sort_values("similarity").drop_duplicates("left_id", keep="last")
    true = dict(people.truth.itertuples(index=False))
    matched = best["left_id"].map(true).eq(best["right_id"]).to_numpy()
    result = pprl.link(left, right)
    quality = pprl.evaluate(result.links, people.truth, a=left, b=right)
    least = float(result.links.table["similarity"].to_numpy().min())
    return _draw(best["similarity"].to_numpy(), matched, least, quality)


def _draw(similarity: np.ndarray, matched: np.ndarray, least: float, quality: pprl.Quality) -> str:
    low = np.floor(similarity.min() * 20) / 20
    edges = np.linspace(low, 1.0, BINS + 1)
    counts = [np.histogram(similarity[which], edges)[0] for which in (~matched, matched)]
    scale = (HEIGHT - 90) / np.sqrt((counts[0] + counts[1]).max())

    def x(value: float) -> float:
        return 40 + (value - low) / (1 - low) * (WIDTH - 60)

    base, step = HEIGHT - 40, (WIDTH - 60) / BINS
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" '
            'font-family="sans-serif" font-size="13">'
            "<title>Records by similarity of their most similar partner</title>"
            '<rect width="100%" height="100%" fill="#ffffff"/>'
        )
    ]
    for at in range(BINS):
        # Square roots, so that both few and many can be seen.
        heights = np.sqrt([counts[0][at], counts[0][at] + counts[1][at]]) * scale
        for bottom, top, colour in ((0.0, heights[0], STRANGER), (*heights, MATCH)):
            if top > bottom:
                parts.append(
                    f'<rect x="{x(edges[at]):.1f}" y="{base - top:.1f}" width="{step - 1:.1f}" '
                    f'height="{top - bottom:.1f}" fill="{colour}"/>'
                )
    parts += [
        f'<text x="{x(tick):.1f}" y="{base + 16:g}" text-anchor="middle" fill="{INK}">{tick:.1f}'
        "</text>"
        for tick in np.arange(np.ceil(low * 10) / 10, 1.01, 0.1)
    ]
    parts.append(
        f'<line x1="{x(least):.1f}" x2="{x(least):.1f}" y1="46" y2="{base:g}" stroke="{INK}" '
        'stroke-dasharray="4 3"/>'
        f'<text x="{x(least) + 6:.1f}" y="58" fill="{INK}">links end here, found without a '
        "truth</text>"
    )
    found = (
        f"{quality.true_positives:,} of {quality.true_pairs:,} people in both registers found, "
        f"{quality.false_positives:,} false links"
    )
    parts.append(
        f'<text x="40" y="22" fill="{INK}" font-size="15" font-weight="bold">{found}</text>'
        f'<rect x="{WIDTH - 260:g}" y="11" width="12" height="12" fill="{MATCH}"/>'
        f'<text x="{WIDTH - 243:g}" y="22" fill="{INK}">the same person</text>'
        f'<rect x="{WIDTH - 130:g}" y="11" width="12" height="12" fill="{STRANGER}"/>'
        f'<text x="{WIDTH - 113:g}" y="22" fill="{INK}">somebody else</text>'
        f'<text x="40" y="{HEIGHT - 6:g}" fill="{INK}">Dice similarity of a record\'s most similar '
        "partner in the other register (FEBRL 4, half overlap; heights are square roots)</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    PICTURE.write_text(picture(), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(MARKERS.sub(rf"\g<1>{table()}\g<2>", text), encoding="utf-8")


if __name__ == "__main__":
    main()
