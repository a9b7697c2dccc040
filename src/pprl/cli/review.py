"""Commands for clerical review: which pairs to look at, and what the answers say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pprl.cli.console import AsJson, Identity, app, out
from pprl.cli.logs import App
from pprl.cli.progress import ShowProgress, progress_of
from pprl.errors import UsageError

review_app = App(
    help="Clerical review at the holders.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(review_app, name="review")

_BELOW = 0.15


@review_app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Folder that 'pprl link' wrote.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="The two encodings files that were linked.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Sheet to write, CSV.")] = Path(
        "review.csv"
    ),
    n: Annotated[int, typer.Option("-n", "--pairs", help="How many pairs to look at.")] = 200,
    candidates: Annotated[
        Path | None,
        typer.Option("--candidates", help="Scored pairs (Parquet), in place of the encodings."),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option("--floor", help="Least similarity to look at; by default 0.15 below links."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another number draws other pairs.")] = 0,
    workers: Annotated[int | None, typer.Option("--workers", help="Threads.")] = None,
    identity: Identity = None,
    show: ShowProgress = None,
) -> None:
    """Choose the pairs that tell most of precision and recall (linkage unit)."""
    from pprl.evaluation.review import plan_path, review_sample
    from pprl.exchange.encodings import Encodings
    from pprl.exchange.files import new_folder
    from pprl.exchange.links import Links
    from pprl.linkage.compare import compare

    new_folder(output.parent, [output, plan_path(output)])
    links = Links.load(folder / "links.parquet")
    if (candidates is None) == (not files):
        raise UsageError("give the two encodings files that were linked, or --candidates.")
    if candidates is not None:
        pool = Links.load(candidates)
    else:
        if len(files or ()) != 2:
            raise UsageError("give both encodings files that were linked.")
        left, right = (Encodings.load(path, identity=identity) for path in files or ())
        if floor is None:
            least = min(links.table["similarity"].to_pylist(), default=1.0)
            floor = max(least - _BELOW, 0.0)
        with progress_of("comparing", show) as progress:
            pool = compare(left, right, threshold=floor, workers=workers, progress=progress)
    plan = review_sample(links, pool, n, seed=seed)
    kept = plan.save(output)
    out.print(
        f"{output}: {len(plan.pairs):,} pairs to look at; fill in 'match' with yes or no\n"
        f"{kept}: the plan, which stays here\n"
        f"then: pprl review estimate {output}",
        highlight=False,
        soft_wrap=True,
    )


@review_app.command()
def estimate(
    sheet: Annotated[Path, typer.Argument(help="The sheet with its answers.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="JSON to write, such as DIR/review.json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate precision and recall from the answers (linkage unit)."""
    from pprl.evaluation.review_estimate import review_estimate

    found = review_estimate(sheet)
    if output:
        found.save(output)
    if as_json:
        print(json.dumps(found.to_dict()))
        return
    for name in ("precision", "recall", "f1"):
        figure = getattr(found, name)
        out.print(
            f"{name:<10} {figure.value:.3f}  ({figure.low:.3f} to {figure.high:.3f})",
            highlight=False,
        )
    out.print(
        f"about {found.false_links:.0f} false links and {found.missed_matches:.0f} missed matches "
        f"at or above {found.floor:.3g}; {found.answered:,} answers, {found.unsure:,} unsure",
        highlight=False,
        soft_wrap=True,
    )
