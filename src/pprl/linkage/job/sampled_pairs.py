"""The parts that compare sampled records with all others, of their own file and of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pprl.exchange.columns import to_binary
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.rows import EncodingsFile
from pprl.kernels.groups import common_bits
from pprl.linkage.candidates.implausible import beyond
from pprl.linkage.candidates.tiling import Tiling
from pprl.linkage.job.compare_parts import by_key, compare_rows
from pprl.linkage.job.plan import SIDES, Chunk, Plan
from pprl.linkage.job.rows import Rows, bucket_rows, read_chunk
from pprl.linkage.job.sample import Limits, Samples
from pprl.linkage.job.spill import part_file, write_facts
from pprl.linkage.model.compared_pairs import Side, fingerprints, group_starts
from pprl.linkage.model.fellegi_sunter import can_be_added

_TILE_ROWS = 1024
_GROUP_ROWS = 4096

_Ends = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Places in the sample, places in the rows, Dice similarities."""


def write_sampled_chunk(
    plan: Plan, file: EncodingsFile, chunk: Chunk, samples: Samples, limits: Limits, path: Path
) -> dict[str, int]:
    """Compare both samples with every row of a chunk."""
    own = SIDES.index(chunk.side)
    rows = read_chunk(file, chunk, (), masked=plan.masked)
    odd = beyond(rows.words, file.info, limits.bits[own])
    with _writing(plan, file.info, limits, path) as writer:
        writer.odd[own] += int(odd.sum())
        rows = rows.without(odd)
        for side in (0, 1):
            sample = samples[side]
            sample = sample.without(beyond(sample.words, file.info, limits.bits[side]))
            tiling = Tiling.of_words(sample.words, rows.words, limits.floor, "dice", plan.bits)
            for start in range(0, len(sample), _TILE_ROWS):
                for ends in tiling.compare(start, min(start + _TILE_ROWS, len(sample))):
                    writer.add(side, own, sample, rows, ends)
    return {"sampled": writer.found}


def write_sampled_bucket(
    plan: Plan,
    info: EncodingInfo,
    at: int,
    bucket: int,
    paths: tuple[Sequence[Path], Sequence[Path]],
    limits: Limits,
    path: Path,
) -> dict[str, int]:
    """Compare sampled rows of a bucket with all of its rows that share the pass's key.

    So many sampled rows are held at once as the plan allows; the others go by chunk by chunk.
    """
    with _writing(plan, info, limits, path) as writer:
        for own in (0, 1):
            for rows in bucket_rows(paths[own], at, bucket):
                writer.odd[own] += int(beyond(rows.words, info, limits.bits[own]).sum())
        slices = (
            _sampled_rows(plan, info, at, bucket, paths[side], side, limits) for side in (0, 1)
        )
        for samples in zip_longest(*slices):
            for own in (0, 1):
                for rows in bucket_rows(paths[own], at, bucket):
                    odd = beyond(rows.words, info, limits.bits[own])
                    others = by_key(rows.without(odd), at)
                    for side, sample in enumerate(samples):
                        if sample is None:
                            continue
                        for _, _, i, j, dice, _ in compare_rows(
                            sample, others, at, limits.floor, plan.bits
                        ):
                            writer.add(side, own, sample, others, (i, j, dice))
    return {"sampled": writer.found}


