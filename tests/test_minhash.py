"""Min-hash: the bits, the chances, and what must make no difference."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import independent
import pprl
from pprl.errors import PprlWarning, SchemaError
from pprl.holder.hardening import minhash
from pprl.holder.hardening.minhash import MinHasher, Numbers, Runs, logarithm, race_table, streams
from pprl.holder.salting import Pieces
from pprl.holder.schema import Field
from pprl.holder.tokens import tokenise
from pprl.kernels import minhash as kernels
from pprl.kernels import numbers
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.comparison_vectors import View

GOLDEN = Path(__file__).parent / "golden" / "minhash.json"
VECTOR = json.loads(GOLDEN.read_text(encoding="utf-8"))
KEY = pprl.LinkageKey(bytes.fromhex(VECTOR["key"]))
ROOM = 1 << 22


def document(bits: int = 128, t: int = 4, **changes: Any) -> dict[str, Any]:
    return {
        "name": "people",
        "bits": bits,
        "hardening": {"method": "minhash", "t": t},
        "presence_mask": True,
        "fields": [
            {"name": "surname", "bits_per_feature": 60},
            {"name": "given", "bits_per_token": 9},
            {
                "name": "born",
                "bits_per_feature": 40,
                "tokens": {"positional": True, "type": "ngram"},
            },
        ],
    } | changes


def schema(**changes: Any) -> pprl.Schema:
    return pprl.Schema.from_document(document(**changes))


def people(rows: list[tuple[str | None, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["surname", "given", "born"], dtype=object)
    return table.assign(id=[f"r{i}" for i in range(len(rows))])


def in_order(*given: Any, **options: Any) -> pprl.Encodings:
    """Encode with the rows in the order of the data, so that they can be told apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        return pprl.encode(*given, keep_order=True, **options)


def bits(encodings: pprl.Encodings) -> NDArray[np.uint8]:
    return np.unpackbits(encodings.clks, axis=1)


# ---- The bits


def test_bits_are_those_of_the_second_implementation() -> None:
    made = pprl.Schema.from_document(VECTOR["schema"])
    assert made.fingerprint == VECTOR["fingerprint"]
    encoded = in_order(pd.DataFrame(VECTOR["people"]), made, KEY, id_column="id")
    expected = ["".join(row) for row in zip(*VECTOR["clks"].values(), strict=True)]
    assert [row.tobytes().hex() for row in encoded.clks] == expected
    secret = bytes.fromhex(VECTOR["key"])
    for group in VECTOR["schema"]["groups"]:
        again = [
            independent.minhash_clk(
                VECTOR["schema"], group, person, secret, VECTOR["fingerprint"]
            ).hex()
            for person in VECTOR["people"][:2]
        ]
        assert again == VECTOR["clks"][group["name"]][:2]


def test_a_schema_without_groups_follows_the_page() -> None:
    made = schema()
    person = {"surname": "jansen", "given": "anna", "born": None}
    encoded = in_order(pd.DataFrame([person | {"id": "1"}]), made, KEY, id_column="id")
    said = document()
    for field in said["fields"]:
        field.setdefault("tokens", {"type": "ngram"})
    group = {"name": "", "fields": ["surname", "given", "born"]}
    plain = independent.minhash_clk(said, group, person, KEY.secret_bytes(), made.fingerprint)
    assert encoded.clks[0].tobytes() == plain


def test_the_table_is_the_one_on_the_page() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference" / "encoding.md").read_text()
    assert hashlib.sha256(race_table().astype("<u2").tobytes()).hexdigest() in page


def test_no_value_is_so_near_to_a_half_that_a_processor_could_matter() -> None:
    u = (np.arange(1 << 15) + 0.5) / (1 << 15)
    exact = minhash.STEPS * np.log(-np.log(u))
    logs = minhash.STEPS * np.log(np.arange(2, minhash.LARGEST + 1.0))
    assert np.abs(exact % 1 - 0.5).min() > 9e-6
    assert np.abs(logs % 1 - 0.5).min() > 5e-7
    assert logarithm(np.array([1, 10, 1 << 20])).tolist() == [0, 2358, 11357]


