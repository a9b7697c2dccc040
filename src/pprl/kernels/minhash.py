"""Min-hashing: for every slot the least of the numbers that a record's tokens draw there.

Numbers are 16 bits, the lowest of which is what the slot gives. Slots stand in blocks of
``b``: a table of numbers is (slots / b, rows, b), so that the rows of one block lie
together. Bit k of packed word i of a block is the one of slot ``k * (b / 16) + i``: so packing
is the same operation on whole vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel

NOTHING = 0xFFFE
"""The number of a slot for which there is no token: larger than any token's, its bit 0."""

_ONE = np.uint16(1)


@kernel
def look_up(stream: NDArray[np.uint16], table: NDArray[np.uint16], out: NDArray[np.uint16]) -> None:
    """Put ``table[stream[row, slot]]`` in its place of ``out``: (blocks, rows, b)."""
    blocks, rows, wide = out.shape
    for row in range(rows):
        for block in range(blocks):
            for at in range(wide):
                out[block, row, at] = table[stream[row, block * wide + at]]


@kernel
def count_repeats(
    members: NDArray[np.int32],
    offsets: NDArray[np.int64],
    counts: NDArray[np.int32],
    tokens: NDArray[np.int32],
    repeats: NDArray[np.int32],
    ends: NDArray[np.int64],
) -> None:
    """List the distinct members of each run, and how often each is there.

    Run r of ``members`` is from ``offsets[r]`` to ``offsets[r + 1]``; its distinct members
    are written to ``tokens`` and ``repeats`` from ``ends[r]`` to ``ends[r + 1]``, in the order
    in which they first appear. ``counts`` has an entry for every member, zeroed.
    """
    ends[0] = 0
    to = 0
    for run in range(offsets.shape[0] - 1):
        for at in range(offsets[run], offsets[run + 1]):
            counts[members[at]] += 1
        for at in range(offsets[run], offsets[run + 1]):
            member = members[at]
            if counts[member]:
                tokens[to] = member
                repeats[to] = counts[member]
                counts[member] = 0
                to += 1
        ends[run + 1] = to


@kernel
def least_of_runs(
    numbers: NDArray[np.uint16],
    tokens: NDArray[np.int32],
    ends: NDArray[np.int64],
    added: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> None:
    """Write to row r of ``out`` the least numbers of the tokens of run r.

    ``numbers`` is (tokens, b) and ``out`` (runs, b): one block. To the numbers of token
    ``tokens[at]`` is added ``added[at]``, modulo 2**16.
    """
    for run in range(ends.shape[0] - 1):
        for slot in range(out.shape[1]):
            out[run, slot] = np.uint16(NOTHING)
        for at in range(ends[run], ends[run + 1]):
            token = tokens[at]
            more = added[at]
            for slot in range(out.shape[1]):
                number = np.uint16(numbers[token, slot] + more)
                out[run, slot] = min(out[run, slot], number)


@kernel
def least_of_rows(
    rows: NDArray[np.int32], numbers: NDArray[np.uint16], out: NDArray[np.uint16]
) -> None:
    """Pack the lowest bits of the least numbers of the rows of each record.

    ``rows`` is (n, f): the rows of ``numbers``, (runs, b), of which record r has the least;
    ``out`` is (n, b / 16), packed as the module says.
    """
    wide = numbers.shape[1]
    words = wide // 16
    least = np.empty(wide, np.uint16)
    for record in range(rows.shape[0]):
        first = rows[record, 0]
        for slot in range(wide):
            least[slot] = numbers[first, slot]
        for at in range(1, rows.shape[1]):
            row = rows[record, at]
            for slot in range(wide):
                least[slot] = min(least[slot], numbers[row, slot])
        for word in range(words):
            out[record, word] = 0
        for bit in range(16):
            shift = np.uint16(bit)
            for word in range(words):
                low = (least[bit * words + word] & _ONE) << shift
                out[record, word] |= np.uint16(low)
