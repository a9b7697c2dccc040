"""Commands of the evaluator, and the demonstration of all roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import AsJson, Folder, Identity, app, out, quality_table
from pprl.cli.logs import LOGS
from pprl.cli.progress import ShowProgress, progress_of
from pprl.errors import UsageError


@app.command()
def demo(output: Folder = Path("pprl-demo")) -> None:
    """Play both roles on FEBRL 4, from start to report."""
    from pprl.demo import run

    qualities = run(
        output, lambda text: out.print(text, highlight=False, soft_wrap=True, markup=True)
    )
    out.print()
    out.print(quality_table(qualities))


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder that 'pprl link' or 'dedupe' wrote.")],
    truth: Annotated[
        Path,
        typer.Option(
            "--truth", help="CSV: left_id,right_id; for clusters holder,record_id,person_id."
        ),
    ],
    groups: Annotated[
        Path | None,
        typer.Option("--groups", help="CSV: record_id and columns of groups, such as sex."),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option("--errors", help="CSV to write: false links and missed matches by record id."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare links or clusters with the truth.

    For the evaluator. Writes quality.json into the folder.
    """
    from pprl.evaluation.clusters import ClusterQuality, evaluate_clusters
    from pprl.evaluation.error_listing import list_errors
    from pprl.evaluation.quality import Quality
    from pprl.evaluation.quality import evaluate as evaluate_links
    from pprl.evaluation.tables import csv_text
    from pprl.exchange.files import json_text, refuse_existing, write_texts
    from pprl.exchange.links import Clusters, Links

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Give the one that 'pprl link' or 'dedupe' wrote.")
    refuse_existing(folder / "quality.json", *([errors] if errors else []))
    LOGS.keep(folder)
    quality: Quality | ClusterQuality
    texts: dict[Path, str] = {}
    if (folder / "clusters.parquet").exists():
        if errors:
            raise UsageError("--errors lists pairs; clusters have conflicts.parquet.")
        clusters = Clusters.load(folder / "clusters.parquet")
        quality = evaluate_clusters(clusters, truth, groups=groups)
    else:
        links = Links.load(folder / "links.parquet")
        quality = evaluate_links(links, truth, groups=groups)
        if errors:
            texts[errors] = csv_text(list_errors(links, truth))
    texts[folder / "quality.json"] = json_text(quality.to_dict())
    write_texts(texts, private=bool(errors))
    if as_json:
        print(json.dumps(quality.to_dict()))
    elif isinstance(quality, Quality):
        subgroups = {f"{one.variable} {one.group}": one for one in quality.subgroups}
        out.print(quality_table({str(folder): quality} | subgroups))
    else:
        out.print(
            f"{quality.clusters:,} clusters, {quality.persons:,} persons, "
            f"{quality.records:,} records\n"
            f"pairs     precision {quality.precision.value:.4f}, recall "
            f"{quality.recall.value:.4f}, F1 {quality.f1.value:.4f}\n"
            f"B-cubed   precision {quality.bcubed_precision:.4f}, recall "
            f"{quality.bcubed_recall:.4f}, F1 {quality.bcubed_f1:.4f}\n"
            f"clusters  F1 {quality.cluster_f1:.4f}, closest {quality.closest_f1:.4f}",
            highlight=False,
        )
        for one in quality.by_holders:
            out.print(
                f"{one.left} x {one.right}: precision {one.precision.value:.4f}, recall "
                f"{one.recall.value:.4f}, {one.true_pairs:,} true pairs",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


@app.command()
def changes(
    old: Annotated[Path, typer.Argument(help="Folder of the earlier 'pprl link'.")],
    new: Annotated[Path, typer.Argument(help="Folder of the later one.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV of the pairs that changed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two linkage runs pair by pair.

    For the linkage unit: what changed, and why.
    """
    from pprl.evaluation.runs import compare_runs
    from pprl.evaluation.tables import csv_text
    from pprl.exchange.files import write_text

    result = compare_runs(old, new)
    if output:
        write_text(csv_text(result.changes), output, private=True)
    counts = {"kept": result.kept, "gained": result.gained, "lost": result.lost}
    reasons = result.summary().to_dict("records")
    if as_json:
        print(json.dumps(counts | {"reasons": reasons}))
        return
    out.print(", ".join(f"{number:,} {name}" for name, number in counts.items()))
    for row in reasons:
        out.print(f"  {row['change']}, {row['why']}: {row['pairs']:,}", highlight=False)


@app.command()
def tune(
    a: Annotated[Path, typer.Argument(help="Encodings of the first holder.")],
    b: Annotated[Path, typer.Argument(help="Encodings of the second holder.")],
    truth: Annotated[Path, typer.Option("--truth", help="CSV: left_id,right_id.")],
    floor: Annotated[
        float, typer.Option("--floor", help="The least similarity that is looked at.")
    ] = 0.5,
    workers: Annotated[int | None, typer.Option("--workers", help="Threads.")] = None,
    identity: Identity = None,
    show: ShowProgress = None,
    as_json: AsJson = False,
) -> None:
    """Choose the threshold with a truth.

    Cross-validated (evaluator).
    """
    from pprl.evaluation.tune import tune as choose
    from pprl.exchange.encodings import Encodings
    from pprl.linkage.compare import compare

    left, right = (Encodings.load(path, identity=identity) for path in (a, b))
    with progress_of("comparing", show) as progress:
        pairs = compare(left, right, threshold=floor, workers=workers, progress=progress)
    tuning = choose(pairs, truth)
    figures = {
        "threshold": tuning.threshold,
        "apparent": tuning.apparent,
        "cross_validated": tuning.cross_validated,
        "optimism": tuning.optimism,
        "threshold_range": tuning.threshold_range,
    }
    if as_json:
        print(json.dumps(figures))
        return
    low, high = tuning.threshold_range
    out.print(
        f"threshold {tuning.threshold:.4g} (folds chose {low:.4g} to {high:.4g})\n"
        f"F1 {tuning.cross_validated:.4f} cross-validated, {tuning.apparent:.4f} on the pairs it "
        f"was chosen with: optimism {tuning.optimism:.4f}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def describe(
    run: Annotated[
        Path, typer.Argument(help="Folder that 'pprl link' wrote, or an encodings file.")
    ],
    facts: Annotated[Path, typer.Option("--facts", help="TOML: what only people know.")],
    output: Folder,
) -> None:
    """Describe a run for others.

    RO-Crate, and DCAT-AP of the linked dataset (evaluator).
    """
    from pprl.evaluation.facts import Facts
    from pprl.evaluation.provenance import describe_encoding, describe_link

    known = Facts.load(facts)
    written = (describe_link if run.is_dir() else describe_encoding)(run, known, output)
    for path in written:
        out.print(str(path), highlight=False, soft_wrap=True)
