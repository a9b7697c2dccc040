"""The evaluator's commands that report on a linkage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import AsJson, app, out
from pprl.errors import UsageError

Linkage = Annotated[Path, typer.Argument(help="Folder that 'pprl link' or 'dedupe' wrote.")]


@app.command()
def report(
    folder: Linkage,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="By default FOLDER/report.html.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="CSV: left_id,right_id; or holder,record_id,person_id."),
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option("--facts", help="TOML of what the run cannot know; see 'pprl facts'."),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--groups", help="HOLDER=CSV: record_id and columns of groups; one for each holder."
        ),
    ] = None,
    smallest: Annotated[
        int, typer.Option("--smallest", help="Counts of people under this are withheld.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Report on a linkage.

    For the evaluator: report.html, and linkage_report.json beside it.
    """
    from pprl.evaluation.report import JSON_NAME
    from pprl.evaluation.report import report as write_report

    page = output or folder / "report.html"
    content = write_report(
        folder,
        page,
        truth=truth,
        facts=facts,
        groups=dict(_named(text) for text in groups or ()),
        smallest=smallest,
    )
    if as_json:
        print(content.model_dump_json())
        return
    out.print(f"{page}: the report", highlight=False, soft_wrap=True)
    out.print(f"{page.parent / JSON_NAME}: the same for machines", highlight=False, soft_wrap=True)
    for one in content.limitations:
        if one.source == "run":
            out.print(f"  - {one.text}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def facts(
    run: Annotated[
        Path, typer.Argument(help="Folder that 'pprl link' or 'dedupe' wrote, or encodings.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="TOML file to write.")],
) -> None:
    """Write a template of what a report cannot know."""
    from pprl.evaluation import facts as described
    from pprl.evaluation.report import facts as reported
    from pprl.evaluation.report.run import Run
    from pprl.exchange.files import write_text

    if run.is_file():
        text, uses = described.template(linked=False), [f"describe {run}"]
    else:
        found = Run.load(run)
        text = reported.template(found.holders, list(found.inputs[0].present))
        text += "\n" + described.template(linked=True)
        uses = [f"report {run}", f"describe {run}"]
    write_text(text, output)
    commands = " or ".join(f"'pprl {use} --facts {output}'" for use in uses)
    out.print(f"{output}: fill in what you know, then {commands}", soft_wrap=True)


def _named(text: str) -> tuple[str, Path]:
    holder, equals, path = text.rpartition("=")
    if not equals:
        raise UsageError(f"--groups takes HOLDER=FILE, not {text!r}.")
    return holder, Path(path)
