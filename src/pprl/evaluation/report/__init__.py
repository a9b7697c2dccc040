"""The linkage report: ``linkage_report.json`` for machines, ``report.html`` for people."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pprl.evaluation.report.suppression import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pprl.evaluation.report.facts import Facts
    from pprl.evaluation.report.groups import Groups
    from pprl.evaluation.report.model import LinkageReport
    from pprl.evaluation.review_estimate import ReviewEstimate
    from pprl.exchange.encodings import EncodingInfo
    from pprl.linkage.cluster import ClusterResult
    from pprl.linkage.link import LinkResult

JSON_NAME = "linkage_report.json"
"""The file beside ``report.html``."""


def report(
    result: LinkResult | ClusterResult | str | PathLike[str],
    path: str | PathLike[str] | None = None,
    *,
    truth: Any = None,
    facts: Facts | str | PathLike[str] | None = None,
    groups: Groups | None = None,
    review: ReviewEstimate | None = None,
    smallest: int = SMALLEST,
    inputs: Sequence[EncodingInfo] = (),
) -> LinkageReport:
    """Report on a linkage: what was done, how good it is, whom it misses, what limits it.

    Args:
        result: What `pprl.link`, `pprl.cluster` or `pprl.dedupe` returned; or the folder
            that the commands wrote.
        path: ``report.html`` to write, with ``linkage_report.json`` beside it; None to write
            nothing.
        truth: True pairs or persons, as `pprl.evaluate` and `pprl.evaluate_clusters` take.
        facts: What the run cannot know, or a TOML file of it; ``pprl facts`` writes a template.
        groups: For a holder's name, a table or file with ``record_id`` and columns of groups
            (sex, birth cohort, region).
        review: What `pprl.evaluation.review_estimate.review_estimate` returned; of a folder,
            its ``review.json``, if it is not given.
        smallest: Counts of people under it are withheld, and others that would give them away.
        inputs: Headers of the encodings, where the result does not have them.

    Returns:
        The content of the report.

    Raises:
        UsageError: Facts, groups or the truth do not agree with the run.
        DataError: A file cannot be read.
        OutputExists: A file is there already.
        MissingDependency: jinja2 or matplotlib is needed and not installed.
    """
    from pprl.evaluation.report.build import build
    from pprl.evaluation.report.facts import Facts
    from pprl.evaluation.report.run import Run
    from pprl.exchange.files import json_text, new_folder, write_texts

    page = None if path is None else Path(path)
    if page is not None:
        new_folder(page.parent, [page, page.parent / JSON_NAME])
    run = Run.load(result) if isinstance(result, str | PathLike) else Run.of(result, inputs)
    if review is not None:
        run = replace(run, review=review.to_dict())
    content = build(
        run,
        truth=truth,
        facts=facts if facts is None or isinstance(facts, Facts) else Facts.load(facts),
        groups=groups,
        least=smallest,
    )
    if page is not None:
        from pprl.evaluation.report.html import render

        text = render(content)
        machines = json_text(content.model_dump(mode="json"))
        write_texts({page: text, page.parent / JSON_NAME: machines})
    return content
