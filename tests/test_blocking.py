"""Blocking: keys of the holders, Hamming LSH, and what they leave out."""

from __future__ import annotations

import dataclasses
import hmac
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import SCHEMA_TOML, encodings_of
from pprl.errors import MissingDependency, PprlWarning, SchemaError, UsageError
from pprl.kernels import join
from pprl.linkage import blocks, lsh
from pprl.linkage.blocking import HammingLSH, KeyBlocking
from pprl.linkage.compare import blocked_pairs, scored_pairs
from test_compare import as_list, random_filters

PASSES = """
[[blocking]]
name = "sound and year"
parts = [{ field = "surname", code = "soundex" }, { field = "born", first = 4 }]

[[blocking]]
name = "postcode"
parts = [{ field = "postcode" }]
"""
PEOPLE = pd.DataFrame(
    {
        "id": ["1", "2", "3", "4"],
        "surname": ["Vermeulen", "Vermoelen", "Oosterhuis", None],
        "born": ["1970-01-02", "1970-12-31", "1970-01-02", "1980-01-01"],
        "postcode": ["1234AB", None, "1234 AB", None],
    }
)


@pytest.fixture
def keyed(key: pprl.LinkageKey) -> pprl.Encodings:
    schema = pprl.Schema.from_toml(SCHEMA_TOML + PASSES)
    return pprl.encode(PEOPLE, schema, key, id_column="id")


def test_keys_of_the_holder(keyed: pprl.Encodings, key: pprl.LinkageKey) -> None:
    keys = keyed.block_keys
    assert keys is not None
    assert keys[0, 0] == keys[1, 0] != keys[2, 0]
    assert keys[0, 1] == keys[2, 1] != 0
    assert keys[3].tolist() == [0, 0]
    assert keyed.info.blocking == {"sound and year": 0.75, "postcode": 0.5}
    secret = key.derive("blocking", keyed.info.schema_fingerprint, "sound and year")
    message = b"\0\0\0\4V654\0\0\0\x041970"
    digest = hmac.new(secret, message, "sha256").digest()
    assert keys[0, 0] == int.from_bytes(digest[:8], "big")


def test_keys_travel_in_the_file(keyed: pprl.Encodings, tmp_path: Path) -> None:
    keyed.save(tmp_path / "a.clk.parquet")
    again = pprl.Encodings.load(tmp_path / "a.clk.parquet")
    np.testing.assert_array_equal(again.block_keys, keyed.block_keys)
    made = pprl.compare(again, blocking=KeyBlocking(), threshold=0.0)
    assert made.to_pandas()[["left_id", "right_id"]].values.tolist() == [["1", "2"], ["1", "3"]]


def test_passes_that_cannot_be(monkeypatch: pytest.MonkeyPatch, key: pprl.LinkageKey) -> None:
    with pytest.raises(SchemaError, match=r"names no field.*'town'"):
        pprl.Schema.from_toml(SCHEMA_TOML + PASSES.replace('postcode" }', 'town" }'))
    with pytest.raises(SchemaError, match="twice"):
        pprl.Schema.from_toml(SCHEMA_TOML + PASSES + PASSES)
    monkeypatch.setitem(sys.modules, "jellyfish", None)
    schema = pprl.Schema.from_toml(SCHEMA_TOML + PASSES)
    with pytest.raises(MissingDependency, match="phonetic"):
        pprl.encode(PEOPLE, schema, key, id_column="id")


