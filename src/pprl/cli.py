"""The command line: options to calls, calls to exit codes. No logic lives here."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from pprl.errors import PprlError, PprlWarning, UsageError
from pprl.holder.encode import OnInvalid
from pprl.holder.suggest import SuggestHardening
from pprl.linkage.joining import Rule
from pprl.linkage.match import Matching

if TYPE_CHECKING:
    from pprl.exchange.encodings import Encodings
    from pprl.linkage.auto import Estimate
    from pprl.linkage.blocking import Blocking

app = typer.Typer(
    help="Privacy-preserving record linkage: encode at the holders, link without names, evaluate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
schema_app = typer.Typer(help="Linkage schemas.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(schema_app, name="schema")

out = Console()
err = Console(stderr=True)

SchemaFile = Annotated[
    Path, typer.Option("--schema", "-s", help="Linkage schema (pprl TOML/JSON, clkhash v1-v3).")
]
Folder = Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

Identity = Annotated[
    Path | None, typer.Option("--identity", help="age identity file, to open sealed files.")
]


Threshold = Annotated[
    str, typer.Option("--threshold", help="auto, or the Dice similarity a link needs, 0 to 1.")
]
BlockBy = Annotated[
    Literal["none", "keys", "lsh"],
    typer.Option("--blocking", help="Compare all pairs, or those that share a key or bits."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Threads; all processors by default.")
]
MaxPairs = Annotated[
    int, typer.Option("--max-pairs", help="Give up when more pairs reach the threshold.")
]
ClusterRule = Annotated[
    Rule, typer.Option("--rule", help="Which clusters are joined first, those alike on average.")
]
Against = Annotated[
    Path | None,
    typer.Option("--against", help="Folder of an earlier delivery, whose cluster ids are kept."),
]


@app.command()
def demo(output: Folder = Path("pprl-demo")) -> None:
    """Play both roles on FEBRL 4, from start to report."""
    from pprl.demo import run

    qualities = run(output, lambda text: out.print(text, highlight=False, soft_wrap=True))
    out.print()
    out.print(_quality_table(qualities))


@app.command()
def keygen(
    keyfile: Annotated[Path, typer.Argument(help="Where to write the key; must not exist.")],
    combine: Annotated[
        list[str] | None,
        typer.Option("--combine", help="HOLDER=KEYFILE of each holder, to make one key of all."),
    ] = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="The linkage unit's own key, for pseudonyms.")
    ] = False,
) -> None:
    """Make a linkage key: 32 random bytes, readable by you only."""
    from pprl.holder.keys import LinkageKey
    from pprl.linkage.pseudonyms import PseudonymKey

    if pseudonyms:
        if combine:
            raise UsageError("--combine is for linkage keys, not for pseudonyms.")
        own = PseudonymKey.generate()
        own.save(keyfile)
        out.print(f"{keyfile}: {own!r}", highlight=False, soft_wrap=True)
        out.print("It stays with the linkage unit; no holder and no researcher gets it.")
        return
    if combine:
        files = dict(_pair(text, "--combine takes HOLDER=KEYFILE") for text in combine)
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
    """Check a schema; print its fingerprint, fields and expected fill."""
    from pprl.holder.encoder import expected_fill
    from pprl.holder.hardening.applied import describe
    from pprl.holder.schema import Schema

    loaded = Schema.load(schema)
    fill = expected_fill(loaded)
    if as_json:
        content = loaded.model_dump(mode="json") | {
            "fingerprint": loaded.fingerprint,
            "expected_fill": {name: round(share, 4) for name, share in fill.items()},
            "parts": {part.name: describe(part, fill[part.name]) for part in loaded.parts},
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


@schema_app.command("suggest")
def schema_suggest(
    data: Annotated[Path, typer.Argument(help="People's records: CSV or Parquet.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Schema to write.")],
    hardening: Annotated[
        SuggestHardening, typer.Option("--hardening", help="How filters will be hardened.")
    ] = "default",
) -> None:
    """Write a starting schema from the data's own columns (data holder)."""
    from pprl.exchange.files import write_text
    from pprl.holder.suggest import suggest_schema

    write_text(suggest_schema(data, name=output.stem, hardening=hardening), output)
    out.print(f"{output}: read it, then check it with 'pprl schema check {output}'", soft_wrap=True)


