"""CLK groups and salts: from the schema to the file, against plain definitions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import pprl
from conftest import SCHEMA_TOML, by_id, encode_by_id
from pprl.errors import LengthMismatch, SchemaError, UnreadableFile, UsageError
from pprl.holder.encoder import expected_fill

GROUPS = """
[[groups]]
name = "who"
fields = ["surname", "born"]
inserted_bits = 110

[[groups]]
name = "where"
fields = ["born", "postcode"]
bits = 512
hardening = { method = "diffusion", t = 5, filter_bits = 1024 }
"""


def grouped(text: str = GROUPS) -> pprl.Schema:
    return pprl.Schema.from_toml(SCHEMA_TOML + text)


def plain_filter(
    tokens: dict[str, list[bytes]], bits: dict[str, int], length: int, keys: dict[str, bytes]
) -> np.ndarray:
    """Insert tokens by the definition: the first 16-bit slices of salted BLAKE2b digests."""
    out = np.zeros(length, np.uint8)
    for field, texts in tokens.items():
        for place, text in enumerate(texts):
            base, extra = divmod(bits[field], len(texts))
            wanted = base + (place < extra)
            slices: list[int] = []
            for block in range(4):
                digest = hashlib.blake2b(text, key=keys[field], salt=str(block).encode()).digest()
                slices += np.frombuffer(digest, "<u2").tolist()
            for one in slices[:wanted]:
                out[one % length] = 1
    return np.packbits(out)


def bigrams(text: str, positional: bool = False) -> list[bytes]:
    padded = f" {text} "
    grams = [padded[i : i + 2] for i in range(len(padded) - 1)]
    return [f"{i + 1} {g}".encode() if positional else g.encode() for i, g in enumerate(grams)]


def test_groups_stand_side_by_side(people: pd.DataFrame, key: pprl.LinkageKey) -> None:
    schema = grouped()
    made = encode_by_id(people, schema, key, id_column="id")
    assert made.info.groups == {"who": 1024, "where": 512}
    assert made.info.bits == 1536 == schema.total_bits
    np.testing.assert_array_equal(
        np.concatenate([made.group("who"), made.group("where")], axis=1), made.clks
    )
    assert made.group("who").base is not None
    with pytest.raises(UsageError, match="'who', 'where'"):
        made.group("names")
    assert made.info.weights == {
        "who": {"surname": 60, "born": 50},
        "where": {"born": 100, "postcode": 40},
    }
    assert made.info.hardening["who"] == {"method": "none"}
    assert made.info.hardening["where"]["t"] == 5
    assert set(expected_fill(schema)) == {"who", "where"}


def test_a_group_follows_its_definition(people: pd.DataFrame, key: pprl.LinkageKey) -> None:
    schema = grouped()
    made = encode_by_id(people, schema, key, id_column="id").group("who")
    keys = {
        name: key.derive("token", schema.fingerprint, name, "who", length=128)[:64]
        for name in ("surname", "born")
    }
    tokens = {"surname": bigrams("vermeulen"), "born": bigrams("19500131", positional=True)}
    expected = plain_filter(tokens, {"surname": 60, "born": 50}, 1024, keys)
    np.testing.assert_array_equal(made[0], expected)


def test_a_field_in_two_groups_has_two_keys(key: pprl.LinkageKey) -> None:
    """Otherwise the linkage unit could subtract one filter from the other."""
    schema = grouped(
        """
        [[groups]]
        name = "a"
        fields = ["surname", "born", "postcode"]
        [[groups]]
        name = "b"
        fields = ["surname", "born", "postcode"]
        """
    )
    person = pd.DataFrame({"id": ["1"], "surname": ["Jansen"], "born": "", "postcode": ""})
    made = encode_by_id(person, schema, key, id_column="id")
    a, b = (np.unpackbits(made.group(name)) for name in "ab")
    assert a.sum() > 80
    assert (a & b).sum() < 0.35 * a.sum()


def test_files_have_a_column_for_each_group(
    tmp_path: Path, people: pd.DataFrame, key: pprl.LinkageKey
) -> None:
    path = tmp_path / "a.clk.parquet"
    made = encode_by_id(people, grouped(), key, id_column="id")
    pprl.encode_file(people, grouped(), key, path, id_column="id")
    table = pq.read_table(path)
    assert table.column_names == ["record_id", "clk_who", "clk_where"]
    table = table.sort_by("record_id")
    assert table["clk_who"][0].as_py() == made.group("who")[0].tobytes()
    loaded = by_id(pprl.Encodings.load(path))
    np.testing.assert_array_equal(loaded.clks, made.clks)
    assert list(loaded.info.groups) == ["who", "where"]
    loaded.save(tmp_path / "b.clk.parquet")
    assert pq.read_table(tmp_path / "b.clk.parquet").equals(table)
    short = table.drop_columns(["clk_where"])
    with pq.ParquetWriter(tmp_path / "c.clk.parquet", short.schema) as writer:
        writer.write_table(short)
        writer.add_key_value_metadata({b"pprl": loaded.info.model_dump_json().encode()})
    with pytest.raises(UnreadableFile, match="clk_where"):
        pprl.Encodings.load(tmp_path / "c.clk.parquet")


def test_other_groups_are_told_apart(people: pd.DataFrame, key: pprl.LinkageKey) -> None:
    one = encode_by_id(people, grouped(), key, id_column="id").info
    swapped = one.model_copy(update={"groups": {"where": 512, "who": 1024}})
    with pytest.raises(LengthMismatch, match="groups"):
        pprl.check_compatible([one, swapped])


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        ('"who"', '"Who"', "name"),
        ('"who"', '"where"', "twice"),
        ('"surname", "born"', '"surname", "naam"', "'naam'"),
        ('"surname", "born"', '"surname", "surname"', "a field twice"),
        ('"surname", "born"', '"surname"', "allow_field_level"),
        ('"surname", "born"', '"born", "postcode"', "inserted_bits"),
        (
            '["born", "postcode"]\nbits = 512',
            '["born", "surname"]\nbits = 512',
            "'postcode' is in no",
        ),
        ("bits = 512", "bits = 520", "multiple of 64"),
        ("t = 5", "t = 65", "t"),
    ],
)
def test_impossible_groups_are_refused(find: str, replace: str, message: str) -> None:
    assert find in GROUPS
    with pytest.raises(SchemaError, match=message):
        grouped(GROUPS.replace(find, replace, 1))


def test_field_level_filters_only_when_asked_for() -> None:
    alone = GROUPS.replace('"surname", "born"', '"surname"')
    schema = pprl.Schema.from_toml("allow_field_level = true\n" + SCHEMA_TOML + alone)
    assert len(schema.parts[0].fields) == 1


SALTED = """
[[groups]]
name = "who"
fields = ["surname", "postcode"]
salts = [{ field = "born", characters = 4 }, { field = "postcode" }]
"""


def test_salted_tokens_follow_their_definition(people: pd.DataFrame, key: pprl.LinkageKey) -> None:
    schema = grouped(SALTED)
    made = encode_by_id(people, schema, key, id_column="id").clks
    keys = {
        name: key.derive("salted-token", schema.fingerprint, name, "who", length=128)[:64]
        for name in ("surname", "postcode")
    }
    for row, (name, year, code) in enumerate(
        [("vermeulen", "1950", "1234AB"), ("oosterhuis", "1961", "0001XZ")]
    ):
        salt = b"\0\0\0\4" + year.encode() + b"\0\0\0\6" + code.encode()
        tokens = {"surname": [salt + g for g in bigrams(name)], "postcode": [salt + code.encode()]}
        expected = plain_filter(tokens, {"surname": 120, "postcode": 40}, 1024, keys)
        np.testing.assert_array_equal(made[row], expected)
    # Without a postcode (row 3) or a birth date (row 4) there is no salt, and so no bit.
    assert not made[3:].any()


def test_records_with_other_salts_have_nothing_in_common(key: pprl.LinkageKey) -> None:
    schema = grouped(SALTED.replace(', { field = "postcode" }', ""))
    table = pd.DataFrame(
        {
            "id": ["1", "2", "3"],
            "surname": "Schimmelpenninck",
            "born": ["1950-01-31", "1950-12-01", "1951-01-31"],
            "postcode": "1234AB",
        }
    )
    one, same, other = np.unpackbits(encode_by_id(table, schema, key, id_column="id").clks, axis=1)
    assert (one == same).all()
    assert (one & other).sum() < 0.35 * one.sum()


def test_a_salt_must_be_a_field() -> None:
    with pytest.raises(SchemaError, match="'geboren'"):
        grouped(SALTED.replace('"born"', '"geboren"'))
    with pytest.raises(SchemaError, match="at least one"):
        grouped(SALTED.replace("characters = 4", "characters = 0"))
