"""Commands of the linkage unit: links, clusters, pseudonyms, unsealing."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pprl.cli.console import AsJson, Identity, SignedBy, app, out
from pprl.cli.jobs import (
    Allow,
    DryRun,
    JobFile,
    Memory,
    Resume,
    Scheduler,
    Set,
    end_uncompared,
    job_of,
    run_from_command_line,
)
from pprl.cli.logs import LOGS
from pprl.cli.outputs import ExcelSafe, Format, FormatChoice, KeepUntil, Output, day_of
from pprl.cli.progress import Show, ShowProgress, progress_of
from pprl.errors import UsageError
from pprl.linkage.options import Matching, RuleChoice

if TYPE_CHECKING:
    from pprl.exchange.encodings import Encodings
    from pprl.linkage.candidates.blocking import Blocking, Method
    from pprl.linkage.decision.estimate import Estimate

LINK_FILES = (
    *("links.parquet", "linkage.json", "estimate.json", "ambiguous.parquet"),
    *("similarities.parquet", "curve.parquet"),
)
CLUSTER_FILES = (
    *("clusters.parquet", "linkage.json", "conflicts.parquet", "events.parquet"),
    *("similarities.parquet", "estimate.json"),
)

Threshold = Annotated[
    str, typer.Option("--threshold", help="auto, or the Dice similarity a link needs, 0 to 1.")
]
BlockBy = Annotated[
    str | None,
    typer.Option(
        "--blocking",
        help="none compares all pairs; or, joined by '+', those that share keys, psig, lsh, "
        "lambda-fold.",
    ),
]
Unreachable = Annotated[
    Literal["report", "compare"],
    typer.Option("--unreachable", help="What to do with records without a blocking key."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Threads; all processors by default.")
]
MaxPairs = Annotated[
    int, typer.Option("--max-pairs", help="Give up when more pairs reach the threshold.")
]
ClusterRule = Annotated[
    RuleChoice,
    typer.Option("--rule", help="Join clusters alike on average, in every pair, or in sum."),
]
Against = Annotated[
    Path | None,
    typer.Option("--against", help="Folder of an earlier delivery, whose cluster ids are kept."),
]


@app.command()
def link(
    a: Annotated[
        Path | None, typer.Argument(help="Encodings of the first holder.", show_default=False)
    ] = None,
    b: Annotated[
        Path | None, typer.Argument(help="Encodings of the second holder.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the results; or a file: .parquet, .csv, .arrow."
        ),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(help="Encodings of further holders; gives clusters.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            "--threshold", help="auto (default), mixture, or the similarity a link needs, 0 to 1."
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option("--precision", help="auto: the estimated precision links must have, 0 to 1."),
    ] = None,
    matching: Annotated[
        Matching | None,
        typer.Option("--matching", help="How many partners a record may have; one-to-one."),
    ] = None,
    ambiguous: Annotated[
        float | None,
        typer.Option("--ambiguous", help="List links that others come so near to, say 0.05."),
    ] = None,
    deduplicated: Annotated[
        str | None,
        typer.Option("--deduplicated", help="Clusters: all, none, or holders, by comma."),
    ] = None,
    rule: ClusterRule = "auto",
    against: Against = None,
    blocking: BlockBy = None,
    unreachable: Unreachable = "report",
    workers: Workers = None,
    max_pairs: Annotated[
        int | None, typer.Option("--max-pairs", help="Give up when more pairs reach the threshold.")
    ] = None,
    allow: Allow = False,
    identity: Identity = None,
    signed_by: SignedBy = None,
    job: JobFile = None,
    changes: Set = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    memory: Memory = None,
    scheduler: Scheduler = None,
    show: ShowProgress = None,
    kind: FormatChoice = None,
    excel: ExcelSafe = False,
    until: KeepUntil = None,
    as_json: AsJson = False,
) -> None:
    """Link encodings: two files into links, more into clusters.

    For the linkage unit. Needs neither names nor the key. With --job, --resume, --dry-run,
    --memory or --scheduler as a batch job: on disk, in parts, to be stopped and resumed.
    """
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.files import write_json, write_table
    from pprl.exchange.formats import write_as
    from pprl.exchange.opening import refuse_other_fields
    from pprl.linkage.link import link as link_encodings
    from pprl.linkage.resolution.ambiguity import ambiguous as list_ambiguous

    paths = [path for path in (a, b, *(more or ())) if path is not None]
    given = {
        "linkage.threshold": threshold,
        "linkage.precision": precision,
        "linkage.matching": matching,
        "linkage.max_pairs": max_pairs,
        "blocking.method": blocking,
        "output.folder": output,
        "output.keep_until": day_of(until).get("keep_until"),
        "resources.memory": memory,
        "resources.workers": workers,
    }
    others = {
        "--identity": identity,
        "--signed-by": signed_by,
        "--ambiguous": ambiguous,
        "--against": against,
        "--deduplicated": deduplicated,
    }
    if job or changes or resume or dry_run or memory or scheduler:
        made = job_of(job, paths, given, changes or (), others)
        run_from_command_line(
            made,
            resume=resume,
            dry_run=dry_run,
            scheduler=scheduler,
            show=show,
            allow=allow,
            kind=kind,
            excel=excel,
            as_json=as_json,
        )
        return
    if len(paths) < 2 or output is None:
        raise UsageError("name two files of encodings or more, and a folder for the results (-o).")
    threshold, matching = threshold or "auto", matching or "one-to-one"
    max_pairs = 100_000_000 if max_pairs is None else max_pairs
    if more or deduplicated is not None or against is not None:
        for_two = precision is not None or ambiguous is not None
        if for_two or matching not in {"one-to-one", "many-to-many"}:
            raise UsageError(
                "clusters take --deduplicated and --rule; --precision, --ambiguous and other "
                "matchings are for two files."
            )
        one_each = deduplicated or ("all" if matching == "one-to-one" else "none")
        _cluster(
            paths,
            Output.of(output, kind, excel),
            {"all": True, "none": False}.get(one_each, one_each.split(",")),
            threshold,
            rule,
            against,
            blocking_of(blocking, unreachable),
            workers,
            max_pairs,
            allow,
            identity,
            signed_by,
            show,
            until,
            as_json,
        )
        return
    place = Output.of(output, kind, excel)
    if place.alone and ambiguous is not None:
        raise UsageError("--ambiguous writes a second table: name a folder (-o).")
    links_file = output if place.alone else output / "links.parquet"
    refuse_other_fields(paths)
    with place.staged(LINK_FILES) as staged:
        left, right = (
            Encodings.load(file, identity=identity, signed_by=signed_by) for file in paths
        )
        with progress_of("comparing", show) as progress:
            result = link_encodings(
                left,
                right,
                threshold="mixture" if threshold == "mixture" else threshold_of(threshold),
                precision=precision,
                matching=matching,
                blocking=blocking_of(blocking, unreachable),
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
        facts = result.facts(left.info, right.info) | day_of(until)
        if staged is None:
            write_as(result.links.table, output, place.kind, excel=excel)
        else:
            result.links.save(staged / "links.parquet")
            place.copy(staged / "links.parquet")
            if disputed is not None:
                write_table(disputed, staged / "ambiguous.parquet")
                facts["ambiguous"] = int(disputed["linked"].to_numpy().sum())
            write_table(result.similarities, staged / "similarities.parquet")
            if result.estimate:
                write_json(result.estimate.to_dict(), staged / "estimate.json")
            if result.curve:
                write_table(result.curve, staged / "curve.parquet")
            write_json(facts, staged / "linkage.json")
    if as_json:
        print(json.dumps(facts))
        end_uncompared(facts["blocking"], allow=allow)
        return
    says = "the least alike at" if result.rule == "auto" else "at or above"
    cut = "" if result.threshold is None else f", {says} {result.threshold:.3g}"
    doubt = "" if disputed is None else f"{facts['ambiguous']:,} links are ambiguous\n"
    out.print(
        f"{links_file}: {len(result.links):,} links, {matching}{cut} ({result.rule})\n"
        f"{_estimated(result.estimate)}{doubt}"
        f"compared {result.pairs_compared:,} pairs, {result.pairs_above:,} candidate links, "
        f"{result.seconds:.2f} s",
        highlight=False,
        soft_wrap=True,
    )
    end_uncompared(facts["blocking"], allow=allow)


@app.command()
def dedupe(
    a: Annotated[Path, typer.Argument(help="Encodings of one holder.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Folder for the results; or a file: .parquet, .csv, .arrow."
        ),
    ],
    threshold: Threshold = "auto",
    rule: ClusterRule = "auto",
    against: Against = None,
    blocking: BlockBy = None,
    unreachable: Unreachable = "report",
    workers: Workers = None,
    max_pairs: MaxPairs = 100_000_000,
    allow: Allow = False,
    identity: Identity = None,
    signed_by: SignedBy = None,
    show: ShowProgress = None,
    kind: FormatChoice = None,
    excel: ExcelSafe = False,
    until: KeepUntil = None,
    as_json: AsJson = False,
) -> None:
    """Find one person's records within one file of encodings."""
    _cluster(
        [a],
        Output.of(output, kind, excel),
        False,
        threshold,
        rule,
        against,
        blocking_of(blocking, unreachable),
        workers,
        max_pairs,
        allow,
        identity,
        signed_by,
        show,
        until,
        as_json,
    )


