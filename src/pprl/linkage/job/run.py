"""Running a job: what is missing is done, what is done is kept."""

from __future__ import annotations

import shutil
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pprl.errors import EmptyInput, JobError, OutputExists, PprlWarning, TooManyPairs
from pprl.exchange.atomic import new_folder, output_folder, refuse_existing, writing
from pprl.exchange.encodings import check_compatible, warn_absent_fields
from pprl.exchange.files import write_json
from pprl.exchange.links import Links
from pprl.exchange.opening import refuse_other_fields
from pprl.exchange.rows import EncodingsFile
from pprl.exchange.threads import threads
from pprl.exchange.untrusted.documents import read_json_object
from pprl.linkage.advice import about_crowded, about_links, give
from pprl.linkage.decision.estimate import Figure
from pprl.linkage.engine import Engine, LocalEngine
from pprl.linkage.job.config import InputFile, Job
from pprl.linkage.job.ledger import LEDGER, Ledger
from pprl.linkage.job.lock import owned
from pprl.linkage.job.make_plan import make_plan
from pprl.linkage.job.manifest import (
    Manifest,
    check_inputs,
    check_unchanged,
    claim_scratch,
    input_states,
    located,
    owns,
    parts_folder,
    versions,
)
from pprl.linkage.job.output import save_links
from pprl.linkage.job.parts import LIMITS, LINKS, MODEL, RANKED, part_path, run_part
from pprl.linkage.job.plan import SIDES, Plan
from pprl.linkage.job.progress import WRITING, Progress, Watch, costs
from pprl.linkage.job.spill import read_facts

OUTPUTS = ("links.parquet", "estimate.json", "linkage.json")
"""Files that a job leaves; the last one says that it is done."""

KINDS = ("rows", "sampled", "pairs", "runs")
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
        if done.exists() and (folder / "links.parquet").exists():
            _clear(manifest, own)
            return JobResult(folder, read_json_object(done))
        claim_scratch(manifest, own)
        parts = parts_folder(manifest, own)
        _sweep(folder, own, parts)
        start = time.perf_counter()
        # More threads than planned for would need more memory.
        workers = min(threads(job.resources.workers), manifest.plan.workers)
        watch = _do_parts(manifest, own, parts, engine or LocalEngine(workers), progress)
        watch.begin("writing links", [], 1)
        result = _finish(manifest, files, folder, parts, time.perf_counter() - start + begun)
        watch.done(WRITING, {})
        watch.end()
        return result


