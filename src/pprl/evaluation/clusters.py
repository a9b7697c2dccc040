"""Quality of clusters against known persons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import MissingColumn, UnreadableFile, UsageError
from pprl.evaluation.quality import Figure, wilson
from pprl.exchange.links import Clusters

Persons: TypeAlias = "str | PathLike[str] | pd.DataFrame"
"""Who is who: a CSV or Parquet file or table with ``holder, record_id, person_id``."""


@dataclass(frozen=True)
class ClusterQuality:
    """How well clusters agree with persons.

    Attributes:
        precision: Share of the pairs of records in one cluster that are one person's
            (Wilson interval; pairs of one cluster are not independent, so it is too narrow).
        recall: Share of one person's pairs of records that are in one cluster.
        f1: Their harmonic mean, with the interval of `pprl.evaluation.quality`.
        bcubed_precision: Mean over records of the share of its cluster that is its person's.
        bcubed_recall: Mean over records of the share of its person's that is in its cluster
            (Bagga and Baldwin, ACL 1998, p. 79).
        bcubed_f1: Their harmonic mean.
        cluster_f1: Clusters that are exactly a person's records, twice, by clusters and
            persons together.
        records, clusters, persons: Counts.
    """

    precision: Figure
    recall: Figure
    f1: Figure
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    cluster_f1: float
    records: int
    clusters: int
    persons: int

    @classmethod
    def of(cls, found: NDArray[Any], true: NDArray[Any]) -> ClusterQuality:
        """Compare (n,) cluster labels with (n,) persons, one record or more."""
        x, y = (pd.factorize(part)[0].astype(np.int64) for part in (found, true))
        sizes_x, sizes_y = np.bincount(x), np.bincount(y)
        cells, both = np.unique(x * len(sizes_y) + y, return_counts=True)
        in_x, in_y = sizes_x[cells // len(sizes_y)], sizes_y[cells % len(sizes_y)]
        hits, linked, one_person = (
            int((size * (size - 1) // 2).sum()) for size in (both, sizes_x, sizes_y)
        )
        jaccard = wilson(hits, linked + one_person - hits)
        b_precision = float((both**2 / in_x).sum() / len(x))
        b_recall = float((both**2 / in_y).sum() / len(x))
        whole = int(((both == in_x) & (both == in_y)).sum())
        return cls(
            precision=wilson(hits, linked),
            recall=wilson(hits, one_person),
            f1=Figure(*(2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))),
            bcubed_precision=b_precision,
            bcubed_recall=b_recall,
            bcubed_f1=2 * b_precision * b_recall / (b_precision + b_recall),
            cluster_f1=2 * whole / (len(sizes_x) + len(sizes_y)),
            records=len(x),
            clusters=len(sizes_x),
            persons=len(sizes_y),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``quality.json``."""
        return asdict(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write ``quality.json``.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.files import write_json

        write_json(self.to_dict(), path)


def evaluate_clusters(clusters: Clusters, persons: Persons) -> ClusterQuality:
    """Compare clusters with known persons.

    Args:
        clusters: A row for every record.
        persons: ``holder, record_id, person_id`` of every record in the clusters; more
            are not looked at.

    Raises:
        UsageError: A record's person is missing, or known twice; or there are no records.
        MissingColumn: The table of persons lacks a column.
        UnreadableFile: The table of persons cannot be read.
    """
    known = persons if isinstance(persons, pd.DataFrame) else _read(Path(persons))
    for name in ("holder", "record_id", "person_id"):
        if name not in known.columns:
            raise MissingColumn(
                f"the truth has no column {name!r}; for clusters it needs "
                f"holder,record_id,person_id."
            )
    keys = ["holder", "record_id"]
    known = known[[*keys, "person_id"]].astype(str)
    if known.duplicated(keys).any():
        raise UsageError("the truth names a record twice.")
    frame = clusters.to_pandas().merge(known, on=keys, how="left")
    missing = int(frame["person_id"].isna().sum())
    if missing or not len(frame):
        raise UsageError(f"the truth does not know the person of {missing:,} records.")
    return ClusterQuality.of(frame["cluster_id"].to_numpy(), frame["person_id"].to_numpy())


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UnreadableFile(f"{path}: there is no such file.")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise UnreadableFile(
            f"{path} cannot be read as a table ({type(error).__name__})."
        ) from None
