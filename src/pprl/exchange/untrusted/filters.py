"""Filters that no record can have: they would link with everybody, so they are set aside.

How many bits a hardened filter has set follows a distribution that depends on the hardening and
not on the person. A filter of which all bits are set is near every other; a few of them among a
thousand take links away from honest records, and make the estimate of quality wrong.

A filter far above what its hardening can give is set aside: it counts as a filter without a bit,
so it links with nobody, and the file's other records are compared as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.bits import as_words, count_bits
from pprl.exchange.encodings import EncodingInfo

_SHARES = {
    "diffusion": 0.5,
    "balance": 0.5,
    "xor-fold": 0.5,
    "rule-90": 0.5,
    "minhash": 0.5,
    "rule-30": 0.53,
    "record-level": 1 - 0.5**4,
}
"""The largest share of bits that any record has set on average, by method.

A XOR of two bits or more of a filter that is at most half full is set half the time at most. After
rule 30 the share is largest, 0.528, at a fill of 0.39. A record-level filter is half full, and so
nearly full with four times as many insertions."""

_DEVIATIONS = 9.0
"""Standard deviations above the mean. Of a binomial weight fewer than one in 10^18 is so far out;
the room to spare is for bits that are not quite independent, as after diffusion."""

_LONGEST = 4.0
"""How many times as many insertions as with every field filled once a record can have: four times
as many tokens as each field's value has on average."""


@dataclass(frozen=True)
class FilterBounds:
    """The most bits that a record can have set in each group.

    Attributes:
        groups: First byte, end byte, and most bits of each group of the CLK.
    """

    groups: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, info: EncodingInfo) -> FilterBounds:
        """Compute the bounds from what the header says of the hardening.

        Nothing is bounded where it does not say which hardening there was.
        """
        made, start = [], 0
        for name, bits in (dict(info.groups) or {"": info.bits}).items():
            most = _most_bits(bits, info.hardened(name), info.weights.get(name, {}))
            made.append((start // 8, (start + bits) // 8, most))
            start += bits
        return cls(tuple(made))

    def impossible(self, clks: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which of (n, bytes) filters no record can have: (n,) bool."""
        wrong = np.zeros(len(clks), bool)
        for start, end, most in self.groups:
            if most < 8 * (end - start):
                wrong |= count_bits(as_words(clks[:, start:end])) > most
        return wrong

    def without_impossible(self, clks: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
        """Return filters with the impossible ones emptied, and how many these are."""
        wrong = self.impossible(clks)
        if not wrong.any():
            return clks, 0
        made = clks.copy()
        made[wrong] = 0
        return made, int(wrong.sum())


def _most_bits(bits: int, hardening: Mapping[str, Any], weights: Mapping[str, int]) -> int:
    """Return the most bits that a filter of a group can have set."""
    method = hardening.get("method")
    if method in _SHARES:
        share = _SHARES[str(method)]
        if method == "diffusion":
            share = max(share, _after_diffusion(hardening, weights))
    elif method in ("none", "randomised-response") and weights:
        share = 1 - np.exp(-_LONGEST * sum(weights.values()) / bits)
        flipped = hardening.get("f", 0.0)
        if method == "randomised-response" and isinstance(flipped, int | float):
            flipped = min(max(float(flipped), 0.0), 1.0)
            share = share * (1 - flipped) + flipped / 2
    else:
        return bits
    return int(bits * share + _DEVIATIONS * np.sqrt(bits * share * (1 - share)))


def _after_diffusion(hardening: Mapping[str, Any], weights: Mapping[str, int]) -> float:
    """Return the largest share of bits set after the XOR of t positions, at any plausible fill."""
    t, length = hardening.get("t"), hardening.get("filter_bits")
    if not isinstance(t, int) or not isinstance(length, int) or t < 1 or length < 1:
        return 0.5
    fill = 1 - np.exp(-_LONGEST * sum(weights.values()) / length)
    return float((1 - (1 - 2 * fill) ** min(t, 64)) / 2)
