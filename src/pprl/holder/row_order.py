"""The order of rows: random, so that a file does not show the order of the records.

A file that is sorted by surname, beside a list that is sorted by surname, needs no attack.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Encoded rows: one for each record and variant, the variants of a record together."""

    ids: pa.StringArray
    clks: NDArray[np.uint8]
    variants: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    block_keys: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.clks)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def take(self, order: NDArray[np.int64]) -> Rows:
        """Take rows by their numbers."""
        return self.reordered(order, np.take(self.clks, order, axis=0))

    def shuffled(self) -> Rows:
        """Put the records in random order. The CLKs change places in their own memory."""
        from pprl.kernels.bits import reorder_rows

        order = random_rows(self.variants)
        taken = self.reordered(order, self.clks)
        reorder_rows(self.clks, order)
        return taken

    def reordered(self, order: NDArray[np.int64], clks: NDArray[np.uint8]) -> Rows:
        """Take everything but the CLKs, which are given."""
        return Rows(
            self.ids.take(pa.array(order)),
            clks,
            self.variants[order],
            self.mask[order],
            self.block_keys[order],
        )

    @classmethod
    def taken(
        cls, parts: Sequence[Rows], order: NDArray[np.int64], clks: NDArray[np.uint8]
    ) -> Rows:
        """Take rows by their numbers from parts that are counted one after the other.

        Args:
            parts: The rows.
            order: (n,) numbers of rows.
            clks: (n, bytes) where the CLKs are put.
        """
        from pprl.kernels.bits import copy_rows

        ends = np.cumsum([len(part) for part in parts])
        owner = np.searchsorted(ends, order, side="right")
        pieces = []
        places = []
        for at, part in enumerate(parts):
            to = np.flatnonzero(owner == at)
            rows = order[to] - (ends[at] - len(part))
            copy_rows(part.clks, rows, clks, to)
            pieces.append(part.reordered(rows, part.clks[:0]))
            places.append(to)
        back = np.argsort(np.concatenate(places))
        ids = pa.concat_arrays([piece.ids for piece in pieces]).take(pa.array(back))
        variants, mask, block_keys = (
            np.concatenate([getattr(piece, name) for piece in pieces])[back]
            for name in ("variants", "mask", "block_keys")
        )
        return cls(ids, clks, variants, mask, block_keys)


def drained(parts: list[Rows]) -> list[Rows]:
    """Take all parts out of a list."""
    taken = parts[:]
    parts.clear()
    return taken


def joined(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Put arrays below one another, letting each go once it is copied."""
    all_rows = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.uint8)
    end = len(all_rows)
    while parts:
        part = parts.pop()
        all_rows[end - len(part) : end] = part
        end -= len(part)
    return all_rows


def random_order(n: int) -> NDArray[np.int64]:
    """Draw a permutation of 0..n-1 from the operating system's randomness.

    Sorts n random numbers of 64 bits; that two are equal does not happen in practice.
    """
    return np.argsort(np.frombuffer(os.urandom(8 * n), np.uint64)).astype(np.int64, copy=False)


def random_rows(variants: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Draw an order of rows in which the variants of a record stay together.

    Args:
        variants: (n,) 0 where a record begins.
    """
    firsts, sizes = records_of(variants)
    if len(firsts) == len(variants):
        return random_order(len(variants))
    order = random_order(len(firsts))
    return rows_of(firsts[order], sizes[order])


def records_of(variants: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Say where each record begins, and how many rows it has."""
    firsts = np.flatnonzero(variants == 0)
    return firsts, np.diff(firsts, append=len(variants))


def rows_of(firsts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the rows of records that begin at ``firsts``."""
    ends = np.cumsum(sizes)
    return np.repeat(firsts - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0)
