"""Percolation, information-set decoding, what lies in the clear: each breaks what is weak."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

import pprl
from conftest import key_of
from pprl import synthetic
from pprl.evaluation.audit.agreement import ONE, expected_agreement, jaccard, token_weights
from pprl.evaluation.audit.clear import clear_attacks, guess_inside, order_attack
from pprl.evaluation.audit.clusters import clusters
from pprl.evaluation.audit.linear import span, undo
from pprl.evaluation.audit.percolation import Observed, predict
from pprl.evaluation.audit.run import Case
from pprl.evaluation.audit.strong import decoding_attack, percolations
from pprl.holder.encoder import Encoder
from pprl.holder.hardening.diffusion import diffuse, index_sets
from pprl.holder.hardening.draws import Draws

KEY = key_of(b"the holders' key, never the attacker's")
N = 300
FIELDS = {
    "first_names": 60,
    "surname": 60,
    "birth_date": 60,
    "postcode": 40,
    "house_number": 30,
    "street": 40,
}


def schema_of(hardening: str, extra: str = "", bits: int = 1024) -> pprl.Schema:
    fields = "".join(
        f'[[fields]]\nname = "{name}"\nbits_per_feature = {share}\n'
        for name, share in FIELDS.items()
    )
    return pprl.Schema.from_toml(
        f'version = 1\nname = "s"\nbits = {bits}\nhardening = {hardening}\n{extra}{fields}'
        '[[groups]]\nname = "names"\nfields = ["first_names", "surname", "birth_date"]\n'
        '[[groups]]\nname = "whole"\n'
        f"fields = {str(list(FIELDS)).replace(chr(39), chr(34))}\n"
    )


@pytest.fixture(scope="module")
def people() -> pa.Table:
    population = synthetic.population_table(1500, seed=5)
    register = synthetic.Register(name="r", coverage=((0, 1.0),))
    table = synthetic.register_table(population, register, seed=5)[0]
    return table.slice(0, N).select([*FIELDS, "record_id"])


def case_of(people: pa.Table, schema: pprl.Schema) -> Case:
    order = np.random.default_rng(2).permutation(len(people))
    (batch,) = people.take(pa.array(order)).combine_chunks().to_batches()
    made = Encoder(schema, KEY).encode(batch)
    bare = people.drop_columns("record_id")
    present = np.packbits(made.present, axis=1)
    return Case(made.clks, bare, order, schema, 1, present, made.block_keys)


def test_what_is_expected_of_min_hashes_is_what_another_key_shows(people: pa.Table) -> None:
    schema = schema_of('{ method = "minhash", t = 2 }')
    case = case_of(people, schema)
    expected = expected_agreement(case.people, schema)[np.ix_(case.who, case.who)]
    seen = Observed.of_clks([case.clks[:, :128], case.clks[:, 128:]])
    every = np.arange(N)
    for group in range(2):
        off = ~np.eye(N, dtype=bool)
        left = (seen.block(group, every, every) - expected[:, :, group] / ONE)[off]
        assert abs(left.mean()) < 0.002
        # The noise of a mean of 1,024 products of +-1, a little less where two agree.
        assert 0.9 < left.std() * 32 < 1.1


def test_jaccard_of_weights_against_sets_written_out(people: pa.Table) -> None:
    schema = schema_of('{ method = "minhash", t = 3 }')
    few = people.drop_columns("record_id").slice(0, 12)
    weights = token_weights(few, schema, schema.parts[1]).toarray()
    assert weights.sum(axis=1).max() == pytest.approx(sum(FIELDS.values()), rel=1e-5)
    found = np.empty((12, 12), np.int16)
    from pprl.evaluation.audit.agreement import for_pairs

    for_pairs(token_weights(few, schema, schema.parts[1]), jaccard(3), found)
    for a, b in itertools.product(range(12), repeat=2):
        least = np.minimum(weights[a], weights[b]).sum()
        most = np.maximum(weights[a], weights[b]).sum()
        assert found[a, b] / ONE == pytest.approx((least / most) ** 3, abs=1e-4)


def test_percolation_names_nearly_everybody_where_hardening_is_light(people: pa.Table) -> None:
    """The positive control: no key, no known pairs, one draw per person."""
    case = case_of(people, schema_of('{ method = "minhash", t = 2 }', bits=4096))
    free, known = percolations(case, known_pairs=(50, 10_000))
    assert free.name == "percolation"
    assert free.knowledge == "nothing"
    assert free.reidentification_rate > 0.9
    assert known.name == "known pairs, percolation"
    assert known.known_pairs == 50
    assert known.n_victims == N - 50
    assert known.reidentification_rate > 0.9


def test_percolation_names_few_where_encodings_show_nothing(people: pa.Table) -> None:
    case = case_of(people, schema_of('{ method = "minhash", t = 40 }'))
    (free,) = percolations(case)
    assert free.reidentification_rate < 0.03


def test_what_is_predicted_is_what_encodings_give(people: pa.Table) -> None:
    bare = people.drop_columns("record_id")
    light = predict(bare, schema_of('{ method = "minhash", t = 2 }', bits=4096))
    heavy = predict(bare, schema_of('{ method = "minhash", t = 40 }'))
    assert light.rate > 0.9
    assert heavy.rate < 0.03
    pairs = predict(bare, schema_of('{ method = "minhash", t = 4 }'), known_pairs=100)
    assert pairs.attacked == N - 100
    assert pairs.rate > heavy.rate
    with pytest.raises(ValueError, match="known pairs"):
        predict(bare, schema_of('{ method = "minhash", t = 4 }'), known_pairs=N + 1)


def test_diffusion_into_more_bits_is_undone_from_the_encodings_alone() -> None:
    rng = np.random.default_rng(1)
    plain = (rng.random((400, 128)) < 0.2).astype(np.uint8)
    sets = index_sets(128, 256, 4, Draws(bytes(32)))
    clks = diffuse(np.packbits(plain, axis=1), sets)
    found = undo(clks, 4, 128, seconds=60)
    # With an even t a filter and its complement have one encoding.
    assert found.rank == 127
    assert found.filters is not None
    # The same filters, their positions in another order.
    ours = {column.tobytes() for column in found.filters.T}
    assert len(ours & {column.tobytes() for column in plain.T}) >= 0.99 * 128
    square = diffuse(np.packbits(plain, axis=1), index_sets(128, 128, 5, Draws(bytes(32))))
    assert undo(square, 5, 128, seconds=5).filters is None


def test_filters_are_found_though_a_column_of_the_map_is_not() -> None:
    rng = np.random.default_rng(2)
    plain = (rng.random((900, 256)) < 0.2).astype(np.uint8)
    sets = index_sets(256, 512, 5, Draws(bytes(32)))
    # Position 0 goes into so many bits that a search for light words does not find its column.
    for one in range(0, 512, 16):
        sets[one, 0] = 0
    found = undo(diffuse(np.packbits(plain, axis=1), sets), 5, 256, seconds=60)
    assert found.filters is not None
    assert len(found.columns) == 255
    ours = {column.tobytes() for column in found.filters.T}
    assert ours == {column.tobytes() for column in plain.T[1:]}


def test_spans_are_ranks_over_gf2() -> None:
    rng = np.random.default_rng(3)
    few = rng.integers(0, 2, (20, 64), np.uint8)
    mixed = (rng.integers(0, 2, (50, 20)) @ few % 2).astype(np.uint8)
    basis, pivots = span(mixed)
    assert len(basis) == len(pivots) == 20
    assert len(span(few[:7])[0]) == 7


def test_an_old_file_is_broken_by_decoding(people: pa.Table) -> None:
    schema = schema_of('{ method = "diffusion", t = 3, filter_bits = 512 }')
    population = synthetic.population_table(1500, seed=6)
    register = synthetic.Register(name="r", coverage=((0, 1.0),))
    table = synthetic.register_table(population, register, seed=6)[0].slice(0, 640)
    case = case_of(table.select([*FIELDS, "record_id"]), schema)
    one = decoding_attack(case, seconds=60)
    assert one is not None
    assert one.name.startswith("information-set decoding")
    assert one.reidentification_rate > 0.9
    assert decoding_attack(case_of(people, schema_of('{ method = "minhash", t = 2 }'))) is None


def test_blocking_keys_and_masks_name_people_by_themselves(people: pa.Table) -> None:
    blocks = (
        'presence_mask = true\n[[blocking]]\nname = "b"\n'
        'parts = [{ field = "surname", first = 1 }]\n[[blocking]]\nname = "y"\n'
        'parts = [{ field = "birth_date", first = 4 }]\n'
    )
    schema = schema_of('{ method = "minhash", t = 9 }', blocks)
    found = {one.name: one for one in clear_attacks(case_of(people, schema))}
    assert found["blocking keys and presence mask"].reidentification_rate > 0.02


def test_people_alone_in_a_class_are_named_rightly() -> None:
    ours, theirs = np.array([3, 1, 2, 2]), np.array([2, 3, 2, 1])
    guesses = guess_inside(ours, theirs, np.random.default_rng(1))
    assert guesses[:2].tolist() == [1, 3]
    assert set(guesses[2:].tolist()) == {0, 2}
    assert guess_inside(np.array([7]), theirs, np.random.default_rng(1)).tolist() == [-1]


def test_a_sorted_file_beside_a_sorted_list_is_aligned(people: pa.Table) -> None:
    schema = schema_of('{ method = "minhash", t = 9 }')
    order = np.array(people.sort_by("surname")["record_id"].to_pylist())
    ids = people["record_id"].to_pylist()
    who = np.array([ids.index(one) for one in order])
    bare = people.drop_columns("record_id")
    case = Case(np.zeros((N, 256), np.uint8), bare, who, schema, 1)
    assert order_attack(case).reidentification_rate > 0.5
    shuffled = np.random.default_rng(1).permutation(N)
    assert order_attack(case.with_list(shuffled, np.arange(N))).reidentification_rate < 0.05


def test_clusters_are_sampled_whole(people: pa.Table) -> None:
    bare = people.drop_columns("record_id")
    kin = clusters(bare)
    home = [
        f"{a} {b}"
        for a, b in zip(bare["postcode"].to_pylist(), bare["house_number"].to_pylist(), strict=True)
    ]
    for address in {one for one in home if home.count(one) == 2 and "None" not in one}:
        first, second = (at for at, one in enumerate(home) if one == address)
        assert kin[first] == kin[second]
    assert N / 5 < len(set(kin.tolist())) < N
    schema = schema_of('{ method = "minhash", t = 9 }')
    case = Case(np.zeros((N, 256), np.uint8), bare, np.arange(N), schema, 1).sample_clusters(100, 2)
    assert len(case.clks) == 100
    assert 100 < len(case.people) <= 200
    assert (case.who >= 0).all()
    torn = 0
    taken = clusters(case.people)
    for cluster in np.unique(taken):
        inside = np.isin(np.flatnonzero(taken == cluster), case.who)
        torn += inside.any() and not inside.all()
    assert torn <= 2
