"""Errors in values: of typing, of hearing, of reading, of dates and of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.synthetic._arrays import Bools, Bytes, Floats, Ints, digits, text

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: (row[max(at - 1, 0) : at] + row[at + 1 : at + 2])
    + "".join(other[at : at + 1] for other in _KEYS if other != row and len(other) > at)
    for row in _KEYS
    for at, letter in enumerate(row)
}
_SOUNDS = (
    "ij y|y ij|ei ij|ij ei|ck k|k ck|c k|k c|dt d|dt t|d dt|ou au|au ou|s z|z s|v f|f v|ph f|"
    "th t|t th|g ch|ch g|x ks|ks x|aa a|ae aa|ee e|oo o|uu u|ui uy|uy ui|ss s|s ss|ll l|l ll|"
    "nn n|n nn|tt t|t tt|pp p|ie i|i ie|oe u|u oe|q k|sch s|e a|a e"
)
_SHAPES = (
    "m rn|rn m|l 1|o 0|O 0|i l|l i|cl d|d cl|h b|b h|e c|c e|S 5|B 8|u v|v u|n r|g q|vv w|w vv"
)
SOUNDS = tuple((rule.split(" ")[0], rule.split(" ")[1]) for rule in _SOUNDS.split("|"))
"""What sounds alike to a Dutch ear, as (written, also written)."""
SHAPES = tuple((rule.split(" ")[0], rule.split(" ")[1]) for rule in _SHAPES.split("|"))
"""What a scanner confuses, as (read, read as)."""


def keyboard(value: str, chance: Floats) -> str:
    """Hit a key beside the right one, or twice, not at all, or in the wrong order."""
    kind, at = int(chance[0] * 4), int(chance[1] * len(value))
    letter = value[at]
    if kind == 0 and len(value) > 1:
        return value[:at] + value[at + 1 :]
    if kind == 1:
        return value[: at + 1] + letter.lower() + value[at + 1 :]
    if kind == 2 and at + 1 < len(value) and letter != value[at + 1]:
        return value[:at] + value[at + 1] + letter + value[at + 2 :]
    keys = _NEIGHBOURS.get(letter.lower(), "e")
    hit = keys[int(chance[2] * len(keys))]
    return value[:at] + (hit.upper() if letter.isupper() else hit) + value[at + 1 :]


def _by_rule(rules: tuple[tuple[str, str], ...]) -> Callable[[str, Floats], str]:
    def change(value: str, chance: Floats) -> str:
        found = [rule for rule in rules if rule[0] in value]
        if not found:
            return keyboard(value, chance)
        old, new = found[int(chance[0] * len(found))]
        return value.replace(old, new, 1)

    return change


phonetic = _by_rule(SOUNDS)
"""Write a value as it sounds; a keyboard error where no rule fits."""
ocr = _by_rule(SHAPES)
"""Read a letter for another of its shape; a keyboard error where no rule fits."""


def truncate(value: str, chance: Floats) -> str:
    """Lose the end: a fifth to a half. A keyboard error where there are under four letters."""
    if len(value) < 4:
        return keyboard(value, chance)
    return value[: max(int(len(value) * (0.5 + 0.3 * chance[0])), 2)]


def one_digit(value: str, chance: Floats) -> str:
    """Change one digit into another."""
    places = [at for at, letter in enumerate(value) if letter.isdigit()]
    at = places[int(chance[0] * len(places))]
    other = (int(value[at]) + 1 + int(chance[1] * 9)) % 10
    if at == 0 and other == 0:
        other = (int(value[at]) % 9) + 1
    return value[:at] + str(other) + value[at + 1 :]


Change = Callable[[str, Floats], str]


def some(
    rng: np.random.Generator, values: pa.StringArray, rates: Sequence[tuple[float, Change]]
) -> pa.StringArray:
    """Change a share of the values that are there, at most one error a value."""
    chance = rng.random(len(values))
    present = np.asarray(pc.fill_null(pc.greater(pc.utf8_length(values), 0), False))
    limits = np.cumsum([rate for rate, _ in rates])
    rows = np.flatnonzero((chance < limits[-1]) & present)
    if not len(rows):
        return values
    which = np.searchsorted(limits, chance[rows], "right")
    draws = rng.random((len(rows), 3))
    changed = [
        rates[kind][1](value, draw)
        for kind, value, draw in zip(
            which.tolist(), values.take(pa.array(rows)).to_pylist(), draws, strict=True
        )
    ]
    mask = np.zeros(len(values), bool)
    mask[rows] = True
    return pc.replace_with_mask(values, pa.array(mask), pa.array(changed, pa.string()))


def swap_day_and_month(month: Ints, day: Ints, chosen: Bools) -> Bools:
    """Swap them in place where that makes another date; return where it did."""
    can: Bools = chosen & (day <= 12) & (day != month)
    month[can], day[can] = day[can], month[can]
    return can


def slip(rng: np.random.Generator, year: Ints, month: Ints, day: Ints, chosen: Bools) -> None:
    """Change the day by one or ten, the month by one, or the year by one or ten, in place."""
    kind = rng.integers(0, 5, len(year))
    up = rng.random(len(year)) < 0.5

    def step(values: Ints, by: int, low: int, high: int, rows: Bools) -> None:
        rows = rows & chosen
        down = np.where((values + by > high) | (~up & (values - by >= low)), -by, by)
        values[rows] += down[rows]

    step(day, 1, 1, 28, kind == 0)
    step(day, 10, 1, 28, kind == 1)
    step(month, 1, 1, 12, kind == 2)
    step(year, 1, 1900, 2024, kind == 3)
    step(year, 10, 1900, 2024, kind == 4)
    over = chosen & (day > 28)
    day[over] = np.minimum(day[over], _month_length(year[over], month[over]))


def _month_length(year: Ints, month: Ints) -> Ints:
    start = (year - 1970) * 12 + month - 1
    first = start.astype("datetime64[M]").astype("datetime64[D]")
    last = (start + 1).astype("datetime64[M]").astype("datetime64[D]")
    length: Ints = (last - first).astype(np.int64)
    return length


def written(year: Ints, month: Ints, day: Ints, pattern: str) -> pa.StringArray:
    """Write dates by a pattern of YYYY, MM, DD and what stands between them."""
    parts: list[Bytes] = []
    at = 0
    while at < len(pattern):
        for token, values in (("YYYY", year), ("MM", month), ("DD", day)):
            if pattern.startswith(token, at):
                parts.append(digits(values, len(token)))
                at += len(token)
                break
        else:
            parts.append(np.full((len(year), 1), ord(pattern[at]), np.uint8))
            at += 1
    return text(np.hstack(parts))
