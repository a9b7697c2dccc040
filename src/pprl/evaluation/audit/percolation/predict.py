"""What percolation would name under a setting, from a list of people alone: nothing is encoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.evaluation.audit.agreement import expected_agreement, key_spread
from pprl.evaluation.audit.percolation.observed import Observed
from pprl.evaluation.audit.percolation.rounds import Percolation, Settings, percolate
from pprl.holder.schema import Schema


@dataclass(frozen=True)
class Predicted:
    """What an attack on simulated agreements named.

    Attributes:
        rate: Share of the encodings, those known beforehand left out, named rightly.
        named: How many.
        attacked: Of how many.
        attack: What percolation says itself.
    """

    rate: float
    named: int
    attacked: int
    attack: Percolation


def predict(
    people: pa.Table,
    schema: Schema,
    *,
    known_pairs: int = 0,
    seed: int = 1,
    settings: Settings | None = None,
    expected: NDArray[np.int16] | None = None,
) -> Predicted:
    """Simulate encodings of a list under an unknown key, and attack them with the same list.

    Every agreement is the expected one plus Gaussian noise of variance (1 - rho^2) / bits. To
    choose among settings; confirm the chosen one with real encodings.

    Args:
        people: A column of text for every field that is encoded, by the field's name.
        schema: The setting: groups, weights, hardening, lengths.
        known_pairs: How many encodings' persons the attacker knows, drawn at random.
        seed: Of noise, order and known pairs.
        settings: How hard the attack tries.
        expected: What `expected_agreement` returns for these people and this schema, if it is
            at hand already.

    Raises:
        ValueError: More known pairs than people.
    """
    rng = np.random.default_rng(seed)
    kernel = expected_agreement(people, schema) if expected is None else expected
    n = len(kernel)
    if known_pairs > n:
        raise ValueError(f"{known_pairs:,} known pairs are more than the {n:,} people")
    order = rng.permutation(n)
    observed = Observed.simulated(kernel[np.ix_(order, order)], [p.bits for p in schema.parts], rng)
    known = np.full(n, -1, np.int64)
    friends = rng.permutation(n)[:known_pairs]
    known[friends] = order[friends]
    found = percolate(observed, kernel, known=known, spread=key_spread(schema), settings=settings)
    others = known < 0
    right = int((found.guesses == order)[others].sum())
    attacked = int(others.sum())
    return Predicted(right / max(attacked, 1), right, attacked, found)
