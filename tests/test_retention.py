"""What is held of a run, and deleting it: nothing else, all of it, with a record."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import encodings_of
from pprl.cli import app
from pprl.errors import JobLocked, UnreadableFile, UnwritableFile, UsageError
from pprl.linkage.held import holdings, runs_in
from pprl.linkage.job.config import Job
from pprl.linkage.job.lock import owned
from pprl.linkage.job.run import run_job
from pprl.linkage.purge import purge, to_delete


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished job, with all that commands, holders and users may leave in its folder."""
    people = (np.random.default_rng(5).random((60, 64)) < 0.4).astype(np.uint8)
    for name, part in (("left", people[:40]), ("right", people[10:50])):
        encodings_of(part, name).save(tmp_path / f"{name}.clk.parquet")
    (tmp_path / "job.toml").write_text(
        'version = 1\n[inputs]\nleft = { path = "left.clk.parquet" }\n'
        'right = { path = "right.clk.parquet" }\n[linkage]\nthreshold = 0.9\n'
        '[output]\nfolder = "run"\nkeep_until = 2026-11-30\n'
        '[resources]\nscratch = "scratch"\n',
        encoding="utf-8",
    )
    job = Job.load(tmp_path / "job.toml")
    run_job(job)
    folder = tmp_path / "run"
    encodings_of(people[:10], "third").save(folder / "delivery.parquet")
    (folder / "old.age").write_bytes(b"age-encryption.org/v1\nrest")
    (folder / "links.csv").write_text("left_id,right_id\n", encoding="utf-8")
    (folder / "report.html").write_text("<p>", encoding="utf-8")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "pseudonyms" / "holders").mkdir(parents=True)
    (folder / "pseudonyms" / "holders" / "left.csv").write_text("x\n", encoding="utf-8")
    (folder / "job" / "rows").mkdir()
    (folder / "job" / "rows" / "left.parquet").write_bytes(b"part")
    (folder / ".x.part").mkdir()
    (folder / ".x.part" / "links.parquet").write_bytes(b"half")
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


REPORT = {"linkage.json", "report.html", "deleted.json", "notes.txt"}
PSEUDONYMS = REPORT | {"pseudonyms/holders/left.csv"}
LINKS = PSEUDONYMS | {"links.parquet", "links.csv"}


@pytest.mark.parametrize(
    ("keep", "left"), [("links", LINKS), ("pseudonyms", PSEUDONYMS), ("report", REPORT)]
)
def test_what_is_kept_and_what_is_gone(run: Path, keep: str, left: set[str]) -> None:
    before = names(run)
    digest = hashlib.sha256((run / "delivery.parquet").read_bytes()).hexdigest()
    entry = purge(run, keep)  # type: ignore[arg-type]
    assert names(run) == left
    assert not (run / "job").exists()
    record = json.loads((run / "deleted.json").read_text())["deletions"]
    assert [one["state"] for one in record] == ["done"]
    assert {one["name"] for one in record[0]["files"]} == before - left - {"job/lock"}
    (sent,) = (one for one in record[0]["files"] if one["name"] == "delivery.parquet")
    assert (sent["kind"], sent["sha256"]) == ("encodings", digest)
    # The user's own file and the holders' deliveries outside are not deleted, but named.
    inputs = [str(run.parent / f"{name}.clk.parquet") for name in ("left", "right")]
    assert entry["left"] == [str(run / "notes.txt"), *inputs]
    # The date and the inputs are known still; then these go, too.
    held = holdings(run)
    assert held.until == date(2026, 11, 30)
    assert held.overdue(date(2026, 12, 1))
    assert [str(path) for path in held.elsewhere] == inputs
    again = purge(run, keep, encodings=inputs)  # type: ignore[arg-type]
    assert not [path for path in inputs if Path(path).exists()]
    assert again["left"] == [str(run / "notes.txt")]
    assert names(run) == left
    assert len(json.loads((run / "deleted.json").read_text())["deletions"]) == 2
    assert holdings(run).overdue(date(2026, 12, 1)) == (keep != "report")


def test_both_deletions_of_one_second_are_kept(run: Path) -> None:
    purge(run, "links")
    purge(run, "report")
    record = json.loads((run / "deleted.json").read_text())["deletions"]
    assert [one["keep"] for one in record] == ["links", "report"]


def test_the_day_is_in_the_facts_and_free_to_change(run: Path) -> None:
    assert json.loads((run / "linkage.json").read_text())["keep_until"] == "2026-11-30"
    job = Job.load(run.parent / "job.toml", ["output.keep_until=2027-01-01"])
    assert run_job(job, resume=True).facts["links"] == 30


