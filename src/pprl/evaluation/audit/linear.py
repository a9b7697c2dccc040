"""Undoing linear hardening from the encodings alone, without key, list or known pairs.

A diffused filter is a linear map over GF(2). Where it has more output bits than the filter has,
the encodings of some thousand records span only a part of all words. This part is a code, and its
lightest words are the columns of the secret map, since each position of the filter goes into few
bits. Information-set decoding finds them one by one, and with them the plain filters, in an
unknown order of positions that is the same for every record.

Source: Stern, A method for finding codewords of small weight (1989); Canteaut and Chabaud (1998).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.bits import Rows

_ROUNDS = 40
"""Rounds of the search between two looks at the clock."""
_IDLE = 6
"""Looks without a new column, nearly all being found, after which the search ends."""
_SLACK = 1
"""The lightest words may be so much heavier than the average column of the map."""
FULL = 8
"""An image that lacks no more dimensions than this spans practically all words."""


@dataclass(frozen=True)
class Undone:
    """What information-set decoding found of one group.

    Attributes:
        rank: Dimension of what the encodings span.
        bits: Length of the encodings.
        columns: (c, bits) uint8, columns of the secret map that were found.
        seconds: Processor time.
        filters: (n, c) uint8, the plain filters in an unknown order of positions, if all
            columns but a few were found, otherwise None.
    """

    rank: int
    bits: int
    columns: NDArray[np.uint8]
    seconds: float
    filters: NDArray[np.uint8] | None = None


def packed(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pack (n, 64 w) zeros and ones into (n, w) words, bit j of word j >> 6 first."""
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def unpacked_words(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Unpack (n, w) words into (n, 64 w) zeros and ones."""
    return np.unpackbits(
        np.ascontiguousarray(words).astype("<u8").view(np.uint8), axis=1, bitorder="little"
    )


def span(bits: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], Rows]:
    """Return a reduced basis of what rows span over GF(2), and its pivots.

    Args:
        bits: (n, length) zeros and ones, a multiple of 64 long.
    """
    from pprl.kernels.codes import reduce_rows

    words = packed(bits)
    pivots = np.empty(min(words.shape[0], bits.shape[1]), np.int64)
    order = np.arange(bits.shape[1])
    rank = reduce_rows(words, np.empty((len(words), 0), np.uint64), order, pivots)
    return np.ascontiguousarray(words[:rank]), pivots[:rank].copy()


def undo(
    clks: NDArray[np.uint8], t: int, filter_bits: int, *, seconds: float = 60.0, seed: int = 1
) -> Undone:
    """Recover the plain filters behind diffused ones.

    Args:
        clks: (n, bytes) encodings of one group; a few more than ``filter_bits`` are needed.
        t: Positions that are XORed into each bit, from the schema.
        filter_bits: Length of the filter before diffusion, from the schema.
        seconds: Processor time after which the search is given up.
        seed: Of what is drawn.
    """
    from pprl.kernels.codes import light_words

    start = time.process_time()
    bits = np.unpackbits(clks, axis=1)
    length = bits.shape[1]
    few = bits[: filter_bits + 512]
    basis, pivots = span(few)
    rank = len(basis)
    none = np.empty((0, length), np.uint8)
    if rank > filter_bits or rank >= length - FULL or rank < 2:
        return Undone(rank, length, none, time.process_time() - start)
    most = round(t * length / filter_bits) + _SLACK
    found: dict[bytes, NDArray[np.uint64]] = {}
    room = np.empty((4096, basis.shape[1]), np.uint64)
    turn = 0
    idle = 0
    while time.process_time() - start < seconds and idle < _IDLE:
        before = len(found)
        size = light_words(basis, pivots, most, _ROUNDS, seed + turn, room)
        for word in room[:size]:
            if word.any():
                found.setdefault(word.tobytes(), word.copy())
        idle = idle + 1 if len(found) == before and before > 0.99 * rank else 0
        turn += 1
    columns = unpacked_words(np.array(list(found.values()))) if found else none
    return Undone(rank, length, columns, time.process_time() - start, _solve(basis, columns, bits))


def _solve(
    basis: NDArray[np.uint64], columns: NDArray[np.uint8], bits: NDArray[np.uint8]
) -> NDArray[np.uint8] | None:
    """Write each encoding as a sum of columns: (n, columns) zeros and ones.

    None where more than one column in a hundred is missing. With an even t the columns add up
    to nothing, so that a filter and its complement have one encoding; the lighter is meant.
    """
    from pprl.kernels.codes import reduce_rows

    rank, length = len(basis), bits.shape[1]
    if not len(columns):
        return None
    # Column by column: which are independent are the pivots of the transposed matrix.
    wide = -(-len(columns) // 64) * 64
    upright = np.zeros((length, wide), np.uint8)
    upright[:, : len(columns)] = columns.T
    _, own = span(upright)
    if len(own) < 0.99 * rank:
        return None
    own = np.sort(own)
    whole = np.vstack([columns[own], unpacked_words(basis)])
    upright = np.zeros((length, -(-len(whole) // 64) * 64), np.uint8)
    upright[:, : len(whole)] = whole.T
    whole = whole[np.sort(span(upright)[1])]
    k = len(whole)
    words = packed(whole)
    also = packed(np.eye(k, -(-k // 64) * 64, dtype=np.uint8))
    pivots = np.empty(k, np.int64)
    reduce_rows(words, also, np.arange(length), pivots)
    turn = unpacked_words(also)[:, :k].astype(np.float32)
    made = bits[:, pivots].astype(np.float32) @ turn
    sums = (np.rint(made).astype(np.int64) & 1).astype(np.uint8)
    filters = np.zeros((len(bits), len(columns)), np.uint8)
    filters[:, own] = sums[:, : len(own)]
    _repair(filters, sums[:, len(own) :])
    if not (columns.sum(axis=0) & 1).any():
        filters[filters.mean(axis=1) > 0.5] ^= 1
    return filters


def _repair(filters: NDArray[np.uint8], others: NDArray[np.uint8]) -> None:
    """Take off, in place, what stands in filters for the columns that were not found.

    An encoding that has such a column is a sum of columns and of some ``others``, words of the
    span that are not columns. All encodings with the same others differ from their filters by
    one word, which shows in how often each position is set beside encodings without any.
    """
    if not others.shape[1]:
        return
    kinds, kind = np.unique(others, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    bare = np.flatnonzero(~kinds.any(axis=1))
    usual = filters[kind == bare[0]].mean(axis=0) > 0.5 if len(bare) else False
    for number in np.flatnonzero(kinds.any(axis=1)):
        same = kind == number
        filters[same] ^= ((filters[same].mean(axis=0) > 0.5) != usual).astype(np.uint8)