def test_numbers_stay_within_their_16_bits() -> None:
    least = int(race_table().min()) - 2 * int(logarithm(np.array(minhash.MOST_REPEATS)))
    most = int(race_table().max()) + 2 * minhash.MOST_ADDED
    assert least > 0
    assert most < kernels.NOTHING


def test_streams_are_ctr_streams_of_their_own() -> None:
    made = streams([b"an", b"nn"], 64, b"n" * 64, b"s" * 32)
    for at, token in enumerate((b"an", b"nn")):
        nonce = hashlib.blake2b(token, key=b"n" * 64, digest_size=12).digest()
        cipher = independent.Cipher(independent.AES(b"s" * 32), independent.CTR(nonce + bytes(4)))
        assert made[64 * at : 64 * at + 64] == cipher.encryptor().update(bytes(64))


# ---- The kernels


@pytest.mark.parametrize("compiled", [True, False])
def test_kernels_against_numpy(compiled: bool) -> None:
    def of(kernel: Any) -> Any:
        return kernel if compiled else kernel.py_func

    rng = np.random.default_rng(1)
    stream = rng.integers(0, 1 << 16, (5, 256)).astype(np.uint16)
    table = np.zeros((2, 9, 128), np.uint16)
    of(kernels.look_up)(stream, race_table(), 3, table)
    expected = race_table()[stream].reshape(5, 2, 128).transpose(1, 0, 2)
    np.testing.assert_array_equal(table[:, 3:8], expected)
    assert not table[:, [0, 1, 2, 8]].any()

    offsets = np.array([0, 4, 5, 9])
    members = np.array([3, 4, 3, 3, 3, 7, 7, 5, 4], np.int32)
    times = np.empty(9, np.int32)
    of(kernels.count_repeats)(members, offsets, np.zeros(9, np.int32), times)
    assert times.tolist() == [1, 1, 2, 3, 1, 1, 2, 1, 1]

    less = rng.integers(0, 50, 9).astype(np.uint16)
    least = np.empty((3, 128), np.uint16)
    of(kernels.least_of_runs)(table[1], members, offsets, less, least)
    for run in range(3):
        some = slice(offsets[run], offsets[run + 1])
        numbers_ = table[1][members[some]].astype(int) - less[some, None]
        assert (least[run] == numbers_.min(axis=0)).all()

    codes = np.empty(5, np.uint64)
    of(kernels.stretch_codes)(members, offsets, 3, 100, codes)
    assert codes.tolist() == [40504, 40000, 40000, 80806, 50000]

    # Value 0 is made of rows 1 and 2, value 1 of row 0.
    values = np.array([[0, 1], [-1, -1], [1, -1], [-1, 0]], np.int32)
    added = np.array([4, 9], np.uint16)
    ends, own = np.empty(5, np.int64), np.empty(6, np.int32)
    more = np.empty(6, np.uint16)
    rows = np.array([1, 2, 0], np.int32)
    of(kernels.rows_of_records)(values, np.array([0, 2, 3]), rows, added, ends, own, more)
    assert ends.tolist() == [0, 3, 3, 4, 6]
    assert own.tolist() == [1, 2, 0, 0, 1, 2]
    assert more.tolist() == [4, 4, 9, 9, 4, 4]

    more = rng.integers(0, 50, 6).astype(np.uint16)
    words = np.zeros((4, 12), np.uint32)
    of(kernels.least_of_rows)(ends, own, more, least, 4, words)
    for record in range(4):
        some = slice(ends[record], ends[record + 1])
        expected = (least[own[some]] + more[some, None]).min(axis=0, initial=kernels.NOTHING) & 1
        low = np.packbits(expected, bitorder="little").view(np.uint32)
        assert words[record, 4:8].tolist() == low.tolist()
    assert not words[:, [0, 3, 8, 11]].any()
    assert not words[1].any()


