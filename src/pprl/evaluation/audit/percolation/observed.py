"""What is seen: how encodings agree, group by group, dense or worked out in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.agreement import ONE
from pprl.evaluation.audit.bits import Floats, Rows

DENSE = 6_000
"""Up to so many encodings their agreements are kept as matrices: 4 bytes a pair and group."""


class Observed:
    """Centred agreements of n encodings in every group.

    Made by `of_clks` from encodings, or by `simulated` from what is expected and noise.

    Attributes:
        bits: (groups,) float32, length of each group.
    """

    def __init__(
        self,
        bits: Sequence[int],
        signs: Sequence[NDArray[np.int8]] = (),
        dense: Sequence[Floats] = (),
    ) -> None:
        self.bits = np.asarray(bits, np.float32)
        self._signs = list(signs)
        self._means = [one.mean(axis=0, dtype=np.float32) for one in signs]
        self._dense = list(dense)
        if not dense and len(self) <= DENSE:
            every = np.arange(len(self))
            self._dense = [self.block(g, every, every) for g in range(len(self.bits))]

    @classmethod
    def of_clks(cls, clks: Sequence[NDArray[np.uint8]]) -> Observed:
        """Take the encodings: for each group (n, bytes) uint8."""
        signs = [(2 * np.unpackbits(one, axis=1).view(np.int8) - 1) for one in clks]
        return cls([8 * one.shape[1] for one in clks], signs)

    @classmethod
    def simulated(
        cls, expected: NDArray[np.int16], bits: Sequence[int], rng: np.random.Generator
    ) -> Observed:
        """Draw what encodings of these people would show under an unknown key.

        Each agreement is the expected one and Gaussian noise of variance (1 - rho^2) / bits,
        that of a mean of so many products of +-1 bits.

        Args:
            expected: (n, n, groups) int16, as of `expected_agreement`.
            bits: Length of each group.
            rng: Source of the noise.
        """
        n = len(expected)
        dense = []
        for group, length in enumerate(bits):
            rho = expected[:, :, group].astype(np.float32) / ONE
            noise = np.triu(rng.standard_normal((n, n), np.float32), 1)
            noise += noise.T
            noise *= np.sqrt(np.maximum(1 - rho * rho, 0) / length)
            rho += noise
            dense.append(rho)
        return cls(bits, dense=dense)

    def __len__(self) -> int:
        return len(self._dense[0] if self._dense else self._signs[0])

    def block(self, group: int, rows: Rows, columns: Rows) -> Floats:
        """Return the (rows, columns) agreements in one group, float32."""
        if self._dense:
            if len(columns) == len(self):
                whole: Floats = self._dense[group][rows]
                return whole
            found: Floats = self._dense[group][np.ix_(rows, columns)]
            return found
        signs, mean = self._signs[group], self._means[group]
        ours = signs[rows].astype(np.float32) - mean
        out = np.empty((len(rows), len(columns)), np.float32)
        for start in range(0, len(columns), 2048):
            theirs = signs[columns[start : start + 2048]].astype(np.float32) - mean
            out[:, start : start + 2048] = ours @ theirs.T
        out /= self.bits[group]
        return out

    def pairs(self, first: Rows, second: Rows) -> Floats:
        """Return the (p, groups) agreements of given pairs."""
        found = np.empty((len(first), len(self.bits)), np.float32)
        for group in range(len(self.bits)):
            if self._dense:
                found[:, group] = self._dense[group][first, second]
                continue
            signs, mean = self._signs[group], self._means[group]
            for start in range(0, len(first), 4096):
                at = slice(start, start + 4096)
                ours = signs[first[at]].astype(np.float32) - mean
                theirs = signs[second[at]].astype(np.float32) - mean
                found[at, group] = np.einsum("ij,ij->i", ours, theirs) / self.bits[group]
        return found
