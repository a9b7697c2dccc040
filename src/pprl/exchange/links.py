"""Links: which record of one holder belongs to which record of another."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = pa.schema(
    [
        ("left_id", pa.string()),
        ("right_id", pa.string()),
        ("similarity", pa.float64()),
        ("probability", pa.float64()),
    ]
)
"""The columns of a links table. ``probability`` is null where nothing estimated it."""


@dataclass(frozen=True, eq=False)
class Links:
    """A table of links: ``left_id, right_id, similarity, probability``."""

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        return f"Links({len(self):,} pairs)"

    def to_arrow(self) -> pa.Table:
        """Return the links as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return the links as a pandas DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the links as Parquet.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.files import write_table

        write_table(self.table, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Links:
        """Read a links file.

        Raises:
            UnreadableFile: The file is missing, damaged or has other columns.
        """
        from pprl.exchange.files import read_links

        return read_links(path)
