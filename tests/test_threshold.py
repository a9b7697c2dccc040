"""The automatic cut on files whose truth is known."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pprl
from conftest import encodings_of, key_of
from pprl import demo
from pprl.errors import PprlWarning, UsageError
from pprl.holder.suggest import suggest_schema
from pprl.linkage.candidates.exhaustive import scored_pairs
from pprl.linkage.candidates.floor import find_centre
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Cut, _draw
from pprl.linkage.decision.duplicates import repeat_people, standing_out
from pprl.linkage.decision.estimate import Estimate, unless_all_false
from pprl.linkage.decision.gather import decide_two_files as decide
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.margin import with_margin
from pprl.synthetic import practice


def test_margin_by_hand() -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.9, 0.6, 0.5]))
    scored = with_margin(pairs, pairs.left, 2 + pairs.right, 0.4)
    # Runners-up: 0.6 (left 0), 0.9 (left 0), 0.6 (right 1); less 0.45 times what exceeds 0.4.
    assert scored.similarity == pytest.approx([0.81, 0.375, 0.41])


@pytest.mark.parametrize("shared", [0, 834, 1668])
def test_cut_on_febrl(shared: int) -> None:
    people = demo.half_overlap(demo.febrl4())
    gone = people.truth["left_id"].iloc[shared:]
    left = people.left[~people.left["rec_id"].isin(gone)]
    schema = pprl.Schema.load("src/pprl/schemas/febrl4.toml")
    key = key_of("a secret for the tests of the threshold")
    a, b = (pprl.encode(x, schema, key, id_column="rec_id") for x in (left, people.right))
    links = decide(a, b, workers=1).kept.to_links(a, b).table
    found = set(zip(links["left_id"].to_pylist(), links["right_id"].to_pylist(), strict=True))
    true = set(people.truth.iloc[:shared].itertuples(index=False, name=None))
    if not shared:
        assert not found
        return
    assert 2 * len(found & true) / (len(found) + len(true)) >= 0.98


def test_link_finds_its_threshold() -> None:
    """Links, probabilities and the estimate beside what is true."""
    people = demo.half_overlap(demo.febrl4())
    schema = pprl.Schema.load("src/pprl/schemas/febrl4.toml")
    key = key_of("another secret for the tests of the threshold")
    a, b = (pprl.encode(x, schema, key, id_column="rec_id") for x in (people.left, people.right))
    result = pprl.link(a, b)
    quality = pprl.evaluate(result.links, people.truth)
    assert quality.f1.value >= 0.985
    assert result.rule == "auto"
    assert result.estimate is not None
    assert result.estimate.precision is not None
    estimate = result.estimate.precision
    assert estimate.low <= quality.precision.value <= estimate.high
    table = result.links.to_pandas()
    assert table["probability"].between(0, 1).all()
    assert table["similarity"].min() == result.threshold
    assert result.facts(a.info, b.info)["rule"] == "auto"
    again = pprl.link(a, b, workers=1)
    assert again.links.table.equals(result.links.table)


def test_households_are_non_matches(tmp_path: Path) -> None:
    """Two siblings in one file with a third in the other are no person's two records."""
    practice(tmp_path)
    a, b = (pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in ("hospital", "registry"))
    schema = pprl.Schema.from_toml(suggest_schema(a.drop(columns="record_id")))
    truth = pd.read_csv(tmp_path / "truth.csv", dtype=str)
    for number in range(2):
        key = key_of(f"secret number {number} for the tests of households")
        files = [pprl.encode(x, schema, key, id_column="record_id") for x in (a, b)]
        result = pprl.link(*files)
        quality = pprl.evaluate(result.links, truth)
        assert quality.precision.value >= 0.96
        assert quality.recall.value >= 0.97


def test_one_persons_two_records_are_not() -> None:
    """Some of those in both files stand in one of them twice, and hardly a link is lost for it."""
    people = demo.half_overlap(demo.febrl4())
    shared = people.right[people.right["rec_id"].isin(people.truth["right_id"])]
    twice = shared.sample(frac=0.1, random_state=1)
    left = pd.concat([people.left, twice.assign(rec_id=twice["rec_id"] + " again")])
    schema = pprl.Schema.load("src/pprl/schemas/febrl4.toml")
    key = key_of("a secret for the tests of duplicates")
    once, a, b = (
        pprl.encode(x, schema, key, id_column="rec_id") for x in (people.left, left, people.right)
    )
    with pytest.warns(PprlWarning, match="several times"):
        links = pprl.link(a, b).links
    assert len(links) >= 0.99 * len(pprl.link(once, b).links)


