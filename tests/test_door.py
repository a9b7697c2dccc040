"""What people write, and what is read: dates, codes, letters, lists, tables of every kind."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pprl
from conftest import SECRET, encode_by_id, key_of
from pprl.errors import (
    InvalidValues,
    MissingColumn,
    PprlWarning,
    RecordIdError,
    UnreadableFile,
    UsageError,
)
from pprl.holder.dates import full_year
from pprl.holder.keys import LinkageKey
from pprl.holder.letters import twins
from pprl.tables.csv_files import CsvFormat
from pprl.tables.read import read_texts
from pprl.tables.sql import Query

TODAY = dt.date.today()


def schema_of(*fields: str, head: str = "") -> pprl.Schema:
    """Build a schema of one plain CLK."""
    lines = ["version = 1", 'name = "door"', "bits = 512", 'hardening = { method = "none" }', head]
    lines += [f"[[fields]]\nbits_per_feature = 60\n{one}" for one in fields]
    return pprl.Schema.from_toml("\n".join(lines))


NAME = 'name = "name"\nnormalise = ["compose", "fold_case", "strip_accents", "letters_only"]'
SEX = 'name = "sex"\nnormalise = ["sex_code"]\ntokens = { type = "exact" }'


def quiet(data: object, schema: pprl.Schema, key: LinkageKey, **options: object):
    """Encode; return the encodings and the warnings."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = encode_by_id(data, schema, key, **({"id_column": "id"} | options))
    assert all(issubclass(one.category, PprlWarning) for one in said)
    return made, [str(one.message) for one in said]


def column(name: str, values: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"r{at}" for at in range(len(values))], name: values})


# Dates.


BORN = 'name = "born"\nformat = { type = "date", format = "%d.%m.%Y", also = ["%d.%m.%y"] }'


@pytest.mark.parametrize("kind", ["format", "normaliser"])
def test_no_birth_of_two_digits_is_in_the_future(kind: str, key: LinkageKey) -> None:
    field = BORN if kind == "format" else 'name = "born"\nnormalise = ["date_dmy"]'
    schema = schema_of(field)
    short = [f"17.06.{year:02}" for year in range(100)]
    last = (TODAY.year if (TODAY.month, TODAY.day) >= (6, 17) else TODAY.year - 1) - 99
    whole = [f"17.06.{last + (year - last) % 100}" for year in range(100)]
    made, said = quiet(column("born", short), schema, key)
    assert not said
    np.testing.assert_array_equal(made.clks, quiet(column("born", whole), schema, key)[0].clks)


def test_today_and_tomorrow_of_two_digits() -> None:
    assert full_year(26, dt.date(2026, 3, 5), 3, 5) == 2026
    assert full_year(26, dt.date(2026, 3, 5), 3, 6) == 1926
    assert full_year(99, dt.date(2100, 1, 1), 1, 1) == 2099


def test_a_schema_says_the_latest_year(key: LinkageKey) -> None:
    pivot = BORN.replace("also", "latest_year = 1999, also")
    frame, whole = column("born", ["17.06.05"]), column("born", ["17.06.1905"])
    made = quiet(frame, schema_of(pivot), key)[0]
    np.testing.assert_array_equal(made.clks, quiet(whole, schema_of(pivot), key)[0].clks)


@pytest.mark.parametrize("field", [BORN, 'name = "born"\nnormalise = ["date_dmy"]'])
def test_dates_in_the_future_are_missing_and_told(
    field: str, key: LinkageKey, tmp_path: Path
) -> None:
    later = TODAY + dt.timedelta(days=40)
    frame = column("born", ["17.06.1960", f"{later:%d.%m.%Y}", "01.01.2199"])
    made, said = quiet(frame, schema_of(field), key, rejects=tmp_path / "rejects.csv")
    assert made.clks.any(axis=1).tolist() == [True, False, False]
    assert len(said) == 1
    assert "'born': 2 values (66.7%)" in said[0]
    rows = read_texts(tmp_path / "rejects.csv")
    assert rows["row"].tolist() == ["2", "3"]
    assert rows["field"].tolist() == ["born", "born"]
    allowed = schema_of(BORN.replace("also", "future = true, also"))
    assert quiet(frame, allowed, key)[0].clks.any(axis=1).all()


def test_unread_dates_make_nobody_alike(key: LinkageKey) -> None:
    schema = schema_of('name = "born"\nnormalise = ["date_dmy"]')
    frame = column("born", ["born onbekend", "31-02-1950", "00-00-0000", "12 12", "3-3-1933"])
    made, said = quiet(frame, schema, key)
    assert made.clks.any(axis=1).tolist() == [False] * 4 + [True]
    assert "4 values (80.0%)" in said[0]


@pytest.mark.parametrize(
    ("utc", "day"),
    [("1950-04-30T22:00", "1950-05-01"), ("1950-04-30T23:00", "1950-05-01"),
     ("1950-05-01T00:00", "1950-05-01"), ("1950-05-01T22:15", "1950-05-01")],
)  # fmt: skip
def test_midnight_elsewhere_is_its_own_day(utc: str, day: str, key: LinkageKey) -> None:
    schema = schema_of('name = "born"\nformat = { type = "date" }')
    stamp = pa.array([dt.datetime.fromisoformat(utc + "+00:00")], pa.timestamp("us", "UTC"))
    here = stamp.cast(pa.timestamp("us", "Europe/Amsterdam"))
    expected = quiet(column("born", [day]), schema, key)[0].clks
    for made in (stamp, here) if utc.endswith("23:00") else (stamp,):
        table = pa.table({"id": ["r0"], "born": made})
        np.testing.assert_array_equal(quiet(table, schema, key)[0].clks, expected)


# Sex.


