"""Each normaliser on what people really write."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pprl.holder.normalize import NORMALISERS

CASES: dict[str, list[tuple[str | None, str | None]]] = {
    "trim": [("  a  b\u00a0\tc ", "a b c"), (None, None), ("", "")],
    "compose": [("e\u0301", "é"), ("ﬁ", "fi")],
    "decompose": [("é", "e\u0301")],
    "fold_case": [("ÉCOLE", "école"), ("Straße", "strasse"), ("İ", "i")],
    "strip_accents": [
        ("Łukasz Øster Müller José", "Lukasz Oster Muller Jose"),
        ("Æ", "AE"),
        ("Yıldız Đặng Ħ", "Yildiz Dang H"),
    ],
    "letters_only": [
        ("O'Neill-Müller, 3rd", "ONeill Müller rd"),
        ("J.P.", "J P"),
        ("12", ""),
        ("Anne\u2013Marie", "Anne Marie"),
        ("D\u02bcArcy", "DArcy"),
    ],
    "alphanumeric": [("1234 AB", "1234AB"), ("a-b/c", "abc")],
    "words_only": [
        ("Kerkstraat 12-a", "Kerkstraat 12 a"),
        (" 3882  Mountain Ln. ", "3882 Mountain Ln"),
    ],
    "digits_only": [("2007-06-28", "20070628"), ("x", "")],
    "date_dmy": [
        ("2007-06-28", "20070628"),
        ("2007/6/8", "20070608"),
        ("28-6-2007", "20070628"),
        ("28.06.2007", "20070628"),
        ("28062007", "20070628"),
        ("20121985", "19851220"),
        ("20070628", "20070628"),
        ("2007-06-28T00:00:00", "20070628"),
        ("12 mrt. 1985", "19850312"),
        ("March 12, 1985", "19850312"),
        ("5-Okt-1985", "19851005"),
        ("1950-00-00", "1950"),
        ("00-05-1950", "195005"),
        ("00-00-0000", None),
        ("9/8/19844", None),
        ("31-02-1950", None),
        ("29-02-1951", None),
        ("29-02-1952", "19520229"),
        ("31-12-1971", "19711231"),
        ("01-01-2099", None),
        ("onbekend", None),
        ("05-03-71", "19710305"),
        ("1 sierpnia 1950", "19500801"),
        ("3 Ağustos 1961", "19610803"),
        ("2 août 1950", "19500802"),
        ("7 de mayo de 1950", "19500507"),
        ("1950-04-30T22:00:00Z", "19500501"),
        ("1950-04-30T22:00:00+02:00", "19500430"),
        ("1950-04-30T14:30:00Z", "19500430"),
        ("", None),
    ],
    "date_mdy": [
        ("06/28/2007", "20070628"),
        ("06282007", "20070628"),
        ("2007-06-28", "20070628"),
        ("28 June 2007", "20070628"),
        ("28/06/2007", None),
    ],
    "to_latin": [("Иванов", "Ivanov"), ("Müller", "Muller"), ("Jansen", "Jansen")],
    "drop_prefixes": [
        ("van der Berg", "Berg"),
        ("'t Hart", "Hart"),
        ("van 't Hoff", "Hoff"),
        ("De Vries", "Vries"),
        ("Van", "Van"),
        ("Vandenberg", "Vandenberg"),
        ("d'Ancona", "Ancona"),
        ("op den Akker", "Akker"),
        ("El Idrissi", "Idrissi"),
    ],
    "move_prefixes": [
        ("van der Berg", "Berg van der"),
        ("Jansen", "Jansen"),
        ("'t Hart", "Hart 't"),
    ],
    "unify_ij": [("Dijk", "Dyk"), ("ĳssel", "yssel"), ("IJsbrand", "ysbrand")],
    "first_of_double": [("Jansen - de Vries", "Jansen"), ("Jansen", "Jansen"), ("-x", "-x")],
    "last_of_double": [("Jansen-de Vries", "de Vries"), ("Jansen", "Jansen"), ("x-", "x-")],
    "initials": [("Anna Maria", "AM"), ("A.M.", "AM"), ("jean-luc", "JL"), ("Élise", "É")],
    "first_name": [("Anna Maria", "Anna"), ("Anna", "Anna")],
    "sex_code": [
        ("M", "m"),
        ("Vrouw", "f"),
        ("2", "f"),
        ("0", None),
        ("Mannelijk", "m"),
        ("weiblich", "f"),
        ("Femme", "f"),
        ("K", "f"),
        ("kadın", "f"),
        ("Mężczyzna", "m"),
        ("8532", "f"),
        ("1.0", "m"),
        ("onbekend", None),
        (None, None),
    ],
    "postcode_nl": [("1234 ab", "1234AB"), ("0234AB", None), ("1234", None), ("12345", None)],
    "postcode4_nl": [("1234 ab", "1234"), ("1234", "1234"), ("12345", None), ("0123", None)],
    "house_number": [("12-a", "12"), ("012 hs", "12"), ("nr 7", "7"), ("a", "")],
    "house_addition": [("12-a", "A"), ("12 A", "A"), ("12", ""), ("12 bis 2", "BIS2")],
    "house_number_parts": [("12-1", "12 1"), ("121", "121"), ("12A", "12 A"), ("012-a", "12 A")],
    "street_words": [
        ("Dorpsstraat", "dorps str"),
        ("DORPSSTR.", "dorps str"),
        ("Dorps Straat 4", "dorps str 4"),
        ("Sint Jansstraat", "st jans str"),
        ("St. Jansstr.", "st jans str"),
        ("Main Street", "main st"),
        ("Straat", "straat"),
    ],
    "email": [("A.B@Example.NL ", "a.b@example.nl"), ("nobody", None), ("a@b@c", None)],
    "phone_nl": [
        ("06-1234 5678", "+31612345678"),
        ("+44 20 7946 0018", "+442079460018"),
        ("x", None),
    ],
    "phone_de": [("030 901820", "+4930901820")],
    "phone_be": [("02 555 12 12", "+3225551212")],
    "phone_gb": [("020 7946 0018", "+442079460018")],
    "phone_fr": [("01 42 68 53 00", "+33142685300")],
    "phone_au": [("(02) 9374 4000", "+61293744000")],
    "phone_us": [("(650) 253-0000", "+16502530000")],
}


def test_every_normaliser_has_cases() -> None:
    assert set(CASES) == set(NORMALISERS)


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    values, expected = zip(*CASES[name], strict=True)
    made = NORMALISERS[name](pa.array(values, pa.string()))
    assert made.to_pylist() == list(expected)


@pytest.mark.parametrize("name", NORMALISERS)
@settings(deadline=None, max_examples=40)
@given(values=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_any_text(name: str, values: list[str | None]) -> None:
    """Same length, same type, nulls stay, nothing is raised; each value by itself."""
    made = NORMALISERS[name](pa.array(values, pa.string()))
    assert made.type == pa.string()
    assert len(made) == len(values)
    assert all(m is None for m, v in zip(made.to_pylist(), values, strict=True) if v is None)
    alone = [NORMALISERS[name](pa.array([v], pa.string()))[0].as_py() for v in values]
    assert alone == made.to_pylist()
