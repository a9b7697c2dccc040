"""Blocking: keys of the holders, Hamming LSH, and what they leave out."""

from __future__ import annotations

import dataclasses
import hmac
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import SCHEMA_TOML, encode_by_id, encodings_of
from pprl.errors import MissingDependency, PprlWarning, SchemaError, TooManyPairs, UsageError
from pprl.kernels import join
from pprl.linkage.candidates import blocked as blocks
from pprl.linkage.candidates import lsh
from pprl.linkage.candidates.blocking import (
    BlockingUnion,
    HammingLSH,
    KeyBlocking,
    LambdaFold,
    PSig,
)
from pprl.linkage.candidates.exhaustive import scored_pairs
from pprl.linkage.candidates.in_blocks import blocked_pairs
from pprl.linkage.explain import explain
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
    return encode_by_id(PEOPLE, schema, key, id_column="id")


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
        encode_by_id(PEOPLE, schema, key, id_column="id")


def test_no_keys(key: pprl.LinkageKey, schema: pprl.Schema) -> None:
    a = encode_by_id(PEOPLE, schema, key, id_column="id")
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


def keyed_filters(
    rng: np.random.Generator, n: int, passes: int, values: int, names: bool = True
) -> pprl.Encodings:
    keys = rng.integers(0, values, (n, passes)).astype(np.uint64)
    # Large ones too, which do not fit into a word with a row's number.
    keys = np.where(keys % np.uint64(2), keys << np.uint64(61), keys)
    one = encodings_of(random_filters(rng, n, 8))
    shares = {f"p{at}": 1.0 for at in range(passes)} if names else {}
    info = one.info.model_copy(update={"blocking": shares})
    return dataclasses.replace(one, block_keys=keys, info=info)


def sharing(x: np.ndarray, y: np.ndarray, largest: int, within: bool) -> np.ndarray:
    """Which pairs share a key of a block that is not too large, from the definition."""
    met = np.zeros((len(x), len(y)), bool)
    for a, b in zip(x.T, y.T, strict=True):
        for key in set(a.tolist()) & set(b.tolist()) - {0}:
            if (a == key).sum() * (b == key).sum() <= largest:
                met |= (a == key)[:, None] & (b == key)[None, :]
    return np.triu(met, 1) if within else met


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([20, 200, 10**6]))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:blocks were passed over")
def test_passing_over_a_block_loses_no_pair_of_another(
    seed: int, within: bool, largest: int
) -> None:
    """A pair in a large block of one pass and a small one of the next is compared."""
    rng = np.random.default_rng(seed)
    a = keyed_filters(rng, 50, 3, 7)
    b = None if within else keyed_filters(rng, 40, 3, 7)
    how = KeyBlocking(largest_block=None if largest > 200 else largest)
    with pytest.MonkeyPatch.context() as patched:
        # In tiles, where blocks are as large as a half of these.
        patched.setattr(blocks, "_TILED", 10 + seed % 60)
        made, report = blocked_pairs(a, b, 0.3, how)
    met = sharing(a.block_keys, (b or a).block_keys, largest, within)
    assert as_list(made) == [p for p in as_list(scored_pairs(a, b, 0.3)) if met[p[0], p[1]]]
    assert report.compared == met.sum()
    lone = [~met.any(axis=1), ~met.any(axis=0)]
    if not within:
        for side, keys in enumerate((a.block_keys, b.block_keys)):
            nothing = (keys == 0).all(axis=1)
            assert report.keyless[side] == nothing.sum()
            assert report.purged[side] <= (lone[side] & ~nothing).sum()


@given(st.integers(0, 2**32), st.booleans(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_records_without_a_key_can_be_compared_with_all(
    seed: int, within: bool, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    a = keyed_filters(rng, 40, 2, 3)
    b = None if within else keyed_filters(rng, 30, 2, 3)
    how = BlockingUnion((KeyBlocking(),), unreachable="compare")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "_TASK_ROWS", 7)
        made, report = blocked_pairs(a, b, 0.3, how, workers=workers)
    x, y = a.block_keys, (b or a).block_keys
    met = sharing(x, y, 10**6, within)
    met |= ~x.any(axis=1)[:, None] | ~y.any(axis=1)[None, :]
    met = np.triu(met, 1) if within else met
    assert as_list(made) == [p for p in as_list(scored_pairs(a, b, 0.3)) if met[p[0], p[1]]]
    bits = [one.popcounts() > 0 for one in (a, b or a)]
    assert report.compared >= (met & bits[0][:, None] & bits[1][None, :]).sum()
    assert report.unreachable == "compare"


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_union_is_the_union(seed: int, within: bool) -> None:
    """What any way alone finds, and nothing else, each pair once."""
    rng = np.random.default_rng(seed)
    a = keyed_filters(rng, 60, 2, 9)
    b = None if within else keyed_filters(rng, 50, 2, 9)
    ways = (KeyBlocking(passes=("p1",)), LambdaFold(tables=3, bits=12), PSig(most=0.2))
    alone = [{p[:2] for p in as_list(blocked_pairs(a, b, 0.3, how)[0])} for how in ways[:2]]
    alone.append({p[:2] for p in as_list(quietly(a, b, ways[2]))})
    made = quietly(a, b, BlockingUnion(ways))
    found = [p[:2] for p in as_list(made)]
    assert len(found) == len(set(found))
    assert set(found) == set.union(*alone)


def quietly(a, b, how):  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        return blocked_pairs(a, b, 0.3, how)[0]


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        (PSig(least=2, most=4, unit="count"), {3}),
        (PSig(most=0.5), {1, 3}),
        (PSig(least=0.2, most=1.0), {3, 6}),
        (PSig(most=5, unit="count", largest_block=8), {1}),
    ],
)
def test_psig_passes_over_frequent_and_rare_signatures(how: PSig, kept: set[int]) -> None:
    """Blocks of 6, 3 and 1 of 10 records in either file."""
    keys = np.repeat([11, 12, 13], [6, 3, 1]).astype(np.uint64)[:, None]
    a = encodings_of(np.full((10, 8), 255, np.uint8))
    a = dataclasses.replace(a, block_keys=keys)
    with pytest.warns(PprlWarning, match="passed over for their size"):
        made, report = blocked_pairs(a, a, 0.5, how)
    assert len(made) == sum(size * size for size in kept)
    (one,) = report.passes
    dropped = {1, 3, 6} - kept
    assert (one.blocks, one.dropped_blocks) == (len(kept), len(dropped))
    assert one.dropped_pairs == sum(size * size for size in dropped)
    assert one.largest_dropped == (max(dropped), max(dropped))
    assert report.purged == (sum(dropped), sum(dropped))


def test_lambda_fold_compares_what_agrees_in_a_selection() -> None:
    """Reproduced from the keys; another seed, and another project, selects other bits."""
    rng = np.random.default_rng(5)
    a, b = (encodings_of(rng.integers(0, 256, (80, 8)).astype(np.uint8)) for _ in range(2))
    how = LambdaFold(tables=5, bits=6)
    x, y = how.keys(a, b)
    agree = (x[:, None] == y[None]).any(axis=2)
    made, report = blocked_pairs(a, b, 0.0, how)
    assert {p[:2] for p in as_list(made)} == set(zip(*map(list, np.nonzero(agree)), strict=True))
    assert report.compared == agree.sum()
    assert not (how.keys(a, b)[0] == LambdaFold(5, 6, seed=1).keys(a, b)[0]).all()
    info = a.info.model_copy(update={"key_check": "another"})
    assert not (how.keys(dataclasses.replace(a, info=info), b)[0] == x).all()


def test_characters_at_places(key: pprl.LinkageKey) -> None:
    passes = """
[[blocking]]
name = "some letters"
parts = [{ field = "surname", at = [0, 2, 8] }]
"""
    schema = pprl.Schema.from_toml(SCHEMA_TOML + passes)
    people = PEOPLE.assign(surname=["Vermeulen", "Varmaalan", "Ver", "Oosterhuis"])
    keys = encode_by_id(people, schema, key, id_column="id").block_keys
    assert keys[0, 0] == keys[1, 0] != keys[3, 0] > 0
    assert keys[2, 0] == 0