def _sampled_rows(
    plan: Plan,
    info: EncodingInfo,
    at: int,
    bucket: int,
    paths: Sequence[Path],
    side: int,
    limits: Limits,
) -> Iterator[Rows]:
    """Yield the sampled rows of a bucket by key, at most twice as many at once as may be held."""
    # There are two such samples at once.
    most = max(plan.held // 2, 1)
    waiting: list[Rows] = []
    count = 0
    for rows in bucket_rows(paths, at, bucket):
        places = np.flatnonzero(limits.sampled(plan, side, rows.record))
        for start in range(0, len(places), most):
            chosen = rows.take(places[start : start + most])
            waiting.append(chosen.without(beyond(chosen.words, info, limits.bits[side])))
            count += len(chosen)
            if count >= most:
                yield by_key(Rows.concat(waiting), at)
                waiting, count = [], 0
    if count:
        yield by_key(Rows.concat(waiting), at)


@contextmanager
def _writing(plan: Plan, info: EncodingInfo, limits: Limits, path: Path) -> Iterator[_Writer]:
    with part_file(path, _schema(info, masked=plan.masked)) as parquet:
        writer = _Writer(plan, info, limits, parquet)
        yield writer
        write_facts(parquet, {"implausible": writer.odd})


def _schema(info: EncodingInfo, *, masked: bool) -> pa.Schema:
    groups = len(group_starts(info)) - 1
    made = {
        "sample": pa.int8(),
        "file": pa.int8(),
        "similarity": pa.float64(),
        "shared": pa.binary(4 * groups),
        "words": pa.binary(8 * (-(-info.bits // 64))),
    }
    for end in ("left", "right"):
        made |= {f"{end}_record": pa.int64(), f"{end}_sizes": pa.binary(4 * groups)}
        if can_be_added(info):
            made[f"{end}_prints"] = pa.binary(8 * groups)
        if masked:
            made[f"{end}_present"] = pa.binary(-(-len(info.present) // 8))
    return pa.schema(list(made.items()))


class _Writer:
    """Writes pairs with all that is needed to score them later.

    Attributes:
        found: Pairs written.
        odd: Rows of either file that were set aside.
    """

    def __init__(
        self, plan: Plan, info: EncodingInfo, limits: Limits, writer: pq.ParquetWriter
    ) -> None:
        self._plan, self._limits, self._writer = plan, limits, writer
        self._schema, self._starts = _schema(info, masked=plan.masked), group_starts(info)
        self.found, self.odd = 0, [0, 0]

    def add(self, side: int, own: int, sample: Rows, rows: Rows, ends: _Ends) -> None:
        """Take pairs of the sample of one side and rows of a side."""
        i, j, dice = ends
        if side == own:
            if not self._plan.once[side]:
                # Such pairs may be one person's, and show nothing.
                return
            keep = self._once(side, sample.record[i], rows.record[j])
            i, j, dice = i[keep], j[keep], dice[keep]
        self.found += len(i)
        for at in range(0, len(i), _GROUP_ROWS):
            some = slice(at, at + _GROUP_ROWS)
            table = self._table(side, own, sample.take(i[some]), rows.take(j[some]), dice[some])
            self._writer.write_table(table, row_group_size=_GROUP_ROWS)

    def _once(
        self, side: int, one: NDArray[np.int64], other: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Say which pairs within a file are kept: each is met from one side.

        Of a sample, those with the records outside of it.
        """
        if self._limits.shares[side] >= 1.0:
            return one < other
        return ~self._limits.sampled(self._plan, side, other)

    def _table(
        self, side: int, own: int, left: Rows, right: Rows, dice: NDArray[np.float64]
    ) -> pa.Table:
        n, groups = len(dice), len(self._starts) - 1
        shared = np.empty((n, groups), np.int32)
        places = np.arange(n)
        common_bits(left.words, right.words, places, places, self._starts, shared)
        columns: dict[str, Any] = {
            "sample": np.full(n, side, np.int8),
            "file": np.full(n, own, np.int8),
            "similarity": dice,
            "shared": to_binary(shared.view(np.uint8)),
            "words": to_binary(np.ascontiguousarray(right.words).view(np.uint8)),
        }
        for end, rows in (("left", left), ("right", right)):
            sizes = np.empty((n, groups), np.int32)
            common_bits(rows.words, rows.words, places, places, self._starts, sizes)
            columns |= {
                f"{end}_record": rows.record,
                f"{end}_sizes": to_binary(sizes.view(np.uint8)),
                f"{end}_present": to_binary(rows.present),
            }
            if f"{end}_prints" in self._schema.names:
                prints = fingerprints(rows.words, self._starts)
                columns[f"{end}_prints"] = to_binary(prints.view(np.uint8))
        arrays = [pa.array(columns[name]) for name in self._schema.names]
        return pa.table(arrays, schema=self._schema)


def side_of(rows: Rows, info: EncodingInfo) -> Side:
    """Lay out rows for scoring, each as a record."""
    return Side.of_rows(rows.words, rows.present if rows.present.shape[1] else None, info)
