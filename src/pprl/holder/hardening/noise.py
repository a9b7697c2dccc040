"""Randomised response: noise of its own for every record and every bit."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

PLANES = 16
"""Random bits behind each bit of noise; chances are multiples of 2**-16."""
_BLOCK = 16
_ROWS = 1024


class Noise:
    """Noise from a key of 32 bytes: a stream for every record, never the same twice.

    A record's stream is AES-256 of (nonce, counter), the nonce 12 bytes of a keyed
    BLAKE2b of its id and variant: nothing is seeded again from row to row, which would
    put one fixed mask over all records.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def nonces(self, record_ids: Iterable[str], variants: Iterable[int]) -> NDArray[np.uint8]:
        """Derive the nonce of each record's stream: (n, 12) uint8."""
        digests = [
            blake2b(
                variant.to_bytes(1, "big") + name.encode(), key=self._key, digest_size=12
            ).digest()
            for name, variant in zip(record_ids, variants, strict=True)
        ]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 12)

    def flip(
        self, clks: NDArray[np.uint8], nonces: NDArray[np.uint8], chance: float, first: int = 0
    ) -> NDArray[np.uint8]:
        """Flip each bit with a chance.

        Args:
            clks: (n, bytes) filters; a multiple of 8 bytes wide.
            nonces: (n, 12), what `nonces` gave.
            chance: Of each bit, rounded to a multiple of 2**-16.
            first: Bit of the whole CLK at which these filters begin, so that no two
                groups share noise.

        Returns:
            (n, bytes) uint8.
        """
        out = np.empty_like(clks)
        for start in range(0, len(clks), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] = clks[rows] ^ self._mask(nonces[rows], clks.shape[1], chance, first)
        return out

    def _mask(
        self, nonces: NDArray[np.uint8], width: int, chance: float, first: int
    ) -> NDArray[np.uint8]:
        count = PLANES * width // _BLOCK
        counters = (np.arange(count) + first * PLANES // (8 * _BLOCK)).astype(">u4")
        blocks = np.empty((len(nonces), count, _BLOCK), np.uint8)
        blocks[:, :, :12] = nonces[:, None, :]
        blocks[:, :, 12:] = counters.view(np.uint8).reshape(count, 4)
        # One block of the cipher for one distinct counter: a keyed stream, not ECB of data.
        cipher = Cipher(AES(self._key), ECB()).encryptor()  # noqa: S305
        stream = np.frombuffer(cipher.update(blocks.tobytes()), np.uint8)
        planes = stream.reshape(len(nonces), PLANES, width)
        # A random number below ``chance``, compared digit by digit, all bits at once.
        threshold = round(chance * (1 << PLANES))
        mask = np.zeros((len(nonces), width), np.uint8)
        for digit in range(PLANES):
            plane = planes[:, digit]
            mask = plane | mask if threshold >> digit & 1 else plane & mask
        return mask