@pytest.mark.parametrize(
    ("male", "female"),
    [
        ("M", "F"), ("m", "v"), ("Man", "Vrouw"), ("M", "W"), ("männlich", "weiblich"),
        ("H", "F"), ("H", "M"), ("Homem", "Mulher"), ("hombre", "mujer"), ("varón", "hembra"),
        ("Maschio", "Femmina"), ("M", "K"), ("mężczyzna", "kobieta"), ("E", "K"),
        ("Erkek", "Kadın"), ("muž", "žena"), ("M", "Ž"), ("férfi", "nő"), ("F", "N"),
        ("bărbat", "femeie"), ("мъж", "жена"), ("М", "Ж"), ("άνδρας", "γυναίκα"), ("Α", "Θ"),
        ("mies", "nainen"), ("M", "N"), ("mees", "naine"), ("vyras", "moteris"), ("V", "S"),
        ("vīrietis", "sieviete"), ("Mand", "Kvinde"), ("J", "M"), ("G", "F"), ("Dhr.", "Mevr."),
        (1, 2), (1.0, 2.0), ("8507", "8532"), ("248153007", "248152002"), ("MALE", "female"),
    ],
)  # fmt: skip
def test_sexes_of_the_world(male: object, female: object, key: LinkageKey) -> None:
    made, said = quiet(column("sex", [male, female] * 30), schema_of(SEX), key)
    plain = quiet(column("sex", ["m", "f"] * 30), schema_of(SEX), key)[0]
    assert not said
    np.testing.assert_array_equal(made.clks, plain.clks)


@pytest.mark.parametrize("codes", [["0", "1"], [0, 1, 9], ["H", "J"], ["H", "M", "F"]], ids=str)
def test_sexes_that_cannot_be_told_are_refused(codes: list[object], key: LinkageKey) -> None:
    with pytest.raises(InvalidValues, match="nothing says which of them means a man") as caught:
        quiet(column("sex", codes * 30), schema_of(SEX), key)
    assert "values = {" in str(caught.value)


def test_a_schema_says_what_codes_mean(key: LinkageKey) -> None:
    said_so = schema_of(SEX + '\nvalues = { "0" = "m", "1" = "f" }')
    made = quiet(column("sex", [0, 1] * 10), said_so, key)[0]
    plain = quiet(column("sex", ["m", "f"] * 10), said_so, key)[0]
    np.testing.assert_array_equal(made.clks, plain.clks)


def test_a_slip_among_codes_changes_no_meaning(key: LinkageKey) -> None:
    frame = column("sex", ["M", "F"] * 300 + ["H"])
    made = quiet(frame, schema_of(SEX), key)[0]
    plain = quiet(column("sex", ["m", "f"] * 300 + ["m"]), schema_of(SEX), key)[0]
    np.testing.assert_array_equal(made.clks, plain.clks)


def test_small_pieces_of_a_table_are_read_like_a_whole_one(key: LinkageKey) -> None:
    """H and M may come in pieces of one record each."""
    codes = ["M", "H"] * 40
    whole = pa.table({"id": [str(at) for at in range(80)], "sex": codes})
    pieces = pa.Table.from_batches(whole.to_batches(max_chunksize=1))
    schema = schema_of(SEX)
    made = quiet(pieces, schema, key)[0]
    np.testing.assert_array_equal(made.clks, quiet(whole, schema, key)[0].clks)
    plain = quiet(column("sex", ["f", "m"] * 40), schema, key)[0]
    np.testing.assert_array_equal(made.clks, plain.clks)


def test_a_later_meaning_of_codes_ends_the_run(key: LinkageKey) -> None:
    codes = ["M", "H"] * 40_000 + ["M", "F"] * 60_000
    with pytest.raises(InvalidValues, match=r"first records have another|nothing says"):
        quiet(column("sex", list(codes)), schema_of(SEX), key)


def test_what_a_normaliser_drops_is_told(key: LinkageKey, tmp_path: Path) -> None:
    schema = schema_of(SEX, 'name = "postcode"\nnormalise = ["postcode_nl"]')
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "sex": ["m", "zzt", "v", "ggg"],
            "postcode": ["1234 AB", "12345", "", None],
        }
    )
    made, said = quiet(frame, schema, key, rejects=tmp_path / "r.csv")
    assert made.info.present == {"sex": 0.5, "postcode": 0.25}
    assert said == [
        "field 'sex': 2 values (50.0%) were taken for missing: 2 cannot be read by sex_code.",
        (
            "field 'postcode': 1 values (50.0%) were taken for missing: "
            "1 cannot be read by postcode_nl."
        ),
    ]
    rows = read_texts(tmp_path / "r.csv")
    assert sorted(zip(rows["row"], rows["field"], strict=True)) == [
        ("2", "postcode"),
        ("2", "sex"),
        ("4", "sex"),
    ]
    assert "zzt" not in (tmp_path / "r.csv").read_text()


# Letters.


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Işık", "ISIK"), ("İnce", "Ince"), ("Þorsteinn", "Thorsteinn"), ("Đorđević", "Dordevic"),
        ("Ħamrun", "Hamrun"), ("Ŧávvet", "Tavvet"), ("Œuvrard", "Oeuvrard"), ("Ærø", "Aero"),
        ("Ŋvalda", "Nvalda"), ("Ƶelko", "Zelko"), ("Ɖosu", "Dosu"), ("Nguyễn", "NGUYEN"),
        ("Ștefan", "Stefan"), ("Anne\u2010Marie", "Anne-Marie"), ("Anne\u2212Marie", "Anne-Marie"),
        ("Anne\u00adMarie", "AnneMarie"), ("An\u200dna", "Anna"), ("O\u02bbNeill", "O'Neill"),
        ("O\u00b4Neill", "O’Neill"), ("Paral\u00b7lel", "Parallel"), ("Van\u00a0Dam", "Van Dam"),
    ],
)  # fmt: skip
def test_letters_with_plain_twins(written: str, plain: str, key: LinkageKey) -> None:
    one, other = (quiet(column("name", [x]), schema_of(NAME), key)[0] for x in (written, plain))
    np.testing.assert_array_equal(one.clks, other.clks)


def test_every_latin_letter_has_a_twin_or_none_by_name() -> None:
    table = twins()
    assert all(twin.isascii() and twin.isalpha() for twin in table.values())
    assert table[ord("ı")] == "i"
    assert len(table) > 150


