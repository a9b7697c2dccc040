"""What the workflows share: their options, made-up people, and the figure each ends with.

Nothing here is about linking. Copy a workflow's ``run.py`` and ``schema.toml``, put your own
files where the made-up ones are, and what is left of this module is the printing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pprl import LinkageKey, Quality, evaluate, synthetic
from pprl.evaluation.facts import Facts
from pprl.evaluation.provenance import describe_link
from pprl.exchange.files import write_json
from pprl.exchange.links import SCHEMA, Clusters, Links

COLUMNS = (
    "first_names",
    "prefix",
    "surname",
    "birth_date",
    "sex",
    "postcode",
    "house_number",
)
ERRORS = synthetic.Errors(
    keyboard=0.015,
    phonetic=0.008,
    ocr=0.003,
    truncation=0.003,
    digit=0.005,
    date_slip=0.005,
    day_month_swap=0.003,
    wrong_sex=0.001,
    outdated_address=0.08,
    transliteration=0.2,
)
"""How often a register errs: a guess at routine data, see docs/reference/synthetic.md."""
SEED = 2025


@dataclass(frozen=True)
class Figure:
    """What a workflow ends with.

    Attributes:
        records: Records that took part, of all senders.
        links: Links, or pairs of records in one cluster.
        recall, precision: Against the truth, which only made-up people have.
        exact: The exact keys in use today that it is compared with.
        exact_recall, exact_precision: What linking on those reaches on the same records.
        seconds: Encoding and linking; making the people up is not counted.
        more: What else the workflow shows.
    """

    workflow: str
    size: str
    records: int
    links: int
    recall: float
    precision: float
    exact: str
    exact_recall: float
    exact_precision: float
    seconds: float
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """Recall above that of the exact keys, in points."""
        return 100 * (self.recall - self.exact_recall)


def options(name: str, description: str, **persons: int) -> argparse.Namespace:
    """Read ``--size``, ``--persons`` and ``-o``; make the folder of results."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=list(persons), default="small")
    parser.add_argument("--persons", type=int, help="instead of the size's own number")
    parser.add_argument("-o", "--output", type=Path, default=Path(f"workflow-{name}"))
    given = parser.parse_args()
    given.persons = given.persons or persons[given.size]
    if given.output.exists() and any(given.output.iterdir()):
        parser.error(f"{given.output} is not empty; delete it or name another folder with -o")
    given.output.mkdir(parents=True, exist_ok=True)
    return given


def project_key() -> LinkageKey:
    """Return the made-up project's key.

    It is always the same, so that a figure can be made again; another key moves small files'
    figures by a point. A real project's comes from ``pprl keygen``.
    """
    return LinkageKey(hashlib.sha256(b"of made-up people, known to all!").digest())


def population(folder: Path, persons: int) -> Path:
    """Make up a population; return its file."""
    path = folder / "population.parquet"
    synthetic.population(path, persons, seed=SEED)
    return path


def draw(
    people: Path, register: synthetic.Register, file: str | None = None
) -> tuple[Path, pd.DataFrame]:
    """Draw a register; return its file, and who its records are."""
    path = people.with_name(f"{file or register.name}.parquet")
    truth = people.with_name(f"{file or register.name}.truth.parquet")
    synthetic.register(people, path, truth, register, seed=SEED)
    return path, pq.read_table(truth).to_pandas()


def short(quality: Quality) -> list[float]:
    """Return recall and precision, rounded."""
    return [round(quality.recall.value, 4), round(quality.precision.value, 4)]


def true_pairs(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
    """Return ``left_id, right_id`` of the pairs that are one person."""
    both = left.merge(right, on="person_id", suffixes=("_left", "_right"))
    return both.rename(columns={"record_id_left": "left_id", "record_id_right": "right_id"})[
        ["left_id", "right_id"]
    ]


def persons_in_both(clusters: Clusters, left: str, right: str) -> Links:
    """Turn clusters into pairs of records of two holders."""
    frame = clusters.to_pandas()
    pairs = frame[frame["holder"] == left].merge(frame[frame["holder"] == right], on="cluster_id")
    nothing = pa.nulls(len(pairs), pa.float64())
    columns = [pa.array(pairs[f"record_id_{side}"], pa.string()) for side in "xy"]
    return Links(pa.table([*columns, nothing, nothing], schema=SCHEMA))


def judge(clusters: Clusters, truth: pd.DataFrame, left: str, right: str) -> Quality:
    """Judge the pairs of records that two registers have of one person."""
    sides = [truth[truth["holder"] == name] for name in (left, right)]
    both = sides[0].merge(sides[1], on="person_id")
    pairs = both.rename(columns={"record_id_x": "left_id", "record_id_y": "right_id"})
    return evaluate(persons_in_both(clusters, left, right), pairs[["left_id", "right_id"]])


class Clock:
    """Adds up the seconds of the steps that count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what runs inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


def pprl(*arguments: object) -> str:
    """Run the command line, showing the command; return what it prints."""
    words = [str(argument) for argument in arguments]
    print("$ pprl", *words)
    code = "from pprl.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def describe(job: Path, facts: Path, out: Path, *, records: int, individuals: int) -> None:
    """Describe the data that a linkage made possible: ``pprl describe``, with their own counts."""
    known = Facts.load(facts)
    counted = {"records": records, "individuals": individuals}
    dataset = known.dataset and known.dataset.model_copy(update=counted)
    describe_link(job, known.model_copy(update={"dataset": dataset}), out)


def finish(figure: Figure, folder: Path) -> None:
    """Write ``figure.json`` and print it."""
    content = asdict(figure) | {"gain": round(figure.gain, 2)}
    for name in ("recall", "precision", "exact_recall", "exact_precision", "seconds"):
        content[name] = round(content[name], 4)
    write_json(content, folder / "figure.json")
    print(
        f"{figure.workflow} ({figure.size}): {figure.records:,} records, {figure.links:,} links\n"
        f"  CLKs           recall {figure.recall:.1%}, precision {figure.precision:.1%}\n"
        f"  {figure.exact:<14} recall {figure.exact_recall:.1%}, "
        f"precision {figure.exact_precision:.1%}\n"
        f"  gain           {figure.gain:+.1f} points of recall; {figure.seconds:.1f} s"
    )
    for name, value in figure.more.items():
        print(f"  {name}: {json.dumps(value) if isinstance(value, dict | list) else value}")