def test_a_precision_that_is_asked_for() -> None:
    """Fewer links, the best ones, and the estimate says what was asked."""
    people = demo.half_overlap(demo.febrl4())
    schema = pprl.Schema.load("src/pprl/schemas/febrl4.toml")
    key = key_of("a secret for the tests of a precision")
    a, b = (pprl.encode(x, schema, key, id_column="rec_id") for x in (people.left, people.right))
    plain, sure = pprl.link(a, b), pprl.link(a, b, precision=0.9999)
    assert len(sure.links) < len(plain.links)
    kept, all_links = (
        set(zip(*(x.links.table[end].to_pylist() for end in ("left_id", "right_id")), strict=True))
        for x in (sure, plain)
    )
    assert kept < all_links
    assert sure.estimate is not None
    assert sure.estimate.precision is not None
    assert sure.estimate.precision.value >= 0.9999
    assert sure.facts(a.info, b.info)["precision_asked"] == 0.9999
    assert pprl.link(a, b, precision=0.5).links.table.equals(plain.links.table)
    for wrong in (-0.1, 1.5):
        with pytest.raises(UsageError, match="between 0 and 1"):
            pprl.link(a, b, precision=wrong)
    with pytest.raises(UsageError, match="automatic threshold"):
        pprl.link(a, b, threshold=0.7, precision=0.9)
    with pytest.raises(UsageError, match="two files"):
        pprl.link(a, b, a, precision=0.9)


def test_nobody_in_both_files() -> None:
    rng = np.random.default_rng(4)
    a, b = (encodings_of(rng.integers(0, 256, (500, 128)).astype(np.uint8)) for _ in range(2))
    with pytest.warns(PprlWarning, match="no links"):
        result = pprl.link(a, b)
    assert (len(result.links), result.threshold) == (0, None)
    assert "no threshold" in repr(result)
    assert result.estimate is not None
    assert result.estimate.to_dict()["precision"] is None


def test_few_records_are_a_guess() -> None:
    rng = np.random.default_rng(4)
    a = encodings_of(rng.integers(0, 256, (40, 128)).astype(np.uint8))
    with pytest.warns(PprlWarning, match="guess"):
        assert len(pprl.link(a, a).links) == 40


def test_what_the_automatic_threshold_cannot_do() -> None:
    a = encodings_of(np.ones((2, 8), np.uint8))
    with pytest.raises(UsageError, match="automatic"):
        pprl.link(a, a, matching="many-to-many")


def people_of(frame: pd.DataFrame) -> pd.Series:
    """FEBRL's number of the person."""
    return frame["rec_id"].str.split("-").str[1]


def found_and_wrong(left: pd.DataFrame, right: pd.DataFrame) -> tuple[int, int, pprl.LinkResult]:
    """Link with a suggested schema; count persons that were found, and links that are wrong."""
    schema = pprl.Schema.from_toml(suggest_schema(left, hardening="none"))
    key = key_of("a secret for the tests of files that differ")
    result = pprl.link(*(pprl.encode(x, schema, key, id_column="rec_id") for x in (left, right)))
    table = result.links.to_pandas()
    persons = [table[side].str.split("-").str[1] for side in ("left_id", "right_id")]
    right_ones = persons[0] == persons[1]
    return persons[0][right_ones].nunique(), int((~right_ones).sum()), result


@pytest.mark.filterwarnings("ignore:field 'date_of_birth'.*cannot be read by date_dmy")
def test_a_small_file_beside_a_large_one() -> None:
    """A record without a match has few rivals among the records of the small file."""
    files = demo.febrl4()
    left = files.left[people_of(files.left).astype(int) < 250]
    found, wrong, result = found_and_wrong(left, files.right)
    assert found >= 240
    assert wrong <= 8
    assert result.estimate is not None
    assert result.estimate.precision is not None
    assert result.estimate.precision.low <= 1 - wrong / len(result.links)


@pytest.mark.filterwarnings("ignore:field 'date_of_birth'.*cannot be read by date_dmy")
def test_both_files_repeat_people_of_whom_the_other_has_none() -> None:
    """Their two records are a match, though nobody in the other file says so."""
    files = demo.febrl4()
    left, right = (
        one.assign(person=people_of(one).astype(int)) for one in (files.left, files.right)
    )
    own = left[left["person"] < 2000], right[right["person"].between(1000, 2999)]
    again = (
        right[(right["person"] < 2000) & (right["person"] % 10 == 0)],
        left[left["person"].between(1000, 2999) & (left["person"] % 10 == 5)],
    )
    a, b = (pd.concat(both).drop(columns="person") for both in zip(own, again, strict=True))
    with pytest.warns(PprlWarning, match="several times"):
        found, wrong, _ = found_and_wrong(a, b)
    assert found >= 980
    assert wrong <= 20


