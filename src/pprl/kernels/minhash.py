"""Min-hashing: for every slot the least of the numbers that a record's tokens draw there.

Numbers are 16 bits, the lowest of which is what the slot gives. Slots are worked on in blocks
of ``b``, a multiple of `WIDE`, so that the numbers in use stay near the processor: a table of
numbers is (slots / b, rows, b), the rows of one block one after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel
from pprl.kernels.numbers import (
    WIDE,
    alike,
    fetch,
    lesser,
    minus,
    plus,
    read,
    write,
    write_low_bits,
)

NOTHING = 0xFFFE
"""The number of a slot for which there is no token: larger than any token's, its bit 0."""

LINE = 32
"""Numbers that come from memory at a time."""
AHEAD = 2
"""Records between asking for numbers and using them: with more, the first are gone again."""


@kernel
def look_up(
    stream: NDArray[np.uint16], table: NDArray[np.uint16], first: int, out: NDArray[np.uint16]
) -> None:
    """Put ``table[stream[row, slot]]`` in row ``first + row`` of ``out``: (blocks, rows, b)."""
    blocks, _, wide = out.shape
    for row in range(stream.shape[0]):
        for block in range(blocks):
            for at in range(wide):
                out[block, first + row, at] = table[stream[row, block * wide + at]]


@kernel
def count_repeats(
    members: NDArray[np.int32],
    offsets: NDArray[np.int64],
    counts: NDArray[np.int32],
    times: NDArray[np.int32],
) -> None:
    """Say for each member of a run how many of its kind the run has up to there.

    Run r of ``members`` is from ``offsets[r]`` to ``offsets[r + 1]``; ``times`` has an entry for
    every place in ``members``, ``counts`` one for every distinct member, zeroed.
    """
    for run in range(offsets.shape[0] - 1):
        for at in range(offsets[run], offsets[run + 1]):
            counts[members[at]] += 1
            times[at] = counts[members[at]]
        for at in range(offsets[run], offsets[run + 1]):
            counts[members[at]] = 0


@kernel
def stretch_codes(
    symbols: NDArray[np.int32],
    offsets: NDArray[np.int64],
    length: int,
    base: int,
    codes: NDArray[np.uint64],
) -> None:
    """Write each run of symbols as stretches of a length, numbers to a base; the last is shorter.

    Symbols are below ``base`` - 1; 0 fills up the last stretch of a run, and others are one
    higher. Each run has one stretch at least.
    """
    to = 0
    for run in range(offsets.shape[0] - 1):
        at, end = offsets[run], offsets[run + 1]
        while True:
            code = np.uint64(0)
            for _ in range(length):
                code *= np.uint64(base)
                if at < end:
                    code += np.uint64(symbols[at]) + np.uint64(1)
                    at += 1
            codes[to] = code
            to += 1
            if at >= end:
                break


@kernel
def least_of_runs(
    numbers: NDArray[np.uint16],
    members: NDArray[np.int32],
    offsets: NDArray[np.int64],
    less: NDArray[np.uint16],
    out: NDArray[np.uint16],
) -> None:
    """Write to row r of ``out`` the least numbers of run r.

    ``numbers`` is (tokens, b) and ``out`` (runs, b): one block. Run r of ``members`` is from
    ``offsets[r]`` to ``offsets[r + 1]``; from the numbers of the member in place ``at`` of all,
    ``less[at]`` is subtracted.
    """
    wide = out.shape[1]
    table = numbers.reshape(numbers.size)
    made = out.reshape(out.size)
    for run in range(out.shape[0]):
        for slot in range(0, wide, WIDE):
            least = alike(np.uint16(NOTHING))
            for at in range(offsets[run], offsets[run + 1]):
                mine = read(table, np.int64(members[at]) * wide + slot)
                least = lesser(least, minus(mine, alike(less[at])))
            write(made, run * wide + slot, least)


@kernel
def rows_of_records(
    values: NDArray[np.int32],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int32],
    added: NDArray[np.uint16],
    ends: NDArray[np.int64],
    own: NDArray[np.int32],
    more: NDArray[np.uint16],
) -> None:
    """List the rows of numbers that each record's values are made of, and what is added to them.

    ``values`` is (n, f), negative for none. Value v has ``rows[offsets[v] : offsets[v + 1]]``,
    to whose numbers ``added[v]`` is added. Record r gets ``own[ends[r] : ends[r + 1]]`` and as
    many numbers in ``more``.
    """
    to = 0
    ends[0] = 0
    for record in range(values.shape[0]):
        for at in range(values.shape[1]):
            value = values[record, at]
            if value >= 0:
                for place in range(offsets[value], offsets[value + 1]):
                    own[to] = rows[place]
                    more[to] = added[value]
                    to += 1
        ends[record + 1] = to


@kernel
def least_of_rows(
    ends: NDArray[np.int64],
    rows: NDArray[np.int32],
    added: NDArray[np.uint16],
    numbers: NDArray[np.uint16],
    first: int,
    out: NDArray[np.uint32],
) -> None:
    """Write the lowest bits of the least numbers of the rows of each record.

    Record r has the rows ``rows[ends[r] : ends[r + 1]]`` of ``numbers``, (rows, b), and the
    numbers at the same places of ``added`` are added to them; without a row, its bits are 0.
    ``out`` is (n, slots / 32), and slot ``32 first + i`` becomes bit ``i & 31`` of word
    ``first + (i >> 5)``.
    Most rows come from far away in memory, so those of a later record are asked for beforehand.
    """
    wide = numbers.shape[1]
    table = numbers.reshape(numbers.size)
    words = out.reshape(out.size)
    for record in range(out.shape[0]):
        begin, end = ends[record], ends[record + 1]
        later = min(record + AHEAD, out.shape[0] - 1)
        for at in range(ends[later], ends[later + 1]):
            for line in range(0, wide, LINE):
                fetch(table, np.int64(rows[at]) * wide + line)
        to = record * out.shape[1] + first
        for slot in range(0, wide, WIDE):
            least = alike(np.uint16(NOTHING))
            for at in range(begin, end):
                mine = read(table, np.int64(rows[at]) * wide + slot)
                least = lesser(least, plus(mine, alike(added[at])))
            write_low_bits(words, to + slot // 32, least)
