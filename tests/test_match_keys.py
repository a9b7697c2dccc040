"""Exact keys in use today: what they are made of, and who gets none."""

from __future__ import annotations

import hmac
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import pprl
from conftest import encode_by_id, key_of
from pprl.cli import app
from pprl.errors import SchemaError, UsageError
from pprl.holder.match_keys import MATCH_KEYS, match_key_toml, with_match_keys

SCHEMA = """
version = 1
name = "register"
hardening = { method = "none" }
fields = [
  { name = "naam", normalise = ["fold_case", "strip_accents"], bits_per_feature = 100 },
  { name = "first_names", normalise = ["fold_case", "letters_only"], bits_per_feature = 80 },
  { name = "birth_date", format = { type = "date", unknown_parts = true }, bits_per_feature = 90 },
  { name = "sex", normalise = ["sex_code"], tokens = { type = "exact" }, bits_per_feature = 10 },
  { name = "postcode", normalise = ["postcode_nl"], bits_per_feature = 30 },
  { name = "house_number", normalise = ["house_number"], bits_per_feature = 20 },
]
"""
FIELDS = {"surname": "naam"}
KEYS = ["palga4", "palga8", "pht_address", "pc4", "slk581"]
FINGERPRINT = "04148f389223706f1fde19fb88aa83f16737b4620f797c1399f3606ab31699e6"
"""Of the schema with one plain pass, written before key parts had letters and lengths."""

PEOPLE = pd.DataFrame(
    {
        "id": ["1", "2", "3", "4", "5", "6", "7"],
        "naam": ["Vermeulen", "VERMEULÈN", "Vermeer", "Li", None, "Vermeulen", "Vermeulen"],
        "first_names": ["Anna", "anna", "Anneke", "J", "Anna", "Anna", "Anna"],
        "birth_date": [*["1970-01-02"] * 5, "1970-01-00", "1970-01-02"],
        "sex": ["V", "2", "f", "V", "V", "V", None],
        "postcode": ["1234AB", "1234 ab", "1234AC", "1234AB", "1234AB", "1234AB", "1234AB"],
        "house_number": ["7", "7-a", "7", "7", "7", "7", "7"],
    }
)


@pytest.fixture
def schema() -> pprl.Schema:
    return with_match_keys(pprl.Schema.from_toml(SCHEMA), KEYS, FIELDS)


@pytest.fixture
def encoded(schema: pprl.Schema, key: pprl.LinkageKey) -> pprl.Encodings:
    return encode_by_id(PEOPLE, schema, key, id_column="id")


def column(encoded: pprl.Encodings, name: str) -> list[int]:
    assert encoded.block_keys is not None
    return encoded.block_keys[:, list(encoded.info.blocking).index(name)].tolist()


def keyed(key: pprl.LinkageKey, encoded: pprl.Encodings, name: str, *parts: str) -> int:
    secret = key.derive("blocking", encoded.info.schema_fingerprint, name)
    message = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    return int.from_bytes(hmac.new(secret, message, "sha256").digest()[:8], "big")


def test_each_key_takes_what_it_says(encoded: pprl.Encodings, key: pprl.LinkageKey) -> None:
    made = {
        "palga4": ("verm", "19700102", "f"),
        "palga8": ("vermeule", "19700102", "f"),
        "pht_address": ("7", "1234AB", "19700102", "f"),
        "pc4": ("19700102", "f", "1234"),
        # Letters 2, 3, 5 of Vermeulen and 2, 3 of Anna.
        "slk581": ("ere", "nn", "19700102", "f"),
    }
    for name, parts in made.items():
        assert column(encoded, name)[0] == keyed(key, encoded, name, *parts), name


def test_equal_and_different(encoded: pprl.Encodings) -> None:
    four, eight, address = (column(encoded, n) for n in ("palga4", "palga8", "pht_address"))
    assert four[0] == four[1] == four[2]
    assert eight[0] == eight[1] != eight[2]
    assert address[0] == address[1] == address[3] != address[2]


def test_too_few_letters_are_twos(encoded: pprl.Encodings, key: pprl.LinkageKey) -> None:
    assert column(encoded, "slk581")[3] == keyed(
        key, encoded, "slk581", "i22", "22", "19700102", "f"
    )


def test_a_missing_part_is_no_key_and_counted(encoded: pprl.Encodings) -> None:
    has = {name: (np.array(column(encoded, name)) > 0).tolist() for name in KEYS}
    # No surname; an unknown day of birth; no sex.
    assert has["palga4"] == [True, True, True, True, False, False, False]
    assert has["pht_address"] == [True, True, True, True, True, False, False]
    assert encoded.info.blocking["palga4"] == round(4 / 7, 4)
    assert encoded.info.blocking["pht_address"] == round(5 / 7, 4)


def test_another_key_gives_other_values(schema: pprl.Schema, encoded: pprl.Encodings) -> None:
    other = key_of(b"another secret, of 32 bytes too!")
    again = encode_by_id(PEOPLE, schema, other, id_column="id")
    assert again.block_keys is not None
    assert encoded.block_keys is not None
    assert not (again.block_keys == encoded.block_keys)[encoded.block_keys > 0].any()


def test_two_keys_of_one_content_differ(encoded: pprl.Encodings) -> None:
    """No key tells the linkage unit what another is made of: each has its own secret."""
    four, eight = column(encoded, "palga4"), column(encoded, "palga8")
    assert not set(four) & set(eight) - {0}


def test_lines_for_the_schema_file(tmp_path: Path, schema: pprl.Schema) -> None:
    base = pprl.Schema.from_toml(SCHEMA)
    lines = match_key_toml(base, KEYS, FIELDS)
    assert pprl.Schema.from_toml(SCHEMA + lines) == schema
    file = tmp_path / "schema.toml"
    file.write_text(SCHEMA)
    arguments = ["schema", "match-keys", str(file), *KEYS, "--map", "surname=naam"]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).stdout == lines


def test_a_schema_without_the_keys_is_the_same_as_ever() -> None:
    """New options of a key part leave fingerprints alone where they are not used."""
    base = pprl.Schema.from_toml(
        SCHEMA + '[[blocking]]\nname = "x"\nparts = [{ field = "sex", first = 1 }]\n'
    )
    assert base.fingerprint == FINGERPRINT


def test_what_cannot_be_asked_for(schema: pprl.Schema) -> None:
    base = pprl.Schema.from_toml(SCHEMA)
    with pytest.raises(UsageError, match="no exact key 'palga5'; there are palga4"):
        with_match_keys(base, ["palga5"])
    with pytest.raises(UsageError, match="needs the field 'surname'"):
        with_match_keys(base, ["palga4"])
    with pytest.raises(UsageError, match="needs the field 'bsn'"):
        with_match_keys(base, ["bsn"])
    with pytest.raises(UsageError, match="no exact key has a part 'name'"):
        with_match_keys(base, ["palga4"], {"name": "naam"})
    with pytest.raises(UsageError, match="'palga4' twice"):
        with_match_keys(schema, ["palga4"], FIELDS)
    with pytest.raises(SchemaError, match="one of them"):
        pprl.Schema.from_toml(
            SCHEMA + '[[blocking]]\nname = "x"\n'
            'parts = [{ field = "naam", code = "soundex", letters = [1] }]\n'
        )


def test_every_key_says_where_it_is_used() -> None:
    assert all(key.practice and (key.parts or key.column) for key in MATCH_KEYS.values())
