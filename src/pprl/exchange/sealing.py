"""Sealing: encryption to the linkage unit's public key, in the age format.

Any `age` program opens a sealed file. The plaintext is never written to disk: it goes
through in pieces, and a sealed encodings file is opened in memory.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

from pprl.errors import (
    MissingDependency,
    NotSealed,
    PprlError,
    TamperedFile,
    TruncatedFile,
    UnreadableFile,
    UsageError,
    WrongRecipient,
)
from pprl.exchange.atomic import staged_files, whole_file
from pprl.exchange.key_files import kind_of_key, read_key_file
from pprl.exchange.signing import Signer, check_signature, read_signers, read_signing_key, sign

MAGIC = b"age-encryption.org/"
_CHUNK = 64 * 1024
_TAG = 16
_NONCE = 16


def seal(
    source: str | PathLike[str],
    out: str | PathLike[str],
    recipients: Sequence[str],
    *,
    sign_key: str | PathLike[str] | None = None,
) -> None:
    """Encrypt a file to one or several recipients; any of them can open it.

    Args:
        source: The file.
        out: The sealed file, usually ``.age``.
        recipients: age recipients, ``age1...``.
        sign_key: The holder's own key, to sign the sealed file: the signature is written to
            ``out`` with ``.sig`` (see `pprl.exchange.signing`). Both files appear, or none.

    Raises:
        OutputExists: There is a file at ``out`` already, or its signature.
        UnreadableFile: The source cannot be read, or ``out`` not written.
        UsageError: A recipient is none.
        MissingDependency: pyrage is not installed.
    """
    if sign_key is not None:
        key, signature = read_signing_key(sign_key), f"{os.fspath(out)}.sig"
        with staged_files(out, signature) as (sealed, signed):
            seal(source, sealed, recipients)
            sign(sealed, signed, key)
        return
    with _reading(source) as reader, sealed_writer(out, recipients) as writer:
        while piece := reader.read(1 << 20):
            writer.write(piece)


@contextmanager
def sealed_writer(path: str | PathLike[str], recipients: Sequence[str]) -> Iterator[IO[bytes]]:
    """Give a stream whose bytes arrive encrypted in a file, whole or not at all.

    Raises:
        What `seal` raises.
    """
    pyrage = _pyrage()
    keys = parse_recipients(recipients)
    failed: list[BaseException] = []
    with whole_file(path, private=True) as temporary, open(temporary, "wb") as file:
        target = _Counted(file)
        read_end, write_end = os.pipe()

        def encrypt() -> None:
            try:
                with open(read_end, "rb") as reader:
                    pyrage.encrypt_io(reader, target, keys)
            except BaseException as error:  # noqa: BLE001 - raised again by the other thread
                failed.append(error)

        worker = threading.Thread(target=encrypt, name="pprl-seal")
        worker.start()
        try:
            with open(write_end, "wb") as writer:
                yield writer
        except OSError:
            # The other end failed first, and says why.
            worker.join()
            if not failed:
                raise
        finally:
            worker.join()
        if target.error is not None:
            raise target.error
        if failed:
            raise UnreadableFile(f"{path} could not be sealed ({type(failed[0]).__name__}).")
        target.flush()


def unseal(
    source: str | PathLike[str],
    out: str | PathLike[str],
    identity: str | PathLike[str],
    *,
    signed_by: str | PathLike[str] | None = None,
) -> str | None:
    """Decrypt a sealed file with an identity file.

    Args:
        source: The sealed file.
        out: The file to write; appears only when all of it was authentic.
        identity: A file with one or several age identities.
        signed_by: A file with the public keys of who may have signed it; nothing is decrypted
            unless one of them did (see `pprl.exchange.signing`).

    Returns:
        The name of who signed it; None where that was not asked.

    Raises:
        OutputExists: There is a file at ``out`` already.
        BadSignature: None of those signed it.
        UnreadableFile: A file cannot be read, or ``out`` not written.
        NotSealed: The source is not an age file.
        WrongRecipient: It was sealed for somebody else.
        TruncatedFile: It was cut short.
        TamperedFile: It was altered.
        UsageError: The identity file holds no identity.
        MissingDependency: pyrage is not installed.
    """
    keys = read_identities(identity)
    signers = None if signed_by is None else read_signers(signed_by)
    with whole_file(out, private=True) as temporary, open(temporary, "wb") as writer:
        signer = _decrypt(source, writer, keys, signers)
        writer.flush()
    return signer


def open_sealed(
    source: str | PathLike[str],
    identity: str | PathLike[str],
    *,
    signed_by: str | PathLike[str] | None = None,
) -> io.BytesIO:
    """Decrypt a sealed file into memory. Raises what `unseal` raises."""
    out = io.BytesIO()
    signers = None if signed_by is None else read_signers(signed_by)
    _decrypt(source, out, read_identities(identity), signers)
    out.seek(0)
    return out


def is_sealed(path: str | PathLike[str]) -> bool:
    """Tell an age file from any other, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def parse_recipients(recipients: Sequence[str]) -> list[Any]:
    """Read age recipients.

    Raises:
        UsageError: One is none, or there are none.
    """
    pyrage = _pyrage()
    if not recipients:
        raise UsageError("name at least one recipient: age1...")
    keys = []
    for number, text in enumerate(recipients, start=1):
        if text.strip().upper().startswith("AGE-SECRET-KEY-"):
            raise UsageError(
                f"recipient {number} is a secret identity. Seal to its public half, age1..., and "
                f"take the secret for lost if others could see this command."
            )
        try:
            keys.append(pyrage.x25519.Recipient.from_str(text.strip()))
        except pyrage.RecipientError:
            raise UsageError(
                f"recipient {number} is no age recipient: age1 and 58 more letters and digits, "
                f"as the linkage unit's 'pprl keygen --identity' printed it."
            ) from None
    return keys


