"""Secret draws from a key, the same for ever: on every platform, in every version."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_CHUNK = 4096
_RANGE = 1 << 32


class Draws:
    """Whole numbers drawn from the AES-256-CTR stream of a key of 32 bytes, counter from 0.

    Each draw takes the next four bytes of the stream, little-endian; those that would
    favour small numbers are rejected.
    """

    def __init__(self, key: bytes) -> None:
        self._stream = Cipher(AES(key), CTR(bytes(16))).encryptor()
        self._numbers: list[int] = []

    def below(self, limit: int) -> int:
        """Draw from 0 to ``limit`` - 1, all equally likely; ``limit`` is at most 2**32."""
        fair = _RANGE - _RANGE % limit
        while True:
            number = self._next()
            if number < fair:
                return number % limit

    def shuffled(self, size: int) -> list[int]:
        """Put 0 to ``size`` - 1 in random order (Fisher and Yates; Durstenfeld, CACM 1964)."""
        numbers = list(range(size))
        for last in range(size - 1, 0, -1):
            other = self.below(last + 1)
            numbers[last], numbers[other] = numbers[other], numbers[last]
        return numbers

    def _next(self) -> int:
        if not self._numbers:
            stream = self._stream.update(bytes(_CHUNK))
            self._numbers = [
                int.from_bytes(stream[at : at + 4], "little") for at in range(0, _CHUNK, 4)
            ]
            self._numbers.reverse()
        return self._numbers.pop()
