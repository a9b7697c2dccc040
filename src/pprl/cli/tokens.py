"""The command that makes tokens of other schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import app, out, pair
from pprl.cli.holder import Source, people
from pprl.errors import UsageError
from pprl.holder.choices import TokenScheme


@app.command()
def tokens(
    data: Annotated[str, typer.Argument(help="People's records: a file, URL or duckdb: query.")],
    scheme: Annotated[TokenScheme, typer.Option("--scheme", help="Whose tokens.")],
    secret: Annotated[
        Path,
        typer.Option(
            "--secret", help="File of the scheme's secret: RSA key in PEM, or hashing secret."
        ),
    ],
    id_column: Annotated[str, typer.Option("--id-column", help="Column with the record ids.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Table to write: .parquet, or .csv.")
    ],
    column: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="PART=COLUMN", help="Where your column has another name."),
    ] = None,
    token: Annotated[
        list[str] | None,
        typer.Option("--token", help="A token to make, by name; by default all that can be."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep all columns of the data, to encode both.")
    ] = False,
    names: Annotated[
        str | None,
        typer.Option("--names", help="Names of the columns of a CSV file without a header: a,b,c"),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", help="Of a CSV file; found out by default.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Of a CSV file; found out by default.")
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option("--from", help="What DATA is: FHIR patients, or OMOP's PERSON."),
    ] = None,
    location: Annotated[
        str | None, typer.Option("--location", help="OMOP: the table LOCATION, for addresses.")
    ] = None,
) -> None:
    """Make another scheme's own tokens, bit for bit (data holder)."""
    from pprl.exchange.files import refuse_existing, write_table, write_text
    from pprl.holder.token_schemes import make_tokens
    from pprl.tables.csv_files import CsvFormat

    if output.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{output}: name a file that ends in .parquet or .csv.")
    refuse_existing(output)
    made = make_tokens(
        people(data, source, location),
        scheme,
        secret,
        id_column=id_column,
        columns=dict(pair(text, "--map takes PART=COLUMN") for text in column or ()),
        tokens=token,
        keep=keep,
        csv_format=CsvFormat(delimiter, encoding, tuple(names.split(",")) if names else None),
    )
    if output.suffix == ".csv":
        write_text(made.to_pandas().to_csv(index=False), output, private=True)
    else:
        write_table(made, output)
    out.print(f"{output}: {made.num_rows:,} records", soft_wrap=True)
    known = set(token or made.column_names)
    for name in made.column_names:
        if name in known and name.startswith(("opprl_token_", "openlinktoken_")):
            there = made.num_rows - made[name].null_count
            out.print(f"  {name} of {there:,}", highlight=False, markup=False)
