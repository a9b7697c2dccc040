"""Encoding: records, a schema and a linkage key in, CLKs out.

The work follows the distinct things, not the records: a column is cut into its
distinct values, those into distinct tokens, and only the tokens are hashed. Bits
then flow back: tokens are merged into values, values into records.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from pprl.errors import InvalidValues, RecordIdError, SchemaError
from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts, as_words, count_bits
from pprl.exchange.files import encodings_writer
from pprl.holder.harden import harden
from pprl.holder.hashing import positions
from pprl.holder.keys import LinkageKey
from pprl.holder.records import Records, read_batches
from pprl.holder.schema import (
    ClkhashKeys,
    DateFormat,
    EnumFormat,
    Field,
    IntegerFormat,
    NoHardening,
    Numeric,
    Schema,
    StringFormat,
)
from pprl.holder.tokens import number_distinct, tokenise
from pprl.holder.values import as_text, distinct_texts
from pprl.kernels.bits import merge_rows, merge_runs, set_bits

_PROBLEMS_SHOWN = 20

Progress = Callable[[int], None]
"""Called with the number of records done so far."""


def encode(
    data: Records,
    schema: Schema,
    key: LinkageKey,
    *,
    id_column: str,
    holder: str = "",
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Encodings:
    """Encode records into CLKs, in memory.

    Args:
        data: A CSV or Parquet file, or a table from pandas, polars, DuckDB or pyarrow.
        schema: Which columns, and how.
        key: The project's linkage key.
        id_column: The column with the record ids; unique, without gaps.
        holder: The data holder's name, for the header.
        exclude: Record ids to leave out before anything is encoded.
        progress: Called after each batch.

    Returns:
        The record ids and the CLKs, in the order of the data.

    Raises:
        MissingColumn: A column is not in the data.
        EmptyInput: There are no records.
        RecordIdError: A record id is missing or not unique.
        InvalidValues: Values break the rules of their field.
        UnreadableFile: The file is missing, damaged or of another kind.
    """
    encoder = Encoder(schema, key)
    parts = list(_encode_batches(encoder, data, id_column, exclude, progress))
    ids = pa.concat_arrays([part.ids for part in parts])
    clks = np.concatenate([part.clks for part in parts])
    return Encodings(ids, clks, _info(encoder, parts, holder))


def encode_file(
    data: Records,
    schema: Schema,
    key: LinkageKey,
    out: str | PathLike[str],
    *,
    id_column: str,
    holder: str = "",
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> EncodingInfo:
    """Encode records into an encodings file, batch by batch.

    Takes what `encode` takes and raises what it raises; nothing is written then.

    Raises:
        OutputExists: There is a file at ``out`` already.
    """
    encoder = Encoder(schema, key)
    parts: list[_Part] = []
    with encodings_writer(out, schema.bits) as writer:
        for part in _encode_batches(encoder, data, id_column, exclude, progress):
            writer.write(part.ids, part.clks)
            parts.append(part.without_clks())
        info = _info(encoder, parts, holder)
        writer.finish(info)
    return info


class Encoder:
    """A schema with its derived keys, ready to encode batch after batch."""

    def __init__(self, schema: Schema, key: LinkageKey) -> None:
        self.schema = schema
        self.key_check = key.check_value(schema.fingerprint)
        config = schema.clkhash
        keys = _clkhash_keys(schema, config, key) if config else _field_keys(schema, key)
        self._fields = [
            (field, pair)
            for field, pair in zip(schema.fields, keys, strict=True)
            if not field.ignored
        ]
        self._self_test_key = key.derive("self-test")

    def encode(self, batch: pa.RecordBatch, first_row: int = 1) -> NDArray[np.uint8]:
        """Encode a batch that holds the schema's fields by name; (n, bits / 8) uint8."""
        return self.encode_counting(batch, first_row)[0]

    def encode_counting(
        self, batch: pa.RecordBatch, first_row: int = 1, *, validate: bool = True
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Encode a batch, and count for each field the records that have a value."""
        schema = self.schema
        filters = np.zeros((batch.num_rows, -(-schema.filter_bits // 64)), np.uint64)
        present = np.zeros(len(self._fields), np.int64)
        problems: list[tuple[int, str]] = []
        for at, (field, keys) in enumerate(self._fields):
            texts = distinct_texts(
                batch.column(field.name),
                field,
                verbatim=schema.clkhash is not None,
                validate=validate,
            )
            for rows, reason in texts.problems:
                problems += [(int(r), f"{field.name!r} {reason}") for r in rows[:_PROBLEMS_SHOWN]]
            if problems:
                continue
            present[at] = np.count_nonzero(texts.rows >= 0)
            if len(texts.values):
                merge_rows(texts.rows, _value_filters(texts.values, field, keys, schema), filters)
        if problems:
            _raise_problems(problems, first_row)
        width = schema.filter_bits // 8
        return harden(filters.view(np.uint8)[:, :width], schema.hardening), present

    def self_test(self) -> str:
        """Encode twenty built-in fictitious people; return a keyed digest of the result.

        Two holders with the same schema and key get the same value, unless their
        versions or platforms clean or encode values differently.
        """
        clks, _ = self.encode_counting(_fictitious_people(self.schema), validate=False)
        return hmac.new(self._self_test_key, clks.tobytes(), hashlib.sha256).hexdigest()[:16]


def expected_fill(schema: Schema) -> float:
    """Estimate the share of bits set before hardening, from built-in fictitious people."""
    plain = schema.model_copy(
        update={"bits": schema.filter_bits, "hardening": NoHardening(method="none")}
    )
    encoder = Encoder(plain, LinkageKey.generate())
    clks, _ = encoder.encode_counting(_fictitious_people(plain), validate=False)
    return float(count_bits(as_words(clks)).mean()) / plain.bits


def _value_filters(
    values: pa.StringArray, field: Field, keys: tuple[bytes, bytes], schema: Schema
) -> NDArray[np.uint64]:
    """Encode the distinct values of one field: (values, words) filters."""
    bits = schema.filter_bits
    words = -(-bits // 64)
    tokens = tokenise(values, field.tokens)
    encoding = field.format.encoding if isinstance(field.format, StringFormat) else "utf-8"
    counts = _insertions(field, tokens.offsets)

    # One filter for each distinct pair of a token and its number of insertions.
    most = int(counts.max(initial=0))
    uses, firsts = number_distinct((tokens.members * (most + 1) + counts).astype(np.uint64))
    where = positions(
        [text.encode(encoding) for text in tokens.texts], most, bits, keys, field.hash
    )
    token_filters = np.zeros((len(firsts), words * 8), np.uint8)
    set_bits(where, tokens.members[firsts], counts[firsts], token_filters)

    filters = np.zeros((len(values), words), np.uint64)
    merge_runs(uses, tokens.offsets, token_filters.view(np.uint64), filters)
    return filters


def _insertions(field: Field, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Say how many bits each token of each value inserts.

    ``bits_per_feature`` is shared out among a value's tokens, the first of them
    getting one more where it does not divide.
    """
    if field.bits_per_token is not None:
        return np.full(offsets[-1], field.bits_per_token, np.int64)
    lengths = np.diff(offsets)
    base, extra = np.divmod(field.bits_per_feature or 0, np.maximum(lengths, 1))
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return np.repeat(base, lengths) + (place < np.repeat(extra, lengths))


def _field_keys(schema: Schema, key: LinkageKey) -> list[tuple[bytes, bytes]]:
    """Two keys of 64 bytes a field, bound to its name and to the whole schema."""
    keys = []
    for field in schema.fields:
        both = key.derive("token", schema.fingerprint, field.name, length=128)
        keys.append((both[:64], both[64:]))
    return keys


def _clkhash_keys(
    schema: Schema, config: ClkhashKeys, key: LinkageKey
) -> list[tuple[bytes, bytes]]:
    """Cut one HKDF output into two keys a field, as clkhash does; ignored fields count."""
    algorithm = SHA512() if config.hash == "SHA512" else SHA256()
    size = config.key_size
    length = 2 * size * len(schema.fields)
    limit = 255 * algorithm.digest_size
    if length > limit:
        raise SchemaError(
            f"{len(schema.fields)} fields need {length} bytes of key, and HKDF-{config.hash} gives "
            f"{limit} at most (clkhash has the same limit). Use SHA512 or a smaller keySize."
        )
    salt = base64.b64decode(config.salt) if config.salt is not None else None
    info = base64.b64decode(config.info) if config.info is not None else b""
    stream = HKDF(algorithm, length, salt=salt, info=info).derive(key.secret_bytes())
    pieces = [stream[at : at + size] for at in range(0, length, size)]
    return list(zip(pieces[::2], pieces[1::2], strict=True))


@dataclass(frozen=True)
class _Part:
    """One encoded batch and what is counted of it."""

    ids: pa.StringArray
    clks: NDArray[np.uint8]
    bits: NDArray[np.int64]
    present: NDArray[np.int64]

    def without_clks(self) -> _Part:
        return _Part(self.ids, self.clks[:0], self.bits, self.present)


def _encode_batches(
    encoder: Encoder,
    data: Records,
    id_column: str,
    exclude: Sequence[str],
    progress: Progress | None,
) -> Iterator[_Part]:
    names = [field.name for field in encoder.schema.encoded_fields]
    excluded = pa.array(list(exclude), pa.string())
    seen = []
    done = 0
    for batch in read_batches(data, [id_column, *names]):
        ids = _record_ids(batch.column(0), id_column, done)
        seen.append(ids)
        fields = batch.select(list(range(1, batch.num_columns)))
        if len(excluded):
            keep = pc.invert(pc.is_in(ids, excluded))
            ids, fields = ids.filter(keep), fields.filter(keep)
        clks, present = encoder.encode_counting(fields, done + 1)
        yield _Part(ids, clks, count_bits(as_words(clks)), present)
        done += batch.num_rows
        if progress:
            progress(done)
    _require_unique(pa.chunked_array(seen), id_column)


def _record_ids(column: pa.Array, name: str, done: int) -> pa.StringArray:
    ids = as_text(column)
    missing = pc.or_kleene(pc.is_null(ids), pc.equal(ids, ""))
    if pc.any(missing).as_py():
        rows = np.flatnonzero(pc.fill_null(missing, True).to_numpy(zero_copy_only=False))
        raise RecordIdError(
            f"column {name!r} has no record id in {_rows(rows + done + 1)}. "
            f"Every record needs an id."
        )
    return ids


def _require_unique(ids: pa.ChunkedArray, name: str) -> None:
    encoded = pc.dictionary_encode(ids).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    if len(encoded.dictionary) == len(ids):
        return
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    counts = np.bincount(codes)
    rows = np.flatnonzero(counts[codes] > 1) + 1
    raise RecordIdError(
        f"column {name!r} has the same record id more than once: {_rows(rows)}. "
        f"Record ids must be unique."
    )


def _rows(rows: NDArray[np.int64]) -> str:
    shown = ", ".join(str(row) for row in rows[:_PROBLEMS_SHOWN].tolist())
    more = len(rows) - _PROBLEMS_SHOWN
    return f"row{'s' if len(rows) > 1 else ''} {shown}" + (
        f" and {more:,} more" if more > 0 else ""
    )


def _raise_problems(problems: list[tuple[int, str]], first_row: int) -> None:
    problems.sort()
    lines = [f"  row {row + first_row}: {what}" for row, what in problems[:_PROBLEMS_SHOWN]]
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append("  and more")
    raise InvalidValues(
        "values break the rules of the schema (row 1 is the first record):\n" + "\n".join(lines)
    )


def _info(encoder: Encoder, parts: Sequence[_Part], holder: str) -> EncodingInfo:
    schema = encoder.schema
    bits = np.concatenate([part.bits for part in parts])
    present = np.sum([part.present for part in parts], axis=0)
    records = len(bits)
    if not records:
        raise RecordIdError("every record was excluded; there is nothing to encode.")
    return EncodingInfo(
        holder=holder,
        schema_name=schema.name,
        schema_fingerprint=schema.fingerprint,
        key_check=encoder.key_check,
        self_test=encoder.self_test(),
        bits=schema.bits,
        hardening=schema.hardening.model_dump(),
        records=records,
        popcounts=Popcounts(
            mean=round(float(bits.mean()), 3),
            sd=round(float(bits.std()), 3),
            minimum=int(bits.min()),
            maximum=int(bits.max()),
        ),
        present={
            field.name: round(float(count) / records, 4)
            for field, count in zip(schema.encoded_fields, present, strict=True)
        },
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )


_PEOPLE = (
    *("José", "Åsa", "Łukasz", "Siobhán", "Jürgen", "Anne-Marie", "D'Arcy", "van der Berg"),
    *("Ünal", "Nguyễn", "IJsbrand", "Çelik", "Müller", "O'Neill", "Straße", "de Wit"),
    *("Jansen", "El Idrissi", "Smith", "Øster"),
)


def _fictitious_people(schema: Schema) -> pa.RecordBatch:
    return pa.record_batch(
        {
            field.name: pa.array(
                [_fictitious(field, at) for at in range(len(_PEOPLE))], pa.string()
            )
            for field in schema.encoded_fields
        }
    )


def _fictitious(field: Field, at: int) -> str:
    match field.format:
        case EnumFormat():
            return field.format.values[at % len(field.format.values)]
        case DateFormat():
            day = dt.date(1921 + 4 * at, 1 + at % 12, 1 + at)
            return day.strftime(field.format.format)
        case IntegerFormat():
            return str(1000 + 37 * at)
    if isinstance(field.tokens, Numeric):
        return str(17 * at)
    name = _PEOPLE[at]
    return name if field.format.encoding != "ascii" else name.encode("ascii", "ignore").decode()
