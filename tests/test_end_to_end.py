"""The whole job on real files through the command line, as each role would do it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import pprl
from conftest import SCHEMA_TOML
from pprl import demo
from pprl.errors import OutputExists

PPRL = [sys.executable, "-c", "from pprl.cli import main; main()"]


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*PPRL, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two holders' CSV files of half-overlapping FEBRL 4, a schema and a key."""
    folder = tmp_path_factory.mktemp("job")
    people = demo.half_overlap(demo.febrl4())
    people.left.to_csv(folder / "hospital.csv", index=False)
    people.right.to_csv(folder / "registry.csv", index=False)
    people.truth.to_csv(folder / "truth.csv", index=False)
    schema = Path(pprl.__file__).parent / "schemas" / "febrl4.toml"
    run("keygen", folder / "project.key")
    for holder in ("hospital", "registry"):
        run(
            *("encode", folder / f"{holder}.csv", "-s", schema, "-k", folder / "project.key"),
            *("--id-column", "rec_id", "-o", folder / f"{holder}.clk.parquet"),
            *("--holder", holder),
        )
    run(
        *("link", folder / "hospital.clk.parquet", folder / "registry.clk.parquet"),
        *("-o", folder / "linkage", "--threshold", "0.64"),
    )
    return folder


def test_the_job_links_the_right_people(job: Path) -> None:
    done = run("evaluate", job / "linkage", "--truth", job / "truth.csv", "--json")
    quality = json.loads(done.stdout)
    assert quality == json.loads((job / "linkage" / "quality.json").read_text())
    assert quality["f1"]["value"] >= 0.985
    assert quality["f1"]["low"] <= quality["f1"]["value"] <= quality["f1"]["high"]
    assert quality["true_pairs"] == 1668
    table = pq.read_table(job / "linkage" / "links.parquet")
    assert table.column_names == ["left_id", "right_id", "similarity", "probability"]
    assert not list(job.rglob("*.part"))


def test_nothing_that_travels_gives_anybody_away(job: Path) -> None:
    """No surname, first name, street or birth date, and no byte of the key, in any file."""
    people = pd.concat([pd.read_csv(job / f"{h}.csv", dtype=str) for h in ("hospital", "registry")])
    secrets = {
        value.encode()
        for column in ("surname", "given_name", "address_1", "date_of_birth", "soc_sec_id")
        for value in people[column].dropna().unique()
        # Shorter texts turn up in random bytes by chance.
        if len(value) >= 5
    }
    key_text = (job / "project.key").read_bytes().strip()
    key = pprl.LinkageKey.load(job / "project.key")
    raw = key.secret_bytes()
    secrets |= {
        key_text,
        key_text[6:22],
        raw[:8],
        raw[8:16],
        raw[16:24],
        raw[24:],
        raw.hex().encode(),
    }
    travelling = [*job.glob("*.clk.parquet"), *(job / "linkage").iterdir()]
    assert len(travelling) >= 4
    for path in travelling:
        # "hardening", "blocking", "blocks" in headers, "candidate" in logs hold names of FEBRL's.
        content = re.sub(rb'"(hardening|blocking|blocks)"|candidate', b"", path.read_bytes())
        texts = content + b"".join(
            str(column.to_pylist()).encode()
            for column in (pq.read_table(path).columns if path.suffix == ".parquet" else [])
            if str(column.type) == "string"
        )
        # Digits are looked for as a whole number: an estimate of 0.99563099 has seven by chance.
        numbers = set(re.findall(rb"\d+", texts))
        found = [s for s in secrets if (s in numbers if s.isdigit() else s in texts)]
        assert not found, path


def test_the_order_of_workers_does_not_matter(job: Path) -> None:
    a, b = (pprl.Encodings.load(job / f"{h}.clk.parquet") for h in ("hospital", "registry"))
    one, three = (pprl.compare(a, b, threshold=0.5, workers=w) for w in (1, 3))
    assert one.table.equals(three.table)
    assert len(one) > 5000


