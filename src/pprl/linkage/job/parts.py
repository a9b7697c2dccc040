"""Doing one part. A part reads files, writes one file, and knows nothing of other parts' state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from pprl.errors import OutputExists, UnreadableFile
from pprl.exchange.atomic import writing
from pprl.exchange.rows import EncodingsFile
from pprl.linkage.job.compare_parts import write_bucket_pairs, write_tile_pairs
from pprl.linkage.job.in_memory import write_decided
from pprl.linkage.job.ledger import file_digest
from pprl.linkage.job.manifest import Manifest, check_inputs, manifest_of, parts_folder
from pprl.linkage.job.plan import SIDES
from pprl.linkage.job.rows import write_buckets
from pprl.linkage.job.sampled_null import Judge, Null, null_parts, write_floor, write_null
from pprl.linkage.job.scores import dice
from pprl.linkage.job.spill import RunWriter, merged, read_facts
from pprl.linkage.job.streamed_assignment import order_of, write_links

LINKS = "links"
FLOOR = "floor"

Facts = dict[str, Any]


def part_path(folder: str | Path, name: str) -> Path:
    """Say where the file of a part is."""
    return Path(folder) / f"{name}.parquet"


def run_part(manifest_path: str, name: str) -> Facts:
    """Do a part, unless its file is there already; safe to do twice at once.

    Args:
        manifest_path: The job's manifest, which says everything else.
        name: The part's name in the plan.

    Returns:
        What to count, and the digest and the size of its file.
    """
    manifest = manifest_of(manifest_path)
    folder = parts_folder(manifest, Path(manifest_path).absolute().parent)
    path = part_path(folder, name)
    made: Facts = {}
    if not path.exists():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_inputs(manifest)
        try:
            made = _run(manifest, folder, name, path)
        except OutputExists:
            # Somebody who was given up for lost did it after all.
            made = {}
        try:
            check_inputs(manifest)
        except UnreadableFile:
            path.unlink(missing_ok=True)
            raise
        pa.default_memory_pool().release_unused()
    return made | file_digest(path)


def _run(manifest: Manifest, folder: Path, name: str, path: Path) -> Facts:
    plan, job = manifest.plan, manifest.job
    kind = name.partition("/")[0]
    order = order_of(job.linkage.matching)
    if kind == "rows":
        chunk = plan.chunk_parts()[name]
        file = EncodingsFile.open(getattr(job.inputs, chunk.side).path)
        return write_buckets(file, chunk, plan.passes, path)
    if kind == "runs":
        parts = [part_path(folder, one) for one in plan.merge_parts()[name]]
        with RunWriter(path, order, plan.spill) as writer:
            for pairs in merged(parts, order, plan.spill):
                writer.append_sorted(pairs)
            writer.end_run()
        return {"merged": writer.found}
    if kind == LINKS and plan.in_memory:
        return write_decided(job, plan, path)
    if kind == LINKS:
        names = list(plan.merge_parts()) or list(plan.pair_parts())
        parts = [part_path(folder, one) for one in names]
        judge = _judge(manifest, folder) if job.linkage.threshold == "auto" else None
        return write_links(parts, plan.records, job.linkage.matching, path, plan.spill, judge)
    left, right = (
        [part_path(folder, one) for one, c in plan.chunk_parts().items() if c.side == side]
        for side in SIDES
    )
    if kind == FLOOR:
        return write_floor(plan, left, right, dice, path)
    floor = floor_of(manifest, folder)
    if kind == "null":
        side, at = null_parts(plan)[name]
        paths = left if side == "left" else right
        return write_null(plan, side, at, paths, floor, job.linkage.sample, dice, path)
    a, b = plan.pair_parts()[name]
    most = job.linkage.max_pairs
    if not plan.passes:
        files = (
            EncodingsFile.open(job.inputs.left.path),
            EncodingsFile.open(job.inputs.right.path),
        )
        chunks = (plan.chunks[a], plan.chunks[b])
        return write_tile_pairs(files, chunks, plan, floor, dice, order, most, path)
    return write_bucket_pairs(plan, a, b, left, right, floor, dice, order, most, path)


def floor_of(manifest: Manifest, folder: Path) -> float:
    """Return the similarity from which pairs are kept."""
    threshold = manifest.job.linkage.threshold
    if threshold == "auto":
        return float(_floor_facts(folder)["floor"])
    return threshold


def _judge(manifest: Manifest, folder: Path) -> Judge:
    paths: dict[str, list[Path]] = {side: [] for side in SIDES}
    for name, (side, _) in null_parts(manifest.plan).items():
        paths[side].append(part_path(folder, name))
    facts = _floor_facts(folder)
    floor, centre = float(facts["floor"]), float(facts["centre"])
    nulls = (
        Null.load(paths["left"], floor, centre),
        Null.load(paths["right"], floor, centre),
    )
    asked = manifest.job.linkage.precision
    return Judge(nulls, manifest.plan.records, floor, asked)


def _floor_facts(folder: Path) -> dict[str, Any]:
    return read_facts(part_path(folder, FLOOR))
