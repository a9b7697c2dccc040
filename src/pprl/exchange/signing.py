"""Signatures that say who sealed a file: OpenSSH's format, SSHSIG, with Ed25519 keys.

A signature stands beside its file, in ``FILE.sig``. ``ssh-keygen -Y sign -n file`` makes the same
signatures, and ``ssh-keygen -Y verify -n file`` verifies them. Keys are OpenSSH's, too.

Source: PROTOCOL.sshsig of OpenSSH. The signatures themselves are those of `cryptography`.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pprl.errors import BadSignature, UnreadableFile, UsageError
from pprl.exchange.atomic import whole_file, whole_files
from pprl.exchange.key_files import kind_of_key, read_key_file
from pprl.exchange.untrusted.text import is_clean

_MAGIC = b"SSHSIG"
_NAMESPACE = b"file"
"""What a signature is for. ``file`` is the namespace that ssh-keygen's manual has for files."""

_HASHES = ("sha512", "sha256")
_KIND = b"ssh-ed25519"
_SIGNATURE = 64
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LARGEST = 64 << 10
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Signer:
    """Somebody whose signature is accepted.

    Attributes:
        name: What stands behind the key in its file, as the holder's name.
        key: The public key.
    """

    name: str
    key: Ed25519PublicKey


def new_signing_key(path: str | PathLike[str], name: str) -> str:
    """Make a key for signatures, and its public half beside it, as ``ssh-keygen -t ed25519`` does.

    Args:
        path: File to write (mode 0600); the public half is written to ``path`` with ``.pub``.
        name: The holder's name, to stand behind the public key.

    Returns:
        The public half, one line that begins with ``ssh-ed25519``.

    Raises:
        OutputExists: One of the files is there already.
        UnwritableFile: The folder does not exist or cannot be written to.
        UsageError: The name is empty or has control characters, or the path is itself a key.
    """
    if not name.strip() or not is_clean(name, _LONGEST_NAME):
        raise UsageError(f"the holder's name must be one line of 1 to {_LONGEST_NAME} characters.")
    target = Path(path)
    key = Ed25519PrivateKey.generate()
    line = f"{_openssh(key.public_key())} {name.strip()}"
    with whole_files(target, _public_path(target), private=True) as (secret, public):
        with open(secret, "wb") as file:
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.OpenSSH,
                    serialization.NoEncryption(),
                )
            )
        public.write_text(f"{line}\n", encoding="utf-8")
        # The public half is for everybody.
        os.chmod(public, 0o644)
    return line


def read_signing_key(path: str | PathLike[str]) -> Ed25519PrivateKey:
    """Read a key for signatures.

    Raises:
        UnreadableFile: The file cannot be read.
        UsageError: It holds no Ed25519 key in OpenSSH's format, or one with a passphrase.
    """
    content = read_key_file(path)
    kind = kind_of_key(content)
    key, why = _private(content)
    del content
    if key is None:
        held = "" if kind == "a signing key" else f" It holds {kind or 'something else'}."
        raise UsageError(
            f"signing key {path}: {why}.{held} Make one: pprl keygen FILE --signing NAME."
        )
    return key


def read_signers(path: str | PathLike[str]) -> list[Signer]:
    """Read the public keys of who may have signed: one a line, as in the files that end in .pub.

    Raises:
        UnreadableFile: The file cannot be read.
        UsageError: A line holds no Ed25519 public key, or there is none.
    """
    content = read_key_file(path, warn_readable=False)
    kind = kind_of_key(content)
    if kind in ("a signing key", "a linkage key", "a pseudonym key", "an age identity"):
        del content
        raise UsageError(
            f"{path} holds {kind}. Who signed is verified with public keys: the holder's file "
            f"that ends in .pub."
        )
    signers = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        signer = _signer(line.split(maxsplit=2), f"line {number}")
        if signer is None:
            raise UsageError(
                f"{path}, line {number}: not a public key for signatures (ssh-ed25519 AAAA... "
                f"name), as 'pprl keygen --signing' writes it beside the key."
            )
        signers.append(signer)
    if not signers:
        raise UsageError(f"{path} holds no public key.")
    return signers


def sign(source: str | PathLike[str], out: str | PathLike[str], key: Ed25519PrivateKey) -> None:
    """Sign a file; the signature is a file of its own.

    Args:
        source: The file.
        out: The signature, usually the source's name with ``.sig``.
        key: Who signs; see `read_signing_key`.

    Raises:
        OutputExists: There is a file at ``out`` already.
        UnreadableFile: The source cannot be read.
        UnwritableFile: ``out`` cannot be written.
    """
    text = signature_of(source, key)
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="ascii")


