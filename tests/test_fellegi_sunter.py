"""Fields that have a filter each are weighed as Fellegi and Sunter do, by what the files show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import pprl
from conftest import encodings_of
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.gather import decide_two_files as decide
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.comparison_vectors import View
from pprl.linkage.model.density_ratio import Evidence, _odds_of_match, learn
from pprl.linkage.model.fellegi_sunter import LEVELS, FieldWeights, Shares, can_be_added

N = 3_000
FIELDS = ("given", "surname", "born", "street", "number", "town")
BITS = 256
VALUES = {"given": 200, "surname": 900, "born": 4_000, "street": 800, "number": 120, "town": 300}
HOME = slice(3, 6)


def register(
    shared: int = N // 2,
    wrong: float = 0.06,
    moved: float = 0.4,
    lacking: float = 0.1,
) -> tuple[Encodings, Encodings]:
    """Two files, the first ``shared`` records of which are of the same people.

    A value is wrong in so many matches; and so many have moved, with street, number and town.
    """
    rng = np.random.default_rng(1)
    fill = rng.random((len(FIELDS), max(VALUES.values()), BITS)) < 0.25
    filters = np.packbits(fill, axis=2)
    value = np.empty((2, N, len(FIELDS)), np.int64)
    for at, name in enumerate(FIELDS):
        # As names are borne: the second commonest half as often as the first, and so on.
        weight = 1 / (1 + np.arange(VALUES[name])) ** (0.0 if name == "born" else 0.8)
        value[:, :, at] = rng.choice(VALUES[name], (2, N), p=weight / weight.sum())
    anew = value[1].copy()
    value[1, :shared] = value[0, :shared]
    errs = rng.random((N, len(FIELDS))) < wrong
    errs[:, HOME] |= (rng.random(N) < moved)[:, None]
    value[1][errs] = anew[errs]
    clks = filters[np.arange(len(FIELDS)), value]
    clks[rng.random((2, N, len(FIELDS))) < lacking] = 0
    return tuple(encoded(clks[side].reshape(N, -1), "ab"[side]) for side in (0, 1))  # type: ignore[return-value]


def encoded(clks: np.ndarray, holder: str) -> Encodings:
    return encodings_of(
        clks,
        holder,
        groups=dict.fromkeys(FIELDS, BITS),
        weights={name: {name: 60} for name in FIELDS},
        present=dict.fromkeys(FIELDS, 1.0),
        hardening={name: {"method": "none"} for name in FIELDS},
    )


def samples(a: Encodings, b: Encodings) -> tuple[View, ComparedPairs, list[ComparedPairs]]:
    """Every pair of records that has two equal fields, between the files and within each."""
    left, right = Side.of(a), Side.of(b)
    view = View.of(left, right)

    def of(x: Side, y: Side) -> ComparedPairs:
        words = [side.words.reshape(N, len(FIELDS), -1) for side in (x, y)]
        equal = np.zeros((N, N), np.int8)
        for at in range(len(FIELDS)):
            filled = (x.sizes[:, None, at] > 0) & (y.sizes[None, :, at] > 0)
            same = words[0][:, at, 0][:, None] == words[1][:, at, 0][None, :]
            equal += same & filled
        pairs = np.argwhere(np.triu(equal, 1) >= 2 if x is y else equal >= 2)
        score = equal[pairs[:, 0], pairs[:, 1]].astype(np.float64)
        stands = np.full(len(pairs), 1.0 if x is not y else N * N / (N * (N - 1.0)))
        return ComparedPairs(x, y, Pairs(pairs[:, 0], pairs[:, 1], score), stands)

    return view, of(left, right), [of(left, left), of(right, right)]


def test_weights_are_those_of_the_truth() -> None:
    """m and u of equality, counted with the truth, are found without it."""
    a, b = register()
    view, between, within = samples(a, b)
    found = FieldWeights.learn(view, between, within)
    assert found is not None
    assert (found.weights[:, 0] == 0).all()
    assert (np.diff(found.weights[:, 1:], axis=1) >= 0).all()
    x, y = between.left, between.right
    for at in range(len(FIELDS)):
        starts = slice(view.starts[at], view.starts[at + 1])
        both = (x.sizes[: N // 2, at] > 0) & (y.sizes[: N // 2, at] > 0)
        same = (x.words[: N // 2, starts] == y.words[: N // 2, starts]).all(axis=1)
        m = same[both].mean()
        filled = [side.words[side.sizes[:, at] > 0, starts] for side in (x, y)]
        _, counts = np.unique(np.concatenate(filled), axis=0, return_counts=True)
        u = ((counts / counts.sum()) ** 2).sum()
        assert found.weights[at, -1] == pytest.approx(np.log(m / u), abs=0.15)
        # Most of what is not equal has nothing in common.
        assert found.weights[at, 1] == pytest.approx(np.log((1 - m) / (1 - u)), abs=0.6)


def test_equality_of_a_rare_value_says_more() -> None:
    a, b = register()
    side = Side.of(a)
    view = View.of(side, Side.of(b))
    shares, equal = Shares.of(view, [side])
    added = shares.added(side)
    surname = FIELDS.index("surname")
    words = side.words[:, view.starts[surname]]
    filled = side.sizes[:, surname] > 0
    _, place, counts = np.unique(words[filled], return_inverse=True, return_counts=True)
    gain, share = added[filled, surname], counts[place] / filled.sum()
    often = counts[place] >= 10
    assert 0 < often.mean() < 1
    assert gain[often] == pytest.approx(np.log(equal[surname] / share[often]))
    assert np.ptp(gain[~often]) == 0
    assert gain[~often][0] > gain[often].max()
    # What is never met in the files it was counted in is rare.
    other = Side.of(encoded(np.full((1, len(FIELDS) * BITS // 8), 7, np.uint8), "c"))
    assert shares.added(other)[0, surname] == gain[~often][0]


def test_a_move_is_not_counted_three_times() -> None:
    """Who moved is found, though three of six fields speak against it (0.84 without weights)."""
    a, b = register(moved=0.5, lacking=0.03)
    found = decide(a, b)
    assert found.evidence is not None
    assert found.evidence.fields is not None
    kept = found.kept
    right = (kept.left == kept.right) & (kept.left < N // 2)
    assert right.mean() > 0.985
    assert right.sum() > 0.93 * N // 2
    precision = found.estimate.precision
    assert precision is not None
    assert precision.low <= right.mean() <= precision.high


def test_nobody_in_both_files() -> None:
    a, b = register(shared=0)
    found = decide(a, b)
    assert found.cut.links == 0
    assert found.evidence is not None
    assert found.evidence.fields is None


def test_odds_of_a_match_are_those_of_the_truth() -> None:
    """Non-matches around 0 and, between the files, a tenth of matches around 3, in two features."""
    rng = np.random.default_rng(3)
    n = 60_000
    matches = rng.random(n) < 0.1
    between = rng.normal(np.where(matches, 3.0, 0.0)[:, None], 1.0, (n, 2))
    within = rng.normal(0.0, 1.0, (n, 2))
    features, positive = np.concatenate([between, within]), np.arange(2 * n) < n
    # As many non-matches within as between.
    weight = np.where(positive, 1.0, 0.9)
    drawn_to, ridge = np.array([0.0, 2.5, 3.5]), np.array([3.0, 3.0])
    found = _odds_of_match(features, positive, weight, ridge, drawn_to)
    # log(m / u) of either is 3 x - 4.5, and the odds beforehand are 1 to 9.
    assert found == pytest.approx([np.log(1 / 9) - 9.0, 3.0, 3.0], rel=0.08)
    held = _odds_of_match(features, positive, weight, np.array([3.0, 1e9]), drawn_to)
    assert held[2] == pytest.approx(3.5, abs=1e-3)
    assert held[1] == pytest.approx(3.0, rel=0.08)


def test_groups_that_share_a_field_are_not_added_up() -> None:
    a, _ = register()
    assert can_be_added(a.info)
    weights = {**a.info.weights, "town": {"town": 60, "street": 60}}
    assert not can_be_added(a.info.model_copy(update={"weights": weights}))
    assert not can_be_added(a.info.model_copy(update={"weights": {}}))
    assert not can_be_added(a.info.model_copy(update={"groups": {}}))


def test_evidence_of_fields_is_kept_without_any_filter() -> None:
    a, b = register()
    _, between, within = samples(a, b)
    evidence, _ = learn(between, within)
    assert evidence.fields is not None
    score = evidence.score(a, b, between.pairs).similarity
    match = (between.pairs.left == between.pairs.right) & (between.pairs.left < N // 2)
    assert np.median(score[match]) - np.median(score[~match]) > 8
    assert (score[match] > np.quantile(score[~match], 0.999)).mean() > 0.5
    said = json.dumps(evidence.to_dict())
    # Weights only: six fields of eight levels, no counts of filters.
    assert list(json.loads(said)["fields"]) == ["weights"]
    again = Evidence.from_dict(json.loads(said))
    some = between.pairs.take(np.arange(0, len(between.pairs), 50))
    assert np.array_equal(again.score(a, b, some).similarity, evidence.score(a, b, some).similarity)
    for broken in ([], [[0.0] * LEVELS], [[float("nan")] * LEVELS] * len(FIELDS)):
        damaged = json.loads(said)
        damaged["fields"]["weights"] = broken
        with pytest.raises(ValueError, match="no weights"):
            Evidence.from_dict(damaged)


def test_variants_are_looked_up_by_the_row_that_is_most_alike() -> None:
    """A maiden name in a second row: equality there counts, with that name's own share."""
    a, b = register(wrong=0.0, moved=0.0, lacking=0.0)
    view = View.of(Side.of(a), Side.of(b))
    stranger = np.roll(a.clks, 7, axis=0)
    both = np.concatenate([stranger, a.clks])[np.arange(2 * N).reshape(2, N).T.reshape(-1)]
    import dataclasses

    import pyarrow as pa

    twice = dataclasses.replace(
        a,
        record_ids=pa.array(np.repeat(a.record_ids.to_pylist(), 2)),
        clks=np.ascontiguousarray(both),
        variants=np.tile([0, 1], N).astype(np.uint8),
        info=a.info.model_copy(update={"rows": 2 * N}),
    )
    sides = [Side.of(one) for one in (a, b, twice)]
    shares, _ = Shares.of(view, sides[:2])
    weights = np.tile(np.arange(LEVELS, dtype=np.float64), (len(FIELDS), 1))
    fields = FieldWeights(view, weights, shares)
    pairs = Pairs(np.arange(N // 2), np.arange(N // 2), np.zeros(N // 2))
    plain, varied = (
        fields.score(ComparedPairs.of(one, sides[1], pairs)) for one in (sides[0], sides[2])
    )
    assert np.array_equal(plain, varied)


@pytest.mark.filterwarnings("ignore:the two counts of what non-matches look like disagree")
@pytest.mark.parametrize("files", [2, 3])
def test_from_people_to_links(tmp_path: Path, files: int) -> None:
    """The suggested schema, encoded and linked; with three files into clusters."""
    from pprl.holder.suggest import suggest_schema
    from pprl.synthetic import practice

    practice(tmp_path, persons=5_000)
    import pandas as pd

    tables = [
        pd.read_csv(tmp_path / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in ("hospital", "registry")
    ]
    schema = pprl.Schema.from_toml(suggest_schema(tables[0], hardening="fields"))
    key = pprl.LinkageKey.generate()
    tables.append(tables[0].assign(record_id="x" + tables[0]["record_id"]))
    made = [
        pprl.encode(table, schema, key, id_column="record_id", holder=name, on_invalid="warn")
        for table, name in zip(tables[:files], ("one", "two", "three"), strict=False)
    ]
    found = pprl.link(*made)
    truth = pd.read_csv(tmp_path / "truth.csv", dtype=str)
    true = set(zip(truth["left_id"], truth["right_id"], strict=True))
    if files == 2:
        links = found.links.table
        pairs = set(zip(links["left_id"].to_pylist(), links["right_id"].to_pylist(), strict=True))
    else:
        clusters = found.clusters.to_pandas()
        one, two = (clusters[clusters["holder"] == name] for name in ("one", "two"))
        both = one.merge(two, on="cluster_id")
        pairs = set(zip(both["record_id_x"], both["record_id_y"], strict=True))
    hits = len(pairs & true)
    assert 2 * hits / (len(pairs) + len(true)) > 0.9
