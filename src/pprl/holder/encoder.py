"""The encoder: a schema with its derived keys, turning batches of records into CLKs.

The work follows the distinct things, not the records: a column is cut into its
distinct values, those into distinct tokens, and only the tokens are hashed. Bits
then flow back: tokens are merged into values, values into records.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from pprl.errors import SchemaError
from pprl.exchange.encodings import count_bits
from pprl.holder.blocking import block_keys
from pprl.holder.groups import Part
from pprl.holder.hardening import Derive, Harden, hardener
from pprl.holder.hardening.minhash import KEY_BYTES, MinHasher
from pprl.holder.hardening.options import MinHash
from pprl.holder.hashing import positions
from pprl.holder.keys import LinkageKey
from pprl.holder.salting import Pieces, salted, salts_of
from pprl.holder.schema import ClkhashKeys, Field, Schema, StringFormat
from pprl.holder.selftest import fictitious_people
from pprl.holder.tokens import codes_below, number_distinct, tokenise
from pprl.holder.values import Texts, as_text, distinct_texts
from pprl.kernels.bits import merge_row_runs, merge_rows, merge_runs, set_bits, share_out

_KEPT = 1 << 29
"""Bytes of tokens' numbers that an encoder keeps at most, from one batch to the next."""


@dataclass(frozen=True)
class Problem:
    """A value that breaks a rule of its field; never the value itself."""

    row: int
    field: str
    reason: str


@dataclass(frozen=True)
class EncodedBatch:
    """A batch's encodings.

    Attributes:
        clks: (n, total bits / 8) uint8, the schema's parts side by side.
        present: (n, fields) bool, whether each encoded field has a value.
        inserted: (n, parts) int64, bits set in each filter before hardening; with minhash, slots.
        block_keys: (n, passes) uint64, 0 where a record has no key.
        problems: Values that break a rule, by row of the batch; they set no bits.
        dropped: Values that are there and were taken for missing: the field, the rows of
            the batch, and why.
        moved: For each field how many times of the evening were taken for the next day.
    """

    clks: NDArray[np.uint8]
    present: NDArray[np.bool_]
    inserted: NDArray[np.int64]
    block_keys: NDArray[np.uint64]
    problems: tuple[Problem, ...]
    dropped: tuple[tuple[str, NDArray[np.int64], str], ...]
    moved: Mapping[str, int]


@dataclass(frozen=True)
class _Filter:
    """A part of the schema with its secrets."""

    part: Part
    keys: tuple[tuple[bytes, bytes], ...]
    minhasher: MinHasher | None
    harden: Harden
    known: tuple[dict[bytes, bytes], ...]


