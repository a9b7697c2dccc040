"""Patients of FHIR and people of OMOP, as tables with the usual columns.

FHIR ``Patient`` (R4, R5): NDJSON as bulk export writes it, a ``Bundle``, a list, or one resource.
OMOP CDM 5: the table ``PERSON`` and, where it is there, ``LOCATION``.

| column | FHIR | OMOP |
|---|---|---|
| ``id`` | ``id`` | ``person_id`` |
| ``surname`` | ``name.family``: official, then usual, then the first that is no old one | - |
| ``given_name`` | ``name.given``, joined with blanks | - |
| ``birth_surname`` | ``name.family`` of use ``maiden`` | - |
| ``birth_date`` | ``birthDate``, 00 for what is not there | ``year_of_birth`` and so on |
| ``sex`` | ``gender``: m, f, or as given | ``gender_concept_id``: m, f, or as given |
| ``street`` | ``address.line``, joined with blanks: home, no old one | ``address_1`` |
| ``house_number`` | of the line: the extension ``iso21090-ADXP-houseNumber`` | - |
| ``postcode``, ``city`` | ``address.postalCode``, ``city`` | ``zip``, ``city`` |
| ``phone``, ``email`` | ``telecom.value`` of that system, no old one | - |
| ``bsn`` | ``identifier.value`` of the Dutch citizen service number | - |

Where OMOP's month or day is null, ``birth_datetime`` of the same year is taken.

A name, address or number is an old one if its use is ``old``, or its period has ended.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pprl.errors import EmptyInput, PprlWarning, UnreadableFile
from pprl.tables.columns import require_columns
from pprl.tables.read import Table, column_names, read_texts
from pprl.tables.sources import Source

COLUMNS = (
    "id", "surname", "given_name", "birth_surname", "birth_date", "sex", "street", "house_number",
    "postcode", "city", "phone", "email", "bsn",
)  # fmt: skip
_SEXES = {"male": "m", "female": "f"}
_CONCEPTS = {"8507": "m", "8532": "f"}
_NO_CONCEPT = "0"
_BSN = ("http://fhir.nl/fhir/NamingSystem/bsn", "urn:oid:2.16.840.1.113883.2.4.6.3")
_HOUSE_NUMBER = "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-houseNumber"
_DATE_PARTS = 3


def fhir_patients(where: str) -> pa.Table:
    """Read the patients of a FHIR file, a row for each; other resources are passed over.

    Args:
        where: A path or URL of NDJSON, a ``Bundle``, a list of resources, or one ``Patient``.

    Returns:
        `COLUMNS`, each of text, null where a patient has nothing.

    Raises:
        UnreadableFile: It is no JSON; the line is named.
        EmptyInput: There is no patient.
    """
    source = Source.at(where)
    found = [one for one in _resources(source) if one.get("resourceType") == "Patient"]
    rows = [_patient(one) for one in found]
    if not rows:
        raise EmptyInput(f"{source.name} has no resource Patient.")
    unread = sum(map(_only_text, found))
    if unread:
        warnings.warn(
            f"{source.name}: {unread:,} patients have their name as one text (name.text) and not "
            f"in parts; their names are missing",
            PprlWarning,
            stacklevel=2,
        )
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in COLUMNS}
    )


def omop_people(person: Table, location: Table | None = None) -> pa.Table:
    """Read OMOP's ``PERSON``, and the addresses of ``LOCATION`` where it is given.

    Args:
        person: The table ``PERSON``, as `pprl.tables.read` takes it.
        location: The table ``LOCATION``.

    Returns:
        ``id, birth_date, sex`` and, with locations, ``street, postcode, city``, of text.

    Raises:
        MissingColumn: ``person_id``, ``year_of_birth`` or ``gender_concept_id`` is not there.
    """
    names = {name.lower(): name for name in column_names(person)}
    needed = ["person_id", "year_of_birth", "gender_concept_id"]
    require_columns(needed, list(names), "the table PERSON")
    frame = read_texts(person).rename(columns=str.lower)
    empty = frame["person_id"].where(frame["person_id"].isna(), None)
    month, day = (frame.get(name, empty) for name in ("month_of_birth", "day_of_birth"))
    two = [one.fillna("0").str.zfill(2).mask(one == "", "00") for one in (month, day)]
    born = frame["year_of_birth"] + "-" + two[0] + "-" + two[1]
    if "birth_datetime" in frame.columns:
        whole = frame["birth_datetime"].str.slice(0, 10)
        unknown = (two[0] == "00") | (two[1] == "00")
        same_year = whole.str.slice(0, 4) == frame["year_of_birth"]
        born = born.mask(unknown & same_year, whole)
    concepts = frame["gender_concept_id"]
    made = {
        "id": frame["person_id"],
        "birth_date": born,
        "sex": concepts.map(lambda code: _CONCEPTS.get(code, code)).mask(concepts == _NO_CONCEPT),
    }
    if location is not None:
        places = read_texts(location).rename(columns=str.lower)
        require_columns(["location_id"], list(places.columns), "the table LOCATION")
        places = places.set_index("location_id")
        for name, column in (("street", "address_1"), ("postcode", "zip"), ("city", "city")):
            if column in places.columns and "location_id" in frame.columns:
                made[name] = frame["location_id"].map(places[column])
    return pa.table(
        {name: pa.array(one.where(one.notna(), None), pa.string()) for name, one in made.items()}
    )


def _resources(source: Source) -> Iterator[dict[str, Any]]:
    with source.open() as file:
        content = file.read()
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        yield from _lines(content, source)
        return
    if isinstance(whole, dict) and whole.get("resourceType") == "Bundle":
        whole = [one.get("resource") for one in whole.get("entry", []) if isinstance(one, dict)]
    for one in whole if isinstance(whole, list) else [whole]:
        if isinstance(one, dict):
            yield one


def _lines(content: bytes, source: Source) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            raise UnreadableFile(
                f"{source.name}: line {number} is not JSON. FHIR comes as one document, or as "
                f"NDJSON with a resource on each line."
            ) from None
        if isinstance(one, dict):
            yield one


def _patient(resource: dict[str, Any]) -> dict[str, str | None]:
    name = _best(_dicts(resource.get("name")), ("official", "usual", None))
    maiden = [one for one in _dicts(resource.get("name")) if one.get("use") == "maiden"]
    address = _best(_dicts(resource.get("address")), ("home", None))
    gender = _text(resource.get("gender"))
    row = {
        "id": _text(resource.get("id")),
        "surname": _family(name),
        "given_name": _joined(name.get("given")),
        "birth_surname": _family(maiden[0]) if maiden else None,
        "birth_date": _birth_date(resource.get("birthDate")),
        "sex": _SEXES.get(gender, gender) if gender else None,
        "street": _joined(address.get("line")),
        "house_number": _house_number(address),
        "postcode": _text(address.get("postalCode")),
        "city": _text(address.get("city")),
    }
    for system in ("phone", "email"):
        there = [one for one in _dicts(resource.get("telecom")) if one.get("system") == system]
        row[system] = _text(_best(there, ("home", "mobile", None)).get("value"))
    numbers = [one for one in _dicts(resource.get("identifier")) if one.get("system") in _BSN]
    row["bsn"] = _text(numbers[0].get("value")) if numbers else None
    return row


def _family(name: dict[str, Any]) -> str | None:
    # DSTU2 has a list of family names.
    family = name.get("family")
    return _joined(family) if isinstance(family, list) else _text(family)


def _birth_date(value: Any) -> str | None:
    """Write a year, or a year and month, with 00 for what is not known."""
    text = _text(value)
    if text is None or not all(part.isdecimal() for part in text.split("-")):
        return text
    return "-".join([*text.split("-"), "00", "00"][:_DATE_PARTS])


def _house_number(address: dict[str, Any]) -> str | None:
    lines = _dicts(address.get("_line"))
    parts = [part for line in lines for part in _dicts(line.get("extension"))]
    return _text(next((p.get("valueString") for p in parts if p.get("url") == _HOUSE_NUMBER), None))


def _only_text(resource: dict[str, Any]) -> bool:
    names = _dicts(resource.get("name"))
    parts = any(one.get("family") or one.get("given") for one in names)
    return not parts and any(_text(one.get("text")) for one in names)


def _is_over(one: dict[str, Any]) -> bool:
    period = one.get("period")
    end = _text(period.get("end")) if isinstance(period, dict) else None
    # Dates of FHIR are ISO 8601, which sorts as text; a year alone lasts until its end.
    return end is not None and end[:10] < dt.date.today().isoformat()[: len(end[:10])]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _best(given: list[dict[str, Any]], uses: tuple[str | None, ...]) -> dict[str, Any]:
    """Choose the entry of the first use that is there, and else the first that is no old one."""
    now = [
        one
        for one in given
        if one.get("use") not in ("old", "maiden", "temp") and not _is_over(one)
    ]
    for use in uses:
        for one in now:
            if one.get("use") == use:
                return one
    return now[0] if now else {}


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _joined(value: Any) -> str | None:
    parts = (
        [one.strip() for one in value if isinstance(one, str)] if isinstance(value, list) else []
    )
    return " ".join(filter(None, parts)) or None
