"""Hardening: every method against a plain implementation of its definition."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from conftest import SCHEMA_TOML, changed, encode_by_id
from pprl.cli import app
from pprl.errors import SchemaError, UndoneHardening, UndoneHardeningWarning, UsageError
from pprl.exchange.encodings import check_compatible
from pprl.exchange.rows import EncodingsFile
from pprl.holder.encoder import Encoder
from pprl.holder.groups import Part, half_full
from pprl.holder.hardening import hardener
from pprl.holder.hardening.diffusion import contrast, diffuse, index_sets
from pprl.holder.hardening.draws import Draws
from pprl.holder.hardening.mixing import rule_30, rule_90, sampled
from pprl.holder.hardening.noise import Noise
from pprl.holder.hardening.options import Balance
from pprl.kernels.diffuse import xor_positions
from pprl.linkage.estimates import dice_before_noise, distance_before_diffusion

KEY = bytes(range(32))


def random_filters(n: int, bits: int, fill: float = 0.2, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.packbits(rng.random((n, bits)) < fill, axis=1)


def bits_of(filters: np.ndarray) -> list[list[int]]:
    return np.unpackbits(filters, axis=1).tolist()


class PlainDraws:
    """The definition of `Draws`, from one long stream."""

    def __init__(self, key: bytes) -> None:
        self.stream = Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(1 << 20))
        self.at = 0

    def below(self, limit: int) -> int:
        while True:
            number = int.from_bytes(self.stream[self.at : self.at + 4], "little")
            self.at += 4
            if number < 2**32 // limit * limit:
                return number % limit

    def shuffled(self, size: int) -> list[int]:
        numbers = list(range(size))
        for last in reversed(range(1, size)):
            other = self.below(last + 1)
            numbers[last], numbers[other] = numbers[other], numbers[last]
        return numbers


@pytest.mark.parametrize(("size", "key"), [(1024, KEY), (3, bytes(32)), (1000, b"k" * 32)])
def test_draws_follow_their_definition(size: int, key: bytes) -> None:
    ours, plain = Draws(key), PlainDraws(key)
    assert ours.shuffled(size) == plain.shuffled(size)
    limits = [1, 2, 3, 1000, 2**31 + 1, 2**32] * 50
    assert [ours.below(limit) for limit in limits] == [plain.below(limit) for limit in limits]


def plain_sets(length: int, bits: int, t: int) -> list[list[int]]:
    """Deal cards from a shuffled deck; one that a hand has already goes to the next hand."""
    draws = PlainDraws(KEY)
    deck: list[int] = []
    hands = []
    for _ in range(bits):
        hand: list[int] = []
        doubles = []
        while len(hand) < t:
            deck = deck or draws.shuffled(length)
            card = deck.pop()
            if card in hand:
                doubles.append(card)
            else:
                hand.append(card)
        deck = deck + doubles
        hands.append(hand)
    return hands


def test_draws_never_change() -> None:
    """A known answer, so that no version can silently change every encoding."""
    sets = index_sets(1024, 2048, 10, Draws(KEY))
    assert sets.tolist() == plain_sets(1024, 2048, 10)
    assert hashlib.sha256(sets.astype("<u2").tobytes()).hexdigest() == SETS


SETS = "091ff1a3808356ed7798df8a2134cb6e8ae39e7511c835d8f49427dcb7416685"


@given(
    st.integers(1, 4).map(lambda k: 64 * k),
    st.integers(1, 4).map(lambda k: 64 * k),
    st.integers(1, 20),
    st.binary(min_size=32, max_size=32),
)
@settings(max_examples=40, deadline=None)
def test_index_sets_are_distinct_and_even(length: int, bits: int, t: int, key: bytes) -> None:
    sets = index_sets(length, bits, t, Draws(key))
    assert sets.shape == (bits, t)
    assert all(len(set(row)) == t for row in sets.tolist())
    used = np.bincount(sets.ravel(), minlength=length)
    assert len(used) == length
    assert used.max() - used.min() <= 2


@pytest.mark.parametrize(
    ("n", "length", "bits", "t"), [(1, 64, 64, 1), (65, 128, 192, 3), (300, 1024, 2048, 10)]
)
def test_diffusion_is_an_xor_of_positions(n: int, length: int, bits: int, t: int) -> None:
    filters = random_filters(n, length)
    sets = index_sets(length, bits, t, Draws(KEY))
    before, after = bits_of(filters), bits_of(diffuse(filters, sets))
    for record, made in zip(before, after, strict=True):
        assert made == [sum(record[p] for p in row) % 2 for row in sets.tolist()]


def test_diffusion_compiled_and_plain() -> None:
    filters = random_filters(70, 64).view(np.uint64)
    sets = index_sets(64, 128, 3, Draws(KEY))
    plain, compiled = (np.empty((70, 2), np.uint64) for _ in range(2))
    xor_positions.py_func(filters, sets, plain)
    xor_positions(filters, sets, compiled)
    np.testing.assert_array_equal(plain, compiled)


def test_contrast_is_what_is_left_of_the_signal() -> None:
    """Two filters at distance d agree in (1 + (1 - 2d)^t) / 2 of the diffused bits."""
    assert contrast(0.18, 10) == pytest.approx(0.64**10)
    filters = random_filters(2, 1024, 0.3)
    other = np.packbits(
        np.unpackbits(filters, axis=1) ^ (np.random.default_rng(2).random((2, 1024)) < 0.05), axis=1
    )
    distance = np.unpackbits(filters ^ other, axis=1).mean()
    sets = index_sets(1024, 1 << 15, 6, Draws(KEY))
    agree = 1 - np.unpackbits(diffuse(filters, sets) ^ diffuse(other, sets), axis=1).mean()
    assert agree == pytest.approx((1 + (1 - 2 * distance) ** 6) / 2, abs=0.01)


def test_rules_of_the_cellular_automata() -> None:
    """The rule's number is its truth table: bit (4 left + 2 own + right) of it."""
    filters = random_filters(20, 72, 0.5)
    for rule, made in ((90, rule_90(filters)), (30, rule_30(filters))):
        for record, after in zip(bits_of(filters), bits_of(made), strict=True):
            size = len(record)
            expected = [
                rule >> (4 * record[i - 1] + 2 * record[i] + record[(i + 1) % size]) & 1
                for i in range(size)
            ]
            assert after == expected


