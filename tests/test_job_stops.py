"""What can befall a job: signals, full disks, damaged files, changed inputs, other owners."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pprl.cli import app
from pprl.errors import (
    JobChanged,
    JobError,
    JobLocked,
    OutputExists,
    PprlError,
    TooManyPairs,
    UnreadableFile,
    UsageError,
)
from pprl.exchange.rows import EncodingsFile
from pprl.linkage.engine import LocalEngine
from pprl.linkage.job.config import Job
from pprl.linkage.job.progress import JobProgress
from pprl.linkage.job.run import plan_job, run_job
from test_job import Dying, Killed, bytes_of, files, holder, job_in, small_parts

__all__ = ["files", "small_parts"]

pytestmark = pytest.mark.usefixtures("files")

CHILD = """
import json, sys
from pprl.linkage.job import plan
from pprl.linkage.job.config import Job
from pprl.linkage.job.run import run_job
plan._MOST_ROWS, plan._ROWS_PER_BUCKET, plan.FAN_IN = 70, 40, 4
print("ready", flush=True)
run_job(Job.from_document(json.loads(sys.argv[1])), resume=True)
"""


def child(job: Job, **options: object) -> subprocess.Popen[str]:
    made = subprocess.Popen(
        [sys.executable, "-c", CHILD, job.model_dump_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """SIGKILL, five times at different moments; nothing half-written is taken as whole."""
    run_job(job_in(tmp_path, "whole"))
    rng, job, killed = random.Random(4), job_in(tmp_path), 0
    while killed < 5:
        with child(job) as process:
            try:
                process.wait(rng.uniform(0.05, 1.2))
                assert process.returncode == 0
                break
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
    assert killed
    result = run_job(job, resume=True)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert result.facts["pairs_compared"] > 0
    assert not [*tmp_path.rglob("*.part")]


def test_terminated(tmp_path: Path) -> None:
    """SIGTERM ends the command at once, says so, and lets go of the folder."""
    rng = np.random.default_rng(1)
    for side in ("a", "b"):
        holder(rng, 8_000, side).save(tmp_path / f"{side}-large.clk.parquet")
    arguments = [f"{tmp_path}/a-large.clk.parquet", f"{tmp_path}/b-large.clk.parquet"]
    arguments += ["-o", str(tmp_path / "t"), "--threshold", "0.9", "--resume"]
    command = [sys.executable, "-c", "from pprl.cli import main; main()", "link", *arguments]
    with subprocess.Popen(
        [*command, "--progress", "json", "--workers", "1"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        assert first["stage"] == "sorting rows"
        assert first["parts"] <= first["parts_total"]
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 143
    assert "stopped" in rest
    assert not (tmp_path / "t" / "links.parquet").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "links" in done.stdout
    # Quiet in a pipe.
    assert done.stderr == ""


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    holding = (
        "import sys; from pathlib import Path; from pprl.linkage.job.lock import owned\n"
        "with owned(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    own = tmp_path / "out" / "job"
    own.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(own)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(JobLocked, match=f"process {other.pid} on"):
            run_job(job)
        # However it dies, the lock dies with it.
        other.kill()
    assert run_job(job).facts["links"] > 0


def test_a_changed_job_is_refused(tmp_path: Path) -> None:
    run_job(job_in(tmp_path))
    with pytest.raises(OutputExists, match="--resume"):
        run_job(job_in(tmp_path))
    with pytest.raises(JobChanged, match=r"linkage\.threshold was 0\.55 and is 0\.6\."):
        run_job(job_in(tmp_path, linkage={"threshold": 0.6}), resume=True)
    with pytest.raises(JobChanged, match="less than the plan needs"):
        run_job(job_in(tmp_path, resources={"memory": "900MiB"}), resume=True)
    for workers in (1, 3):
        changed = {"workers": workers, "memory": "2GiB"}
        run_job(job_in(tmp_path, resources=changed), resume=True)
    path = tmp_path / "a.clk.parquet"
    path.unlink()
    holder(np.random.default_rng(6), 300, "left").save(path)
    with pytest.raises(JobChanged, match=r"bytes of inputs\.left"):
        run_job(job_in(tmp_path), resume=True)


def test_moved_inputs_may_be_resumed(tmp_path: Path) -> None:
    run_job(job_in(tmp_path, "whole"))
    with pytest.raises(PprlError, match="cannot be read"):
        run_job(job_in(tmp_path), engine=_Vanishing(tmp_path / "a.clk.parquet"))
    moved = job_in(tmp_path, inputs={"left": {"path": str(tmp_path / "moved.parquet")}})
    run_job(moved, resume=True)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


class _Vanishing(LocalEngine):
    """Moves an input away after the first part."""

    def __init__(self, path: Path) -> None:
        super().__init__(1)
        object.__setattr__(self, "path", path)

    def run(self, part, manifest, names, done) -> None:  # type: ignore[no-untyped-def]
        super().run(part, manifest, names[:1], done)
        if self.path.exists():
            self.path.rename(self.path.with_name("moved.parquet"))
        super().run(part, manifest, names[1:], done)


@pytest.mark.parametrize("damage", ["a row group", "a part"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    run_job(job_in(tmp_path, "whole"))
    if damage == "a row group":
        path = tmp_path / "a.clk.parquet"
        column = pq.read_metadata(path).row_group(0).column(0)
        _spoil(path, column.data_page_offset + 8)
        with pytest.raises(UnreadableFile, match=rf"{path}: row group 0, from row 0"):
            run_job(job_in(tmp_path))
        return

    class Spoiling(LocalEngine):
        def run(self, part, manifest, names, done) -> None:  # type: ignore[no-untyped-def]
            if names and names[0].startswith("pairs/"):
                path = tmp_path / "out" / "job" / "rows" / "left-00001.parquet"
                column = pq.read_metadata(path).row_group(1).column(2)
                _spoil(path, column.data_page_offset + 60)
            super().run(part, manifest, names, done)

    with pytest.raises(UnreadableFile, match=r"left-00001.* Delete this file and resume"):
        run_job(job_in(tmp_path), engine=Spoiling())
    (tmp_path / "out" / "job" / "rows" / "left-00001.parquet").unlink()
    run_job(job_in(tmp_path), resume=True)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def _spoil(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + 16] = bytes(byte ^ 0x5A for byte in content[at : at + 16])
    path.write_bytes(content)


def test_a_full_disk(tmp_path: Path) -> None:
    """Files may not grow beyond a few kilobytes: the job stops, and goes on when they may."""
    run_job(job_in(tmp_path, "whole"))
    job = job_in(tmp_path)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (14_000, 14_000))

    process = child(job, preexec_fn=small_files)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "UnwritableFile: cannot write" in errors
    assert "takes no file so large" in errors
    assert "resume" in errors
    assert not [*(tmp_path / "out").rglob("*.part")]
    run_job(job, resume=True)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_jobs_share_a_scratch_folder(tmp_path: Path) -> None:
    """One that was left half-done does not lend its parts to another."""
    scratch = {"scratch": str(tmp_path / "scratch")}
    with pytest.raises(Killed):
        run_job(job_in(tmp_path, "first", resources=scratch), engine=Dying(60))
    second = job_in(tmp_path, "second", resources=scratch, linkage={"threshold": 0.6})
    run_job(second)
    run_job(job_in(tmp_path, "whole", linkage={"threshold": 0.6}))
    assert bytes_of(tmp_path / "second") == bytes_of(tmp_path / "whole")
    (left,) = (tmp_path / "scratch").iterdir()
    assert [*left.rglob("*.parquet")]
    run_job(job_in(tmp_path, "first", resources=scratch), resume=True)
    assert not [*(tmp_path / "scratch").iterdir()]


def test_a_threshold_too_low(tmp_path: Path) -> None:
    job = job_in(tmp_path, linkage={"threshold": 0.1, "max_pairs": 1000})
    with pytest.raises(TooManyPairs, match=r"more than 1,000 pairs.*in all"):
        run_job(job)


def test_memory_too_small(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"400 MiB do not suffice for 2 workers.*Give \d+ MiB"):
        plan_job(job_in(tmp_path, resources={"memory": "400MiB"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("linkage.treshold=0.8", "no option 'linkage.treshold'; did you mean 'threshold'"),
        ("linkage.threshold=1.5", "between 0 and 1"),
        ("linkage.matching=optimal", r"'linkage\.matching'"),
        ("resources.memory=lots", r"'resources\.memory'"),
        ("resources.workers=0", r"'resources\.workers'"),
        ("inputs.left.pth=x", "did you mean 'path'"),
        ("blocking.passes=['four']", "no pass 'four'; the files have 'one', 'two', 'three'"),
        ("inputs.right.holder='somebody'", "of holder 'right', not 'somebody'"),
        ("linkage", "option=value"),
        ("version=2", "'version'"),
    ],
)
def test_a_wrong_job_is_refused_before_any_work(tmp_path: Path, changes: str, message: str) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        'version = 1\n[inputs]\nleft = { path = "a.clk.parquet" }\n'
        'right = { path = "b.clk.parquet" }\n[blocking]\nmethod = "keys"\n'
        '[output]\nfolder = "out"\n'
    )
    with pytest.raises(UsageError, match=message):
        run_job(Job.load(path, [changes]))
    assert not (tmp_path / "out" / "job" / "manifest.json").exists()


@pytest.mark.parametrize("text", ["", "x = ", "[inputs]\nleft = 3", "\N{REPLACEMENT CHARACTER}"])
def test_not_a_job(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(JobError, match=r"job\.toml"):
        Job.load(tmp_path / "job.toml")


def test_a_job_on_the_command_line(tmp_path: Path) -> None:
    """Options, --set and the file say the same thing; the later ones win."""
    path = tmp_path / "job.toml"
    path.write_text(
        'version = 1\n[inputs]\nleft = { path = "a.clk.parquet" }\n'
        'right = { path = "b.clk.parquet" }\n[blocking]\nmethod = "keys"\n'
        '[output]\nfolder = "out"\n'
    )
    runner = CliRunner()
    job = ["link", "--job", str(path)]
    planned = runner.invoke(app, [*job, "--dry-run", "--json"])
    assert planned.exit_code == 0
    plan = json.loads(planned.stdout)
    assert plan["records"][0] == 300
    assert set(plan["passes"]) == {"one", "two", "three"}
    assert plan["pairs"] == sum(one["pairs"] for one in plan["passes"].values())
    assert not (tmp_path / "out").exists()
    assert "pairs to compare" in runner.invoke(app, [*job, "--dry-run"]).stdout
    done = runner.invoke(app, [*job, "--threshold", "0.5", "--set", "linkage.threshold=0.6"])
    assert done.exit_code == 0
    facts = json.loads((tmp_path / "out" / "linkage.json").read_text())
    assert facts["threshold"] == 0.6
    again = [str(tmp_path / f"{side}.clk.parquet") for side in "ab"]
    options = ["--threshold", "0.6", "--blocking", "keys", "--memory", "1GiB", "--json"]
    other = runner.invoke(app, ["link", *again, "-o", str(tmp_path / "o"), *options])
    assert json.loads(other.stdout)["links"] == facts["links"]
    assert bytes_of(tmp_path / "o") == bytes_of(tmp_path / "out")
    refused = runner.invoke(app, [*job, *again])
    assert isinstance(refused.exception, UsageError)


def test_progress_tells_rate_and_time_left(tmp_path: Path) -> None:
    seen: list[JobProgress] = []
    run_job(job_in(tmp_path), progress=seen.append, engine=LocalEngine(1))
    shares = [one.share for one in seen]
    assert shares == sorted(shares)
    assert seen[-1].share == pytest.approx(1)
    assert seen[-1].seconds_left == pytest.approx(0, abs=1e-6)
    middle = next(one for one in seen if one.stage == "comparing" and one.pairs)
    assert middle.pairs_per_second > 0
    assert middle.seconds_left is not None
    assert middle.seconds_left > 0
    by_stage: dict[str, list[int]] = {}
    for one in seen:
        by_stage.setdefault(one.stage, []).append(one.parts)
    assert all(parts == sorted(parts) for parts in by_stage.values())


def test_the_job_schema_is_published(tmp_path: Path) -> None:
    """Editors check job files against docs/reference/job.json; it must be ours."""
    path = Path(__file__).parent.parent / "docs" / "reference" / "job.json"
    assert json.loads(path.read_text()) == Job.model_json_schema()


def test_an_input_that_is_sealed_or_none(tmp_path: Path) -> None:
    (tmp_path / "sealed").write_bytes(b"age-encryption.org/v1\n")
    with pytest.raises(UsageError, match="pprl unseal"):
        EncodingsFile.open(str(tmp_path / "sealed"))
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "nowhere"):
        with pytest.raises(UnreadableFile):
            EncodingsFile.open(str(tmp_path / name))


def test_an_address_that_fsspec_knows(tmp_path: Path) -> None:
    address = f"file://{tmp_path / 'a.clk.parquet'}"
    job = job_in(tmp_path, inputs={"left": {"path": address}})
    run_job(job)
    run_job(job_in(tmp_path, "whole"))
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_no_record_in_the_folder(tmp_path: Path) -> None:
    """The manifest holds no record id; the folder of a job that is done holds nothing else."""
    run_job(job_in(tmp_path))
    text = (tmp_path / "out" / "job" / "manifest.json").read_text()
    assert '"left1' not in text
    assert sorted(os.listdir(tmp_path / "out" / "job")) == ["lock", "manifest.json"]
