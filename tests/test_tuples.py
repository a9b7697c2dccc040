"""Four encodings that cancel: found after a linear hardening, and not after min-hash."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

import pprl
from pprl.evaluation.audit.findings import weaknesses
from pprl.evaluation.audit.metrics import file_metrics
from pprl.evaluation.audit.tuples import light_tuples

SCHEMA = """
name = "names"
bits = 1024
hardening = {hardening}
[[fields]]
name = "first"
bits_per_feature = 100
[[fields]]
name = "surname"
bits_per_feature = 100
"""


def encoded(hardening: str) -> pprl.Encodings:
    """Every first name with every surname."""
    letters = np.random.default_rng(1).choice(list("bcdfghklmnprstvz"), (24, 7))
    words = ["".join(one) for one in letters]
    people = pd.DataFrame(list(product(words[:12], words[12:])), columns=["first", "surname"])
    people["id"] = [str(at) for at in range(len(people))]
    schema = pprl.Schema.from_toml(SCHEMA.format(hardening=hardening))
    return pprl.encode(people, schema, pprl.LinkageKey.generate(), id_column="id")


def test_a_linear_hardening_shows_who_shares_names_with_whom() -> None:
    made = encoded('{ method = "diffusion", t = 8 }')
    found = light_tuples(made.clks)
    assert found["rows"] == 144
    assert found["light"] > 200
    assert found["people"] > 100
    names = [one["weakness"] for one in weaknesses(file_metrics(made))]
    assert "four encodings that cancel" in names


@pytest.mark.parametrize("t", [3, 5])
def test_min_hash_shows_none(t: int) -> None:
    made = encoded(f'{{ method = "minhash", t = {t} }}')
    assert light_tuples(made.clks)["light"] == 0
    names = [one["weakness"] for one in weaknesses(file_metrics(made))]
    assert "four encodings that cancel" not in names


def test_pairs_and_equal_encodings_are_no_tuples() -> None:
    rng = np.random.default_rng(3)
    clks = rng.integers(0, 256, (200, 128)).astype(np.uint8)
    clks[100:] = clks[:100]
    clks[50:100, :40] = clks[:50, :40]
    assert light_tuples(clks)["light"] == 0
    assert light_tuples(clks[:3]) == {"rows": 3, "light": 0, "people": 0}
    assert light_tuples(np.zeros((9, 16), np.uint8))["rows"] == 0
