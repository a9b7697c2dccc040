"""Progress on standard error: a bar for people, lines of JSON for schedulers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pprl.cli.console import err
from pprl.cli.logs import LOGS
from pprl.run_log import run_id, stage

if TYPE_CHECKING:
    from pprl.linkage.job.progress import JobProgress, Progress

Show = Literal["bar", "json", "none"]

ShowProgress = Annotated[
    Show | None,
    typer.Option("--progress", help="By default a bar on a terminal, else nothing."),
]

_SECONDS_BETWEEN_LINES = 1.0

Count = Callable[[int, int | None], None]
"""Takes how much is done, and how much there is in all, if that is known."""


def _chosen(show: Show | None) -> Show:
    if LOGS.quiet and show != "json":
        return "none"
    return show or ("bar" if err.is_terminal else "none")


@contextmanager
def progress_of(what: str, show: Show | None = None) -> Iterator[Count]:
    """Show how far a command is that works in memory.

    A command may count several times, file by file. When a count is complete, what follows it is
    shown as a step of its own whose length is not known, so nothing stands still at 100 %.

    Args:
        what: The stage that is counted, as "comparing".
        show: How; by default a bar on a terminal, else nothing.
    """
    with stage(what):
        match _chosen(show):
            case "none":
                yield lambda _done, _total: None
            case "json":
                lines = _Lines()
                steps = _Steps(what)

                def write(done: int, total: int | None) -> None:
                    name, whole = steps.at(done, total)
                    share = None if whole is None else done / max(whole, 1)
                    lines.write(name, whole is None, {"done": done, "total": total, "share": share})

                yield write
            case "bar":
                from rich.progress import (
                    BarColumn,
                    MofNCompleteColumn,
                    Progress,
                    TextColumn,
                    TimeElapsedColumn,
                )

                text = TextColumn("{task.description}")
                columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
                with Progress(*columns, console=err, transient=True) as bar:
                    task, steps = bar.add_task(what, total=None), _Steps(what)

                    def move(done: int, total: int | None) -> None:
                        name, whole = steps.at(done, total)
                        # update() leaves a total as it was where it is None.
                        bar.tasks[0].total = whole
                        bar.update(task, description=name, completed=done)

                    yield move


class _Steps:
    """Names the counts of a command, and what comes after each."""

    def __init__(self, what: str) -> None:
        self._what, self._count, self._last, self._whole = what, 1, 0, False

    def at(self, done: int, total: int | None) -> tuple[str, int | None]:
        """Return the step's name, and its length while it is being counted."""
        # Files may be of one size, so a count that was complete ends a step, too.
        if done < self._last or self._whole:
            self._count += 1
        self._last, self._whole = done, total is not None and done >= total
        name = self._what if self._count == 1 else f"{self._what}, step {self._count}"
        if self._whole:
            return f"after {name}", None
        return name, total


@contextmanager
def job_progress(show: Show | None) -> Iterator[Progress | None]:
    """Show how far a batch job is."""
    match _chosen(show):
        case "none":
            yield None
        case "json":
            lines = _Lines()
            yield lambda now: lines.write(now.stage, now.parts == now.parts_total, now.to_dict())
        case "bar":
            from rich.progress import BarColumn, Progress, TextColumn

            rate = TextColumn("{task.fields[rate]}")
            columns = (TextColumn("{task.description}"), BarColumn(), rate)
            with Progress(*columns, console=err, transient=True) as bar:
                task = bar.add_task("planning", total=1.0, rate="")

                def note(now: JobProgress) -> None:
                    bar.update(
                        task, description=now.stage, completed=now.share, rate=_in_words(now)
                    )

                yield note


class _Lines:
    """Writes progress as lines of JSON on standard error, not more often than is of use."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._last, self._stage = 0.0, ""

    def write(self, name: str, ended: bool, values: dict[str, Any]) -> None:
        """Write a line, unless one of the same stage was written just before."""
        at = time.monotonic()
        if name == self._stage and at - self._last < _SECONDS_BETWEEN_LINES and not ended:
            return
        self._last, self._stage = at, name
        seconds = round(time.perf_counter() - self._start, 3)
        line = {"run": run_id(), "stage": name, "seconds": seconds} | values
        print(json.dumps(line), file=sys.stderr, flush=True)


def _in_words(now: JobProgress) -> str:
    rate = f", {now.pairs_per_second / 1e6:,.0f} M pairs/s" if now.pairs_per_second else ""
    left = "" if now.seconds_left is None else f", {duration(now.seconds_left)} left"
    return f"{now.parts}/{now.parts_total} parts{rate}{left}"


def duration(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


__all__ = ["Count", "Show", "ShowProgress", "duration", "job_progress", "progress_of"]
