"""Salting: hashing the tokens of one field together with another field's exact value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.holder.groups import Salt
from pprl.holder.hardening.minhash import Runs
from pprl.holder.tokens import number_distinct
from pprl.holder.values import Texts


@dataclass(frozen=True)
class Pieces:
    """The encoded tokens of distinct values, in order, repeats included.

    Attributes:
        texts: The distinct tokens, as bytes.
        members: (t,) int32, for every token of every value its place in ``texts``.
        offsets: (v + 1,) int64; value v has ``members[offsets[v]:offsets[v + 1]]``.
    """

    texts: list[bytes]
    members: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @cached_property
    def _prepared(self) -> list[Runs]:
        return []

    def runs(self, records: int) -> Runs:
        """Return the tokens prepared for min-hashing the values of so many records."""
        if not self._prepared:
            self._prepared.append(Runs(self, records))
        return self._prepared[0]

    def of(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], Pieces]:
        """Keep what some rows need: return their places among the values kept, and these."""
        values, numbered = np.unique(rows[rows >= 0], return_inverse=True)
        places = np.full(len(rows), -1, np.int32)
        places[rows >= 0] = numbered
        lengths = np.diff(self.offsets)[values]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[values] - offsets[:-1], lengths)
        tokens, members = np.unique(self.members[at], return_inverse=True)
        texts = [self.texts[token] for token in tokens.tolist()]
        return places, Pieces(texts, members.astype(np.int32), offsets)


@dataclass(frozen=True)
class Salts:
    """The salts of a batch.

    Attributes:
        rows: (n,) int64 index into ``values``; -1 where a part of the salt is missing.
        values: The distinct salts, each part of them prefixed with its length.
    """

    rows: NDArray[np.int64]
    values: list[bytes]


def salts_of(salts: Sequence[Salt], texts: Mapping[str, Texts]) -> Salts:
    """Put a group's salts together from the cleaned values of a batch."""
    codes = np.zeros(len(texts[salts[0].field].rows), np.int64)
    parts: list[tuple[NDArray[np.int64], list[str]]] = []
    absent = np.zeros(len(codes), bool)
    for salt in salts:
        column = texts[salt.field]
        shown = column.values if salt.characters is None else _cut(column.values, salt.characters)
        encoded = pc.dictionary_encode(shown)
        numbers = np.append(encoded.indices.to_numpy(zero_copy_only=False), -1).astype(np.int64)
        rows = numbers[column.rows]
        absent |= rows < 0
        codes = codes * (len(encoded.dictionary) + 1) + rows + 1
        codes = number_distinct(codes.astype(np.uint64))[0].astype(np.int64)
        parts.append((rows, encoded.dictionary.to_pylist()))
    ids, firsts = number_distinct(codes.astype(np.uint64))
    values = [
        b"" if absent[row] else b"".join(_prefixed(names[rows[row]]) for rows, names in parts)
        for row in firsts.tolist()
    ]
    return Salts(np.where(absent, -1, ids), values)


def salted(
    rows: NDArray[np.int32], pieces: Pieces, salts: Salts
) -> tuple[NDArray[np.int32], Pieces]:
    """Pair each row's value with its salt.

    Returns:
        (n,) int32 index of each row's pair, -1 without a value or a salt, and the
        pieces of the distinct pairs.
    """
    has = (rows >= 0) & (salts.rows >= 0)
    pairs = rows[has].astype(np.uint64) * np.uint64(len(salts.values)) + salts.rows[has].astype(
        np.uint64
    )
    ids, firsts = number_distinct(pairs)
    numbered = np.full(len(rows), -1, np.int32)
    numbered[has] = ids
    value, salt = np.divmod(pairs[firsts].astype(np.int64), max(len(salts.values), 1))

    lengths = np.diff(pieces.offsets)[value]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    places = np.arange(offsets[-1]) + np.repeat(pieces.offsets[:-1][value] - offsets[:-1], lengths)
    tokens, token_salts = pieces.members[places], np.repeat(salt, lengths)
    members, first = number_distinct(
        tokens.astype(np.uint64) * np.uint64(len(salts.values)) + token_salts.astype(np.uint64)
    )
    texts = [
        salts.values[one] + pieces.texts[token]
        for one, token in zip(token_salts[first].tolist(), tokens[first].tolist(), strict=True)
    ]
    return numbered, Pieces(texts, members, offsets)


def _cut(values: pa.StringArray, characters: int) -> pa.StringArray:
    if characters > 0:
        return pc.utf8_slice_codeunits(values, 0, characters)
    return pc.utf8_slice_codeunits(values, characters)


def _prefixed(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw
