"""Filters that no record can have, files whose records are all alike, and blocks left out."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pprl
from conftest import encodings_of
from pprl.cli import app
from pprl.errors import PprlWarning
from pprl.linkage.candidates.implausible import all_alike, implausible
from pprl.linkage.decision.cut import Cut
from pprl.linkage.decision.estimate import Estimate

DIFFUSED = {"method": "diffusion", "t": 10, "filter_bits": 1024}


def half_full(seed: int, n: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 128)).astype(np.uint8)


def test_filters_of_ones_take_nobodys_links() -> None:
    """Eleven in one file; the same people are in both files, in a fifth of their bits different."""
    clks, rng = half_full(1), np.random.default_rng(2)
    others = np.concatenate([clks[:200], half_full(3, 200)])
    others ^= np.packbits(rng.random((400, 1024)) < 0.1, axis=1)
    others[300:311] = 255
    a, b = (
        encodings_of(one, name, hardening=DIFFUSED) for name, one in (("a", clks), ("b", others))
    )
    assert np.flatnonzero(implausible(b)).tolist() == list(range(300, 311))
    with pytest.warns(PprlWarning, match=r"no record can have were set aside \(b: 11\)"):
        found = pprl.link(a, b)
    right = found.links.to_pandas()["right_id"]
    poisoned = set(b.record_ids.to_pylist()[300:311])
    assert len(found.links) > 190
    assert not set(right) & poisoned


def test_records_of_few_values_are_plausible() -> None:
    """Without hardening a short record has few bits, and a long one many, but not all."""
    rng = np.random.default_rng(4)
    filled = rng.uniform(0.05, 0.45, 500)
    clks = np.packbits(rng.random((500, 1024)) < filled[:, None], axis=1)
    clks[0] = 0
    assert not implausible(encodings_of(clks, hardening={"method": "none"})).any()
    clks[1] = 255
    marked = implausible(encodings_of(clks, hardening={"method": "none"}))
    assert np.flatnonzero(marked).tolist() == [1]


@pytest.mark.parametrize("kinds", [1, 2])
def test_files_whose_records_are_all_alike(kinds: int) -> None:
    clks = half_full(5, kinds)[np.arange(300) % kinds]
    a, b = (encodings_of(clks, name) for name in "ab")
    assert all_alike(a)
    assert not all_alike(encodings_of(half_full(6)))
    with pytest.warns(PprlWarning, match="nearly all alike"):
        assert len(pprl.link(a, b).links) == 0
    with pytest.warns(PprlWarning, match="no two records stand out"):
        pprl.dedupe(a)


@pytest.mark.filterwarnings("ignore:with fewer than 100 records")
def test_one_record_in_each_file() -> None:
    a, b = (encodings_of(half_full(seed, 1), name) for seed, name in enumerate("ab"))
    with pytest.warns(PprlWarning, match="one record in each file"):
        assert len(pprl.link(a, b).links) == 0


def test_exit_code_of_what_was_not_compared(tmp_path: Path) -> None:
    """All records share one key: by default they are compared, and a limit of P-Sig is told."""
    clks = half_full(7)
    keys = np.ones((400, 1), np.uint64)
    paths = []
    for name in "ab":
        made = encodings_of(clks, name, blocking={"sex": 1.0})
        paths.append(str(tmp_path / f"{name}.clk.parquet"))
        dataclasses.replace(made, block_keys=keys).save(paths[-1])
    run = CliRunner().invoke

    def linked(output: str, *options: str) -> int:
        given = ["link", *paths, "-o", str(tmp_path / output), "--threshold", "0.8", *options]
        return run(app, given).exit_code

    assert linked("keys", "--blocking", "keys") == 0
    with pytest.warns(PprlWarning, match="compared with nobody"):
        assert linked("psig", "--blocking", "psig") == 5
    assert (tmp_path / "psig" / "links.parquet").exists()
    with pytest.warns(PprlWarning, match="compared with nobody"):
        assert linked("allowed", "--blocking", "psig", "--allow-uncompared") == 0


def registers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two plain files of 400 people, 200 of whom are in both; most of their bits are common."""
    rng = np.random.default_rng(seed)
    common = rng.random((1, 1024)) < 0.35
    people = (rng.random((600, 1024)) < 0.15) | common
    others = people[200:] ^ (rng.random((400, 1024)) < 0.03)
    return np.packbits(people[:400], axis=1), np.packbits(others, axis=1)


