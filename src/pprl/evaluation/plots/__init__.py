"""The pictures of the linkage report, as functions that return matplotlib figures.

Each takes a report, as `pprl.report` returns it, or what one is made of: a result, or the folder of
a run. So it shows nothing that the report withholds; those that say so take links, plain arrays or
encodings as well. They need the extra ``report``.
"""

from __future__ import annotations

from pprl.evaluation.plots._people import completeness, popcounts, subgroup_rates
from pprl.evaluation.plots._scores import (
    precision_recall,
    similarity_distribution,
    threshold_sensitivity,
)
from pprl.evaluation.plots._steps import blocking_funnel, flow

__all__ = [
    "blocking_funnel",
    "completeness",
    "flow",
    "popcounts",
    "precision_recall",
    "similarity_distribution",
    "subgroup_rates",
    "threshold_sensitivity",
]