def test_balance_has_half_its_bits_set_and_keeps_distances() -> None:
    filters = random_filters(30, 64)
    made = hardener(Part("", (), 128, Balance(method="balance")), lambda _: KEY)(filters)
    assert np.unpackbits(made, axis=1).sum(axis=1).tolist() == [64] * 30
    order = PlainDraws(KEY).shuffled(128)
    for record, after in zip(bits_of(filters), bits_of(made), strict=True):
        both = record + [1 - bit for bit in record]
        assert after == [both[i] for i in order]


def test_record_level_filters_follow_their_definition(key: pprl.LinkageKey) -> None:
    """Two fields, each a half full filter of its own, bits dealt from both and shuffled."""
    schema = pprl.Schema.from_document(
        {
            "name": "two",
            "bits": 256,
            "hardening": {"method": "record-level"},
            "fields": [
                {"name": "a", "bits_per_feature": 60, "tokens": {"type": "exact"}},
                {"name": "b", "bits_per_feature": 20, "tokens": {"type": "exact"}},
            ],
        }
    )
    lengths = [half_full(60), half_full(20)]
    for length, inserted in zip(lengths, (60, 20), strict=True):
        assert 1 - (1 - 1 / length) ** inserted <= 0.5 < 1 - (1 - 1 / (length - 1)) ** inserted
    people = pd.DataFrame({"id": ["1", "2"], "a": ["Jansen", "Bakker"], "b": ["x", "y"]})
    made = encode_by_id(people, schema, key, id_column="id")
    draws = PlainDraws(key.derive("sample", schema.fingerprint, ""))
    places = []
    for field, share in ((0, 192), (1, 64)):
        pool: list[int] = []
        for _ in range(share):
            pool = pool or draws.shuffled(lengths[field])
            places.append((field, pool.pop()))
    places = [places[i] for i in draws.shuffled(256)]
    for row, values in enumerate((("Jansen", "x"), ("Bakker", "y"))):
        filters = [np.zeros(length, int) for length in lengths]
        for at, (name, value, inserted) in enumerate(zip("ab", values, (60, 20), strict=True)):
            secret = key.derive("token", schema.fingerprint, name, length=128)[:64]
            slices: list[int] = []
            for block in range(2):
                digest = hashlib.blake2b(value.encode(), key=secret, salt=str(block).encode())
                slices += np.frombuffer(digest.digest(), "<u2").tolist()
            for one in slices[:inserted]:
                filters[at][one % lengths[at]] = 1
        expected = [filters[field][place] for field, place in places]
        assert np.unpackbits(made.clks[row]).tolist() == expected


