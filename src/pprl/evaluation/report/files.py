"""The parts of a report about the files: sources, identifiers, encoding."""

from __future__ import annotations

from pprl.evaluation.report.facts import Facts, SourceFacts
from pprl.evaluation.report.model import (
    Completeness,
    Count,
    Encoding,
    Fill,
    Identifier,
    Source,
)
from pprl.evaluation.report.run import Run
from pprl.evaluation.report.suppression import is_small

_COUNTS = ("received", "removed_objections", "removed_invalid", "persons")


def shown(value: int | None, least: int) -> Count | None:
    """Show a count unless it is small; zero is not."""
    if value is None:
        return None
    if is_small(value, least):
        return Count(value=None, low=1, high=least - 1)
    return Count(value=value)


def source(run: Run, at: int, facts: Facts, least: int) -> Source:
    """Describe a file by its header and by what its holder gave."""
    info, holder = run.inputs[at], run.holders[at]
    given = facts.sources.get(holder)
    number = {name: getattr(given, name, None) for name in _COUNTS}
    counts = {name: shown(value, least) for name, value in number.items()}
    removed = [number["removed_objections"], number["removed_invalid"]]
    if number["received"] is not None:
        rest = number["received"] - info.records - sum(value or 0 for value in removed)
        if any(is_small(value, least) for value in (*(v or 0 for v in removed), abs(rest))):
            counts["received"] = Count(value=None)
    if number["persons"] is not None and is_small(abs(info.records - number["persons"]), least):
        counts["persons"] = Count(value=None)
    words_only = given and SourceFacts(**given.model_dump(exclude=set(_COUNTS)))
    return Source(
        holder=holder,
        records=info.records,
        rows=info.rows,
        encoded=info.created,
        library=info.library,
        consent=info.consent,
        provenance=info.provenance,
        given=words_only,
        **counts,
    )


def identifiers(run: Run, facts: Facts, least: int) -> list[Identifier]:
    """Say how often each field is filled, unless that gives few people away."""
    found = []
    for field in run.inputs[0].present:
        shares = []
        for holder, info in zip(run.holders, run.inputs, strict=True):
            share = info.present.get(field, 0.0)
            filled = round(share * info.records)
            open_ = not (is_small(filled, least) or is_small(info.records - filled, least))
            shares.append(Completeness(holder=holder, share=round(share, 4) if open_ else None))
        bits = {
            group: weights[field]
            for group, weights in run.inputs[0].weights.items()
            if field in weights
        }
        found.append(
            Identifier(
                field=field, completeness=shares, bits=bits, given=facts.identifiers.get(field)
            )
        )
    return found


def encoding(run: Run) -> Encoding:
    """Describe how values became filters."""
    info = run.inputs[0]
    return Encoding(
        scheme="CLK: keyed Bloom filter of a record's tokens",
        bits=info.bits,
        groups=dict(info.groups),
        hardening=dict(info.hardening),
        schema_fingerprint=info.schema_fingerprint,
        fill=[
            Fill(
                holder=holder,
                mean=round(one.popcounts.mean / one.bits, 4),
                sd=round(one.popcounts.sd / one.bits, 4),
            )
            for holder, one in zip(run.holders, run.inputs, strict=True)
        ],
        one_key=len({one.key_check for one in run.inputs}) == 1,
    )
