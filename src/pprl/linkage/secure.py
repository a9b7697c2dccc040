"""What is decided outside the computation of a secure linkage: thresholds, rivals, links.

Who gets the links sees which pairs reach the threshold, and where a record has several
partners, which of its pairs is the more similar. It never sees a similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pprl.errors import TooManyPairs, UnreadableFile
from pprl.exchange.encodings import Encodings
from pprl.exchange.links import SCHEMA, Links
from pprl.exchange.secure_job import Answer, Exact, SecureMatching
from pprl.exchange.shares import Ids, Layout
from pprl.linkage.assignment import match
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.similarity import similarity
from pprl.linkage.local_fdr import LOCAL_PRECISION

_Ints = NDArray[np.int64]
_CHUNK = 1 << 16


def exact(threshold: float, bits: int) -> Exact:
    """Find p / q so that in whole numbers 2qc >= ps exactly where 2c/s is at least a threshold.

    A similarity is a fraction of whole numbers, so there is a least one that reaches the
    threshold in the floating point arithmetic of the plaintext path; that is p / q.

    Args:
        threshold: Dice similarity, above 0, at most 1.
        bits: Length of a CLK.

    >>> exact(0.8, 1024)
    (4, 5)
    >>> exact(0.805, 4)
    (6, 7)
    """
    both = np.arange(1, 2 * bits + 1)
    guess = np.floor(threshold * both / 2).astype(np.int64)
    best = Fraction(1)
    for more in (-1, 0, 1):
        common = np.clip(guess + more, 0, both // 2)
        ok = similarity("dice", common, both, np.zeros_like(both), bits) >= threshold
        if ok.any():
            value = 2.0 * common[ok] / both[ok]
            for at in np.flatnonzero(value <= value.min()):
                best = min(best, Fraction(2 * int(common[ok][at]), int(both[ok][at])))
    return best.numerator, best.denominator


def count_within(encodings: Encodings, layout: Layout, grid: Sequence[Exact], least: int) -> _Ints:
    """Count the pairs within a file at each threshold, by pass; counts below ``least`` are 0.

    The holder does this with its own encodings: nobody else is needed for it.
    """
    words, bits = encodings.words, encodings.popcounts()
    counts = np.zeros((len(layout.passes), len(grid)), np.int64)
    tops = np.array([q for _, q in grid]), np.array([p for p, _ in grid])
    for number, slots in enumerate(layout.passes):
        for block in slots:
            rows = block[block >= 0]
            for at in range(1, len(rows)):
                for start in range(0, at, _CHUNK):
                    others = rows[start : min(at, start + _CHUNK)]
                    shared = np.bitwise_count(words[others] & words[rows[at]]).sum(1)
                    shared = shared.astype(np.int64)
                    both = bits[others] + bits[rows[at]]
                    reached = 2 * shared[:, None] * tops[0] >= both[:, None] * tops[1]
                    counts[number] += (reached & (shared[:, None] > 0)).sum(0)
    return np.where(counts >= least, counts, 0)


def choose_threshold(
    grid: Sequence[Exact], between: _Ints, within: Sequence[_Ints], records: Sequence[int]
) -> Exact | None:
    """Choose the lowest threshold down to which at least half of the added links are matches.

    Of the passes that one counts that finds most pairs. Pairs within the files show how many
    pairs of different people reach a threshold, as in `pprl.linkage.threshold`; here they are
    counts on a grid, of pairs and not of one-to-one links, so the decision is coarser.

    Args:
        grid: Thresholds p / q, rising.
        between: (passes, thresholds) pairs between the files at or above each.
        within: For each file (passes, thresholds) pairs within it.
        records: Records of each file.

    Returns:
        One of the grid; None where even the highest has more false pairs than true ones.
    """
    number = int(between.sum(1).argmax())
    same = sum((one[number] for one in within), np.zeros(len(grid), np.int64))
    rate = same / max(sum(n * (n - 1) / 2 for n in records), 1.0)
    n_a, n_b = records
    # Pairs of one person, and one-to-one links of different people that are left over.
    true = np.clip(between[number] - rate * n_a * n_b, 0.0, min(records))
    false = (n_a - true) * (n_b - true) * rate
    false /= 1 + rate * np.maximum(n_a - true, n_b - true)
    chosen: Exact | None = None
    above_true, above_false = 0.0, 0.0
    for at in range(len(grid))[::-1]:
        more_true, more_false = true[at] - above_true, max(false[at] - above_false, 0.0)
        if between[number][at]:
            if more_true <= LOCAL_PRECISION * (more_true + more_false):
                break
            chosen = grid[at]
        above_true, above_false = float(true[at]), float(false[at])
    return chosen


@dataclass(frozen=True, eq=False)
class Reached:
    """Pairs of records that reach the threshold, each once, in order of left and right record.

    Attributes:
        left, right: (p,) int64 rows.
        places: (p, 4) pass, block, row and column of one comparison of each.
    """

    left: _Ints
    right: _Ints
    places: _Ints

    def __len__(self) -> int:
        return len(self.left)


def read_reached(answer: Answer, left: Ids, right: Ids) -> Reached:
    """Find the pairs that reach the threshold among the results of the comparison."""
    bits, at, found = np.frombuffer(answer.payload, np.uint8), 0, []
    for number, b0, b1, r0, r1, c0, c1 in answer.header["units"]:
        shape = (b1 - b0, r1 - r0, c1 - c0)
        size = shape[0] * shape[1] * shape[2]
        some = np.unpackbits(bits[at : at + (size + 7) // 8], count=size).reshape(shape)
        at += (size + 7) // 8
        block, row, column = np.nonzero(some)
        found.append(
            np.stack([np.full(len(block), number), block + b0, row + r0, column + c0], axis=1)
        )
    if at != len(bits):
        raise UnreadableFile("the answers are shorter or longer than their header says.")
    places = np.concatenate([np.empty((0, 4), np.int64), *found])
    rows = [
        _rows(ids.layout, places[:, 0], places[:, 1], places[:, column])
        for ids, column in ((left, 2), (right, 3))
    ]
    real = (rows[0] >= 0) & (rows[1] >= 0)
    pairs = np.stack([rows[0][real], rows[1][real]], axis=1)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    return Reached(pairs[:, 0], pairs[:, 1], places[real][first])


def _rows(layout: Layout, number: _Ints, block: _Ints, place: _Ints) -> _Ints:
    out = np.full(len(number), -1, np.int64)
    for at, slots in enumerate(layout.passes):
        mine = number == at
        out[mine] = slots[block[mine], place[mine]]
    return out


def find_rivals(reached: Reached, matching: SecureMatching, most: int) -> tuple[_Ints, _Ints]:
    """Find which pairs must be put in order, for a rule of matching to choose among them.

    Returns:
        Numbers of pairs, and (m, 2) places in these of every two that are to be compared.

    Raises:
        TooManyPairs: More than ``most`` pairs have rivals.
    """
    none = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    if matching == "many-to-many" or not len(reached):
        return none
    left, right = reached.left, reached.right
    if matching == "one-to-many":
        group = right
    elif matching == "many-to-one":
        group = left
    else:
        n, m = int(left.max()) + 1, int(right.max()) + 1
        graph = coo_array((np.ones(len(left)), (left, right + n)), shape=(n + m, n + m))
        group = connected_components(graph, directed=False)[1][left].astype(np.int64)
    _, group, size = np.unique(group, return_inverse=True, return_counts=True)
    asked = np.flatnonzero(size[group] > 1)
    if len(asked) > most:
        raise TooManyPairs(
            f"{len(asked):,} pairs share a record with another, and the job allows {most:,} to "
            f"be put in order. Is the threshold too low? Make the job with --most-order."
        )
    rivals = []
    for one in np.unique(group[asked]):
        members = np.flatnonzero(group[asked] == one)
        x, y = (grid.reshape(-1) for grid in np.meshgrid(members, members, indexing="ij"))
        rivals.append(np.stack([x[x != y], y[x != y]], axis=1))
    return asked, np.concatenate([none[1], *rivals])


def choose_links(
    reached: Reached,
    matching: SecureMatching,
    asked: _Ints,
    rivals: _Ints,
    answer: Answer | None,
    left: Ids,
    right: Ids,
) -> Links:
    """Choose the links by a rule of matching, as the plaintext path does.

    Args:
        reached: Pairs that reach the threshold.
        matching: The rule.
        asked: Numbers of the pairs with rivals, from `find_rivals`.
        rivals: Which of these were compared, from `find_rivals`.
        answer: What the parties found of the rivals; None where there are none.
        left: Record ids of the first holder.
        right: Record ids of the second holder.

    Returns:
        Links without a similarity, which nobody knows.
    """
    standing = np.zeros(len(reached))
    if answer is not None:
        bits = np.unpackbits(np.frombuffer(answer.payload, np.uint8), count=len(rivals))
        # A pair's place: to how many of its rivals it is at least as similar.
        standing[asked] = np.bincount(rivals[:, 0], weights=bits, minlength=len(asked))
    pairs = Pairs(reached.left, reached.right, standing)
    chosen = match(pairs, len(left.record_ids), len(right.record_ids), matching)
    columns = [
        left.record_ids.take(pa.array(chosen.left)),
        right.record_ids.take(pa.array(chosen.right)),
        pa.nulls(len(chosen), pa.float64()),
        pa.nulls(len(chosen), pa.float64()),
    ]
    return Links(pa.table(columns, schema=SCHEMA))
