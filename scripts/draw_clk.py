"""Draw how two names become filters, with the bits that pprl computes.

    python scripts/draw_clk.py          writes docs/explanation/clk.svg

Everything shown is computed: tokens, the bits that each sets, the bits in common, the similarity.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pyarrow as pa

import pprl
from pprl.holder.hashing import positions
from pprl.holder.tokens import tokenise

OUT = Path(__file__).parent.parent / "docs" / "explanation" / "clk.svg"
NAMES = ("jansen", "janssen")
BITS, EACH = 64, 2
KEY = pprl.LinkageKey(hashlib.sha256(b"a key for the picture, no secret").digest())
SCHEMA = pprl.Schema.from_document(
    {
        "version": 1,
        "name": "picture",
        "bits": BITS,
        "hardening": {"method": "none"},
        "fields": [
            {"name": "surname", "tokens": {"type": "ngram", "n": 2}, "bits_per_token": EACH}
        ],
    }
)
CELL, LEFT, TOKEN = 13.5, 20.0, 62.0
TOKENS_Y, BITS_Y = (15.0, 285.0), (135.0, 175.0)
ONE, BOTH, LINE = "#9db8d9", "#1f4e8c", "#8a97a8"


@dataclass(frozen=True)
class Filter:
    """A name, its tokens, the positions that each sets, and all bits."""

    name: str
    tokens: list[str]
    places: list[list[int]]
    bits: list[int]


def filter_of(name: str) -> Filter:
    """Encode a name with pprl; the positions of its tokens must make up the same bits."""
    field = SCHEMA.encoded_fields[0]
    cut = tokenise(pa.array([name]), field.tokens)
    secret = KEY.derive("token", SCHEMA.fingerprint, field.name, length=128)
    where = positions(
        [token.encode() for token in cut.texts],
        EACH,
        BITS,
        (secret[:64], secret[64:]),
        field.hash,
        {},
    )
    made = pprl.encode(
        pd.DataFrame({"id": ["1"], "surname": [name]}), SCHEMA, KEY, id_column="id", workers=1
    )
    bits = np.flatnonzero(np.unpackbits(made.clks[0])).tolist()
    places = [sorted({int(place) for place in where[member]}) for member in cut.members]
    if sorted({place for one in places for place in one}) != bits:
        raise SystemExit("the tokens' positions do not make up the filter")
    return Filter(name, [cut.texts[member] for member in cut.members], places, bits)


def drawing() -> str:
    """Return the picture as SVG."""
    one, other = map(filter_of, NAMES)
    both = set(one.bits) & set(other.bits)
    dice = 2 * len(both) / (len(one.bits) + len(other.bits))
    width = 2 * LEFT + BITS * CELL
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} 360" '
            f'font-family="sans-serif" font-size="14">'
        ),
        f"<title>Two names and their filters of {BITS} bits</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for filter_, tokens_y, bits_y in zip((one, other), TOKENS_Y, BITS_Y, strict=True):
        parts += _side(filter_, tokens_y, bits_y, both)
    text = (
        f"{len(both)} bits in common, {len(one.bits)} and {len(other.bits)} set: "
        f"Dice similarity 2 × {len(both)} / ({len(one.bits)} + {len(other.bits)}) = {dice:.2f}"
    )
    parts.append(f'<text x="{LEFT}" y="343" fill="#222222">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _side(filter_: Filter, tokens_y: float, bits_y: float, both: set[int]) -> list[str]:
    above = tokens_y < bits_y
    parts = []
    for at, (token, places) in enumerate(zip(filter_.tokens, filter_.places, strict=True)):
        x = LEFT + 90 + at * 1.5 * TOKEN
        start = tokens_y + (30 if above else 0)
        end = bits_y if above else bits_y + CELL
        parts += [
            f'<line x1="{x + TOKEN / 2:g}" y1="{start:g}" x2="{LEFT + (place + 0.5) * CELL:g}" '
            f'y2="{end:g}" stroke="{LINE}"/>'
            for place in places
        ]
        shown = escape(token.replace(" ", "␣"))
        parts += [
            (
                f'<rect x="{x:g}" y="{tokens_y:g}" width="{TOKEN:g}" height="30" rx="4" '
                f'fill="#f2f4f7" stroke="{LINE}"/>'
            ),
            (
                f'<text x="{x + TOKEN / 2:g}" y="{tokens_y + 20:g}" text-anchor="middle" '
                f'fill="#222222">{shown}</text>'
            ),
        ]
    parts.append(
        f'<text x="{LEFT}" y="{tokens_y + 20:g}" font-weight="bold" fill="#222222">'
        f"{escape(filter_.name)}</text>"
    )
    for bit in range(BITS):
        fill = BOTH if bit in both else ONE if bit in filter_.bits else "#ffffff"
        parts.append(
            f'<rect class="bit-{filter_.name}-{int(bit in filter_.bits)}" '
            f'x="{LEFT + bit * CELL:g}" y="{bits_y:g}" width="{CELL:g}" height="{CELL:g}" '
            f'fill="{fill}" stroke="{LINE}" stroke-width="0.7"/>'
        )
    return parts


def main() -> None:
    """Write the picture, or with --check say whether it is current."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(OUT.read_text(encoding="utf-8") != drawing())
    OUT.write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    main()
