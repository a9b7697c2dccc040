"""Pairs and clusters as recordlinkage and Splink write them, in and out; tables only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pprl.errors import MissingColumn, UsageError

if TYPE_CHECKING:
    import pandas as pd

_SPLINK = ("unique_id_l", "unique_id_r")
_SOURCES = ("source_dataset_l", "source_dataset_r")


def pairs_table(left: Any, right: Any, similarity: Any = None, probability: Any = None) -> pa.Table:
    """Build a links table from (n,) ids of any type and scores, where there are any."""
    import pandas as pd

    from pprl.exchange.links import SCHEMA

    n = len(left)
    ids = [
        pa.array(pd.Series(one).astype(str).to_numpy(object), pa.string()) for one in (left, right)
    ]
    scores = [
        pa.nulls(n, pa.float64())
        if one is None
        else pa.array(np.asarray(one, np.float64), pa.float64(), from_pandas=True)
        for one in (similarity, probability)
    ]
    return pa.table([*ids, *scores], schema=SCHEMA)


def from_multiindex(pairs: pd.MultiIndex | pd.Series[Any] | pd.DataFrame) -> pa.Table:
    """Build a links table from pairs of index labels, as recordlinkage writes them.

    The values of a Series with such an index are taken as similarities. Labels become text.

    Raises:
        UsageError: The index does not have two levels, or a table has several columns.
    """
    import pandas as pd

    scores: Any = pairs
    index = pairs if isinstance(pairs, pd.MultiIndex) else pairs.index
    if not isinstance(index, pd.MultiIndex) or index.nlevels != 2:
        raise UsageError("pairs of records need a MultiIndex of two levels, left and right.")
    if isinstance(pairs, pd.DataFrame):
        if pairs.shape[1] > 1:
            raise UsageError(
                "comparison vectors have several columns; sum them to one similarity first."
            )
        scores = pairs.iloc[:, 0] if pairs.shape[1] else None
    similarity = scores.to_numpy(np.float64) if isinstance(scores, pd.Series) else None
    return pairs_table(index.get_level_values(0), index.get_level_values(1), similarity)


def to_multiindex(
    table: pa.Table, left: pd.Index[Any] | None = None, right: pd.Index[Any] | None = None
) -> pd.MultiIndex:
    """Return the pairs as recordlinkage takes them.

    Args:
        table: A links table.
        left: The index of the left records, to get its labels back in place of text.
        right: The index of the right records.

    Raises:
        UsageError: A record id is not a label of the index.
    """
    import pandas as pd

    ends = []
    for name, index in (("left_id", left), ("right_id", right)):
        ids = pd.Index(table[name].to_numpy(zero_copy_only=False), dtype=object)
        if index is not None:
            place = pd.Index(index.astype(str)).get_indexer(ids)
            if (place < 0).any():
                raise UsageError(f"{(place < 0).sum():,} of {name} are not labels of the index.")
            ids = index[place]
        ends.append(ids)
    return pd.MultiIndex.from_arrays(ends, names=["left_id", "right_id"])


def is_splink(frame: pd.DataFrame) -> bool:
    """Tell whether a table has the columns of Splink's predictions."""
    return set(_SPLINK) <= set(frame.columns)


def from_splink(frame: pd.DataFrame, left: str | None = None) -> pa.Table:
    """Build a links table from Splink's predictions; ``match_probability`` as probability.

    Args:
        frame: ``unique_id_l, unique_id_r`` and, where there are, ``source_dataset_l,
            source_dataset_r, match_probability``.
        left: The source dataset whose records are the left ones; a pair that stands the
            other way round is turned. By default that of the first column, if it is one.

    Raises:
        MissingColumn: ``unique_id_l`` or ``unique_id_r`` is missing.
        UsageError: Both records of a pair are from ``left``, or none is; or which is left
            cannot be told.
    """
    for name in _SPLINK:
        if name not in frame.columns:
            raise MissingColumn(
                f"Splink's predictions have a column {name!r}; this table has none."
            )
    ends = [frame[name].astype(str).to_numpy(object) for name in _SPLINK]
    if set(_SOURCES) <= set(frame.columns):
        first, second = (frame[name].astype(str).to_numpy(object) for name in _SOURCES)
        if left is None and len(first):
            left = first[0]
            if (first != left).any() and (second != left).any():
                raise UsageError("pairs stand both ways round. Say which source dataset is left.")
        straight, turned = first == left, second == left
        if (straight == turned).any():
            raise UsageError(
                f"{(straight == turned).sum():,} pairs are not between a record of {left!r} and "
                f"one of another dataset."
            )
        ends = [np.where(straight, *ends), np.where(straight, *ends[::-1])]
    elif left is not None:
        raise UsageError("the predictions have no source_dataset_l and source_dataset_r.")
    chance = frame["match_probability"] if "match_probability" in frame.columns else None
    return pairs_table(ends[0], ends[1], probability=chance)


def to_splink(table: pa.Table, left: str = "left", right: str = "right") -> pd.DataFrame:
    """Return pairs with the columns of Splink's predictions.

    ``match_probability`` is the probability and, as in Splink, ``match_weight`` the
    logarithm to base 2 of its odds; missing where nothing estimated them.

    Args:
        table: A links table.
        left: The name of the left source dataset.
        right: The name of the right one.
    """
    import pandas as pd

    chance = table["probability"].to_numpy(zero_copy_only=False).astype(np.float64)
    with np.errstate(divide="ignore"):
        weight = np.log2(chance) - np.log2(1 - chance)
    return pd.DataFrame(
        {
            "match_weight": weight,
            "match_probability": chance,
            "source_dataset_l": left,
            "unique_id_l": table["left_id"].to_numpy(zero_copy_only=False),
            "source_dataset_r": right,
            "unique_id_r": table["right_id"].to_numpy(zero_copy_only=False),
        }
    )
