"""Tokens of other schemes: equal in every bit, and linked as exact keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import pprl
from conftest import SECRET, encode_by_id, key_of
from pprl.cli import app
from pprl.errors import (
    LinkageKeyError,
    MissingColumn,
    RecordIdError,
    SchemaError,
    UnreadableFile,
    UsageError,
)
from pprl.holder.match_keys import TOKEN_KEYS, with_match_keys
from pprl.holder.token_schemes import SCHEMES, make_tokens
from pprl.holder.token_schemes.opprl import soundex

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tokens.json").read_text(encoding="utf-8"))
PEM = GOLDEN["private_key"].encode()
SEX = {"sex": "gender"}
SCHEMA = """
version = 1
name = "register"
hardening = { method = "none" }
fields = [
  { name = "last_name", normalise = ["fold_case", "strip_accents"], bits_per_feature = 100 },
  { name = "birth_date", bits_per_feature = 90 },
]
"""


def golden_people() -> pd.DataFrame:
    frame = pd.DataFrame(GOLDEN["people"], columns=GOLDEN["parts"], dtype=object)
    return frame.assign(id=[str(at) for at in range(len(frame))])


def of_scheme(scheme: str) -> dict[str, Any]:
    mine = scheme == "openlinktoken"
    return {
        "scheme": scheme,
        "secret": GOLDEN["secret"].encode() if mine else PEM,
        "columns": SEX if mine else None,
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_bit_is_that_of_the_schemes_own_package(scheme: str) -> None:
    made = make_tokens(golden_people(), id_column="id", **of_scheme(scheme))
    ending = scheme.removeprefix("opprl-")
    expected = {
        name: [told["distinct"][at] for at in told["of"]]
        for name, told in GOLDEN["tokens"].items()
        if name.endswith(ending) or name.startswith(ending)
    }
    assert len(expected) == {"opprl-v0": 3, "openlinktoken": 5}.get(scheme, 13)
    assert set(made.column_names) == {"id", *expected}
    for name, tokens in expected.items():
        assert len(set(tokens)) > 3, name
        assert made[name].to_pylist() == tokens, name


def test_soundex_as_spark_has_it() -> None:
    # H and W do not separate equal codes; a blank and a vowel do.
    codes = {"ASHCRAFT": "A261", "TYMCZAK": "T522", "PFISTER": "P236", "S S": "S200", "LEE": "L000"}
    assert {name: soundex(name) for name in codes} == codes


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    names = [f"{chr(65 + at % 26)}{chr(97 + at // 26)}xqvo" for at in range(200)]
    return pd.DataFrame(
        {
            "id": [f"r{at}" for at in range(200)],
            "last_name": names,
            "first_name": ["Anna", "Piet"] * 100,
            "sex": ["F", "M"] * 100,
            "gender": ["F", "M"] * 100,
            "birth_date": [f"19{50 + at % 40}-0{1 + at % 9}-11" for at in range(200)],
        }
    )


def test_tokens_link_exactly_and_clks_link_the_rest(people: pd.DataFrame) -> None:
    """One holder makes tokens with us; the other has those of the scheme's package."""
    wrong = people.assign(
        last_name=people["last_name"].where(people.index >= 20, people["last_name"] + "x")
    )
    schema = with_match_keys(pprl.Schema.from_toml(SCHEMA), ["opprl_token_1v2"])
    key = key_of(SECRET)
    files = []
    for holder, table in (("a", people), ("b", wrong)):
        with_tokens = make_tokens(table, "opprl-v2", PEM, id_column="id", keep=True)
        mapped = with_tokens.rename_columns(
            ["token" if one == "opprl_token_1v2" else one for one in with_tokens.column_names]
        )
        files.append(
            encode_by_id(
                mapped, schema, key, id_column="id", holder=holder,
                columns={"opprl_token_1v2": "token"},
            )
        )  # fmt: skip
    assert files[0].info.blocking == {"opprl_token_1v2": 1.0}
    result = pprl.cascade(*files, ["opprl_token_1v2"], threshold=0.8)
    links = result.to_table().to_pandas()
    assert (links["left_id"] == links["right_id"]).all()
    assert result.exact_links == 180
    assert len(links) == 200


