"""What a linkage unit still holds of a run, and until when.

A run's folder holds things of four kinds. Each says more of people than the next:

- ``encodings``: files that holders sent, recognised by what is in them, sealed ones by their name;
- ``parts``: what a batch job works with, in ``job/`` and its scratch folder; temporary files;
- ``links``: tables that name records;
- ``pseudonyms``: what `pprl.linkage.pseudonyms` wrote into the folder;
- ``report``: figures, reports and the log, which name no record.

Anything else is not pprl's. It is never deleted, and always named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pprl.errors import PprlError, UnreadableFile
from pprl.exchange.files import read_info
from pprl.exchange.sealing import is_sealed
from pprl.exchange.untrusted.documents import read_json_object
from pprl.linkage.job.manifest import Manifest, owns, parts_folder, paths_from

Kind = Literal["encodings", "parts", "links", "pseudonyms", "report", "other"]

RECORD = "deleted.json"
"""The record of deletions, in the run's folder."""

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
    files = [_held(path, place) for path in files_in(place)]
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
            if "://" not in path and Path(path).exists() and not within(Path(path), place)
        ]
        parts = parts_folder(made, own)
        if parts != own and owns(made, parts) and not within(parts, place):
            files += [Held(path, "parts", path.lstat().st_size) for path in files_in(parts)]
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


def holds_encodings(path: Path) -> bool:
    """Tell whether a file holds encodings, or is sealed and may hold them."""
    if path.name.endswith((".clk.parquet", ".clk.parquet.age")):
        return True
    try:
        if is_sealed(path):
            return True
        read_info(path)
    except (PprlError, OSError):
        return False
    return True


def within(path: Path, folder: Path) -> bool:
    """Tell whether a path leads into a folder."""
    return path.resolve().is_relative_to(folder.resolve())


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
    return "encodings" if holds_encodings(path) else "other"


def files_in(folder: Path) -> Iterator[Path]:
    """Go through the files of a folder and of those in it; a symbolic link is not followed."""
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


__all__ = [
    "RECORD",
    "Held",
    "Holdings",
    "Kind",
    "files_in",
    "holdings",
    "holds_encodings",
    "runs_in",
    "within",
]
