"""Judging links against a truth: figures, subgroups, blocking, errors, thresholds, runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import changed, encodings_of
from pprl.errors import MissingColumn, UnreadableFile, UsageError
from pprl.evaluation.error_listing import list_errors
from pprl.evaluation.quality import evaluate
from pprl.evaluation.runs import compare_runs
from pprl.evaluation.sweep import sweep
from pprl.exchange.foreign import pairs_table
from pprl.exchange.links import Links
from pprl.linkage.candidates.blocking import HammingLSH
from test_link import filters


def links(*rows: tuple[str, str, float]) -> Links:
    left, right, similarity = zip(*rows, strict=True) if rows else ((), (), ())
    return Links(pairs_table(left, right, np.array(similarity, float)))


FOUND = links(("a1", "b1", 0.99), ("a2", "b2", 0.95), ("a3", "b9", 0.8), ("a4", "b4", 0.7))
TRUE = pd.DataFrame(
    {"left_id": ["a1", "a2", "a3", "a4", "a5"], "right_id": ["b1", "b2", "b3", "b4", "b5"]}
)


def test_subgroups_add_up_and_follow_the_left_record() -> None:
    groups = pd.DataFrame(
        {
            "record_id": ["a1", "a2", "a3", "a4"],
            "sex": ["f", "f", "m", None],
            "region": ["n", "s", "s", "s"],
        }
    )
    quality = evaluate(FOUND, TRUE, groups=groups)
    by = {(part.variable, part.group): part for part in quality.subgroups}
    assert set(by) == {
        *(("sex", name) for name in ("f", "m", "(unknown)")),
        *(("region", name) for name in ("n", "s", "(unknown)")),
    }
    assert (by["sex", "f"].true_positives, by["sex", "f"].false_negatives) == (2, 0)
    assert (by["sex", "m"].false_positives, by["sex", "m"].false_negatives) == (1, 1)
    # a4 has no sex, and a5 is not in the table.
    assert (by["sex", "(unknown)"].links, by["sex", "(unknown)"].true_pairs) == (1, 2)
    for variable in ("sex", "region"):
        parts = [part for part in quality.subgroups if part.variable == variable]
        for name in ("true_positives", "links", "true_pairs", "false_negatives"):
            assert sum(getattr(part, name) for part in parts) == getattr(quality, name)
    table = quality.to_pandas()
    assert len(table) == 7
    assert table.loc[0, "recall"] == pytest.approx(3 / 5)
    assert table.loc[0, "recall_low"] == quality.recall.low


def test_a_right_record_stands_in_where_the_left_has_no_group() -> None:
    groups = pd.DataFrame({"record_id": ["b5", "a1"], "sex": ["m", "f"]})
    by = {part.group: part for part in evaluate(FOUND, TRUE, groups=groups).subgroups}
    assert by["m"].true_pairs == 1
    assert by["m"].links == 0
    assert by["f"].links == 1


def test_groups_that_contradict_themselves() -> None:
    groups = pd.DataFrame({"record_id": ["a1", "a1"], "sex": ["m", "f"]})
    with pytest.raises(UsageError, match="a record twice"):
        evaluate(FOUND, TRUE, groups=groups)
    with pytest.raises(MissingColumn, match="record_id"):
        evaluate(FOUND, TRUE, groups=groups.rename(columns={"record_id": "id"}))
    with pytest.raises(UsageError, match="no column beside"):
        evaluate(FOUND, TRUE, groups=groups[["record_id"]])


def test_candidate_pairs_are_counted_once() -> None:
    a, b = encodings_of(filters(10), "a"), encodings_of(filters(10), "b")
    twice = pd.DataFrame({"left_id": ["a1", "a1", "a2"], "right_id": ["b1", "b1", "b3"]})
    quality = evaluate(FOUND, TRUE, a=a, b=b, candidates=twice)
    assert quality.blocking is not None
    assert quality.blocking.candidate_pairs == 2
    assert quality.blocking.reduction_ratio == pytest.approx(1 - 2 / 100)
    assert quality.blocking.pairs_completeness is not None
    assert quality.blocking.pairs_completeness.value == pytest.approx(1 / 5)


def test_the_report_of_blocking_gives_the_reduction_ratio() -> None:
    clks = filters(200)
    a, b = encodings_of(clks, "a"), encodings_of(clks, "b")
    blocking = HammingLSH(similarity=0.9)
    result = pprl.link(a, b, threshold=0.9, blocking=blocking)
    truth = pd.DataFrame(
        {"left_id": a.record_ids.to_pylist(), "right_id": b.record_ids.to_pylist()}
    )
    alone = evaluate(result.links, truth, blocking=result.blocking).blocking
    assert alone is not None
    assert alone.pairs_completeness is None
    assert alone.reduction_ratio == result.blocking.reduction_ratio > 0.5
    candidates = pprl.compare(a, b, blocking=blocking)
    both = evaluate(result.links, truth, a=a, b=b, candidates=candidates).blocking
    assert both.pairs_completeness.value == 1.0
    assert both.reduction_ratio == pytest.approx(alone.reduction_ratio)


def test_variants_do_not_count_as_records() -> None:
    variants = np.tile(np.array([0, 1], np.uint8), 5)
    a = changed(encodings_of(filters(10), "a"), variants=variants)
    b = encodings_of(filters(4), "b")
    truth = pd.DataFrame({"left_id": ["a1"], "right_id": ["b1"]})
    assert evaluate(links(("a1", "b1", 1.0)), truth, a=a, b=b).pairs == 20


def test_the_error_listing_names_records_and_reasons() -> None:
    candidates = links(("a3", "b3", 0.75), ("a5", "b7", 0.6), *[("a1", "b1", 0.99)])
    found = links(*FOUND.to_pandas().iloc[:, :3].itertuples(index=False), ("a8", "b8", 0.6))
    truth = pd.concat([TRUE, pd.DataFrame({"left_id": ["a6"], "right_id": ["b6"]})])
    candidates = links(
        *candidates.to_pandas().iloc[:, :3].itertuples(index=False), ("a6", "b6", 0.4)
    )
    errors = list_errors(found, truth, candidates=candidates)
    rows = errors.astype(object).where(errors.notna(), None).to_numpy().tolist()
    assert rows == [
        ["false link", "a3", "b9", 0.8, "b3", None, "partner missed"],
        ["false link", "a8", "b8", 0.6, None, None, "no partner"],
        ["missed match", "a3", "b3", 0.75, "b9", None, "other partner"],
        ["missed match", "a6", "b6", 0.4, None, None, "not chosen"],
        ["missed match", "a5", "b5", None, None, None, "no candidate"],
    ]
    assert list_errors(TRUE, TRUE).empty


def test_the_listing_counts_what_evaluate_counts() -> None:
    errors = list_errors(FOUND, TRUE)["kind"].value_counts()
    quality = evaluate(FOUND, TRUE)
    assert errors["false link"] == quality.false_positives
    assert errors["missed match"] == quality.false_negatives


pairs = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9])),
    unique_by=lambda row: row[:2],
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=25)
@given(pairs, st.booleans())
def test_a_sweep_is_evaluate_at_every_threshold(
    rows: list[tuple[int, int, float]], one_to_one: bool
) -> None:
    table = links(*((f"a{left}", f"b{right}", score) for left, right, score in rows))
    truth = pd.DataFrame({"left_id": [f"a{i}" for i in range(7)]})
    truth["right_id"] = truth["left_id"].str.replace("a", "b")
    curve = sweep(table, truth, one_to_one=one_to_one)
    assert curve["threshold"].is_monotonic_increasing
    frame = table.to_pandas()
    for row in curve.itertuples():
        taken = frame[frame["similarity"] >= row.threshold]
        if one_to_one:
            left, right = set(), set()
            kept = []
            for pair in taken.sort_values(
                "similarity", ascending=False, kind="stable"
            ).itertuples():
                if pair.left_id not in left and pair.right_id not in right:
                    left.add(pair.left_id)
                    right.add(pair.right_id)
                    kept.append(pair.Index)
            taken = taken.loc[kept]
        quality = evaluate(taken, truth)
        assert (row.links, row.true_positives) == (quality.links, quality.true_positives)
        for name in ("precision", "recall"):
            figure = getattr(quality, name)
            assert getattr(row, name) == pytest.approx(figure.value)
            assert getattr(row, f"{name}_low") == pytest.approx(figure.low)
            assert getattr(row, f"{name}_high") == pytest.approx(figure.high)
        assert row.f1 == pytest.approx(quality.f1.value)


def test_a_long_sweep_is_thinned_and_keeps_the_best() -> None:
    rng = np.random.default_rng(3)
    n = 5000
    score = rng.random(n)
    table = links(*((f"a{i}", f"b{i}", score[i]) for i in range(n)))
    right = np.flatnonzero(rng.random(n) < score)
    truth = pd.DataFrame(
        {"left_id": [f"a{i}" for i in right], "right_id": [f"b{i}" for i in right]}
    )
    full, thin = sweep(table, truth, points=n), sweep(table, truth, points=50)
    assert len(full) == n
    assert 40 < len(thin) <= 51
    assert thin["f1"].max() == full["f1"].max()
    assert thin["links"].max() == n


def test_a_sweep_of_nothing_and_of_pairs_without_scores() -> None:
    assert sweep(links(), TRUE).empty
    with pytest.raises(UsageError, match="no similarity"):
        sweep(TRUE, TRUE)


def test_runs_are_compared_pair_by_pair() -> None:
    old = links(
        ("a1", "b1", 0.9),
        ("a2", "b2", 0.8),
        ("a3", "b3", 0.7),
        ("a4", "b4", 0.9),
        ("a7", "b7", 0.75),
    )
    new = links(("a1", "b1", 0.9), ("a2", "b9", 0.95), ("a4", "b4", 0.85), ("a5", "b5", 0.99))
    new_pairs = links(("a3", "b3", 0.7), ("a7", "b7", 0.6))
    result = compare_runs(old, new, new_pairs=new_pairs)
    assert (result.kept, result.gained, result.lost) == (2, 2, 3)
    rows = {(r.change, r.left_id, r.right_id): r for r in result.changes.itertuples()}
    assert len(rows) == len(result.changes) == 6
    assert rows["lost", "a2", "b2"].why == "partner changed"
    assert rows["lost", "a2", "b2"].left_other == "b9"
    assert rows["gained", "a2", "b9"].why == "partner changed"
    assert rows["lost", "a3", "b3"].why == "not chosen"  # no threshold is known
    assert rows["lost", "a7", "b7"].new_similarity == 0.6
    moved = rows["similarity", "a4", "b4"]
    assert (moved.old_similarity, moved.new_similarity) == (0.9, 0.85)
    assert rows["gained", "a5", "b5"].why == "not chosen"
    assert result.summary()["pairs"].sum() == 6


def test_why_a_pair_went_thresholds_and_similarities() -> None:
    clks = filters(60)
    a = encodings_of(clks, "a")
    noisy = clks.copy()
    noisy[:20, 0] ^= 0xF0
    b = encodings_of(noisy, "b")
    low, high = (pprl.link(a, b, threshold=cut) for cut in (0.9, 0.999))
    stricter = compare_runs(low, high)
    assert stricter.lost == 20
    assert set(stricter.changes["why"]) == {"threshold"}
    assert compare_runs(high, low).gained == 20
    # The second holder encodes again, and twenty records are less alike.
    better = pprl.link(a, encodings_of(clks, "b"), threshold=0.999)
    candidates = pprl.compare(a, b, threshold=0.8)
    worse = compare_runs(better, high, new_pairs=candidates)
    assert set(worse.changes["why"]) == {"similarity"}
    assert (worse.changes["new_similarity"] < 0.999).all()
    without = compare_runs(better, high, new_pairs=links())
    assert set(without.changes["why"]) == {"no candidate"}


def test_runs_from_folders(tmp_path: Path) -> None:
    for name, cut in (("old", 0.7), ("new", 0.9)):
        (tmp_path / name).mkdir()
        kept = FOUND.to_pandas().query("similarity >= @cut")
        links(*kept.iloc[:, :3].itertuples(index=False)).save(tmp_path / name / "links.parquet")
        (tmp_path / name / "linkage.json").write_text(f'{{"threshold": {cut}}}')
    result = compare_runs(tmp_path / "old", tmp_path / "new")
    assert (result.old_threshold, result.new_threshold) == (0.7, 0.9)
    assert set(result.changes["why"]) == {"threshold"}
    (tmp_path / "new" / "linkage.json").write_text("[]")
    with pytest.raises(UnreadableFile, match=r"linkage\.json"):
        compare_runs(tmp_path / "old", tmp_path / "new")
