"""The manifest: what a job was begun with, and so what may resume it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pprl.errors import JobChanged, UnreadableFile
from pprl.exchange.atomic import writing
from pprl.exchange.files import write_json
from pprl.exchange.rows import EncodingsFile, digest_of, state_of
from pprl.exchange.untrusted.documents import read_json_object
from pprl.linkage.job.config import Job
from pprl.linkage.job.plan import Plan, Side
from pprl.version import library_version

OWNER = "job"
"""The file in a scratch folder's part that says which job it belongs to."""

# Where files lie and how fast the work goes may change; the result is the same.
_FREE = {
    *("inputs.left.path", "inputs.right.path", "output.folder", "output.keep_until"),
    "resources.scratch",
}
_BOUNDED = {"resources.memory", "resources.workers"}


class InputState(BaseModel):
    """What an input was when it was read: its digest, and what the system says of the file.

    Attributes:
        sha256: Digest of its bytes.
        state: Size, time of the last change and inode; None for an address of fsspec.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    state: tuple[int, int, int] | None


class Manifest(BaseModel):
    """What a job is made of; beside it, the files of the parts that are done.

    Attributes:
        id: Drawn at random; no two jobs have the same.
        versions: Libraries on which the bytes of the result depend.
        inputs: What each input file was when it was read.
        job: The configuration, with paths relative to the manifest's folder.
        plan: The parts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    id: str = Field(pattern="^[0-9a-f]{32}$")
    versions: Mapping[str, str]
    inputs: Mapping[Literal["left", "right"], InputState]
    job: Job
    plan: Plan

    def save(self, path: Path) -> None:
        """Write the manifest with its digest, whole or not at all."""
        body = self.model_dump(mode="json")
        write_json({"sha256": _digest(body), "manifest": body}, path)

    def replace(self, path: Path) -> None:
        """Put the manifest in an older one's place, at once."""
        beside = path.with_name("manifest.new.json")
        beside.unlink(missing_ok=True)
        self.save(beside)
        with writing(path):
            beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest, and compare it with its digest.

        Raises:
            UnreadableFile: It is missing, damaged or was altered.
        """
        content = read_json_object(path)
        try:
            body = content["manifest"]
            altered = content["sha256"] != _digest(body)
            made = cls.model_validate(body)
            made.plan.check()
        except (ValidationError, KeyError, TypeError, ValueError):
            raise UnreadableFile(
                f"{path} is not a manifest that this version of pprl reads. Use the version that "
                f"began the job, or begin anew in another folder."
            ) from None
        if altered:
            raise UnreadableFile(
                f"{path} was altered or damaged after it was written: its digest does not fit. "
                f"Begin anew in another folder."
            )
        return made


def located(job: Job, folder: Path) -> Job:
    """Return a job with its paths relative to a folder, so that both may be moved together."""
    return _with_paths(job, lambda path: _relative(path, folder))


def paths_from(job: Job, folder: Path) -> Job:
    """Return a job with the paths that a manifest in this folder means."""
    return _with_paths(job, lambda path: path if "://" in path else os.path.normpath(folder / path))


def _relative(path: str, folder: Path) -> str:
    if "://" in path:
        return path
    try:
        return os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
    except ValueError:
        # On another drive of Windows.
        return os.path.abspath(path)


def _with_paths(job: Job, change: Callable[[str], str]) -> Job:
    inputs = {
        side: getattr(job.inputs, side).model_copy(
            update={"path": change(getattr(job.inputs, side).path)}
        )
        for side in ("left", "right")
    }
    scratch = job.resources.scratch
    moved = {
        "inputs": job.inputs.model_copy(update=inputs),
        "output": job.output.model_copy(update={"folder": change(job.output.folder)}),
        "resources": job.resources.model_copy(
            update={"scratch": None if scratch is None else change(scratch)}
        ),
    }
    return job.model_copy(update=moved)


def manifest_of(path: str) -> Manifest:
    """Read a manifest, once in a process as long as the file is the same.

    The paths of its job are those that it means from where it is now.

    Raises:
        UnreadableFile: It is missing or damaged.
    """
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise UnreadableFile(
            f"{path}: {error.strerror}. Every worker must see the job's folder under one path."
        ) from None
    return _loaded(path, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4)
def _loaded(path: str, _changed: int, _inode: int) -> Manifest:
    made = Manifest.load(Path(path))
    return made.model_copy(update={"job": paths_from(made.job, Path(path).absolute().parent)})


def _digest(body: object) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def parts_folder(manifest: Manifest, own: Path) -> Path:
    """Say where the parts of a job are: in its own folder, or in its own part of a scratch folder.

    Args:
        manifest: The manifest, whose job has the paths that it means.
        own: The folder of the manifest.
    """
    scratch = manifest.job.resources.scratch
    return own if scratch is None else Path(scratch) / f"pprl-{manifest.id}"


def claim_scratch(manifest: Manifest, own: Path) -> None:
    """Make the job's part of a scratch folder, and mark it as this job's.

    Raises:
        UnwritableFile: It cannot be made.
    """
    parts = parts_folder(manifest, own)
    if parts != own:
        with writing(parts):
            parts.mkdir(parents=True, exist_ok=True)
            (parts / OWNER).write_text(manifest.id, encoding="ascii")


def owns(manifest: Manifest, parts: Path) -> bool:
    """Tell whether a folder of parts is marked as this job's, and so may be removed."""
    try:
        return (parts / OWNER).read_text(encoding="ascii") == manifest.id
    except (OSError, UnicodeDecodeError):
        return False


