"""Signatures: by whom a sealed file is, in OpenSSH's format, checked with ssh-keygen itself."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

import pprl
from pprl.cli import app
from pprl.errors import BadSignature, OutputExists, PprlError, UsageError
from pprl.exchange.identities import new_identity
from pprl.exchange.sealing import seal, unseal
from pprl.exchange.signing import (
    check_signature,
    new_signing_key,
    read_signers,
    read_signing_key,
    sign,
    signature_of,
)

# The key of RFC 8032, section 7.1, test 1; its signature of b"linkage\n" was made by
# OpenSSH 9.2: ssh-keygen -Y sign -n file.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
GOLDEN = """\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg11qYAYKxCrfVS/7TyWQHOg7hcv
PapiMlrwIaaPcHURoAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx
OQAAAEAjEItx0dleHx14rA5p3juduU3n8ZIxgvO83cv6CDMzvRrUtr2HnlNX8dvq3YXVhi
TfWarThgPeu0Sp8ilK2ocN
-----END SSH SIGNATURE-----
"""

keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


class Holder:
    """Somebody with a key for signatures."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        self.line = new_signing_key(self.key, name)
        self.public = folder / f"{name}.pub"


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder(tmp_path, "hospital")


def checked(path: Path, signers: Path) -> str:
    with open(path, "rb") as reader:
        return check_signature(path, reader, read_signers(signers)).name


def test_a_signature_of_openssh(tmp_path: Path) -> None:
    """Ed25519 signatures are deterministic, so ours is theirs, byte for byte."""
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    (tmp_path / "f").write_bytes(b"linkage\n")
    assert signature_of(tmp_path / "f", key) == GOLDEN
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    (tmp_path / "who.pub").write_bytes(b"# signers\n\n" + public + b" registry of A\n")
    (tmp_path / "f.sig").write_text(GOLDEN)
    assert checked(tmp_path / "f", tmp_path / "who.pub") == "registry of A"


@keygen
@pytest.mark.parametrize("hashed", ["sha512", "sha256"])
def test_with_ssh_keygen_both_ways(tmp_path: Path, holder: Holder, hashed: str) -> None:
    def ssh(*arguments: str, stdin: Path | None = None) -> None:
        with open(stdin or os.devnull, "rb") as given:
            subprocess.run(
                ["ssh-keygen", "-q", *arguments], stdin=given, check=True, capture_output=True
            )

    path = tmp_path / "f"
    path.write_bytes(b"content" * 1000)
    sign(path, tmp_path / "f.sig", read_signing_key(holder.key))
    allowed = tmp_path / "allowed"
    allowed.write_text(f"hospital {holder.line}\n")
    where = ["-f", str(allowed), "-I", "hospital", "-n", "file", "-s", f"{path}.sig"]
    ssh("-Y", "verify", *where, stdin=path)
    other = tmp_path / "theirs"
    ssh("-t", "ed25519", "-N", "", "-C", "theirs", "-f", str(other))
    (tmp_path / "f.sig").unlink()
    ssh("-Y", "sign", "-n", "file", "-O", f"hashalg={hashed}", "-f", str(other), str(path))
    assert checked(path, tmp_path / "theirs.pub") == "theirs"
    assert read_signing_key(other).public_key() == read_signers(tmp_path / "theirs.pub")[0].key
    ssh("-p", "-P", "", "-N", "correct horse", "-f", str(other))
    with pytest.raises(UsageError, match="passphrase"):
        read_signing_key(other)


def test_whatever_is_altered_is_refused(tmp_path: Path, holder: Holder) -> None:
    path, signature = tmp_path / "f", tmp_path / "f.sig"
    path.write_bytes(b"content")
    sign(path, signature, read_signing_key(holder.key))
    whole = signature.read_bytes()
    lines = whole.split(b"\n")
    blob = base64.b64decode(b"".join(lines[1:-2]))
    for at in range(len(blob)):
        made = bytearray(blob)
        made[at] ^= 1 << at % 8
        signature.write_bytes(b"\n".join([lines[0], base64.b64encode(made), *lines[-2:]]))
        with pytest.raises(BadSignature):
            checked(path, holder.public)
    for made in (b"", whole[:60], b"x" + whole, b"\xff" * 99, whole * 400, lines[0] + b"\n" * 9):
        signature.write_bytes(made)
        with pytest.raises(BadSignature):
            checked(path, holder.public)
    signature.write_bytes(whole)
    assert checked(path, holder.public) == "hospital"
    path.write_bytes(b"Content")
    with pytest.raises(BadSignature, match="is not what hospital signed"):
        checked(path, holder.public)