def test_vectors_in_plain_python() -> None:
    a, b = (np.arange(64, dtype=np.uint16) * step for step in (3, 1000))
    assert (numbers.plus(a, b) == a + b).all()
    assert (numbers.lesser(a, b) == np.minimum(a, b)).all()
    assert numbers.alike(np.uint16(5)).tolist() == [5] * 64


def test_values_made_of_stretches_give_the_same_bits() -> None:
    """Dates share stretches and are cut; alone, or few, they are not."""
    field = Field(name="born", bits_per_feature=9, tokens={"type": "ngram", "positional": True})
    dates = [
        f"19{y}{m:02}{d:02}" for y in range(60, 80) for m in range(1, 13) for d in range(1, 20)
    ]
    _, pieces = cuts([field], [[date] for date in dates])
    made = Runs(pieces[0], len(dates))
    assert len(made.offsets) - 1 < len(dates) / 5
    assert len(made.rows) == 2 * len(dates)
    for value in (0, 1, len(dates) - 1):
        tokens = np.concatenate(
            [
                made.members[made.offsets[row] : made.offsets[row + 1]]
                for row in made.rows[made.ends[value] : made.ends[value + 1]]
            ]
        )
        begin, end = pieces[0].offsets[value : value + 2]
        assert tokens.tolist() == pieces[0].members[begin:end].tolist()
    together = slots_of([field], [[date] for date in dates])
    for at in (0, 7, len(dates) - 1):
        np.testing.assert_array_equal(slots_of([field], [[dates[at]]])[0], together[at])


# ---- The chances


