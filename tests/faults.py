"""Damage done to files, for the suite at small size and for benchmarks/bench_faults.py in full.

A trial either gives exactly what the whole file gives, or an error of the tree. Anything else is
counted: "silent" (another content without an error), "traceback" (an error that is none of ours).
"""

from __future__ import annotations

import copy
import io
import json
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pprl
from pprl.errors import PprlError
from pprl.exchange.digests import DIGEST_KEY
from pprl.exchange.encodings import EncodingInfo, Popcounts
from pprl.exchange.rows import EncodingsFile

JUNK: list[Any] = [
    *(None, True, False, -1, 0, 1.5, 10**30, 2**64, -(2**63), "", "x", [], {}, [1], {"a": 1}),
    *("\x1b[2J", "\x00", "a" * 10_000, [[[[]]]], {"": {"": {}}}, 1e308, "5", ["x"], {"x": "y"}),
]


def tried(action: Callable[[], Any], right: Any) -> str:
    """Say how a trial ended: right, refused, silent or traceback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = action()
        except PprlError as error:
            text = str(error)
            ours = error.exit_code in (2, 3, 4) and "\x1b" not in text and "\x00" not in text
            return "refused" if ours else "traceback"
        except Exception:  # noqa: BLE001 - what a trial is to find
            return "traceback"
    return "right" if found == right else "silent"


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """Damage a file: a byte, a bit, a run of zeros, a cut, two places exchanged."""
    content = bytearray(whole)
    at = rng.randrange(len(content))
    what = rng.randrange(6)
    if what <= 1:
        content[at] = rng.randrange(256)
    elif what == 2:
        content[at] ^= 1 << rng.randrange(8)
    elif what == 3:
        content[at : at + rng.randint(1, 512)] = bytes(min(rng.randint(1, 512), len(content) - at))
    elif what == 4:
        del content[at:]
    else:
        other, n = rng.randrange(len(content)), rng.randint(1, 64)
        content[at : at + n], content[other : other + n] = (
            content[other : other + n],
            content[at : at + n],
        )
    return bytes(content)


def content_of(encodings: pprl.Encodings) -> tuple[Any, ...]:
    """Everything that a file of encodings says."""
    arrays = (encodings.clks, encodings.variants, encodings.present, encodings.block_keys)
    return (
        encodings.record_ids.to_pylist(),
        encodings.info.model_dump(),
        *(None if one is None else one.tobytes() for one in arrays),
    )


def small_file(path: Path, n: int = 60, seed: int = 1, holder: str = "hospital") -> pprl.Encodings:
    """Write encodings with variants, presence and blocking keys, and return them."""
    rng = np.random.default_rng(seed)
    bits = rng.random((n, 256)) < 0.35
    clks = np.packbits(bits, axis=1)
    variants = np.zeros(n, np.uint8)
    variants[3::7] = 1
    own = variants == 0
    number = np.cumsum(own) - 1
    present = np.packbits(rng.random((n, 3)) < 0.9, axis=1)
    keys = rng.integers(0, 9, (n, 2)).astype(np.uint64) << np.uint64(40)
    counts = np.bitwise_count(clks).sum(axis=1)
    info = EncodingInfo(
        library="pprl test",
        holder=holder,
        schema_name="test",
        schema_fingerprint="f" * 64,
        key_check="c" * 16,
        self_test="s" * 16,
        bits=256,
        weights={"": {"a": 40, "b": 40, "c": 30}},
        hardening={"method": "none"},
        records=int(own.sum()),
        rows=n,
        popcounts=Popcounts.of(Counter(counts.tolist())),
        present={
            name: round(float(share), 4)
            for name, share in zip(
                "abc", np.unpackbits(present[own], axis=1)[:, :3].mean(axis=0), strict=True
            )
        },
        blocking={
            name: round(float(share), 4)
            for name, share in zip(("p", "q"), (keys > 0).mean(axis=0), strict=True)
        },
        created="2026-01-01T00:00:00+00:00",
    )
    ids = pa.array([f"r{seed}-{at}" for at in number], pa.string())
    made = pprl.Encodings(ids, clks, info, variants, present, keys)
    made.save(path)
    return made


def rewritten(path: Path, out: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write a file again with another header, and without digests, as a stranger may."""
    table = pq.read_table(path)
    header = json.loads(pq.read_metadata(path).metadata[b"pprl"])
    made = change(header)
    text = made if isinstance(made, bytes) else json.dumps(made).encode()
    metadata = {b"pprl": text}
    assert DIGEST_KEY not in metadata
    pq.write_table(table.replace_schema_metadata(metadata), out)


def header_lies(header: dict[str, Any], rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield headers with one entry, at any depth, of another type or value, or without it."""
    places = [place for place in _places(header) if place]
    while True:
        made = copy.deepcopy(header)
        place = rng.choice(places)
        parent = made
        for key in place[:-1]:
            parent = parent[key]
        if rng.random() < 0.15:
            del parent[place[-1]]
        else:
            parent[place[-1]] = rng.choice(JUNK)
        yield made


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _places(value, (*path, key))


def records_lies(header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield 99 headers that say another number of records, of rows, or of both."""
    records, rows = header["records"], header["rows"]
    numbers = [0, 1, 5, records - 1, records + 1, rows - 1, rows + 1, 2 * rows, 10**7, 2**31 - 1]
    numbers += [2**31, 2**32, 2**53, 2**63 - 1, 2**63, -1, -5, 3, 7, 11, 100, 999, 1000, 4096]
    numbers += [10**6, 10**9, 10**12, 12, 13, 17, 64, 128, 255]
    for number in dict.fromkeys(numbers):
        for changed in ({"records": number}, {"rows": number}, {"records": number, "rows": number}):
            made = header | changed
            if (made["records"], made["rows"]) != (records, rows):
                yield made


def deep_documents() -> Iterator[tuple[str, bytes]]:
    """Yield 48 deep or huge texts: (kind, content)."""
    for depth in (65, 100, 500, 1_000, 10_000, 100_000, 600_000, 2_000_000):
        yield "json", b"[" * depth + b"]" * depth
        yield "json", b'{"a":' * depth + b"1" + b"}" * depth
        yield "json", b'{"inputs":' + b"[" * depth + b"]" * depth + b"}"
        yield "toml", b"a = " + b"[" * min(depth, 500_000) + b"]" * min(depth, 500_000)
        yield "toml", b".".join([b"a"] * min(depth, 500_000)) + b" = 1"
        yield "toml", b"a = " + b"{b=" * min(depth, 300_000) + b"1" + b"}" * min(depth, 300_000)


def read_whole(path: Path) -> Callable[[], Any]:
    """Read a file of encodings in memory."""
    return lambda: content_of(pprl.Encodings.load(path))


def read_in_pieces(path: Path) -> Callable[[], Any]:
    """Read a file of encodings as a job does, and check it."""

    def read() -> Any:
        file = EncodingsFile.open(str(path))
        file.check()
        names = list(file.columns)
        rows = pa.Table.from_batches([batch for _, batch in file.batches(names)])
        return file.info.model_dump(), rows.to_pydict()

    return read


def table_bytes(table: pa.Table) -> bytes:
    """A table as comparable bytes."""
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return out.getvalue()
