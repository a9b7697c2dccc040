"""Links that could as well have been others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings, check_compatible
from pprl.exchange.links import Links
from pprl.linkage.assignment import find_rivals
from pprl.linkage.candidates.exhaustive import MAX_PAIRS, Progress, scored_pairs
from pprl.linkage.candidates.pairs import Pairs


def ambiguous(
    links: Links,
    a: Encodings,
    b: Encodings,
    *,
    margin: float = 0.05,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> pa.Table:
    """List the links that another pair comes near to, and those pairs.

    Compares the files once more, down to ``margin`` below the least similar link.

    Args:
        links: What `pprl.link` found in ``a`` and ``b``.
        a: Encodings of the first holder.
        b: Encodings of the second holder.
        margin: A pair of one of a link's records is its rival when it is at most so much
            less similar than the link.
        workers: Threads; all processors by default.
        max_pairs: Stop with an error when there are more pairs than this.
        progress: Called with the pairs compared so far and in all.

    Returns:
        ``left_id, right_id, similarity, linked``: ambiguous links and, with ``linked`` false,
        their rivals; in the order of the records of ``a``, then of ``b``.

    Raises:
        UsageError: The margin is not from 0 to 1, or a link is not between the two files.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs qualify.
    """
    if not 0.0 <= margin <= 1.0:
        raise UsageError(f"the margin must be between 0 and 1, not {margin}.")
    check_compatible([a.info, b.info])
    table = links.table
    ends = [
        pc.index_in(table[name], one.unique_ids()).fill_null(-1).to_numpy().astype(np.int64)
        for name, one in (("left_id", a), ("right_id", b))
    ]
    if any((end < 0).any() for end in ends):
        raise UsageError("a link is not between records of the two files.")
    chosen = Pairs(ends[0], ends[1], table["similarity"].to_numpy())
    # Below the margin, and a little for rounding.
    least = max(float(chosen.similarity.min(initial=1.0)) - margin - 1e-9, 0.0)
    candidates = scored_pairs(a, b, least, workers=workers, max_pairs=max_pairs, progress=progress)
    disputed, rivals = find_rivals(chosen, candidates, margin)
    both = Pairs.concat([chosen.take(disputed), rivals])
    linked = np.arange(len(both)) < int(disputed.sum())
    order = np.lexsort((both.right, both.left))
    found = both.take(order).to_links(a, b).table.drop_columns("probability")
    return found.append_column("linked", pa.array(linked[order]))
