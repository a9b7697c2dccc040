"""Commands of the evaluator, and the demonstration of all roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import AsJson, Folder, app, out, quality_table


@app.command()
def demo(output: Folder = Path("pprl-demo")) -> None:
    """Play both roles on FEBRL 4, from start to report."""
    from pprl.demo import run

    qualities = run(output, lambda text: out.print(text, highlight=False, soft_wrap=True))
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
    as_json: AsJson = False,
) -> None:
    """Compare links or clusters with the truth.

    For the evaluator. Writes quality.json into the folder.
    """
    from pprl.evaluation.clusters import ClusterQuality, evaluate_clusters
    from pprl.evaluation.quality import Quality
    from pprl.evaluation.quality import evaluate as evaluate_links
    from pprl.exchange.links import Clusters, Links

    quality: Quality | ClusterQuality
    if (folder / "clusters.parquet").exists():
        quality = evaluate_clusters(Clusters.load(folder / "clusters.parquet"), truth)
    else:
        quality = evaluate_links(Links.load(folder / "links.parquet"), truth)
    quality.save(folder / "quality.json")
    if as_json:
        print(json.dumps(quality.to_dict()))
    elif isinstance(quality, Quality):
        out.print(quality_table({str(folder): quality}))
    else:
        out.print(
            f"{quality.clusters:,} clusters, {quality.persons:,} persons, "
            f"{quality.records:,} records\n"
            f"pairs     precision {quality.precision.value:.4f}, recall "
            f"{quality.recall.value:.4f}, F1 {quality.f1.value:.4f}\n"
            f"B-cubed   precision {quality.bcubed_precision:.4f}, recall "
            f"{quality.bcubed_recall:.4f}, F1 {quality.bcubed_f1:.4f}\n"
            f"clusters  F1 {quality.cluster_f1:.4f}",
            highlight=False,
        )
