"""Loops of graph matching: mixing rows of a kernel, and a beam search over small clusters."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel

UNMAPPED = -4.0
"""Log-likelihood that is lost where a member of a cluster is left without a person."""
FAR = 16.0
"""Mappings that are so much less likely than the best are dropped."""
WORST = -12.0
"""The most that one pair can speak against a mapping: the model of a pair is not exact."""
UNIT = 1.0 / 32767.0
"""What 1 stands for in a kernel that is stored as int16."""


@kernel
def mix_rows(
    starts: NDArray[np.int64],
    places: NDArray[np.int32],
    chances: NDArray[np.float32],
    kernel_: NDArray[np.int16],
    group: int,
    clip: float,
    out: NDArray[np.float32],
) -> None:
    """Average rows of a kernel, clipped: what an encoding of uncertain person would show.

    ``kernel_`` is (m, m, groups); row r of ``out`` (r, m) becomes the sum over
    ``starts[r]:starts[r + 1]`` of ``chances`` times the kernel's row ``places``.
    """
    for row in range(out.shape[0]):
        for at in range(starts[row], starts[row + 1]):
            place = places[at]
            chance = chances[at]
            for person in range(out.shape[1]):
                value = kernel_[place, person, group] * UNIT
                value = min(max(value, -clip), clip)
                out[row, person] += chance * value


@inline
def _pair(
    seen: NDArray[np.float32],
    expected: NDArray[np.int16],
    bits: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> float:
    """Log-likelihood ratio of a pair's agreements: these two people against any two."""
    total = 0.0
    for group in range(seen.shape[0]):
        k = expected[group] * UNIT
        o = seen[group]
        b = bits[group]
        if -0.015 < k < 0.015:
            total += b * (o * k - 0.5 * k * k)
        else:
            v = (1.0 - k * k) / b + (spread[group] * k) ** 2
            total += 0.5 * (o * o * b - (o - k) * (o - k) / v - math.log(v * b))
    return max(total, WORST)


@inline
def _bound(seen: NDArray[np.float32], bits: NDArray[np.float32]) -> float:
    """What `_pair` can be at most, whoever the two are: no agreement stored exceeds 1."""
    total = 0.0
    for group in range(seen.shape[0]):
        total += 0.5 * seen[group] * seen[group] * bits[group] + 1.0
    return total


@inline
def _offer(
    scores: NDArray[np.float32],
    parents: NDArray[np.int32],
    persons: NDArray[np.int32],
    size: int,
    score: float,
    parent: int,
    person: int,
) -> int:
    """Keep the best: a heap with the least first, of fixed room. Returns its size."""
    room = scores.shape[0]
    if size == room:
        if score <= scores[0]:
            return size
        at = 0
        while True:
            below = 2 * at + 1
            if below >= room:
                break
            if below + 1 < room and scores[below + 1] < scores[below]:
                below += 1
            if scores[below] >= score:
                break
            scores[at] = scores[below]
            parents[at] = parents[below]
            persons[at] = persons[below]
            at = below
    else:
        at = size
        size += 1
        while at > 0:
            above = (at - 1) >> 1
            if scores[above] <= score:
                break
            scores[at] = scores[above]
            parents[at] = parents[above]
            persons[at] = persons[above]
            at = above
    scores[at] = score
    parents[at] = parent
    persons[at] = person
    return size


