"""Making the plan of a job: how its work is cut into parts that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pprl.errors import JobError
from pprl.exchange.rows import EncodingsFile
from pprl.exchange.threads import threads
from pprl.linkage.decision.design import once_of
from pprl.linkage.decision.gather import null_records
from pprl.linkage.job.config import Job
from pprl.linkage.job.count_passes import CELLS, PassCounts, count_passes, records_before
from pprl.linkage.job.plan import SIDES, Chunk, Pass, Plan

FAN_IN = 128
"""Files that are merged at once."""

# What Python and the libraries take before any data, and the least that is of use beyond it.
_BASE = 420 << 20
_LEAST = 48 << 20
_PAIR = 24
# The filters, their words, both in tiles, and the sample; and of each record some twenty-five pairs
# with their comparison vectors.
_COPIES = 4
_WEIGHED = 25 * 160
_MOST_ROWS = 1 << 19
_TILE_ROWS = 1 << 17
_ROWS_PER_BUCKET = 250_000
_MOST_BUCKETS = 64


def make_plan(job: Job, left: EncodingsFile, right: EncodingsFile) -> Plan:
    """Plan a job; reads the blocking keys, not the encodings.

    Raises:
        JobError: The memory does not suffice, or a pass is not in the files.
        UnreadableFile: A row group is damaged.
    """
    files = (left, right)
    workers = threads(job.resources.workers)
    memory = job.resources.memory_bytes
    records = (left.info.records, right.info.records)
    words = -(-left.info.bits // 64)
    free = memory - _BASE
    _check_memory(free, workers, records, memory)
    each = free // workers
    automatic = job.linkage.threshold == "auto"
    left_sample, right_sample = (null_records(n, records, job.linkage.sample) for n in records)
    keyed = job.blocking.method == "keys"
    chosen = _chosen_passes(job, left) if keyed else []
    row_bytes = 8 * (words + len(chosen) + 1)
    most = _MOST_ROWS if keyed else _TILE_ROWS
    chunk_rows = int(np.clip(each // (4 * row_bytes if keyed else 12 * row_bytes), 1024, most))
    chunks = [
        Chunk(side=side, start=start, end=end, first_record=first)
        for side, file in zip(SIDES, files, strict=True)
        for start, end, first in _cut(file, chunk_rows)
    ]
    passes: list[Pass] = []
    keyless, tiles = (0, 0), []
    held = max(each // (8 * row_bytes), 1024)
    if keyed:
        counted, keyless = count_passes(files, chosen, job.blocking.largest_block, free // 2)
        names = list(left.info.blocking)
        passes = [
            _buckets(names[at], at, one, held) for at, one in zip(chosen, counted, strict=True)
        ]
    else:
        numbers = {side: [n for n, c in enumerate(chunks) if c.side == side] for side in SIDES}
        tiles = [(a, b) for a in numbers["left"] for b in numbers["right"]]
    return Plan(
        records=records,
        rows=(left.info.rows, right.info.rows),
        words=words,
        bits=left.info.bits,
        keyless=keyless,
        chunks=tuple(chunks),
        passes=tuple(passes),
        tiles=tuple(tiles),
        held=held,
        spill=int(np.clip(each // (8 * 4 * _PAIR), 4096, 1 << 23)),
        fan_in=FAN_IN,
        batch=int(np.clip(free // (8 * 100), 4096, 1 << 21)),
        workers=workers,
        memory=memory,
        automatic=automatic,
        in_memory=automatic and _decides_in_memory(files, free),
        samples=(left_sample, right_sample) if automatic else (0, 0),
        masked=automatic and all("present" in file.columns for file in files),
        once=once_of(job.linkage.matching),
    )


def _decides_in_memory(files: tuple[EncodingsFile, EncodingsFile], free: int) -> bool:
    """Tell whether the links can be decided in memory, as `pprl.link` does."""
    if any("://" in str(file.path) for file in files):
        return False
    each = [_COPIES * (file.info.bits // 8) + 8 * len(file.info.blocking) for file in files]
    needed = sum(size * file.info.rows for size, file in zip(each, files, strict=True))
    return needed + _WEIGHED * sum(file.info.records for file in files) <= free


def _check_memory(free: int, workers: int, records: tuple[int, int], memory: int) -> None:
    # Who is taken, and the links while they are put in order.
    whole = sum(records) + 3 * _PAIR * min(records)
    needed = _BASE + max(workers * _LEAST, whole)
    if free < needed - _BASE:
        raise JobError(
            f"resources.memory: {memory / (1 << 20):,.0f} MiB do not suffice for {workers} "
            f"workers and files of {records[0]:,} and {records[1]:,} records. Give "
            f"{needed / (1 << 20):,.0f} MiB or more, or fewer workers."
        )


def _chosen_passes(job: Job, file: EncodingsFile) -> list[int]:
    names = list(file.info.blocking)
    if not names:
        raise JobError(
            "blocking.method: the encodings have no blocking keys. Add blocking passes to the "
            "schema and let the holders encode again, or set it to 'none'."
        )
    if job.blocking.passes is None:
        return list(range(len(names)))
    for name in job.blocking.passes:
        if name not in names:
            raise JobError(
                f"blocking.passes: there is no pass {name!r}; the files have "
                f"{', '.join(map(repr, names))}."
            )
    return sorted({names.index(name) for name in job.blocking.passes})


def _cut(file: EncodingsFile, most: int) -> Iterator[tuple[int, int, int]]:
    """Cut a file into ranges of about equal size, with the records that begin before each."""
    n = file.info.rows
    pieces = max(-(-n // most), 1)
    starts = [n * at // pieces for at in range(pieces)]
    before = records_before(file, starts)
    yield from zip(starts, [*starts[1:], n], before, strict=True)


def _buckets(name: str, at: int, counts: PassCounts, held: int) -> Pass:
    """Cut the cells of a pass into buckets whose smaller side can be held in memory."""
    total = int(counts.left.sum() + counts.right.sum())
    wanted = int(np.clip(-(-total // _ROWS_PER_BUCKET), 1, _MOST_BUCKETS))
    borders: list[int] = []
    left = right = 0
    for cell in range(CELLS):
        left += int(counts.left[cell])
        right += int(counts.right[cell])
        full = min(left, right) > held or (left + right) * wanted > total
        if full and cell:
            borders.append(cell)
            left, right = int(counts.left[cell]), int(counts.right[cell])
    starts = np.array([0, *borders])

    def summed(values: NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.add.reduceat(values, starts).tolist())

    return Pass(
        name=name,
        at=at,
        borders=tuple(borders),
        left_rows=summed(counts.left),
        right_rows=summed(counts.right),
        pairs=summed(counts.pairs),
        dropped=tuple(counts.dropped.tolist()),
        dropped_pairs=counts.dropped_pairs,
    )
