"""The frozen model of a job larger than memory: how pairs are scored, and what null pairs reach.

It is fitted once, by `pprl.linkage.decision.decide.fit` on the samples, and written into the job's
folder as a part of its own. The ledger keeps its digest, as of every part: a model that was altered
is fitted again when the job is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import UnreadableFile
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.untrusted.parquet import FOREIGN_ERRORS
from pprl.linkage.candidates.implausible import beyond
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.cut import Null, NullDistribution
from pprl.linkage.decision.fit import fit
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.rows import Rows
from pprl.linkage.job.sample import Limits, Samples
from pprl.linkage.job.sampled_candidates import gather
from pprl.linkage.job.sampled_pairs import side_of
from pprl.linkage.job.spill import damaged, opened, part_file, read_facts, write_facts
from pprl.linkage.model.compared_pairs import ComparedPairs, Side
from pprl.linkage.model.density_ratio import Evidence

_SCHEMA = pa.schema(
    [
        ("file", pa.int8()),
        ("left", pa.int64()),
        ("right", pa.int64()),
        ("score", pa.float64()),
        ("weight", pa.float64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Model:
    """What was learned from the samples.

    Attributes:
        floor: The Dice similarity from which on pairs are looked at.
        evidence: How groups and masks are weighed; None where there is but one similarity.
        null: What null pairs reach.
        repeating: The holders whose files seem to repeat people.
        implausible: Filters that no record can have, by holder.
        emptied: Whether filters were emptied as impossible when the files were read.
        untold: Whether nothing tells matches from other pairs.
    """

    floor: float
    evidence: Evidence | None
    null: NullDistribution
    repeating: tuple[str, ...]
    implausible: Mapping[str, int]
    emptied: bool
    untold: bool

    @property
    def least(self) -> float:
        """The score that makes no rival, and above which pairs are kept."""
        return self.floor if self.evidence is None else 0.0

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read what `write_model` wrote.

        Raises:
            UnreadableFile: The part is damaged.
        """
        facts = read_facts(path)
        try:
            with opened(path) as file:
                table = file.read(use_threads=False)
            if not table.schema.equals(_SCHEMA) or any(one.null_count for one in table.columns):
                raise damaged(path)
            number, *columns = (column.to_numpy() for column in table.columns)
            nulls = []
            for at, said in enumerate(facts["nulls"]):
                left, right, score, weight = (column[number == at] for column in columns)
                pairs = Pairs(left, right, score)
                nulls.append(
                    Null(pairs, said["records"], said["others"], weight, takes=said["takes"])
                )
            evidence = facts["evidence"]
            return cls(
                float(facts["floor"]),
                None if evidence is None else Evidence.from_dict(evidence),
                NullDistribution(tuple(nulls), float(facts["weight"])),
                tuple(facts["repeating"]),
                dict(facts["implausible"]),
                bool(facts["emptied"]),
                bool(facts["untold"]),
            )
        except FOREIGN_ERRORS as error:
            raise error if isinstance(error, UnreadableFile) else damaged(path) from None
        except (KeyError, TypeError, ValueError):
            raise damaged(path) from None


def write_model(
    plan: Plan,
    infos: tuple[EncodingInfo, EncodingInfo],
    names: tuple[str, str],
    samples: Samples,
    limits: Limits,
    paths: Sequence[Path],
    path: Path,
    *,
    emptied: bool,
) -> None:
    """Fit the decision on what was found near the samples, and write it down."""
    facts: dict[str, Any] = {
        "floor": limits.floor,
        "evidence": None,
        "nulls": [],
        "weight": 1.0,
        "repeating": [],
        "implausible": _implausible(plan, names, paths),
        "emptied": emptied,
        "untold": limits.untold,
    }
    tables = [_SCHEMA.empty_table()]
    if not limits.untold:
        found = fit(*gather(plan, infos, names, samples, limits, paths))
        facts |= {
            "evidence": found.evidence and found.evidence.to_dict(),
            "nulls": [
                {"records": one.records, "others": one.others, "takes": one.takes}
                for one in found.null.nulls
            ],
            "weight": found.null.weight,
            "repeating": [name for name in names if name in found.repeating],
        }
        tables += [
            pa.table(
                [
                    pa.array(np.full(len(one.pairs), at, np.int8)),
                    one.pairs.left,
                    one.pairs.right,
                    one.pairs.similarity,
                    one.weight,
                ],
                schema=_SCHEMA,
            )
            for at, one in enumerate(found.null.nulls)
        ]
    with part_file(path, _SCHEMA) as writer:
        writer.write_table(pa.concat_tables(tables))
        write_facts(writer, facts)


def _implausible(plan: Plan, names: tuple[str, str], paths: Sequence[Path]) -> dict[str, int]:
    """Count the filters that were set aside, by holder."""
    counts = np.zeros(2, np.int64)
    for number, path in enumerate(paths):
        # A row is in one bucket of each pass, if it has a key: the first pass has most of them.
        if not plan.passes or list(plan.sampled_parts().values())[number][0] == 0:
            counts += np.array(read_facts(path)["implausible"], np.int64)
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


class Scorer:
    """Scores the pairs of one part by a frozen model; keeps the rows that it met last."""

    def __init__(
        self,
        model: Model,
        infos: tuple[EncodingInfo, EncodingInfo],
        samples: Samples,
        limits: Limits,
    ) -> None:
        self._infos, self._limits = infos, limits
        self._evidence = evidence = model.evidence
        if evidence is not None and evidence.fields is not None:
            # How many records have a filter is counted in the samples.
            sides = (side_of(rows, info) for rows, info in zip(samples, infos, strict=True))
            self._evidence = replace(evidence, fields=evidence.fields.for_files(*sides))
        self._met: dict[int, tuple[Rows, Side]] = {}

    def plausible(self, rows: Rows, side: int) -> Rows:
        """Set filters aside that no record can have."""
        return rows.without(beyond(rows.words, self._infos[side], self._limits.bits[side]))

    def score(
        self,
        left: Rows,
        right: Rows,
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        similarity: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Score pairs of rows; return the places of those that may become links, and scores."""
        if self._evidence is None:
            return np.arange(len(i)), similarity
        one, other = self._side(0, left), self._side(1, right)
        score = self._evidence.odds(ComparedPairs.of(one, other, Pairs(i, j, similarity)))
        # What five null pairs for each record exceed is no link.
        kept = np.flatnonzero(score > 0.0)
        return kept, score[kept]

    def _side(self, at: int, rows: Rows) -> Side:
        if at not in self._met or self._met[at][0] is not rows:
            self._met[at] = rows, side_of(rows, self._infos[at])
        return self._met[at][1]
