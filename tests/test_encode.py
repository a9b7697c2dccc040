"""Encoding: types never change it, missing stays missing, errors name rows and fields."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import warnings
from decimal import Decimal
from pathlib import Path

import clkhash.serialization
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bitarray import bitarray
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import SURNAMES, by_id, encode_by_id, key_of
from pprl.errors import (
    EmptyInput,
    InvalidValues,
    LengthMismatch,
    MissingColumn,
    OutputExists,
    PprlWarning,
    RecordIdError,
    SchemaError,
    SchemaMismatch,
    UnreadableFile,
    UsageError,
)
from pprl.exchange.clkhash_files import (
    from_bitarrays,
    load_clkhash_json,
    save_clkhash_json,
    to_bitarrays,
)
from pprl.holder import records
from pprl.holder.encoder import Encoder
from pprl.holder.keys import LinkageKey
from pprl.holder.records import BATCH_ROWS, CsvFormat
from pprl.kernels import bits


def one_field(**changes: object) -> pprl.Schema:
    field = {"name": "x", "bits_per_feature": 60} | changes
    return pprl.Schema.from_document(
        {"version": 1, "name": "one", "hardening": {"method": "none"}, "fields": [field]}
    )


def clk(column: object, key: LinkageKey, **changes: object) -> list[bytes]:
    table = pa.table({"id": [str(i) for i in range(len(column))], "x": column})  # type: ignore[arg-type]
    return [
        row.tobytes() for row in encode_by_id(table, one_field(**changes), key, id_column="id").clks
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
    key = key_of(b"0123456789abcdef")
    schema = one_field(keep_unknown=True)
    table = pa.table({"id": [str(i) for i in range(len(values))], "x": values})
    made = encode_by_id(table, schema, key, id_column="id").clks
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
        pd.Series([np.float32(2257), np.str_("31")], dtype=object),
        pd.Series([Decimal("2257.0"), Decimal(31)], dtype=object),
        pd.Series(["2257", "31"], dtype=object),
    ],
    ids=lambda s: str(s.dtype),
)
def test_pandas_types_never_change_an_encoding(series: pd.Series, key: LinkageKey) -> None:
    frame = pd.DataFrame({"id": ["0", "1"], "x": series})
    made = encode_by_id(frame, one_field(), key, id_column="id").clks
    assert [row.tobytes() for row in made] == clk(pa.array(["2257", "31"]), key)


@pytest.mark.parametrize("bad", [[b"2257", "31"], [b"2257", b"31"], ["2257", "\ud800"]], ids=ascii)
def test_bytes_and_broken_text_are_no_values(bad: list[object], key: LinkageKey) -> None:
    frame = pd.DataFrame({"id": ["0", "1"], "x": pd.Series(bad, dtype=object)})
    with pytest.raises(InvalidValues, match="column 'x' holds bytes") as caught:
        encode_by_id(frame, one_field(), key, id_column="id")
    assert "2257" not in str(caught.value)


@pytest.mark.parametrize("gone", [None, float("nan"), pd.NA, pd.NaT, Decimal("NaN")], ids=repr)
@pytest.mark.parametrize("other", ["31", 31])
def test_missing_among_objects(gone: object, other: object, key: LinkageKey) -> None:
    frame = pd.DataFrame({"id": ["0", "1"], "x": pd.Series([gone, other], dtype=object)})
    made = encode_by_id(frame, one_field(), key, id_column="id").clks
    assert [row.tobytes() for row in made] == clk(pa.array([None, "31"]), key)


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


@pytest.mark.parametrize(
    "nothing", [None, np.nan, pd.NA, pd.NaT, "", "   ", "onbekend", "nobody", "-"], ids=repr
)
@pytest.mark.filterwarnings("ignore:field 'x'. 1 values")
def test_missing_is_missing(nothing: object, key: LinkageKey) -> None:
    """No bits at all: missing never matches missing, and is counted as absent."""
    schema = one_field(missing_codes=["nobody"])
    frame = pd.DataFrame({"id": ["a", "b"], "x": pd.Series([nothing, "jansen"], dtype=object)})
    made = encode_by_id(frame, schema, key, id_column="id")
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
    made = [encode_by_id(data, schema, key, id_column="id") for data in inputs]
    for other in made[1:]:
        np.testing.assert_array_equal(other.clks, made[0].clks)
        assert other.record_ids.to_pylist() == made[0].record_ids.to_pylist()
        assert other.info.present == made[0].info.present


def test_batches_do_not_matter(key: LinkageKey) -> None:
    rng = np.random.default_rng(1)
    n = BATCH_ROWS + 77
    names = [f"{'abcdefgh'[i % 8]}{rng.integers(0, 9999)}" for i in range(n)]
    table = pa.table({"id": [str(i) for i in range(n)], "x": names})
    whole = encode_by_id(table, one_field(), key, id_column="id").clks
    last = encode_by_id(table.slice(n - 100), one_field(), key, id_column="id").clks
    np.testing.assert_array_equal(whole[-100:], last)


@pytest.mark.parametrize("dropped", ["excluded", "skipped", "none"])
@pytest.mark.parametrize("hardening", ["none", "diffusion", "randomised-response"])
def test_batches_find_their_place_where_records_are_left_out(
    hardening: str, dropped: str, monkeypatch: pytest.MonkeyPatch, key: LinkageKey
) -> None:
    """Small batches in two threads give what each record gives alone, in order."""
    monkeypatch.setattr(records, "BATCH_ROWS", 5)
    more = {"none": {}, "diffusion": {"t": 3}, "randomised-response": {"f": 0.1, "noise": "keyed"}}
    schema = pprl.Schema.from_document(
        {
            "name": "n",
            "bits": 128,
            "hardening": {"method": hardening, **more[hardening]},
            "fields": [
                {"name": "x", "bits_per_feature": 20},
                {"name": "y", "bits_per_feature": 5, "format": {"type": "integer"}},
            ],
        }
    )
    noise = key_of(b"a noise key for tests") if more[hardening].get("f") else None
    n = 23
    y = ["bad" if dropped == "skipped" and i % 4 == 1 else str(i) for i in range(n)]
    table = pa.table(
        {"id": [f"p{i}" for i in range(n)], "x": [f"name {i}" for i in range(n)], "y": y}
    )
    leave = [f"p{i}" for i in range(n) if i % 4 == 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        made = encode_by_id(
            table,
            schema,
            key,
            id_column="id",
            on_invalid="skip",
            exclude=leave if dropped == "excluded" else (),
            noise_key=noise,
            workers=2,
        )
    kept = [i for i in range(n) if dropped == "none" or i % 4 != 1]
    assert made.record_ids.to_pylist() == [f"p{i}" for i in kept]
    alone = [
        encode_by_id(table.slice(i, 1), schema, key, id_column="id", noise_key=noise).clks[0]
        for i in kept
    ]
    np.testing.assert_array_equal(made.clks, alone)


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=7), min_size=1, max_size=9), st.integers(1, 40)
)
@settings(deadline=None)
def test_sharing_out_insertions(runs: list[list[int]], total: int) -> None:
    """Compiled and plain, the first tokens of a value get what does not divide."""
    room = total + 1
    members = np.array([m for run in runs for m in run], np.int32)
    offsets = np.cumsum([0, *map(len, runs)])
    expected = [
        member * room + total // len(run) + (place < total % len(run))
        for run in runs
        for place, member in enumerate(run)
    ]
    for version in (bits.share_out, bits.share_out.py_func):
        out = np.zeros(len(members), np.uint32)
        version(members, offsets, total, room, out)
        assert out.tolist() == expected


def test_encode_file_equals_encode(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    info = pprl.encode_file(
        people, schema, key, tmp_path / "a.clk.parquet", id_column="id", holder="h"
    )
    loaded = by_id(pprl.Encodings.load(tmp_path / "a.clk.parquet"))
    memory = encode_by_id(people, schema, key, id_column="id", holder="h")
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
    made = encode_by_id(people, schema, key, id_column="id", exclude=["p1", "p3"])
    assert made.record_ids.to_pylist() == ["p0", "p2", "p4"]
    with pytest.raises(EmptyInput, match="every record was left out"):
        encode_by_id(people, schema, key, id_column="id", exclude=people["id"].tolist())


def test_another_key_gives_other_bits(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    other = encode_by_id(people, schema, LinkageKey.generate(), id_column="id")
    same = encode_by_id(people, schema, key, id_column="id")
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
    made = encode_by_id(table, schema, key, id_column="id").clks
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
        encode_by_id(people.drop(columns="born"), schema, key, id_column="id")
    with pytest.raises(MissingColumn, match="'nr'"):
        encode_by_id(people, schema, key, id_column="nr")


@pytest.mark.parametrize(("bad", "message"), [("p1", "rows 2, 3"), ("", "row 3"), (None, "row 3")])
def test_record_ids(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey, bad: str | None, message: str
) -> None:
    people.loc[2, "id"] = bad
    with pytest.raises(RecordIdError, match=message) as caught:
        encode_by_id(people, schema, key, id_column="id")
    assert "p1" not in str(caught.value)


@pytest.mark.parametrize("again", range(12))
def test_a_repeated_id_is_found_batches_away(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey, again: int
) -> None:
    many = pa.Table.from_pandas(pd.concat([people] * 14_000, ignore_index=True))
    ids = [f"r{at}" for at in range(69_999)]
    at = many.column_names.index("id")
    repeated = many.set_column(at, "id", pa.array([*ids, f"r{again}"]))
    with pytest.raises(RecordIdError, match=f"rows {again + 1}, 70000"):
        encode_by_id(repeated, schema, key, id_column="id")
    encode_by_id(many.set_column(at, "id", pa.array([*ids, "new"])), schema, key, id_column="id")


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
            encode_by_id(data, schema, key, id_column="id")


def test_unreadable(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    (tmp_path / "ragged.csv").write_text("id,surname,born,postcode\n1,SECRETNAME,1950-01-01\n")
    people.to_parquet(tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-40])
    for name in ("ragged.csv", "cut.parquet", "nowhere.csv"):
        with pytest.raises(UnreadableFile, match=name) as caught:
            encode_by_id(tmp_path / name, schema, key, id_column="id")
        assert "SECRETNAME" not in str(caught.value)
    with pytest.raises(UsageError, match="list"):
        encode_by_id([("a", "b")], schema, key, id_column="id")


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


# What registries really send.


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "utf-16"])
def test_csv_dialects(
    tmp_path: Path,
    people: pd.DataFrame,
    schema: pprl.Schema,
    key: LinkageKey,
    delimiter: str,
    encoding: str,
) -> None:
    people.loc[0, "surname"] = "Müller"
    people.to_csv(tmp_path / "p.csv", index=False, sep=delimiter, encoding=encoding)
    made = encode_by_id(tmp_path / "p.csv", schema, key, id_column="id")
    np.testing.assert_array_equal(made.clks, encode_by_id(people, schema, key, id_column="id").clks)


ASCII = CsvFormat(encoding="ascii")


def test_csv_in_another_encoding(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    people.loc[0, "surname"] = "Dvořák"
    people.to_csv(tmp_path / "p.csv", index=False, encoding="iso8859-2")
    given = CsvFormat(encoding="iso8859-2")
    made = encode_by_id(tmp_path / "p.csv", schema, key, id_column="id", csv_format=given)
    np.testing.assert_array_equal(made.clks, encode_by_id(people, schema, key, id_column="id").clks)
    with pytest.raises(UnreadableFile, match="encoding"):
        encode_by_id(tmp_path / "p.csv", schema, key, id_column="id", csv_format=ASCII)
    wrong = CsvFormat(encoding="klingon")
    with pytest.raises(UsageError, match="no text encoding"):
        encode_by_id(tmp_path / "p.csv", schema, key, id_column="id", csv_format=wrong)
    with pytest.raises(UsageError, match="one ASCII character"):
        CsvFormat(delimiter="ab")


def test_quoted_line_breaks(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    people.loc[1, "surname"] = "Van\nDijk"
    people.to_csv(tmp_path / "p.csv", index=False)
    assert len(encode_by_id(tmp_path / "p.csv", schema, key, id_column="id")) == 5


def test_polars_and_duckdb(people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    expected = encode_by_id(people, schema, key, id_column="id").clks
    for data in (polars.from_pandas(people), duckdb.sql("select * from people")):
        made = encode_by_id(data, schema, key, id_column="id")
        np.testing.assert_array_equal(made.clks, expected)


def test_columns_with_other_names(
    people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    renamed = people.rename(columns={"surname": "achternaam"})
    made = encode_by_id(renamed, schema, key, id_column="id", columns={"surname": "achternaam"})
    np.testing.assert_array_equal(made.clks, encode_by_id(people, schema, key, id_column="id").clks)
    assert list(made.info.present) == ["surname", "born", "postcode"]
    with pytest.raises(UsageError, match="'voornaam'"):
        encode_by_id(people, schema, key, id_column="id", columns={"voornaam": "x"})
    with pytest.raises(MissingColumn, match="'x'"):
        encode_by_id(people, schema, key, id_column="id", columns={"surname": "x"})


@pytest.mark.parametrize("policy", ["skip", "warn"])
def test_invalid_values_by_policy(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey, policy: str
) -> None:
    people.loc[1, "born"] = "31-31-SECRET"
    people.loc[3, "born"] = "2001-13-01"
    rejects = tmp_path / "rejects.csv"
    with pytest.warns(PprlWarning, match="2 values break"):
        made = encode_by_id(
            people,
            schema,
            key,
            id_column="id",
            on_invalid=policy,
            rejects=rejects,  # type: ignore[arg-type]
        )
    kept = ["p0", "p2", "p4"] if policy == "skip" else ["p0", "p1", "p2", "p3", "p4"]
    assert made.record_ids.to_pylist() == kept
    assert made.info.present["born"] == (0.6667 if policy == "skip" else 0.4)
    report = pd.read_csv(rejects)
    assert report[["row", "field"]].to_numpy().tolist() == [[2, "born"], [4, "born"]]
    assert "SECRET" not in rejects.read_text()
    people.loc[[1, 3], "born"] = None
    expected = encode_by_id(people, schema, key, id_column="id").clks
    rows = [0, 2, 4] if policy == "skip" else [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(made.clks, expected[rows])


def test_unknown_policy(people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey) -> None:
    with pytest.raises(UsageError, match="on_invalid"):
        encode_by_id(people, schema, key, id_column="id", on_invalid="ignore")  # type: ignore[arg-type]


DATE = {
    "type": "date",
    "format": "%Y-%m-%d",
    "also": ["%d/%m/%Y", "%Y%m%d"],
    "unknown_parts": True,
    "placeholders": ["01-01"],
}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1950-01-31", "1950-01-31"),
        ("31/01/1950", "1950-01-31"),
        ("19500131", "1950-01-31"),
        ("1950-07-00", "00/07/1950"),
        ("1950-00-00", "1950-01-01"),
        ("1950-00-17", "19500000"),
    ],
)
def test_dates_in_many_formats(written: str, meant: str, key: LinkageKey) -> None:
    one, other = (clk(pa.array([text]), key, format=DATE) for text in (written, meant))
    assert one == other


@pytest.mark.parametrize("impossible", ["1950-02-31", "1950-13-01", "0000-00-00", "1950-13-00"])
def test_impossible_dates(impossible: str, key: LinkageKey) -> None:
    with pytest.raises(InvalidValues, match="row 1: 'x' is not a date"):
        clk(pa.array([impossible]), key, format=DATE)


def test_bsn(key: LinkageKey) -> None:
    exact = {"format": {"type": "bsn"}, "tokens": {"type": "exact"}}
    assert clk(pa.array([111222333]), key, **exact) == clk(pa.array(["1112.22.333"]), key, **exact)
    with pytest.raises(InvalidValues, match="eleven-test"):
        clk(pa.array(["123456783"]), key, **exact)
    with pytest.raises(SchemaError, match="exactly"):
        one_field(format={"type": "bsn"})


PARTNER = {"name": "partner", "columns": {"surname": "partner_name"}}


def with_partner(people: pd.DataFrame) -> pd.DataFrame:
    return people.assign(partner_name=["Jansen", None, "", "  ", "Pietersen"])


@pytest.mark.filterwarnings("ignore:the threshold .* was given")
def test_variants(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    """A record has a row for each variant it has, and they stand together."""
    varied = pprl.Schema.model_validate(schema.model_dump() | {"variants": [PARTNER]})
    frame = with_partner(people)
    made = encode_by_id(frame, varied, key, id_column="id")
    assert made.record_ids.to_pylist() == ["p0", "p0", "p1", "p2", "p3", "p4", "p4"]
    assert made.variants is not None
    assert made.variants.tolist() == [0, 1, 0, 0, 0, 0, 1]
    assert made.record_numbers().tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert (made.info.records, made.info.rows) == (5, 7)
    married = frame.assign(surname=frame["partner_name"])
    again = encode_by_id(married, varied, key, id_column="id")
    np.testing.assert_array_equal(made.clks[1], again.clks[0])
    made.save(tmp_path / "v.clk.parquet")
    loaded = pprl.Encodings.load(tmp_path / "v.clk.parquet")
    np.testing.assert_array_equal(loaded.variants, made.variants)
    assert loaded.unique_ids().to_pylist() == frame["id"].tolist()

    result = pprl.link(made, again, threshold=0.99, matching="many-to-many")
    assert result.links.to_pandas()[["left_id", "right_id"]].to_numpy().tolist() == [
        ["p0", "p0"],
        ["p4", "p4"],
    ]
    one = pprl.link(made, made, threshold=0.3)
    assert len(one.links) == 5
    assert (one.links.to_pandas()["similarity"] == 1.0).all()


def test_presence_mask(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    masked = pprl.Schema.model_validate(schema.model_dump() | {"presence_mask": True})
    path = tmp_path / "m.clk.parquet"
    pprl.encode_file(people, masked, key, path, id_column="id", shared_by=1)
    loaded = by_id(pprl.Encodings.load(path))
    assert loaded.present is not None
    bits = np.unpackbits(loaded.present, axis=1)[:, :3]
    assert bits.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1]]


def test_consent_and_provenance(people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey) -> None:
    info = encode_by_id(
        people, schema, key, id_column="id", consent="broad consent", provenance="HIS 2026-01"
    ).info
    assert (info.consent, info.provenance) == ("broad consent", "HIS 2026-01")


def test_clkhash_forms(
    tmp_path: Path, people: pd.DataFrame, schema: pprl.Schema, key: LinkageKey
) -> None:
    """Bitarrays and base64 JSON, there and back; what is unknown is said."""
    made = encode_by_id(people, schema, key, id_column="id")
    bits = to_bitarrays(made)
    assert [row.tobytes() for row in bits] == [row.tobytes() for row in made.clks]
    assert bits[0].count() == made.popcounts()[0]
    save_clkhash_json(made, tmp_path / "clks.json")
    document = json.loads((tmp_path / "clks.json").read_text())
    assert document["clks"] == [clkhash.serialization.serialize_bitarray(row) for row in bits]
    ids = people["id"].tolist()
    little = [bitarray(row, "little") for row in bits]
    assert from_bitarrays(little, ids).clks.tobytes() == made.clks.tobytes()
    for back in (from_bitarrays(bits, ids), load_clkhash_json(tmp_path / "clks.json", ids)):
        np.testing.assert_array_equal(back.clks, made.clks)
        with pytest.warns(PprlWarning, match="cannot be checked"):
            assert len(pprl.compare(back, back, threshold=1.0)) == 5
        with pytest.raises(SchemaMismatch), pytest.warns(PprlWarning):
            pprl.compare(back, made, threshold=1.0)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"clks": 3}', '{"clks": ["!"]}', '{"clks": [3]}', '{"clks": []}']
)
def test_wrong_clkhash_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "clks.json").write_text(text)
    with pytest.raises((UnreadableFile, EmptyInput)):
        load_clkhash_json(tmp_path / "clks.json")
    with pytest.raises(LengthMismatch):
        from_bitarrays([bitarray("1" * 8, "big"), bitarray("1" * 16, "big")])


def test_a_file_without_a_header_is_not_repeated(
    tmp_path: Path, schema: pprl.Schema, key: LinkageKey
) -> None:
    """Its first line is somebody's record."""
    (tmp_path / "p.csv").write_text("7,SECRETNAME,1950-01-31,1234AB\n8,b,1950-01-31,1234AB\n")
    with pytest.raises(MissingColumn, match="If it has no header") as caught:
        encode_by_id(tmp_path / "p.csv", schema, key, id_column="id")
    assert "SECRETNAME" not in str(caught.value)
    (tmp_path / "q.csv").write_text("x,x\n1,2\n")
    with pytest.raises(UnreadableFile, match="columns 1 and 2 have the same name"):
        encode_by_id(tmp_path / "q.csv", schema, key, id_column="x")


@pytest.mark.parametrize(
    ("normaliser", "dates", "share"),
    [
        ("date_dmy", ["03/28/1961", "12/31/1970", "05/04/1980"], "66.7%"),
        ("date_mdy", ["28-03-61", "31-12-70", "onbekend"], "100.0%"),
        ("date_dmy", ["28-03-1961", "00-00-1970", "4 mei 1980", None], None),
        ("date_mdy", ["1961-03-28", "19701231", None, None], None),
    ],
)
def test_dates_that_are_none_are_told(
    normaliser: str, dates: list[str | None], share: str | None, key: LinkageKey
) -> None:
    schema = pprl.Schema.from_toml(
        f"""
        version = 1
        name = "dates"
        bits = 512
        hardening = {{ method = "none" }}
        [[fields]]
        name = "born"
        normalise = ["{normaliser}"]
        bits_per_feature = 50
        """
    )
    table = pa.table({"id": [str(k) for k in range(len(dates))], "born": pa.array(dates)})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        encode_by_id(table, schema, key, id_column="id")
    texts = [str(one.message) for one in said]
    if share is None:
        assert not texts
    else:
        assert [share in text and "'born'" in text for text in texts] == [True]
