"""Four encodings that cancel: what linear hardening shows of people who have nothing in common.

Ann Smith, Bob Smith, Ann Jones and Bob Jones have every token of their names twice. After a linear
hardening the XOR of their four encodings is that of four filters in which these tokens
cancel, and so has few bits set, though no two of the four need be near each other.

Source: Armknecht and Schaefer, Breaking BAD? Better Call SAUL!, PoPETs 2026(2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.bits import Floats, hamming
from pprl.exchange.encodings import as_words, count_bits

ROWS = 1_000
"""Encodings among which tuples are sought: half a million pairs, 10**11 tuples."""
WINDOWS = 24
WINDOW_BITS = 22
"""Two pairs whose XORs are equal in a window are looked at. A tuple in which four bits of five
are equal is so in one window of 130, in one of 24 windows for one tuple of six; two pairs that
have nothing to do with each other once in four million."""
LIGHT = 7.0
"""Standard deviations from half of the bits from which on a tuple is light: of so many tuples
without a reason, none is in a thousand files."""
NEAR = 4.5
"""Standard deviations from which on two of the four are near each other; pairs count elsewhere."""


def light_tuples(clks: NDArray[np.uint8], seed: int = 0) -> dict[str, Any]:
    """Count tuples of four encodings that cancel, though no two of them are near.

    Args:
        clks: (n, bytes) uint8 encodings of one group.
        seed: Of the sample and the windows.

    Returns:
        ``rows`` looked at; ``light`` tuples found; ``people``, how many encodings are in one.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> filters = rng.integers(0, 256, (300, 128)).astype(np.uint8)
        >>> light_tuples(filters)["light"]
        0
        >>> filters[3] = filters[0] ^ filters[1] ^ filters[2]
        >>> light_tuples(filters)
        {'rows': 300, 'light': 1, 'people': 4}
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(clks))[:ROWS]
    # An encoding without a bit has no value in this group; equal ones are told of elsewhere.
    rows = rows[clks[rows].any(axis=1)]
    _, first = np.unique(clks[rows], axis=0, return_index=True)
    sample = np.ascontiguousarray(clks[rows[np.sort(first)]])
    n, bits = len(sample), 8 * sample.shape[1]
    if n < 4:
        return {"rows": n, "light": 0, "people": 0}
    words = as_words(sample)
    left, right = (one.astype(np.int32) for one in np.triu_indices(n, 1))
    dense = np.unpackbits(sample, axis=1)
    # All pairs at once: a tuple is six pairs, and files without hardening have many tuples.
    near = _deviations(hamming(sample, sample), bits) > NEAR
    found: set[tuple[int, ...]] = set()
    for _ in range(WINDOWS):
        chosen = rng.permutation(bits)[: min(WINDOW_BITS, bits)]
        powers: NDArray[np.int64] = np.int64(1) << np.arange(len(chosen), dtype=np.int64)
        codes: NDArray[np.int64] = dense[:, chosen].astype(np.int64) @ powers
        together: NDArray[np.int64] = np.bitwise_xor(codes[left], codes[right])
        one, two = _meetings(together)
        four = np.stack([left[one], right[one], left[two], right[two]], axis=1)
        four = np.sort(four, axis=1)
        four = four[(np.diff(four, axis=1) > 0).all(axis=1) & _apart(near, four)]
        found.update(map(tuple, four[_from_half(words, four, bits) > LIGHT].tolist()))
    people = {row for four in found for row in four}
    return {"rows": n, "light": len(found), "people": len(people)}


def _meetings(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List pairs of places with equal codes; where many are equal, neighbours in order only."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    ends = [
        (order[:-gap], order[gap:], ordered[:-gap] == ordered[gap:])
        for gap in range(1, min(4, len(order)))
    ]
    one = np.concatenate([a[same] for a, _, same in ends])
    two = np.concatenate([b[same] for _, b, same in ends])
    return one, two


def _deviations(differ: Floats | NDArray[np.int64], bits: int) -> Floats:
    """Say by how many standard deviations counts of bits are fewer than half of the bits."""
    fewer: Floats = (bits / 2 - differ) / (bits**0.5 / 2)
    return fewer


def _from_half(words: NDArray[np.uint64], members: NDArray[np.int32], bits: int) -> Floats:
    """Say by how many standard deviations the XOR of rows has fewer bits than half."""
    # Column by column: a reduction over so short an axis takes several times as long.
    combined = words[members[:, 0]]
    for column in members.T[1:]:
        combined ^= words[column]
    return _deviations(count_bits(combined), bits)


def _apart(near: NDArray[np.bool_], four: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell the tuples of which no two members are near each other."""
    apart = np.ones(len(four), bool)
    for i in range(4):
        for j in range(i + 1, 4):
            apart &= ~near[four[:, i], four[:, j]]
    return apart
