"""Commands around a linkage in which no party sees an encoding: job, split, collect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pprl.cli.console import app, out
from pprl.cli.logs import App
from pprl.errors import UsageError

SecureMatching = Literal["one-to-one", "one-to-many", "many-to-one", "many-to-many"]

secure_app = App(
    help="Linkage by three parties, none of which sees an encoding.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(secure_app, name="secure")

_GRID = [0.6 + 0.025 * step for step in range(15)]
_JobFile = Annotated[Path, typer.Option("--job", help="The job file, alike for everybody.")]


@secure_app.command("job")
def make_job(
    left: Annotated[str, typer.Option("--left", help="Name of the first holder.")],
    right: Annotated[str, typer.Option("--right", help="Name of the second holder.")],
    party: Annotated[
        list[str], typer.Option("--party", help="NAME,HOST:PORT,age1...; three times, in order.")
    ],
    links_to: Annotated[str, typer.Option("--links-to", help="age recipient of the links.")],
    bits: Annotated[int, typer.Option("--bits", help="Length of the CLKs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The job file to write.")],
    threshold: Annotated[
        str, typer.Option("--threshold", help="The Dice similarity a link needs, or auto.")
    ] = "auto",
    matching: Annotated[
        SecureMatching,
        typer.Option("--matching", help="one-to-one, one-to-many, many-to-one or many-to-many."),
    ] = "one-to-one",
    blocks: Annotated[
        int,
        typer.Option(
            "--blocks",
            help="Blocks of each blocking pass, about a fortieth of the records; 1: all pairs.",
        ),
    ] = 1,
    least_count: Annotated[
        int, typer.Option("--least-count", help="auto: smaller counts of pairs are opened as 0.")
    ] = 10,
    most_order: Annotated[
        int, typer.Option("--most-order", help="Pairs with rivals that may be put in order.")
    ] = 20_000,
    timeout: Annotated[
        int, typer.Option("--timeout", help="Seconds after which a silent party is given up.")
    ] = 120,
    tile: Annotated[
        int,
        typer.Option("--tile", help="Pairs compared in one go; about 400 bytes of memory each."),
    ] = 1 << 20,
) -> None:
    """Write the job file that two holders and three computing parties agree on."""
    from pydantic import ValidationError

    from pprl.exchange.secure_job import LinksTo, SecureJob, Terms, new_id, parties_of
    from pprl.linkage.secure import exact

    given: float | None = None
    if threshold != "auto":
        try:
            given = float(threshold)
        except ValueError:
            raise UsageError(f"--threshold is auto or a number, not {threshold!r}.") from None
        if not 0 < given <= 1:
            raise UsageError("--threshold must be above 0 and at most 1.")
    try:
        made = SecureJob(
            job=Terms(
                id=new_id(),
                holders=(left, right),
                bits=bits,
                matching=matching,
                blocking="none" if blocks == 1 else "keys",
                blocks=blocks,
                threshold=given,
                threshold_exact=None if given is None else exact(given, bits),
                grid_exact=() if given is not None else tuple(exact(one, bits) for one in _GRID),
                least_count=least_count,
                most_order=most_order,
                timeout=timeout,
                tile=tile,
            ),
            links_to=LinksTo(recipient=links_to),
            party=parties_of(party),
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(one) for one in first["loc"] if one != "job")
        raise UsageError(f"{place}: {first['msg']}.") from None
    made.save(output)
    out.print(f"{output}: send it to both holders and all parties.", soft_wrap=True)


@secure_app.command()
def split(
    encodings: Annotated[Path, typer.Argument(help="This holder's encodings; they stay here.")],
    job: _JobFile,
    holder: Annotated[str, typer.Option("--holder", help="This holder's name in the job.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the sealed files.")],
) -> None:
    """Cut encodings into shares for three computing parties, sealed to each.

    For a data holder. Each share by itself is uniformly random.
    """
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.secure_job import SecureJob
    from pprl.exchange.shares import lay_out
    from pprl.exchange.shares import split as split_encodings
    from pprl.linkage.secure import count_within

    terms, mine = SecureJob.load(job), Encodings.load(encodings)
    layout = lay_out(mine, terms)
    grid, least = terms.job.grid_exact, terms.job.least_count
    within = count_within(mine, layout, grid, least).tolist() if grid else []
    written = split_encodings(mine, terms, holder, layout, within, output)
    for number, path in enumerate(written[:3]):
        out.print(f"{path}: to {terms.party[number].name}, and to nobody else", soft_wrap=True)
    out.print(f"{written[3]}: to whom gets the links", soft_wrap=True)
    shapes = ", ".join(f"{slots.shape[0]} x {slots.shape[1]}" for slots in layout.passes)
    out.print(f"the parties see {len(layout.passes)} passes of blocks x places: {shapes}")


@secure_app.command()
def collect(
    answers: Annotated[
        list[Path], typer.Argument(help="What the parties sealed: three files of each step.")
    ],
    job: _JobFile,
    ids: Annotated[list[Path], typer.Option("--ids", help="Both holders' sealed record ids.")],
    identity: Annotated[Path, typer.Option("--identity", help="age identity file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")],
) -> None:
    """Put the parties' shares of the results together: links, or the next step.

    For whom the job file names under links_to. Where another step is needed, what it asks of
    the parties is written to step-compare.json or step-order.json.
    """
    import numpy as np

    from pprl.exchange.files import new_folder, write_json
    from pprl.exchange.secure_job import SecureJob
    from pprl.exchange.shares import Ids, put_together, read_answer
    from pprl.linkage.secure import choose_links, choose_threshold, find_rivals, read_reached

    terms = SecureJob.load(job)
    named = {one.holder: one for one in (Ids.load(path, identity) for path in ids)}
    if set(named) != set(terms.job.holders):
        raise UsageError(f"--ids must be given twice, of {' and of '.join(terms.job.holders)}.")
    left, right = (named[name] for name in terms.job.holders)
    opened = [read_answer(path, identity) for path in answers]
    found = {
        name: put_together(
            [one for one in opened if one.header["step"] == name], terms, (left, right)
        )
        for name in {str(one.header["step"]) for one in opened}
    }
    if "compare" not in found:
        if "count" not in found:
            raise UsageError("the answers of the comparison are missing.")
        grid = terms.job.grid_exact
        between = np.frombuffer(found["count"].payload, np.int64).reshape(-1, len(grid))
        records = (len(left.record_ids), len(right.record_ids))
        chosen = choose_threshold(grid, between, (left.within, right.within), records)
        if chosen is None:
            out.print("no links: pairs between the files are no more alike than within them.")
            return
        step = output / "step-compare.json"
        new_folder(output, [step])
        write_json({"job": terms.job.id, "step": "compare", "threshold": list(chosen)}, step)
        out.print(
            f"threshold {chosen[0] / chosen[1]:.4f}. Give {step} to all parties (--step).",
            soft_wrap=True,
        )
        return
    reached = read_reached(found["compare"], left, right)
    rule: SecureMatching = terms.job.matching
    asked, rivals = find_rivals(reached, rule, terms.job.most_order)
    target = output / "links.parquet"
    order = found.get("order")
    if len(rivals) and order is None:
        step = output / "step-order.json"
        new_folder(output, [step])
        places = reached.places[asked].tolist()
        write_json(
            {"job": terms.job.id, "step": "order", "pairs": places, "rivals": rivals.tolist()}, step
        )
        out.print(
            f"{len(reached):,} pairs reach the threshold; {len(asked):,} have rivals. Give "
            f"{step} to all parties (--step), then collect all six answers.",
            soft_wrap=True,
        )
        return
    new_folder(output, [target])
    links = choose_links(reached, rule, asked, rivals, order, left, right)
    links.save(target)
    out.print(f"{len(links):,} links in {target}", soft_wrap=True)
