"""The job file of a secure linkage: what two holders and three computing parties agree on."""

from __future__ import annotations

import json
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pprl.errors import JobError, UnreadableFile
from pprl.exchange.files import write_text

Exact = tuple[int, int]
SecureMatching = Literal["one-to-one", "one-to-many", "many-to-one", "many-to-many"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Party(_Part):
    """A computing party: where it listens, and to whom its shares are sealed."""

    name: str
    address: str = Field(pattern=r"^[^\s:]+:\d{1,5}$")
    recipient: str = Field(pattern=r"^age1[a-z0-9]{58}$")


class Terms(_Part):
    """What is computed.

    Attributes:
        id: Drawn at random, so that files of two jobs are never mixed.
        holders: Left and right.
        threshold: Dice similarity; None where it is found from counts.
        threshold_exact: The same as p / q, with which parties decide in whole numbers.
        grid_exact: Thresholds at which pairs are counted where none is given.
        blocks: Blocks in each pass; 1 compares every pair.
        least_count: Smaller counts are opened as 0.
        most_order: Pairs that may be put in order at most, where records have rivals.
        timeout: Seconds after which a silent party is given up.
        tile: Pairs compared in one go: more need fewer rounds and more memory.
    """

    format: Literal[1] = 1
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    holders: tuple[str, str]
    bits: int = Field(gt=0, le=16384, multiple_of=8)
    matching: SecureMatching
    blocking: Literal["none", "keys"]
    blocks: int = Field(ge=1, le=1 << 20)
    threshold: float | None = Field(default=None, gt=0, le=1)
    threshold_exact: Exact | None = None
    grid_exact: tuple[Exact, ...] = ()
    least_count: int = Field(ge=1)
    most_order: int = Field(ge=0)
    timeout: int = Field(ge=5)
    tile: int = Field(ge=1024, le=1 << 24)

    @model_validator(mode="after")
    def _adds_up(self) -> Terms:
        if self.holders[0] == self.holders[1]:
            raise ValueError("the holders need different names")
        if (self.threshold is None) != (self.threshold_exact is None):
            raise ValueError("a threshold needs its exact form, and the other way round")
        if self.threshold is None and not self.grid_exact:
            raise ValueError("without a threshold there must be a grid of them")
        if (self.blocking == "none") != (self.blocks == 1):
            raise ValueError("blocking 'none' has one block, 'keys' has more")
        return self


class LinksTo(_Part):
    """Who learns the links."""

    recipient: str = Field(pattern=r"^age1[a-z0-9]{58}$")


class SecureJob(_Part):
    """A job file: the terms, who gets the links, and three parties."""

    job: Terms
    links_to: LinksTo
    party: tuple[Party, Party, Party]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> SecureJob:
        """Read a job file.

        Raises:
            UnreadableFile: It cannot be read.
            JobError: It is no job file of a secure linkage, or breaks its rules.
        """
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UnreadableFile(f"{path} cannot be read ({error.strerror}).") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise JobError(f"{path} is not TOML: {error}.") from None
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise JobError(f"{path}: {place}: {first['msg']}.") from None

    def save(self, path: str | PathLike[str]) -> None:
        """Write the job file.

        Raises:
            OutputExists: There is a file already.
        """
        lines = [
            "# A secure linkage. Both holders and all three parties use this file, byte for byte.",
            "[job]",
            *_lines(self.job),
            "",
            "[links_to]",
            *_lines(self.links_to),
        ]
        for party in self.party:
            lines += ["", "[[party]]", *_lines(party)]
        write_text("\n".join(lines) + "\n", path)


def new_id() -> str:
    """Draw the id of a job."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Answer:
    """What one party sealed to whom gets the links: a header, and its share of the results."""

    header: dict[str, Any]
    payload: bytes


def _lines(part: BaseModel) -> list[str]:
    """Write values as TOML; JSON's texts, numbers and lists of these are TOML, too."""
    values = part.model_dump(mode="json", exclude_none=True)
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def parties_of(texts: Sequence[str]) -> tuple[Party, Party, Party]:
    """Read three parties, each NAME,HOST:PORT,age1...

    Raises:
        JobError: There are not three, or one has another form.
    """
    made = []
    for number, text in enumerate(texts):
        fields = [one.strip() for one in text.split(",")]
        try:
            name, address, recipient = fields
            made.append(Party(name=name, address=address, recipient=recipient))
        except ValueError:
            raise JobError(
                f"party {number} must be NAME,HOST:PORT,age1..., with the recipient that "
                f"'pprl keygen --identity' printed there."
            ) from None
    if len(made) != 3:
        raise JobError(f"there are three computing parties, not {len(made)}: --party three times.")
    return made[0], made[1], made[2]
