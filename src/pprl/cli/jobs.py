"""Batch jobs on the command line: options to a job, progress to a bar or to lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pprl.cli.console import out, say_error
from pprl.cli.outputs import Format, Output
from pprl.cli.progress import Show, duration, job_progress
from pprl.errors import UsageError
from pprl.run_log import note

if TYPE_CHECKING:
    from pprl.linkage.job.config import Job
    from pprl.linkage.job.plan import Plan
    from pprl.linkage.job.run import JobResult

JobFile = Annotated[
    Path | None, typer.Option("--job", help="Job file (TOML), in place of files and options.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="Change the job: linkage.threshold=0.86."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="As a job: go on with the one in the folder, if any.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="As a job: print its plan, write nothing.")]
Allow = Annotated[
    bool,
    typer.Option(
        "--allow-uncompared",
        help="Exit with 0, not 5, though blocks were passed over for their size.",
    ),
]
Memory = Annotated[str | None, typer.Option("--memory", help="As a job, in so much memory: 4GiB.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="As a job on a Dask cluster: tcp://host:8786.")
]
UNCOMPARED = 5
"""Exit code where the results are written, but blocks were passed over for their size."""


class Stopped(BaseException):
    """The process was asked to end."""


def job_of(
    file: Path | None,
    inputs: Sequence[Path],
    given: Mapping[str, object],
    changes: Sequence[str],
    others: Mapping[str, object],
) -> Job:
    """Make a job of a file, or of two inputs, and of options by their dotted names.

    Raises:
        JobError: It cannot be one.
        UsageError: An option is given that jobs do not have.
    """
    from pprl.linkage.job.config import Job, with_changes

    for name, value in others.items():
        if value is not None:
            raise UsageError(f"a job has no {name}.")
    options = [f"{name}={json.dumps(_plain(v))}" for name, v in given.items() if v is not None]
    if file is not None:
        if inputs:
            raise UsageError("name a job file or two files of encodings, not both.")
        return Job.load(file, [*options, *changes])
    if len(inputs) != 2:
        raise UsageError(
            "a job links two files: name both, or a job file (--job). More files are clustered "
            "without --resume, --memory, --dry-run and --scheduler."
        )
    sides = {
        side: {"path": str(path)} for side, path in zip(("left", "right"), inputs, strict=True)
    }
    return Job.from_document(with_changes({"inputs": sides}, [*options, *changes]), "the options")


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def run_from_command_line(
    job: Job,
    *,
    resume: bool,
    dry_run: bool,
    scheduler: str | None,
    show: Show | None,
    allow: bool,
    kind: Format | None,
    excel: bool,
    as_json: bool,
) -> None:
    """Run or plan a job, and print what came of it."""
    from pprl.linkage.engine import DaskEngine
    from pprl.linkage.job.run import plan_job, run_job

    if dry_run:
        _print_plan(job, plan_job(job), as_json)
        return
    place = Output.of(Path(job.output.folder), kind, excel)
    if place.alone:
        raise UsageError(
            f"a job needs a folder, not the file {place.path.name}. --format writes the links in "
            f"another format into the folder, too."
        )
    try:
        with _ending_cleanly(), job_progress(show) as progress:
            engine = None if scheduler is None else DaskEngine.connect(scheduler)
            result = run_job(job, resume=resume, engine=engine, progress=progress)
    except (KeyboardInterrupt, Stopped) as stop:
        say_error("stopped", "what is done is kept; go on with --resume")
        # Not waiting for the parts in flight, which are done again.
        note("job stopped")
        sys.stdout.flush()
        os._exit(130 if isinstance(stop, KeyboardInterrupt) else 143)
    links = result.folder / "links.parquet"
    # Of a job that had ended before, the copy may be there already.
    if kind and not links.with_suffix(f".{kind}").exists():
        place.copy(links)
    _print_result(result, as_json)
    end_uncompared(result.facts["blocking"], allow=allow)


def end_uncompared(blocking: Mapping[str, Any] | None, *, allow: bool) -> None:
    """End with exit code 5 where pairs of a block were not compared, unless that is allowed.

    Args:
        blocking: What blocking left out, as in ``linkage.json``.
        allow: Whether that is allowed.
    """
    if blocking and blocking["dropped_pairs"] and not allow:
        say_error(
            "not everything was compared",
            f"{blocking['dropped_pairs']:,} pairs are in blocks that were passed over for their "
            f"size. The results are written. Give --allow-uncompared if that may be",
        )
        raise typer.Exit(UNCOMPARED)


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_plan(job: Job, plan: Plan, as_json: bool) -> None:
    import shutil

    from pprl.linkage.job.progress import expected_disk, expected_seconds

    place = Path(job.resources.scratch or job.output.folder)
    while not place.exists():
        place = place.parent
    seconds = expected_seconds(plan)
    free = shutil.disk_usage(place).free
    facts = {
        "records": plan.records,
        "pairs": plan.pairs,
        "passes": {
            one.name: {
                "pairs": sum(one.pairs),
                "parts": len(one.pairs),
                "blocks_passed_over": len(one.dropped),
                "pairs_passed_over": one.dropped_pairs,
            }
            for one in plan.passes
        },
        "records_without_key": plan.keyless,
        "parts": len(plan.chunk_parts()) + len(plan.pair_parts()) + len(plan.merge_parts()) + 1,
        "workers": plan.workers,
        "expected_seconds": round(seconds, 1),
        "disk_bytes": expected_disk(plan),
        "disk_free": free,
    }
    if as_json:
        print(json.dumps(facts))
        return
    lines = [f"{plan.records[0]:,} x {plan.records[1]:,} records, {plan.pairs:,} pairs to compare"]
    for one in plan.passes:
        over = f", {one.dropped_pairs:,} passed over" if one.dropped else ""
        lines.append(f"  {one.name}: {sum(one.pairs):,} pairs in {len(one.pairs)} parts{over}")
    lines.append(f"{facts['parts']:,} parts, about {duration(seconds)} with {plan.workers} workers")
    lines.append(
        f"{expected_disk(plan) / 1e9:,.2f} GB on disk, and 24 bytes for each pair at or above the "
        f"threshold; {free / 1e9:,.0f} GB are free"
    )
    out.print("\n".join(lines), highlight=False, soft_wrap=True)


def _print_result(result: JobResult, as_json: bool) -> None:
    facts = result.facts
    if as_json:
        print(json.dumps(facts))
        return
    cut = "" if facts["threshold"] is None else f", at or above {facts['threshold']:.3g}"
    out.print(
        f"{result.folder / 'links.parquet'}: {facts['links']:,} links, {facts['matching']}{cut} "
        f"({facts['rule']})\n"
        f"compared {facts['pairs_compared']:,} pairs, {facts['pairs_above']:,} candidate links, "
        f"{facts['seconds']:.2f} s",
        highlight=False,
        soft_wrap=True,
    )