class Encoder:
    """Encodes batch after batch with one schema and one key.

    Randomised response is not added here: it depends on the record, see `Noise`.

    Raises:
        SchemaError: The schema asks for more key material than can be derived.
    """

    def __init__(self, schema: Schema, key: LinkageKey) -> None:
        self.schema = schema
        self._key = key
        self.parts = schema.parts
        self.key_check = key.check_value()
        self._filters = [
            _Filter(
                part,
                _field_keys(schema, part, key),
                _minhasher(schema, part, key),
                hardener(part, _derivation(schema, part, key)),
                tuple({} for _ in part.fields),
            )
            for part in self.parts
        ]
        self._self_test_key = key.derive("self-test")

    def encode(
        self,
        batch: pa.RecordBatch,
        columns: Mapping[str, str] | None = None,
        *,
        validate: bool = True,
        out: NDArray[np.uint8] | None = None,
    ) -> EncodedBatch:
        """Encode a batch.

        Args:
            batch: Holds a column for every field that is not ignored, and those of tokens.
            columns: The column of a field, where it is not the field's own name.
            validate: Check the rules of each field's format.
            out: (n, total bits / 8), where to put the CLKs; new memory if not given.
        """
        fields = self.schema.encoded_fields
        present = np.zeros((batch.num_rows, len(fields)), bool)
        problems: list[Problem] = []
        texts: dict[str, Texts] = {}
        for at, field in enumerate(fields):
            texts[field.name] = distinct_texts(
                batch.column((columns or {}).get(field.name, field.name)),
                field,
                verbatim=self.schema.clkhash is not None,
                validate=validate,
            )
            for rows, reason in texts[field.name].problems:
                problems += [Problem(row, field.name, reason) for row in rows.tolist()]
            present[:, at] = texts[field.name].rows >= 0
        pieces = {field.name: _cut(texts[field.name].values, field) for field in fields}
        inserted = np.empty((batch.num_rows, len(self.parts)), np.int64)
        width = self.schema.total_bits // 8
        clks = np.empty((batch.num_rows, width), np.uint8) if out is None else out
        first = 0
        for at, one in enumerate(self._filters):
            room = clks[:, first : first + one.part.bits // 8]
            first += one.part.bits // 8
            filters = _blank(room, one.part.filter_bits)
            _fill(one, texts, pieces, filters)
            inserted[:, at] = count_bits(filters)
            # Without hardening this is the same memory, and NumPy copies nothing.
            room[:] = one.harden(filters.view(np.uint8)[:, : one.part.filter_bits // 8])
        keys = block_keys(
            self.schema.blocking,
            texts,
            self._key,
            self.schema.fingerprint,
            batch.num_rows,
            {
                name: as_text(batch.column(name))
                for name in self.schema.token_columns
                if name in batch.schema.names
            },
        )
        dropped = tuple(
            (name, rows, reason) for name, one in texts.items() for rows, reason in one.dropped
        )
        moved = {name: one.moved for name, one in texts.items() if one.moved}
        return EncodedBatch(clks, present, inserted, keys, tuple(problems), dropped, moved)

    def self_test(self) -> str:
        """Encode twenty built-in fictitious people; return a keyed digest of the result.

        Two holders with the same schema and key get the same value, unless their
        versions or platforms clean or encode values differently.
        """
        clks = self.encode(fictitious_people(self.schema), validate=False).clks
        return hmac.new(self._self_test_key, clks.tobytes(), hashlib.sha256).hexdigest()[:16]


def expected_fill(schema: Schema) -> dict[str, float]:
    """Estimate the share of bits set before hardening, for a record with every field filled.

    From the numbers of bits that values insert; where tokens insert them, from built-in
    fictitious people.

    Returns:
        The fill by group; with the empty name for a schema without groups.
    """
    encoder = Encoder(schema, LinkageKey.generate())
    means = encoder.encode(fictitious_people(schema), validate=False).inserted.mean(axis=0)
    fills = {}
    for part, mean in zip(schema.parts, means.tolist(), strict=True):
        length = part.filter_bits
        by_value = [field.bits_per_feature for field in part.fields]
        if isinstance(part.hardening, MinHash):
            fills[part.name] = mean / length
        elif all(by_value) and part.slots[-1] == (0, length):
            fills[part.name] = 1 - (1 - 1 / length) ** sum(bits or 0 for bits in by_value)
        else:
            fills[part.name] = mean / length
    return fills


def _blank(clks: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    """Make (n, words) filters without a bit; in the CLKs' own memory if they fit there."""
    if 8 * clks.shape[1] == bits and not bits % 64 and clks.flags.c_contiguous:
        clks[:] = 0
        return clks.view(np.uint64)
    return np.zeros((len(clks), -(-bits // 64)), np.uint64)


def _fill(
    one: _Filter,
    texts: Mapping[str, Texts],
    pieces: Mapping[str, Pieces],
    filters: NDArray[np.uint64],
) -> None:
    """Make the (records, words) filters of one part before hardening; with minhash, its slots."""
    part = one.part
    salts = salts_of(part.salts, texts) if part.salts else None
    all_rows, all_pieces = [], []
    for field in part.fields:
        rows, cut = texts[field.name].rows, pieces[field.name]
        if salts is not None:
            rows, cut = salted(rows, cut, salts)
        all_rows.append(rows)
        all_pieces.append(cut)
    if one.minhasher is not None:
        one.minhasher.fill(all_rows, all_pieces, filters)
        return
    for field, rows, cut, keys, slot, known in zip(
        part.fields, all_rows, all_pieces, one.keys, part.slots, one.known, strict=True
    ):
        if len(cut.offsets) > 1:
            _merge_field(rows, cut, field, keys, slot, known, filters)


def _cut(values: pa.StringArray, field: Field) -> Pieces:
    if not len(values):
        return Pieces([], np.empty(0, np.int32), np.zeros(1, np.int64))
    tokens = tokenise(values, field.tokens)
    return Pieces(_token_bytes(tokens.texts, field), tokens.members, tokens.offsets)


def _merge_field(
    rows: NDArray[np.int32],
    pieces: Pieces,
    field: Field,
    keys: tuple[bytes, bytes],
    slot: tuple[int, int],
    known: dict[bytes, bytes],
    filters: NDArray[np.uint64],
) -> None:
    """Merge the tokens of one field, in its slot, into the (records, words) filters."""
    first, bits = slot
    uses, tokens, counts = _insertions(field, pieces)
    most = int(counts.max(initial=0))
    where = positions(pieces.texts, most, bits, keys, field.hash, known) + np.uint32(first)
    token_filters = np.zeros((len(tokens), filters.shape[1]), np.uint64)
    set_bits(where, tokens, counts, token_filters.view(np.uint8))

    n_values = len(pieces.offsets) - 1
    if 2 * n_values > len(rows):
        # Most values are one record's own, so a filter for each would only take memory.
        merge_row_runs(rows, uses, pieces.offsets, token_filters, filters)
    else:
        value_filters = np.zeros((n_values, filters.shape[1]), np.uint64)
        merge_runs(uses, pieces.offsets, token_filters, value_filters)
        merge_rows(rows, value_filters, filters)


def _token_bytes(texts: list[str], field: Field) -> list[bytes]:
    """Encode tokens; UTF-16 and UTF-32 little-endian, each with its byte order mark.

    clkhash uses the machine's own byte order, which is this one on common machines.
    """
    encoding = field.format.encoding if isinstance(field.format, StringFormat) else "utf-8"
    if encoding == "utf-16":
        return [codecs.BOM_UTF16_LE + text.encode("utf-16-le") for text in texts]
    if encoding == "utf-32":
        return [codecs.BOM_UTF32_LE + text.encode("utf-32-le") for text in texts]
    return [text.encode(encoding) for text in texts]


def _insertions(
    field: Field, pieces: Pieces
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Say how many bits each token of each value inserts.

    ``bits_per_feature`` is shared out among a value's tokens, the first of them
    getting one more where it does not divide.

    Returns:
        For every token of every value the number of its pair of a token and a count,
        and for each pair the token and the count.
    """
    if field.bits_per_token is not None:
        every = np.arange(len(pieces.texts))
        return pieces.members, every, np.full(len(every), field.bits_per_token)
    total = field.bits_per_feature or 0
    fewest = max(int(np.diff(pieces.offsets).min(initial=total)), 1)
    room = -(-total // fewest) + 1
    below = len(pieces.texts) * room
    pairs = codes_below(below, len(pieces.members))
    share_out(pieces.members, pieces.offsets, total, room, pairs)
    uses, firsts = number_distinct(pairs, below)
    tokens, counts = np.divmod(pairs[firsts].astype(np.int64), room)
    return uses, tokens, counts


def _field_keys(schema: Schema, part: Part, key: LinkageKey) -> tuple[tuple[bytes, bytes], ...]:
    """Two keys of 64 bytes for each field of a part, bound to the whole schema."""
    if schema.clkhash:
        pairs = zip(schema.fields, _clkhash_keys(schema, schema.clkhash, key), strict=True)
        return tuple(pair for field, pair in pairs if not field.ignored)
    # A salted token must never meet an unsalted one of the same bytes.
    purpose = "salted-token" if part.salts else "token"
    keys = []
    for field in part.fields:
        context = (schema.fingerprint, field.name, *([part.name] if part.name else []))
        both = key.derive(purpose, *context, length=128)
        keys.append((both[:64], both[64:]))
    return tuple(keys)


def _minhasher(schema: Schema, part: Part, key: LinkageKey) -> MinHasher | None:
    """Make what draws the slots of a part, if its hardening is min-hash."""
    if not isinstance(part.hardening, MinHash):
        return None
    purpose = "salted-minhash" if part.salts else "minhash"
    group = [part.name] if part.name else []
    return MinHasher(
        part,
        [
            key.derive(purpose, schema.fingerprint, field.name, *group, length=KEY_BYTES)
            for field in part.fields
        ],
        _KEPT // sum(len(one.fields) for one in schema.parts),
    )


def _derivation(schema: Schema, part: Part, key: LinkageKey) -> Derive:
    """Derive a part's hardening keys, bound to the whole schema and to the group."""
    return lambda purpose: key.derive(purpose, schema.fingerprint, part.name)


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
