"""The audit: measure a file of encodings, then attack it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.evaluation.audit.attacker import Attacker, Target, targets_of
from pprl.evaluation.audit.bits import Floats, Rows, centred, dice, unpacked
from pprl.evaluation.audit.clusters import clusters
from pprl.evaluation.audit.dictionary import look_up
from pprl.evaluation.audit.frequency import align_frequencies
from pprl.evaluation.audit.known_pairs import profile, ridge
from pprl.evaluation.audit.patterns import match_patterns, mine
from pprl.evaluation.audit.results import Attack
from pprl.evaluation.audit.spectral import match_graphs
from pprl.evaluation.audit.tokens import token_matrix
from pprl.holder.hardening.options import NoHardening
from pprl.holder.keys import LinkageKey
from pprl.holder.schema import Schema

CANDIDATES = 1_500
"""Encodings that are attacked with known pairs, and persons among whom is chosen."""
OVERLAPS = (0.5, 0.2, 0.05)
NOISE = 0.3
"""Share of a list's values with a typing error, where the list is not exact."""


@dataclass(frozen=True)
class Case:
    """What is attacked, and what the attacker has.

    Attributes:
        clks: (n, bits / 8) uint8 encodings.
        people: A row for each person on the list, a column for each encoded field.
        who: (n,) int64 place on the list of each encoding's person.
        schema: The schema, with hardening, lengths and groups.
        seed: Of everything that is drawn.
        present: (n, bytes) uint8 presence masks, None where the file has none.
        block_keys: (n, passes) uint64 blocking keys, None where the file has none.
    """

    clks: NDArray[np.uint8]
    people: pa.Table
    who: Rows
    schema: Schema
    seed: int
    present: NDArray[np.uint8] | None = None
    block_keys: NDArray[np.uint64] | None = None

    def sample(self, victims: int) -> Case:
        """Draw victims; the list is then of their persons, in another order."""
        rng = np.random.default_rng(self.seed)
        rows = rng.permutation(len(self.clks))[:victims]
        return self.with_list(rows, rng.permutation(np.unique(self.who[rows])))

    def sample_clusters(self, victims: int, times: int = 1) -> Case:
        """Draw victims with those who share their address or family; the list is theirs, too.

        Args:
            victims: Encodings at most, the last cluster cut.
            times: The list has so many times as many people, as far as there are.
        """
        rng = np.random.default_rng(self.seed)
        kin = clusters(self.people)
        rank = rng.permutation(int(kin.max()) + 1)[kin]
        order = np.argsort(rank, kind="stable")
        place = np.full(len(self.people), -1, np.int64)
        place[order] = np.arange(len(order))
        rows = np.argsort(np.where(self.who >= 0, place[self.who], len(place)), kind="stable")
        rows = rows[:victims]
        own = np.unique(self.who[rows])
        others = order[~np.isin(order, own)][: (times - 1) * len(own)]
        return self.with_list(rng.permutation(rows), rng.permutation(np.concatenate([own, others])))

    def with_list(self, rows: Rows, persons: Rows) -> Case:
        """Take some of the encodings, and some of the persons as the list."""
        place = np.full(len(self.people), -1, np.int64)
        place[persons] = np.arange(len(persons))
        people = self.people.take(pa.array(persons))
        present = None if self.present is None else self.present[rows]
        keys = None if self.block_keys is None else self.block_keys[rows]
        who = np.where(self.who[rows] >= 0, place[self.who[rows]], -1)
        return Case(self.clks[rows], people, who, self.schema, self.seed, present, keys)


def graph_attacks(case: Case, *, noise: float = 0.0, only_whole: bool = False) -> Iterator[Attack]:
    """Spectral graph matching on each group and on the whole CLK."""
    people = with_errors(case.people, case.schema, noise, case.seed) if noise else case.people
    attacker = Attacker(people, case.schema, case.seed)
    targets = targets_of(case.schema)
    for target in targets[-1:] if only_whole else targets:
        start = time.perf_counter()
        guesses = match_graphs(
            dice(case.clks[:, target.columns]), dice(attacker.encodings()[:, target.columns])
        )
        yield _count(case, f"spectral graph matching{target.label}", guesses, start, noise=noise)


def other_attacks(case: Case) -> Iterator[Attack]:
    """Frequency alignment and pattern mining, on each group and on the whole CLK."""
    attacker = Attacker(case.people, case.schema, case.seed)
    tokens = token_matrix(case.people, case.schema)
    for target in targets_of(case.schema):
        victims = case.clks[:, target.columns]
        start = time.perf_counter()
        guesses = align_frequencies(victims, attacker.encodings()[:, target.columns])
        yield _count(case, f"frequency alignment{target.label}", guesses, start)
        start = time.perf_counter()
        guesses = match_patterns(mine(unpacked(victims)), tokens)
        yield _count(case, f"pattern mining{target.label}", guesses, start)


