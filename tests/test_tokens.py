"""Cutting values into n-grams, against Python's own slices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pprl.holder import tokens
from pprl.holder.schema import NGrams
from pprl.kernels import grams

LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def reference(value: str, n: int, positional: bool) -> list[str]:
    padded = " " * (n - 1) + value + " " * (n - 1)
    cut = [padded[at : at + n] for at in range(len(padded) - n + 1)]
    return [f"{at} {gram}" for at, gram in enumerate(cut, start=1)] if positional else cut


def tokens_of(values: list[str], n: int, positional: bool) -> list[list[str]]:
    made = tokens.tokenise(pa.array(values, pa.string()), NGrams(n=n, positional=positional))
    assert len(set(made.texts)) == len(made.texts)
    texts = [made.texts[member] for member in made.members]
    return [texts[a:b] for a, b in zip(made.offsets, made.offsets[1:], strict=False)]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("positional", [False, True])
@settings(deadline=None)
@given(values=st.lists(LETTERS, min_size=1, max_size=8, unique=True), n=st.integers(1, 4))
def test_ngrams(plain: bool, positional: bool, values: list[str], n: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        if plain:
            patched.setattr(tokens, "rank", grams.rank.py_func)
            patched.setattr(tokens, "gram_codes", grams.gram_codes.py_func)
        with np.errstate(over="ignore"):
            found = tokens_of(values, n, positional)
    assert found == [reference(value, n, positional) for value in values]


@settings(deadline=None)
@given(values=st.lists(LETTERS, min_size=1, max_size=8, unique=True), n=st.integers(12, 30))
def test_ngrams_longer_than_a_number_can_hold(values: list[str], n: int) -> None:
    assert tokens_of(values, n, True) == [reference(value, n, True) for value in values]
