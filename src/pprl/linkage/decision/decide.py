"""The decision, told once: which candidate pairs are linked where no truth is known.

Pairs within a file without duplicates are null pairs: they show what non-matches look like. The
steps are the same for two files and for several, in memory and in a job; what differs between
them is the `pprl.linkage.decision.design.Design`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.linkage.candidates.blocking import BlockingReport
from pprl.linkage.candidates.crowding import by_file, crowded, near_everybody
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut
from pprl.linkage.decision.design import Design
from pprl.linkage.decision.estimate import Estimate, false_links_within, unless_all_false
from pprl.linkage.decision.fit import Candidates, fit
from pprl.linkage.model.density_ratio import Evidence
from pprl.linkage.model.scoring import Criterion

_CURVE = 512
_FEW_BELOW = 0.02


@dataclass(frozen=True, eq=False)
class Decision:
    """Candidate links, best score first, and how many of them to keep.

    Attributes:
        ranked: One-to-one pairs with their Dice similarity, best score first.
        scores: (m,) their scores, falling.
        cut: How many to keep.
        floor: The Dice similarity from which on pairs were looked at.
        similarities: (p,) similarities of all pairs between files that were looked at.
        evidence: How groups and masks were weighed; None where there is but one similarity.
        blocking: What blocking left out; None where every pair was compared.
        compared: Number of pairs of rows between files that were compared.
        repeating: The holders whose files seem to repeat people.
        implausible: Filters that no record can have, by holder; they were set aside.
        crowded: Records that are like improbably many others, by holder.
        taken: How many links are of such records.
        poisoned: Whether there were records of either kind.
        untold: Whether there is nothing to tell matches from: all records are alike, or there
            is one in each file.
    """

    ranked: Pairs
    scores: NDArray[np.float64]
    cut: Cut
    floor: float
    similarities: NDArray[np.float64]
    evidence: Evidence | None
    blocking: BlockingReport | None
    compared: int
    repeating: tuple[str, ...]
    implausible: Mapping[str, int] = field(default_factory=dict)
    crowded: Mapping[str, int] = field(default_factory=dict)
    taken: int = 0
    poisoned: bool = False
    untold: bool = False

    @classmethod
    def nothing(cls, *, untold: bool = False) -> Decision:
        """Decide nothing, where there are no two files with records to tell apart."""
        none = np.empty(0)
        return cls(Pairs.concat([]), none, Cut.none(), 0.0, none, None, None, 0, (), untold=untold)

    @cached_property
    def kept(self) -> Pairs:
        """The links, best score first."""
        return self.ranked.take(slice(self.cut.links))

    @property
    def criterion(self) -> Criterion:
        """How pairs are scored, and the score from which on they are linked."""
        if not self.cut.links:
            return Criterion.nothing()
        last = float(self.scores[self.cut.links - 1])
        return Criterion(last, self.floor, rivals=True, evidence=self.evidence)

    @property
    def curve(self) -> pa.Table:
        """What other cuts would give: at most 513 rows, the score falling.

        The cut that was decided is one of the rows, so that it can be found in the curve.

        Columns: ``score`` of the cut, ``similarity`` of the link there, ``links`` at or
        above, how many of these are expected to be false (``expected_false``), and the
        interval of that number (``false_low``, ``false_high``), as of `Estimate`.
        """
        m = len(self.scores)
        ranks = np.linspace(0, m - 1, min(m, _CURVE)).astype(np.int64)
        ranks = np.union1d(ranks, [self.cut.links - 1] if self.cut.links else []).astype(np.int64)
        expected = self.cut.expected[ranks]
        within = [
            false_links_within(float(false), int(rank) + 1, self.cut.weight)
            for false, rank in zip(expected, ranks, strict=True)
        ]
        low, high = np.array(within, np.float64).reshape(-1, 2).T
        return pa.table(
            {
                "score": self.scores[ranks],
                "similarity": self.ranked.similarity[ranks],
                "links": ranks + 1,
                "expected_false": expected,
                "false_low": low,
                "false_high": high,
            }
        )

    @property
    def estimate(self) -> Estimate:
        """What is estimated of the links."""
        return Estimate.of(self.cut, self.taken, poisoned=self.poisoned)

    @property
    def nearly_least(self) -> float:
        """The similarity that all but one in fifty of the links reach; 1 without links."""
        return nearly_least_of(self.kept.similarity)

    def with_crowded(
        self,
        pairs: Pairs,
        links: Pairs,
        files: NDArray[np.int64],
        names: Sequence[str],
        *,
        set_aside: bool,
    ) -> Decision:
        """Find the records that are like improbably many others.

        Args:
            pairs: The pairs between files that were looked at, records of all files in one row.
            links: The links, numbered in the same way.
            files: (records,) the file of each record.
            names: The files' names.
            set_aside: Whether there were filters that no record can have.
        """
        reached = pairs.take(pairs.similarity >= self.nearly_least)
        marked = crowded(reached, len(files)) | near_everybody(pairs, files)
        counts = by_file(marked, files, names)
        taken = int((marked[links.left] | marked[links.right]).sum())
        poisoned = set_aside or bool(counts)
        return replace(self, crowded=counts, taken=taken, poisoned=poisoned)


def decide(candidates: Candidates, design: Design, *, precision: float | None = None) -> Decision:
    """Rank candidate pairs, and find where to cut.

    Args:
        candidates: The pairs that were compared, all of them.
        design: Who may be linked to whom.
        precision: Links end where the estimated precision of all of them falls below this, if
            that is sooner.
    """
    found = fit(candidates, design)
    return Decision(
        found.links,
        found.scores,
        keep(found.cut, precision),
        candidates.floor,
        candidates.between.pairs.similarity,
        found.evidence,
        candidates.blocking,
        candidates.compared,
        found.repeating,
    )


def nearly_least_of(similarity: NDArray[np.float64]) -> float:
    """Return the similarity that all but one in fifty links reach; 1 without links.

    The score has more to it than the similarity, so that a few links may be much less alike.

    Args:
        similarity: (links,) of the links.
    """
    return float(np.quantile(similarity, _FEW_BELOW)) if len(similarity) else 1.0


def keep(cut: Cut, precision: float | None) -> Cut:
    """Keep no links where all may be false, and no more than a precision allows."""
    cut = unless_all_false(cut)
    return cut if precision is None else cut.down_to(precision)
