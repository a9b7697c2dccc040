"""The pictures in the pages show what the library computes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import independent
from test_docs import script

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = Path(__file__).parent.parent / "docs" / "explanation" / "clk.svg"


def test_the_picture_of_a_clk_is_current() -> None:
    """Run scripts/draw_clk.py if this fails."""
    assert PICTURE.read_text(encoding="utf-8") == script("draw_clk").drawing()


def test_the_picture_shows_the_bits_that_a_second_implementation_sets() -> None:
    draw = script("draw_clk")
    key = draw.KEY.secret_bytes()
    secret = independent.derive(key, "token", draw.SCHEMA.fingerprint, "surname", length=128)[:64]
    rects = [
        rect.get("class", "")
        for rect in ET.fromstring(PICTURE.read_text(encoding="utf-8")).iter(f"{SVG}rect")
    ]
    filters = []
    for name in draw.NAMES:
        shown = [one.rpartition("-")[2] == "1" for one in rects if one.startswith(f"bit-{name}-")]
        tokens = independent.tokens(name, {"type": "ngram"})
        places = {
            place
            for token in tokens
            for place in independent.positions(token.encode(), draw.EACH, draw.BITS, secret)
        }
        assert [at for at, bit in enumerate(shown) if bit] == sorted(places)
        assert len(shown) == draw.BITS
        filters.append(independent.packed(shown))
    said = re.search(r"= (0\.\d\d)<", PICTURE.read_text(encoding="utf-8"))
    assert said is not None
    assert said[1] == f"{independent.dice(*filters):.2f}"
