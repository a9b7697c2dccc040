"""Sealed files: authentic to the last byte or refused, each failure by its own name."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import pprl
from conftest import by_id
from pprl.errors import (
    MissingDependency,
    NotSealed,
    OutputExists,
    PprlError,
    TamperedFile,
    TruncatedFile,
    UnreadableFile,
    UsageError,
    WrongRecipient,
)
from pprl.exchange.sealing import MAGIC, seal, sealed_writer, unseal

pyrage = pytest.importorskip("pyrage")

CHUNK = 65_536 + 16


class Party:
    """Somebody with an identity file."""

    def __init__(self, folder: Path, name: str) -> None:
        secret = pyrage.x25519.Identity.generate()
        self.recipient = str(secret.to_public())
        self.identity = folder / f"{name}.txt"
        self.identity.write_text(f"# public key: {self.recipient}\n{secret}\n")
        self.secret = secret


@pytest.fixture
def unit(tmp_path: Path) -> Party:
    return Party(tmp_path, "unit")


@pytest.fixture
def other(tmp_path: Path) -> Party:
    return Party(tmp_path, "other")


@pytest.fixture
def sealed(tmp_path: Path, unit: Party) -> Path:
    (tmp_path / "plain").write_bytes(np.random.default_rng(1).bytes(200_000))
    seal(tmp_path / "plain", tmp_path / "x.age", [unit.recipient])
    return tmp_path / "x.age"


def test_round_trip_to_several_recipients(tmp_path: Path, unit: Party, other: Party) -> None:
    for size in (0, 1, 65_536, 300_000):
        plain = tmp_path / f"plain{size}"
        plain.write_bytes(np.random.default_rng(size).bytes(size))
        seal(plain, tmp_path / f"{size}.age", [unit.recipient, other.recipient])
        for who in (unit, other):
            out = tmp_path / f"{size}-{who.identity.stem}"
            unseal(tmp_path / f"{size}.age", out, who.identity)
            assert out.read_bytes() == plain.read_bytes()


def test_it_is_the_age_format(sealed: Path, unit: Party, tmp_path: Path) -> None:
    """Opened by pyrage's one-shot function, and by the age command where there is one."""
    content = sealed.read_bytes()
    assert content.startswith(MAGIC + b"v1\n-> X25519 ")
    plain = (tmp_path / "plain").read_bytes()
    assert pyrage.decrypt(content, [unit.secret]) == plain
    if age := shutil.which("age"):
        command = [age, "--decrypt", "-i", unit.identity, sealed]
        assert subprocess.run(command, capture_output=True, check=True).stdout == plain


def refused(sealed: Path, unit: Party, content: bytes, error: type[PprlError]) -> str:
    damaged = sealed.with_name("damaged.age")
    damaged.write_bytes(content)
    out = sealed.with_name("out")
    with pytest.raises(error) as caught:
        unseal(damaged, out, unit.identity)
    assert type(caught.value) is error
    assert not out.exists()
    assert not list(sealed.parent.glob("*.part"))
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_truncated(sealed: Path, unit: Party) -> None:
    content = sealed.read_bytes()
    header = content.index(b"\n---") + 1
    header += content[header:].index(b"\n") + 1
    for length in (7, 25, 100, header, header + 9, header + 16, header + 16 + CHUNK):
        refused(sealed, unit, content[:length], TruncatedFile)
    # Within a piece, cut short and altered cannot be told apart; the message says both.
    for length in (header + 500, len(content) - 1):
        assert "cut short" in refused(sealed, unit, content[:length], TamperedFile)


@pytest.mark.parametrize("place", [120, 250, 400, 70_000, 140_000, -1])
def test_tampered(sealed: Path, unit: Party, place: int) -> None:
    content = bytearray(sealed.read_bytes())
    content[place] ^= 1
    text = refused(sealed, unit, bytes(content), TamperedFile)
    assert "altered" in text
    assert ("cut short" in text) == (place == -1)


def test_wrong_recipient_and_not_sealed(sealed: Path, unit: Party, other: Party) -> None:
    with pytest.raises(WrongRecipient):
        unseal(sealed, sealed.with_name("out"), other.identity)
    refused(sealed, unit, b"PAR1 something", NotSealed)
    refused(sealed, unit, b"", NotSealed)


