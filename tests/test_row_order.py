"""Rows leave in random order: every permutation as likely, nothing lost, nothing left behind."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pprl
from conftest import SCHEMA_TOML
from pprl.errors import PprlWarning
from pprl.holder import row_store
from pprl.holder.row_order import Rows, random_order, random_rows
from pprl.holder.row_store import RowStore


def rows(n: int, first: int = 0, variants: int = 1) -> Rows:
    """Rows whose every column tells the record's number."""
    number = np.repeat(np.arange(first, first + n), variants)
    return Rows(
        pa.array([f"r{i}" for i in number]),
        number.astype(">u8").view(np.uint8).reshape(-1, 8),
        np.tile(np.arange(variants, dtype=np.uint8), n),
        number.astype(">u2").view(np.uint8).reshape(-1, 2),
        np.stack([number, number + 1], axis=1).astype(np.uint64),
    )


def numbers(made: Rows) -> list[int]:
    """The records' numbers, after a check that all columns agree on them."""
    found = made.clks.reshape(-1).view(">u8").astype(int)
    np.testing.assert_array_equal(made.mask.reshape(-1).view(">u2"), found)
    np.testing.assert_array_equal(made.block_keys, np.stack([found, found + 1], axis=1))
    assert made.ids.to_pylist() == [f"r{i}" for i in found]
    return found.tolist()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("encrypt", [True, False])
@pytest.mark.parametrize("budget", [0, 2_000, 1 << 20])
@pytest.mark.parametrize("variants", [1, 3])
def test_a_store_gives_everything_back(
    shuffle: bool,
    encrypt: bool,
    budget: int,
    variants: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_store, "IN_MEMORY", budget)
    monkeypatch.setattr(row_store, "_BATCH_ROWS", 50)
    monkeypatch.setattr(row_store, "_BUCKETS", 16)
    with RowStore(tmp_path, shuffle=shuffle, encrypt=encrypt) as store:
        for first in range(0, 300, 60):
            store.add(rows(60, first, variants))
        made = [part.take(np.arange(len(part))) for part in store.batches()]
    found = [number for part in made for number in numbers(part)]
    assert [int(v) for part in made for v in part.variants] == 300 * list(range(variants))
    assert found[::variants] == found[variants - 1 :: variants]
    found = found[::variants]
    assert sorted(found) == list(range(300))
    assert (found == list(range(300))) is not shuffle
    assert not list(tmp_path.iterdir())


def test_the_temporary_file_has_no_name_and_no_plain_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_store, "IN_MEMORY", 0)
    with RowStore(tmp_path, shuffle=True, encrypt=True) as store:
        store.add(rows(2_000))
        assert store._file is not None
        handle = store._file._file.fileno()
        assert os.fstat(handle).st_mode & 0o077 == 0
        content = os.pread(handle, 1 << 20, 0)
        assert len(content) > 2_000 * 8
        assert b"r1999" not in content
        if os.name == "posix":
            assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("budget", [0, 1 << 20])
def test_every_order_is_as_likely(
    budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chi-square over the 24 orders of four records, added in two batches."""
    monkeypatch.setattr(row_store, "IN_MEMORY", budget)
    monkeypatch.setattr(row_store, "_BUCKETS", 4)
    counts: Counter[tuple[int, ...]] = Counter()
    draws = 480
    for _ in range(draws):
        with RowStore(tmp_path, shuffle=True) as store:
            store.add(rows(3))
            store.add(rows(1, 3))
            counts[tuple(n for part in store.batches() for n in numbers(part))] += 1
    assert len(counts) == 24
    expected = draws / 24
    # 23 degrees of freedom: above 64 once in 100,000 runs.
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 64


def test_orders_are_drawn_anew() -> None:
    assert sorted(random_order(500)) == list(range(500))
    assert (random_order(500) != random_order(500)).any()
    assert random_rows(np.zeros(0, np.uint8)).tolist() == []


@pytest.mark.parametrize("in_file", [True, False])
def test_encodings_are_shuffled_unless_asked_otherwise(
    in_file: bool, tmp_path: Path, key: pprl.LinkageKey
) -> None:
    schema = pprl.Schema.from_toml(SCHEMA_TOML)
    ids = [f"p{i:03}" for i in range(200)]
    people = pd.DataFrame(
        {"id": ids, "surname": [f"name {i}" for i in range(200)], "born": "", "postcode": ids}
    )

    def encoded(**options: bool) -> tuple[list[str], dict[str, bytes]]:
        if in_file:
            out = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
            info = pprl.encode_file(people, schema, key, out, id_column="id", **options)
            table = pq.read_table(out)
            made, clks = table["record_id"].to_pylist(), table["clk"].to_pylist()
        else:
            found = pprl.encode(people, schema, key, id_column="id", **options)
            info = found.info
            made, clks = found.record_ids.to_pylist(), [clk.tobytes() for clk in found.clks]
        assert info.exposure is not None
        assert info.exposure.order == ("as given" if options else "random")
        return made, dict(zip(made, clks, strict=True))

    order, clks = encoded()
    other, again = encoded()
    assert sorted(order) == ids == sorted(other)
    assert order not in (ids, other)
    with pytest.warns(PprlWarning, match="keep the order"):
        kept, same = encoded(keep_order=True)
    assert kept == ids
    assert clks == again == same