def near_all(clks: np.ndarray) -> np.ndarray:
    """The filter of what most of a file's records have in common: emptier than theirs."""
    return np.packbits(np.unpackbits(clks, axis=1).mean(axis=0) > 0.9)


def poisoned(seed: int) -> tuple[np.ndarray, np.ndarray]:
    clks, others = registers(seed)
    others[300:311] = near_all(clks)
    return clks, others


PLAIN = {"method": "none"}


def plain(clks: np.ndarray, others: np.ndarray) -> tuple[pprl.Encodings, pprl.Encodings]:
    made = [
        encodings_of(one, name, hardening=PLAIN)
        for name, one in zip("ab", (clks, others), strict=True)
    ]
    return made[0], made[1]


def test_records_near_everybody_are_told() -> None:
    """Filters of a usual weight that are made to be near many: the file and the number are told."""
    a, b = plain(*poisoned(1))
    assert not implausible(b).any()
    with pytest.warns(PprlWarning, match=r"improbably many others \(b: 11\)"):
        pprl.link(a, b, threshold=0.86)
    with pytest.warns(PprlWarning, match=r"improbably many others \(b: 11\)"):
        pprl.cluster(a, b, threshold=0.86, deduplicated=["a"])
    # Nobody is told of where nobody is so; nor of a person who is there forty times.
    a, b = plain(*registers(1))
    pprl.link(a, b, threshold=0.86)
    many = np.concatenate([registers(1)[0], np.repeat(registers(1)[0][:1], 40, axis=0)])
    pprl.dedupe(encodings_of(many, "a", hardening=PLAIN), threshold=0.9)


def test_a_job_tells_of_them(tmp_path: Path) -> None:
    a, b = plain(*poisoned(1))
    a.save(tmp_path / "a.clk.parquet")
    b.save(tmp_path / "b.clk.parquet")
    from pprl.linkage.job.config import Job
    from pprl.linkage.job.run import run_job

    job = {
        "inputs": {
            "left": {"path": str(tmp_path / "a.clk.parquet")},
            "right": {"path": str(tmp_path / "b.clk.parquet")},
        },
        "blocking": {"method": "none"},
        "linkage": {"threshold": 0.86},
        "output": {"folder": str(tmp_path / "out")},
        "resources": {"memory": "1GiB", "workers": 1},
    }
    with pytest.warns(PprlWarning, match=r"improbably many others \(b: 11\)"):
        run_job(Job.model_validate(job))


@pytest.mark.parametrize("kind", ["ones", "near all"])
def test_an_estimate_never_says_one_of_a_poisoned_file(kind: str) -> None:
    clks, others = registers(2)
    made = others.copy()
    made[300:311] = 255 if kind == "ones" else near_all(clks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        honest = pprl.link(*plain(clks, others))
        found = pprl.link(*plain(clks, made))
        together = pprl.cluster(*plain(clks, made))
    for estimate in (found.estimate, together.estimate):
        assert estimate is not None
        assert estimate.precision is not None
        assert estimate.precision.high < 1
        assert estimate.false_links >= 1
    # The honest lose nothing: the links are those without these records.
    unpoisoned = honest.links.to_pandas()
    pairs = set(zip(unpoisoned["left_id"], unpoisoned["right_id"], strict=True))
    now = found.links.to_pandas()
    took = {f"b{at}" for at in range(300, 311)}
    still = set(zip(now["left_id"], now["right_id"], strict=True))
    assert {one for one in pairs if one[1] not in took} <= still
    assert len(still & {(one, other) for one in now["left_id"] for other in took}) <= 1


def test_links_of_crowded_records_count_as_false() -> None:
    none = np.empty(0)
    cut = Cut(100, 0.5, none, none, (100, 100))
    made = [Estimate.of(cut), Estimate.of(cut, poisoned=True), Estimate.of(cut, 7, poisoned=True)]
    assert [one.false_links for one in made] == [0.5, 1.0, 7.5]
    highs = [one.precision.high for one in made if one.precision]
    assert highs[0] == 1.0
    assert highs[1] == 0.99
    assert highs[2] <= 0.99
    assert Estimate.of(cut, 500).false_links == 100