def _cluster(
    paths: list[Path],
    place: Output,
    deduplicated: bool | list[str],
    threshold: str,
    rule: RuleChoice,
    against: Path | None,
    blocking: Blocking | None,
    workers: int | None,
    max_pairs: int,
    allow: bool,
    identity: Path | None,
    signed_by: Path | None,
    show: Show | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    from pprl.exchange.encodings import Encodings, check_compatible
    from pprl.exchange.files import write_json, write_table
    from pprl.exchange.formats import write_as
    from pprl.exchange.opening import refuse_other_fields
    from pprl.linkage.cluster import cluster
    from pprl.linkage.model.scoring import Criterion
    from pprl.linkage.resolution.deliveries import load_previous

    clusters_file = place.path if place.alone else place.path / "clusters.parquet"
    refuse_other_fields(paths)
    with place.staged(CLUSTER_FILES) as staged:
        cut: float | Literal["auto"] | Criterion = threshold_of(threshold)
        earlier = None if against is None else load_previous(against)
        files: list[Encodings] = [
            Encodings.load(path, identity=identity, signed_by=signed_by) for path in paths
        ]
        if earlier is not None:
            check_compatible([*earlier.inputs, *(one.info for one in files)])
            if cut == "auto" and earlier.criterion is not None:
                cut = earlier.criterion
                rule = earlier.rule if rule == "auto" else rule
        with progress_of("comparing", show) as progress:
            result = cluster(
                *files,
                threshold=cut,
                deduplicated=deduplicated,
                rule=rule,
                blocking=blocking,
                against=None if earlier is None else earlier.clusters,
                workers=workers,
                max_pairs=max_pairs,
                progress=progress,
            )
        facts = result.facts(*(one.info for one in files)) | day_of(until)
        if staged is None:
            write_as(result.clusters.table, place.path, place.kind, excel=place.excel)
        else:
            result.clusters.save(staged / "clusters.parquet")
            place.copy(staged / "clusters.parquet")
            write_table(result.conflicts, staged / "conflicts.parquet")
            write_table(result.similarities, staged / "similarities.parquet")
            if result.events is not None:
                write_table(result.events, staged / "events.parquet")
            if result.estimate is not None:
                write_json(result.estimate.to_dict(), staged / "estimate.json")
            write_json(facts, staged / "linkage.json")
    if as_json:
        print(json.dumps(facts))
        end_uncompared(facts["blocking"], allow=allow)
        return
    events = "" if result.events is None else f", {len(result.events):,} events"
    says = "the least alike linked at" if result.criterion.rivals else "threshold"
    found = f"{says} {result.threshold:.3g}" if result.threshold <= 1 else "no threshold"
    out.print(
        f"{clusters_file}: {facts['clusters']:,} clusters of {facts['records']:,} records, "
        f"{found} ({result.how})\n"
        f"{_estimated(result.estimate)}{len(result.conflicts):,} conflicts{events}\n"
        f"compared {result.pairs_compared:,} pairs, {result.pairs_above:,} linked before the rule, "
        f"{result.seconds:.2f} s",
        highlight=False,
        soft_wrap=True,
    )
    end_uncompared(facts["blocking"], allow=allow)


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
    kind: Annotated[Format, typer.Option("--format", help="Of the files.")] = "parquet",
    excel: ExcelSafe = False,
    as_json: AsJson = False,
) -> None:
    """Give records pseudonyms, for their holder and for research."""
    from pprl.exchange.links import Clusters
    from pprl.linkage.pseudonyms import PseudonymKey, pseudonymise

    if excel and kind != "csv":
        raise UsageError("--excel-safe is for CSV: add --format csv.")
    clusters = folder / "clusters.parquet"
    if not clusters.exists() and (folder / "links.parquet").exists():
        raise UsageError(
            f"{folder} has links; pseudonyms are of clusters. 'pprl link A B --deduplicated all' "
            f"makes these of two files, too."
        )
    LOGS.keep(folder)
    made = pseudonymise(
        Clusters.load(clusters),
        PseudonymKey.load(key),
        project=project,
        version=version,
    )
    written = made.save(output or folder / "pseudonyms", kind, excel=excel)
    if as_json:
        counts = {name: len(table) for name, table in made.holders.items()}
        print(json.dumps({"records": counts, "files": [str(path) for path in written]}))
        return
    for path in written:
        out.print(str(path), highlight=False, soft_wrap=True)
    out.print(f"Give each holder its own file only, and research.{kind} to the researchers only.")