def test_explain_counts_what_is_then_compared() -> None:
    rng = np.random.default_rng(9)
    a, b = (keyed_filters(rng, n, 2, 40) for n in (300, 200))
    expected = explain(a, b, threshold=0.6)
    assert (expected.pairs, expected.completeness, expected.advice) == (60_000, 1.0, "")
    for other in (b, None):
        how = KeyBlocking()
        said = explain(a, other, threshold=0.6, blocking=how)
        _, report = blocked_pairs(a, other, 0.6, how)
        assert said.all_pairs == report.all_pairs
        assert [way.pairs for way in said.ways] == [one.pairs for one in report.passes]
        assert said.keyless == report.keyless
        assert report.compared <= said.pairs
        assert said.completeness is None
        both = BlockingUnion((how,), unreachable="compare")
        assert explain(a, other, threshold=0.6, blocking=both).pairs >= said.pairs


def test_explain_of_lsh_is_near_what_happens() -> None:
    rng = np.random.default_rng(7)
    a, b = (encodings_of(rows) for rows in typed_badly(rng, 1500))
    for how in (HammingLSH(recall=0.95, similarity=0.85), LambdaFold(tables=40, bits=20)):
        said = explain(a, b, threshold=0.85, blocking=how)
        found, report = blocked_pairs(a, b, 0.85, how)
        every = scored_pairs(a, b, 0.85)
        assert len(found) / len(every) == pytest.approx(said.completeness, abs=0.12)
        assert report.compared <= said.pairs <= 10 * report.compared + 1000


def test_explain_says_when_lsh_is_no_use() -> None:
    rng = np.random.default_rng(1)
    a = encodings_of(rng.integers(0, 256, (6000, 128)).astype(np.uint8))
    said = explain(a, a, threshold=0.6, blocking=HammingLSH(0.999, 0.6))
    assert said.completeness < 0.999
    assert "by keys that the holders make" in said.advice


def test_too_many_pairs_says_how_many_there_are() -> None:
    a = encodings_of(np.full((60, 8), 255, np.uint8))
    a = dataclasses.replace(a, block_keys=np.ones((60, 1), np.uint64))
    with pytest.raises(TooManyPairs, match=r"about 3,600 in all"):
        blocked_pairs(a, a, 0.5, KeyBlocking(), max_pairs=100)


def test_blocks_to_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    a, b = keyed_filters(rng, 90, 2, 5), keyed_filters(rng, 70, 2, 5)
    expected = pprl.compare(a, b, threshold=0.4, blocking=KeyBlocking()).to_pandas()
    path = tmp_path / "pairs.parquet"
    count = pprl.compare_file(a, b, path, threshold=0.4, blocking=KeyBlocking())
    made = pd.read_parquet(path).sort_values(["left_id", "right_id"])
    assert count == len(made) == len(expected) > 0
    columns = ["left_id", "right_id", "similarity"]
    expected = expected.sort_values(["left_id", "right_id"])
    assert made[columns].values.tolist() == expected[columns].values.tolist()
    with pytest.raises(UsageError, match="without top"):
        pprl.compare_file(a, b, tmp_path / "x", threshold=0.4, top=1, blocking=KeyBlocking())


def test_wrong_ways_of_blocking(keyed: pprl.Encodings) -> None:
    with pytest.raises(UsageError, match="least <= most"):
        PSig(least=0.5, most=0.1)
    with pytest.raises(UsageError, match="at most 1"):
        PSig(most=2)
    with pytest.raises(UsageError, match="63 bits"):
        LambdaFold(bits=64)
    with pytest.raises(UsageError, match="at least one"):
        BlockingUnion(())
    with pytest.raises(UsageError, match=r"no blocking pass 'x'; the passes are: 'sound and"):
        pprl.compare(keyed, threshold=0.5, blocking=KeyBlocking(passes=("x",)))


def test_explain_on_the_command_line(
    keyed: pprl.Encodings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keyed.save(tmp_path / "a.clk.parquet")
    from pprl.cli import app

    app(
        ["explain", str(tmp_path / "a.clk.parquet"), "--blocking", "keys+lambda-fold", "--json"],
        standalone_mode=False,
    )
    said = json.loads(capsys.readouterr().out)
    names = [way["name"] for way in said["ways"]]
    assert names == ["sound and year", "postcode", "lambda-fold"]
    with pytest.raises(UsageError, match="'bits' is"):
        app(
            ["explain", str(tmp_path / "a.clk.parquet"), "--blocking", "bits"],
            standalone_mode=False,
        )
