"""The linkage key is hard to misuse."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import os
import pickle
from pathlib import Path

import pytest

import pprl
from conftest import key_of
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
    with pytest.raises(LinkageKeyError, match="15 bytes") as caught:
        pprl.LinkageKey.load(path)
    assert "fifteen" not in str(caught.value)
    with pytest.raises(LinkageKeyError):
        pprl.LinkageKey.from_secret("")
    with pytest.warns(PprlWarning, match="5 bytes"):
        pprl.LinkageKey.from_secret("horse", allow_weak=True)


WEAK = {
    "a password": b"UMCG-Groningen-2026!",
    "words": "correct horse battery stäple".encode(),
    "64 bits in hexadecimal": b"0123456789abcdef",
    "base64": base64.b64encode(bytes(range(32))),
    "lines": b"first line of it\nsecond line",
    "one byte": b"\xff" * 32,
}


@pytest.mark.parametrize("what", WEAK)
def test_secrets_that_can_be_guessed_are_refused(what: str, tmp_path: Path) -> None:
    secret = WEAK[what]
    path = tmp_path / "k"
    path.write_bytes(secret)
    path.chmod(0o600)
    for take in (
        pprl.LinkageKey,
        pprl.LinkageKey.from_secret,
        lambda _: pprl.LinkageKey.load(path),
    ):
        with pytest.raises(LinkageKeyError, match="guessed") as caught:
            take(secret)
        # Short words stand in the message by themselves.
        words = [word for word in secret.decode("latin-1").split() if len(word) > 5]
        assert not any(word in str(caught.value) for word in words)
        assert caught.value.__cause__ is None
    with pytest.warns(PprlWarning, match="guessed"):
        key = pprl.LinkageKey.from_secret(secret, allow_weak=True)
    with pytest.warns(PprlWarning, match="guessed") as warned:
        pprl.LinkageKey.load(path, allow_weak=True)
    key.save(tmp_path / "kept")
    with pytest.warns(PprlWarning, match="guessed") as again:
        assert pprl.LinkageKey.load(tmp_path / "kept") == key
    assert not any(secret.decode("latin-1") in str(one.message) for one in [*warned, *again])


@pytest.mark.parametrize(
    "secret",
    [os.urandom(16), os.urandom(32), os.urandom(16).hex().encode()],
    ids=["16 bytes", "32 bytes", "hexadecimal"],
)
def test_random_secrets_are_taken(secret: bytes) -> None:
    assert pprl.LinkageKey.from_secret(secret).secret_bytes() == secret


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
        key = pprl.LinkageKey.load(path, allow_weak=True)
    assert key == key_of("correct horse battery staple")


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
    key = key_of(b"0123456789abcdef")
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
    key = key_of(b"0123456789abcdef")
    assert key.derive("token").hex() == EXPECTED


EXPECTED = "210160ae8d16a6068c175b461d703da0649bd3e2e7bc41a58e35caa072ebb892"


def text_of(key: pprl.LinkageKey, folder: Path) -> str:
    key.save(folder / "k")
    return (folder / "k").read_text()


def test_text_form_follows_its_definition(tmp_path: Path) -> None:
    """pprl1-, then base32 of the secret and of four bytes of SHA-256(prefix + secret)."""
    secret = bytes(range(32))
    text = text_of(pprl.LinkageKey.from_secret(secret), tmp_path).strip()
    checksum = hashlib.sha256(b"pprl1-" + secret).digest()[:4]
    expected = base64.b32encode(secret + checksum).decode().rstrip("=").lower()
    assert text == f"pprl1-{expected}"


def test_from_the_environment_and_gone_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = pprl.LinkageKey.generate()
    monkeypatch.setenv("PROJECT_KEY", text_of(key, tmp_path))
    assert pprl.LinkageKey.from_environment("PROJECT_KEY") == key
    assert "PROJECT_KEY" not in os.environ
    with pytest.raises(LinkageKeyError, match="not set"):
        pprl.LinkageKey.from_environment("PROJECT_KEY")
    monkeypatch.setenv("PROJECT_KEY", "correct horse battery staple")
    with pytest.raises(LinkageKeyError, match="form") as caught:
        pprl.LinkageKey.from_environment("PROJECT_KEY")
    assert "horse" not in str(caught.value)


def test_from_a_descriptor(tmp_path: Path) -> None:
    key = pprl.LinkageKey.generate()
    text = text_of(key, tmp_path)
    for written, error in ((text, None), (text[:-5] + "\n", "checksum"), ("\xff", "form")):
        reader, writer = os.pipe()
        os.write(writer, written.encode())
        os.close(writer)
        if error is None:
            assert pprl.LinkageKey.from_descriptor(reader) == key
        else:
            with pytest.raises(LinkageKeyError, match=error):
                pprl.LinkageKey.from_descriptor(reader)
    with pytest.raises(UnreadableFile, match="descriptor"):
        pprl.LinkageKey.from_descriptor(reader)


def test_a_passphrase_goes_through_scrypt() -> None:
    """hashlib's scrypt, another implementation (OpenSSL's), gives the same."""
    words = "zeven dappere olifanten zingen in de regen"
    with pytest.warns(PprlWarning, match="guessed"):
        key = pprl.LinkageKey.from_passphrase(words, "registry 2026")
    made = hashlib.scrypt(
        words.encode(),
        salt=b"pprl/v1/passphrase/registry 2026",
        n=1 << 17,
        r=8,
        p=1,
        dklen=32,
        maxmem=1 << 28,
    )
    assert key == pprl.LinkageKey.from_secret(made)
    with pytest.raises(LinkageKeyError, match="16"):
        pprl.LinkageKey.from_passphrase("olifant", "registry 2026")
    with pytest.raises(LinkageKeyError, match="project"):
        pprl.LinkageKey.from_passphrase(words, " ")


def test_holders_combine_their_keys() -> None:
    one, two = key_of(b"1" * 32), key_of(b"2" * 32)
    made = pprl.LinkageKey.combine({"a": one, "b": two})
    assert made == pprl.LinkageKey.combine({"b": two, "a": one})
    assert made != pprl.LinkageKey.combine({"a": two, "b": one})
    assert made not in (one, two)
    # RFC 5869 by hand: extract, then one block of expand.
    material = b"".join(
        len(part).to_bytes(4, "big") + part for part in (b"a", b"1" * 32, b"b", b"2" * 32)
    )
    extracted = hmac.digest(b"pprl/v1", material, "sha256")
    expanded = hmac.digest(extracted, b"combined key\x01", "sha256")
    assert made == pprl.LinkageKey.from_secret(expanded)
    with pytest.raises(LinkageKeyError, match="two holders or more"):
        pprl.LinkageKey.combine({"a": one})
    with pytest.raises(LinkageKeyError, match="the same key"):
        pprl.LinkageKey.combine({"a": one, "b": one})
