"""Bit-for-bit agreement with clkhash: the live package, and vectors from another version."""

from __future__ import annotations

import copy
import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clkhash.bloomfilter import stream_bloom_filters
from clkhash.key_derivation import generate_key_lists
from clkhash.schema import SchemaError as ClkhashSchemaError
from clkhash.schema import from_json_dict
from hypothesis import given, settings
from hypothesis import strategies as st

import pprl
from conftest import encode_by_id, key_of
from pprl.errors import PprlWarning, SchemaError
from pprl.holder.clkhash_schema import from_clkhash
from pprl.holder.encoder import Encoder

GOLDEN = Path(__file__).parent / "golden"


def by_clkhash(document: dict[str, Any], rows: list[tuple[str, ...]], secret: bytes) -> list[bytes]:
    """Encode with the clkhash package itself."""
    schema = from_json_dict(copy.deepcopy(document))
    keys = generate_key_lists(
        secret,
        len(schema.fields),
        key_size=schema.kdf_key_size,
        salt=schema.kdf_salt,
        info=schema.kdf_info,
        kdf=schema.kdf_type,
        hash_algo=schema.kdf_hash,
    )
    return [bits.tobytes() for bits, _, _ in stream_bloom_filters(rows, keys, schema)]


def by_pprl(document: dict[str, Any], rows: list[tuple[str, ...]], secret: bytes) -> list[bytes]:
    schema = from_clkhash(document)
    names = [field.name for field in schema.fields]
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    frame["row id"] = np.arange(len(rows)).astype(str)
    key = key_of(secret)
    clks = encode_by_id(frame, schema, key, id_column="row id").clks
    return [clk.tobytes() for clk in clks]


def document(*features: dict[str, Any], bits: int = 1024, **config: Any) -> dict[str, Any]:
    kdf = {"type": "HKDF", **config.pop("kdf", {})}
    return {
        "version": 3,
        "clkConfig": {"l": bits, "kdf": kdf, **config},
        "features": list(features),
    }


def feature(
    name: str = "name",
    comparison: dict[str, Any] | None = None,
    strategy: dict[str, Any] | None = None,
    format_: dict[str, Any] | None = None,
    **hashing: Any,
) -> dict[str, Any]:
    return {
        "identifier": name,
        "format": format_ or {"type": "string", "encoding": "utf-8"},
        "hashing": {
            "comparison": comparison or {"type": "ngram", "n": 2},
            "strategy": strategy or {"bitsPerFeature": 100},
            **hashing,
        },
    }


SECRETS = st.binary(min_size=16, max_size=40)
# No surrogates: they are not text in UTF-8, and neither clkhash nor Arrow takes them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@st.composite
def features(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], st.SearchStrategy[str]]:
    """A random feature and a strategy for values that it accepts."""
    if draw(st.integers(0, 9)) == 0:
        return {"identifier": name, "ignored": True}, TEXT
    kind = draw(st.sampled_from(["string", "ascii", "integer", "date", "enum", "numeric"]))
    values: st.SearchStrategy[str]
    comparison: dict[str, Any]
    if kind == "string":
        format_: dict[str, Any] = {"type": "string", "encoding": "utf-8"}
        values = TEXT
    elif kind == "ascii":
        format_ = {"type": "string", "encoding": "ascii", "case": "lower", "maxLength": 12}
        values = st.text(string.ascii_lowercase + "0123456789 -'", max_size=12)
    elif kind == "integer":
        format_ = {"type": "integer", "minimum": -(10**9)}
        values = st.integers(-(10**9), 10**12).map(str) | st.sampled_from(["+007", " 13", "1_0"])
    elif kind == "date":
        format_ = {"type": "date", "format": "%d/%m/%Y"}
        values = st.dates().map(lambda day: f"{day.day:02}/{day.month:02}/{day.year:04}")
    elif kind == "enum":
        codes = ["M", "F", "", "onbekend"]
        format_, values = {"type": "enum", "values": codes}, st.sampled_from(codes)
    else:
        format_ = {"type": "string", "encoding": "utf-8"}
        number = st.floats(-1e6, 1e6).map(lambda x: f"{x:.4f}") | st.integers().map(str)
        values = number | st.just("")
    if kind == "numeric":
        comparison = {
            "type": "numeric",
            "thresholdDistance": draw(st.sampled_from([1, 2.5, 8, 1000])),
            "resolution": draw(st.integers(1, 6)),
            "fractional_precision": draw(st.integers(0, 3)),
        }
    elif draw(st.integers(0, 4)) == 0:
        comparison = {"type": "exact"}
    else:
        comparison = {
            "type": "ngram",
            "n": draw(st.integers(1, 5)),
            "positional": draw(st.booleans()),
        }
    strategy = {
        draw(st.sampled_from(["bitsPerToken", "bitsPerFeature"])): draw(st.integers(1, 120))
    }
    extra: dict[str, Any] = {}
    hash_ = draw(st.sampled_from(["default", "blake", "double", "singular"]))
    if hash_ == "blake":
        extra["hash"] = {"type": "blakeHash"}
    elif hash_ == "double":
        extra["hash"] = {"type": "doubleHash"}
    elif hash_ == "singular":
        extra["hash"] = {"type": "doubleHash", "prevent_singularity": draw(st.booleans())}
    if kind in ("string", "integer") and draw(st.booleans()):
        extra["missingValue"] = {"sentinel": "N/A"}
        if draw(st.booleans()) or comparison["type"] == "numeric":
            extra["missingValue"]["replaceWith"] = draw(st.sampled_from(["", "unknown"]))
        values = values | st.just("N/A")
    return feature(name, comparison, strategy, format_, **extra), values


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, ...]], bytes]:
    pairs = [draw(features(f"f{i}")) for i in range(draw(st.integers(1, 5)))]
    if all(made.get("ignored") for made, _ in pairs):
        pairs.append((feature("last"), TEXT))
    kdf: dict[str, Any] = {"hash": draw(st.sampled_from(["SHA256", "SHA512"]))}
    if draw(st.booleans()):
        kdf["salt"] = "c2FsdA=="
    if draw(st.booleans()):
        kdf["info"] = "aW5mbw=="
    if draw(st.booleans()):
        kdf["keySize"] = draw(st.sampled_from([1, 20, 32, 64]))
    folds = draw(st.integers(0, 2))
    made = document(
        *(one for one, _ in pairs),
        bits=draw(st.sampled_from([64, 256, 1024])),
        kdf=kdf,
        **({"xor_folds": folds} if folds else {}),
    )
    rows = draw(st.lists(st.tuples(*(values for _, values in pairs)), min_size=10, max_size=16))
    return made, rows, draw(SECRETS)


