"""Deleting what a linkage unit need not keep of a run, with a record of that.

A file is deleted by removing its name. That does not overwrite the disk: on flash storage and
journalling file systems nothing that a program can do overwrites it with certainty. Keep a run on
an encrypted disk, and count backups and snapshots among what must be deleted.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pprl.errors import UnreadableFile, UnwritableFile, UsageError
from pprl.exchange.atomic import sync_folder, writing
from pprl.exchange.files import write_json
from pprl.exchange.untrusted.documents import read_json_object
from pprl.linkage.held import RECORD, Held, Holdings, Kind, holdings, holds_encodings, within
from pprl.linkage.job.ledger import file_digest
from pprl.linkage.job.lock import owned
from pprl.run_log import note
from pprl.version import library_version

Keep = Literal["links", "pseudonyms", "report"]

_KEPT: dict[Keep, tuple[Kind, ...]] = {
    "links": ("links", "pseudonyms", "report", "other"),
    "pseudonyms": ("pseudonyms", "report", "other"),
    "report": ("report", "other"),
}
_LOCK = ("lock", "owner")


def purge(
    folder: str | PathLike[str],
    keep: Keep,
    *,
    encodings: Sequence[str | PathLike[str]] = (),
    unfinished: bool = False,
) -> dict[str, Any]:
    """Delete what is not to be kept of a run, check that it is gone, and write that down.

    The record, ``deleted.json`` in the folder, names each file with its size and its SHA-256. It is
    begun before the first file is deleted, and says at the end that all are gone.

    Args:
        folder: The run's folder.
        keep: ``links`` deletes encodings and parts; ``pseudonyms`` also the tables that name
            records; ``report`` also the pseudonyms.
        encodings: Files of encodings elsewhere that are deleted, too, such as the inputs.
        unfinished: Delete the parts of a job that has no results, which cannot be resumed then.

    Returns:
        The entry of the record, and under ``left`` what was not deleted and may name people.

    Raises:
        UsageError: The job has no results, or a file that was named holds no encodings.
        JobLocked: A process works on the job.
        UnwritableFile: A file cannot be deleted, or is there again.
    """
    place = Path(folder)
    if keep not in _KEPT:
        raise UsageError(f"keep is one of {', '.join(_KEPT)}, not {keep!r}.")
    own = place / "job"
    if not own.is_dir():
        return _purge(place, keep, encodings, unfinished)
    with owned(own):
        entry = _purge(place, keep, encodings, unfinished)
    with writing(own):
        for name in _LOCK:
            (own / name).unlink(missing_ok=True)
        own.rmdir()
    return entry


def to_delete(
    folder: str | PathLike[str], keep: Keep, encodings: Sequence[str | PathLike[str]] = ()
) -> list[Held]:
    """Return what `purge` would delete, which takes the same arguments."""
    return _gone(holdings(folder), keep, encodings)


def _gone(found: Holdings, keep: Keep, encodings: Sequence[str | PathLike[str]]) -> list[Held]:
    named = [Path(path) for path in encodings]
    for path in named:
        if not path.is_file():
            raise UnreadableFile(f"{path}: there is no such file.")
        if not holds_encodings(path):
            raise UsageError(f"{path} does not hold encodings; it is not deleted.")
    gone = [one for one in found.files if _wrong(one, keep, found.folder)]
    inside = {one.path.resolve() for one in gone}
    return gone + [
        Held(path, "encodings", path.stat().st_size)
        for path in named
        if path.resolve() not in inside
    ]


def _purge(
    place: Path, keep: Keep, encodings: Sequence[str | PathLike[str]], unfinished: bool
) -> dict[str, Any]:
    found = holdings(place)
    if not found.finished and not unfinished:
        raise UsageError(
            f"the job in {place} has no results yet. Resume it, or delete its parts all the same "
            f"(--unfinished)."
        )
    gone = _gone(found, keep, encodings)
    entry: dict[str, Any] = {
        "id": secrets.token_hex(6),
        "state": "begun",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "library": f"pprl {library_version()}",
        "keep": keep,
        "until": None if found.until is None else found.until.isoformat(),
        "inputs_elsewhere": [os.path.relpath(path, place) for path in found.elsewhere],
        "files": [_entry(one, place) for one in gone],
    }
    _write(place, entry)
    for one in gone:
        with writing(one.path):
            one.path.unlink(missing_ok=True)
    _remove_empty(place, gone)
    for parent in {one.path.parent for one in gone}:
        if parent.is_dir():
            sync_folder(parent)
    # Looked for anew, not only by the names that were deleted.
    still = [one.path for one in gone if one.path.exists() or one.path.is_symlink()]
    still += [one.path for one in holdings(place).files if _wrong(one, keep, place)]
    if still:
        raise UnwritableFile(
            f"{len(still):,} files are still there after they were deleted, {still[0]} among them. "
            f"Does something else write to {place}?"
        )
    entry["state"] = "done"
    _write(place, entry)
    note("purge ends", files=len(gone), bytes=sum(one.bytes for one in gone))
    left = [str(one.path) for one in found.files if one.kind == "other"]
    left += [str(path) for path in found.elsewhere if path.exists()]
    return entry | {"left": left}


def _wrong(one: Held, keep: Keep, place: Path) -> bool:
    # The lock is held while files are deleted; it goes at the end, with the job's folder.
    lock = one.path.parent == place / "job" and one.path.name in _LOCK
    return one.kind not in _KEPT[keep] and not lock


def _entry(one: Held, place: Path) -> dict[str, Any]:
    path = one.path
    name = str(path.relative_to(place)) if path.is_relative_to(place) else path.name
    if path.is_symlink():
        return {"name": name, "kind": one.kind, "link": True}
    return {"name": name, "kind": one.kind, **file_digest(path)}


def _write(place: Path, entry: dict[str, Any]) -> None:
    """Put an entry into the record, in place of what it said of the same deletion before."""
    path = place / RECORD
    entries = read_json_object(path)["deletions"] if path.exists() else []
    if not isinstance(entries, list):
        raise UnreadableFile(f"{path} is not a record of deletions. Move it away.")
    entries = [one for one in entries if one.get("id") != entry["id"]]
    beside = path.with_name(".deleted.new.json")
    with writing(path):
        beside.unlink(missing_ok=True)
    write_json({"deletions": [*entries, entry]}, beside)
    with writing(path):
        beside.replace(path)
        sync_folder(place)


def _remove_empty(place: Path, gone: Sequence[Held]) -> None:
    """Remove the folders that deleting has left empty, and those of the job."""
    for first in sorted({one.path.parent for one in gone}, key=lambda path: -len(path.parts)):
        for folder in (first, *first.parents):
            inside = folder != place and within(folder, place)
            if not inside or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
    for one in gone:
        outside = one.path.parent
        if one.kind == "parts" and not within(outside, place):
            shutil.rmtree(outside, ignore_errors=True)


__all__ = ["Keep", "purge", "to_delete"]
