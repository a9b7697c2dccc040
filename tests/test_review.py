"""Clerical review: which pairs are drawn, and what the answers say."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pprl.errors import InvalidValues, OutputExists, PprlWarning, UnreadableFile, UsageError
from pprl.evaluation.quality import evaluate
from pprl.evaluation.review import ReviewPlan, review_sample
from pprl.evaluation.review_estimate import answered, review_estimate, strata_table
from pprl.exchange.foreign import pairs_table
from pprl.exchange.links import Links


def world(n: int = 1500, seed: int = 0) -> tuple[Links, Links, set[tuple[str, str]]]:
    """One-to-one links, candidate pairs down to 0.5, and the true pairs among them.

    Similar pairs are true more often; some links are false, and some matches lie below the
    threshold of 0.7. Each record below it has a second, false candidate.
    """
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0.5, 1.0, n)
    chance = 1 / (1 + np.exp((0.68 - similarity) / 0.03))
    true = rng.random(n) < chance
    left, right = ([f"{side}{i}" for i in range(n)] for side in "ab")
    linked = np.flatnonzero(similarity >= 0.7)
    links = Links(
        pairs_table(*(np.array(ids)[linked] for ids in (left, right)), similarity[linked])
    )
    extra = similarity - rng.uniform(0.001, 0.2, n)
    keep = np.flatnonzero(extra >= 0.5)
    pool = pairs_table(
        [*left, *(left[i] for i in keep)],
        [*right, *(right[(i + 1) % n] for i in keep)],
        np.concatenate([similarity, extra[keep]]),
    )
    return links, Links(pool), {(left[i], right[i]) for i in np.flatnonzero(true)}


def fill(plan: ReviewPlan, true: set[tuple[str, str]]) -> pd.DataFrame:
    sheet = plan.sheet()
    pairs = zip(sheet["left_id"], sheet["right_id"], strict=True)
    sheet["match"] = ["yes" if pair in true else "No " for pair in pairs]
    return sheet


LINKS, POOL, TRUE = world()


def test_estimates_are_right_on_average_and_intervals_cover() -> None:
    truth = pd.DataFrame(sorted(TRUE), columns=["left_id", "right_id"])
    quality = evaluate(LINKS, truth)
    runs = 50
    values, covered = np.zeros((runs, 3)), np.zeros((runs, 3))
    names = ("precision", "recall", "f1")
    real = np.array([getattr(quality, name).value for name in names])
    assert (real > 0.8).all()
    assert (real < 0.99).all()
    for seed in range(runs):
        plan = review_sample(LINKS, POOL, 150, seed=seed)
        estimate = review_estimate(fill(plan, TRUE), plan)
        for at, name in enumerate(names):
            figure = getattr(estimate, name)
            values[seed, at] = figure.value
            covered[seed, at] = figure.low <= real[at] <= figure.high
    spread = values.std(axis=0)
    assert (np.abs(values.mean(axis=0) - real) < 4 * spread / np.sqrt(runs)).all()
    assert (covered.mean(axis=0) >= 0.88).all()
    # Less error than a simple random sample of as many links gives for precision alone.
    simple = np.sqrt(real[0] * (1 - real[0]) / 75)
    assert spread[0] < simple


def test_the_sample_is_where_answers_are_uncertain() -> None:
    plan = review_sample(LINKS, POOL, 150)
    assert len(plan.pairs) == sum(one.sampled for one in plan.strata) == 150
    assert {one.kind for one in plan.strata} == {"link", "next", "rival"}
    links = [one for one in plan.strata if one.kind == "link"]
    assert sum(one.pairs for one in links) == len(LINKS) == plan.links
    unsure, sure = links[0], links[-1]
    assert unsure.high < 0.75 < 0.8 < sure.high
    assert unsure.sampled / unsure.pairs > 3 * sure.sampled / sure.pairs
    counts = plan.pairs["stratum"].value_counts()
    assert all(counts[at] == one.sampled for at, one in enumerate(plan.strata))


def test_pairs_are_drawn_once_from_their_strata_and_in_random_order() -> None:
    plan = review_sample(LINKS, POOL, 150, seed=1)
    assert not plan.pairs[["left_id", "right_id"]].duplicated().any()
    assert not plan.pairs["stratum"].is_monotonic_increasing
    assert list(plan.sheet().columns) == ["pair", "left_id", "right_id", "match"]
    linked = set(zip(*LINKS.to_pandas()[["left_id", "right_id"]].to_numpy().T, strict=True))
    for pair in plan.pairs.itertuples():
        is_link = plan.strata[pair.stratum].kind == "link"
        assert ((pair.left_id, pair.right_id) in linked) == is_link
    again = review_sample(LINKS, POOL, 150, seed=1)
    assert again.pairs.equals(plan.pairs)
    assert not review_sample(LINKS, POOL, 150, seed=2).pairs.equals(plan.pairs)


def test_the_next_pairs_are_what_a_lower_threshold_links() -> None:
    """The next pairs and the links together have every record once."""
    everything = 10**6
    plan = review_sample(LINKS, POOL, everything)
    drawn = plan.pairs[[plan.strata[at].kind != "rival" for at in plan.pairs["stratum"]]]
    assert not drawn["left_id"].duplicated().any()
    assert not drawn["right_id"].duplicated().any()
    rivals = plan.pairs[[plan.strata[at].kind == "rival" for at in plan.pairs["stratum"]]]
    frame = LINKS.to_pandas()
    assert len(rivals) > 20
    touching = rivals["left_id"].isin(frame["left_id"]) | rivals["right_id"].isin(frame["right_id"])
    assert touching.all()


def test_looking_at_everything_leaves_no_interval() -> None:
    plan = review_sample(LINKS, POOL, 10**6)
    estimate = review_estimate(fill(plan, TRUE), plan)
    truth = pd.DataFrame(sorted(TRUE), columns=["left_id", "right_id"])
    quality = evaluate(LINKS, truth)
    assert estimate.precision.value == pytest.approx(quality.precision.value)
    assert estimate.precision.low == estimate.precision.high == estimate.precision.value
    assert estimate.recall.value == pytest.approx(quality.recall.value)
    assert estimate.f1.value == pytest.approx(quality.f1.value)
    assert estimate.missed_matches == pytest.approx(quality.false_negatives)


def test_unanimous_answers_are_not_certainty() -> None:
    plan = review_sample(LINKS, POOL, 100)
    sheet = plan.sheet().assign(match="yes")
    estimate = review_estimate(sheet, plan)
    assert estimate.precision.value == 1.0
    assert estimate.precision.low < 0.99
    assert estimate.recall.high < 1.0


def test_missing_answers_are_said_and_the_rest_counts() -> None:
    plan = review_sample(LINKS, POOL, 150)
    sheet = fill(plan, TRUE)
    full = review_estimate(sheet, plan)
    few = sheet.copy()
    few.loc[few.index[:5], "match"] = ["?", "", "unsure", " ", "UNSURE"]
    estimate = review_estimate(few, plan)
    assert (estimate.answered, estimate.unsure) == (145, 5)
    assert full.unsure == 0
    with pytest.warns(PprlWarning, match="100 of 150 pairs have no answer"):
        review_estimate(sheet.iloc[:50], plan)
    with pytest.raises(UsageError, match="no link"):
        review_estimate(sheet.assign(match=""), plan)


def test_sheets_that_were_mixed_up() -> None:
    plan = review_sample(LINKS, POOL, 100)
    sheet = fill(plan, TRUE)
    shuffled = sheet.sample(frac=1.0, random_state=1)
    assert review_estimate(shuffled, plan) == review_estimate(sheet, plan)
    with pytest.raises(InvalidValues, match="row 3 of the sheet: match must be"):
        review_estimate(sheet.assign(match=["yes", "no", "perhaps", *["no"] * 97]), plan)
    other = sheet.copy()
    other.loc[4, "left_id"] = "a0x"
    with pytest.raises(InvalidValues, match="row 5 of the sheet is not the plan's pair"):
        review_estimate(other, plan)
    with pytest.raises(InvalidValues, match="row 101"):
        review_estimate(pd.concat([sheet, sheet[:1]]), plan)
    with pytest.raises(UsageError, match="needs its plan"):
        review_estimate(sheet)


def test_files_out_and_in(tmp_path: Path) -> None:
    plan = review_sample(LINKS, POOL, 100, seed=3)
    path = plan.save(tmp_path / "review.csv")
    assert path == tmp_path / "review.plan.json"
    with pytest.raises(OutputExists):
        plan.save(tmp_path / "review.csv")
    header = (tmp_path / "review.csv").read_text().splitlines()[0]
    assert header == "pair,left_id,right_id,match"
    loaded = ReviewPlan.load(tmp_path / "review.csv")
    assert loaded.strata == plan.strata
    assert loaded.pairs.equals(plan.pairs)
    fill(plan, TRUE).to_csv(tmp_path / "review.csv", index=False)
    estimate = review_estimate(tmp_path / "review.csv")
    assert estimate == review_estimate(fill(plan, TRUE), plan)
    estimate.save(tmp_path / "review.json")
    (tmp_path / "review.plan.json").write_text("[]")
    with pytest.raises(UnreadableFile, match="not the plan"):
        review_estimate(tmp_path / "review.csv")
    with pytest.raises(UnreadableFile, match="no such file"):
        ReviewPlan.load(tmp_path / "other.csv")


def test_many_to_many_links_may_miss_any_candidate() -> None:
    frame = POOL.to_pandas()
    links = frame[frame["similarity"] >= 0.7]
    plan = review_sample(links, POOL, 100)
    assert {one.kind for one in plan.strata} == {"link", "next"}
    assert sum(one.pairs for one in plan.strata) == len(frame)


def test_small_and_empty_populations() -> None:
    few = Links(LINKS.table.slice(0, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = review_sample(few, few, 50)
        estimate = review_estimate(fill(plan, TRUE), plan)
    assert len(plan.pairs) == 3
    assert estimate.missed_matches == 0
    with pytest.raises(UsageError, match="no links"):
        review_sample(Links(LINKS.table.slice(0, 0)), POOL)
    with pytest.raises(UsageError, match="n must be"):
        review_sample(LINKS, POOL, 10)
    with pytest.raises(UsageError, match="need a similarity"):
        review_sample(pd.DataFrame({"left_id": ["a"], "right_id": ["b"]}), POOL)


def test_weights_add_up_to_the_population() -> None:
    plan = review_sample(LINKS, POOL, 100)
    answers = answered(plan, fill(plan, TRUE))
    assert answers["weight"].sum() == pytest.approx(sum(one.pairs for one in plan.strata))
    table = strata_table(plan, answers)
    assert table["answered"].tolist() == [one.sampled for one in plan.strata]
