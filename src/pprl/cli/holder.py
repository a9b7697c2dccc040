"""Commands of a data holder: keys, schemas, encoding, sealing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from pprl.cli.console import (
    AsJson,
    app,
    out,
    pair,
    say_error,
    say_progress,
    schema_app,
)
from pprl.cli.progress import ShowProgress, progress_of
from pprl.errors import UsageError
from pprl.holder.choices import Attacker, OnInvalid, SuggestHardening

Source = Literal["fhir", "omop"]

SchemaFile = Annotated[
    Path, typer.Option("--schema", "-s", help="Linkage schema (pprl TOML/JSON, clkhash v1-v3).")
]
SignKey = Annotated[
    Path | None,
    typer.Option("--sign-key", help="Sign the sealed file; the signature is FILE.sig beside it."),
]


@app.command()
def keygen(
    keyfile: Annotated[Path, typer.Argument(help="Where to write the key; must not exist.")],
    combine: Annotated[
        list[str] | None,
        typer.Option(
            "--combine",
            metavar="HOLDER=KEYFILE",
            help="Of each holder, to make one key of all.",
        ),
    ] = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="The linkage unit's own key, for pseudonyms.")
    ] = False,
    identity: Annotated[
        bool, typer.Option("--identity", help="The linkage unit's age identity, for sealed files.")
    ] = False,
    signing: Annotated[
        str | None,
        typer.Option(
            "--signing",
            metavar="HOLDER",
            help="A holder's key to sign sealed files; its public half is written to KEYFILE.pub.",
        ),
    ] = None,
) -> None:
    """Make a linkage key: 32 random bytes, readable by you only."""
    others = pseudonyms + identity + (signing is not None)
    if combine is not None and others:
        raise UsageError("--combine is for linkage keys only.")
    if others > 1:
        raise UsageError(
            "--pseudonyms, --identity and --signing make different keys; make one at a time."
        )
    if signing is not None:
        from pprl.exchange.signing import new_signing_key

        line = new_signing_key(keyfile, signing)
        out.print(f"{keyfile}: signs what you seal; it stays with you", soft_wrap=True)
        out.print(line, highlight=False, soft_wrap=True)
        out.print(f"Give {keyfile}.pub to the linkage unit, over a safe channel.", soft_wrap=True)
        return
    if identity:
        from pprl.exchange.identities import new_identity

        recipient = new_identity(keyfile)
        out.print(f"{keyfile}: opens what is sealed to", highlight=False, soft_wrap=True)
        out.print(recipient, highlight=False, soft_wrap=True)
        out.print("Give the line above to the data holders; the file stays with you.")
        return
    from pprl.holder.keys import LinkageKey
    from pprl.linkage.pseudonyms import PseudonymKey

    if pseudonyms:
        own = PseudonymKey.generate()
        own.save(keyfile)
        out.print(f"{keyfile}: {own!r}", highlight=False, soft_wrap=True)
        out.print("It stays with the linkage unit; no holder and no researcher gets it.")
        return
    if combine:
        files = dict(pair(text, "--combine takes HOLDER=KEYFILE") for text in combine)
        key = LinkageKey.combine({name: LinkageKey.load(file) for name, file in files.items()})
    else:
        key = LinkageKey.generate()
    key.save(keyfile)
    out.print(f"{keyfile}: {key!r}", highlight=False, soft_wrap=True)
    out.print("Give it to the other data holders only, over a safe channel; never to who links.")


@schema_app.command("check")
def schema_check(
    schema: Annotated[Path, typer.Argument(help="A linkage schema.")], as_json: AsJson = False
) -> None:
    """Check a schema; print its fingerprint and fields."""
    from pprl.holder.encoder import expected_fill
    from pprl.holder.hardening.applied import describe
    from pprl.holder.hardening.undone import undone_parts, why_undone
    from pprl.holder.schema import Schema

    loaded = Schema.load(schema)
    fill = expected_fill(loaded)
    undone = undone_parts(loaded)
    if as_json:
        content = loaded.model_dump(mode="json") | {
            "fingerprint": loaded.fingerprint,
            "expected_fill": {name: round(share, 4) for name, share in fill.items()},
            "parts": {part.name: describe(part, fill[part.name]) for part in loaded.parts},
            "undone": [part.name for part in undone],
        }
        print(json.dumps(content))
        return
    out.print(f"name         {loaded.name}", highlight=False)
    out.print(f"fingerprint  {loaded.fingerprint}", highlight=False)
    for part in loaded.parts:
        said = describe(part, fill[part.name])
        method = said.pop("method")
        details = ", ".join(f"{name} {value}" for name, value in said.items() if name != "fill")
        name = f" of {part.name}" if part.name else ""
        out.print(
            f"CLK          {part.bits} bits{name}, hardening {method}"
            + (f" ({details})" if details else ""),
            highlight=False,
            soft_wrap=True,
        )
        if method == "minhash":
            weights = ", ".join(f"{name} {weight}" for name, weight in part.weights().items())
            out.print(f"weights      {weights}", highlight=False, soft_wrap=True)
            continue
        out.print(
            f"fill         about {fill[part.name]:.2f} before hardening, every field filled",
            highlight=False,
        )
    table = Table("field", "format", "tokens", "bits")
    for field in loaded.fields:
        if field.ignored:
            table.add_row(field.name, "ignored", "", "")
            continue
        bits = (
            f"{field.bits_per_feature} a value"
            if field.bits_per_feature
            else f"{field.bits_per_token} a token"
        )
        table.add_row(field.name, field.format.type, _tokens(field.tokens), bits)
    out.print(table)
    for part in undone:
        say_error("not for new encodings", why_undone(loaded, part))


@schema_app.command("suggest")
def schema_suggest(
    data: Annotated[str, typer.Argument(help="People's records: a file, URL or duckdb: query.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Schema to write.")],
    hardening: Annotated[
        SuggestHardening, typer.Option("--hardening", help="How encodings will be hardened.")
    ] = "default",
    withstand: Annotated[
        float,
        typer.Option(
            "--withstand",
            help="Share of people that attacks on this file may name; the hardening is the "
            "lightest that keeps to it. 0: run no attack, take a preset.",
        ),
    ] = 0.01,
    known_pairs: Annotated[
        int,
        typer.Option(
            "--withstand-pairs", help="How many encodings' persons the attacker is to know."
        ),
    ] = 0,
    attacker: Annotated[
        Attacker,
        typer.Option(
            "--attacker",
            help="exact: has a list of just these people, without an error. population: of ten "
            "times as many, with errors.",
        ),
    ] = "exact",
    at_least: Annotated[
        Path | None,
        typer.Option(
            "--at-least", help="Another holder's suggested schema: harden no less than it does."
        ),
    ] = None,
    fields: Annotated[
        str | None, typer.Option("--fields", help="Columns to take, whatever their names: a,b,c")
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option("--from", help="What DATA is: FHIR patients, or OMOP's PERSON."),
    ] = None,
    location: Annotated[
        str | None, typer.Option("--location", help="OMOP: the table LOCATION, for addresses.")
    ] = None,
) -> None:
    """Write a starting schema, hardened as this file needs."""
    from pprl.evaluation.calibration import suggest
    from pprl.exchange.files import refuse_existing, write_text

    refuse_existing(output)
    chosen = [one.strip() for one in fields.split(",")] if fields else None
    made = suggest(
        people(data, source, location),
        name=output.stem,
        hardening=hardening,
        withstand=withstand or None,
        known_pairs=known_pairs,
        attacker=attacker,
        at_least=at_least,
        fields=chosen,
        tell=say_progress,
    )
    write_text(made.text, output)
    for column, why in made.left_out.items():
        out.print(f"left out {column!r}: {why}", highlight=False, markup=False, soft_wrap=True)
    out.print(f"{output}: read it, then check it with 'pprl schema check {output}'", soft_wrap=True)


@app.command()
def encode(
    data: Annotated[str, typer.Argument(help="People's records: a file, URL or duckdb: query.")],
    schema: SchemaFile,
    key: Annotated[
        str,
        typer.Option(
            "--key", "-k", help="Key file made by 'pprl keygen', or env:VARIABLE, or fd:NUMBER."
        ),
    ],
    id_column: Annotated[str, typer.Option("--id-column", help="Column with the record ids.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Encodings file to write.")],
    holder: Annotated[str, typer.Option("--holder", help="Your name, for the header.")] = "",
    exclude: Annotated[
        str | None, typer.Option("--exclude", help="Table of record ids to leave out (opt-out).")
    ] = None,
    exclude_column: Annotated[
        str | None,
        typer.Option("--exclude-column", help="Its column of ids; by default as --id-column."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Where your column has another name; several are joined: born=year+month+day.",
        ),
    ] = None,
    on_invalid: Annotated[
        OnInvalid,
        typer.Option("--on-invalid", help="Stop, skip the record, or leave the value out."),
    ] = "error",
    rejects: Annotated[
        Path | None, typer.Option("--rejects", help="CSV to write rows, fields and reasons to.")
    ] = None,
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
    consent: Annotated[
        str, typer.Option("--consent", help="Legal ground or consent, for the header.")
    ] = "",
    provenance: Annotated[
        str, typer.Option("--provenance", help="Where the records come from, for the header.")
    ] = "",
    noise_key: Annotated[
        str | None,
        typer.Option("--noise-key", help="Your own key for keyed randomised response."),
    ] = None,
    seal_to: Annotated[
        list[str] | None,
        typer.Option(
            "--seal-to",
            metavar="RECIPIENT",
            help="Encrypt to this age recipient; several are allowed.",
        ),
    ] = None,
    sign_key: SignKey = None,
    source: Annotated[
        Source | None,
        typer.Option("--from", help="What DATA is: FHIR patients, or OMOP's PERSON."),
    ] = None,
    location: Annotated[
        str | None, typer.Option("--location", help="OMOP: the table LOCATION, for addresses.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output, when the new one is whole.")
    ] = False,
    keep_order: Annotated[
        bool, typer.Option("--keep-order", help="Keep the data's order; it tells who is who.")
    ] = False,
    shared_by: Annotated[
        int,
        typer.Option("--shared-by", help="Records that must share a pattern of filled fields."),
    ] = 10,
    show: ShowProgress = None,
    as_json: AsJson = False,
) -> None:
    """Encode people's records into a file of CLKs (data holder)."""
    from pprl.holder.encode import encode_file
    from pprl.holder.records import CsvFormat
    from pprl.holder.schema import Schema

    read = [0]
    with progress_of("encoding", show) as count:

        def progress(done: int) -> None:
            read[0] = done
            count(done, None)

        info = encode_file(
            people(data, source, location),
            Schema.load(schema),
            read_key(key),
            output,
            id_column=id_column,
            holder=holder,
            columns=_columns(column or ()),
            overwrite=overwrite,
            exclude=exclude or (),
            exclude_column=exclude_column,
            on_invalid=on_invalid,
            rejects=rejects,
            csv_format=CsvFormat(delimiter, encoding, tuple(names.split(",")) if names else None),
            consent=consent,
            provenance=provenance,
            noise_key=read_key(noise_key) if noise_key else None,
            keep_order=keep_order,
            shared_by=shared_by,
            seal_to=seal_to or (),
            sign_key=sign_key,
            progress=progress,
        )
    for line in info.exposure.lines(info.records) if info.exposure else ():
        say_error("lies open", line)
    if as_json:
        print(info.model_dump_json())
        return
    out.print(f"{output}: {info.records:,} records, {info.bits} bits each", soft_wrap=True)
    if read[0] > info.records:
        out.print(f"left out     {read[0] - info.records:,} of {read[0]:,} records")
    out.print(f"schema       {info.schema_name} {info.schema_fingerprint[:12]}", highlight=False)
    out.print(f"key check    {info.key_check}   self-test {info.self_test}", highlight=False)
    out.print(f"bits set     {info.popcounts.mean:.0f} on average, sd {info.popcounts.sd:.0f}")
    for name, share in info.present.items():
        out.print(f"  {name} filled in {share:.1%}", highlight=False)


