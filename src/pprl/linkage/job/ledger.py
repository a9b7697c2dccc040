"""The ledger: which parts of a job are done, and the digest of the file that each left.

A part's file is taken for done only if the ledger has its digest and the file still has it. So a
file that was swapped, edited or damaged is found when the job is resumed, and the part is done
again. Each line of the ledger has a check of its own; a line without it counts as missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pprl.errors import UnreadableFile
from pprl.exchange.atomic import writing
from pprl.exchange.untrusted.documents import BadDocument, parse_json, read_bounded
from pprl.exchange.untrusted.limits import RESULT_BYTES

LEDGER = "done.jsonl"
"""The ledger's name in a job's folder."""


def file_digest(path: Path) -> dict[str, Any]:
    """Return the SHA-256 and the size of a file.

    Raises:
        UnreadableFile: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"sha256": digest, "bytes": file.tell()}
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({error.strerror}).") from None


class Ledger:
    """The ledger of one job."""

    def __init__(self, folder: Path, job: str) -> None:
        self._path, self._job = folder / LEDGER, job
        self.entries: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            for line in read_bounded(self._path, RESULT_BYTES).splitlines():
                self._read(line)

    def _read(self, line: bytes) -> None:
        try:
            entry = parse_json(line)
            if entry["check"] == self._check(entry["part"], entry):
                self.entries[entry["part"]] = entry
        except (BadDocument, KeyError, TypeError):
            return

    def note(self, part: str, digest: Mapping[str, Any]) -> None:
        """Write down that a part is done.

        Raises:
            UnwritableFile: The disk is full or gone.
        """
        entry = {"part": part, "sha256": digest["sha256"], "bytes": digest["bytes"]}
        entry["check"] = self._check(part, entry)
        with writing(self._path), open(self._path, "ab") as file:
            # After a kill the last line may lack its end.
            file.write(b"\n" + json.dumps(entry).encode() + b"\n")
        self.entries[part] = entry

    def holds(self, part: str, path: Path) -> bool | None:
        """Tell whether a part's file is the one that was written; None if nothing is known."""
        entry = self.entries.get(part)
        if entry is None:
            return None
        return file_digest(path) == {"sha256": entry["sha256"], "bytes": entry["bytes"]}

    def _check(self, part: str, entry: Mapping[str, Any]) -> str:
        text = json.dumps([self._job, part, entry["sha256"], entry["bytes"]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
