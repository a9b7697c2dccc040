"""How alike two records of a pool are, and from where on they are linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.candidates.similarity import ABOVE_ALL
from pprl.linkage.model.density_ratio import Evidence
from pprl.linkage.model.margin import with_margin

_UNIT = 0.02
"""What a unit of log-odds counts in similarity, where clusters are joined by the mean."""


@dataclass(frozen=True, eq=False)
class Criterion:
    """A score for pairs of records, and its least value for a link.

    Attributes:
        cut: Score from which on two records are linked.
        floor: Dice similarity from which on pairs are looked at.
        rivals: Whether a pair's rivals count against it. A rival has one of its two records,
            and the other record's file.
        evidence: How groups and missing fields are weighed; None where the score is
            Dice similarity.
    """

    cut: float
    floor: float
    rivals: bool = False
    evidence: Evidence | None = None

    @classmethod
    def dice(cls, threshold: float) -> Criterion:
        """Link what has a Dice similarity."""
        return cls(threshold, min(threshold, 1.0))

    @classmethod
    def nothing(cls) -> Criterion:
        """Link nothing."""
        return cls.dice(ABOVE_ALL)

    @property
    def links_nothing(self) -> bool:
        """Whether no pair can reach the cut."""
        return not self.rivals and self.cut > 1.0

    def check(self, encodings: Encodings) -> None:
        """Refuse encodings that have not what is weighed.

        Raises:
            UsageError: Other groups, or no field-presence masks.
        """
        if self.evidence is not None:
            self.evidence.view.check(encodings)

    def linked(self, pool: Pool, pairs: Pairs) -> Pairs:
        """Take the pairs, of all from the floor up, that are linked."""
        score = self.ranked(pool, pairs) if self.rivals else pairs
        return pairs.take(score.similarity >= self.cut)

    def ranked(self, pool: Pool, pairs: Pairs) -> Pairs:
        """Score pairs, less what a rival comes near to."""
        files = len(pool.names)
        left = pairs.left * files + pool.file[pairs.right]
        right = pairs.right * files + pool.file[pairs.left]
        scored, floor = self._score(pool, pairs)
        return with_margin(scored, left, right, floor)

    def excess(self, pool: Pool, pairs: Pairs) -> NDArray[np.float64]:
        """Return by how much pairs exceed the cut, in units of similarity, rivals aside."""
        over: NDArray[np.float64] = self._score(pool, pairs)[0].similarity - self.cut
        learned = self.evidence is not None and self.evidence.learned
        return over * _UNIT if learned else over

    def _score(self, pool: Pool, pairs: Pairs) -> tuple[Pairs, float]:
        if self.evidence is None:
            return pairs, self.floor
        return self.evidence.score(pool.encodings, pool.encodings, pairs), 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``linkage.json``."""
        return {
            "cut": self.cut,
            "floor": self.floor,
            "rivals": self.rivals,
            "evidence": self.evidence and self.evidence.to_dict(),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Criterion:
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        evidence = said["evidence"]
        cut, floor = float(said["cut"]), float(said["floor"])
        if not (np.isfinite(cut) and 0.0 <= floor <= 1.0 and isinstance(said["rivals"], bool)):
            raise ValueError("no criterion")
        return cls(
            cut, floor, said["rivals"], None if evidence is None else Evidence.from_dict(evidence)
        )
