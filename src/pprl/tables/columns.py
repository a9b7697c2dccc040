"""Looking for columns by name, with a message that helps where one is not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pprl.errors import MissingColumn
from pprl.tables.arguments import argument

_SHOWN = 30


def require_columns(
    wanted: Sequence[str], present: Sequence[str], source: str, *, shown: bool = True
) -> None:
    """Raise `MissingColumn` if a column is not there; name those that are, and near ones.

    Args:
        wanted: The columns that are needed.
        present: The columns that are there.
        source: What messages call the table.
        shown: Whether the names that are there may be shown: not where the first line of a
            file may be a record.
    """
    missing = [name for name in dict.fromkeys(wanted) if name not in present]
    if not missing:
        return
    names = ", ".join(repr(name) for name in missing)
    if not shown:
        raise MissingColumn(
            f"{source} has none of the columns {names} in its first line. If it has no header, "
            f"give the names of its columns with {argument('csv_format', '--names')}; if its "
            f"columns have other names, say so with {argument('id_column')} and "
            f"{argument('columns', '--map')}."
        )
    pairs = [(name, near) for name in missing if (near := nearest(name, present))]
    hint = ""
    if pairs:
        meant = ", ".join(f"{near!r} for {name!r}" for name, near in pairs)
        hint = f" Names are compared to the letter: perhaps you mean {meant}."
    some = ", ".join(repr(str(name)) for name in list(present)[:_SHOWN])
    raise MissingColumn(
        f"{source} has no column {names}. Its columns are: {some}.{hint} "
        f"Name the record id with {argument('id_column')}, and the column of a field that has "
        f"another name with {argument('columns', '--map')}."
    )


def nearest(name: str, present: Sequence[str]) -> str | None:
    """Find the name that is most alike, whatever its case; None if none is much alike."""
    folded = {str(one).casefold(): str(one) for one in present}
    close = difflib.get_close_matches(name.casefold(), folded, 1, 0.8)
    return folded[close[0]] if close else None
