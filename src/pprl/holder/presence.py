"""Presence masks: which fields are filled, made coarser where that alone singles people out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SHARED_BY = 10
"""How many records must share a presence pattern. With fewer, somebody with a list that says
which values are missing narrows a record down to a handful, by the mask alone. Ten is a
usual least size of a cell that health statistics publish."""

_SMALL = 2
_WORD = 8


def pattern_counts(mask: NDArray[np.uint8]) -> dict[int, int]:
    """Count presence patterns.

    Args:
        mask: (n, bytes) a bit for each field.

    Returns:
        How many rows have each pattern, read as a whole number, first byte highest.
    """
    width = mask.shape[1]
    if width <= _SMALL:
        counts = np.bincount(_numbers(mask).astype(np.int64))
        return {int(at): int(counts[at]) for at in np.flatnonzero(counts)}
    patterns, found = np.unique(_numbers(mask), return_counts=True)
    return {int(at): int(count) for at, count in zip(patterns, found, strict=True)}


def _numbers(mask: NDArray[np.uint8]) -> NDArray[np.generic]:
    """Read each row as a whole number; Python's own where it has more than 64 bits."""
    width = mask.shape[1]
    if width > _WORD:
        return np.array([int.from_bytes(row.tobytes(), "big") for row in mask], object)
    padded = np.zeros((len(mask), _WORD), np.uint8)
    padded[:, _WORD - width :] = mask
    return padded.view(">u8")[:, 0].astype(np.uint64)


def coarser(counts: Mapping[int, int], shared_by: int) -> dict[int, int]:
    """Say which pattern stands in for each that too few records share.

    The rarest pattern is joined with another rare one, to what they have in common, or with a
    frequent one whose fields it has all: whichever calls the fewest values missing that are
    filled. So it goes on until none is rare. The linkage unit weighs less and is told
    nothing false. Frequent patterns stay. A last rare one that can be joined with none
    becomes the frequent one that differs in the fewest fields; this calls an empty field
    filled, for fewer records than ``shared_by``.

    Args:
        counts: Records by pattern.
        shared_by: How many records must share a pattern.
    """
    frequent = [one for one in sorted(counts) if counts[one] >= shared_by]
    rare = [one for one in sorted(counts) if counts[one] < shared_by]
    kind = np.uint64 if max(counts, default=0) < 1 << 64 else object
    # Frequent patterns first; they are joined with, and never change.
    patterns = np.array(frequent + rare, kind)
    records = np.array([counts[one] for one in frequent + rare], np.int64)
    joined_to = np.arange(len(patterns))
    fixed = len(frequent)
    alive = np.ones(len(patterns), bool)
    while (small := np.flatnonzero(alive & (records < shared_by))).size and alive.sum() > 1:
        at = small[np.argmin(records[small])]
        others = np.flatnonzero(alive)
        others = others[others != at]
        common = patterns[others] & patterns[at]
        own, lost = (
            _bits(patterns[[at]])[0] - _bits(common),
            _bits(patterns[others]) - _bits(common),
        )
        cost = records[at] * own + np.where(others < fixed, 0, records[others]) * lost
        allowed = (others >= fixed) | (lost == 0)
        if allowed.any():
            best = np.flatnonzero(allowed)[np.argmin(cost[allowed])]
            patterns[others[best]] = common[best]
        else:
            best = np.argmin(_bits(patterns[others] ^ patterns[at]))
        joined_to[at] = others[best]
        records[others[best]] += records[at]
        alive[at] = False
    found = {}
    for place, pattern in enumerate(rare, start=fixed):
        end = place
        while joined_to[end] != end:
            end = joined_to[end]
        if int(patterns[end]) != pattern:
            found[pattern] = int(patterns[end])
    return found


def _bits(patterns: NDArray[np.generic]) -> NDArray[np.int64]:
    """Count the fields of patterns."""
    if patterns.dtype == object:
        return np.array([int(one).bit_count() for one in patterns], np.int64)
    counts: NDArray[np.int64] = np.bitwise_count(patterns).astype(np.int64)
    return counts


def replace_patterns(mask: NDArray[np.uint8], stand_ins: Mapping[int, int]) -> NDArray[np.uint8]:
    """Put other patterns in the place of some: (n, bytes), the same array if none is there."""
    if not stand_ins or not len(mask):
        return mask
    width = mask.shape[1]
    numbers = _numbers(mask)
    patterns, places = np.unique(numbers, return_inverse=True)
    if not any(int(one) in stand_ins for one in patterns):
        return mask
    new = [stand_ins.get(int(one), int(one)).to_bytes(width, "big") for one in patterns]
    table = np.frombuffer(b"".join(new), np.uint8).reshape(-1, width)
    return table[places]