def test_what_is_no_key_is_refused(sealed: Path, tmp_path: Path, unit: Party) -> None:
    plain = tmp_path / "plain"
    for wrong in (["age1nonsense"], [], [unit.recipient, "bob"]):
        with pytest.raises(UsageError, match="recipient"):
            seal(plain, tmp_path / "no.age", wrong)
    secret = str(unit.secret)
    with pytest.raises(UsageError, match="secret") as caught:
        seal(plain, tmp_path / "no.age", [secret])
    assert secret[20:40] not in str(caught.value)
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "bad.txt").write_text("AGE-SECRET-KEY-1XYZ\n")
    for name in ("empty.txt", "bad.txt"):
        with pytest.raises(UsageError, match="identity") as caught:
            unseal(sealed, tmp_path / "out", tmp_path / name)
        assert "XYZ" not in str(caught.value)
    with pytest.raises(UnreadableFile):
        unseal(sealed, tmp_path / "out", tmp_path / "nowhere.txt")
    with pytest.raises(UnreadableFile):
        seal(tmp_path / "nowhere", tmp_path / "no.age", [unit.recipient])
    with pytest.raises(OutputExists):
        seal(plain, sealed, [unit.recipient])
    assert not (tmp_path / "no.age").exists()


def test_a_failed_run_leaves_nothing(tmp_path: Path, unit: Party) -> None:
    def fail() -> None:
        with sealed_writer(tmp_path / "x.age", [unit.recipient]) as stream:
            stream.write(b"half")
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["unit.txt"]


def test_encodings_are_sealed_on_their_way_and_opened_in_memory(
    tmp_path: Path,
    people: pd.DataFrame,
    schema: pprl.Schema,
    key: pprl.LinkageKey,
    unit: Party,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.clk.parquet.age"
    info = pprl.encode_file(people, schema, key, path, id_column="id", seal_to=[unit.recipient])
    assert path.read_bytes().startswith(MAGIC)
    plain = pprl.encode(people, schema, key, id_column="id")
    before = set(tmp_path.rglob("*"))
    monkeypatch.setattr(pprl.exchange.files, "whole_file", None)
    loaded = pprl.Encodings.load(path, identity=unit.identity)
    np.testing.assert_array_equal(by_id(loaded).clks, by_id(plain).clks)
    assert loaded.info == info
    assert set(tmp_path.rglob("*")) == before
    with pytest.raises(UsageError, match="--identity"):
        pprl.Encodings.load(path)
    bad = io.BytesIO(path.read_bytes()).getvalue()[:-200]
    (tmp_path / "short.age").write_bytes(bad)
    with pytest.raises(TamperedFile, match="cut short"):
        pprl.Encodings.load(tmp_path / "short.age", identity=unit.identity)


def test_command_line(
    tmp_path: Path, sealed: Path, unit: Party, other: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealing and unsealing, and an exit code for each thing that can go wrong."""
    from pprl.cli import app

    run = CliRunner().invoke
    plain = tmp_path / "plain"
    to = ["--to", unit.recipient, "--to", other.recipient]
    assert run(app, ["seal", str(plain), *to]).exit_code == 0
    out = tmp_path / "out"
    opened = ["unseal", str(tmp_path / "plain.age"), "--identity", str(other.identity)]
    assert run(app, [*opened, "-o", str(out)]).exit_code == 0
    assert out.read_bytes() == plain.read_bytes()
    wrong = ["unseal", str(sealed), "--identity", str(other.identity), "-o", str(out) + "2"]
    assert isinstance(run(app, wrong).exception, WrongRecipient)
    monkeypatch.setitem(sys.modules, "pyrage", None)
    missing = run(app, [*opened, "-o", str(out) + "3"]).exception
    assert isinstance(missing, MissingDependency)
    assert missing.exit_code == 2
    assert "pprl-linkage[sealing]" in str(missing)
    assert not list(tmp_path.glob("out?"))


def test_the_key_may_come_from_elsewhere(
    tmp_path: Path,
    people: pd.DataFrame,
    schema_file: Path,
    key: pprl.LinkageKey,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pprl.cli import app

    people.to_csv(tmp_path / "p.csv", index=False)
    command = ["encode", str(tmp_path / "p.csv"), "-s", str(schema_file), "--id-column", "id"]
    monkeypatch.setenv("MY_KEY", key_file.read_text())
    made = []
    for number, source in enumerate((str(key_file), "env:MY_KEY")):
        out = tmp_path / f"{number}.clk.parquet"
        assert CliRunner().invoke(app, [*command, "-k", source, "-o", str(out)]).exit_code == 0
        made.append(pprl.Encodings.load(out))
    np.testing.assert_array_equal(by_id(made[0]).clks, by_id(made[1]).clks)