@kernel
def match_clusters(
    members: NDArray[np.int32],
    seen: NDArray[np.float32],
    kernel_: NDArray[np.int16],
    bits: NDArray[np.float32],
    spread: NDArray[np.float32],
    edge_starts: NDArray[np.int64],
    edge_ends: NDArray[np.int32],
    candidates: NDArray[np.int32],
    unary: NDArray[np.float32],
    floors: NDArray[np.float32],
    colours: NDArray[np.int32],
    their_colours: NDArray[np.int32],
    beam: int,
    named: NDArray[np.int32],
    chances: NDArray[np.float32],
) -> None:
    """Find who the centre of each cluster is, by a beam search over mappings of the cluster.

    Args:
        members: (c, s) rows of victims, the centre first, -1 for none.
        seen: (c, s, s, groups) observed agreements among members.
        kernel_: (m, m, groups) expected agreements of the people on the list.
        bits: (groups,) length of each group.
        spread: (groups,) what a key does to an expected agreement, as a share of it.
        edge_starts: (m + 1,) where each person's close others begin.
        edge_ends: (e,) the close others.
        candidates: (n, k) for each victim persons that what is known so far speaks for; k may be 0.
        unary: (n, k) log-likelihood of each of them.
        floors: (n,) log-likelihood of all others.
        colours: (n,) a class of each victim that lies in the clear.
        their_colours: (m,) the same of the people.
        beam: Mappings that are kept.
        named: (c, r) gets the likeliest persons of the centre, -1 where there are fewer.
        chances: (c, r) gets their posterior chances.
    """
    m = kernel_.shape[0]
    size = members.shape[1]
    wide = candidates.shape[1]
    marks = np.zeros(m, np.int64)
    mark = 0
    own = np.empty(m, np.float32)
    first = np.empty(m, np.float32)
    scores = np.empty((2, beam), np.float32)
    mapped = np.empty((2, beam, size), np.int32)
    parents = np.empty(beam, np.int32)
    persons = np.empty(beam, np.int32)
    for at in range(members.shape[0]):
        centre = members[at, 0]
        first[:] = floors[centre]
        for c in range(wide):
            if candidates[centre, c] >= 0:
                first[candidates[centre, c]] = unary[centre, c]
        held = 0
        now = 0
        count = 1
        while count < size and members[at, count] >= 0:
            count += 1
        if count > 1:
            other = members[at, 1]
            own[:] = floors[other]
            for c in range(wide):
                if candidates[other, c] >= 0:
                    own[candidates[other, c]] = unary[other, c]
            most = _bound(seen[at, 0, 1], bits)
            for a in range(m):
                if their_colours[a] != colours[centre]:
                    continue
                if held == beam and first[a] + most <= scores[0, 0]:
                    continue
                for e in range(edge_starts[a], edge_starts[a + 1]):
                    b = edge_ends[e]
                    if their_colours[b] != colours[other]:
                        continue
                    score = first[a] + own[b]
                    if held == beam and score + most <= scores[0, 0]:
                        continue
                    score += _pair(seen[at, 0, 1], kernel_[a, b], bits, spread)
                    held = _offer(scores[0], parents, persons, held, score, a, b)
            lost = floors[other] + UNMAPPED
        else:
            lost = 0.0
        for c in range(wide):
            a = candidates[centre, c]
            if a >= 0 and their_colours[a] == colours[centre]:
                held = _offer(scores[0], parents, persons, held, unary[centre, c] + lost, a, -1)
        for s in range(held):
            mapped[0, s, 0] = parents[s]
            if size > 1:
                mapped[0, s, 1] = persons[s]
        for q in range(2, count):
            victim = members[at, q]
            own[:] = floors[victim]
            for c in range(wide):
                if candidates[victim, c] >= 0:
                    own[candidates[victim, c]] = unary[victim, c]
            then = 1 - now
            fresh = 0
            peak = scores[now, 0]
            for s in range(1, held):
                peak = max(peak, scores[now, s])
            most = 0.0
            for k in range(q):
                most += _bound(seen[at, k, q], bits)
            for s in range(held):
                if scores[now, s] < peak - FAR:
                    continue
                mark += 1
                for r in range(q):
                    if mapped[now, s, r] >= 0:
                        marks[mapped[now, s, r]] = mark
                base = scores[now, s]
                score = base + floors[victim] + UNMAPPED
                fresh = _offer(scores[then], parents, persons, fresh, score, s, -1)
                for r in range(q + 1):
                    if r == q:
                        begin = 0
                        end = wide
                    else:
                        person = mapped[now, s, r]
                        if person < 0:
                            continue
                        begin = edge_starts[person]
                        end = edge_starts[person + 1]
                    for e in range(begin, end):
                        c = candidates[victim, e] if r == q else edge_ends[e]
                        if c < 0 or marks[c] == mark or their_colours[c] != colours[victim]:
                            continue
                        marks[c] = mark
                        score = base + own[c]
                        if fresh == beam and score + most <= scores[then, 0]:
                            continue
                        for k in range(q):
                            person = mapped[now, s, k]
                            if person >= 0:
                                score += _pair(seen[at, k, q], kernel_[person, c], bits, spread)
                        fresh = _offer(scores[then], parents, persons, fresh, score, s, c)
            for s in range(fresh):
                for r in range(q):
                    mapped[then, s, r] = mapped[now, parents[s], r]
                mapped[then, s, q] = persons[s]
            now = then
            held = fresh
        named[at] = -1
        chances[at] = 0
        if not held:
            continue
        best = scores[now, 0]
        for s in range(1, held):
            best = max(best, scores[now, s])
        total = 0.0
        for s in range(held):
            total += math.exp(scores[now, s] - best)
        mark += 1
        for s in range(held):
            a = mapped[now, s, 0]
            if marks[a] != mark:
                marks[a] = mark
                own[a] = 0
            own[a] += math.exp(scores[now, s] - best) / total
        for r in range(named.shape[1]):
            most = 0.0
            who = -1
            for s in range(held):
                a = mapped[now, s, 0]
                if own[a] > most:
                    most = own[a]
                    who = a
            if who < 0:
                break
            named[at, r] = who
            chances[at, r] = most
            own[who] = -1
