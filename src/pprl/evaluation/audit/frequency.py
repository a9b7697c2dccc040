"""Frequency alignment: frequent encodings are frequent people's, or frequent values'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pprl.evaluation.audit.bits import Rows, distinct_rows
from pprl.exchange.encodings import as_words, count_bits

MOST = 200
_LOG_FREQUENCY = 0.25
_BITS = 2.0


def align_frequencies(victims: NDArray[np.uint8], references: NDArray[np.uint8]) -> Rows:
    """Pair the most frequent encodings of victims and list by count and bits set.

    A pair costs the squared difference of log frequencies over 0.25 squared, and that of the
    numbers of bits set over 2 squared; the 200 most frequent on either side are assigned.

    Args:
        victims: (n, bytes) encodings.
        references: (m, bytes) encodings of the list, under the attacker's key.

    Returns:
        (n,) int64: a person with the paired encoding, -1 for the others.
    """
    first, count, numbers = distinct_rows(victims)
    their_first, their_count, _ = distinct_rows(references)
    ours = np.argsort(-count, kind="stable")[:MOST]
    theirs = np.argsort(-their_count, kind="stable")[:MOST]
    frequency = np.log(count[ours] / len(victims))
    their_frequency = np.log(their_count[theirs] / len(references))
    bits = count_bits(as_words(victims[first[ours]]))
    their_bits = count_bits(as_words(references[their_first[theirs]]))
    cost = ((frequency[:, None] - their_frequency[None]) / _LOG_FREQUENCY) ** 2
    cost += ((bits[:, None] - their_bits[None]) / _BITS) ** 2
    rows, columns = linear_sum_assignment(cost)
    named = np.full(len(count), -1, np.int64)
    named[ours[rows]] = their_first[theirs[columns]]
    return named[numbers]
