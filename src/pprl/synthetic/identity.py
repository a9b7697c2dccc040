"""What the persons of a block are called: first names, surnames, name use, birth as known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pprl.synthetic._arrays import Bools, Floats, Ints, civil
from pprl.synthetic.households import CHILD, GRANDMOTHER, PARTNER, Block
from pprl.synthetic.names import Names

NAME_USES = ("own", "partner", "partner-own", "own-partner")
"""How a surname is used; the order of the population register's codes E, P, V and N."""

PRECISIONS = ("day", "month", "year")
LATE_KNOWLEDGE = ("turkish", "moroccan", "arabic", "chinese")
"""Groups some of whose older members do not know their day or month of birth."""

OLDER_NAMES = 35
"""Second and third names are those of a generation ago, mostly a grandparent's."""


@dataclass(frozen=True)
class Identity:
    """Names by number in the pools of `Names`; -1 is none.

    ``first`` is (n, 3): the official first names. ``other_given`` and ``other_surname`` are
    spellings from another transliteration.
    """

    first: Ints
    given: Ints
    other_given: Ints
    surname: Ints
    second: Ints
    other_surname: Ints
    partner: Ints
    use: Ints
    precision: Ints


def name(rng: np.random.Generator, names: Names, block: Block) -> Identity:
    """Name the persons of a block.

    A child bears the father's surname, known or not, or the mother's; siblings bear one name.
    Women, and few men, use a partner's name by their year of birth.
    """
    count = len(block.born)
    year = civil(block.born)[0]
    own, absent, double = _surnames(rng, names, block, year)
    partner, use = _partner_names(rng, block, own, absent, year)
    first, given = _first_names(rng, names, block, year)
    twice = block.twin >= 0
    knows = np.isin(block.group, [names.groups.index(group) for group in LATE_KNOWLEDGE])
    chance = np.where(knows, np.interp(year, (1940, 1990), (0.16, 0.01)), 0.0004)
    unknown = (rng.random(count) < chance) & ~twice
    precision = np.where(unknown, 1 + (rng.random(count) < 0.6), 0)
    surname = np.where(block.female, names.surnames.feminine[own], own)
    used = np.where(partner >= 0, partner, 0)
    used = np.where(block.female, names.surnames.feminine[used], used)
    return Identity(
        first=first,
        given=given,
        other_given=names.first.variant(first[:, 0], rng.random(count)),
        surname=surname,
        second=double,
        other_surname=names.surnames.variant(surname, rng.random(count)),
        partner=np.where(partner >= 0, used, -1),
        use=use,
        precision=precision,
    )


