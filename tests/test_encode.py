"""Encoding: types never change it, missing stays missing, errors name rows and fields."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import SURNAMES
from pprl.errors import (
    EmptyInput,
    InvalidValues,
    MissingColumn,
    OutputExists,
    RecordIdError,
    UnreadableFile,
    UsageError,
)
from pprl.holder.encode import Encoder
from pprl.holder.keys import LinkageKey
from pprl.holder.records import BATCH_ROWS


def one_field(**changes: object) -> pprl.Schema:
    field = {"name": "x", "bits_per_feature": 60} | changes
    return pprl.Schema.from_document(
        {"version": 1, "name": "one", "hardening": {"method": "none"}, "fields": [field]}
    )


def clk(column: object, key: LinkageKey, **changes: object) -> list[bytes]:
    table = pa.table({"id": [str(i) for i in range(len(column))], "x": column})  # type: ignore[arg-type]
    return [
        row.tobytes() for row in pprl.encode(table, one_field(**changes), key, id_column="id").clks
    ]


def reference(values: list[str], schema: pprl.Schema, key: LinkageKey) -> np.ndarray:
    """The native encoding of one bigram field, record by record, from its definition."""
    field = schema.fields[0]
    field_key = key.derive("token", schema.fingerprint, field.name, length=128)[:64]
    out = np.zeros((len(values), schema.bits), np.uint8)
    for row, value in enumerate(values):
        text = " ".join(value.split())
        padded = f" {text} "
        grams = [padded[i : i + 2] for i in range(len(padded) - 1)] if text else []
        for place, gram in enumerate(grams):
            base, extra = divmod(field.bits_per_feature, len(grams))
            bits = base + (place < extra)
            block = 0
            while bits > 0:
                digest = hashlib.blake2b(
                    gram.encode(), key=field_key, salt=str(block).encode()
                ).digest()
                for short in np.frombuffer(digest, "<u2")[: min(bits, 32)]:
                    out[row, int(short) % schema.bits] = 1
                bits -= 32
                block += 1
    return np.packbits(out, axis=1)


WORDS = st.text(st.sampled_from("abcdefgh éß李 '-"), max_size=12)


@given(st.lists(WORDS, min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_native_encoding_follows_its_definition(values: list[str]) -> None:
    key = LinkageKey.from_secret(b"0123456789abcdef")
    schema = one_field()
    table = pa.table({"id": [str(i) for i in range(len(values))], "x": values})
    made = pprl.encode(table, schema, key, id_column="id").clks
    np.testing.assert_array_equal(made, reference(values, schema, key))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2257, 31]),
        pa.array([2257.0, 31.0]),
        pa.array([2257, 31], pa.int16()),
        pa.array([2257, 31], pa.decimal128(8, 2)),
        pa.array(["2257 ", "  31"]),
        pa.array(["2257", "31"], pa.large_string()),
        pa.array(["2257", "31"]).dictionary_encode(),
        pa.array(pd.Series([2257, "31"], dtype=object).astype(str)),
    ],
    ids=lambda c: str(c.type)[:20],
)
def test_types_never_change_an_encoding(column: pa.Array, key: LinkageKey) -> None:
    assert clk(column, key) == clk(pa.array(["2257", "31"]), key)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([2257, 31]),
        pd.Series([2257.0, 31.0]),
        pd.Series([2257, 31], dtype="Int64"),
        pd.Series(["2257", "31"], dtype="category"),
        pd.Series([2257, 31]).astype("category"),
        pd.Series([2257.0, "31"], dtype=object),
        pd.Series(["2257", "31"], dtype="string"),
        pd.Series([np.int64(2257), 31.0], dtype=object),
    ],
    ids=lambda s: str(s.dtype),
)
def test_pandas_types_never_change_an_encoding(series: pd.Series, key: LinkageKey) -> None:
    frame = pd.DataFrame({"id": ["0", "1"], "x": series})
    made = pprl.encode(frame, one_field(), key, id_column="id").clks
    assert [row.tobytes() for row in made] == clk(pa.array(["2257", "31"]), key)


def test_a_postcode_read_as_a_number_keeps_its_zeros(key: LinkageKey) -> None:
    length = {"format": {"type": "string", "min_length": 4, "max_length": 4}}
    assert clk(pa.array([800, 2257]), key, **length) == clk(
        pa.array(["0800", "2257"]), key, **length
    )


@pytest.mark.parametrize(
    "value",
    [dt.date(1950, 1, 31), dt.datetime(1950, 1, 31), "31/01/1950", " 31/01/1950"],
    ids=str,
)
def test_dates_of_any_type(value: object, key: LinkageKey) -> None:
    date = {"format": {"type": "date", "format": "%d/%m/%Y"}}
    assert clk(pa.array([value]), key, **date) == clk(pa.array(["31/01/1950"]), key, **date)


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT, "", "   ", "onbekend"], ids=repr)
def test_missing_is_missing(nothing: object, key: LinkageKey) -> None:
    """No bits at all: missing never matches missing, and is counted as absent."""
    schema = one_field(missing_codes=["onbekend"])
    frame = pd.DataFrame({"id": ["a", "b"], "x": pd.Series([nothing, "jansen"], dtype=object)})
    made = pprl.encode(frame, schema, key, id_column="id")
    assert not made.clks[0].any()
    assert made.clks[1].any()
    assert made.info.present == {"x": 0.5}


def test_every_input_gives_the_same(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    people.to_csv(tmp_path / "p.csv", index=False)
    people.to_csv(tmp_path / "bom.csv", index=False, encoding="utf-8-sig")
    people.to_parquet(tmp_path / "p.parquet")
    table = pa.Table.from_pandas(people)
    inputs = [
        people,
        table,
        table.to_reader(),
        tmp_path / "p.csv",
        str(tmp_path / "bom.csv"),
        tmp_path / "p.parquet",
    ]
    made = [pprl.encode(data, schema, key, id_column="id") for data in inputs]
    for other in made[1:]:
        np.testing.assert_array_equal(other.clks, made[0].clks)
        assert other.record_ids.to_pylist() == made[0].record_ids.to_pylist()
        assert other.info.present == made[0].info.present


def test_batches_do_not_matter(key: LinkageKey) -> None:
    rng = np.random.default_rng(1)
    n = BATCH_ROWS + 77
    names = [f"{'abcdefgh'[i % 8]}{rng.integers(0, 9999)}" for i in range(n)]
    table = pa.table({"id": [str(i) for i in range(n)], "x": names})
    whole = pprl.encode(table, one_field(), key, id_column="id").clks
    last = pprl.encode(table.slice(n - 100), one_field(), key, id_column="id").clks
    np.testing.assert_array_equal(whole[-100:], last)


def test_encode_file_equals_encode(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    info = pprl.encode_file(
        people, schema, key, tmp_path / "a.clk.parquet", id_column="id", holder="h"
    )
    loaded = pprl.Encodings.load(tmp_path / "a.clk.parquet")
    memory = pprl.encode(people, schema, key, id_column="id", holder="h")
    np.testing.assert_array_equal(loaded.clks, memory.clks)
    assert loaded.info == info
    assert loaded.info.model_dump(exclude={"created"}) == memory.info.model_dump(
        exclude={"created"}
    )
    memory.save(tmp_path / "b.clk.parquet")
    assert pprl.Encodings.load(tmp_path / "b.clk.parquet").info == memory.info


def test_excluded_people_are_not_encoded(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    made = pprl.encode(people, schema, key, id_column="id", exclude=["p1", "p3"])
    assert made.record_ids.to_pylist() == ["p0", "p2", "p4"]
    with pytest.raises(RecordIdError, match="every record was excluded"):
        pprl.encode(people, schema, key, id_column="id", exclude=people["id"].tolist())


def test_another_key_gives_other_bits(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    other = pprl.encode(people, schema, LinkageKey.generate(), id_column="id")
    same = pprl.encode(people, schema, key, id_column="id")
    assert (other.clks != same.clks).any(axis=1).all()
    assert other.info.key_check != same.info.key_check
    assert other.info.self_test != same.info.self_test


def test_fields_have_keys_of_their_own(key: LinkageKey) -> None:
    """The same text in two fields sets different bits."""
    document = {
        "version": 1,
        "name": "two",
        "hardening": {"method": "none"},
        "fields": [{"name": n, "bits_per_feature": 60} for n in ("x", "y")],
    }
    schema = pprl.Schema.from_document(document)
    table = pa.table({"id": ["1", "2"], "x": ["jansen", None], "y": [None, "jansen"]})
    made = pprl.encode(table, schema, key, id_column="id").clks
    assert (made[0] != made[1]).any()


def test_self_test_notices_a_changed_normaliser(
    schema: pprl.Schema, key: LinkageKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pprl.holder.values as values

    before = Encoder(schema, key).self_test()
    assert Encoder(schema, key).self_test() == before
    monkeypatch.setitem(values.NORMALISERS, "fold_case", lambda column: column)
    assert Encoder(schema, key).self_test() != before


# What goes wrong, and how it is said.


def test_missing_column(people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey) -> None:
    with pytest.raises(MissingColumn, match=r"no column 'born'.*'surname'"):
        pprl.encode(people.drop(columns="born"), schema, key, id_column="id")
    with pytest.raises(MissingColumn, match="'nr'"):
        pprl.encode(people, schema, key, id_column="nr")


@pytest.mark.parametrize(("bad", "message"), [("p1", "rows 2, 3"), ("", "row 3"), (None, "row 3")])
def test_record_ids(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey, bad: str | None, message: str
) -> None:
    people.loc[2, "id"] = bad
    with pytest.raises(RecordIdError, match=message) as caught:
        pprl.encode(people, schema, key, id_column="id")
    assert "p1" not in str(caught.value)


def test_invalid_values_name_row_and_field_only(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    people.loc[1, "born"] = "31-31-SECRET"
    people.loc[4, "born"] = "2001-13-01"
    out = tmp_path / "out.clk.parquet"
    with pytest.raises(InvalidValues, match=r"row 2: 'born' is not a date.*\n.*row 5") as caught:
        pprl.encode_file(people, schema, key, out, id_column="id")
    assert "SECRET" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "schema.toml"]


def test_nothing_there(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    (tmp_path / "zero.csv").touch()
    people.iloc[:0].to_csv(tmp_path / "header.csv", index=False)
    for data in (tmp_path / "zero.csv", tmp_path / "header.csv", people.iloc[:0]):
        with pytest.raises(EmptyInput):
            pprl.encode(data, schema, key, id_column="id")


def test_unreadable(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    people.to_csv(tmp_path / "latin.csv", index=False)
    (tmp_path / "latin.csv").write_bytes(
        (tmp_path / "latin.csv").read_bytes().replace(b"Vermeulen", b"M\xfcller")
    )
    (tmp_path / "ragged.csv").write_text("id,surname,born,postcode\n1,SECRETNAME,1950-01-01\n")
    people.to_parquet(tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-40])
    for name in ("latin.csv", "ragged.csv", "cut.parquet", "nowhere.csv"):
        with pytest.raises(UnreadableFile, match=name) as caught:
            pprl.encode(tmp_path / name, schema, key, id_column="id")
        assert "SECRETNAME" not in str(caught.value)
    with pytest.raises(UsageError, match="list"):
        pprl.encode([("a", "b")], schema, key, id_column="id")


def test_an_output_is_never_overwritten(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    out = tmp_path / "out.clk.parquet"
    out.write_text("precious")
    with pytest.raises(OutputExists):
        pprl.encode_file(people, schema, key, out, id_column="id")
    assert out.read_text() == "precious"


def test_damaged_encodings(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    pq.write_table(pa.Table.from_pandas(people), tmp_path / "people.parquet")
    with pytest.raises(UnreadableFile, match="not an encodings file") as caught:
        pprl.Encodings.load(tmp_path / "people.parquet")
    assert not any(name in str(caught.value) for name in SURNAMES)
    pprl.encode_file(people, schema, key, tmp_path / "a.clk.parquet", id_column="id")
    content = (tmp_path / "a.clk.parquet").read_bytes()
    for cut in (0, 3, len(content) // 2, len(content) - 9):
        (tmp_path / "cut").write_bytes(content[:cut])
        with pytest.raises(UnreadableFile):
            pprl.Encodings.load(tmp_path / "cut")
