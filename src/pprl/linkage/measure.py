"""How alike two records of a pool are, and from where on they are linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.evidence import Evidence
from pprl.linkage.pairs import Pairs
from pprl.linkage.pool import Pool
from pprl.linkage.score import with_margin

_UNIT = 0.02
"""What a unit of log-odds counts in similarity, where clusters are joined by the mean."""


@dataclass(frozen=True, eq=False)
class Measure:
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
    def dice(cls, threshold: float) -> Measure:
        """Link what has a Dice similarity; nothing with a threshold above 1."""
        return cls(threshold, min(threshold, 1.0))

    def linked(self, pool: Pool, pairs: Pairs) -> Pairs:
        """Take the pairs, of all from the floor up, that are linked."""
        score = self.ranked(pool, pairs) if self.rivals else pairs
        return pairs.take(score.similarity >= self.cut)

    def ranked(self, pool: Pool, pairs: Pairs) -> Pairs:
        """Score pairs, less what a rival comes near to."""
        files = len(pool.names)
        # Log-odds below nought speak against a pair; a runner-up with such is no rival.
        floor = self.floor if self.evidence is None else 0.0
        left = pairs.left * files + pool.file[pairs.right]
        right = pairs.right * files + pool.file[pairs.left]
        return with_margin(self._score(pool, pairs), left, right, len(pool) * files, floor)

    def excess(self, pool: Pool, pairs: Pairs) -> NDArray[np.float64]:
        """Return by how much pairs exceed the cut, in units of similarity, rivals aside."""
        over: NDArray[np.float64] = self._score(pool, pairs).similarity - self.cut
        learned = self.evidence is not None and self.evidence.learned
        return over * _UNIT if learned else over

    def _score(self, pool: Pool, pairs: Pairs) -> Pairs:
        if self.evidence is None:
            return pairs
        return self.evidence.score(pool.encodings, pool.encodings, pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``linkage.json``."""
        return {
            "cut": self.cut,
            "floor": self.floor,
            "rivals": self.rivals,
            "evidence": self.evidence and self.evidence.to_dict(),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Measure:
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        evidence = said["evidence"]
        return cls(
            float(said["cut"]),
            float(said["floor"]),
            bool(said["rivals"]),
            None if evidence is None else Evidence.from_dict(evidence),
        )
