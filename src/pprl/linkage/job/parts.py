"""Doing one part. A part reads files, writes one file, and knows nothing of other parts' state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pprl.errors import OutputExists, UnreadableFile
from pprl.exchange.atomic import writing
from pprl.exchange.rows import EncodingsFile
from pprl.linkage.candidates.similarity import ABOVE_ALL
from pprl.linkage.job.compare_parts import write_bucket_pairs, write_tile_pairs
from pprl.linkage.job.fitted import Model, Scorer, write_model
from pprl.linkage.job.in_memory import write_decided
from pprl.linkage.job.ledger import file_digest
from pprl.linkage.job.manifest import Manifest, check_inputs, manifest_of, parts_folder
from pprl.linkage.job.plan import SIDES, Plan
from pprl.linkage.job.rows import sampled_rows, write_buckets
from pprl.linkage.job.sample import Limits, Samples, drawn_records, write_limits
from pprl.linkage.job.sampled_pairs import write_sampled_bucket, write_sampled_chunk
from pprl.linkage.job.spill import RunWriter, merged, read_facts
from pprl.linkage.job.spilled import Order
from pprl.linkage.job.streamed_assignment import (
    order_of,
    write_decided_links,
    write_links,
    write_ranked,
)

LIMITS, MODEL, RANKED, LINKS = "limits", "model", "ranked", "links"
"""Parts of which there is one each."""

_NO_RECORDS = np.empty(0, np.int64)

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
    matching = job.linkage.matching
    order = order_of(matching, automatic=plan.automatic)
    if kind == "rows":
        chunk = plan.chunk_parts()[name]
        file = EncodingsFile.open(getattr(job.inputs, chunk.side).path)
        sample = drawn_records(plan, SIDES.index(chunk.side)) if plan.sampled else _NO_RECORDS
        return write_buckets(file, chunk, plan.passes, sample, path, masked=plan.masked)
    if kind in (LIMITS, "sampled", MODEL):
        return _run_sampling(manifest, folder, name, path)
    if kind == "runs":
        parts = [part_path(folder, one) for one in plan.merge_parts()[name]]
        with RunWriter(path, order, plan.spill, scored=plan.automatic) as writer:
            for pairs in merged(parts, order, plan.spill):
                writer.append_sorted(pairs)
            writer.end_run()
        return {"merged": writer.found}
    if kind == LINKS and plan.in_memory:
        return write_decided(job, plan, path)
    if kind in (RANKED, LINKS):
        found = list(plan.merge_parts()) or list(plan.pair_parts())
        parts = [part_path(folder, one) for one in found]
        if not plan.automatic:
            return write_links(parts, plan.records, matching, path, plan.spill)
        model = Model.load(part_path(folder, MODEL))
        if kind == RANKED:
            # Nothing else runs beside it.
            most = plan.spill * plan.workers
            return write_ranked(parts, plan, matching, model, path, most)
        ranked = part_path(folder, RANKED)
        names = _holders(manifest)
        asked = job.linkage.precision
        return write_decided_links(ranked, plan, names, matching, model, asked, path)
    return _compare(manifest, folder, name, path, order)


def _run_sampling(manifest: Manifest, folder: Path, name: str, path: Path) -> Facts:
    """Do a part of what the decision is learned from."""
    plan, files = manifest.plan, _files(manifest)
    samples, infos = _samples(plan, folder), (files[0].info, files[1].info)
    if name == LIMITS:
        write_limits(plan, infos, samples, path)
        return {}
    limits = Limits.load(part_path(folder, LIMITS))
    parts = plan.sampled_parts()
    if name == MODEL:
        paths = [part_path(folder, one) for one in parts]
        names = _holders(manifest)
        emptied = any(
            file.info.popcounts.minimum > 0 and any(read_facts(one)["empty"] for one in rows)
            for file, rows in zip(files, _rows(plan, folder), strict=True)
        )
        write_model(plan, infos, names, samples, limits, paths, path, emptied=emptied)
        return {}
    at, bucket = parts[name]
    if plan.passes:
        return write_sampled_bucket(plan, infos[0], at, bucket, _rows(plan, folder), limits, path)
    chunk = plan.chunks[at]
    file = files[SIDES.index(chunk.side)]
    return write_sampled_chunk(plan, file, chunk, samples, limits, path)


def _compare(manifest: Manifest, folder: Path, name: str, path: Path, order: Order) -> Facts:
    """Compare the rows of a bucket, or of two chunks."""
    plan, files = manifest.plan, _files(manifest)
    a, b = plan.pair_parts()[name]
    most = manifest.job.linkage.max_pairs
    scorer, floor = None, manifest.job.linkage.threshold
    if floor == "auto":
        model = Model.load(part_path(folder, MODEL))
        limits = Limits.load(part_path(folder, LIMITS))
        infos = files[0].info, files[1].info
        scorer = Scorer(model, infos, _samples(plan, folder), limits)
        # If all records are alike, so that nothing tells matches, no pair is of use.
        floor = ABOVE_ALL if model.untold else model.floor
    if not plan.passes:
        chunks = (plan.chunks[a], plan.chunks[b])
        return write_tile_pairs(files, chunks, plan, floor, scorer, order, most, path)
    left, right = _rows(plan, folder)
    return write_bucket_pairs(plan, a, b, left, right, floor, scorer, order, most, path)


def _rows(plan: Plan, folder: Path) -> tuple[list[Path], list[Path]]:
    left, right = (
        [part_path(folder, one) for one, c in plan.chunk_parts().items() if c.side == side]
        for side in SIDES
    )
    return left, right


def _samples(plan: Plan, folder: Path) -> Samples:
    left, right = (sampled_rows(paths) for paths in _rows(plan, folder))
    return left, right


def _files(manifest: Manifest) -> tuple[EncodingsFile, EncodingsFile]:
    inputs = manifest.job.inputs
    return EncodingsFile.open(inputs.left.path), EncodingsFile.open(inputs.right.path)


def _holders(manifest: Manifest) -> tuple[str, str]:
    left, right = (file.info.holder or f"file {at}" for at, file in enumerate(_files(manifest), 1))
    return left, right
