"""Names by sex, year of birth and origin, from the small files in ``data``."""

from __future__ import annotations

import lzma
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from pprl.synthetic._arrays import Bools, Floats, Ints, stream

COHORT_YEARS = 5
FIRST_COHORT = 1915
COHORTS = 23
RARE_SHARE = (0.03, 0.22)
"""Share of the names put together from syllables, in the first and the last cohort."""

PREFIXES = frozenset(
    "van de der den ter ten te het in op 't 's la le du von zu zum al el da dos "
    "aan bij uit over onder voor tot d'".split()
)
"""Words before a surname that are its tussenvoegsel, as in *van der Berg*."""

BEARERS = 15_700_000
"""Bearers of the Dutch surnames in the list; ranks above 1,000 follow a fitted power law."""


class _Pool:
    """Names with their other spellings, each text held once for one meaning."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.prefixes: list[str] = []
        self.other_start: list[int] = []
        self.other_count: list[int] = []
        self.feminine: list[int] = []

    def add(self, spellings: list[str], prefix: str = "") -> int:
        """Append a name and its other spellings; return where the name is."""
        start = len(self.texts)
        for spelling in spellings:
            self.texts.append(spelling)
            self.prefixes.append(prefix)
            self.other_start.append(start + 1)
            self.other_count.append(len(spellings) - 1)
            self.feminine.append(len(self.feminine))
        return start


@dataclass(frozen=True)
class Pool:
    """Names by number: ``texts``, tussenvoegsels, other spellings, feminine forms.

    The other spellings of name i are numbers ``other_start[i]`` and on, ``other_count[i]``
    of them. ``ascii`` holds what is left of each name in an e-mail address.
    """

    texts: pa.StringArray
    prefixes: pa.StringArray
    ascii: pa.StringArray
    other_start: Ints
    other_count: Ints
    feminine: Ints

    def variant(self, names: Ints, chance: Floats) -> Ints:
        """Return another spelling of each name, -1 where there is none."""
        count = self.other_count[names]
        picked = self.other_start[names] + (chance * count).astype(np.int64)
        return np.where(count > 0, picked, -1)


@dataclass(frozen=True)
class Names:
    """Everything a population draws names from.

    ``groups`` are the origin groups, Dutch first, with ``shares`` of the population;
    ``double`` is each group's chance of a double surname by custom.
    """

    groups: tuple[str, ...]
    shares: Floats
    double: Floats
    first: Pool
    surnames: Pool
    call_start: Ints
    call_count: Ints
    _first_keys: Floats
    _first_names: Ints
    _surname_keys: Floats
    _surname_names: Ints

    def draw_first(self, group: Ints, female: Bools, year: Ints, chance: Floats) -> Ints:
        """Draw first names by group, sex and year of birth."""
        cohort = np.clip((year - FIRST_COHORT) // COHORT_YEARS, 0, COHORTS - 1)
        cell = (group * 2 + female) * COHORTS + np.where(group == 0, cohort, 0)
        return self._first_names[np.searchsorted(self._first_keys, cell + chance, "right")]

    def draw_surname(self, group: Ints, chance: Floats) -> Ints:
        """Draw surnames by group."""
        return self._surname_names[np.searchsorted(self._surname_keys, group + chance, "right")]

    def call_name(self, first: Ints, chance: Floats) -> Ints:
        """Return what people are called by: Jan for Johannes, mostly the first name itself."""
        count = self.call_count[first]
        picked = self.call_start[first] + (chance * count).astype(np.int64)
        return np.where(count > 0, picked, first)


@lru_cache(maxsize=1)
def load() -> Names:
    """Read the name files once."""
    folder = files("pprl.synthetic") / "data"
    document = tomllib.loads((folder / "names.toml").read_text(encoding="utf-8"))
    lines = lzma.decompress((folder / "surnames_nl.tsv.xz").read_bytes()).decode().splitlines()
    groups = document["groups"]
    first, surnames = _Pool(), _Pool()
    first_cells: list[tuple[int, Ints, Floats]] = []
    calls: dict[int, tuple[int, int]] = {}
    for sex, name in enumerate(("male", "female")):
        first_cells += _dutch_first(document["nl"], name, sex, first, calls)
    surname_cells = [(0, *_dutch_surnames(lines, surnames))]
    for number, group in enumerate(groups.values(), start=1):
        for sex, name in enumerate(("male", "female")):
            words = group[name].split()
            drawn = np.array([first.add(_spellings(word)) for word in words])
            first_cells.append(
                ((number * 2 + sex) * COHORTS, drawn, 1 / (np.arange(len(words)) + 3.0))
            )
        surname_cells.append((number, *_group_surnames(group, surnames)))
    first_keys, first_names = _lookup(first_cells)
    surname_keys, surname_names = _lookup(surname_cells)
    shares = np.array([group["share"] for group in groups.values()])
    call = np.array([calls.get(name, (0, 0)) for name in range(len(first.texts))], np.int64)
    return Names(
        groups=("dutch", *groups),
        shares=np.concatenate([[1 - shares.sum()], shares]),
        double=np.array([0.01, *(group.get("double", 0.0) for group in groups.values())]),
        first=_finished(first),
        surnames=_finished(surnames),
        call_start=call[:, 0],
        call_count=call[:, 1],
        _first_keys=first_keys,
        _first_names=first_names,
        _surname_keys=surname_keys,
        _surname_names=surname_names,
    )


def _spellings(word: str) -> list[str]:
    return [spelling.replace("_", " ") for spelling in word.split("/")]


def _dutch_first(
    lists: dict[str, Any],
    name: str,
    sex: int,
    pool: _Pool,
    calls: dict[int, tuple[int, int]],
) -> list[tuple[int, Ints, Floats]]:
    numbers, curves = [], []
    for line in lists[name].split("\n"):
        if not line:
            continue
        first, peak, width, weight, *called = line.split(" ")
        numbers.append(pool.add([first]))
        curves.append((float(peak), float(width), float(weight)))
        if called:
            start, *_ = [pool.add([call]) for call in called[0].split(",")]
            calls[numbers[-1]] = (start, len(pool.texts) - start)
    starts, endings = (part.split() for part in lists[f"rare_{name}"])
    rare = [pool.add([start + end]) for start, end in product(starts, endings)]
    peak, width, weight = np.array(curves).T
    cells = []
    for cohort in range(COHORTS):
        year = FIRST_COHORT + COHORT_YEARS * (cohort + 0.5)
        usual = weight * np.exp(-(((year - peak) / width) ** 2) / 2)
        share = np.interp(cohort, (0, COHORTS - 1), RARE_SHARE)
        unusual = 1 / (np.arange(len(rare)) + 20.0)
        weights = np.concatenate(
            [usual / usual.sum() * (1 - share), unusual / unusual.sum() * share]
        )
        cells.append((sex * COHORTS + cohort, np.array(numbers + rare), weights))
    return cells


def _dutch_surnames(lines: list[str], pool: _Pool) -> tuple[Ints, Floats]:
    counted = [line.split("\t") for line in lines if "\t" in line]
    tail = [line for line in lines if "\t" not in line]
    tail = [tail[at] for at in stream(0, "surnames").permutation(len(tail))]
    numbers = [pool.add([word], prefix) for prefix, word in map(_split, [n for n, _ in counted])]
    numbers += [pool.add([word], prefix) for prefix, word in map(_split, tail)]
    head = np.array([int(count) for _, count in counted], float)
    steps = 1 + np.arange(1, len(tail) + 1) / len(head)
    low, high = 0.2, 2.0
    for _ in range(50):
        slope = (low + high) / 2
        total = head.sum() + head[-1] * (steps**-slope).sum()
        low, high = (slope, high) if total > BEARERS else (low, slope)
    return np.array(numbers), np.concatenate([head, head[-1] * steps**-slope])


def _split(name: str) -> tuple[str, str]:
    words = name.split(" ")
    at = 0
    while at < len(words) - 1 and words[at].lower() in PREFIXES:
        at += 1
    return " ".join(words[:at]), " ".join(words[at:])


def _group_surnames(group: dict[str, Any], pool: _Pool) -> tuple[Ints, Floats]:
    names = [_spellings(word) for word in group["whole"].split()]
    made = []
    for start, end in product(group.get("starts", "").split(), group.get("endings", "").split()):
        starts, ends = _spellings(start), _spellings(end)
        spellings = [_join(starts[0], ends[0]), _join(starts[-1], ends[-1])]
        made.append(list(dict.fromkeys([*spellings, *(_join(starts[0], end) for end in ends)])))
    made = [made[at] for at in stream(0, "surnames", group["male"]).permutation(len(made))]
    numbers = []
    for spellings in names + made:
        numbers.append(pool.add(spellings))
        for masculine, feminine in group.get("gendered", ()):
            if spellings[0].endswith(masculine):
                forms = [_feminine(spelling, masculine, feminine) for spelling in spellings]
                pool.feminine[numbers[-1]] = pool.add(forms)
                break
    return np.array(numbers), 1 / (np.arange(len(numbers)) + 4.0) ** 0.9


def _join(start: str, end: str) -> str:
    return start + (end.capitalize() if start[-1] in " -" else end)


def _feminine(spelling: str, masculine: str, feminine: str) -> str:
    stem = spelling.removesuffix(masculine)
    return stem + feminine if stem != spelling else spelling + feminine[-1]


def _finished(pool: _Pool) -> Pool:
    import unicodedata

    plain = [
        "".join(
            letter
            for letter in unicodedata.normalize("NFKD", (prefix + text).lower())
            if "a" <= letter <= "z"
        )
        for prefix, text in zip(pool.prefixes, pool.texts, strict=True)
    ]
    return Pool(
        texts=pa.array(pool.texts),
        prefixes=pa.array([prefix or None for prefix in pool.prefixes], pa.string()),
        ascii=pa.array(plain),
        other_start=np.array(pool.other_start),
        other_count=np.array(pool.other_count),
        feminine=np.array(pool.feminine),
    )


def _lookup(cells: list[tuple[int, Ints, Floats]]) -> tuple[Floats, Ints]:
    """Lay cumulative weights end to end, so that one binary search draws from any cell."""
    cells = sorted(cells, key=lambda cell: cell[0])
    keys = [cell + np.cumsum(weights) / weights.sum() for cell, _, weights in cells]
    for (cell, _, _), key in zip(cells, keys, strict=True):
        key[-1] = cell + 1
    return np.concatenate(keys), np.concatenate([names for _, names, _ in cells])
