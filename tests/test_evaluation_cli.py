"""The evaluator's commands: review, changes, tune, groups and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import pprl
from conftest import encodings_of
from pprl.cli import app
from pprl.errors import OutputExists, UsageError
from test_link import filters


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Two files and two runs over them, one of them stricter; the truth beside."""
    clks = filters(60)
    noisy = clks.copy()
    noisy[:20, 0] ^= 0xF0
    a, b = encodings_of(clks, "a"), encodings_of(noisy, "b")
    for name, file in (("a", a), ("b", b)):
        file.save(tmp_path / f"{name}.clk.parquet")
    for name, cut in (("loose", 0.9), ("strict", 0.999)):
        folder = tmp_path / name
        folder.mkdir()
        result = pprl.link(a, b, threshold=cut)
        result.links.save(folder / "links.parquet")
        (folder / "linkage.json").write_text(json.dumps(result.facts(a.info, b.info)))
    truth = pd.DataFrame(
        {"left_id": a.record_ids.to_pylist(), "right_id": b.record_ids.to_pylist()}
    )
    truth.to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


def test_review_there_and_back(job: Path) -> None:
    files = job / "a.clk.parquet", job / "b.clk.parquet"
    done = run("review", "sample", job / "strict", *files, "-o", job / "r.csv", "-n", 70)
    assert "pairs to look at" in done.output
    with pytest.raises(OutputExists):
        run("review", "sample", job / "strict", *files, "-o", job / "r.csv")
    sheet = pd.read_csv(job / "r.csv", dtype=str)
    assert set(sheet["left_id"].str[1:]) >= {str(i) for i in range(20, 60)}
    same = sheet["left_id"].str[1:] == sheet["right_id"].str[1:]
    sheet["match"] = same.map({True: "yes", False: "no"})
    sheet.to_csv(job / "r.csv", index=False)
    done = run("review", "estimate", job / "r.csv", "-o", job / "review.json", "--json")
    figures = json.loads(done.output)
    assert figures == json.loads((job / "review.json").read_text())
    assert figures["precision"]["value"] == 1.0
    assert figures["recall"]["value"] == pytest.approx(40 / 60, abs=0.05)
    assert "missed matches" in run("review", "estimate", job / "r.csv").output


def test_review_needs_the_files_or_candidates(job: Path) -> None:
    with pytest.raises(UsageError, match="two encodings files"):
        run("review", "sample", job / "strict", "-o", job / "r.csv")
    with pytest.raises(UsageError, match="both"):
        run("review", "sample", job / "strict", job / "a.clk.parquet", "-o", job / "r.csv")
    links = job / "loose" / "links.parquet"
    done = run("review", "sample", job / "strict", "--candidates", links, "-o", job / "r.csv")
    assert done.exit_code == 0


def test_changes(job: Path) -> None:
    done = run("changes", job / "loose", job / "strict", "-o", job / "changes.csv", "--json")
    counts = json.loads(done.output)
    assert (counts["kept"], counts["gained"], counts["lost"]) == (40, 0, 20)
    assert counts["reasons"] == [{"change": "lost", "why": "threshold", "pairs": 20}]
    assert len(pd.read_csv(job / "changes.csv")) == 20
    assert "lost, threshold: 20" in run("changes", job / "loose", job / "strict").output


def test_tune(job: Path) -> None:
    files = job / "a.clk.parquet", job / "b.clk.parquet"
    done = run("tune", *files, "--truth", job / "truth.csv", "--floor", "0.7", "--json")
    figures = json.loads(done.output)
    assert figures["apparent"] == 1.0
    assert 0.7 < figures["threshold"] < 0.999
    assert figures["optimism"] == pytest.approx(figures["apparent"] - figures["cross_validated"])
    assert "optimism" in run("tune", *files, "--truth", job / "truth.csv").output


def test_evaluate_wants_a_folder(job: Path) -> None:
    """A file in the folder, or no folder: both are told, and none is made."""
    for wrong in (job / "strict" / "links.parquet", job / "nowhere"):
        with pytest.raises(UsageError, match="is no folder"):
            run("evaluate", wrong, "--truth", job / "truth.csv")
    assert not (job / "nowhere").exists()


def test_evaluate_with_groups_and_errors(job: Path) -> None:
    groups = pd.DataFrame({"record_id": [f"a{i}" for i in range(60)]})
    groups["clean"] = ["no" if i < 20 else "yes" for i in range(60)]
    groups.to_csv(job / "groups.csv", index=False)
    arguments = ["--truth", job / "truth.csv", "--groups", job / "groups.csv"]
    done = run("evaluate", job / "strict", *arguments, "--errors", job / "errors.csv", "--json")
    quality = json.loads(done.output)
    by = {one["group"]: one["recall"]["value"] for one in quality["subgroups"]}
    assert by == {"no": 0.0, "yes": 1.0}
    errors = pd.read_csv(job / "errors.csv")
    assert errors["kind"].unique().tolist() == ["missed match"]
    assert len(errors) == 20
    assert "clean no" in run("evaluate", job / "loose", *arguments).output
