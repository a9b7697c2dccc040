"""Tables that an evaluator brings: true pairs, links of other software, groups of records."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import MissingColumn, PprlWarning, RecordIdError, UnreadableFile, UsageError
from pprl.exchange.foreign import is_splink, pairs_table
from pprl.exchange.links import Links
from pprl.exchange.untrusted.text import for_spreadsheets
from pprl.tables.columns import nearest
from pprl.tables.frames import object_text
from pprl.tables.read import read_texts
from pprl.tables.text import plain_text

_SHOWN = 10

PairTable: TypeAlias = "str | PathLike[str] | pd.DataFrame | pd.MultiIndex | pd.Series[Any] | Links"
"""Pairs: a `Links`, a CSV or Parquet file or a table with ``left_id, right_id`` and, where
there are, ``similarity, probability``; a MultiIndex (recordlinkage), with similarities as a
Series or without; or Splink's predictions."""


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a table whole, every value as text, a missing one as an empty text.

    Takes the files that `pprl.tables.read` takes: CSV of any dialect, Parquet, sheets, URLs.

    Raises:
        UnreadableFile: It is missing, or no table.
    """
    return read_texts(path).fillna("")


def id_texts(column: pd.Series[Any], what: str) -> pd.Series[Any]:
    """Write record ids as text: 3.0 as 3, without blanks around them.

    Raises:
        RecordIdError: An id is missing; the rows are named.
    """
    values: Any = pa.array(column, from_pandas=True) if column.dtype != object else None
    if values is None:
        there = column.where(column.notna(), None)
        values = pa.array([None if v is None else object_text(v) for v in there], pa.string())
    texts = pc.utf8_trim_whitespace(plain_text(values))
    missing = pc.fill_null(pc.equal(texts, ""), True).to_numpy(zero_copy_only=False)
    if missing.any():
        rows = np.flatnonzero(missing) + 1
        shown = ", ".join(map(str, rows[:_SHOWN]))
        raise RecordIdError(
            f"{what} has {len(rows):,} rows without {column.name!r}: row {shown}"
            + (" and more." if len(rows) > _SHOWN else ".")
        )
    return pd.Series(texts.to_numpy(zero_copy_only=False), column.index, dtype=object)


def check_met(
    asked: Iterable[str], known: Iterable[str], what: str, where: str, *, refuse_all: bool = True
) -> None:
    """Say how many ids of a table are nowhere; refuse a table of which no id is met.

    Args:
        asked: The ids of the table.
        known: The ids that there are.
        what: What messages call the ids.
        where: What messages call the place where they should be.
        refuse_all: Whether a table of which no id is met is refused, or only told.

    Raises:
        RecordIdError: No id is met, or one would be if leading zeros did not count.
    """
    ids, there = set(asked), set(known)
    missed = ids - there
    if not missed:
        return
    bare = {one.lstrip("0") for one in there}
    zeros = sum(one.lstrip("0") in bare for one in missed)
    if zeros and 2 * zeros > len(missed):
        raise RecordIdError(
            f"{zeros:,} of {len(ids):,} {what} are not in {where}, and would be if leading zeros "
            f"did not count. The table has lost its zeros, as a spreadsheet does: export the "
            f"column as text."
        )
    if len(missed) == len(ids) and refuse_all:
        raise RecordIdError(
            f"none of the {len(ids):,} {what} is in {where}. Are they ids of these files, and are "
            f"left and right not swapped?"
        )
    warnings.warn(
        f"{len(missed):,} of {len(ids):,} {what} are not in {where}", PprlWarning, stacklevel=4
    )


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV in which no cell is a formula to a spreadsheet."""
    made = frame.copy()
    for at, name in enumerate(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame.dtypes.iloc[at]):
            made.isetitem(at, for_spreadsheets(frame[name]))
    return made.to_csv(index=False)


def need_columns(frame: pd.DataFrame, names: list[str], what: str, needs: str) -> None:
    """Raise `MissingColumn` unless the table has these columns."""
    for name in names:
        if name not in frame.columns:
            near = nearest(name, [str(one) for one in frame.columns])
            hint = f" Perhaps {near!r} is meant: rename it." if near else ""
            raise MissingColumn(f"{what} has no column {name!r}; it needs {needs}.{hint}")


