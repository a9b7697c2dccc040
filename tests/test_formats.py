"""Results in other formats than Parquet: the same rows, whole, private, and safe in Excel."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from conftest import encodings_of
from pprl.cli import app
from pprl.errors import OutputExists, PprlError
from pprl.exchange.formats import copy_as, excel_safe, write_as
from pprl.linkage.pseudonyms import PseudonymKey

TABLE = pa.table(
    {
        "left_id": ['=HYPERLINK("x")', 'a"b,c', "0012", "line\nbreak", "-5"],
        "right_id": ["é", "", "1234567890123456", "123", "+31"],
        "similarity": [0.1, 1 / 3, 1.0, 0.5, 2 / 3],
        "probability": pa.array([None, 0.5, None, 1.0, 0.0], pa.float64()),
    }
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    people = (np.random.default_rng(5).random((60, 64)) < 0.4).astype(np.uint8)
    folder = tmp_path_factory.mktemp("pair")
    made = []
    for name, part in (("left", people[:40]), ("right", people[10:50])):
        encodings_of(part, name).save(folder / f"{name}.clk.parquet")
        made.append(str(folder / f"{name}.clk.parquet"))
    return made


def rows_of(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_csv_is_read_back_by_others(tmp_path: Path) -> None:
    write_as(TABLE, tmp_path / "links.csv")
    assert not (tmp_path / "links.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    read = pd.read_csv(
        tmp_path / "links.csv", dtype={"left_id": str, "right_id": str}, keep_default_na=False
    )
    assert read["left_id"].tolist() == TABLE["left_id"].to_pylist()
    assert read["right_id"].tolist() == TABLE["right_id"].to_pylist()
    assert read["similarity"].tolist() == TABLE["similarity"].to_pylist()
    header, *rows = rows_of(tmp_path / "links.csv")
    assert header == TABLE.column_names
    assert [row[3] for row in rows] == ["", "0.5", "", "1", "0"]


def test_arrow_and_private(tmp_path: Path) -> None:
    for name in ("links.arrow", "links.csv", "links.parquet"):
        write_as(TABLE, tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert pa.ipc.open_file(tmp_path / "links.arrow").read_all().equals(TABLE)
    with pytest.raises(OutputExists):
        write_as(TABLE, tmp_path / "links.csv")


def test_a_copy_is_what_was_written(tmp_path: Path) -> None:
    write_as(TABLE, tmp_path / "links.parquet")
    for kind, excel in (("csv", False), ("csv", True), ("arrow", False)):
        one, other = tmp_path / f"one-{excel}.{kind}", tmp_path / f"other-{excel}.{kind}"
        write_as(TABLE, one, excel=excel)
        copy_as(tmp_path / "links.parquet", other, kind, excel=excel)  # type: ignore[arg-type]
        assert one.read_bytes() == other.read_bytes()


@given(st.lists(st.text(alphabet="=+-@\t\r\n'|0123456789aé,\" ", max_size=20), min_size=1))
def test_excel_runs_and_changes_nothing(texts: list[str]) -> None:
    made = excel_safe(pa.table({"id": texts}))["id"].to_pylist()
    for text, safe in zip(texts, made, strict=True):
        # Nothing is lost, and what begins with an apostrophe can be told apart.
        assert safe in (text, f"'{text}")
        assert (safe.removeprefix("'")) == text
        if safe == text and text:
            assert text[0] not in "=+-@\t\r\n'|"
            digits = len(text) - len(text.lstrip("0123456789"))
            assert digits < 16
            assert not (digits > 1 and text[0] == "0")


@pytest.mark.parametrize("extra", [[], ["--memory", "1GiB"]])
def test_link_gives_back_in_another_format(
    pair: list[str], tmp_path: Path, extra: list[str]
) -> None:
    command = ["link", *pair, "--threshold", "0.9", *extra, "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--format", "csv", "--excel-safe"])
    assert done.exit_code == 0, done.output
    links = pprl.Links.load(tmp_path / "out" / "links.parquet").table
    _, *rows = rows_of(tmp_path / "out" / "links.csv")
    expected = links.select(["left_id", "right_id"]).to_pylist()
    assert [row[:2] for row in rows] == [list(row.values()) for row in expected]
    assert len(rows) == 30
    again = CliRunner().invoke(app, [*command, "--format", "csv", *(["--resume"] * bool(extra))])
    assert again.exit_code == (0 if extra else 1), again.output


def test_one_file(pair: list[str], tmp_path: Path) -> None:
    for name in ("links.parquet", "links.csv", "links.arrow"):
        command = ["link", *pair, "--threshold", "0.9", "-o", str(tmp_path / name)]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert (tmp_path / name).is_file()
        assert isinstance(CliRunner().invoke(app, command).exception, OutputExists)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("links.arrow", "links.csv", "links.parquet")
    ]
    links = pprl.Links.load(tmp_path / "links.parquet").table
    assert pa.ipc.open_file(tmp_path / "links.arrow").read_all().equals(links)
    out = str(tmp_path / "clusters.csv")
    done = CliRunner().invoke(app, ["dedupe", pair[0], "--threshold", "0.9", "-o", out])
    assert done.exit_code == 0, done.output
    assert len(rows_of(tmp_path / "clusters.csv")) == 41


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-o", "a.csv", "--format", "arrow"], "another format"),
        (["-o", "a.arrow", "--excel-safe"], "--excel-safe is for CSV"),
        (["-o", "a.parquet", "--memory", "1GiB"], "a job needs a folder"),
        (["-o", "a.csv", "--ambiguous", "0.1"], "name a folder"),
    ],
)
def test_what_cannot_be(
    pair: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(app, ["link", *pair, *options]).exception
    assert isinstance(error, PprlError)
    assert says in str(error)
    assert not [*tmp_path.iterdir()]


def test_pseudonyms(pair: list[str], tmp_path: Path) -> None:
    command = ["link", *pair, "--deduplicated", "all", "--threshold", "0.9", "--format", "arrow"]
    done = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    clusters = pprl.Clusters.load(tmp_path / "out" / "clusters.parquet").table
    assert pa.ipc.open_file(tmp_path / "out" / "clusters.arrow").read_all().equals(clusters)
    PseudonymKey.generate().save(tmp_path / "unit.key")
    given = [
        "pseudonyms",
        str(tmp_path / "out"),
        "-k",
        str(tmp_path / "unit.key"),
        "--project",
        "p",
    ]
    done = CliRunner().invoke(app, [*given, "--format", "csv"])
    assert done.exit_code == 0, done.output
    made = {path.name for path in (tmp_path / "out" / "pseudonyms").rglob("*.*")}
    assert made == {"left.csv", "right.csv", "research.csv"}
    assert len(rows_of(tmp_path / "out" / "pseudonyms" / "holders" / "left.csv")) == 41
