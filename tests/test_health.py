"""FHIR and OMOP: published examples, and what the standards allow beside them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pprl.errors import PprlWarning
from pprl.tables.health import COLUMNS, fhir_patients, omop_people

GOLDEN = Path(__file__).parent / "golden"


def read(tmp_path: Path, *patients: dict[str, Any]) -> list[dict[str, Any]]:
    (tmp_path / "p.json").write_text(
        json.dumps([{"resourceType": "Patient"} | one for one in patients])
    )
    return fhir_patients(str(tmp_path / "p.json")).to_pylist()


def test_published_patients_of_fhir() -> None:
    rows = {
        one["id"]: one for one in fhir_patients(str(GOLDEN / "fhir-patients.ndjson")).to_pylist()
    }
    assert rows["123"] == dict.fromkeys(COLUMNS) | {
        "id": "123", "surname": "Simpson", "given_name": "Homer", "birth_date": "1956-05-12",
        "sex": "m", "street": "742 Evergreen Terrace", "postcode": "12345", "city": "Springfield",
        "phone": "555-7334", "email": "chunkylover53@aol.com",
    }  # fmt: skip
    assert rows["marge-simpson"]["sex"] == "f"
    assert rows["555"]["sex"] is None
    assert rows["blinky"] == dict.fromkeys(COLUMNS) | {"id": "blinky", "given_name": "Blinky"}
    assert len(rows) == 5


def test_published_people_of_omop() -> None:
    rows = omop_people(GOLDEN / "omop-person.csv").to_pylist()
    assert len(rows) == 12
    assert rows[1] == {"id": "2", "birth_date": "1920-06-01", "sex": "f"}
    plain = pd.read_csv(GOLDEN / "omop-person.csv")
    # The table has the whole date and the code of the source beside what is read.
    assert [one["birth_date"] for one in rows] == plain["BIRTH_DATETIME"].tolist()
    assert [one["sex"] for one in rows] == plain["GENDER_SOURCE_VALUE"].str.lower().tolist()


def test_old_names_and_addresses_are_not_taken(tmp_path: Path) -> None:
    today = dt.date.today()
    before, later = (today + dt.timedelta(days=d) for d in (-1, 1))
    row = read(tmp_path, {
        "name": [{"use": "official", "family": "Bos", "period": {"end": f"{before}"}},
                 {"use": "official", "family": "Smit", "period": {"end": f"{later}"}}],
        "address": [{"use": "home", "city": "A", "period": {"end": "2001"}},
                    {"use": "home", "city": "B", "period": {"end": f"{today.year}"}}],
        "telecom": [{"system": "phone", "value": "1", "use": "old"},
                    {"system": "phone", "value": "2"}],
    })[0]  # fmt: skip
    assert (row["surname"], row["city"], row["phone"]) == ("Smit", "B", "2")


def test_what_releases_and_profiles_add(tmp_path: Path) -> None:
    house = "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-houseNumber"
    row = read(tmp_path, {
        "name": [{"family": ["de", "Vries"], "given": ["Anna", "Maria"]}],
        "birthDate": "1970-08",
        "gender": "other",
        "identifier": [{"system": "urn:x", "value": "9"},
                       {"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "111222333"}],
        "address": [{"line": ["Kade 12"],
                     "_line": [{"extension": [{"url": house, "valueString": "12"}]}]}],
    })[0]  # fmt: skip
    assert row["surname"] == "de Vries"
    assert row["birth_date"] == "1970-08-00"
    assert row["sex"] == "other"
    assert (row["bsn"], row["house_number"]) == ("111222333", "12")
    assert read(tmp_path, {"birthDate": "1970"})[0]["birth_date"] == "1970-00-00"
    assert read(tmp_path, {"birthDate": "?"})[0]["birth_date"] == "?"


def test_names_in_one_text_are_told(tmp_path: Path) -> None:
    with pytest.warns(PprlWarning, match="1 patients have their name as one text"):
        rows = read(tmp_path, {"name": [{"text": "Anna Bos"}]}, {"name": [{"family": "Bos"}]})
    assert [one["surname"] for one in rows] == [None, "Bos"]


def test_a_patient_of_odd_shape_is_read_without_an_error(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"name": "Bos"}, {"name": [None, 3]}, {"address": [{"line": "x", "period": "2001"}]},
        {"identifier": [{"system": ["x"]}]}, {"birthDate": 1970}, {"address": [{"_line": [None]}]},
    ]  # fmt: skip
    assert all(set(one.values()) == {None} for one in read(tmp_path, *odd))


def test_people_of_omop_without_month_or_concept() -> None:
    person = pd.DataFrame({
        "person_id": [1, 2, 3], "year_of_birth": [1950, 1951, 1952],
        "month_of_birth": [5, None, None], "day_of_birth": [None, None, 1],
        "birth_datetime": [None, "1951-07-09 00:00:00", "1999-01-01"],
        "gender_concept_id": [0, 8521, 8507],
    })  # fmt: skip
    rows = omop_people(person).to_pylist()
    assert [one["birth_date"] for one in rows] == ["1950-05-00", "1951-07-09", "1952-00-01"]
    assert [one["sex"] for one in rows] == [None, "8521", "m"]
