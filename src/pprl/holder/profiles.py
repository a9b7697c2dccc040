"""How a suggested schema is hardened: its CLK groups, their settings, and profiles by name.

A record is cut into three overlapping groups, so that who moves, marries or has a wrong birth date
keeps one of them whole, and goes into a fourth as a whole, for records in which every field is a
little wrong. Each group is hardened by min-hash with a ``t`` of its own. A larger t hides more and
links fewer dirty records; `pprl.evaluation.calibration` finds the smallest that withstands attacks
on a holder's own file.

``fields``, which must be asked for, is no hardening: each field has a plain filter to itself, for
a linkage unit that may see how often each value is there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pprl.errors import UsageError
from pprl.holder.schema import Schema

Role = Literal["name", "birth", "address"]

FIELD_FILL = 0.25
"""What share of its own filter a field fills at most."""
_WORD = 64

MASK = "sends a field-presence mask, so that the linkage unit can weigh missing fields"
PERSON = "person"
ROLES: tuple[Role, ...] = ("name", "birth", "address")
GROUPS: Mapping[str, tuple[Role, ...]] = {
    "names_birth": ("name", "birth"),
    "birth_address": ("birth", "address"),
    "names_address": ("name", "address"),
    PERSON: ROLES,
}
OWN_WEIGHT, SHARED_WEIGHT = 1.5, 0.6
"""Factors of what is a person's own and of what a family shares, in a file with families.

Two members of a household then agree in about a third of the weight of names and address, not in
two thirds, so that a t at which one person's records are still found hides the household.
"""


@dataclass(frozen=True)
class Setting:
    """How strongly the groups of a suggested schema are hardened.

    Attributes:
        t: One-bit min-hashes XORed into each bit.
        bits: Length of each group's part of the CLK.
        families: Whether the file holds families: what is a person's own then weighs more.
        salted: Whether groups with names are salted with the year of birth.

    Examples:
        >>> Setting(4).stricter(Setting(3, families=True))
        Setting(t=4, bits=2048, families=True, salted=False)
    """

    t: int
    bits: int = 2048
    families: bool = False
    salted: bool = False

    def of_groups(self, groups: Sequence[str]) -> dict[str, int]:
        """Return the t of each group.

        In a file with families names and address are what most people share, so they have one
        more; elsewhere the whole record has one less, since two people share little of it.
        """
        if len(groups) == 1:
            return {groups[0]: self.t}
        more = {"names_address": 1} if self.families else {PERSON: -1}
        return {group: max(2, self.t + more.get(group, 0)) for group in groups}

    def weight(self, own: bool) -> float:
        """Return the factor of a field's weight: its own, or what a family shares."""
        if not self.families:
            return 1.0
        return OWN_WEIGHT if own else SHARED_WEIGHT

    def stricter(self, other: Setting) -> Setting:
        """Return the setting that hides what either hides; fewer bits hide more."""
        return Setting(
            max(self.t, other.t),
            min(self.bits, other.bits),
            self.families or other.families,
            self.salted or other.salted,
        )


def setting_of(schema: Schema) -> Setting:
    """Return the setting of a suggested schema, so that another is not made lighter.

    Raises:
        UsageError: The schema has other groups or another hardening than a suggested one.
    """
    made = {part.name: part for part in schema.parts}
    t = {name: getattr(part.hardening, "t", 0) for name, part in made.items()}
    first = next(iter(made))
    found = Setting(
        t[first],
        made[first].bits,
        t.get("names_address", 0) > t[first],
        any(part.salts for part in made.values()),
    )
    usual = all(part.hardening.method == "minhash" for part in made.values())
    if not usual or t != found.of_groups(list(made)):
        raise UsageError(
            f"the schema {schema.name!r} has other groups or another hardening than those that "
            f"'pprl schema suggest' writes, so it cannot say how strict a schema must be."
        )
    return found


def bits_for(records: int) -> int:
    """Return the length of a group for a file of so many records.

    Longer groups link dirty records better. In small files they cost little; from 50,000 records on
    comparing every pair would take twice as long.
    """
    return 4096 if records < 50_000 else 2048


def preset(records: int, families: bool) -> Setting:
    """Return the setting where none is calibrated: what withstood attacks on files of its kind."""
    return Setting(7 if families else 4, bits_for(records), families)


STRONG = Setting(10, 2048, families=True)
"""Chosen as if the file held whole households and the attacker knew 200 of its people."""


@dataclass(frozen=True)
class Member:
    """A field that is put into groups.

    Attributes:
        name: The field.
        role: Part of a name, of what one is born with, or of an address.
        bits: Its ``bits_per_feature``.
        year: Which characters of the value are the year of birth; None if it has none.
    """

    name: str
    role: Role
    bits: int
    year: int | None = None


def setting_lines(setting: Setting, members: list[Member]) -> Iterator[str]:
    """Write the lines of a schema that a setting decides, but for fields and groups.

    Raises:
        UsageError: Salts need a year of birth, and no column has one.
    """
    if setting.salted and all(one.year is None for one in members):
        raise UsageError(
            "the profile 'salted' needs a column with the year of birth, four digits at the "
            "beginning or the end. Take 'default' or 'strong'."
        )
    yield f"bits = {setting.bits}    # of each group's part of the CLK"
    yield f"hardening = {_minhash(setting.t)}"
    yield f"presence_mask = true    # {MASK}"
    if len(members) == 1:
        yield "allow_field_level = true    # one field: its frequent values give themselves away"
    if len(groups_of(members)) == 1:
        yield "# One group only: overlapping ones need names, a birth date and an address."


def group_lines(setting: Setting, members: list[Member]) -> Iterator[str]:
    """Write the groups of a setting."""
    year = next((one for one in members if one.year is not None), None)
    groups = groups_of(members)
    t = setting.of_groups(list(groups))
    for group, roles in groups.items():
        yield ""
        yield "[[groups]]"
        yield f'name = "{group}"'
        yield f"fields = {json.dumps([one.name for one in members if one.role in roles])}"
        if t[group] != setting.t:
            yield f"hardening = {_minhash(t[group])}"
        if setting.salted and year is not None and "name" in roles:
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


def _minhash(t: int) -> str:
    return f'{{ method = "minhash", t = {t} }}'


def groups_of(members: list[Member]) -> dict[str, tuple[Role, ...]]:
    """Say which groups there are: those that overlap, or one with everything."""
    fields = {role: [one for one in members if one.role == role] for role in ROLES}
    if all(fields.values()):
        return dict(GROUPS)
    return {PERSON: ROLES}
