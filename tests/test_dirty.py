"""Dirty columns of a holder's table: encoded or refused, by no foreign error, no value told."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import dirty
from conftest import key_of


def test_dirty_columns(tmp_path: Path) -> None:
    """Every tenth of the 300 kinds; all of them are in benchmarks/bench_faults.py."""
    schema = tmp_path / "dirty.toml"
    schema.write_text(dirty.SCHEMA)
    key = key_of("of these tests")
    ended = Counter(
        dirty.encoded(table, schema, key, "error" if at % 2 else "skip")
        for at, table in enumerate(itertools.islice(dirty.dirty_tables(), 3, None, 10))
    )
    assert set(ended) == {"right", "refused"}
    assert ended.total() == 30
