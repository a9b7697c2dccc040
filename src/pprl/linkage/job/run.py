"""Running a job: what is missing is done, what is done is kept."""

from __future__ import annotations

import json
import shutil
import time
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pprl.errors import EmptyInput, JobError, OutputExists, PprlWarning, TooManyPairs
from pprl.exchange.encodings import check_compatible, warn_absent_fields
from pprl.exchange.files import new_folder, write_json
from pprl.exchange.links import Links
from pprl.exchange.rows import EncodingsFile
from pprl.exchange.threads import threads
from pprl.linkage.advice import about_links, give
from pprl.linkage.decision.estimate import Figure
from pprl.linkage.engine import Engine, LocalEngine
from pprl.linkage.job.config import InputFile, Job
from pprl.linkage.job.lock import owned
from pprl.linkage.job.manifest import Manifest, check_unchanged, input_digests, versions
from pprl.linkage.job.output import save_links
from pprl.linkage.job.parts import FLOOR, LINKS, part_path, run_part
from pprl.linkage.job.plan import Plan, make_plan
from pprl.linkage.job.progress import Progress, Watch, costs
from pprl.linkage.job.sampled_null import null_parts
from pprl.linkage.job.spill import read_facts

KINDS = ("rows", "pairs", "runs", "null")
"""Folders of parts."""


@dataclass(frozen=True)
class JobResult:
    """What a job left in its folder.

    Attributes:
        folder: Where ``links.parquet`` and ``linkage.json`` are.
        facts: What stands in ``linkage.json``.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def links(self) -> Links:
        """Read the links."""
        return Links.load(self.folder / "links.parquet")


def plan_job(job: Job) -> Plan:
    """Check the inputs and plan, without writing anything.

    Raises:
        JobError: The job cannot be done as it stands.
        UnreadableFile: An input is missing or damaged.
        IncompatibleEncodings: Different schemas, keys or lengths.
    """
    return make_plan(job, *_inputs(job))


def run_job(
    job: Job,
    *,
    resume: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> JobResult:
    """Run a job, or the rest of it.

    Args:
        job: What to do.
        resume: Go on with the job in the folder, if there is one.
        engine: Where parts are done; threads of this process by default.
        progress: Called when a part is done.

    Raises:
        OutputExists: There is a job in the folder, and it is not to be resumed.
        JobChanged: The job in the folder is another.
        JobLocked: Another process works on it.
        TooManyPairs: More pairs reach the threshold than the job allows.
        What `plan_job` raises.
    """
    folder = Path(job.output.folder)
    own = folder / "job"
    files = _inputs(job)
    new_folder(own, [])
    with owned(own):
        manifest, begun = _begin(job, files, own, resume)
        done = folder / "linkage.json"
        if done.exists():
            _clear(manifest, own)
            return JobResult(folder, json.loads(done.read_text(encoding="utf-8")))
        _sweep(folder, own, Path(manifest.folder))
        start = time.perf_counter()
        # More threads than planned for would need more memory.
        workers = min(threads(job.resources.workers), manifest.plan.workers)
        _do_parts(manifest, own, engine or LocalEngine(workers), progress)
        return _finish(manifest, files, folder, time.perf_counter() - start + begun)


def _inputs(job: Job) -> tuple[EncodingsFile, EncodingsFile]:
    made = []
    for side in ("left", "right"):
        wanted: InputFile = getattr(job.inputs, side)
        file = EncodingsFile.open(wanted.path)
        if wanted.holder is not None and file.info.holder != wanted.holder:
            raise JobError(
                f"inputs.{side}: {wanted.path} is of holder {file.info.holder!r}, not "
                f"{wanted.holder!r}."
            )
        if not file.info.rows:
            raise EmptyInput(f"inputs.{side}: {wanted.path} holds no records.")
        made.append(file)
    check_compatible([file.info for file in made])
    warn_absent_fields([file.info for file in made])
    return made[0], made[1]


def _begin(
    job: Job, files: tuple[EncodingsFile, EncodingsFile], own: Path, resume: bool
) -> tuple[Manifest, float]:
    """Read the manifest of the job that is to be resumed, or plan and write one."""
    path = own / "manifest.json"
    start = time.perf_counter()
    if path.exists():
        if not resume:
            raise OutputExists(
                f"{path} exists: a job was begun here. Resume it (--resume), or choose another "
                f"folder."
            )
        old = Manifest.load(path)
        digests = input_digests(dict(zip(("left", "right"), files, strict=True)))
        check_unchanged(old, job, digests)
        # Parts are told where the inputs are now.
        moved = old.model_copy(update={"job": job})
        if moved != old:
            moved.replace(path)
        return moved, time.perf_counter() - start
    for name in ("links.parquet", "linkage.json", "estimate.json"):
        if (own.parent / name).exists():
            raise OutputExists(f"{own.parent / name} exists. Choose another folder.")
    plan = make_plan(job, *files)
    manifest = Manifest(
        versions=versions(),
        inputs=input_digests(dict(zip(("left", "right"), files, strict=True))),
        job=job,
        plan=plan,
        folder=str(_folder_for_parts(job, own)),
    )
    _warn_dropped(plan, job)
    manifest.save(path)
    return manifest, time.perf_counter() - start


def _folder_for_parts(job: Job, own: Path) -> Path:
    """Give every job a folder of its own, so that none takes another's parts for its own."""
    if job.resources.scratch is None:
        return own.absolute()
    return Path(job.resources.scratch).absolute() / f"pprl-{uuid.uuid4().hex[:12]}"