def test_sampling_takes_each_position_equally_often() -> None:
    chosen = sampled([(0, 10), (10, 30)], [1, 3], 100, Draws(KEY))
    used = np.bincount(chosen, minlength=40)
    assert used[:10].sum() == 25
    assert set(used[:10]) == {2, 3}
    assert set(used[10:]) == {2, 3}


def noisy_schema(method: str, bits: int = 1024) -> pprl.Schema:
    text = SCHEMA_TOML.replace('{ method = "none" }', method)
    return pprl.Schema.from_toml(text.replace("\nbits = 1024", f"\nbits = {bits}"))


def same_people(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)],
            "surname": "Vermeulen",
            "born": "1950-01-31",
            "postcode": "1234AB",
        }
    )


RESPONSE = '{ method = "randomised-response", f = 0.2 }'
KEYED = '{ method = "randomised-response", f = 0.2, noise = "keyed" }'


def test_noise_is_of_its_own_for_every_record(key: pprl.LinkageKey) -> None:
    """A generator seeded again for each row would put one fixed mask over all of them,
    with which the same bits flip in every record: constant columns, and no privacy."""
    plain = encode_by_id(same_people(400), noisy_schema('{ method = "none" }'), key, id_column="id")
    for schema, noise_key in (
        (noisy_schema(RESPONSE), None),
        (noisy_schema(KEYED), pprl.LinkageKey.generate()),
    ):
        made = encode_by_id(same_people(400), schema, key, id_column="id", noise_key=noise_key)
        bits = np.unpackbits(made.clks, axis=1)
        assert len({row.tobytes() for row in made.clks}) == 400
        ones = bits.mean(axis=0)
        assert ones.min() > 0
        assert ones.max() < 1
        # The keys of the two schemas differ, so the true bits are what most records say.
        flipped = bits ^ (ones > 0.5)
        assert flipped.mean() == pytest.approx(0.1, abs=0.003)
        assert np.abs(flipped.mean(axis=0) - 0.1).max() < 0.09
        assert np.abs(flipped.mean(axis=1) - 0.1).max() < 0.06
        assert (ones > 0.5).sum() == pytest.approx(np.unpackbits(plain.clks[0]).sum(), rel=0.15)


def test_fresh_noise_changes_and_keyed_noise_stays(key: pprl.LinkageKey) -> None:
    people = same_people(5)

    def made(schema: pprl.Schema, noise_key: pprl.LinkageKey | None) -> np.ndarray:
        return encode_by_id(people, schema, key, id_column="id", noise_key=noise_key).clks

    own = pprl.LinkageKey.generate()
    fresh, keyed = noisy_schema(RESPONSE), noisy_schema(KEYED)
    assert (made(fresh, None) != made(fresh, None)).any()
    assert (made(keyed, own) == made(keyed, own)).all()
    assert (made(keyed, own) != made(keyed, pprl.LinkageKey.generate())).any()
    with pytest.raises(UsageError, match="no use"):
        made(fresh, own)
    with pytest.raises(UsageError, match="keyed noise"):
        made(keyed, None)
    with pytest.raises(UsageError, match="is the linkage key"):
        made(keyed, key)


