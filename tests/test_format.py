"""The encodings file, format 1: what is out there stays readable, and a stranger can write one."""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import independent
import pprl
from conftest import encode_by_id
from pprl.errors import KeyMismatch, PprlWarning
from pprl.exchange.encodings import Popcounts

GOLDEN = Path(__file__).parent / "golden" / "encodings-format-1.clk.parquet"
VECTOR = json.loads(GOLDEN.with_name("encodings-format-1.json").read_text(encoding="utf-8"))
KEY = bytes.fromhex(VECTOR["key"])

# Files of other writers carry no digests, and are told of.
pytestmark = pytest.mark.filterwarnings("ignore:.* is unverified")


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [plain(one) for one in value] if isinstance(value, list) else value


def encoded() -> pprl.Encodings:
    schema = pprl.Schema.from_document(VECTOR["schema"])
    people = pd.DataFrame(VECTOR["people"])
    return encode_by_id(
        people, schema, pprl.LinkageKey(KEY), id_column="id", holder="test vector", shared_by=1
    )


def test_the_second_implementation_knows_nothing_of_pprl() -> None:
    tree = ast.parse(Path(independent.__file__).read_text())
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not [name for name in names if name.split(".")[0] == "pprl"]


def test_the_golden_file_reads_as_its_vector_says() -> None:
    """By the second implementation."""
    columns, header = independent.read(GOLDEN)
    assert list(columns) == list(VECTOR["columns"])
    assert {name: plain(values) for name, values in columns.items()} == VECTOR["columns"]
    assert header == VECTOR["header"]


def test_the_second_implementation_encodes_the_same_bits() -> None:
    columns = independent.encode(VECTOR["schema"], VECTOR["fingerprint"], KEY, VECTOR["people"])
    assert {name: plain(values) for name, values in columns.items()} == VECTOR["columns"]
    assert independent.key_check(KEY) == VECTOR["header"]["key_check"]
    canonical = hashlib.sha256(VECTOR["canonical"].encode()).hexdigest()
    assert canonical == VECTOR["fingerprint"]


def test_pprl_still_writes_and_reads_the_vector(tmp_path: Path) -> None:
    encoded().save(tmp_path / "now.clk.parquet")
    columns, header = independent.read(tmp_path / "now.clk.parquet")
    assert {name: plain(values) for name, values in columns.items()} == VECTOR["columns"]
    for name in VECTOR["header"].keys() - {"created", "library"}:
        assert header[name] == VECTOR["header"][name], name
    old, new = pprl.Encodings.load(GOLDEN), encoded()
    assert old.clks.tolist() == new.clks.tolist()
    pairs = pprl.compare(old, new, threshold=0.99).table
    assert pairs["left_id"].to_pylist() == ["r1", "r2", "r3", "r4"]


def test_what_a_stranger_writes_links(tmp_path: Path) -> None:
    """A file of the second implementation is compared with one of pprl, and equals it."""
    columns = independent.encode(VECTOR["schema"], VECTOR["fingerprint"], KEY, VECTOR["people"])
    header = VECTOR["header"] | {"library": "a stranger's 1.0", "holder": "stranger"}
    independent.write(tmp_path / "theirs.clk.parquet", columns, header)
    theirs = pprl.Encodings.load(tmp_path / "theirs.clk.parquet")
    table = pprl.compare(theirs, encoded(), threshold=0.5).table
    expected = {
        (a["id"], b["id"]): independent.dice(x, y)
        for a, x in zip(VECTOR["people"], map(joined, range(4)), strict=True)
        for b, y in zip(VECTOR["people"], map(joined, range(4)), strict=True)
    }
    found = zip(*(table[name].to_pylist() for name in table.column_names[:3]), strict=True)
    assert {(a, b): round(s, 12) for a, b, s in found} == {
        pair: round(value, 12) for pair, value in expected.items() if value >= 0.5
    }


def joined(at: int) -> bytes:
    return b"".join(
        bytes.fromhex(values[at])
        for name, values in VECTOR["columns"].items()
        if name.startswith("clk_")
    )


def test_a_stranger_with_another_key_is_told_apart(tmp_path: Path) -> None:
    other = bytes(reversed(KEY))
    columns = independent.encode(VECTOR["schema"], VECTOR["fingerprint"], other, VECTOR["people"])
    check = independent.key_check(other)
    groups = [values for name, values in columns.items() if name.startswith("clk")]
    bits = [sum(byte.bit_count() for byte in b"".join(row)) for row in zip(*groups, strict=True)]
    summary = Popcounts.of(Counter(bits)).model_dump()
    header = VECTOR["header"] | {"key_check": check, "popcounts": summary}
    independent.write(tmp_path / "x.clk.parquet", columns, header)
    with pytest.raises(KeyMismatch):
        pprl.compare(pprl.Encodings.load(tmp_path / "x.clk.parquet"), encoded(), threshold=0.5)


def test_a_converted_file_links_with_a_warning(tmp_path: Path) -> None:
    unknown = dict.fromkeys(("schema_fingerprint", "key_check", "self_test"), "unknown")
    columns, header = independent.read(GOLDEN)
    for name in ("one", "two"):
        independent.write(tmp_path / name, columns, header | unknown | {"holder": name})
    one, two = (pprl.Encodings.load(tmp_path / name) for name in ("one", "two"))
    with pytest.warns(PprlWarning, match="cannot be checked"):
        assert len(pprl.compare(one, two, threshold=0.99)) == 4