def _warn_dropped(plan: Plan, job: Job) -> None:
    dropped = {one.name: one for one in plan.passes if one.dropped}
    if dropped:
        warnings.warn(
            f"blocks of more than {job.blocking.largest_block:,} pairs are passed over: "
            f"{sum(one.dropped_pairs for one in dropped.values()):,} pairs in "
            f"{sum(len(one.dropped) for one in dropped.values())} blocks ({', '.join(dropped)})",
            PprlWarning,
            stacklevel=4,
        )


def _sweep(*folders: Path) -> None:
    """Remove what parts in flight left behind when their process died."""
    for folder in {path.absolute() for path in folders}:
        for kind in ("", *KINDS):
            for file in (folder / kind).glob(".*.part"):
                file.unlink(missing_ok=True)


def _do_parts(manifest: Manifest, own: Path, engine: Engine, progress: Progress | None) -> None:
    plan = manifest.plan
    auto = manifest.job.linkage.threshold == "auto"
    stages = {
        "sorting rows": list(plan.chunk_parts()),
        "sampling": [FLOOR] if auto and not plan.in_memory else [],
        "comparing": list(plan.pair_parts()),
        "sampling neighbours": list(null_parts(plan)) if auto else [],
        "merging": list(plan.merge_parts()),
        "choosing links": [LINKS],
    }
    expected = costs(plan)
    watch = Watch(progress, {name: expected[name] for names in stages.values() for name in names})
    counter = _PairCounter(manifest)
    done = {
        name: part_path(manifest.folder, name).exists()
        for names in stages.values()
        for name in names
    }
    later_done = done[LINKS]
    for stage, names in stages.items():
        missing = (
            []
            if later_done and stage != "choosing links"
            else [name for name in names if not done[name]]
        )
        watch.begin(stage, [name for name in names if name not in missing], len(names))
        if stage == "comparing" and not later_done:
            for name in names:
                if done[name]:
                    counter.add(read_facts(part_path(manifest.folder, name)))

        def note(name: str, facts: dict[str, Any], stage: str = stage) -> None:
            watch.done(name, facts)
            if stage == "comparing":
                counter.add(facts)

        engine.run(run_part, str((own / "manifest.json").absolute()), missing, note)


class _PairCounter:
    """Stops a job whose threshold is so low that the disk would fill."""

    def __init__(self, manifest: Manifest) -> None:
        self._most = manifest.job.linkage.max_pairs
        self._threshold = manifest.job.linkage.threshold
        self._all = manifest.plan.pairs
        self._found = self._compared = 0

    def add(self, facts: Mapping[str, Any]) -> None:
        self._found += int(facts.get("found", 0))
        self._compared += int(facts.get("compared", facts.get("pairs", 0)))
        if self._found > self._most:
            share = max(self._compared / max(self._all, 1), 1e-9)
            raise TooManyPairs(
                f"more than {self._most:,} pairs are at or above {self._threshold}: "
                f"{self._found:,} after {share:.1%} of the comparisons, so about "
                f"{int(self._found / share):,} in all. Raise the threshold, or allow more "
                f"(linkage.max_pairs)."
            )


def _finish(
    manifest: Manifest,
    files: tuple[EncodingsFile, EncodingsFile],
    folder: Path,
    seconds: float,
) -> JobResult:
    plan, job = manifest.plan, manifest.job
    chosen = part_path(manifest.folder, LINKS)
    start = time.perf_counter()
    out = folder / "links.parquet"
    if not out.exists():
        save_links(chosen, files, plan.batch, out)
    decided = read_facts(chosen)
    auto = job.linkage.threshold == "auto"
    if auto:
        precision = decided["estimate"]["precision"]
        links = decided["found"]
        give(
            about_links(
                plan.records,
                links,
                tuple(decided.get("range", (links, links))),
                None if precision is None else Figure(**precision),
                decided.get("repeating", []),
                decided.get("implausible", {}),
                untold=decided.get("untold", False),
            ),
            stacklevel=4,
        )
    estimate_file = folder / "estimate.json"
    if auto and not estimate_file.exists():
        write_json(decided["estimate"], estimate_file)
    parts = [read_facts(part_path(manifest.folder, name)) for name in plan.pair_parts()]
    compared = sum(part["compared"] for part in parts)
    report = None
    if plan.in_memory:
        compared, report = decided["compared"], decided["blocking"]
    elif plan.passes:
        every = plan.rows[0] * plan.rows[1]
        report = {
            "compared": compared,
            "all_pairs": every,
            "keyless": plan.keyless,
            "dropped_blocks": {one.name: len(one.dropped) for one in plan.passes if one.dropped},
            "dropped_pairs": sum(one.dropped_pairs for one in plan.passes),
            "reduction_ratio": 1 - compared / every if every else 0.0,
        }
    facts = {
        "library": files[0].info.library,
        "inputs": [file.info.model_dump(mode="json") for file in files],
        "rule": "auto" if auto else "fixed",
        "threshold": decided["threshold"] if auto else job.linkage.threshold,
        "precision_asked": job.linkage.precision,
        "matching": job.linkage.matching,
        "pairs_compared": compared,
        "pairs_above": decided["ranked"] if auto else sum(part["found"] for part in parts),
        "blocking": report,
        "links": decided["found"],
        "seconds": round(seconds + time.perf_counter() - start, 3),
    }
    write_json(facts, folder / "linkage.json")
    _clear(manifest, folder / "job")
    return JobResult(folder, facts)


def _clear(manifest: Manifest, own: Path) -> None:
    """Remove the parts of a job that is done."""
    parts = Path(manifest.folder)
    if parts != own.absolute():
        shutil.rmtree(parts, ignore_errors=True)
        return
    for name in KINDS:
        shutil.rmtree(parts / name, ignore_errors=True)
    for name in (FLOOR, LINKS):
        part_path(parts, name).unlink(missing_ok=True)
