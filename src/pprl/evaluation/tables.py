"""Tables that an evaluator brings: true pairs, links of other software, groups of records."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import MissingColumn, UnreadableFile, UsageError
from pprl.exchange.foreign import is_splink, pairs_table
from pprl.exchange.links import Links
from pprl.exchange.untrusted.tables import read_any_table
from pprl.exchange.untrusted.text import for_spreadsheets

PairTable: TypeAlias = "str | PathLike[str] | pd.DataFrame | pd.MultiIndex | pd.Series[Any] | Links"
"""Pairs: a `Links`, a CSV or Parquet file or a table with ``left_id, right_id`` and, where
there are, ``similarity, probability``; a MultiIndex (recordlinkage), with similarities as a
Series or without; or Splink's predictions."""


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a CSV file, every value as text, or a Parquet file.

    Raises:
        UnreadableFile: It is missing, or no table.
    """
    try:
        if Path(path).suffix == ".parquet":
            frame: pd.DataFrame = read_any_table(path).to_pandas()
            return frame
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UnreadableFile(f"{path}: there is no such file.") from None
    except UnreadableFile:
        raise
    except Exception as error:
        raise UnreadableFile(
            f"{path} cannot be read as a table ({type(error).__name__})."
        ) from None


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
            raise MissingColumn(f"{what} has no column {name!r}; it needs {needs}.")


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
    return _once(Links(pairs_table(frame["left_id"], frame["right_id"], *scores)))


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
