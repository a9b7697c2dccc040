"""Schema documents: what is accepted, what is refused, and how that is said."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import pprl
from conftest import SCHEMA_TOML
from pprl.errors import SchemaError, UnreadableFile
from pprl.holder.encoder import expected_fill


def test_the_name_does_not_count_and_everything_else_does() -> None:
    document = tomllib.loads(SCHEMA_TOML)
    fingerprint = pprl.Schema.from_document(document).fingerprint
    assert pprl.Schema.from_document(document | {"name": "other"}).fingerprint == fingerprint
    assert pprl.Schema.from_document(document | {"bits": 2048}).fingerprint != fingerprint
    document["fields"][0]["bits_per_feature"] += 1
    assert pprl.Schema.from_document(document).fingerprint != fingerprint


def test_the_fingerprint_is_stable() -> None:
    """A changed fingerprint would make every file of an older version incompatible."""
    schema = pprl.Schema.from_document(tomllib.loads(SCHEMA_TOML))
    assert schema.fingerprint == FINGERPRINT


FINGERPRINT = "1a50cb203a0c195cf3cc43b80b348364f020ef1a108b0410012ca46cd3c2774f"


def test_toml_and_json_are_the_same_schema(tmp_path: Path, schema: pprl.Schema) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(tomllib.loads(SCHEMA_TOML)))
    assert pprl.Schema.load(path) == schema


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        ("bits = 1024", "bits = 1000", "power of two"),
        ("bits = 1024", "bits = 131072", "bits"),
        ("bits = 1024", 'bits = "1024"', "bits"),
        ('hardening = { method = "none" }', "", "hardening is missing"),
        ('method = "none"', 'method = "magic"', "hardening"),
        ("bits_per_feature = 120", "bits_per_featur = 120", "'bits_per_feature'"),
        ("bits_per_feature = 120", "bits_per_feature = 0", r"fields\[0\] \(surname\)"),
        ("bits_per_feature = 120", "bits_per_feature = true", "surname"),
        ("bits_per_feature = 120", "bits_per_token = 1\nbits_per_feature = 1", "exactly one"),
        ('"fold_case"', '"foldcase"', "did you mean 'fold_case'"),
        ("n = 2 }", "n = 0 }", "n"),
        ('name = "born"', 'name = "surname"', "twice"),
        ("version = 1", "version = 9", "version"),
        ("version = 1", "version = ", "neither JSON nor TOML"),
        ('type = "exact"', 'type = "fuzzy"', "tokens"),
    ],
)
def test_a_wrong_document_is_refused(tmp_path: Path, find: str, replace: str, message: str) -> None:
    path = tmp_path / "schema.toml"
    assert find in SCHEMA_TOML
    path.write_text(SCHEMA_TOML.replace(find, replace, 1))
    with pytest.raises(SchemaError, match=message) as caught:
        pprl.Schema.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "{}", "", '{"clkConfig": 3}', "[" * 5000])
def test_not_a_schema_at_all(tmp_path: Path, text: str) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text)
    with pytest.raises(SchemaError):
        pprl.Schema.load(path)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        pprl.Schema.load(tmp_path / "nowhere.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UnreadableFile, match="UTF-8"):
        pprl.Schema.load(tmp_path / "binary")


def test_expected_fill_is_near_the_inserted_bits() -> None:
    """400 insertions into 1,024 bits fill 1 - (1 - 1/1024)**400 = 0.32 where all is filled."""
    path = files("pprl") / "schemas" / "febrl4.toml"
    assert 0.2 < expected_fill(pprl.Schema.load(str(path)))[""] < 0.33


def test_shipped_schemas_say_what_they_do() -> None:
    for path in (files("pprl") / "schemas").iterdir():
        assert re.search(r"^# \S", path.read_text(), re.MULTILINE)
        assert pprl.Schema.load(str(path)).name in path.name


def test_published_json_schema_is_current() -> None:
    """Editors check schemas against docs/reference/schema.json; it must be ours."""
    path = Path(__file__).parent.parent / "docs" / "reference" / "schema.json"
    assert json.loads(path.read_text()) == pprl.Schema.model_json_schema()
