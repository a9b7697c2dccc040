"""Synthetic people: seeds, households, names and addresses, and registers drawn from them."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pprl
from pprl import synthetic
from pprl.errors import OutputExists, UnreadableFile, UnwritableFile, UsageError
from pprl.synthetic import corrupt
from pprl.synthetic.registers import FIELDS

PERSONS = 120_000
REFERENCE = pd.Timestamp("2025-01-01")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return synthetic.population_table(PERSONS, seed=7)


@pytest.fixture(scope="module")
def people(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas(date_as_object=False)
    frame["age"] = (REFERENCE - frame["birth_date"]).dt.days / 365.2425
    return frame


def parents(people: pd.DataFrame, which: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    children = people[people[which].notna()]
    return children, people.loc[children[which].astype(int)].set_index(children.index)


def test_a_seed_is_a_population(table: pa.Table, tmp_path: Path) -> None:
    """Whatever the row groups are; and another seed is another population."""
    for row_group in (1, 3):
        path = tmp_path / f"{row_group}.parquet"
        synthetic.population(path, PERSONS, seed=7, row_group=row_group)
        assert pq.read_table(path).cast(table.schema).equals(table)
    assert pq.ParquetFile(tmp_path / "1.parquet").num_row_groups == 4
    other = synthetic.population_table(1000, seed=8)
    assert not other["surname"].equals(synthetic.population_table(1000, seed=9)["surname"])


def test_persons_are_as_many_as_asked(table: pa.Table) -> None:
    assert len(table) == PERSONS
    assert len(synthetic.population_table(1, seed=0)) == 1
    assert table["person_id"].to_pylist() == list(range(PERSONS))
    for name in ("mother_id", "father_id", "twin_id"):
        assert pc.max(table[name]).as_py() < PERSONS


def test_a_household_shares_its_address(people: pd.DataFrame) -> None:
    address = ["street", "house_number", "house_addition", "postcode", "city"]
    values = people[address].astype("string").fillna("").agg("|".join, axis=1)
    assert values.groupby(people["household_id"]).nunique().max() == 1
    homes = values.groupby(people["household_id"]).first()
    assert homes.nunique() == len(homes)


def test_parents_are_of_an_age_to_be(people: pd.DataFrame) -> None:
    children, mothers = parents(people, "mother_id")
    gap = mothers["age"] - children["age"]
    assert gap.min() > 16
    assert gap.max() < 48
    assert (mothers["sex"] == "female").all()
    children, fathers = parents(people, "father_id")
    assert (fathers["sex"] == "male").all()
    assert (fathers["age"] - children["age"]).min() > 15


def test_children_bear_a_parents_surname(people: pd.DataFrame) -> None:
    """Polish and Ukrainian daughters bear its feminine form, so they are left out."""
    people = people[~people["origin"].isin(["polish", "slavic_east"])]
    everyone = people.set_index("person_id")
    children = people[people["father_id"].isin(everyone.index)]
    single = ~children["surname"].str.contains("[ -]")
    children = children[single & (children["twin_id"].isna())]
    fathers = everyone.loc[children["father_id"].astype(int)]
    assert (children["surname"].to_numpy() == fathers["surname"].to_numpy()).mean() > 0.9
    siblings = people[people["role"].eq("child")].groupby("household_id")["surname"].nunique()
    assert (siblings == 1).mean() > 0.99


def test_siblings_are_apart_or_twins(people: pd.DataFrame) -> None:
    children = people[people["mother_id"].notna()].sort_values(["mother_id", "birth_date"])
    before = children.shift()
    same = children["mother_id"] == before["mother_id"]
    days = (children["birth_date"] - before["birth_date"]).dt.days[same]
    assert ((days == 0) | (days >= 250)).mean() > 0.999
    names = children.groupby(["mother_id", "sex"], observed=True)["given_name"]
    assert (names.nunique() == names.size()).mean() > 0.97


def test_twins(people: pd.DataFrame) -> None:
    twins = people[people["twin_id"].notna()]
    other = people.loc[twins["twin_id"].astype(int)]
    assert (twins["birth_date"].to_numpy() == other["birth_date"].to_numpy()).all()
    mothers = twins["mother_id"].fillna(-1), other["mother_id"].fillna(-1)
    assert (mothers[0].to_numpy() == mothers[1].to_numpy()).all()
    assert (twins["person_id"].to_numpy() != other["person_id"].to_numpy()).all()
    # 1.5 % of deliveries are about 3 % of children.
    home = people[people["role"].eq("child") & people["age"].lt(10)]
    assert 0.02 < home["twin_id"].notna().mean() < 0.05


def test_three_generations(people: pd.DataFrame) -> None:
    mother = people["mother_id"].dropna()
    grandmother = mother.astype(int).map(people["mother_id"]).dropna()
    assert len(grandmother) > 0.1 * len(people)


def test_distributions(people: pd.DataFrame) -> None:
    """Within a few points of the figures in docs/reference/synthetic.md."""
    alive = people[people["death_date"].isna()]
    size = alive.groupby("household_id").size().clip(upper=5)
    shares = size.value_counts(normalize=True).sort_index()
    assert np.abs(shares - [0.399, 0.323, 0.116, 0.114, 0.048]).max() < 0.02
    bands = pd.cut(alive["age"], [-1, 20, 40, 65, 80, 120]).value_counts(normalize=True, sort=False)
    assert np.abs(bands - [0.219, 0.249, 0.339, 0.146, 0.046]).max() < 0.03
    whole = alive["prefix"].fillna("") + " " + alive["surname"]
    counts = whole.str.strip().value_counts()
    assert counts["de Jong"] == pytest.approx(0.0043 * len(alive), rel=0.2)
    assert 0.28 < counts.head(1000).sum() / len(alive) < 0.38
    pc4 = alive["postcode"].str[:4]
    group = alive.groupby([alive["birth_date"], alive["sex"].astype(str), pc4]).size()
    assert 0.80 < group[group == 1].sum() / len(alive) < 0.93
    month = people["birth_date"].dt.month.value_counts(normalize=True)
    assert month[[7, 8, 9]].sum() > month[[11, 12, 1]].sum() * 1.02


def test_cohorts_have_their_names(people: pd.DataFrame) -> None:
    first = people["first_names"].str.split(" ").str[0]
    dutch = people["origin"].eq("dutch")
    old, young = dutch & people["age"].gt(75), dutch & people["age"].lt(10)
    assert first[old].eq("Maria").mean() > 20 * first[young].eq("Maria").mean()
    assert first[young].eq("Noah").mean() > 0.005 > first[old].eq("Noah").mean()
    for group in set(people["origin"]) - {"dutch"}:
        assert people["origin"].eq(group).sum() > 200


def test_other_spellings_are_other(people: pd.DataFrame) -> None:
    other = people[people["surname_variant"].notna()]
    assert (other["surname"] != other["surname_variant"]).all()
    assert (other["origin"] != "dutch").mean() > 0.7
    assert people["first_name_variant"].notna().sum() > 1000


def test_bsn_passes_the_eleven_test_once_each(people: pd.DataFrame) -> None:
    digits = np.array([list(number) for number in people["bsn"]]).astype(int)
    assert digits.shape == (PERSONS, 9)
    assert (digits @ [9, 8, 7, 6, 5, 4, 3, 2, -1] % 11 == 0).all()
    assert people["bsn"].is_unique


def test_postcodes_and_dates(people: pd.DataFrame) -> None:
    assert people["postcode"].str.fullmatch(r"[1-9]\d{3}[A-Z]{2}").all()
    assert (people["birth_date"] < REFERENCE).all()
    dead = people[people["death_date"].notna()]
    assert (dead["death_date"] >= dead["birth_date"]).all()
    assert dead["death_date"].max() < REFERENCE
    assert 0.06 < len(dead) / len(people) < 0.11
    moved = people[people["moved_on"].notna()]
    assert (moved["moved_on"] > moved["birth_date"]).all()
    assert moved["former_postcode"].notna().all()
    assert people.loc[people["moved_on"].isna(), "former_postcode"].isna().all()


def test_partner_names(people: pd.DataFrame) -> None:
    uses = people["name_use"].ne("own")
    assert people.loc[uses, "partner_surname"].notna().all()
    assert people.loc[uses, "sex"].eq("female").mean() > 0.9


ERRING = synthetic.Errors(
    keyboard=0.04,
    phonetic=0.02,
    ocr=0.02,
    truncation=0.02,
    digit=0.05,
    day_month_swap=0.03,
    date_slip=0.04,
    wrong_sex=0.02,
)


def test_a_register_errs_as_often_as_asked(table: pa.Table) -> None:
    """Against the same register without errors, which has the same rows."""
    columns = (*FIELDS[:10], "bsn")
    clean = synthetic.Register(name="r", coverage=0.6, columns=columns)
    erring = synthetic.Register(name="r", coverage=0.6, columns=columns, errors=ERRING)
    right, truth = synthetic.register_table(table, clean, seed=3)
    wrong, same_truth = synthetic.register_table(table, erring, seed=3)
    assert truth.equals(same_truth)
    assert right["record_id"].equals(wrong["record_id"])
    expected = {
        **dict.fromkeys(("first_names", "surname", "street", "city"), 0.1),
        **dict.fromkeys(("house_number", "postcode", "bsn"), 0.05),
        "birth_date": 0.07,
        "sex": 0.02,
    }
    for name, rate in expected.items():
        differ = pc.mean(pc.not_equal(right[name], wrong[name])).as_py()
        # Slips of a date of which the wrong part is unknown do not show.
        assert differ == pytest.approx(rate, abs=0.004), name


@pytest.mark.parametrize("name", ["swapped_names", "outdated_address", "transliteration"])
def test_errors_of_records(table: pa.Table, people: pd.DataFrame, name: str) -> None:
    clean = synthetic.Register(name="r")
    erring = synthetic.Register(name="r", errors=synthetic.Errors(**{name: 0.3}))
    right, truth = synthetic.register_table(table, clean, seed=3)
    wrong, _ = synthetic.register_table(table, erring, seed=3)
    who = people.loc[truth["person_id"].to_numpy()]
    field, able = {
        "swapped_names": ("surname", np.ones(len(who), bool)),
        "outdated_address": ("postcode", who["moved_on"].notna().to_numpy()),
        "transliteration": ("surname", who["surname_variant"].notna().to_numpy()),
    }[name]
    differ = np.asarray(pc.not_equal(right[field], wrong[field]))
    assert not differ[~able].any()
    assert differ[able].mean() == pytest.approx(0.3, abs=0.02)
    if name == "outdated_address":
        stale = who["former_postcode"].to_numpy()[differ]
        assert (np.asarray(wrong["postcode"])[differ] == stale).all()


def test_every_change_is_a_change() -> None:
    rng = np.random.default_rng(0)
    for change in (corrupt.keyboard, corrupt.phonetic, corrupt.ocr, corrupt.truncate):
        for value in ("Jansen", "Ö", "x", "aa", "van 't Hof", "Öztürk", "9", "lll"):
            for _ in range(200):
                assert change(value, rng.random(3)) not in ("", value)
    for value in ("1", "10", "1234AB", "100000009"):
        for _ in range(200):
            changed = corrupt.one_digit(value, rng.random(3))
            assert sum(a != b for a, b in zip(value, changed, strict=True)) == 1
            assert changed[0] != "0"


def test_dates_that_err_are_still_dates(table: pa.Table) -> None:
    errors = synthetic.Errors(day_month_swap=0.5, date_slip=0.5)
    made, truth = synthetic.register_table(
        table, synthetic.Register(name="r", unknown_dates="first", errors=errors), seed=1
    )
    dates = pc.strptime(made["birth_date"], format="%Y-%m-%d", unit="s").cast(pa.date32())
    assert pc.strftime(dates, format="%Y-%m-%d").equals(made["birth_date"])
    born = table["birth_date"].take(truth["person_id"])
    assert pc.mean(pc.not_equal(dates, born)).as_py() > 0.99


def test_the_truth_is_true(table: pa.Table) -> None:
    """Numbers that nobody shares say who a record is."""
    made, truth = synthetic.register_table(
        table, synthetic.Register(name="r", coverage=0.3, columns=("bsn",), duplicates=0.1), seed=5
    )
    assert made["record_id"].equals(truth["record_id"])
    assert len(set(made["record_id"].to_pylist())) == len(made)
    assert table["bsn"].take(truth["person_id"]).equals(made["bsn"])
    people = pc.count_distinct(truth["person_id"]).as_py()
    assert len(made) / people == pytest.approx(1.1, abs=0.01)
    assert truth["person_id"].to_pylist() != sorted(truth["person_id"].to_pylist())


def test_coverage_age_and_sex(table: pa.Table, people: pd.DataFrame) -> None:
    register = synthetic.Register(
        name="r", coverage=((20, 0.0), (30, 0.2), (60, 0.8)), sex="female", deceased=True
    )
    made, truth = synthetic.register_table(table, register, seed=2)
    who = people.loc[truth["person_id"].to_numpy()]
    assert who["sex"].eq("female").all()
    assert who["age"].min() >= 20
    women = people[people["sex"].eq("female")]
    share = [(frame["age"] > 60).sum() for frame in (who, women)]
    assert share[0] / share[1] == pytest.approx(0.8, abs=0.02)
    assert set(made["sex"].to_pylist()) == {"V"}


def test_snapshot(table: pa.Table, people: pd.DataFrame) -> None:
    day = dt.date(2020, 6, 30)
    register = synthetic.Register(name="r", snapshot=day, columns=("birth_date", "postcode"))
    made, truth = synthetic.register_table(table, register, seed=2)
    who = people.loc[truth["person_id"].to_numpy()].reset_index()
    there = (people["birth_date"] < pd.Timestamp(day)) & ~(people["death_date"] < pd.Timestamp(day))
    assert sorted(who["person_id"]) == people.index[there].tolist()
    moved = who["moved_on"] > pd.Timestamp(day)
    assert moved.sum() > 1000
    expected = np.where(moved, who["former_postcode"], who["postcode"])
    assert (np.asarray(made["postcode"]) == expected).all()


def test_events(table: pa.Table, people: pd.DataFrame) -> None:
    register = synthetic.Register(name="r", coverage=0.2, events=2.5, deceased=True)
    made, truth = synthetic.register_table(table, register, seed=2)
    who = people.loc[truth["person_id"].to_numpy()]
    day = pd.to_datetime(made["event_date"].to_pandas()).to_numpy()
    assert (day >= who["birth_date"].to_numpy()).all()
    assert (day >= np.datetime64("2015-01-01")).all()
    assert not (day > who["death_date"].to_numpy()).any()
    assert len(made) / who["person_id"].nunique() == pytest.approx(2.5, abs=0.05)


def test_forms(table: pa.Table, people: pd.DataFrame) -> None:
    register = synthetic.Register(
        name="r",
        surname="used",
        prefix="after",
        first_names="initials",
        letters="upper",
        diacritics=False,
        date_pattern="DD/MM/YYYY",
        sex_codes=("1", "2"),
        postcode_space=True,
        most_letters=20,
    )
    assert "prefix" not in register.written
    made, truth = synthetic.register_table(table, register, seed=1)
    frame = made.to_pandas()
    assert frame["surname"].map(str.isascii).all()
    assert (frame["surname"] == frame["surname"].str.upper()).all()
    assert frame["surname"].str.len().max() == 20
    assert frame["surname"].str.contains(", VAN DE").any()
    assert frame["first_names"].str.fullmatch(r"(\S\.)+").all()
    assert frame["birth_date"].str.fullmatch(r"\d\d/\d\d/\d{4}").all()
    assert frame["postcode"].str.fullmatch(r"\d{4} [A-Z]{2}").all()
    assert set(frame["sex"]) == {"1", "2"}
    who = people.loc[truth["person_id"].to_numpy()].reset_index()
    unknown = who["birth_date_known"].eq("year").to_numpy()
    assert unknown.sum() > 50
    assert frame["birth_date"][unknown].str.startswith("00/00/").all()
    both = (who["name_use"].eq("partner-own") & who["surname"].str.len().lt(6)).to_numpy()
    assert frame["surname"][both].str.contains("-").mean() > 0.8


def test_missing_values(table: pa.Table) -> None:
    register = synthetic.Register(name="r", missing={"street": 0.2, "birth_date": 0.05})
    made, _ = synthetic.register_table(table, register, seed=1)
    assert made["street"].null_count / len(made) == pytest.approx(0.2, abs=0.01)
    assert made["birth_date"].null_count / len(made) == pytest.approx(0.05, abs=0.005)
    assert made["surname"].null_count == 0


def test_registers_of_one_seed_differ(table: pa.Table) -> None:
    ids = [
        synthetic.register_table(table, synthetic.Register(name=name, coverage=0.5), seed=1)[1]
        for name in ("a", "b")
    ]
    first, second = (set(truth["person_id"].to_pylist()) for truth in ids)
    assert len(first & second) / len(first) == pytest.approx(0.5, abs=0.02)
    assert not set(ids[0]["record_id"].to_pylist()) & set(ids[1]["record_id"].to_pylist())


def test_files_hold_what_tables_do(table: pa.Table, tmp_path: Path) -> None:
    """Whatever the row groups of the population are."""
    register = synthetic.Register(name="r", coverage=0.4, errors=ERRING, duplicates=0.02)
    made, truth = synthetic.register_table(table, register, seed=3)
    for row_group in (1, 8):
        folder = tmp_path / str(row_group)
        folder.mkdir()
        people, records, known = (folder / name for name in ("p", "r", "t"))
        synthetic.population(people, PERSONS, seed=7, row_group=row_group)
        count = synthetic.register(people, records, known, register, seed=3)
        assert count == len(made)
        assert pq.read_table(records).equals(made)
        assert pq.read_table(known).equals(truth)
        assert sorted(path.name for path in folder.iterdir()) == ["p", "r", "t"]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Three times the persons take no more than a little more memory."""
    code = (
        "import re\nfrom pathlib import Path\nfrom pprl import synthetic\n"
        "synthetic.population({path!r}, {persons}, seed=1, row_group=1)\n"
        "synthetic.register({path!r}, {path!r} + 'r', {path!r} + 't',"
        " synthetic.Register(name='r'), seed=1)\n"
        # Not ru_maxrss, which holds what the process that started this one took.
        "status = Path('/proc/self/status').read_text()\n"
        r"print(re.findall(r'VmHWM:\s+(\d+)', status)[0])"
    )
    peaks = []
    for persons in (300_000, 900_000):
        filled = code.format(path=str(tmp_path / str(persons)), persons=persons)
        done = subprocess.run(
            [sys.executable, "-c", filled], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 60


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"coverage": 1.1},
        {"coverage": ()},
        {"coverage": ((40, 0.1), (30, 0.2))},
        {"coverage": ((40, 2.0),)},
        {"sex": "V"},
        {"surname": "maiden"},
        {"prefix": "none"},
        {"first_names": "some"},
        {"letters": "small"},
        {"unknown_dates": "blank"},
        {"columns": ()},
        {"columns": ("surname", "surname")},
        {"columns": ("shoe_size",)},
        {"columns": ("event_date",)},
        {"missing": {"shoe_size": 0.1}},
        {"missing": {"surname": -0.1}},
        {"date_pattern": "YYYY-MM"},
        {"date_pattern": "YYYY-MM-DD-DD"},
        {"events": 0.5},
        {"events": 2.0, "events_from": dt.date(2026, 1, 1)},
        {"most_letters": 0},
        {"sex_codes": ("M",)},
        {"duplicates": True},
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        synthetic.Register(**{"name": "r", **options})


