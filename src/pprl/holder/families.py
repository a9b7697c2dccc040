"""Whether people of a file live together, and samples of a file that keep households whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.holder.normalize import trim
from pprl.holder.records import CsvFormat, Records, read_batches
from pprl.holder.values import as_text

SHARING = 0.25
"""The share of records at an address that others have, too, from which a file holds families.

Registers of whole households have 0.7 or more; a sample of persons in whom nobody was chosen with
their family, at most 0.15.
"""


def dwellings(people: pa.Table, columns: Sequence[str]) -> NDArray[np.uint64]:
    """Number where people live.

    Args:
        people: Columns of text.
        columns: Those that together say where somebody lives.

    Returns:
        (n,) uint64, equal where all columns are, upper and lower case alike; a number of its
        own where none has a value.
    """
    mixed = np.arange(len(people), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    if not columns:
        return mixed
    cleaned = [pc.utf8_lower(trim(people[name].combine_chunks())) for name in columns]
    whole = pc.binary_join_element_wise(*(pc.fill_null(one, "") for one in cleaned), "\t")
    empty = pc.equal(whole, "\t" * (len(columns) - 1)).to_numpy(zero_copy_only=False)
    found = pd.util.hash_array(whole.to_numpy(zero_copy_only=False), categorize=True)
    return np.where(empty, mixed, found)


def holds_families(people: pa.Table, columns: Sequence[str]) -> bool:
    """Tell whether people share addresses.

    Args:
        people: Columns of text; of a large file an even sample, in which fewer people meet.
        columns: Those that together say where somebody lives.
    """
    if not columns or not len(people):
        return False
    _, place, count = np.unique(dwellings(people, columns), return_inverse=True, return_counts=True)
    return bool((count[place] > 1).mean() >= SHARING)


def whole_dwellings(
    people: pa.Table, columns: Sequence[str], most: int, seed: int
) -> NDArray[np.int64]:
    """Draw people by whole dwellings.

    Args:
        people: Columns of text.
        columns: Those that together say where somebody lives; without any, people are drawn
            one by one.
        most: Number of people to draw at most.
        seed: Of the draw.

    Returns:
        (k,) int64 rows, in order.

    Examples:
        >>> people = pa.table({"street": ["A", "B", "A", "C"]})
        >>> sorted(np.diff(whole_dwellings(people, ["street"], 2, seed=3)).tolist())
        [2]
    """
    home = dwellings(people, columns)
    unique, place, count = np.unique(home, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(unique))
    taken = order[np.cumsum(count[order]) <= most]
    drawn: NDArray[np.int64] = np.flatnonzero(np.isin(place, taken)).astype(np.int64)
    return drawn


def draw_dwellings(
    data: Records,
    columns: Sequence[str],
    dwelling: Sequence[str],
    share: float,
    seed: int,
    csv_format: CsvFormat | None = None,
) -> pa.Table:
    """Read about a share of a file's people, by whole dwellings, in constant memory.

    Args:
        data: What `pprl.encode` takes; it is read once more.
        columns: Columns to keep, as text.
        dwelling: Those of them that together say where somebody lives.
        share: About which share of the dwellings to keep.
        seed: Of the draw.
        csv_format: Delimiter and encoding of a CSV file.
    """
    salt = np.uint64(seed * 0x9E3779B97F4A7C15 % (1 << 64))
    least = np.uint64(min(share, 1.0) * ((1 << 64) - 1025))
    kept = []
    for number, batch in enumerate(read_batches(data, list(columns), csv_format)):
        people = pa.table([as_text(column) for column in batch.columns], names=list(columns))
        home = dwellings(people, dwelling) if dwelling else _apart(len(people), number)
        drawn = pd.util.hash_array(home ^ salt) <= least
        kept.append(people.filter(pa.array(drawn)))
    return pa.concat_tables(kept)


def _apart(n: int, batch: int) -> NDArray[np.uint64]:
    """Number people who live nowhere, apart from those of other batches."""
    return np.arange(n, dtype=np.uint64) + np.uint64(batch << 32)
