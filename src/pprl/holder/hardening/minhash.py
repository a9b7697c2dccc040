"""Min-hash: secret bits of the tokens that win lotteries weighted as the fields are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from pprl.holder.tokens import number_distinct
from pprl.kernels.minhash import (
    count_repeats,
    least_of_rows,
    least_of_runs,
    look_up,
    rows_of_records,
    stretch_codes,
)

if TYPE_CHECKING:
    from pprl.holder.groups import Part
    from pprl.holder.salting import Pieces

KEY_BYTES = 96
"""Of each field: 64 for the digests of its tokens, 32 for their streams."""

STEPS = 1024
"""Steps of the scale of race values in one unit of the natural logarithm."""
CENTRE = 1 << 14
"""The race value of ln(-ln u) = 0 for the heaviest weight."""
MOST_ADDED = 13 * STEPS
"""How far a weight can move a race value, which thus stays within 15 bits."""
MOST_REPEATS = 128
"""A token that is there more often in a value counts as if it were there so often."""
LARGEST = 1 << 16
"""A value of more tokens counts as one of so many."""

AT_ONCE = 1 << 26
"""Bytes of numbers of values, or of tokens of a field, that are worked on at a time."""
_STRETCH = 5
"""Tokens of a stretch: with fewer, records have more of them; with more, fewer are the same."""
_BLOCK = 16
_NONCE = 12


@cache
def race_table() -> NDArray[np.uint16]:
    """Return what 16 random bits r draw: twice the race value of r >> 1, plus r & 1.

    The race value is ``CENTRE`` + ln(-ln u) in steps, u = ((r >> 1) + 1/2) / 2**15.
    """
    u = (np.arange(1 << 15) + 0.5) / (1 << 15)
    race = CENTRE + np.rint(STEPS * np.log(-np.log(u))).astype(np.int64)
    table = np.stack([2 * race, 2 * race + 1], axis=1).astype(np.uint16).reshape(-1)
    table.flags.writeable = False
    return table


def logarithm(numbers: NDArray[np.integer], largest: int = LARGEST) -> NDArray[np.int64]:
    """Return the natural logarithm of whole numbers from 1, in whole steps."""
    steps: NDArray[np.int64] = _logarithms()[np.minimum(numbers, largest)]
    return steps


@cache
def _logarithms() -> NDArray[np.int64]:
    numbers = np.maximum(np.arange(LARGEST + 1), 1)
    steps: NDArray[np.int64] = np.rint(STEPS * np.log(numbers)).astype(np.int64)
    return steps


def width_of_blocks(slots: int) -> int:
    """Return how many slots are worked on at a time: a divisor of ``slots``."""
    return next(wide for wide in (128, 64) if slots % wide == 0)


class Runs:
    """What the values of a column are made of, for every group that has the column.

    Values are made of stretches of tokens where that is less work: 30,000 dates are 600
    stretches, each date two of them. Elsewhere each is made of its own tokens.

    Attributes:
        members: (t,) int32, tokens; stretch s has ``members[offsets[s]:offsets[s + 1]]``.
        offsets: (s + 1,) int64.
        less: (t,) uint16, for every token twice the logarithm of how many of its kind the
            value has up to there; the last of them counts.
        rows: (r,) int32, stretches; value v has ``rows[ends[v]:ends[v + 1]]``.
        ends: (v + 1,) int64.
        lengths: (v,) logarithm of the number of tokens.
    """

    def __init__(self, pieces: Pieces, records: int) -> None:
        times = np.empty(len(pieces.members), np.int32)
        counts = np.zeros(len(pieces.texts), np.int32)
        count_repeats(pieces.members, pieces.offsets, counts, times)
        self.less = (2 * logarithm(times, MOST_REPEATS)).astype(np.uint16)
        self.lengths = logarithm(np.diff(pieces.offsets))
        self.members, self.offsets = pieces.members, pieces.offsets
        self.ends = np.arange(len(pieces.offsets))
        self.rows = self.ends[:-1].astype(np.int32)
        self._stretch(times, records)

    def _stretch(self, times: NDArray[np.int32], records: int) -> None:
        """Make values of stretches, if that is less work for so many records."""
        kinds = self.members.astype(np.uint64) * np.uint64(MOST_REPEATS + 1) + np.minimum(
            times, MOST_REPEATS
        ).astype(np.uint64)
        symbols, firsts = number_distinct(kinds)
        base = len(firsts) + 2
        tokens = np.diff(self.offsets)
        parts = -(-tokens // _STRETCH)
        if base**_STRETCH >= 1 << 64 or not len(tokens):
            return
        codes = np.empty(parts.sum(), np.uint64)
        stretch_codes(symbols, self.offsets, _STRETCH, base, codes)
        rows, first = number_distinct(codes)
        ends = np.concatenate(([0], np.cumsum(parts)))
        value = np.repeat(np.arange(len(parts)), parts)[first]
        begin = self.offsets[value] + _STRETCH * (first - ends[value])
        length = np.minimum(self.offsets[value + 1] - begin, _STRETCH)
        # Steps of each way: tokens read, a row written and brought back, and rows of records.
        whole = len(self.members) + 3 * len(tokens) + records
        cut = length.sum() + 3 * len(first) + records * parts.mean()
        if cut >= whole:
            return
        offsets = np.concatenate(([0], np.cumsum(length)))
        at = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], length)
        self.members, self.less, self.offsets = self.members[at], self.less[at], offsets
        self.rows, self.ends = rows, ends


class Numbers:
    """The numbers that the tokens of one field of one group draw.

    Those of the tokens seen are kept for the next batch, within bounds.

    Args:
        key: `KEY_BYTES`.
        slots: How many numbers for each token.
        room: How many tokens' numbers are kept at most.
    """

    def __init__(self, key: bytes, slots: int, room: int) -> None:
        self._keys = key[:64], key[64:]
        self._slots = slots
        self._room = room
        self._lock = Lock()
        self._known: dict[bytes, int] = {}
        self._table = self._empty(0)

    def of(self, tokens: Sequence[bytes]) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
        """Return a table of numbers, (blocks, rows, width of a block), and each token's row."""
        if len(tokens) > self._room:
            table = self._empty(len(tokens))
            self._draw(tokens, table, 0)
            return table, np.arange(len(tokens), dtype=np.int32)
        with self._lock:
            new = [token for token in tokens if token not in self._known]
            if len(self._known) + len(new) > self._room:
                # Others may still read the table, so it is left to them.
                self._known, self._table, new = {}, self._empty(0), list(tokens)
            first = len(self._known)
            if first + len(new) > self._table.shape[1]:
                table = self._empty(min(max(2 * first, first + len(new)), self._room))
                table[:, :first] = self._table[:, :first]
                self._table = table
            self._draw(new, self._table, first)
            self._known.update(zip(new, range(first, first + len(new)), strict=True))
            rows = np.fromiter((self._known[one] for one in tokens), np.int32, len(tokens))
            return self._table, rows

    def _empty(self, tokens: int) -> NDArray[np.uint16]:
        wide = width_of_blocks(self._slots)
        return np.empty((self._slots // wide, tokens, wide), np.uint16)

    def _draw(self, tokens: Sequence[bytes], table: NDArray[np.uint16], first: int) -> None:
        """Put the tokens' numbers in the rows of the table from the first on."""
        stream = np.frombuffer(streams(tokens, 2 * self._slots, *self._keys), "<u2")
        look_up(stream.reshape(len(tokens), self._slots), race_table(), first, table)


class MinHasher:
    """Draws the slots of one part of the schema.

    Args:
        part: Its fields and weights.
        keys: `KEY_BYTES` for each field.
        room: How many bytes of numbers are kept for each field.
    """

    def __init__(self, part: Part, keys: Sequence[bytes], room: int) -> None:
        self._slots = part.filter_bits
        self._numbers = [Numbers(key, self._slots, room // (2 * self._slots)) for key in keys]
        heaviest = np.array(max(part.weights().values()))
        self._lighter = [
            int(logarithm(heaviest) - logarithm(np.array(weight)))
            for weight in part.weights().values()
        ]
        self._shared = [field.bits_per_feature is not None for field in part.fields]

    def fill(
        self, rows: Sequence[NDArray[np.int32]], pieces: Sequence[Pieces], out: NDArray[np.uint64]
    ) -> None:
        """Draw the slots of every record.

        Args:
            rows: For each field, each record's place among the values; -1 without one.
            pieces: For each field, the tokens of its values.
            out: (n, slots / 64), the slots' bits; bit i of a little-endian word is the one
                of its slot i. All are 0 in a record without a token.
        """
        wide = width_of_blocks(self._slots)
        runs = [one.runs(len(out)) for one in pieces]
        stretches = sum(len(one.offsets) - 1 for one in runs)
        tokens = max(len(one.texts) for one in pieces)
        if len(out) > 1 and 2 * max(stretches * wide, tokens * self._slots) > AT_ONCE:
            half = len(out) // 2
            for some in (slice(0, half), slice(half, None)):
                less = [one.of(own[some]) for own, one in zip(rows, pieces, strict=True)]
                self.fill([own for own, _ in less], [one for _, one in less], out[some])
            return
        ends, own, more = self._rows(rows, runs)
        made = [numbers.of(one.texts) for numbers, one in zip(self._numbers, pieces, strict=True)]
        columns = [
            (table, places[one.members], one)
            for (table, places), one in zip(made, runs, strict=True)
        ]
        least = np.empty((stretches, wide), np.uint16)
        words = out.view(np.uint32)
        for block in range(self._slots // wide):
            first = 0
            for table, members, one in columns:
                last = first + len(one.offsets) - 1
                least_of_runs(table[block], members, one.offsets, one.less, least[first:last])
                first = last
            least_of_rows(ends, own, more, least, block * wide // 32, words)

    def _rows(
        self, rows: Sequence[NDArray[np.int32]], runs: Sequence[Runs]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint16]]:
        """List each record's stretches, of all fields, and what is added to their numbers."""
        values = np.empty((len(rows[0]), len(rows)), np.int32)
        starts, stretches, added = [np.zeros(1, np.int64)], [], []
        at_value = at_row = at_stretch = 0
        size = 0
        for at, (own, one) in enumerate(zip(rows, runs, strict=True)):
            values[:, at] = np.where(own < 0, -1, own + at_value)
            starts.append(one.ends[1:] + at_row)
            stretches.append(one.rows + np.int32(at_stretch))
            penalty = self._lighter[at] + (one.lengths if self._shared[at] else 0)
            added.append(np.full(len(one.lengths), 2 * np.minimum(penalty, MOST_ADDED), np.uint16))
            size += int(np.diff(one.ends)[own[own >= 0]].sum())
            at_value += len(one.lengths)
            at_row += len(one.rows)
            at_stretch += len(one.offsets) - 1
        ends, mine = np.empty(len(values) + 1, np.int64), np.empty(size, np.int32)
        more = np.empty(size, np.uint16)
        rows_of_records(
            values,
            np.concatenate(starts),
            np.concatenate(stretches),
            np.concatenate(added),
            ends,
            mine,
            more,
        )
        return ends, mine, more


def streams(tokens: Sequence[bytes], size: int, name: bytes, secret: bytes) -> bytes:
    """Return ``size`` bytes of the AES-256-CTR stream of each token, one after the other.

    A token's counter blocks are 12 bytes of its BLAKE2b, keyed with ``name``, and four of a
    counter from 0, most significant byte first.
    """
    nonces = b"".join(blake2b(one, key=name, digest_size=_NONCE).digest() for one in tokens)
    blocks = np.empty((len(tokens), size // _BLOCK, 4), np.uint32)
    for word, column in enumerate(np.frombuffer(nonces, np.uint32).reshape(len(tokens), 3).T):
        blocks[:, :, word] = column[:, None]
    blocks[:, :, 3] = np.arange(size // _BLOCK, dtype=">u4").view(np.uint32)
    # One block of the cipher for one distinct counter block: CTR, many streams in one call.
    return Cipher(AES(secret), ECB()).encryptor().update(blocks.tobytes())  # noqa: S305
