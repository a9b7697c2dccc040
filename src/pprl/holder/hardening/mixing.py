"""Hardening without noise: finished filters, rearranged or combined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from pprl.holder.hardening.draws import Draws

_ONE, _SEVEN = np.uint8(1), np.uint8(7)


def xor_fold(filters: NDArray[np.uint8], folds: int) -> NDArray[np.uint8]:
    """XOR the second half of each (n, bytes) filter onto the first, ``folds`` times.

    Source: Schnell and Borgs, XOR-folding for Bloom filter-based encryptions for
    privacy-preserving record linkage (2016).
    """
    for _ in range(folds):
        half = filters.shape[1] // 2
        filters = filters[:, :half] ^ filters[:, half:]
    return filters


def permutation(bits: int, draws: Draws) -> NDArray[np.int64]:
    """Draw an order of ``bits`` bits; bit i of a shuffled filter is bit ``order[i]``."""
    return np.array(draws.shuffled(bits), np.int64)


def balance(filters: NDArray[np.uint8], order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Append to each (n, bytes) filter its complement, and put the bits in ``order``.

    Source: Schnell and Borgs, Randomized response and balanced Bloom filters for
    privacy preserving record linkage (2016).
    """
    return pick(np.concatenate([filters, ~filters], axis=1), order)


def pick(filters: NDArray[np.uint8], order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Make filters whose bit i is bit ``order[i]`` of the (n, bytes) given ones."""
    return np.packbits(np.unpackbits(filters, axis=1)[:, order], axis=1)


def sampled(
    slots: Sequence[tuple[int, int]], weights: Sequence[int], bits: int, draws: Draws
) -> NDArray[np.int64]:
    """Sample positions from the filters of fields, by weight, and shuffle them.

    A field's positions are dealt from a shuffled pool that is filled again when it is
    empty, so that each is taken equally often.

    Args:
        slots: First bit and length of each field's filter.
        weights: How the CLK is shared among them.
        bits: Length of the CLK.
        draws: Where randomness comes from.

    Returns:
        (bits,) int64 positions.

    Source: Durham and others (2014), section 4.
    """
    ends = [bits * total // sum(weights) for total in accumulate(weights)]
    found: list[int] = []
    for (first, length), end in zip(slots, ends, strict=True):
        pool: list[int] = []
        while len(found) < end:
            pool = pool or draws.shuffled(length)
            found.append(first + pool.pop())
    return np.array(found, np.int64)[draws.shuffled(bits)]


def rule_90(filters: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """XOR the two neighbours of each bit, in a ring.

    Source: Schnell and Borgs, Hardening encrypted patient names against cryptographic
    attacks using cellular automata (2018).
    """
    return _left(filters) ^ _right(filters)


def rule_30(filters: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """XOR each bit's left neighbour with the OR of itself and its right neighbour.

    Source: Wolfram, Statistical mechanics of cellular automata (1983).
    """
    return _left(filters) ^ (filters | _right(filters))


def _left(filters: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put each bit's left neighbour, i - 1, in its place."""
    return (filters >> _ONE) | (np.roll(filters, 1, axis=1) << _SEVEN)


def _right(filters: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put each bit's right neighbour, i + 1, in its place."""
    return (filters << _ONE) | (np.roll(filters, -1, axis=1) >> _SEVEN)