def test_a_file_that_lacks_more_fields_repeats_nobody() -> None:
    """Its pairs that lack the address are alike for that; few pairs between files do."""
    n, levels = 1_000, np.linspace(0.9, 0.8, 400)
    few, many = (
        Pairs(np.arange(count), np.arange(count) + count, np.full(count, 0.95)) for count in (6, 90)
    )
    ones = [np.ones(len(one)) for one in (few, many)]
    whole = [1.0, 1.0]
    assert repeat_people(levels, [few, many], [n, n], ones, whole).tolist() == [False, True]
    # As many pairs are ten times as surprising where a tenth of the file's pairs was compared.
    some = [Pairs(np.arange(30), np.arange(30) + 30, np.full(30, 0.95))] * 2
    for share, expected in ((1.0, False), (0.1, True)):
        found = repeat_people(levels, some, [n, n], [np.ones(30)] * 2, [1.0, share])
        assert found.tolist() == [False, expected]
    assert not repeat_people(levels, [few, many], [n, n], [ones[0], ones[1] / 8], whole).any()
    # Nor is one pair that counts for fifty fifty pairs.
    assert not repeat_people(levels, [few, few], [n, n], [ones[0], 50 * ones[0]], whole).any()
    assert not repeat_people(levels, [few, many], [n, n], [15 * ones[0], ones[1]], whole).any()


def test_the_tail_that_is_drawn_counts_as_its_pairs_do() -> None:
    rng = np.random.default_rng(4)
    similarity = rng.exponential(size=5_000)
    weight = np.full(5_000, 3.0)
    at = np.sort(similarity)[[-2, -10, -25, -40, -2_000]]
    once, thrice = (_draw(similarity, at, many) for many in (weight / 3, weight))
    assert thrice == pytest.approx(3 * once)
    assert once[1:3] == pytest.approx([10, 25], rel=0.4)
    assert once[3:].tolist() == [40, 2_000]


def test_no_links_where_all_may_be_false() -> None:
    """But a few that are hardly false are kept."""
    expected = np.linspace(0.5, 5.0, 12)
    cut = Cut(12, 5.0, np.full(12, 0.6), expected, (12, 12))
    precision = Estimate.of(cut).precision
    assert precision is not None
    assert precision.low == 0
    assert unless_all_false(cut).links == 0
    assert unless_all_false(cut).false_links == 0
    surer = Cut(2, 0.0, np.ones(2), np.zeros(12), (2, 2))
    assert unless_all_false(surer) is surer


def test_what_stands_out_within_a_file() -> None:
    """Forty people are there twice; of a street of families nobody is."""
    rng = np.random.default_rng(3)
    people = rng.integers(0, 256, (800, 128)).astype(np.uint8)
    flips = np.packbits(rng.random((40, 1024)) < 0.05, axis=1)
    twice = np.concatenate([people, people[:40] ^ flips])
    for clks, expected in ((twice, 40), (people, 0)):
        file = encodings_of(clks)
        pairs = scored_pairs(file, None, 0.52)
        side = Side.of(file)
        marked = standing_out(ComparedPairs.of(side, side, pairs), 0.52, find_centre(file))
        assert marked.sum() == expected
        assert (pairs.right[marked] - pairs.left[marked] == 800).all()
    # Couples share half of their bits, in a group of its own.
    homes = np.concatenate([people[:400, 64:]] * 2)
    couples = np.concatenate([people[:, :64], homes], axis=1)
    file = encodings_of(couples, groups={"person": 512, "home": 512})
    pairs = scored_pairs(file, None, 0.52)
    assert (pairs.similarity > 0.7).sum() == 400
    side = Side.of(file)
    assert not standing_out(ComparedPairs.of(side, side, pairs), 0.52, find_centre(file)).any()


@pytest.mark.parametrize(
    ("hardening", "threshold", "said"),
    [
        ({"method": "diffusion", "t": 10, "filter_bits": 1024}, 0.85, "after diffusion"),
        ({"method": "diffusion", "t": 10, "filter_bits": 1024}, 0.6, None),
        ({"method": "none"}, 0.5, "without hardening"),
        ({"method": "none"}, 0.8, None),
        ({"method": "balance"}, 0.5, None),
        ({}, 0.5, None),
    ],
)
def test_a_threshold_that_was_seen_to_fail(
    hardening: dict[str, object], threshold: float, said: str | None
) -> None:
    clks = np.random.default_rng(1).integers(0, 256, (20, 128)).astype(np.uint8)
    files = [encodings_of(clks, holder, hardening=hardening) for holder in "ab"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pprl.link(*files, threshold=threshold, max_pairs=1_000)
    assert [said in str(one.message) for one in told if said] == ([True] if said else [])
    assert said or not told


@pytest.mark.parametrize("hardening", [{}, {"x": {}}, {"x": "none"}, {"x": 3, "y": [1]}])
def test_a_header_that_says_little_of_its_hardening(hardening: dict[str, object]) -> None:
    """As other software may write it: nothing is known, and nothing is warned of."""
    clks = np.random.default_rng(1).integers(0, 256, (20, 128)).astype(np.uint8)
    groups = {"x": 512, "y": 512}
    files = [encodings_of(clks, one, groups=groups, hardening=hardening) for one in "ab"]
    assert set(files[0].info.methods) == {"unknown"}
    assert len(pprl.link(*files, threshold=0.5, max_pairs=1_000).links) == 20
    assert len(decide(*files).ranked) == 20
