"""Cutting distinct values into tokens, without a Python loop over records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.holder.schema import Exact, NGrams, Numeric
from pprl.kernels.grams import gram_codes, rank
from pprl.kernels.numbering import number, number_small

_BLANK = 0x20
_ASCII = 0x80
_CODE_POINTS = 0x110000
_ROOM = 1 << 62
_TABLE = 1 << 17


@dataclass(frozen=True)
class Tokens:
    """The tokens of a column's distinct values, in order, repeats included.

    Attributes:
        texts: The distinct tokens.
        members: (t,) int32, for every token of every value its place in ``texts``.
        offsets: (v + 1,) int64; value v has ``members[offsets[v]:offsets[v + 1]]``.
    """

    texts: list[str]
    members: NDArray[np.int32]
    offsets: NDArray[np.int64]


def tokenise(values: pa.StringArray, tokens: NGrams | Exact | Numeric) -> Tokens:
    """Cut each of the distinct, non-empty values into tokens as the schema says."""
    match tokens:
        case NGrams():
            return _ngrams(values, tokens.n, tokens.positional)
        case Exact():
            at = np.arange(len(values) + 1)
            return Tokens(values.to_pylist(), at[:-1].astype(np.int32), at)
        case Numeric():
            return _numeric(values, tokens)


def number_distinct(
    codes: NDArray[np.uint32] | NDArray[np.uint64], below: int = 1 << 64
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number distinct codes in order of appearance.

    Args:
        codes: (n,) uint32 or uint64; at most 2**31 of them.
        below: All codes are smaller than this; small ones are numbered faster.

    Returns:
        The number of each code, and for each number the place where it first appears.
    """
    ids = np.empty(len(codes), np.int32)
    if below <= _TABLE:
        firsts = np.empty(below, np.int64)
        count = number_small(codes, np.full(below, -1, np.int32), ids, firsts)
        return ids, firsts[:count]
    size_log = 12
    while True:
        slots = np.full(1 << size_log, -1, np.int32)
        firsts = np.empty(len(slots) // 2, np.int64)
        count = number(codes, slots, 64 - size_log, ids, firsts)
        if count >= 0:
            return ids, firsts[:count].copy()
        size_log += 3


def codes_below(limit: int, size: int) -> NDArray[np.uint32] | NDArray[np.uint64]:
    """Make room for ``size`` codes below a limit, in no more memory than they need."""
    return np.empty(size, np.uint32) if limit <= 1 << 32 else np.empty(size, np.uint64)


def _ngrams(values: pa.StringArray, n: int, positional: bool) -> Tokens:
    points, lengths = _code_points(values)
    offsets = np.concatenate(([0], np.cumsum(lengths + n - 1)))
    numbers = np.zeros(_ASCII if points.dtype == np.uint8 else _CODE_POINTS, np.uint32)
    distinct = np.empty(len(points) + 1, "<u4")
    letters = np.empty(len(points), np.uint32)
    alphabet = rank(points, _BLANK, numbers, distinct, letters)
    places = int(lengths.max(initial=0)) + n - 1 if positional else 1
    below = alphabet**n * places
    if below > _ROOM:
        return _ngrams_of_many_letters(values, n, positional)

    codes = codes_below(below, offsets[-1])
    gram_codes(letters, lengths, n, alphabet, positional, codes)
    members, firsts = number_distinct(codes, below)
    place, code = np.divmod(codes[firsts].astype(np.uint64), np.uint64(alphabet**n))
    digits = np.uint64(alphabet) ** np.arange(n - 1, -1, -1, dtype=np.uint64)
    grams = distinct[(code[:, None] // digits) % np.uint64(alphabet)]
    joined = grams.tobytes().decode("utf-32-le")
    texts = [joined[at : at + n] for at in range(0, len(joined), n)]
    if positional:
        texts = [f"{at + 1} {text}" for at, text in zip(place.tolist(), texts, strict=True)]
    return Tokens(texts, members, offsets)


def _ngrams_of_many_letters(values: pa.StringArray, n: int, positional: bool) -> Tokens:
    """Cut n-grams that are too long, or of too large an alphabet, to be numbered by letters."""
    texts: dict[str, int] = {}
    members = []
    offsets = [0]
    for value in values.to_pylist():
        padded = " " * (n - 1) + value + " " * (n - 1)
        for at in range(len(padded) - n + 1):
            gram = padded[at : at + n]
            text = f"{at + 1} {gram}" if positional else gram
            members.append(texts.setdefault(text, len(texts)))
        offsets.append(len(members))
    return Tokens(list(texts), np.array(members, np.int32), np.array(offsets))


def _code_points(
    values: pa.StringArray,
) -> tuple[NDArray[np.uint8] | NDArray[np.uint32], NDArray[np.int64]]:
    """Return the code points of all values in a row, and how many each has."""
    _, offsets_buffer, data = values.buffers()
    ends = np.frombuffer(offsets_buffer, np.int32)[values.offset : values.offset + len(values) + 1]
    raw = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    if raw.max(initial=0) < _ASCII:
        return raw, np.diff(ends).astype(np.int64)
    points = np.frombuffer(raw.tobytes().decode().encode("utf-32-le"), "<u4")
    lengths = pc.utf8_length(values).to_numpy(zero_copy_only=False).astype(np.int64)
    return points, lengths


def _numeric(values: pa.StringArray, tokens: Numeric) -> Tokens:
    texts: dict[str, int] = {}
    members = []
    for value in values.to_pylist():
        centre = _grid_point(value, tokens)
        for step in range(-tokens.resolution, tokens.resolution + 1):
            text = str(centre + step * tokens.interval)
            members.append(texts.setdefault(text, len(texts)))
    per_value = 2 * tokens.resolution + 1
    offsets = np.arange(len(values) + 1) * per_value
    return Tokens(list(texts), np.array(members, np.int32), offsets)


def _grid_point(text: str, tokens: Numeric) -> int:
    """Snap a number to the grid on which its neighbourhood is laid out, as clkhash does."""
    scale: int = 10**tokens.fractional_precision
    try:
        value = int(text, base=10) * scale
    except ValueError:
        # Without fractional digits clkhash truncates where it otherwise rounds.
        value = round(float(text) * scale) if scale > 1 else int(float(text))
    value *= 2 * tokens.resolution
    residue = value % tokens.interval
    if residue == 0:
        return value
    if residue < tokens.interval / 2:
        return value - residue
    return value + (tokens.interval - residue)
