"""The lightest hardening that withstands attacks on a holder's own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import pyarrow as pa

from pprl.errors import UsageError
from pprl.evaluation.calibration.price import WRONG
from pprl.evaluation.calibration.trials import Case, PeopleList, Trial
from pprl.holder.choices import Attacker
from pprl.holder.profiles import Setting
from pprl.holder.suggest import Study

WITHSTAND = 0.01
"""The share of people that attacks may name, unless another is given."""
STEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12)
"""The values of t that are tried. Each is tried with the file's usual bits first, then with half
and a quarter of them, which hides more than the same t and links more than the next."""

FEWEST_BITS = 1024
"""With fewer the next t loses less: at 512 bits the noise of an agreement hides dirty records."""

Tell = Callable[[str], None]
LISTS: Mapping[Attacker, PeopleList] = {
    "exact": PeopleList(),
    "population": PeopleList(times=10, mistyped=0.1),
}
_IN_WORDS: Mapping[Attacker, str] = {
    "exact": "a list of just these people, without an error",
    "population": "a list of ten times as many people, one in ten values mistyped",
}


@dataclass(frozen=True)
class Calibration:
    """The lightest setting that withstood, and all that was tried.

    Attributes:
        setting: The setting; the strictest one where none withstood.
        trials: The lightest first.
        withstand: The share of people that attacks may name.
        known_pairs: How many encodings' persons the attacker knew.
        attacker: Which list the attacker had.
        records: Records of the file.
    """

    setting: Setting
    trials: tuple[Trial, ...]
    withstand: float
    known_pairs: int
    attacker: Attacker
    records: int

    @property
    def withstood(self) -> bool:
        """Whether the setting withstood the attacks."""
        return any(
            one.setting == self.setting and one.withstood(self.withstand) for one in self.trials
        )

    def choices(self) -> list[Setting]:
        """Return the setting, and the next lighter and the next stricter one that were tried."""
        tried = [one.setting for one in self.trials]
        at = tried.index(self.setting)
        return tried[max(at - 1, 0) : at + 2]

    def remarks(self, lost: Mapping[Setting, tuple[float, ...]] | None = None) -> Iterator[str]:
        """Say what was tried and found, in lines of comment for a schema.

        Args:
            lost: What each setting costs, from `points_lost`, if it was measured.
        """
        first = self.trials[0]
        pairs = (
            f"the persons behind {self.known_pairs} of the encodings"
            if self.known_pairs
            else "no known pairs"
        )
        yield ""
        yield "Hardening calibrated by attacks on this file. The attacker has the encodings, this"
        yield f"schema, {_IN_WORDS[self.attacker]},"
        yield f"{pairs}, and not the key. Attacked were {first.people:,} of {self.records:,}"
        yield f"records, households whole, with a list of {first.listed:,} people."
        for one in self.trials:
            price = "/".join(f"{-points:+.1f}" for points in (lost or {}).get(one.setting, ()))
            yield (
                f"  t = {one.setting.t:2}, {one.setting.bits} bits: {one.named:7.2%} named; spread "
                f"{one.spread:8.1f} of {one.limit:.1f}: "
                f"{'withstood' if one.withstood(self.withstand) else 'fell'}"
                + (f"; F1 {price}" if price else "")
            )
        yield "Named: the share of the encodings whose person was found. Spread: how many nats all"
        yield "other people would tell of one if they were named, at the size of the whole file;"
        yield "below the limit, people who are named do not give away others."
        if lost:
            shares = ", ".join(f"{share:.0%}" for share in WRONG)
            yield f"F1: points more or fewer than without hardening where {shares} of the other"
            yield "file's values are wrong. If a choice costs too much: a greater --withstand buys"
            yield "links with people named; a linkage in which no party sees an encoding costs none"
            yield "(docs/explanation/secure-linkage.md)."
        if not self.withstood:
            yield f"NO SETTING WITHSTOOD a limit of {self.withstand:.1%}. Link where no party sees"
            yield "an encoding, or encode fewer fields."
        yield "This says what these attacks name, at this size. Others may name more."
        yield ""


def calibrate(
    study: Study,
    people: pa.Table,
    usual: Setting,
    *,
    withstand: float = WITHSTAND,
    known_pairs: int = 0,
    attacker: Attacker = "exact",
    at_least: Setting | None = None,
    seed: int = 1,
    tell: Tell | None = None,
) -> Calibration:
    """Find the lightest setting under which attacks name at most a share of the people.

    Args:
        study: What was found in the file's columns.
        people: The columns of ``study.found``, of people drawn by whole dwellings.
        usual: Bits, weights and salts of all that is tried.
        withstand: The share of people that may be named, between 0 and 1.
        known_pairs: How many of the encodings' persons the attacker knows.
        attacker: ``exact``: a list of just these people, without an error. ``population``: the
            encodings are of a tenth of the people on the list, where one in ten values is mistyped.
        at_least: A setting that the result is not lighter than, say another holder's.
        seed: Of everything that is drawn.
        tell: Called with what is being done.

    Raises:
        UsageError: An option is out of range.
    """
    if not 0 < withstand < 1:
        raise UsageError(f"withstand must be between 0 and 1, not {withstand!r}.")
    if attacker not in get_args(Attacker):
        raise UsageError(f"attacker must be one of {get_args(Attacker)}, not {attacker!r}.")
    has = LISTS[attacker]
    most = len(people) // (2 * has.times)
    if not 0 <= known_pairs <= most:
        raise UsageError(
            f"known pairs must be from 0 to {most:,}, half of the encodings that are attacked, "
            f"not {known_pairs}."
        )
    if at_least is not None:
        usual = usual.stricter(at_least)
    steps = _steps(usual, at_least)
    case = Case(study, people, known_pairs, has, seed)
    trials: dict[Setting, Trial] = {}

    def falls(setting: Setting) -> bool:
        if setting not in trials:
            made = trials[setting] = case.attack(setting)
            if tell:
                tell(
                    f"t = {setting.t}, {setting.bits:,} bits: {made.named:.2%} of "
                    f"{made.people:,} people named"
                )
        return not trials[setting].withstood(withstand)

    # Bisection: what withstands at one step withstands at every stricter one.
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if falls(steps[middle]) else (low, middle)
    falls(steps[low])
    return Calibration(
        steps[low],
        tuple(trials[one] for one in steps if one in trials),
        withstand,
        known_pairs,
        attacker,
        study.records,
    )


def _steps(usual: Setting, at_least: Setting | None) -> list[Setting]:
    """List what may be tried, the lightest first."""
    lightest = at_least.t if at_least else STEPS[0]
    lengths = [bits for part in (1, 2, 4) if (bits := usual.bits // part) >= FEWEST_BITS]
    return [
        replace(usual, t=t, bits=bits)
        for t in (lightest, *(t for t in STEPS if t > lightest))
        for bits in lengths
    ]