@pytest.mark.parametrize("name", ["first_of_double", "last_of_double", "initials", "drop_prefixes"])
def test_marks_are_plain_before_any_normaliser(name: str, key: LinkageKey) -> None:
    schema = schema_of(f'name = "name"\nnormalise = ["{name}"]')
    one = quiet(column("name", ["van ’t Hof\u2013Aal"]), schema, key)[0]
    other = quiet(column("name", ["van 't Hof-Aal"]), schema, key)[0]
    np.testing.assert_array_equal(one.clks, other.clks)


# Opt-out lists.


PEOPLE = pd.DataFrame(
    {"id": [f"{at:04}" for at in range(30)], "name": [f"Aa{chr(97 + at % 26)}" for at in range(30)]}
)
OUT = ["0007", "0011"]
LISTS = {
    "plain": "id\n0007\n0011\n",
    "semicolon": "reden;id\nbezwaar;0007\nbezwaar;0011\n",
    "tabs and a byte order mark": "\ufeffdatum\tID\n1-1-2020\t0007\n1-1-2020\t0011\n",
    "no header": "0007\n0011\n",
    "another header": "patient\n0007\n0011\n",
    "sep line": "sep=;\nid;x\n0007;1\n0011;2\n",
    "blanks": "id\n 0007 \n0011\n\n",
    "quotes": '"id";"x, y"\n"0007";"a, b"\n"0011";""\n',
}


@pytest.mark.parametrize("form", LISTS)
def test_opt_out_lists_of_any_form(form: str, key: LinkageKey, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text(LISTS[form], encoding="utf-8")
    made, said = quiet(PEOPLE, schema_of(NAME), key, exclude=tmp_path / "out.csv")
    assert not said
    assert made.info.records == 28
    assert not set(OUT) & set(made.record_ids.to_pylist())


@pytest.mark.parametrize(
    "given",
    [
        OUT, set(OUT), pd.Series(OUT), pa.array(OUT), pl.DataFrame({"id": OUT}),
        pd.DataFrame({"x": [1, 2], "id": OUT}), np.array(OUT),
    ],
    ids=lambda one: type(one).__module__ + "." + type(one).__name__,
)  # fmt: skip
def test_opt_out_from_any_object(given: object, key: LinkageKey) -> None:
    made, said = quiet(PEOPLE, schema_of(NAME), key, exclude=given)
    assert (made.info.records, said) == (28, [])


def test_numbers_leave_numbers_out(key: LinkageKey) -> None:
    people = PEOPLE.assign(id=range(30))
    for given in ([7, 11], pd.Series([7.0, 11.0]), pd.DataFrame({"ID": [7, 11]}), ["7", 11]):
        assert quiet(people, schema_of(NAME), key, exclude=given)[0].info.records == 28


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("id\n7\n11\n", RecordIdError, "2 ids of the opt-out list .* leading zeros"),
        ("id\n0007\n11\n", RecordIdError, "1 ids of the opt-out list .* leading zeros"),
        ("id\nA1\nA2\n", RecordIdError, "none of the 2 ids"),
        ("0007;bezwaar\n0011;bezwaar\n", MissingColumn, "exclude_column="),
    ],
)
def test_opt_out_lists_that_are_refused(
    content: str, error: type[Exception], says: str, key: LinkageKey, tmp_path: Path
) -> None:
    (tmp_path / "out.csv").write_text(content)
    with pytest.raises(error, match=says) as caught:
        pprl.encode_file(
            PEOPLE, schema_of(NAME), key, tmp_path / "x.clk.parquet",
            id_column="id", exclude=tmp_path / "out.csv",
        )  # fmt: skip
    assert not list(tmp_path.glob("*.parquet"))
    assert "0007" not in str(caught.value)


def test_ids_of_nobody_are_counted(key: LinkageKey) -> None:
    made, said = quiet(PEOPLE, schema_of(NAME), key, exclude=["0007", "gone", "away"])
    assert made.info.records == 29
    assert said == ["2 of 3 ids of the opt-out list are the id of no record"]


# Tables of every kind.


HELD = pd.DataFrame(
    {
        "id": ["007", "008", "009"],
        "name": ["Åsa", "de Vries; Jr", "Zoë"],
        "born": ["1950-01-31"] * 3,
    }
)


def held_as(kind: str, folder: Path) -> object:
    """Write or hold `HELD` in another way."""
    csv = folder / "p.csv"
    match kind:
        case "semicolons, Windows-1252":
            HELD.to_csv(csv, sep=";", index=False, encoding="windows-1252")
        case "tabs, byte order mark":
            HELD.to_csv(csv, sep="\t", index=False, encoding="utf-8-sig")
        case "UTF-16":
            HELD.to_csv(csv, index=False, encoding="utf-16")
        case "sep line":
            csv.write_text("sep=|\r\n" + HELD.to_csv(sep="|", index=False), encoding="utf-8")
        case "blanks in the header":
            csv.write_text(" id , name,born \n" + HELD.to_csv(index=False, header=False))
        case "Excel":
            HELD.to_excel(folder / "p.xlsx", index=False)
            return folder / "p.xlsx"
        case "a sheet by name":
            with pd.ExcelWriter(folder / "p.xlsx") as book:
                pd.DataFrame({"x": [1]}).to_excel(book, sheet_name="first", index=False)
                HELD.to_excel(book, sheet_name="people", index=False)
            return str(folder / "p.xlsx") + "#people"
        case "Parquet":
            HELD.to_parquet(folder / "p.parquet")
            return folder / "p.parquet"
        case "a URL":
            import fsspec

            with fsspec.open("memory://door/p.csv", "w") as file:
                file.write(HELD.to_csv(index=False))
            return "memory://door/p.csv"
        case "duckdb query":
            HELD.to_parquet(folder / "p.parquet")
            return f"duckdb:SELECT * FROM '{folder / 'p.parquet'}'"
        case "duckdb file":
            with duckdb.connect(str(folder / "p.duckdb")) as database:
                database.execute("CREATE TABLE p AS SELECT * FROM HELD")
            return f"duckdb:{folder / 'p.duckdb'}#SELECT * FROM p"
        case "duckdb relation":
            return duckdb.sql("SELECT * FROM HELD")
        case "pandas with its index":
            return HELD.set_index("id")
        case "polars":
            return pl.from_pandas(HELD)
        case "polars, lazy":
            return pl.from_pandas(HELD).lazy()
        case "pyarrow":
            return pa.Table.from_pandas(HELD)
        case "DB-API cursor":
            database = sqlite3.connect(":memory:")
            HELD.to_sql("p", database, index=False)
            return database.cursor().execute("SELECT * FROM p")
        case "DB-API query":
            database = sqlite3.connect(":memory:")
            HELD.to_sql("p", database, index=False)
            return Query(database, "SELECT * FROM p")
        case "ADBC":
            import adbc_driver_sqlite.dbapi

            database = adbc_driver_sqlite.dbapi.connect()
            cursor = database.cursor()
            cursor.adbc_ingest("p", pa.Table.from_pandas(HELD))
            cursor.execute("SELECT id, name, born FROM p")
            return cursor
        case "dates as dates":
            return HELD.assign(born=dt.date(1950, 1, 31))
        case "times in Amsterdam":
            stamps = pd.to_datetime(HELD["born"]).dt.tz_localize("Europe/Amsterdam")
            return HELD.assign(born=stamps)
        case "times in UTC that were midnight in Amsterdam":
            stamps = pd.to_datetime(HELD["born"]).dt.tz_localize("Europe/Amsterdam")
            return HELD.assign(born=stamps.dt.tz_convert("UTC"))
    return csv


