"""Who is linked: linkage rates, standardised differences and recall by group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TypeAlias

import numpy as np
import pandas as pd

from pprl.errors import MissingColumn, RecordIdError, UsageError
from pprl.evaluation.report.curves import figure
from pprl.evaluation.report.model import Count, Group, Subgroup
from pprl.evaluation.report.suppression import two_columns, withhold
from pprl.evaluation.tables import id_texts, read_table

Groups: TypeAlias = "Mapping[str, pd.DataFrame | str | PathLike[str]]"
"""For a holder, a table or CSV or Parquet file: ``record_id`` and columns of groups."""

OTHER = "other"
NOT_STATED = "not stated"
MOST = 40
"""The most groups that a property may have."""


@dataclass(frozen=True)
class Linked:
    """What happened to a holder's records.

    Attributes:
        ids: Ids of the records that were linked.
        records: Number of records.
        open: Whether the number of linked records may be shown.
        with_partner: Ids of the records with a true partner, where a truth is known.
        found: Those of them with a link to one.
    """

    ids: pd.Index
    records: int
    open: bool
    with_partner: pd.Index | None = None
    found: pd.Index | None = None


def read_groups(holder: str, given: pd.DataFrame | str | PathLike[str]) -> pd.DataFrame:
    """Read a holder's groups: ``record_id`` and at least one column of groups.

    Raises:
        UnreadableFile: The file cannot be read.
        MissingColumn: There is no ``record_id``, or nothing beside it.
        RecordIdError: A record is there twice, or without an id.
    """
    table = given if isinstance(given, pd.DataFrame) else read_table(given)
    if "record_id" not in table.columns or len(table.columns) < 2:
        raise MissingColumn(
            f"the groups of {holder!r} need a column record_id and at least one with groups."
        )
    ids = table["record_id"]
    if ids.isna().any() or ids.duplicated().any():
        raise RecordIdError(f"the groups of {holder!r} name a record twice or leave out its id.")
    return table.assign(record_id=id_texts(ids, f"the table of groups of {holder!r}"))


def subgroups(holder: str, table: pd.DataFrame, linked: Linked, least: int) -> list[Subgroup]:
    """Break a holder's linkage down by each column of its groups.

    Records that the table does not have, and empty values, are ``not stated``.

    Raises:
        UsageError: The table has more records than the run, or a property too many groups.
    """
    if len(table) > linked.records:
        raise UsageError(
            f"the groups of {holder!r} have {len(table):,} records and the run "
            f"{linked.records:,}. Are they another holder's?"
        )
    unknown = linked.records - len(table)
    is_linked = table["record_id"].isin(linked.ids)
    missing = len(linked.ids) - int(is_linked.sum())
    if missing > unknown:
        raise UsageError(
            f"the groups of {holder!r} lack linked records and have others. Do their record ids "
            f"agree with those of the run?"
        )
    made = []
    for variable in table.columns.drop("record_id"):
        group = table[variable].astype("string").str.strip()
        group = group.mask(group == "").fillna(NOT_STATED)
        counts = pd.crosstab(group, is_linked).reindex(columns=[True, False], fill_value=0)
        if unknown:
            extra = pd.DataFrame([[missing, unknown - missing]], [NOT_STATED], [True, False])
            counts = counts.add(extra, fill_value=0).astype(int)
        label, groups, merged = _reported(counts, linked.open, least)
        counts = _merged(counts, label)
        if len(counts) > MOST:
            raise UsageError(
                f"{variable!r} of {holder!r} has {len(counts):,} groups; at most {MOST} can be "
                f"reported. Make them coarser."
            )
        recall = _recall(table, group, label, counts.index, linked, least)
        made.append(
            Subgroup(
                holder=holder,
                variable=str(variable),
                groups=groups
                and [
                    one.model_copy(update={"recall": figure(*recall[one.group])})
                    if one.group in recall
                    else one
                    for one in groups
                ],
                merged=merged,
            )
        )
    return made


def _reported(
    counts: pd.DataFrame, may_show: bool, least: int
) -> tuple[dict[str, str], list[Group] | None, int]:
    """Merge the smallest groups until none has few records and counts can be withheld safely.

    Returns the group that each is reported in, the groups, and how many were merged.
    """
    sizes = counts.sum(axis=1).sort_values(kind="stable")
    kept = {str(name): str(name) for name in counts.index}
    small = int((sizes < least).sum())
    while True:
        if small == 1 or 0 < sizes.iloc[:small].sum() < least:
            small = min(small + 1, len(sizes))
        label = kept | {str(name): OTHER for name in sizes.index[:small]}
        groups = _groups(_merged(counts, label), may_show, least)
        if groups is not None or small == len(sizes):
            return label, groups, small
        small += 1


def _merged(counts: pd.DataFrame, label: Mapping[str, str]) -> pd.DataFrame:
    """Add up the groups that are reported as one."""
    return counts.groupby(counts.index.map(dict(label)), sort=False).sum()


def _groups(counts: pd.DataFrame, may_show: bool, least: int) -> list[Group] | None:
    cells = counts.to_numpy(np.int64)
    sizes, totals = cells.sum(axis=1), cells.sum(axis=0)
    if (sizes < least).any():
        return None
    hidden = [True] * len(cells)
    if may_show:
        mask = withhold(cells.reshape(-1).tolist(), two_columns(len(cells)), least)
        if mask is None:
            return None
        hidden = [bool(pair.any()) for pair in mask.reshape(-1, 2)]
    groups = []
    for name, (yes, no), withheld in zip(counts.index, cells.tolist(), hidden, strict=True):
        groups.append(
            Group(
                group=str(name),
                records=yes + no,
                linked=Count(value=None if withheld else yes),
                unlinked=Count(value=None if withheld else no),
                linkage_rate=None if withheld else figure(yes, yes + no),
                difference=None if withheld else _difference(yes, no, *totals.tolist()),
                recall=None,
            )
        )
    last = {OTHER: 1, NOT_STATED: 2}
    return sorted(groups, key=lambda one: (last.get(one.group, 0), one.group))


def _difference(linked: int, unlinked: int, all_linked: int, all_unlinked: int) -> float | None:
    """Standardised difference of a proportion (Austin, Stat Med 28 (2009), p. 3083)."""
    if not all_linked or not all_unlinked:
        return None
    p, q = linked / all_linked, unlinked / all_unlinked
    spread = math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    return round((p - q) / spread, 3) if spread else 0.0


def _recall(
    table: pd.DataFrame,
    group: pd.Series,
    label: Mapping[str, str],
    names: pd.Index,
    linked: Linked,
    least: int,
) -> dict[str, tuple[int, int]]:
    """Count found and all true partners by group, where neither gives few people away."""
    if linked.with_partner is None or linked.found is None:
        return {}
    true = table["record_id"].isin(linked.with_partner)
    found = true & table["record_id"].isin(linked.found)
    reported = group.map(dict(label))
    counts = pd.DataFrame({"found": found, "missed": true & ~found}).groupby(reported).sum()
    cells = counts.reindex(names, fill_value=0).to_numpy(np.int64)
    if (cells.sum(axis=0) < least).any():
        return {}
    mask = withhold(cells.reshape(-1).tolist(), two_columns(len(cells)), least)
    if mask is None:
        return {}
    shown = [not pair.any() for pair in mask.reshape(-1, 2)]
    return {
        str(name): (int(yes), int(yes + no))
        for name, (yes, no), show in zip(names, cells, shown, strict=True)
        if show
    }
