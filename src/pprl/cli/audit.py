"""The command that measures and attacks encodings before they leave the holder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import AsJson, Folder, Identity, app, err, out, pair
from pprl.errors import UsageError


@app.command()
def audit(
    encodings: Annotated[Path, typer.Argument(help="Encodings file that 'pprl encode' wrote.")],
    output: Folder,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="People an attacker could have a list of.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", "-s", help="The schema of the encodings.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="CSV: record_id,reference_id, who is who.")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id-column", help="The reference's column with its ids.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Where the reference has another name."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", "-k", help="Key file, env:VARIABLE or fd:NUMBER: what it opens."),
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            "--fail-above",
            help="Exit with code 3 if an attack without key and pairs re-identifies more.",
        ),
    ] = None,
    victims: Annotated[int, typer.Option("--victims", help="Encodings to attack.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")] = 1,
    identity: Identity = None,
    as_json: AsJson = False,
) -> None:
    """Measure what encodings give away, and attack them.

    For a data holder; writes audit.json and audit.html.
    """
    from pprl.cli.holder import read_key
    from pprl.evaluation.audit import audit as run
    from pprl.evaluation.audit.auditing import LIMIT
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.files import new_folder
    from pprl.holder.schema import Schema

    if fail_above is not None and truth is None and id_column is None:
        raise UsageError(
            "--fail-above needs to count who is re-identified: give --reference, -s and --truth."
        )
    new_folder(output, [output / "audit.json", output / "audit.html"])
    found = run(
        Encodings.load(encodings, identity=identity),
        reference=reference,
        schema=Schema.load(schema) if schema else None,
        truth=truth,
        id_column=id_column,
        columns=dict(pair(text) for text in column or ()),
        key=read_key(key) if key else None,
        victims=victims,
        limit=LIMIT if fail_above is None else fail_above,
        seed=seed,
        tell=lambda text: err.print(text, highlight=False) if err.is_terminal else None,
    )
    found.save(output)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        for one in found.weaknesses:
            out.print(
                f"{one['group'] or 'CLK'}: {one['weakness']}: {one['meaning']}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        for attack in found.attacks:
            verdict = "succeeded" if attack.succeeded(found.limit) else "did not succeed"
            pairs = f", {attack.known_pairs:,} known pairs" if attack.known_pairs else ""
            out.print(
                f"{attack.name}{pairs}, overlap {attack.overlap:.0%}, noise {attack.noise:.0%}: "
                f"{verdict} at this size: {attack.reidentification_rate:.2%} of "
                f"{attack.n_victims:,} ({attack.low:.2%} to {attack.high:.2%})",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if fail_above is not None:
        found.check()
