"""Commands that say what is still held of linkages, and that delete it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pprl.cli.console import AsJson, app, out
from pprl.cli.logs import LOGS


@app.command()
def status(
    folder: Annotated[
        Path, typer.Argument(help="A run's folder, or one with many runs in it.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Say what runs still hold, and until when (linkage unit)."""
    from pprl.linkage.held import holdings, runs_in

    today = datetime.now(UTC).date()
    found = [holdings(one) for one in runs_in(folder)]
    if as_json:
        print(json.dumps([one.to_dict(today) for one in found]))
        return
    if not found:
        out.print(f"{folder}: no runs", soft_wrap=True)
    for one in found:
        until = "no date was set" if one.until is None else f"until {one.until.isoformat()}"
        late = ", OVERDUE" if one.overdue(today) else ""
        lines = [f"{one.folder}: {until}{late}"]
        lines += [
            f"  {kind}: {held['files']:,} files, {held['bytes'] / 1e6:,.1f} MB"
            for kind, held in one.to_dict(today)["held"].items()
        ]
        lines += [f"  input elsewhere: {path}" for path in one.elsewhere]
        if not one.finished:
            lines.append("  not finished: go on with --resume")
        out.print("\n".join(lines), highlight=False, soft_wrap=True)


@app.command()
def purge(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    keep: Annotated[
        Literal["links", "pseudonyms", "report"],
        typer.Option("--keep", help="The most that is kept; all that says more is deleted."),
    ],
    encodings: Annotated[
        list[Path] | None,
        typer.Option("--encodings", help="Encodings elsewhere that are deleted, too."),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Even if a job there has no results yet.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be deleted; delete nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is not kept of a run; check it, and record it.

    For the linkage unit: encodings and a job's parts always; with --keep pseudonyms also what names
    records; with --keep report also the pseudonyms. The record is deleted.json.
    """
    from pprl.linkage.purge import purge as delete
    from pprl.linkage.purge import to_delete

    if dry_run:
        gone = to_delete(run, keep, encodings or ())
        if as_json:
            print(json.dumps({"would_delete": [str(one.path) for one in gone]}))
            return
        for one in gone:
            out.print(f"{one.kind}: {one.path}", highlight=False, soft_wrap=True)
        return
    LOGS.keep(run)
    entry = delete(run, keep, encodings=encodings or (), unfinished=unfinished)
    if as_json:
        print(json.dumps(entry))
        return
    size = sum(one.get("bytes", 0) for one in entry["files"])
    out.print(
        f"{len(entry['files']):,} files deleted, {size / 1e6:,.1f} MB; they are gone\n"
        f"{run / 'deleted.json'}: the record",
        highlight=False,
        soft_wrap=True,
    )
    for path in entry["left"]:
        out.print(f"not deleted: {path}", highlight=False, soft_wrap=True)
