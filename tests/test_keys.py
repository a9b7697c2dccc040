"""The linkage key is hard to misuse."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest

import pprl
from pprl.errors import LinkageKeyError, OutputExists, PprlWarning, UnreadableFile


def test_round_trip_and_mode(tmp_path: Path) -> None:
    key = pprl.LinkageKey.generate()
    key.save(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert pprl.LinkageKey.load(tmp_path / "k") == key


def test_never_overwrites(tmp_path: Path) -> None:
    key = pprl.LinkageKey.generate()
    key.save(tmp_path / "k")
    with pytest.raises(OutputExists):
        pprl.LinkageKey.generate().save(tmp_path / "k")
    assert pprl.LinkageKey.load(tmp_path / "k") == key


@pytest.mark.parametrize("place", [8, 20, -3])
def test_a_typing_error_is_caught(tmp_path: Path, place: int) -> None:
    pprl.LinkageKey.generate().save(tmp_path / "k")
    text = list((tmp_path / "k").read_text())
    text[place] = "a" if text[place] != "a" else "b"
    (tmp_path / "k").write_text("".join(text))
    with pytest.raises(LinkageKeyError, match="checksum"):
        pprl.LinkageKey.load(tmp_path / "k")


def test_short_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("fifteen bytes..")
    path.chmod(0o600)
    with pytest.raises(LinkageKeyError, match="15 bytes"):
        pprl.LinkageKey.load(path)
    with pytest.raises(LinkageKeyError):
        pprl.LinkageKey.from_secret("")
    with pytest.warns(PprlWarning, match="guessed"):
        pprl.LinkageKey.from_secret("horse", allow_weak=True)


def test_readable_by_others_warns(tmp_path: Path) -> None:
    pprl.LinkageKey.generate().save(tmp_path / "k")
    os.chmod(tmp_path / "k", 0o644)
    with pytest.warns(PprlWarning, match="chmod 600"):
        pprl.LinkageKey.load(tmp_path / "k")


def test_clkhash_secret_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("correct horse battery staple\n")
    path.chmod(0o600)
    with pytest.warns(PprlWarning, match="clkhash secret"):
        key = pprl.LinkageKey.load(path)
    assert key == pprl.LinkageKey.from_secret("correct horse battery staple")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        pprl.LinkageKey.load(tmp_path / "k")


def test_nothing_gives_the_key_away() -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    key = pprl.LinkageKey.from_secret(secret)
    for shown in (repr(key), str(key), f"{key}"):
        assert "0123456789" not in shown
        assert secret.hex() not in shown
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            leave(key)
    with pytest.raises(AttributeError):
        key.__dict__  # noqa: B018


def test_derived_keys_differ_by_purpose_and_context() -> None:
    key = pprl.LinkageKey.from_secret(b"0123456789abcdef")
    made = {
        key.derive("token"),
        key.derive("check"),
        key.derive("token", "ab", "c"),
        key.derive("token", "a", "bc"),
        key.derive("tokena", "bc"),
    }
    assert len(made) == 5


def test_derivation_is_fixed() -> None:
    """A known answer, computed with OpenSSL: see the command below.

    openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:0123456789abcdef \\
        -kdfopt salt:pprl/v1 -kdfopt hexinfo:00000005746f6b656e -binary HKDF | xxd -p
    """
    key = pprl.LinkageKey.from_secret(b"0123456789abcdef")
    assert key.derive("token").hex() == EXPECTED


EXPECTED = "210160ae8d16a6068c175b461d703da0649bd3e2e7bc41a58e35caa072ebb892"
