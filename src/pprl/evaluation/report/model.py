"""The content of ``linkage_report.json``: what the run knows, and under ``given`` what users say.

The sections are those that RECORD (Benchimol et al., PLoS Med 12 (2015), e1001885) and GUILD
(Gilbert et al., J Public Health 40 (2018), p. 191) ask of a study with linked data.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pprl.evaluation.report.facts import (
    IdentifierFacts,
    MatchingFacts,
    PreprocessingFacts,
    ResultFacts,
    SeparationFacts,
    SoftwareFacts,
    SourceFacts,
)

ThresholdFrom = Literal["auto", "mixture", "fixed"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Count(_Part):
    """A number of records or pairs; withheld where ``value`` is null, then perhaps bounded."""

    value: int | None
    low: int | None = None
    high: int | None = None


class Figure(_Part):
    """A proportion with an interval; of 95 % unless the method says otherwise."""

    value: float
    low: float
    high: float


class Source(_Part):
    """A file of encodings: what its header says, and what its holder gave."""

    holder: str
    records: int
    rows: int = Field(description="More than records where some have several encodings.")
    encoded: str = Field(description="When the records were encoded.")
    library: str
    consent: str = Field(description="As the holder gave it for the header.")
    provenance: str = Field(description="As the holder gave it for the header.")
    received: Count | None = Field(description="Given. Records before any were left out.")
    removed_objections: Count | None = Field(description="Given.")
    removed_invalid: Count | None = Field(description="Given.")
    persons: Count | None = Field(description="Given. People among the records.")
    given: SourceFacts | None = Field(description="Given, without its counts.")


class Completeness(_Part):
    """Share of a holder's records with the field filled; null where it gives few people away."""

    holder: str
    share: float | None


class Identifier(_Part):
    """A field that was encoded."""

    field: str
    completeness: list[Completeness]
    bits: dict[str, int] = Field(
        description="Bits that a value, or each of its tokens, sets, by CLK group."
    )
    given: IdentifierFacts | None


class Preprocessing(_Part):
    """What became of values before they were encoded."""

    schema_name: str
    schema_fingerprint: str = Field(description="Fixes the cleaning of every field.")
    given: PreprocessingFacts


class Fill(_Part):
    """Bits set in the CLKs of a holder."""

    holder: str
    mean: float
    sd: float


class Encoding(_Part):
    """How values became filters. Never a key, nor its check value."""

    scheme: str
    bits: int
    groups: dict[str, int]
    hardening: dict[str, Any]
    schema_fingerprint: str
    fill: list[Fill]
    one_key: bool = Field(description="Checked: every file was made with the same key.")


class Blocking(_Part):
    """Which pairs were compared at all."""

    used: bool
    pairs: int = Field(description="Pairs of rows there are.")
    compared: int
    reduction_ratio: float
    pairs_completeness: Figure | None = Field(
        description="Share of true pairs that were compared; needs a truth and the pairs."
    )
    keyless: list[Count] | None = Field(description="Rows without a blocking key, by file.")
    dropped_blocks: int
    dropped_pairs: int
    passes: dict[str, dict[str, float]] = Field(
        description="Share of rows with a key, by pass and holder."
    )


class Matching(_Part):
    """How pairs became links or clusters."""

    similarity: str
    threshold: float | None
    threshold_from: ThresholdFrom
    precision_asked: float | None = Field(
        description="Estimated precision that the links had to have all together."
    )
    rule: str
    deduplicated: list[str] | None = Field(description="Holders with one record per person.")
    ambiguous: Count | None = Field(description="Links that another pair comes near to.")
    given: MatchingFacts


class SourceFlow(_Part):
    """What became of one holder's records."""

    holder: str
    received: Count | None
    encoded: int
    linked: Count
    unlinked: Count


class Flow(_Part):
    """From records to links."""

    sources: list[SourceFlow]
    pairs: int
    compared: int
    candidates: Count
    kind: Literal["links", "clusters"]
    links: Count = Field(description="Links, or clusters with two records or more.")


