"""Linking and evaluating through the Python interface."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import binomtest

import pprl
from conftest import encodings_of
from pprl.errors import (
    EncodingMismatch,
    KeyMismatch,
    LengthMismatch,
    MissingColumn,
    PprlWarning,
    RecordIdError,
    SchemaMismatch,
    UnreadableFile,
    UsageError,
)
from pprl.evaluation.quality import wilson
from pprl.exchange.links import SCHEMA


def filters(n: int, seed: int = 0) -> np.ndarray:
    return np.packbits(np.random.default_rng(seed).random((n, 256)) < 0.3, axis=1)


def links(*pairs: tuple[str, str]) -> pprl.Links:
    left, right = zip(*pairs, strict=True) if pairs else ((), ())
    size = len(pairs)
    columns = [list(left), list(right), [0.9] * size, [None] * size]
    return pprl.Links(pa.table(columns, schema=SCHEMA))


def test_link_finds_the_same_people() -> None:
    clks = filters(50)
    order = np.random.default_rng(1).permutation(50)
    a, b = encodings_of(clks, "a"), encodings_of(clks[order], "b")
    result = pprl.link(a, b, threshold=0.9)
    frame = result.links.to_pandas()
    assert frame["left_id"].tolist() == [f"a{i}" for i in range(50)]
    assert frame["right_id"].tolist() == [f"b{i}" for i in np.argsort(order)]
    assert (frame["similarity"] == 1.0).all()
    assert result.pairs_compared == 2500


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"schema_fingerprint": "0" * 64}, SchemaMismatch, "different schemas"),
        ({"key_check": "0" * 16}, KeyMismatch, "different linkage keys"),
        ({"self_test": "0" * 16}, EncodingMismatch, "same version"),
    ],
)
def test_incompatible_files(changes: dict[str, str], error: type[Exception], says: str) -> None:
    a, b = encodings_of(filters(3), "a"), encodings_of(filters(3), "b", **changes)
    for refuse in (pprl.link, pprl.compare):
        with pytest.raises(error, match=f"'a' and holder 'b'.*{says}"):
            refuse(a, b, threshold=0.8)


def test_another_length() -> None:
    a, b = encodings_of(filters(3)), encodings_of(filters(3)[:, :16])
    with pytest.raises(LengthMismatch, match="file 1 and file 2 have CLKs of 256 and 128 bits"):
        pprl.link(a, b, threshold=0.8)


def test_a_renamed_column_is_seen() -> None:
    a = encodings_of(filters(3), "a", present={"name": 1.0, "born": 0.99})
    b = encodings_of(filters(3), "b", present={"name": 1.0, "born": 0.0})
    with pytest.warns(PprlWarning, match="'born' is filled very differently: holder 'a' 99%"):
        pprl.link(a, b, threshold=0.8)


def test_links_go_anywhere(tmp_path: Path) -> None:
    made = links(("a1", "b1"), ("a2", "b2"))
    made.save(tmp_path / "links.parquet")
    assert pprl.Links.load(tmp_path / "links.parquet").table.equals(made.table)
    assert made.to_arrow().schema == SCHEMA
    assert pa.table(made).equals(made.table)
    assert made.to_pandas()["right_id"].tolist() == ["b1", "b2"]
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UnreadableFile, match="left_id"):
        pprl.Links.load(tmp_path / "other.parquet")


def test_quality() -> None:
    truth = pd.DataFrame(
        {"left_id": ["a1", "a2", "a3", "a4"], "right_id": ["b1", "b2", "b3", "b4"]}
    )
    quality = pprl.evaluate(links(("a1", "b1"), ("a2", "b2"), ("a3", "b4")), truth)
    assert (quality.true_positives, quality.false_positives, quality.false_negatives) == (2, 1, 2)
    assert quality.precision.value == 2 / 3
    assert quality.recall.value == 0.5
    assert math.isclose(quality.f1.value, 4 / 7)
    assert quality.f1.low < 4 / 7 < quality.f1.high


def test_quality_of_nothing() -> None:
    truth = pd.DataFrame({"left_id": ["a1"], "right_id": ["b1"]})
    quality = pprl.evaluate(links(), truth)
    assert quality.precision.value == quality.recall.value == quality.f1.value == 0
    assert (quality.precision.low, quality.precision.high) == (0, 1)


@pytest.mark.parametrize(("hits", "trials"), [(45, 50), (0, 7), (7, 7), (1663, 1668)])
def test_wilson_against_scipy(hits: int, trials: int) -> None:
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    figure = wilson(hits, trials)
    assert math.isclose(figure.low, expected.low, abs_tol=1e-12)
    assert math.isclose(figure.high, expected.high, abs_tol=1e-12)


def test_truth_in_every_form(tmp_path: Path) -> None:
    made = links(("1", "7"), ("2", "8"))
    frame = pd.DataFrame({"left_id": [1, 2], "right_id": [7, 8]})
    frame.to_csv(tmp_path / "truth.csv", index=False)
    frame.to_parquet(tmp_path / "truth.parquet")
    index = pd.MultiIndex.from_tuples([("1", "7"), ("2", "8")])
    for truth in (frame, index, made, tmp_path / "truth.csv", str(tmp_path / "truth.parquet")):
        assert pprl.evaluate(made, truth).f1.value == 1.0


def test_wrong_truth(tmp_path: Path) -> None:
    made = links(("a1", "b1"))
    with pytest.raises(MissingColumn, match="right_id"):
        pprl.evaluate(made, pd.DataFrame({"left_id": ["a1"]}))
    with pytest.raises(UsageError, match="no pairs"):
        pprl.evaluate(made, pd.DataFrame({"left_id": [], "right_id": []}))
    with pytest.raises(UnreadableFile, match="no such file"):
        pprl.evaluate(made, tmp_path / "truth.csv")
    a, b = encodings_of(filters(3), "a"), encodings_of(filters(3), "b")
    swapped = pd.DataFrame({"left_id": ["b1"], "right_id": ["a1"]})
    with pytest.raises(RecordIdError, match="swapped"):
        pprl.evaluate(made, swapped, a=a, b=b)
