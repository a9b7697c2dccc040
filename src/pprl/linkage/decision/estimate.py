"""What is estimated of links without a truth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from pprl.errors import UsageError
from pprl.linkage.decision.cut import Cut

_MODEL_ERROR = 2.5
"""The factor by which the expected number of false links is wrong at most, nearly always."""
_UNSEEN = 3.7
"""How many false links there may be where none is expected: the upper limit, at 97.5 %, of the
mean of a Poisson count of which none was seen (-ln 0.025). Two were too few for practice data with
fewer than 200 links."""
_LEAST_TRUE = 0.75
"""Below this estimated precision, links of which all may be false are not kept."""


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
            twice the standard deviation of the count of null pairs that it comes from on
            top, and 3.7 such pairs, which is what a count of none leaves open.
        false_links: Expected number of false links.
    """

    precision: Figure | None
    false_links: float

    @classmethod
    def of(cls, cut: Cut, taken: int = 0, *, poisoned: bool = False) -> Estimate:
        """Estimate what a cut gives.

        Args:
            cut: The links that are kept, and how many of them seem false.
            taken: Links of records that are like improbably many others. They count as false.
            poisoned: Whether there were filters that no person has. There may be more that
                look honest, so that one link at least is taken for false.
        """
        links, false = cut.links, min(cut.false_links + taken, cut.links)
        if not links:
            return cls(None, 0.0)
        low, high = false_links_within(false, links, cut.weight)
        if poisoned:
            false, high, low = max(false, 1.0), max(high, 1.0), max(low, 1.0)
        return cls(Figure(1 - false / links, 1 - high / links, 1 - low / links), false)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``estimate.json``."""
        return asdict(self)


def false_links_within(false: float, links: int, weight: float) -> tuple[float, float]:
    """Return the least and the greatest number of false links that an estimate leaves open.

    Args:
        false: Expected number of false links.
        links: Number of links among which they are.
        weight: How many false links a null pair counts for; 1 at least.
    """
    chance = 2 * math.sqrt(false * weight)
    high = min(false * _MODEL_ERROR + chance + _UNSEEN * weight, float(links))
    return max(false / _MODEL_ERROR - chance, 0.0), high


def unless_all_false(cut: Cut) -> Cut:
    """Keep no links if the estimated precision is below 0.75 and its interval includes 0.

    Wherever files that had nobody in common, of those that this was tried on, seemed to have
    links, that was so; and nowhere else.
    """
    links, false = cut.links, cut.false_links
    # Calibrated with two pairs on top, not with as many as the published interval has.
    most = false * _MODEL_ERROR + 2 * math.sqrt(false * cut.weight) + 2 * cut.weight
    all_false = links and most >= links and 1 - false / links < _LEAST_TRUE
    return cut.keep(0) if all_false else cut


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
