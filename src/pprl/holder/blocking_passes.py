"""Blocking passes as a schema declares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, model_validator

PhoneticCode = Literal["soundex", "metaphone", "nysiis"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyPart(_Value):
    """What a blocking key takes from a field's cleaned value.

    First the phonetic code, or some of its letters, or the characters ``at`` some places,
    counted from 0, without all of which a value is missing; then so many characters of it,
    from the start or the end. ``letters`` are places among the value's letters, counted from
    1; where the value is too short there stands a 2, as in Australia's statistical linkage
    key. With ``length``, a cleaned value of another length counts as missing: a date of eight
    digits whose day is unknown.
    """

    field: str
    code: PhoneticCode | None = None
    letters: tuple[Annotated[int, pydantic.Field(ge=1)], ...] | None = None
    length: int | None = pydantic.Field(default=None, ge=1)
    at: tuple[Annotated[int, pydantic.Field(ge=0)], ...] | None = pydantic.Field(
        default=None, min_length=1
    )
    first: int | None = pydantic.Field(default=None, ge=1)
    last: int | None = pydantic.Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(map(bool, (self.code, self.letters, self.at))) > 1:
            raise ValueError("a part takes a phonetic code, letters or places, one of them")
        return self


class BlockingPass(_Value):
    """Records are compared if all parts of the key are equal; a part missing is no key.

    Instead of parts it may have a ``column`` of the data that holds a ready-made token of
    another scheme. The token is taken as it is and goes into no CLK.
    """

    name: str = pydantic.Field(min_length=1)
    parts: tuple[KeyPart, ...] = ()
    column: str | None = pydantic.Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.parts) == (self.column is not None):
            raise ValueError("a blocking pass has parts, or a column of tokens: one of the two")
        return self


def check_passes(passes: Sequence[BlockingPass], fields: Sequence[str]) -> None:
    """Raise ValueError for a pass that is there twice or names no encoded field."""
    names = [one.name for one in passes]
    for one in passes:
        if names.count(one.name) > 1:
            raise ValueError(f"blocking pass {one.name!r} is there twice")
        for part in one.parts:
            if part.field not in fields:
                raise ValueError(
                    f"blocking pass {one.name!r} names no field that is encoded: {part.field!r}"
                )
