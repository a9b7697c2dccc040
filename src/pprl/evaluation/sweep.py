"""How quality depends on the threshold, where the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.evaluation.tables import (
    PairTable,
    best_first,
    links_of,
    pair_codes,
    score_of,
    true_pairs,
)

_Z95 = 1.959963984540054


def sweep(
    pairs: PairTable, truth: PairTable, *, one_to_one: bool = True, points: int = 200
) -> pd.DataFrame:
    """Compute precision, recall and F1 for every threshold.

    Args:
        pairs: Pairs with a similarity (or else a probability), such as `pprl.compare` finds
            above a low threshold. Links serve as well, from their threshold upwards.
        truth: Every true pair of record ids.
        one_to_one: Match one-to-one at each threshold, best first, as `pprl.link` does; or
            take every pair at or above it.
        points: Return about so many thresholds, evenly over the links; that of the greatest F1
            is among them.

    Returns:
        ``threshold, links, true_positives, precision, precision_low, precision_high, recall,
        recall_low, recall_high, f1``, by rising threshold, with 95 % intervals (Wilson).

    Raises:
        UsageError: The truth is empty, or pairs have no score.
        MissingColumn: A table has no column ``left_id`` or ``right_id``.
        UnreadableFile: A file cannot be read.
    """
    links = links_of(pairs)
    score = score_of(links)
    frame, true = links.to_pandas()[["left_id", "right_id"]], true_pairs(truth)
    codes, true_codes = pair_codes(frame, true)
    place = best_first(frame, score, one_to_one)
    ranked, right = score[place], np.isin(codes[place], true_codes)
    # A threshold takes all pairs of one score or none.
    last = np.append(ranked[:-1] != ranked[1:], np.ones(min(len(ranked), 1), bool))
    counts = np.flatnonzero(last) + 1
    hits = np.cumsum(right, dtype=np.int64)[counts - 1]
    f1 = 2 * hits / (counts + len(true))
    if len(counts) > points:
        even = np.linspace(0, counts[-1], points)
        chosen = np.unique(np.searchsorted(counts, even).clip(max=len(counts) - 1))
        chosen = np.union1d(chosen, [int(np.argmax(f1))])
        counts, hits, f1 = counts[chosen], hits[chosen], f1[chosen]
    out = {"threshold": ranked[counts - 1], "links": counts, "true_positives": hits}
    for name, trials in (("precision", counts), ("recall", np.full(len(counts), len(true)))):
        out[name], out[f"{name}_low"], out[f"{name}_high"] = _wilson(hits, trials)
    return pd.DataFrame(out | {"f1": f1}).iloc[::-1].reset_index(drop=True)


def _wilson(
    hits: NDArray[np.int64], trials: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """`pprl.evaluation.figures.wilson` for arrays, one trial at least."""
    share, z = hits / trials, _Z95**2
    centre = (share + z / (2 * trials)) / (1 + z / trials)
    spread = np.sqrt(share * (1 - share) / trials + z / (4 * trials**2)) * _Z95 / (1 + z / trials)
    return share, np.maximum(centre - spread, 0.0), np.minimum(centre + spread, 1.0)
