"""How the pairs of a part are scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.job.rows import Rows

Score = Callable[
    [Rows, Rows, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]
]
"""Left rows, right rows, places of the pairs in either, their Dice similarities: (p,) scores.

Pairs below the threshold in Dice similarity are not seen; scores below it are dropped.
"""


def dice(
    left: Rows,  # noqa: ARG001 - what a score may look at
    right: Rows,  # noqa: ARG001
    i: NDArray[np.int64],  # noqa: ARG001
    j: NDArray[np.int64],  # noqa: ARG001
    similarity: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Score by Dice similarity alone."""
    return similarity