def _inputs(job: Job) -> tuple[EncodingsFile, EncodingsFile]:
    made = []
    refuse_other_fields((job.inputs.left.path, job.inputs.right.path))
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
        states = input_states(dict(zip(SIDES, files, strict=True)))
        check_unchanged(old, job, states)
        # Parts are told where the inputs are now.
        moved = old.model_copy(update={"job": located(job, own), "inputs": states})
        if moved != old:
            moved.replace(path)
        return moved.model_copy(update={"job": job}), time.perf_counter() - start
    refuse_existing(*(own.parent / name for name in OUTPUTS))
    # Before any kernel sees a row, and before anything is planned with what the header says.
    states = input_states(dict(zip(SIDES, files, strict=True)))
    for file in files:
        file.check(job.resources.memory_bytes // 4)
    plan = make_plan(job, *files)
    manifest = Manifest(
        id=uuid.uuid4().hex,
        versions=versions(),
        inputs=states,
        job=job,
        plan=plan,
    )
    check_inputs(manifest)
    _warn_dropped(plan, job)
    manifest.model_copy(update={"job": located(job, own)}).save(path)
    return manifest, time.perf_counter() - start


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
                if file.is_dir() and not file.is_symlink():
                    shutil.rmtree(file, ignore_errors=True)
                else:
                    file.unlink(missing_ok=True)


def _kept(ledger: Ledger, parts: Path, names: Sequence[str]) -> dict[str, bool]:
    """Tell which parts are done; remove the files of those that are not, or were altered."""
    made, altered = {}, 0
    for name in names:
        path = part_path(parts, name)
        held = ledger.holds(name, path) if path.exists() else None
        made[name] = bool(held)
        altered += held is False
        if not held:
            with writing(path):
                path.unlink(missing_ok=True)
    if altered:
        warnings.warn(
            f"{altered:,} of the job's own parts were damaged or altered since they were written; "
            f"they are done again. Is the disk failing?",
            PprlWarning,
            stacklevel=4,
        )
    return made


def _do_parts(
    manifest: Manifest, own: Path, parts: Path, engine: Engine, progress: Progress | None
) -> Watch:
    plan = manifest.plan
    stages = {
        "sorting rows": list(plan.chunk_parts()),
        "looking at the sample": [LIMITS] if plan.sampled else [],
        "sampling": list(plan.sampled_parts()),
        "learning": [MODEL] if plan.sampled else [],
        "comparing": list(plan.pair_parts()),
        "merging": list(plan.merge_parts()),
        "ranking": [RANKED] if plan.sampled else [],
        "choosing links": [LINKS],
    }
    expected = costs(plan)
    counted = [WRITING, *(name for names in stages.values() for name in names)]
    watch = Watch(progress, {name: expected[name] for name in counted})
    counter = _PairCounter(manifest)
    ledger = Ledger(own, manifest.id)
    done = _kept(ledger, parts, [name for names in stages.values() for name in names])
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
                    counter.add(read_facts(part_path(parts, name)))

        def note(name: str, facts: dict[str, Any], stage: str = stage) -> None:
            ledger.note(name, facts)
            watch.done(name, facts)
            if stage == "comparing":
                counter.add(facts)

        engine.run(run_part, str((own / "manifest.json").absolute()), missing, note)
    return watch


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
    parts: Path,
    seconds: float,
) -> JobResult:
    plan, job = manifest.plan, manifest.job
    chosen = part_path(parts, LINKS)
    start = time.perf_counter()
    check_inputs(manifest, far=True)
    # What a run that was killed just here has left.
    for name in OUTPUTS:
        with writing(folder / name):
            (folder / name).unlink(missing_ok=True)
    decided = read_facts(chosen)
    auto = job.linkage.threshold == "auto"
    if auto:
        precision = decided["estimate"]["precision"]
        links = decided["found"]
        give(
            about_links(
                plan.records,
                links,
                tuple(decided["range"]),
                None if precision is None else Figure(**precision),
                decided["repeating"],
                decided["implausible"],
                decided["crowded"],
                untold=decided["untold"],
            ),
            stacklevel=4,
        )
    elif "crowded" in decided:
        names = [file.info.holder or f"file {at}" for at, file in enumerate(files, start=1)]
        many = dict(zip(names, decided["crowded"], strict=True))
        give(about_crowded({name: n for name, n in many.items() if n}), stacklevel=4)
    counted = [read_facts(part_path(parts, name)) for name in plan.pair_parts()]
    compared = sum(part["compared"] for part in counted)
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
        "pairs_above": decided["ranked"] if auto else sum(part["found"] for part in counted),
        "blocking": report,
        "links": decided["found"],
    }
    if job.output.keep_until is not None:
        facts["keep_until"] = job.output.keep_until.isoformat()
    with output_folder(folder, OUTPUTS) as staged:
        save_links(chosen, files, plan.batch, staged / "links.parquet")
        if auto:
            write_json(decided["estimate"], staged / "estimate.json")
        check_inputs(manifest)
        facts["seconds"] = round(seconds + time.perf_counter() - start, 3)
        write_json(facts, staged / "linkage.json")
    _clear(manifest, folder / "job")
    return JobResult(folder, facts)


def _clear(manifest: Manifest, own: Path) -> None:
    """Remove the parts of a job that is done."""
    parts = parts_folder(manifest, own)
    if parts != own:
        if owns(manifest, parts):
            shutil.rmtree(parts, ignore_errors=True)
    else:
        for name in KINDS:
            shutil.rmtree(parts / name, ignore_errors=True)
        for name in (LIMITS, MODEL, RANKED, LINKS):
            part_path(parts, name).unlink(missing_ok=True)
    (own / LEDGER).unlink(missing_ok=True)