def test_bad_arguments(table: pa.Table, tmp_path: Path) -> None:
    for persons in (0, -1, 20_000_001, 1.5, True, "10"):
        with pytest.raises(UsageError, match="persons"):
            synthetic.population_table(persons, seed=1)
    for seed in (-1, 1.0, None, "1", True):
        with pytest.raises(UsageError, match="seed"):
            synthetic.population_table(10, seed=seed)
        with pytest.raises(UsageError, match="seed"):
            synthetic.register_table(table, synthetic.Register(name="r"), seed=seed)
    with pytest.raises(UsageError, match="row_group"):
        synthetic.population(tmp_path / "p", 10, seed=1, row_group=0)
    for option in ("keyboard", "digit", "transliteration"):
        with pytest.raises(UsageError, match=option):
            synthetic.Errors(**{option: 1.5})
    with pytest.raises(UsageError, match="exceed"):
        synthetic.Errors(keyboard=0.6, ocr=0.6)
    with pytest.raises(UsageError, match="exceed"):
        synthetic.Errors(day_month_swap=0.6, date_slip=0.6)


def test_files_are_whole_and_never_replaced(tmp_path: Path) -> None:
    people, register = tmp_path / "p", synthetic.Register(name="r")
    synthetic.population(people, 100, seed=1)
    with pytest.raises(OutputExists):
        synthetic.population(people, 100, seed=1)
    with pytest.raises(OutputExists):
        synthetic.register(people, tmp_path / "r", people, register, seed=1)
    with pytest.raises(OutputExists):
        synthetic.register(people, tmp_path / "r", tmp_path / "r", register, seed=1)
    with pytest.raises(UnwritableFile):
        synthetic.population(tmp_path / "none" / "p", 100, seed=1)
    with pytest.raises(UnreadableFile):
        synthetic.register(tmp_path / "no", tmp_path / "r", tmp_path / "t", register, seed=1)
    (tmp_path / "text").write_text("no Parquet")
    with pytest.raises(UnreadableFile):
        synthetic.register(tmp_path / "text", tmp_path / "r", tmp_path / "t", register, seed=1)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
    with pytest.raises(UnreadableFile, match="not a population"):
        synthetic.register(tmp_path / "other", tmp_path / "r", tmp_path / "t", register, seed=1)
    with pytest.raises(UnreadableFile, match="not a population"):
        synthetic.register_table(pa.table({"a": [1]}), register, seed=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "p", "text"]


def test_an_empty_register_has_its_columns(table: pa.Table) -> None:
    made, truth = synthetic.register_table(
        table, synthetic.Register(name="r", coverage=0.0), seed=1
    )
    assert len(made) == len(truth) == 0
    assert made.column_names == ["record_id", *FIELDS[:10]]


def test_it_is_found_lazily() -> None:
    assert pprl.synthetic is synthetic
    assert "synthetic" in dir(pprl)
