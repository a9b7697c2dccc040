"""Pictures show what the report says, and a million pairs in less than a second."""

from __future__ import annotations

import time

import numpy as np
import pytest
from matplotlib.figure import Figure

import pprl
from conftest import encodings_of
from pprl.errors import UsageError
from pprl.evaluation import plots
from pprl.evaluation.report.build import build
from pprl.evaluation.report.model import LinkageReport
from test_report_suppression import clusters_of, run_of

MILLION = 1_000_000


@pytest.fixture(scope="module")
def report() -> LinkageReport:
    run, groups, _ = run_of([120, 90, 60], [40, 30, 3])
    return build(run, groups=groups)


def texts(figure: Figure) -> str:
    return figure._repr_svg_()  # type: ignore[attr-defined, no-any-return]


def test_they_are_all_there() -> None:
    assert plots.__all__ == sorted(plots.__all__)
    assert all(callable(getattr(plots, name)) for name in plots.__all__)


def test_flow_says_the_counts(report: LinkageReport) -> None:
    svg = texts(plots.flow(report))
    for words in ("343 records", "320 records", "270", "73 unlinked", "50 unlinked"):
        assert f">{words}" in svg


def test_flow_of_many_holders() -> None:
    run, records = clusters_of({1: 40, 2: 30, 3: 20}, 4)
    svg = texts(plots.flow(build(run)))
    assert f"{records:,} records" in svg
    assert "4 holders" in svg


def test_funnel(report: LinkageReport) -> None:
    svg = texts(plots.blocking_funnel(report))
    assert svg.count(f"{343 * 320:,}") == 2


def test_similarities(report: LinkageReport) -> None:
    figure = plots.similarity_distribution(report)
    found = report.results.similarities
    assert found is not None
    drawn = [patch.get_height() * patch.get_width() / 0.005 for patch in figure.axes[0].patches]
    expected = [one.pairs for one in (*found.others, *found.links)]
    assert drawn == pytest.approx(expected)


def test_similarities_of_arrays() -> None:
    values = np.array([0.5, 0.5, 0.7, 1.0])
    figure = plots.similarity_distribution(values, [False, False, True, True], threshold=0.6)
    heights = sorted(patch.get_height() for patch in figure.axes[0].patches)
    assert heights == pytest.approx([1, 1, 2])


def test_curves_of_arrays() -> None:
    similarity = np.array([1.0, 0.9, 0.8, 0.8, 0.7])
    hit = np.array([True, True, False, True, False])
    line = plots.precision_recall(similarity, hit, 4).axes[0].lines[0]
    assert line.get_xdata() == pytest.approx([0.25, 0.5, 0.75, 0.75])
    assert line.get_ydata() == pytest.approx([1, 1, 0.75, 0.6])
    upper, lower = plots.threshold_sensitivity(similarity, hit, 4).axes
    assert lower.lines[0].get_xdata() == pytest.approx([1, 0.9, 0.8, 0.7])
    assert lower.lines[0].get_ydata() == pytest.approx([1, 2, 4, 5])
    assert upper.lines[1].get_ydata() == pytest.approx([0.25, 0.5, 0.75, 0.75])


def test_subgroups_show_what_is_withheld(report: LinkageReport) -> None:
    svg = texts(plots.subgroup_rates(report))
    assert svg.count(">withheld<") == 2
    with pytest.raises(UsageError):
        plots.subgroup_rates(report, variable="shoe size")


def test_completeness_and_popcounts() -> None:
    a = encodings_of(np.full((4, 64), 0x0F, np.uint8), "one")
    b = encodings_of(np.full((9, 64), 0xFF, np.uint8), "two")
    figure = plots.completeness(a, b)
    assert [line.get_xdata()[0] for line in figure.axes[0].lines[1:]] == [1.0, 1.0]
    svg = texts(plots.popcounts(a, b))
    assert ">one<" in svg
    assert ">two<" in svg
    with pytest.raises(UsageError):
        plots.popcounts()


def test_what_is_not_there_is_said(report: LinkageReport) -> None:
    with pytest.raises(UsageError, match="other thresholds"):
        plots.precision_recall(report)
    with pytest.raises(UsageError, match="other thresholds"):
        plots.threshold_sensitivity(report)
    with pytest.raises(UsageError, match="hit and true_pairs"):
        plots.precision_recall(np.ones(3))
    bare = report.model_copy(
        update={"results": report.results.model_copy(update={"similarities": None})}
    )
    with pytest.raises(UsageError, match="no similarities"):
        plots.similarity_distribution(bare)


def test_users_settings_are_left_alone(report: LinkageReport) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.flow(report)
    assert dict(mpl.rcParams) == before


def test_the_same_picture_twice(report: LinkageReport) -> None:
    from pprl.evaluation.report.svg import inline

    one, two = (inline(plots.flow(report), "flow", "text") for _ in range(2))
    assert one == two


@pytest.fixture(scope="module")
def crowd() -> pprl.Encodings:
    return encodings_of(np.random.default_rng(4).integers(0, 256, (MILLION, 16), np.uint8), "x")


def test_a_million_pairs_take_less_than_a_second(crowd: pprl.Encodings) -> None:
    similarity = np.random.default_rng(3).beta(5, 2, MILLION)
    hit = similarity > 0.5
    plots.popcounts(encodings_of(np.ones((3, 8), np.uint8)))  # compiles and imports
    for draw in (
        lambda: plots.similarity_distribution(similarity, hit),
        lambda: plots.precision_recall(similarity, hit, MILLION),
        lambda: plots.threshold_sensitivity(similarity, hit, MILLION),
        lambda: plots.popcounts(crowd, crowd),
    ):
        start = time.process_time()
        draw()
        assert time.process_time() - start < 1
