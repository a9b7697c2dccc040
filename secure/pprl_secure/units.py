"""The work of a comparison cut into units: what is compared in one go, and kept if a party dies."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from pprl_secure.files import Job, Shares, WorkerError

_ROWS = 4096
"""Rows of the left file whose shares are held as numbers, 16 bytes a bit: 64 MB at 1,024 bits."""


@dataclass(frozen=True)
class Unit:
    """Left rows by right rows of some blocks of a pass: all pairs are compared."""

    number: int
    first_block: int
    end_block: int
    first_row: int
    end_row: int
    first_column: int
    end_column: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Blocks, rows and columns."""
        return (
            self.end_block - self.first_block,
            self.end_row - self.first_row,
            self.end_column - self.first_column,
        )

    @property
    def pairs(self) -> int:
        """How many pairs are compared."""
        blocks, rows, columns = self.shape
        return blocks * rows * columns

    @property
    def packed(self) -> int:
        """Bytes of the result, a bit for each pair."""
        return (self.pairs + 7) // 8

    def to_list(self) -> list[int]:
        """Return plain numbers, for a header."""
        return list(astuple(self))


def cut(job: Job, left: Shares, right: Shares) -> list[Unit]:
    """Cut the comparison of two files into units of about ``job.tile`` pairs.

    The units depend on nothing but the sizes and the job, so all parties cut alike.
    """
    if [own[0].shape[0] for own in left.passes] != [own[0].shape[0] for own in right.passes]:
        raise WorkerError("the two files of shares were cut into blocks in different ways.")
    units = []
    for number, (a, b) in enumerate(zip(left.passes, right.passes, strict=True)):
        blocks, rows = a[0].shape[:2]
        columns = b[0].shape[1]
        if blocks == 1:
            height = min(rows, _ROWS)
            width = max(job.tile // max(height, 1), 1)
            units += [
                Unit(
                    number, 0, 1, row, min(row + height, rows), column, min(column + width, columns)
                )
                for row in range(0, rows, height)
                for column in range(0, columns, width)
            ]
        elif rows * columns:
            step = max(min(job.tile // (rows * columns), 2 * _ROWS // (rows + columns)), 1)
            units += [
                Unit(number, block, min(block + step, blocks), 0, rows, 0, columns)
                for block in range(0, blocks, step)
            ]
    return units
