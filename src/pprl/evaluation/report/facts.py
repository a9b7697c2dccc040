"""What a run cannot know and its users can say: a TOML document, each entry optional."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pprl.errors import UsageError
from pprl.exchange.untrusted.documents import load_toml


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceFacts(_Given):
    """A data holder's register (GUILD 1; RECORD 6.1, 13.1)."""

    population: str | None = Field(default=None, description="Whom the register is about.")
    period: str | None = Field(default=None, description="Which years it covers.")
    region: str | None = Field(default=None, description="Which places it covers.")
    inclusion: str | None = Field(default=None, description="Who is entered, and who is not.")
    extraction_date: str | None = Field(
        default=None, description="When the records were taken from it."
    )
    received: int | None = Field(
        default=None, ge=0, description="Records before any were left out."
    )
    removed_objections: int | None = Field(
        default=None, ge=0, description="Left out: objected, or gave no consent."
    )
    removed_invalid: int | None = Field(
        default=None, ge=0, description="Left out: a value or an id that could not be used."
    )
    persons: int | None = Field(default=None, ge=0, description="People among the records.")
    legal_ground: str | None = Field(
        default=None, description="Ground on which the records were used."
    )


class IdentifierFacts(_Given):
    """One of the fields that were encoded (GUILD 1)."""

    collection: str | None = Field(default=None, description="How it is collected and checked.")
    known_errors: str | None = Field(default=None, description="Errors that it is known to have.")
    invalid_share: float | None = Field(
        default=None, ge=0, le=1, description="Share of invalid values."
    )
    distinct: int | None = Field(default=None, ge=0, description="Number of distinct values.")


class PreprocessingFacts(_Given):
    """What was done to values before they were encoded (GUILD 1, 2; RECORD 12.2)."""

    cleaning: str | None = Field(default=None, description="How values were cleaned.")
    dropped: str | None = Field(default=None, description="Which records were dropped, and why.")


class MatchingFacts(_Given):
    """How links were decided, beyond what the run did (RECORD 12.3)."""

    review: str | None = Field(default=None, description="Which links were reviewed, by whom, how.")


class ResultFacts(_Given):
    """What to hold the results against."""

    expected_overlap: str | None = Field(
        default=None, description="How many people were expected in both, and why."
    )


class PlausibilityFacts(_Given):
    """Links that cannot be right, as counted by those who analysed the linked data (GUILD 3)."""

    links_checked: int | None = Field(default=None, ge=0, description="Links that were checked.")
    events_after_death: int | None = Field(default=None, ge=0, description="Events after a death.")
    two_deaths: int | None = Field(default=None, ge=0, description="People who died twice.")
    sex_conflicts: int | None = Field(default=None, ge=0, description="Conflicts of sex.")
    birth_conflicts: int | None = Field(
        default=None, ge=0, description="Conflicts of date of birth."
    )
    remarks: str | None = Field(default=None, description="What else was seen.")


class SeparationFacts(_Given):
    """Who held what, and what became of it (GUILD 2)."""

    key: str | None = Field(default=None, description="Who held the linkage key.")
    encodings: str | None = Field(default=None, description="Who held the encodings.")
    payload: str | None = Field(default=None, description="Who held the data about health.")
    encodings_deleted: str | None = Field(default=None, description="When encodings were deleted.")
    key_destroyed: str | None = Field(
        default=None, description="When the linkage key was destroyed."
    )
    disclosure_control: str | None = Field(default=None, description="Checks before results leave.")
    against_key_misuse: str | None = Field(default=None, description="What is done about item 1.")
    against_known_pairs: str | None = Field(default=None, description="What is done about item 2.")
    against_membership: str | None = Field(default=None, description="What is done about item 3.")
    against_results: str | None = Field(default=None, description="What is done about item 4.")
    against_collusion: str | None = Field(default=None, description="What is done about item 5.")
    against_key_reuse: str | None = Field(default=None, description="What is done about item 6.")


class SoftwareFacts(_Given):
    """The report itself."""

    title: str | None = Field(default=None, description="Title of the report.")
    purpose: str | None = Field(default=None, description="What the linked data are for.")
    author: str | None = Field(default=None, description="Organisation that made the linkage.")


_DESCRIPTION = frozenset({"run", "dataset", "distribution", "publisher", "creators", "contact"})


class Facts(_Given):
    """Everything that users give to a linkage report.

    Attributes:
        sources: By holder's name, as in the encodings.
        identifiers: By field's name, as in the schema.
        limitations: Sentences.
    """

    sources: dict[str, SourceFacts] = Field(default_factory=dict)
    identifiers: dict[str, IdentifierFacts] = Field(default_factory=dict)
    preprocessing: PreprocessingFacts = PreprocessingFacts()
    matching: MatchingFacts = MatchingFacts()
    results: ResultFacts = ResultFacts()
    plausibility: PlausibilityFacts = PlausibilityFacts()
    separation: SeparationFacts = SeparationFacts()
    limitations: list[str] = Field(default_factory=list)
    software: SoftwareFacts = SoftwareFacts()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Facts:
        """Read a TOML file.

        Raises:
            UnreadableFile: There is no such file, or it is not TOML.
            UsageError: An entry is unknown or of another kind.
        """
        content = load_toml(path)
        # One file may serve this report and the FAIR description of the same linkage.
        ours = {name: part for name, part in content.items() if name not in _DESCRIPTION}
        try:
            return cls.model_validate(ours)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{path}: {where!r}: {first['msg'].lower()}.") from None

    def check_names(self, holders: Sequence[str], fields: Sequence[str]) -> None:
        """Refuse facts about sources and identifiers that the run does not have.

        Raises:
            UsageError: There are such.
        """
        for kind, given, known in (
            ("sources", self.sources, holders),
            ("identifiers", self.identifiers, fields),
        ):
            unknown = [name for name in given if name not in known]
            if unknown:
                raise UsageError(
                    f"the facts have {kind}.{unknown[0]}, and the run has no such name. "
                    f"It has: {', '.join(known)}."
                )


_WIDTH = 34


def template(holders: Sequence[str], fields: Sequence[str]) -> str:
    """Write a TOML document with every entry that can be given, commented out."""
    lines = [
        "# What the linkage report cannot know by itself. Every entry is optional: take",
        "# away the # before those that you fill in. Never write about a single person here.",
        "",
        "limitations = [",
        '  # "One sentence for each limitation that a reader of results must know.",',
        "]",
    ]
    for name, field in Facts.model_fields.items():
        kind = field.annotation
        parts: list[tuple[str, type[_Given]]]
        if name == "sources":
            parts = [(f"sources.{_quoted(holder)}", SourceFacts) for holder in holders]
        elif name == "identifiers":
            parts = [(f"identifiers.{_quoted(one)}", IdentifierFacts) for one in fields]
        elif isinstance(kind, type) and issubclass(kind, _Given):
            parts = [(name, kind)]
        else:
            continue
        for title, model in parts:
            lines += ["", f"[{title}]"]
            for key, entry in model.model_fields.items():
                text = "str" in str(entry.annotation)
                line = f"# {key} = " + ('""' if text else "0")
                lines.append(f"{line:<{_WIDTH}}# {entry.description}")
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
