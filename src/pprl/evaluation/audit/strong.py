"""The strongest attacks that the audit has: percolation, and undoing linear hardening."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from pprl.evaluation.audit.agreement import expected_agreement, key_spread
from pprl.evaluation.audit.attacker import targets_of, undiffused
from pprl.evaluation.audit.clear import colours_of
from pprl.evaluation.audit.linear import FULL, undo
from pprl.evaluation.audit.percolation import Observed, percolate
from pprl.evaluation.audit.results import Attack
from pprl.evaluation.audit.run import Case, with_errors
from pprl.holder.hardening.options import Diffusion

SECONDS = 240.0
"""Processor time that information-set decoding gets at most."""


def percolations(
    case: Case, *, known_pairs: Sequence[int] = (), noise: float = 0.0, label: str = ""
) -> Iterator[Attack]:
    """Percolate over all groups: without known pairs, and with each of some numbers of them.

    Args:
        case: Encodings and list, drawn as whole clusters.
        known_pairs: Numbers of known pairs; those above half of the encodings are left out.
        noise: Share of the list's values that are mistyped.
        label: How the attack's name ends.
    """
    start = time.perf_counter()
    people = with_errors(case.people, case.schema, noise, case.seed) if noise else case.people
    parts = targets_of(case.schema)[: len(case.schema.parts)]
    expected = expected_agreement(people, case.schema, seed=case.seed)
    observed = Observed.of_clks([np.ascontiguousarray(case.clks[:, one.columns]) for one in parts])
    same = not noise and len(case.people) == len(case.clks)
    colours = colours_of(case, blocks=same)
    spread = key_spread(case.schema)
    rng = np.random.default_rng(case.seed + 4)
    order = rng.permutation(np.flatnonzero(case.who >= 0))
    for number in (0, *known_pairs):
        if number > len(case.clks) // 2:
            continue
        known = np.full(len(case.clks), -1, np.int64)
        known[order[:number]] = case.who[order[:number]]
        found = percolate(observed, expected, colours=colours, known=known, spread=spread)
        others = known < 0
        yield Attack.of(
            ("known pairs, percolation" if number else "percolation") + label,
            found.guesses[others],
            case.who[others],
            len(case.people),
            seed=case.seed,
            seconds=time.perf_counter() - start,
            knowledge="known pairs" if number else "nothing",
            known_pairs=number,
            noise=noise,
        )
        start = time.perf_counter()


def decoding_attack(case: Case, seconds: float = SECONDS) -> Attack | None:
    """Undo the diffusion of the group with the lowest t, then percolate over plain filters.

    Returns:
        None where no group is diffused into more bits than its filter has.
    """
    start = time.perf_counter()
    open_ = [
        (part.hardening.t * part.bits / part.filter_bits, -len(part.fields), at, part.hardening.t)
        for at, part in enumerate(case.schema.parts)
        if isinstance(part.hardening, Diffusion) and part.bits > part.filter_bits + FULL
    ]
    if not open_:
        return None
    _, _, at, t = min(open_)
    part, target = case.schema.parts[at], targets_of(case.schema)[at]
    victims = np.ascontiguousarray(case.clks[:, target.columns])
    undone = undo(victims, t, part.filter_bits, seconds=seconds, seed=case.seed)
    guesses = np.full(len(victims), -1, np.int64)
    if undone.filters is not None:
        plain = undiffused(case.schema)
        expected = expected_agreement(case.people, plain)[:, :, at : at + 1]
        filters = np.packbits(undone.filters, axis=1)
        spread = key_spread(plain)[at : at + 1]
        guesses = percolate(
            Observed.of_clks([filters]), np.ascontiguousarray(expected), spread=spread
        ).guesses
    return Attack.of(
        f"information-set decoding, percolation{target.label}",
        guesses,
        case.who,
        len(case.people),
        seed=case.seed,
        seconds=time.perf_counter() - start,
    )
