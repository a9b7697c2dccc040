"""Blocking passes as a schema declares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, ConfigDict

PhoneticCode = Literal["soundex", "metaphone", "nysiis"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyPart(_Value):
    """What a blocking key takes from a field's cleaned value.

    First the phonetic code; of it the characters at some places, counted from 0; of these so
    many from the start or the end. A value without all of the places is missing.
    """

    field: str
    code: PhoneticCode | None = None
    at: tuple[Annotated[int, pydantic.Field(ge=0)], ...] | None = pydantic.Field(
        default=None, min_length=1
    )
    first: int | None = pydantic.Field(default=None, ge=1)
    last: int | None = pydantic.Field(default=None, ge=1)


class BlockingPass(_Value):
    """Records are compared if all parts of the key are equal; a part missing is no key."""

    name: str = pydantic.Field(min_length=1)
    parts: tuple[KeyPart, ...] = pydantic.Field(min_length=1)


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
