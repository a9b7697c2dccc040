"""Where the parts of a job are done: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from pprl.errors import DataError, MissingDependency, PprlError
from pprl.exchange.threads import threads

Part = Callable[[str, str], dict[str, Any]]
"""Does one part: the job's manifest and the part's name in, facts out."""

Done = Callable[[str, dict[str, Any]], None]
"""Called in the calling thread with the name and the facts of each part that is done."""


class Engine(Protocol):
    """Does parts that do not depend on each other, in any order."""

    def run(self, part: Part, manifest: str, names: Sequence[str], done: Done) -> None:
        """Do all parts; at the first error stop, and raise it when those in flight have ended."""


@dataclass(frozen=True)
class LocalEngine:
    """Threads of this process; the kernels let the interpreter's lock go.

    Attributes:
        workers: Number of threads; all processors by default.
    """

    workers: int | None = None

    def run(self, part: Part, manifest: str, names: Sequence[str], done: Done) -> None:
        """Do all parts."""
        n = threads(self.workers)
        waiting = list(reversed(names))
        running: dict[Future[dict[str, Any]], str] = {}
        pool = ThreadPoolExecutor(n, thread_name_prefix="pprl-part")
        try:
            while waiting or running:
                while waiting and len(running) < n:
                    name = waiting.pop()
                    running[pool.submit(part, manifest, name)] = name
                ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in ended:
                    done(running.pop(future), future.result())
        except PprlError:
            # What is in flight may still end well, and need not be done again.
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class DaskEngine:
    """The workers of a Dask cluster, which read the inputs and write the parts themselves.

    Only the manifest's path and a part's name travel. All workers must see the inputs and the
    job's folder under the same paths. The parts of a lost worker are done again.

    Attributes:
        client: A `distributed.Client`.
        retries: How often a part is tried again when a worker fails in a foreign way.
    """

    client: Any
    retries: int = 3

    @classmethod
    def connect(cls, address: str) -> DaskEngine:
        """Connect to a scheduler, as ``tcp://host:8786``.

        Raises:
            MissingDependency: ``distributed`` is not installed.
            DataError: There is no scheduler.
        """
        try:
            distributed = import_module("distributed")
        except ImportError:
            raise MissingDependency.of(
                "a scheduler needs the packages dask and distributed", "dask"
            ) from None
        try:
            return cls(distributed.Client(address, timeout="20s", set_as_default=False))
        except (OSError, ValueError) as error:
            raise DataError(
                f"there is no Dask scheduler at {address} ({type(error).__name__})."
            ) from None

    def run(self, part: Part, manifest: str, names: Sequence[str], done: Done) -> None:
        """Do all parts."""
        as_completed = import_module("distributed").as_completed
        killed_worker = import_module("distributed.scheduler").KilledWorker

        futures = {
            self.client.submit(
                part, manifest, name, key=f"pprl-{name}", pure=False, retries=self.retries
            ): name
            for name in names
        }
        try:
            for future in as_completed(futures, loop=self.client.loop):
                try:
                    facts = future.result()
                except killed_worker:
                    raise DataError(
                        f"part {futures[future]!r} lost its worker time and again: workers may "
                        f"have too little memory (resources.memory is for each worker process). "
                        f"What is done is kept; resume when that is mended."
                    ) from None
                done(futures[future], facts)
                future.release()
        finally:
            self.client.cancel(list(futures))
