"""Cutting runs of letters into overlapping pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import kernel


@kernel
def rank(
    points: NDArray[np.uint8] | NDArray[np.uint32],
    blank: int,
    numbers: NDArray[np.uint32],
    distinct: NDArray[np.uint32],
    out: NDArray[np.uint32],
) -> int:
    """Number distinct code points in order of appearance; return how many there are.

    The blank is number 0, whether or not it appears. ``numbers`` is a zeroed table with
    an entry for every possible code point; ``distinct[k]`` becomes code point number k.
    """
    count = 1
    numbers[blank] = 1
    distinct[0] = blank
    for at in range(points.shape[0]):
        point = points[at]
        if numbers[point] == 0:
            distinct[count] = point
            count += 1
            numbers[point] = count
        out[at] = numbers[point] - np.uint32(1)
    return count


@kernel
def gram_codes(
    letters: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    n: int,
    alphabet: int,
    positional: bool,
    codes: NDArray[np.uint32] | NDArray[np.uint64],
) -> None:
    """Write the n-grams of runs of letters as numbers to the base of the alphabet.

    Each run stands between n - 1 blanks on either side, letter 0. The last letter is
    the lowest digit; above the first stands, if ``positional``, the n-gram's place in
    its run, from 0. ``codes`` must have room for it all.
    """
    base = np.uint64(alphabet)
    room = np.uint64(1)
    for _ in range(n - 1):
        room *= base
    begin = 0
    at = 0
    for run in range(lengths.shape[0]):
        length = lengths[run]
        code = np.uint64(0)
        for place in range(length + n - 1):
            if place >= n:
                code -= np.uint64(letters[begin + place - n]) * room
            code *= base
            if place < length:
                code += np.uint64(letters[begin + place])
            codes[at] = code + np.uint64(place) * room * base if positional else code
            at += 1
        begin += length
