"""From a finished run, and what users add, to the content of the report."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any, get_args

import pandas as pd

from pprl.errors import UsageError
from pprl.evaluation.report import words
from pprl.evaluation.report.curves import bins, estimated_cuts, few_others, pair_cuts, true_cuts
from pprl.evaluation.report.facts import Facts
from pprl.evaluation.report.files import encoding, identifiers, shown, source
from pprl.evaluation.report.groups import Groups, Linked, read_groups, subgroups
from pprl.evaluation.report.linked import Outcome
from pprl.evaluation.report.model import (
    Blocking,
    Count,
    Cut,
    Figure,
    Flow,
    LinkageReport,
    Matching,
    Plausibility,
    Preprocessing,
    Rate,
    Results,
    Sensitivity,
    Separation,
    Software,
    Source,
    SourceFlow,
    Subgroup,
    ThresholdFrom,
)
from pprl.evaluation.report.run import Run
from pprl.evaluation.report.suppression import SMALLEST
from pprl.evaluation.report.truths import Judged
from pprl.version import library_version


def build(
    run: Run,
    *,
    truth: Any = None,
    facts: Facts | None = None,
    groups: Groups | None = None,
    least: int = SMALLEST,
) -> LinkageReport:
    """Make the content of a report.

    Args:
        run: What the linkage left.
        truth: True pairs or persons, as `pprl.evaluate` and `pprl.evaluate_clusters` take.
        facts: What users give.
        groups: For holders, their records' groups.
        least: Counts of people under it are withheld, and what would give them away.

    Raises:
        UsageError: Facts or groups are about a holder or field that the run does not have, or
            groups or the truth do not agree with the run.
        DataError: A truth or groups cannot be read.
    """
    if least < 0:
        raise UsageError(f"the smallest count that is shown cannot be {least}.")
    facts = facts or Facts()
    facts.check_names(run.holders, list(run.inputs[0].present))
    unknown = [name for name in groups or {} if name not in run.holders]
    if unknown:
        raise UsageError(
            f"there are groups of {unknown[0]!r}; the run has: {', '.join(run.holders)}."
        )
    outcome = Outcome.of(run, least)
    judged = None if truth is None else Judged.by(run, truth)
    sources = [source(run, at, facts, least) for at in range(len(run.inputs))]
    info = run.inputs[0]
    return LinkageReport(
        sources=sources,
        identifiers=identifiers(run, facts, least),
        preprocessing=Preprocessing(
            schema_name=info.schema_name,
            schema_fingerprint=info.schema_fingerprint,
            given=facts.preprocessing,
        ),
        encoding=encoding(run),
        blocking=_blocking(run, least),
        matching=_matching(run, facts, least),
        flow=_flow(run, outcome, sources, least),
        results=_results(run, outcome, facts, least),
        error_rates=[
            rates
            for rates in (
                outcome.estimated(run),
                outcome.reviewed(run),
                judged.rates(outcome) if judged else outcome.evaluated(run),
            )
            if rates is not None
        ],
        subgroups=_subgroups(run, outcome, judged, groups or {}, least),
        sensitivity=_sensitivity(run, outcome, judged, least),
        plausibility=_plausibility(facts, least),
        separation=Separation(
            roles=words.ROLES,
            protected=words.protected(info),
            not_protected=words.not_protected(facts),
            given=facts.separation,
        ),
        limitations=words.limitations(
            run,
            truth=judged is not None or run.quality is not None,
            groups=bool(groups),
            facts=facts,
        ),
        software=Software(
            linked_with=str(run.facts.get("library", "unknown")),
            reported_with=f"pprl {library_version()}",
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            seconds=run.facts.get("seconds"),
            reported=datetime.now(UTC).isoformat(timespec="seconds"),
            smallest_cell=least,
            sha256=run.sha256,
            given=facts.software,
        ),
    )


def _blocking(run: Run, least: int) -> Blocking:
    report = run.facts.get("blocking") or {}
    compared = int(run.facts.get("pairs_compared", 0))
    pairs = int(report.get("all_pairs", compared))
    keyless = [shown(int(value), least) for value in report.get("keyless", ())]
    return Blocking(
        used=bool(report),
        pairs=pairs,
        compared=compared,
        reduction_ratio=round(1 - compared / pairs, 6) if pairs else 0.0,
        pairs_completeness=_pairs_completeness(run, pairs == compared),
        keyless=[one for one in keyless if one] if report else None,
        dropped_blocks=sum(report.get("dropped_blocks", {}).values()),
        dropped_pairs=int(report.get("dropped_pairs", 0)),
        passes={
            name: {
                holder: round(info.blocking.get(name, 0.0), 2)
                for holder, info in zip(run.holders, run.inputs, strict=True)
            }
            for name in (run.inputs[0].blocking if report else ())
        },
    )


def _pairs_completeness(run: Run, every_pair: bool) -> Figure | None:
    """Take it from an evaluation that looked at the candidate pairs."""
    found = ((run.quality or {}).get("blocking") or {}).get("pairs_completeness")
    if every_pair or not found:
        return None
    return Figure(**{name: round(found[name], 4) for name in ("value", "low", "high")})


def _matching(run: Run, facts: Facts, least: int) -> Matching:
    threshold = run.facts.get("threshold")
    rule: Any = run.facts.get("rule")
    return Matching(
        similarity="Dice",
        threshold=None if threshold is None else round(float(threshold), 4),
        threshold_from=rule if rule in get_args(ThresholdFrom) else "fixed",
        precision_asked=run.facts.get("precision_asked"),
        rule=str(run.facts.get("matching") or run.facts.get("clustering") or "unknown"),
        deduplicated=run.facts.get("deduplicated"),
        ambiguous=shown(run.facts.get("ambiguous"), least),
        given=facts.matching,
    )


def _flow(run: Run, outcome: Outcome, sources: list[Source], least: int) -> Flow:
    # Candidates less the links, which the chart of similarities shows, would give the others.
    closed = outcome.hidden or few_others(run.similarities, least)
    return Flow(
        sources=[
            SourceFlow(
                holder=source.holder,
                received=source.received,
                encoded=source.records,
                linked=linked,
                unlinked=unlinked,
            )
            for source, (linked, unlinked) in zip(sources, outcome.counts, strict=True)
        ],
        pairs=int((run.facts.get("blocking") or {}).get("all_pairs", run.facts["pairs_compared"])),
        compared=int(run.facts["pairs_compared"]),
        candidates=Count(value=None if closed else int(run.facts["pairs_above"])),
        kind=outcome.kind,
        links=outcome.links,
    )


def _results(run: Run, outcome: Outcome, facts: Facts, least: int) -> Results:
    rates = [
        Rate(
            holder=holder,
            linkage_rate=None
            if linked.value is None or not info.records
            else round(linked.value / info.records, 4),
        )
        for holder, info, (linked, _) in zip(run.holders, run.inputs, outcome.counts, strict=True)
    ]
    shown = None
    if run.similarities is not None and not outcome.hidden:
        shown = bins(run.similarities, least)
    return Results(
        linkage_rates=rates,
        similarities=shown,
        cluster_sizes=outcome.sizes,
        conflicts=_tally(run.conflicts, "reason", least),
        events=_tally(run.events, "event", least),
        given=facts.results,
    )


def _tally(table: Any, column: str, least: int) -> dict[str, Count] | None:
    if table is None:
        return None
    found: dict[str, Count] = {}
    for row in table[column].value_counts().to_pylist():
        count = shown(int(row["counts"]), least)
        if count is not None:
            found[str(row["values"])] = count
    return dict(sorted(found.items()))


def _subgroups(
    run: Run, outcome: Outcome, judged: Judged | None, groups: Groups, least: int
) -> list[Subgroup]:
    found: list[Subgroup] = []
    for at, holder in enumerate(run.holders):
        if holder not in groups:
            continue
        partner, right = judged.partners(at) if judged else (None, None)
        linked = Linked(
            ids=pd.Index(outcome.linked_ids[at]),
            records=run.inputs[at].records,
            open=outcome.counts[at][0].value is not None,
            with_partner=partner,
            found=right,
        )
        found += subgroups(holder, read_groups(holder, groups[holder]), linked, least)
    return found


def _sensitivity(run: Run, outcome: Outcome, judged: Judged | None, least: int) -> Sensitivity:
    estimated: list[Cut] | None = None
    against: list[Cut] | None = None
    pairs: list[Cut] | None = None
    chosen = None
    if run.curve is not None and not outcome.hidden:
        count = len(run.found.table)
        estimated = estimated_cuts(run.curve, count, least)
        chosen = next((cut.threshold for cut in estimated if cut.links == count), None)
    if judged is not None and not outcome.hidden and judged.hit is not None:
        similarity = run.found.table["similarity"].to_numpy()
        against = true_cuts(similarity, judged.hit, judged.true_pairs, least)
    if estimated is None and run.similarities is not None and not outcome.hidden:
        pairs = pair_cuts(run.similarities, least)
    return Sensitivity(
        chosen=chosen,
        estimated=estimated or None,
        against_truth=against or None,
        pairs=pairs or None,
    )


def _plausibility(facts: Facts, least: int) -> Plausibility:
    given = facts.plausibility.model_dump(exclude={"remarks"}, exclude_none=True)
    counts = {name: shown(value, least) for name, value in given.items()}
    return Plausibility(
        counts={name: count for name, count in counts.items() if count is not None},
        remarks=facts.plausibility.remarks,
    )
