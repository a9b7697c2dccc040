"""Batch jobs: the result of `pprl.link`, in parts, stopped and resumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pprl
from conftest import encodings_of
from pprl.linkage.blocking import KeyBlocking
from pprl.linkage.job import plan as planning
from pprl.linkage.job.config import Job
from pprl.linkage.job.run import run_job
from test_compare import random_filters


def holder(rng: np.random.Generator, n: int, name: str, variants: bool = False) -> pprl.Encodings:
    """Filters in three passes of keys, some missing, with a few frequent ones."""
    keys = np.stack([rng.integers(0, spread, n) for spread in (40, 90, 25)], axis=1)
    keys = (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (keys > 20).astype(np.uint64)
    made = encodings_of(
        random_filters(rng, n, 16),
        name,
        blocking={"one": 1.0, "two": 1.0, "three": 1.0},
        records=n,
    )
    changes: dict[str, Any] = {"block_keys": keys}
    if variants:
        own = np.where(rng.random(n) < 0.3, 1, 0).astype(np.uint8)
        own[0] = 0
        number = np.cumsum(own == 0) - 1
        ids = made.record_ids.take(number)
        info = made.info.model_copy(update={"records": int(number[-1]) + 1})
        changes |= {"variants": own, "record_ids": ids, "info": info}
    return dataclasses.replace(made, **changes)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts so small that every border is met."""
    monkeypatch.setattr(planning, "_MOST_ROWS", 70)
    monkeypatch.setattr(planning, "_TILE_ROWS", 50)
    monkeypatch.setattr(planning, "_ROWS_PER_BUCKET", 40)
    monkeypatch.setattr(planning, "FAN_IN", 4)


@pytest.fixture
def files(tmp_path: Path) -> tuple[pprl.Encodings, pprl.Encodings]:
    rng = np.random.default_rng(5)
    a, b = holder(rng, 300, "left"), holder(rng, 220, "right", variants=True)
    a.save(tmp_path / "a.clk.parquet")
    b.save(tmp_path / "b.clk.parquet")
    return a, b


def job_in(folder: Path, output: str = "out", **changes: Any) -> Job:
    document: dict[str, Any] = {
        "inputs": {
            "left": {"path": str(folder / "a.clk.parquet")},
            "right": {"path": str(folder / "b.clk.parquet"), "holder": "right"},
        },
        "linkage": {"threshold": 0.55},
        "output": {"folder": str(folder / output)},
        "blocking": {"method": "keys"},
        "resources": {"memory": "1GiB", "workers": 2},
    }
    for name, value in changes.items():
        document[name] = {**document.get(name, {}), **value}
    return Job.from_document(document)


@pytest.mark.parametrize("matching", ["one-to-one", "one-to-many", "many-to-one", "many-to-many"])
@pytest.mark.parametrize("method", ["keys", "none"])
def test_the_same_as_in_memory(
    tmp_path: Path, files: tuple[pprl.Encodings, pprl.Encodings], matching: Any, method: str
) -> None:
    largest = 60
    job = job_in(
        tmp_path,
        linkage={"threshold": 0.55, "matching": matching},
        blocking={"method": method, "largest_block": largest},
    )
    with pytest.warns(match="passed over") if method == "keys" else Nothing():
        made = run_job(job)
    blocking = KeyBlocking(largest) if method == "keys" else None
    with pytest.warns(match="passed over") if method == "keys" else Nothing():
        expected = pprl.link(
            *files, threshold=0.55, matching=matching, blocking=blocking, workers=1
        )
    assert len(expected.links) > 50
    assert made.links.table.equals(expected.links.table)
    facts = expected.facts(files[0].info, files[1].info)
    assert made.facts.keys() == facts.keys()
    for name in ("pairs_compared", "blocking", "links", "matching", "threshold", "rule"):
        assert made.facts[name] == facts[name]


class Nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def bytes_of(folder: Path) -> bytes:
    return (folder / "links.parquet").read_bytes()


class Killed(Exception):
    """What a test kills a job with."""


@dataclasses.dataclass
class Dying:
    """An engine whose process dies after so many parts."""

    parts: int

    def run(self, part: Any, manifest: str, names: Any, done: Any) -> None:
        for name in names:
            if not self.parts:
                raise Killed
            self.parts -= 1
            done(name, part(manifest, name))


def test_resumed_after_every_part(
    tmp_path: Path, files: tuple[pprl.Encodings, pprl.Encodings]
) -> None:
    run_job(job_in(tmp_path, "whole"))
    job, deaths = job_in(tmp_path), 0
    for _ in range(500):
        try:
            run_job(job, resume=True, engine=Dying(3))
            break
        except Killed:
            deaths += 1
            assert not (tmp_path / "out" / "links.parquet").exists()
    assert deaths > 10
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "out" / "job").iterdir()) == [
        "lock",
        "manifest.json",
    ]
    again = run_job(job, resume=True)
    assert again.facts["links"] == len(again.links)
