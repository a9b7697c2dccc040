"""What weighted sets share: sums of the lesser weight, for all pairs, by an inverted index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel


@kernel
def shared_weights(
    starts: NDArray[np.int64],
    tokens: NDArray[np.int32],
    weights: NDArray[np.float32],
    token_starts: NDArray[np.int64],
    holders: NDArray[np.int32],
    holder_weights: NDArray[np.float32],
    first: int,
    out: NDArray[np.float32],
) -> None:
    """Sum the lesser weights of the tokens that records share.

    Args:
        starts: (n + 1,) where each record's tokens begin; CSR.
        tokens: (z,) token numbers.
        weights: (z,) their weights.
        token_starts: (tokens + 1,) where each token's holders begin; the transpose of the same.
        holders: (z,) records that hold the token.
        holder_weights: (z,) the token's weight in each.
        first: The record of the first row of ``out``.
        out: (rows, n), zeros before; row r gets the shares of record ``first`` + r with all.
    """
    for row in range(out.shape[0]):
        record = first + row
        for at in range(starts[record], starts[record + 1]):
            weight = weights[at]
            token = tokens[at]
            for place in range(token_starts[token], token_starts[token + 1]):
                other = holder_weights[place]
                out[row, holders[place]] += min(other, weight)