@app.command()
def encode(
    data: Annotated[Path, typer.Argument(help="People's records: CSV or Parquet.")],
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
        Path | None, typer.Option("--exclude", help="CSV of record ids to leave out.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN, where your column has another name."),
    ] = None,
    on_invalid: Annotated[
        OnInvalid,
        typer.Option("--on-invalid", help="Stop, skip the record, or leave the value out."),
    ] = "error",
    rejects: Annotated[
        Path | None, typer.Option("--rejects", help="CSV to write rows, fields and reasons to.")
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
        typer.Option("--seal-to", help="Encrypt to this age recipient; several are allowed."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Encode people's records into a file of CLKs (data holder)."""
    from pprl.holder.encode import encode_file
    from pprl.holder.records import CsvFormat, read_ids
    from pprl.holder.schema import Schema

    read = [0]
    with _progress("encoding") as show:

        def progress(done: int) -> None:
            read[0] = done
            show(done, None)

        info = encode_file(
            data,
            Schema.load(schema),
            _key(key),
            output,
            id_column=id_column,
            holder=holder,
            columns=dict(_pair(text) for text in column or ()),
            exclude=read_ids(exclude) if exclude else (),
            on_invalid=on_invalid,
            rejects=rejects,
            csv_format=CsvFormat(delimiter, encoding),
            consent=consent,
            provenance=provenance,
            noise_key=_key(noise_key) if noise_key else None,
            seal_to=seal_to or (),
            progress=progress,
        )
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
def link(
    a: Annotated[Path, typer.Argument(help="Encodings of the first holder.")],
    b: Annotated[Path, typer.Argument(help="Encodings of the second holder.")],
    output: Folder,
    more: Annotated[
        list[Path] | None, typer.Argument(help="Encodings of further holders; gives clusters.")
    ] = None,
    threshold: Threshold = "auto",
    matching: Annotated[
        Matching, typer.Option("--matching", help="How many partners a record may have.")
    ] = "one-to-one",
    ambiguous: Annotated[
        float | None,
        typer.Option("--ambiguous", help="List links that others come so near to, say 0.05."),
    ] = None,
    deduplicated: Annotated[
        str | None,
        typer.Option("--deduplicated", help="Clusters: all, none, or holders, by comma."),
    ] = None,
    rule: ClusterRule = "average",
    against: Against = None,
    blocking: BlockBy = "none",
    workers: Workers = None,
    max_pairs: MaxPairs = 100_000_000,
    identity: Identity = None,
    as_json: AsJson = False,
) -> None:
    """Link files of encodings (linkage unit): two into links, more into clusters."""
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.files import new_folder, write_json, write_table
    from pprl.linkage.ambiguity import ambiguous as list_ambiguous
    from pprl.linkage.link import link as link_encodings

    paths = [a, b, *(more or ())]
    if more or deduplicated is not None or against is not None:
        if ambiguous is not None or matching not in {"one-to-one", "many-to-many"}:
            raise UsageError(
                "clusters take --deduplicated and --rule; --ambiguous and other matchings are for "
                "two files."
            )
        one_each = deduplicated or ("all" if matching == "one-to-one" else "none")
        _cluster(
            paths,
            output,
            {"all": True, "none": False}.get(one_each, one_each.split(",")),
            threshold,
            rule,
            against,
            _blocking(blocking),
            workers,
            max_pairs,
            identity,
            as_json,
        )
        return
    links_file, facts_file = output / "links.parquet", output / "linkage.json"
    estimate_file, ambiguous_file = output / "estimate.json", output / "ambiguous.parquet"
    new_folder(output, [links_file, facts_file, estimate_file, ambiguous_file])
    left, right = (Encodings.load(file, identity=identity) for file in paths)
    with _progress("comparing") as progress:
        result = link_encodings(
            left,
            right,
            threshold=_threshold(threshold),
            matching=matching,
            blocking=_blocking(blocking),
            workers=workers,
            max_pairs=max_pairs,
            progress=progress,
        )
        disputed = None
        if ambiguous is not None:
            disputed = list_ambiguous(
                result.links,
                left,
                right,
                margin=ambiguous,
                workers=workers,
                max_pairs=max_pairs,
                progress=progress,
            )
    result.links.save(links_file)
    facts = result.facts(left.info, right.info)
    if disputed is not None:
        write_table(disputed, ambiguous_file)
        facts["ambiguous"] = int(disputed["linked"].to_numpy().sum())
    write_json(facts, facts_file)
    if result.estimate:
        write_json(result.estimate.to_dict(), estimate_file)
    if as_json:
        print(json.dumps(facts))
        return
    cut = "" if result.threshold is None else f", at or above {result.threshold:.3g}"
    doubt = "" if disputed is None else f"{facts['ambiguous']:,} links are ambiguous\n"
    out.print(
        f"{links_file}: {len(result.links):,} links, {matching}{cut} ({result.rule})\n"
        f"{_estimated(result.estimate)}{doubt}"
        f"compared {result.pairs_compared:,} pairs, {result.pairs_above:,} candidate links, "
        f"{result.seconds:.2f} s",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def dedupe(
    a: Annotated[Path, typer.Argument(help="Encodings of one holder.")],
    output: Folder,
    threshold: Threshold = "auto",
    rule: ClusterRule = "average",
    against: Against = None,
    blocking: BlockBy = "none",
    workers: Workers = None,
    max_pairs: MaxPairs = 100_000_000,
    identity: Identity = None,
    as_json: AsJson = False,
) -> None:
    """Find one person's records within one file of encodings (linkage unit)."""
    _cluster(
        [a],
        output,
        False,
        threshold,
        rule,
        against,
        _blocking(blocking),
        workers,
        max_pairs,
        identity,
        as_json,
    )


def _cluster(
    paths: list[Path],
    output: Path,
    deduplicated: bool | list[str],
    threshold: str,
    rule: Rule,
    against: Path | None,
    blocking: Blocking | None,
    workers: int | None,
    max_pairs: int,
    identity: Path | None,
    as_json: bool,
) -> None:
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.files import new_folder, write_json, write_table
    from pprl.linkage.cluster import cluster
    from pprl.linkage.deliveries import load_previous

    clusters_file, facts_file = output / "clusters.parquet", output / "linkage.json"
    conflicts_file, events_file = output / "conflicts.parquet", output / "events.parquet"
    new_folder(output, [clusters_file, facts_file, conflicts_file, events_file])
    previous, cut = None, _threshold(threshold)
    if against is not None:
        previous, before = load_previous(against)
        cut = before if cut == "auto" else cut
    files: list[Encodings] = [Encodings.load(path, identity=identity) for path in paths]
    with _progress("comparing") as progress:
        result = cluster(
            *files,
            threshold=cut,
            deduplicated=deduplicated,
            rule=rule,
            blocking=blocking,
            against=previous,
            workers=workers,
            max_pairs=max_pairs,
            progress=progress,
        )
    result.clusters.save(clusters_file)
    write_table(result.conflicts, conflicts_file)
    if result.events is not None:
        write_table(result.events, events_file)
    facts = result.facts(*(one.info for one in files))
    write_json(facts, facts_file)
    if as_json:
        print(json.dumps(facts))
        return
    events = "" if result.events is None else f", {len(result.events):,} events"
    out.print(
        f"{clusters_file}: {facts['clusters']:,} clusters of {facts['records']:,} records, "
        f"threshold {result.threshold:.3g} ({result.how})\n"
        f"{len(result.conflicts):,} conflicts{events}\n"
        f"compared {result.pairs_compared:,} pairs, {result.pairs_above:,} at or above the "
        f"threshold, {result.seconds:.2f} s",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def pseudonyms(
    folder: Annotated[Path, typer.Argument(help="Folder with clusters.parquet.")],
    key: Annotated[
        Path, typer.Option("--key", "-k", help="Key file made by 'pprl keygen --pseudonyms'.")
    ],
    project: Annotated[str, typer.Option("--project", help="The project's name.")],
    version: Annotated[str, typer.Option("--version", help="Label of this version.")] = "1",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="By default FOLDER/pseudonyms.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give every record a pseudonym of its holder, and clusters one for research."""
    from pprl.exchange.links import Clusters
    from pprl.linkage.pseudonyms import PseudonymKey, pseudonymise

    made = pseudonymise(
        Clusters.load(folder / "clusters.parquet"),
        PseudonymKey.load(key),
        project=project,
        version=version,
    )
    written = made.save(output or folder / "pseudonyms")
    if as_json:
        counts = {name: len(table) for name, table in made.holders.items()}
        print(json.dumps({"records": counts, "files": [str(path) for path in written]}))
        return
    for path in written:
        out.print(str(path), highlight=False, soft_wrap=True)
    out.print("Give each holder its own file only, and research.parquet to the researchers only.")


def _blocking(kind: Literal["none", "keys", "lsh"]) -> Blocking | None:
    from pprl.linkage.blocking import HammingLSH, KeyBlocking

    return {"none": None, "keys": KeyBlocking(), "lsh": HammingLSH()}[kind]


def _threshold(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"the threshold must be 'auto' or a number from 0 to 1, not {text!r}."
        ) from None


def _estimated(estimate: Estimate | None) -> str:
    if estimate is None or estimate.precision is None:
        return ""
    figure = estimate.precision
    return (
        f"estimated precision {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}), "
        f"about {estimate.false_links:.0f} false links\n"
    )


@app.command()
def seal(
    file: Annotated[Path, typer.Argument(help="File to seal.")],
    recipient: Annotated[
        list[str], typer.Option("--to", help="age recipient, age1...; several are allowed.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Sealed file; by default FILE.age.")
    ] = None,
) -> None:
    """Encrypt a file to the linkage unit's public key (age)."""
    from pprl.exchange.sealing import seal as seal_file

    target = output or file.with_name(f"{file.name}.age")
    seal_file(file, target, recipient)
    out.print(f"{target}: sealed to {len(recipient)} recipient(s)", soft_wrap=True)


@app.command()
def unseal(
    file: Annotated[Path, typer.Argument(help="Sealed file.")],
    identity: Annotated[Path, typer.Option("--identity", help="age identity file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
) -> None:
    """Decrypt a sealed file (age). 'pprl link' opens sealed files itself, in memory."""
    from pprl.exchange.sealing import unseal as unseal_file

    unseal_file(file, output, identity)
    out.print(f"{output}: unsealed, authentic to its last byte", soft_wrap=True)


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
    """Compare links or clusters with the truth (evaluator); writes quality.json."""
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
        out.print(_quality_table({str(folder): quality}))
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


def main() -> None:
    """Run the command line; turn errors into one clear message and an exit code."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        app()
    except PprlError as error:
        _say_error("error", str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say_error("stopped", "nothing half-written is left behind")
        sys.exit(130)
    except Exception as error:
        # Foreign messages may quote values, so only the place is told.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        _say_error("internal error", f"{type(error).__name__} in {place}. Please report this.")
        sys.exit(1)


def _say_error(kind: str, text: str) -> None:
    err.print(f"{kind}: {text}", markup=False, highlight=False, soft_wrap=True)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if issubclass(category, PprlWarning):
        _say_error("warning", str(message))


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on standard error, if that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _key(source: str) -> Any:
    """Read a key from a file, or from env:VARIABLE or fd:NUMBER."""
    from pprl.holder.keys import LinkageKey

    kind, colon, name = source.partition(":")
    if colon and kind == "env":
        return LinkageKey.from_environment(name)
    if colon and kind == "fd" and name.isdecimal():
        return LinkageKey.from_descriptor(int(name))
    return LinkageKey.load(source)


def _pair(text: str, usage: str = "--map takes FIELD=COLUMN") -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not equals:
        raise UsageError(f"{usage}, not {text!r}.")
    return field, column


def _tokens(tokens: Any) -> str:
    if tokens.type == "ngram":
        return f"{tokens.n}-grams" + (", positional" if tokens.positional else "")
    return str(tokens.type)


def _quality_table(qualities: dict[str, Any]) -> Table:
    table = Table("linkage", "precision", "recall", "F1", "links", "true pairs")
    for name, quality in qualities.items():
        figures = [
            f"{figure.value:.4f}\n{figure.low:.3f}-{figure.high:.3f}"
            for figure in (quality.precision, quality.recall, quality.f1)
        ]
        table.add_row(name, *figures, f"{quality.links:,}", f"{quality.true_pairs:,}")
    table.caption = "with 95 % intervals"
    return table
