"""From spilled pairs to links, in memory that grows with the records, not with the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UnreadableFile
from pprl.kernels.assignment import greedy
from pprl.linkage.candidates.crowding import between as side_by_side
from pprl.linkage.candidates.crowding import by_file, crowded, near_half, too_many
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut
from pprl.linkage.decision.decide import keep, nearly_least_of
from pprl.linkage.decision.design import TwoFiles, once_of
from pprl.linkage.decision.estimate import Estimate
from pprl.linkage.job.config import JobMatching
from pprl.linkage.job.fitted import Model
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.spill import RunWriter, merged, opened, read_group, sorted_part
from pprl.linkage.job.spilled import Order, Spilled
from pprl.linkage.model.margin import Rivals


def order_of(matching: JobMatching, *, automatic: bool) -> Order:
    """Return the order in which the pairs of a part are wanted."""
    return "by-record" if automatic or matching == "many-to-many" else "best-first"


def write_links(
    parts: Sequence[Path],
    records: tuple[int, int],
    matching: JobMatching,
    path: Path,
    spill: int,
) -> dict[str, int]:
    """Choose the links among the pairs of many parts; they come out by left and right record.

    The rule is that of `pprl.linkage.assignment.match`.
    """
    stream = _within(merged(parts, order_of(matching, automatic=False), spill), records)
    partners = [np.zeros(n, np.int64) for n in records]
    if matching == "one-to-one":
        stream = _counted(stream, partners)
    with RunWriter(path, "by-record", spill) as writer:
        if matching == "many-to-many":
            for pairs in _once(stream):
                writer.append_sorted(pairs)
        else:
            links = Spilled.concat(list(_chosen(stream, records, matching)))
            if matching == "one-to-one":
                writer.facts["crowded"] = [int(too_many(counts).sum()) for counts in partners]
            writer.append_sorted(links.take(np.lexsort((links.right, links.left))))
        writer.end_run()
    return {"links": writer.found}


def write_ranked(
    parts: Sequence[Path],
    plan: Plan,
    matching: JobMatching,
    model: Model,
    path: Path,
    spill: int,
) -> dict[str, int]:
    """Take the rival margin off the scores of all pairs, and put the best first.

    The pairs are read twice: for the best and second best score of each record, and to take
    the margin off.

    Args:
        parts: Pairs by left and right record, with their scores.
        plan: The plan.
        matching: How many partners a record may have.
        model: How pairs were scored.
        path: The part.
        spill: Pairs to hold at once.
    """
    once = once_of(matching)

    def stream() -> Iterator[tuple[Spilled, list[NDArray[np.int64]], int]]:
        first = 0
        # Of records with variants a pair may be met several times.
        every = _once(merged(parts, "by-record", spill)) if plan.variants else _each(parts)
        for pairs in _within(every, plan.records):
            # A record that may have several links has no rivals.
            places = [pairs.left] if once[1] else []
            places += [plan.records[0] + pairs.right] if once[0] else []
            yield pairs, places, first
            first += len(pairs)

    rivals = Rivals.none(sum(plan.records), model.least)
    for pairs, places, first in stream():
        rivals.see(places, pairs.ranking, first)
    with sorted_part(path, "best-first", spill, scored=True) as writer:
        for pairs, places, first in stream():
            writer.add(replace(pairs, score=rivals.less(places, pairs.ranking, first)))
    return {"ranked": writer.found}


def write_decided_links(
    ranked: Path,
    plan: Plan,
    names: tuple[str, str],
    matching: JobMatching,
    model: Model,
    precision: float | None,
    path: Path,
) -> dict[str, int]:
    """Choose links among ranked pairs, and cut them by what null pairs reach."""
    stream = _within(merged([ranked], "best-first", plan.spill), plan.records)
    every = Spilled.concat(list(_chosen(stream, plan.records, matching)))
    chosen = Pairs(every.left, every.right, every.similarity)
    design = TwoFiles.of(names, np.array(plan.records, np.int64), matching)
    if len(chosen):
        cut = keep(model.null.cut(every.ranking, design.expect(chosen)), precision)
    else:
        cut = Cut.none()
    kept = chosen.take(slice(cut.links))
    marked = _crowded(ranked, plan, kept)
    counts = by_file(marked, np.repeat([0, 1], plan.records), names)
    taken = int((marked[kept.left] | marked[plan.records[0] + kept.right]).sum())
    poisoned = bool(counts or model.implausible) or model.emptied
    facts = {
        "ranked": len(chosen),
        "repeating": list(model.repeating),
        "implausible": dict(model.implausible),
        "crowded": counts,
        "untold": model.untold,
    }
    estimate = Estimate.of(cut, taken, poisoned=poisoned)
    return write_kept(kept, cut, estimate, facts, path, plan.spill)


def _crowded(ranked: Path, plan: Plan, kept: Pairs) -> NDArray[np.bool_]:
    """Mark records that are like improbably many others, the right file's behind the left one's.

    As `pprl.linkage.decision.decide.Decision.with_crowded`, among the pairs that were ranked.
    """
    least, n = nearly_least_of(kept.similarity), sum(plan.records)
    counts, reached = np.zeros(n, np.int64), []
    for pairs in _within(_each([ranked]), plan.records):
        every = side_by_side(Pairs(pairs.left, pairs.right, pairs.similarity), plan.records[0])
        for record in (every.left, every.right):
            np.add.at(counts, record, 1)
        reached.append(every.take(every.similarity >= least))
    files = np.repeat([0, 1], plan.records)
    found: NDArray[np.bool_] = crowded(Pairs.concat(reached), n) | near_half(counts, files)
    return found


def write_kept(
    kept: Pairs,
    cut: Cut,
    estimate: Estimate,
    facts: Mapping[str, Any],
    path: Path,
    spill: int,
) -> dict[str, int]:
    """Write links by left and right record, each with the estimated chance that it is true.

    Args:
        kept: The links, best first.
        cut: What was decided.
        estimate: What is estimated of the links.
        facts: What else is to be known of the decision.
        path: The part; the chance stands in the place of the score.
        spill: Pairs to hold at once.
    """
    order = np.lexsort((kept.right, kept.left))
    links = Spilled(kept.left, kept.right, kept.similarity, cut.probability)
    with RunWriter(path, "by-record", spill, scored=True) as writer:
        writer.append_sorted(links.take(order))
        writer.end_run()
        writer.facts |= {
            "threshold": float(kept.similarity.min()) if len(kept) else None,
            "estimate": estimate.to_dict(),
            "range": list(cut.range),
            **facts,
        }
    return {"links": writer.found}


def _each(parts: Sequence[Path]) -> Iterator[Spilled]:
    """Yield the pairs of parts, one part after another."""
    for path in parts:
        with opened(path) as file:
            for group in range(file.num_row_groups):
                yield read_group(file, path, group)


def _within(stream: Iterator[Spilled], records: tuple[int, int]) -> Iterator[Spilled]:
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


def _chosen(
    stream: Iterator[Spilled], records: tuple[int, int], matching: JobMatching
) -> Iterator[Spilled]:
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


def _counted(stream: Iterator[Spilled], partners: list[NDArray[np.int64]]) -> Iterator[Spilled]:
    """Count each record's partners on the way."""
    for pairs in stream:
        for side, record in enumerate((pairs.left, pairs.right)):
            np.add.at(partners[side], record, 1)
        yield pairs


def _once(stream: Iterator[Spilled]) -> Iterator[Spilled]:
    """Drop a pair of records that was met before, in other variants; the best comes first."""
    last = (-1, -1)
    for pairs in stream:
        if not len(pairs):
            continue
        new = np.empty(len(pairs), bool)
        new[0] = (int(pairs.left[0]), int(pairs.right[0])) != last
        new[1:] = (pairs.left[1:] != pairs.left[:-1]) | (pairs.right[1:] != pairs.right[:-1])
        last = int(pairs.left[-1]), int(pairs.right[-1])
        yield pairs.take(new)
