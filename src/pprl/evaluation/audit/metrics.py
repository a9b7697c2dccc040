"""What a file of encodings tells by itself, without any list of people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.evaluation.audit.bits import Floats, distinct_rows, hamming, unpacked
from pprl.evaluation.audit.linear import span
from pprl.evaluation.audit.patterns import mine
from pprl.evaluation.audit.structure import (
    complement_columns,
    progressions,
    runs_of_complement,
)
from pprl.evaluation.audit.tuples import light_tuples
from pprl.exchange.encodings import Encodings, as_words, count_bits

COLUMN_ROWS = 5_000
"""Records on which columns are correlated."""
WIDEST_SPAN = 4_096
"""Bits up to which spans are measured: the time grows with the third power."""
SPAN_ROWS = 64
"""Records more than bits: random words so many then span everything but for 2**-64."""
HALF = 0.02
"""How far from a half the share of set bits may be where tuples are sought; elsewhere all are
light."""
NEIGHBOUR_ROWS = 2_000
"""Records among which neighbours are sought."""


def file_metrics(encodings: Encodings, seed: int = 0) -> dict[str, Any]:
    """Measure each CLK group and, where there are several, all together.

    Returns:
        By group (the empty name for the only one, ``all groups`` for the whole): see
        `group_metrics`; beside them ``blocking`` and ``presence`` where the file has keys
        or masks.
    """
    info = encodings.info
    groups = {name: encodings.group(name) for name in info.groups} or {"": encodings.clks}
    if len(groups) > 1:
        groups["all groups"] = encodings.clks
    found: dict[str, Any] = {
        "records": info.records,
        "groups": {name: group_metrics(clks, seed) for name, clks in groups.items()},
    }
    for name, metrics in found["groups"].items():
        hardening = info.hardened(name)
        if "c" in hardening:
            metrics["contrast"] = hardening["c"]
    if encodings.block_keys is not None:
        found["blocking"] = {
            name: _blocks(encodings.block_keys[:, at]) for at, name in enumerate(info.blocking)
        }
    if encodings.present is not None:
        _, counts, _ = distinct_rows(encodings.present)
        found["presence"] = _crowd(counts) | {"bits": _entropy(counts)}
    return found


def group_metrics(clks: NDArray[np.uint8], seed: int = 0) -> dict[str, Any]:
    """Measure (n, bytes) filters: bits set, columns, identical encodings, neighbours, structure."""
    bits = 8 * clks.shape[1]
    counts = count_bits(as_words(clks))
    columns = _column_counts(clks) / len(clks)
    entropy = _bit_entropy(columns)
    _, sizes, _ = distinct_rows(clks)
    rng = np.random.default_rng(seed)
    sample = clks[rng.permutation(len(clks))[:COLUMN_ROWS]]
    dense = unpacked(sample)
    mined = mine(dense[:NEIGHBOUR_ROWS])
    return {
        "bits": bits,
        "fill": float(counts.mean() / bits),
        "popcount": {
            "mean": float(counts.mean()),
            "sd": float(counts.std()),
            "minimum": int(counts.min()),
            "maximum": int(counts.max()),
            "bits": _entropy(np.unique(counts, return_counts=True)[1]),
        },
        "columns": {
            "constant": int(((columns == 0) | (columns == 1)).sum()),
            "least_frequency": float(columns.min()),
            "greatest_frequency": float(columns.max()),
            "mean_entropy": float(entropy.mean()),
            "least_entropy": float(entropy.min()),
        },
        "together": _together(dense),
        "patterns": len(mined),
        "progressions": progressions(mined, bits),
        "identical": _crowd(sizes),
        "span": _span(clks),
        "tuples": light_tuples(clks, seed) if abs(counts.mean() / bits - 0.5) < HALF else {},
        "neighbours": _neighbours(sample[:NEIGHBOUR_ROWS]),
        "complement": {
            "columns": complement_columns(dense),
            "halves": runs_of_complement(clks[:COLUMN_ROWS]),
        },
    }


def _span(clks: NDArray[np.uint8]) -> dict[str, int]:
    """Measure the dimension that encodings span over GF(2), and the greatest they could."""
    bits = 8 * clks.shape[1]
    firsts, _, _ = distinct_rows(clks)
    rows = clks[np.sort(firsts)[: bits + SPAN_ROWS]]
    if bits % 64 or bits > WIDEST_SPAN:
        return {}
    return {"rank": len(span(np.unpackbits(rows, axis=1))[0]), "most": min(len(rows), bits)}


def _column_counts(clks: NDArray[np.uint8]) -> NDArray[np.int64]:
    total = np.zeros(8 * clks.shape[1], np.int64)
    for start in range(0, len(clks), 1 << 14):
        total += np.unpackbits(clks[start : start + (1 << 14)], axis=1).sum(axis=0, dtype=np.int64)
    return total


def _bit_entropy(share: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(share, 1e-12, 1 - 1e-12)
    entropy: NDArray[np.float64] = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
    return entropy


def _entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy in bits of a distribution given by counts."""
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def _crowd(sizes: NDArray[np.int64]) -> dict[str, Any]:
    """Describe how many records share each value: k-anonymity and the largest crowds."""
    per_record = np.repeat(sizes, sizes)
    return {
        "distinct": len(sizes),
        "unique_share": float((per_record == 1).mean()),
        "k_minimum": int(sizes.min()),
        "k_median": float(np.median(per_record)),
        "largest": np.sort(sizes)[::-1][:20].tolist(),
    }


