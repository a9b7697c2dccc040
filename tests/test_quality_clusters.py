"""Quality of clusters: by hand, by pair of holders, by group, and the closest cluster."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from pprl.errors import MissingColumn, UsageError

TRUTH = pd.DataFrame(
    {
        "holder": ["h", "h", "h", "k", "k", "m"],
        "record_id": ["1", "2", "3", "1", "2", "1"],
        "person_id": ["p", "p", "q", "p", "q", "q"],
    }
)


def clusters(labels: list[str], truth: pd.DataFrame = TRUTH) -> pprl.Clusters:
    columns = [labels, truth["holder"].tolist(), truth["record_id"].tolist()]
    return pprl.Clusters(pa.table(columns, names=["cluster_id", "holder", "record_id"]))


def test_by_pair_of_holders_by_hand() -> None:
    # h1 h2 k1 are p; h3 k2 m1 are q. Found: {h1 k1}, {h2 h3}, {k2 m1}.
    quality = pprl.evaluate_clusters(clusters(["x", "y", "y", "x", "z", "z"]), TRUTH)
    by = {(part.left, part.right): part for part in quality.by_holders}
    counts = {key: (p.true_positives, p.links, p.true_pairs) for key, p in by.items()}
    assert counts == {
        ("h", "h"): (0, 1, 1),
        ("h", "k"): (1, 1, 3),
        ("h", "m"): (0, 0, 1),
        ("k", "m"): (1, 1, 1),
    }
    assert by["h", "m"].recall.value == 0.0


labelled = st.lists(
    st.tuples(st.sampled_from("hkm"), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=14
)


@settings(deadline=None, max_examples=30)
@given(labelled)
def test_figures_are_those_of_plain_counting(rows: list[tuple[str, int, int]]) -> None:
    truth = pd.DataFrame(
        {
            "holder": [holder for holder, _, _ in rows],
            "record_id": [str(i) for i in range(len(rows))],
            "person_id": [f"p{person}" for _, person, _ in rows],
        }
    )
    quality = pprl.evaluate_clusters(clusters([f"c{c}" for *_, c in rows], truth), truth)
    counted: dict[tuple[str, str], list[int]] = {}
    for (h1, p1, c1), (h2, p2, c2) in combinations(rows, 2):
        entry = counted.setdefault((min(h1, h2), max(h1, h2)), [0, 0, 0])
        for at, true in enumerate((p1 == p2 and c1 == c2, c1 == c2, p1 == p2)):
            entry[at] += true
    expected = {key: tuple(value) for key, value in counted.items() if any(value)}
    assert expected == {
        (p.left, p.right): (p.true_positives, p.links, p.true_pairs) for p in quality.by_holders
    }
    found, true = (
        [{i for i, row in enumerate(rows) if row[at] == name} for name in {row[at] for row in rows}]
        for at in (2, 1)
    )
    for one, other, figure in (
        (found, true, quality.closest_precision),
        (true, found, quality.closest_recall),
    ):
        best = [max(len(s & t) / len(s | t) for t in other) for s in one]
        assert figure == pytest.approx(sum(best) / len(best))


def test_groups_of_records_of_several_holders() -> None:
    groups = TRUTH[["holder", "record_id"]].assign(sex=["f", "f", "m", "f", "m", ""])
    quality = pprl.evaluate_clusters(clusters(["x", "x", "y", "x", "y", "w"]), TRUTH, groups=groups)
    by = {part.group: part for part in quality.subgroups}
    assert set(by) == {"f", "m", "(unknown)"}
    assert (by["f"].precision, by["f"].recall, by["f"].records) == (1.0, 1.0, 3)
    assert by["m"].recall == pytest.approx(2 / 3)
    assert by["(unknown)"].recall == pytest.approx(1 / 3)
    everybody = sum(part.recall * part.records for part in by.values()) / 6
    assert everybody == pytest.approx(quality.bcubed_recall)
    with pytest.raises(UsageError, match="a record twice"):
        pprl.evaluate_clusters(
            clusters(list("xxyxyw")), TRUTH, groups=groups.drop(columns="holder")
        )


def test_perfect_clusters_are_perfect() -> None:
    quality = pprl.evaluate_clusters(clusters(list("ppqpqq")), TRUTH)
    figures = quality.to_dict()
    assert all(
        figures[name] == 1.0
        for name in ("bcubed_f1", "cluster_f1", "closest_precision", "closest_recall", "closest_f1")
    )
    assert quality.recall.value == 1.0
    assert np.isclose(sum(p.true_pairs for p in quality.by_holders), 6)


def test_a_truth_without_persons() -> None:
    with pytest.raises(MissingColumn, match="person_id"):
        pprl.evaluate_clusters(clusters(list("ppqpqq")), TRUTH.drop(columns="person_id"))