def pair_attacks(
    case: Case, numbers: Sequence[int], *, only_whole: bool = False
) -> Iterator[Attack]:
    """Attacks with known pairs, by ridge regression and by similarity profile.

    Of the encodings whose persons are on the list, half or `CANDIDATES` are attacked,
    whichever is less; the attacker knows the persons of as many of the others as
    ``numbers`` say, and that his victims are among the rest.
    """
    rng = np.random.default_rng(case.seed + 1)
    order = rng.permutation(np.flatnonzero(case.who >= 0))
    # One encoding a person, so that no known person is a victim, too.
    order = order[np.sort(np.unique(case.who[order], return_index=True)[1])]
    attacked = min(CANDIDATES, len(order) // 2)
    victims, rest = order[:attacked], order[attacked:]
    attacker = Attacker(case.people, case.schema, case.seed)
    tokens = token_matrix(case.people, case.schema)
    targets = targets_of(case.schema)
    for target in targets[-1:] if only_whole else targets:
        bits = centred(case.clks[:, target.columns])
        persons = case.who[victims]
        itself = [np.diag(one).copy() for one in attacker.agreement(target, persons, persons)]
        for number in numbers:
            if number > len(rest):
                continue
            known = rest[:number]
            friends = case.who[known]
            start = time.perf_counter()
            guesses = ridge(bits[known], tokens[friends], bits[victims], tokens[persons])
            name = f"known pairs, ridge{target.label}"
            yield _pairs(name, guesses, number, case.seed, start)
            start = time.perf_counter()
            seen, grams = _agreements(bits, victims, known, target)
            guesses = profile(
                seen,
                grams,
                attacker.agreement(target, persons, friends),
                attacker.agreement(target, friends, friends),
                [part.bits for part in target.parts],
                itself,
            )
            name = f"known pairs, similarity profile{target.label}"
            yield _pairs(name, guesses, number, case.seed, start)


def key_attack(case: Case, key: LinkageKey) -> Attack:
    """The ceiling: look every encoding up with the key."""
    attacker = Attacker(case.people, case.schema, case.seed, key)
    start = time.perf_counter()
    guesses = look_up(case.clks, attacker.encodings())
    return Attack.of(
        "dictionary with the key",
        guesses,
        case.who,
        len(case.people),
        seed=case.seed,
        seconds=time.perf_counter() - start,
        knowledge="the key",
    )


def control(case: Case) -> Case | None:
    """The same people without hardening, which the graph attack is to break.

    None where the schema has no hardening that could be left out.
    """
    none = NoHardening(method="none")
    plain = case.schema.model_copy(
        update={
            "bits": max(part.filter_bits for part in case.schema.parts),
            "hardening": none,
            "groups": tuple(
                group.model_copy(update={"bits": part.filter_bits, "hardening": none})
                for group, part in zip(case.schema.groups, case.schema.parts, strict=False)
            ),
        }
    )
    if plain == case.schema:
        return None
    other = Attacker(case.people, plain, case.seed + 1).encodings()
    on_list = np.flatnonzero(case.who >= 0)
    return Case(other[case.who[on_list]], case.people, case.who[on_list], plain, case.seed)


def overlap_sweep(case: Case, overlaps: Sequence[float] = OVERLAPS) -> Iterator[Attack]:
    """Graph matching on the whole CLK where the list lacks some of the victims."""
    rng = np.random.default_rng(case.seed + 2)
    for overlap in overlaps:
        size = round(overlap * len(case.people))
        persons = rng.permutation(len(case.people))[:size]
        rows = np.arange(len(case.clks))
        if size >= 20:
            yield from graph_attacks(case.with_list(rows, persons), only_whole=True)


def with_errors(people: pa.Table, schema: Schema, share: float, seed: int) -> pa.Table:
    """Mistype a share of the values of the fields that are cut into n-grams."""
    from pprl.synthetic.corrupt import keyboard, some

    rng = np.random.default_rng(seed + 3)
    for field in schema.encoded_fields:
        at = people.schema.get_field_index(field.name)
        column = people.column(at).combine_chunks()
        if field.tokens.type == "ngram" and pa.types.is_string(column.type):
            people = people.set_column(at, field.name, some(rng, column, [(share, keyboard)]))
    return people


def _agreements(
    bits: Floats, victims: Rows, known: Rows, target: Target
) -> tuple[list[Floats], list[Floats]]:
    seen: list[Floats] = []
    grams: list[Floats] = []
    start = 0
    for part in target.parts:
        own = bits[:, start : start + part.bits]
        start += part.bits
        seen.append(own[victims] @ own[known].T / part.bits)
        grams.append(own[known] @ own[known].T / part.bits)
    return seen, grams


def _count(case: Case, name: str, guesses: Rows, start: float, noise: float = 0.0) -> Attack:
    return Attack.of(
        name,
        guesses,
        case.who,
        len(case.people),
        seed=case.seed,
        seconds=time.perf_counter() - start,
        noise=noise,
    )


def _pairs(name: str, guesses: Rows, number: int, seed: int, start: float) -> Attack:
    n = guesses.shape[1]
    return Attack.of(
        name,
        guesses,
        np.arange(n),
        n,
        seed=seed,
        seconds=time.perf_counter() - start,
        knowledge="known pairs",
        known_pairs=number,
    )
