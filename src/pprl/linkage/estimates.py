"""What two filters had in common before noise or diffusion, estimated from afterwards."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError

Numbers = TypeVar("Numbers", float, NDArray[np.float64])


def dice_before_noise(
    common: Numbers, left: Numbers, right: Numbers, *, bits: int, flip: float
) -> Numbers:
    """Estimate the Dice similarity before randomised response.

    Expected counts are inverted: with p the chance of a flip, a filter with n of l bits
    set is seen with (1 - 2p) n + l p, and the common bits likewise. The counts are
    without bias, and so the similarity nearly; it may leave 0 to 1.

    Args:
        common: Bits set in both, after noise.
        left: Bits set in the one.
        right: Bits set in the other.
        bits: Length of the filters, l.
        flip: p; half the schema's ``f``. The same on both sides.

    Raises:
        UsageError: ``flip`` is not from 0 to below one half.
    """
    if not 0 <= flip < 0.5:
        raise UsageError(f"flip must be from 0 to below 0.5, not {flip}.")
    keep = 1 - 2 * flip
    both = (common - flip * (left + right) + bits * flip * flip) / keep**2
    total = (left + right - 2 * bits * flip) / keep
    return 2 * both / total


def distance_before_diffusion(distance: NDArray[np.float64], t: int) -> NDArray[np.float64]:
    """Estimate the share of bits in which two filters differed before diffusion.

    After it they differ in (1 - (1 - 2d)**t) / 2, solved for d; where they differ in half
    their bits or more, nothing is left to tell and the answer is 0.5.

    Args:
        distance: Share of bits that differ afterwards, 0 to 1.
        t: Positions XORed into each bit.
    """
    left = np.maximum(1 - 2 * np.asarray(distance, np.float64), 0.0)
    return np.asarray((1 - left ** (1 / t)) / 2)
