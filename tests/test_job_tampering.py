"""A job's own files, changed while it is stopped; its folder moved; its inputs replaced."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from pprl.errors import PprlError, PprlWarning, UnreadableFile
from pprl.linkage.engine import LocalEngine
from pprl.linkage.job.manifest import Manifest
from pprl.linkage.job.run import run_job
from test_job import Dying, Killed, bytes_of, files, holder, job_in, small_parts

__all__ = ["files", "small_parts"]

pytestmark = pytest.mark.usefixtures("files")


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """A job that was killed before its end, and what the whole job gives."""
    run_job(job_in(tmp_path, "whole"))
    with pytest.raises(Killed):
        run_job(job_in(tmp_path), engine=Dying(45))
    return tmp_path, bytes_of(tmp_path / "whole")


def test_parts_and_manifest_edited(stopped: tuple[Path, dict[str, bytes]]) -> None:
    """Edited, swapped, cut or removed and then resumed: the same links, or an error of ours."""
    folder, whole = stopped
    rng, ended = random.Random(5), []
    shutil.copytree(folder / "out", folder / "kept")
    for _ in range(10):
        shutil.rmtree(folder / "out")
        shutil.copytree(folder / "kept", folder / "out")
        own = folder / "out" / "job"
        parts = sorted(own.rglob("*.parquet"))
        what = rng.randrange(5)
        path = rng.choice(parts) if what < 3 else own / ("manifest.json", "done.jsonl")[what - 3]
        content = bytearray(path.read_bytes())
        if what == 0:
            other = rng.choice(parts)
            content[:] = other.read_bytes()
            other.write_bytes(path.read_bytes())
        elif what == 1:
            del content[rng.randrange(len(content)) :]
        else:
            at = rng.randrange(len(content))
            content[at] = rng.choice(b"0123456789") if what > 2 else content[at] ^ 1
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                run_job(job_in(folder), resume=True)
            except PprlError as error:
                assert error.exit_code in (2, 3)
                assert not (folder / "out" / "links.parquet").exists()
                ended.append("refused")
                continue
        assert bytes_of(folder / "out") == whole
        ended.append("the same")
    assert {"the same", "refused"} == set(ended)


def test_an_altered_part_is_told_and_done_again(
    stopped: tuple[Path, dict[str, bytes]],
) -> None:
    folder, whole = stopped
    part = folder / "out" / "job" / "rows" / "left-00000.parquet"
    content = bytearray(part.read_bytes())
    content[-20] ^= 1
    part.write_bytes(content)
    with pytest.warns(PprlWarning, match="1 of the job's own parts were damaged or altered"):
        run_job(job_in(folder), resume=True)
    assert bytes_of(folder / "out") == whole


def test_a_digit_of_the_plan(stopped: tuple[Path, dict[str, bytes]]) -> None:
    folder, _ = stopped
    path = folder / "out" / "job" / "manifest.json"
    content = json.loads(path.read_text())
    content["manifest"]["plan"]["passes"][0]["pairs"][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(UnreadableFile, match="its digest does not fit"):
        run_job(job_in(folder), resume=True)


def test_a_folder_that_moves_and_another_job_in_its_place(tmp_path: Path) -> None:
    """Each job keeps to its own parts, and removes nobody else's."""
    run_job(job_in(tmp_path, "whole"))
    with pytest.raises(Killed):
        run_job(job_in(tmp_path, "first"), engine=Dying(60))
    (tmp_path / "first").rename(tmp_path / "moved")
    other = {"linkage": {"threshold": 0.6}}
    run_job(job_in(tmp_path, "other whole", **other))
    with pytest.raises(Killed):
        run_job(job_in(tmp_path, "first", **other), engine=Dying(60))
    run_job(job_in(tmp_path, "moved"), resume=True)
    assert bytes_of(tmp_path / "moved") == bytes_of(tmp_path / "whole")
    assert [*(tmp_path / "first" / "job").rglob("*.parquet")]
    run_job(job_in(tmp_path, "first", **other), resume=True)
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "other whole")


def test_a_manifest_says_no_absolute_path(stopped: tuple[Path, dict[str, bytes]]) -> None:
    folder, _ = stopped
    text = (folder / "out" / "job" / "manifest.json").read_text()
    assert str(folder) not in text
    assert Manifest.load(folder / "out" / "job" / "manifest.json").job.inputs.left.path


class _Replacing(LocalEngine):
    """Puts another file in the place of an input, after so many calls."""

    def __init__(self, path: Path, other: Path, after: int) -> None:
        super().__init__(1)
        object.__setattr__(self, "held", [path, other, after])

    def run(self, part, manifest, names, done) -> None:  # type: ignore[no-untyped-def]
        path, other, after = self.held  # type: ignore[attr-defined]
        for name in names:
            after -= 1
            if not after:
                other.replace(path)
            super().run(part, manifest, [name], done)
        object.__setattr__(self, "held", [path, other, after])


@pytest.mark.parametrize("after", [1, 12, 10_000])
def test_an_input_replaced_while_the_job_runs(tmp_path: Path, after: int) -> None:
    other = tmp_path / "other.clk.parquet"
    holder(np.random.default_rng(9), 300, "left").save(other)
    engine = _Replacing(tmp_path / "a.clk.parquet", other, after)
    if after == 10_000:
        run_job(job_in(tmp_path), engine=engine)
        return
    with pytest.raises(UnreadableFile, match="was replaced or changed while the job ran"):
        run_job(job_in(tmp_path), engine=engine)
    assert not (tmp_path / "out" / "links.parquet").exists()
