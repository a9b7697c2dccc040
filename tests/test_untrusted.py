"""Files that nobody need trust: read as they were written, or refused with an error of ours."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import faults
import pprl
from conftest import changed, encodings_of
from pprl.cli import app
from pprl.errors import (
    IncompatibleEncodings,
    PprlWarning,
    SchemaMismatch,
    UnreadableFile,
    UsageError,
)
from pprl.exchange.digests import DIGEST_KEY
from pprl.exchange.files import write_table
from pprl.exchange.links import CLUSTERS_SCHEMA, Clusters, Links
from pprl.exchange.rows import EncodingsFile
from pprl.exchange.untrusted.documents import BadDocument, parse_json, parse_toml, read_json
from pprl.exchange.untrusted.filters import FilterBounds
from pprl.exchange.untrusted.limits import DEPTH
from pprl.exchange.untrusted.text import for_spreadsheets, from_spreadsheets, shown

unverified = pytest.mark.filterwarnings("ignore:.* is unverified")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pprl.Encodings]:
    path = tmp_path_factory.mktemp("whole") / "a.clk.parquet"
    return path, faults.small_file(path)


def test_what_is_written_is_read_and_verified(whole: tuple[Path, pprl.Encodings]) -> None:
    """Without a warning: it carries digests."""
    path, made = whole
    assert DIGEST_KEY in pq.read_metadata(path).metadata
    assert faults.content_of(pprl.Encodings.load(path)) == faults.content_of(made)
    EncodingsFile.open(str(path)).check(memory=2_000)


@pytest.mark.parametrize("read", [faults.read_whole, faults.read_in_pieces])
def test_damaged_encodings(
    tmp_path: Path,
    whole: tuple[Path, pprl.Encodings],
    read: Callable[[Path], Callable[[], Any]],
) -> None:
    """No damage gives other content, or an error that is not ours."""
    path, rng = tmp_path / "b.clk.parquet", random.Random(3)
    right, content, ended = read(whole[0])(), whole[0].read_bytes(), []
    for _ in range(150):
        path.write_bytes(faults.mutated(content, rng))
        ended.append(faults.tried(read(path), right))
    assert set(ended) <= {"refused", "right"}
    assert ended.count("refused") > 100


@settings(max_examples=60)
@given(st.data())
def test_damaged_links_and_clusters(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    links = pa.table(
        {
            "left_id": [f"l{at}" for at in range(40)],
            "right_id": [f"r{at}" for at in range(40)],
            "similarity": np.linspace(0.6, 1, 40),
            "probability": pa.array([None, *np.linspace(0.5, 1, 39)], pa.float64()),
        }
    )
    clusters = pa.table(
        [[f"c{at // 2}" for at in range(40)], ["a", "b"] * 20, [f"r{at}" for at in range(40)]],
        schema=CLUSTERS_SCHEMA,
    )
    kind: type[Links | Clusters]
    for kind, table in ((Links, links), (Clusters, clusters)):
        path = folder / f"{kind.__name__}.parquet"
        write_table(table, path)
        assert kind.load(path).table.equals(table)
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        assert faults.tried(lambda k=kind, p=path: k.load(p).table, table) in ("refused", "right")


@unverified
def test_headers_that_lie(tmp_path: Path, whole: tuple[Path, pprl.Encodings]) -> None:
    """Any entry of any other type or value: refused, or the files are linked; never a traceback."""
    path, made = tmp_path / "b.clk.parquet", whole[1]
    header = json.loads(pq.read_metadata(whole[0]).metadata[b"pprl"])
    lies = faults.header_lies(header, random.Random(7))

    def use() -> None:
        pprl.link(made, pprl.Encodings.load(path), threshold=0.5, workers=1)

    ended = []
    for _ in range(150):
        lie = next(lies)
        faults.rewritten(whole[0], path, lambda _, lie=lie: lie)
        ended.append(faults.tried(use, None))
    assert "traceback" not in ended
    assert ended.count("refused") > 100


@unverified
def test_another_number_of_records(tmp_path: Path, whole: tuple[Path, pprl.Encodings]) -> None:
    path = tmp_path / "b.clk.parquet"
    header = json.loads(pq.read_metadata(whole[0]).metadata[b"pprl"])
    lies = list(faults.records_lies(header))
    assert len(lies) > 90
    for lie in lies[::4]:
        faults.rewritten(whole[0], path, lambda _, lie=lie: lie)
        for read in (faults.read_whole, faults.read_in_pieces):
            assert faults.tried(read(path), None) == "refused"


def test_a_file_without_digests_is_read_and_told(
    tmp_path: Path, whole: tuple[Path, pprl.Encodings]
) -> None:
    path = tmp_path / "b.clk.parquet"
    faults.rewritten(whole[0], path, lambda header: header)
    with pytest.warns(PprlWarning, match="is unverified: it carries no digests"):
        read = pprl.Encodings.load(path)
    assert faults.content_of(read) == faults.content_of(whole[1])


@unverified
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "1 record ids stand more than once"),
        (["a", "", "c"], "is empty in row 2"),
        (["a", "b", "\x1b[2J"], "has control characters in row 3"),
        (["a", "b\u202ec", "c"], "has control characters in row 2"),
        (["=cmd|'/c calc'!A1", "b", "c"], "begins with '=', as a formula does in row 1"),
        (["a", "b" * 1025, "c"], "1,024 bytes"),
        ([b"a", b"\xff\xfe", b"c"], "cannot be read"),
    ],
)
def test_ids_that_cannot_be(tmp_path: Path, ids: list[Any], message: str) -> None:
    path = tmp_path / "a.clk.parquet"
    encodings_of(np.arange(24, dtype=np.uint8).reshape(3, 8)).save(path)
    table = pq.read_table(path)
    column = pa.array([one if isinstance(one, bytes) else one.encode() for one in ids])
    column = pa.StringArray.from_buffers(3, *column.buffers()[1:])
    table = table.set_column(0, "record_id", column)
    metadata = {b"pprl": pq.read_metadata(path).metadata[b"pprl"]}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(UnreadableFile, match=re.escape(message)):
        pprl.Encodings.load(path)
    with pytest.raises(UnreadableFile, match=re.escape(message)):
        EncodingsFile.open(str(path)).check()


@unverified
def test_a_small_file_that_would_fill_the_memory(tmp_path: Path) -> None:
    """Rows that are all the same compress to nothing; texts, too, that stand once in the file."""
    n = 2_000_000
    one = encodings_of(np.full((1, 128), 85, np.uint8))
    info = one.info.model_copy(update={"rows": n, "records": n})
    clk = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(n, np.int32)), pa.array([bytes(128)], pa.binary(128))
    )
    for name, value in (("short", "x"), ("long", "x" * 1_000_000)):
        ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value]))
        path = tmp_path / f"{name}.clk.parquet"
        table = pa.table({"record_id": ids, "clk": clk})
        table = table.replace_schema_metadata({b"pprl": info.model_dump_json().encode()})
        pq.write_table(table, path)
        assert path.stat().st_size < 1_000_000
        with pytest.raises(UnreadableFile, match=r"would take [0-9,]+ in memory.*nothing of it"):
            pprl.Encodings.load(path)
        with pytest.raises(UnreadableFile, match="would take"):
            EncodingsFile.open(str(path))
    links = pa.table(dict.fromkeys(("left_id", "right_id"), ids)).slice(0, 60_000)
    scores = pa.nulls(60_000, pa.float64())
    links = links.append_column("similarity", scores).append_column("probability", scores)
    pq.write_table(links, tmp_path / "links.parquet", store_schema=False)
    with pytest.raises(UnreadableFile, match="a text has more than 1,024 bytes"):
        Links.load(tmp_path / "links.parquet")


def test_arrays_that_do_not_fit_the_header_never_reach_a_kernel() -> None:
    good = encodings_of(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for update in ({"records": 5}, {"rows": 80, "records": 80}, {"bits": 128}):
        info = good.info.model_copy(update=update)
        with pytest.raises(UsageError, match="encodings: "):
            pprl.Encodings(good.record_ids, good.clks, info)
    with pytest.raises(UsageError, match="variant without its record"):
        changed(good, variants=np.array([1, 0, 1, 0, 1, 0, 1, 0], np.uint8))


def test_headers_with_other_fields_are_incompatible() -> None:
    a = encodings_of(np.arange(64, dtype=np.uint8).reshape(8, 8), "a", present={"x": 1.0, "y": 1.0})
    b = encodings_of(np.arange(64, dtype=np.uint8).reshape(8, 8), "b", present={"z": 1.0})
    with pytest.raises(IncompatibleEncodings, match="different fields"):
        pprl.link(a, b, threshold=0.5)


@unverified
def test_a_false_header_with_other_fields(
    tmp_path: Path, whole: tuple[Path, pprl.Encodings]
) -> None:
    """Incompatible is what it is first of all, also where its share cannot be."""
    other = tmp_path / "other.clk.parquet"
    faults.rewritten(whole[0], other, lambda header: header | {"present": {"names": 5}})
    with pytest.raises(UnreadableFile, match="share"):
        pprl.Encodings.load(other)
    done = CliRunner().invoke(app, ["link", str(whole[0]), str(other), "-o", str(tmp_path / "o")])
    assert isinstance(done.exception, SchemaMismatch)
    assert done.exception.exit_code == 4
    with pytest.raises(SchemaMismatch, match="different fields"):
        pprl.cluster(whole[0], other, threshold=0.5)
    with pytest.raises(SchemaMismatch, match="different fields"):
        pprl.link(whole[0], other, threshold=0.5)


@pytest.mark.filterwarnings("ignore:the threshold")
@pytest.mark.parametrize("method", ["diffusion", "balance", "minhash", "none"])
def test_filters_that_no_record_can_have(tmp_path: Path, method: str) -> None:
    """All bits set, or nearly: set aside and told; the others link as if they were not there."""
    rng = np.random.default_rng(2)
    share = 0.3 if method == "none" else 0.5
    clks = np.packbits(rng.random((300, 1024)) < share, axis=1)
    said = {"method": method, "t": 9, "filter_bits": 1024}
    options: dict[str, Any] = {"hardening": said, "weights": {"": {"name": 180, "born": 180}}}
    honest = encodings_of(clks, "a", **options)
    assert not FilterBounds.of(honest.info).impossible(clks).any()
    poisoned = clks.copy()
    poisoned[::60] = 255
    poisoned[1::60] = np.packbits(rng.random((5, 1024)) < 0.97, axis=1)
    encodings_of(poisoned, "a", **options).save(tmp_path / "a.clk.parquet")
    with pytest.warns(PprlWarning, match=r"10 of 300 filters have more bits set than any record's"):
        read = pprl.Encodings.load(tmp_path / "a.clk.parquet")
    wrong = (poisoned != clks).any(axis=1)
    assert (read.clks[~wrong] == clks[~wrong]).all()
    assert not read.clks[wrong].any()
    # In pieces, too.
    file = EncodingsFile.open(str(tmp_path / "a.clk.parquet"))
    with pytest.warns(PprlWarning, match="10 of 300"):
        file.check()
    rows = np.concatenate([file.clks(batch) for _, batch in file.batches(file.clk_columns())])
    assert (rows == read.clks).all()
    b = encodings_of(clks, "b", **options)
    links = pprl.link(read, b, threshold=0.74, workers=1).links.table.to_pydict()
    expected = [f"a{at}" for at in np.flatnonzero(~wrong)]
    assert links["left_id"] == expected
    assert links["right_id"] == [one.replace("a", "b") for one in expected]


def test_poison_in_a_header_that_knows_of_it_or_not(tmp_path: Path) -> None:
    """Rows that changed after the header was written are refused, unless they are set aside."""
    rng = np.random.default_rng(2)
    clks = np.packbits(rng.random((200, 512)) < 0.5, axis=1)
    made = encodings_of(clks, hardening={"method": "balance"})
    changed_rows = clks.copy()
    changed_rows[:9] = 255
    pprl.Encodings(made.record_ids, changed_rows, made.info).save(tmp_path / "ones.clk.parquet")
    with pytest.warns(PprlWarning, match="9 of 200 filters"):
        pprl.Encodings.load(tmp_path / "ones.clk.parquet")
    changed_rows = clks.copy()
    changed_rows[:9] = 0
    pprl.Encodings(made.record_ids, changed_rows, made.info).save(tmp_path / "no.clk.parquet")
    with pytest.raises(UnreadableFile, match="popcounts"):
        pprl.Encodings.load(tmp_path / "no.clk.parquet")


def test_deep_and_huge_documents(tmp_path: Path) -> None:
    for at, (kind, text) in enumerate(faults.deep_documents()):
        if at % 5 == 0 or len(text) < 10_000:
            with pytest.raises(BadDocument):
                parse_json(text) if kind == "json" else parse_toml(text.decode())
    path = tmp_path / "x.json"
    path.write_bytes(b" " * 2000)
    with pytest.raises(UnreadableFile, match="larger than 1,000 bytes"):
        read_json(path, most=1000)
    assert parse_json("[" * DEPTH + "1" + "]" * DEPTH)


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', "[Infinity]", "[1e999]", '{"a": 1, "a": 2}', "9" * 5000, "\xff"]
)
def test_json_that_two_readers_read_differently(text: str) -> None:
    with pytest.raises(BadDocument):
        parse_json(text.encode("latin-1"))


@given(st.text(max_size=40))
def test_texts_are_inert_on_a_terminal_and_in_a_spreadsheet(text: str) -> None:
    on_screen = shown(text)
    assert all(one in "\n\t" or one.isprintable() or ord(one) > 159 for one in on_screen)
    assert not any("\x00" <= one < " " and one not in "\n\t" for one in on_screen)
    (cell,) = for_spreadsheets([text])
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_spreadsheets([cell]) == [text]


@pytest.mark.parametrize("secret", ["pprl1-46kobzti5x3nss5j", "AGE-SECRET-KEY-1QQPQYSQZQZ"])
def test_keys_are_not_shown(secret: str) -> None:
    assert secret not in shown(f"no such file: {secret}")
    assert secret[8:] not in shown(f"no such file: {secret}")


BOUNDS = """
import os, sys, warnings
os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ["NUMBA_CACHE_DIR"] = sys.argv[2]
sys.path.insert(0, sys.argv[3])
warnings.simplefilter("ignore")
import json, random
from pathlib import Path
import pyarrow.parquet as pq
import faults, pprl
folder = Path(sys.argv[1])
made = faults.small_file(folder / "a.clk.parquet", 30)
header = json.loads(pq.read_metadata(folder / "a.clk.parquet").metadata[b"pprl"])
lies, ended = faults.header_lies(header, random.Random(1)), []
for at in range(25):
    lie = next(lies)
    faults.rewritten(folder / "a.clk.parquet", folder / "b.clk.parquet", lambda _: lie)
    def use():
        pprl.link(made, pprl.Encodings.load(folder / "b.clk.parquet"), threshold=0.5, workers=1)
    ended.append(faults.tried(use, None))
print(json.dumps(ended))
"""


def test_kernels_with_their_bounds_checked(tmp_path: Path) -> None:
    """In a process of its own: numba reads the setting when it compiles."""
    done = subprocess.run(
        [sys.executable, "-c", BOUNDS, tmp_path, tmp_path / "cache", Path(__file__).parent],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
        env=os.environ,
    )
    ended = json.loads(done.stdout.splitlines()[-1])
    assert set(ended) <= {"right", "refused"}
    assert "right" in ended
