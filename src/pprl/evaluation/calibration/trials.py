"""One trial: a setting, attacked on a sample of the holder's own file."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.evaluation.audit.agreement import ONE, expected_agreement
from pprl.evaluation.audit.percolation import Observed, percolate
from pprl.evaluation.audit.run import with_errors
from pprl.holder.families import whole_dwellings
from pprl.holder.profiles import Setting
from pprl.holder.schema import Schema
from pprl.holder.suggest import Study, dwelling_of, write_schema

KEYS = 2
"""Unknown keys under which each setting is attacked; the better attack counts."""
SUSTAINED = 1.4
"""Named people name the next ones, and so on, only if what all others tell of one is more than
about 1.4 times the logarithm of the number of people, in nats. Among n people the best of all
wrong ones then exceeds the right one so often that each round names fewer than the one before."""
VISIBLE = 4.0
"""Standard deviations of noise above which a pair is seen by itself."""
_ROWS = 512


@dataclass(frozen=True)
class Trial:
    """What the attacks made of one setting.

    Attributes:
        setting: What was attacked.
        people: Encodings that were attacked.
        listed: People on the attacker's list.
        named: The share of these encodings whose person was named, known pairs aside.
        spread: What all other people's encodings, if their persons were known, would tell of one
            person, in nats, at the size of the whole file; pairs that are seen by
            themselves do not count.
        limit: Below so many nats, people who are named do not name others.
        seconds: Processor time.
    """

    setting: Setting
    people: int
    listed: int
    named: float
    spread: float
    limit: float
    seconds: float

    def withstood(self, share: float) -> bool:
        """Tell whether attacks named at most this share and could not spread further."""
        return self.named <= share and self.spread <= self.limit


@dataclass(frozen=True)
class PeopleList:
    """The list of people that an attacker has.

    Attributes:
        times: How many times as many people it holds as encodings are attacked.
        mistyped: The share of its values that are typed otherwise than in the file.
    """

    times: int = 1
    mistyped: float = 0.0


@dataclass(frozen=True)
class Case:
    """What is attacked, whatever the setting.

    Attributes:
        study: What was found in the file's columns.
        people: The fields of people drawn by whole dwellings.
        known_pairs: How many encodings' persons the attacker knows.
        has: The attacker's list.
        seed: Of everything that is drawn.
    """

    study: Study
    people: pa.Table
    known_pairs: int
    has: PeopleList
    seed: int

    def attack(self, setting: Setting) -> Trial:
        """Attack what encodings of these people under an unknown key would show.

        What two encodings show of each other is drawn: what is expected, and the noise of a
        mean over so many bits.
        """
        start = time.process_time()
        rng = np.random.default_rng([self.seed, setting.t, setting.bits])
        schema = Schema.from_toml(write_schema(self.study, "trial", setting))
        bits = [part.bits for part in schema.parts]
        victims = self._victims()
        people = self.people
        own = 0
        if self.has != PeopleList():
            # First the victims as they are encoded, then the list as the attacker has it.
            typed = with_errors(people, schema, self.has.mistyped, self.seed)
            people = pa.concat_tables([people.take(pa.array(victims)), typed])
            own = len(victims)
        expected = expected_agreement(people, schema)
        seen = expected[:own, :own] if own else expected
        listed = expected[own:, own:]
        named = max(self._named(seen, listed, victims, bits, rng) for _ in range(KEYS))
        records = max(self.study.records, len(self.people))
        return Trial(
            setting,
            len(victims),
            len(listed),
            named,
            spread(listed, bits) * records / len(self.people),
            # Half of what it takes, since some people stand out more than others.
            SUSTAINED / 2 * math.log(records),
            time.process_time() - start,
        )

    def _named(
        self,
        seen: NDArray[np.int16],
        listed: NDArray[np.int16],
        victims: NDArray[np.int64],
        bits: list[int],
        rng: np.random.Generator,
    ) -> float:
        """Draw agreements under an unknown key, attack them, and return the share named."""
        # The list is in an order of its own, so that no tie is broken in the attacker's favour.
        order = rng.permutation(len(listed))
        place = np.argsort(order)[victims]
        known = np.full(len(victims), -1, np.int64)
        told = rng.permutation(len(victims))[: self.known_pairs]
        known[told] = place[told]
        observed = Observed.simulated(seen, bits, rng)
        found = percolate(observed, np.ascontiguousarray(listed[np.ix_(order, order)]), known=known)
        others = known < 0
        return float((found.guesses == place)[others].mean())

    def _victims(self) -> NDArray[np.int64]:
        """Draw who is attacked: everybody on the list, or whole dwellings of a part of it."""
        if self.has.times == 1:
            return np.arange(len(self.people))
        most = len(self.people) // self.has.times
        return whole_dwellings(self.people, dwelling_of(self.study.found), most, self.seed + 1)


def spread(expected: NDArray[np.int16], bits: list[int]) -> float:
    """Add up what all other people's encodings would tell of one, in nats, on average.

    Args:
        expected: (n, n, groups) int16 agreements, 32767 for 1.
        bits: Length of each group.

    The likelihood of an agreement with noise of variance 1 / b that is expected to be k, against
    none, is b k^2 / 2 nats on average.
    """
    total = 0.0
    for group, length in enumerate(bits):
        for start in range(0, len(expected), _ROWS):
            block = expected[start : start + _ROWS, :, group].astype(np.float32) / ONE
            faint = np.abs(block) * math.sqrt(length) <= VISIBLE
            # What all pairs have in common tells nobody apart.
            block -= (block * faint).sum(axis=1, keepdims=True) / faint.sum(axis=1, keepdims=True)
            total += float((block * block)[faint].sum()) * length / 2
    return total / len(expected)
