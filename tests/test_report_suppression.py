"""Small counts of people cannot be computed back."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import encodings_of
from pprl.evaluation.report.build import build
from pprl.evaluation.report.model import LinkageReport
from pprl.evaluation.report.run import Run
from pprl.evaluation.report.suppression import coarsen, ranges, two_columns, withhold
from pprl.exchange.links import SCHEMA, Clusters, Links

LEAST = 10


@settings(max_examples=15, deadline=None)
@given(
    counts=st.lists(st.integers(0, 4), min_size=2, max_size=5),
    rows=st.lists(st.lists(st.integers(0, 1), min_size=5, max_size=5), min_size=1, max_size=3),
)
def test_ranges_are_those_of_trying_everything(counts: list[int], rows: list[list[int]]) -> None:
    count, sums = np.array(counts), np.array(rows)[:, : len(counts)]
    every = np.array(list(itertools.product(range(5), repeat=len(counts))))
    fits = every[(every @ sums.T == sums @ count).all(axis=1)]
    low, high = ranges(sums, sums @ count, np.zeros(len(counts)), np.full(len(counts), 4))
    assert low.tolist() == fits.min(axis=0).tolist()
    assert high.tolist() == fits.max(axis=0).tolist()


def attack(counts: np.ndarray, sums: np.ndarray, hidden: np.ndarray) -> None:
    """Solve for what is withheld, knowing every sum, the limit, and which counts are small."""
    small = counts < LEAST
    assert hidden[small].all()
    if not hidden.any():
        return
    totals = sums[:, hidden] @ counts[hidden]
    top = np.full(len(counts), counts.sum())
    for low, high in (
        (np.zeros(len(counts)), top),
        (np.where(small, 0, LEAST), np.where(small, LEAST - 1, top)),
    ):
        least, most = ranges(sums[:, hidden], totals, low[hidden], high[hidden])
        assert (least < most).all()
        assert (most - least >= np.where(small[hidden], LEAST // 2, 1)).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=7))
def test_tables_of_two_columns_withstand_an_attack(rows: list[tuple[int, int]]) -> None:
    counts, sums = np.array(rows).reshape(-1), two_columns(len(rows))
    hidden = withhold(counts.tolist(), sums, LEAST)
    if hidden is not None:
        attack(counts, sums, hidden)
    else:
        # Not even a table without a count is safe.
        with pytest.raises(AssertionError):
            attack(counts, sums, np.ones(len(counts), bool))


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(2, 4),
    columns=st.integers(2, 4),
    values=st.lists(st.integers(0, 50), min_size=16, max_size=16),
)
def test_tables_of_any_size_withstand_an_attack(rows: int, columns: int, values: list[int]) -> None:
    counts = np.array(values[: rows * columns])
    at = np.arange(rows * columns)
    sums = np.array(
        [at // columns == row for row in range(rows)]
        + [at % columns == column for column in range(columns)],
        float,
    )
    hidden = withhold(counts.tolist(), sums, LEAST)
    if hidden is not None:
        attack(counts, sums, hidden)


def test_one_small_count_takes_its_row_and_another_row_with_it() -> None:
    table = np.array([[500, 3], [400, 300], [300, 40]])
    hidden = withhold(table.reshape(-1).tolist(), two_columns(3), LEAST)
    assert hidden is not None
    assert hidden.reshape(3, 2).tolist() == [[True, True], [False, False], [True, True]]


def test_nothing_is_withheld_unless_it_must_be() -> None:
    hidden = withhold([50, 60, 70, 80], two_columns(2), LEAST)
    assert hidden is not None
    assert not hidden.any()
    hidden = withhold([0, 1, 2, 3], two_columns(2), 0)
    assert hidden is not None
    assert not hidden.any()


@given(st.lists(st.integers(0, 30), max_size=40))
def test_merged_bins_are_empty_or_large_and_lose_nothing(counts: list[int]) -> None:
    values = np.array(counts, np.int64)[:, np.newaxis]
    parts = coarsen(values, LEAST)
    sums = [int(values[part].sum()) for part in parts]
    assert all(one == 0 or one >= LEAST for one in sums)
    if parts:
        assert sum(sums) == sum(counts)
        assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    else:
        assert sum(counts) < LEAST or not counts


def run_of(linked: list[list[int]], unlinked: list[list[int]]) -> tuple[Run, dict, np.ndarray]:
    """Two files of one-to-one links, whose left records have groups 0, 1, and so on."""
    yes, no = (np.array(part) for part in (linked, unlinked))
    groups = np.concatenate(
        [np.repeat(np.arange(len(yes)), yes), np.repeat(np.arange(len(no)), no)]
    )
    n, links = len(groups), int(yes.sum())
    infos = [
        encodings_of(np.zeros((size, 8), np.uint8), holder).info
        for size, holder in ((n, "left"), (links + 50, "right"))
    ]
    ids = [f"i{at}" for at in range(n)]
    table = pa.table(
        {
            "left_id": ids[:links],
            "right_id": [f"r{at}" for at in range(links)],
            "similarity": np.linspace(1, 0.7, links),
            "probability": np.full(links, 0.99),
        },
        schema=SCHEMA,
    )
    facts = {
        "rule": "fixed",
        "threshold": 0.7,
        "matching": "one-to-one",
        "pairs_compared": n * (links + 50),
        "pairs_above": links,
        "blocking": None,
    }
    edges = np.arange(140, 201) * 0.005
    per_bin = np.bincount(
        np.clip(((table["similarity"].to_numpy() - 0.7) / 0.005 + 1e-6).astype(int), 0, 60),
        minlength=61,
    )
    similarities = pa.table({"similarity": edges, "pairs": per_bin + 20, "links": per_bin})
    run = Run(facts, tuple(infos), Links(table), similarities=similarities)
    frame = pd.DataFrame({"record_id": ids, "group": [f"g{one}" for one in groups]})
    return run, {"left": frame}, np.stack([yes, no], axis=1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), min_size=1, max_size=6))
def test_a_report_withstands_an_attack(rows: list[tuple[int, int]]) -> None:
    run, groups, table = run_of([one for one, _ in rows], [one for _, one in rows])
    if not table.sum():
        return
    report = build(run, groups=groups, least=LEAST)
    links, records = int(table[:, 0].sum()), int(table.sum())
    hidden = min(links, records - links) < LEAST
    assert (report.flow.links.value is None) == hidden
    if hidden:
        assert report.flow.candidates.value is report.results.similarities is None
        assert report.sensitivity.pairs is None
        assert not any(one.linked.value for one in report.flow.sources)
        assert not any(one.linkage_rate for one in report.results.linkage_rates)
        assert not any(one.linked.value for sub in report.subgroups for one in sub.groups or ())
    for cut in report.sensitivity.pairs or ():
        assert cut.links >= LEAST
    (subgroup,) = report.subgroups
    if subgroup.groups is None:
        return
    shown = [(one.linked.value, one.unlinked.value) for one in subgroup.groups]
    assert sum(one.records for one in subgroup.groups) == records
    for one in subgroup.groups:
        assert one.records >= LEAST
        if one.linked.value is None:
            assert one.linkage_rate is None
            assert one.difference is None
    assert all(a is None or min(a, b) >= LEAST for a, b in shown)  # type: ignore[type-var]
    # The reader knows each group's size, and how many of all are linked unless that is withheld.
    known = [one.records for one in subgroup.groups]
    open_rows = [at for at, (a, _) in enumerate(shown) if a is None]
    if not open_rows:
        return
    unknown = len(open_rows)
    sums, totals = [], []
    for place, at in enumerate(open_rows):
        row = np.zeros(2 * unknown)
        row[2 * place : 2 * place + 2] = 1
        sums.append(row)
        totals.append(known[at])
    if not hidden:
        row = np.zeros(2 * unknown)
        row[::2] = 1
        sums.append(row)
        totals.append(links - sum(a for a, _ in shown if a is not None))
    low, high = ranges(sums, totals, np.zeros(2 * unknown), np.full(2 * unknown, records))
    assert (low < high).all()


def clusters_of(sizes: dict[int, int], holders: int) -> tuple[Run, int]:
    rows, number = [], 0
    for size, many in sizes.items():
        for _ in range(many):
            number += 1
            rows += [
                (f"c{number}", f"h{(number + at) % holders}", f"{number}-{at}")
                for at in range(size)
            ]
    frame = pd.DataFrame(rows, columns=["cluster_id", "holder", "record_id"])
    counts = frame["holder"].value_counts()
    infos = [
        encodings_of(np.zeros((int(counts.get(f"h{at}", 0)), 8), np.uint8), f"h{at}").info
        for at in range(holders)
    ]
    facts = {"rule": "auto", "threshold": 0.7, "clustering": "average"}
    facts |= {"pairs_compared": 100, "pairs_above": 10, "blocking": None}
    return Run(facts, tuple(infos), Clusters(pa.Table.from_pandas(frame))), len(frame)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.dictionaries(st.integers(1, 5), st.integers(1, 40), min_size=1, max_size=5),
    holders=st.integers(1, 4),
)
def test_clusters_withstand_an_attack(sizes: dict[int, int], holders: int) -> None:
    run, records = clusters_of(sizes, holders)
    report = build(run, least=LEAST)
    made = sum(many for size, many in sizes.items() if size > 1)
    if report.results.cluster_sizes is not None:
        assert set(report.results.cluster_sizes) == {str(size) for size in sizes}
        counts = report.results.cluster_sizes
        for size, count in counts.items():
            assert count.value in {None, sizes[int(size)]}
            assert count.value is None or count.value >= LEAST
        unknown = [int(size) for size, count in counts.items() if count.value is None]
        if unknown:
            known = {int(size): one.value for size, one in counts.items() if one.value is not None}
            sums = np.array([unknown, [size > 1 for size in unknown]], float)
            totals = [
                records - sum(size * many for size, many in known.items()),
                made - sum(many for size, many in known.items() if size > 1),
            ]
            low, high = ranges(sums, totals, np.zeros(len(unknown)), np.full(len(unknown), records))
            assert (low < high).all()
    linked = [one.linked.value for one in report.flow.sources]
    if any(one is None for one in linked):
        assert report.results.linkage_rates[linked.index(None)].linkage_rate is None
    else:
        assert all(
            min(one.linked.value, one.unlinked.value) >= LEAST for one in report.flow.sources
        )


def test_a_nearly_full_linkage_says_no_more_than_that() -> None:
    run, groups, _ = run_of([400, 300], [2, 1])
    report = build(run, groups=groups, least=LEAST)
    left = report.flow.sources[0]
    assert (left.unlinked.value, left.unlinked.high) == (None, 9)
    assert (left.linked.value, left.linked.low) == (None, 703 - 9)
    text = LinkageReport.model_dump_json(report)
    assert "700" not in text
    open_report = build(run, groups=groups, least=0)
    assert open_report.flow.sources[0].unlinked.value == 3
    assert open_report.subgroups[0].groups is not None
    assert open_report.subgroups[0].groups[1].unlinked.value == 1