def win_chances(weights: NDArray[np.float64], added: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute exactly how often each token is first, from the table of race values."""
    values = race_table()[::2].astype(np.int64) // 2
    chance = np.zeros((len(weights), 1 << 15))
    for at, more in enumerate(added.tolist()):
        np.add.at(chance[at], values + more, 1 / len(values))
    above = 1 - np.cumsum(chance, axis=1)
    return np.array(
        [
            (chance[at] * np.prod(np.delete(above, at, 0), axis=0)).sum()
            for at in range(len(weights))
        ]
    )


@pytest.mark.parametrize(
    "fields", [[(100, 7), (100, 8), (60, 9)], [(400, 8), (2, 3)], [(100, 40), (5, 1)]]
)
def test_tokens_win_as_often_as_they_weigh(fields: list[tuple[int, int]]) -> None:
    """Fields of a weight and a number of tokens each; exact, so without tolerance for chance."""
    heaviest = max(weight for weight, _ in fields)
    weights = np.concatenate([np.full(m, weight / m) for weight, m in fields])
    one = [
        logarithm(np.array(heaviest)) - logarithm(np.array(w)) + logarithm(np.array(m))
        for w, m in fields
    ]
    added = np.repeat(one, [m for _, m in fields])
    wins = win_chances(weights, added)
    assert 1 - wins.sum() < 0.001  # ties
    np.testing.assert_allclose(wins / wins.sum(), weights / weights.sum(), rtol=2e-3)


def cuts(fields: list[Field], rows: list[list[str | None]]) -> tuple[list[Any], list[Pieces]]:
    """Cut the columns of made-up records into tokens, each record a value of its own."""
    places, pieces = [], []
    for at, field in enumerate(fields):
        column = [row[at] for row in rows]
        filled = [value for value in column if value is not None]
        own = np.full(len(rows), -1, np.int32)
        own[[value is not None for value in column]] = np.arange(len(filled))
        places.append(own)
        cut = tokenise(pa.array(filled, pa.string()), field.tokens)
        texts = [text.encode() for text in cut.texts]
        pieces.append(Pieces(texts, cut.members, cut.offsets))
    return places, pieces


def slots_of(
    fields: list[Field], rows: list[list[str | None]], slots: int = 256
) -> NDArray[np.uint64]:
    """Draw the slots of made-up records; a field's key depends on its name alone."""
    given = {"bits": slots, "fields": [field.model_dump() for field in fields]}
    part = pprl.Schema.model_validate(document(**given)).parts[0]
    keys = [hashlib.shake_128(field.name.encode()).digest(96) for field in fields]
    out = np.empty((len(rows), slots // 64), np.uint64)
    places, pieces = cuts(list(part.fields), rows)
    MinHasher(part, keys, ROOM).fill(places, pieces, out)
    return out


FIELDS = [
    Field(name="a", bits_per_feature=70),
    Field(name="b", bits_per_token=8),
    Field(name="c", bits_per_feature=70, tokens={"type": "exact"}),
]


@pytest.mark.parametrize("shared", [0, 3, 12, 19, 20])
def test_slots_agree_as_often_as_records_share_weight(shared: int) -> None:
    """Over 2**16 slots: unbiased one-bit min-hash, (1 + J) / 2 of the secret bits agree."""
    fields = [
        Field(name="a", bits_per_token=1, tokens={"type": "ngram", "n": 1, "positional": True})
    ]
    letters = "abcdefghijklmnopqrst"
    other = "".join(x if i < shared else x.upper() for i, x in enumerate(letters))
    made = slots_of(fields, [[letters], [other]], 1 << 16)
    agree = 1 - np.bitwise_count(made[0] ^ made[1]).sum() / (1 << 16)
    similarity = shared / (40 - shared)
    spread = (1 - similarity**2) ** 0.5 / 2 / (1 << 8)
    assert abs(agree - (1 + similarity) / 2) <= 4 * spread


def test_bits_agree_as_a_power_of_the_similarity() -> None:
    made = schema(bits=1 << 14, t=4, fields=[{"name": "surname", "bits_per_token": 1}])
    table = pd.DataFrame({"id": ["1", "2"], "surname": ["abcdefghij", "abcdefghik"]})
    encoded = bits(in_order(table, made, KEY, id_column="id"))
    # Eleven bigrams each, of which nine are the same.
    contrast = 1 - 2 * (encoded[0] != encoded[1]).mean()
    assert contrast == pytest.approx((9 / 13) ** 4, abs=4 / (1 << 7))


# ---- What must make no difference

VALUES = st.one_of(st.none(), st.text("abcdeé", min_size=1, max_size=7))
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES).map(list), min_size=1, max_size=12)


@given(ROWS, st.permutations([0, 1, 2]))
@settings(max_examples=25, deadline=None)
def test_order_of_fields_and_what_is_missing(rows: list[list[Any]], order: list[int]) -> None:
    made = slots_of(FIELDS, rows)
    turned = slots_of([FIELDS[i] for i in order], [[row[i] for i in order] for row in rows])
    np.testing.assert_array_equal(made, turned)
    # The heaviest weight, "c", stays in the schema where "a" is left out.
    without = [[None, *row[1:]] for row in rows]
    left = slots_of(FIELDS[1:], [row[1:] for row in rows])
    np.testing.assert_array_equal(slots_of(FIELDS, without), left)
    for row, mine in zip(rows, made, strict=True):
        assert mine.any() == any(value is not None for value in row)


@given(ROWS)
@settings(max_examples=15, deadline=None)
def test_a_record_is_encoded_alone_as_among_others(rows: list[list[Any]]) -> None:
    made = slots_of(FIELDS, rows)
    for row, mine in zip(rows, made, strict=True):
        np.testing.assert_array_equal(slots_of(FIELDS, [row])[0], mine)


def test_neither_threads_nor_bounds_on_memory_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    names = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(300)]
    table = people([(a, b, None) for a, b in zip(names, reversed(names), strict=True)])
    made = schema(bits=192)
    expected = in_order(table, made, KEY, id_column="id", workers=1)
    again = in_order(table, made, KEY, id_column="id", workers=3)
    monkeypatch.setattr(minhash, "AT_ONCE", 1 << 14)
    split = in_order(table, made, KEY, id_column="id")
    np.testing.assert_array_equal(expected.clks, again.clks)
    np.testing.assert_array_equal(expected.clks, split.clks)
    assert expected.info.self_test == split.info.self_test


