"""Exact passes, the cascade, and clusters on equal keys."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from conftest import SCHEMA_TOML, encodings_of
from pprl.cli import app
from pprl.errors import KeyMismatch, UsageError
from pprl.exchange.encodings import Encodings
from pprl.linkage.cascade import cascade, exact_clusters, exact_pass_links

VARIANT = 'variants = [{ name = "married", columns = { surname = "married" } }]\n'
PASSES = """
[[blocking]]
name = "name and date"
parts = [{ field = "surname", letters = [1, 2, 3, 4] }, { field = "born", length = 8 }]

[[blocking]]
name = "postcode"
parts = [{ field = "postcode" }]
"""


def keyed(keys: list[list[int]], holder: str, variants: list[int] | None = None) -> Encodings:
    """Encodings with given keys in passes p0, p1, ... and filters that do not matter."""
    n = len(keys)
    rng = np.random.default_rng(n)
    made = encodings_of(rng.integers(1, 256, (n, 8), np.uint8), holder)
    numbers = np.zeros(n, np.uint8) if variants is None else np.array(variants, np.uint8)
    record = np.cumsum(numbers == 0) - 1
    names = [f"p{at}" for at in range(len(keys[0]) if keys else 1)]
    info = made.info.model_copy(
        update={
            "holder": holder,
            "blocking": dict.fromkeys(names, 1.0),
            "records": int((numbers == 0).sum()),
            "rows": n,
        }
    )
    return Encodings(
        pa.array([f"{holder}{at}" for at in record.tolist()]),
        made.clks,
        info,
        None if variants is None else numbers,
        None,
        np.array(keys, np.uint64).reshape(n, len(names)),
    )


def pairs(result: object) -> set[tuple[str, str]]:
    frame = result.links.to_pandas()  # type: ignore[attr-defined]
    return set(zip(frame["left_id"], frame["right_id"], strict=True))


def test_only_what_is_single_in_both_files() -> None:
    a = keyed([[1], [2], [2], [3], [0], [4]], "a")
    b = keyed([[1], [2], [3], [3], [0], [5]], "b")
    found = exact_pass_links(a, b, ["p0"])
    assert pairs(found) == {("a0", "b0")}
    counts = found.passes[0]
    # a1, a2 share 2, and a3 meets two; a4 and b4 have no key.
    assert (counts.ambiguous, counts.left_keyless, counts.right_keyless) == (3, 1, 1)
    assert (counts.left, counts.right, counts.links) == (6, 6, 1)


def test_later_passes_see_what_is_left() -> None:
    a = keyed([[1, 9], [2, 7], [2, 8]], "a")
    b = keyed([[1, 8], [2, 9], [0, 7]], "b")
    found = exact_pass_links(a, b, ["p0", "p1"])
    # a0 is taken by the first pass, so b1's 9 meets nobody; b0 is taken, so a2's 8 neither.
    assert pairs(found) == {("a0", "b0"), ("a1", "b2")}
    assert found.made_by.to_pylist() == ["p0", "p1"]
    assert [one.left for one in found.passes] == [3, 2]
    turned = exact_pass_links(a, b, ["p1", "p0"])
    assert pairs(turned) == {("a0", "b1"), ("a2", "b0"), ("a1", "b2")}


def test_variants_of_a_record_count_once() -> None:
    # a0 has the key twice, in both encodings; b0 meets a1 by one encoding and a2 by the other.
    a = keyed([[1], [1], [2], [3]], "a", [0, 1, 0, 0])
    b = keyed([[2], [3], [1]], "b", [0, 1, 0])
    found = exact_pass_links(a, b, ["p0"])
    assert pairs(found) == {("a0", "b1")}
    assert found.passes[0].ambiguous == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=25),
    st.lists(st.integers(0, 6), min_size=1, max_size=25),
)
def test_a_pass_is_what_a_dictionary_says(left: list[int], right: list[int]) -> None:
    found = exact_pass_links(
        keyed([[k] for k in left], "a"), keyed([[k] for k in right], "b"), ["p0"]
    )
    expected = {
        (f"a{left.index(k)}", f"b{right.index(k)}")
        for k in range(1, 7)
        if left.count(k) == right.count(k) == 1
    }
    assert pairs(found) == expected
    shared = [k for k in left if k and k in right]
    assert found.passes[0].ambiguous == len(shared) - len(expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20),
)
def test_clusters_are_connected_by_equal_keys(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    a, b = keyed([list(k) for k in left], "a"), keyed([list(k) for k in right], "b")
    table = exact_clusters(a, b, passes=["p0", "p1"]).to_pandas()
    assert table["record_id"].tolist() == [*a.record_ids.to_pylist(), *b.record_ids.to_pylist()]
    keys = [*left, *right]
    label = list(range(len(keys)))
    for _ in keys:  # Spread the smallest label until nothing changes.
        for i, x in enumerate(keys):
            for j, y in enumerate(keys):
                if any(p and p == q for p, q in zip(x, y, strict=True)):
                    label[i] = label[j] = min(label[i], label[j])
    expected = defaultdict(set)
    for at, one in enumerate(label):
        expected[one].add(at)
    got = {frozenset(part) for part in table.groupby("cluster_id").indices.values()}
    assert {frozenset(int(i) for i in part) for part in got} == {
        frozenset(part) for part in expected.values()
    }


@pytest.fixture
def two(key: pprl.LinkageKey) -> tuple[Encodings, Encodings]:
    """Two registers of 300 people, 200 in both: a third married, a third mistyped, half moved."""
    rng = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnoprstuvz"))
    n = 400
    people = pd.DataFrame(
        {
            "id": [f"r{at}" for at in range(n)],
            "surname": ["".join(rng.choice(letters, 9)) for _ in range(n)],
            "born": (pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 25_000, n), "D"))
            .strftime("%Y-%m-%d")
            .to_numpy(),
            "postcode": [f"{at:04}AB" for at in rng.integers(1000, 9999, n)],
            "married": None,
        }
    )
    left, right = people.iloc[:300].copy(), people.iloc[100:].copy()
    typo = right.index % 3 == 1
    right.loc[typo, "surname"] = "x" + right.loc[typo, "surname"].str[1:]
    moved = right.index % 2 == 0
    right.loc[moved, "postcode"] = "9999ZZ"
    wed = right.index % 3 == 0
    right.loc[wed, "married"] = right.loc[wed, "surname"]
    right.loc[wed, "surname"] = ["".join(rng.choice(letters, 9)) for _ in range(int(wed.sum()))]
    schema = pprl.Schema.from_toml(VARIANT + SCHEMA_TOML + PASSES)
    return tuple(
        pprl.encode(part, schema, key, id_column="id", holder=name)
        for name, part in (("a", left), ("b", right))
    )  # type: ignore[return-value]


def test_a_cascade_is_its_exact_links_and_the_rest(two: tuple[Encodings, Encodings]) -> None:
    exact = exact_pass_links(*two, ["name and date", "postcode"])
    found = cascade(*two, ["name and date", "postcode"])
    assert pairs(exact) < pairs(found)
    assert found.exact_links == len(exact.links)
    assert found.rest is not None
    assert len(found.links) == found.exact_links + len(found.rest.links)
    assert found.gain == pytest.approx(len(found.rest.links) / found.exact_links)
    frame = found.to_table().to_pandas()
    assert frame["left_id"].is_unique
    assert frame["right_id"].is_unique
    # The order is that of the left file, whichever pass made the link.
    places = frame["left_id"].map(
        {one: at for at, one in enumerate(two[0].unique_ids().to_pylist())}
    )
    assert places.is_monotonic_increasing
    assert frame["probability"].isna().tolist() == (frame["made_by"] != "clk").tolist()
    truth = {(f"r{at}", f"r{at}") for at in range(100, 300)}
    assert len(pairs(found) & truth) >= 190
    # Mistyped and moved: no exact pass can find them.
    lost = {(f"r{at}", f"r{at}") for at in range(100, 300) if at % 6 == 4}
    assert not pairs(exact) & lost
    assert len(lost & pairs(found)) > len(lost) / 2


def test_similarities_are_those_of_comparing(two: tuple[Encodings, Encodings]) -> None:
    exact = exact_pass_links(*two, ["name and date"]).links.to_pandas()
    everything = pprl.compare(*two, threshold=0.2).to_pandas()
    both = exact.merge(everything, on=["left_id", "right_id"])
    assert len(both) == len(exact) > 100
    np.testing.assert_allclose(both["similarity_x"], both["similarity_y"])


def test_nothing_left_to_compare() -> None:
    a, b = keyed([[1], [2]], "a"), keyed([[2], [1]], "b")
    found = cascade(a, b, ["p0"])
    assert pairs(found) == {("a0", "b1"), ("a1", "b0")}
    assert found.rest is None
    assert found.gain == 0.0


@pytest.mark.filterwarnings("ignore:the threshold .* was given")
def test_no_exact_link_at_all() -> None:
    a, b = keyed([[1], [2]], "a"), keyed([[3], [4]], "b")
    found = cascade(a, b, ["p0"], threshold=0.0)
    assert found.exact_links == 0
    assert found.gain is None
    assert len(found.links) == 2


def test_what_cannot_be_asked_for(two: tuple[Encodings, Encodings]) -> None:
    with pytest.raises(UsageError, match=r"no keys of a pass 'palga4'; they have: 'name and date'"):
        exact_pass_links(*two, ["palga4"])
    with pytest.raises(UsageError, match="each once"):
        cascade(*two, [])
    with pytest.raises(UsageError, match="each once"):
        exact_clusters(*two, passes=["postcode", "postcode"])
    with pytest.raises(UsageError, match="at least one file"):
        exact_clusters(passes=["postcode"])
    plain = encodings_of(np.ones((3, 8), np.uint8))
    with pytest.raises(UsageError, match="they have: none"):
        exact_pass_links(plain, plain, ["postcode"])
    info = two[1].info.model_copy(update={"key_check": "0" * 16})
    other = Encodings(
        two[1].record_ids, two[1].clks, info, two[1].variants, None, two[1].block_keys
    )
    with pytest.raises(KeyMismatch):
        cascade(two[0], other, ["postcode"])


def test_command_line(two: tuple[Encodings, Encodings], tmp_path: Path) -> None:
    files = [tmp_path / "a.clk.parquet", tmp_path / "b.clk.parquet"]
    for one, file in zip(two, files, strict=True):
        one.save(file)
    command = ["cascade", *map(str, files), "--exact", "name and date,postcode"]
    runner = CliRunner()
    done = runner.invoke(app, [*command, "-o", str(tmp_path / "all")], catch_exceptions=False)
    assert done.exit_code == 0
    assert "more than exact keys" in done.stdout
    facts = json.loads((tmp_path / "all" / "linkage.json").read_text())
    made = pq.read_table(tmp_path / "all" / "made_by.parquet").to_pandas()
    assert made["made_by"].value_counts()["clk"] == facts["links"] - facts["exact_links"] > 0
    assert pprl.Links.load(tmp_path / "all" / "links.parquet").table.num_rows == facts["links"]
    only = [*command, "-o", str(tmp_path / "exact"), "--exact-only", "--json"]
    said = json.loads(runner.invoke(app, only, catch_exceptions=False).stdout)
    assert said["rest"] is None
    assert said["links"] == facts["exact_links"]
