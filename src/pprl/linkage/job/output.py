"""From chosen pairs to ``links.parquet``: record ids are looked up batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.exchange.files import table_writer
from pprl.exchange.links import SCHEMA
from pprl.exchange.rows import EncodingsFile
from pprl.linkage.job.spill import opened, read_group
from pprl.linkage.job.spilled import Spilled


def save_links(
    chosen: Path, files: tuple[EncodingsFile, EncodingsFile], batch: int, out: Path
) -> None:
    """Write the chosen pairs with their holders' record ids.

    Raises:
        OutputExists: There is a file at ``out`` already.
        UnreadableFile: An input is damaged, or the file cannot be written.
    """
    with table_writer(out, SCHEMA) as writer:
        for pairs in _batches(chosen, batch):
            probability = pairs.score
            columns = [
                ids_of(files[0], pairs.left),
                ids_of(files[1], pairs.right),
                pa.array(pairs.similarity),
                pa.nulls(len(pairs), pa.float64()) if probability is None else probability,
            ]
            writer.write(pa.table(columns, schema=SCHEMA))


def _batches(chosen: Path, batch: int) -> Iterator[Spilled]:
    with opened(chosen) as file:
        held: list[Spilled] = []
        for group in range(file.num_row_groups):
            held.append(read_group(file, chosen, group))
            if sum(map(len, held)) >= batch:
                yield Spilled.concat(held)
                held = []
        if held:
            yield Spilled.concat(held)


def ids_of(file: EncodingsFile, records: NDArray[np.int64]) -> pa.Array:
    """Look up the ids of records, reading the file's ids once."""
    wanted, inverse = np.unique(records, return_inverse=True)
    if not len(wanted):
        return pa.array([], pa.string())
    columns = ["record_id"] + (["variant"] if file.has_variants else [])
    start, end = (0, None) if file.has_variants else (int(wanted[0]), int(wanted[-1]) + 1)
    found, at = [], start
    for _, rows in file.batches(columns, start, end):
        ids = rows.column("record_id")
        if file.has_variants:
            ids = ids.filter(pa.array(rows.column("variant").to_numpy() == 0))
        low, high = np.searchsorted(wanted, [at, at + len(ids)])
        if low < high:
            found.append(ids.take(pa.array(wanted[low:high] - at)))
        at += len(ids)
    return pa.concat_arrays(found).take(pa.array(inverse))