def test_a_job_at_work_or_without_results_is_left_alone(run: Path) -> None:
    with owned(run / "job"), pytest.raises(JobLocked):
        purge(run, "report")
    (run / "linkage.json").unlink()
    before = names(run)
    with pytest.raises(UsageError, match="no results yet"):
        purge(run, "links")
    assert names(run) == before
    purge(run, "report", unfinished=True)
    assert names(run) == REPORT - {"linkage.json"}


def test_scratch_goes_and_links_are_not_followed(tmp_path: Path, run: Path) -> None:
    manifest = run / "job" / "manifest.json"
    own = json.loads(manifest.read_text())["manifest"]["id"]
    scratch = tmp_path / "scratch" / f"pprl-{own}"
    (scratch / "rows").mkdir(parents=True)
    (scratch / "rows" / "left.parquet").write_bytes(b"part")
    (scratch / "job").write_text(own)
    other = tmp_path / "scratch" / "pprl-of-another"
    other.mkdir()
    (run / "copy.clk.parquet").symlink_to(tmp_path / "left.clk.parquet")
    (run / "dangling.clk.parquet").symlink_to(tmp_path / "nowhere")
    gone = {one.path for one in to_delete(run, "links")}
    assert scratch / "rows" / "left.parquet" in gone
    files = {one["name"]: one for one in purge(run, "links")["files"]}
    assert files["copy.clk.parquet"] == {
        "name": "copy.clk.parquet",
        "kind": "encodings",
        "link": True,
    }
    assert not (run / "dangling.clk.parquet").is_symlink()
    assert not scratch.exists()
    assert other.is_dir()
    assert not (run / "copy.clk.parquet").is_symlink()
    assert (tmp_path / "left.clk.parquet").exists()


def test_a_file_that_stays_is_an_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def sticky(path: Path, missing_ok: bool = False) -> None:
        if path.name != "old.age":
            unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", sticky)
    with pytest.raises(UnwritableFile, match=r"old\.age"):
        purge(run, "links")
    record = json.loads((run / "deleted.json").read_text())["deletions"]
    assert [one["state"] for one in record] == ["begun"]


def test_only_encodings_are_deleted_elsewhere(run: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("a\n", encoding="utf-8")
    before = names(run)
    with pytest.raises(UsageError, match="does not hold encodings"):
        purge(run, "links", encodings=[tmp_path / "people.csv"])
    assert names(run) == before
    with pytest.raises(UnreadableFile, match="not a run's folder"):
        purge(tmp_path, "links")
    with pytest.raises(UsageError, match="keep is one of"):
        purge(run, "nothing")  # type: ignore[arg-type]


def test_command_line(run: Path, tmp_path: Path) -> None:
    command = ["link", str(tmp_path / "left.clk.parquet"), str(tmp_path / "right.clk.parquet")]
    command += ["--threshold", "0.9", "--keep-until", "2999-01-01", "-o", str(tmp_path / "two")]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert runs_in(tmp_path) == [run, tmp_path / "two"]
    told = CliRunner().invoke(app, ["status", str(tmp_path), "--json"])
    one, two = json.loads(told.stdout)
    assert (one["until"], one["overdue"]) == ("2026-11-30", True)
    assert one["held"]["encodings"]["files"] == 2
    assert (two["until"], two["overdue"], set(two["held"])) == (
        *("2999-01-01", False),
        {"links", "report"},
    )
    text = CliRunner().invoke(app, ["status", str(tmp_path)]).stdout
    assert "until 2026-11-30, OVERDUE" in text
    dry = CliRunner().invoke(app, ["purge", str(run), "--keep", "links", "--dry-run"]).stdout
    assert "encodings: " in dry
    assert (run / "delivery.parquet").exists()
    done = CliRunner().invoke(app, ["purge", str(run), "--keep", "report"])
    assert done.exit_code == 0, done.output
    assert "they are gone" in done.stdout
    assert "not deleted: " in done.stdout
    log = (run / "run.log").read_text()
    assert "purge ends files=" in log
    assert "left.clk" not in log
    assert not [name for name in names(run) if name.startswith(("links", "job", "pseudonyms"))]


def test_nothing_but_the_report_is_public(run: Path) -> None:
    """Every file that pprl writes into a run's folder is known to what deletes it."""
    found = {one.path.name: one.kind for one in holdings(run).files}
    assert [name for name, kind in found.items() if kind == "other"] == ["notes.txt"]
    from pprl.cli.linkage import CLUSTER_FILES, LINK_FILES
    from pprl.evaluation.runfolder import SHOWN

    for name in {*LINK_FILES, *CLUSTER_FILES, *SHOWN, "made_by.parquet"}:
        (run / name).touch()
    kinds = {one.path.name: one.kind for one in holdings(run).files}
    assert not [name for name in (*LINK_FILES, *CLUSTER_FILES, *SHOWN) if kinds[name] == "other"]
    assert not [name for name in SHOWN if kinds[name] != "report"]
