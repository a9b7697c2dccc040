"""The command that says what a comparison will cost, before it is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from pprl.cli.console import AsJson, Identity, app, out
from pprl.cli.linkage import BlockBy, Unreachable, Workers, blocking_of


@app.command()
def explain(
    a: Annotated[Path, typer.Argument(help="Encodings of the first holder.")],
    b: Annotated[
        Path | None, typer.Argument(help="Encodings of the second holder; without it, within one.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            "--threshold",
            help="The Dice similarity that is wanted, 0 to 1, or auto: that of two files by "
            "default; within one 0.8.",
        ),
    ] = None,
    blocking: BlockBy = None,
    unreachable: Unreachable = "report",
    workers: Workers = None,
    identity: Identity = None,
    as_json: AsJson = False,
) -> None:
    """Say what a comparison or an automatic linkage will cost.

    For the linkage unit, without running it: a small one is run and timed.
    """
    from pprl.exchange.encodings import Encodings
    from pprl.linkage.explain import explain as explain_comparison

    made = explain_comparison(
        Encodings.load(a, identity=identity),
        None if b is None else Encodings.load(b, identity=identity),
        threshold=_given(threshold, within=b is None),
        blocking=blocking_of(blocking, unreachable),
        workers=workers,
    )
    if as_json:
        print(json.dumps(made.to_dict()))
        return
    lines = [
        f"{way.name}: {way.pairs:,} pairs, {way.seconds:,.1f} s, {way.memory / 2**20:,.0f} MB, "
        + (
            "completeness unknown"
            if way.completeness is None
            else f"completeness {way.completeness:.3f}"
        )
        for way in made.ways
    ]
    lines.append(
        f"in all at most {made.pairs:,} of {made.all_pairs:,} pairs, {made.seconds:,.1f} s"
    )
    if any(made.keyless):
        lines.append(f"records without a key: {made.keyless[0]:,} and {made.keyless[1]:,}")
    if made.advice:
        lines.append(made.advice)
    out.print("\n".join(lines), highlight=False, soft_wrap=True)


def _given(threshold: str | None, *, within: bool) -> float | Literal["auto"]:
    from pprl.errors import UsageError

    text = threshold or ("0.8" if within else "auto")
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--threshold is a number from 0 to 1 or auto, not {text!r}.") from None
