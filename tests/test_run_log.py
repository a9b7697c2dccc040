"""The log: what it says, that it says nothing else, and where it is kept."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from conftest import encodings_of
from pprl.cli import app
from pprl.cli.logs import LOG_FILE
from pprl.cli.progress import progress_of
from pprl.linkage.job.progress import JobProgress, Watch
from pprl.run_log import LOG, note, run, stage

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) "
    r"run=(?P<run>[0-9a-f]{12}) (?P<what>[A-Za-z -]+?)(?P<numbers>( [a-z_]+=-?[0-9.einf]+)*)"
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of forty records, thirty of them shared, ids that are easy to find."""
    rng = np.random.default_rng(5)
    people = (rng.random((60, 256)) < 0.4).astype(np.uint8)
    folder = tmp_path_factory.mktemp("pair")
    made = []
    for name, part in (("left", people[:40]), ("right", people[10:50])):
        path = folder / f"{name}.clk.parquet"
        encodings_of(part, name).save(path)
        made.append(path)
    return made[0], made[1]


def lines_of(folder: Path) -> list[re.Match[str]]:
    text = (folder / LOG_FILE).read_text(encoding="utf-8")
    found = [LINE.fullmatch(line) for line in text.splitlines() if " warning: " not in line]
    assert all(found), text
    return [one for one in found if one is not None]


@pytest.mark.parametrize("extra", [[], ["--memory", "1GiB"]])
def test_a_run_keeps_its_log(pair: tuple[Path, Path], tmp_path: Path, extra: list[str]) -> None:
    out = tmp_path / "out"
    command = ["link", *map(str, pair), "-o", str(out), "--threshold", "0.9", *extra]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    lines = lines_of(out)
    said = [one["what"] for one in lines]
    assert (said[0], said[-1]) == ("command link begins", "command link ends")
    assert len({one["run"] for one in lines}) == 1
    begun = [one.removesuffix(" begins") for one in said if one.endswith(" begins")]
    ended = [one.removesuffix(" ends") for one in said if one.endswith(" ends")]
    assert sorted(begun) == sorted(ended)
    assert "exit=0" in lines[-1]["numbers"]
    assert re.search(r" seconds=\d", lines[-1]["numbers"])
    # A later command on the folder goes on in it, as another run.
    (tmp_path / "truth.csv").write_text("left_id,right_id\nleft10,right0\n", encoding="utf-8")
    CliRunner().invoke(app, ["evaluate", str(out), "--truth", str(tmp_path / "truth.csv")])
    later = lines_of(out)
    assert len({one["run"] for one in later}) == 2
    assert [one["what"] for one in later][-2:] == [
        "command evaluate begins",
        "command evaluate ends",
    ]


def test_a_command_that_fails_says_how(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["link", *map(str, pair), "-o", str(out), "--threshold", "0.9"]
    assert CliRunner().invoke(app, command).exit_code == 0
    again = CliRunner().invoke(app, [*command, "-v"])
    assert again.exit_code != 0
    assert "command link ends with OutputExists" in lines_of(out)[-1]["what"]
    assert " exit=2" in lines_of(out)[-1]["numbers"]
    assert "command link ends with OutputExists exit=2" in again.stderr
    assert not LOG.handlers


def test_numbers_only() -> None:
    with pytest.raises(TypeError, match="numbers only, and record is none"):
        note("comparing", record="123456782")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="words of the code"):
        note("comparing 123456782")


def test_stages_and_runs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pprl")
    with run() as one, stage("comparing", pairs=3) as found:
        found["links"] = 2
    with run() as other, pytest.raises(ZeroDivisionError), stage("deciding"):
        _ = 1 / 0
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == f"run={one} comparing begins pairs=3"
    assert re.fullmatch(rf"run={one} comparing ends links=2 seconds=0\.\d+", texts[1])
    assert texts[2] == f"run={other} deciding begins"
    assert texts[3].startswith(f"run={other} deciding fails with ZeroDivisionError seconds=")


def test_loud_and_quiet(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    for at, (before, after, seen) in enumerate(
        ((["-v"], [], True), ([], ["-v"], True), ([], [], False), ([], ["-q"], False))
    ):
        command = ["link", *map(str, pair), "-o", str(tmp_path / f"out{at}"), "--threshold", "0.9"]
        done = runner.invoke(app, [*before, *command, *after])
        assert done.exit_code == 0, done.output
        assert ("linking ends compared=1600" in done.stderr) == seen
    shown = runner.invoke(app, ["-v", "link", *map(str, pair)]).stderr
    assert "command link ends with UsageError exit=2" in shown


def test_every_command_takes_them() -> None:
    groups: list[tuple[str, typer.Typer]] = [("", app)]
    names: list[list[str]] = []
    while groups:
        prefix, group = groups.pop()
        groups += [(f"{prefix}{one.name} ", one.typer_instance) for one in group.registered_groups]
        names += [
            f"{prefix}{one.name or one.callback.__name__.replace('_', '-')}".split()
            for one in group.registered_commands
            if one.callback is not None
        ]
    assert len(names) > 20
    for name in names:
        text = CliRunner().invoke(app, [*name, "--help"]).stdout
        assert "--verbose" in text, name
        assert "--quiet" in text, name


def test_quiet_hides_warnings(tmp_path: Path) -> None:
    code = (
        "import sys, warnings\n"
        "from pprl.cli import main\n"
        "from pprl.cli.console import app\n"
        "from pprl.errors import PprlWarning\n"
        "@app.command()\n"
        "def warn() -> None:\n"
        "    warnings.warn('look here', PprlWarning)\n"
        "main()\n"
    )
    for extra, seen in (((), True), (("-q",), False)):
        done = subprocess.run(
            [sys.executable, "-c", code, "warn", *extra], capture_output=True, text=True, check=True
        )
        assert ("warning: look here" in done.stderr) == seen


def test_progress_in_memory_never_stands_at_100(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_of("comparing", "json") as count:
        for total in (100, 100, 50):
            count(total // 2, total)
            count(total, total)
        # A file that is small is counted in one go.
        count(70, 70)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["stage"] for line in lines] == [
        *("comparing", "after comparing"),
        *("comparing, step 2", "after comparing, step 2"),
        *("comparing, step 3", "after comparing, step 3"),
        "after comparing, step 4",
    ]
    assert [line["share"] for line in lines] == [0.5, None] * 3 + [None]
    assert all(re.fullmatch("[0-9a-f]{12}", line["run"]) for line in lines)


def test_progress_of_a_job_is_whole_when_links_are_written() -> None:
    seen: list[JobProgress] = []
    watch = Watch(seen.append, {"a": 3.0, "written": 1.0})
    watch.begin("comparing", [], 1)
    watch.done("a", {"pairs": 5})
    watch.begin("writing links", [], 1)
    watch.done("written", {})
    assert [(now.stage, now.share) for now in seen] == [
        ("comparing", 0.0),
        ("comparing", 0.75),
        ("writing links", 0.75),
        ("writing links", 1.0),
    ]
