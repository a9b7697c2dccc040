"""Tuning a threshold with a truth, whole or reviewed, and its optimism."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pprl.errors import UsageError
from pprl.evaluation.quality import evaluate
from pprl.evaluation.review import review_sample
from pprl.evaluation.review_estimate import answered
from pprl.evaluation.sweep import sweep
from pprl.evaluation.tune import tune
from pprl.exchange.foreign import pairs_table
from pprl.exchange.links import Links
from test_review import LINKS, POOL, TRUE, fill

TRUTH = pd.DataFrame(sorted(TRUE), columns=["left_id", "right_id"])


def test_it_finds_the_best_threshold_of_the_sweep() -> None:
    tuning = tune(POOL, TRUTH)
    curve = sweep(POOL, TRUTH, points=10**6)
    assert tuning.apparent == pytest.approx(curve["f1"].max())
    at = curve.loc[curve["f1"].idxmax()]
    assert tuning.threshold <= at["threshold"]
    quality = evaluate(tuning.links, TRUTH)
    assert quality.f1.value == pytest.approx(tuning.apparent)
    assert len(tuning.links) == at["links"]
    assert tuning.threshold_range[0] <= tuning.threshold <= tuning.threshold_range[1]
    assert tuning.curve["f1"].max() == pytest.approx(tuning.apparent)


def test_optimism_is_small_with_much_truth_and_large_with_little() -> None:
    much = tune(POOL, TRUTH)
    assert 0 <= much.optimism < 0.01
    rng = np.random.default_rng(5)
    optimism = []
    for _ in range(5):
        # Truth without any connection with similarity: all that is found is chance.
        left = [f"a{i}" for i in range(12)]
        pool = Links(pairs_table(left, left, rng.random(12)))
        some = rng.choice(12, 6, replace=False)
        truth = pd.DataFrame({"left_id": [left[i] for i in some]}).assign(
            right_id=lambda t: t["left_id"]
        )
        optimism.append(tune(pool, truth).optimism)
    assert np.mean(optimism) > 0.03


def test_the_cross_validated_figure_is_what_new_files_give() -> None:
    """Choose on one half of the records, judge on the other: near the promised F1."""
    tuning = tune(POOL, TRUTH, repeats=3)
    frame = POOL.to_pandas()
    half = frame["left_id"].str[1:].astype(int) % 2 == 0
    of_truth = TRUTH["left_id"].str[1:].astype(int) % 2 == 0
    first = tune(frame[half], TRUTH[of_truth], repeats=1)
    curve = sweep(frame[~half], TRUTH[~of_truth], points=10**6)
    there = curve[curve["threshold"] >= first.threshold].iloc[0]
    assert there["f1"] == pytest.approx(tuning.cross_validated, abs=0.02)


def test_a_margin_is_chosen_where_rivals_tell() -> None:
    """Half of the false pairs have close rivals; similarity alone cannot tell them apart."""
    rng = np.random.default_rng(2)
    n = 400
    left, right, similarity = [], [], []
    for i in range(n):
        base = rng.uniform(0.7, 0.8)
        left.append(f"a{i}")
        right.append(f"b{i}")
        similarity.append(base)
        if i % 2:
            left.append(f"a{i}")
            right.append(f"c{i}")
            similarity.append(base - 0.005)
    truth = pd.DataFrame({"left_id": [f"a{i}" for i in range(0, n, 2)]})
    truth["right_id"] = truth["left_id"].str.replace("a", "b")
    pool = Links(
        pairs_table([*left, "z"], [*right, "z"], [*similarity, 0.3])  # the floor of candidates
    )
    plain, both = tune(pool, truth), tune(pool, truth, margins=(0.0, 0.3))
    assert both.margin == 0.3
    assert both.cross_validated > 0.95 > 0.75 > plain.cross_validated
    assert evaluate(both.links, truth).f1.value == pytest.approx(both.apparent)


def test_reviewed_pairs_stand_for_the_others() -> None:
    plan = review_sample(LINKS, POOL, 400)
    reviewed = answered(plan, fill(plan, TRUE))
    tuning, whole = tune(POOL, reviewed), tune(POOL, TRUTH)
    assert tuning.threshold == pytest.approx(whole.threshold, abs=0.03)
    assert evaluate(tuning.links, TRUTH).f1.value > whole.apparent - 0.02
    assert tuning.apparent == pytest.approx(whole.apparent, abs=0.06)
    everything = review_sample(LINKS, POOL, 10**6)
    census = answered(everything, fill(everything, TRUE))
    assert tune(POOL, census).threshold == pytest.approx(whole.threshold, abs=0.01)


def test_the_seed_decides_the_folds() -> None:
    one, same, other = (tune(POOL, TRUTH, repeats=2, seed=seed) for seed in (1, 1, 2))
    assert one.cross_validated == same.cross_validated
    assert one.threshold == other.threshold
    assert one.cross_validated != other.cross_validated


def test_what_cannot_be_tuned() -> None:
    reviewed = TRUTH.assign(match=0.0)
    with pytest.raises(UsageError, match="no pair of the truth is true"):
        tune(POOL, reviewed)
    with pytest.raises(UsageError, match="two folds"):
        tune(POOL, TRUTH, folds=1)
    with pytest.raises(UsageError, match="margins"):
        tune(POOL, TRUTH, margins=())
    few = Links(POOL.table.slice(0, 2))
    with pytest.raises(UsageError, match="folds"):
        tune(few, few.to_pandas()[:1], folds=5)
