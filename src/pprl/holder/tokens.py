"""Cutting distinct values into tokens, without a Python loop over records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.holder.schema import Exact, NGrams, Numeric
from pprl.kernels.grams import append_letter, lay_out, pad, rank
from pprl.kernels.numbering import number

_BLANK = 0x20
_CODE_POINTS = 0x110000
_ROOM = 1 << 62


@dataclass(frozen=True)
class Tokens:
    """The tokens of a column's distinct values, in order, repeats included.

    Attributes:
        texts: The distinct tokens.
        members: (t,) int64, for every token of every value its place in ``texts``.
        offsets: (v + 1,) int64; value v has ``members[offsets[v]:offsets[v + 1]]``.
    """

    texts: list[str]
    members: NDArray[np.int64]
    offsets: NDArray[np.int64]


def tokenise(values: pa.StringArray, tokens: NGrams | Exact | Numeric) -> Tokens:
    """Cut each of the distinct, non-empty values into tokens as the schema says."""
    match tokens:
        case NGrams():
            return _ngrams(values, tokens.n, tokens.positional)
        case Exact():
            at = np.arange(len(values) + 1)
            return Tokens(values.to_pylist(), at[:-1], at)
        case Numeric():
            return _numeric(values, tokens)


def number_distinct(codes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number distinct codes in order of appearance.

    Returns:
        The number of each code, and for each number the place where it first appears.
    """
    ids = np.empty(len(codes), np.int64)
    size_log = 12
    while True:
        slots = np.full(1 << size_log, -1, np.int64)
        firsts = np.empty(len(slots) // 2, np.int64)
        count = number(codes, slots, 64 - size_log, ids, firsts)
        if count >= 0:
            return ids, firsts[:count].copy()
        size_log += 3


def _ngrams(values: pa.StringArray, n: int, positional: bool) -> Tokens:
    points, lengths = _padded_code_points(values, n - 1)
    counts = lengths - (n - 1)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    starts = np.empty(offsets[-1], np.int64)
    places = np.empty(offsets[-1], np.int64)
    lay_out(lengths, n, starts, places)

    letters = np.empty(len(points), np.uint32)
    alphabet = rank(points, np.zeros(_CODE_POINTS, np.uint32), letters)

    # A token's code is a number whose digits are its letters, and its place if that counts.
    codes = places.astype(np.uint64) if positional else np.zeros(len(starts), np.uint64)
    distinct = int(places.max(initial=0)) + 1 if positional else 1
    for step in range(n):
        if distinct * alphabet > _ROOM:
            ids, firsts = number_distinct(codes)
            codes, distinct = ids.astype(np.uint64), len(firsts)
        append_letter(letters, starts, step, alphabet, codes)
        distinct *= alphabet
    members, firsts = number_distinct(codes)

    grams = points[starts[firsts, None] + np.arange(n)].astype("<u4")
    joined = grams.tobytes().decode("utf-32-le")
    texts = [joined[at : at + n] for at in range(0, len(joined), n)]
    if positional:
        first_places = places[firsts].tolist()
        texts = [f"{at + 1} {text}" for at, text in zip(first_places, texts, strict=True)]
    return Tokens(texts, members, offsets)


def _padded_code_points(
    values: pa.StringArray, width: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the code points of all values, each between blanks, and the padded lengths."""
    _, offsets_buffer, data = values.buffers()
    ends = np.frombuffer(offsets_buffer, np.int32)[values.offset : values.offset + len(values) + 1]
    text = bytes(memoryview(data)[ends[0] : ends[-1]]).decode() if data else ""
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    lengths = pc.utf8_length(values).to_numpy(zero_copy_only=False).astype(np.int64)
    if not width:
        return points, lengths
    padded = np.empty(len(points) + 2 * width * len(lengths), np.uint32)
    pad(points, lengths, width, _BLANK, padded)
    return padded, lengths + 2 * width


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
    return Tokens(list(texts), np.array(members, np.int64), offsets)


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
