"""Encoding a data holder's records, from any input to encodings in memory or in a file."""

from __future__ import annotations

import csv
import datetime as dt
import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import EmptyInput, InvalidValues, PprlWarning, RecordIdError, UsageError
from pprl.exchange.atomic import staged_files, whole_file
from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts, as_words, count_bits
from pprl.exchange.exposure import Exposure
from pprl.exchange.files import EncodingsWriter, encodings_writer
from pprl.exchange.opening import replacing
from pprl.exchange.signing import read_signing_key, sign
from pprl.exchange.threads import in_order, threads
from pprl.holder.choices import OnInvalid
from pprl.holder.encoder import EncodedBatch, Encoder
from pprl.holder.exposed import alone_by_keys, blocks_of
from pprl.holder.given import ColumnNames, HolderColumns, KeyLike, SchemaLike, as_key, as_schema
from pprl.holder.hardening.applied import add_noise, describe, noise_of
from pprl.holder.hardening.noise import Noise
from pprl.holder.hardening.undone import refuse_undone
from pprl.holder.opt_out import Exclude, OptOut, read_opt_out
from pprl.holder.presence import SHARED_BY, coarser, pattern_counts, replace_patterns
from pprl.holder.records import CsvFormat, Records, count_rows, read_batches
from pprl.holder.row_order import Rows, joined
from pprl.holder.row_store import RowStore
from pprl.holder.told import Dropped, Sexes, Told
from pprl.holder.values import as_text
from pprl.kernels.numbering import hash_runs

_LOG = logging.getLogger("pprl")

Progress = Callable[[int], None]
"""Called with the number of records read so far."""

Rejected = Sequence[tuple[int, str, str]]
"""Row, field and reason of values that break a rule."""

_SHOWN = 20
# Ids are looked through for repetitions in shares, by the first bits of their digests.
_SHARE_BITS = 2


