"""Scored pairs on disk as sorted runs, and merged again in bounded memory."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pprl.errors import TooManyPairs, UnreadableFile, UnwritableFile
from pprl.exchange.atomic import sync_folder, whole_file, writing
from pprl.exchange.untrusted.documents import BadDocument, parse_json
from pprl.exchange.untrusted.parquet import FOREIGN_ERRORS, open_parquet
from pprl.linkage.job.spilled import Order, Spilled, order_keys, sort_pairs

SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("similarity", pa.float64())])
SCORED = SCHEMA.append(pa.field("score", pa.float64()))

FACTS = b"pprl-part"
"""The metadata entry in which a part says what it holds."""

_GROUP = 1 << 13

_Key = tuple[float, float, float]


@contextmanager
def part_file(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write a part, whole or not at all; with checksums and without compression.

    Raises:
        UnwritableFile: It cannot be written; the disk may be full.
    """
    try:
        with (
            whole_file(path, private=True) as temporary,
            pq.ParquetWriter(
                temporary,
                schema,
                compression="none",
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=True,
            ) as writer,
        ):
            yield writer
    except UnwritableFile as error:
        raise UnwritableFile(
            f"{error} What is done is kept: make room, and resume the job."
        ) from None


def read_facts(path: Path) -> dict[str, Any]:
    """Read what a part says about itself.

    Raises:
        UnreadableFile: The part is damaged.
    """
    with opened(path) as file:
        return _facts(file, path)


def _facts(file: pq.ParquetFile, path: Path) -> dict[str, Any]:
    try:
        facts = parse_json((file.metadata.metadata or {})[FACTS])
    except (KeyError, BadDocument):
        raise damaged(path) from None
    if not isinstance(facts, dict):
        raise damaged(path)
    return facts


def damaged(path: Path) -> UnreadableFile:
    """Make the error for a part that cannot be read."""
    return UnreadableFile(
        f"the job's own part {path} cannot be read: the disk may be failing. Delete this file and "
        f"resume."
    )


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a part; its pages' checksums are compared as they are read.

    Raises:
        UnreadableFile: The part is damaged.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_parquet(path))
        except UnreadableFile:
            raise damaged(path) from None
        yield file


@dataclass
class RunWriter:
    """Collects pairs, and writes a sorted run whenever there are many; a context manager.

    Attributes:
        path: The part.
        order: The order of a run.
        most: Pairs that are held.
        limit: Pairs that it may have in all.
        scored: Whether pairs have a score beside their similarity.
        facts: What the part says of itself beside its runs.
        found: Pairs written so far.
    """

    path: Path
    order: Order
    most: int
    limit: int | None = None
    scored: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    found: int = 0
    _held: list[Spilled] = field(default_factory=list)
    _waiting: int = 0
    _groups: int = 0
    _ends: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._writer = self._stack.enter_context(part_file(self.path, self._schema))
        return self

    @property
    def _schema(self) -> pa.Schema:
        return SCORED if self.scored else SCHEMA

    def add(self, pairs: Spilled) -> None:
        """Take pairs in any order."""
        self._held.append(pairs)
        self._waiting += len(pairs)
        if self.limit is not None and self.found + self._waiting > self.limit:
            raise TooManyPairs(
                f"one part alone has more than {self.limit:,} pairs at or above the threshold. "
                f"Raise the threshold, or allow more (linkage.max_pairs)."
            )
        if self._waiting >= self.most:
            self._flush()

    def append_sorted(self, pairs: Spilled) -> None:
        """Go on with one single run, of pairs that come in order."""
        self._write(pairs)

    def end_run(self) -> None:
        """End the run that was appended to."""
        if self._groups > (self._ends[-1] if self._ends else 0):
            self._ends.append(self._groups)

    @property
    def runs(self) -> int:
        """Runs that were written."""
        return len(self._ends)

    def _flush(self) -> None:
        if self._waiting:
            self._write(sort_pairs(Spilled.concat(self._held), self.order))
            self.end_run()
        self._held.clear()
        self._waiting = 0

    def _write(self, pairs: Spilled) -> None:
        self.found += len(pairs)
        for start in range(0, len(pairs), _GROUP):
            part = pairs.take(np.arange(start, min(start + _GROUP, len(pairs))))
            columns = [pa.array(getattr(part, name)) for name in self._schema.names]
            self._writer.write_table(pa.table(columns, schema=self._schema), row_group_size=_GROUP)
            self._groups += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if kind is not None:
            return self._stack.__exit__(kind, error, trace)
        with self._stack:
            self._flush()
            facts = {**self.facts, "found": self.found, "run_ends": self._ends}
            self._writer.add_key_value_metadata({FACTS: json.dumps(facts).encode()})
        return None


