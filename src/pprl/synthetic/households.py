"""Households and kin: who lives together, who is whose child, born when, and died when.

Everything happens within a block of households, which is also the unit of randomness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pprl.synthetic._arrays import Bools, Floats, Ints

REFERENCE_DATE = np.datetime64("2025-01-01", "D")
"""The day that a population describes: ages, addresses and households are of this day."""

REFERENCE = int(REFERENCE_DATE.astype(np.int64))
YEAR = 365.2425
DEATH_YEARS = 10
"""People who died in so many years before the reference date are in the population."""

SINGLE, COUPLE, FAMILY, LONE_PARENT, THREE_GENERATIONS = range(5)
KIND_SHARES = (0.367, 0.331, 0.229, 0.067, 0.006)
"""Shares of households by kind, before deaths, which turn couples into singles."""

KIDS = {
    FAMILY: (0.33, 0.435, 0.165, 0.05, 0.014, 0.006),
    LONE_PARENT: (0.55, 0.33, 0.09, 0.03, 0.0, 0.0),
    THREE_GENERATIONS: (0.35, 0.43, 0.16, 0.06, 0.0, 0.0),
}
"""Chances of 1 to 6 children at home."""

_AGE_KNOTS = {
    SINGLE: ((18, 22, 30, 45, 60, 75, 85, 104), (0, 0.06, 0.21, 0.35, 0.50, 0.69, 0.85, 1)),
    COUPLE: ((19, 25, 35, 48, 60, 72, 82, 98), (0, 0.05, 0.17, 0.23, 0.39, 0.67, 0.885, 1)),
}
_YOUNGEST_KNOTS = ((0, 5, 12, 18, 23, 29), (0, 0.20, 0.47, 0.71, 0.90, 1))

# Births by month, January first: most in late summer. Shares of the year over the mean month.
_SEASON = np.array([0.97, 0.97, 0.98, 0.98, 1.00, 1.01, 1.05, 1.05, 1.05, 1.01, 0.97, 0.96])
_SEASON_CDF = np.concatenate([[0.0], np.cumsum(_SEASON / _SEASON.sum())])

TWIN_GAP = 0.036
"""Chance that a child at home after the first was born with the one before."""
ADULT_TWIN = 0.12
"""Chance that siblings who would be born within 300 days are made twins, not unrelated."""
MOST_SIBLINGS = 6

HEAD, PARTNER, CHILD, GRANDMOTHER, GRANDFATHER = 0, 1, 2, 8, 9
MOST_KIDS = 6
ROLES = ("head", "partner", "child", "grandparent")


@dataclass
class Block:
    """The persons of a block, household by household; persons are numbered within it.

    ``home`` is a household's number, ``slot`` the place in it, ``born`` and ``died`` days since
    1970-01-01 (``died`` -1: alive). ``mother``, ``father``, ``partner`` and ``twin`` are persons
    or -1.
    """

    home: Ints
    slot: Ints
    female: Bools
    group: Ints
    born: Ints
    died: Ints
    mother: Ints
    father: Ints
    partner: Ints
    twin: Ints

    @property
    def age(self) -> Floats:
        """Ages in years on the reference date, as if nobody had died."""
        return (REFERENCE - self.born) / YEAR


def make(rng: np.random.Generator, groups: Ints) -> Block:
    """Make the households of a block, one for each origin group given."""
    count = len(groups)
    kind = np.searchsorted(np.cumsum(KIND_SHARES)[:-1], rng.random(count), "right")
    present, ages, female = _members(rng, kind)
    shares = np.bincount(groups, minlength=int(groups.max()) + 1) / count
    group = _origins(rng, groups, present.shape[1], shares)

    flat = np.flatnonzero(present)
    home, slot = np.divmod(flat, present.shape[1])
    number = np.full(present.shape, -1)
    number.ravel()[flat] = np.arange(len(flat))
    born = _season(REFERENCE - (ages.ravel()[flat] * YEAR).astype(np.int64) - 1)

    def there(column: int) -> Ints:
        who: Ints = number[home, column]
        return who

    head_female = female[home, HEAD]
    pair_mother = np.where(head_female, there(HEAD), there(PARTNER))
    pair_father = np.where(head_female, there(PARTNER), there(HEAD))
    child = (slot >= CHILD) & (slot < GRANDMOTHER)
    mother = np.where(child, pair_mother, -1)
    father = np.where(child, pair_father, -1)
    elders = (kind[home] == THREE_GENERATIONS) & (slot == HEAD)
    mother = np.where(elders, there(GRANDMOTHER), mother)
    father = np.where(elders, there(GRANDFATHER), father)
    partner = np.select(
        [slot == HEAD, slot == PARTNER, slot == GRANDMOTHER, slot == GRANDFATHER],
        [there(PARTNER), there(HEAD), there(GRANDFATHER), there(GRANDMOTHER)],
        -1,
    )
    block = Block(
        home=home,
        slot=slot,
        female=female.ravel()[flat],
        group=group.ravel()[flat],
        born=born,
        died=np.full(len(flat), -1),
        mother=mother,
        father=father,
        partner=partner,
        twin=np.full(len(flat), -1),
    )
    _link_kin(rng, block)
    _note_twins(block)
    block.died = _deaths(rng, block.born)
    return block


def _members(rng: np.random.Generator, kind: Ints) -> tuple[Bools, Floats, Bools]:
    """Return who is there, ages in years and sexes, (households, 10) each."""
    count = len(kind)
    present = np.zeros((count, GRANDFATHER + 1), bool)
    ages = np.zeros(present.shape)
    female = rng.random(present.shape) < 0.488
    has_kids = kind >= FAMILY
    kids = np.zeros(count, np.int64)
    for which, chances in KIDS.items():
        rows = np.flatnonzero(kind == which)
        cumulative = np.cumsum(chances)[:-1]
        kids[rows] = 1 + np.searchsorted(cumulative, rng.random(len(rows)), "right")
    youngest = np.interp(rng.random(count), _YOUNGEST_KNOTS[1], _YOUNGEST_KNOTS[0])
    gaps = 0.9 + rng.gamma(2.2, 0.95, (count, MOST_KIDS - 1))
    gaps[rng.random(gaps.shape) < TWIN_GAP] = 0
    kid_ages = youngest[:, None] + np.concatenate(
        [np.zeros((count, 1)), np.cumsum(gaps, axis=1)], axis=1
    )
    here = (np.arange(MOST_KIDS) < kids[:, None]) & (kid_ages < 30)
    oldest = np.where(here, kid_ages, 0).max(axis=1)
    present[:, CHILD:GRANDMOTHER], ages[:, CHILD:GRANDMOTHER] = here, kid_ages

    at_first = np.clip(rng.normal(29.2, 4.6, count), 17, 42)
    at_first = np.clip(np.minimum(at_first, 47 - (oldest - youngest)), 16.5, None)
    parent = oldest + at_first
    alone = np.interp(rng.random(count), _AGE_KNOTS[SINGLE][1], _AGE_KNOTS[SINGLE][0])
    together = np.interp(rng.random(count), _AGE_KNOTS[COUPLE][1], _AGE_KNOTS[COUPLE][0])
    ages[:, HEAD] = np.select([has_kids, kind == SINGLE], [parent, alone], together)
    female[:, HEAD] = True
    lone = kind == SINGLE
    female_share = np.interp(alone, (18, 30, 50, 65, 80), (0.46, 0.42, 0.42, 0.55, 0.68))
    female[lone, HEAD] = (rng.random(count) < female_share)[lone]
    lone = kind == LONE_PARENT
    female[lone, HEAD] = (rng.random(count) < 0.83)[lone]
    present[:, HEAD] = True
    present[:, PARTNER] = (kind != SINGLE) & (kind != LONE_PARENT)
    older = np.clip(rng.normal(2.5, 3.8, count), -9, 20)
    ages[:, PARTNER] = np.maximum(ages[:, HEAD] + older, oldest + 18.5)
    # Two women or two men: in a couple without children at home, so that parents stay a pair.
    alike = (kind == COUPLE) & (rng.random(count) < 0.03)
    both = rng.random(count) < 0.5
    female[:, PARTNER] = alike & both
    female[alike & ~both, HEAD] = False
    elders = kind == THREE_GENERATIONS
    present[:, GRANDMOTHER] = elders
    present[:, GRANDFATHER] = elders & (rng.random(count) < 0.35)
    ages[:, GRANDMOTHER] = ages[:, HEAD] + np.clip(rng.normal(27, 4, count), 17, 42)
    ages[:, GRANDFATHER] = ages[:, GRANDMOTHER] + np.clip(older, -3, 15)
    female[:, GRANDMOTHER], female[:, GRANDFATHER] = True, False
    return present, ages, female


def _origins(rng: np.random.Generator, groups: Ints, width: int, shares: Floats) -> Ints:
    """Give households one origin, and some partners another."""
    group = np.repeat(groups[:, None], width, axis=1)
    other = rng.random(len(groups)) < np.where(groups == 0, 0.05, 0.15)
    drawn = np.searchsorted(np.cumsum(shares)[:-1], rng.random(len(groups)), "right")
    group[other, PARTNER] = np.where(groups == 0, drawn, 0)[other]
    fathers = rng.random(len(groups)) < 0.5
    group[:, CHILD:GRANDMOTHER] = np.where(fathers, group[:, PARTNER], group[:, HEAD])[:, None]
    return group


def _season(days: Ints) -> Ints:
    """Move dates of birth within their year so that the months have their shares."""
    start = days.astype("datetime64[D]").astype("datetime64[Y]")
    first = start.astype("datetime64[D]").astype(np.int64)
    length = (start + np.timedelta64(1, "Y")).astype("datetime64[D]").astype(np.int64) - first
    share = (days - first + 0.5) / length
    moved = np.interp(share, _SEASON_CDF, np.arange(13) / 12)
    day: Ints = first + np.minimum((moved * length).astype(np.int64), length - 1)
    return day


def _link_kin(rng: np.random.Generator, block: Block) -> None:
    """Find mothers, in other households of the block, for most adults.

    A mother is of the same origin and the right age. Siblings are at least 300 days apart; two
    who would not be become twins or lose the link.
    """
    age = block.age
    adult = (block.slot <= PARTNER) & (block.mother < 0)
    rows = np.flatnonzero(adult & (age < 72) & (rng.random(len(age)) < 0.8))
    mothers = np.flatnonzero(block.female & (block.slot <= PARTNER) & (age > 36))
    if not len(rows) or not len(mothers):
        return
    span = np.int64(1 << 20)
    keys = block.group[mothers] * span + block.born[mothers] + (1 << 17) * 3
    order = np.argsort(keys, kind="stable")
    mothers, keys = mothers[order], keys[order]
    gap = np.clip(rng.normal(28.5, 4.8, len(rows)), 17.5, 43.5)
    target = block.group[rows] * span + block.born[rows] + (1 << 17) * 3
    at = np.searchsorted(keys, target - (gap * YEAR).astype(np.int64))
    at = np.clip(at + rng.integers(-25, 26, len(rows)), 0, len(mothers) - 1)
    chosen = mothers[at]
    apart = (block.born[rows] - block.born[chosen]) / YEAR
    fits = (block.group[chosen] == block.group[rows]) & (apart > 16.5) & (apart < 45)
    fits &= block.home[chosen] != block.home[rows]
    rows, chosen = rows[fits], chosen[fits]
    block.mother[rows] = chosen

    linked = np.zeros(len(age), bool)
    linked[rows] = True
    become_twins = rng.random(len(age)) < ADULT_TWIN
    for _ in range(4):
        children = np.flatnonzero(block.mother >= 0)
        children = children[np.lexsort((children, block.born[children], block.mother[children]))]
        before, after = children[:-1], children[1:]
        days = block.born[after] - block.born[before]
        close = (block.mother[before] == block.mother[after]) & (days < 300)
        many = np.zeros(len(days), bool)
        many[MOST_SIBLINGS - 1 :] = (
            block.mother[children[:-MOST_SIBLINGS]] == block.mother[children[MOST_SIBLINGS:]]
        )
        close = (close | many) & (linked[after] | linked[before])
        close &= ~((days == 0) & linked[after] & linked[before] & become_twins[after])
        if not close.any():
            break
        before, after = before[close], after[close]
        twins = linked[before] & linked[after] & become_twins[after] & (days[close] < 300)
        block.born[after[twins]] = block.born[before[twins]]
        lost = np.where(linked[after], after, before)[~twins]
        block.mother[lost] = -1
        linked[lost] = False
    rows = np.flatnonzero(linked)
    mate = block.partner[block.mother[rows]]
    man = (mate >= 0) & ~block.female[mate]
    man &= (block.born[rows] - block.born[mate]) / YEAR > 16
    block.father[rows] = np.where(man, mate, -1)


def _note_twins(block: Block) -> None:
    children = np.flatnonzero(block.mother >= 0)
    children = children[np.lexsort((children, block.born[children], block.mother[children]))]
    before, after = children[:-1], children[1:]
    same = (block.mother[before] == block.mother[after]) & (block.born[before] == block.born[after])
    block.twin[before[same]] = after[same]
    block.twin[after[same]] = before[same]


def _deaths(rng: np.random.Generator, born: Ints) -> Ints:
    """Draw days of death by Gompertz mortality; -1 for who lives on the reference date."""
    slope, level = 0.098, np.exp(-10.85)
    age = (REFERENCE - born) / YEAR
    start = level * np.exp(slope * np.maximum(age - DEATH_YEARS, 0))
    # With a constant h(x) = level exp(slope x), the hazard from a to x is (h(x) - h(a)) / slope.
    spent = rng.exponential(size=len(born))
    at = np.log((start + spent * slope) / level) / slope
    died = born + (at * YEAR).astype(np.int64)
    return np.where((at < age) & (died < REFERENCE), died, -1)