def blocking_of(
    kinds: str | None, unreachable: Literal["report", "compare"] = "report"
) -> Blocking | None:
    """Turn the options into the value that the library takes.

    Raises:
        UsageError: There is no way of blocking of that name.
    """
    from pprl.linkage.candidates.blocking import (
        BlockingUnion,
        HammingLSH,
        KeyBlocking,
        LambdaFold,
        PSig,
    )

    if kinds is None or kinds == "none":
        return None
    ways: dict[str, Method] = {
        "keys": KeyBlocking(),
        "psig": PSig(),
        "lsh": HammingLSH(),
        "lambda-fold": LambdaFold(),
    }
    unknown = [name for name in kinds.split("+") if name not in ways]
    if unknown:
        raise UsageError(
            f"--blocking is none, or some of {', '.join(ways)} joined by '+'; {unknown[0]!r} is "
            f"none of them."
        )
    return BlockingUnion(tuple(ways[name] for name in kinds.split("+")), unreachable)


def threshold_of(text: str) -> float | Literal["auto"]:
    """Read the option; whether the number is one from 0 to 1 the library checks."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"the threshold must be 'auto' or a number from 0 to 1 (or 'mixture', for the links of "
            f"two files in one go), not {text!r}."
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
def unseal(
    file: Annotated[Path, typer.Argument(help="Sealed file.")],
    identity: Annotated[Path, typer.Option("--identity", help="age identity file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    signed_by: SignedBy = None,
) -> None:
    """Decrypt a sealed file (age). 'pprl link' opens sealed files itself, in memory."""
    from pprl.exchange.sealing import unseal as unseal_file

    signer = unseal_file(file, output, identity, signed_by=signed_by)
    who = "" if signer is None else f", signed by {signer}"
    out.print(f"{output}: unsealed, authentic to its last byte{who}", soft_wrap=True)
