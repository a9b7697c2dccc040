"""From which similarity on pairs are candidates, read off a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings, as_words, count_bits
from pprl.kernels.comparison import common_bits_of_all

_NEIGHBOURS = 20
_ON_AVERAGE, _IN_BLOCKS = 40, 80
"""Pairs for a record where all are counted together. Where seven in ten records have twenty, all
have forty on average."""
_SAMPLE = 256
_OTHERS = 4096
"""Records that those of the sample are compared with."""
_CHUNK = 1 << 13
_MANY_ROWS, _ROWS_AT_ONCE = 2_048, 64
_DECIDING = 100
"""So many pairs of two samples decide on the floor, or those of 2,048 rows: with 16,384 others, in
files of 16 million records, forty."""
_MOST_REPEATED, _LARGEST_SHARE = 1_280, 8
"""Neighbours that are looked at: so many, and an eighth of the file, at most."""
_FALL = 0.65
"""How much of a similarity's distance to chance is left where one person's records end, at most.
Among different people it was 0.75 or more with twice as many neighbours, wherever it was tried."""


def find_floor(
    a: Encodings, b: Encodings, partners: int = 0, once: tuple[bool, bool] = (True, True)
) -> float:
    """Choose the similarity above which a record has about twenty pairs, on a sample.

    Args:
        a: Encodings.
        b: Others, or the same.
        partners: How many true partners a record may have, on top of these.
        once: Whether a person is once at most in either file. Pairs with the records of
            a file that may have many of one person do not count.
    """
    most = _NEIGHBOURS + partners
    every = ((a, b, once[1]), (b, a, not once[1]), (a, a, once[0]), (b, b, once[1]))
    return max(_quantile(x, y, most) for x, y, counted in every if counted)


def find_floor_of_samples(
    a: Encodings,
    b: Encodings,
    records: tuple[int, int],
    once: tuple[bool, bool] = (True, True),
    *,
    blocked: bool = False,
) -> float:
    """Choose the floor of files of which samples are at hand.

    Above it a record of a file has forty pairs on average, with the other file and within its
    own. In large files these are a few pairs in a million: more pairs of the samples are compared
    than `find_floor` compares, and all are counted together.

    Args:
        a: A sample of the records of the first file.
        b: A sample of the records of the second file.
        records: Number of records of each file.
        once: As for `find_floor`.
        blocked: Whether only pairs in blocks are compared. Few of all pairs are, so that
            a floor with twice as many pairs costs little. In blocks of 916,968 and 235,401
            made-up records it found 0.0009 more of the true pairs.
    """
    n_a, n_b = records
    most = _IN_BLOCKS if blocked else _ON_AVERAGE
    every = ((a, b, n_b, once[1]), (b, a, n_a, once[0]), (a, a, n_a, once[0]), (b, b, n_b, once[1]))
    return max(
        _shared_quantile(x, y, most / max(n, 1), within=x is y)
        for x, y, n, counted in every
        if counted
    )


def _shared_quantile(a: Encodings, b: Encodings, share: float, *, within: bool) -> float:
    """Return the similarity that a share of the pairs of two samples reach."""
    most = min(max(int(_DECIDING / max(share * len(b), 1e-9)), _SAMPLE), _MANY_ROWS)
    rows = np.linspace(0, len(a) - 1, min(most, len(a))).astype(np.int64)
    own = as_words(a.clks[rows])
    wanted = max(round(share * len(rows) * len(b)), 1)
    best = np.empty(0)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        here = slice(start, start + _ROWS_AT_ONCE)
        dice = _dice(own[here], b.words)
        if within:
            dice[np.arange(len(dice)), rows[here]] = -1.0
        best = np.append(best, dice)
        if len(best) > wanted:
            best = np.partition(best, len(best) - wanted)[len(best) - wanted :]
    return max(float(best.min()), 0.0) if len(best) else 0.0


def find_floor_of_repeated(a: Encodings) -> float:
    """Choose the floor in a file that may have many records of a person, on a sample.

    Above it a record has about twenty pairs with other people's records. At the floor of
    `find_floor` there may be nothing but pairs of one person. So more and more neighbours are
    taken, twice as many each time. Among different people the similarity of the last of them falls
    slowly; where it falls at once, the records of one person end.
    """
    n, centre = len(a), find_centre(a)
    most = min(_MOST_REPEATED, n // _LARGEST_SHARE)
    if n <= _NEIGHBOURS or centre >= 1.0:
        return 0.0
    rows = np.linspace(0, n - 1, min(_SAMPLE, n)).astype(np.int64)
    similarity = _nearest(a, rows, max(most, _NEIGHBOURS))
    wanted = [_NEIGHBOURS]
    while 2 * wanted[-1] <= most:
        wanted.append(2 * wanted[-1])
    floors = np.array([np.quantile(similarity[:, :many], 0.3) for many in wanted])
    above = np.maximum(floors - centre, 1e-9)
    falls = np.flatnonzero(above[1:] < _FALL * above[:-1])
    return float(floors[falls[-1] + 1 if len(falls) else 0])


def _nearest(a: Encodings, rows: NDArray[np.int64], most: int) -> NDArray[np.float64]:
    """Return the similarities of some rows to their nearest other rows, falling: (rows, most)."""
    own = as_words(a.clks[rows])
    best = np.zeros((len(rows), 0))
    for start in range(0, len(a), _CHUNK):
        others = np.arange(start, min(start + _CHUNK, len(a)))
        dice = _dice(own, as_words(a.clks[others]))
        dice[rows[:, None] == others] = -1.0
        best = np.hstack([best, dice])
        if best.shape[1] > most:
            best = np.partition(best, best.shape[1] - most, axis=1)[:, -most:]
    return -np.sort(-best, axis=1)


def find_centre(a: Encodings) -> float:
    """Return the similarity of two records by chance: the median, on a sample."""
    rows = _sample(a, _SAMPLE)
    left, right = np.triu_indices(len(rows), 1)
    return float(np.median(_dice(rows, rows)[left, right])) if len(rows) > 1 else 0.0


def _quantile(a: Encodings, b: Encodings, most: int) -> float:
    """Return the similarity that about so many of ``b`` reach, for a sample of ``a``."""
    if len(b) <= most or not len(a):
        return 0.0
    others = _sample(b, _OTHERS)
    n = len(others)
    # Of so many in all, this many are among those that were sampled.
    most = max(round(most * n / len(b)), 1)
    dice = _dice(_sample(a, _SAMPLE), others)
    nearest = np.partition(dice, n - most, axis=1)[:, n - most :]
    return float(np.quantile(nearest, 0.3))


def _sample(a: Encodings, most: int) -> NDArray[np.uint64]:
    """Take words of rows, evenly from all."""
    if len(a) <= most:
        return a.words
    return as_words(a.clks[np.linspace(0, len(a) - 1, most).astype(np.int64)])


def _dice(rows: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Compare every row with every other: (n, m)."""
    shared = np.empty((len(rows), len(others)), np.int32)
    common_bits_of_all(rows, others, shared)
    bits = count_bits(rows)[:, None] + count_bits(others)
    found: NDArray[np.float64] = 2.0 * shared / np.maximum(bits, 1)
    return found