KINDS = (
    "semicolons, Windows-1252", "tabs, byte order mark", "UTF-16", "sep line",
    "blanks in the header", "Excel", "a sheet by name", "Parquet", "a URL", "duckdb query",
    "duckdb file", "duckdb relation", "pandas with its index", "polars", "polars, lazy", "pyarrow",
    "DB-API cursor", "DB-API query", "ADBC", "dates as dates", "times in Amsterdam",
    "times in UTC that were midnight in Amsterdam",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_every_kind_give_the_same_bits(
    kind: str, key: LinkageKey, tmp_path: Path
) -> None:
    schema = schema_of(NAME, 'name = "born"\nformat = { type = "date" }')
    expected = quiet(HELD, schema, key)[0]
    made, said = quiet(held_as(kind, tmp_path), schema, key)
    assert not said
    assert made.record_ids.to_pylist() == ["007", "008", "009"]
    np.testing.assert_array_equal(made.clks, expected.clks)


def test_columns_of_one_name_are_refused(key: LinkageKey) -> None:
    twice = pd.concat([HELD, HELD[["name"]]], axis=1)
    with pytest.raises(UnreadableFile, match="2 columns with the name 'name'"):
        quiet(twice, schema_of(NAME), key)


def test_names_are_given_to_a_file_without_header(key: LinkageKey, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HELD.to_csv(index=False, header=False))
    given = CsvFormat(names=("id", "name", "born"))
    made = quiet(tmp_path / "p.csv", schema_of(NAME), key, csv_format=given)[0]
    np.testing.assert_array_equal(made.clks, quiet(HELD, schema_of(NAME), key)[0].clks)
    with pytest.raises(UsageError, match="2 names of columns"):
        quiet(tmp_path / "p.csv", schema_of(NAME), key, csv_format=CsvFormat(names=("id", "name")))


def test_ragged_lines_are_numbered_or_left_out(key: LinkageKey, tmp_path: Path) -> None:
    lines = ["id,name", *(f"{at},Bos" for at in range(40))]
    lines[13] = "12,Bos, Jr"
    lines[31] = "30"
    (tmp_path / "p.csv").write_text("\n".join(lines))
    with pytest.raises(UnreadableFile, match="line 14 has 3, line 32 has 1"):
        quiet(tmp_path / "p.csv", schema_of(NAME), key)
    made, said = quiet(tmp_path / "p.csv", schema_of(NAME), key, on_invalid="skip")
    assert made.info.records == 38
    assert "2 lines" in said[0]
    assert "line 14 has 3, line 32 has 1" in said[0]


def test_upper_case_names_of_columns_are_recognised(key: LinkageKey, tmp_path: Path) -> None:
    HELD.rename(columns=str.upper).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(MissingColumn, match="perhaps you mean 'ID' for 'id', 'NAME' for 'name'"):
        quiet(tmp_path / "p.csv", schema_of(NAME), key)


# Truths.


@pytest.fixture(scope="module")
def linked() -> pprl.LinkResult:
    key = key_of(SECRET)
    frame = pd.DataFrame(
        {
            "id": [f"{at:04}" for at in range(60)],
            "name": [f"{chr(97 + at % 26)}{chr(97 + at // 26)}xq" for at in range(60)],
        }
    )
    a, b = (quiet(frame, schema_of(NAME), key, holder=holder)[0] for holder in "ab")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pprl.link(a, b, threshold=0.99)


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    ids = [f"{at:04}" for at in range(60)]
    return pd.DataFrame({"left_id": ids, "right_id": ids})


@pytest.mark.parametrize("form", ["frame", "semicolons", "Excel", "blanks", "Parquet"])
def test_truths_of_any_form(
    form: str, linked: pprl.LinkResult, truth: pd.DataFrame, tmp_path: Path
) -> None:
    given: object = truth
    match form:
        case "semicolons":
            given = tmp_path / "t.csv"
            truth.to_csv(given, sep=";", index=False, encoding="utf-8-sig")
        case "Excel":
            given = tmp_path / "t.xlsx"
            truth.to_excel(given, index=False)
        case "blanks":
            given = truth.assign(left_id=" " + truth["left_id"] + " ")
        case "Parquet":
            given = str(tmp_path / "t.parquet")
            truth.to_parquet(given)
    quality = pprl.evaluate(linked, given)
    assert quality.precision.value == quality.recall.value == 1


def test_truths_that_meet_nobody_are_refused(linked: pprl.LinkResult, truth: pd.DataFrame) -> None:
    with pytest.raises(RecordIdError, match="lost its zeros"):
        pprl.evaluate(linked, truth.astype(int))
    with pytest.raises(RecordIdError, match="none of the 60 left_id"):
        pprl.evaluate(linked, "x" + truth)
    with pytest.raises(RecordIdError, match="1 rows without 'right_id': row 3"):
        pprl.evaluate(linked, truth.assign(right_id=truth["right_id"].mask(truth.index == 2)))


def test_ids_of_a_truth_that_are_in_no_file_are_told(
    linked: pprl.LinkResult, truth: pd.DataFrame, key: LinkageKey
) -> None:
    some = quiet(PEOPLE, schema_of(NAME), key)[0]
    with pytest.warns(PprlWarning, match="30 of 60 left_id of the truth are not in the left file"):
        pprl.evaluate(linked.links, truth, a=some)


# Raw errors.


def test_a_threshold_that_is_text_is_refused(linked: pprl.LinkResult, key: LinkageKey) -> None:
    a = quiet(HELD, schema_of(NAME), key)[0]
    for call in (pprl.link, pprl.compare):
        with pytest.raises(UsageError, match=r"must be a number from 0 to 1, not '0\.8'"):
            call(a, a, threshold="0.8")


def test_clkhash_json_links_on_the_command_line(key: LinkageKey, tmp_path: Path) -> None:
    from pprl.exchange.clkhash_files import save_clkhash_json

    save_clkhash_json(quiet(PEOPLE, schema_of(NAME), key)[0], tmp_path / "c.json")
    (tmp_path / "bad.json").write_text("{}")
    command = [sys.executable, "-c", "from pprl.cli import main; main()", "link"]
    run = [*command, tmp_path / "c.json", tmp_path / "c.json", "-o", tmp_path / "o"]
    done = subprocess.run([*run, "--threshold", "0.9"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "o" / "links.parquet")) == 30
    run = [*command, tmp_path / "bad.json", tmp_path / "bad.json", "-o", tmp_path / "p"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "not of the form" in done.stderr
    assert not (tmp_path / "p").exists()


# Front doors.


@pytest.fixture
def at_home(tmp_path: Path, key: LinkageKey) -> Path:
    """A folder with a schema, a key and a table of people."""
    (tmp_path / "schema.toml").write_text(
        'version = 1\nname = "d"\nbits = 512\nhardening = { method = "none" }\n'
        f"[[fields]]\nbits_per_feature = 60\n{NAME}\n"
        '[[fields]]\nname = "born"\nbits_per_feature = 60\nnormalise = ["date_dmy"]\n'
    )
    key.save(tmp_path / "project.key")
    HELD.to_csv(tmp_path / "p.csv", index=False)
    return tmp_path


def test_paths_are_taken_everywhere(at_home: Path) -> None:
    made = pprl.encode(
        str(at_home / "p.csv"), at_home / "schema.toml", str(at_home / "project.key"),
        id_column="id", holder="a",
    )  # fmt: skip
    made.save(at_home / "a.clk.parquet")
    pprl.encode_file(
        HELD, str(at_home / "schema.toml"), at_home / "project.key", at_home / "b.clk.parquet",
        id_column="id", holder="b",
    )  # fmt: skip
    paths = str(at_home / "a.clk.parquet"), at_home / "b.clk.parquet"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = pprl.link(*paths, threshold=0.9)
        assert len(pprl.compare(*paths, threshold=0.9)) == 3
        assert len(pprl.dedupe(paths[0], threshold=0.9).clusters) == 3
    truth = pd.DataFrame({"left_id": HELD["id"], "right_id": HELD["id"]})
    truth.to_csv(at_home / "truth.csv", index=False)
    quality = pprl.evaluate(result, str(at_home / "truth.csv"), a=paths[0], b=paths[1])
    assert quality.f1.value == 1


def test_outputs_are_replaced_when_asked(at_home: Path, key: LinkageKey) -> None:
    out = at_home / "x.clk.parquet"
    out.write_text("what was there")
    options = {"id_column": "id"}
    with pytest.raises(pprl.errors.OutputExists):
        pprl.encode_file(HELD, at_home / "schema.toml", key, out, **options)
    with pytest.raises(RecordIdError):
        pprl.encode_file(
            pd.concat([HELD, HELD]), at_home / "schema.toml", key, out, overwrite=True, **options
        )
    assert out.read_text() == "what was there"
    pprl.encode_file(HELD, at_home / "schema.toml", key, out, overwrite=True, **options)
    made = pprl.Encodings.load(out)
    made.save(out, overwrite=True)
    assert made.info.records == 3
    assert [one.name for one in at_home.glob(".*")] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda home: pprl.encode(HELD, 7, home / "project.key", id_column="id"),
        lambda home: pprl.encode(HELD, home / "schema.toml", None, id_column="id"),
        lambda home: pprl.encode(None, home / "schema.toml", home / "project.key", id_column="id"),
        lambda home: pprl.encode([1], home / "schema.toml", home / "project.key", id_column="id"),
        lambda home: pprl.link(HELD, HELD),
        lambda home: pprl.compare(3, 4, threshold=0.5),
        lambda home: pprl.suggest_schema(HELD["name"]),
        lambda home: pprl.suggest_schema(HELD, fields="name"),
    ],
)
def test_wrong_types_are_refused_in_words(call, at_home: Path) -> None:
    with pytest.raises(UsageError):
        call(at_home)


