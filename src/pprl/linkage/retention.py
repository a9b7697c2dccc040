"""What a linkage unit still holds of a run, until when, and deleting it with a record of that.

A run's folder holds things of four kinds. Each says more of people than the next:

- ``encodings``: files that holders sent, recognised by what is in them, sealed ones by their name;
- ``parts``: what a batch job works with, in ``job/`` and its scratch folder; temporary files;
- ``links``: tables that name records;
- ``pseudonyms``: what `pprl.linkage.pseudonyms` wrote into the folder;
- ``report``: figures, reports and the log, which name no record.

Anything else is not pprl's. It is never deleted, and always named.

A file is deleted by removing its name. That does not overwrite the disk: on flash storage and
journalling file systems nothing that a program can do overwrites it with certainty. Keep a run on
an encrypted disk, and count backups and snapshots among what must be deleted.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pprl.errors import PprlError, UnreadableFile, UnwritableFile, UsageError
from pprl.exchange.atomic import sync_folder, writing
from pprl.exchange.files import read_info, write_json
from pprl.exchange.sealing import is_sealed
from pprl.exchange.untrusted.documents import read_json_object
from pprl.linkage.job.ledger import file_digest
from pprl.linkage.job.lock import owned
from pprl.linkage.job.manifest import Manifest, owns, parts_folder, paths_from
from pprl.run_log import note
from pprl.version import library_version

Kind = Literal["encodings", "parts", "links", "pseudonyms", "report", "other"]
Keep = Literal["links", "pseudonyms", "report"]

RECORD = "deleted.json"
"""The record of deletions, in the run's folder."""

_KEPT: dict[Keep, tuple[Kind, ...]] = {
    "links": ("links", "pseudonyms", "report", "other"),
    "pseudonyms": ("pseudonyms", "report", "other"),
    "report": ("report", "other"),
}
_LOCK = ("lock", "owner")
_TABLES = {"links", "clusters", "ambiguous", "conflicts", "events", "made_by"}
_FIGURES = {
    *("linkage.json", "estimate.json", "quality.json", "review.json", "linkage_report.json"),
    *("report.html", "similarities.parquet", "curve.parquet", "run.log", RECORD),
}


@dataclass(frozen=True)
class Held:
    """A file of a run.

    Attributes:
        path: Where it is.
        kind: What it is.
        bytes: Its size.
    """

    path: Path
    kind: Kind
    bytes: int


@dataclass(frozen=True)
class Holdings:
    """What is held of a run.

    Attributes:
        folder: The run's folder.
        files: What is in it and in the job's scratch folder.
        until: The day until which it may be held; None where nobody said.
        elsewhere: Inputs of a batch job that are outside the folder and still there.
        finished: Whether there are results, or were before they were deleted.
    """

    folder: Path
    files: tuple[Held, ...]
    until: date | None
    elsewhere: tuple[Path, ...]
    finished: bool

    def of(self, *kinds: Kind) -> tuple[Held, ...]:
        """Return the files of some kinds."""
        return tuple(one for one in self.files if one.kind in kinds)

    def overdue(self, today: date) -> bool:
        """Tell whether more than the report is held after the day until which it may be."""
        names = bool(self.of("encodings", "parts", "links", "pseudonyms") or self.elsewhere)
        return self.until is not None and self.until < today and names

    def to_dict(self, today: date) -> dict[str, Any]:
        """Return plain values, for JSON."""
        kinds: tuple[Kind, ...] = ("encodings", "parts", "links", "pseudonyms", "report", "other")
        return {
            "run": str(self.folder),
            "until": None if self.until is None else self.until.isoformat(),
            "overdue": self.overdue(today),
            "finished": self.finished,
            "held": {
                kind: {"files": len(self.of(kind)), "bytes": sum(f.bytes for f in self.of(kind))}
                for kind in kinds
                if self.of(kind)
            },
            "inputs_elsewhere": [str(path) for path in self.elsewhere],
        }


