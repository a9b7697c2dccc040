"""Five ways in which encodings give people away, measured against a list.

The five are those of Vidanage, Christen, Ranbaduge and Schnell, A vulnerability assessment
framework for privacy-preserving record linkage, ACM TOPS 26(3) (2023): frequency, length,
co-occurrence, similarity and similarity neighbourhood. How they are measured here is our own:
each is a feature that an encoding has under every key, nearly the same; a person is compatible
with an encoding when the features differ no more than one person's under two keys do (95 %).
Suspicion of an encoding is one over the number of compatible persons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.bits import Floats, Rows, dice, distinct_rows, unpacked
from pprl.evaluation.audit.spectral import profiles

_USUAL = 0.95


def vulnerabilities(
    victims: NDArray[np.uint8],
    one: NDArray[np.uint8],
    two: NDArray[np.uint8],
    who: Rows | None = None,
) -> dict[str, Any]:
    """Measure the five.

    Args:
        victims: (n, bytes) encodings.
        one: (m, bytes) encodings of the list under one key of the attacker's.
        two: The same under another.
        who: (n,) places on the list of the victims' persons, -1 if not there; None if
            not known.

    Returns:
        By vulnerability ``bits``, the mean of log2(m / compatible persons); ``suspicion`` with
        mean, median and greatest; ``singled_out``, the share of encodings with exactly one
        compatible person; and, with ``who``, ``covered``, the share of encodings whose own
        person is among the compatible ones.
    """
    return {
        name: _measure(feature(victims), feature(one), feature(two), who)
        for name, feature in FEATURES.items()
    }


def _measure(ours: Floats, one: Floats, two: Floats, who: Rows | None) -> dict[str, Any]:
    # Scaled by what the feature does from key to key: 1 is as far as chance goes.
    scale = (one - two).std(axis=0) + 1e-6 + 0.01 * one.std(axis=0)
    ours, one, two = ours / scale, one / scale, two / scale
    usual = float(np.quantile(_distance(one, two), _USUAL)) + 1e-6
    compatible = np.zeros(len(ours), np.int64)
    own = np.zeros(len(ours), bool)
    for start in range(0, len(ours), 256):
        rows = ours[start : start + 256]
        near = np.sqrt(((rows[:, None, :] - one[None]) ** 2).mean(axis=2)) <= usual
        compatible[start : start + 256] = near.sum(axis=1)
        if who is not None:
            at = who[start : start + 256]
            own[start : start + 256] = near[np.arange(len(rows)), at] & (at >= 0)
    suspicion = np.where(compatible > 0, 1 / np.maximum(compatible, 1), 0.0)
    measured: dict[str, Any] = {
        "bits": float(np.log2(len(one) / np.maximum(compatible, 1)).mean()),
        "suspicion": {
            "mean": float(suspicion.mean()),
            "median": float(np.median(suspicion)),
            "greatest": float(suspicion.max()),
        },
        "singled_out": float((compatible == 1).mean()),
    }
    if who is not None:
        on_list = who >= 0
        measured["covered"] = float(own[on_list].mean()) if on_list.any() else 0.0
    return measured


def _distance(x: Floats, y: Floats) -> Floats:
    distance: Floats = np.sqrt(((x - y) ** 2).mean(axis=1))
    return distance


def _frequency(clks: NDArray[np.uint8]) -> Floats:
    _, counts, numbers = distinct_rows(clks)
    feature: Floats = np.log(counts[numbers] / len(clks))[:, None]
    return feature


def _length(clks: NDArray[np.uint8]) -> Floats:
    counts: Floats = unpacked(clks).sum(axis=1, keepdims=True)
    return counts


def _cooccurrence(clks: NDArray[np.uint8]) -> Floats:
    """How strongly the bits that a record has set go together in the file.

    The mean over pairs of set bits of their columns' covariance: of x the record, X the
    file less its means, |X x|**2 / n over the number of bits set squared.
    """
    dense = unpacked(clks)
    x = dense - dense.mean(axis=0)
    counts = np.maximum(dense.sum(axis=1), 1)
    strength = ((dense @ x.T) ** 2).mean(axis=1) / counts**2
    feature: Floats = np.log(strength + 1e-9)[:, None]
    return feature


def _similarity(clks: NDArray[np.uint8]) -> Floats:
    similarity = dice(clks)
    np.fill_diagonal(similarity, -1)
    nearest: Floats = similarity.max(axis=1, keepdims=True)
    return nearest


def _neighbourhood(clks: NDArray[np.uint8]) -> Floats:
    return profiles(dice(clks))


FEATURES: dict[str, Callable[[NDArray[np.uint8]], Floats]] = {
    "frequency": _frequency,
    "length": _length,
    "co-occurrence": _cooccurrence,
    "similarity": _similarity,
    "similarity neighbourhood": _neighbourhood,
}
