"""What a linkage report claims without a truth, each held against the truth."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

import pprl
from pprl.errors import PprlWarning
from pprl.evaluation.report.model import Figure, LinkageReport
from pprl.exchange.links import Clusters, Links
from pprl.synthetic import Errors, Register
from pprl.synthetic.population import population_table
from pprl.synthetic.practice import HOSPITAL, REGISTRY
from pprl.synthetic.registers import register_table


@dataclass(frozen=True)
class Claim:
    """A number that a report states, its interval, and the truth."""

    name: str
    low: float
    high: float
    true: float

    @property
    def holds(self) -> bool:
        """Whether the truth is within; reports round to four digits."""
        return self.low - 5e-5 <= self.true <= self.high + 5e-5


def claims(report: LinkageReport, found: Links | Clusters, truth: pd.DataFrame) -> list[Claim]:
    """List every estimate in a report.

    Args:
        report: Made without the truth.
        found: The links; or clusters, of which the pairs are judged.
        truth: ``left_id, right_id``; or ``holder, record_id, person_id``.
    """
    hit = hits(found, truth)
    made: list[Claim] = []
    for rates in report.error_rates:
        assert rates.method == "estimate", "only estimates are made without a truth"
        assert rates.recall is None
        assert rates.f1 is None
        assert not rates.others, "a number without an interval"
        if rates.precision is not None and len(hit):
            made.append(_claim("precision of the links", rates.precision, hit))
    for cut in report.sensitivity.estimated or ():
        assert cut.recall is None
        if cut.precision is not None:
            made.append(_claim("precision at another cut", cut.precision, hit[: cut.links]))
    return made


def _claim(name: str, figure: Figure, hit: np.ndarray) -> Claim:
    return Claim(name, figure.low, figure.high, float(hit.mean()))


def hits(found: Links | Clusters, truth: pd.DataFrame) -> np.ndarray:
    """Tell of each link, likeliest first, whether it is true; of clusters' pairs in any order."""
    if isinstance(found, Links):
        table = found.to_pandas().sort_values("probability", ascending=False, kind="stable")
        links = pd.MultiIndex.from_frame(table[["left_id", "right_id"]])
        return np.asarray(links.isin(pd.MultiIndex.from_frame(truth[["left_id", "right_id"]])))
    frame = found.to_pandas().merge(truth, on=["holder", "record_id"])
    same = [
        a == b
        for persons in frame.groupby("cluster_id")["person_id"].agg(list)
        for a, b in combinations(persons, 2)
    ]
    return np.array(same, bool)


CLINIC = Register(
    name="clinic",
    coverage=0.2,
    errors=Errors(keyboard=0.03, digit=0.01, date_slip=0.01, outdated_address=0.08),
)
"""A third register, worse than the two of the practice data."""


@dataclass(frozen=True, eq=False)
class Case:
    """A linkage without a truth, and the truth.

    Attributes:
        name: The set, the setting and the number of files.
        inputs: The encodings.
        result: What `pprl.link` or `pprl.cluster` gave.
        truth: Pairs for two files, persons for more.
    """

    name: tuple[str, str, str]
    inputs: tuple[pprl.Encodings, ...]
    result: pprl.LinkResult | pprl.ClusterResult
    truth: pd.DataFrame

    @property
    def found(self) -> Links | Clusters:
        """The links or clusters."""
        return (
            self.result.links
            if isinstance(self.result, pprl.LinkResult)
            else (self.result.clusters)
        )


def practice_cases(seed: int, persons: int, settings: Mapping[str, str]) -> Iterator[Case]:
    """Link the practice data of a seed, two files and three, which share their encodings.

    Args:
        seed: Of the people.
        persons: Size of the population.
        settings: By the name of a setting, a schema as TOML.
    """
    people = population_table(persons, seed=seed)
    drawn = {
        one.name: register_table(people, one, seed=seed) for one in (HOSPITAL, REGISTRY, CLINIC)
    }
    truth = pd.concat(
        [known.to_pandas().assign(holder=name) for name, (_, known) in drawn.items()]
    )[["holder", "record_id", "person_id"]]
    of = dict(iter(truth.groupby("holder")))
    pairs = of["hospital"].merge(of["registry"], on="person_id", suffixes=("_a", "_b"))
    pairs = pairs.rename(columns={"record_id_a": "left_id", "record_id_b": "right_id"})
    with warnings.catch_warnings():
        # Weak keys, plain CLKs and small files are warned of; none of it matters here.
        warnings.simplefilter("ignore", PprlWarning)
        key = pprl.LinkageKey.from_secret("claims of a linkage report", allow_weak=True)
        for setting, schema in settings.items():
            files = tuple(
                pprl.encode(
                    table,
                    pprl.Schema.from_toml(schema),
                    key,
                    id_column="record_id",
                    holder=name,
                    workers=1,
                )
                for name, (table, _) in drawn.items()
            )
            two = pprl.link(*files[:2], workers=1)
            yield Case(
                (f"practice, {persons:,} people", setting, "two files"), files[:2], two, pairs
            )
            many = pprl.cluster(*files, deduplicated=True, workers=1)
            yield Case(
                (f"practice, {persons:,} people", setting, "three files"), files, many, truth
            )
