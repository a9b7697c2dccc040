"""Foreign tables: links, clusters, and the tables that stand beside them in a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa

from pprl.errors import UnreadableFile
from pprl.exchange.untrusted.parquet import (
    check_size,
    open_parquet,
    read_columns,
    size_of,
    verify,
)
from pprl.exchange.untrusted.text import check_ids

_IDS = ("left_id", "right_id", "record_id", "cluster_id", "holder")
_SHARES = ("similarity", "probability")


def read_parquet_table(
    path: str | PathLike[str],
    schema: pa.Schema,
    what: str,
    *,
    required: Sequence[str] = (),
    tell: bool = True,
) -> pa.Table:
    """Read the columns of a schema, each checked.

    Args:
        path: The file.
        schema: The columns, in order, with their types.
        what: What the file should be, for errors: "links", "clusters".
        required: Columns that may have no missing values.
        tell: Warn about a file without digests.

    Raises:
        UnreadableFile: The file is missing, damaged, has other columns, or values that cannot be.
    """
    with open_parquet(path) as file:
        names, metadata = file.schema_arrow.names, file.metadata.metadata or {}
        for name in schema.names:
            if name not in names:
                raise UnreadableFile(f"{path} is not a {what} file: column {name!r} is missing.")
        check_size(path, file, schema.names, size_of(path))
        table = read_columns(path, file, schema.names)
    try:
        made = table.cast(schema)
    except (pa.ArrowException, ValueError):
        raise UnreadableFile(f"{path} is not a {what} file: a column has another type.") from None
    verify(path, metadata, table, tell=tell)
    for name in schema.names:
        _check_column(path, name, made.column(name), name in required)
    return made


def _check_column(
    path: str | PathLike[str], name: str, values: pa.ChunkedArray, required: bool
) -> None:
    if required and values.null_count:
        raise UnreadableFile(f"{path}: column {name!r} has missing values.")
    if name in _IDS and pa.types.is_string(values.type):
        for chunk in values.chunks:
            check_ids(path, name, chunk.drop_null())
    if name in _SHARES:
        numbers: Any = values.drop_null().to_numpy()
        if not np.isfinite(numbers).all() or (name == "probability" and _outside(numbers)):
            raise UnreadableFile(
                f"{path}: column {name!r} has values that are not finite or out of range."
            )


def check_clusters(path: str | PathLike[str], table: pa.Table) -> None:
    """Refuse clusters in which a holder's record stands twice.

    Raises:
        UnreadableFile: Says so.
    """
    counted = table.group_by(["holder", "record_id"]).aggregate([([], "count_all")])
    if counted.num_rows < table.num_rows:
        raise UnreadableFile(
            f"{path}: {table.num_rows - counted.num_rows:,} records of a holder stand more than "
            f"once. A record is in one cluster."
        )


def read_any_table(path: str | PathLike[str]) -> pa.Table:
    """Read a Parquet table of any columns, as an evaluator brings them.

    Raises:
        UnreadableFile: It is missing, damaged, or would take too much memory.
    """
    with open_parquet(path) as file:
        names = list(file.schema_arrow.names)
        check_size(path, file, names, size_of(path))
        table = read_columns(path, file, names)
        metadata = file.metadata.metadata or {}
    verify(path, metadata, table, tell=False)
    return table


def _outside(numbers: Any) -> bool:
    return bool(((numbers < 0) | (numbers > 1)).any())
