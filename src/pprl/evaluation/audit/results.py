"""What an attack reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pprl.evaluation.audit.bits import Rows
from pprl.evaluation.quality import wilson

Knowledge = str
"""``nothing`` of the key and no pairs, ``pairs`` of encodings and persons, or the ``key``."""


@dataclass(frozen=True)
class Attack:
    """How far an attack got.

    Attributes:
        name: Which attack, on which encodings.
        knowledge: What the attacker has besides the schema and the list: ``nothing``,
            ``known pairs`` or ``the key``.
        reidentification_rate: Share of the victims on the list that got their own person.
        precision_at_1: Share of the persons named that were right.
        chance: What guessing reaches, one over the number of candidates.
        low: Lower end of the rate's 95 % interval (Wilson).
        high: Its upper end.
        n_victims: Encodings attacked.
        n_reference: Persons on the attacker's list, among whom he chooses.
        known_pairs: Encodings whose persons he knows beforehand.
        overlap: Share of the victims who are on his list.
        noise: Share of the list's values with a typing error.
        seed: Of everything that is drawn.
        seconds: Wall time.
    """

    name: str
    knowledge: str
    reidentification_rate: float
    precision_at_1: float
    chance: float
    low: float
    high: float
    n_victims: int
    n_reference: int
    known_pairs: int
    overlap: float
    noise: float
    seed: int
    seconds: float

    @classmethod
    def of(
        cls,
        name: str,
        guesses: Rows,
        who: Rows,
        n_reference: int,
        *,
        seed: int,
        seconds: float,
        knowledge: str = "nothing",
        known_pairs: int = 0,
        noise: float = 0.0,
    ) -> Attack:
        """Count guesses.

        Args:
            name: The attack.
            guesses: (n,) or (rounds, n) place on the list of each victim's person, -1 where
                the attack names none. Of several rounds the best counts.
            who: (n,) the true places, -1 where the person is not on the list.
            n_reference: Length of the list.
            seed: Of what was drawn.
            seconds: Wall time.
            knowledge: See above.
            known_pairs: See above.
            noise: See above.
        """
        rounds = np.atleast_2d(guesses)
        hits = ((rounds == who) & (who >= 0)).sum(axis=1)
        best = int(hits.argmax())
        on_list = int((who >= 0).sum())
        rate = wilson(int(hits[best]), on_list)
        named = int((rounds[best] >= 0).sum())
        return cls(
            name=name,
            knowledge=knowledge,
            reidentification_rate=rate.value,
            precision_at_1=float(hits[best]) / max(named, 1),
            chance=1 / max(n_reference, 1),
            low=rate.low,
            high=rate.high,
            n_victims=len(who),
            n_reference=n_reference,
            known_pairs=known_pairs,
            overlap=on_list / max(len(who), 1),
            noise=noise,
            seed=seed,
            seconds=round(seconds, 2),
        )

    def succeeded(self, limit: float) -> bool:
        """Tell whether the rate is above a limit and surely above chance."""
        return self.reidentification_rate > limit and self.low > self.chance

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``audit.json``."""
        return asdict(self)
