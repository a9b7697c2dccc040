"""Links and clusters: which records of which holders belong to one person."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

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

CLUSTERS_SCHEMA = pa.schema(
    [("cluster_id", pa.string()), ("holder", pa.string()), ("record_id", pa.string())]
)
"""The columns of a clusters table: a row for every record, linked or not."""


@dataclass(frozen=True, eq=False)
class Links:
    """A table of links: ``left_id, right_id, similarity, probability``."""

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        return f"Links({len(self):,} pairs)"

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card

        return card("Links", {"pairs": f"{len(self):,}"}, self.table["similarity"].to_numpy())

    def to_arrow(self) -> pa.Table:
        """Return the links as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return the links as a pandas DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_multiindex(
        self, left: pd.Index[Any] | None = None, right: pd.Index[Any] | None = None
    ) -> pd.MultiIndex:
        """Return the pairs as recordlinkage takes them; see `pprl.exchange.foreign`.

        Args:
            left: The index of the left records, to get its labels back in place of text.
            right: The index of the right records.

        Raises:
            UsageError: A record id is not a label of the index.
        """
        from pprl.exchange.foreign import to_multiindex

        return to_multiindex(self.table, left, right)

    @classmethod
    def from_multiindex(cls, pairs: pd.MultiIndex | pd.Series[Any] | pd.DataFrame) -> Links:
        """Take pairs of index labels from recordlinkage, with similarities or without.

        Raises:
            UsageError: The index does not have two levels, or a table has several columns.
        """
        from pprl.exchange.foreign import from_multiindex

        return cls(from_multiindex(pairs))

    def to_splink(self, left: str = "left", right: str = "right") -> pd.DataFrame:
        """Return the pairs as Splink's predictions, with these names of source datasets."""
        from pprl.exchange.foreign import to_splink

        return to_splink(self.table, left, right)

    @classmethod
    def from_splink(cls, frame: pd.DataFrame, left: str | None = None) -> Links:
        """Take Splink's predictions, with the records of dataset ``left`` on the left.

        Raises:
            MissingColumn: ``unique_id_l`` or ``unique_id_r`` is missing.
            UsageError: Which record of a pair is the left one cannot be told.
        """
        from pprl.exchange.foreign import from_splink

        return cls(from_splink(frame, left))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the links as Parquet; as CSV or Arrow where the name ends in that.

        `Links.load` reads Parquet.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.formats import write_as

        write_as(self.table, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Links:
        """Read a links file.

        Raises:
            UnreadableFile: The file is missing, damaged or has other columns.
        """
        from pprl.exchange.files import read_links

        return read_links(path)


@dataclass(frozen=True, eq=False)
class Clusters:
    """A table of clusters: ``cluster_id, holder, record_id``, a row for every record.

    Rows are in the order of the files and of their records. Records of one person share
    a ``cluster_id``, which means nothing by itself.
    """

    table: pa.Table

    def __len__(self) -> int:
        return int(pc.count_distinct(self.table["cluster_id"]).as_py())

    def __repr__(self) -> str:
        return f"Clusters({len(self):,} clusters, {self.table.num_rows:,} records)"

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card

        rows = {"clusters": f"{len(self):,}", "records": f"{self.table.num_rows:,}"}
        return card("Clusters", rows)

    def to_arrow(self) -> pa.Table:
        """Return the clusters as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return the clusters as a pandas DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the clusters as Parquet; as CSV or Arrow where the name ends in that.

        `Clusters.load` reads Parquet.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.formats import write_as

        write_as(self.table, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Clusters:
        """Read a clusters file.

        Raises:
            UnreadableFile: The file is missing, damaged or has other columns.
        """
        from pprl.exchange.files import read_clusters

        return read_clusters(path)
