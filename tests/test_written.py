"""What people write and what is read of it, in other words than the tables were made of."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import pprl
from conftest import encode_by_id
from pprl.errors import PprlWarning
from pprl.holder.absent import means_nothing
from pprl.holder.addresses import house_number_parts, street_words
from pprl.holder.dates import date_dmy
from pprl.holder.keys import LinkageKey
from pprl.holder.normalize import letters_only
from pprl.holder.sexes import sex_code
from pprl.holder.times import dates_of_times

MONTHS = json.loads(
    (Path(__file__).parent / "golden" / "month-names.json").read_text(encoding="utf-8")
)["names"]
# Of another month in Czech and Polish than in Croatian; as Czech and Polish have them, or unread.
AMBIGUOUS = {("hr", 10), ("hr", 7), ("hr", 6), ("cs", 8)}


def read(function: object, *texts: str) -> list[str | None]:
    return function(pa.array(texts)).to_pylist()  # type: ignore[operator]


@pytest.mark.parametrize("language", MONTHS)
def test_names_of_months_as_cldr_has_them(language: str) -> None:
    for month, names in enumerate(MONTHS[language], 1):
        if (language, month) in AMBIGUOUS:
            continue
        for name in names:
            dates = read(date_dmy, f"5 {name} 1950", f"05. {name.title()} 1950")
            assert dates == [f"1950{month:02}05"] * 2, name


def test_dates_of_other_eras_and_forms() -> None:
    written = ("昭和25年5月1日", "平成元年1月8日", "1950年5月1日", "1er mai 1950", "01-05-'50")
    assert read(date_dmy, *written) == ["19500501", "19890108", *["19500501"] * 3]


# Times of day.


def schema_of(field: str) -> pprl.Schema:
    head = 'version = 1\nname = "w"\nbits = 512\nhardening = { method = "none" }\n'
    return pprl.Schema.from_toml(f"{head}[[fields]]\nbits_per_feature = 60\nname = 'born'\n{field}")


def encoded(values: object, field: str, key: LinkageKey) -> tuple[np.ndarray, list[str]]:
    frame = pd.DataFrame({"id": [str(at) for at in range(len(values))], "born": values})  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = encode_by_id(frame, schema_of(field), key, id_column="id")
    assert all(issubclass(one.category, PprlWarning) for one in said)
    return made.clks, [str(one.message) for one in said]


FIELDS = ("normalise = ['date_dmy']", "format = { type = 'date' }")
EVENINGS = {
    "text": ["1950-04-30 22:00:00", "1950-01-31 23:00:00", "1950-06-01 00:00:00"],
    "T": ["1950-04-30T22:00:00.000", "1950-01-31T23:00", "1950-06-01T00:00:00"],
    "pandas": pd.to_datetime(["1950-04-30 22:00", "1950-01-31 23:00", "1950-06-01 00:00"]),
    "without dashes": ["19500430 22:00", "19500131 23:00", "19500601 00:00"],
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", EVENINGS)
def test_evenings_without_a_zone_are_the_next_day_and_told(
    form: str, field: str, key: LinkageKey
) -> None:
    if "format" in field and form == "without dashes":
        pytest.skip("not of the format")
    clks, said = encoded(EVENINGS[form], field, key)
    expected = encoded(["1950-05-01", "1950-02-01", "1950-06-01"], field, key)[0]
    np.testing.assert_array_equal(clks, expected)
    assert len(said) == 1
    assert "'born': 2 values without a time zone" in said[0]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("of", [list, pd.to_datetime])
def test_times_of_birth_are_no_midnight(of: object, field: str, key: LinkageKey) -> None:
    values = ["1950-04-30 22:00:00", "1950-04-30 14:35:00", "1950-04-30 00:00:00"]
    clks, said = encoded(of(values), field, key)  # type: ignore[operator]
    np.testing.assert_array_equal(clks, encoded(["1950-04-30"] * 3, field, key)[0])
    assert not said


def test_the_next_day_has_the_form_of_the_day() -> None:
    def of(text: str, *, month_first: bool) -> str | None:
        return dates_of_times(pa.array([text]), month_first=month_first)[0].to_pylist()[0]

    assert of("30-04-1950 23:00", month_first=False) == "01-05-1950"
    assert of("4/30/1950 11:00:00 PM", month_first=True) == "05/01/1950"
    assert of("4/30/1950 12:00:00 AM", month_first=True) == "4/30/1950"
    assert of("31/12/1999 23:00:00", month_first=False) == "01/01/2000"
    assert of("1950-04-30 23:00:00+01:00", month_first=False) == "1950-04-30"
    assert of("1950-05-01+02:00", month_first=False) == "1950-05-01"
    assert of("x 23:00", month_first=False) == "x 23:00"
    today = dt.date.today()
    assert of(f"{today} 21:00 UTC", month_first=False) == f"{today + dt.timedelta(days=1)}"


# Words, letters and addresses.


def test_words_for_nothing_in_any_case_and_between_marks() -> None:
    nothing = (
        "onbekend.", "(onbekend)", "<Onbekend>", "ONBEKEND", "keine Angabe", "No Last Name", "#NV",
        "(leeg)", "[null]", "niet Ingevuld", "UNKN",
    )  # fmt: skip
    assert read(means_nothing, *nothing) == [True] * len(nothing)
    names = ("Null", "Blank", "Geen", "Bekend", "(Jansen)", "Nil", "Onbekende", "Xx'", "Fehling")
    assert read(means_nothing, *names) == [False] * len(names)


def test_sexes_with_words_beside_codes() -> None:
    men = ("01", "M - Male", "Male (M)", "♂", "Hr.", "masc.", "муж.", "LA2-8",
           "http://hl7.org/fhir/administrative-gender#male", "2|1|1")  # fmt: skip
    assert read(sex_code, *men)[:-1] == ["m"] * (len(men) - 1)
    assert read(sex_code, *men)[-1] is None
    women = ("02", "F - Female", "Fr.", "vrl", "Kvinnlig", "1: x", "F/M")
    assert read(sex_code, *women) == ["f"] * 5 + [None] * 2


def test_letters_with_a_twin_in_the_middle_of_scripts() -> None:
    from pprl.holder.letters import plain_letters

    assert read(plain_letters, "ɵƟʉɄɛƆ") == ["oOuUeO"]
    assert read(letters_only, "O' Brien", "van 't Hof", "O'Brien") == [
        "OBrien",
        "van t Hof",
        "OBrien",
    ]


def test_streets_and_numbers_of_other_words() -> None:
    for group in (
        ("Bosln.", "Boslaan", "Bos laan"), ("Kerkpl.", "Kerkplein"), ("Gr. Markt", "Grote Markt"),
        ("Oude Singel", "Oudesingel"), ("Dokter Bosplein", "Dr. Bospln"), ("Bld. X", "Boulevard X"),
    ):  # fmt: skip
        assert len(set(read(street_words, *group))) == 1, group
    assert read(house_number_parts, "12.0", "12", "12.1") == ["12", "12", "12 1"]
