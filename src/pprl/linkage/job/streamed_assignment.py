"""From spilled pairs to links, in memory that grows with the records, not with the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UnreadableFile
from pprl.kernels.assignment import greedy
from pprl.linkage.candidates.crowding import too_many
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut
from pprl.linkage.decision.estimate import Estimate
from pprl.linkage.job.config import JobMatching
from pprl.linkage.job.sampled_null import Judge
from pprl.linkage.job.spill import Order, RunWriter, merged

_POINTS = 2_000


def order_of(matching: JobMatching) -> Order:
    """Return the order in which a matching wants to see the pairs."""
    return "by-record" if matching == "many-to-many" else "best-first"


def write_links(
    parts: Sequence[Path],
    records: tuple[int, int],
    matching: JobMatching,
    path: Path,
    spill: int,
    judge: Judge | None = None,
) -> dict[str, int]:
    """Choose the links among the pairs of many parts; they come out by left and right record.

    The rule is that of `pprl.linkage.assignment.match`; a judge then keeps the best.
    """
    stream = _within(merged(parts, order_of(matching), spill), records)
    partners = [np.zeros(n, np.int64) for n in records]
    if judge:
        stream = judge.watch(stream)
    elif matching == "one-to-one":
        stream = _counted(stream, partners)
    with RunWriter(path, "by-record", spill) as writer:
        if matching == "many-to-many":
            for pairs in _once(stream):
                writer.append_sorted(pairs)
        else:
            chosen = list(_chosen(stream, records, matching))
            links = Pairs.concat(chosen)
            chosen.clear()
            if judge:
                cut = judge.cut(links)
                writer.facts |= _of_cut(cut, links)
                links = links.take(np.arange(cut.links))
            elif matching == "one-to-one":
                writer.facts["crowded"] = [int(too_many(counts).sum()) for counts in partners]
            order = np.argsort(_by_both(links, records[1]), kind="stable")
            writer.append_sorted(links.take(order))
        writer.end_run()
    return {"links": writer.found}


def _within(stream: Iterator[Pairs], records: tuple[int, int]) -> Iterator[Pairs]:
    """Refuse pairs of records that are not in the files, before a kernel sees them.

    Raises:
        UnreadableFile: A part is not of this job.
    """
    for pairs in stream:
        for record, n in zip((pairs.left, pairs.right), records, strict=True):
            if len(record) and not (record.min() >= 0 and record.max() < n):
                raise UnreadableFile(
                    "a part of the job has records that are not in its files. Delete the job's "
                    "folder and begin anew."
                )
        yield pairs


def _of_cut(cut: Cut, ranked: Pairs) -> dict[str, Any]:
    """Say what was decided; the chance that a link is true, at some of the similarities."""
    similarity = ranked.similarity[: cut.links]
    least = float(similarity[-1]) if len(similarity) else None
    some = np.unique(np.linspace(0, max(len(similarity) - 1, 0), _POINTS).astype(np.int64))
    some = some[: len(similarity)]
    # Rising, as interpolation needs it.
    points, places = np.unique(similarity[some], return_index=True)
    return {
        "threshold": least,
        "estimate": Estimate.of(cut).to_dict(),
        "ranked": len(ranked),
        "points": points.tolist(),
        "probability": cut.probability[some[places]].tolist(),
    }


def _by_both(links: Pairs, n_right: int) -> NDArray[np.int64]:
    return links.left * n_right + links.right


def _chosen(
    stream: Iterator[Pairs], records: tuple[int, int], matching: JobMatching
) -> Iterator[Pairs]:
    taken = [np.zeros(n, bool) for n in records]
    for pairs in stream:
        if matching == "one-to-one":
            keep = np.zeros(len(pairs), bool)
            greedy(pairs.left, pairs.right, taken[0], taken[1], keep)
        else:
            one = 1 if matching == "one-to-many" else 0
            keep = _first(pairs.right if one else pairs.left, taken[one])
        yield pairs.take(keep)


def _first(record: NDArray[np.int64], taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the first pair of each record that has none yet."""
    keep = np.zeros(len(record), bool)
    free = np.flatnonzero(~taken[record])
    _, first = np.unique(record[free], return_index=True)
    keep[free[first]] = True
    taken[record[keep]] = True
    return keep


def _counted(stream: Iterator[Pairs], partners: list[NDArray[np.int64]]) -> Iterator[Pairs]:
    """Count each record's partners on the way."""
    for pairs in stream:
        for side, record in enumerate((pairs.left, pairs.right)):
            partners[side] += np.bincount(record, minlength=len(partners[side]))
        yield pairs


def _once(stream: Iterator[Pairs]) -> Iterator[Pairs]:
    """Drop a pair of records that was met before, in other variants; the best comes first."""
    last = (-1, -1)
    for pairs in stream:
        new = np.empty(len(pairs), bool)
        new[0] = (int(pairs.left[0]), int(pairs.right[0])) != last
        new[1:] = (pairs.left[1:] != pairs.left[:-1]) | (pairs.right[1:] != pairs.right[:-1])
        last = int(pairs.left[-1]), int(pairs.right[-1])
        yield pairs.take(new)