@contextmanager
def sorted_part(
    path: Path, order: Order, most: int, limit: int | None = None, *, scored: bool = False
) -> Iterator[RunWriter]:
    """Write a part of one sorted run, however many pairs are added; whole or not at all."""
    spool = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with RunWriter(spool, order, most, limit, scored) as writer:
            yield writer
        if writer.runs <= 1:
            with writing(path):
                spool.replace(path)
                sync_folder(path.parent)
            return
        with RunWriter(path, order, most, scored=scored) as final:
            final.facts |= writer.facts
            for pairs in merged([spool], order, most):
                final.append_sorted(pairs)
            final.end_run()
    finally:
        spool.unlink(missing_ok=True)


def merged(paths: Sequence[Path], order: Order, most: int) -> Iterator[Spilled]:
    """Merge the runs of several parts; yields pairs in order, some ``most`` at once.

    Of each run one row group is held, and of that some next pairs are looked at. All pairs up
    to the earliest of their last ones are next: they are taken from each run and sorted
    together.

    Raises:
        UnreadableFile: A part is damaged.
    """
    with ExitStack() as stack:
        cursors = []
        for path in paths:
            file = stack.enter_context(opened(path))
            start = 0
            for end in _run_ends(file, path):
                cursors.append(_Cursor(file, path, start, end, order))
                start = end
        while cursors:
            step = max(most // len(cursors), 64)
            ends = [one.end_of(step) for one in cursors]
            horizon = min((end for end in ends if end is not None), default=None)
            piece = Spilled.concat([one.take(horizon) for one in cursors])
            cursors = [one for one in cursors if one.alive]
            if len(piece):
                yield sort_pairs(piece, order)


def _run_ends(file: pq.ParquetFile, path: Path) -> list[int]:
    """Return the row group with which each run of a part ends."""
    ends = _facts(file, path).get("run_ends")
    if not isinstance(ends, list) or not all(type(end) is int for end in ends):
        raise damaged(path)
    if ends != sorted(ends) or (ends[-1] if ends else 0) != file.num_row_groups:
        raise damaged(path)
    return ends


class _Cursor:
    """A run that is read row group by row group."""

    def __init__(self, file: pq.ParquetFile, path: Path, start: int, end: int, order: Order):
        self._file, self._path, self._next, self._end = file, path, start, end
        self._order: Order = order
        self._at = 0
        self._pairs = Spilled.concat([])
        self._keys = order_keys(self._pairs, order)

    @property
    def alive(self) -> bool:
        return self._next < self._end or self._at < len(self._pairs)

    def end_of(self, step: int) -> _Key | None:
        """Look at the last of so many next pairs; None where the run ends with them."""
        if len(self._pairs) - self._at < step and self._next < self._end:
            held = [self._pairs.take(np.arange(self._at, len(self._pairs)))]
            while sum(map(len, held)) < step and self._next < self._end:
                held.append(read_group(self._file, self._path, self._next))
                self._next += 1
            self._pairs, self._at = Spilled.concat(held), 0
            self._keys = order_keys(self._pairs, self._order)
        place = self._at + step - 1
        if place >= len(self._pairs) - 1 and self._next == self._end:
            return None
        first, second, third = self._keys
        return first[place], second[place], third[place]

    def take(self, horizon: _Key | None) -> Spilled:
        """Give the pairs up to a horizon; all of them without one."""
        end = len(self._pairs) if horizon is None else self._count(horizon)
        piece = self._pairs.take(np.arange(self._at, end))
        self._at = end
        return piece

    def _count(self, horizon: _Key) -> int:
        """Find the end of the pairs up to a horizon."""
        low, high = self._at, len(self._pairs)
        for key, value in zip(self._keys, horizon, strict=True):
            part = key[low:high]
            low, high = (
                low + int(part.searchsorted(value, side="left")),
                low + int(part.searchsorted(value, side="right")),
            )
        return high


def read_group(file: pq.ParquetFile, path: Path, group: int) -> Spilled:
    """Read one row group of pairs."""
    try:
        table = file.read_row_group(group, use_threads=False)
        known = table.schema.equals(SCHEMA) or table.schema.equals(SCORED)
        if not known or any(one.null_count for one in table.columns):
            raise damaged(path)
    except FOREIGN_ERRORS as error:
        raise error if isinstance(error, UnreadableFile) else damaged(path) from None
    return Spilled(**{name: table.column(name).to_numpy() for name in table.schema.names})


def write_facts(writer: pq.ParquetWriter, facts: Mapping[str, Any]) -> None:
    """Add what a part says of itself."""
    writer.add_key_value_metadata({FACTS: json.dumps(facts).encode()})
