"""From which similarity on pairs are candidates, and files in which people have many records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pprl
from conftest import encodings_of
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.floor import find_floor, find_floor_of_repeated


def visits(
    people: int, mean: int, holder: str = "", seed: int = 0, wrong: float = 0.04
) -> tuple[Encodings, np.ndarray]:
    """Filters of people who have a geometric number of rows, each with some bits flipped."""
    rng = np.random.default_rng(seed)
    rows = np.random.default_rng(people).geometric(1 / mean, people)
    person = np.repeat(np.arange(people), rows)
    clks = np.random.default_rng(1).integers(0, 256, (people, 128)).astype(np.uint8)[person]
    clean = rng.random(len(person)) < 0.5
    flips = np.packbits(rng.random((len(person), 1024)) < wrong, axis=1)
    clks[~clean] ^= flips[~clean]
    return encodings_of(clks, holder), person


def pair_recall(clusters: pd.DataFrame, person: np.ndarray) -> tuple[float, float]:
    """Recall and precision of pairs."""
    label = pd.factorize(clusters["cluster_id"])[0]

    def pairs(of: np.ndarray) -> float:
        counts = np.unique(of, return_counts=True)[1]
        return float((counts * (counts - 1)).sum())

    both = pairs(label * (person.max() + 1) + person)
    return both / pairs(person), both / max(pairs(label), 1.0)


@pytest.mark.parametrize("mean", [1, 5, 10, 20])
def test_many_records_of_a_person(mean: int) -> None:
    file, person = visits(60, mean) if mean > 1 else visits(600, 2)
    found = pprl.dedupe(file)
    recall, precision = pair_recall(found.clusters.to_pandas(), person)
    assert recall > 0.98
    assert precision > 0.98


def test_many_records_of_a_person_in_two_files() -> None:
    made = [visits(60, 10, name, seed=at) for at, name in enumerate("ab")]
    found = pprl.cluster(*(file for file, _ in made), deduplicated=False)
    person = np.concatenate([one for _, one in made])
    recall, precision = pair_recall(found.clusters.to_pandas(), person)
    assert min(recall, precision) > 0.98


def test_rows_that_are_all_clean() -> None:
    """Each of sixty people has twenty rows, all the same."""
    clks = np.random.default_rng(2).integers(0, 256, (60, 128)).astype(np.uint8)
    person = np.repeat(np.arange(60), 20)
    found = pprl.dedupe(encodings_of(clks[person]))
    assert pair_recall(found.clusters.to_pandas(), person) == (1.0, 1.0)


def test_the_floor_is_below_a_persons_records() -> None:
    file, _ = visits(60, 20)
    assert find_floor(file, file) > 0.8
    assert find_floor_of_repeated(file) < 0.6
    # Where nobody is in the file twice, it is that of twenty neighbours.
    alone = encodings_of(np.random.default_rng(3).integers(0, 256, (900, 128)).astype(np.uint8))
    assert find_floor_of_repeated(alone) == pytest.approx(find_floor(alone, alone), abs=0.002)