def test_numbers_are_kept_and_dropped_and_always_the_same() -> None:
    tokens = [bytes([at]) for at in range(60)]
    table, rows = Numbers(b"k" * 96, 192, 100).of(tokens)
    expected = table[:, rows]
    kept = Numbers(b"k" * 96, 192, 25)
    rng = np.random.default_rng(4)
    for size in (3, 20, 20, 60, 5, 24):
        some = rng.choice(60, size, replace=False)
        table, rows = kept.of([tokens[at] for at in some])
        np.testing.assert_array_equal(table[:, rows], expected[:, some])
        assert kept.of([])[0].shape[1] <= 25


# ---- Groups, keys, emptiness

GROUPS = [
    {"name": "one", "fields": ["surname", "given"]},
    {"name": "two", "fields": ["surname", "given", "born"], "salts": [{"field": "born"}]},
]


def test_groups_fields_and_keys_have_bits_of_their_own() -> None:
    fields = [{"name": name, "bits_per_feature": 30} for name in ("surname", "given")]
    groups = [{"name": name, "fields": ["surname", "given"]} for name in ("one", "two")]
    made = schema(bits=1024, fields=fields, groups=groups)
    table = pd.DataFrame({"id": ["1", "2"], "surname": ["jansen", None], "given": [None, "jansen"]})
    first = bits(in_order(table, made, KEY, id_column="id")).reshape(4, 1024)
    other = bits(in_order(table, made, pprl.LinkageKey(bytes(range(128, 160))), id_column="id"))
    every = np.concatenate([first, other.reshape(4, 1024)])
    for i in range(8):
        for j in range(i):
            assert abs((every[i] != every[j]).mean() - 0.5) < 0.08


def test_records_without_tokens_in_a_group_match_nothing() -> None:
    made = schema(groups=GROUPS)
    rows: list[tuple[str | None, ...]] = [("jansen", "anna", "1950"), (None, None, "1950")]
    rows += [("jansen", "anna", None), (None, None, None), ("jansen", "anna", "1950")]
    encoded = in_order(people(rows), made, KEY, id_column="id")
    one, two = encoded.clks[:, :16], encoded.clks[:, 16:]
    assert one.any(axis=1).tolist() == [True, False, True, False, True]
    assert two.any(axis=1).tolist() == [True, True, False, False, True]
    assert (encoded.clks[0] == encoded.clks[4]).all()
    pairs = pprl.compare(encoded, encoded, threshold=0.3).to_pandas()
    empty = pairs[(pairs.left_id == "r3") | (pairs.right_id == "r3")]
    assert empty.empty


def test_weights_of_a_group_count_and_bits_inserted_do_not() -> None:
    def made(**changes: Any) -> pprl.Schema:
        group = {"name": "one", "fields": ["surname", "born"]} | changes
        return schema(groups=[group, {"name": "rest", "fields": ["given", "born"]}])

    plain, weighted = made(), made(weights={"born": 3})
    assert plain.parts[0].weights() == {"surname": 60, "born": 40}
    assert weighted.parts[0].weights() == {"surname": 60, "born": 3}
    assert made(weights={"born": 3}, hardening={"method": "none"}).parts[0].weights() == {
        "surname": 60,
        "born": 3,
    }
    two = schema(
        groups=[
            {"name": "one", "fields": ["surname", "born"], "inserted_bits": 7},
            {"name": "rest", "fields": ["given", "born"]},
        ]
    )
    assert two.parts[0].weights() == plain.parts[0].weights()
    with pytest.raises(SchemaError, match="weighs 'given'"):
        made(weights={"given": 3})


