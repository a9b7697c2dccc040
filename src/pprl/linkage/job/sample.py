"""The sample from which a job larger than memory learns, compared with all records of both files.

Of each file so many records are drawn as `pprl.link` draws to compare with the rest of the file:
16,384 at most. The pairs of these show what non-matches look like; the sampled records of the
smaller file have all their candidates in the larger one among their pairs, and show what matches
look like. See `pprl.linkage.decision.gather` for why so many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.exchange.columns import to_binary
from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts
from pprl.exchange.rows import EncodingsFile
from pprl.kernels.groups import common_bits
from pprl.linkage.candidates.floor import find_centre, find_floor, find_floor_of_samples
from pprl.linkage.candidates.implausible import all_alike, beyond, bit_limits, set_aside
from pprl.linkage.candidates.tiling import Tiling
from pprl.linkage.job.compare_parts import by_key, compare_rows
from pprl.linkage.job.plan import SIDES, Chunk, Plan
from pprl.linkage.job.rows import Rows, read_chunk
from pprl.linkage.job.spill import SCHEMA, damaged, part_file, read_facts, write_facts
from pprl.linkage.model.compared_pairs import Side, group_starts

_TILE_ROWS = 1024
_GROUP_ROWS = 4096

Samples = tuple[Rows, Rows]
"""The sampled rows of the left and of the right file."""


def sampled_records(plan: Plan, side: int) -> NDArray[np.int64]:
    """Draw the records of a file's sample, rising; they depend on the numbers of records alone."""
    n, wanted = plan.records[side], plan.samples[side]
    drawn = np.random.default_rng(side).choice(n, wanted, replace=False, shuffle=False)
    return np.sort(drawn).astype(np.int64)


@dataclass(frozen=True)
class Limits:
    """What the two samples say before anything is compared.

    Attributes:
        floor: The Dice similarity from which on pairs are looked at.
        centres: The similarity of two records by chance, in each file.
        bits: For each file and group, the most bits that a record can have.
        untold: Whether all records are alike, so that nothing tells matches.
    """

    floor: float
    centres: tuple[float, float]
    bits: tuple[NDArray[np.float64], NDArray[np.float64]]
    untold: bool

    @classmethod
    def load(cls, path: Path) -> Limits:
        """Read what `write_limits` wrote.

        Raises:
            UnreadableFile: The part is damaged.
        """
        facts = read_facts(path)
        try:
            left, right = (np.array(one, np.float64) for one in facts["bits"])
            first, second = map(float, facts["centres"])
            return cls(float(facts["floor"]), (first, second), (left, right), bool(facts["untold"]))
        except (KeyError, TypeError, ValueError):
            raise damaged(path) from None


def write_limits(plan: Plan, infos: Sequence[EncodingInfo], samples: Samples, path: Path) -> None:
    """Choose the floor, and tell which filters no record can have."""
    files = [_encodings(rows, info) for rows, info in zip(samples, infos, strict=True)]
    untold = max(plan.records) < 2 or all(all_alike(one) for one in files)
    limits = [bit_limits(one) for one in files]
    a, b = (
        set_aside(one, beyond(one.words, one.info, most))
        for one, most in zip(files, limits, strict=True)
    )
    if plan.samples == plan.records:
        floor = find_floor(a, b)
    else:
        floor = find_floor_of_samples(a, b, plan.records)
    with part_file(path, SCHEMA) as writer:
        facts = {
            "floor": floor,
            "centres": [find_centre(one) for one in (a, b)],
            "bits": [one.tolist() for one in limits],
            "untold": untold,
        }
        write_facts(writer, facts)


