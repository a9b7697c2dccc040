"""Batch jobs: the result of `pprl.link`, in parts, stopped and resumed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import changed, encodings_of
from pprl import synthetic
from pprl.errors import JobError, PprlWarning
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.job import make_plan as planning
from pprl.linkage.job import spill
from pprl.linkage.job.config import Job
from pprl.linkage.job.run import run_job
from pprl.linkage.job.spilled import Spilled, sort_pairs
from test_compare import random_filters

SCHEMA = """
version = 1
name = "people"
bits = 1024
hardening = { method = "none" }
fields = [
  { name = "first_names", tokens = { type = "ngram", n = 2 }, bits_per_feature = 80 },
  { name = "surname", tokens = { type = "ngram", n = 2 }, bits_per_feature = 80 },
  { name = "birth_date", tokens = { type = "ngram", n = 2, positional = true }, \
bits_per_feature = 100 },
  { name = "sex", tokens = { type = "exact" }, bits_per_feature = 20 },
  { name = "postcode", tokens = { type = "ngram", n = 2, positional = true }, \
bits_per_feature = 60 },
]

[[blocking]]
name = "one"
parts = [{ field = "birth_date" }, { field = "sex" }]

[[blocking]]
name = "two"
parts = [{ field = "postcode", first = 4 }, { field = "birth_date", first = 4 }]
"""


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
        changes |= {
            "variants": np.minimum(np.arange(n) - np.flatnonzero(own == 0)[number], 255),
            "record_ids": made.record_ids.take(number),
        }
        changes["variants"] = changes["variants"].astype(np.uint8)
    return changed(made, **changes)


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


@pytest.mark.filterwarnings("ignore:the threshold .* was given")
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
    for name in ("pairs_compared", "links", "matching", "threshold", "rule"):
        assert made.facts[name] == facts[name]
    blocks = made.facts["blocking"] or {}
    # A job does not count what each pass did.
    assert blocks == {name: facts["blocking"][name] for name in blocks}
    assert bool(blocks) == (method == "keys")


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


CHILD = """
import json, re, sys
from pathlib import Path
from pprl.linkage.job import run
from pprl.linkage.job.config import Job
facts = run.run_job(Job.from_document(json.loads(sys.argv[1]))).facts
# Not ru_maxrss, which holds what the process that started this one took.
status = Path("/proc/self/status").read_text()
print(facts["pairs_above"], int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) >> 10)
"""


def test_the_memory_limit_is_obeyed(tmp_path: Path) -> None:
    """Nearly five million pairs, of 24 bytes and more each, where there is room for much fewer."""
    rng = np.random.default_rng(2)
    for side in "ab":
        clks = np.packbits(rng.random((2400, 256)) < 0.3, axis=1)
        encodings_of(clks, "right" if side == "b" else "").save(tmp_path / f"{side}.clk.parquet")
    job = job_in(
        tmp_path,
        linkage={"threshold": 0.25},
        blocking={"method": "none"},
        resources={"memory": "470MiB", "workers": 1},
    )
    child = [sys.executable, "-c", CHILD]
    done = subprocess.run(
        [*child, job.model_dump_json()], capture_output=True, text=True, check=True
    )
    found, peak = map(int, done.stdout.split())
    assert found > 4_500_000
    assert peak < 470


@given(st.integers(0, 2**32), st.sampled_from(["best-first", "by-record"]), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_runs_are_merged_in_order(seed: int, order: Any, most: int) -> None:
    """Many ties, many runs, pieces of every size: the pairs of a plain sort, each in its place."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 400))
    columns = rng.integers(0, 9, (2, n))
    score = rng.integers(0, 4, n) / 4 if seed % 2 else None
    pairs = Spilled(*columns, rng.integers(0, 4, n) / 4, score)
    scored = score is not None
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(spill, "_GROUP", int(rng.integers(1, 20)))
        cuts = np.sort(rng.integers(0, n + 1, 3))
        paths = []
        for number, part in enumerate(np.split(np.arange(n), cuts)):
            paths.append(Path(name) / f"{number}.parquet")
            with spill.RunWriter(paths[-1], order, most, scored=scored) as writer:
                for piece in np.array_split(part, 5):
                    writer.add(pairs.take(piece))
        got = Spilled.concat(list(spill.merged(paths, order, most)))
        with spill.sorted_part(Path(name) / "one", order, most, scored=scored) as writer:
            writer.add(pairs)
        again = Spilled.concat(list(spill.merged([Path(name) / "one"], order, most)))
    expected = sort_pairs(pairs, order)
    for made in (got, again):
        for column in ("left", "right", "similarity", *(["score"] if scored else [])):
            np.testing.assert_array_equal(getattr(made, column), getattr(expected, column))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no memory suffice for both files, so that null pairs are sampled on disk."""
    monkeypatch.setattr(planning, "_WEIGHED", 1 << 30)


@pytest.mark.parametrize("method", ["keys", "none"])
def test_the_decision_of_link(tmp_path: Path, key: pprl.LinkageKey, method: str) -> None:
    """The links, their probabilities and the estimate, to the last bit."""
    people = synthetic.population_table(2_000, seed=3)
    schema = pprl.Schema.from_toml(SCHEMA)
    files = []
    for side, holder, share in (("a", "", 0.4), ("b", "right", 0.6)):
        register = synthetic.Register(
            name=side, coverage=share, errors=synthetic.Errors(keyboard=0.05)
        )
        table, _ = synthetic.register_table(people, register, seed=3)
        files.append(pprl.encode(table, schema, key, id_column="record_id", holder=holder))
        files[-1].save(tmp_path / f"{side}.clk.parquet")
    for precision in (None, 0.999):
        wanted = {"threshold": "auto", "precision": precision}
        job = job_in(tmp_path, f"out {precision}", linkage=wanted, blocking={"method": method})
        result = run_job(job)
        blocking = KeyBlocking() if method == "keys" else None
        expected = pprl.link(*files, precision=precision, blocking=blocking)
        assert len(expected.links) > 300
        assert result.links.table.equals(expected.links.table)
        assert result.facts["pairs_compared"] == expected.pairs_compared
        assert result.facts["threshold"] == expected.threshold
        written = json.loads((tmp_path / f"out {precision}" / "estimate.json").read_text())
        assert expected.estimate is not None
        assert written == expected.estimate.to_dict()


def of_people(
    folder: Path,
    key: pprl.LinkageKey,
    patch: pytest.MonkeyPatch,
    text: str,
    people: int,
    visits: float = 0.0,
) -> tuple[list[pprl.Encodings], set[tuple[str, str]]]:
    """Encode two made-up registers with errors; return them and the pairs of one person."""
    for name, rows in (("_MOST_ROWS", 700), ("_TILE_ROWS", 500), ("_ROWS_PER_BUCKET", 900)):
        patch.setattr(planning, name, rows)
    everybody = synthetic.population_table(people, seed=11)
    schema, files, known = pprl.Schema.from_toml(text), [], []
    for side, holder, share in (("a", "", 0.5), ("b", "right", 0.6)):
        register = synthetic.Register(
            name=side,
            coverage=share,
            duplicates=visits if side == "b" else 0.0,
            missing={"postcode": 0.1},
            errors=synthetic.Errors(keyboard=0.05, outdated_address=0.1),
        )
        table, truth = synthetic.register_table(everybody, register, seed=11)
        files.append(pprl.encode(table, schema, key, id_column="record_id", holder=holder))
        files[-1].save(folder / f"{side}.clk.parquet", overwrite=True)
        known.append(truth)
    both = known[0].join(known[1], "person_id", right_suffix="_right", join_type="inner")
    ids = (both["record_id"].to_pylist(), both["record_id_right"].to_pylist())
    return files, set(zip(*ids, strict=True))


def pairs_of(links: pprl.Links) -> set[tuple[str, str]]:
    frame = links.to_pandas()
    return set(zip(frame["left_id"], frame["right_id"], strict=True))


def f1(links: pprl.Links, true: set[tuple[str, str]]) -> float:
    found = pairs_of(links)
    return 2 * len(found & true) / (len(found) + len(true))


GROUPED = (
    SCHEMA.replace("version = 1", "version = 1\npresence_mask = true")
    + """
