"""Joining records into clusters, most alike first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel
from pprl.kernels.heap import pop, push

BY_MEAN, BY_SUM, BY_LEAST = 0, 1, 2
"""What two clusters gain by being joined: a number of the excesses of the pairs between them."""


@kernel
def agglomerate(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    excess: NDArray[np.float64],
    unknown: float,
    slack: float,
    group: NDArray[np.int64],
    n_groups: int,
    by: int,
    cluster: NDArray[np.int64],
) -> None:
    """Join the two clusters that gain most by it, until none may be joined.

    What two clusters gain is the mean, the sum or the least of the excesses of all pairs
    between them. They may be joined when the mean is at least ``-slack`` and one pair's excess
    at least 0; by the least, when every pair's is.

    Args:
        left: (m,) one record of each known pair; no pair twice.
        right: (m,) the other.
        excess: (m,) similarity less the threshold.
        unknown: The excess of pairs that are not listed, below 0.
        slack: How far below 0 the mean may be.
        group: (n,) a number from 0 of which a cluster may have one record, or -1 for any.
        n_groups: How many such numbers there are.
        by: ``BY_MEAN``, ``BY_SUM`` or ``BY_LEAST``.
        cluster: (n,) output: the smallest record of each record's cluster.
    """
    n = group.shape[0]
    m = left.shape[0]
    # Edge e is two half edges, 2 e and 2 e + 1; a cluster has a list of those that end in it.
    ends = np.empty(2 * m, np.int64)
    after = np.full(2 * m, -1, np.int64)
    first = np.full(n, -1, np.int64)
    last = np.full(n, -1, np.int64)
    total = excess.copy()
    known = np.ones(m, np.int64)
    best = excess.copy()
    least = excess.copy()
    gain = excess.copy()
    alive = np.ones(m, np.bool_)
    for half in range(2 * m):
        record = left[half >> 1] if half & 1 == 0 else right[half >> 1]
        ends[half] = record
        if first[record] < 0:
            first[record] = half
        else:
            after[last[record]] = half
        last[record] = half
    members = np.ones(n, np.int64)
    next_member = np.full(n, -1, np.int64)
    last_member = np.arange(n)
    for record in range(n):
        cluster[record] = record
    place = np.full(n, -1, np.int64)
    seen = np.full(n_groups, -1, np.int64)

    size = 0
    keys = np.empty(m + 16, np.float64)
    items = np.empty(m + 16, np.int64)
    for edge in range(m):
        if gain[edge] >= 0:
            push(keys, items, size, -gain[edge], edge)
            size += 1
    while size > 0:
        edge = items[0]
        key = keys[0]
        pop(keys, items, size)
        size -= 1
        if not alive[edge] or gain[edge] != -key:
            continue
        x = min(ends[2 * edge], ends[2 * edge + 1])
        y = max(ends[2 * edge], ends[2 * edge + 1])
        # A group that both have forbids it, now and for whatever they grow into.
        forbidden = False
        member = x
        while member >= 0:
            if group[member] >= 0:
                seen[group[member]] = edge
            member = next_member[member]
        member = y
        while member >= 0:
            if group[member] >= 0 and seen[group[member]] == edge:
                forbidden = True
            member = next_member[member]
        alive[edge] = False
        if forbidden:
            continue
        next_member[last_member[x]] = y
        last_member[x] = last_member[y]
        members[x] += members[y]
        half = first[y]
        while half >= 0:
            ends[half] = x
            half = after[half]
        after[last[x]] = first[y]
        last[x] = last[y]
        # Go through the joined list: drop dead edges, add up those that lead to one cluster.
        half = first[x]
        before = np.int64(-1)
        while half >= 0:
            following = after[half]
            this = half >> 1
            keep = alive[this]
            if keep:
                other = ends[half ^ 1]
                if other == x:
                    alive[this] = False
                    keep = False
                elif place[other] >= 0:
                    total[place[other]] += total[this]
                    known[place[other]] += known[this]
                    best[place[other]] = max(best[place[other]], best[this])
                    least[place[other]] = min(least[place[other]], least[this])
                    alive[this] = False
                    keep = False
                else:
                    place[other] = this
            if keep:
                if before < 0:
                    first[x] = half
                else:
                    after[before] = half
                before = half
            half = following
        if before < 0:
            first[x] = -1
        else:
            after[before] = -1
        last[x] = before
        half = first[x]
        while half >= 0:
            this = half >> 1
            other = ends[half ^ 1]
            place[other] = -1
            pairs = members[x] * members[other]
            gained = total[this] + (pairs - known[this]) * unknown
            joinable = best[this] >= 0 and gained >= -slack * pairs
            if by == BY_MEAN:
                gained /= pairs
            elif by == BY_LEAST:
                gained = least[this] if known[this] == pairs else min(least[this], unknown)
                joinable = gained >= 0
            gain[this] = gained
            if joinable:
                if size == keys.shape[0]:
                    more_keys = np.empty(2 * size, np.float64)
                    more_items = np.empty(2 * size, np.int64)
                    more_keys[:size] = keys
                    more_items[:size] = items
                    keys = more_keys
                    items = more_items
                push(keys, items, size, -gained, this)
                size += 1
            half = after[half]
    for record in range(n):
        if cluster[record] == record:
            member = next_member[record]
            while member >= 0:
                cluster[member] = record
                member = next_member[member]
