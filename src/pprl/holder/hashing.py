"""From tokens to bit positions, with clkhash's two hash functions."""

from __future__ import annotations

import hmac
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from pprl.errors import SchemaError
from pprl.holder.schema import BlakeHash, DoubleHash

_SHORTS = 32
"""Positions that one BLAKE2b digest of 64 bytes gives."""

_REMEMBERED = 100_000
"""Digests kept from one batch to the next; each field's are dropped when they are more."""


def positions(
    tokens: list[bytes],
    most: int,
    bits: int,
    keys: tuple[bytes, bytes],
    hash_: BlakeHash | DoubleHash,
    known: dict[bytes, bytes],
) -> NDArray[np.uint32]:
    """Hash tokens to bit positions.

    Args:
        tokens: Distinct tokens, encoded.
        most: Positions wanted for each token; a shorter list is a prefix of a longer.
        bits: Length of the filter.
        keys: The field's two keys; BLAKE2b uses the first alone.
        hash_: Which hash.
        known: Remembers digests between calls with the same keys; only BLAKE2b does.

    Returns:
        (tokens, most) uint32, each below ``bits``.
    """
    if isinstance(hash_, BlakeHash):
        return _blake(tokens, most, bits, keys[0], known)
    return _double(tokens, most, bits, keys, hash_.prevent_singularity)


def _blake(
    tokens: list[bytes], most: int, bits: int, key: bytes, known: dict[bytes, bytes]
) -> NDArray[np.uint32]:
    """One keyed digest for every 32 positions, the salt its number; read little-endian.

    clkhash reads native shorts; little-endian is what it gives on every common machine.
    """
    if len(key) > blake2b.MAX_KEY_SIZE:
        raise SchemaError(f"the hash 'blake' takes keys of 64 bytes at most, not {len(key)}.")
    blocks = -(-most // _SHORTS)
    seeded = [blake2b(key=key, salt=str(block).encode()) for block in range(blocks)]
    if len(known) > _REMEMBERED:
        known.clear()
    digests = []
    for token in tokens:
        found = known.get(token, b"")
        for start in seeded[len(found) // blake2b.MAX_DIGEST_SIZE :]:
            state = start.copy()
            state.update(token)
            found += state.digest()
        known[token] = found
        digests.append(found[: blocks * blake2b.MAX_DIGEST_SIZE])
    shorts = np.frombuffer(b"".join(digests), "<u2").reshape(len(tokens), blocks * _SHORTS)
    return shorts[:, :most].astype(np.uint32) % np.uint32(bits)


def _double(
    tokens: list[bytes],
    most: int,
    bits: int,
    keys: tuple[bytes, bytes],
    prevent_singularity: bool,
) -> NDArray[np.uint32]:
    """Compute (HMAC-SHA1 + i * HMAC-MD5) mod bits for i = 0, 1, ...

    Source: Schnell, Bachteler and Reiher, A novel error-tolerant anonymous linking
    code (2011). The step may be 0 and set one bit only (clkhash issue 33);
    ``prevent_singularity`` hashes the token again with a counter until it is not.
    """
    firsts = np.empty(len(tokens), np.int64)
    steps = np.empty(len(tokens), np.int64)
    for at, token in enumerate(tokens):
        firsts[at] = int.from_bytes(hmac.digest(keys[0], token, "sha1"), "big") % bits
        step = int.from_bytes(hmac.digest(keys[1], token, "md5"), "big") % bits
        if prevent_singularity:
            counter = 0
            while step == 0:
                salted = token + chr(counter).encode()
                step = int.from_bytes(hmac.digest(keys[1], salted, "md5"), "big") % bits
                counter += 1
        steps[at] = step
    at_all = (firsts[:, None] + np.arange(most) * steps[:, None]) % bits
    return at_all.astype(np.uint32)
