"""The linkage key: the one secret of a project, shared by its data holders only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import unicodedata
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any, NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pprl.errors import LinkageKeyError, PprlWarning, UnreadableFile
from pprl.exchange.atomic import write_secret
from pprl.exchange.key_files import SEVERAL_LINES, kind_of_key, read_key_file

KEY_BYTES = 32
"""Length of a generated key."""
MINIMUM_BYTES = 16
"""The shortest secret that is accepted: 128 bits."""
_PREFIX = "pprl1-"
_CHECKSUM_BYTES = 4
_LONGEST = 4096
_PASSPHRASE_CHARACTERS = 16
_DIFFERENT = 8
"""Sixteen random bytes have fewer different ones less often than once in 10^12."""
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{32,}")


class LinkageKey:
    """A secret that turns identifiers into encodings; made by `generate` or `load`.

    Its repr shows a check value only; it cannot be pickled, copied into a task
    graph or printed by accident.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if weak := weakness(secret):
            del secret
            raise LinkageKeyError(f"the linkage key {weak}. Make one with 'pprl keygen'.")
        self._secret = secret

    @classmethod
    def _weak(cls, secret: bytes) -> LinkageKey:
        """Take a secret that may be weak; who calls has warned."""
        key = object.__new__(cls)
        key._secret = secret
        return key

    @classmethod
    def _checked(cls, secret: bytes, source: str) -> LinkageKey:
        """Take what a checksum vouches for; warn where it was made of a weak secret."""
        if weak := weakness(secret):
            warnings.warn(
                f"{source}: the key {weak}. Use it only to link with encodings that exist",
                PprlWarning,
                stacklevel=3,
            )
        return cls._weak(secret)

    @classmethod
    def generate(cls) -> LinkageKey:
        """Make a key of 32 bytes from the operating system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_secret(cls, secret: str | bytes, *, allow_weak: bool = False) -> LinkageKey:
        """Take over a clkhash secret as it is (text as UTF-8).

        It is not stretched. From the header of one file, which has a check value of the
        key, a password is guessed at tens of thousands of guesses a second.

        Args:
            secret: What was given to clkhash as its secret.
            allow_weak: Accept fewer than 16 bytes, or text: to link with encodings that
                exist. Warns.

        Raises:
            LinkageKeyError: The secret is weak and ``allow_weak`` was not given.
        """
        raw = secret.encode() if isinstance(secret, str) else bytes(secret)
        weak = weakness(raw)
        if weak and allow_weak:
            warnings.warn(
                f"the secret {weak}. Use it only to link with encodings that exist",
                PprlWarning,
                stacklevel=2,
            )
            return cls._weak(raw)
        if weak:
            raise LinkageKeyError(
                f"the secret {weak}. Make a key with 'pprl keygen', or stretch a passphrase "
                f"with LinkageKey.from_passphrase; to link with encodings that exist "
                f"give allow_weak=True."
            )
        return cls(raw)

    @classmethod
    def load(cls, path: str | PathLike[str], *, allow_weak: bool = False) -> LinkageKey:
        """Read a key file made by `save`, or a file that holds a clkhash secret.

        Warns if other users of the machine can read the file, if the file is
        not in pprl's own form, whose checksum catches typing errors, and if it is, but the
        key was made of a weak secret.

        Args:
            path: The key file.
            allow_weak: Accept a clkhash secret of fewer than 16 bytes, or of text: to
                link with encodings that exist. Warns.

        Raises:
            LinkageKeyError: The key is short, text such as a password, or its checksum is
                wrong.
            UnreadableFile: The file is missing or cannot be read.
        """
        content = read_key_file(path)
        kind = kind_of_key(content)
        if kind == "a linkage key":
            secret = _secret_of(content)
            del content
            if secret is None:
                raise damaged_key(f"key file {path}")
            return cls._checked(secret, f"key file {path}")
        if kind is not None and kind != SEVERAL_LINES:
            del content
            raise LinkageKeyError(
                f"key file {path} holds {kind}, not a linkage key. Give the file that "
                f"'pprl keygen' wrote."
            )
        weak = weakness(content)
        if weak and not allow_weak:
            del content
            raise LinkageKeyError(
                f"key file {path}: what it holds {weak}"
                + (f" ({kind})" if kind else "")
                + ". Make one with 'pprl keygen'. Random "
                "bytes as base64 must be decoded first (base64 -d). To link with encodings "
                "that exist: LinkageKey.load(path, allow_weak=True) in Python, then save it."
            )
        warnings.warn(
            f"key file {path} is not in the form that 'pprl keygen' writes; it is taken as a "
            f"clkhash secret, byte for byte" + (f". It {weak}" if weak else ""),
            PprlWarning,
            stacklevel=2,
        )
        return cls._weak(content)

    @classmethod
    def from_text(cls, text: str, *, source: str = "the text") -> LinkageKey:
        """Read a key in pprl's own form, ``pprl1-...``, with its checksum.

        Args:
            text: The key.
            source: What to call it in errors.

        Raises:
            LinkageKeyError: It has another form, or its checksum is wrong.
        """
        of_ours = text.strip().startswith(_PREFIX)
        secret = _secret_of(text.strip().encode()) if of_ours else None
        del text
        if not of_ours:
            raise LinkageKeyError(
                f"{source} is not in the form that 'pprl keygen' writes ({_PREFIX}...)."
            )
        if secret is None:
            raise damaged_key(source)
        return cls._checked(secret, source)

    @classmethod
    def from_environment(cls, variable: str = "PPRL_KEY") -> LinkageKey:
        """Read a key in pprl's own form from an environment variable, and remove it there.

        Removed, so that programs started later do not inherit it.

        Raises:
            LinkageKeyError: The variable is not set, or holds no key.
        """
        # What is pasted in place of a variable's name may be the key itself.
        name = variable if re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", variable) else "that was named"
        if variable not in os.environ:
            raise LinkageKeyError(f"environment variable {name} is not set.")
        return cls.from_text(os.environ.pop(variable), source=f"environment variable {name}")

    @classmethod
    def from_descriptor(cls, descriptor: int) -> LinkageKey:
        """Read a key in pprl's own form from an open file descriptor, to its end.

        Raises:
            LinkageKeyError: What is read is no key.
            UnreadableFile: The descriptor cannot be read.
        """
        try:
            with open(descriptor, "rb") as stream:
                content = stream.read(_LONGEST)
        except OSError as error:
            raise UnreadableFile(f"file descriptor {descriptor}: {error.strerror}.") from None
        held = [content.decode("ascii", "replace")]
        del content
        return cls.from_text(held.pop(), source=f"file descriptor {descriptor}")

    @classmethod
    def from_passphrase(cls, passphrase: str, project: str) -> LinkageKey:
        """Stretch a passphrase with scrypt (RFC 7914; n = 2**17, r = 8, p = 1: 128 MiB).

        For where random bytes cannot be exchanged; a person's passphrase can still be
        guessed from any encoding, so this warns.

        Args:
            passphrase: At least 16 characters.
            project: The project's name, the salt; every holder uses the same one.

        Raises:
            LinkageKeyError: The passphrase is short or the project has no name.
        """
        if len(passphrase) < _PASSPHRASE_CHARACTERS:
            raise LinkageKeyError(
                f"the passphrase has fewer than {_PASSPHRASE_CHARACTERS} characters. Take six "
                f"random words or more, or better: 'pprl keygen'."
            )
        if not project.strip():
            raise LinkageKeyError("a passphrase needs the project's name as its salt.")
        warnings.warn(
            "a key from a passphrase can be guessed by anyone who has one encoding; "
            "exchange a random key instead (pprl keygen)",
            PprlWarning,
            stacklevel=2,
        )
        text = unicodedata.normalize("NFC", passphrase).encode()
        salt = b"pprl/v1/passphrase/" + unicodedata.normalize("NFC", project).encode()
        return cls(Scrypt(salt=salt, length=KEY_BYTES, n=1 << 17, r=8, p=1).derive(text))

    @classmethod
    def combine(cls, contributions: Mapping[str, LinkageKey]) -> LinkageKey:
        """Make one key of every holder's own, so that none of them chooses it alone.

        Each holder makes a key with `generate` and sends it to the others, sealed, after
        all have announced its check value (`repr` shows it): who answers last could
        otherwise choose.

        Args:
            contributions: By the holder's name, the same names everywhere; order does
                not matter.

        Raises:
            LinkageKeyError: There are fewer than two, or two are the same.
        """
        if len(contributions) < 2:
            raise LinkageKeyError("combine the keys of two holders or more.")
        if len(set(contributions.values())) < len(contributions):
            raise LinkageKeyError("two holders contributed the same key; each makes its own.")
        pieces = [
            len(part).to_bytes(4, "big") + part
            for name in sorted(contributions)
            for part in (name.encode(), contributions[name].secret_bytes())
        ]
        hkdf = HKDF(SHA256(), KEY_BYTES, salt=b"pprl/v1", info=b"combined key")
        return cls(hkdf.derive(b"".join(pieces)))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the key as checksummed text, readable by its owner only (mode 0600).

        Raises:
            OutputExists: There is a file already; a key is never overwritten.
            UnwritableFile: The folder does not exist or cannot be written to.
        """
        checksum = hashlib.sha256(_PREFIX.encode() + self._secret).digest()[:_CHECKSUM_BYTES]
        text = base64.b32encode(self._secret + checksum).decode().rstrip("=").lower()
        held = [f"{_PREFIX}{text}\n"]
        del text
        write_secret(held.pop(), path, "A key")

    def derive(self, purpose: str, *context: str, length: int = KEY_BYTES) -> bytes:
        """Derive a key for one purpose (HKDF-SHA256, RFC 5869).

        The context strings are prefixed with their lengths, so that no two
        different lists give the same key.
        """
        parts = [part.encode() for part in (purpose, *context)]
        info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return HKDF(SHA256(), length, salt=b"pprl/v1", info=info).derive(self._secret)

    def secret_bytes(self) -> bytes:
        """Return the secret itself, for clkhash's key derivation. Handle with care."""
        return self._secret

    def check_value(self) -> str:
        """Return a value that tells two keys apart without giving either away.

        It is what ``pprl keygen`` and ``pprl encode`` show, and what is in the header of every
        encodings file, whatever the schema.
        """
        return hmac.new(self.derive("check"), b"", hashlib.sha256).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"LinkageKey(check={self.check_value()})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LinkageKey):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.check_value())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a linkage key cannot be pickled: it must not leave the holder's process")

    def __getstate__(self) -> Any:
        return self.__reduce__()


