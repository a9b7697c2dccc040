"""Where similarity and clusters disagree."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool, all_pairs_within
from pprl.linkage.model.scoring import Criterion
from pprl.linkage.resolution.agglomerative import LARGEST

CONFLICTS_SCHEMA = pa.schema(
    [
        ("reason", pa.string()),
        ("left_cluster", pa.string()),
        ("left_holder", pa.string()),
        ("left_id", pa.string()),
        ("right_cluster", pa.string()),
        ("right_holder", pa.string()),
        ("right_id", pa.string()),
        ("similarity", pa.float64()),
    ]
)
"""The columns of a conflicts table."""

ONE_EACH = "one record per holder"
APART = "not alike as a whole"
TOGETHER = "joined through others"


def find_conflicts(
    pool: Pool,
    pairs: Pairs,
    labels: NDArray[np.int64],
    ids: pa.Array,
    criterion: Criterion,
    groups: NDArray[np.int64],
) -> pa.Table:
    """List the pairs that clusters decide otherwise than the threshold.

    Pairs at or above it that were kept apart, because both clusters have a record of one
    deduplicated file (``one record per holder``) or because their other records are not
    similar enough (``not alike as a whole``); and pairs below it that were brought
    together (``joined through others``).

    Args:
        pool: The records.
        pairs: Linked pairs.
        labels: (n,) cluster of each record.
        ids: Cluster ids, by label.
        criterion: How pairs are scored, and where the threshold is.
        groups: (n,) from `Pool.groups`.
    """
    apart = pairs.take(labels[pairs.left] != labels[pairs.right])
    # Which clusters have a record of which deduplicated file.
    one = np.flatnonzero(groups >= 0)
    has = csr_array(
        (np.ones(len(one), np.int32), (labels[one], groups[one])),
        shape=(len(pool), len(pool.names)),
    )
    shared = (has[labels[apart.left]] * has[labels[apart.right]]).sum(axis=1) > 0
    inside = pool.compared(all_pairs_within(labels, LARGEST)[0])
    together = inside.take(criterion.excess(pool, inside) < 0)
    every = Pairs.concat([apart, together])
    reasons = np.concatenate([np.where(shared, 0, 1), np.full(len(together), 2)])
    order = np.lexsort((every.right, every.left, reasons))
    every = every.take(order)
    columns = [pa.array([ONE_EACH, APART, TOGETHER]).take(pa.array(reasons[order].astype(int)))]
    for side in (every.left, every.right):
        columns += [
            ids.take(pa.array(labels[side])),
            pa.array(pool.names).take(pa.array(pool.file[side])),
            pool.record_ids.take(pa.array(side)),
        ]
    return pa.table([*columns, pa.array(every.similarity)], schema=CONFLICTS_SCHEMA)
