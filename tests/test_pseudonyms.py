"""Pseudonyms: the same for whoever may know, nothing for whoever may not."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import pickle
import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from scipy.stats import spearmanr
from typer.testing import CliRunner

import pprl
from pprl.cli import app
from pprl.errors import OutputExists, PprlWarning, PseudonymKeyError, UnreadableFile, UsageError
from pprl.exchange.links import CLUSTERS_SCHEMA

KEY = pprl.PseudonymKey(bytes(range(32)))


def clusters(shared: int, n: int = 300) -> pprl.Clusters:
    """Two holders of n records that have the same record ids and share so many people."""
    own = [f"p{i}" for i in range(n)]
    other = [f"p{i}" if i < shared else f"q{i}" for i in range(n)]
    ids = [f"r{i}" for i in range(n)]
    columns = [own + other, ["a"] * n + ["b"] * n, ids + ids]
    return pprl.Clusters(pa.table(columns, schema=CLUSTERS_SCHEMA))


def test_known_answer() -> None:
    """Once more, from the primitives."""
    made = pprl.pseudonymise(clusters(3), KEY, project="heart", version="2")
    info = b"".join(
        len(part).to_bytes(4, "big") + part for part in (b"holder", b"heart", b"2", b"a")
    )
    derived = HKDF(SHA256(), 32, salt=b"pprl/v1/pseudonyms", info=info).derive(bytes(range(32)))
    digest = hmac.new(derived, b"r7", hashlib.sha256).digest()[:15]
    assert made.holders["a"].slice(7, 1).to_pylist() == [
        {
            "record_id": "r7",
            "pseudonym": base64.b32encode(digest).decode().lower(),
            "version": "heart/2",
        }
    ]


def test_a_holders_file_does_not_depend_on_the_links() -> None:
    """Neither overlap nor links can be counted: the file is the same, bit for bit."""
    files = [pprl.pseudonymise(clusters(k), KEY, project="heart").holders for k in (0, 150, 300)]
    for name in "ab":
        assert files[0][name].equals(files[1][name])
        assert files[0][name].equals(files[2][name])
        assert files[0][name]["record_id"].to_pylist() == [f"r{i}" for i in range(300)]
        assert len(set(files[0][name]["pseudonym"].to_pylist())) == 300


def test_no_join_between_holders_projects_or_versions() -> None:
    """Whoever has two files finds no join, by value, by a piece of it, by order or by letters."""
    base = pprl.pseudonymise(clusters(300), KEY, project="heart")
    others = [
        base.holders["b"],
        pprl.pseudonymise(clusters(300), KEY, project="lung").holders["a"],
        pprl.pseudonymise(clusters(300), KEY, project="heart", version="2").holders["a"],
        pprl.pseudonymise(clusters(300), pprl.PseudonymKey.generate(), project="heart").holders[
            "a"
        ],
    ]
    # Row i of each is the same record id, and of holders a and b the same person.
    mine = base.holders["a"]["pseudonym"].to_pylist()
    for other in others:
        theirs = other["pseudonym"].to_pylist()
        assert not set(mine) & set(theirs)
        for piece in (slice(0, 3), slice(10, 13), slice(-3, None)):
            same = sum(x[piece] == y[piece] for x, y in zip(mine, theirs, strict=True))
            assert same <= 2  # 300 / 32 ** 3 are expected by chance.
        letters = np.array([[list(x), list(y)] for x, y in zip(mine, theirs, strict=True)])
        agree = (letters[:, 0] == letters[:, 1]).mean()
        assert agree == pytest.approx(1 / 32, abs=0.01)
        rank = spearmanr(np.argsort(np.argsort(mine)), np.argsort(np.argsort(theirs)))
        assert rank.pvalue > 1e-4


def test_research_pseudonyms() -> None:
    made = pprl.pseudonymise(clusters(200), KEY, project="heart")
    frame = made.research.to_pandas()
    assert len(frame) == 600
    assert frame["research_pseudonym"].nunique() == 400
    assert not set(frame["research_pseudonym"]) & set(frame["pseudonym"])
    assert frame["research_pseudonym"].is_monotonic_increasing
    assert set(frame.columns) == {"research_pseudonym", "holder", "pseudonym", "version"}
    a, b = (made.holders[name].to_pandas().set_index("pseudonym")["record_id"] for name in "ab")
    pairs = frame[frame["holder"] == "a"].merge(
        frame[frame["holder"] == "b"], on="research_pseudonym"
    )
    assert len(pairs) == 200
    assert (a.loc[pairs["pseudonym_x"]].to_numpy() == b.loc[pairs["pseudonym_y"]].to_numpy()).all()
    with pytest.raises(UsageError, match="name of a project"):
        pprl.pseudonymise(clusters(2), KEY, project=" ")


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "unit.key"
    KEY.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pprl.PseudonymKey.load(path).derive("x") == KEY.derive("x")
    with pytest.raises(OutputExists, match="never overwritten"):
        KEY.save(path)
    text = path.read_text()
    (tmp_path / "typo.key").write_text(text[:-4] + ("aaa" if text[-4:-1] != "aaa" else "bbb"))
    (tmp_path / "typo.key").chmod(0o600)
    with pytest.raises(PseudonymKeyError, match="checksum"):
        pprl.PseudonymKey.load(tmp_path / "typo.key")
    pprl.LinkageKey.generate().save(tmp_path / "linkage.key")
    with pytest.raises(PseudonymKeyError, match="not a pseudonym key"):
        pprl.PseudonymKey.load(tmp_path / "linkage.key")
    with pytest.raises(UnreadableFile):
        pprl.PseudonymKey.load(tmp_path / "none.key")
    path.chmod(0o644)
    with pytest.warns(PprlWarning, match="read by other users"):
        pprl.PseudonymKey.load(path)
    with pytest.raises(PseudonymKeyError, match="32 bytes, not 5"):
        pprl.PseudonymKey(b"short")


def test_key_is_masked() -> None:
    assert repr(KEY).startswith("PseudonymKey(check=")
    assert bytes(range(32)).hex() not in repr(KEY)
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            copied(KEY)


def test_command_line(tmp_path: Path) -> None:
    clusters(100).save(tmp_path / "clusters.parquet")
    run = CliRunner()
    key = tmp_path / "unit.key"
    done = run.invoke(app, ["keygen", str(key), "--pseudonyms"], catch_exceptions=False)
    assert done.exit_code == 0
    arguments = ["pseudonyms", str(tmp_path), "-k", str(key), "--project", "heart", "--json"]
    done = run.invoke(app, arguments, catch_exceptions=False)
    assert json.loads(done.output)["records"] == {"a": 300, "b": 300}
    own = pa.parquet.read_table(tmp_path / "pseudonyms" / "holders" / "a.parquet")
    assert own.column_names == ["record_id", "pseudonym", "version"]
    assert not own.schema.metadata
    assert (tmp_path / "pseudonyms" / "research.parquet").exists()
    secret = key.read_text().strip().split("-")[-1].encode()
    for path in (tmp_path / "pseudonyms").rglob("*.parquet"):
        assert secret not in path.read_bytes()
    with pytest.raises(OutputExists):
        run.invoke(app, arguments, catch_exceptions=False)
    (tmp_path / "clusters.parquet").rename(tmp_path / "links.parquet")
    with pytest.raises(UsageError, match="--deduplicated all"):
        run.invoke(app, arguments, catch_exceptions=False)


def test_a_holders_name_is_no_path(tmp_path: Path) -> None:
    table = clusters(1, 2).table
    away = pprl.Clusters(table.set_column(1, "holder", pa.array(["../x"] * 4)))
    with pytest.raises(UsageError, match="cannot have that name"):
        pprl.pseudonymise(away, KEY, project="heart").save(tmp_path / "out")
    assert not list(tmp_path.iterdir())