def _surnames(
    rng: np.random.Generator, names: Names, block: Block, year: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return surnames, the surnames of fathers who are not there, and second surnames."""
    count = len(block.born)
    numbers = np.arange(count)
    drawn = names.draw_surname(np.tile(block.group, 2), rng.random(2 * count))
    # Where a surname comes from: oneself, a parent, or (count + mother) a father not there.
    habit = rng.random(count)
    own_name = np.where(block.born >= civil_day(1970), 0.17, 0.06)
    from_mother = np.where(habit < own_name, numbers, count + numbers)
    present = np.where(habit < 0.05, numbers, -1)
    mother = np.maximum(block.mother, 0)
    by_father = np.where(present[mother] >= 0, mother, block.father)
    source = np.where(block.father >= 0, by_father, from_mother[mother])
    alone = np.where(block.father >= 0, block.father, numbers)
    source = np.concatenate([np.where(block.mother >= 0, source, alone), count + numbers])
    for _ in range(4):
        source = source[source]
    own = drawn[source[:count]]
    custom = rng.random(count) < names.double[block.group]
    # Parents may give both names since 2024, and to children born since 2016.
    recent = (year[mother] >= 1992) & (year >= 2016) & (habit[mother] > 0.9)
    parent = np.where(block.mother >= 0, block.mother, alone)
    two = custom[parent] | ((block.mother >= 0) & recent)
    other = np.where(block.mother >= 0, own[mother], drawn[count:])
    return own, drawn[count:], np.where(two & (other != own), other, -1)


def civil_day(year: int) -> int:
    """Return 1 January of a year in days since 1970-01-01."""
    return int(np.datetime64(f"{year}-01-01", "D").astype(np.int64))


def _partner_names(
    rng: np.random.Generator, block: Block, own: Ints, absent: Ints, year: Ints
) -> tuple[Ints, Ints]:
    count = len(own)
    wed = rng.random(count) < np.interp(year, (1935, 1960, 1975, 1995, 2003), (1, 0.9, 0.7, 0.4, 0))
    pair = np.where(block.partner >= 0, np.minimum(np.arange(count), block.partner), 0)
    married = (block.partner >= 0) & wed[pair]
    # A widow or a divorced woman may have a late or former husband's name.
    grown = (block.slot < CHILD) | (block.slot >= GRANDMOTHER)
    alone = block.female & (block.partner < 0) & grown
    former = alone & (rng.random(count) < np.interp(year, (1935, 1950, 1980), (0.75, 0.45, 0.03)))
    partner = np.where(married, own[np.maximum(block.partner, 0)], np.where(former, absent, -1))
    takes = np.interp(year, (1930, 1950, 1970, 1990), (0.92, 0.85, 0.72, 0.62))
    keeps_own = np.isin(block.group, (3, 8, 9))
    takes = np.where(block.female, np.where(keeps_own, 0.05, takes), 0.02)
    uses = (partner >= 0) & (rng.random(count) < takes)
    kind = np.searchsorted((0.35, 0.97), rng.random(count), "right") + 1
    return partner, np.where(uses, kind, 0)


def _first_names(
    rng: np.random.Generator, names: Names, block: Block, year: Ints
) -> tuple[Ints, Ints]:
    count = len(block.born)
    dutch = (block.group > 0) & (rng.random(count) < 0.15)
    group = np.where(dutch, 0, block.group)
    first = np.full((count, 3), -1)
    first[:, 0] = names.draw_first(group, block.female, year, rng.random(count))
    junior = (block.father >= 0) & ~block.female & (rng.random(count) < 0.04)
    father = np.maximum(block.father, 0)
    first[junior, 0] = first[father[junior], 0]
    for _ in range(6):
        again = _named_alike(block, first[:, 0])
        if not len(again):
            break
        first[again, 0] = names.draw_first(
            group[again], block.female[again], year[again], rng.random(len(again))
        )
    more = np.interp(year, (1925, 1990), (0.62, 0.50))
    more = np.where(group == 0, more, 0.12)
    has_second = rng.random(count) < more
    has_third = has_second & (rng.random(count) < 0.38)
    for column, has in ((1, has_second), (2, has_third)):
        rows = np.flatnonzero(has)
        drawn = names.draw_first(
            group[rows], block.female[rows], year[rows] - OLDER_NAMES, rng.random(len(rows))
        )
        first[rows, column] = np.where((first[rows, :column] == drawn[:, None]).any(1), -1, drawn)
    moved = (first[:, 1] < 0) & (first[:, 2] >= 0)
    first[moved, 1], first[moved, 2] = first[moved, 2], -1
    called = names.call_name(first[:, 0], rng.random(count))
    return first, np.where(rng.random(count) < 0.75, called, first[:, 0])


def _named_alike(block: Block, first: Ints) -> Ints:
    """Return the children with a first name that an older sibling has."""
    rows = np.flatnonzero(block.mother >= 0)
    rows = rows[np.lexsort((block.born[rows], first[rows], block.mother[rows]))]
    before, after = rows[:-1], rows[1:]
    same = (block.mother[before] == block.mother[after]) & (first[before] == first[after])
    alike: Ints = after[same]
    return alike


def adults(block: Block) -> Bools:
    """Say who is not a child at home."""
    return (block.slot <= PARTNER) | (block.slot >= GRANDMOTHER)


def move(rng: np.random.Generator, block: Block) -> tuple[Floats, Bools]:
    """Return years since each person's last move, and who moved from the mother's home.

    A household moves together; a partner may have come from elsewhere. The younger, the more
    often. Infinite where somebody never moved.
    """
    age = block.age
    homes = int(block.home[-1]) + 1
    head_age = np.zeros(homes)
    head_age[block.home[::-1]] = age[::-1]
    yearly = np.interp(head_age, (18, 24, 32, 45, 65, 85), (0.32, 0.32, 0.18, 0.09, 0.045, 0.06))
    years = rng.exponential(size=homes) / yearly
    since = years[block.home]
    since = np.where(since < age, since, np.inf)
    young = (block.slot <= PARTNER) & (age < 38) & (block.mother >= 0) & (since < age - 16)
    from_mother = young & (rng.random(len(age)) < 0.5)
    return since, from_mother
