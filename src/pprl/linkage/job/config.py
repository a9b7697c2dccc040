"""What a job is asked to do: one declaration for Python, TOML and the command line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pprl.errors import JobError
from pprl.exchange.untrusted.documents import BadDocument, parse_toml, read_text
from pprl.linkage.options import AUTOMATIC, MOST_SAMPLED

_UNITS = {"MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = r"^[0-9]+(\.[0-9]+)? ?(MiB|GiB|TiB|MB|GB|TB)$"

JobMatching = Literal["one-to-one", "one-to-many", "many-to-one", "many-to-many"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFile(_Options):
    """A file of encodings."""

    path: str = Field(
        min_length=1,
        description="Encodings file, in a job file relative to its folder; or an fsspec address.",
    )
    holder: str | None = Field(default=None, description="The holder that the file must name.")


class Inputs(_Options):
    """The two files."""

    left: InputFile
    right: InputFile


class BlockingOptions(_Options):
    """Which pairs are compared."""

    method: Literal["none", "keys"] = Field(
        default="none", description="Every pair, or those that share a holders' blocking key."
    )
    passes: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Names of the passes to use; all by default."
    )
    largest_block: int | None = Field(
        default=None,
        ge=1,
        description="A block of more pairs is passed over, and reported; by default none is.",
    )


class LinkageOptions(_Options):
    """Which pairs become links."""

    threshold: float | Literal["auto"] = Field(
        default="auto",
        description="Least similarity of a link, 0 to 1; or auto, estimated from the files.",
    )
    precision: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="For auto: the estimated precision, 0 to 1, that all links together must have.",
    )
    matching: JobMatching = Field(
        default="one-to-one", description="How many partners a record may have."
    )
    max_pairs: int = Field(
        default=2_000_000_000,
        ge=1,
        description="Stop when more pairs than this reach the threshold.",
    )
    sample: int = Field(
        default=MOST_SAMPLED,
        ge=100,
        description="For auto where memory does not hold both files: records of each file, at "
        "most, from which the decision is learned.",
    )

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if isinstance(self.threshold, float) and not 0.0 <= self.threshold <= 1.0:
            raise ValueError("the threshold must be between 0 and 1, or 'auto'")
        if self.threshold == "auto" and self.matching not in AUTOMATIC:
            raise ValueError(
                f"the automatic threshold needs a matching in which a record of some file has one "
                f"partner at most: {', '.join(AUTOMATIC)}"
            )
        if self.precision is not None and self.threshold != "auto":
            raise ValueError("a precision is for the automatic threshold: leave one of them out")
        return self


class OutputOptions(_Options):
    """Where the results go."""

    folder: str = Field(
        min_length=1,
        description="Folder for the results and the job's own files, relative as inputs are.",
    )
    keep_until: date | None = Field(
        default=None,
        description="Day until which the run may be held; 'pprl status' tells when it has passed.",
    )


class Resources(_Options):
    """What the job may use. None of it changes the result."""

    memory: str = Field(
        default="4GiB",
        pattern=_SIZE,
        description="Memory of the process, or of each Dask worker process.",
    )
    workers: int | None = Field(
        default=None, ge=1, description="Threads of a process; all processors by default."
    )
    scratch: str | None = Field(
        default=None,
        description="Folder for parts, which every worker sees; by default in the output folder.",
    )

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return parse_size(self.memory)


class Job(_Options):
    """A batch job, as a job file describes it. It holds no secret."""

    version: Literal[1] = 1
    inputs: Inputs
    blocking: BlockingOptions = BlockingOptions()
    linkage: LinkageOptions = LinkageOptions()
    output: OutputOptions
    resources: Resources = Resources()

    @classmethod
    def load(cls, path: str | PathLike[str], changes: Sequence[str] = ()) -> Job:
        """Read a job file.

        Args:
            path: TOML. Relative paths in it are relative to its folder.
            changes: Options to change, each as ``linkage.threshold=0.86``.

        Raises:
            UnreadableFile: The file cannot be read, or is too large.
            JobError: It is no job; says which option is wrong.
        """
        try:
            document = parse_toml(read_text(path))
        except BadDocument as error:
            raise JobError(f"{path} is not TOML: {error}.") from None
        document = _placed(document, Path(path).parent)
        return cls.from_document(with_changes(document, changes), str(path))

    @classmethod
    def from_document(cls, document: Mapping[str, Any], name: str = "the job") -> Job:
        """Check a document.

        Raises:
            JobError: Says which option is wrong, and the nearest valid one.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            lines = [_describe(cls, one) for one in error.errors()]
            raise JobError(f"{name}: " + "; ".join(lines) + ".") from None


def parse_size(text: str) -> int:
    """Read ``4GiB``, ``800 MB`` as a number of bytes.

    Raises:
        JobError: It is none.
    """
    if not re.match(_SIZE, text):
        raise JobError(f"a size is a number with one of {', '.join(_UNITS)}, not {text!r}.")
    unit = next(unit for unit in _UNITS if text.endswith(unit))
    return int(float(text[: -len(unit)]) * _UNITS[unit])


def with_changes(document: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Set options by dotted name, each value as TOML or, failing that, as text.

    Raises:
        JobError: A change is not of the form a.b=c.
    """
    made: dict[str, Any] = {**document}
    for change in changes:
        name, equals, text = change.partition("=")
        keys = name.strip().split(".")
        if not equals or not all(keys):
            raise JobError(f"--set takes option=value, as linkage.threshold=0.86, not {change!r}.")
        try:
            value = parse_toml(f"value = {text.strip()}")["value"]
        except BadDocument:
            value = text.strip()
        inner = made
        for key in keys[:-1]:
            held = inner.get(key, {})
            if not isinstance(held, Mapping):
                raise JobError(f"--set {name.strip()}: {key!r} is not a table.")
            inner[key] = {**held}
            inner = inner[key]
        inner[keys[-1]] = value
    return made


def _placed(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the relative paths of a document relative to a folder."""
    made = {**document}
    for *tables, last in (
        ("inputs", "left", "path"),
        ("inputs", "right", "path"),
        ("output", "folder"),
        ("resources", "scratch"),
    ):
        inner: Any = made
        for table in tables:
            if not isinstance(inner, dict) or not isinstance(inner.get(table), dict):
                inner = None
                break
            inner[table] = {**inner[table]}
            inner = inner[table]
        if inner and isinstance(inner.get(last), str) and "://" not in inner[last] and inner[last]:
            inner[last] = str(folder / inner[last])
    return made


def _describe(model: type[BaseModel], error: Any) -> str:
    """Say in one line what is wrong with which option."""
    where = [str(part) for part in error["loc"]]
    # pydantic names the kinds of a value that may be of several.
    named = [part for part in where if not part.startswith(("literal[", "float", "constrained"))]
    name = ".".join(named)
    if error["type"] == "extra_forbidden":
        known = list(_model_at(model, named[:-1]).model_fields)
        near = difflib.get_close_matches(named[-1], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(known)}"
        return f"there is no option {name!r}; {hint}"
    if error["type"] == "missing":
        return f"{name!r} is missing"
    says = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in ("model_type", "dict_type"):
        says = "must be a table of options"
    return f"{name!r}: {says}" if name else says


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    for part in path:
        model = model.model_fields[part].annotation  # type: ignore[assignment]
    return model