def test_noise_follows_its_definition() -> None:
    noise = Noise(KEY)
    filters = random_filters(3, 128)
    nonces = noise.nonces(["a", "b", "c"], [0, 0, 1])
    assert nonces[2].tobytes() == hashlib.blake2b(b"\x01c", key=KEY, digest_size=12).digest()
    made = noise.flip(filters, nonces, 0.15, first=64)
    cipher = Cipher(AES(KEY), ECB()).encryptor()
    threshold = round(0.15 * 65536)
    for row in range(3):
        stream = b"".join(
            cipher.update(nonces[row].tobytes() + (64 * 16 // 128 + at).to_bytes(4, "big"))
            for at in range(16)
        )
        planes = [
            np.unpackbits(np.frombuffer(stream[16 * k : 16 * k + 16], np.uint8)) for k in range(16)
        ]
        numbers = sum((1 - plane.astype(int)) << k for k, plane in enumerate(planes))
        expected = np.unpackbits(filters[row]) ^ (numbers < threshold)
        assert np.unpackbits(made[row]).tolist() == expected.tolist()


def test_none_must_be_asked_for_by_name() -> None:
    with pytest.raises(SchemaError, match="hardening is missing"):
        pprl.Schema.from_toml(SCHEMA_TOML.replace('hardening = { method = "none" }', ""))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ('{ method = "diffusion", t = 1 }', "t"),
        ('{ method = "diffusion", t = 10, filter_bits = 1000 }', "power of two"),
        ('{ method = "diffusion", t = 10, filter_bits = 32 }', "filter_bits"),
        ('{ method = "randomised-response", f = 1.0 }', "f"),
        ('{ method = "rule-31" }', "hardening"),
        ('{ method = "diffusion" }', "t"),
    ],
)
def test_impossible_hardening_is_refused(method: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        noisy_schema(method)


@pytest.mark.parametrize(
    ("method", "bits", "before"),
    [
        ('{ method = "diffusion", t = 10, filter_bits = 1024 }', 512, 1024),
        ('{ method = "balance" }', 1024, 512),
        ('{ method = "rule-90" }', 1024, 1024),
        ('{ method = "rule-30" }', 1024, 1024),
        ('{ method = "xor-fold", folds = 1 }', 1024, 2048),
    ],
)
def test_every_method_encodes(
    method: str, bits: int, before: int, key: pprl.LinkageKey, people: pd.DataFrame
) -> None:
    schema = noisy_schema(method, bits)
    assert schema.parts[0].filter_bits == before
    made = encode_by_id(people, schema, key, id_column="id")
    assert made.clks.shape == (len(people), bits // 8)
    again = encode_by_id(people, schema, key, id_column="id")
    np.testing.assert_array_equal(made.clks, again.clks)
    assert made.info.hardening["method"] in method
    if "diffusion" in method:
        said = made.info.hardening
        assert 0.15 < said["fill"] < 0.5
        assert said["c"] == pytest.approx((1 - 2 * said["fill"]) ** 10, abs=1e-3)
        other = encode_by_id(people, schema, pprl.LinkageKey.generate(), id_column="id")
        assert (other.clks != made.clks).mean() > 0.9


def test_similarity_before_noise_is_estimated_without_bias() -> None:
    """The mean over many draws of noise is the similarity without it."""
    rng = np.random.default_rng(5)
    one = rng.random(1024) < 0.2
    two = one ^ (rng.random(1024) < 0.06)
    true = 2 * (one & two).sum() / (one.sum() + two.sum())
    flip, found, seen = 0.05, [], []
    for _ in range(800):
        a, b = (x ^ (rng.random(1024) < flip) for x in (one, two))
        counts = float((a & b).sum()), float(a.sum()), float(b.sum())
        seen.append(2 * counts[0] / (counts[1] + counts[2]))
        found.append(dice_before_noise(*counts, bits=1024, flip=flip))
    assert np.mean(found) == pytest.approx(true, abs=0.005)
    assert abs(np.mean(seen) - true) > 0.1
    assert dice_before_noise(10.0, 20.0, 20.0, bits=100, flip=0.0) == 0.5
    with pytest.raises(UsageError, match="flip"):
        dice_before_noise(1.0, 1.0, 1.0, bits=8, flip=0.5)


def test_distance_before_diffusion_inverts_the_expectation() -> None:
    for t in (2, 6, 10):
        before = np.array([0.0, 0.01, 0.1, 0.3])
        after = (1 - (1 - 2 * before) ** t) / 2
        np.testing.assert_allclose(distance_before_diffusion(after, t), before, atol=1e-12)
    assert distance_before_diffusion(np.array([0.6]), 10)[0] == 0.5


OVERLONG = '{ method = "diffusion", t = 3, filter_bits = 512 }'


def old_file(path: Path, schema: pprl.Schema, key: pprl.LinkageKey, people: pd.DataFrame) -> Path:
    """Write encodings as versions before the refusal did: diffusion into more bits."""
    square = encode_by_id(people, noisy_schema('{ method = "none" }'), key, id_column="id")
    encoder = Encoder(schema, key)
    clks = encoder.encode(pa.RecordBatch.from_pandas(people.drop(columns="id"))).clks
    told = {
        "hardening": schema.hardening.model_dump(),
        "schema_fingerprint": schema.fingerprint,
        "key_check": encoder.key_check,
        "self_test": encoder.self_test(),
    }
    square = replace(square, info=square.info.model_copy(update=told))
    changed(square, clks=clks).save(path)
    return path


@pytest.mark.parametrize("filter_bits", [512, 1024, 2048])
def test_diffusion_into_more_bits_is_refused(
    filter_bits: int, people: pd.DataFrame, key: pprl.LinkageKey, tmp_path: Path
) -> None:
    method = OVERLONG.replace("512", str(filter_bits))
    schema = noisy_schema(method)
    if filter_bits >= 1024:
        assert len(encode_by_id(people, schema, key, id_column="id")) == len(people)
        return
    with pytest.raises(UndoneHardening, match=r"about 528 encodings.* 2 times as many"):
        encode_by_id(people, schema, key, id_column="id")
    with pytest.raises(UndoneHardening):
        pprl.encode_file(people, schema, key, tmp_path / "out", id_column="id")
    assert not list(tmp_path.iterdir())


def test_one_overlong_group_is_refused(people: pd.DataFrame, key: pprl.LinkageKey) -> None:
    groups = """
    [[groups]]
    name = "who"
    fields = ["surname", "born"]
    [[groups]]
    name = "where"
    fields = ["born", "postcode"]
    hardening = { method = "diffusion", t = 3, filter_bits = 512 }
    """
    schema = pprl.Schema.from_toml(SCHEMA_TOML + groups)
    with pytest.raises(UndoneHardening, match="group 'where'"):
        encode_by_id(people, schema, key, id_column="id")


def test_old_files_load_and_link_with_a_warning(
    people: pd.DataFrame, key: pprl.LinkageKey, tmp_path: Path
) -> None:
    path = old_file(tmp_path / "old.clk.parquet", noisy_schema(OVERLONG), key, people)
    with pytest.warns(UndoneHardeningWarning, match=r"old\.clk\.parquet") as caught:
        old = pprl.Encodings.load(path)
    assert [one.filename for one in caught] == [__file__]
    assert old.info.undone == [""]
    check_compatible([old.info, old.info])
    links = pprl.link(old, old, threshold=0.69).links  # without a further warning
    assert links.to_arrow()["left_id"].to_pylist() == links.to_arrow()["right_id"].to_pylist()
    with pytest.warns(UndoneHardeningWarning, match=r"old\.clk\.parquet"):
        assert EncodingsFile.open(str(path)).info == old.info


def test_schema_check_tells_of_undone_hardening(tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(SCHEMA_TOML.replace('{ method = "none" }', OVERLONG))
    told = CliRunner().invoke(app, ["schema", "check", str(path)])
    assert told.exit_code == 0
    assert "not for new encodings" in told.stderr
    told = CliRunner().invoke(app, ["schema", "check", str(path), "--json"])
    assert json.loads(told.stdout)["undone"] == [""]


def test_square_diffusion_spans_its_bits() -> None:
    """What a search for light code words needs is a span that is not full."""
    for t in (9, 12):
        sets = index_sets(512, 512, t, Draws(KEY))
        rows = [sum(1 << int(position) for position in row) for row in sets]
        assert 512 - 8 <= rank(rows) <= 512
    wide = index_sets(256, 512, 9, Draws(KEY))
    assert rank([sum(1 << int(position) for position in row) for row in wide]) <= 256


def rank(rows: list[int]) -> int:
    """Rank over GF(2) of rows that are written as whole numbers."""
    leading: dict[int, int] = {}
    for row in rows:
        while row and (bit := row.bit_length()) in leading:
            row ^= leading[bit]
        if row:
            leading[bit] = row
    return len(leading)