def _encodings(rows: Rows, info: EncodingInfo) -> Encodings:
    """Take each row for a record."""
    n = len(rows)
    changes = {"records": n, "rows": n, "popcounts": Popcounts.of({}), "blocking": {}}
    clks = np.ascontiguousarray(rows.words).view(np.uint8)[:, : info.bits // 8]
    ids = pa.array(np.arange(n)).cast(pa.string())
    return Encodings(ids, np.ascontiguousarray(clks), info.model_copy(update=changes))


def write_sampled(
    plan: Plan,
    file: EncodingsFile,
    chunk: Chunk,
    samples: Samples,
    limits: Limits,
    path: Path,
) -> dict[str, int]:
    """Compare both samples with the rows of a chunk.

    A pair has the number of a row of a sample, and of the chunk's row all that is needed to score
    it later; the common bits of each group are counted here.
    """
    own = SIDES.index(chunk.side)
    rows = read_chunk(file, chunk, plan.passes)
    odd = beyond(rows.words, file.info, limits.bits[own])
    rows = rows.without(odd)
    starts = group_starts(file.info)
    schema = _schema(len(starts) - 1, rows)
    found = 0
    with part_file(path, schema) as writer:
        for side in () if limits.untold else (0, 1):
            sample = samples[side]
            sample = sample.without(beyond(sample.words, file.info, limits.bits[side]))
            for left, right, similarity in _compare(plan, sample, rows, limits.floor):
                keep = np.ones(len(left), bool)
                if side == own:
                    keep = _meet_once(plan, side, sample.record[left], rows.record[right])
                i, j, dice = left[keep], right[keep], similarity[keep]
                found += len(i)
                for at in range(0, len(i), _GROUP_ROWS):
                    some = slice(at, at + _GROUP_ROWS)
                    table = _table(schema, side, sample, rows, starts, i[some], j[some], dice[some])
                    writer.write_table(table, row_group_size=_GROUP_ROWS)
        write_facts(writer, {"implausible": int(odd.sum())})
    return {"sampled": found}


def _meet_once(
    plan: Plan, side: int, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say which pairs within a file are kept, so that each is met from one side only.

    Of a sample, those with the records outside of it.
    """
    if plan.samples[side] == plan.records[side]:
        return one < other
    inside = np.zeros(plan.records[side], bool)
    inside[sampled_records(plan, side)] = True
    return ~inside[other]


def _compare(
    plan: Plan, sample: Rows, rows: Rows, floor: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Yield places in the sample and in the rows, and similarities, of all candidates."""
    if not plan.passes:
        tiling = Tiling.of_words(sample.words, rows.words, floor, "dice", plan.bits)
        for start in range(0, len(sample), _TILE_ROWS):
            yield from tiling.compare(start, min(start + _TILE_ROWS, len(sample)))
        return
    for at in range(len(plan.passes)):
        orders = [np.argsort(one.keys[:, at], kind="stable") for one in (sample, rows)]
        both = by_key(sample, at), by_key(rows, at)
        for _, _, i, j, dice, _ in compare_rows(*both, at, floor, plan.bits):
            yield orders[0][i], orders[1][j], dice


def _schema(groups: int, rows: Rows) -> pa.Schema:
    made = {
        "sample": pa.int8(),
        "row": pa.int64(),
        "record": pa.int64(),
        "similarity": pa.float64(),
        "shared": pa.binary(4 * groups),
        "sizes": pa.binary(8 * groups),
        "words": pa.binary(8 * rows.words.shape[1]),
    }
    if rows.present.shape[1]:
        made["present"] = pa.binary(rows.present.shape[1])
    return pa.schema(list(made.items()))


def _table(
    schema: pa.Schema,
    side: int,
    sample: Rows,
    rows: Rows,
    starts: NDArray[np.int64],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    dice: NDArray[np.float64],
) -> pa.Table:
    hits = rows.take(j)
    shared = np.empty((len(i), len(starts) - 1), np.int32)
    common_bits(sample.words, rows.words, i, j, starts, shared)
    columns: dict[str, Any] = {
        "sample": pa.array(np.full(len(i), side, np.int8)),
        "row": pa.array(i),
        "record": pa.array(hits.record),
        "similarity": pa.array(dice),
        "shared": to_binary(shared.view(np.uint8)),
        "sizes": to_binary(_sizes(hits.words, starts).view(np.uint8)),
        "words": to_binary(hits.words.view(np.uint8)),
        "present": to_binary(hits.present) if hits.present.shape[1] else None,
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _sizes(words: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    own = np.arange(len(words))
    out = np.empty((len(words), len(starts) - 1), np.int32)
    common_bits(words, words, own, own, starts, out)
    return out.astype(np.int64)


def side_of(rows: Rows, info: EncodingInfo, *, masked: bool = True) -> Side:
    """Lay out rows for scoring, each as a record."""
    present = rows.present if masked and rows.present.shape[1] else None
    return Side.of_rows(rows.words, present, info)
