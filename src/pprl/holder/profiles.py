"""Named hardening profiles: which groups, how long, how diffused.

A record is cut into three overlapping groups, so that who moves, marries or has a wrong
birth date keeps one of them whole, and goes into a fourth as a whole, for those in whom
every field is a little wrong. Each is diffused apart, into as many bits as its filter has:
with more, the encodings alone give the secret positions away (docs/explanation/what-fell.md).
The more two people of one household have in common in a group, the larger its t. No profile
withstands somebody with a list of the same people where these live in families.
``salted`` hashes the groups with names together with the year of birth, for registers
whose birth years are right.

``fields``, which must be asked for, is no hardening: each field has a plain filter to itself, for
a linkage unit that may see how often each value is there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pprl.errors import UsageError

Role = Literal["name", "birth", "address"]
ProfileName = Literal["default", "strong", "salted"]

FIELD_FILL = 0.25
"""What share of its own filter a field fills at most."""
_WORD = 64
INSERTED_SHARE = 400 / 2048
"""Bits that a record inserts into each filter, on average, over the filter's length.

Fills about 0.18 of it, as in Armknecht, Heng and Schnell (PoPETs 2023(2))."""

MASK = "which fields are filled goes along, for who links to weigh"
PERSON = "person"
ROLES: tuple[Role, ...] = ("name", "birth", "address")
GROUPS: Mapping[str, tuple[Role, ...]] = {
    "names_birth": ("name", "birth"),
    "birth_address": ("birth", "address"),
    "names_address": ("name", "address"),
    PERSON: ROLES,
}


@dataclass(frozen=True)
class Diffused:
    """How a group is hardened.

    Attributes:
        t: Positions XORed into each bit.
        bits: Length of the group's filter and of its part of the CLK.
        salted: Whether its values are salted with the year of birth.
    """

    t: int
    bits: int = 2048
    salted: bool = False


PROFILES: Mapping[ProfileName, Mapping[str, Diffused]] = {
    "default": {
        "names_birth": Diffused(12),
        "birth_address": Diffused(12),
        "names_address": Diffused(13),
        PERSON: Diffused(9),
    },
    "strong": {
        "names_birth": Diffused(15),
        "birth_address": Diffused(15),
        "names_address": Diffused(16),
        PERSON: Diffused(12),
    },
    "salted": {
        "names_birth": Diffused(10, 1024, salted=True),
        "birth_address": Diffused(12),
        "names_address": Diffused(10, 1024, salted=True),
        PERSON: Diffused(10, 1024, salted=True),
    },
}


@dataclass(frozen=True)
class Member:
    """A field that a profile puts into groups.

    Attributes:
        name: The field.
        role: Part of a name, of what one is born with, or of an address.
        bits: Its ``bits_per_feature``.
        filled: Share of records with a value.
        year: Which characters of the value are the year of birth; None if it has none.
    """

    name: str
    role: Role
    bits: int
    filled: float
    year: int | None = None


def profile_lines(name: ProfileName, members: list[Member]) -> Iterator[str]:
    """Write the lines of a schema that a profile decides, but for the fields.

    Top-level keys come first; the groups, which are tables, in `group_lines`.

    Raises:
        UsageError: The profile needs a year of birth, and no column has one.
    """
    salted = any(group.salted for group in PROFILES[name].values())
    if salted and all(one.year is None for one in members):
        raise UsageError(
            "the profile 'salted' needs a column with the year of birth, four digits at the "
            "beginning or the end. Take 'default' or 'strong'."
        )
    usual = _usual(name, members)
    yield f"bits = {usual.bits}    # of each group's part of the CLK"
    yield f"hardening = {_diffusion(usual)}    # profile {name!r}"
    yield f"presence_mask = true    # {MASK}"
    if len(members) == 1:
        yield "allow_field_level = true    # one field: its frequent values give themselves away"
    if len(groups_of(members)) == 1:
        yield "# One group only: overlapping ones need names, a birth date and an address."


def group_lines(name: ProfileName, members: list[Member]) -> Iterator[str]:
    """Write the groups of a profile."""
    usual = _usual(name, members)
    year = next((one for one in members if one.year is not None), None)
    for group, roles in groups_of(members).items():
        inside = [one for one in members if one.role in roles]
        expected = sum(one.bits * one.filled for one in inside)
        whole = sum(one.bits for one in inside)
        made = PROFILES[name][group]
        yield ""
        yield "[[groups]]"
        yield f'name = "{group}"'
        yield f"fields = {json.dumps([one.name for one in inside])}"
        # Of a complete record, so that one with the usual gaps inserts INSERTED_SHARE.
        yield f"inserted_bits = {round(INSERTED_SHARE * made.bits * whole / expected)}"
        if made.bits != usual.bits:
            yield f"bits = {made.bits}"
        if made.t != usual.t:
            yield f"hardening = {_diffusion(made)}"
        if made.salted and year is not None:
            yield f"salts = [{{ field = {json.dumps(year.name)}, characters = {year.year} }}]"


def field_lines() -> Iterator[str]:
    """Write the lines of ``fields``, but for the fields and their groups."""
    yield "# A filter for each field: a linkage unit that knows how often names are borne can tell"
    yield "# the frequent ones by counting equal filters, whatever the key. Fewest links are lost;"
    yield "# choose it where the unit may know this much."
    yield "allow_field_level = true"
    yield 'hardening = { method = "none" }'
    yield f"presence_mask = true    # {MASK}"


def field_group_lines(members: list[Member]) -> Iterator[str]:
    """Write a group for each field, of which a value fills an eighth to a quarter."""
    for number, one in enumerate(members, start=1):
        # A group's name is of ASCII letters and digits, and a column's may have none.
        name = re.sub(r"[^a-z0-9]+", "_", one.name.lower())[:30].strip("_")
        yield ""
        yield "[[groups]]"
        yield f'name = "f{number}_{name}"'
        yield f"fields = {json.dumps([one.name])}"
        yield f"bits = {max(_WORD, 1 << math.ceil(math.log2(one.bits / FIELD_FILL)))}"


def _usual(name: ProfileName, members: list[Member]) -> Diffused:
    """Say how the first group is hardened; others say where they differ."""
    return PROFILES[name][next(iter(groups_of(members)))]


def _diffusion(made: Diffused) -> str:
    return f'{{ method = "diffusion", t = {made.t} }}'


def groups_of(members: list[Member]) -> dict[str, tuple[Role, ...]]:
    """Say which groups there are: those that overlap, or one with everything."""
    fields = {role: [one for one in members if one.role == role] for role in ROLES}
    if all(fields.values()):
        return dict(GROUPS)
    return {PERSON: ROLES}
