"""Metrics against plain definitions, and the weaknesses they must name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import encodings_of
from pprl.evaluation.audit import audit
from pprl.evaluation.audit.bits import dice, distinct_rows, hamming, squared_distances
from pprl.evaluation.audit.metrics import file_metrics, group_metrics
from pprl.evaluation.audit.patterns import mine
from pprl.evaluation.audit.structure import complement_columns, progressions
from pprl.evaluation.audit.vulnerabilities import vulnerabilities


def tokens_set(n: int, bits: int, rng: np.random.Generator, *, double: bool = False) -> np.ndarray:
    """Filters of twelve tokens out of sixty, the first ones frequent, six bits each."""
    share = 0.6 / np.arange(1, 61) ** 0.5
    has = rng.random((n, 60)) < share
    if double:
        a, b = rng.integers(0, bits, (2, 60, 1))
        positions = (a + b * np.arange(6)) % bits
    else:
        positions = rng.integers(0, bits, (60, 6))
    out = np.zeros((n, bits), np.uint8)
    for token in range(60):
        out[np.ix_(has[:, token], positions[token])] = 1
    return out


def names(clks: np.ndarray) -> set[str]:
    return {one["weakness"] for one in audit(encodings_of(np.packbits(clks, axis=1))).weaknesses}


def tossed(n: int, bits: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2, (n, bits)).astype(np.uint8)


@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_matrices_follow_their_definitions(seed: int, n: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(0, 2, (size, 8 * width)).astype(np.uint8) for size in (n, n + 3))
    a, b = np.packbits(x, axis=1), np.packbits(y, axis=1)
    np.testing.assert_array_equal(hamming(a, b), (x[:, None] != y[None]).sum(axis=2))
    both = (x[:, None] & x[None]).sum(axis=2)
    total = x.sum(axis=1)[:, None] + x.sum(axis=1)[None]
    np.testing.assert_allclose(dice(a), 2 * both / np.maximum(total, 1), rtol=1e-5)
    f, g = rng.normal(size=(n, 3)), rng.normal(size=(n + 1, 3))
    wanted = ((f[:, None] - g[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(f, g), wanted, atol=1e-9)
    first, count, number = distinct_rows(np.repeat(a, 2, axis=0))
    assert count.sum() == 2 * n
    np.testing.assert_array_equal(np.repeat(a, 2, axis=0)[first][number], np.repeat(a, 2, axis=0))


def test_metrics_of_a_group_follow_their_definitions() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((90, 64)) < rng.random(64)).astype(np.uint8)
    x[:, 5] = 1
    x[40:43] = x[0]
    found = group_metrics(np.packbits(x, axis=1))
    share = x.mean(axis=0)
    assert found["fill"] == pytest.approx(share.mean())
    assert found["popcount"]["sd"] == pytest.approx(x.sum(axis=1).std())
    assert found["columns"]["constant"] == ((share == 0) | (share == 1)).sum() >= 1
    entropy = [-(p * np.log2(p) + (1 - p) * np.log2(1 - p)) if 0 < p < 1 else 0 for p in share]
    assert found["columns"]["mean_entropy"] == pytest.approx(np.mean(entropy), abs=1e-6)
    moving = (share > 0) & (share < 1)
    phi = np.abs(np.corrcoef(x[:, moving].T) - np.eye(moving.sum()))
    assert found["together"]["greatest"] == pytest.approx(phi.max(), abs=1e-4)
    assert found["together"]["above_half"] == (np.triu(phi) > 0.5).sum()
    assert found["identical"]["largest"][0] == 4
    assert found["identical"]["k_minimum"] == 1
    assert found["identical"]["unique_share"] == pytest.approx(86 / 90)
    apart = (x[:, None] != x[None]).mean(axis=2) + 2 * np.eye(90)
    wanted = np.quantile(apart.min(axis=1), [0, 0.05, 0.5, 0.95])
    np.testing.assert_allclose(found["neighbours"]["nearest_quantiles"], wanted, atol=1e-6)


def test_tossed_coins_have_no_weakness() -> None:
    clks = tossed(1500, 512, np.random.default_rng(2))
    found = group_metrics(np.packbits(clks, axis=1))
    assert found["neighbours"]["spread"] == pytest.approx(1, abs=0.03)
    assert found["together"]["greatest"] < 1.15 * found["together"]["expected_of_noise"]
    assert names(clks) == set()


def test_one_mask_for_all_records_is_named() -> None:
    """Randomised response whose generator is seeded anew in every row, as two toolkits do it."""
    rng = np.random.default_rng(3)
    clks = tokens_set(800, 256, rng)
    fixed = np.empty_like(clks)
    for row in range(len(clks)):
        again = np.random.default_rng(77)
        toss, value = again.random(256), again.integers(0, 2, 256)
        fixed[row] = np.where(toss < 0.2, value, clks[row])
    untouched = ((clks == 0).all(axis=0) | (clks == 1).all(axis=0)).sum()
    found = group_metrics(np.packbits(fixed, axis=1))
    assert found["columns"]["constant"] > untouched + 20
    assert "constant columns" in names(fixed)
    # Noise of its own for every record leaves none but those never set; here all get some.
    own = np.where(rng.random(clks.shape) < 0.2, rng.integers(0, 2, clks.shape), clks)
    assert "constant columns" not in names(own.astype(np.uint8))


def test_rehashing_on_top_of_the_filter_is_named() -> None:
    """FABLE-style: bits derived without a key from windows, added to the filter itself."""
    rng = np.random.default_rng(4)
    clks = tokens_set(1000, 1024, rng)
    out = clks.copy()
    for start in range(0, 1024, 16):
        window = clks[:, start : start + 16] @ (1 << np.arange(16))
        for value in np.unique(window[window > 0]).tolist():
            where = np.random.default_rng(1000 * start + value).integers(0, 1024, 3)
            out[np.ix_(window == value, where)] = 1
    assert "bits that go together" in names(out)
    assert "bits that go together" in names(clks)


def test_double_hashing_is_told_from_random_hashing() -> None:
    rng = np.random.default_rng(5)
    for double in (True, False):
        clks = tokens_set(1500, 1024, rng, double=double)
        found = progressions(mine(clks.astype(np.float32)), 1024)
        assert found["tested"] >= 15
        assert (found["share"] > 0.8) == double
        assert ("double hashing" in names(clks)) == double


def test_mined_patterns_are_tokens() -> None:
    rng = np.random.default_rng(6)
    clks = tokens_set(2000, 1024, rng)
    found = mine(clks.astype(np.float32))
    assert 20 <= len(found) <= 60
    for at, columns in enumerate(found.columns):
        np.testing.assert_array_equal(found.has[:, at], clks[:, columns].all(axis=1))
    assert len(mine(tossed(2000, 512, rng).astype(np.float32))) == 0


def test_balance_is_named() -> None:
    rng = np.random.default_rng(7)
    clks = tokens_set(500, 256, rng)
    doubled = np.concatenate([clks, 1 - clks], axis=1)
    shuffled = doubled[:, rng.permutation(512)]
    assert {"balanced", "unpermuted balance"} <= names(doubled)
    assert "balanced" in names(shuffled)
    assert "unpermuted balance" not in names(shuffled)
    moving = (clks.mean(axis=0) > 0).sum()
    assert complement_columns(shuffled.astype(np.float32)) == 2 * moving
    assert complement_columns(tossed(500, 512, rng).astype(np.float32)) == 0


def test_identical_encodings_and_lengths_are_named() -> None:
    rng = np.random.default_rng(8)
    few = tossed(10, 256, rng)[rng.integers(0, 10, 300)]
    assert "identical encodings" in names(few)
    long = (rng.random((400, 512)) < rng.uniform(0.1, 0.6, (400, 1))).astype(np.uint8)
    assert "numbers of bits set differ" in names(long)


def test_blocks_and_masks_are_measured() -> None:
    rng = np.random.default_rng(9)
    made = encodings_of(np.packbits(tossed(8, 64, rng), axis=1), blocking={"year": 0.75})
    keys = np.array([[5], [5], [5], [6], [6], [7], [0], [0]], np.uint64)
    masks = np.array([[128], [128], [128], [128], [64], [64], [0], [0]], np.uint8)
    from dataclasses import replace

    found = file_metrics(replace(made, block_keys=keys, present=masks))
    assert found["blocking"]["year"]["largest"] == [3, 2, 1]
    share = np.array([3, 2, 1]) / 6
    assert found["blocking"]["year"]["bits"] == pytest.approx(-(share * np.log2(share)).sum())
    assert found["blocking"]["year"]["share"] == 0.75
    assert found["presence"]["bits"] == pytest.approx(1.5)
    assert found["presence"]["k_minimum"] == 2


def test_vulnerabilities_single_out_who_stands_out() -> None:
    """Of two keys, the second only reorders bits, so every feature is the same under both."""
    rng = np.random.default_rng(10)
    people = tokens_set(300, 512, rng)
    people[0, :300] = 1
    one, two, theirs = (np.packbits(people[:, rng.permutation(512)], axis=1) for _ in range(3))
    found = vulnerabilities(theirs, one, two, np.arange(300))
    assert set(found) == {
        "frequency",
        "length",
        "co-occurrence",
        "similarity",
        "similarity neighbourhood",
    }
    assert all(one["covered"] > 0.99 for one in found.values())
    assert found["length"]["suspicion"]["greatest"] == 1
    assert found["similarity neighbourhood"]["singled_out"] > 0.9
    assert (
        found["length"]["bits"] < found["similarity neighbourhood"]["bits"] <= np.log2(300) + 1e-9
    )
    non_matches = np.packbits(tossed(300, 512, rng), axis=1)
    assert vulnerabilities(non_matches, one, two)["length"]["singled_out"] == 0
