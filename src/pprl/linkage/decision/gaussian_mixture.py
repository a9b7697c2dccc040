"""A threshold from two bell curves fitted to the similarities, for those who want one.

It takes the similarities of candidate links to be a mixture of two normal distributions,
non-matches and matches, fits it by expectation and maximisation (Dempster, Laird and Rubin, Journal
of the Royal Statistical Society B 39, 1977), and cuts where a link is as likely of the one as of
the other. The assumption fails where few or nearly all people are in both files, since there is
but one curve then, and wherever errors spread the matches; `pprl.linkage.decision.cut` makes no
such assumption.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

LEAST = 20
"""Fewer links than this show no curves."""
_ROUNDS = 500
_STILL = 1e-7
_NARROWEST = 1e-3
"""Standard deviation; without a bound a curve would shrink to a single value."""


def find_mixture_threshold(similarity: NDArray[np.float64]) -> float | None:
    """Find the least similarity, above the lower curve's middle, that is likelier of the upper one.

    Args:
        similarity: (m,) of the one-to-one candidate links, in any order.

    Returns:
        None where there are fewer than twenty, or nothing belongs to the upper curve.
    """
    if len(similarity) < LEAST:
        return None
    # Begin with the halves of the range, not of the links: few may be matches.
    upper = np.where(similarity > (similarity.min() + similarity.max()) / 2, 1.0, 0.0)
    for _ in range(_ROUNDS):
        before = upper
        shares, means, deviations = _fit(similarity, upper)
        if min(shares) <= 0:
            return None
        log_odds = _log_density(similarity, shares[1], means[1], deviations[1])
        log_odds -= _log_density(similarity, shares[0], means[0], deviations[0])
        upper = expit(log_odds)
        if np.abs(upper - before).max() < _STILL:
            break
    chosen = similarity[(upper >= 0.5) & (similarity >= means[0])]
    return float(chosen.min()) if len(chosen) else None


def _fit(
    similarity: NDArray[np.float64], upper: NDArray[np.float64]
) -> tuple[list[float], list[float], list[float]]:
    """Fit share, mean and standard deviation of the lower and the upper curve."""
    shares, means, deviations = [], [], []
    for belongs in (1 - upper, upper):
        total = max(float(belongs.sum()), 1e-12)
        mean = float(belongs @ similarity) / total
        spread = float(belongs @ (similarity - mean) ** 2) / total
        shares.append(float(belongs.mean()))
        means.append(mean)
        deviations.append(max(np.sqrt(spread), _NARROWEST))
    return shares, means, deviations


def _log_density(
    similarity: NDArray[np.float64], share: float, mean: float, deviation: float
) -> NDArray[np.float64]:
    log: NDArray[np.float64] = (
        np.log(share / deviation) - ((similarity - mean) / deviation) ** 2 / 2
    )
    return log
