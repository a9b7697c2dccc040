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
from pprl.exchange.encodings import as_words, count_bits
from pprl.holder.harden import harden
from pprl.holder.hashing import positions
from pprl.holder.keys import LinkageKey
from pprl.holder.schema import ClkhashKeys, Field, NoHardening, Schema, StringFormat
from pprl.holder.selftest import fictitious_people
from pprl.holder.tokens import number_distinct, tokenise
from pprl.holder.values import Texts, distinct_texts
from pprl.kernels.bits import merge_row_runs, merge_rows, merge_runs, set_bits


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
        clks: (n, bits / 8) uint8.
        present: (n, fields) bool, whether each encoded field has a value.
        problems: Values that break a rule, by row of the batch; they set no bits.
    """

    clks: NDArray[np.uint8]
    present: NDArray[np.bool_]
    problems: tuple[Problem, ...]


class Encoder:
    """Encodes batch after batch with one schema and one key.

    Raises:
        SchemaError: The schema asks for more key material than can be derived.
    """

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

    def encode(
        self,
        batch: pa.RecordBatch,
        columns: Mapping[str, str] | None = None,
        *,
        validate: bool = True,
    ) -> EncodedBatch:
        """Encode a batch.

        Args:
            batch: Holds a column for every field that is not ignored.
            columns: The column of a field, where it is not the field's own name.
            validate: Check the rules of each field's format.
        """
        schema = self.schema
        filters = np.zeros((batch.num_rows, -(-schema.filter_bits // 64)), np.uint64)
        present = np.zeros((batch.num_rows, len(self._fields)), bool)
        problems: list[Problem] = []
        for at, (field, keys) in enumerate(self._fields):
            texts = distinct_texts(
                batch.column((columns or {}).get(field.name, field.name)),
                field,
                verbatim=schema.clkhash is not None,
                validate=validate,
            )
            for rows, reason in texts.problems:
                problems += [Problem(row, field.name, reason) for row in rows.tolist()]
            present[:, at] = texts.rows >= 0
            if len(texts.values):
                _merge_field(texts, field, keys, schema, filters)
        unhardened = filters.view(np.uint8)[:, : schema.filter_bits // 8]
        return EncodedBatch(harden(unhardened, schema.hardening), present, tuple(problems))

    def self_test(self) -> str:
        """Encode twenty built-in fictitious people; return a keyed digest of the result.

        Two holders with the same schema and key get the same value, unless their
        versions or platforms clean or encode values differently.
        """
        clks = self.encode(fictitious_people(self.schema), validate=False).clks
        return hmac.new(self._self_test_key, clks.tobytes(), hashlib.sha256).hexdigest()[:16]


def expected_fill(schema: Schema) -> float:
    """Estimate the share of bits set before hardening, from built-in fictitious people."""
    plain = schema.model_copy(
        update={"bits": schema.filter_bits, "hardening": NoHardening(method="none")}
    )
    encoder = Encoder(plain, LinkageKey.generate())
    clks = encoder.encode(fictitious_people(plain), validate=False).clks
    return float(count_bits(as_words(clks)).mean()) / plain.bits


def _merge_field(
    texts: Texts,
    field: Field,
    keys: tuple[bytes, bytes],
    schema: Schema,
    filters: NDArray[np.uint64],
) -> None:
    """Merge the tokens of one field into the (records, words) filters."""
    tokens = tokenise(texts.values, field.tokens)
    counts = _insertions(field, tokens.offsets)

    # One filter for each distinct pair of a token and its number of insertions.
    most = int(counts.max(initial=0))
    pairs = (tokens.members * (most + 1) + counts).astype(np.uint64)
    uses, firsts = number_distinct(pairs, len(tokens.texts) * (most + 1))
    where = positions(_token_bytes(tokens.texts, field), most, schema.filter_bits, keys, field.hash)
    token_filters = np.zeros((len(firsts), filters.shape[1]), np.uint64)
    set_bits(where, tokens.members[firsts], counts[firsts], token_filters.view(np.uint8))

    if 2 * len(texts.values) > len(texts.rows):
        # Most values are one record's own, so a filter for each would only take memory.
        merge_row_runs(texts.rows, uses, tokens.offsets, token_filters, filters)
    else:
        value_filters = np.zeros((len(texts.values), filters.shape[1]), np.uint64)
        merge_runs(uses, tokens.offsets, token_filters, value_filters)
        merge_rows(texts.rows, value_filters, filters)


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
