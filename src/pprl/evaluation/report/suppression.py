"""Small counts of people are withheld, and whatever would give them away.

A count under a limit is withheld; the published totals would often give it back, so further
counts are withheld until it can no longer be computed (secondary, or complementary, suppression:
Cox, JASA 75 (1980), p. 377). The reader that is defended against knows every published total,
the limit, and which counts are under it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import LinearConstraint, milp

SMALLEST = 10
"""The least count of people that is shown, unless the caller chooses another."""


def is_small(count: int, least: int) -> bool:
    """Tell whether a count that is not zero is under the limit."""
    return 0 < count < least


def ranges(
    sums: ArrayLike, totals: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bound whole numbers by what is published about them.

    Args:
        sums: (m, n) coefficients: each row is a published sum of the n numbers.
        totals: (m,) the sums.
        low: (n,) the least that each number is known to be.
        high: (n,) the greatest.

    Returns:
        The least and the greatest value of each number that agree with all of it, (n,) int64.
    """
    matrix, right = np.atleast_2d(np.asarray(sums, float)), np.asarray(totals, float)
    rule = LinearConstraint(matrix, right, right)
    bounds = np.asarray(low, float), np.asarray(high, float)
    n = matrix.shape[1]
    found = np.empty((2, n), np.int64)
    for at in range(n):
        for end, sign in enumerate((1.0, -1.0)):
            goal = np.zeros(n)
            goal[at] = sign
            solved = milp(goal, integrality=np.ones(n), bounds=bounds, constraints=rule)
            found[end, at] = round(sign * solved.fun)
    return found[0], found[1]


def withhold(counts: Sequence[int], sums: ArrayLike, least: int) -> NDArray[np.bool_] | None:
    """Choose which counts of a table to withhold when sums of them are published.

    Counts under ``least``, zero among them, are withheld, and others until what is left
    leaves every one of them open: counts under ``least`` by at least half of it.

    Args:
        counts: n counts.
        sums: (m, n) coefficients of the sums that are published.
        least: The smallest count that may be shown; 1 or less withholds nothing.

    Returns:
        (n,) true where a count is to be withheld; None where even a table without
        a single count would give one away, so that the table must be left out.
    """
    count = np.asarray(counts, np.int64)
    matrix = np.atleast_2d(np.asarray(sums, float))
    hidden = np.zeros(len(count), bool)
    if least <= 1:
        return hidden
    small = count < least
    hidden |= small
    needed = np.where(small, max(least // 2, 1), 1)
    while hidden.any():
        open_sums = matrix[:, hidden]
        low = np.where(small, 0, least)[hidden]
        high = np.where(small, least - 1, max(int(count.sum()), least))[hidden]
        lowest, highest = ranges(open_sums, open_sums @ count[hidden], low, high)
        narrow = np.flatnonzero(hidden)[highest - lowest < needed[hidden]]
        if not len(narrow):
            return hidden
        more = _next_to(narrow, count, matrix, hidden)
        if more is None:
            return None
        hidden[more] = True
    return hidden


def _next_to(
    narrow: NDArray[np.int64],
    count: NDArray[np.int64],
    matrix: NDArray[np.float64],
    hidden: NDArray[np.bool_],
) -> int | None:
    """Find the smallest shown count in the emptiest sum of one that is not open enough.

    Where all of its sums are withheld already, any other sum that crosses them will do.
    """
    within = matrix != 0
    crossing = within[:, hidden].any(axis=1)
    for rows in (within[:, narrow].any(axis=1), crossing):
        shown = rows & (within & ~hidden).any(axis=1)
        if shown.any():
            withheld = (within & hidden).sum(axis=1)
            row = min(np.flatnonzero(shown), key=lambda at: (withheld[at], at))
            there = np.flatnonzero(within[row] & ~hidden)
            return int(there[np.argmin(count[there])])
    return None


def two_columns(rows: int) -> NDArray[np.float64]:
    """Return the sums of a table of two columns, row by row: every row, and both columns."""
    sums = np.zeros((rows + 2, 2 * rows))
    for row in range(rows):
        sums[row, 2 * row : 2 * row + 2] = 1
        sums[rows, 2 * row] = sums[rows + 1, 2 * row + 1] = 1
    return sums


def coarsen(counts: NDArray[np.int64], least: int) -> list[slice]:
    """Merge neighbouring rows until every count is zero or at least ``least``.

    Args:
        counts: (n, k) counts of k kinds in n rows.
        least: The smallest count that may be shown.

    Returns:
        The rows of each merged row, in order. What is left at the end joins the row before; where
        even all rows together have a small count there are none.
    """
    merged: list[slice] = []
    start = 0
    for end in range(1, len(counts) + 1):
        if _all_fit(counts[start:end].sum(axis=0), least):
            merged.append(slice(start, end))
            start = end
    while start < len(counts) and merged:
        start = merged.pop().start
        if _all_fit(counts[start:].sum(axis=0), least):
            merged.append(slice(start, len(counts)))
            start = len(counts)
    return merged if start == len(counts) else []


def _all_fit(counts: NDArray[np.int64], least: int) -> bool:
    return bool(((counts == 0) | (counts >= least)).all())
