"""Pattern mining: bits that frequent tokens set together, and which tokens these are.

After Christen, Vidanage, Ranbaduge and Schnell, Pattern-mining based cryptanalysis of
Bloom filters for privacy-preserving record linkage, PAKDD 2018: no encoding needs to be
frequent, only tokens. Found here greedily, a closed set of columns at a time; named by how
frequent sets and tokens are and how they occur together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

from pprl.evaluation.audit.bits import Floats, Rows

MOST = 200
_SUPPORT = 0.02
_FEWEST_RECORDS = 40
_TOGETHER = 0.98
_FEWEST = 4
_UNCHOSEN = 2
_STEPS = 12
_PATIENCE = 50
"""Columns from which no set is found in a row until the search is given up."""
_NAMINGS = 30


@dataclass(frozen=True)
class Patterns:
    """Sets of columns that are set together.

    Attributes:
        columns: The columns of each set.
        has: (n, patterns) whether a record has all of a set's columns set.
    """

    columns: list[Rows]
    has: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.columns)


def mine(bits: Floats, most: int = MOST) -> Patterns:
    """Find sets of four columns and more that are set together in 2 % of the records or more.

    From each column, the most frequent first, the set grows by the column that goes best
    with it, until what is left of the records has further columns all set: the columns of
    a token that many records have. Columns of a set do not begin another.

    Args:
        bits: (n, bits) zeros and ones.
        most: Stop at so many sets.
    """
    n = len(bits)
    share = bits.mean(axis=0)
    # A column that is always set goes with everything and tells nothing.
    free = (share > _SUPPORT) & (share < _TOGETHER)
    usable = free.copy()
    found: list[Rows] = []
    holders: list[NDArray[np.bool_]] = []
    failed = 0
    for start in np.argsort(-share, kind="stable").tolist():
        if len(found) == most or failed == _PATIENCE:
            break
        if not free[start]:
            continue
        failed += 1
        free[start] = False
        rows = bits[:, start] > 0
        inside = np.zeros(bits.shape[1], bool)
        inside[start] = True
        for _ in range(_STEPS):
            kept = int(rows.sum())
            if kept < max(_SUPPORT * n, _FEWEST_RECORDS):
                break
            among = bits[rows].mean(axis=0)
            together = usable & (among >= _TOGETHER)
            # Columns that were chosen are set by choice; the others prove the set.
            if together.sum() >= _FEWEST and (together & ~inside).sum() >= _UNCHOSEN:
                columns = np.flatnonzero(together)
                has: NDArray[np.bool_] = np.all(bits[:, columns] > 0, axis=1)
                if not any((has == other).mean() > 0.995 for other in holders):
                    found.append(columns)
                    holders.append(has)
                failed = 0
                free[columns] = False
                break
            surprise = (among - share) / np.sqrt(share * (1 - share) + 1e-9)
            surprise[inside | ~usable] = -np.inf
            best = int(surprise.argmax())
            inside[best] = True
            rows &= bits[:, best] > 0
    if not found:
        return Patterns([], np.zeros((n, 0), bool))
    return Patterns(found, np.stack(holders, axis=1))


def match_patterns(patterns: Patterns, tokens: csr_matrix) -> Rows:
    """Name the patterns' tokens, read them off the records, and name the likeliest persons.

    Args:
        patterns: What `mine` found in the victims' encodings.
        tokens: (m, tokens) of the persons on the list.

    Returns:
        (rounds, n) int64 places of persons.
    """
    n = len(patterns.has)
    if len(patterns) < 2:
        return np.full((1, n), -1, np.int64)
    has = patterns.has.astype(np.float32)
    support = has.mean(axis=0)
    frequency = np.asarray(tokens.mean(axis=0)).reshape(-1)
    kept = np.argsort(-frequency, kind="stable")[: 2 * len(patterns) + 20]
    theirs, frequency = tokens[:, kept].toarray(), frequency[kept]
    ours_together, theirs_together = _phi(has), _phi(theirs)
    spread = np.sqrt(frequency * (1 - frequency) / n) + 0.1 * frequency + 1e-6
    unlike = ((support[:, None] - frequency[None]) / spread[None]) ** 2
    chosen = linear_sum_assignment(np.minimum(unlike, 100))[1]
    rounds = []
    for _ in range(_NAMINGS):
        rounds.append(_read(has, theirs, chosen))
        alike = _rows_alike(ours_together, theirs_together[:, chosen])
        again = linear_sum_assignment(np.minimum(unlike, 100) / 10 - 10 * alike)[1]
        if (again == chosen).all():
            break
        chosen = again
    return np.array(rounds)


def _phi(has: Floats) -> Floats:
    """Correlate columns of zeros and ones; nothing with itself."""
    x = has - has.mean(axis=0)
    x /= np.linalg.norm(x, axis=0) + 1e-9
    together: Floats = x.T @ x
    np.fill_diagonal(together, 0)
    return together


def _rows_alike(a: Floats, b: Floats) -> Floats:
    """Return the (n, m) cosines of the rows of two matrices."""
    return _unit(a) @ _unit(b).T


def _unit(x: Floats) -> Floats:
    unit: Floats = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)
    return unit


def _read(has: Floats, theirs: Floats, chosen: Rows) -> Rows:
    """Name for each record the person whose frequent tokens fit best."""
    b = theirs[:, chosen]
    mean = b.mean(axis=0)
    scale = np.sqrt(mean * (1 - mean) + 1e-6)
    guesses: Rows = _rows_alike((has - has.mean(axis=0)) / scale, (b - mean) / scale).argmax(axis=1)
    return guesses
