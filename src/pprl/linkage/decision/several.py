"""Which records of several files without duplicates are linked, where no truth is known.

As with two files (`pprl.linkage.decision.decide`), pairs within a file show what strangers look
like; groups and masks are weighed, rivals count against a pair, and the links are ranked and cut.
What differs is that a record may have a link with each of the other files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.assignment import match
from pprl.linkage.candidates.blocking import BlockingReport
from pprl.linkage.candidates.floor import find_floor
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.decision.cut import Cut, Null, find_cut
from pprl.linkage.decision.decide import Estimate, unless_all_false
from pprl.linkage.decision.duplicates import (
    best_partner,
    by_file,
    maybe_repeated,
    repeat_people,
    standing_out,
    surely_repeated,
)
from pprl.linkage.decision.missingness import Kinds, Odds, kinds_of, lack_alike
from pprl.linkage.model.comparison_vectors import can_be_weighed
from pprl.linkage.model.density_ratio import Strangers, learn
from pprl.linkage.model.scoring import Criterion

_GRID = 1024
_ROUNDS = 50


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of records that were looked at.

    Attributes:
        pairs: Those from some Dice similarity up, once each.
        compared: Number of pairs of rows that were compared.
        blocking: What blocking left out; None where every pair was compared.
    """

    pairs: Pairs
    compared: int
    blocking: BlockingReport | None = None


@dataclass(frozen=True, eq=False)
class Several:
    """What was decided.

    Attributes:
        criterion: How pairs are scored and where they are cut; nothing is linked where nobody
            seems to be in two of the files.
        candidates: The pairs that were looked at.
        estimate: What is estimated of the best links, one for each record and other file.
        repeating: Holders whose files seem to repeat people.
    """

    criterion: Criterion
    candidates: Candidates
    estimate: Estimate
    repeating: tuple[str, ...]


