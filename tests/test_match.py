"""Who may have how many partners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pprl.errors import UsageError
from pprl.linkage.assignment import find_rivals, match
from pprl.linkage.candidates.pairs import Pairs


def pairs_of(*rows: tuple[int, int, float]) -> Pairs:
    left, right, similarity = zip(*rows, strict=True)
    return Pairs(np.array(left), np.array(right), np.array(similarity))


@st.composite
def sparse(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    n, m = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    # Hundredths, so that there are ties; 0 is no candidate pair.
    values = draw(st.lists(st.integers(0, 8), min_size=n * m, max_size=n * m))
    return np.array(values).reshape(n, m) / 10.0, draw(st.integers(0, 2**32 - 1))


def as_pairs(dense: np.ndarray) -> Pairs:
    left, right = np.nonzero(dense)
    return Pairs(left, right, dense[left, right])


@settings(max_examples=400, deadline=None)
@given(sparse())
def test_optimal_is_what_scipy_finds(case: tuple[np.ndarray, int]) -> None:
    dense, seed = case
    pairs = as_pairs(dense)
    found = match(pairs, *dense.shape, "optimal")
    assert len(set(found.left.tolist())) == len(set(found.right.tolist())) == len(found)
    assert (dense[found.left, found.right] == found.similarity).all()
    rows, columns = linear_sum_assignment(dense, maximize=True)
    assert found.similarity.sum() == pytest.approx(dense[rows, columns].sum(), abs=1e-9)
    shuffled = pairs.take(np.random.default_rng(seed).permutation(len(pairs)))
    again = match(shuffled, *dense.shape, "optimal")
    ours = set(zip(found.left.tolist(), found.right.tolist(), strict=True))
    assert ours == set(zip(again.left.tolist(), again.right.tolist(), strict=True))


@pytest.mark.parametrize("share", [0.005, 0.02, 0.3])
def test_optimal_on_larger_components(share: float) -> None:
    rng = np.random.default_rng(3)
    dense = np.where(rng.random((300, 260)) < share, rng.random((300, 260)), 0.0)
    found = match(as_pairs(dense), 300, 260, "optimal")
    rows, columns = linear_sum_assignment(dense, maximize=True)
    assert found.similarity.sum() == pytest.approx(dense[rows, columns].sum(), abs=1e-9)


def test_optimal_is_not_greedy() -> None:
    pairs = pairs_of((0, 0, 0.9), (0, 1, 0.8), (1, 0, 0.8))
    assert match(pairs, 2, 2, "one-to-one").similarity.tolist() == [0.9]
    optimal = match(pairs, 2, 2, "optimal")
    assert (optimal.left.tolist(), optimal.right.tolist()) == ([0, 1], [1, 0])


def test_several_for_one_side() -> None:
    pairs = pairs_of((0, 0, 0.9), (0, 1, 0.8), (1, 0, 0.95), (1, 1, 0.8), (2, 2, 0.7))
    persons = match(pairs, 3, 3, "one-to-many")
    # Each visit has one person; the tie of visit 1 goes to the earlier person.
    assert list(zip(persons.left, persons.right, strict=True)) == [(0, 1), (1, 0), (2, 2)]
    visits = match(pairs, 3, 3, "many-to-one")
    assert list(zip(visits.left, visits.right, strict=True)) == [(0, 0), (1, 0), (2, 2)]
    assert match(pairs, 3, 3, "many-to-many") is pairs


def test_no_pairs() -> None:
    none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for matching in ("one-to-one", "optimal", "one-to-many", "many-to-one", "many-to-many"):
        assert len(match(none, 3, 3, matching)) == 0
    with pytest.raises(UsageError, match="some-to-some"):
        match(none, 3, 3, "some-to-some")


def test_rivals_by_hand() -> None:
    links = pairs_of((0, 0, 0.9), (1, 1, 0.8), (2, 2, 0.7))
    others = pairs_of((0, 1, 0.79), (2, 5, 0.5), (4, 4, 0.9))
    candidates = Pairs.concat([links, others])
    ambiguous, rivals = find_rivals(links, candidates, 0.05)
    # 0-1 is far below 0-0 but near to 1-1; 2-5 is far below 2-2; 4-4 disputes nothing.
    assert ambiguous.tolist() == [False, True, False]
    assert list(zip(rivals.left, rivals.right, strict=True)) == [(0, 1)]
    assert find_rivals(links, candidates, 0.2)[0].tolist() == [True, True, True]
