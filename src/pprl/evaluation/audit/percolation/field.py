"""The mean field: what an encoding's agreements with all anchors say of who it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pprl.evaluation.audit.bits import Floats, Rows
from pprl.evaluation.audit.percolation.observed import Observed

_ROWS = 512
CLIP = 4.0
"""Agreements count up to so many standard deviations of their noise; more shows a cluster."""


@dataclass(frozen=True)
class Field:
    """For each encoding the likeliest persons.

    Attributes:
        persons: (n, k) int32.
        scores: (n, k) float32 log-likelihoods, less that of the whole row.
        floors: (n,) float32, the log-likelihood of anyone else.
    """

    persons: NDArray[np.int32]
    scores: Floats
    floors: Floats


def mean_field(
    observed: Observed,
    expected: NDArray[np.int16],
    belief: csr_matrix,
    members: NDArray[np.int32],
    allowed: Floats | None,
    keep: int,
    heat: float,
) -> Field:
    """Compare every encoding with the anchors.

    With b bits, o seen and k expected the log-likelihood of a person is the sum of
    b (o k - k^2 / 2) over anchors and groups: small agreements, Gaussian noise.

    Args:
        observed: Agreements of n encodings.
        expected: (m, m, groups) int16.
        belief: (n, m) chances of persons; a row without any is no anchor.
        members: (n, s) each encoding's own cluster, which the beam search judges, not the field.
        allowed: (n, m) log-likelihoods from what lies in the clear, or None.
        keep: How many persons are kept for each.
        heat: Divides log-likelihoods, since anchors may be wrong.
    """
    from pprl.kernels.graph_beam import mix_rows

    n, m = belief.shape
    groups = len(observed.bits)
    anchors = np.flatnonzero(np.diff(belief.indptr))
    place = np.full(n + 1, -1, np.int64)
    place[anchors] = np.arange(len(anchors))
    sure = csr_matrix(belief[anchors])
    mixed = []
    square = np.zeros((len(anchors), m), np.float32)
    for group in range(groups):
        one = np.zeros((len(anchors), m), np.float32)
        mix_rows(
            sure.indptr.astype(np.int64),
            sure.indices.astype(np.int32),
            sure.data.astype(np.float32),
            expected,
            group,
            CLIP / float(observed.bits[group]) ** 0.5,
            one,
        )
        square += one * one * (observed.bits[group] / 2)
        mixed.append(one)
    against = square.sum(axis=0)
    persons = np.empty((n, min(keep, m)), np.int32)
    scores = np.empty(persons.shape, np.float32)
    floors = np.empty(n, np.float32)
    for start in range(0, n, _ROWS):
        rows = np.arange(start, min(start + _ROWS, n))
        own = place[members[rows]]
        own[members[rows] < 0] = -1
        r, c = np.nonzero(own >= 0)
        out = np.tile(-against, (len(rows), 1))
        taken = csr_matrix(
            (np.ones(len(r), np.float32), (r, own[r, c])), shape=(len(rows), len(anchors))
        )
        out += taken @ square
        for group in range(groups):
            seen = observed.block(group, rows, anchors)
            limit = CLIP / float(observed.bits[group]) ** 0.5
            np.clip(seen, -limit, limit, out=seen)
            seen[r, own[r, c]] = 0
            seen *= observed.bits[group]
            out += seen @ mixed[group]
        out /= heat
        if allowed is not None:
            out += allowed[rows]
        _keep(out, persons[rows[0] : rows[-1] + 1], scores[rows[0] : rows[-1] + 1],
              floors[rows[0] : rows[-1] + 1])  # fmt: skip
    return Field(persons, scores, floors)


def _keep(out: Floats, persons: NDArray[np.int32], scores: Floats, floors: Floats) -> None:
    """Keep each row's best, normalised so that the whole row has a likelihood of 1."""
    k = persons.shape[1]
    best = np.argpartition(-out, k - 1, axis=1)[:, :k]
    top = np.take_along_axis(out, best, axis=1)
    order = np.argsort(-top, axis=1)
    best, top = np.take_along_axis(best, order, axis=1), np.take_along_axis(top, order, axis=1)
    peak = top[:, :1]
    whole = peak[:, 0] + np.log(np.exp(out - peak).sum(axis=1))
    persons[:] = best
    scores[:] = top - whole[:, None]
    rest = np.maximum(1 - np.exp(scores).sum(axis=1), 1e-12) / max(out.shape[1] - k, 1)
    floors[:] = np.minimum(np.log(rest), scores[:, -1])


def balanced(persons: Rows, chances: Floats, m: int, rounds: int = 4) -> csr_matrix:
    """Let encodings compete for persons: nobody is named with more than chance 1 in all.

    Args:
        persons: (n, r), -1 for none.
        chances: (n, r).
        m: People on the list.
        rounds: Of dividing columns and rows in turn.
    """
    n = len(persons)
    r, c = np.nonzero((persons >= 0) & (chances > 1e-4))
    found = csr_matrix((chances[r, c], (r, persons[r, c])), shape=(n, m), dtype=np.float32)
    for _ in range(rounds):
        columns = np.asarray(found.sum(axis=0)).reshape(-1)
        found.data /= np.maximum(columns, 1)[found.indices]
    return found