def links_of(pairs: PairTable, what: str = "the table of pairs") -> Links:
    """Take pairs from whatever holds them; each pair once, with its first score.

    Raises:
        MissingColumn: The table has no column ``left_id`` or ``right_id``.
        UnreadableFile: The file cannot be read.
        UsageError: An index or a table of Splink's is not one of pairs.
    """
    if isinstance(pairs, Links):
        return pairs
    if isinstance(pairs, pd.MultiIndex | pd.Series):
        return _once(Links.from_multiindex(pairs))
    frame = pairs if isinstance(pairs, pd.DataFrame) else read_table(pairs)
    if is_splink(frame):
        return _once(Links.from_splink(frame))
    if isinstance(frame.index, pd.MultiIndex) and "left_id" not in frame.columns:
        return _once(Links.from_multiindex(frame))
    need_columns(frame, ["left_id", "right_id"], what, "left_id,right_id")
    scores = [
        _numbers(frame[name], what) if name in frame.columns else None
        for name in ("similarity", "probability")
    ]
    ends = (id_texts(frame[name], what) for name in ("left_id", "right_id"))
    return _once(Links(pairs_table(*ends, *scores)))


def true_pairs(truth: PairTable) -> pd.DataFrame:
    """Return the true pairs, ``left_id, right_id``, as text, each once.

    Raises:
        UsageError: There are none.
        MissingColumn: The truth has no column ``left_id`` or ``right_id``.
        UnreadableFile: The truth cannot be read.
    """
    if isinstance(truth, pd.DataFrame):
        truth = truth.drop(columns=["similarity", "probability"], errors="ignore")
    frame = links_of(truth, "the truth").to_pandas()[["left_id", "right_id"]]
    if not len(frame):
        raise UsageError("the truth has no pairs; without any, recall has no meaning.")
    return frame.drop_duplicates(ignore_index=True)


def pair_codes(*tables: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Number pairs of ids, equal pairs alike, across tables; (n,) int64 for each table."""
    codes = [np.empty(0, np.int64)] * len(tables)
    ends = [
        pd.factorize(np.concatenate([table[name].to_numpy(object) for table in tables]))
        for name in ("left_id", "right_id")
    ]
    every = ends[0][0].astype(np.int64) * (1 + len(ends[1][1])) + ends[1][0]
    borders = np.cumsum([0, *(len(table) for table in tables)])
    for at in range(len(tables)):
        codes[at] = every[borders[at] : borders[at + 1]]
    return codes


def score_of(links: Links) -> NDArray[np.float64]:
    """Return what to rank by: similarity, or probability where there is no similarity.

    Raises:
        UsageError: Pairs have neither.
    """
    for name in ("similarity", "probability"):
        score: NDArray[np.float64] = links.table[name].to_numpy(zero_copy_only=False)
        if not np.isnan(score).any():
            return score
    raise UsageError("the pairs have no similarity, and no probability either.")


def best_first(
    frame: pd.DataFrame, score: NDArray[np.float64], one_to_one: bool
) -> NDArray[np.int64]:
    """Rank pairs by score, falling, equals in the order of the table; (m,) their places.

    With ``one_to_one`` a pair is left out when one of its records stands in a better one
    (greedy, as `pprl.linkage.assignment`). What is left above any score is then what one-to-one
    matching with that threshold gives.
    """
    from pprl.kernels.assignment import greedy

    order = np.argsort(-score, kind="stable")
    if not one_to_one:
        return order
    left, right = (pd.factorize(frame[name])[0].astype(np.int64) for name in frame.columns[:2])
    keep = np.zeros(len(frame), bool)
    free = [np.zeros(1 + int(end.max(initial=-1)), bool) for end in (left, right)]
    greedy(left[order], right[order], free[0], free[1], keep)
    return order[keep]


def _once(links: Links) -> Links:
    frame = links.table.select(["left_id", "right_id"]).to_pandas()
    repeated = frame.duplicated().to_numpy()
    return Links(links.table.filter(~repeated)) if repeated.any() else links


def _numbers(column: pd.Series[Any], what: str) -> NDArray[np.float64]:
    try:
        return np.asarray(pd.to_numeric(column.replace("", None)), np.float64)
    except (ValueError, TypeError):
        raise UnreadableFile(f"{what}: column {column.name!r} is not of numbers.") from None