def test_the_header_says_how_it_was_made() -> None:
    encoded = in_order(people([("jansen", "anna", "1950")]), schema(), KEY, id_column="id")
    assert encoded.info.hardening == {"method": "minhash", "t": 4, "slots": 128}
    assert encoded.info.methods == ["minhash"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hardening": {"method": "minhash", "t": 1}}, "t"),
        ({"hardening": {"method": "minhash"}}, "t"),
        ({"hardening": {"method": "minhash", "t": 65}}, "t"),
        ({"hardening": {"method": "minhash", "t": 4, "slots": 64}}, "fewer than bits"),
        ({"hardening": {"method": "minhash", "t": 4, "slots": 150}}, "slots must be a multiple"),
        ({"bits": 200}, "multiple of 64"),
        ({"clkhash": {}}, "clkhash"),
        (
            {"fields": [{"name": "a", "bits_per_feature": 9, "hash": {"type": "double"}}]},
            "hashes of its own",
        ),
    ],
)
def test_impossible_minhash_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        schema(**changes)


def rank(rows: NDArray[np.uint8]) -> int:
    """Return the rank over GF(2) of (n, bits) 0 and 1, by elimination with whole words."""
    words = np.packbits(rows, axis=1).view(np.uint64)
    found = 0
    for bit in range(rows.shape[1]):
        # Bit i of a packed row is bit (i & 63) ^ 7 of its little-endian word.
        column = words[:, bit >> 6] >> np.uint64((bit & 63) ^ 7) & np.uint64(1)
        with_it = np.flatnonzero(column[found:]) + found
        if not len(with_it):
            continue
        words[[found, with_it[0]]] = words[[with_it[0], found]]
        words[with_it[1:]] ^= words[found]
        found += 1
    return found


def test_encodings_span_their_bits() -> None:
    """No linear map leads here from fewer bits, which is what undid a longer diffusion."""
    rng = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    names = ["".join(row) for row in rng.choice(letters, (5000, 6))]
    table = people([(a, b, None) for a, b in zip(names[::2], names[1::2], strict=True)])
    encoded = in_order(table, schema(bits=1024), KEY, id_column="id")
    assert rank(bits(encoded)) >= 1024 - 8
    twice = np.concatenate([bits(encoded)[:, :512]] * 2, axis=1)
    assert rank(twice) <= 512


def test_what_one_record_lacks_is_made_good_by_the_power_of_similarity() -> None:
    """Equal where both have a value, weights 60 and 40: J is 0.6, and the signal 0.6**4."""
    fields = [{"name": "surname", "bits_per_feature": 60}, {"name": "born", "bits_per_feature": 40}]
    rng = np.random.default_rng(6)
    letters = np.array(list("abcdefghijklmnopqrst"))
    names = ["".join(rng.choice(letters, 9)) for _ in range(60)]
    table = pd.DataFrame({"id": names, "surname": names, "born": names[::-1]})
    lacking = table.assign(born=None)
    made = schema(bits=1 << 14, fields=fields)
    a, b = (in_order(one, made, KEY, id_column="id") for one in (table, lacking))
    left, right = Side.of(a), Side.of(b)
    view = View.of(left, right)
    assert view.power.tolist() == [4.0]
    assert view.decay.tolist() == [0.0]
    rows = np.arange(60)
    pairs = Pairs(rows, rows, np.zeros(60))
    seen = view.features(ComparedPairs.of(left, right, pairs))
    # The signal itself, and raised for what only one record has.
    assert seen[:, 0].mean() == pytest.approx(0.6**4, abs=0.03)
    assert seen[:, 2].mean() > 3 * seen[:, 0].mean()
    again = View.from_dict(view.to_dict())
    assert again.power.tolist() == [4.0]
    old = {name: value for name, value in view.to_dict().items() if name != "power"}
    assert View.from_dict(old).power.tolist() == [0.0]