def test_a_key_as_text_is_refused_and_not_repeated(at_home: Path) -> None:
    text = (at_home / "project.key").read_text().strip()
    with pytest.raises(pprl.errors.LinkageKeyError) as caught:
        pprl.encode(HELD, at_home / "schema.toml", text, id_column="id")
    assert text[6:] not in str(caught.value)


def test_joined_columns(at_home: Path, key: LinkageKey) -> None:
    apart = pd.DataFrame(
        {
            "id": HELD["id"], "prefix": [None, "de", ""], "last": ["Åsa", "Vries; Jr", "Zoë"],
            "y": [1950, 1950, 1950], "m": [1, 1, 1], "d": ["31", "31", "31"],
        }
    )  # fmt: skip
    columns = {"name": ["prefix", "last"], "born": ("y", "m", "d")}
    schema = at_home / "schema.toml"
    made, said = quiet(apart, schema, key, columns=columns)
    assert not said
    np.testing.assert_array_equal(made.clks, quiet(HELD, schema, key)[0].clks)
    nobody = apart.assign(prefix=["van", None, ""], last=["onbekend", None, "NULL"])
    assert quiet(nobody, schema, key, columns=columns)[0].info.present["name"] == 0.0
    gaps = apart.assign(m=[1, None, 1], d=["31", "31", None])
    lacking = quiet(gaps, schema, key, columns=columns)[0]
    written = HELD.assign(born=["31-01-1950", "", "00-01-1950"])
    np.testing.assert_array_equal(lacking.clks, quiet(written, schema, key)[0].clks)
    formatted = schema_of('name = "born"\nformat = { type = "date", format = "%d/%m/%y" }')
    made = quiet(apart, formatted, key, columns={"born": ["y", "m", "d"]})[0]
    slashed = HELD.assign(born="31/01/50")
    np.testing.assert_array_equal(made.clks, quiet(slashed, formatted, key)[0].clks)


