"""A linkage held against the truth, for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.evaluation.clusters import evaluate_clusters
from pprl.evaluation.quality import evaluate, read_true_pairs
from pprl.evaluation.report.linked import Outcome
from pprl.evaluation.report.model import ErrorRates
from pprl.evaluation.report.run import Run
from pprl.exchange.links import Clusters


@dataclass(frozen=True, eq=False)
class Judged:
    """What a truth says of a linkage.

    Attributes:
        quality: The content of ``quality.json``.
        pairs: True pairs of record ids, left and right; None for clusters.
        hit: (n,) whether each link is a true pair; None for clusters.
        found: The links that are.
    """

    quality: dict[str, Any]
    pairs: pd.MultiIndex | None
    hit: NDArray[np.bool_] | None
    found: pd.MultiIndex | None

    @classmethod
    def by(cls, run: Run, truth: Any) -> Judged:
        """Hold a run against the truth, as `pprl.evaluate` and `evaluate_clusters` do."""
        if isinstance(run.found, Clusters):
            return cls(evaluate_clusters(run.found, truth).to_dict(), None, None, None)
        quality = evaluate(run.found, truth)
        pairs = read_true_pairs(truth)
        links = pd.MultiIndex.from_frame(run.found.to_pandas()[["left_id", "right_id"]])
        hit = np.asarray(links.isin(pairs))
        return cls(quality.to_dict(), pairs, hit, links[hit])

    @property
    def true_pairs(self) -> int:
        """Number of true pairs."""
        return 0 if self.pairs is None else len(self.pairs)

    def rates(self, outcome: Outcome) -> ErrorRates | None:
        """Report precision, recall and F1, unless there are too few links to tell."""
        return None if outcome.few else outcome.rates(self.quality)

    def partners(self, side: int) -> tuple[pd.Index | None, pd.Index | None]:
        """Return a side's records with a true partner, and those with a link to one."""
        if self.pairs is None or self.found is None:
            return None, None
        return (
            self.pairs.get_level_values(side).unique(),
            self.found.get_level_values(side).unique(),
        )