[[groups]]
name = "who"
fields = ["first_names", "surname", "sex"]
bits = 512

[[groups]]
name = "where"
fields = ["birth_date", "postcode"]
bits = 512
"""
)


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("method", ["keys", "none"])
@pytest.mark.parametrize("schema", [SCHEMA, GROUPED], ids=["one filter", "groups"])
def test_larger_than_memory_the_decision_of_link(
    tmp_path: Path,
    key: pprl.LinkageKey,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    schema: str,
) -> None:
    """Where every record is in the sample the same links; else F1 within a hundredth.

    Of 300 sampled records a few more or fewer come near the cut.
    """
    files, true = of_people(tmp_path, key, monkeypatch, schema, 3_000)
    blocking = KeyBlocking() if method == "keys" else None
    expected = pprl.link(*files, blocking=blocking)
    assert len(expected.links) > 700
    wanted = {"threshold": "auto"}
    whole = run_job(job_in(tmp_path, linkage=wanted, blocking={"method": method}))
    assert not whole.facts.keys() ^ expected.facts(*(one.info for one in files)).keys()
    assert pairs_of(whole.links) == pairs_of(expected.links)
    assert abs(whole.facts["threshold"] - expected.threshold) < 1e-12
    few = job_in(tmp_path, "few", linkage=wanted | {"sample": 300}, blocking={"method": method})
    made = run_job(few)
    assert abs(f1(made.links, true) - f1(expected.links, true)) < 0.01


@pytest.mark.filterwarnings("ignore:some people seem to be in a file several times")
@pytest.mark.parametrize("held", [True, False])
def test_many_visits_of_a_person(
    tmp_path: Path, key: pprl.LinkageKey, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    """Persons and their visits, either way round, in memory and larger than it."""
    if not held:
        monkeypatch.setattr(planning, "_WEIGHED", 1 << 30)
    files, true = of_people(tmp_path, key, monkeypatch, SCHEMA, 3_000, visits=0.6)
    linkage = {"threshold": "auto", "matching": "one-to-many"}
    made = run_job(job_in(tmp_path, linkage=linkage, blocking={"method": "none"}))
    frame = made.links.to_pandas()
    assert frame["right_id"].is_unique
    assert not frame["left_id"].is_unique
    assert f1(made.links, true) > 0.97
    expected = pprl.link(*files, matching="one-to-many")
    assert pairs_of(made.links) == pairs_of(expected.links)
    turned = pprl.link(*files[::-1], matching="many-to-one")
    assert {pair[::-1] for pair in pairs_of(turned.links)} == pairs_of(expected.links)
    assert f1(pprl.link(*files).links, true) < 0.9


@pytest.mark.usefixtures("sampled")
def test_the_model_is_frozen(
    tmp_path: Path, key: pprl.LinkageKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped anywhere and resumed, with a model that was altered, too: the same bytes."""
    of_people(tmp_path, key, monkeypatch, GROUPED, 1_500)
    linkage = {"threshold": "auto", "sample": 200}
    run_job(job_in(tmp_path, "whole", linkage=linkage))
    job, deaths, altered = job_in(tmp_path, linkage=linkage), 0, 0
    model = tmp_path / "out" / "job" / "model.parquet"
    while True:
        try:
            with pytest.warns(match="damaged or altered") if altered == 1 else Nothing():
                run_job(job, resume=True, engine=Dying(3))
            break
        except Killed:
            deaths += 1
            if model.exists():
                altered += 1
                if altered == 1:
                    content = bytearray(model.read_bytes())
                    content[len(content) // 2] ^= 1
                    model.write_bytes(content)
    assert deaths > 3
    assert altered > 1
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.usefixtures("sampled")
@pytest.mark.filterwarnings("ignore:some people seem to be in a file several times")
@pytest.mark.parametrize("duplicates", [0.0, 0.1])
def test_the_automatic_threshold(
    tmp_path: Path, key: pprl.LinkageKey, monkeypatch: pytest.MonkeyPatch, duplicates: float
) -> None:
    """On made-up people: near the best threshold, and its estimate near the truth."""
    monkeypatch.setattr(planning, "_MOST_ROWS", 3000)
    monkeypatch.setattr(planning, "_ROWS_PER_BUCKET", 2000)
    people = synthetic.population_table(8_000, seed=3)
    registry = synthetic.Register(
        name="registry",
        coverage=0.3,
        duplicates=duplicates,
        errors=synthetic.Errors(keyboard=0.05, digit=0.02, date_slip=0.02, outdated_address=0.1),
    )
    population = synthetic.Register(
        name="population",
        coverage=0.8,
        duplicates=duplicates,
        errors=synthetic.Errors(keyboard=0.02 if duplicates else 0.0),
    )
    tables = [synthetic.register_table(people, one, seed=3) for one in (population, registry)]
    schema = pprl.Schema.from_toml(SCHEMA)
    for side, holder, (table, _) in zip("ab", ("", "right"), tables, strict=True):
        made = pprl.encode(table, schema, key, id_column="record_id", holder=holder)
        made.save(tmp_path / f"{side}.clk.parquet")
    truth = tables[0][1].join(tables[1][1], "person_id", right_suffix="_right", join_type="inner")
    true = set(
        zip(
            truth["record_id"].to_pylist(),
            truth["record_id_right"].to_pylist(),
            strict=True,
        )
    )
    result = run_job(job_in(tmp_path, linkage={"threshold": "auto", "sample": 2000}))
    links = result.links.to_pandas()
    hits = sum(pair in true for pair in zip(links["left_id"], links["right_id"], strict=True))
    precision, recall = hits / len(links), hits / len(true)
    # Of a person's two records in a file, one can be found.
    assert 2 / (1 / precision + 1 / recall) > (0.88 if duplicates else 0.97)
    estimate = json.loads((tmp_path / "out" / "estimate.json").read_text())["precision"]
    assert estimate["low"] <= precision <= estimate["high"]
    assert result.facts["rule"] == "auto"
    assert links["similarity"].min() == result.facts["threshold"]
    assert links["probability"].between(0.3, 1).all()

    asked = {"threshold": "auto", "sample": 2000, "precision": 0.9999}
    surer = run_job(job_in(tmp_path, "surer", linkage=asked))
    if not duplicates:
        assert 0 < len(surer.links) < len(result.links)
        assert surer.facts["threshold"] > result.facts["threshold"]
    assert surer.facts["precision_asked"] == 0.9999
    estimate = json.loads((tmp_path / "surer" / "estimate.json").read_text())["precision"]
    assert estimate["value"] >= 0.9999


def test_a_precision_goes_with_auto_only(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="automatic threshold"):
        job_in(tmp_path, linkage={"threshold": 0.6, "precision": 0.9})


@pytest.mark.usefixtures("sampled")
def test_nobody_in_both(
    tmp_path: Path, key: pprl.LinkageKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though members of one household are."""
    monkeypatch.setattr(planning, "_MOST_ROWS", 700)
    monkeypatch.setattr(planning, "_ROWS_PER_BUCKET", 900)
    people = synthetic.population_table(3_000, seed=9)
    schema = pprl.Schema.from_toml(SCHEMA)
    for number, side in enumerate("ab"):
        register = synthetic.Register(name=side, errors=synthetic.Errors(keyboard=0.05))
        table, known = synthetic.register_table(people, register, seed=9)
        own = pa.array(known["person_id"].to_numpy() % 2 == number)
        holder = ("", "right")[number]
        made = pprl.encode(table.filter(own), schema, key, id_column="record_id", holder=holder)
        made.save(tmp_path / f"{side}.clk.parquet")
    with pytest.warns(PprlWarning, match="no links"):
        result = run_job(job_in(tmp_path, linkage={"threshold": "auto", "sample": 2000}))
    assert result.facts["links"] == 0
    assert result.facts["threshold"] is None