def test_a_blank_token_is_no_key(people: pd.DataFrame) -> None:
    schema = with_match_keys(pprl.Schema.from_toml(SCHEMA), ["openlinktoken_t1"])
    some = people.head(4).assign(openlinktoken_t1=["0" * 64, "", None, " abc="])
    made = encode_by_id(some, schema, key_of(SECRET), id_column="id")
    assert made.block_keys is not None
    assert (made.block_keys[:, 0] > 0).tolist() == [False, False, False, True]


def test_a_token_is_hashed_again_under_the_linkage_key(people: pd.DataFrame) -> None:
    schema = with_match_keys(pprl.Schema.from_toml(SCHEMA), ["openlinktoken_t1"])
    some = people.head(4).assign(openlinktoken_t1=["a", "b", "a", "c"])
    one = encode_by_id(some, schema, key_of(SECRET), id_column="id").block_keys
    other = encode_by_id(
        some, schema, key_of(b"another secret, of 32 bytes too!"), id_column="id"
    ).block_keys
    assert one is not None
    assert other is not None
    assert one[0] == one[2] != one[1]
    assert not (one == other).any()


def test_encoding_without_the_column_of_a_token_is_refused(people: pd.DataFrame) -> None:
    schema = with_match_keys(pprl.Schema.from_toml(SCHEMA), ["opprl_token_4v2"])
    with pytest.raises(MissingColumn, match="no column 'opprl_token_4v2'"):
        encode_by_id(people, schema, key_of(SECRET), id_column="id")
    with pytest.raises(SchemaError, match="one of the two"):
        pprl.Schema.from_toml(SCHEMA + '[[blocking]]\nname = "x"\n')


def test_what_cannot_be_made(people: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no token scheme 'x'"):
        make_tokens(people, "x", PEM, id_column="id")  # type: ignore[arg-type]
    for wrong in (b"no key", b""):
        with pytest.raises(LinkageKeyError, match="RSA private key"):
            make_tokens(people, "opprl-v2", wrong, id_column="id")
    with pytest.raises(LinkageKeyError, match="hashing secret"):
        make_tokens(people, "openlinktoken", b" \n", id_column="id")
    with pytest.raises(UnreadableFile, match="key file that was named"):
        make_tokens(people, "openlinktoken", tmp_path / "gone", id_column="id")
    with pytest.raises(MissingColumn, match="'ssn'"):
        make_tokens(people, "opprl-v2", PEM, id_column="id", tokens=["opprl_token_9v2"])
    with pytest.raises(UsageError, match="no token 'opprl_token_4v2'"):
        make_tokens(people, "opprl-v1", PEM, id_column="id", tokens=["opprl_token_4v2"])
    with pytest.raises(MissingColumn, match="no token of this scheme"):
        make_tokens(people[["id", "sex"]], "opprl-v2", PEM, id_column="id")
    with pytest.raises(UsageError, match="no part 'geslacht'"):
        make_tokens(people, "opprl-v2", PEM, id_column="id", columns={"geslacht": "sex"})
    with pytest.raises(RecordIdError, match="twice in 2 rows"):
        make_tokens(pd.concat([people, people.head(1)]), "opprl-v2", PEM, id_column="id")


def test_on_the_command_line(people: pd.DataFrame, tmp_path: Path) -> None:
    people.drop(columns="gender").to_csv(tmp_path / "p.csv", sep=";", index=False)
    (tmp_path / "key.pem").write_bytes(PEM)
    (tmp_path / "key.pem").chmod(0o600)
    for ending in ("parquet", "csv"):
        arguments = [
            "tokens", f"{tmp_path / 'p.csv'}", "--scheme", "opprl-v1", "--id-column", "id",
            "--secret", f"{tmp_path / 'key.pem'}", "--map", "gender=sex",
            "-o", f"{tmp_path / 't'}.{ending}",
        ]  # fmt: skip
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert "opprl_token_1v1 of 200" in done.stdout
        assert (tmp_path / f"t.{ending}").stat().st_mode & 0o077 == 0
    expected = make_tokens(people, "opprl-v1", PEM, id_column="id")
    assert pq.read_table(tmp_path / "t.parquet").equals(expected)
    assert pd.read_csv(tmp_path / "t.csv", dtype=str).equals(expected.to_pandas().astype(str))


def test_every_token_has_a_key() -> None:
    assert set(TOKEN_KEYS) == set(GOLDEN["tokens"])