def signature_of(source: str | PathLike[str], key: Ed25519PrivateKey) -> str:
    """Return the signature of a file, as text. Raises `UnreadableFile` if it cannot be read."""
    try:
        with open(source, "rb") as reader:
            digest = hashlib.file_digest(reader, _HASHES[0]).digest()
    except OSError as error:
        raise UnreadableFile(f"{source} cannot be read ({error.strerror}).") from None
    made = key.sign(_signed(_HASHES[0], digest))
    text = base64.b64encode(_before(key.public_key(), _HASHES[0]) + made).decode("ascii")
    # Lines of 70 characters, as ssh-keygen writes them.
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def check_signature(
    source: str | PathLike[str], reader: IO[bytes], signers: Sequence[Signer]
) -> Signer:
    """Find out who of the expected signed a file; its signature stands beside it in ``.sig``.

    Nothing of the signature is believed: apart from its last 64 bytes it must be what one of
    the expected signers would have written.

    Args:
        source: The file's path.
        reader: The file, open; it is read to its end.
        signers: Whose signatures are accepted.

    Raises:
        BadSignature: There is no signature, it is somebody else's, or the file was altered.
    """
    path = Path(f"{os.fspath(source)}.sig")
    blob = _dearmoured(path)
    for signer in signers:
        for name in _HASHES:
            if blob[:-_SIGNATURE] != _before(signer.key, name):
                continue
            digest = hashlib.file_digest(reader, name).digest()  # type: ignore[arg-type]
            try:
                signer.key.verify(blob[-_SIGNATURE:], _signed(name, digest))
            except InvalidSignature:
                raise BadSignature(
                    f"{source} is not what {signer.name} signed: the file or {path.name} was "
                    f"altered, or they are not of one sealing. Do not use it."
                ) from None
            return signer
    names = ", ".join(one.name for one in signers)
    raise BadSignature(
        f"{path} is no signature of {names}: somebody else signed, or with another key or for "
        f"another purpose than files. Ask who sent it."
    )


def _dearmoured(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise BadSignature(
            f"there is no {path}, so nobody signed. Ask the holder for the signature that "
            f"'pprl seal --sign-key' wrote beside the sealed file."
        ) from None
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({error.strerror}).") from None
    lines = text.decode("ascii", "replace").split()
    words = " ".join(lines)
    begin, end = words.find(_BEGIN), words.find(_END)
    if len(text) > _LARGEST or begin != 0 or end < 0:
        raise BadSignature(f"{path} is no signature in OpenSSH's format.")
    try:
        return base64.b64decode(words[len(_BEGIN) : end].replace(" ", ""), validate=True)
    except ValueError:
        raise BadSignature(f"{path} is no signature in OpenSSH's format.") from None


def _private(content: bytes) -> tuple[Ed25519PrivateKey | None, str]:
    """Read a key, or say why not. No error leaves this frame, which holds the key's text."""
    try:
        key = serialization.load_ssh_private_key(content, password=None)
    except TypeError:
        return None, (
            "it has a passphrase. Sign with ssh-keygen -Y sign -n file, or use a key without one"
        )
    except (ValueError, UnsupportedAlgorithm):
        return None, "not a private key in OpenSSH's format"
    if not isinstance(key, Ed25519PrivateKey):
        return None, "not an Ed25519 key"
    return key, ""


def _signer(words: list[str], otherwise: str) -> Signer | None:
    try:
        key = serialization.load_ssh_public_key(" ".join(words[:2]).encode("utf-8"))
    except (ValueError, UnsupportedAlgorithm):
        return None
    name = words[2].strip() if len(words) > 2 else otherwise
    if not isinstance(key, Ed25519PublicKey) or not is_clean(name, _LONGEST_NAME):
        return None
    return Signer(name, key)


def _before(key: Ed25519PublicKey, hash_name: str) -> bytes:
    """Return the signature's file up to the signature itself."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    parts = (_string(_KIND) + _string(raw), _NAMESPACE, b"", hash_name.encode("ascii"))
    length = len(_string(_KIND)) + 4 + _SIGNATURE
    return (
        _MAGIC
        + (1).to_bytes(4, "big")
        + b"".join(map(_string, parts))
        + length.to_bytes(4, "big")
        + _string(_KIND)
        + _SIGNATURE.to_bytes(4, "big")
    )


def _signed(hash_name: str, digest: bytes) -> bytes:
    """Return what is signed in place of the file."""
    parts = (_NAMESPACE, b"", hash_name.encode("ascii"), digest)
    return _MAGIC + b"".join(map(_string, parts))


def _string(content: bytes) -> bytes:
    """Write a string as SSH does: its length in four bytes, and itself (RFC 4251)."""
    return len(content).to_bytes(4, "big") + content


def _openssh(key: Ed25519PublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode("ascii")


def _public_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")
