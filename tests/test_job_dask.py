"""A job on a Dask cluster of processes: the same links, also when a worker is killed."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pprl
from pprl.errors import DataError, MissingDependency, UnreadableFile
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.engine import DaskEngine
from pprl.linkage.job import make_plan as planning
from pprl.linkage.job.parts import run_part
from pprl.linkage.job.run import run_job
from test_job import GROUPED, bytes_of, files, job_in, of_people, pairs_of, small_parts

__all__ = ["files", "small_parts"]

pytestmark = [
    pytest.mark.usefixtures("files"),
    # distributed leaves sockets and loops to the collector when its processes are killed.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=None,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as made,
    ):
        yield made


class Killing(DaskEngine):
    """Kills a worker process when so many parts that compare are done."""

    killed: int | None = None

    def run(self, part: Any, manifest: str, names: Any, done: Any) -> None:
        seen = threading.Event()

        def note(name: str, facts: dict[str, Any]) -> None:
            done(name, facts)
            if name.startswith("pairs/") and not seen.is_set():
                seen.set()
                pids = self.client.run(os.getpid)
                object.__setattr__(self, "killed", next(iter(pids.values())))
                os.kill(self.killed, signal.SIGKILL)  # type: ignore[arg-type]

        super().run(part, manifest, names, note)


def test_a_worker_is_killed(tmp_path: Path, client: Any) -> None:
    run_job(job_in(tmp_path, "whole"))
    engine = Killing(client)
    seen: list[int] = []
    made = run_job(job_in(tmp_path), engine=engine, progress=lambda now: seen.append(now.parts))
    assert engine.killed is not None
    assert engine.killed != os.getpid()
    assert engine.killed not in client.run(os.getpid).values()
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert made.facts["pairs_compared"] > 0
    assert max(seen) > 10


def test_the_same_decision(
    tmp_path: Path, client: Any, key: pprl.LinkageKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An automatic job larger than memory, on a cluster and in threads."""
    monkeypatch.setattr(planning, "_WEIGHED", 1 << 30)
    files, _ = of_people(tmp_path, key, monkeypatch, GROUPED, 2_000)
    linkage = {"threshold": "auto"}
    run_job(job_in(tmp_path, "threads", linkage=linkage))
    made = run_job(job_in(tmp_path, "cluster", linkage=linkage), engine=DaskEngine(client))
    assert bytes_of(tmp_path / "cluster") == bytes_of(tmp_path / "threads")
    assert pairs_of(made.links) == pairs_of(pprl.link(*files, blocking=KeyBlocking()).links)


def test_errors_of_workers_are_ours(tmp_path: Path, client: Any) -> None:
    class Damaging(DaskEngine):
        def run(self, part: Any, manifest: str, names: Any, done: Any) -> None:
            (tmp_path / "b.clk.parquet").rename(tmp_path / "moved")
            super().run(part, manifest, names, done)

    with pytest.raises(UnreadableFile, match=r"b\.clk\.parquet cannot be read"):
        run_job(job_in(tmp_path), engine=Damaging(client))


def test_nothing_large_travels(tmp_path: Path) -> None:
    """A task is a function's name, a path and a part's name."""
    tasks: list[bytes] = []

    class Looking(DaskEngine):
        def run(self, part: Any, manifest: str, names: Any, done: Any) -> None:
            for name in names:
                tasks.append(pickle.dumps((part, manifest, name)))
                done(name, part(manifest, name))

    run_job(job_in(tmp_path), engine=Looking(None))
    assert len(tasks) > 20
    assert max(map(len, tasks)) < 400
    assert pickle.loads(tasks[0])[0] is run_part


def test_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no Dask scheduler at nonsense://1"):
        DaskEngine.connect("nonsense://1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r"pprl-linkage\[dask\]"):
        DaskEngine.connect("tcp://127.0.0.1:1")
