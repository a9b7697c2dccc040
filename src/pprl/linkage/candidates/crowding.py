"""Records that are as alike to improbably many others as a link needs.

A person's record has the person's other records above the threshold, and few of other people. A
filter that was made up to be near many others, or that has hardly a value, reaches many records
that have nothing to do with each other. It takes links that belong to honest records, and no
estimate that is learned from the files knows of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.candidates.pairs import Pairs

LEAST = 20
"""Partners, and persons among them, that a record may have. In made-up registers of 400 to 1,500
people, unhardened and hardened, no record had more than 14, at thresholds down to 0.52."""
_HALF = 0.5
_TIMES = 20
"""Times as many partners as half of the records that have any."""


def crowded(pairs: Pairs, records: int) -> NDArray[np.bool_]:
    """Mark the records that have improbably many partners: (records,) bool.

    It is one that has more than `LEAST`, more than twenty times as many as the median record that
    has any, and whose partners do not belong together by the pairs of the other records: a
    person who is in a file a hundred times is not marked for that.

    Args:
        pairs: Pairs at or above a threshold; ``left`` and ``right`` number the same records.
        records: How many there are.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    counts = np.bincount(pairs.left, minlength=records)
    counts += np.bincount(pairs.right, minlength=records)
    marked = np.zeros(records, bool)
    suspects = too_many(counts)
    if not suspects.any():
        return marked
    others = ~suspects[pairs.left] & ~suspects[pairs.right]
    left, right = pairs.left[others], pairs.right[others]
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), (records, records))
    _, person = connected_components(graph, directed=False)
    # One row for each suspect and person among its partners.
    ends = np.concatenate([pairs.left, pairs.right])
    partners = np.concatenate([pairs.right, pairs.left])
    of_suspects = suspects[ends] & ~suspects[partners]
    found = np.unique(np.stack([ends[of_suspects], person[partners[of_suspects]]]), axis=1)
    marked[np.bincount(found[0], minlength=records) > LEAST] = True
    return marked


def too_many(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark counts of partners above `LEAST` and twenty times the median of those above 0."""
    some = counts[counts > 0]
    most = max(LEAST, _TIMES * float(np.median(some))) if len(some) else LEAST
    marked: NDArray[np.bool_] = counts > most
    return marked


def near_everybody(pairs: Pairs, files: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark records that are near half of the other files' records: (records,) bool.

    Near is what pairs are looked at for, well below a link. In made-up registers, hardened, under
    26 keys, the record that was near most of the others was near 15 to 38 % of them, and up to 37
    times as many as the median record. A filter that was made to be near everybody is near all.

    Args:
        pairs: All pairs between files that were looked at.
        files: (records,) the file of each record.
    """
    counts = np.bincount(np.concatenate([pairs.left, pairs.right]), minlength=len(files))
    return near_half(counts, files)


def near_half(counts: NDArray[np.int64], files: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark records by how many others they are near: (records,) bool; see `near_everybody`.

    Args:
        counts: (records,) how many records of other files each is near.
        files: (records,) the file of each record.
    """
    others = len(files) - np.bincount(files)[files]
    marked: NDArray[np.bool_] = too_many(counts) & (counts > _HALF * others)
    return marked


def between(pairs: Pairs, left: int) -> Pairs:
    """Number the records of two files in one row: the right file's come behind the left one's."""
    return Pairs(pairs.left, left + pairs.right, pairs.similarity)


def by_file(
    marked: NDArray[np.bool_], files: NDArray[np.int64], names: Sequence[str]
) -> dict[str, int]:
    """Count marked records by file, those files only that have some."""
    counts = np.bincount(files[marked], minlength=len(names))
    return {name: int(n) for name, n in zip(names, counts, strict=True) if n}
