"""Ranking the candidate links of two files and cutting them where no truth is known."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings
from pprl.linkage.blocking import Blocking, BlockingReport
from pprl.linkage.compare import Progress, blocked_pairs, scored_pairs
from pprl.linkage.evidence import Evidence, Strangers, learn
from pprl.linkage.match import match
from pprl.linkage.pairs import Pairs
from pprl.linkage.score import with_margin
from pprl.linkage.signals import can_be_weighed
from pprl.linkage.threshold import (
    Cut,
    Null,
    best_partner,
    false_links,
    find_cut,
    find_floor,
    maybe_repeated,
    repeat_people,
    surely_repeated,
)

_MODEL_ERROR = 2.5
"""The factor by which the expected number of false links is wrong at most, nearly always."""
_CURVE = 512


@dataclass(frozen=True)
class Figure:
    """An estimate with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What is known of the links without a truth.

    Attributes:
        precision: Estimated precision; None where there are no links. The interval holds a
            number of false links up to 2.5 times as great or as small as estimated, with
            twice the standard deviation of the count of strangers that it comes from on
            top, and two such strangers; calibrated on simulated files.
        false_links: Expected number of false links.
    """

    precision: Figure | None
    false_links: float

    @classmethod
    def of(cls, cut: Cut) -> Estimate:
        """Estimate what a cut gives."""
        links, false = cut.links, cut.false_links
        if not links:
            return cls(None, 0.0)
        chance = 2 * math.sqrt(false * cut.weight)
        high = min(false * _MODEL_ERROR + chance + 2 * cut.weight, links)
        low = max(false / _MODEL_ERROR - chance, 0.0)
        return cls(Figure(1 - false / links, 1 - high / links, 1 - low / links), false)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``estimate.json``."""
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """Candidate links, best score first, and how many of them to keep.

    Attributes:
        ranked: One-to-one pairs with their Dice similarity, best score first.
        scores: (m,) their scores, falling.
        cut: How many to keep.
        candidates: (p,) similarities of all pairs that were looked at.
        evidence: How groups and missing fields were weighed; None where there is but one
            similarity.
        blocking: What blocking left out; None where every pair was compared.
        repeating: The holder whose file seems to repeat people, so that only the other file
            showed what strangers look like; None where neither does.
    """

    ranked: Pairs
    scores: NDArray[np.float64]
    cut: Cut
    candidates: NDArray[np.float64]
    evidence: Evidence | None
    blocking: BlockingReport | None
    repeating: str | None

    @property
    def kept(self) -> Pairs:
        """The links, best score first."""
        return self.ranked.take(np.arange(self.cut.links))

    @property
    def curve(self) -> pa.Table:
        """What other cuts would give: at most 512 rows, the score falling.

        Columns: ``score`` of the cut, ``similarity`` of the link there, ``links`` at or
        above, and how many of these are expected to be false (``expected_false``).
        """
        m = len(self.scores)
        ranks = np.unique(np.linspace(0, m - 1, min(m, _CURVE)).astype(np.int64))
        return pa.table(
            {
                "score": self.scores[ranks],
                "similarity": self.ranked.similarity[ranks],
                "links": ranks + 1,
                "expected_false": self.cut.expected[ranks],
            }
        )

    @property
    def estimate(self) -> Estimate:
        """What is estimated of the links."""
        return Estimate.of(self.cut)


def check_precision(precision: float | None, threshold: float | str) -> None:
    """Refuse a precision that cannot be asked for.

    Raises:
        UsageError: It is outside 0 to 1, or given with a fixed threshold.
    """
    if precision is None:
        return
    if threshold != "auto":
        raise UsageError("a precision is for the automatic threshold: leave one of them out.")
    if not 0.0 <= precision <= 1.0:
        raise UsageError(f"the precision must be between 0 and 1, not {precision:g}.")


