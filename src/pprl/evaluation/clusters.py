"""Quality of clusters against known persons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.evaluation.figures import Figure, f1_of, wilson
from pprl.evaluation.subgroups import Groups, read_groups
from pprl.evaluation.tables import id_texts, need_columns, read_table
from pprl.exchange.links import Clusters

Persons: TypeAlias = "str | PathLike[str] | pd.DataFrame"
"""Who is who: a CSV or Parquet file or table with ``holder, record_id, person_id``."""


@dataclass(frozen=True)
class HolderPair:
    """Quality among the pairs of records of two holders, or within one holder's file.

    Attributes:
        left, right: Names of the holders; the same within one file.
        precision, recall, f1: As in `ClusterQuality`.
        true_positives, links, true_pairs: Counts of pairs of records.
    """

    left: str
    right: str
    precision: Figure
    recall: Figure
    f1: Figure
    true_positives: int
    links: int
    true_pairs: int


@dataclass(frozen=True)
class ClusterGroup:
    """B-cubed quality of the records of one group.

    Attributes:
        variable, group: The column and its value.
        precision, recall, f1: B-cubed, averaged over the group's records.
        records: Their number.
    """

    variable: str
    group: str
    precision: float
    recall: float
    f1: float
    records: int


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
        closest_precision: Mean over clusters of the greatest Jaccard similarity to a person's
            records.
        closest_recall: Mean over persons of that to a cluster (closest cluster; Menestrina,
            Whang and Garcia-Molina, PVLDB 3 (2010), p. 208).
        closest_f1: Their harmonic mean.
        records, clusters, persons: Counts.
        by_holders: The same pairs of records by pair of holders; a holder with itself is
            its own duplicates.
        subgroups: B-cubed figures for each group of records, where groups were given.
    """

    precision: Figure
    recall: Figure
    f1: Figure
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    cluster_f1: float
    closest_precision: float
    closest_recall: float
    closest_f1: float
    records: int
    clusters: int
    persons: int
    by_holders: tuple[HolderPair, ...] = ()
    subgroups: tuple[ClusterGroup, ...] = ()

    @classmethod
    def of(cls, found: NDArray[Any], true: NDArray[Any]) -> ClusterQuality:
        """Compare (n,) cluster labels with (n,) persons, one record or more."""
        cells = _Cells.of(found, true)
        hits, linked, one_person = (
            int((size * (size - 1) // 2).sum())
            for size in (cells.both, cells.clusters, cells.persons)
        )
        whole = int(((cells.both == cells.in_cluster) & (cells.both == cells.in_person)).sum())
        n = int(cells.both.sum())
        b_precision = float((cells.both**2 / cells.in_cluster).sum() / n)
        b_recall = float((cells.both**2 / cells.in_person).sum() / n)
        alike = cells.both / (cells.in_cluster + cells.in_person - cells.both)
        closest = [
            float(_greatest(of, alike, len(sizes)).mean())
            for of, sizes in ((cells.cluster, cells.clusters), (cells.person, cells.persons))
        ]
        return cls(
            precision=wilson(hits, linked),
            recall=wilson(hits, one_person),
            f1=f1_of(hits, linked - hits, one_person - hits),
            bcubed_precision=b_precision,
            bcubed_recall=b_recall,
            bcubed_f1=_harmonic(b_precision, b_recall),
            cluster_f1=2 * whole / (len(cells.clusters) + len(cells.persons)),
            closest_precision=closest[0],
            closest_recall=closest[1],
            closest_f1=_harmonic(*closest),
            records=n,
            clusters=len(cells.clusters),
            persons=len(cells.persons),
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


def evaluate_clusters(
    clusters: Clusters, persons: Persons, *, groups: Groups | None = None
) -> ClusterQuality:
    """Compare clusters with known persons.

    Args:
        clusters: A row for every record.
        persons: ``holder, record_id, person_id`` of every record in the clusters; more
            are not looked at.
        groups: ``record_id`` and a column for each way of grouping records; with a
            column ``holder`` where holders use the same record ids.

    Raises:
        UsageError: A record's person is missing, or known twice; or there are no records.
        MissingColumn: The table of persons lacks a column.
        UnreadableFile: The table of persons cannot be read.
    """
    known = persons if isinstance(persons, pd.DataFrame) else read_table(persons)
    keys = ["holder", "record_id"]
    needs = "holder,record_id,person_id for clusters"
    need_columns(known, [*keys, "person_id"], "the truth", needs)
    known = known[[*keys, "person_id"]].apply(id_texts, what="the truth")
    if known.duplicated(keys).any():
        raise UsageError("the truth names a record twice.")
    frame = clusters.to_pandas().merge(known, on=keys, how="left")
    missing = int(frame["person_id"].isna().sum())
    if missing or not len(frame):
        raise UsageError(f"the truth does not know the person of {missing:,} records.")
    found, true = frame["cluster_id"].to_numpy(), frame["person_id"].to_numpy()
    return replace(
        ClusterQuality.of(found, true),
        by_holders=_by_holders(frame),
        subgroups=() if groups is None else _by_group(frame, groups),
    )


@dataclass(frozen=True)
class _Cells:
    """How many records each cluster has of each person, where it has any.

    Attributes:
        cluster, person: (cells,) number of the cluster and of the person.
        both: (cells,) records.
        clusters, persons: Sizes of the clusters and of the persons.
        of_record: (n,) the cell of each record.
    """

    cluster: NDArray[np.int64]
    person: NDArray[np.int64]
    both: NDArray[np.int64]
    clusters: NDArray[np.int64]
    persons: NDArray[np.int64]
    of_record: NDArray[np.int64]

    @classmethod
    def of(cls, found: NDArray[Any], true: NDArray[Any]) -> _Cells:
        x, y = (pd.factorize(part)[0].astype(np.int64) for part in (found, true))
        clusters, persons = np.bincount(x), np.bincount(y)
        cells, of_record, both = np.unique(
            x * len(persons) + y, return_inverse=True, return_counts=True
        )
        return cls(*np.divmod(cells, len(persons)), both, clusters, persons, of_record)

    @property
    def in_cluster(self) -> NDArray[np.int64]:
        return self.clusters[self.cluster]

    @property
    def in_person(self) -> NDArray[np.int64]:
        return self.persons[self.person]


def _by_holders(frame: pd.DataFrame) -> tuple[HolderPair, ...]:
    names = sorted(frame["holder"].unique())
    labels = {"cluster": ["cluster_id"], "person": ["person_id"]}
    labels["both"] = [*labels["cluster"], *labels["person"]]
    counts = {kind: _pairs_by_holders(frame, by) for kind, by in labels.items()}
    out = []
    for at, left in enumerate(names):
        for right in names[at:]:
            hits, linked, true = (
                int(counts[kind].get((left, right), 0)) for kind in ("both", "cluster", "person")
            )
            if linked or true:
                f1 = f1_of(hits, linked - hits, true - hits)
                figures = wilson(hits, linked), wilson(hits, true), f1
                out.append(HolderPair(left, right, *figures, hits, linked, true))
    return tuple(out)


def _pairs_by_holders(frame: pd.DataFrame, by: list[str]) -> dict[Any, int]:
    """Count the pairs of records that agree in ``by``, for each two holders, in their order."""
    sizes = frame.groupby([*by, "holder"], sort=False).size().rename("n").reset_index()
    pairs = sizes.merge(sizes, on=by)
    pairs = pairs[pairs["holder_x"] <= pairs["holder_y"]]
    within = pairs["holder_x"] == pairs["holder_y"]
    number = pairs["n_x"] * pairs["n_y"]
    pairs["pairs"] = number.mask(within, pairs["n_x"] * (pairs["n_x"] - 1) // 2)
    return dict(pairs.groupby(["holder_x", "holder_y"])["pairs"].sum())


def _by_group(frame: pd.DataFrame, groups: Groups) -> tuple[ClusterGroup, ...]:
    table = groups if isinstance(groups, pd.DataFrame) else read_table(groups)
    record = frame["record_id"]
    if "holder" in table.columns and "record_id" in table.columns:
        # A holder's name has no line break, so the two together stay unique.
        table = table.assign(
            record_id=table["holder"].astype(str) + "\n" + table["record_id"].astype(str)
        )
        table = table.drop(columns="holder")
        record = frame["holder"] + "\n" + record
    known = read_groups(table)
    cells = _Cells.of(frame["cluster_id"].to_numpy(), frame["person_id"].to_numpy())
    precision = (cells.both / cells.in_cluster)[cells.of_record]
    recall = (cells.both / cells.in_person)[cells.of_record]
    out = []
    for variable in known.columns:
        group = record.map(known[variable]).fillna("(unknown)").to_numpy(object)
        for name in sorted(set(group)):
            mine = group == name
            shares = float(precision[mine].mean()), float(recall[mine].mean())
            out.append(ClusterGroup(variable, name, *shares, _harmonic(*shares), int(mine.sum())))
    return tuple(out)


def _greatest(of: NDArray[np.int64], value: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    out = np.zeros(n)
    np.maximum.at(out, of, value)
    return out


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b)
