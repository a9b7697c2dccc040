"""What only people know about a linkage: who did it, who may use it, for what."""

from __future__ import annotations

import tomllib
from os import PathLike
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pprl.errors import UnreadableFile, UsageError

EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
"""The regulation on the European Health Data Space, which every dataset must name."""

_AUTHORITY = "http://publications.europa.eu/resource/authority"
_IRI = Field(pattern=r"^[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+$")
_TEXT = Field(min_length=1)


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(_Facts):
    """An organisation. The Health-RI profile wants all four."""

    name: str = _TEXT
    identifier: str = _IRI
    email: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    homepage: str = _IRI


class Contact(_Facts):
    """Whom to ask."""

    name: str = _TEXT
    email: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")


class DatasetFacts(_Facts):
    """The linked dataset: properties of DCAT-AP 3 and of Health-RI core v2."""

    title: str = _TEXT
    description: str = _TEXT
    identifier: str = _IRI
    keywords: tuple[str, ...] = Field(min_length=1)
    themes: tuple[str, ...] = (f"{_AUTHORITY}/data-theme/HEAL",)
    access_rights: str = Field(
        default=f"{_AUTHORITY}/access-right/RESTRICTED",
        pattern=rf"^{_AUTHORITY}/access-right/(PUBLIC|RESTRICTED|NON_PUBLIC)$",
    )
    legislation: tuple[str, ...] = ()
    language: str = "en"
    health_categories: tuple[str, ...] = ()
    legal_basis: tuple[str, ...] = ()
    personal_data: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    population: str = ""
    sources: tuple[str, ...] = ()
    records: int | None = Field(default=None, ge=0)
    individuals: int | None = Field(default=None, ge=0)


class DistributionFacts(_Facts):
    """How the dataset can be had."""

    access_url: str = _IRI
    license: str = _IRI
    rights: str = _TEXT
    format: str = f"{_AUTHORITY}/file-type/PARQUET"
    media_type: str = "https://www.iana.org/assignments/media-types/application/vnd.apache.parquet"


class RunFacts(_Facts):
    """Who ran it, and under what terms the description may be shared."""

    agent: Agent
    license: str = Field(
        default="https://creativecommons.org/licenses/by/4.0/", pattern=r"^\S+:\S+$"
    )
    report_url: str = ""


class Facts(_Facts):
    """The content of ``FACTS.toml``.

    Attributes:
        run: Always needed.
        dataset, distribution, publisher, creators, contact: For the description of a
            linked dataset; a description of an encoding run does without.
    """

    run: RunFacts
    dataset: DatasetFacts | None = None
    distribution: DistributionFacts | None = None
    publisher: Agent | None = None
    creators: tuple[Agent, ...] = ()
    contact: Contact | None = None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Facts:
        """Read a facts file.

        Raises:
            UnreadableFile: It is missing or not TOML.
            UsageError: Something is missing or wrong; all of it is listed.
        """
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UnreadableFile(f"{path}: there is no such file.") from None
        except (ValueError, OSError) as error:
            raise UnreadableFile(
                f"{path} cannot be read as TOML ({type(error).__name__})."
            ) from None
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            wrong = [
                f"{'.'.join(str(part) for part in one['loc'])} ({one['msg']})"
                for one in error.errors(include_url=False, include_input=False)
            ]
            raise UsageError(f"{path}: {'; '.join(wrong)}.") from None

    def need_dataset(self) -> None:
        """Raise `UsageError` naming what a dataset's description lacks."""
        parts = ("dataset", "distribution", "publisher", "creators", "contact")
        missing = [name for name in parts if not getattr(self, name)]
        if missing:
            raise UsageError(
                f"the facts lack {', '.join(f'[{name}]' for name in missing)}, which the "
                f"description of a linked dataset needs."
            )
