"""Who belongs together on a list: people who share an address, a family or the like."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from pprl.evaluation.audit.bits import Rows

_MOST = 12
"""More people with the same two values do not live together but have frequent values."""
_BY_CHANCE = 0.1
"""Two values belong together where chance alone would give fewer people with both."""


def clusters(people: pa.Table) -> Rows:
    """Number the clusters: people who share the values of two fields that rarely meet by chance.

    Postcode and house number make a household; surname and postcode a family. Sampling
    whole clusters keeps together what an attacker uses; persons drawn one by one are torn apart.

    Args:
        people: A row for each person, a column of text for each field.

    Returns:
        (n,) int64 the number of each person's cluster.
    """
    n = len(people)
    codes, counts = [], []
    for column in people.columns:
        one = column.combine_chunks().dictionary_encode()
        code = one.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        codes.append(code)
        counts.append(np.bincount(code[code >= 0], minlength=1))
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for a, b in combinations(range(len(codes)), 2):
        both = np.flatnonzero((codes[a] >= 0) & (codes[b] >= 0))
        chance = counts[a][codes[a][both]] * counts[b][codes[b][both]] / n
        both = both[chance < _BY_CHANCE]
        pair = codes[a][both] * len(counts[b]) + codes[b][both]
        order = np.argsort(pair, kind="stable")
        both, pair = both[order], pair[order]
        _, starts, sizes = np.unique(pair, return_index=True, return_counts=True)
        small = np.repeat(sizes <= _MOST, sizes)
        head = np.repeat(both[starts] if len(both) else both, sizes)
        first.append(head[small])
        second.append(both[small])
    rows, columns = np.concatenate(first), np.concatenate(second)
    graph = csr_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(n, n))
    numbers: Rows = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers
