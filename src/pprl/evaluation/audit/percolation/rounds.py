"""The attack itself: seeds from clusters, then rounds of field, beam search and competition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as kept
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pprl.evaluation.audit.bits import Floats, Rows
from pprl.evaluation.audit.percolation.clusters import (
    close_people,
    close_victims,
    ego_clusters,
)
from pprl.evaluation.audit.percolation.field import Field, balanced, mean_field
from pprl.evaluation.audit.percolation.observed import Observed


@dataclass(frozen=True)
class Settings:
    """How hard the attack tries.

    Attributes:
        cluster: Members of a cluster at most, its centre included.
        beam: Mappings of a cluster that are kept.
        keep: Persons that are kept for each encoding.
        rounds: At most so many.
        anchors: Anchors that are compared with at most; the most certain.
        heat: Divides the log-likelihoods of the field, since some anchors are wrong.
    """

    cluster: int = 6
    beam: int = 96
    keep: int = 40
    rounds: int = 24
    anchors: int = 4_000
    heat: float = 1.3


@dataclass(frozen=True)
class Percolation:
    """Whom the attack names.

    Attributes:
        guesses: (n,) int64, for each encoding a place on the list, or -1.
        confidence: (n,) float32, the chance that the attack itself gives it.
        seeds: (n,) int64, the certain ones before anything spread; -1 for the others.
        history: Anchors and mean confidence of each round.
    """

    guesses: Rows
    confidence: Floats
    seeds: Rows
    history: list[dict[str, float]] = kept(default_factory=list)


def percolate(
    observed: Observed,
    expected: NDArray[np.int16],
    *,
    colours: tuple[Rows, Rows] | None = None,
    allowed: Floats | None = None,
    known: Rows | None = None,
    spread: Sequence[float] | None = None,
    settings: Settings | None = None,
    tell: Callable[[str], None] | None = None,
) -> Percolation:
    """Name people from agreements alone.

    Args:
        observed: Agreements of n encodings in every group.
        expected: (m, m, groups) int16, what any two people on the list are expected to show
            (`pprl.evaluation.audit.agreement.expected_agreement`).
        colours: For the encodings (n,) and the people (m,) a class that lies in the clear, such
            as a presence mask or a block; nobody is named outside of the own class.
        allowed: (n, m) log-likelihoods of everything else in the clear, or None.
        known: (n,) places on the list of encodings whose persons are known, -1 for the others.
        spread: By what share an agreement differs from key to key, group by group
            (`pprl.evaluation.audit.agreement.key_spread`); none by default.
        settings: How hard to try.
        tell: Called with what is being done.
    """
    settings = settings or Settings()
    n, m = len(observed), len(expected)
    groups = len(observed.bits)
    wide = np.asarray(spread if spread is not None else np.zeros(groups), np.float32)
    ours = np.zeros(n, np.int32) if colours is None else colours[0].astype(np.int32)
    theirs = np.zeros(m, np.int32) if colours is None else colours[1].astype(np.int32)
    victims = close_victims(observed, 3 * n, 12)
    people = close_people(expected, observed.bits, 6 * m, 12)
    members = ego_clusters(victims, settings.cluster)
    seen = _seen(observed, members)

    def search(persons: NDArray[np.int32], scores: Floats, floors: Floats) -> tuple[Any, Any]:
        from pprl.kernels.graph_beam import match_clusters

        named = np.full((n, 8), -1, np.int32)
        chances = np.zeros((n, 8), np.float32)
        match_clusters(
            members,
            seen,
            expected,
            observed.bits,
            wide,
            people.starts,
            people.ends,
            persons,
            scores,
            floors,
            ours,
            theirs,
            settings.beam,
            named,
            chances,
        )
        return named, chances

    nobody = np.full((n, 0), -1, np.int32)
    named, chances = search(nobody, np.zeros((n, 0), np.float32), np.zeros(n, np.float32))
    belief = _fixed(balanced(named, chances, m), known)
    if tell:
        tell(f"{len(victims.ends) // 2} close encodings, {len(people.ends) // 2} close people")
    seeds = _certain(belief, 0.95)
    history: list[dict[str, float]] = []
    for number in range(settings.rounds):
        least = 0.9 if number == 0 else max(0.3, 0.8 - 0.1 * number)
        anchors = _anchors(belief, least, settings.anchors)
        if tell:
            tell(f"round {number}: {int((np.diff(anchors.indptr) > 0).sum())} anchors")
        if anchors.nnz == 0:
            break
        now = mean_field(
            observed, expected, anchors, members, allowed, settings.keep, settings.heat
        )
        _fix(now, known)
        named, chances = search(now.persons, now.scores, now.floors)
        before = belief
        belief = _fixed(balanced(named, chances, m), known)
        best = np.asarray(belief.max(axis=1).todense()).reshape(-1)
        history.append({"mean": float(best.mean())})
        if tell:
            tell(f"   mean confidence {best.mean():.3f}")
        if abs(before - belief).sum() < 0.002 * n:
            break
    guesses, confidence = _assign(belief)
    return Percolation(guesses, confidence, seeds, history)


def _fixed(belief: csr_matrix, known: Rows | None) -> csr_matrix:
    """Put known persons in the place of beliefs; nobody else is one of them."""
    if known is None or not (known >= 0).any():
        return belief
    rows = np.repeat(np.arange(belief.shape[0]), np.diff(belief.indptr))
    has = np.flatnonzero(known >= 0)
    taken = np.zeros(belief.shape[1], bool)
    taken[known[has]] = True
    other = (known[rows] < 0) & ~taken[belief.indices]
    data = np.concatenate([belief.data[other], np.ones(len(has), np.float32)])
    places = np.concatenate([rows[other], has]), np.concatenate([belief.indices[other], known[has]])
    return csr_matrix((data, places), shape=belief.shape)


def _fix(now: Field, known: Rows | None) -> None:
    """Leave a known encoding no other person in the field."""
    if known is None:
        return
    has = np.flatnonzero(known >= 0)
    now.persons[has, 1:] = -1
    now.persons[has, 0] = known[has]
    now.scores[has, 0] = 0
    now.floors[has] = -30


def _seen(observed: Observed, members: NDArray[np.int32]) -> Floats:
    n, size = members.shape
    seen = np.zeros((n, size, size, len(observed.bits)), np.float32)
    for a in range(size):
        for b in range(a + 1, size):
            has = np.flatnonzero(members[:, b] >= 0)
            seen[has, a, b] = observed.pairs(members[has, a], members[has, b])
            seen[has, b, a] = seen[has, a, b]
    return seen


def _certain(belief: csr_matrix, least: float) -> Rows:
    n = belief.shape[0]
    best = np.full(n, -1, np.int64)
    has = np.diff(belief.indptr) > 0
    top = np.asarray(belief.max(axis=1).todense()).reshape(-1)
    who = np.asarray(belief.argmax(axis=1)).reshape(-1)
    sure = has & (top >= least)
    best[sure] = who[sure]
    return best


def _anchors(belief: csr_matrix, least: float, most: int) -> csr_matrix:
    top = np.asarray(belief.max(axis=1).todense()).reshape(-1)
    chosen = np.flatnonzero(top >= least)
    if len(chosen) > most:
        chosen = chosen[np.argsort(-top[chosen], kind="stable")[:most]]
    kept = np.zeros(belief.shape[0], bool)
    kept[chosen] = True
    rows = np.repeat(np.arange(belief.shape[0]), np.diff(belief.indptr))
    use = kept[rows] & (belief.data > 0.02)
    return csr_matrix((belief.data[use], (rows[use], belief.indices[use])), shape=belief.shape)


def _assign(belief: csr_matrix) -> tuple[Rows, Floats]:
    """Name greedily, the most certain first, everybody once."""
    n, m = belief.shape
    rows = np.repeat(np.arange(n), np.diff(belief.indptr))
    order = np.argsort(-belief.data, kind="stable")
    guesses = np.full(n, -1, np.int64)
    confidence = np.zeros(n, np.float32)
    taken = np.zeros(m, bool)
    for at in order.tolist():
        row, person = rows[at], belief.indices[at]
        if guesses[row] < 0 and not taken[person]:
            guesses[row] = person
            confidence[row] = belief.data[at]
            taken[person] = True
    return guesses, confidence
