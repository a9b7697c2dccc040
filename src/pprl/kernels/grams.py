"""Cutting runs of letters into overlapping pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel


@kernel
def pad(
    points: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    width: int,
    blank: int,
    out: NDArray[np.uint32],
) -> None:
    """Copy runs of ``points`` into ``out``, each between ``width`` blanks on either side."""
    read = 0
    write = 0
    for run in range(lengths.shape[0]):
        for _ in range(width):
            out[write] = blank
            write += 1
        for _ in range(lengths[run]):
            out[write] = points[read]
            read += 1
            write += 1
        for _ in range(width):
            out[write] = blank
            write += 1


@kernel
def rank(points: NDArray[np.uint32], numbers: NDArray[np.uint32], out: NDArray[np.uint32]) -> int:
    """Number distinct code points from 0 in order of appearance; return how many there are.

    ``numbers`` is a zeroed table with an entry for every possible code point.
    """
    count = 0
    for at in range(points.shape[0]):
        point = points[at]
        if numbers[point] == 0:
            count += 1
            numbers[point] = count
        out[at] = numbers[point] - np.uint32(1)
    return count


@kernel
def lay_out(
    lengths: NDArray[np.int64],
    n: int,
    starts: NDArray[np.int64],
    places: NDArray[np.int64],
) -> None:
    """For each n-gram of each run of at least n, note where it starts and its place."""
    at = 0
    begin = 0
    for run in range(lengths.shape[0]):
        for place in range(lengths[run] - n + 1):
            starts[at] = begin + place
            places[at] = place
            at += 1
        begin += lengths[run]


@kernel
def append_letter(
    letters: NDArray[np.uint32],
    starts: NDArray[np.int64],
    step: int,
    alphabet: int,
    codes: NDArray[np.uint64],
) -> None:
    """Append to each code its letter number ``step``, as the next digit of a number."""
    for at in range(starts.shape[0]):
        codes[at] = codes[at] * np.uint64(alphabet) + np.uint64(letters[starts[at] + step])
