"""Binary linear codes over packed words: elimination, and words of low weight."""

# numba compiles the old random functions, with a state of its own, and no Generator.
# ruff: noqa: NPY002

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel

_WINDOW = 18
"""Bits on which two halves of a sum must agree: about as many as there are pairs in a half."""
_SWAPS = 48
"""Columns of the information set that are exchanged between two rounds."""


@inline
def _popcount(x: np.uint64) -> int:
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))  # type: ignore[return-value]


@kernel
def reduce_rows(
    words: NDArray[np.uint64],
    also: NDArray[np.uint64],
    order: NDArray[np.int64],
    pivots: NDArray[np.int64],
) -> int:
    """Bring rows over GF(2) into reduced form, in place; return the rank.

    The first rows become a basis in which row r alone has a one in column ``pivots[r]``. Bit j
    of a row is bit ``j & 63`` of word ``j >> 6``.

    Args:
        words: (n, w) rows.
        also: (n, v) to which the same is done; v may be 0.
        order: (64 w,) in which columns are tried as pivots.
        pivots: (min(n, 64 w),) gets the pivot of each row of the basis.
    """
    rank = 0
    n = words.shape[0]
    for at in range(order.shape[0]):
        if rank == n:
            break
        column = order[at]
        word = column >> 6
        mask = np.uint64(1) << np.uint64(column & 63)
        found = rank
        while found < n and not words[found, word] & mask:
            found += 1
        if found == n:
            continue
        if found != rank:
            for w in range(words.shape[1]):
                words[found, w], words[rank, w] = words[rank, w], words[found, w]
            for w in range(also.shape[1]):
                also[found, w], also[rank, w] = also[rank, w], also[found, w]
        for row in range(n):
            if row != rank and words[row, word] & mask:
                for w in range(words.shape[1]):
                    words[row, w] ^= words[rank, w]
                for w in range(also.shape[1]):
                    also[row, w] ^= also[rank, w]
        pivots[rank] = column
        rank += 1
    return rank


@kernel
def light_words(
    basis: NDArray[np.uint64],
    pivots: NDArray[np.int64],
    most: int,
    rounds: int,
    seed: int,
    found: NDArray[np.uint64],
) -> int:
    """Look for code words of low weight by information-set decoding; return how many.

    Stern's algorithm (1989): the rows of a reduced basis are dealt into halves; sums of up to two
    rows of each half that agree on a window of columns are light on it and may be light as a
    whole. Between rounds some columns of the information set are exchanged (Canteaut and
    Chabaud 1998).

    Args:
        basis: (k, w) reduced rows; changed.
        pivots: (k,) their pivots; changed.
        most: Greatest weight that is wanted.
        rounds: How many to run.
        seed: Of what is drawn.
        found: (room, w) gets the words, with repeats; the search ends when it is full.
    """
    np.random.seed(seed)
    k, width = basis.shape
    columns = 64 * width
    is_pivot = np.zeros(columns, np.bool_)
    for row in range(k):
        is_pivot[pivots[row]] = True
    half = k // 2
    heads = np.empty(1 << _WINDOW, np.int32)
    pairs = half * (half + 1) // 2
    after = np.empty(pairs, np.int32)
    first = np.empty(pairs, np.int32)
    second = np.empty(pairs, np.int32)
    keys = np.empty(k, np.int64)
    total = 0
    for _ in range(rounds):
        for _swap in range(_SWAPS):
            row = np.random.randint(k)
            column = np.random.randint(columns)
            tries = 0
            while tries < 4 * columns and (
                is_pivot[column]
                or not (basis[row, column >> 6] >> np.uint64(column & 63)) & np.uint64(1)
            ):
                column = np.random.randint(columns)
                tries += 1
            if tries == 4 * columns:
                continue
            is_pivot[pivots[row]] = False
            is_pivot[column] = True
            pivots[row] = column
            word = column >> 6
            shift = np.uint64(column & 63)
            for other in range(k):
                if other != row and (basis[other, word] >> shift) & np.uint64(1):
                    for w in range(width):
                        basis[other, w] ^= basis[row, w]
        order = np.random.permutation(k)
        keys[:] = 0
        taken = 0
        while taken < _WINDOW:
            column = np.random.randint(columns)
            if is_pivot[column]:
                continue
            word = column >> 6
            shift = np.uint64(column & 63)
            for row in range(k):
                keys[row] |= np.int64((basis[row, word] >> shift) & np.uint64(1)) << taken
            taken += 1
        heads[:] = -1
        size = 0
        for i in range(half):
            a = order[i]
            for j in range(i, half):
                # A row with itself is that row alone.
                b = order[j]
                key = keys[a] if i == j else keys[a] ^ keys[b]
                after[size] = heads[key]
                first[size] = a
                second[size] = b
                heads[key] = size
                size += 1
        for i in range(half, k):
            c = order[i]
            for j in range(i, k):
                d = order[j]
                key = keys[c] if i == j else keys[c] ^ keys[d]
                at = heads[key]
                while at >= 0:
                    a = first[at]
                    b = second[at]
                    weight = 0
                    for w in range(width):
                        x = basis[a, w] ^ basis[c, w]
                        if a != b:
                            x ^= basis[b, w]
                        if c != d:
                            x ^= basis[d, w]
                        weight += _popcount(x)
                        if weight > most:
                            break
                    if weight <= most:
                        if total == found.shape[0]:
                            return total
                        for w in range(width):
                            x = basis[a, w] ^ basis[c, w]
                            if a != b:
                                x ^= basis[b, w]
                            if c != d:
                                x ^= basis[d, w]
                            found[total, w] = x
                        total += 1
                    at = after[at]
    return total