def holdings(folder: str | PathLike[str]) -> Holdings:
    """Say what is held of a run.

    Raises:
        UnreadableFile: The folder is not that of a run, or its files are damaged.
    """
    place = Path(folder)
    if not _is_run(place):
        raise UnreadableFile(
            f"{folder} is not a run's folder: it has neither linkage.json nor job/manifest.json."
        )
    files = [_held(path, place) for path in _files_in(place)]
    until, elsewhere = _said(place), _recorded_inputs(place)
    manifest = place / "job" / "manifest.json"
    if manifest.is_file():
        own = manifest.parent
        made = Manifest.load(manifest)
        made = made.model_copy(update={"job": paths_from(made.job, own.absolute())})
        until = until or made.job.output.keep_until
        inputs = [getattr(made.job.inputs, side).path for side in ("left", "right")]
        elsewhere += [
            Path(path)
            for path in inputs
            if "://" not in path and Path(path).exists() and not _within(Path(path), place)
        ]
        parts = parts_folder(made, own)
        if parts != own and owns(made, parts) and not _within(parts, place):
            files += [Held(path, "parts", path.lstat().st_size) for path in _files_in(parts)]
    finished = (place / "linkage.json").is_file() or (place / RECORD).is_file()
    return Holdings(place, tuple(files), until, tuple(elsewhere), finished)


def runs_in(folder: str | PathLike[str]) -> list[Path]:
    """Find the folders of runs in a folder, itself among them."""
    place = Path(folder)
    if not place.is_dir():
        raise UnreadableFile(f"{folder}: there is no such folder.")
    return sorted(
        Path(root) for root, _, _ in os.walk(place, followlinks=False) if _is_run(Path(root))
    )


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
        if not _holds_encodings(path):
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
            inside = folder != place and _within(folder, place)
            if not inside or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
    for one in gone:
        outside = one.path.parent
        if one.kind == "parts" and not _within(outside, place):
            shutil.rmtree(outside, ignore_errors=True)


def _held(path: Path, place: Path) -> Held:
    return Held(path, _kind_of(path, path.relative_to(place)), path.lstat().st_size)


def _kind_of(path: Path, name: Path) -> Kind:
    if name.parts[0] == "job" or any(
        part.endswith((".part", ".unfinished")) for part in name.parts
    ):
        return "parts"
    if name.parts[0] == "pseudonyms":
        return "pseudonyms"
    if len(name.parts) == 1:
        if name.name in _FIGURES:
            return "report"
        if name.stem in _TABLES and name.suffix in (".parquet", ".csv", ".arrow"):
            return "links"
    return "encodings" if _holds_encodings(path) else "other"


def _holds_encodings(path: Path) -> bool:
    if path.name.endswith((".clk.parquet", ".clk.parquet.age")):
        return True
    try:
        if is_sealed(path):
            return True
        read_info(path)
    except (PprlError, OSError):
        return False
    return True


def _files_in(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=False):
        yield from (Path(root) / name for name in sorted(files))
        yield from (Path(root) / name for name in folders if (Path(root) / name).is_symlink())


def _is_run(folder: Path) -> bool:
    names = ("linkage.json", RECORD, str(Path("job") / "manifest.json"))
    return any((folder / name).is_file() for name in names)


def _said(place: Path) -> date | None:
    """Read until when a run may be held, from its facts or the record of deletions."""
    said: Any = None
    if (place / "linkage.json").is_file():
        said = read_json_object(place / "linkage.json").get("keep_until")
    if said is None and (place / RECORD).is_file():
        entries = read_json_object(place / RECORD).get("deletions")
        said = entries[-1].get("until") if isinstance(entries, list) and entries else None
    try:
        return None if said is None else date.fromisoformat(said)
    except (TypeError, ValueError):
        raise UnreadableFile(f"{place}: the day until which it may be held is no date.") from None


def _recorded_inputs(place: Path) -> list[Path]:
    """Return those inputs, named in the record of deletions, that are still there."""
    if not (place / RECORD).is_file():
        return []
    try:
        entries = read_json_object(place / RECORD)["deletions"]
        names = {name for entry in entries for name in entry["inputs_elsewhere"]}
        paths = [Path(os.path.normpath(place / name)) for name in sorted(names)]
    except (KeyError, TypeError):
        raise UnreadableFile(f"{place / RECORD} is not a record of deletions.") from None
    return [path for path in paths if path.exists()]


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


__all__ = [
    "RECORD",
    "Held",
    "Holdings",
    "Keep",
    "Kind",
    "holdings",
    "purge",
    "runs_in",
    "to_delete",
]