@given(cases())
@settings(max_examples=200, deadline=None)
def test_any_schema_and_records(
    case: tuple[dict[str, Any], list[tuple[str, ...]], bytes],
) -> None:
    """Random v3 schemas and random records, 2,000 or more, give clkhash's bits."""
    made, rows, secret = case
    expected = by_clkhash(made, rows, secret)
    assert by_pprl(made, rows, secret) == expected
    as_object = from_json_dict(copy.deepcopy(made))
    assert pprl.Schema.from_clkhash(as_object).fingerprint == from_clkhash(made).fingerprint


V2 = {
    "version": 2,
    "clkConfig": {"l": 1024, "kdf": {"type": "HKDF", "salt": "AAECAw==", "info": ""}},
    "features": [
        {"identifier": "row", "ignored": True},
        {
            "identifier": "name",
            "format": {"type": "string", "encoding": "utf-8"},
            "hashing": {
                "ngram": 2,
                "positional": True,
                "strategy": {"k": 15},
                "hash": {"type": "doubleHash"},
            },
        },
        {
            "identifier": "age",
            "format": {"type": "integer", "minimum": 0, "maximum": 150},
            "hashing": {
                "ngram": 1,
                "strategy": {"numBits": 90},
                "hash": {"type": "blakeHash"},
                "missingValue": {"sentinel": "-1", "replaceWith": ""},
            },
        },
    ],
}
V1 = {
    "version": 1,
    "clkConfig": {
        "l": 1024,
        "k": 20,
        "hash": {"type": "doubleHash"},
        "kdf": {"type": "HKDF"},
    },
    "features": [
        {
            "identifier": "name",
            "format": {"type": "string", "encoding": "utf-8"},
            "hashing": {"ngram": 2, "weight": weight},
        }
        | {"identifier": name}
        for name, weight in [("a", 1), ("b", 0.125), ("c", 0), ("d", 1.6)]
    ],
}


@pytest.mark.parametrize(
    ("made", "row"),
    [(V2, ("7", "Zoë", "42")), (V2, ("8", "", "-1")), (V1, ("anna", "bert", "carl", "dora"))],
)
def test_older_versions(made: dict[str, Any], row: tuple[str, ...]) -> None:
    """Versions 1 and 2 are converted as clkhash converts them, weights rounded half to even."""
    secret = b"sixteen bytes or more"
    assert by_pprl(made, [row], secret) == by_clkhash(made, [row], secret)


def test_weight_that_rounds_to_nothing_is_refused() -> None:
    """20 times 0.02 rounds to no bit at all: an invalid schema, here as in clkhash."""
    made = copy.deepcopy(V1)
    made["features"][1]["hashing"]["weight"] = 0.02
    with pytest.raises(ClkhashSchemaError):
        from_json_dict(copy.deepcopy(made))
    with pytest.raises(SchemaError, match=r"\(b\)\.bits_per_token"):
        from_clkhash(made)


def test_ignored_columns_use_up_keys() -> None:
    """Ignoring a column is not the same as leaving it out."""
    secret, rows = b"sixteen bytes or more", [("x", "anna")]
    ignored = document({"identifier": "first", "ignored": True}, feature())
    assert by_pprl(ignored, rows, secret) == by_clkhash(ignored, rows, secret)
    assert by_pprl(ignored, rows, secret) != by_pprl(document(feature()), [("anna",)], secret)