def test_a_field_that_is_not_there_has_a_near_one(at_home: Path, key: LinkageKey) -> None:
    with pytest.raises(UsageError, match=r"columns=: a column is mapped to 'Name'.*'name' is me"):
        quiet(HELD, at_home / "schema.toml", key, columns={"Name": "name"})


def test_the_command_line_names_options(at_home: Path) -> None:
    command = [sys.executable, "-c", "from pprl.cli import main; main()", "encode", "p.csv"]
    options = ["-s", "schema.toml", "-k", "project.key", "-o", "x.clk.parquet"]
    done = subprocess.run(
        [*command, *options, "--id-column", "ID"],
        capture_output=True, text=True, check=False, cwd=at_home,
    )  # fmt: skip
    assert done.returncode == 3
    assert "perhaps you mean 'id' for 'ID'" in done.stderr
    assert "--id-column" in done.stderr
    assert "--map" in done.stderr
    assert "id_column=" not in done.stderr


# Suggestions.

HEADERS = {
    "English": ["born", "given", "surname", "gender", "street", "house no", "zip", "town"],
    "Dutch": ["geb_dat", "roepnaam", "Achternaam", "geslacht", "straatnaam", "huisnr", "postcode",
              "woonplaats"],
    "German": ["GebDatum", "Rufname", "Familienname", "Geschlecht", "Straße", "Hausnr", "PLZ",
               "Wohnort"],
    "French": ["né_le", "Prénom", "NOM", "sexe", "voie", "numero voie", "code_postal", "commune"],
    "Spanish": ["F. Nacimiento", "Nombre", "Apellido1", "Sexo", "Dirección", "num casa", "CP",
                "Localidad"],
    "Polish": ["data_urodzenia", "Imię", "Nazwisko", "Płeć", "ulica", "nr domu", "kod pocztowy",
               "Miejscowość"],
    "Turkish": ["DoğumTarihi", "Adı", "Soyadı", "Cinsiyet", "sokak", "kapı no", "posta kodu",
                "Şehir"],
}  # fmt: skip
LABELS = ["date", "first name", "surname", "sex", "street", "house number", "postcode", "city"]


@pytest.mark.parametrize("language", HEADERS)
def test_headers_of_seven_languages(language: str) -> None:
    from pprl.holder.columns import recognise

    kinds = [recognise(name) for name in HEADERS[language]]
    assert [kind and kind.label for kind in kinds] == LABELS


def register(rng: np.random.Generator, n: int = 600) -> pd.DataFrame:
    """Make up a register whose columns have names that say nothing."""
    days = pd.to_datetime("1931-01-01") + pd.to_timedelta(rng.integers(0, 26_000, n), "D")
    syllables = ["ba", "de", "ki", "lo", "mu", "na", "po", "ra", "se", "ti", "vo", "wu"]
    names = ["".join(rng.choice(syllables, 3)).title() for _ in range(n)]
    return pd.DataFrame(
        {
            "k1": [f"r{at}" for at in range(n)],
            "k2": names,
            "k3": days.strftime("%d-%m-%Y"),
            "k4": rng.choice(["Homme", "Femme"], n),
            "k5": [f"{name.lower()}@example.org" for name in names],
            "k6": [
                f"{a}{chr(65 + b)}{chr(65 + c)}"
                for a, b, c in rng.integers((1000, 0, 0), (9999, 26, 26), (n, 3))
            ],
            "k7": [f"06-{number}" for number in rng.integers(10_000_000, 99_999_999, n)],
            "k8": pd.to_datetime("2019-01-01") + pd.to_timedelta(rng.integers(0, 700, n), "D"),
            "k9": rng.choice(["1", "2"], n),
        }
    )


def test_columns_are_recognised_by_what_is_in_them() -> None:
    from pprl.holder.suggest import study_columns, write_schema

    made = study_columns(register(np.random.default_rng(5)))
    schema = pprl.Schema.from_toml(write_schema(made, "register", "none"))
    by_name = {field.name: field.normalise for field in schema.fields}
    assert by_name == {
        "k3": ("date_dmy",), "k4": ("sex_code",), "k5": ("email",), "k6": ("postcode_nl",),
        "k7": ("digits_only",),
    }  # fmt: skip
    assert made.left_out["k2"] == "not recognised; its values look like names"
    assert set(made.left_out) == {"k1", "k2", "k8", "k9"}


def test_fields_are_taken_when_asked() -> None:
    people = register(np.random.default_rng(6))
    text = pprl.suggest_schema(people, fields=["k2", "k3", "k9"], hardening="none")
    assert [one.name for one in pprl.Schema.from_toml(text).fields] == ["k2", "k3", "k9"]
    with pytest.raises(MissingColumn, match="'k99'"):
        pprl.suggest_schema(people, fields=["k99"])


