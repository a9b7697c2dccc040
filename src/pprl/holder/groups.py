"""CLK groups: several filters for one record, side by side in one CLK.

A field may be in several groups. With overlapping groups a record keeps two of three
filters when one field changes: who moves house keeps the filter of names and birth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated

import pydantic
from pydantic import BaseModel, ConfigDict

from pprl.holder.hardening.options import (
    Balance,
    Diffusion,
    Hardening,
    MinHash,
    RandomisedResponse,
    RecordLevel,
)

if TYPE_CHECKING:
    from pprl.holder.schema import Field

_WORD = 64


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Salt(_Value):
    """Another field whose exact value the tokens of a group are hashed with.

    ``characters`` takes the value's first so many characters only, or, where negative,
    its last: 4 of a date in the format YYYYMMDD is the year. Records whose salts differ
    have nothing in common in that group; a record without the salt sets no bit there.

    Source: Niedermeyer, Steinmetzer, Kroll and Schnell, Cryptanalysis of basic Bloom
    filters used for privacy preserving record linkage (2014), section 6.
    """

    field: str
    characters: int | None = None

    @pydantic.field_validator("characters", mode="after")
    @classmethod
    def _some(cls, characters: int | None) -> int | None:
        if characters == 0:
            raise ValueError("take at least one character, or leave this out for all of them")
        return characters


class Group(_Value):
    """A filter of its own for some of the fields.

    ``weights`` takes, in this group alone, the place of the ``bits_per_feature`` or
    ``bits_per_token`` of the fields that it names. ``inserted_bits`` shares out so many bits
    among the fields, in proportion to their ``bits_per_feature``; without it, each inserts
    what it says itself. ``bits`` and ``hardening`` are the schema's where they are not given.
    """

    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    fields: tuple[str, ...] = pydantic.Field(min_length=1)
    weights: dict[str, Annotated[int, pydantic.Field(ge=1, le=1 << 16)]] = {}
    inserted_bits: int | None = pydantic.Field(default=None, ge=1, le=1 << 16)
    bits: int | None = pydantic.Field(default=None, ge=_WORD, le=1 << 16)
    hardening: Hardening | None = None
    salts: tuple[Salt, ...] = ()


@dataclass(frozen=True)
class Part:
    """What one filter of a record is made of, everything settled.

    Attributes:
        name: The group's name; empty for a schema without groups.
        fields: Its fields, each with the bits that it inserts into this filter.
        bits: Length of its part of the CLK.
        hardening: Its hardening.
        salts: Its salts.
    """

    name: str
    fields: tuple[Field, ...]
    bits: int
    hardening: Hardening
    salts: tuple[Salt, ...] = ()

    @property
    def filter_bits(self) -> int:
        """The filter's length before hardening."""
        if isinstance(self.hardening, RecordLevel):
            return -(-sum(length for _, length in self.slots) // _WORD) * _WORD
        return self.hardening.length_before(self.bits)

    @property
    def slots(self) -> list[tuple[int, int]]:
        """Where in the filter each field inserts: first bit and length, the whole by default."""
        if not isinstance(self.hardening, RecordLevel):
            return [(0, self.filter_bits)] * len(self.fields)
        lengths = [half_full(field.bits_per_feature or 0) for field in self.fields]
        return list(zip(accumulate([0, *lengths[:-1]]), lengths, strict=True))

    def weights(self) -> dict[str, int]:
        """Say how many bits each field's value, or each of its tokens, inserts."""
        return {
            field.name: field.bits_per_feature or field.bits_per_token or 0 for field in self.fields
        }


def half_full(insertions: int) -> int:
    """Return the length of a filter of which so many random insertions fill half.

    m with 1 - (1 - 1/m)**insertions = 1/2, rounded up (Durham and others 2014).
    """
    return math.ceil(1 / (1 - math.pow(0.5, 1 / max(insertions, 1))))


def parts_of(
    groups: Sequence[Group], fields: Sequence[Field], bits: int, hardening: Hardening
) -> tuple[Part, ...]:
    """Settle what each group takes from the schema; one nameless part without groups."""
    if not groups:
        return (Part("", tuple(fields), bits, hardening),)
    by_name = {field.name: field for field in fields}
    return tuple(
        Part(
            group.name,
            _share_out(
                [_weighted(by_name[name], group.weights) for name in group.fields],
                # Only the ratios of weights count there.
                None if isinstance(group.hardening or hardening, MinHash) else group.inserted_bits,
            ),
            group.bits or bits,
            group.hardening or hardening,
            group.salts,
        )
        for group in groups
    )


def _weighted(field: Field, weights: Mapping[str, int]) -> Field:
    """Give a field the weight that it has in a group."""
    if field.name not in weights:
        return field
    what = "bits_per_token" if field.bits_per_feature is None else "bits_per_feature"
    return field.model_copy(update={what: weights[field.name]})


def _share_out(fields: Sequence[Field], inserted_bits: int | None) -> tuple[Field, ...]:
    if inserted_bits is None:
        return tuple(fields)
    total = sum(field.bits_per_feature or 0 for field in fields)
    return tuple(
        field.model_copy(
            update={
                "bits_per_feature": max(
                    1, round(inserted_bits * (field.bits_per_feature or 0) / total)
                )
            }
        )
        for field in fields
    )


def check_groups(groups: Sequence[Group], fields: Sequence[Field], allow_field_level: bool) -> None:
    """Refuse groups that cannot be made or must be asked for.

    Raises:
        ValueError: A name that is no field's or is there twice, a field in no group, or
            a filter of one field alone without ``allow_field_level``.
    """
    by_name = {field.name: field for field in fields}
    seen: set[str] = set()
    used: set[str] = set()
    for group in groups:
        if group.name in seen:
            raise ValueError(f"group {group.name!r} is there twice")
        seen.add(group.name)
        salts = [salt.field for salt in group.salts]
        for name in (*group.fields, *salts):
            if name not in by_name:
                raise ValueError(f"group {group.name!r} names no field that is encoded: {name!r}")
        for names in (group.fields, salts):
            if len(set(names)) < len(names):
                raise ValueError(f"group {group.name!r} names a field twice")
        for name in group.weights:
            if name not in group.fields:
                raise ValueError(f"group {group.name!r} weighs {name!r}, which it does not have")
        if group.inserted_bits is not None and any(
            by_name[name].bits_per_feature is None for name in group.fields
        ):
            raise ValueError(
                f"group {group.name!r} has inserted_bits, so all its fields need bits_per_feature"
            )
        if len(group.fields) == 1 and not allow_field_level:
            raise ValueError(
                f"group {group.name!r} is a filter of one field, whose frequent values give "
                f"themselves away by being frequent, whatever the key; put fields together, or "
                f"say allow_field_level = true"
            )
        used |= {*group.fields, *salts}
    for name in by_name:
        if name not in used:
            raise ValueError(f"field {name!r} is in no group; add it to one, or ignore it")


def check_lengths(part: Part) -> None:
    """Refuse lengths that a filter or its hardening cannot have.

    Raises:
        ValueError: Which length, and what it must be.
    """
    where = f"group {part.name!r}: " if part.name else ""
    before, hardening = part.filter_bits, part.hardening
    blake = any(field.hash.type == "blake" for field in part.fields)
    if isinstance(hardening, RecordLevel):
        if any(field.bits_per_feature is None for field in part.fields):
            raise ValueError(f"{where}record-level filters need bits_per_feature in every field")
    elif isinstance(hardening, MinHash):
        _check_slots(part, hardening, where)
    elif blake and before & (before - 1):
        what = f"filter_bits {before}" if isinstance(hardening, Diffusion) else str(part.bits)
        raise ValueError(f"{where}bits must be a power of two for the hash 'blake', not {what}")
    if part.bits % 8:
        raise ValueError(f"{where}bits must be a multiple of 8, not {part.bits}")
    words = part.name or isinstance(hardening, Diffusion | RandomisedResponse | MinHash)
    if words and part.bits % _WORD:
        raise ValueError(f"{where}bits must be a multiple of 64, not {part.bits}")
    if isinstance(hardening, Balance) and part.bits % 16:
        raise ValueError(f"{where}bits must be a multiple of 16 to be balanced, not {part.bits}")
    if isinstance(hardening, Diffusion):
        if before % _WORD:
            raise ValueError(f"{where}filter_bits must be a multiple of 64, not {before}")
        if hardening.t > before:
            raise ValueError(f"{where}t is larger than the filter")


def _check_slots(part: Part, hardening: MinHash, where: str) -> None:
    slots = part.filter_bits
    if slots % _WORD:
        raise ValueError(f"{where}slots must be a multiple of 64, not {slots}")
    if slots < part.bits:
        raise ValueError(
            f"{where}slots must not be fewer than bits ({part.bits}), not {slots}: with fewer, "
            f"the encodings alone give the slots away"
        )
    if hardening.t > slots:
        raise ValueError(f"{where}t is larger than the number of slots")
    if any(field.hash.type != "blake" for field in part.fields):
        raise ValueError(f"{where}minhash has hashes of its own; leave hash out of its fields")
