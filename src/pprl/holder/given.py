"""What a data holder gives: schema and key as objects or paths, columns under other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import LinkageKeyError, UsageError
from pprl.holder.absent import means_nothing
from pprl.holder.keys import LinkageKey
from pprl.holder.normalize import trim
from pprl.holder.schema import DateFormat, Field, Schema
from pprl.holder.values import as_text
from pprl.tables.arguments import argument
from pprl.tables.columns import nearest

SchemaLike: TypeAlias = "Schema | str | PathLike[str]"
"""A schema, or the path of its file."""
KeyLike: TypeAlias = "LinkageKey | str | PathLike[str]"
"""A linkage key, or the path of its file; never the key itself as text."""
ColumnNames: TypeAlias = "Mapping[str, str | Sequence[str]]"
"""The column of a field, or several that are joined."""


def as_schema(given: SchemaLike) -> Schema:
    """Return a schema as it is, or read it from its file.

    Raises:
        UnreadableFile: The file is missing or not text.
        SchemaError: It is not a valid schema.
        UsageError: It is neither a schema nor a path.
    """
    if isinstance(given, Schema):
        return given
    if isinstance(given, str | PathLike):
        return Schema.load(given)
    raise UsageError(f"schema= takes a Schema or the path of its file, not {_kind(given)}.")


def as_key(given: KeyLike) -> LinkageKey:
    """Return a key as it is, or read it from its file.

    Raises:
        LinkageKeyError: The key itself was given as text, or the file holds no key.
        UnreadableFile: The file is missing or cannot be read.
        UsageError: It is neither a key nor a path.
    """
    if isinstance(given, LinkageKey):
        return given
    if isinstance(given, str) and given.strip().startswith("pprl1-"):
        raise LinkageKeyError(
            "key= takes a LinkageKey or the path of its file, not the key itself: a key in a "
            "program is a key in its history. Load it: pprl.LinkageKey.load(path)."
        )
    if isinstance(given, str | PathLike):
        return LinkageKey.load(given)
    raise UsageError(f"key= takes a LinkageKey or the path of its file, not {_kind(given)}.")


def _kind(given: object) -> str:
    return type(given).__name__


class HolderColumns:
    """Which columns of a holder's table hold which field.

    Several columns may hold one field. They are joined with blanks, those that are empty or mean
    nothing left out; three of a date are its year, month and day, in this order.

    Args:
        schema: The schema.
        given: The holder's column, or columns, for a field that has another name.

    Raises:
        UsageError: A column is mapped to no field.
    """

    def __init__(self, schema: Schema, given: ColumnNames) -> None:
        fields = {one.name: one for one in schema.encoded_fields}
        tokens = schema.token_columns
        for name in given:
            if name not in fields and name not in tokens:
                near = nearest(name, [*fields, *tokens])
                meant = f" Perhaps {near!r} is meant." if near else ""
                raise UsageError(
                    f"{argument('columns', '--map')}: a column is mapped to {name!r}, which is no "
                    f"field of the schema.{meant} Its fields are {', '.join(fields)}."
                )
        self._joined: dict[str, tuple[Field, tuple[str, ...]]] = {}
        base: dict[str, str] = {}
        for name, field in fields.items():
            columns = given.get(name, name)
            if isinstance(columns, str):
                base[name] = columns
            else:
                base[name] = f"{name} of {'+'.join(columns)}"
                self._joined[base[name]] = field, tuple(columns)
        self._tokens: dict[str, str] = {}
        for name in tokens:
            column = given.get(name, name)
            if not isinstance(column, str):
                raise UsageError(
                    f"{argument('columns', '--map')}: the token {name!r} is in one column, not in "
                    f"{len(column)}."
                )
            self._tokens[name] = column
        self.variants = [base, *(base | one.columns for one in schema.variants)]
        """The column of each field: of a record itself, and of each variant."""

    @property
    def wanted(self) -> list[str]:
        """The columns to read, each once."""
        names: list[str] = []
        for of in self.variants:
            for name in of.values():
                names += self._joined[name][1] if name in self._joined else [name]
        names += self._tokens.values()
        return list(dict.fromkeys(names))

    def join(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add the columns that are made of several, and tokens under their names."""
        for name, (field, columns) in self._joined.items():
            parts = [as_text(batch.column(one)) for one in columns]
            made = _date_of(parts, field) if _is_date(field) and len(parts) == 3 else _words(parts)
            batch = batch.append_column(name, made)
        for name, column in self._tokens.items():
            if name != column:
                batch = batch.append_column(name, batch.column(column))
        return batch


def _is_date(field: Field) -> bool:
    by_name = {"date_dmy", "date_mdy"} & set(field.normalise)
    return isinstance(field.format, DateFormat) or bool(by_name)


def _words(parts: Sequence[pa.StringArray]) -> pa.StringArray:
    """Join texts with blanks, those that mean nothing left out; null where none is there."""
    tidy = [pc.utf8_trim_whitespace(one) for one in parts]
    there = [pc.if_else(pc.fill_null(means_nothing(one), True), "", one) for one in tidy]
    # Arrow leaves out the row where it skips every part, so blanks are taken away afterwards.
    joined = trim(pc.binary_join_element_wise(*there, " "))
    # "van" and "onbekend" is nobody called van: the field is missing, and cleaning tells it.
    nobody = pc.fill_null(means_nothing(tidy[-1]), False)
    joined = pc.if_else(nobody, tidy[-1], joined)
    return pc.if_else(pc.equal(joined, ""), None, joined)


def _date_of(parts: Sequence[pa.StringArray], field: Field) -> pa.StringArray:
    """Write a year, a month and a day as the field's format has it; 00 for what is missing."""
    year, month, day = (pc.utf8_trim_whitespace(one) for one in parts)
    whole = field.normalise or (isinstance(field.format, DateFormat) and field.format.unknown_parts)
    if whole:
        month, day = (
            pc.fill_null(pc.if_else(pc.equal(one, ""), None, one), "00") for one in (month, day)
        )
    pattern = field.format.format if isinstance(field.format, DateFormat) else "%Y-%m-%d"
    values = {
        "%Y": year, "%y": pc.utf8_slice_codeunits(year, -2),
        "%m": pc.utf8_lpad(month, 2, "0"), "%d": pc.utf8_lpad(day, 2, "0"),
    }  # fmt: skip
    pieces: list[pa.StringArray | str] = []
    rest = pattern
    while rest:
        code = rest[:2]
        if code in values:
            pieces.append(values[code])
            rest = rest[2:]
        else:
            pieces.append(rest[0])
            rest = rest[1:]
    return pc.binary_join_element_wise(*pieces, "")
