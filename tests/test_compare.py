"""Exact comparison against a plain reference, and the rules of matching."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import changed, encodings_of
from pprl.errors import OutputExists, TooManyPairs, UsageError
from pprl.exchange.files import read_links
from pprl.kernels import assignment, lanes, numbering, pairs, tiles
from pprl.linkage.assignment import match
from pprl.linkage.candidates import pairs as made
from pprl.linkage.candidates import tiling
from pprl.linkage.candidates.exhaustive import iterate_pairs, scored_pairs
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.similarity import UNREACHABLE, Measure, fewest_common_bits, similarity

THRESHOLDS = st.sampled_from([0.0, 1e-9, 0.3, 0.5, 2 / 3, 0.7, 0.8, 1.0]) | st.floats(0, 1)


def random_filters(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Filters of very different fills, some of them empty, some alike."""
    fill = rng.choice([0.0, 0.05, 0.3, 0.5, 1.0], n)[:, None]
    filters = np.packbits(rng.random((n, 8 * width)) < fill, axis=1)
    if n > 3:
        filters[rng.integers(0, n, n // 3)] = filters[rng.integers(0, n, n // 3)]
    return filters


def scores(a: np.ndarray, b: np.ndarray, measure: Measure = "dice") -> np.ndarray:
    """All similarities, from their textbook definitions; -1 where a filter is empty."""
    x, y = np.unpackbits(a, axis=1).astype(int), np.unpackbits(b, axis=1).astype(int)
    common = x @ y.T
    i, j = x.sum(1)[:, None] + 0 * common, y.sum(1)[None, :] + 0 * common
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "dice": 2.0 * common / (i + j),
            "jaccard": common / (i + j - common),
            "cosine": common / np.sqrt(1.0 * i * j),
            "overlap": common / np.minimum(i, j),
            "hamming": 1.0 - (x[:, None, :] != y[None, :, :]).sum(2) / x.shape[1],
        }[measure]
    return np.where((i == 0) | (j == 0), -1.0, found)


def reference(
    a: np.ndarray, b: np.ndarray, threshold: float, measure: Measure = "dice"
) -> list[tuple[int, int, float]]:
    """All pairs at or above the threshold, in order."""
    similarity = scores(a, b, measure)
    rows, columns = np.nonzero((similarity >= threshold) & (similarity >= 0))
    return [(int(i), int(j), float(similarity[i, j])) for i, j in zip(rows, columns, strict=True)]


def as_list(pairs: Pairs) -> list[tuple[int, int, float]]:
    return list(
        zip(pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist(), strict=True)
    )


@given(
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 5, 127, 128, 129, 300]),
    st.sampled_from([0, 1, 64, 128, 256, 270]),
    st.sampled_from([1, 3, 8, 9, 40, 125, 128, 256, 768]),
    THRESHOLDS,
    st.integers(1, 3),
)
@settings(max_examples=150, deadline=None)
def test_every_pair_is_found(
    seed: int, n: int, m: int, width: int, threshold: float, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_filters(rng, n, width), random_filters(rng, m, width)
    made = scored_pairs(encodings_of(a), encodings_of(b), threshold, workers=workers)
    assert as_list(made) == reference(a, b, threshold)


def test_more_pairs_than_one_buffer() -> None:
    """A low threshold overflows the kernel's output many times; nothing is lost or repeated."""
    rng = np.random.default_rng(3)
    a, b = (np.packbits(rng.random((n, 64)) < 0.5, axis=1) for n in (1100, 700))
    for workers in (1, 2, 4):
        made = scored_pairs(encodings_of(a), encodings_of(b), 0.3, workers=workers)
        assert len(made) > 4 * 65536
        assert as_list(made) == reference(a, b, 0.3)


MEASURES = st.sampled_from(["dice", "jaccard", "cosine", "overlap", "hamming"])


@given(st.integers(0, 2**32), st.integers(2, 290), MEASURES, THRESHOLDS, st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_other_measures_and_one_set(
    seed: int, n: int, measure: Measure, threshold: float, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    a = random_filters(rng, n, 24)
    made = scored_pairs(encodings_of(a), None, threshold, measure=measure, workers=workers)
    expected = reference(a, a, threshold, measure)
    assert as_list(made) == [(i, j, s) for i, j, s in expected if i < j]
    both = encodings_of(a[: n // 2]), encodings_of(a[n // 2 :])
    made = scored_pairs(*both, threshold, measure=measure, workers=workers)
    assert as_list(made) == reference(a[: n // 2], a[n // 2 :], threshold, measure)


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 4), st.booleans())
@settings(max_examples=80, deadline=None)
def test_top(seed: int, n: int, top: int, within: bool) -> None:
    """The best of each record, equals by order, as sorting all of them would give."""
    rng = np.random.default_rng(seed)
    a, b = random_filters(rng, n, 4), random_filters(rng, 70, 4)
    other = a if within else b
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pprl.linkage.candidates.pairs._MANY", 100)
        made = scored_pairs(encodings_of(a), None if within else encodings_of(b), 0.3, top=top)
    expected = []
    for i, row in enumerate(scores(a, other)):
        ranked = sorted((-s, j) for j, s in enumerate(row) if s >= 0.3 and not (within and i == j))
        expected += sorted((i, j, float(-s)) for s, j in ranked[:top])
    assert as_list(made) == expected


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([None, 1, 2]))
@settings(max_examples=40, deadline=None)
def test_variants_count_once_with_their_best(seed: int, within: bool, top: int | None) -> None:
    rng = np.random.default_rng(seed)
    filters = random_filters(rng, 60, 4)
    variants = np.where(rng.random(60) < 0.4, 1, 0).astype(np.uint8)
    variants[0] = 0
    a = changed(encodings_of(filters), variants=variants)
    b = encodings_of(random_filters(rng, 30, 4))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pprl.linkage.candidates.exhaustive.ROWS_PER_TASK", 7)
        made = scored_pairs(a, None if within else b, 0.4, top=top)
    numbers = a.record_numbers()
    other, other_numbers = (filters, numbers) if within else (b.clks, np.arange(30))
    best: dict[tuple[int, int], float] = {}
    for i, j, s in reference(filters, other, 0.4):
        pair = int(numbers[i]), int(other_numbers[j])
        if not within or (pair[0] != pair[1] if top else pair[0] < pair[1]):
            best[pair] = max(s, best.get(pair, 0.0))
    expected = sorted((i, j, s) for (i, j), s in best.items())
    if top:
        rank = {
            i: sorted((-s, j) for left, j, s in expected if left == i)[:top]
            for i in range(numbers[-1] + 1)
        }
        expected = [p for p in expected if (-p[2], p[1]) in rank[p[0]]]
    assert as_list(made) == expected


def test_rare_bits_first_change_nothing() -> None:
    """Bits of very different frequency, so that tiles are dropped at different planes."""
    rng = np.random.default_rng(2)
    frequency = rng.random(320) ** 3
    a, b = (np.packbits(rng.random((n, 320)) < frequency, axis=1) for n in (150, 600))
    order = tiling.Tiling.make(encodings_of(a), encodings_of(b), 0.6, "dice").bit_order
    counts = np.unpackbits(b.view(np.uint64).view(np.uint8), axis=1, bitorder="little").sum(0)
    assert (np.diff(counts[order]) >= 0).all()
    for threshold in (0.3, 0.45, 0.6, 0.75):
        made = scored_pairs(encodings_of(a), encodings_of(b), threshold)
        assert as_list(made) == reference(a, b, threshold)
    made = scored_pairs(encodings_of(b), None, 0.6)
    assert as_list(made) == [p for p in reference(b, b, 0.6) if p[0] < p[1]]


@numba.njit
def add_and_store(planes, places, start, out):  # type: ignore[no-untyped-def]
    five = (
        lanes.load(start, 0),
        lanes.load(start, 4),
        lanes.load(start, 8),
        lanes.load(start, 12),
        lanes.load(start, 16),
    )
    made = lanes.add_planes(planes, places, 1, five)
    lanes.store(out, 0, made[0])
    lanes.store(out, 4, made[1])
    lanes.store(out, 8, made[2])
    lanes.store(out, 12, made[3])
    lanes.store(out, 16, made[4])
    lanes.store(out, 20, made[5])
    return lanes.all_lanes(made[0] | made[1] & made[2] ^ made[3])


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@settings(max_examples=30, deadline=None)
def test_adding_planes(seed: int, fill: float) -> None:
    """The vector instructions, and NumPy in their stead, add what counting adds."""
    rng = np.random.default_rng(seed)
    bits = rng.random((40, lanes.LANES)) < fill
    before = rng.integers(0, 32, lanes.LANES)
    planes, start = (
        np.packbits(rows, axis=1, bitorder="little").view(np.uint64).reshape(-1)
        for rows in (bits, (before >> np.arange(5)[:, None]) & 1)
    )
    order = rng.integers(0, 40, lanes.STEP + 1)
    expected = before + bits[order[1:]].sum(axis=0)
    for function in (add_and_store, add_and_store.py_func):
        out = np.zeros(6 * lanes.WORDS, np.uint64)
        every = function(planes, (order * lanes.WORDS).astype(np.int32), start, out)
        made = np.unpackbits(out.reshape(6, -1).view(np.uint8), axis=1, bitorder="little")
        np.testing.assert_array_equal((made.T @ (1 << np.arange(6))), expected)
        one, two, four, eight = made[:4]
        assert every == bool((one | two & four ^ eight).all())


def test_compare_file(tmp_path: Path) -> None:
    """The file holds what memory would, with a small cap in memory or none."""
    rng = np.random.default_rng(8)
    a, b = (encodings_of(random_filters(rng, n, 8)) for n in (1500, 90))
    expected = pprl.compare(a, b, threshold=0.4)
    assert pprl.compare_file(a, b, tmp_path / "pairs.parquet", threshold=0.4) == len(expected)
    assert read_links(tmp_path / "pairs.parquet").table.equals(expected.table)
    within = pprl.compare(a, threshold=0.9)
    pprl.compare_file(a, None, tmp_path / "own.parquet", threshold=0.9)
    found = read_links(tmp_path / "own.parquet").to_pandas()
    assert set(zip(found.left_id, found.right_id, strict=True)) == set(
        zip(within.table["left_id"].to_pylist(), within.table["right_id"].to_pylist(), strict=True)
    )
    with pytest.raises(OutputExists):
        pprl.compare_file(a, b, tmp_path / "own.parquet", threshold=0.9)


@given(THRESHOLDS, st.integers(1, 60), MEASURES)
@settings(deadline=None)
def test_the_bound_is_exact(threshold: float, width: int, measure: Measure) -> None:
    """The fewest common bits reach the threshold, one fewer does not."""
    counts = np.arange(width + 1)
    fewest = fewest_common_bits(measure, threshold, counts, counts, 64)
    for x in range(width + 1):
        for y in range(width + 1):
            possible = np.arange(min(x, y) + 1)
            expected = UNREACHABLE
            if x and y:
                reached = similarity(measure, possible, np.array(x), np.array(y), 64) >= threshold
                expected = possible[reached][0] if reached.any() else UNREACHABLE
            assert fewest[x, y] == expected


def test_threshold_exactly_reached() -> None:
    """4 of 5 bits in common is 0.8, not a rounding error less."""
    a = np.packbits(np.array([[1, 1, 1, 1, 1, 0, 0, 0]]), axis=1)
    b = np.packbits(np.array([[1, 1, 1, 1, 0, 1, 0, 0]]), axis=1)
    assert len(scored_pairs(encodings_of(a), encodings_of(b), 0.8)) == 1
    assert len(scored_pairs(encodings_of(a), encodings_of(b), np.nextafter(0.8, 1))) == 0


def test_kernels_equal_their_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The uncompiled function of each kernel gives what the compiled one gives."""
    rng = np.random.default_rng(5)
    a, b = random_filters(rng, 5, 16), random_filters(rng, 260, 16)
    compiled = [
        as_list(scored_pairs(encodings_of(a), encodings_of(b), t, workers=1)) for t in (0.1, 0.7)
    ]
    for module, name, function in (
        (tiling, "pairs_above", tiles.pairs_above),
        (tiling, "lay_tiles", tiles.lay_tiles),
        (tiling, "list_planes", tiles.list_planes),
        (made, "best_in_order", pairs.best_in_order),
    ):
        monkeypatch.setattr(module, name, function.py_func)
    for name in ("_transpose", "count_misses", "read_counter", "read_counters"):
        monkeypatch.setattr(tiles, name, getattr(tiles, name).py_func)
    with np.errstate(over="ignore"):
        plain = [
            as_list(scored_pairs(encodings_of(a), encodings_of(b), t, workers=1))
            for t in (0.1, 0.7)
        ]
    assert plain == compiled == [reference(a, b, t) for t in (0.1, 0.7)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=300))
def test_numbering(codes: list[int]) -> None:
    given_codes = np.array(codes, np.uint64)
    order = list(dict.fromkeys(codes))
    for function in (numbering.number, numbering.number_small):
        for version in (function, function.py_func):
            ids = np.empty(len(codes), np.int32)
            firsts = np.empty(64, np.int64)
            small = function is numbering.number_small
            table = [np.full(41, -1, np.int32)] if small else [np.full(128, -1, np.int32), 57]
            with np.errstate(over="ignore"):
                count = version(given_codes, *table, ids, firsts)
            assert count == len(order)
            assert ids.tolist() == [order.index(code) for code in codes]
            assert firsts[:count].tolist() == [codes.index(code) for code in order]


def test_numbering_says_when_the_table_is_too_small() -> None:
    codes = np.arange(40, dtype=np.uint64)
    ids, firsts = np.empty(40, np.int32), np.empty(32, np.int64)
    assert numbering.number(codes, np.full(64, -1, np.int32), 58, ids, firsts) == -1


PAIRS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.5, 0.6, 0.7])),
    unique_by=lambda pair: pair[:2],
    max_size=30,
).map(sorted)


@given(PAIRS)
@settings(deadline=None)
def test_greedy_one_to_one(made: list[tuple[int, int, float]]) -> None:
    """Best pair first, ties by row; no record twice; no pair left that would fit."""
    left, right, similarity = (np.array([p[i] for p in made]) for i in range(3))
    pairs = Pairs(left.astype(np.int64), right.astype(np.int64), similarity.astype(float))
    expected, taken = [], (set(), set())
    for i, j, s in sorted(made, key=lambda pair: (-pair[2], pair[0], pair[1])):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            expected.append((i, j, s))
    assert as_list(match(pairs, 7, 7, "one-to-one")) == sorted(expected)
    assert as_list(match(pairs, 7, 7, "many-to-many")) == made
    keep = np.zeros(len(made), bool)
    assignment.greedy.py_func(pairs.left, pairs.right, np.zeros(7, bool), np.zeros(7, bool), keep)
    again = np.zeros(len(made), bool)
    assignment.greedy(pairs.left, pairs.right, np.zeros(7, bool), np.zeros(7, bool), again)
    np.testing.assert_array_equal(keep, again)


def test_bounded_window_streams() -> None:
    """Results come block by block, in order, before everything is compared."""
    rng = np.random.default_rng(1)
    a = encodings_of(random_filters(rng, 5000, 16))
    done = []
    stream = iterate_pairs(a, a, 0.9, workers=2, progress=lambda now, _: done.append(now))
    first = next(stream)
    assert done == [512 * 5000]
    assert first.left.max() < 512
    rest = [int(part.left.min()) for part in stream]
    assert rest == sorted(rest)
    assert done[-1] == 5000 * 5000


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan"), float("inf")])
def test_threshold_outside(threshold: float) -> None:
    a = encodings_of(np.ones((2, 8), np.uint8))
    with pytest.raises(UsageError, match="between 0 and 1"):
        pprl.compare(a, a, threshold=threshold)
    with pytest.raises(UsageError, match="between 0 and 1"):
        pprl.link(a, a, threshold=threshold)


def test_too_many_pairs() -> None:
    a = encodings_of(np.ones((50, 8), np.uint8))
    with pytest.raises(TooManyPairs, match=r"more than 100 pairs.*about 2,500 in all"):
        pprl.compare(a, a, threshold=0.5, max_pairs=100)


def test_other_wrong_arguments() -> None:
    a = encodings_of(np.ones((2, 8), np.uint8))
    with pytest.raises(UsageError, match="workers"):
        pprl.compare(a, a, threshold=0.5, workers=0)
    with pytest.raises(UsageError, match="top"):
        pprl.compare(a, a, top=0)
    with pytest.raises(UsageError, match="measure"):
        pprl.compare(a, a, threshold=0.5, measure="levenshtein")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="matching"):
        pprl.link(a, a, threshold=0.5, matching="all")  # type: ignore[arg-type]


CHILD = """
import numpy as np, sys
sys.path.insert(0, sys.argv[1])
from conftest import changed, encodings_of
from pprl.linkage.candidates.exhaustive import scored_pairs
filters = np.random.default_rng(0).integers(0, 256, (60, 16)).astype(np.uint8)
one = encodings_of(filters)
print(hash(scored_pairs(one, one, 0.5, workers=1).similarity.tobytes()))
"""


def run_children(number: int, **env: str) -> list[str]:
    """Compare in so many processes at once; what each found."""
    command = [sys.executable, "-B", "-c", CHILD, str(Path(__file__).parent)]
    every = {**os.environ, "PYTHONHASHSEED": "0", **env}
    running = [
        subprocess.Popen(command, env=every, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(number)
    ]
    said = [one.communicate() for one in running]
    assert all(one.returncode == 0 for one in running), [err.decode() for _, err in said]
    return [out.decode() for out, _ in said]


def test_several_processes_compile_at_once(tmp_path: Path) -> None:
    """Three that start with an empty cache, and one that finds what they left."""
    said = run_children(3, NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("*.nbi"))
    said += run_children(1, NUMBA_CACHE_DIR=str(tmp_path))
    assert len(set(said)) == 1


def test_where_nothing_can_be_written_kernels_still_run(tmp_path: Path) -> None:
    """A read-only installation, and no home: compiled anew, not refused."""
    shutil.copytree(
        Path(pprl.__file__).parent, tmp_path / "pprl", ignore=shutil.ignore_patterns("__pycache__")
    )
    # A file where the folder would be stops even the superuser.
    (tmp_path / "pprl" / "kernels" / "__pycache__").touch()
    nowhere = "/proc/nowhere"
    env = {"PYTHONPATH": str(tmp_path), "HOME": nowhere, "XDG_CACHE_HOME": nowhere}
    assert run_children(1, NUMBA_CACHE_DIR="", **env) == run_children(1)
    assert not list(tmp_path.rglob("*.nbi"))
