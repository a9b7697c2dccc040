"""Opt-out lists: whose records are left out, whatever the form of the list.

A person who opted out is never encoded because of the list's form: a list that is not
understood is refused, and so is one of which no id, or an id without its zeros, is met.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import MissingColumn, PprlWarning, RecordIdError
from pprl.tables.arguments import argument
from pprl.tables.read import Table, column_names, read_texts
from pprl.tables.text import plain_text

Exclude: TypeAlias = "Iterable[Any] | str | PathLike[str] | Table"
"""Record ids, as a collection, a file or a table."""


@dataclass(frozen=True)
class OptOut:
    """Who is left out.

    Attributes:
        ids: (n,) distinct record ids, without blanks around them.
        header: The first line of a file with one column: an id if the file has no header.
            It is left out if it is met, and not missed if it is not.
    """

    ids: pa.StringArray
    header: str | None = None

    @property
    def bare(self) -> pa.StringArray:
        """The ids without leading zeros."""
        return pc.ascii_ltrim(self.ids, "0")

    def met(self, record_ids: pa.StringArray) -> pa.Int32Array:
        """Return (records,) the place of each record id in the list, null if it is not there."""
        return pc.index_in(pc.utf8_trim_whitespace(record_ids), self.ids)

    def nearly_met(self, record_ids: pa.StringArray) -> pa.Int32Array:
        """The same, leading zeros apart."""
        return pc.index_in(pc.ascii_ltrim(pc.utf8_trim_whitespace(record_ids), "0"), self.bare)

    def check(self, met: NDArray[np.bool_], nearly: NDArray[np.bool_]) -> None:
        """Say how many ids of the list met no record; refuse a list that lost its zeros.

        Args:
            met: (ids,) whether a record has the id.
            nearly: (ids,) whether one has it but for leading zeros.

        Raises:
            RecordIdError: No id met a record, or one would have but for leading zeros.
        """
        asked = np.ones(len(self.ids), bool)
        if self.header is not None:
            asked[pc.index(self.ids, self.header).as_py()] = False
        missed = asked & ~met
        zeros = int((missed & nearly).sum())
        if zeros:
            raise RecordIdError(
                f"{zeros:,} ids of the opt-out list meet no record, and would if leading zeros did "
                f"not count. The list has lost its zeros, as a spreadsheet does: export the column "
                f"as text. Nothing was encoded."
            )
        if missed.any() and not met.any():
            raise RecordIdError(
                f"none of the {int(asked.sum()):,} ids of the opt-out list is the id of a record. "
                f"Is it the list of this file, and {argument('exclude_column')} right? "
                f"Nothing was encoded."
            )
        if missed.any():
            warnings.warn(
                f"{int(missed.sum()):,} of {int(asked.sum()):,} ids of the opt-out list are the id "
                f"of no record",
                PprlWarning,
                stacklevel=5,
            )


def read_opt_out(exclude: Exclude, id_column: str, column: str | None = None) -> OptOut | None:
    """Read whose records are left out; None if nobody's are.

    Args:
        exclude: A collection of ids of any type, or what `pprl.tables.read` reads.
        id_column: What the column of ids is called in the records.
        column: What it is called in the list; else as in the records, in any case, or the
            only column that there is.

    Raises:
        MissingColumn: Which column holds the ids cannot be told.
        EmptyInput: The file has no line at all.
        UnreadableFile: The file is missing, damaged or of another kind.
    """
    if _is_collection(exclude):
        ids = _ids_of(cast("Iterable[Any]", exclude))
        return OptOut(ids) if len(ids) else None
    names = column_names(exclude)
    named = column or next((one for one in names if one.casefold() == id_column.casefold()), None)
    if named is None and len(names) > 1:
        raise MissingColumn(
            f"the opt-out list has {len(names)} columns, and none is called {id_column!r} in its "
            f"first line. Say which one holds the record ids: {argument('exclude_column')}."
        )
    texts = read_texts(exclude, [named or names[0]]).iloc[:, 0]
    header = None
    if named is None:
        # One column, of another name: perhaps there is no header, and this is an id.
        header = names[0].strip()
    ids = _ids_of([header, *texts] if header else texts)
    if not len(ids):
        return None
    if len(ids) == 1:
        # The only line there is: either an id, or a header that is not the records'.
        header = None
    return OptOut(ids, header)


def _is_collection(exclude: Any) -> bool:
    if isinstance(exclude, str | PathLike):
        return False
    if isinstance(exclude, list | tuple | set | frozenset | range | dict | np.ndarray):
        return True
    if isinstance(exclude, pa.Array | pa.ChunkedArray):
        return True
    return type(exclude).__name__ in ("Series", "Index", "dict_keys", "dict_values", "generator")


def _ids_of(values: Iterable[Any]) -> pa.StringArray:
    given = [value.as_py() if isinstance(value, pa.Scalar) else value for value in values]
    kinds = {type(value) for value in given if value is not None}
    if len(kinds) > 1:
        given = [None if value is None else str(value) for value in given]
    texts = pc.utf8_trim_whitespace(plain_text(pa.array(given, from_pandas=True)))
    return pc.unique(texts.filter(pc.fill_null(pc.not_equal(texts, ""), False)))
