"""The manifest: what a job was begun with, and so what may resume it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pprl.errors import JobChanged, UnreadableFile
from pprl.exchange.files import write_text
from pprl.exchange.rows import EncodingsFile
from pprl.linkage.job.config import Job
from pprl.linkage.job.plan import Plan

# Where files lie and how fast the work goes may change; the result is the same.
_FREE = {"inputs.left.path", "inputs.right.path", "output.folder", "resources.scratch"}
_BOUNDED = {"resources.memory", "resources.workers"}


class Manifest(BaseModel):
    """What a job is made of; beside it, the files of the parts that are done.

    Attributes:
        versions: Libraries on which the bytes of the result depend.
        inputs: SHA-256 of each input file.
        job: The configuration.
        plan: The parts.
        folder: Where the parts are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    versions: Mapping[str, str]
    inputs: Mapping[str, str]
    job: Job
    plan: Plan
    folder: str

    def save(self, path: Path) -> None:
        """Write the manifest, whole or not at all."""
        write_text(self.model_dump_json(indent=1) + "\n", path)

    def replace(self, path: Path) -> None:
        """Put the manifest in an older one's place, at once."""
        beside = path.with_name("manifest.new.json")
        beside.unlink(missing_ok=True)
        self.save(beside)
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest.

        Raises:
            UnreadableFile: It is missing or damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise UnreadableFile(f"{path}: {error.strerror}.") from None
        except ValidationError:
            raise UnreadableFile(
                f"{path} is not a manifest that this version of pprl reads. Use the version that "
                f"began the job, or begin anew in another folder."
            ) from None


def manifest_of(path: str) -> Manifest:
    """Read a manifest, once in a process as long as the file is the same.

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
    return Manifest.load(Path(path))


def versions() -> dict[str, str]:
    """Name the libraries on which results depend to the last byte."""
    names = ("pprl", "numpy", "pyarrow")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def check_unchanged(old: Manifest, job: Job, digests: Mapping[str, str]) -> None:
    """Refuse to resume what is not the same job.

    Raises:
        JobChanged: Says what changed.
    """
    changes = [
        f"the bytes of inputs.{side} are others than when the job was begun"
        for side, digest in digests.items()
        if old.inputs[side] != digest
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


def input_digests(files: Mapping[str, EncodingsFile]) -> dict[str, str]:
    """Read the inputs to their last byte and return their digests."""
    return {side: file.digest() for side, file in files.items()}


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            made |= _flat(value, f"{prefix}{name}.")
        else:
            made[f"{prefix}{name}"] = value
    return made