def test_sealed_and_signed(tmp_path: Path, holder: Holder) -> None:
    recipient = pytest.importorskip("pyrage") and new_identity(tmp_path / "unit.txt")
    plain, sealed = tmp_path / "plain", tmp_path / "x.age"
    plain.write_bytes(b"content" * 999)
    seal(plain, sealed, [recipient], sign_key=holder.key)
    other = Holder(tmp_path, "registry")
    both = tmp_path / "both"
    both.write_text(f"{other.line}\n{holder.line}\n")
    unit = tmp_path / "unit.txt"
    assert unseal(sealed, tmp_path / "out", unit, signed_by=both) == "hospital"
    assert (tmp_path / "out").read_bytes() == plain.read_bytes()
    for signers, message in ((other.public, "no signature of registry"),):
        with pytest.raises(BadSignature, match=message):
            unseal(sealed, tmp_path / "no", unit, signed_by=signers)
    # Sealed anew by somebody else who knows the recipient, with the old signature beside it.
    (tmp_path / "other").write_bytes(b"other")
    sealed.unlink()
    seal(tmp_path / "other", sealed, [recipient])
    with pytest.raises(BadSignature, match="is not what hospital signed"):
        unseal(sealed, tmp_path / "no", unit, signed_by=both)
    (tmp_path / "x.age.sig").unlink()
    with pytest.raises(BadSignature, match="nobody signed"):
        unseal(sealed, tmp_path / "no", unit, signed_by=both)
    assert not (tmp_path / "no").exists()
    # Both files appear, or none.
    (tmp_path / "y.age.sig").write_text("mine")
    with pytest.raises(OutputExists):
        seal(plain, tmp_path / "y.age", [recipient], sign_key=holder.key)
    assert not (tmp_path / "y.age").exists()


def test_keys_of_signatures(tmp_path: Path, holder: Holder) -> None:
    assert stat.S_IMODE(holder.key.stat().st_mode) == 0o600 or os.name != "posix"
    assert holder.public.read_text() == f"{holder.line}\n"
    with pytest.raises(OutputExists):
        new_signing_key(holder.key, "hospital")
    pprl.LinkageKey.generate().save(tmp_path / "linkage.key")
    with pytest.raises(UsageError, match="holds a linkage key"):
        read_signing_key(tmp_path / "linkage.key")
    holder.public.chmod(0o600)
    with pytest.raises(UsageError, match="holds a public key for SSH"):
        read_signing_key(holder.public)
    with pytest.raises(UsageError, match="holds a signing key"):
        read_signers(holder.key)
    with pytest.raises(UsageError, match="holds a signing key"):
        pprl.LinkageKey.load(holder.key)
    for text in ("", "# nobody\n", "ssh-ed25519 AAAA x\n", "ssh-rsa AAAAB3NzaC1yc2E=\n"):
        (tmp_path / "bad.pub").write_text(text)
        with pytest.raises(UsageError, match="public key"):
            read_signers(tmp_path / "bad.pub")
    for name in ("", "  ", "a\nb", "x" * 300):
        with pytest.raises(UsageError, match="one line of"):
            new_signing_key(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_a_damaged_key_shows_in_no_frame(holder: Holder) -> None:
    from test_outputs import local_variables

    lines = holder.key.read_text().splitlines()
    lines[2] = lines[2][:20] + ("B" if lines[2][20] != "B" else "C") + lines[2][21:40]
    holder.key.write_text("\n".join(lines))
    with pytest.raises(UsageError, match="not a private key") as caught:
        read_signing_key(holder.key)
    assert lines[1][5:25] not in local_variables(caught.value) + str(caught.value)


def test_commands(tmp_path: Path, people: pd.DataFrame, schema_file: Path) -> None:
    """A holder encodes, seals and signs; the linkage unit links what its holders signed."""
    recipient = pytest.importorskip("pyrage") and new_identity(tmp_path / "unit.txt")

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, [str(one) for one in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    people.to_csv(tmp_path / "people.csv", index=False)
    pprl.LinkageKey.generate().save(tmp_path / "k.key")
    run("keygen", tmp_path / "a.sign", "--signing", "hospital A")
    keys = ["-s", schema_file, "-k", tmp_path / "k.key", "--id-column", "id"]
    sealing = ["--seal-to", recipient, "--sign-key", tmp_path / "a.sign"]
    to = ["-o", tmp_path / "a.age", "--rejects", tmp_path / "a.csv"]
    run("encode", tmp_path / "people.csv", *keys, *to, *sealing)
    run("seal", schema_file, "-o", tmp_path / "b.age", "--to", recipient, *sealing[2:])
    files = [tmp_path / "a.age", tmp_path / "b.age"]
    opening = ["--identity", tmp_path / "unit.txt", "--signed-by", tmp_path / "a.sign.pub"]
    said = run("unseal", files[0], "-o", tmp_path / "a.clk.parquet", *opening)
    assert "signed by hospital A" in said.replace("\n", " ")
    # Signed in turn: the other file's signature is not this file's.
    (tmp_path / "a.age.sig").write_bytes((tmp_path / "b.age.sig").read_bytes())
    with pytest.raises(BadSignature):
        run("link", *files, "-o", tmp_path / "other", "--threshold", "0.9", *opening)
    with pytest.raises(BadSignature):
        run("dedupe", files[0], "-o", tmp_path / "other", "--threshold", "0.9", *opening)
    assert not (tmp_path / "other").exists()
    with pytest.raises(UsageError, match="not sealed"):
        run("dedupe", tmp_path / "a.clk.parquet", "-o", tmp_path / "other", *opening)
    with pytest.raises(PprlError, match="make one at a time"):
        run("keygen", tmp_path / "z", "--signing", "a", "--identity")
    with pytest.raises(UsageError, match="name recipients"):
        run("encode", tmp_path / "people.csv", *keys, "-o", tmp_path / "z", *sealing[2:])
