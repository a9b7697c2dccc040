"""Named hardening profiles: which groups, how long, how diffused.

``default`` and ``strong`` cut a record into three overlapping groups, so that who
moves, marries or has a wrong birth date keeps one of them whole; each has 200 bits
inserted into 1,024 and is diffused apart. ``salted`` hashes the groups with names
together with the year of birth, for registers whose birth years are right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pprl.errors import UsageError

Role = Literal["name", "birth", "address"]
ProfileName = Literal["default", "strong", "salted"]

FILTER_BITS = 1024
INSERTED_BITS = 200
"""Bits that a record inserts into each filter, on average: fills about 0.18 of it."""


@dataclass(frozen=True)
class Profile:
    """How each group is hardened.

    Attributes:
        t: Positions XORed into each bit.
        bits: Length of each group's part of the CLK.
        salted: Whether groups with names are salted with the year of birth; others are
            then hardened as by default.
    """

    t: int
    bits: int
    salted: bool = False


PROFILES: Mapping[ProfileName, Profile] = {
    "default": Profile(t=10, bits=2048),
    "strong": Profile(t=12, bits=2048),
    "salted": Profile(t=10, bits=1024, salted=True),
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
    profile = PROFILES[name]
    if profile.salted and all(one.year is None for one in members):
        raise UsageError(
            "the profile 'salted' needs a column with the year of birth, four digits at the "
            "beginning or the end. Take 'default' or 'strong'."
        )
    yield f"bits = {profile.bits}    # of each group's part of the CLK"
    yield f"hardening = {_diffusion(profile)}    # profile {name!r}"
    yield f"presence_mask = true    # {MASK}"
    if len(members) == 1:
        yield "allow_field_level = true    # one field: its frequent values give themselves away"
    if len(groups_of(members)) == 1:
        yield "# One group only: overlapping ones need names, a birth date and an address."


def group_lines(name: ProfileName, members: list[Member]) -> Iterator[str]:
    """Write the groups of a profile."""
    year = next((one for one in members if one.year is not None), None)
    for group, roles in groups_of(members).items():
        inside = [one for one in members if one.role in roles]
        expected = sum(one.bits * one.filled for one in inside)
        whole = sum(one.bits for one in inside)
        yield ""
        yield "[[groups]]"
        yield f'name = "{group}"'
        yield f"fields = {json.dumps([one.name for one in inside])}"
        # Of a complete record, so that one with the usual gaps inserts INSERTED_BITS.
        yield f"inserted_bits = {round(INSERTED_BITS * whole / expected)}"
        if not PROFILES[name].salted:
            continue
        if "name" not in roles:
            plain = PROFILES["default"]
            yield f"bits = {plain.bits}"
            yield f"hardening = {_diffusion(plain)}"
        elif year is not None:
            yield f"salts = [{{ field = {json.dumps(year.name)}, characters = {year.year} }}]"


def _diffusion(profile: Profile) -> str:
    return f'{{ method = "diffusion", t = {profile.t}, filter_bits = {FILTER_BITS} }}'


def groups_of(members: list[Member]) -> dict[str, tuple[Role, ...]]:
    """Say which groups there are: three that overlap, or one with everything."""
    fields = {role: [one for one in members if one.role == role] for role in ROLES}
    if all(fields.values()):
        return dict(OVERLAPPING)
    return {"person": ROLES}


MASK = "which fields are filled goes along, for who links to weigh"
ROLES: tuple[Role, ...] = ("name", "birth", "address")
OVERLAPPING: Mapping[str, tuple[Role, Role]] = {
    "names_birth": ("name", "birth"),
    "birth_address": ("birth", "address"),
    "names_address": ("name", "address"),
}
