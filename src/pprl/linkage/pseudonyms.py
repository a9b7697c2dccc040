"""Pseudonyms back: what holders and researchers get in place of links.

Every record gets a pseudonym of its project and its holder, linked or not, derived from its
record id alone. A holder's file is therefore the same whoever is in the other files, and no
two holders' or projects' pseudonyms have anything in common without the linkage unit's key.
Researchers get a pseudonym for each cluster, and beside it the holders' pseudonyms.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pprl.errors import PseudonymKeyError, UsageError
from pprl.exchange.atomic import output_folder, write_secret
from pprl.exchange.formats import Format
from pprl.exchange.key_files import kind_of_key, read_key_file
from pprl.exchange.links import Clusters

KEY_BYTES = 32
_PREFIX = "pprl-pseudonyms1-"
_CHECKSUM_BYTES = 4
_PSEUDONYM_BYTES = 15


class PseudonymKey:
    """The linkage unit's own secret, which no holder and no researcher has.

    Its repr shows a check value only, and it cannot be pickled.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise PseudonymKeyError(
                f"a pseudonym key has {KEY_BYTES} bytes, not {len(secret)}. "
                f"Make one with 'pprl keygen --pseudonyms'."
            )
        self._secret = secret

    @classmethod
    def generate(cls) -> PseudonymKey:
        """Make a key of 32 bytes from the operating system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> PseudonymKey:
        """Read a key file made by `save`. Warns if other users can read it.

        Raises:
            PseudonymKeyError: It is a key of another kind, or its checksum is wrong.
            UnreadableFile: The file is missing or cannot be read.
        """
        content = read_key_file(path)
        kind = kind_of_key(content) or "something else"
        key = _key_of(content) if kind == "a pseudonym key" else None
        del content
        if kind == "a linkage key":
            raise PseudonymKeyError(
                f"{path} is not a pseudonym key. The holders' linkage key is of no use here, and "
                f"must not be with who links. Make a key with 'pprl keygen --pseudonyms'."
            )
        if kind != "a pseudonym key":
            raise PseudonymKeyError(
                f"{path} is not a pseudonym key: it holds {kind}. Make a key with "
                f"'pprl keygen --pseudonyms'."
            )
        if key is None:
            raise PseudonymKeyError(
                f"key file {path} is damaged or mistyped: its checksum does not fit. "
                f"Copy it again from its source."
            )
        return key

    def save(self, path: str | PathLike[str]) -> None:
        """Write the key as checksummed text, readable by its owner only (mode 0600).

        Raises:
            OutputExists: There is a file already; a key is never overwritten.
            UnwritableFile: The folder does not exist or cannot be written to.
        """
        text = base64.b32encode(self._secret + _checksum(self._secret)).decode()
        held = [f"{_PREFIX}{text.rstrip('=').lower()}\n"]
        del text
        write_secret(held.pop(), path, "A key")

    def derive(self, purpose: str, *context: str) -> bytes:
        """Derive a key for one purpose (HKDF-SHA256, RFC 5869), each part with its length."""
        parts = [part.encode() for part in (purpose, *context)]
        info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return HKDF(SHA256(), KEY_BYTES, salt=b"pprl/v1/pseudonyms", info=info).derive(self._secret)

    def __repr__(self) -> str:
        check = hmac.new(self.derive("check"), b"", hashlib.sha256).hexdigest()[:16]
        return f"PseudonymKey(check={check})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a pseudonym key cannot be pickled: it must not leave the linkage unit")

    def __getstate__(self) -> Any:
        return self.__reduce__()


@dataclass(frozen=True, eq=False)
class Pseudonyms:
    """What goes to whom.

    Attributes:
        holders: For each holder ``record_id, pseudonym, version``, a row for each record it
            submitted, in its own order. It goes to that holder only.
        research: ``research_pseudonym, holder, pseudonym, version``, a row for each record,
            in the order of research pseudonyms. It goes to the researchers only.
    """

    holders: dict[str, pa.Table]
    research: pa.Table

    def save(
        self, folder: str | PathLike[str], kind: Format = "parquet", *, excel: bool = False
    ) -> list[Path]:
        """Write ``holders/<holder>.parquet`` for each, and ``research.parquet``.

        Args:
            folder: Where to write them.
            kind: ``parquet``, ``csv`` or ``arrow``; the names end in it.
            excel: CSV files for Excel; see `pprl.exchange.formats`.

        Raises:
            OutputExists: One of the files is there already.
            UsageError: A holder's name cannot be a file's.
        """
        from pprl.exchange.formats import write_as

        for name in self.holders:
            if not name or name.startswith(".") or set(name) & set('/\\\0:*?"<>|'):
                raise UsageError(f"holder {name!r}: a file cannot have that name.")
        tables = {f"holders/{name}.{kind}": table for name, table in self.holders.items()}
        tables[f"research.{kind}"] = self.research
        with output_folder(folder, list(tables)) as staged:
            (staged / "holders").mkdir()
            for name, table in tables.items():
                write_as(table, staged / name, kind, excel=excel)
        return [Path(folder) / name for name in tables]


def pseudonymise(
    clusters: Clusters, key: PseudonymKey, *, project: str, version: str = "1"
) -> Pseudonyms:
    """Give every record a pseudonym of its holder, and every cluster one for research.

    A pseudonym is 24 letters and digits: 120 bits of HMAC-SHA256 (RFC 2104) of the
    record id, or the cluster id, under a key derived for project, version and holder. The same
    key, project, version and id give the same pseudonym, so those of an earlier
    delivery stay.

    Args:
        clusters: A row for every submitted record.
        key: The linkage unit's own.
        project: The project's name. Another project's pseudonyms cannot be joined with these.
        version: A label, on each row as ``project/version``; another one changes every pseudonym.

    Raises:
        UsageError: The project or the version has no name.
    """
    if not project.strip() or not version.strip():
        raise UsageError("pseudonyms need the name of a project and a version.")
    table = clusters.table.combine_chunks()
    label = f"{project}/{version}"
    holders: dict[str, pa.Table] = {}
    crosswalk = []
    for name in pc.unique(table["holder"]).to_pylist():
        rows = table.filter(pc.equal(table["holder"], name))
        own = _pseudonyms(key.derive("holder", project, version, name), rows["record_id"])
        said = pa.array([label] * len(rows), pa.string())
        holders[name] = pa.table(
            [rows["record_id"], own, said], names=["record_id", "pseudonym", "version"]
        )
        research = _pseudonyms(key.derive("research", project, version), rows["cluster_id"])
        crosswalk.append(
            pa.table(
                [research, rows["holder"], own, said],
                names=["research_pseudonym", "holder", "pseudonym", "version"],
            )
        )
    order = [(name, "ascending") for name in ("research_pseudonym", "holder", "pseudonym")]
    return Pseudonyms(holders, pa.concat_tables(crosswalk).sort_by(order))


def _pseudonyms(key: bytes, ids: pa.ChunkedArray) -> pa.Array:
    return pa.array(_hashed(key, ids.to_pylist()), pa.string())


def _hashed(key: bytes, ids: Iterable[str]) -> list[str]:
    return [
        base64.b32encode(hmac.digest(key, one.encode(), "sha256")[:_PSEUDONYM_BYTES])
        .decode()
        .lower()
        for one in ids
    ]


def _key_of(content: bytes) -> PseudonymKey | None:
    """Read a key; None if it is damaged. No error leaves this frame with what it held."""
    text = content[len(_PREFIX) :].upper()
    try:
        raw = base64.b32decode(text + b"=" * (-len(text) % 8))
    except binascii.Error:
        return None
    secret, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if len(secret) != KEY_BYTES or not hmac.compare_digest(checksum, _checksum(secret)):
        return None
    return PseudonymKey(secret)


def _checksum(secret: bytes) -> bytes:
    return hashlib.sha256(_PREFIX.encode() + secret).digest()[:_CHECKSUM_BYTES]
