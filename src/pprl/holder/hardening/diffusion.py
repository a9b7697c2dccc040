"""Diffusion: each bit of a CLK is the XOR of secret positions of the filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.holder.hardening.draws import Draws


def index_sets(length: int, bits: int, t: int, draws: Draws) -> NDArray[np.uint16]:
    """Draw the positions that each output bit is the XOR of.

    Positions are taken from a shuffled pool of all of them, without putting back; when
    it is empty it is filled and shuffled again. So each is used equally often. One that
    the output bit has already stays in the pool for the next output bit.

    Args:
        length: Bits of the filter.
        bits: Bits of the CLK.
        t: Distinct positions for each output bit; at most ``length``.
        draws: Where randomness comes from.

    Returns:
        (bits, t) uint16 positions.

    Source: Armknecht, Heng and Schnell (2023), algorithm 1, with an output length of
    its own.
    """
    pool: list[int] = []
    sets = np.empty((bits, t), np.uint16)
    for output in range(bits):
        chosen: list[int] = []
        back: list[int] = []
        while len(chosen) < t:
            if not pool:
                pool = draws.shuffled(length)
            position = pool.pop()
            (back if position in chosen else chosen).append(position)
        pool += back
        sets[output] = chosen
    return sets


def diffuse(filters: NDArray[np.uint8], sets: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """XOR the positions of each output bit.

    Args:
        filters: (n, bytes), a multiple of 8 bytes wide.
        sets: (bits, t) positions; ``bits`` a multiple of 64.

    Returns:
        (n, bits / 8) uint8.
    """
    from pprl.kernels.diffuse import xor_positions

    words = np.ascontiguousarray(filters).view(np.uint64)
    out = np.empty((len(words), len(sets) // 64), np.uint64)
    xor_positions(words, sets, out)
    return out.view(np.uint8)


def contrast(fill: float, t: int) -> float:
    """Return c = (1 - 2 fill)**t: what of a filter's signal is left after diffusion.

    The correlation between an output bit and the number of set bits behind it; small
    values leak little and link only clean data.
    """
    return float((1.0 - 2.0 * fill) ** t)
