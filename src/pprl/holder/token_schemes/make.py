"""Tokens of other schemes for a table of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, get_args

import pyarrow as pa

from pprl.errors import EmptyInput, MissingColumn, RecordIdError, UsageError
from pprl.exchange.key_files import read_key_file
from pprl.holder.choices import TokenScheme
from pprl.holder.token_schemes import open_link, opprl
from pprl.tables.arguments import argument
from pprl.tables.columns import require_columns
from pprl.tables.csv_files import CsvFormat
from pprl.tables.read import Table, column_names, read_texts

if TYPE_CHECKING:
    import pandas as pd

SCHEMES: tuple[TokenScheme, ...] = get_args(TokenScheme)
"""OPPRL in its three versions, as ``spindle-token`` makes it, and Open Link Token."""

Secret = bytes | str | PathLike[str]
_Row = Mapping[str, str | None]
_Message = Callable[[tuple[str, ...], _Row], bytes | None]


def make_tokens(
    data: Table,
    scheme: TokenScheme,
    secret: Secret,
    *,
    id_column: str,
    columns: Mapping[str, str] | None = None,
    tokens: Sequence[str] | None = None,
    keep: bool = False,
    csv_format: CsvFormat | None = None,
) -> pa.Table:
    """Make the tokens of another scheme, equal in every bit to those of its own software.

    A token is made of the values as they are in the table, cleaned as its scheme cleans them and
    not as a linkage schema does. Records have equal tokens if what is left is equal.

    Args:
        data: People's records, as `pprl.tables.read` takes them.
        scheme: One of `SCHEMES`.
        secret: The scheme's secret, or the path of its file: an RSA private key in PEM for OPPRL,
            the hashing secret for Open Link Token.
        id_column: The column with the record ids; unique, without gaps.
        columns: The table's column for a part, where it has another name. Parts of OPPRL:
            ``first_name``, ``last_name``, ``gender``, ``birth_date``, ``email``, ``hem``,
            ``phone``, ``ssn``, ``group_number``, ``member_id``; of Open Link Token:
            ``first_name``, ``last_name``, ``sex``, ``birth_date``, ``postal_code``, ``ssn``.
        tokens: Which tokens, by name; by default those whose parts are all in the table.
        keep: Put the tokens beside all columns of the table, to encode both.
        csv_format: How a CSV file is written.

    Returns:
        The record ids, under the name of ``id_column``, and a column of text for each token, null
        where a part is missing or the scheme does not accept it. With ``keep``, all columns.

    Raises:
        UsageError: The scheme or a token is unknown, or a part is none of the scheme's.
        LinkageKeyError: The secret is of another kind.
        MissingColumn: A column is not in the data, or no token can be made of it.
        RecordIdError: A record id is missing or not unique.
        EmptyInput: There are no records.
        MissingDependency: A phonetic code or telephone numbers need a package.

    Example:
        >>> import pandas as pd
        >>> people = pd.DataFrame({"id": ["1"], "last_name": ["Jansen"], "first_name": ["Anna"],
        ...                        "sex": ["F"], "birth_date": ["1970-01-02"]})
        >>> made = make_tokens(people, "openlinktoken", b"a secret", id_column="id")
        >>> made.column_names
        ['id', 'openlinktoken_t1', 'openlinktoken_t3', 'openlinktoken_t5']
    """
    if scheme not in SCHEMES:
        raise UsageError(f"there is no token scheme {scheme!r}; there are {', '.join(SCHEMES)}.")
    held = [_secret(secret, exact=scheme.startswith("opprl"))]
    version = scheme.removeprefix("opprl-")
    if scheme == "openlinktoken":
        sign, offered, parts = open_link.signer(held.pop()), open_link.TOKENS, open_link.PARTS
        functions, message = open_link.attributes(), open_link.message_of
    else:
        sign, offered = opprl.signer(version, held.pop()), opprl.tokens_of(version)
        parts = opprl.PARTS
        functions, message = opprl.attributes(), partial(opprl.message_of, version)
    present = column_names(data, csv_format)
    of_part = _columns_of(parts, columns or {})
    require_columns([id_column, *(columns or {}).values()], present, "the table")
    there = {name: column for name, column in of_part.items() if column in present}
    chosen = _chosen(offered, tokens, there, parts)
    frame = read_texts(data, present if keep else [id_column, *there.values()], csv_format)
    _check_ids(frame, id_column)
    rows = _rows(frame, there)
    made = _values(chosen, rows, functions, message)
    table = {
        name: pa.array([None if one is None else sign(one) for one in messages], pa.string())
        for name, messages in made.items()
    }
    kept = [name for name in present if name not in table] if keep else [id_column]
    return pa.table({name: pa.array(frame[name], pa.string()) for name in kept} | table)


def _secret(given: Secret, *, exact: bool) -> bytes:
    """Read the secret; ``exact`` where the end of the last line is a part of it."""
    if isinstance(given, bytes):
        return given
    if not isinstance(given, str | PathLike):
        raise UsageError(f"secret= takes bytes or the path of a file, not {type(given).__name__}.")
    return read_key_file(given, strip=not exact)


def _columns_of(parts: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    for name in given:
        if name not in parts.values():
            raise UsageError(
                f"{argument('columns', '--map')}: the scheme has no part {name!r}; it has "
                f"{', '.join(dict.fromkeys(parts.values()))}."
            )
    return {name: given.get(name, name) for name in parts.values()}


def _chosen(
    offered: Mapping[str, tuple[str, ...]],
    wanted: Sequence[str] | None,
    there: Mapping[str, str],
    parts: Mapping[str, str],
) -> dict[str, tuple[str, ...]]:
    """Choose the tokens that are wanted, or that can be made of the columns that are there."""
    needs = {name: _needs(made_of, there, parts) for name, made_of in offered.items()}
    if wanted is None:
        chosen = {n: made_of for n, made_of in offered.items() if not needs[n] - set(there)}
        if not chosen:
            raise MissingColumn(
                f"the table has the columns of no token of this scheme. Its parts are "
                f"{', '.join(dict.fromkeys(parts.values()))}; name columns that have other names "
                f"with {argument('columns', '--map')}."
            )
        return chosen
    for name in wanted:
        if name not in offered:
            raise UsageError(f"the scheme has no token {name!r}; it has {', '.join(offered)}.")
        if lacking := sorted(needs[name] - set(there)):
            raise MissingColumn(
                f"token {name!r} is made of {', '.join(map(repr, lacking))}, and the table has no "
                f"such column. Name it with {argument('columns', '--map')}."
            )
    return {name: offered[name] for name in wanted}


def _needs(
    made_of: tuple[str, ...], there: Mapping[str, str], parts: Mapping[str, str]
) -> set[str]:
    names = {parts[name.split(".")[0]] for name in made_of}
    # An address that is hashed already stands for the address.
    return {"hem"} if made_of == ("email.sha2",) and "hem" in there else names


def _check_ids(frame: pd.DataFrame, id_column: str) -> None:
    ids = frame[id_column]
    if not len(ids):
        raise EmptyInput("the table has no records.")
    missing = ids.isna() | (ids == "")
    twice = ids.duplicated(keep=False) & ~missing
    for wrong, what in ((missing, "no record id"), (twice, "a record id that is there twice")):
        if wrong.any():
            row = int(wrong.to_numpy().argmax()) + 1
            raise RecordIdError(
                f"column {id_column!r} has {what} in {int(wrong.sum()):,} rows, the first of them "
                f"row {row}. Every record needs an id of its own."
            )


def _rows(frame: pd.DataFrame, there: Mapping[str, str]) -> list[dict[str, str | None]]:
    columns = [pa.array(frame[column], pa.string()).to_pylist() for column in there.values()]
    return [dict(zip(there, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(
    chosen: Mapping[str, tuple[str, ...]],
    rows: Sequence[_Row],
    functions: Mapping[str, Callable[[_Row], str | None]],
    message: _Message,
) -> dict[str, list[bytes | None]]:
    """Return for each token the message of every record; each attribute is made once."""
    needed = {name: functions[name] for made_of in chosen.values() for name in made_of}
    made: dict[str, list[bytes | None]] = {name: [] for name in chosen}
    for row in rows:
        values = {name: function(row) for name, function in needed.items()}
        for name, made_of in chosen.items():
            made[name].append(message(made_of, values))
    return made