def versions() -> dict[str, str]:
    """Name the libraries on which results depend to the last byte."""
    own = {"python": platform.python_version(), "pprl": library_version()}
    return own | {name: version(name) for name in ("numpy", "pyarrow")}


def check_unchanged(old: Manifest, job: Job, inputs: Mapping[Side, InputState]) -> None:
    """Refuse to resume what is not the same job.

    Raises:
        JobChanged: Says what changed.
    """
    changes = [
        f"the bytes of inputs.{side} are others than when the job was begun"
        for side, now_is in inputs.items()
        if old.inputs[side].sha256 != now_is.sha256
    ]
    before, now = (
        _flat(json.loads(old.job.model_dump_json())),
        _flat(json.loads(job.model_dump_json())),
    )
    changes += [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*before, *now} - _FREE - _BOUNDED)
        if before.get(name) != now.get(name)
    ]
    memory = job.resources.memory_bytes
    if memory < old.plan.memory:
        changes.append(
            f"resources.memory was {old.plan.memory >> 20:,} MiB and is {memory >> 20:,} MiB, less "
            f"than the plan needs"
        )
    was, have = old.versions, versions()
    changes += [
        f"{name} was {was.get(name)} and is {have.get(name)}"
        for name in sorted({*was, *have})
        if was.get(name) != have.get(name)
    ]
    if changes:
        raise JobChanged(
            "this is not the job that was begun: "
            + "; ".join(changes)
            + ". Put it back as it was, or begin anew in another folder."
        )


def input_states(files: Mapping[Side, EncodingsFile]) -> dict[Side, InputState]:
    """Read the inputs to their last byte and return what they are.

    Raises:
        UnreadableFile: One changed while it was read.
    """
    made = {}
    for side, file in files.items():
        before = state_of(file.path)
        made[side] = InputState(sha256=digest_of(file.path), state=before)
        if state_of(file.path) != before:
            raise changed_input(file.path)
    return made


def check_inputs(manifest: Manifest, *, far: bool = False) -> None:
    """Refuse to go on where an input is not the file that the job was begun with.

    Args:
        manifest: The manifest, whose job has the paths that it means.
        far: Read inputs at addresses of fsspec, too, to their last byte.

    Raises:
        UnreadableFile: An input was replaced or changed.
    """
    for side, known in manifest.inputs.items():
        path = getattr(manifest.job.inputs, side).path
        if known.state is not None:
            if state_of(path) != known.state:
                raise changed_input(path)
        elif far and digest_of(path) != known.sha256:
            raise changed_input(path)


def changed_input(path: str) -> UnreadableFile:
    """Make the error for an input that changed while the job ran."""
    return UnreadableFile(
        f"{path} was replaced or changed while the job ran. No links were written. Put the file "
        f"back and resume, or begin anew in another folder."
    )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            made |= _flat(value, f"{prefix}{name}.")
        else:
            made[f"{prefix}{name}"] = value
    return made