def test_exit_codes(job: Path, tmp_path: Path) -> None:
    """Each kind of mistake has its code and one clear sentence."""
    a, b = job / "hospital.clk.parquet", job / "registry.clk.parquet"
    data, key = job / "hospital.csv", job / "project.key"
    schema = tmp_path / "schema.toml"
    schema.write_text(SCHEMA_TOML)
    encode = ["encode", data, "-s", schema, "-k", key, "-o", tmp_path / "x.clk.parquet"]

    assert (
        "between 0 and 1"
        in run("link", a, b, "-o", tmp_path / "l", "--threshold", 2, code=2).stderr
    )
    asked = ["link", a, b, "-o", tmp_path / "l", "--precision"]
    assert "between 0 and 1" in run(*asked, 2, code=2).stderr
    assert "automatic threshold" in run(*asked, 0.9, "--threshold", 0.8, code=2).stderr
    assert "exists" in run("link", a, b, "-o", job / "linkage", "--threshold", 0.8, code=2).stderr
    assert "exists" in run("keygen", key, code=2).stderr
    assert "'born'" in run(*encode, "--id-column", "rec_id", code=3).stderr
    assert (
        "no such file"
        in run("link", a, tmp_path / "b", "-o", tmp_path / "l", "--threshold", 0.8, code=3).stderr
    )
    assert (
        "not an encodings file"
        in run(
            "link",
            a,
            job / "linkage" / "links.parquet",
            "-o",
            tmp_path / "l",
            "--threshold",
            0.8,
            code=3,
        ).stderr
    )
    run("keygen", tmp_path / "other.key")
    febrl = Path(pprl.__file__).parent / "schemas" / "febrl4.toml"
    other = tmp_path / "other.clk.parquet"
    run(
        *("encode", data, "-s", febrl, "-k", tmp_path / "other.key"),
        *("--id-column", "rec_id", "-o", other),
    )
    wrong_key = run("link", a, other, "-o", tmp_path / "l", "--threshold", 0.8, code=4)
    assert "different linkage keys" in wrong_key.stderr
    short = tmp_path / "short.key"
    short.write_text("short")
    assert (
        "5 bytes"
        in run(
            *("encode", data, "-s", febrl, "-k", short, "--id-column", "rec_id"),
            *("-o", tmp_path / "y.clk.parquet"),
            code=2,
        ).stderr
    )
    assert not list(tmp_path.glob("*.part"))
    assert not (tmp_path / "y.clk.parquet").exists()


def test_excluded_people_are_counted(job: Path, tmp_path: Path) -> None:
    first = pd.read_csv(job / "hospital.csv", dtype=str)["rec_id"].head(7)
    first.to_csv(tmp_path / "no.csv", index=False)
    schema = Path(pprl.__file__).parent / "schemas" / "febrl4.toml"
    done = run(
        *("encode", job / "hospital.csv", "-s", schema, "-k", job / "project.key"),
        *("--id-column", "rec_id", "-o", tmp_path / "a.clk.parquet"),
        *("--exclude", tmp_path / "no.csv"),
    )
    assert "left out     7 of 3,334 records" in done.stdout
    assert len(pprl.Encodings.load(tmp_path / "a.clk.parquet")) == 3334 - 7


def test_schema_check(tmp_path: Path) -> None:
    schema = tmp_path / "schema.toml"
    schema.write_text(SCHEMA_TOML)
    fingerprint = pprl.Schema.load(schema).fingerprint
    assert fingerprint in run("schema", "check", schema).stdout
    assert json.loads(run("schema", "check", schema, "--json").stdout)["fingerprint"] == fingerprint
    schema.write_text(SCHEMA_TOML.replace("bits = 1024", "bitz = 1024"))
    assert "'bits'" in run("schema", "check", schema, code=2).stderr


def test_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = run("demo", "-o", folder)
    for name in ("hospital.clk.parquet", "registry.clk.parquet", "links.parquet", "quality.json"):
        assert (folder / name).is_file()
        assert (folder / "half-overlap" / name).is_file()
    assert "linkage unit" in done.stdout
    assert json.loads((folder / "quality.json").read_text())["f1"]["value"] > 0.99
    with pytest.raises(OutputExists):
        demo.run(folder, print)


def test_half_overlap_drops_a_third_from_each_side() -> None:
    everybody = demo.febrl4()
    half = demo.half_overlap(everybody)
    assert (len(half.left), len(half.right), len(half.truth)) == (3334, 3334, 1668)
    assert half.truth["left_id"].isin(half.left["rec_id"]).all()
    assert half.truth["right_id"].isin(half.right["rec_id"]).all()
    again = demo.half_overlap(everybody)
    assert np.array_equal(half.left["rec_id"], again.left["rec_id"])


def test_examples(job: Path, tmp_path: Path) -> None:
    """The three users' scripts run one after the other."""
    examples = Path(__file__).parent.parent / "examples"
    schema = Path(pprl.__file__).parent / "schemas" / "febrl4.toml"

    def example(name: str, *arguments: object) -> str:
        command = [sys.executable, examples / name, *arguments]
        return subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=True
        ).stdout

    out = tmp_path / "h.clk.parquet"
    assert "3,334 records" in example(
        "holder.py", job / "hospital.csv", schema, job / "project.key", out
    )
    links = tmp_path / "links.parquet"
    assert "links" in example("linkage_unit.py", out, job / "registry.clk.parquet", links)
    said = dict(
        line.split()[:2] for line in example("evaluator.py", links, job / "truth.csv").splitlines()
    )
    assert float(said["f1"]) > 0.98
