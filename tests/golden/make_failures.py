"""Write tests/golden/failures: encodings with one thing wrong each, and what is said of it.

    python tests/golden/make_failures.py

They are kept as files, so that a later version of pprl or of Arrow meets the same bytes.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import faults
import pprl

FOLDER = Path(__file__).parent / "failures"
HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "records too few": lambda h: h | {"records": 3},
    "records too many": lambda h: h | {"records": 10**9},
    "rows too many": lambda h: h | {"rows": 10**9},
    "records negative": lambda h: h | {"records": -1},
    "records text": lambda h: h | {"records": "20"},
    "bits 2^64": lambda h: h | {"bits": 2**64},
    "bits another": lambda h: h | {"bits": 128},
    "bits no multiple of eight": lambda h: h | {"bits": 250},
    "holder with an escape": lambda h: h | {"holder": "\x1b[2J"},
    "holder too long": lambda h: h | {"holder": "a" * 3_000},
    "holder turned around": lambda h: h | {"holder": "\u202egnp"},
    "share above one": lambda h: h | {"present": dict(h["present"], a=5)},
    "share not a number": lambda h: json.dumps(h).replace('"a": 0.', '"a": NaN, "z": 0.').encode(),
    "share of other rows": lambda h: h | {"present": dict(h["present"], a=0.1)},
    "fields too few": lambda h: h | {"present": {"a": h["present"]["a"]}},
    "passes too few": lambda h: h | {"blocking": {}},
    "popcounts of other rows": lambda h: h | {"popcounts": dict(h["popcounts"], maximum=1)},
    "popcounts infinite": lambda h: json.dumps(h).replace('"sd": ', '"sd": 1e999, "x": ').encode(),
    "weights huge": lambda h: h | {"weights": {"": {"a": 10**30}}},
    "groups of no column": lambda h: h | {"groups": {"x": 256}},
    "hardening a list": lambda h: h | {"hardening": []},
    "header a list": lambda h: [],
    "header deep": lambda h: b"[" * 5_000 + b"]" * 5_000,
    "header not UTF-8": lambda h: b'{"holder": "\xff"}',
    "header empty": lambda h: b"",
    "header twice": lambda h: json.dumps(h)[:-1].encode() + b', "records": 1}',
}


def rows(change: Callable[[dict[str, Any]], None]) -> Callable[[pa.Table], pa.Table]:
    """Make a change of a table's columns, as lists."""

    def made(table: pa.Table) -> pa.Table:
        columns = {name: table[name].to_pylist() for name in table.column_names}
        change(columns)
        arrays = [pa.array(columns[field.name], field.type) for field in table.schema]
        schema = pa.schema([pa.field(one.name, one.type) for one in table.schema])
        return pa.table(arrays, schema=schema.with_metadata(table.schema.metadata))

    return made


def _put(name: str, at: int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(columns: dict[str, Any]) -> None:
        columns[name][at] = value

    return change


ROWS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "id missing": rows(_put("record_id", 0, None)),
    "id empty": rows(_put("record_id", 0, "")),
    "id twice": rows(_put("record_id", 1, "r1-0")),
    "id a formula": rows(_put("record_id", 0, "=1+1")),
    "id with an escape": rows(_put("record_id", 0, "\x1b]0;x\x07")),
    "id too long": rows(_put("record_id", 0, "a" * 10_000)),
    "variant without a record": rows(_put("variant", 0, 1)),
    "filter missing": rows(_put("clk", 0, None)),
    "filter of zeros": rows(_put("clk", 0, bytes(32))),
    "mask beyond its fields": rows(_put("present", 0, b"\xff")),
    "block keys missing": rows(_put("block_keys", 0, None)),
    "column missing": lambda table: table.drop_columns(["clk"]),
    "column of another type": lambda table: table.set_column(
        1, "clk", pa.array(np.arange(len(table)))
    ),
}


def main() -> None:
    """Write the files and the index."""
    FOLDER.mkdir(exist_ok=True)
    whole = FOLDER / "whole.clk.parquet"
    whole.unlink(missing_ok=True)
    faults.small_file(whole, 24)
    index = {}
    names = {name: f"{name.replace(' ', '-').replace('^', '')}.clk.parquet"
             for name in [*HEADERS, *ROWS]}  # fmt: skip
    for name, change in HEADERS.items():
        faults.rewritten(whole, FOLDER / names[name], change)
    for name, make in ROWS.items():
        table = pq.read_table(whole)
        header = {b"pprl": pq.read_metadata(whole).metadata[b"pprl"]}
        made = make(table.replace_schema_metadata(header))
        pq.write_table(made, FOLDER / names[name], compression="zstd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, file in names.items():
            try:
                pprl.Encodings.load(FOLDER / file)
            except pprl.errors.PprlError as error:
                index[file] = str(error).replace(str(FOLDER / file), "FILE")
            else:
                raise SystemExit(f"{name} was read")
    text = json.dumps(index, indent=1, sort_keys=True, ensure_ascii=True)
    (FOLDER / "index.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