def decide(
    a: Encodings,
    b: Encodings,
    *,
    precision: float | None = None,
    blocking: Blocking | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Rank the pairs of two files, and find where to cut.

    The score is the evidence of groups and masks where there are any, and Dice similarity
    otherwise, with the margin to rivals. With blocking, only pairs that share a block are
    looked at, between the files and within them. With ``precision``, links end where the
    estimated precision of all of them falls below it, if that is sooner.

    The files must have been checked by `check_compatible`.
    """
    n_a, n_b = a.info.records, b.info.records
    if not n_a or not n_b:
        none, no_links = np.empty(0), Pairs.concat([])
        return Decision(no_links, none, Cut(0, 0.0, none, none, (0, 0)), none, None, None, None)
    floor = find_floor(a, b)
    report: BlockingReport | None = None

    def candidates(x: Encodings, y: Encodings | None) -> Pairs:
        nonlocal report
        if blocking is None:
            return scored_pairs(x, y, floor, workers=workers, progress=progress)
        found, said = blocked_pairs(x, y, floor, blocking, workers=workers)
        report = said if y is not None else report
        return found

    pairs = candidates(a, b)
    own = []
    for file, ends in ((a, (pairs.left, pairs.right)), (b, (pairs.right, pairs.left))):
        near = candidates(file, None)
        partner, best = best_partner(*ends, pairs.similarity, file.info.records)
        own.append(Neighbours(file, near, maybe_repeated(near, partner, best)))
    within, repeating = _strangers_only(match(pairs, n_a, n_b, "one-to-one"), own)
    weighed = can_be_weighed(a, b)

    def rank(neighbours: list[Neighbours]) -> tuple[Evidence | None, Cut, Pairs, NDArray[Any]]:
        """Score the pairs by what these neighbours teach, choose the links, and cut them."""
        strangers = [one.strangers_for(n_a * n_b) for one in neighbours]
        evidence = learn(a, b, pairs, strangers) if weighed else None
        scored = _score(evidence, a, b, pairs, floor)
        place = _places(match(scored, n_a, n_b, "one-to-one"), scored, n_b)
        place = place[np.argsort(-scored.similarity[place], kind="stable")]
        ranked = scored.similarity[place]
        nulls = [one.null(evidence, floor) for one in neighbours]

        def expect(rate: NDArray[np.float64]) -> NDArray[np.float64]:
            return false_links(np.arange(1, len(rate) + 1), rate, n_a, n_b)

        return evidence, find_cut(ranked, nulls, expect), pairs.take(place), ranked

    evidence, cut, chosen, ranked = rank(within)
    if cut.links:
        median = ranked[cut.links // 2]
        surer = [one.surely_repeated(evidence, median, floor) for one in within]
        if any(
            (now.doubtful != one.doubtful).any() for now, one in zip(surer, within, strict=True)
        ):
            evidence, cut, chosen, ranked = rank(surer)
    if precision is not None:
        cut = cut.down_to(precision)
    return Decision(chosen, ranked, cut, pairs.similarity, evidence, report, repeating)


@dataclass(frozen=True)
class Neighbours:
    """The more similar pairs within a file.

    Attributes:
        file: The file.
        pairs: (p,) pairs of its records.
        doubtful: (p,) whether a pair may be one person's two records.
    """

    file: Encodings
    pairs: Pairs
    doubtful: NDArray[np.bool_]

    @property
    def strangers(self) -> Pairs:
        """The pairs that are beyond doubt not of one person."""
        return self.pairs.take(~self.doubtful)

    def strangers_for(self, between: int) -> Strangers:
        """Let them stand for so many pairs of records between the files."""
        n = self.file.info.records
        return Strangers(self.file, self.strangers, 2 * between / max(n * (n - 1), 1))

    def null(self, evidence: Evidence | None, floor: float) -> Null:
        """Score them as the links are."""
        n = self.file.info.records
        return Null(_score(evidence, self.file, None, self.strangers, floor), n, n - 1)

    def surely_repeated(self, evidence: Evidence | None, median: float, floor: float) -> Neighbours:
        """Doubt only as many pairs as the links' median score lets expect."""
        if not self.doubtful.any():
            return self
        score = _score(evidence, self.file, None, self.pairs, floor).similarity
        return replace(self, doubtful=surely_repeated(self.doubtful, score, median))


def _strangers_only(chosen: Pairs, own: list[Neighbours]) -> tuple[list[Neighbours], str | None]:
    """Leave out the file that repeats people, if one does, and name it."""
    between = np.sort(chosen.similarity)[::-1]
    records = [one.file.info.records for one in own]
    found = repeat_people(between, [one.strangers for one in own], records)
    if not found.any():
        return own, None
    at = int(found.argmax())
    return [own[1 - at]], own[at].file.info.holder or f"file {at + 1}"


def _score(
    evidence: Evidence | None, a: Encodings, b: Encodings | None, pairs: Pairs, floor: float
) -> Pairs:
    """Score pairs between two files, or within one, with the margin to their rivals."""
    first = 0 if b is None else a.info.records
    if evidence is not None:
        # A score of nought or less, no signal or odds against a pair, makes no rival.
        pairs, floor = evidence.score(a, b or a, pairs), 0.0
    return with_margin(pairs, pairs.left, first + pairs.right, floor)


def _places(chosen: Pairs, among: Pairs, n_right: int) -> np.ndarray:
    """Return where the chosen pairs stand among all, both in order of left and right."""
    return np.searchsorted(among.left * n_right + among.right, chosen.left * n_right + chosen.right)