@app.command()
def seal(
    file: Annotated[Path, typer.Argument(help="File to seal.")],
    recipient: Annotated[
        list[str],
        typer.Option(
            "--to", metavar="RECIPIENT", help="age recipient, age1...; several are allowed."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Sealed file; by default FILE.age.")
    ] = None,
    sign_key: SignKey = None,
) -> None:
    """Encrypt a file to the linkage unit's public key (age)."""
    from pprl.exchange.sealing import seal as seal_file

    target = output or file.with_name(f"{file.name}.age")
    seal_file(file, target, recipient, sign_key=sign_key)
    signed = "" if sign_key is None else f", signed in {target.name}.sig"
    out.print(f"{target}: sealed to {len(recipient)} recipient(s){signed}", soft_wrap=True)


def read_key(source: str) -> Any:
    """Read a key from a file, or from env:VARIABLE or fd:NUMBER."""
    from pprl.holder.keys import LinkageKey

    kind, colon, name = source.partition(":")
    if colon and kind == "env":
        return LinkageKey.from_environment(name)
    if colon and kind == "fd" and name.isdecimal():
        return LinkageKey.from_descriptor(int(name))
    return LinkageKey.load(source)


def people(data: str, source: Source | None, location: str | None) -> Any:
    """Return what is encoded: the file itself, or the table that is made of it."""
    if location is not None and source != "omop":
        raise UsageError("--location goes with --from omop.")
    if source is None:
        return data
    from pprl.tables.health import fhir_patients, omop_people

    return fhir_patients(data) if source == "fhir" else omop_people(data, location)


def _columns(given: Sequence[str]) -> dict[str, str | list[str]]:
    columns: dict[str, str | list[str]] = {}
    for text in given:
        field, column = pair(text)
        columns[field] = column.split("+") if "+" in column.strip("+") else column
    return columns


def _tokens(tokens: Any) -> str:
    if tokens.type == "ngram":
        return f"{tokens.n}-grams" + (", positional" if tokens.positional else "")
    return str(tokens.type)
