"""Min-hash: secret bits of the tokens that win lotteries weighted as the fields are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from pprl.kernels.minhash import NOTHING, count_repeats, least_of_rows, least_of_runs, look_up

if TYPE_CHECKING:
    from pprl.holder.groups import Part
    from pprl.holder.salting import Pieces
    from pprl.holder.schema import Field

KEY_BYTES = 96
"""Of each field: 64 for the digests of its tokens, 32 for their streams."""

STEPS = 1024
"""Steps of the scale of race values in one unit of the natural logarithm."""
CENTRE = 1 << 14
"""The race value of ln(-ln u) = 0 for the heaviest weight."""
LEAST_ADDED, MOST_ADDED = -4 * STEPS, 13 * STEPS
"""How far a weight can move a race value, which thus stays within 15 bits."""
LARGEST = 1 << 16
"""Larger weights and numbers of tokens count as this one."""

_BLOCK = 16
_NONCE = 12


@cache
def race_table() -> NDArray[np.uint16]:
    """Return what 16 random bits r draw: twice the race value of r >> 1, plus r & 1.

    The race value is ``CENTRE`` + ln(-ln u) in steps, u = (r >> 1, + 1/2) / 2**15.
    """
    u = (np.arange(1 << 15) + 0.5) / (1 << 15)
    race = CENTRE + np.rint(STEPS * np.log(-np.log(u))).astype(np.int64)
    table = np.stack([2 * race, 2 * race + 1], axis=1).astype(np.uint16).reshape(-1)
    table.flags.writeable = False
    return table


def logarithm(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the natural logarithm of whole numbers from 1, in whole steps."""
    return np.rint(STEPS * np.log(np.clip(numbers, 1, LARGEST))).astype(np.int64)


def width_of_blocks(slots: int) -> int:
    """Return how many slots are worked on at a time: a divisor of ``slots``."""
    return next(wide for wide in (256, 128, 64) if slots % wide == 0)


def places(slots: int) -> NDArray[np.int64]:
    """Return the bit at which `MinHasher.fill` puts each slot, counted as in a CLK."""
    wide = width_of_blocks(slots)
    block, at = np.divmod(np.arange(slots), wide)
    bit, word = np.divmod(at, wide // 16)
    # Bit i of a little-endian word of 16 bits is bit i ^ 7 as a CLK counts.
    return block * wide + 16 * word + (bit ^ 7)


class MinHasher:
    """Draws the slots of one part of the schema.

    Args:
        part: Its fields and weights.
        keys: `KEY_BYTES` for each field.
    """

    def __init__(self, part: Part, keys: Sequence[bytes]) -> None:
        self._fields = part.fields
        self._slots = part.filter_bits
        self._keys = [(key[:64], key[64:]) for key in keys]
        self._heaviest = max(part.weights().values())

    def fill(
        self, rows: Sequence[NDArray[np.int32]], pieces: Sequence[Pieces], out: NDArray[np.uint64]
    ) -> None:
        """Draw the slots of every record.

        Args:
            rows: For each field, each record's place among the values; -1 without one.
            pieces: For each field, the tokens of its values.
            out: (n, slots / 64), the slots' bits; the one of slot i is bit ``places[i]``. All
                are 0 in a record without a token.
        """
        wide = width_of_blocks(self._slots)
        tables, lists = [], []
        indices = np.empty((out.shape[0], len(rows)), np.int32)
        first = 0
        for at, (field, own, cut) in enumerate(zip(self._fields, rows, pieces, strict=True)):
            values = len(cut.offsets) - 1
            indices[:, at] = np.where(own < 0, -1, own + first)
            lists.append((first, first + values, *self._added(field, cut)))
            tables.append(self._numbers(cut.texts, *self._keys[at]))
            first += values
        indices[indices < 0] = first
        least = np.empty((first + 1, wide), np.uint16)
        least[first] = NOTHING
        packed = np.empty((len(out), wide // 16), np.uint16)
        words = out.view(np.uint16)
        for block in range(self._slots // wide):
            for table, (begin, end, tokens, ends, added) in zip(tables, lists, strict=True):
                least_of_runs(table[block], tokens, ends, added, least[begin:end])
            least_of_rows(indices, least, packed)
            words[:, block * (wide // 16) : (block + 1) * (wide // 16)] = packed

    def _numbers(self, tokens: list[bytes], name: bytes, secret: bytes) -> NDArray[np.uint16]:
        """Draw the tokens' numbers: (blocks, tokens, width of a block)."""
        wide = width_of_blocks(self._slots)
        out = np.empty((self._slots // wide, len(tokens), wide), np.uint16)
        stream = np.frombuffer(streams(tokens, 2 * self._slots, name, secret), "<u2")
        look_up(stream.reshape(len(tokens), self._slots), race_table(), out)
        return out

    def _added(
        self, field: Field, pieces: Pieces
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint16]]:
        """Return the distinct tokens of each value, and what their weights add to numbers."""
        tokens = np.empty(len(pieces.members), np.int32)
        repeats = np.empty(len(pieces.members), np.int32)
        ends = np.empty(len(pieces.offsets), np.int64)
        counts = np.zeros(len(pieces.texts), np.int32)
        count_repeats(pieces.members, pieces.offsets, counts, tokens, repeats, ends)
        tokens, repeats = tokens[: ends[-1]], repeats[: ends[-1]]
        weight = field.bits_per_feature or field.bits_per_token or 0
        added = logarithm(np.array(self._heaviest)) - logarithm(np.array(weight))
        added = added - logarithm(repeats)
        if field.bits_per_feature is not None:
            added = added + np.repeat(logarithm(np.diff(pieces.offsets)), np.diff(ends))
        return tokens, ends, (2 * np.clip(added, LEAST_ADDED, MOST_ADDED)).astype(np.uint16)


def streams(tokens: Sequence[bytes], size: int, name: bytes, secret: bytes) -> bytes:
    """Return ``size`` bytes of the AES-256-CTR stream of each token, one after the other.

    A token's counter blocks are 12 bytes of its BLAKE2b, keyed with ``name``, and four of a
    counter from 0, most significant byte first.
    """
    nonces = b"".join(blake2b(one, key=name, digest_size=_NONCE).digest() for one in tokens)
    blocks = np.empty((len(tokens), size // _BLOCK, 4), np.uint32)
    blocks[:, :, :3] = np.frombuffer(nonces, np.uint32).reshape(len(tokens), 1, 3)
    blocks[:, :, 3] = np.arange(size // _BLOCK, dtype=">u4").view(np.uint32)
    # One block of the cipher for one distinct counter block: CTR, many streams in one call.
    return Cipher(AES(secret), ECB()).encryptor().update(blocks.tobytes())  # noqa: S305
