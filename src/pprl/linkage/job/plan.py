"""The plan of a job: which rows go into which part, so that each part fits in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pprl.errors import JobError
from pprl.exchange.rows import EncodingsFile
from pprl.exchange.threads import threads
from pprl.linkage.decision.design import once_of
from pprl.linkage.decision.gather import null_records
from pprl.linkage.job.config import Job
from pprl.linkage.job.count_passes import CELLS, PassCounts, count_passes, records_before

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

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


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chunk(_Value):
    """Rows of one file. ``first_record`` counts the records that begin before them."""

    side: Side
    start: int
    end: int
    first_record: int


class Pass(_Value):
    """A blocking pass, and how its keys are cut into buckets.

    Attributes:
        name: The pass's name.
        at: Its place among the file's passes.
        borders: The cell at which each bucket but the first begins.
        left_rows, right_rows: Rows of each bucket.
        pairs: Pairs of each bucket that share a key.
        dropped: Keys of the blocks that are too large.
        dropped_pairs: Pairs in them.
    """

    name: str
    at: int
    borders: tuple[int, ...]
    left_rows: tuple[int, ...]
    right_rows: tuple[int, ...]
    pairs: tuple[int, ...]
    dropped: tuple[int, ...]
    dropped_pairs: int


class Plan(_Value):
    """What a job is cut into.

    Attributes:
        records: Records of the left and of the right file.
        rows: Their rows, more than records where these have variants.
        words: Words of a CLK.
        bits: Bits of a CLK.
        keyless: Rows of each file without any key.
        chunks: Rows that are read at once.
        passes: Blocking passes; empty where every pair is compared.
        tiles: Pairs of places in ``chunks`` to compare with each other, without blocking.
        held: Rows of a bucket that a part holds at once.
        spill: Pairs that a part holds before it writes them, sorted.
        fan_in: Files that are merged at once.
        batch: Links whose record ids are looked up at once.
        workers: Threads of a process.
        memory: Its memory in bytes.
        automatic: Whether the threshold is found from the files.
        in_memory: Whether the memory holds both files for an automatic decision, which is then
            one part.
        samples: Records of each file that are drawn for an automatic decision where it
            does not; else 0.
        once: Whether a person is in the left, and in the right file, once at most.
    """

    records: tuple[int, int]
    rows: tuple[int, int]
    words: int
    bits: int
    keyless: tuple[int, int]
    chunks: tuple[Chunk, ...]
    passes: tuple[Pass, ...]
    tiles: tuple[tuple[int, int], ...]
    held: int
    spill: int
    fan_in: int
    batch: int
    workers: int
    memory: int
    automatic: bool = False
    in_memory: bool = False
    samples: tuple[int, int] = (0, 0)
    once: tuple[bool, bool] = (True, True)

    @property
    def sampled(self) -> bool:
        """Whether an automatic decision is learned from samples."""
        return self.automatic and not self.in_memory

    def check(self) -> None:
        """Refuse a plan that was read and does not add up.

        Raises:
            ValueError: Its numbers contradict each other.
        """
        numbers = (*self.records, *self.rows, *self.keyless, self.words, self.bits)
        good = min(numbers) >= 0 and self.bits > 0 and self.words == -(-self.bits // 64)
        good &= (
            min(self.held, self.spill, self.fan_in - 1, self.batch, self.workers, self.memory) > 0
        )
        for side, rows, records in zip(SIDES, self.rows, self.records, strict=True):
            at = 0
            for one in (chunk for chunk in self.chunks if chunk.side == side):
                good &= one.start == at <= one.end <= rows
                good &= 0 <= one.first_record <= records
                at = one.end
            good &= at == rows
        for held in self.passes:
            sizes = (held.left_rows, held.right_rows, held.pairs)
            good &= all(len(size) == len(held.borders) + 1 for size in sizes)
            good &= all(min(size) >= 0 for size in sizes) and held.at >= 0
            good &= list(held.borders) == sorted(held.borders)
        good &= all(0 <= s <= n for s, n in zip(self.samples, self.records, strict=True))
        good &= not self.sampled or min(self.samples) > 0
        for a, b in self.tiles:
            good &= 0 <= a < len(self.chunks) and 0 <= b < len(self.chunks)
        if not good:
            raise ValueError("the plan does not add up")

    @property
    def variants(self) -> bool:
        """Whether some record has several rows."""
        return self.rows != self.records

    @property
    def pairs(self) -> int:
        """Pairs of rows that are compared, those that two passes share counted twice."""
        if not self.passes:
            return self.rows[0] * self.rows[1]
        return sum(sum(one.pairs) for one in self.passes)

    def chunk_parts(self) -> dict[str, Chunk]:
        """Name the parts that sort rows into buckets, and take the sample out of them."""
        if self.in_memory or not (self.passes or self.automatic):
            return {}
        return {f"rows/{one.side}-{at:05}": one for at, one in enumerate(self.chunks)}

    def sampled_parts(self) -> dict[str, tuple[int, int]]:
        """Name the parts that compare samples: (pass, bucket); without blocking (chunk, 0)."""
        if not self.sampled:
            return {}
        if self.passes:
            return {
                f"sampled/{at:02}-{bucket:05}": (at, bucket)
                for at, one in enumerate(self.passes)
                for bucket in range(len(one.pairs))
            }
        return {f"sampled/{at:05}": (at, 0) for at in range(len(self.chunks))}

    def pair_parts(self) -> dict[str, tuple[int, int]]:
        """Name the parts that compare: (pass, bucket), or without blocking two chunks."""
        if self.in_memory:
            return {}
        if not self.passes:
            return {f"pairs/{a:05}-{b:05}": (a, b) for a, b in self.tiles}
        return {
            f"pairs/{at:02}-{bucket:05}": (at, bucket)
            for at, one in enumerate(self.passes)
            for bucket in range(len(one.pairs))
        }

    def merge_parts(self) -> dict[str, list[str]]:
        """Name the parts that merge others, where there are too many to merge at once.

        Pairs that are ranked by a score are not merged, unless records have variants, so that a
        pair may be met several times.
        """
        names = list(self.pair_parts())
        if len(names) <= self.fan_in or (self.sampled and not self.variants):
            return {}
        cuts = range(0, len(names), self.fan_in)
        return {f"runs/{at:05}": names[cut : cut + self.fan_in] for at, cut in enumerate(cuts)}


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
