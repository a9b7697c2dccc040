"""Groups and missing fields are weighed by what the files themselves show."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import encodings_of, key_of
from pprl import demo
from pprl.errors import PprlWarning
from pprl.exchange.encodings import Encodings
from pprl.holder.suggest import suggest_schema
from pprl.kernels.groups import common_bits
from pprl.linkage import advice
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.candidates.exhaustive import scored_pairs
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision import missingness as odds_module
from pprl.linkage.decision.gather import decide_two_files as decide
from pprl.linkage.decision.missingness import Odds, count_kinds, kinds_of, lack_alike
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.comparison_vectors import View, can_be_weighed
from pprl.linkage.model.density_ratio import _level, learn

GROUPS = {"person": 512, "place": 512}
DIFFUSED = {"method": "diffusion", "t": 10, "filter_bits": 1024}


def grouped(clks: np.ndarray, **changes: object) -> Encodings:
    values = {"groups": GROUPS, "hardening": {"person": DIFFUSED, "place": DIFFUSED}} | changes
    return encodings_of(clks, **values)


def noisy(rng: np.random.Generator, filters: np.ndarray, share: float) -> np.ndarray:
    return filters ^ np.packbits(rng.random((len(filters), 8 * filters.shape[1])) < share, axis=1)


def register(seed: int, shared: int, n: int = 600) -> tuple[Encodings, Encodings]:
    """Two files of couples; ``shared`` people are in both, and every other one has moved."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, 256, (2, n, 64)).astype(np.uint8)
    homes = rng.integers(0, 256, (n // 2 + n, 64)).astype(np.uint8)
    # Person i and i + n / 2 share a home, in each file and across the two.
    place = np.stack([np.concatenate([homes[: n // 2]] * 2)] * 2)
    both = rng.permutation(n)[:shared]
    person[1, both] = noisy(rng, person[0, both], 0.15)
    place[1, both[::2]] = homes[n // 2 + both[::2]]
    place = noisy(rng, place.reshape(-1, 64), 0.02).reshape(place.shape)
    return tuple(  # type: ignore[return-value]
        grouped(np.concatenate([person[side], place[side]], axis=1), holder="ab"[side])
        for side in (0, 1)
    )


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_common_bits_are_those_of_numpy(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    starts = np.cumsum([0, *data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))])
    rng = np.random.default_rng(seed)
    words = [rng.integers(0, 2**63, (n, starts[-1])).astype(np.uint64) for n in (4, 5)]
    left, right = rng.integers(0, 4, 7), rng.integers(0, 5, 7)
    both = np.unpackbits((words[0][left] & words[1][right]).view(np.uint8), axis=1)
    expected = np.add.reduceat(both, 64 * starts[:-1], axis=1, dtype=np.int32)
    for function in (common_bits, common_bits.py_func):
        out = np.empty((7, len(starts) - 1), np.int32)
        with np.errstate(over="ignore"):
            function(*words, left, right, starts, out)
        assert np.array_equal(out, expected)


def test_what_non_matches_share_counts_little() -> None:
    """Movers agree in one group, household members in the other, and more closely."""
    a, b = register(1, shared=300)
    found = pprl.link(a, b).links.to_pandas()
    right = (found["left_id"].str[1:] == found["right_id"].str[1:]).to_numpy()
    assert right.sum() >= 270
    assert right.mean() >= 0.97
    # One similarity for all cannot tell them apart.
    pairs = scored_pairs(a, b, 0.55)
    same = pairs.left == pairs.right
    least = np.quantile(pairs.similarity[same], 0.3)
    assert (pairs.similarity[~same] > least).sum() > 200


def test_nobody_in_both_files() -> None:
    """Household members across the files are not taken for matches."""
    a, b = register(2, shared=0)
    with pytest.warns(pprl.errors.PprlWarning, match="no links"):
        assert len(pprl.link(a, b).links) == 0
    rng = np.random.default_rng(2)
    non_matches = [grouped(rng.integers(0, 256, (400, 128)).astype(np.uint8)) for _ in range(2)]
    found = decide(*non_matches)
    assert found.evidence is not None
    assert not found.evidence.learned


def test_missing_fields_do_not_speak_against_a_pair() -> None:
    """Diffused filters of people whose second field one holder lacks fall to what c predicts."""
    rng = np.random.default_rng(3)
    n, lost = 500, np.arange(500) < 200
    filters = rng.integers(0, 256, (n, 1024)).astype(np.uint8)
    # What is left of a signal of 0.6 with 60 of 1,024 bits more that differ, ten times over.
    left = np.exp(-2 * 10 * 60 / 1024)
    others = noisy(rng, filters, np.where(lost, (1 - 0.6 * left) / 2, 0.2)[:, None])
    weights = {"": {"name": 100, "place": 60}}
    common = {"weights": weights, "present": {"name": 1.0, "place": 0.8}, "hardening": DIFFUSED}
    a, b = (encodings_of(one, holder, **common) for one, holder in ((filters, "a"), (others, "b")))
    masks = np.full((2, n, 1), 0xC0, np.uint8)
    masks[1, lost] = 0x80
    masked = [
        dataclasses.replace(one, present=mask) for one, mask in zip((a, b), masks, strict=True)
    ]
    assert not can_be_weighed(a.info, b.info, masked=False)
    assert can_be_weighed(a.info, b.info, masked=True)
    sides = [Side.of(one) for one in masked]
    view = View.of(*sides)
    same = Pairs(np.arange(n), np.arange(n), np.zeros(n))
    features = view.features(ComparedPairs.of(*sides, same))
    plain, raised = features[:, 0], features[:, 2]
    assert np.allclose(plain[~lost], raised[~lost])
    assert np.median(raised[lost]) == pytest.approx(0.6, abs=0.05)
    assert np.median(plain[lost]) == pytest.approx(0.6 * left, abs=0.02)


def test_who_lacks_the_same_field_is_the_more_likely_one_person() -> None:
    """Filters that tell little, of people whose files both lack what they never gave."""
    rng = np.random.default_rng(9)
    n, shared = 1_000, 500
    filters = rng.integers(0, 256, (2, n, 128)).astype(np.uint8)
    filters[1, :shared] = noisy(rng, filters[0, :shared], 0.41)
    masks = np.where(rng.random((2, n, 1)) < 0.5, 0xC0, 0x80).astype(np.uint8)
    masks[1, :shared] = masks[0, :shared]
    common = {"weights": {"": {"x": 60, "y": 60}}, "present": {"x": 1.0, "y": 0.5}}
    a, b = (
        dataclasses.replace(encodings_of(one, holder, **common), present=mask)
        for one, holder, mask in zip(filters, "ab", masks, strict=True)
    )
    found = decide(a, b)
    assert found.evidence is not None
    view = found.evidence.view
    sides = [Side.of(one) for one in (a, b)]
    some = Pairs(np.arange(n), np.arange(n), np.zeros(n))
    patterns = view.features(ComparedPairs.of(*sides, some))[:, -view.patterns :]
    has = (masks & [0x80, 0x40]) > 0
    assert np.array_equal(patterns, np.hstack([has[0] ^ has[1], has[0] & has[1]]))
    assert found.evidence.weights[-view.patterns :][1] < -0.5
    kept = found.kept
    alike = (masks[0, kept.left] == masks[1, kept.right]).mean()
    assert alike >= 0.98


def test_what_five_non_matches_a_record_reach_is_no_rival() -> None:
    a, b = register(7, shared=300)
    pairs, own, other = (scored_pairs(*two, 0.48) for two in ((a, b), (a, None), (b, None)))
    sides = [Side.of(one) for one in (a, b)]
    known = [
        ComparedPairs.of(side, side, some) for side, some in zip(sides, (own, other), strict=True)
    ]
    evidence, scores = learn(ComparedPairs.of(*sides, pairs), known)
    assert evidence.learned
    for one, score in zip(known, scores, strict=True):
        assert np.allclose(evidence.odds(one), score)
    above = [(score >= 0).sum() for score in scores]
    assert max(above) == pytest.approx(5 * 600, rel=0.01)


def test_variants_are_seen_by_their_best() -> None:
    a, b = register(4, shared=200)
    rng = np.random.default_rng(4)
    rows = np.repeat(np.arange(600), 2)
    clks = b.clks[rows].copy()
    clks[::2] = rng.integers(0, 256, clks[::2].shape)
    twice = dataclasses.replace(
        b,
        record_ids=b.record_ids.take(rows),
        clks=clks,
        variants=np.tile(np.array([0, 1], np.uint8), 600),
        info=b.info.model_copy(update={"rows": 1200}),
    )
    pairs = Pairs(np.arange(200), np.arange(200), np.zeros(200))
    mine, others = Side.of(a), [Side.of(one) for one in (b, twice)]
    view = View.of(mine, others[0])
    expected, found = (view.features(ComparedPairs.of(mine, side, pairs)) for side in others)
    assert np.array_equal(found, expected)


def test_learning_does_not_depend_on_which_file_comes_first() -> None:
    a, b = register(5, shared=200)
    pairs, own, other = (scored_pairs(*two, 0.52) for two in ((a, b), (a, None), (b, None)))
    sides = [Side.of(file) for file in (a, b)]
    null = [
        ComparedPairs.of(side, side, some) for side, some in zip(sides, (own, other), strict=True)
    ]
    some = ComparedPairs.of(*sides, pairs)
    one, _ = learn(some, null)
    turned = Pairs(pairs.right, pairs.left, pairs.similarity)
    two, _ = learn(ComparedPairs.of(*sides[::-1], turned), null[::-1])
    assert one.learned
    assert np.allclose(one.weights, two.weights, atol=0.05)
    assert one.weights[2] > one.weights[3]
    # Who moved agrees in one group only, and housemates in the other.
    person, place = one.view.contrast(some).T
    score = one.score(a, b, pairs).similarity
    moved, housemates = (person > 0.4) & (place < 0.3), (place > 0.4) & (person < 0.3)
    assert min(moved.sum(), housemates.sum()) >= 90
    assert np.quantile(score[moved], 0.1) > np.quantile(score[housemates], 0.99)


@pytest.mark.filterwarnings("ignore:field 'date_of_birth'.*cannot be read by date_dmy")
@pytest.mark.parametrize("hardening", ["default", "none"])
def test_febrl_with_a_suggested_schema(hardening: str) -> None:
    """What a linkage unit gets that does as it is told."""
    people = demo.half_overlap(demo.febrl4())
    text = suggest_schema(people.left.drop(columns="rec_id"), hardening=hardening)  # type: ignore[arg-type]
    schema = pprl.Schema.from_toml(text)
    key = key_of("a secret for the tests of evidence")
    a, b = (pprl.encode(x, schema, key, id_column="rec_id") for x in (people.left, people.right))
    assert can_be_weighed(a.info, b.info, masked=a.present is not None)
    assert pprl.evaluate(pprl.link(a, b).links, people.truth).f1.value >= 0.985


@pytest.mark.filterwarnings("ignore:field 'date_of_birth'.*cannot be read by date_dmy")
def test_blocks_and_the_automatic_threshold() -> None:
    """Blocking may take links away, and must not move what is decided of the others."""
    people = demo.half_overlap(demo.febrl4())
    text = suggest_schema(people.left.drop(columns="rec_id"), hardening="none")
    passes = """
[[blocking]]
name = "birth"
parts = [{ field = "date_of_birth" }]
[[blocking]]
name = "surname"
parts = [{ field = "surname", first = 4 }]
"""
    schema = pprl.Schema.from_toml(text + passes)
    key = key_of("a secret for the tests of evidence")
    a, b = (pprl.encode(x, schema, key, id_column="rec_id") for x in (people.left, people.right))
    result = pprl.link(a, b, blocking=KeyBlocking())
    quality = pprl.evaluate(result.links, people.truth)
    assert quality.precision.value >= 0.98
    assert quality.recall.value >= 0.9
    assert result.blocking is not None
    assert result.pairs_compared == result.blocking.compared < len(a) * len(b) // 20


def test_what_a_result_leaves_for_the_report() -> None:
    a, b = register(6, shared=200)
    result = pprl.link(a, b)
    assert result.curve is not None
    curve = result.curve.to_pandas()
    assert curve["score"].is_monotonic_decreasing
    assert curve["expected_false"].is_monotonic_increasing
    assert (curve["expected_false"] <= curve["links"]).all()
    counts = result.similarities.to_pandas()
    assert counts["links"].sum() == len(result.links)
    assert (counts["links"] <= counts["pairs"]).all()
    fixed = pprl.link(a, b, threshold=0.6)
    assert fixed.curve is None
    assert fixed.similarities["links"].to_numpy().sum() == len(fixed.links)
    assert re.search(r"\d links", repr(fixed))


def test_matches_are_learned_from_where_they_show() -> None:
    """Among five pairs a record a few more between than within hide a hundred matches."""
    rng = np.random.default_rng(5)
    n, matches = 1_000, 100
    between = np.sort(np.concatenate([rng.random(5 * n - 300), 1 + rng.random(matches)]))
    within = np.sort(rng.random(5 * n))
    ones = [np.ones(len(one)) for one in (between, within)]
    level = _level([between, within], ones, [n], grouped=True)
    assert level is not None
    assert (within >= level).sum() < n
    assert (between >= level).sum() > (within >= level).sum() + 50
    assert _level([between, within], ones, [n], grouped=False) is None
    assert _level([within, within], [ones[1], ones[1]], [n], grouped=True) is None


def masked(masks: list[int]) -> Encodings:
    """Records that have these fields, a bit for each of three."""
    n = len(masks)
    present = np.array(masks, np.uint8).reshape(n, 1) << 5
    made = encodings_of(np.ones((n, 128), np.uint8), present={"x": 1.0, "y": 1.0, "z": 1.0})
    return dataclasses.replace(made, present=present)


@settings(deadline=None, max_examples=100)
@given(
    files=st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=12), min_size=2, max_size=3),
    leaves_out=st.booleans(),
)
def test_pairs_within_stand_for_pairs_between(files: list[list[int]], leaves_out: bool) -> None:
    """Against pairs that are counted one by one, but for those that count for the most."""
    asked = [not leaves_out or file != files[0] for file in files]
    asked[-1] = True
    odds = Odds.of(kinds_of([masked(file) for file in files]), asked)
    between: dict[frozenset[int], float] = Counter()
    within: dict[frozenset[int], float] = Counter()
    for one, other in combinations(files, 2):
        between.update(frozenset((x, y)) for x in one for y in other)
    for file, is_asked in zip(files, asked, strict=True):
        if is_asked:
            within.update(frozenset(pair) for pair in combinations(file, 2))
    mean = sum(between.values()) / sum(within.values())
    assert odds.mean == pytest.approx(mean)
    expected = {kind: min(between[kind] / count, 4 * mean) for kind, count in within.items()}
    shown = sum(expected[kind] * within[kind] for kind in within)
    scale = sum(between.values()) / shown if shown else 0.0
    stands: dict[frozenset[int], float] = Counter()
    for number, (file, is_asked) in enumerate(zip(files, asked, strict=True)):
        left, right = np.triu_indices(len(file), 1)
        found = odds.pairs(number, Pairs(left, right, np.zeros(len(left))))
        for x, y, one in zip(left, right, found, strict=True):
            if is_asked:
                kind = frozenset((file[x], file[y]))
                stands[kind] += one
                assert one == pytest.approx(scale * expected[kind] if shown else mean)
    # Of each two kinds, pairs between count for as many as those within stand for.
    everybody = np.concatenate(files)
    number_of = np.repeat(np.arange(len(files)), [len(file) for file in files])
    left, right = np.nonzero(number_of[:, None] < number_of)
    counts: dict[frozenset[int], float] = Counter()
    for x, y, one in zip(
        everybody[left],
        everybody[right],
        odds.pooled().between(Pairs(left, right, np.zeros(len(left)))),
        strict=True,
    ):
        counts[frozenset((int(x), int(y)))] += one
    for kind, count in counts.items():
        assert count == pytest.approx(stands[kind], abs=1e-6)


def test_what_no_pair_of_non_matches_lacks_teaches_nothing() -> None:
    """Half of one file lacks a field that all of the other have, and shows no non-matches."""
    rng = np.random.default_rng(11)
    n = 600
    filters = rng.integers(0, 256, (2, n, 128)).astype(np.uint8)
    filters[1, :200] = noisy(rng, filters[0, :200], 0.2)
    masks = np.full((2, n, 1), 0xC0, np.uint8)
    masks[1, ::2] = 0x80
    common = {"weights": {"": {"x": 60, "y": 60}}, "present": {"x": 1.0, "y": 0.75}}
    a, b = (
        dataclasses.replace(encodings_of(one, holder, **common), present=mask)
        for one, holder, mask in zip(filters, "ab", masks, strict=True)
    )
    odds = Odds.of(kinds_of([a, b]), [True, False])
    between, own = scored_pairs(a, b, 0.5), scored_pairs(a, None, 0.5)
    counts = odds.between(between)
    assert (counts == np.where(between.right % 2, 2, 0)).all()
    sides = [Side.of(one) for one in (a, b)]
    known = [ComparedPairs(sides[0], sides[0], own, odds.pairs(0, own))]
    told, _ = learn(ComparedPairs(*sides, between, counts), known)
    assert told.learned
    assert np.abs(told.weights[-told.view.patterns :]).max() < 0.05
    # If all counted, not to have it would be what sets matches apart.
    taken_in, _ = learn(ComparedPairs.of(*sides, between), known)
    assert np.abs(taken_in.weights[-taken_in.view.patterns :]).max() > 0.1


def test_a_field_that_one_file_never_has() -> None:
    """Every pair between lacks it on one side, and no pair within does: masks are no help."""
    assert lack_alike(count_kinds(kinds_of([masked([3] * 10), masked([3] * 9 + [7])])))
    assert not lack_alike(count_kinds(kinds_of([masked([3] * 10), masked([7] * 10)])))
    assert not lack_alike(count_kinds(kinds_of([masked([3] * 10), masked([6] * 10)])))
    a, b = register(8, shared=300)
    half, never = (np.full((600, 1), mask, np.uint8) for mask in (0xC0, 0x80))
    info = a.info.model_copy(update={"present": {"x": 1.0, "y": 1.0}, "weights": {"person": {}}})
    files = [dataclasses.replace(one, info=info, present=half) for one in (a, b)]
    with_masks = decide(*files).evidence
    files[1] = dataclasses.replace(files[1], present=never)
    without = decide(*files).evidence
    assert with_masks is not None
    assert without is not None
    assert with_masks.view.masked
    assert not without.view.masked


def test_without_masks_every_pair_stands_for_as_many() -> None:
    a, b = (encodings_of(np.ones((n, 128), np.uint8)) for n in (10, 20))
    odds = Odds.of(kinds_of([a, b]))
    some = Pairs(np.array([0, 3]), np.array([1, 9]), np.zeros(2))
    assert odds.pairs(0, some) == pytest.approx(200 / (45 + 190))
    assert odds.pairs(1, some) == pytest.approx(odds.mean)


def test_the_rarest_of_many_combinations_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odds_module, "_MOST_KINDS", 2)
    odds = Odds.of(kinds_of([masked([7, 7, 7, 7, 1, 2]), masked([7, 7, 7, 4, 7])]))
    assert odds.table.shape == (2, 2)
    assert odds.kinds[0].tolist() == [0, 0, 0, 0, 1, 1]
    assert odds.kinds[1].tolist() == [0, 0, 0, 1, 0]


def test_links_that_may_well_be_false_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "VAGUE", 0.995)
    a, b = register(3, shared=300)
    with pytest.warns(PprlWarning, match="links as few as 99% may be right"):
        result = pprl.link(a, b)
    assert len(result.links) > 0
