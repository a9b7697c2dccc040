"""From which similarity on pairs are candidates, read off a sample."""

from __future__ import annotations

import numpy as np

from pprl.exchange.encodings import Encodings, count_bits

_NEIGHBOURS = 20
_SAMPLE = 256


def find_floor(a: Encodings, b: Encodings, partners: int = 0) -> float:
    """Choose the similarity above which a record has about twenty pairs, on a sample.

    Args:
        a: Encodings.
        b: Others, or the same.
        partners: How many true partners a record may have, on top of these.
    """
    most = _NEIGHBOURS + partners
    return max(_quantile(x, y, most) for x, y in ((a, b), (a, a), (b, b)))


def find_centre(a: Encodings) -> float:
    """Return the similarity of two records by chance: the median, on a sample."""
    rows = a.words[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    bits = count_bits(rows)
    similarity = [
        2.0 * count_bits(rows[:at] & row) / np.maximum(bits[:at] + bits[at], 1)
        for at, row in enumerate(rows)
    ]
    return float(np.median(np.concatenate(similarity))) if len(rows) > 1 else 0.0


def _quantile(a: Encodings, b: Encodings, most: int) -> float:
    """Return the similarity that about so many of ``b`` reach, for a sample of ``a``."""
    n = len(b)
    if n <= most or not len(a):
        return 0.0
    rows = a.words[np.linspace(0, len(a) - 1, min(_SAMPLE, len(a))).astype(np.int64)]
    bits, other = count_bits(rows), count_bits(b.words)
    kept = []
    for row, own in zip(rows, bits, strict=True):
        similarity = 2.0 * count_bits(b.words & row) / np.maximum(own + other, 1)
        kept.append(np.partition(similarity, n - most)[n - most :])
    return float(np.quantile(np.concatenate(kept), 0.3))
