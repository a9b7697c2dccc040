"""Close pairs among encodings and among people, and the small clusters that they form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.agreement import ONE
from pprl.evaluation.audit.bits import Floats, Rows
from pprl.evaluation.audit.percolation.observed import Observed

_ROWS = 512


@dataclass(frozen=True)
class Edges:
    """Close pairs, each in both directions, by their first end.

    Attributes:
        starts: (n + 1,) int64 where each one's close others begin.
        ends: (e,) int32 the close others.
        strength: (e,) float32 how surely they are close, in nats.
    """

    starts: Rows
    ends: NDArray[np.int32]
    strength: Floats

    @classmethod
    def of(cls, rows: Rows, columns: Rows, strength: Floats, n: int, most: int) -> Edges:
        """Keep the strongest of given pairs, each one's at most ``most``."""
        order = np.lexsort((-strength, rows))
        rows, columns, strength = rows[order], columns[order], strength[order]
        starts = np.searchsorted(rows, np.arange(n))
        kept = np.arange(len(rows)) - starts[rows] < most
        rows, columns, strength = rows[kept], columns[kept], strength[kept]
        starts = np.searchsorted(rows, np.arange(n + 1)).astype(np.int64)
        return cls(starts, columns.astype(np.int32), strength)


def close_victims(observed: Observed, many: int, most: int) -> Edges:
    """Find the pairs of encodings that agree more than chance explains.

    Args:
        observed: Agreements.
        many: Keep about so many pairs, the strongest.
        most: Keep at most so many of one encoding.
    """
    n = len(observed)
    groups = len(observed.bits)
    # A sum of squared standard normals in `groups` dimensions exceeds this for one false pair
    # in a hundred records.
    least = _chi_above(0.02 / n, groups)
    every = np.arange(n)
    found: list[tuple[Rows, Rows, Floats]] = []
    for start in range(0, n, _ROWS):
        rows = every[start : start + _ROWS]
        total = np.zeros((len(rows), n), np.float32)
        for group in range(groups):
            block = observed.block(group, rows, every)
            np.maximum(block, 0, out=block)
            block *= block
            block *= observed.bits[group]
            total += block
        total[np.arange(len(rows)), rows] = 0
        r, c = np.nonzero(total > least)
        found.append((rows[r], c, (total[r, c] - groups) / 2))
    return _strongest(found, n, many, most)


def close_people(expected: NDArray[np.int16], bits: Floats, many: int, most: int) -> Edges:
    """Find the pairs of people whose encodings must agree noticeably, whatever the key."""
    n = len(expected)
    found: list[tuple[Rows, Rows, Floats]] = []
    least = 4.0
    for start in range(0, n, _ROWS):
        rows = np.arange(start, min(start + _ROWS, n))
        total = np.zeros((len(rows), n), np.float32)
        for group in range(expected.shape[2]):
            block = expected[rows, :, group].astype(np.float32) / ONE
            block *= block
            block *= bits[group] / 2
            total += block
        total[np.arange(len(rows)), rows] = 0
        r, c = np.nonzero(total > least)
        found.append((rows[r], c, total[r, c]))
        pairs = sum(len(one[0]) for one in found)
        if pairs > 6 * many * (start + len(rows)) / n + 1000:
            least = _least_of(found, 4 * many * (start + len(rows)) / n)
            found = [_above(one, least) for one in found]
    return _strongest(found, n, many, most)


def ego_clusters(edges: Edges, size: int) -> NDArray[np.int32]:
    """Take each with its closest others, and theirs: (n, size) int32, -1 where there are fewer.

    The centre first; then whoever is tied most strongly to those already in.
    """
    n = len(edges.starts) - 1
    members = np.full((n, size), -1, np.int32)
    for centre in range(n):
        members[centre, 0] = centre
        ties: dict[int, float] = {}
        last = centre
        inside = {centre}
        for place in range(1, size):
            for at in range(edges.starts[last], edges.starts[last + 1]):
                other = int(edges.ends[at])
                if other not in inside:
                    ties[other] = ties.get(other, 0.0) + float(edges.strength[at])
            if not ties:
                break
            last = max(ties, key=ties.__getitem__)
            del ties[last]
            inside.add(last)
            members[centre, place] = last
    return members


def _strongest(found: list[tuple[Rows, Rows, Floats]], n: int, many: int, most: int) -> Edges:
    least = _least_of(found, 2 * many)
    found = [_above(one, least) for one in found]
    rows, columns, strength = (np.concatenate([one[at] for one in found]) for at in range(3))
    return Edges.of(rows, columns, strength, n, most)


def _above(one: tuple[Rows, Rows, Floats], least: float) -> tuple[Rows, Rows, Floats]:
    kept = one[2] >= least
    return one[0][kept], one[1][kept], one[2][kept]


def _least_of(found: list[tuple[Rows, Rows, Floats]], many: float) -> float:
    strength = np.concatenate([one[2] for one in found])
    if len(strength) <= many:
        return 0.0
    return float(np.partition(strength, -int(many))[-int(many)])


def _chi_above(share: float, groups: int) -> float:
    from scipy.stats import chi2

    # Half of the squares are 0, since only agreement counts: a mixture of chi-squared laws.
    low, high = 0.0, 200.0
    from math import comb

    for _ in range(60):
        middle = (low + high) / 2
        tail = sum(
            comb(groups, k) / 2**groups * float(chi2.sf(middle, k)) for k in range(1, groups + 1)
        )
        low, high = (middle, high) if tail > share else (low, middle)
    return high
