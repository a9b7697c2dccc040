"""Graph matching: aligning two webs of similarities without the key.

The attacker encodes his list under a key of his own. Similarities among encodings are
nearly the same under every key, so who is who follows from aligning the two matrices: first
roughly, by each record's own similarities or by the leading eigenvectors, then in rounds, each
record by its similarities to those that were assigned before. Errors in one round are as good
as random and average out; what is right adds up.

The eigenvectors and the assignment are as in Schaefer, Armknecht and Heng, R+R: revisiting
graph matching attacks on privacy-preserving record linkage, ACSAC 2024, whose embeddings are of
another kind; the rounds are our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from pprl.evaluation.audit.bits import Floats, Rows, squared_distances

ROUNDS = 15
_SMOOTH = (3, 6, 10, 16, 24, 40)
_NEAREST = 29
_BEAM = 4
_BEAM_DIMENSIONS = 8
_STEPS = 5
_CLOUDS = 2
_SETTLED = 0.995
_CERTAIN = 5.0
"""Mean score, in standard deviations of a record's scores, of an assignment that is right."""


def match_graphs(victims: Floats, references: Floats) -> Rows:
    """Align two similarity matrices.

    Args:
        victims: (n, n) similarities of the victims' encodings.
        references: (m, m) similarities of the attacker's.

    Returns:
        (rounds, n) int64: after each round, for each victim the place of a reference,
        or -1.
    """
    a, b = _centred(victims), _centred(references)
    rounds = []
    for seed in _seeds(victims, references, a, b):
        chosen = seed
        rounds.append(chosen)
        for _ in range(ROUNDS):
            before = chosen
            scores = _scores(a, b, chosen)
            chosen = _assign(-scores)
            rounds.append(chosen)
            if (before == chosen).mean() > _SETTLED:
                break
        made = np.flatnonzero(chosen >= 0)
        if scores[made, chosen[made]].mean() > _CERTAIN:
            break
    return np.array(rounds)


def _scores(a: Floats, b: Floats, chosen: Rows) -> Floats:
    """Compare each record's similarities to the assigned ones: (n, m), standardised by row."""
    made = chosen >= 0
    theirs = b[chosen[made]]
    scores = a[:, made] @ (theirs / (np.linalg.norm(theirs, axis=0) + 1e-9))
    standard: Floats = scores / (scores.std(axis=1, keepdims=True) + 1e-9)
    return standard


def _seeds(victims: Floats, references: Floats, a: Floats, b: Floats) -> Iterator[Rows]:
    """Make first assignments, the most promising first."""
    most = min(max(_SMOOTH), len(victims) - 1, len(references) - 1)
    x, y = _embed(a, most), _embed(b, most)
    yield _assign(
        squared_distances(
            np.concatenate([_smooth_profiles(x), _nearest(victims, len(victims))], axis=1),
            np.concatenate([_smooth_profiles(y), _nearest(references, len(victims))], axis=1),
        )
    )
    for turn in _rotations(x, y)[:_CLOUDS]:
        size = len(turn)
        yield _assign(squared_distances(x[:, :size] @ turn, y[:, :size]))


def profiles(similarity: Floats, quantiles: int = 40) -> Floats:
    """Standardise quantiles of each record's similarities: (n, quantiles)."""
    ordered = np.sort(similarity, axis=1)[:, :-1]
    at = np.round(np.linspace(0, ordered.shape[1] - 1, quantiles)).astype(int)
    return _standard(ordered[:, at])


def _smooth_profiles(coordinates: Floats) -> Floats:
    """Profiles of matrices of few dimensions, which do not depend on eigenvectors' signs."""
    sizes = [size for size in _SMOOTH if size <= coordinates.shape[1]] or [coordinates.shape[1]]
    return np.concatenate(
        [profiles(coordinates[:, :size] @ coordinates[:, :size].T) for size in sizes], axis=1
    )


def _nearest(similarity: Floats, victims: int) -> Floats:
    """Each record's greatest similarities, at ranks that are the same shares of both lists."""
    ordered = -np.sort(-similarity, axis=1)[:, 1:]
    ranks = np.arange(1, _NEAREST + 1) * len(similarity) / victims
    at = np.clip(np.round(ranks).astype(int) - 1, 0, ordered.shape[1] - 1)
    return _standard(np.log(ordered[:, at] + 1e-6))


def _standard(features: Floats) -> Floats:
    standard: Floats = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    return standard


def _centred(similarity: Floats) -> Floats:
    """Centre rows and columns; nothing of a record with itself."""
    means = similarity.mean(axis=0)
    centred: Floats = similarity - means[None] - means[:, None] + means.mean()
    np.fill_diagonal(centred, 0)
    return centred


def _embed(centred: Floats, dimensions: int) -> Floats:
    """Return the leading eigenvectors, each by the square root of its eigenvalue.

    By subspace iteration, which is much quicker than a full decomposition.
    """
    rng = np.random.default_rng(0)
    size = min(dimensions + 40, len(centred))
    basis: Floats = rng.normal(size=(len(centred), size)).astype(centred.dtype)
    for _ in range(12):
        basis = np.linalg.qr(centred @ basis)[0]
    values, vectors = np.linalg.eigh(basis.T @ (centred @ basis))
    order = np.argsort(-values)[:dimensions]
    coordinates: Floats = (basis @ vectors[:, order]) * np.sqrt(np.maximum(values[order], 0))
    return coordinates


def _rotations(a: Floats, b: Floats) -> list[NDArray[np.float64]]:
    """Find the rotations that lay one cloud of points on the other, the best first.

    Eigenvectors are determined up to sign, and nearly equal ones up to a rotation. Two
    dimensions at a time, all signs are tried for the best few so far, and each is turned until
    nearest neighbours in the clouds agree.
    """
    states = [np.zeros((0, 0))]
    for size in range(2, min(_BEAM_DIMENSIONS, a.shape[1]) + 1, 2):
        x, y = a[:, :size].astype(np.float64), b[:, :size].astype(np.float64)
        tree = KDTree(y)
        tried = []
        for state, signs in product(states, product((1.0, -1.0), repeat=2)):
            turn = np.zeros((size, size))
            turn[: size - 2, : size - 2] = state
            turn[size - 2, size - 2], turn[size - 1, size - 1] = signs
            tried.append(_lay(x, y, tree, turn))
        tried.sort(key=lambda one: one[0])
        states = []
        for _, turn in tried:
            if all(np.abs(turn - other).max() > 0.1 for other in states):
                states.append(turn)
            if len(states) == _BEAM:
                break
    return states


def _lay(
    x: NDArray[np.float64], y: NDArray[np.float64], tree: KDTree, turn: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Turn x towards y by nearest neighbours in both directions; return the distance left."""
    left = np.inf
    for step in range(_STEPS + 1):
        moved = x @ turn
        there, to = tree.query(moved)
        back, fro = KDTree(moved).query(y)
        left = float((there**2).mean() + (back**2).mean())
        if step < _STEPS:
            u, _, v = np.linalg.svd(x.T @ y[to] + x[fro].T @ y * (len(x) / len(y)))
            turn = u @ v
    return left, turn


def _assign(cost: Floats) -> Rows:
    """Solve the assignment; -1 for rows that are left over."""
    rows, columns = linear_sum_assignment(cost)
    chosen = np.full(len(cost), -1, np.int64)
    chosen[rows] = columns
    return chosen