def _blocks(keys: NDArray[np.uint64]) -> dict[str, Any]:
    """Describe blocks, and the bits that a record's key tells whoever knows how it is made."""
    present = keys[keys != 0]
    if not len(present):
        return {"share": 0.0, "distinct": 0}
    sizes = np.unique(present, return_counts=True)[1]
    return _crowd(sizes) | {"share": len(present) / len(keys), "bits": _entropy(sizes)}


def _together(dense: Floats) -> dict[str, Any]:
    """Correlate columns that are not constant; |phi| of independent ones is noise."""
    spread = dense.std(axis=0)
    x = (dense[:, spread > 0] - dense[:, spread > 0].mean(axis=0)) / spread[spread > 0]
    if x.shape[1] < 2:
        return {"greatest": 0.0, "expected_of_noise": 0.0, "above_half": 0}
    greatest, above = 0.0, 0
    for start in range(0, x.shape[1], 1024):
        phi = np.abs(x[:, start : start + 1024].T @ x) / len(x)
        own = np.arange(phi.shape[0])
        phi[own, start + own] = 0
        greatest = max(greatest, float(phi.max()))
        above += int((phi > 0.5).sum())
    pairs = x.shape[1] * (x.shape[1] - 1) / 2
    return {
        "greatest": min(greatest, 1.0),
        "expected_of_noise": float(min(1.0, np.sqrt(2 * np.log(2 * pairs) / len(x)))),
        "above_half": above // 2,
    }


def _neighbours(clks: NDArray[np.uint8]) -> dict[str, Any]:
    """Describe distances, as shares of the bits, among a sample.

    ``spread`` is their standard deviation over that of filters whose bits are tossed, each
    column with its own frequency: 1 says that distances show nothing.
    """
    if len(clks) < 2:
        return {}
    bits = 8 * clks.shape[1]
    share = hamming(clks, clks) / bits
    np.fill_diagonal(share, np.inf)
    nearest = share.min(axis=1)
    pairs = share[np.triu_indices(len(clks), 1)]
    p = _column_counts(clks) / len(clks)
    differ = 2 * p * (1 - p)
    tossed = np.sqrt((differ * (1 - differ)).sum()) / bits
    return {
        "nearest_quantiles": [float(q) for q in np.quantile(nearest, [0, 0.05, 0.5, 0.95])],
        "mean": float(pairs.mean()),
        "spread": float(pairs.std() / tossed) if tossed else 0.0,
    }
