"""Every number that a report estimates is held against the truth, over sets and settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pprl
from pprl.evaluation.report import report
from pprl.evaluation.report.curves import bins, few_others
from pprl.evaluation.report.model import LinkageReport
from pprl.synthetic import practice
from report_claims import Case, claims, practice_cases

SEEDS = (1, 2, 3)
PERSONS = 6000
AT_LEAST = 0.9
"""Share of claims that have to hold: what the documentation says of the intervals."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    there = tmp_path_factory.mktemp("practice")
    practice(there, persons=PERSONS, seed=1)
    plain = pprl.suggest_schema(there / "hospital.csv", hardening="none")
    none = '{ method = "none" }'
    assert plain.count(none) == 1
    settings = {"none": plain, "minhash": plain.replace(none, '{ method = "minhash", t = 3 }')}
    return [case for seed in SEEDS for case in practice_cases(seed, PERSONS, settings)]


@pytest.fixture(scope="module")
def reports(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> list[LinkageReport]:
    """Reports without the truth, every second one from a folder."""
    made = []
    for at, case in enumerate(cases):
        where = case.result
        if at % 2:
            where = tmp_path_factory.mktemp("run")
            leave(case, where)
        made.append(report(where))
    return made


def leave(case: Case, there: Path) -> None:
    """Write what the commands leave."""
    result = case.result
    name = "links" if isinstance(result, pprl.LinkResult) else "clusters"
    case.found.save(there / f"{name}.parquet")
    (there / "linkage.json").write_text(json.dumps(result.facts(*result.inputs)))
    pq.write_table(result.similarities, there / "similarities.parquet")
    if result.estimate is not None:
        (there / "estimate.json").write_text(json.dumps(result.estimate.to_dict()))
    if isinstance(result, pprl.LinkResult):
        assert result.curve is not None
        pq.write_table(result.curve, there / "curve.parquet")


def test_what_is_estimated_holds_nine_times_in_ten(
    cases: list[Case], reports: list[LinkageReport]
) -> None:
    held: dict[str, list[bool]] = {}
    for case, content in zip(cases, reports, strict=True):
        for one in claims(content, case.found, case.truth):
            held.setdefault(one.name, []).append(one.holds)
    assert len(held["precision of the links"]) >= len(SEEDS) * 3
    for name, those in held.items():
        assert np.mean(those) >= AT_LEAST, (name, those)


def test_the_cut_is_in_the_curve(cases: list[Case], reports: list[LinkageReport]) -> None:
    for case, content in zip(cases, reports, strict=True):
        if not isinstance(case.result, pprl.LinkResult):
            continue
        cuts = content.sensitivity.estimated
        assert cuts is not None
        (used,) = (one for one in cuts if one.threshold == content.sensitivity.chosen)
        assert used.links == len(case.result.links)
        (estimate,) = content.error_rates
        assert used.precision is not None
        assert estimate.precision is not None
        # One linkage has one estimate, wherever the report tells it.
        assert used.precision.low == pytest.approx(estimate.precision.low, abs=1e-4)
        assert all(one.precision is None for one in cuts if one.links > used.links)


def test_a_truth_is_measured_and_not_estimated(cases: list[Case]) -> None:
    case = cases[0]
    measured = report(case.result, truth=case.truth).error_rates[-1]
    true = pprl.evaluate(case.found, case.truth)
    assert measured.counts is not None
    assert measured.counts["false_positives"] == true.false_positives
    assert measured.counts["false_negatives"] == true.false_negatives


def test_few_other_pairs_hide_themselves_and_not_the_chart() -> None:
    table = pa.table({"similarity": [0.8, 0.805], "pairs": [3000, 4366], "links": [2996, 4366]})
    shown = bins(table, 10)
    assert shown is not None
    assert sum(one.pairs for one in shown.links) == 7362
    assert shown.others == []
    assert few_others(table, 10)
    assert not few_others(table, 4)
