"""The automatic cut on files whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

import pprl
from pprl import demo
from pprl.linkage.auto import decide
from pprl.linkage.compare import Pairs
from pprl.linkage.score import with_margin


def test_margin_by_hand() -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.9, 0.6, 0.5]))
    scored = with_margin(pairs, 2, 2, 0.4)
    # Runners-up: 0.6 (left 0), 0.9 (left 0), 0.6 (right 1).
    assert scored.similarity == pytest.approx([0.81, 0.42, 0.41])


@pytest.mark.parametrize("shared", [0, 834, 1668])
def test_cut_on_febrl(shared: int) -> None:
    people = demo.half_overlap(demo.febrl4())
    gone = people.truth["left_id"].iloc[shared:]
    left = people.left[~people.left["rec_id"].isin(gone)]
    schema = pprl.Schema.load("src/pprl/schemas/febrl4.toml")
    key = pprl.LinkageKey.from_secret("a secret for the tests of the threshold")
    a, b = (pprl.encode(x, schema, key, id_column="rec_id") for x in (left, people.right))
    links = decide(a, b, workers=1).kept.to_links(a, b).table
    found = set(zip(links["left_id"].to_pylist(), links["right_id"].to_pylist(), strict=True))
    true = set(people.truth.iloc[:shared].itertuples(index=False, name=None))
    if not shared:
        assert not found
        return
    assert 2 * len(found & true) / (len(found) + len(true)) >= 0.98
