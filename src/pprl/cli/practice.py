"""Made-up people to practise on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import Folder, app, out


@app.command()
def practice(
    output: Folder = Path("practice"),
    persons: Annotated[
        int, typer.Option("--persons", help="Size of the population that both are drawn from.")
    ] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="Another number, other people.")] = 1,
) -> None:
    """Make up two small registers and their truth, to practise on."""
    from pprl.exchange.atomic import output_folder
    from pprl.synthetic import practice as write_practice
    from pprl.synthetic.practice import FILES

    with output_folder(output, FILES) as staged:
        written = write_practice(staged, persons=persons, seed=seed)
    for name, rows in written.items():
        out.print(f"{output / name}: {rows:,} rows", highlight=False, soft_wrap=True)
    out.print("Nobody in these files exists.")
