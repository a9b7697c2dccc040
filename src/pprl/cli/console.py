"""What the commands share: the application, the consoles, options, progress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pprl.cli.logs import LOGS, App, Quiet, Verbose
from pprl.errors import PprlWarning, UsageError
from pprl.exchange.untrusted.text import shown
from pprl.run_log import LOG, run_id
from pprl.version import library_version

app = App(
    help="Privacy-preserving record linkage: encode at the holders, link without names, evaluate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
schema_app = App(help="Linkage schemas.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(schema_app, name="schema")


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pprl {library_version()}")
        raise typer.Exit


@app.callback()
def _every_command(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Privacy-preserving record linkage: encode at the holders, link without names, evaluate."""
    LOGS.begin(context)
    LOGS.louder(verbose - quiet)


class SafeConsole(Console):
    """A console on which foreign texts are inert: no markup, no control characters, no keys."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; texts as they are, but for what a terminal would obey."""
        plain = [shown(one) if isinstance(one, str) else one for one in objects]
        super().print(*plain, **options)


out = SafeConsole(markup=False, emoji=False)
err = SafeConsole(stderr=True, markup=False, emoji=False)

Folder = Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

Identity = Annotated[
    Path | None, typer.Option("--identity", help="age identity file, to open sealed files.")
]

SignedBy = Annotated[
    Path | None,
    typer.Option(
        "--signed-by",
        help="Public keys, one a line: open a sealed file only if one of them signed it.",
    ),
]


def say_error(kind: str, text: str) -> None:
    """Say what went wrong, on standard error, never as markup."""
    err.print(f"{kind}: {text}", markup=False, highlight=False, soft_wrap=True)


def say_progress(text: str) -> None:
    """Say what is being done, on standard error, if that is a terminal."""
    if err.is_terminal and not LOGS.quiet:
        err.print(text, markup=False, highlight=False, soft_wrap=True)


def show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Show the warnings of pprl, and only those; put in place of `warnings.showwarning`."""
    if issubclass(category, PprlWarning):
        LOG.warning("run=%s warning: %s", run_id(), shown(str(message)))
        if not LOGS.quiet:
            say_error("warning", str(message))


def pair(text: str, usage: str = "--map takes FIELD=COLUMN") -> tuple[str, str]:
    """Cut FIELD=COLUMN in two."""
    field, equals, column = text.partition("=")
    if not equals:
        raise UsageError(f"{usage}, not {text!r}.")
    return field, column


def quality_table(qualities: dict[str, Any]) -> Table:
    """Show precision, recall and F1 with their intervals, a row for each linkage."""
    table = Table("linkage", "precision", "recall", "F1", "links", "true pairs")
    for name, quality in qualities.items():
        figures = [
            f"{figure.value:.4f}\n{figure.low:.3f}-{figure.high:.3f}"
            for figure in (quality.precision, quality.recall, quality.f1)
        ]
        table.add_row(shown(name), *figures, f"{quality.links:,}", f"{quality.true_pairs:,}")
    table.caption = "with 95 % intervals"
    return table
