"""Graph matching: aligning two webs of similarities without the key.

The attacker encodes his list under a key of his own. Similarities among encodings are
nearly the same under every key, so the two matrices have nearly the same eigenvectors,
and who is who follows from aligning them.

After Schaefer, Armknecht and Heng, R+R: revisiting graph matching attacks on
privacy-preserving record linkage, ACSAC 2024; in place of their node embeddings and
Wasserstein-Procrustes alignment, eigenvectors, whose signs are told by their
distributions, and an assignment in turn with Procrustes rotations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pprl.evaluation.audit.bits import Floats, Rows, squared_distances

DIMENSIONS = (6, 10, 16, 24, 40, 64, 100)
ROUNDS = 3
_QUANTILES = np.linspace(0.001, 0.999, 400)
_CLEAR = 1.5
"""A sign is clear when the other fits its distribution so many times worse."""
_SIGNED = 8
_ENOUGH = 3
_SMOOTH = (3, 6, 10, 16, 24, 40)
_LAST_ROUNDS = 4
_SETTLED = 0.995


def match_graphs(
    victims: Floats, references: Floats, dimensions: Sequence[int] = DIMENSIONS
) -> Rows:
    """Align two similarity matrices.

    Args:
        victims: (n, n) similarities of the victims' encodings.
        references: (m, m) similarities of the attacker's.
        dimensions: How many eigenvectors to align with, one number after the other.

    Returns:
        (rounds, n) int64: after each round, for each victim the place of a reference,
        or -1.
    """
    most = min(max(dimensions), len(victims) - 1, len(references) - 1)
    a, b = (_embed(one, most) for one in (victims, references))
    chosen = _seed(a, b)
    rounds = [chosen]
    plan = [min(size, most) for size in dimensions for _ in range(ROUNDS)]
    for size in [*plan, *([most] * _LAST_ROUNDS)]:
        before = chosen
        chosen = _assign(-_cosines(a[:, :size], b[:, :size], chosen))
        rounds.append(chosen)
        if (before == chosen).mean() > _SETTLED:
            break
    return np.array(rounds)


def _seed(a: Floats, b: Floats) -> Rows:
    """Make a first assignment.

    By the leading eigenvectors whose signs are clear, if there are three; else by the sorted
    entries of each record's row in matrices of few dimensions, which do not depend on signs.
    """
    x, y = a[:, :_SIGNED], b[:, :_SIGNED]
    signs, clear = _signs(x, y)
    if clear.sum() >= _ENOUGH:
        return _assign(squared_distances((x * signs)[:, clear], y[:, clear]))
    return _assign(squared_distances(_smooth_profiles(a), _smooth_profiles(b)))


def _smooth_profiles(coordinates: Floats) -> Floats:
    sizes = [size for size in _SMOOTH if size <= coordinates.shape[1]] or [coordinates.shape[1]]
    return np.concatenate(
        [profiles(coordinates[:, :size] @ coordinates[:, :size].T) for size in sizes], axis=1
    )


def profiles(similarity: Floats, quantiles: int = 40) -> Floats:
    """Standardise 40 quantiles of each record's similarities: (n, quantiles)."""
    ordered = np.sort(similarity, axis=1)[:, :-1]
    at = np.round(np.linspace(0, ordered.shape[1] - 1, quantiles)).astype(int)
    features = ordered[:, at]
    standard: Floats = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    return standard


def _embed(similarity: Floats, dimensions: int) -> Floats:
    """Return the leading eigenvectors of the double-centred matrix, each by its weight.

    By subspace iteration, which is much quicker than a full decomposition. Scaled so that
    lists of different lengths give comparable coordinates.
    """
    means = similarity.mean(axis=0)
    c = similarity - means[None] - means[:, None] + means.mean()
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(len(c), min(dimensions + 40, len(c)))).astype(np.float32)
    for _ in range(12):
        basis = np.linalg.qr(c @ basis)[0]
    values, vectors = np.linalg.eigh(basis.T @ (c @ basis))
    order = np.argsort(-values)[:dimensions]
    coordinates: Floats = (basis @ vectors[:, order]) * np.sqrt(np.maximum(values[order], 0))
    return coordinates


def _signs(a: Floats, b: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Give each eigenvector the sign under which the two distributions are nearer."""
    x, y = np.quantile(a, _QUANTILES, axis=0), np.quantile(b, _QUANTILES, axis=0)
    same, turned = np.abs(x - y).mean(axis=0), np.abs(-x[::-1] - y).mean(axis=0)
    near, far = np.minimum(same, turned), np.maximum(same, turned)
    return np.where(same <= turned, 1, -1).astype(np.float32), far > _CLEAR * near


def _cosines(a: Floats, b: Floats, chosen: Rows) -> Floats:
    """Rotate the victims onto the references they are assigned to; compare directions."""
    made = chosen >= 0
    u, _, v = np.linalg.svd(a[made].T @ b[chosen[made]])
    cosines: Floats = _unit(a @ (u @ v)) @ _unit(b).T
    return cosines


def _unit(x: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.maximum(lengths, 1e-12)


def _assign(cost: Floats) -> Rows:
    """Solve the assignment; -1 for rows that are left over."""
    rows, columns = linear_sum_assignment(cost)
    chosen = np.full(len(cost), -1, np.int64)
    chosen[rows] = columns
    return chosen
