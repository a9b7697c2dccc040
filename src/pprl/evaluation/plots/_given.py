"""What pictures are drawn of: a report, or whatever one is made of."""

from __future__ import annotations

from os import PathLike
from typing import TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.evaluation.report import report
from pprl.evaluation.report.model import LinkageReport
from pprl.exchange.links import Links
from pprl.linkage.cluster import ClusterResult
from pprl.linkage.link import LinkResult

_Result: TypeAlias = "LinkResult | ClusterResult | str | PathLike[str]"
Run: TypeAlias = "LinkageReport | _Result"
"""A report; what `pprl.link`, `pprl.cluster` or `pprl.dedupe` returned; or a run's folder."""


def is_run(given: object) -> TypeGuard[Run]:
    """Say whether a report is given, or what one is made of."""
    return isinstance(given, LinkageReport | LinkResult | ClusterResult | str | PathLike)


def as_report(given: object) -> LinkageReport:
    """Return the report itself, or make one of a result or of a run's folder.

    Raises:
        UsageError: It is something else.
        DataError: The folder holds no run.
    """
    if isinstance(given, LinkageReport):
        return given
    if not isinstance(given, LinkResult | ClusterResult | str | PathLike):
        raise UsageError(
            f"a picture takes a report, a result of link, cluster or dedupe, or the folder of a "
            f"run, not {type(given).__name__}."
        )
    return report(given)


def as_numbers(given: object) -> NDArray[np.float64]:
    """Return similarities as an array: of links, or of anything that holds numbers.

    Raises:
        UsageError: They are no numbers, or not one for each pair.
    """
    values = given.table["similarity"].to_numpy() if isinstance(given, Links) else given
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        numbers = np.empty((0, 0))
    if numbers.ndim != 1:
        raise UsageError(
            f"a picture of similarities takes a report, a result, links, or one number for each "
            f"pair, not {type(given).__name__}."
        )
    return numbers
