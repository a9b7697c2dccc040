"""Keyed blocking keys: which records the linkage unit should compare, and nothing more.

A pass puts together what two records of one person should agree on. Its value is
hashed under a key of its own, so that the linkage unit can tell equal keys but cannot
try out values, as it could with plain or unkeyed ones.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import MissingDependency
from pprl.holder.blocking_passes import BlockingPass, KeyPart, PhoneticCode
from pprl.holder.keys import LinkageKey
from pprl.holder.tokens import number_distinct
from pprl.holder.values import Texts


def block_keys(
    passes: Sequence[BlockingPass],
    texts: Mapping[str, Texts],
    key: LinkageKey,
    fingerprint: str,
    records: int,
    tokens: Mapping[str, pa.StringArray],
) -> NDArray[np.uint64]:
    """Make the keys of a batch: (records, passes) uint64, 0 where a record has none.

    A key is the first 64 bits of HMAC-SHA-256 over the parts, each after its length,
    under a key derived for the pass and the schema.

    Args:
        passes: The schema's blocking passes.
        texts: The cleaned values of each field.
        key: The linkage key.
        fingerprint: The schema's.
        records: How many records the batch has.
        tokens: The columns of ready-made tokens that the batch has; a pass whose column is
            not there gives no keys.

    Raises:
        MissingDependency: A phonetic code is wanted and its library is not installed.
    """
    out = np.zeros((records, len(passes)), np.uint64)
    for at, one in enumerate(passes):
        secret = key.derive("blocking", fingerprint, one.name)
        if one.column is not None:
            columns = [_tokens(tokens.get(one.column), records)]
        else:
            columns = [_codes(part, texts[part.field]) for part in one.parts]
        has = np.logical_and.reduce([rows >= 0 for rows, _ in columns])
        numbers = np.zeros(int(has.sum()), np.int64)
        for rows, values in columns:
            codes = numbers * (len(values) + 1) + rows[has]
            numbers = number_distinct(codes.astype(np.uint64))[0].astype(np.int64)
        ids, firsts = number_distinct(numbers.astype(np.uint64), len(numbers) + 1)
        keyed = np.empty(len(firsts), np.uint64)
        for number, row in enumerate(np.flatnonzero(has)[firsts].tolist()):
            message = b"".join(
                len(part).to_bytes(4, "big") + part
                for part in (values[rows[row]].encode() for rows, values in columns)
            )
            digest = hmac.digest(secret, message, "sha256")
            keyed[number] = int.from_bytes(digest[:8], "big") or 1
        out[has, at] = keyed[ids]
    return out


def _codes(part: KeyPart, texts: Texts) -> tuple[NDArray[np.int64], list[str]]:
    """Cut the distinct values of a field; what becomes empty is missing."""
    values = texts.values.to_pylist()
    if part.length:
        values = [value if len(value) == part.length else "" for value in values]
    if part.letters:
        values = [_letters(value, part.letters) for value in values]
    if part.code:
        phonetic = _phonetic(part.code)
        values = [phonetic(value) for value in values]
    if part.at:
        places, most = part.at, max(part.at)
        values = [
            "".join(value[i] for i in places) if len(value) > most else "" for value in values
        ]
    if part.first:
        values = [value[: part.first] for value in values]
    if part.last:
        values = [value[-part.last :] for value in values]
    distinct: dict[str, int] = {}
    numbers = [distinct.setdefault(value, len(distinct)) if value else -1 for value in values]
    return np.array([*numbers, -1], np.int64)[texts.rows], list(distinct)


def _tokens(column: pa.StringArray | None, records: int) -> tuple[NDArray[np.int64], list[str]]:
    """Number the distinct tokens of a column; a blank one is missing."""
    if column is None:
        return np.full(records, -1, np.int64), []
    trimmed = pc.utf8_trim_whitespace(column)
    encoded = pc.dictionary_encode(pc.if_else(_blank(trimmed), None, trimmed))
    rows = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return rows, encoded.dictionary.to_pylist()


def _blank(tokens: pa.StringArray) -> pa.BooleanArray:
    """Tell which tokens stand for none: empty text, and zeros alone, as Open Link Token has it."""
    return pc.equal(pc.utf8_ltrim(tokens, "0"), "")


def _letters(value: str, places: Sequence[int]) -> str:
    """Take letters by place; nothing of a value without letters."""
    letters = [letter for letter in value if letter.isalpha()]
    if not letters:
        return ""
    return "".join(letters[at - 1] if at <= len(letters) else "2" for at in places)


def _phonetic(code: PhoneticCode) -> Callable[[str], str]:
    try:
        import jellyfish
    except ImportError:
        raise MissingDependency.of(
            f"the blocking code {code!r} needs the package jellyfish", "phonetic"
        ) from None
    function: Callable[[str], str] = getattr(jellyfish, code)
    return function
