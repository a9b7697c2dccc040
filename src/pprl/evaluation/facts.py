"""What only people know about a linkage: who did it, who may use it, for what."""

from __future__ import annotations

import json
from os import PathLike

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pprl.errors import UsageError
from pprl.exchange.untrusted.documents import load_toml

EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
"""The regulation on the European Health Data Space, which every dataset must name."""

_REPORT = (
    *("limitations", "sources", "identifiers", "preprocessing", "matching", "results"),
    *("plausibility", "separation", "software"),
)
"""Sections that belong to the report's facts, see `pprl.evaluation.report.facts`."""

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
        content = load_toml(path)
        # One file may serve this description and the report of the same linkage.
        ours = {name: part for name, part in content.items() if name not in _REPORT}
        try:
            return cls.model_validate(ours)
        except ValidationError as error:
            wrong = "".join(f"\n  {_wrong(one)}" for one in error.errors())
            raise UsageError(
                f"{path}, of which 'pprl facts' writes what can be filled in:{wrong}"
            ) from None

    def need_dataset(self) -> None:
        """Raise `UsageError` naming what a dataset's description lacks."""
        parts = ("dataset", "distribution", "publisher", "creators", "contact")
        missing = [name for name in parts if not getattr(self, name)]
        if missing:
            raise UsageError(
                f"the facts lack {', '.join(f'[{name}]' for name in missing)}, which the "
                f"description of a linked dataset needs."
            )


_WRONG = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_too_short": "is empty",
    "too_short": "is empty",
}


def _wrong(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"])
    says = _WRONG.get(error["type"], error["msg"].lower())
    if error["type"] == "string_pattern_mismatch":
        kind = "e-mail address" if where.endswith("email") else "address such as https://..."
        says = f"is no {kind}" if error["input"] else "is empty"
    return f"{where} {says}"


def template(*, linked: bool) -> str:
    """Write a TOML document to fill in.

    Args:
        linked: For a linked dataset; otherwise for an encoding run, which needs less.
    """
    lines: list[str | None] = [
        "# For 'pprl describe': fill in what is empty; take away the # before what else you know.",
    ]
    for name, model in _SECTIONS.items():
        if linked or name.startswith("run"):
            lines += ["", f"[[{name}]]" if name == "creators" else f"[{name}]"]
            lines += [_entry(key, field) for key, field in model.model_fields.items()]
    return "\n".join(line for line in lines if line is not None) + "\n"


_SECTIONS: dict[str, type[_Facts]] = {
    "run": RunFacts,
    "run.agent": Agent,
    "dataset": DatasetFacts,
    "distribution": DistributionFacts,
    "publisher": Agent,
    "creators": Agent,
    "contact": Contact,
}


def _entry(key: str, field: FieldInfo) -> str | None:
    """Write an entry: empty where it is needed, commented out where it is not."""
    kind = str(field.annotation)
    if "Agent" in kind:
        return None
    if field.is_required():
        return f"{key} = []" if "tuple" in kind else f'{key} = ""'
    if "int" in kind:
        return f"# {key} = 0"
    if isinstance(field.default, tuple):
        return f"# {key} = {json.dumps(list(field.default))}"
    return f"# {key} = {json.dumps(field.default)}"
