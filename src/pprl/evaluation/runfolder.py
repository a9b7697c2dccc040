"""What a run left behind: its facts, and which of its files may be shown to others."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from pprl.errors import UnreadableFile
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.untrusted.documents import read_json_object
from pprl.exchange.untrusted.header import checked_header

SHOWN = {
    "linkage.json": ("what was compared and how", "application/json"),
    "estimate.json": ("quality as estimated without a truth", "application/json"),
    "quality.json": ("quality against a known truth", "application/json"),
    "review.json": ("quality as estimated from a clerical review", "application/json"),
    "linkage_report.json": ("linkage report", "application/json"),
    "report.html": ("linkage report, to read", "text/html"),
}
"""Files that tell of a run and of no record, with their meaning and media type."""

KEPT = {
    "links.parquet": "pairs of record ids",
    "clusters.parquet": "clusters of record ids",
}
"""Files that name records. A description tells of them and never holds them."""

_REPORTS = ("report.html", "linkage_report.json", "quality.json", "estimate.json")


@dataclass(frozen=True)
class Thing:
    """A file, as far as others may know it.

    Attributes:
        name: Its name, without a folder.
        what: What it holds.
        bytes: Its size.
        sha256: Its SHA-256, in hexadecimal.
    """

    name: str
    what: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, what: str) -> Thing:
        """Measure a file."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path.name, what, path.stat().st_size, digest)


@dataclass(frozen=True)
class LinkRun:
    """A run of ``pprl link`` or ``pprl dedupe``.

    Attributes:
        folder: Where its files are.
        facts: The content of ``linkage.json``.
        inputs: The headers of the encodings that were linked.
        shown, kept: Files that can be shown, and files that are described only.
        started, ended: ISO 8601, UTC.
        identifier: A URN that is the same whenever the same run is described.
    """

    folder: Path
    facts: dict[str, Any]
    inputs: tuple[EncodingInfo, ...]
    shown: tuple[Thing, ...]
    kept: tuple[Thing, ...]
    started: str
    ended: str

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> LinkRun:
        """Read the folder of a run.

        Raises:
            UnreadableFile: It has no ``linkage.json``, or no links or clusters.
        """
        path = Path(folder) / "linkage.json"
        if not path.exists():
            raise UnreadableFile(f"{path}: there is no such file. Is this a run's folder?")
        try:
            facts = read_json_object(path)
            inputs = tuple(checked_header(path, info) for info in facts["inputs"])
            seconds = float(facts["seconds"])
            ended = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (ValueError, KeyError, TypeError, OSError, OverflowError):
            raise UnreadableFile(f"{path} is not the linkage.json of a run.") from None
        shown, kept = (
            tuple(
                Thing.of(path.parent / name, what if isinstance(what, str) else what[0])
                for name, what in names.items()
                if (path.parent / name).is_file()
            )
            for names in (SHOWN, KEPT)
        )
        if not kept:
            raise UnreadableFile(f"{folder} holds neither links.parquet nor clusters.parquet.")
        return cls(
            folder=path.parent,
            facts=facts,
            inputs=inputs,
            shown=shown,
            kept=kept,
            started=(ended - timedelta(seconds=seconds)).isoformat(timespec="seconds"),
            ended=ended.isoformat(timespec="seconds"),
        )

    @property
    def identifier(self) -> str:
        """A name for the run that follows from its results."""
        digests = "".join(thing.sha256 for thing in self.kept)
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'pprl link {digests}')}"

    @property
    def records(self) -> int:
        """Rows of the linked dataset: links, or the records in clusters."""
        return int(self.facts["records"] if "clusters" in self.facts else self.facts["links"])

    @property
    def individuals(self) -> int:
        """Persons in it, as far as linkage is right: links, or clusters."""
        return int(self.facts.get("clusters", self.facts.get("links", 0)))

    @property
    def bytes(self) -> int:
        """Size of the files that the dataset consists of."""
        return sum(thing.bytes for thing in self.kept)

    @property
    def report(self) -> str:
        """The file that tells of quality, the fullest there is; empty without one."""
        names = {thing.name for thing in self.shown}
        return next((name for name in _REPORTS if name in names), "")