def read_identities(path: str | PathLike[str]) -> list[Any]:
    """Read an identity file as ``age-keygen`` writes it: one a line, # for comments.

    Raises:
        UnreadableFile: The file cannot be read.
        UsageError: It holds no identity, or a damaged one.
    """
    pyrage = _pyrage()
    content = read_key_file(path, warn_readable=False)
    kind = kind_of_key(content)
    if kind != "an age identity" and not content.startswith(b"#"):
        del content
        raise UsageError(
            f"identity file {path} holds {kind or 'no age identity'}. Give the file that "
            f"'pprl keygen --identity' or 'age-keygen' wrote."
        )
    keys, wrong = _identities(content, pyrage)
    del content
    if wrong:
        raise UsageError(
            f"identity file {path}, line {wrong}: no age identity (AGE-SECRET-KEY-1...). "
            f"Make one: pprl keygen FILE --identity."
        )
    if not keys:
        raise UsageError(
            f"identity file {path} holds no identity. Make one: pprl keygen FILE --identity."
        )
    return keys


def _identities(content: bytes, pyrage: Any) -> tuple[list[Any], int]:
    """Read identities; and the number of the first line that is none, or 0.

    No error leaves this frame, so no traceback shows what its variables held.
    """
    keys = []
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            keys.append(pyrage.x25519.Identity.from_str(text))
        except pyrage.IdentityError:
            return [], number
    return keys, 0


def _decrypt(
    source: str | PathLike[str],
    writer: IO[bytes],
    keys: list[Any],
    signers: Sequence[Signer] | None,
) -> str | None:
    """Decrypt; first find out who signed, if that is asked, and return the name."""
    pyrage = _pyrage()
    counted = _Counted(writer)
    problem: PprlError
    signer = None
    with _reading(source) as reader:
        if signers is not None:
            signer = check_signature(source, reader, signers).name
            reader.seek(0)
        start = reader.read(len(MAGIC))
        if start != MAGIC:
            cut = start and MAGIC.startswith(start)
            raise (
                _truncated(source)
                if cut
                else NotSealed(f"{source} is not sealed: it is not an age file.")
            )
        reader.seek(0)
        try:
            pyrage.decrypt_io(reader, counted, keys)
            return signer
        except pyrage.DecryptError as error:
            problem = _of_header(source, str(error))
        except OSError as error:
            if counted.error is not None:
                raise counted.error from None
            if "truncated" in str(error):
                problem = _truncated(source)
            elif "decryption error" in str(error):
                problem = _of_payload(source, counted.written)
            else:
                problem = UnreadableFile(f"{source} cannot be unsealed ({_why(error)}).")
    raise problem


def _of_header(source: str | PathLike[str], message: str) -> PprlError:
    if "matching keys" in message:
        return WrongRecipient(
            f"{source} is sealed for somebody else, or its header was altered. Let the holder "
            f"compare the recipient with yours, over another channel."
        )
    if "whole buffer" in message or "ncomplete" in message:
        return _truncated(source)
    return TamperedFile(f"{source} was altered after it was sealed. Do not use it.")


def _of_payload(source: str | PathLike[str], written: int) -> PprlError:
    """Tell where the first piece stands that is not authentic: the last may be half a piece."""
    left = Path(source).stat().st_size - written // _CHUNK * (_CHUNK + _TAG)
    # In front of the pieces stand the header, shorter than a piece, and a nonce.
    header = _header_length(source) + _NONCE
    if left - header > _CHUNK + _TAG:
        return TamperedFile(f"{source} was altered after it was sealed. Do not use it.")
    return TamperedFile(
        f"{source} was altered or cut short in its last part. Do not use it; ask for it again."
    )


def _header_length(source: str | PathLike[str]) -> int:
    """Find where the header ends: with the line that begins with three hyphens."""
    length = 0
    with open(source, "rb") as file:
        for line in file:
            length += len(line)
            if line.startswith(b"---"):
                break
    return length


def _truncated(source: str | PathLike[str]) -> TruncatedFile:
    return TruncatedFile(f"{source} was cut short on its way. Ask for it again.")


class _Counted:
    """Counts the bytes that come out, and keeps the error of a disk that is full."""

    def __init__(self, writer: IO[bytes]) -> None:
        self._writer = writer
        self.written = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            self._writer.write(data)
        except OSError as error:
            self.error = error
            raise
        self.written += len(data)
        return len(data)

    def flush(self) -> None:
        try:
            self._writer.flush()
        except OSError as error:
            self.error = error
            raise


@contextmanager
def _reading(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    try:
        reader = open(path, "rb")  # noqa: SIM115 - closed below; only opening is caught
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({_why(error)}).") from None
    with reader:
        yield reader


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError:
        raise MissingDependency.of("sealing needs the package pyrage", "sealing") from None
    return pyrage
