"""Suggested schemas: recognised columns, weights by entropy, no value of the data."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pprl
from pprl import demo
from pprl.errors import EmptyInput, PprlError, UsageError
from pprl.holder.profiles import Setting, setting_of
from pprl.holder.suggest import (
    ADDRESS_SHARE,
    EXPECTED_BITS,
    hardening_of,
    recognise,
    renyi_entropy,
    study_columns,
    suggest_schema,
    write_schema,
)

COLUMNS = {
    "voornaam": "first name",
    "GivenName": "first name",
    "fname": "first name",
    "voorletters": "initials",
    "tussenvoegsel": "middle name",
    "achternaam": "surname",
    "last_name": "surname",
    "geboortenaam": "surname",
    "partner_naam": "surname",
    "naam": "name",
    "geboortedatum": "date",
    "date_of_birth": "date",
    "DOB": "date",
    "birth_year": "year of birth",
    "geboorteplaats": "place of birth",
    "geslacht": "sex",
    "Sex": "sex",
    "postcode": "postcode",
    "zip": "postcode",
    "huisnummer": "house number",
    "street_number": "house number",
    "straat": "street",
    "address_1": "street",
    "woonplaats": "city",
    "suburb": "city",
    "telefoon": "telephone",
    "e-mail": "e-mail",
    "first": "first name",
    "last": "surname",
    "DoB": "date",
    "birth_dt": "date",
    "Vorname": "first name",
    "Nachname": "surname",
    "Geburtsdatum": "date",
    "Geschlecht": "sex",
    "PLZ": "postcode",
    "Hausnummer": "house number",
    "Straße": "street",
    "prénom": "first name",
    "nom": "surname",
    "date de naissance": "date",
    "apellido": "surname",
    "fecha_nacimiento": "date",
    "addr1": "street",
}


@pytest.mark.parametrize(("column", "label"), COLUMNS.items())
def test_columns_are_recognised(column: str, label: str) -> None:
    kind = recognise(column)
    assert kind is not None
    assert kind.label == label


@pytest.mark.parametrize(
    "column",
    [
        "rec_id",
        "entity_id",
        "patientId",
        "bsn",
        "national_id",
        "soc_sec_id",
        "diagnosis",
        "race_ethnicity",
    ],
)
def test_ids_and_other_data_are_left_out(column: str) -> None:
    assert recognise(column) is None


@pytest.mark.parametrize(
    "column",
    [
        *("hospital_name", "ward name", "gp_name", "next_of_kin_name", "address_type"),
        *("registration_address_date", "marital_state", "phone_type", "email_verified"),
    ],
)
def test_what_is_not_of_the_person_is_left_out(column: str) -> None:
    assert recognise(column) is None


def test_hints_where_the_columns_say_little() -> None:
    """A column with one value, one with a placeholder, and none with a surname."""
    rng = np.random.default_rng(3)
    dates = [f"{year}-03-{day:02}" for year, day in rng.integers((1930, 1), (1999, 29), (200, 2))]
    table = pd.DataFrame(
        {
            "city": ["Utrecht"] * 200,
            "first_name": [f"name{chr(97 + k % 26)}" for k in range(200)],
            "birth_date": ["1900-01-01"] * 30 + dates[30:],
        }
    )
    text = suggest_schema(table, hardening="none")
    assert [one["name"] for one in tomllib.loads(text)["fields"]] == ["first_name", "birth_date"]
    assert 'missing_codes = ["1900-01-01"]' in text
    assert "No column was taken for a surname" in text
    assert "taken for a birth date" not in text


def test_renyi_entropy_is_minus_the_log_of_a_chance_meeting() -> None:
    assert math.isclose(renyi_entropy(np.array([500.0, 500.0])), -math.log2(499 / 999))
    assert math.isclose(renyi_entropy(np.ones(1000)), math.log2(1000 * 999))
    assert renyi_entropy(np.array([7.0])) == 0.0


@pytest.mark.filterwarnings("ignore:field 'date_of_birth'.* cannot be read by date_dmy")
def test_febrl4() -> None:
    """The suggested schema links half-overlapping FEBRL 4 as well as the shipped one."""
    people = demo.half_overlap(demo.febrl4())
    text = suggest_schema(people.left, hardening="none")
    schema = pprl.Schema.from_toml(text)
    names = [field.name for field in schema.fields]
    assert {"given_name", "surname", "date_of_birth", "postcode", "suburb"} <= set(names)
    assert not {"rec_id", "soc_sec_id"} & set(names)
    bits = {field.name: field.bits_per_feature or 0 for field in schema.fields}
    filled = {name: people.left[name].notna().mean() for name in names}
    expected = {name: bits[name] * filled[name] for name in names}
    assert abs(sum(expected.values()) - EXPECTED_BITS) < len(names)
    person = sum(expected[name] for name in ("given_name", "surname", "date_of_birth"))
    assert 1 - person / sum(expected.values()) < ADDRESS_SHARE + 0.01
    key = pprl.LinkageKey.generate()
    left, right = (
        pprl.encode(frame, schema, key, id_column="rec_id") for frame in (people.left, people.right)
    )
    quality = pprl.evaluate(pprl.link(left, right, threshold=0.63).links, people.truth)
    assert quality.f1.value > 0.985


def test_no_value_of_the_data_enters_the_schema() -> None:
    people = demo.febrl4().left
    marked = people.apply(lambda column: ("zzleak" + column).where(column.notna()))
    marked["state"] = "zzleak"
    assert "zzleak" not in suggest_schema(marked).lower()
    assert "zzleak" not in suggest_schema(people.assign(zip="zzleak")).lower()


def test_large_data_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    import pprl.holder.suggest as suggest

    monkeypatch.setattr(suggest, "_SAMPLE", 500)
    frame = pd.DataFrame(
        {"surname": [f"naam{chr(97 + i % 7)}" for i in range(40_000)], "sex": ["m", "v"] * 20_000}
    )
    study = suggest.study_columns(frame)
    assert study.records == 40_000
    assert 200 <= len(study.sample) <= 500
    assert "7 distinct" in suggest_schema(frame)


def test_content_decides_where_names_do_not() -> None:
    frame = pd.DataFrame(
        {
            "achternaam": ["Jansen", "de Vries", "Bakker"],
            "postcode": ["1234 AB", "1012AB", "9999 ZZ"],
            "geslacht": ["M", "V", "V"],
            "geboortedatum": ["31-01-1950", "01-12-1961", ""],
            "telefoon": [None, None, None],
        }
    )
    fields = {f["name"]: f for f in tomllib.loads(suggest_schema(frame))["fields"]}
    assert fields["postcode"]["normalise"] == ["postcode_nl"]
    assert fields["geslacht"]["normalise"] == ["sex_code"]
    assert fields["geboortedatum"]["normalise"] == ["date_dmy"]
    assert "telefoon" not in fields


def test_nothing_to_suggest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column is recognised"):
        suggest_schema(pd.DataFrame({"diagnosis": ["C50"]}))
    with pytest.raises(EmptyInput):
        suggest_schema(pd.DataFrame({"surname": [None, ""]}))
    with pytest.raises(UsageError, match="hardening"):
        suggest_schema(pd.DataFrame({"surname": ["a"]}), hardening="magic")  # type: ignore[arg-type]
    with pytest.raises(PprlError):
        suggest_schema(tmp_path / "nowhere.csv")


def dutch_people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "achternaam": ["Jansen", "de Vries", "Bakker"],
            "voornaam": ["Anna", "Bram", "Cees"],
            "geboortedatum": ["31-01-1950", "01-12-1961", "09-09-1999"],
            "geslacht": ["M", "V", "V"],
            "postcode": ["1234 AB", "1012AB", ""],
            "woonplaats": ["Ee", "Oss", "Ede"],
        }
    )


def test_the_default_is_overlapping_groups_of_min_hashes() -> None:
    schema = pprl.Schema.from_toml(suggest_schema(dutch_people()))
    assert schema.presence_mask
    groups = {part.name: [field.name for field in part.fields] for part in schema.parts}
    names, birth = ["achternaam", "voornaam"], ["geboortedatum", "geslacht"]
    address = ["postcode", "woonplaats"]
    assert groups == {
        "names_birth": names + birth,
        "birth_address": birth + address,
        "names_address": names + address,
        "person": names + birth + address,
    }
    for part, t in zip(schema.parts, (4, 4, 4, 3), strict=True):
        assert (part.hardening.method, part.hardening.t, part.bits) == ("minhash", t, 4096)
    # Counting who has a postcode, the fields of a record have 400 bits.
    weights = {field.name: field.bits_per_feature or 0 for field in schema.fields}
    expected = sum(bits * (2 / 3 if name == "postcode" else 1) for name, bits in weights.items())
    assert abs(expected - EXPECTED_BITS) < 4


def neighbours() -> pd.DataFrame:
    """Two families of three, each at an address of its own."""
    return pd.DataFrame(
        {
            "surname": ["Vos"] * 3 + ["Smit"] * 3,
            "first_name": ["An", "Bo", "Cas", "Dirk", "Eva", "Fien"],
            "date_of_birth": [f"19{year}-01-02" for year in (50, 52, 80, 61, 63, 90)],
            "street": ["Dam"] * 3 + ["Kade"] * 3,
            "postcode": ["1011 AA"] * 3 + ["3011 BB"] * 3,
        }
    )


def test_where_people_share_addresses_their_own_weighs_more() -> None:
    study = study_columns(neighbours())
    assert study.families
    apart = replace(study, families=False)
    texts = [write_schema(one, "s", hardening_of("default", one)) for one in (study, apart)]
    family, single = (pprl.Schema.from_toml(text) for text in texts)
    weights = [{f.name: f.bits_per_feature for f in one.fields} for one in (family, single)]
    for own in ("first_name", "date_of_birth"):
        assert weights[0][own] > 1.2 * weights[1][own]
    for shared in ("surname", "street", "postcode"):
        assert weights[0][shared] < weights[1][shared]
    assert [part.hardening.t for part in family.parts] == [6, 6, 7, 6]
    # Twins share birth and address: what tells them apart joins that group.
    fields = [[field.name for field in part.fields] for part in family.parts]
    assert fields[1] == ["first_name", "date_of_birth", "street", "postcode"]
    assert "first_name" not in [field.name for field in single.parts[1].fields]
    assert "People of this file share addresses" in texts[0]
    assert "People of this file share addresses" not in texts[1]


def test_a_city_alone_is_no_dwelling() -> None:
    study = study_columns(neighbours().drop(columns=["street", "postcode"]).assign(city="Ede x"))
    assert not study.families


@pytest.mark.parametrize("families", [True, False])
@pytest.mark.parametrize("salted", [True, False])
def test_a_suggested_schema_says_how_strict_it_is(families: bool, salted: bool) -> None:
    study = study_columns(neighbours())
    for t, bits in ((2, 4096), (3, 2048), (8, 2048)):
        setting = Setting(t, bits, families, salted)
        text = write_schema(study, "s", setting)
        found = setting_of(pprl.Schema.from_toml(text))
        assert found == setting or (t == 2 and not families)


def test_another_schema_does_not_say_how_strict_it_is() -> None:
    text = suggest_schema(neighbours(), hardening="none")
    with pytest.raises(UsageError, match="cannot say how strict"):
        setting_of(pprl.Schema.from_toml(text))


@pytest.mark.parametrize(
    ("missing", "hardening"),
    [
        (["postcode", "woonplaats"], "default"),
        (["geboortedatum", "geslacht"], "strong"),
        (["achternaam", "voornaam"], "default"),
    ],
)
def test_one_group_where_overlapping_ones_cannot_be(missing: list[str], hardening: str) -> None:
    people = dutch_people().drop(columns=missing)
    schema = pprl.Schema.from_toml(suggest_schema(people, hardening=hardening))
    assert [part.name for part in schema.parts] == ["person"]
    assert len(schema.parts[0].fields) == 6 - len(missing)
    assert 390 < sum(schema.parts[0].weights().values()) < 520


def test_the_salted_profile_salts_names_with_the_year_of_birth() -> None:
    schema = pprl.Schema.from_toml(suggest_schema(dutch_people(), hardening="salted"))
    salts = {part.name: part.salts for part in schema.parts}
    assert salts["birth_address"] == ()
    for name in ("names_birth", "names_address", "person"):
        assert [(salt.field, salt.characters) for salt in salts[name]] == [("geboortedatum", 4)]
    key = pprl.LinkageKey.generate()
    made = pprl.encode(
        dutch_people().reset_index(names="id").astype(str), schema, key, id_column="id"
    )
    assert made.group("names_birth").any(axis=1).all()


def test_a_filter_for_each_field_is_asked_for_and_said_to_leak() -> None:
    people = dutch_people().rename(columns={"achternaam": "Achternaam (eigen)"})
    text = suggest_schema(people, hardening="fields")
    assert "counting equal filters" in text
    schema = pprl.Schema.from_toml(text)
    assert schema.allow_field_level
    assert schema.presence_mask
    assert [[field.name for field in part.fields] for part in schema.parts] == [
        [field.name] for field in schema.encoded_fields
    ]
    assert "f1_achternaam_eigen" in {part.name for part in schema.parts}
    for part in schema.parts:
        (bits,) = part.weights().values()
        assert part.bits == 64 or bits / 0.25 <= part.bits < 2 * bits / 0.25


def test_salting_needs_a_year_of_birth() -> None:
    with pytest.raises(UsageError, match="year of birth"):
        suggest_schema(dutch_people().drop(columns="geboortedatum"), hardening="salted")


def test_a_single_column_still_gets_a_schema() -> None:
    for hardening in ("default", "fields", "none"):
        text = suggest_schema(pd.DataFrame({"surname": ["a", "b"]}), hardening=hardening)
        assert pprl.Schema.from_toml(text)


def test_a_date_in_two_forms_is_taken_once_and_read_in_either() -> None:
    rng = np.random.default_rng(3)
    born = pd.Series(
        pd.to_datetime("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, 400), "D")
    )
    people = pd.DataFrame({"birth_date": born.dt.strftime("%Y-%m-%d")})
    people["birth_date_raw"] = born.dt.strftime("%m/%d/%Y")
    people["second_birth_date"] = rng.permutation(people["birth_date"])
    schema = pprl.Schema.from_toml(suggest_schema(people, hardening="none"))
    assert [field.name for field in schema.fields] == [
        "birth_date",
        "second_birth_date",
    ]
    raw = pprl.Schema.from_toml(suggest_schema(people[["birth_date_raw"]], hardening="none"))
    assert raw.fields[0].normalise == ("date_mdy",)


def test_house_numbers_in_the_street_are_kept() -> None:
    streets = pd.DataFrame({"street": ["12 High Street", "Dam 3", "Kerkstraat", "7 Low Road"] * 5})
    schema = pprl.Schema.from_toml(suggest_schema(streets, hardening="none"))
    assert "words_only" in schema.fields[0].normalise
    plain = pd.DataFrame({"street": ["High Street", "Dam", "Kerkstraat", "Low Road"] * 5})
    schema = pprl.Schema.from_toml(suggest_schema(plain, hardening="none"))
    assert "letters_only" in schema.fields[0].normalise