def test_values_far_too_frequent_are_missing_codes(key: LinkageKey) -> None:
    rng = np.random.default_rng(7)
    people = register(rng).rename(columns={"k2": "surname", "k3": "born", "k7": "telefoon"})
    some = rng.random(600) < 0.08
    people.loc[some, "surname"] = "Staat Er Niet"
    people.loc[some, "born"] = "01-01-1901"
    people.loc[some, "telefoon"] = "0101010101"
    schema = pprl.Schema.from_toml(pprl.suggest_schema(people, hardening="none"))
    codes = {field.name: field.missing_codes for field in schema.fields}
    assert codes["surname"] == ("Staat Er Niet",)
    assert codes["born"] == ("01-01-1901",)
    assert codes["telefoon"] == ("0101010101",)
    assert not any(codes[name] for name in codes if name not in ("surname", "born", "telefoon"))
    made, said = quiet(people, schema, key, id_column="k1")
    assert all("missing_codes" in one for one in said)
    assert made.info.present["surname"] == round(1 - some.mean(), 4)


def test_frequent_names_are_nobodys_placeholder() -> None:
    rng = np.random.default_rng(8)
    names = [
        f"Naam{'abcdefghijklmnopqrstuvwxyz'[at // 26]}{chr(97 + at % 26)}" for at in range(300)
    ]
    chance = 1 / np.arange(1, 301)
    people = register(rng, 2000).assign(surname=rng.choice(names, 2000, p=chance / chance.sum()))
    schema = pprl.Schema.from_toml(pprl.suggest_schema(people, hardening="none"))
    assert not any(field.missing_codes for field in schema.fields)


# Values that mean nothing.


@pytest.mark.parametrize(
    "nothing",
    ["onbekend", "ONBEKEND", "Unbekannt", "inconnu", "desconocido", "nieznany", "bilinmiyor",
     "Niet bekend", "NULL", "(null)", "\\N", "NaN", "#N/A", "-", "??", ".", "000000"],
)  # fmt: skip
def test_texts_that_mean_nothing_are_missing_and_told(nothing: str, key: LinkageKey) -> None:
    made, said = quiet(column("name", [nothing, "Bos"]), schema_of(NAME), key)
    assert made.clks.any(axis=1).tolist() == [False, True]
    assert said == [
        "field 'name': 1 values (50.0%) were taken for missing: 1 mean that nothing is known."
    ]
    kept = schema_of(NAME.replace("letters_only", "words_only") + "\nkeep_unknown = true")
    if any(character.isalnum() for character in nothing):
        assert quiet(column("name", [nothing]), kept, key)[0].clks.any()


@pytest.mark.parametrize("name", ["Null", "Geen", "Nil", "Brak", "Ona", "N.A.", "Nan", "Yok", "Na"])
def test_names_that_look_like_nothing_are_names(name: str, key: LinkageKey) -> None:
    made, said = quiet(column("name", [name]), schema_of(NAME), key)
    assert not said
    assert made.clks.any()


# Addresses.


def test_additions_of_house_numbers_are_kept_apart(key: LinkageKey) -> None:
    number = 'name = "no"\nnormalise = ["house_number_parts"]'
    alike = [["12-1", "12 1", "012/1"], ["12A", "12-a", "12 A"], ["121", "0121"]]
    encoded = [
        {clk.tobytes() for clk in quiet(column("no", group), schema_of(number), key)[0].clks}
        for group in alike
    ]
    assert [len(one) for one in encoded] == [1, 1, 1]
    assert len(set.union(*encoded)) == 3


def test_streets_in_short_and_in_full(key: LinkageKey) -> None:
    street = 'name = "street"\nnormalise = ["fold_case", "street_words", "letters_only"]'
    for group in (
        ["Kerkstraat", "Kerkstr.", "KERK STRAAT"],
        ["Burg. Boslaan", "Burgemeester Bos ln"],
    ):
        made = quiet(column("street", group), schema_of(street), key)[0]
        assert len({clk.tobytes() for clk in made.clks}) == 1


# FHIR and OMOP.

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [
        {"use": "maiden", "family": "Bos"},
        {"use": "old", "family": "Weg"},
        {"use": "usual", "given": ["Ank"]},
        {"use": "official", "family": "Vos", "given": ["Anna", "Maria"]},
    ],
    "gender": "female",
    "birthDate": "1961-03-01",
    "address": [
        {"use": "old", "city": "Elders"},
        {"use": "home", "line": ["Kerkstraat 1", "bis"], "postalCode": "1234 AB", "city": "Hier"},
    ],
    "telecom": [
        {"system": "phone", "use": "old", "value": "0"},
        {"system": "phone", "use": "work", "value": "020 1234567"},
        {"system": "email", "value": "a@example.org"},
    ],
}
ROW = {
    "id": "p1", "surname": "Vos", "given_name": "Anna Maria", "birth_surname": "Bos",
    "birth_date": "1961-03-01", "sex": "f", "street": "Kerkstraat 1 bis", "postcode": "1234 AB",
    "city": "Hier", "phone": "020 1234567", "email": "a@example.org", "house_number": None,
    "bsn": None,
}  # fmt: skip


@pytest.mark.parametrize("form", ["ndjson", "bundle", "one", "list"])
def test_fhir_patients(form: str, tmp_path: Path) -> None:
    import json

    from pprl.tables.health import fhir_patients

    other = {"resourceType": "Observation", "id": "o"}
    bare = {"resourceType": "Patient", "id": "p2", "gender": "unknown", "name": "broken"}
    content = {
        "ndjson": "\n".join(json.dumps(one) for one in (other, PATIENT, bare)) + "\n",
        "bundle": json.dumps(
            {
                "resourceType": "Bundle",
                "entry": [{"resource": one} for one in (PATIENT, other, bare)],
            }
        ),
        "one": json.dumps(PATIENT),
        "list": json.dumps([PATIENT, bare]),
    }[form]
    (tmp_path / "p.json").write_text(content)
    rows = fhir_patients(str(tmp_path / "p.json")).to_pylist()
    assert rows[0] == ROW
    if form != "one":
        assert rows[1] == dict.fromkeys(ROW) | {"id": "p2", "sex": "unknown"}
    (tmp_path / "bad.json").write_text(json.dumps(PATIENT) + "\n{cut")
    with pytest.raises(UnreadableFile, match="line 2 is not JSON"):
        fhir_patients(str(tmp_path / "bad.json"))