def encode(
    data: Records,
    schema: SchemaLike,
    key: KeyLike,
    *,
    id_column: str,
    holder: str = "",
    columns: ColumnNames | None = None,
    exclude: Exclude = (),
    exclude_column: str | None = None,
    on_invalid: OnInvalid = "error",
    rejects: str | PathLike[str] | None = None,
    csv_format: CsvFormat | None = None,
    consent: str = "",
    provenance: str = "",
    noise_key: KeyLike | None = None,
    keep_order: bool = False,
    shared_by: int = SHARED_BY,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Encodings:
    """Encode records into CLKs, in memory.

    Args:
        data: A file (CSV, Parquet, Excel), a URL, ``duckdb:SELECT ...``, a table from pandas,
            polars, DuckDB or pyarrow, or a cursor: see `pprl.tables.read`.
        schema: Which columns, and how; a schema, or the path of its file.
        key: The project's linkage key, or the path of its file.
        id_column: The column with the record ids; unique, without gaps.
        holder: The data holder's name, for the header.
        columns: The holder's column for a field of the schema, where the names differ; or
            several, which are joined with blanks: ``{"surname": ["prefix", "name"]}``. Three
            columns of a date are its year, month and day.
        exclude: Record ids to leave out before anything is encoded (opt-out): a collection,
            a file or a table. Ids that no record has are told; a list of which no id
            is met, or one that lost its leading zeros, is refused.
        exclude_column: The column of ids in that file or table; by default the one with the
            name of ``id_column``, or the only one.
        on_invalid: What to do with values that break their field's rules: ``error``
            stops and lists them, ``skip`` leaves the records out, ``warn`` leaves the
            values out, as if they were missing.
        rejects: A CSV file to write the row numbers, fields and reasons to.
        csv_format: Delimiter and text encoding of a CSV file; found out if not given.
        consent: A sentence for the header: the legal ground or consent.
        provenance: A sentence for the header: where the records come from.
        noise_key: For randomised response with keyed noise: a key of this holder's own.
        keep_order: Keep the order of the data. By default rows are in random order, from the
            operating system's randomness: beside a list in the same order a sorted
            file needs no attack. Warns.
        shared_by: How many records must share a presence pattern; rarer ones are made
            coarser: fields that are filled are called missing. 1 leaves all as they are.
        workers: Threads; all processors by default. The result does not depend on it.
        progress: Called with the number of records read, after each batch.

    Returns:
        The record ids and the CLKs, in random order: join by ``record_ids``.

    Raises:
        MissingColumn: A column is not in the data.
        EmptyInput: There are no records, or all were left out.
        RecordIdError: A record id is missing or not unique.
        InvalidValues: Values break the rules of their field.
        UnreadableFile: The file is missing, damaged or of another kind.
        UsageError: An option is unknown, a column is mapped to no field, or the noise
            key is missing, not needed or the linkage key itself.
        UndoneHardening: The schema's hardening is undone without the key.
    """
    schema, key = as_schema(schema), as_key(key)
    refuse_undone(schema)
    options = _Options(
        id_column,
        holder,
        columns or {},
        read_opt_out(exclude, id_column, exclude_column),
        on_invalid,
        rejects,
        _csv_format(csv_format, on_invalid),
        consent,
        provenance,
        noise_of(schema, key, None if noise_key is None else as_key(noise_key)),
        keep_order,
        shared_by,
        threads(workers),
    )
    run = _Run(Encoder(schema, key), options)
    # In a table of known length every batch has its place in the result from the start.
    size = None if schema.variants else count_rows(data)
    clks = np.empty((size or 0, schema.total_bits // 8), np.uint8)
    parts = []
    done = 0
    for part in run.parts(data, progress, clks if size else None):
        if size:
            clks[done : done + len(part.clks)] = part.clks
            done += len(part.clks)
        parts.append(replace(part, clks=part.clks[:0]) if size else part)
    if size:
        clks.resize((done, clks.shape[1]), refcheck=False)
    else:
        clks = joined([part.clks for part in parts])
    info = run.info()
    rows = Rows(
        pa.concat_arrays([part.ids for part in parts]),
        clks,
        np.concatenate([part.variants for part in parts]),
        run.coarsened(np.concatenate([part.mask for part in parts])),
        np.concatenate([part.block_keys for part in parts]),
    )
    if not keep_order:
        rows = rows.shuffled()
    return Encodings(
        record_ids=rows.ids,
        variants=rows.variants if schema.variants else None,
        present=rows.mask if schema.presence_mask else None,
        block_keys=rows.block_keys if schema.blocking else None,
        clks=rows.clks,
        info=info,
    )


def encode_file(
    data: Records,
    schema: SchemaLike,
    key: KeyLike,
    out: str | PathLike[str],
    *,
    id_column: str,
    overwrite: bool = False,
    holder: str = "",
    columns: ColumnNames | None = None,
    exclude: Exclude = (),
    exclude_column: str | None = None,
    on_invalid: OnInvalid = "error",
    rejects: str | PathLike[str] | None = None,
    csv_format: CsvFormat | None = None,
    consent: str = "",
    provenance: str = "",
    noise_key: KeyLike | None = None,
    keep_order: bool = False,
    shared_by: int = SHARED_BY,
    seal_to: Sequence[str] = (),
    sign_key: str | PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> EncodingInfo:
    """Encode records into an encodings file, batch by batch, in constant memory.

    Takes what `encode` takes and raises what it raises; nothing is written then. With
    age recipients in ``seal_to`` the file is encrypted to them on its way to the disk. With
    ``sign_key``, too, it is signed in ``out`` with ``.sig`` (see `pprl.exchange.signing`). With
    ``overwrite`` it takes the place of a file at ``out``, when it is complete.

    Raises:
        OutputExists: There is a file at ``out`` already, and ``overwrite`` was not given.
    """
    schema, key = as_schema(schema), as_key(key)
    refuse_undone(schema)
    if sign_key is not None and not seal_to:
        raise UsageError("sign_key is for sealed files: name recipients in seal_to, too.")
    signing = None if sign_key is None else read_signing_key(sign_key)
    # With rejects or a signature there are several files, which appear together.
    with ExitStack() as stack:
        target = stack.enter_context(replacing(out, overwrite))
        others = [] if rejects is None else [Path(rejects)]
        if signing is not None:
            signature = Path(f"{os.fspath(out)}.sig")
            others.append(stack.enter_context(replacing(signature, overwrite)))
        names = stack.enter_context(staged_files(target, *others)) if others else [target]
        options = _Options(
            id_column,
            holder,
            columns or {},
            read_opt_out(exclude, id_column, exclude_column),
            on_invalid,
            None if rejects is None else names[1],
            _csv_format(csv_format, on_invalid),
            consent,
            provenance,
            noise_of(schema, key, None if noise_key is None else as_key(noise_key)),
            keep_order,
            shared_by,
            threads(workers),
        )
        run = _Run(Encoder(schema, key), options)
        with encodings_writer(
            names[0],
            schema.total_bits,
            bool(schema.variants),
            run.mask_bytes,
            run.groups,
            len(schema.blocking),
            seal_to,
        ) as writer:
            parts = run.parts(data, progress)
            if keep_order and not schema.presence_mask:
                for part in parts:
                    writer.write(part.ids, part.clks, part.variants, part.mask, part.block_keys)
            else:
                _write_at_the_end(writer, run, parts, Path(out), options, seal_to)
            info = run.info()
            writer.finish(info)
        if signing is not None:
            sign(names[0], names[-1], signing)
    return info


def _csv_format(given: CsvFormat | None, on_invalid: OnInvalid) -> CsvFormat:
    """Leave out lines with too many or too few values where broken records are left out."""
    return (
        replace(given or CsvFormat(), ragged="skip")
        if on_invalid == "skip"
        else given or CsvFormat()
    )


def _write_at_the_end(
    writer: EncodingsWriter,
    run: _Run,
    parts: Iterator[Rows],
    out: Path,
    options: _Options,
    seal_to: Sequence[str],
) -> None:
    """Write rows when all are there: random order and coarser masks need all of them."""
    with RowStore(out.parent, shuffle=not options.keep_order, encrypt=bool(seal_to)) as store:
        for part in parts:
            store.add(part)
        for part in store.batches():
            mask = run.coarsened(part.mask)
            writer.write(part.ids, part.clks, part.variants, mask, part.block_keys)


@dataclass(frozen=True)
class _Options:
    id_column: str
    holder: str
    columns: ColumnNames
    opt_out: OptOut | None
    on_invalid: OnInvalid
    rejects: str | PathLike[str] | None
    csv_format: CsvFormat
    consent: str
    provenance: str
    noise: Noise | None
    keep_order: bool
    shared_by: int
    workers: int

    def __post_init__(self) -> None:
        if self.shared_by < 1:
            raise UsageError(f"shared_by must be 1 or more, not {self.shared_by}.")
        if self.on_invalid not in get_args(OnInvalid):
            raise UsageError(
                f"on_invalid must be one of {get_args(OnInvalid)}, not {self.on_invalid!r}."
            )


@dataclass(frozen=True)
class _Batch:
    """A batch's encodings, with what is counted of it."""

    part: Rows
    bits: dict[int, int]
    ids: NDArray[np.uint64]
    read: int
    records: int
    present: NDArray[np.int64]
    inserted: NDArray[np.int64]
    met: tuple[NDArray[np.int64], NDArray[np.int64]]
    dropped: Sequence[Dropped]
    moved: Mapping[str, int]
    patterns: dict[int, int]
    problems: Rejected


class _Run:
    """One pass over a holder's records, counting what goes into the header."""

    def __init__(self, encoder: Encoder, options: _Options) -> None:
        self._encoder = encoder
        self._options = options
        names = [one.name for one in encoder.schema.encoded_fields]
        self._holder = HolderColumns(encoder.schema, options.columns)
        self._columns = self._holder.variants
        self._records = 0
        self._present = np.zeros(len(names), np.int64)
        self._inserted = np.zeros(len(encoder.parts), np.int64)
        self._told = Told()
        self._sexes = Sexes(encoder.schema, self._columns)
        self._keyed = np.zeros(len(encoder.schema.blocking), np.int64)
        self._bits: Counter[int] = Counter()
        self._ids: list[NDArray[np.uint64]] = []
        self._keys: list[NDArray[np.uint64]] = []
        self._patterns: Counter[int] = Counter()
        self._self_test = ""

    @property
    def groups(self) -> dict[str, int]:
        """Bits of each CLK group; empty where there is one without a name."""
        return {part.name: part.bits for part in self._encoder.parts if part.name}

    @property
    def mask_bytes(self) -> int:
        """Bytes of a field-presence mask; 0 if the schema carries none."""
        schema = self._encoder.schema
        return -(-len(schema.encoded_fields) // 8) if schema.presence_mask else 0

    def parts(
        self, data: Records, progress: Progress | None, out: NDArray[np.uint8] | None = None
    ) -> Iterator[Rows]:
        """Encode batch after batch; at the end check that ids are unique.

        Args:
            data: The records.
            progress: Called with the number of records read.
            out: (records, bytes); a batch's CLKs are put in the rows of its records, if
                they are not changed or moved after that.
        """
        options = self._options
        wanted = self._holder.wanted
        opt_out = options.opt_out
        met = np.zeros((2, len(opt_out.ids) if opt_out else 0), bool)
        done = broken = 0
        with _rejects(options.rejects) as reject, ThreadPoolExecutor(options.workers) as pool:
            # Nothing else is to be done while the first batch is read.
            self_test = pool.submit(self._encoder.self_test)

            def batches() -> Iterator[Future[_Batch]]:
                row = 1
                for batch in read_batches(data, [options.id_column, *wanted], options.csv_format):
                    ids = _record_ids(batch.column(0), options.id_column, row)
                    place = None if out is None else out[row - 1 : row - 1 + batch.num_rows]
                    yield pool.submit(self._encode, self._sexes.read(batch), ids, row, place)
                    row += batch.num_rows

            for encoded in in_order(batches(), options.workers):
                self._ids.append(encoded.ids)
                broken += len(encoded.problems)
                reject(encoded.problems)
                self._told.add(encoded.dropped)
                self._told.add_moved(encoded.moved)
                if options.rejects is not None:
                    for name, rows, reason in encoded.dropped:
                        reject([(row, name, f"{reason}; missing") for row in rows.tolist()])
                if encoded.problems and options.on_invalid == "error":
                    _raise_problems(encoded.problems)
                self._records += encoded.records
                self._present += encoded.present
                self._inserted += encoded.inserted
                met[0][encoded.met[0]] = met[1][encoded.met[1]] = True
                self._bits.update(encoded.bits)
                self._keyed += (encoded.part.block_keys > 0).sum(axis=0)
                self._keys.append(encoded.part.block_keys)
                self._patterns.update(encoded.patterns)
                yield encoded.part
                done += encoded.read
                if progress:
                    progress(done)
        self._self_test = self_test.result()
        if options.keep_order:
            warnings.warn(
                "rows keep the order of the data: beside a list of the same people in the same "
                "order, a file that is sorted by name or number needs no attack",
                PprlWarning,
                stacklevel=3,
            )
        _require_unique(self._ids, options.id_column)
        if opt_out:
            opt_out.check(*met)
        self._told.warn(dict(zip(self._columns[0], self._present.tolist(), strict=True)))
        if broken:
            what = "records were left out" if options.on_invalid == "skip" else "values left out"
            warnings.warn(
                f"{broken:,} values break the rules of the schema; the {what}",
                PprlWarning,
                stacklevel=3,
            )

    def _encode(
        self,
        batch: pa.RecordBatch,
        ids: pa.StringArray,
        first_row: int,
        out: NDArray[np.uint8] | None,
    ) -> _Batch:
        """Encode one batch; runs in a thread of the pool."""
        digests = _digests(ids)
        rows = np.arange(first_row, first_row + batch.num_rows)
        fields = self._holder.join(batch.select(list(range(1, batch.num_columns))))
        met = (np.empty(0, np.int64), np.empty(0, np.int64))
        if self._options.opt_out:
            places = self._options.opt_out.met(ids), self._options.opt_out.nearly_met(ids)
            met = _numbers(places[0]), _numbers(places[1])
            keep = pc.is_null(places[0])
            ids, fields = ids.filter(keep), fields.filter(keep)
            rows = rows[keep.to_numpy(zero_copy_only=False)]
            out = None if out is None else out[: len(rows)]
        encoded = [self._encoder.encode(fields, columns, out=out) for columns in self._columns]
        problems = sorted(
            {(int(rows[p.row]), p.field, p.reason) for one in encoded for p in one.problems}
        )
        kept = np.ones(len(rows), bool)
        if problems and self._options.on_invalid == "skip":
            kept = ~np.isin(rows, [row for row, _, _ in problems])
        part = self._part(ids, encoded, kept)
        return _Batch(
            part=part,
            bits=dict(enumerate(np.bincount(count_bits(as_words(part.clks))).tolist())),
            ids=digests,
            read=batch.num_rows,
            records=int(kept.sum()),
            present=encoded[0].present[kept].sum(axis=0),
            inserted=encoded[0].inserted[kept].sum(axis=0),
            met=met,
            dropped=[(name, rows[at], reason) for name, at, reason in _each_once(encoded)],
            moved=encoded[0].moved,
            patterns=pattern_counts(part.mask[part.variants == 0]) if part.mask.size else {},
            problems=problems,
        )

    def _part(
        self, ids: pa.StringArray, encoded: Sequence[EncodedBatch], kept: NDArray[np.bool_]
    ) -> Rows:
        """Take the rows of the records that are kept, and of the variants that they have."""
        own = encoded[0]
        if len(encoded) == 1 and kept.all():
            no_variants = np.zeros(len(ids), np.uint8)
            clks = self._noisy(own.clks, ids, no_variants)
            return Rows(ids, clks, no_variants, self._mask(own.present), own.block_keys)
        pieces = []
        for number, (one, columns) in enumerate(zip(encoded, self._columns, strict=True)):
            changed = [columns[name] != own_column for name, own_column in self._columns[0].items()]
            has = kept & one.present[:, changed].any(axis=1) if number else kept
            pieces.append(np.flatnonzero(has))
        rows = np.concatenate(pieces)
        variants = np.repeat(np.arange(len(pieces), dtype=np.uint8), [len(at) for at in pieces])
        clks = np.concatenate([one.clks[at] for one, at in zip(encoded, pieces, strict=True)])
        present = np.concatenate([one.present[at] for one, at in zip(encoded, pieces, strict=True)])
        keys = np.concatenate([one.block_keys[at] for one, at in zip(encoded, pieces, strict=True)])
        # The variants of a record stand together, its own encoding first.
        order = np.lexsort((variants, rows))
        ids, variants = ids.take(pa.array(rows[order])), variants[order]
        clks = self._noisy(clks[order], ids, variants)
        return Rows(ids, clks, variants, self._mask(present[order]), keys[order])

    def _noisy(
        self, clks: NDArray[np.uint8], ids: pa.StringArray, variants: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        noise = self._options.noise
        if noise is None:
            return clks
        return add_noise(clks, self._encoder.parts, noise, ids.to_pylist(), variants.tolist())

    def _mask(self, present: NDArray[np.bool_]) -> NDArray[np.uint8]:
        if not self._encoder.schema.presence_mask:
            return np.empty((len(present), 0), np.uint8)
        return np.packbits(present, axis=1)

    @cached_property
    def _stand_ins(self) -> dict[int, int]:
        """What stands in for presence patterns that too few records share."""
        return coarser(self._patterns, self._options.shared_by)

    def coarsened(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Make presence masks coarser where too few records share theirs."""
        return replace_patterns(mask, self._stand_ins)

    def _exposure(self) -> Exposure:
        """Count what lies open, whatever the key and the hardening."""
        written: Counter[int] = Counter()
        for pattern, count in self._patterns.items():
            written[self._stand_ins.get(pattern, pattern)] += count
        changed = sum(self._patterns[one] for one, other in self._stand_ins.items() if one != other)
        passes = self._encoder.schema.blocking
        keys = np.concatenate(self._keys) if passes else np.empty((0, 0), np.uint64)
        return Exposure(
            order="as given" if self._options.keep_order else "random",
            patterns=len(written),
            coarsened=round(changed / self._records, 6),
            alone_by_pattern=round(list(written.values()).count(1) / self._records, 6),
            blocks={one.name: blocks_of(keys[:, at]) for at, one in enumerate(passes)},
            alone_by_keys=alone_by_keys(keys) if passes else 0.0,
        )

    def info(self) -> EncodingInfo:
        """Describe what was encoded, for the header."""
        schema, options = self._encoder.schema, self._options
        if not self._records:
            raise EmptyInput("every record was left out; there is nothing to encode.")
        exposure = self._exposure()
        for line in exposure.lines(self._records):
            _LOG.info("%s", line)
        return EncodingInfo(
            exposure=exposure,
            holder=options.holder,
            schema_name=schema.name,
            schema_fingerprint=schema.fingerprint,
            key_check=self._encoder.key_check,
            self_test=self._self_test,
            bits=schema.total_bits,
            groups=self.groups,
            weights={part.name: part.weights() for part in self._encoder.parts},
            hardening=self._hardening(),
            records=self._records,
            rows=self._bits.total(),
            popcounts=Popcounts.of(self._bits),
            present={
                name: round(int(count) / self._records, 4)
                for name, count in zip(self._columns[0], self._present, strict=True)
            },
            blocking={
                one.name: round(int(count) / self._bits.total(), 4)
                for one, count in zip(schema.blocking, self._keyed, strict=True)
            },
            created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            consent=options.consent,
            provenance=options.provenance,
        )

    def _hardening(self) -> dict[str, Any]:
        """Describe the hardening; by group, where there are groups."""
        described = {
            part.name: describe(part, int(inserted) / (self._records * part.filter_bits))
            for part, inserted in zip(self._encoder.parts, self._inserted, strict=True)
        }
        return described if self.groups else described[""]


def _numbers(places: pa.Int32Array) -> NDArray[np.int64]:
    """Return the places that are there, each once."""
    return np.unique(places.drop_null().to_numpy()).astype(np.int64)


def _each_once(encoded: Sequence[EncodedBatch]) -> Iterator[Dropped]:
    """Go through the dropped values of a batch and its variants, each row of a field once."""
    seen: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
    for one in encoded:
        for name, rows, reason in one.dropped:
            seen.setdefault((name, reason), []).append(rows)
    for (name, reason), every in seen.items():
        yield name, np.unique(np.concatenate(every)), reason


@contextmanager
def _rejects(path: str | PathLike[str] | None) -> Iterator[Callable[[Rejected], object]]:
    """Write rows, fields and reasons to a file, whole; without one, nowhere."""
    if path is None:
        yield list
        return
    with (
        whole_file(path, private=True) as part,
        open(part, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["row", "field", "reason"])
        yield writer.writerows


def _record_ids(column: pa.Array, name: str, first_row: int) -> pa.StringArray:
    ids = as_text(column)
    missing = pc.or_kleene(pc.is_null(ids), pc.equal(ids, ""))
    if pc.any(missing).as_py():
        rows = np.flatnonzero(pc.fill_null(missing, True).to_numpy(zero_copy_only=False))
        raise RecordIdError(
            f"column {name!r} has no record id in {_rows(rows + first_row)}. "
            f"Every record needs an id."
        )
    return ids


def _require_unique(digests: Sequence[NDArray[np.uint64]], name: str) -> None:
    """Refuse repeated ids by their 128-bit digests, so that ids need not be kept."""
    if not any(_repeats(digests, share) for share in range(1 << _SHARE_BITS)):
        return
    both = np.concatenate(digests, axis=1).T
    order = np.lexsort((both[:, 1], both[:, 0]))
    same = (both[order[1:]] == both[order[:-1]]).all(axis=1)
    if same.any():
        rows = np.unique(np.concatenate([order[1:][same], order[:-1][same]])) + 1
        raise RecordIdError(
            f"column {name!r} has the same record id more than once: {_rows(rows)}. "
            f"Record ids must be unique."
        )


def _repeats(digests: Sequence[NDArray[np.uint64]], share: int) -> bool:
    """Say whether a share of the digests has the same first half twice.

    A share at a time takes a fraction of the memory that all of them would.
    """
    some = np.concatenate([first[first >> (64 - _SHARE_BITS) == share] for first, _ in digests])
    some.sort()
    return bool((some[1:] == some[:-1]).any())


def _digests(ids: pa.StringArray) -> NDArray[np.uint64]:
    """Hash ids to 128 bits each: (2, n) uint64."""
    _, ends, data = ids.buffers()
    text = np.frombuffer(data or b"", np.uint8)
    borders = np.frombuffer(ends, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    both = np.empty((2, len(ids)), np.uint64)
    for seed in range(2):
        hash_runs(text, borders, np.uint64(seed), both[seed])
    return both


def _rows(rows: NDArray[np.int64]) -> str:
    shown = ", ".join(str(row) for row in rows[:_SHOWN].tolist())
    more = len(rows) - _SHOWN
    return f"row{'s' if len(rows) > 1 else ''} {shown}" + (
        f" and {more:,} more" if more > 0 else ""
    )


def _raise_problems(problems: Rejected) -> None:
    lines = [f"  row {row}: {field!r} {reason}" for row, field, reason in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  and {len(problems) - _SHOWN:,} more")
    raise InvalidValues(
        "values break the rules of the schema (row 1 is the first record):\n"
        + "\n".join(lines)
        + "\nMend them, or use --on-invalid skip or warn (on_invalid in Python)."
    )
