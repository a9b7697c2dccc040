"""Each normaliser on what people really write."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pprl.holder.normalize import NORMALISERS

GOLDEN = Path(__file__).parent / "golden" / "what-is-read.json"
CASES: dict[str, list[tuple[str | None, str | None]]] = json.loads(GOLDEN.read_text("utf-8"))
"""What is written and how it is read, by normaliser; docs/reference/reading.md shows it."""


def test_every_normaliser_has_cases() -> None:
    assert set(CASES) == set(NORMALISERS)


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    values, expected = zip(*CASES[name], strict=True)
    made = NORMALISERS[name](pa.array(values, pa.string()))
    assert made.to_pylist() == list(expected)


@pytest.mark.parametrize("name", NORMALISERS)
@settings(deadline=None, max_examples=40)
@given(values=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_any_text(name: str, values: list[str | None]) -> None:
    """Same length, same type, nulls stay, nothing is raised; each value by itself."""
    made = NORMALISERS[name](pa.array(values, pa.string()))
    assert made.type == pa.string()
    assert len(made) == len(values)
    assert all(m is None for m, v in zip(made.to_pylist(), values, strict=True) if v is None)
    alone = [NORMALISERS[name](pa.array([v], pa.string()))[0].as_py() for v in values]
    assert alone == made.to_pylist()