class Bin(_Part):
    """Pairs with a similarity from ``low`` to below ``high``."""

    low: float
    high: float
    pairs: int


class Similarities(_Part):
    """Candidate pairs by similarity; bins are merged until none has few pairs."""

    links: list[Bin]
    others: list[Bin]


class Rate(_Part):
    """Share of a holder's records that were linked; null where it is withheld."""

    holder: str
    linkage_rate: float | None


class Results(_Part):
    """What was found."""

    linkage_rates: list[Rate]
    similarities: Similarities | None
    cluster_sizes: dict[str, Count] | None = Field(description="Clusters by number of records.")
    conflicts: dict[str, Count] | None
    events: dict[str, Count] | None
    given: ResultFacts


class ErrorRates(_Part):
    """How often links are wrong and matches are missed."""

    method: Literal["estimate", "review", "truth"]
    unit: str
    precision: Figure | None
    recall: Figure | None
    f1: Figure | None
    counts: dict[str, float] | None
    others: dict[str, float] = Field(default_factory=dict)
    note: str


class Group(_Part):
    """People of one group; counts and what follows from them are null where withheld."""

    group: str
    records: int
    linked: Count
    unlinked: Count
    linkage_rate: Figure | None
    difference: float | None = Field(
        description="Standardised difference of the group's share, linked less unlinked."
    )
    recall: Figure | None = Field(description="Of those with a true partner; needs a truth.")


class Subgroup(_Part):
    """Linkage by one property of people; ``groups`` is null where all had to be withheld."""

    holder: str
    variable: str
    groups: list[Group] | None
    merged: int = Field(description="Groups that were too small and joined 'other'.")


class Cut(_Part):
    """What would be linked at another threshold."""

    threshold: float
    links: int
    precision: Figure | None
    recall: Figure | None


class Sensitivity(_Part):
    """Results at other thresholds; cuts stand far enough apart to hide few people."""

    chosen: float | None = Field(
        description="Score of the cut that was used, on the scale of ``estimated``, which is not "
        "that of similarities; null where it is not known."
    )
    estimated: list[Cut] | None
    against_truth: list[Cut] | None
    pairs: list[Cut] | None = Field(description="Pairs at or above, where there is no more.")


class Plausibility(_Part):
    """Links that cannot be right; counted by those who have the data, so all of it is given."""

    counts: dict[str, Count]
    remarks: str | None


class Protection(_Part):
    """Something that encoding does not protect against."""

    item: str
    why: str
    given: str | None


class Separation(_Part):
    """Who saw what, what is protected and what is not."""

    roles: dict[str, str]
    protected: list[str]
    not_protected: list[Protection]
    given: SeparationFacts


class Limitation(_Part):
    """A limitation, and whether the run shows it or a user names it."""

    text: str
    source: Literal["run", "given"]


class Software(_Part):
    """What made the links and the report."""

    linked_with: str
    reported_with: str
    python: str
    platform: str
    seconds: float | None
    reported: str
    smallest_cell: int
    sha256: dict[str, str] = Field(description="Of the result files, by name.")
    given: SoftwareFacts


class LinkageReport(_Part):
    """Content of ``linkage_report.json``.

    Every number comes from the run, but those under ``given`` and those whose description
    begins with Given, which users supplied. No value of a person is in it; counts of people
    under ``software.smallest_cell`` are withheld, and others that would give them away.
    """

    sources: list[Source]
    identifiers: list[Identifier]
    preprocessing: Preprocessing
    encoding: Encoding
    blocking: Blocking
    matching: Matching
    flow: Flow
    results: Results
    error_rates: list[ErrorRates]
    subgroups: list[Subgroup]
    sensitivity: Sensitivity
    plausibility: Plausibility
    separation: Separation
    limitations: list[Limitation]
    software: Software

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema that docs/reference/linkage_report.schema.json publishes."""
        schema = cls.model_json_schema(mode="serialization")
        return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
