"""Many files, or one with itself, into clusters."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from conftest import encode_by_id, encodings_of, key_of
from pprl import demo, synthetic
from pprl.cli import app
from pprl.errors import MissingColumn, PprlWarning, UnreadableFile, UsageError
from pprl.exchange.encodings import Encodings
from pprl.holder.choices import SuggestHardening
from pprl.holder.suggest import suggest_schema
from pprl.kernels.agglomerate import BY_LEAST, BY_MEAN, BY_SUM, agglomerate
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool, all_pairs_within
from pprl.linkage.decision.density_valley import NOWHERE, Gap, find_gap, find_slowing, find_valley
from pprl.linkage.decision.with_duplicates import raise_by_contrast
from pprl.linkage.model.scoring import Criterion
from pprl.linkage.options import Rule
from pprl.linkage.resolution.agglomerative import choose_rule, join
from pprl.linkage.resolution.deliveries import load_previous

BITS = 512


def people(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, BITS)) < 0.3


def noisy(bits: np.ndarray, share: float, seed: int) -> np.ndarray:
    return np.packbits(bits ^ (np.random.default_rng(seed).random(bits.shape) < share), axis=1)


def clusters_of(result: pprl.ClusterResult) -> set[frozenset[str]]:
    """The clusters as sets of record ids, which name their holder in these tests."""
    frame = result.clusters.to_pandas()
    return {frozenset(ids) for _, ids in frame.groupby("cluster_id")["record_id"]}


def plainly(
    n: int,
    known: dict[tuple[int, int], float],
    unknown: float,
    slack: float,
    group: list[int],
    by: int,
) -> list[int]:
    """Join clusters as the definition says, going through all pairs of clusters each time."""
    clusters = [[i] for i in range(n)]

    def gain(x: list[int], y: list[int]) -> float:
        values = [known.get((min(i, j), max(i, j))) for i in x for j in y]
        total = sum(unknown if value is None else value for value in values)
        if by == BY_LEAST:
            least = min(unknown if value is None else value for value in values)
            return least if least >= 0 else -np.inf
        if max(-1 if value is None else value for value in values) < 0:
            return -np.inf
        if total / len(values) < -slack:
            return -np.inf
        return total if by == BY_SUM else total / len(values)

    while True:
        allowed = []
        for x in clusters:
            for y in clusters:
                groups = [group[i] for i in x + y if group[i] >= 0]
                if x[0] < y[0] and len(groups) == len(set(groups)) and gain(x, y) > -np.inf:
                    allowed.append((gain(x, y), x, y))
        if not allowed:
            break
        _, x, y = max(allowed, key=lambda one: one[0])
        clusters.remove(y)
        x.extend(y)
        x.sort()
    label = [0] * n
    for members in clusters:
        for i in members:
            label[i] = members[0]
    return label


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, dict[tuple[int, int], float], list[int], bool]:
    n = draw(st.integers(1, 9))
    every = [(i, j) for i in range(n) for j in range(i + 1, n)]
    chosen = draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    # Powers of two apart, so that no two sums or means are the same.
    seed = draw(st.integers(0, 2**32 - 1))
    excess = np.random.default_rng(seed).uniform(-0.2, 0.3, len(chosen))
    group = draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n))
    return (
        n,
        dict(zip(chosen, excess.tolist(), strict=True)),
        group,
        draw(st.sampled_from([BY_MEAN, BY_SUM, BY_LEAST])),
    )


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_kernel_against_the_definition(
    case: tuple[int, dict[tuple[int, int], float], list[int], int],
) -> None:
    n, known, group, by = case
    ends = np.array(sorted(known), np.int64).reshape(-1, 2)
    excess = np.array([known[i, j] for i, j in ends.tolist()], np.float64)
    label = np.empty(n, np.int64)
    columns = (np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1]), excess)
    agglomerate(*columns, -0.1, 0.04, np.array(group), 4, by, label)
    assert label.tolist() == plainly(n, known, -0.1, 0.04, group, by)


def test_pairs_within_labels() -> None:
    labels = np.array([2, 0, 2, 1, 2, 0])
    pairs, large = all_pairs_within(labels, 2)
    assert list(zip(pairs.left, pairs.right, strict=True)) == [(1, 5)]
    assert large.tolist() == [True, False, True, False, True, False]
    pairs, _ = all_pairs_within(labels, 3)
    assert list(zip(pairs.left, pairs.right, strict=True)) == [(1, 5), (0, 2), (0, 4), (2, 4)]


@pytest.mark.parametrize("rule", ["average", "complete", "correlation"])
def test_three_files(rule: str) -> None:
    bits = people(40)
    files = [
        encodings_of(noisy(bits[start : start + 30], 0.02, start), name)
        for start, name in ((0, "a"), (5, "b"), (10, "c"))
    ]
    result = pprl.cluster(*files, threshold=0.8, rule=rule)
    expected = {
        frozenset(
            f"{name}{person - start}"
            for start, name in ((0, "a"), (5, "b"), (10, "c"))
            if 0 <= person - start < 30
        )
        for person in range(40)
    }
    assert clusters_of(result) == expected
    assert len(result.clusters) == 40
    assert len(result.conflicts) == 0
    assert result.pairs_compared == 90 * 89 // 2
    frame = result.clusters.to_pandas()
    assert frame["record_id"].tolist() == [f"{n}{i}" for n in "abc" for i in range(30)]
    assert frame["holder"].tolist() == [n for n in "abc" for _ in range(30)]
    linked = pprl.link(*files, threshold=0.8)
    assert isinstance(linked, pprl.ClusterResult)
    assert clusters_of(linked) == expected
    assert pprl.cluster(*files, threshold=0.8, rule=rule, workers=1).clusters.table.equals(
        result.clusters.table
    )


def chain() -> list[Encodings]:
    """A = B and B = C, but not A = C; and a second record of B that is nearly the first."""
    rng = np.random.default_rng(7)
    middle = np.zeros(BITS, bool)
    places = rng.permutation(BITS)
    middle[places[:100]] = True
    left, right, second = middle.copy(), middle.copy(), middle.copy()
    left[places[:20]], left[places[100:120]] = False, True
    right[places[20:40]], right[places[120:140]] = False, True
    second[places[40:45]], second[places[140:145]] = False, True
    rows = [np.packbits(row[None], axis=1) for row in (left, middle, right, second)]
    return [
        encodings_of(rows[0], "a"),
        encodings_of(np.concatenate([rows[1], rows[3]]), "b"),
        encodings_of(rows[2], "c"),
    ]


def test_conflicts_are_listed() -> None:
    # Dice: a-b0 0.80, b0-c 0.80, a-c 0.60, b0-b1 0.95, a-b1 0.75, c-b1 0.75.
    with pytest.warns(PprlWarning, match="1 in that of holder 'b'"):
        apart = pprl.cluster(*chain(), threshold=0.79)
    rows = apart.conflicts.to_pylist()
    assert clusters_of(apart) in [
        {frozenset({"a0", "b0"}), frozenset({"c0"}), frozenset({"b1"})},
        {frozenset({"c0", "b0"}), frozenset({"a0"}), frozenset({"b1"})},
    ]
    assert [(row["reason"], row["similarity"]) for row in rows] == [
        ("one record per holder", 0.95),
        ("not alike as a whole", 0.8),
    ]
    assert rows[0]["left_id"] == "b0"
    assert rows[0]["right_id"] == "b1"
    with_all = pprl.cluster(*chain(), threshold=0.65, deduplicated=False)
    assert clusters_of(with_all) == {frozenset({"a0", "b0", "b1", "c0"})}
    together = with_all.conflicts.to_pylist()
    assert [(row["reason"], row["left_id"], row["right_id"]) for row in together] == [
        ("joined through others", "a0", "c0")
    ]
    assert with_all.facts(chain()[0].info)["conflicts"] == {"joined through others": 1}


def test_one_record_of_some_holders() -> None:
    bits = people(3)
    twice = np.concatenate([noisy(bits, 0.01, 1), noisy(bits, 0.01, 2)])
    a, b = encodings_of(twice, "a"), encodings_of(noisy(bits, 0.01, 3), "b")
    with pytest.warns(PprlWarning, match="3 in that of holder 'a'"):
        assert len(pprl.cluster(a, b, threshold=0.8).clusters) == 6
    result = pprl.cluster(a, b, threshold=0.8, deduplicated=["b"])
    assert clusters_of(result) == {frozenset({f"a{i}", f"a{i + 3}", f"b{i}"}) for i in range(3)}
    assert result.deduplicated == ("b",)
    assert clusters_of(pprl.dedupe(a, threshold=0.8)) == {
        frozenset({f"a{i}", f"a{i + 3}"}) for i in range(3)
    }


def test_wrong_options() -> None:
    a, b = encodings_of(noisy(people(3), 0, 1), "a"), encodings_of(noisy(people(3), 0, 2), "b")
    with pytest.raises(UsageError, match="two files are of holder 'a'"):
        pprl.cluster(a, a, threshold=0.8)
    with pytest.raises(UsageError, match="no holder 'z'; the holders are: 'a', 'b'"):
        pprl.cluster(a, b, threshold=0.8, deduplicated=["z"])
    with pytest.raises(UsageError, match="rule must be one of"):
        pprl.cluster(a, b, threshold=0.8, rule="best")
    with pytest.raises(UsageError, match="between 0 and 1"):
        pprl.cluster(a, b, threshold=2)
    with pytest.raises(UsageError, match="at least one file"):
        pprl.cluster()
    c = encodings_of(noisy(people(3), 0, 1), "c")
    with pytest.raises(UsageError, match="not optimal"):
        pprl.link(a, b, c, threshold=0.8, matching="optimal")


def test_the_best_of_variants_counts() -> None:
    bits = people(4)
    rows = noisy(bits[[0, 1, 2]], 0, 0)
    a = encodings_of(rows, "a")
    a = Encodings(
        pa.array(["a0", "a0", "a1"]),
        rows,
        a.info.model_copy(update={"records": 2}),
        np.array([0, 1, 0], np.uint8),
    )
    b = encodings_of(noisy(bits[[1, 2, 3]], 0.01, 1), "b")
    result = pprl.cluster(a, b, threshold=0.8)
    assert clusters_of(result) == {
        frozenset({"a0", "b0"}),
        frozenset({"a1", "b1"}),
        frozenset({"b2"}),
    }
    pool = Pool.of([a, b])
    pairs = Pairs(np.array([0, 0]), np.array([2, 4]), np.zeros(2))
    assert pool.compared(pairs).similarity[0] > 0.9


def febrl_schema() -> pprl.Schema:
    return pprl.Schema.load("src/pprl/schemas/febrl4.toml")


def test_gap_on_febrl() -> None:
    """The whole of FEBRL 4 as one file with two records of everybody, no threshold given."""
    both = demo.half_overlap(demo.febrl4())
    people = pd.concat([both.left, both.right])
    key = key_of("a secret for the tests of clusters")
    # In one order: the sample from which the shape is seen depends on it.
    file = encode_by_id(people, febrl_schema(), key, id_column="rec_id")
    result = pprl.dedupe(file)
    found = clusters_of(result)
    true = {frozenset(pair) for pair in both.truth.itertuples(index=False, name=None)}
    pairs = {frozenset((x, y)) for ids in found for x in ids for y in ids if x < y}
    assert 2 * len(pairs & true) / (len(pairs) + len(true)) >= 0.97
    assert result.how == "auto"
    assert result.expected_precision is not None
    assert abs(result.expected_precision - len(pairs & true) / len(pairs)) < 0.05
    # Below it, pairs of different people are many: every pair must reach the threshold.
    rules = [pprl.dedupe(file, threshold=result.threshold + by).rule for by in (-0.04, 0.04)]
    assert rules == ["complete", "average"]


def test_slowing_by_construction() -> None:
    """Exponential non-matches and evenly spread matches: half and half is known."""
    rng = np.random.default_rng(5)
    null = 0.5 + rng.exponential(0.02, 100_000)
    matches = rng.uniform(0.5, 1.0, 5_000)
    gap = find_slowing(np.concatenate([null[null < 1], matches]), 0.5)
    # 100,000 / 0.02 exp(-x / 0.02) = 5,000 / 0.5 at x = 0.124; smoothing with a kernel of 0.8
    # times 0.02 raises the exponential by exp(0.8 ** 2 / 2), and so moves that up by 0.0064.
    assert gap.threshold == pytest.approx(0.6304, abs=0.006)
    real = int((null >= gap.threshold).sum())
    assert gap.false_pairs == pytest.approx(real, rel=0.35)
    assert find_slowing(null[null < 1], 0.5) == NOWHERE
    assert find_slowing(np.empty(0), 0.5) == NOWHERE


def at_distance(distance: np.ndarray, centre: float = 0.4) -> np.ndarray:
    return centre + (1 - centre) * np.exp(-distance)


def test_valley_by_construction() -> None:
    """Between pairs that fall and pairs that rise: where their sum is least."""
    rng = np.random.default_rng(6)
    # On the logarithmic scale exponentials both, one from either end, from 0 to 2.
    others = np.clip(2 - rng.exponential(0.15, 60_000), 0, None)
    same = rng.exponential(0.2, 3_000)
    similarity = at_distance(np.concatenate([others, same[same < 2]]))
    valley = find_valley(similarity, at_distance(np.array(2.0)), 0.4)
    # 60,000 / 0.15 ** 2 exp(-(2 - x) / 0.15) = 3,000 / 0.2 ** 2 exp(-x / 0.2) at x = 0.84.
    assert -np.log((valley.threshold - 0.4) / 0.6) == pytest.approx(0.84, abs=0.08)
    real = int((at_distance(others) >= valley.threshold).sum())
    assert real / 5 < valley.false_pairs < 5 * real
    assert find_valley(at_distance(others), at_distance(np.array(2.0)), 0.4) == NOWHERE
    assert find_valley(np.empty(0), 0.5, 0.4) == NOWHERE
    assert find_valley(similarity, 0.4, 0.4) == NOWHERE


def test_between_slowing_and_valley() -> None:
    """A shoulder that falls is of households; one that is level is of people written otherwise."""
    rng = np.random.default_rng(7)
    non_matches = at_distance(2 - rng.exponential(0.03, 60_000))
    alike = at_distance(rng.exponential(0.05, 1_000))
    floor = float(at_distance(np.array(2.0)))
    homes = at_distance(2 - np.minimum(rng.exponential(0.2, 3_000), 1.9))
    gap = find_gap(np.concatenate([non_matches, alike, homes]), floor, 0.4)
    assert (alike >= gap.threshold).mean() > 0.95
    assert (homes >= gap.threshold).mean() < 0.02
    assert gap.doubtful > 1_000
    assert gap.doubtful_from < gap.threshold
    written = at_distance(rng.uniform(0.0, 2.0, 3_000))
    gap = find_gap(np.concatenate([non_matches, alike, written]), floor, 0.4)
    assert (written >= gap.threshold).mean() > 0.85
    assert (non_matches >= gap.threshold).sum() < 300
    assert gap.doubtful == 0


@pytest.mark.parametrize("hardening", ["none", "default"])
def test_households_in_one_file(hardening: SuggestHardening, tmp_path: Path) -> None:
    """A register of whole families: nobody twice, then a few, then many."""
    population = synthetic.population_table(8_000, seed=4)
    for share in (0.0, 0.03, 0.2):
        register = synthetic.Register(
            name="r", coverage=0.4, duplicates=share, errors=synthetic.Errors(keyboard=0.02)
        )
        table, known = synthetic.register_table(population, register, seed=4)
        if not share:
            table.to_pandas().drop(columns="record_id").to_csv(tmp_path / "r.csv", index=False)
            text = suggest_schema(tmp_path / "r.csv", hardening=hardening)
            (tmp_path / "schema.toml").write_text(text)
            schema = pprl.Schema.load(tmp_path / "schema.toml")
        key = key_of("a secret for the tests of households")
        file = pprl.encode(table, schema, key, id_column="record_id")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = pprl.dedupe(file)
        # Encodings are in random order.
        found = result.clusters.table.to_pandas().set_index("record_id")["cluster_id"]
        labels = pd.factorize(found.loc[known["record_id"].to_pylist()])[0]
        quality = pprl.ClusterQuality.of(labels, known["person_id"].to_numpy())
        if share:
            assert quality.f1.value > 0.96
        else:
            assert result.threshold > 1
            assert len(result.clusters) == len(table)
        if hardening == "none":  # min-hash with weights for families hides households
            assert any("members of one household" in str(one.message) for one in said)
            assert result.doubtful_from is not None


def test_households_are_seen_by_contrast() -> None:
    """Two files; non-matches and households in either as often as across; few duplicates."""
    rng = np.random.default_rng(6)
    null = 0.5 + rng.exponential(0.02, 100_000)
    homes = np.clip(rng.normal(0.7, 0.02, 4_000), 0.5, 0.8)
    others = np.concatenate([null[null < 1], homes])
    is_within = rng.random(len(others)) < 0.5
    same = np.clip(1 - rng.exponential(0.1, 6_000), 0.5, 1.0)
    twice = rng.random(len(same)) < 0.1
    across = np.concatenate([others[~is_within], same[~twice]])
    within = np.concatenate([others[is_within], same[twice]])
    slowing = find_slowing(np.concatenate([across, within]), 0.5)
    assert slowing.threshold < 0.68
    file = np.repeat([0, 1], 1000)
    gap = Gap(0.9, 0, 0.0)
    raised = raise_by_contrast(slowing, gap, across, within, file)
    density = [np.histogram(x, np.arange(0.6, 1.005, 0.01))[0] for x in (same, others)]
    wanted = np.arange(0.6, 1.0, 0.01)[np.flatnonzero(density[0] < density[1])[-1] + 1]
    assert raised.threshold == pytest.approx(wanted, abs=0.02)
    assert raised.pairs == (across >= raised.threshold).sum() + (within >= raised.threshold).sum()
    # Records dealt to files at random: one person's divide like non-matches, and nothing is seen.
    dealt = rng.random(len(same)) < 0.5
    across = np.concatenate([others[~is_within], same[~dealt]])
    within = np.concatenate([others[is_within], same[dealt]])
    assert raise_by_contrast(slowing, gap, across, within, file) is gap


def test_nobody_twice() -> None:
    a = encodings_of(np.packbits(people(800, seed=3), axis=1), "a")
    with pytest.warns(PprlWarning, match="no two records stand out"):
        result = pprl.dedupe(a)
    assert len(result.clusters) == 800
    assert result.threshold > 1
    assert result.expected_precision is None


def deliveries() -> tuple[list[Encodings], list[Encodings]]:
    bits = people(60)
    first = [
        encodings_of(noisy(bits[:30], 0.02, 1), "a"),
        encodings_of(noisy(bits[20:50], 0.02, 2), "b"),
    ]
    return first, [encodings_of(noisy(bits[10:60], 0.02, 3), "c")]


def test_another_delivery() -> None:
    first, second = deliveries()
    before = pprl.cluster(*first, threshold=0.8)
    after = pprl.cluster(*first, *second, threshold=0.8, against=before.clusters)
    at_once = pprl.cluster(*first, *second, threshold=0.8)
    assert clusters_of(after) == clusters_of(at_once)
    assert after.pairs_compared == 50 * 110
    assert after.events is not None
    assert len(after.events) == 0
    old = before.clusters.to_pandas().set_index(["holder", "record_id"])["cluster_id"]
    new = after.clusters.to_pandas().set_index(["holder", "record_id"])["cluster_id"]
    assert (new.loc[old.index] == old).all()
    assert at_once.events is None


def test_merge_and_split_are_events() -> None:
    a, b, _ = chain()
    # Earlier, a0 and b1 were one person and b0 another. The new record is like both of b.
    table = pprl.dedupe(a, threshold=0.9).clusters.table
    table = pa.table(
        [["x", "y", "x"], ["a", "b", "b"], ["a0", "b0", "b1"]], names=table.column_names
    )
    earlier = pprl.Clusters(table)
    c = encodings_of(b.clks[:1], "c")
    result = pprl.cluster(a, b, c, threshold=0.81, against=earlier, deduplicated=["a", "c"])
    assert clusters_of(result) == {frozenset({"a0"}), frozenset({"b0", "b1", "c0"})}
    assert result.events is not None
    after = result.clusters.to_pandas().set_index("record_id")["cluster_id"]
    assert (after["a0"], after["b0"]) == ("x", "y")
    assert [tuple(row.values()) for row in result.events.to_pylist()] == [
        ("split", "x", "x", 1),
        ("split", "x", "y", 1),
        ("merge", "x", "y", 1),
        ("merge", "y", "y", 1),
    ]
    assert result.facts(a.info)["events"] == {"split": 2, "merge": 2}
    untouched = pprl.cluster(a, b, threshold=0.99, against=earlier)
    assert untouched.clusters.table.equals(earlier.table)


@pytest.mark.parametrize(("shared", "kept"), [(77, True), (70, False)])
def test_an_earlier_cluster_comes_apart_only_for_a_good_reason(shared: int, kept: bool) -> None:
    """Two records of one earlier cluster, and a new one that is like the first of them."""
    bits = np.zeros((3, BITS), bool)
    bits[0, :100] = True
    bits[1, :shared] = bits[1, 200 : 300 - shared] = True
    bits[2, :95] = bits[2, 300:305] = True
    pool = Pool.of([encodings_of(np.packbits(bits, axis=1), "a")])
    anybody, earlier = np.full(3, -1), np.array([0, 0, -1])
    pairs = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 0.95]))
    for rule in get_args(Rule):
        alone = join(pool, pairs, Criterion.dice(0.8), anybody, rule)
        assert alone.tolist() == [0, 1, 0]
    after = join(pool, pairs, Criterion.dice(0.8), anybody, "average", earlier)
    assert after.tolist() == [0, 0 if kept else 1, 0]


def test_the_rule_follows_how_false_the_pairs_are() -> None:
    chosen = [choose_rule(share) for share in (None, 0.93, 0.89)]
    assert chosen == ["average", "average", "complete"]
    first, _ = deliveries()
    assert pprl.cluster(*first, threshold=0.8).rule == "average"
    assert pprl.cluster(*first, threshold=0.8, rule="complete").rule == "complete"


def test_an_earlier_job_says_its_rule(tmp_path: Path) -> None:
    first, _ = deliveries()
    made = pprl.cluster(*first, threshold=0.8, rule="complete")
    made.clusters.save(tmp_path / "clusters.parquet")
    facts = made.facts(*(one.info for one in first))
    (tmp_path / "linkage.json").write_text(json.dumps(facts))
    earlier = load_previous(tmp_path)
    criterion = earlier.criterion
    assert criterion is not None
    assert (criterion.cut, criterion.floor, criterion.rivals) == (0.8, 0.8, False)
    assert earlier.rule == "complete"
    (tmp_path / "linkage.json").write_text(json.dumps(facts | {"clustering": "best"}))
    with pytest.raises(UnreadableFile, match="which criterion and rule"):
        load_previous(tmp_path)


def test_earlier_delivery_must_be_there() -> None:
    first, second = deliveries()
    before = pprl.cluster(*first, threshold=0.8).clusters
    with pytest.raises(UsageError, match="30 records of the earlier delivery are not in the files"):
        pprl.cluster(first[0], *second, threshold=0.8, against=before)


def test_command_line(tmp_path: Path) -> None:
    first, second = deliveries()
    paths = []
    for one in [*first, *second]:
        paths.append(str(tmp_path / f"{one.info.holder}.clk.parquet"))
        one.save(paths[-1])
    run = CliRunner()
    for number, (arguments, clusters) in enumerate(
        [
            (["link", *paths[:2], "--deduplicated", "all", "--threshold", "0.8"], 50),
            (["link", *paths, "--against", str(tmp_path / "0")], 60),
            (["link", *paths, "--matching", "many-to-many", "--threshold", "0.8"], 60),
            (["dedupe", paths[0], "--threshold", "0.8"], 30),
        ]
    ):
        folder = tmp_path / str(number)
        done = run.invoke(app, [*arguments, "-o", str(folder), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        facts = json.loads(done.output)
        assert facts == json.loads((folder / "linkage.json").read_text())
        assert (facts["clusters"], facts["threshold"]) == (clusters, 0.8)
        assert len(pprl.Clusters.load(folder / "clusters.parquet")) == clusters
        assert (folder / "conflicts.parquet").exists()
        assert (folder / "events.parquet").exists() == ("--against" in arguments)
    arguments = ["link", *paths, "--against", str(tmp_path), "-o", str(tmp_path / "9")]
    with pytest.raises(UnreadableFile, match=r"clusters\.parquet"):
        run.invoke(app, arguments, catch_exceptions=False)
    arguments = ["link", *paths[:2], "-o", str(tmp_path / "8"), "--threshold", "0.8"]
    done = run.invoke(app, [*arguments, "--ambiguous", "0.9", "--json"], catch_exceptions=False)
    assert json.loads(done.output)["ambiguous"] == 10
    table = pd.read_parquet(tmp_path / "8" / "ambiguous.parquet")
    assert table["linked"].sum() == 10
    assert len(table) > 10


def test_quality_by_hand(tmp_path: Path) -> None:
    """One person whole, one in two pieces, of which one has somebody else's record."""
    clusters = ["c1", "c1", "c2", "c2", "c2", "c3"]
    persons = ["p1", "p1", "p2", "p2", "p3", "p2"]
    quality = pprl.ClusterQuality.of(np.array(clusters), np.array(persons))
    # Pairs: 1 + 3 in clusters, 1 + 3 of persons, 1 + 1 both.
    assert (quality.precision.value, quality.recall.value, quality.f1.value) == (0.5, 0.5, 0.5)
    assert quality.bcubed_precision == pytest.approx((1 + 1 + 2 / 3 + 2 / 3 + 1 / 3 + 1) / 6)
    assert quality.bcubed_recall == pytest.approx((1 + 1 + 2 / 3 + 2 / 3 + 1 + 1 / 3) / 6)
    assert quality.cluster_f1 == 2 / 6
    table = pa.table(
        [clusters, ["h"] * 6, list("123456")], names=["cluster_id", "holder", "record_id"]
    )
    pprl.Clusters(table).save(tmp_path / "clusters.parquet")
    truth = pd.DataFrame({"holder": "h", "record_id": list("654321"), "person_id": persons[::-1]})
    truth.to_csv(tmp_path / "truth.csv", index=False)
    arguments = ["evaluate", str(tmp_path), "--truth", str(tmp_path / "truth.csv"), "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    written = json.loads(done.output)
    (within,) = written.pop("by_holders")
    assert (within["left"], within["right"], within["links"]) == ("h", "h", 4)
    figures = {k: v for k, v in quality.to_dict().items() if k != "by_holders"}
    assert written == json.loads(json.dumps(figures))
    made = pprl.Clusters(table)
    with pytest.raises(MissingColumn, match="person_id"):
        pprl.evaluate_clusters(made, truth.drop(columns="person_id"))
    with pytest.raises(UsageError, match="person of 1 records"):
        pprl.evaluate_clusters(made, truth.iloc[1:])
    with pytest.raises(UsageError, match="twice"):
        pprl.evaluate_clusters(made, pd.concat([truth, truth]))
    with pytest.raises(UnreadableFile, match="no such file"):
        pprl.evaluate_clusters(made, tmp_path / "none.csv")
