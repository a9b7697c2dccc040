"""Exact keys at the command line: today's practice beside CLKs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import AsJson, Folder, Identity, SignedBy, app, out, pair, schema_app
from pprl.cli.linkage import BlockBy, MaxPairs, Threshold, Workers, blocking_of, threshold_of
from pprl.cli.logs import LOGS
from pprl.cli.progress import ShowProgress, progress_of


@schema_app.command("match-keys")
def schema_match_keys(
    schema: Annotated[Path, typer.Argument(help="A linkage schema.")],
    names: Annotated[
        list[str],
        typer.Argument(
            help="palga4, palga8, pht_address, pc4, slk581, bsn; or a token of another scheme, "
            "such as opprl_token_1v2 or openlinktoken_t1."
        ),
    ],
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="PART=FIELD", help="Where the schema's field has another name."
        ),
    ] = None,
) -> None:
    """Print the lines that add exact keys in use today."""
    from pprl.holder.match_keys import match_key_toml
    from pprl.holder.schema import Schema

    fields = dict(pair(text, "--map takes PART=FIELD") for text in field or ())
    print(match_key_toml(Schema.load(schema), names, fields), end="")


@app.command()
def cascade(
    a: Annotated[Path, typer.Argument(help="Encodings of the first holder.")],
    b: Annotated[Path, typer.Argument(help="Encodings of the second holder.")],
    output: Folder,
    exact: Annotated[
        str, typer.Option("--exact", help="Passes to link on first, by comma: palga8,palga4.")
    ],
    only: Annotated[
        bool, typer.Option("--exact-only", help="Compare no CLKs for the records that are left.")
    ] = False,
    threshold: Threshold = "auto",
    blocking: BlockBy = None,
    workers: Workers = None,
    max_pairs: MaxPairs = 100_000_000,
    identity: Identity = None,
    show: ShowProgress = None,
    signed_by: SignedBy = None,
    as_json: AsJson = False,
) -> None:
    """Link two files on exact keys first, the rest by CLKs."""
    from pprl.exchange.atomic import output_folder
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.files import write_json, write_table
    from pprl.linkage.cascade import cascade as link_in_turn
    from pprl.linkage.cascade import exact_pass_links

    LOGS.keep(output)
    links_file = output / "links.parquet"
    with output_folder(output, ["links.parquet", "made_by.parquet", "linkage.json"]) as staged:
        left, right = (
            Encodings.load(file, identity=identity, signed_by=signed_by) for file in (a, b)
        )
        passes = exact.split(",")
        if only:
            result = exact_pass_links(left, right, passes)
        else:
            with progress_of("comparing", show) as progress:
                result = link_in_turn(
                    left,
                    right,
                    passes,
                    threshold=threshold_of(threshold),
                    blocking=blocking_of(blocking),
                    workers=workers,
                    max_pairs=max_pairs,
                    progress=progress,
                )
        result.links.save(staged / "links.parquet")
        write_table(result.to_table(), staged / "made_by.parquet")
        facts = result.facts(left.info, right.info)
        write_json(facts, staged / "linkage.json")
    if as_json:
        print(json.dumps(facts))
        return
    lines = [f"{links_file}: {len(result.links):,} links"]
    lines += [
        f"  {one.name}: {one.links:,} links; {one.ambiguous:,} ambiguous; without a key "
        f"{one.left_keyless:,} of {one.left:,} and {one.right_keyless:,} of {one.right:,}"
        for one in result.passes
    ]
    if result.rest is not None:
        more = "" if result.gain is None else f", {result.gain:.1%} more than exact keys"
        lines.append(f"  CLKs: {len(result.rest.links):,} links{more}")
    out.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