def decide_several(pool: Pool, compare: Callable[[float], Candidates]) -> Several:
    """Rank the pairs between the files of a pool, none of which repeats a person, and cut them.

    With blocking, only pairs that share a block count, between files and within.

    Args:
        pool: The records.
        compare: Compares them and takes the pairs from a Dice similarity up.
    """
    everybody, n, sizes = pool.encodings, len(pool), pool.sizes.astype(np.int64)
    files = np.count_nonzero(pool.sizes)
    if files < 2:
        nobody = Candidates(Pairs.concat([]), 0)
        return Several(Criterion.nothing(), nobody, Estimate(None, 0.0), ())
    starts = np.cumsum(sizes)[:-1]
    kinds = np.split(kinds_of([everybody])[0], starts)
    if not lack_alike(kinds):
        everybody = replace(everybody, present=None)
        kinds = np.split(kinds_of([everybody])[0], starts)
    # A record may have its partner in each of the other files.
    floor = find_floor(everybody, everybody, int(files) - 1)
    candidates = compare(floor)
    pairs = candidates.pairs
    across = pool.file[pairs.left] != pool.file[pairs.right]
    between, own = pairs.take(across), pairs.take(~across)
    out = standing_out(everybody, own, pool.file[own.left], floor)
    repeated = np.bincount(pool.file[own.left[out]], minlength=len(pool.names)) > 0
    own = own.take(~out)
    ends = np.concatenate([between.left, between.right])
    others = np.concatenate([between.right, between.left])
    partner, best = best_partner(ends, others, np.tile(between.similarity, 2), n)
    doubtful = maybe_repeated(own, partner, best)
    repeating = _repeating(pool, kinds, between, own.take(~doubtful))
    # If all of them seem to repeat people, they are all that there is.
    clean = ~repeating | repeating.all()
    taken = clean[pool.file[own.left]]
    own, doubtful = own.take(taken), doubtful[taken]
    odds = Odds.of(kinds, asked=clean.tolist()).pooled()
    asked = sizes[clean]
    others = float(asked @ (asked - 1)) / max(asked.sum(), 1)
    weighed = can_be_weighed(everybody, everybody)

    def rank(strangers: Pairs) -> tuple[Criterion, Cut, NDArray[np.float64]]:
        """Score the pairs by what these strangers teach, choose the links, and cut them."""
        criterion = Criterion(np.inf, floor, rivals=True)
        if weighed:
            known = [Strangers(everybody, strangers, odds.pairs(0, strangers))]
            evidence = learn(everybody, everybody, between, known, odds.between(between))
            criterion = replace(criterion, evidence=evidence)
        chosen = _one_for_each_file(pool, criterion.ranked(pool, between))
        chosen = chosen.take(np.argsort(-chosen.similarity, kind="stable"))
        scored, records = criterion.ranked(pool, strangers), int(asked.sum())
        null = Null(scored, records, others, odds.relative(0, strangers))
        expect, weight = _expected(pool, chosen), max(odds.mean, 1.0)
        cut = find_cut(chosen.similarity, [null], expect, weight, drawn=weight > 1)
        if cut.links:
            criterion = replace(criterion, cut=float(chosen.similarity[cut.links - 1]))
        return criterion, cut, chosen.similarity

    criterion, cut, ranked = rank(own.take(~doubtful))
    if cut.links and doubtful.any():
        score = criterion.ranked(pool, own).similarity
        surer = surely_repeated(doubtful, score, ranked[cut.links // 2])
        if (surer != doubtful).any():
            criterion, cut, ranked = rank(own.take(~surer))
    cut = unless_all_false(cut)
    if not cut.links:
        criterion = Criterion.nothing()
    repeating |= repeated
    named = tuple(name for name, is_one in zip(pool.names, repeating, strict=True) if is_one)
    return Several(criterion, candidates, Estimate.of(cut), named)


def _repeating(pool: Pool, kinds: Kinds, between: Pairs, strangers: Pairs) -> NDArray[np.bool_]:
    """Tell which files repeat people all the same: (files,)."""
    ranked = np.sort(between.similarity)[::-1][: len(pool)]
    parts = by_file(pool.file[strangers.left], len(pool.names))
    within = [strangers.take(part) for part in parts]
    counts = [Odds.within(kinds, at).pooled().relative(0, one) for at, one in enumerate(within)]
    return repeat_people(ranked, within, pool.sizes.astype(np.int64).tolist(), counts)


def _one_for_each_file(pool: Pool, scored: Pairs) -> Pairs:
    """Choose links, best first, so that a record has one at most with each other file."""
    files = len(pool.names)
    places = Pairs(
        scored.left * files + pool.file[scored.right],
        scored.right * files + pool.file[scored.left],
        scored.similarity,
    )
    # On the left the other file is a later one, on the right an earlier: no place is on both.
    chosen = match(places, len(pool) * files, len(pool) * files, "one-to-one")
    return Pairs(chosen.left // files, chosen.right // files, chosen.similarity)


def _expected(pool: Pool, chosen: Pairs) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Expect false ones among so many of these links, as `threshold.false_links` for two files.

    A record that has its match in a file is out of reach of the others there. How many are
    is known for up to 1,024 ranks, and interpolated between them.
    """
    m, files = len(chosen), len(pool.names)
    sizes = pool.sizes
    grid = np.unique(np.linspace(1, max(m, 1), min(max(m, 1), _GRID)).astype(np.int64))
    step = np.searchsorted(grid, np.arange(1, m + 1))
    ends = sum(
        np.bincount(step * files + pool.file[side], minlength=len(grid) * files)
        for side in (chosen.left, chosen.right)
    )
    places = np.maximum(sizes * (np.count_nonzero(sizes) - 1), 1)
    taken = np.reshape(ends, (len(grid), files)).cumsum(axis=0) / places

    def left_over(false: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Count the pairs of records without a match, and the most of such in one file."""
        free = sizes * np.clip(1 - taken * (1 - false / grid)[:, None], 0.0, 1.0)
        return (free.sum(axis=1) ** 2 - (free**2).sum(axis=1)) / 2, free.max(axis=1)

    def expect(rate: NDArray[np.float64]) -> NDArray[np.float64]:
        if not m:
            return np.empty(0)
        chance, false = rate[grid - 1], np.zeros(len(grid))
        for _ in range(_ROUNDS):
            pairs, most = left_over(false)
            false = np.minimum(pairs * chance / (1 + chance * most), grid)
        ranks = np.arange(1, m + 1)
        reach = np.interp(ranks, grid, pairs) * rate
        false = reach / (1 + rate * np.interp(ranks, grid, most))
        return np.minimum(false, ranks)

    return expect
