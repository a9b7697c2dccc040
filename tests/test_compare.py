"""Exact comparison against a plain reference, and the rules of matching."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import encodings_of
from pprl.errors import TooManyPairs, UsageError
from pprl.kernels import assignment, bits, dice, numbering
from pprl.linkage.compare import Pairs, fewest_common_bits, iterate_pairs, scored_pairs
from pprl.linkage.match import match

THRESHOLDS = st.sampled_from([0.0, 1e-9, 0.3, 0.5, 2 / 3, 0.7, 0.8, 1.0]) | st.floats(0, 1)


def random_filters(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Filters of very different fills, some of them empty, some alike."""
    fill = rng.choice([0.0, 0.05, 0.3, 0.5, 1.0], n)[:, None]
    filters = np.packbits(rng.random((n, 8 * width)) < fill, axis=1)
    if n > 3:
        filters[rng.integers(0, n, n // 3)] = filters[rng.integers(0, n, n // 3)]
    return filters


def reference(a: np.ndarray, b: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    """All pairs, from the definition of Dice."""
    x, y = np.unpackbits(a, axis=1).astype(int), np.unpackbits(b, axis=1).astype(int)
    common = x @ y.T
    total = x.sum(1)[:, None] + y.sum(1)[None, :]
    nothing = (x.sum(1)[:, None] == 0) | (y.sum(1)[None, :] == 0)
    similarity = 2.0 * common / np.maximum(total, 1)
    rows, columns = np.nonzero((similarity >= threshold) & ~nothing)
    return [(int(i), int(j), float(similarity[i, j])) for i, j in zip(rows, columns, strict=True)]


def as_list(pairs: Pairs) -> list[tuple[int, int, float]]:
    return list(
        zip(pairs.left.tolist(), pairs.right.tolist(), pairs.similarity.tolist(), strict=True)
    )


@given(
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 5, 127, 128, 129, 300]),
    st.sampled_from([0, 1, 64, 128, 200]),
    st.sampled_from([1, 3, 8, 9, 40, 125, 128, 256]),
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


@given(THRESHOLDS, st.integers(1, 200))
def test_the_bound_is_exact(threshold: float, width: int) -> None:
    """The fewest common bits reach the threshold, one fewer does not."""
    fewest = fewest_common_bits(threshold, width)
    for total in range(1, 2 * width + 1):
        need = int(fewest[total])
        assert 2.0 * need / total >= threshold
        assert need == 0 or 2.0 * (need - 1) / total < threshold
    assert (np.diff(fewest) >= 0).all()


def test_threshold_exactly_reached() -> None:
    """4 of 5 bits in common is 0.8, not a rounding error less."""
    a = np.packbits(np.array([[1, 1, 1, 1, 1, 0, 0, 0]]), axis=1)
    b = np.packbits(np.array([[1, 1, 1, 1, 0, 1, 0, 0]]), axis=1)
    assert len(scored_pairs(encodings_of(a), encodings_of(b), 0.8)) == 1
    assert len(scored_pairs(encodings_of(a), encodings_of(b), np.nextafter(0.8, 1))) == 0


def test_kernels_equal_their_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The uncompiled function of each kernel gives what the compiled one gives."""
    rng = np.random.default_rng(5)
    a, b = random_filters(rng, 9, 24), random_filters(rng, 140, 24)
    compiled = as_list(scored_pairs(encodings_of(a), encodings_of(b), 0.4, workers=1))
    import pprl.linkage.compare as compare

    monkeypatch.setattr(compare, "pairs_above", dice.pairs_above.py_func)
    monkeypatch.setattr(compare, "lay_tiles", dice.lay_tiles.py_func)
    monkeypatch.setattr(bits, "popcounts", bits.popcounts.py_func)
    with np.errstate(over="ignore"):
        plain = as_list(scored_pairs(encodings_of(a), encodings_of(b), 0.4, workers=1))
    assert plain == compiled == reference(a, b, 0.4)


@given(st.lists(st.integers(0, 40), max_size=300))
def test_numbering(codes: list[int]) -> None:
    given_codes = np.array(codes, np.uint64)
    order = list(dict.fromkeys(codes))
    for function in (numbering.number, numbering.number_small):
        for version in (function, function.py_func):
            ids = np.empty(len(codes), np.int64)
            firsts = np.empty(64, np.int64)
            small = function is numbering.number_small
            table = [np.full(41, -1, np.int32)] if small else [np.full(128, -1, np.int64), 57]
            with np.errstate(over="ignore"):
                count = version(given_codes, *table, ids, firsts)
            assert count == len(order)
            assert ids.tolist() == [order.index(code) for code in codes]
            assert firsts[:count].tolist() == [codes.index(code) for code in order]


def test_numbering_says_when_the_table_is_too_small() -> None:
    codes = np.arange(40, dtype=np.uint64)
    ids, firsts = np.empty(40, np.int64), np.empty(32, np.int64)
    assert numbering.number(codes, np.full(64, -1, np.int64), 58, ids, firsts) == -1


PAIRS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.5, 0.6, 0.7])),
    unique_by=lambda pair: pair[:2],
    max_size=30,
).map(sorted)


@given(PAIRS)
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
    assert done == [1024 * 5000]
    assert first.left.max() < 1024
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
    with pytest.raises(TooManyPairs, match="more than 100 pairs"):
        pprl.compare(a, a, threshold=0.5, max_pairs=100)


def test_other_wrong_arguments() -> None:
    a = encodings_of(np.ones((2, 8), np.uint8))
    with pytest.raises(UsageError, match="workers"):
        pprl.compare(a, a, threshold=0.5, workers=0)
    with pytest.raises(UsageError, match="matching"):
        pprl.link(a, a, threshold=0.5, matching="all")  # type: ignore[arg-type]