def weakness(secret: bytes) -> str | None:
    """Say why a secret can be guessed; None if it looks like random bytes.

    Text is weak: a file of 32 printable characters is a password more often than not.
    Hexadecimal digits are taken where there are 32 or more, as ``openssl rand -hex`` writes.
    """
    if len(secret) < MINIMUM_BYTES:
        return f"has {len(secret)} bytes; at least {MINIMUM_BYTES} are needed"
    if len(set(secret)) < _DIFFERENT:
        return f"has fewer than {_DIFFERENT} different bytes, so it can be guessed"
    if _HEXADECIMAL.fullmatch(secret):
        return None
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return None
    if all(one.isprintable() or one.isspace() for one in text):
        return "is text, such as a password, which can be guessed from any encodings file"
    return None


def _secret_of(content: bytes) -> bytes | None:
    """Read a key in pprl's own form; None if it is damaged.

    No error leaves this frame, so no traceback shows what its variables held.
    """
    text = content[len(_PREFIX) :].upper()
    try:
        raw = base64.b32decode(text + b"=" * (-len(text) % 8))
    except binascii.Error:
        return None
    secret, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    expected = hashlib.sha256(_PREFIX.encode() + secret).digest()[:_CHECKSUM_BYTES]
    if len(secret) < MINIMUM_BYTES or not hmac.compare_digest(checksum, expected):
        return None
    return secret


def damaged_key(source: str) -> LinkageKeyError:
    """Make the error for a key whose checksum does not fit."""
    return LinkageKeyError(
        f"{source} is damaged or mistyped: its checksum does not fit. "
        f"Copy it again from its source."
    )