def test_omop_people(tmp_path: Path) -> None:
    from pprl.tables.health import omop_people

    person = pd.DataFrame(
        {
            "PERSON_ID": [7, 8], "YEAR_OF_BIRTH": [1961, 1950], "MONTH_OF_BIRTH": [3, None],
            "DAY_OF_BIRTH": [1, None], "GENDER_CONCEPT_ID": [8532, 0], "LOCATION_ID": [2, None],
        }
    )  # fmt: skip
    location = pd.DataFrame({"location_id": [1, 2], "zip": ["9", "1234AB"], "city": ["x", "Hier"]})
    location.to_csv(tmp_path / "location.csv", index=False)
    rows = omop_people(person, tmp_path / "location.csv").to_pylist()
    assert rows[0] == {
        "id": "7", "birth_date": "1961-03-01", "sex": "f", "postcode": "1234AB", "city": "Hier",
    }  # fmt: skip
    assert rows[1]["birth_date"] == "1950-00-00"
    assert rows[1]["sex"] is None


def test_fhir_on_the_command_line(at_home: Path) -> None:
    import json

    (at_home / "p.ndjson").write_text(json.dumps(PATIENT) + "\n")
    command = [sys.executable, "-c", "from pprl.cli import main; main()", "encode", "p.ndjson"]
    options = ["-s", "schema.toml", "-k", "project.key", "-o", "f.clk.parquet", "--from", "fhir"]
    names = ["--id-column", "id", "--map", "name=given_name+surname", "--map", "born=birth_date"]
    done = subprocess.run(
        [*command, *options, *names], capture_output=True, text=True, check=False, cwd=at_home
    )
    assert done.returncode == 0, done.stderr
    made = pprl.Encodings.load(at_home / "f.clk.parquet")
    assert made.info.present == {"name": 1.0, "born": 1.0}


# A messy export, end to end.


def test_a_messy_dutch_export_links_like_the_clean_one(key: LinkageKey, tmp_path: Path) -> None:
    """Semicolons, Windows-1252, prefixes apart, three forms of dates, onbekend, lost zeros."""
    rng = np.random.default_rng(11)
    n = 900
    syllables = ["ba", "de", "ki", "lo", "mu", "né", "po", "ra", "së", "ti", "vo", "wu", "ja", "ho"]
    words = ["".join(rng.choice(syllables, 3)).title() for _ in range(600)]
    prefix = rng.choice(["", "", "de", "van der", "van"], n)
    days = pd.to_datetime("1931-01-01") + pd.to_timedelta(rng.integers(0, 26_000, n), "D")
    clean = pd.DataFrame(
        {
            "id": [f"{at:05}" for at in range(n)],
            "surname": [
                f"{a} {b}".strip() for a, b in zip(prefix, rng.choice(words, n), strict=True)
            ],
            "given_name": rng.choice(words, n),
            "birth_date": days.strftime("%Y-%m-%d"),
            "sex": rng.choice(["m", "f"], n),
            "postcode": [f"{a}AB" for a in rng.integers(1000, 9999, n)],
            "phone": [f"0{a}" for a in rng.integers(610_000_000, 699_999_999, n)],
        }
    )
    clean["surname"] = clean["surname"].where(rng.random(n) > 0.02)
    other = clean.copy()
    slip = rng.random(n) < 0.1
    other.loc[slip, "given_name"] = other.loc[slip, "given_name"].str[:-1]

    def messy(
        people: pd.DataFrame, path: Path, names: dict[str, str], male: str, form: int
    ) -> None:
        apart = people["surname"].str.extract(r"^((?:de|van der|van)?)\s*(.*)$")
        dates = pd.to_datetime(people["birth_date"])
        forms = [dates.dt.strftime(one) for one in ("%d-%m-%Y", "%Y%m%d", "%d/%m/%Y")]
        written = pd.DataFrame(
            {
                "id": people["id"],
                "prefix": apart[0],
                "last": apart[1].str.upper().where(people["surname"].notna(), "onbekend"),
                "given_name": people["given_name"],
                "birth_date": np.choose((np.arange(n) + form) % 3, forms),
                "sex": people["sex"].map({"m": male, "f": "V"}),
                "postcode": people["postcode"].str[:4]
                + " "
                + people["postcode"].str[4:].str.lower(),
                "phone": people["phone"].str.lstrip("0"),
            }
        ).rename(columns=names)
        written.to_csv(path, sep=";", index=False, encoding="windows-1252", errors="replace")

    fields = ("prefix", "last", "given_name", "birth_date", "sex", "postcode", "phone")
    names = ("Voorvoegsel", "Achternaam", "Voornaam", "Geboortedatum", "Geslacht", "PC", "Tel")
    dutch = dict(zip(fields, names, strict=True))
    names = ("tv", "naam", "vn", "gebdat", "mv", "postc", "mobiel")
    short = dict(zip(fields, names, strict=True))
    messy(clean, tmp_path / "a.csv", dutch, "M", 0)
    messy(other, tmp_path / "b.csv", short, "Man", 1)
    name = 'normalise = ["compose", "fold_case", "strip_accents", "letters_only"]'
    schema = schema_of(
        f'name = "surname"\n{name}', f'name = "given_name"\n{name}',
        'name = "birth_date"\nnormalise = ["date_dmy"]', SEX,
        'name = "postcode"\nnormalise = ["postcode_nl"]',
        'name = "phone"\nnormalise = ["phone_nl"]',
    )  # fmt: skip

    def columns(of: dict[str, str]) -> dict[str, object]:
        joined = {"surname": [of["prefix"], of["last"]]}
        return {k: v for k, v in of.items() if k not in ("prefix", "last")} | joined

    truth = pd.DataFrame({"left_id": clean["id"], "right_id": clean["id"]})
    f1 = []
    for left, right, of in (
        (clean, other, ({}, {})),
        (tmp_path / "a.csv", tmp_path / "b.csv", (columns(dutch), columns(short))),
    ):
        a, _ = quiet(left, schema, key, holder="a", columns=of[0])
        b, said = quiet(right, schema, key, holder="b", columns=of[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            f1.append(pprl.evaluate(pprl.link(a, b, threshold=0.75), truth, a=a, b=b).f1.value)
    assert any("nothing is known" in one for one in said)
    assert f1[0] > 0.95
    assert f1[1] > f1[0] - 0.005, f1