def test_documented_xor_folds_are_ignored_with_a_warning() -> None:
    """clkhash documents xorFolds and reads xor_folds; the bits must stay the same."""
    secret, rows = b"sixteen bytes or more", [("anna",)]
    made = document(feature(), xorFolds=1)
    with pytest.warns(PprlWarning, match="xorFolds"):
        assert by_pprl(made, rows, secret) == by_clkhash(document(feature()), rows, secret)
    with pytest.raises(SchemaError, match="xorFolds"):
        from_clkhash(made, strict=True)


def test_missing_value_without_replacement_is_encoded() -> None:
    """The sentinel's own text goes into the filter, as in clkhash."""
    made = document(feature(missingValue={"sentinel": "N/A"}))
    clks = by_pprl(made, [("N/A",)], b"sixteen bytes or more")
    assert clks == by_clkhash(made, [("N/A",)], b"sixteen bytes or more")
    assert any(clks[0])


def test_years_before_1000_lose_their_zeros() -> None:
    """What clkhash gives on Linux is what this library gives everywhere."""
    made = document(feature(format_={"type": "date", "format": "%Y-%m-%d"}))
    rows = [("0999-01-02",), ("0001-12-31",)]
    secret = b"sixteen bytes or more"
    assert by_pprl(made, rows, secret) == by_clkhash(made, rows, secret)


def test_more_tokens_than_bits() -> None:
    """With fewer bits than tokens the last tokens vanish."""
    made = document(feature(strategy={"bitsPerFeature": 5}))
    rows = [("a long name with many tokens",)]
    secret = b"sixteen bytes or more"
    assert by_pprl(made, rows, secret) == by_clkhash(made, rows, secret)


def test_too_many_fields_for_the_key_derivation() -> None:
    """64 fields of 2 x 64 bytes exceed HKDF-SHA256's 8160 bytes, as in clkhash."""
    made = document(*(feature(f"f{i}") for i in range(64)))
    with pytest.raises(SchemaError, match="8160"):
        Encoder(from_clkhash(made), pprl.LinkageKey.generate())


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-32"])
def test_other_encodings(encoding: str) -> None:
    """UTF-16 and UTF-32 put a byte order mark into every token."""
    made = document(feature(format_={"type": "string", "encoding": encoding}))
    rows = [("anna",), ("jansen-smit",)]
    secret = b"sixteen bytes or more"
    assert by_pprl(made, rows, secret) == by_clkhash(made, rows, secret)


def test_blake_keys_have_64_bytes_at_most() -> None:
    """clkhash finds out at the first token; here it is an error of the schema."""
    made = document(feature(), kdf={"keySize": 65})
    with pytest.raises(SchemaError, match="64 bytes"):
        by_pprl(made, [("anna",)], b"sixteen bytes or more")


@pytest.mark.parametrize("value", [True, False])
def test_singularity_is_no_option_of_blake(value: bool) -> None:
    with pytest.raises(SchemaError, match="prevent_singularity"):
        from_clkhash(document(feature(hash={"type": "blakeHash", "prevent_singularity": value})))


def test_a_singular_token_sets_one_bit() -> None:
    """A step of 0 modulo the length repeats one position, unless that is prevented."""
    hash_ = {"type": "doubleHash"}
    made = document(feature(hash=hash_, comparison={"type": "exact"}), bits=8)
    prevented = document(
        feature(hash=hash_ | {"prevent_singularity": True}, comparison={"type": "exact"}), bits=8
    )
    secret, rows = b"sixteen bytes or more", [(str(number),) for number in range(64)]
    plain, safe = by_pprl(made, rows, secret), by_pprl(prevented, rows, secret)
    assert plain == by_clkhash(made, rows, secret)
    assert safe == by_clkhash(prevented, rows, secret)
    assert any(clk[0].bit_count() == 1 for clk in plain)
    assert not any(clk[0].bit_count() == 1 for clk in safe)


def test_unicode_is_not_normalised() -> None:
    """Composed and decomposed accents are different texts to clkhash, and so here."""
    made, secret = document(feature()), b"sixteen bytes or more"
    rows = [("Jos\u00e9",), ("Jose\u0301",), (" José ",)]
    clks = by_pprl(made, rows, secret)
    assert clks == by_clkhash(made, rows, secret)
    assert len(set(clks)) == 3


def test_blake_needs_a_power_of_two() -> None:
    with pytest.raises(SchemaError, match="power of two"):
        from_clkhash(document(feature(), bits=1000))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("clkhash-*.json")), ids=lambda p: p.stem)
def test_golden_vectors(path: Path) -> None:
    """Vectors made once by clkhash 0.18.3; each file says how."""
    golden = json.loads(path.read_text())
    assert golden["cases"], path
    for case in golden["cases"]:
        rows = [tuple(row) for row in case["rows"]]
        made = [clk.hex() for clk in by_pprl(case["schema"], rows, bytes.fromhex(case["secret"]))]
        assert made == case["clks"]
