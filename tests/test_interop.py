"""Pairs from recordlinkage and Splink, and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pprl.errors import MissingColumn, UsageError
from pprl.evaluation.quality import evaluate
from pprl.evaluation.sweep import sweep
from pprl.exchange.links import Links

LEFT = pd.DataFrame({"name": list("abc")}, index=pd.Index([10, 20, 30], name="rec_id"))
RIGHT = pd.DataFrame({"name": list("abc")}, index=pd.Index(["x", "y", "z"], name="rec_id"))


def test_recordlinkage_candidates_features_and_matches() -> None:
    recordlinkage = pytest.importorskip("recordlinkage")
    candidates = recordlinkage.Index().full().index(LEFT, RIGHT)
    compare = recordlinkage.Compare()
    compare.exact("name", "name")
    features = compare.compute(candidates, LEFT, RIGHT)
    links = Links.from_multiindex(features.sum(axis=1))
    assert len(links) == 9
    assert links.to_pandas()["similarity"].sum() == 3.0
    assert links.to_multiindex(LEFT.index, RIGHT.index).tolist() == candidates.tolist()
    matches = features[features.sum(axis=1) == 1].index
    assert evaluate(matches, candidates).recall.value == pytest.approx(1 / 3)
    assert evaluate(features[features.sum(axis=1) == 1], matches).f1.value == 1.0
    # recordlinkage itself agrees with what it gets back.
    back = Links.from_multiindex(matches).to_multiindex(LEFT.index, RIGHT.index)
    assert recordlinkage.recall(matches, back) == 1.0


def test_labels_that_are_numbers_match_text() -> None:
    truth = pd.MultiIndex.from_tuples([(10, "x"), (20, "y")])
    found = Links.from_multiindex(truth[:1])
    assert found.to_pandas()["left_id"].tolist() == ["10"]
    quality = evaluate(found, truth)
    assert (quality.true_positives, quality.false_negatives) == (1, 1)
    with pytest.raises(UsageError, match="1 of left_id are not labels"):
        found.to_multiindex(LEFT.index[1:])


def test_indexes_that_are_not_of_pairs() -> None:
    with pytest.raises(UsageError, match="two levels"):
        Links.from_multiindex(pd.Series([1.0, 2.0]))
    pairs = pd.MultiIndex.from_tuples([(10, "x")])
    with pytest.raises(UsageError, match="several columns"):
        Links.from_multiindex(pd.DataFrame({"a": [1], "b": [1]}, index=pairs))


SPLINK = pd.DataFrame(
    {
        "match_weight": [6.0, 1.0, -1.0],
        "match_probability": [0.98, 2 / 3, 1 / 3],
        "source_dataset_l": ["df_a", "df_b", "df_a"],
        "unique_id_l": [1, 7, 3],
        "source_dataset_r": ["df_b", "df_a", "df_b"],
        "unique_id_r": [6, 2, 8],
    }
)


def test_splinks_predictions_in_and_out() -> None:
    links = Links.from_splink(SPLINK, left="df_a")
    frame = links.to_pandas()
    assert frame["left_id"].tolist() == ["1", "2", "3"]
    assert frame["right_id"].tolist() == ["6", "7", "8"]
    assert frame["similarity"].isna().all()
    back = links.to_splink("df_a", "df_b")
    assert set(back.columns) == set(SPLINK.columns)
    np.testing.assert_allclose(back["match_probability"], SPLINK["match_probability"])
    np.testing.assert_allclose(back["match_weight"][1:], SPLINK["match_weight"][1:])
    assert Links.from_splink(back, "df_a").to_pandas().equals(frame)
    truth = pd.DataFrame({"left_id": ["1", "3"], "right_id": ["6", "9"]})
    assert evaluate(SPLINK.iloc[[0, 2]], truth).true_positives == 1
    curve = sweep(links, truth)
    assert curve["threshold"].tolist() == [1 / 3, 2 / 3, 0.98]
    assert curve["precision"].iloc[-1] == 1.0


def test_splinks_pairs_that_do_not_say_which_is_left() -> None:
    with pytest.raises(UsageError, match="both ways"):
        Links.from_splink(SPLINK)
    with pytest.raises(UsageError, match="3 pairs are not between a record of 'df_c'"):
        Links.from_splink(SPLINK, left="df_c")
    bare = SPLINK.drop(columns=["source_dataset_l", "source_dataset_r"])
    assert Links.from_splink(bare).to_pandas()["left_id"].tolist() == ["1", "7", "3"]
    with pytest.raises(UsageError, match="source_dataset_l"):
        Links.from_splink(bare, left="df_a")
    with pytest.raises(MissingColumn, match="unique_id_r"):
        Links.from_splink(SPLINK.drop(columns="unique_id_r"))


def test_certain_pairs_have_infinite_weight() -> None:
    table = Links.from_splink(SPLINK.assign(match_probability=[1.0, 0.5, 0.0]), "df_a").to_splink()
    assert table["match_weight"].tolist() == [np.inf, 0.0, -np.inf]
