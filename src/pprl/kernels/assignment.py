"""One-to-one assignment over candidate pairs: greedy, and of the greatest sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel
from pprl.kernels.heap import pop, push

_FAR = 1 << 62


@kernel
def greedy(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    left_taken: NDArray[np.bool_],
    right_taken: NDArray[np.bool_],
    keep: NDArray[np.bool_],
) -> None:
    """Keep a pair when both of its records are still free, best pair first."""
    for pair in range(left.shape[0]):
        i = left[pair]
        j = right[pair]
        if not left_taken[i] and not right_taken[j]:
            left_taken[i] = True
            right_taken[j] = True
            keep[pair] = True


@kernel
def heaviest(
    starts: NDArray[np.int64],
    right: NDArray[np.int64],
    weight: NDArray[np.int64],
    n_right: int,
    chosen: NDArray[np.int64],
) -> None:
    """Find the one-to-one assignment with the greatest sum of weights.

    Successive shortest augmenting paths with potentials (Jonker and Volgenant,
    Computing 38 (1987), p. 325, on sparse costs); a record may stay alone at weight 0. A
    search never leaves the connected component it began in.

    Args:
        starts: (n + 1,) first edge of each left record.
        right: (m,) right record of each edge, rising within a left record.
        weight: (m,) weights, above 0 and far below 2**62.
        n_right: Number of right records.
        chosen: (n,) output: the edge of each left record, or -1.
    """
    n = starts.shape[0] - 1
    u = np.zeros(n, np.int64)
    v = np.zeros(n_right, np.int64)
    owner = np.full(n_right, -1, np.int64)
    distance = np.full(n_right, _FAR, np.int64)
    via_left = np.empty(n_right, np.int64)
    via_edge = np.empty(n_right, np.int64)
    done = np.zeros(n_right, np.bool_)
    touched = np.empty(n_right, np.int64)
    lefts = np.empty(n, np.int64)
    reached = np.empty(n, np.int64)
    keys = np.empty(right.shape[0] + 1, np.int64)
    items = np.empty(right.shape[0] + 1, np.int64)

    # A left record whose best partner is free takes it.
    for i in range(n):
        chosen[i] = -1
        best = -1
        for edge in range(starts[i], starts[i + 1]):
            if best < 0 or weight[edge] > weight[best]:
                best = edge
        if best >= 0:
            u[i] = -weight[best]
            if owner[right[best]] < 0:
                owner[right[best]] = i
                chosen[i] = best

    for root in range(n):
        if chosen[root] >= 0 or starts[root] == starts[root + 1]:
            continue
        n_touched = 0
        n_lefts = 0
        size = 0
        i = root
        here = 0
        best = _FAR
        end_right = -1
        end_left = -1
        while True:
            lefts[n_lefts] = i
            reached[n_lefts] = here
            n_lefts += 1
            # The left record may stay alone.
            if here - u[i] < best:
                best = here - u[i]
                end_left = i
                end_right = -1
            for edge in range(starts[i], starts[i + 1]):
                j = right[edge]
                if done[j]:
                    continue
                along = here - weight[edge] - u[i] - v[j]
                if along < distance[j] and along < best:
                    if distance[j] == _FAR:
                        touched[n_touched] = j
                        n_touched += 1
                    distance[j] = along
                    via_left[j] = i
                    via_edge[j] = edge
                    if owner[j] < 0:
                        best = along
                        end_right = j
                    else:
                        push(keys, items, size, along, j)
                        size += 1
            while size > 0 and (done[items[0]] or keys[0] > distance[items[0]]):
                pop(keys, items, size)
                size -= 1
            if size == 0 or keys[0] >= best:
                break
            j = items[0]
            here = keys[0]
            pop(keys, items, size)
            size -= 1
            done[j] = True
            i = owner[j]
        for at in range(n_lefts):
            u[lefts[at]] += best - reached[at]
        for at in range(n_touched):
            j = touched[at]
            if done[j]:
                v[j] -= best - distance[j]
                done[j] = False
            distance[j] = _FAR
        # Move everybody on the path to the next partner.
        j = end_right
        if j < 0:
            if end_left == root:
                continue
            j = right[chosen[end_left]]
            chosen[end_left] = -1
        while True:
            i = via_left[j]
            before = chosen[i]
            chosen[i] = via_edge[j]
            owner[j] = i
            if i == root:
                break
            j = right[before]
