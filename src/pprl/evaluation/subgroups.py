"""Quality for groups of records: do links serve men and women, young and old alike?"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.evaluation.figures import Figure, f1_of, wilson
from pprl.evaluation.tables import id_texts, need_columns, read_table

Groups: TypeAlias = "str | PathLike[str] | pd.DataFrame"
"""``record_id`` and one column or more of groups: a table, or a CSV or Parquet file."""

UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Subgroup:
    """Quality among the pairs of one group.

    Attributes:
        variable, group: The column and its value.
        precision, recall, f1: As in `Quality`.
        true_positives, false_positives, false_negatives, links, true_pairs: Counts of pairs.
    """

    variable: str
    group: str
    precision: Figure
    recall: Figure
    f1: Figure
    true_positives: int
    false_positives: int
    false_negatives: int
    links: int
    true_pairs: int

    @classmethod
    def count(cls, variable: str, group: str, hits: int, links: int, true: int) -> Subgroup:
        """Make one from counts."""
        return cls(
            variable=variable,
            group=group,
            precision=wilson(hits, links),
            recall=wilson(hits, true),
            f1=f1_of(hits, links - hits, true - hits),
            true_positives=hits,
            false_positives=links - hits,
            false_negatives=true - hits,
            links=links,
            true_pairs=true,
        )


def read_groups(groups: Groups) -> pd.DataFrame:
    """Return groups of records as text, indexed by record id.

    Raises:
        MissingColumn: There is no column ``record_id``.
        UsageError: A record is there twice with different groups, or there is no group.
        UnreadableFile: The file cannot be read.
    """
    frame = groups if isinstance(groups, pd.DataFrame) else read_table(groups)
    need_columns(frame, ["record_id"], "the table of groups", "record_id and a column of groups")
    if frame.shape[1] < 2:
        raise UsageError("the table of groups has no column beside record_id.")
    missing = frame.isna()
    ids = id_texts(frame["record_id"], "the table of groups")
    frame = (
        frame.astype(str)
        .assign(record_id=ids)
        .mask(missing, UNKNOWN)
        .replace("", UNKNOWN)
        .drop_duplicates()
    )
    if frame["record_id"].duplicated().any():
        raise UsageError(
            "the table of groups has a record twice, in different groups. Where both holders use "
            "one record id for different people, give the groups of the left records only."
        )
    return frame.set_index("record_id")


def group_of(groups: pd.DataFrame, variable: str, pairs: pd.DataFrame) -> NDArray[np.object_]:
    """Return (n,) the group of each pair: its left record's or else its right record's."""
    left, right = (pairs[name].map(groups[variable]) for name in ("left_id", "right_id"))
    return np.asarray(left.fillna(right).fillna(UNKNOWN).to_numpy(object))


def split(
    groups: pd.DataFrame, found: pd.DataFrame, right: NDArray[Any], true: pd.DataFrame
) -> list[Subgroup]:
    """Count links, true pairs and those that agree, by group.

    Args:
        groups: See `read_groups`.
        found: The links, ``left_id, right_id``.
        right: (links,) whether they are true.
        true: The true pairs.
    """
    out = []
    for variable in groups.columns:
        of_links, of_true = (group_of(groups, variable, pairs) for pairs in (found, true))
        names = sorted({*of_links, *of_true})
        for name in names:
            mine = of_links == name
            hits = int((mine & right).sum())
            counts = int(mine.sum()), int((of_true == name).sum())
            out.append(Subgroup.count(variable, name, hits, *counts))
    return out
