"""Filters that no record can have, and files whose records are all alike.

A filter of ones has much in common with every other, and takes other records' links. Hardening
leaves about half of the bits set, with a spread that is known; without it, no record has many more
bits than the others of its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import EncodingInfo, Encodings, count_bits

_SPREADS = 12.0
"""Standard deviations. Of 10**12 records none is 8 away if its bits are set at random; a record's
bits are not quite independent, so that the limit is wider."""
_NEARLY_ALL = 0.95
"""Share of bits that no record sets where half of the records set far fewer."""
_NORMAL = 1.4826
"""From the median deviation to the standard deviation, if values are normal."""
_SAMPLE = 256
_ALIKE = 0.05
"""Of made-up and of public files, at most one in 1,000 pairs of records had equal filters."""


def implausible(a: Encodings) -> NDArray[np.bool_]:
    """Mark rows with a filter that no record can have: (n,)."""
    return beyond(a.words, a.info, bit_limits(a))


def beyond(
    words: NDArray[np.uint64], info: EncodingInfo, limits: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mark rows that have more bits in a group than a limit: (n,).

    Args:
        words: (n, words) CLKs.
        info: The file's header.
        limits: (groups,) from `bit_limits`.
    """
    found = np.zeros(len(words), bool)
    for part, most in zip(_groups(words, info), limits, strict=True):
        found |= count_bits(part) > most
    return found


def bit_limits(a: Encodings) -> NDArray[np.float64]:
    """Find the most bits that a record can have in each group: (groups,).

    In a half-full group the number of bits set has a standard deviation of half the root of its
    bits. In other groups it is estimated from the file's median deviation. Only filters with too
    many bits are marked: a record with few values has few, and takes nobody's links.
    """
    limits = []
    sizes = dict(a.info.groups) or {"": a.info.bits}
    for (name, size), part in zip(sizes.items(), _groups(a.words, a.info), strict=True):
        count = count_bits(part)
        filled = count[count > 0]
        if not len(filled):
            limits.append(float(size))
            continue
        if a.info.decay(name) > 0:
            limits.append(size / 2 + _SPREADS * np.sqrt(size) / 2)
            continue
        middle = float(np.median(filled))
        spread = _NORMAL * float(np.median(np.abs(filled - middle)))
        # Where rows differ much, nearly all bits are too many; where most rows have the same
        # number, half of what is not set is a wide margin.
        most = min(middle + _SPREADS * spread, _NEARLY_ALL * size)
        limits.append(max(most, middle + (size - middle) / 2))
    return np.array(limits)


def _groups(words: NDArray[np.uint64], info: EncodingInfo) -> list[NDArray[np.uint64]]:
    starts = np.cumsum([0, *(info.groups.values() or [64 * words.shape[1]])]) // 64
    return [np.ascontiguousarray(words[:, first:last]) for first, last in pairwise(starts)]


def set_aside(a: Encodings, rows: NDArray[np.bool_]) -> Encodings:
    """Empty the filters of some rows, so that they are similar to nothing."""
    if not rows.any():
        return a
    clks = a.clks.copy()
    clks[rows] = 0
    return replace(a, clks=clks)


def was_set_aside(a: Encodings) -> bool:
    """Tell whether a row's filter was emptied already, as it is when a file is read."""
    return a.info.popcounts.minimum > 0 and not count_bits(a.words).all()


def without_implausible(files: Sequence[Encodings]) -> tuple[list[Encodings], dict[str, int]]:
    """Empty the filters that no record can have; and count them, by holder."""
    made, counts = [], {}
    for at, one in enumerate(files, start=1):
        rows = implausible(one)
        made.append(set_aside(one, rows))
        if rows.any():
            counts[one.info.holder or f"file {at}"] = int(rows.sum())
    return made, counts


def all_alike(a: Encodings) -> bool:
    """Tell whether one in twenty pairs of a file's records, or more, have equal filters."""
    rows = a.clks[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    _, counts = np.unique(rows, axis=0, return_counts=True)
    pairs = len(rows) * (len(rows) - 1)
    return pairs > 0 and float((counts * (counts - 1)).sum()) / pairs > _ALIKE