def test_no_keys(key: pprl.LinkageKey, schema: pprl.Schema) -> None:
    a = pprl.encode(PEOPLE, schema, key, id_column="id")
    with pytest.raises(UsageError, match="no blocking keys"):
        pprl.compare(a, a, threshold=0.5, blocking=KeyBlocking())


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([None, 1]), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_union_of_passes(seed: int, within: bool, top: int | None, workers: int) -> None:
    """Exactly the pairs of the full comparison that share a key, each once."""
    rng = np.random.default_rng(seed)
    keys = [rng.integers(0, 6, (n, 3)).astype(np.uint64) for n in (60, 45)]
    a, b = (
        dataclasses.replace(encodings_of(random_filters(rng, len(k), 8)), block_keys=k)
        for k in keys
    )
    other = None if within else b
    second = keys[0] if within else keys[1]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "_TASK_PAIRS", 50)
        patched.setattr(blocks, "_OUTPUT", 3)
        made, report = blocked_pairs(a, other, 0.4, KeyBlocking(), workers=workers)
        best, _ = blocked_pairs(a, other, 0.4, KeyBlocking(), top=top, workers=workers)
    shares = ((keys[0][:, None] == second[None]) & (second[None] > 0)).any(axis=2)
    expected = [p for p in as_list(scored_pairs(a, other, 0.4)) if shares[p[0], p[1]]]
    assert as_list(made) == expected
    assert report.compared == (np.triu(shares, 1) if within else shares).sum()
    assert report.keyless == tuple(int((k == 0).all(axis=1).sum()) for k in (keys[0], second))
    if top:
        directed = expected + [(j, i, s) for i, j, s in expected] if within else expected
        ranked: dict[int, list[tuple[float, int]]] = {}
        for i, j, s in directed:
            ranked.setdefault(i, []).append((-s, j))
        assert as_list(best) == sorted((i, min(r)[1], -min(r)[0]) for i, r in ranked.items())


def test_large_blocks_are_reported() -> None:
    rng = np.random.default_rng(1)
    keys = np.array([[1]] * 30 + [[2]] * 2, np.uint64)
    a = encodings_of(random_filters(rng, 32, 8))
    info = a.info.model_copy(update={"blocking": {"sex": 1.0}})
    a = dataclasses.replace(a, block_keys=keys, info=info)
    with pytest.warns(PprlWarning, match=r"900 pairs in 1 blocks \(sex\)"):
        _, report = blocked_pairs(a, a, 0.0, KeyBlocking(largest_block=100))
    assert (report.compared, report.dropped_pairs) == (4, 900)


def test_kernels_equal_their_python(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    a, b = (encodings_of(random_filters(rng, n, 16)) for n in (40, 30))
    how = HammingLSH(recall=0.9, similarity=0.7)
    compiled = as_list(blocked_pairs(a, b, 0.5, how)[0])
    monkeypatch.setattr(blocks, "pairs_in_blocks", join.pairs_in_blocks.py_func)
    monkeypatch.setattr(lsh, "sample_bits", join.sample_bits.py_func)
    with np.errstate(over="ignore"):
        assert as_list(blocked_pairs(a, b, 0.5, how)[0]) == compiled


def typed_badly(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """CLK-like filters, and the same with some of their bits moved."""
    frequency = rng.beta(1, 2.5, 1024)
    rows = rng.random((n, 1024)) < frequency
    changed = rows.copy()
    for row in changed:
        on, off = np.flatnonzero(row), np.flatnonzero(~row)
        count = int(0.15 * len(on))
        row[rng.choice(on, count, replace=False)] = False
        weights = frequency[off] / frequency[off].sum()
        row[rng.choice(off, count, replace=False, p=weights)] = True
    return np.packbits(rows, axis=1), np.packbits(changed, axis=1)


def test_lsh_reaches_its_recall() -> None:
    rng = np.random.default_rng(7)
    a, b = (encodings_of(rows) for rows in typed_badly(rng, 2000))
    how = HammingLSH(recall=0.97, similarity=0.85)
    every = {(i, j) for i, j, _ in as_list(scored_pairs(a, b, 0.8))}
    assert len(every) >= 1990
    found, report = blocked_pairs(a, b, 0.8, how)
    assert {(i, j) for i, j, _ in as_list(found)} <= every
    assert len(found) / len(every) >= 0.96
    assert report.reduction_ratio > 0.95
    again, _ = blocked_pairs(a, b, 0.8, how, workers=1)
    assert as_list(again) == as_list(found)


def test_lsh_refuses_what_it_cannot_do() -> None:
    a = encodings_of(np.random.default_rng(1).integers(0, 256, (5000, 128)).astype(np.uint8))
    with pytest.raises(UsageError, match="tables"):
        pprl.compare(a, a, threshold=0.6, blocking=HammingLSH(0.999, 0.6))
    for wrong in ({"recall": 1.0}, {"similarity": 0.0}):
        with pytest.raises(UsageError, match="between 0 and 1"):
            HammingLSH(**wrong)
