"""How far a job is, how fast it goes, and when it will be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pprl.linkage.job.plan import Plan
from pprl.run_log import note

# Seconds on one core, measured by benchmarks/bench_job.py; a plan's estimate and the weights
# of the stages for the time left.
_ROW, _ROW_WORD = 0.8e-6, 0.06e-6
_KEYED_PAIR, _KEYED_WORD = 4e-9, 0.35e-9
_PAIR, _WORD = 0.1e-9, 0.08e-9
_PART = 0.02
_RECORD = 2e-6
_WEIGHED = 60e-6
_LIMITS, _FITTED = 2.0, 300e-6


WRITING = "written"
"""What is done after all parts, so that a job is at 100 % only when its results are there."""


@dataclass(frozen=True)
class JobProgress:
    """Where a job is.

    Attributes:
        stage: What is being done.
        parts, parts_total: Parts of the stage that are done, and all.
        pairs: Pairs compared in this run.
        pairs_per_second: Their rate in this run; 0 before the first.
        share: Share of the expected work of all stages that is done, 0 to 1.
        seconds: Time since this run began.
        seconds_left: Expected time left; None while nothing is known.
    """

    stage: str
    parts: int
    parts_total: int
    pairs: int
    pairs_per_second: float
    share: float
    seconds: float
    seconds_left: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a line of JSON."""
        return asdict(self)


Progress = Callable[[JobProgress], None]


class Watch:
    """Adds up what is done, and tells it."""

    def __init__(self, progress: Progress | None, costs: Mapping[str, float]) -> None:
        self._progress, self._costs = progress, costs
        self._start = time.perf_counter()
        self._all = sum(costs.values()) or 1.0
        self._before = self._now = 0.0
        self._stage, self._parts, self._total, self._pairs = "", 0, 0, 0
        self._comparing = 0.0

    def begin(self, stage: str, done: Sequence[str], total: int) -> None:
        """A stage begins; some of its parts were done in an earlier run."""
        self.end()
        if total:
            note(f"{stage} begins", parts=total, parts_done=len(done))
        self._stage, self._parts, self._total = stage, len(done), total
        self._before += sum(self._costs[name] for name in done)
        self._stage_start = time.perf_counter()
        self._tell()

    def done(self, name: str, facts: Mapping[str, Any]) -> None:
        """A part is done."""
        self._parts += 1
        self._now += self._costs[name]
        self._pairs += int(facts.get("pairs", 0))
        if facts.get("pairs"):
            self._comparing = time.perf_counter() - self._stage_start
        self._tell()

    def end(self) -> None:
        """Log that the stage that goes on has ended."""
        if self._total:
            seconds = time.perf_counter() - self._stage_start
            note(f"{self._stage} ends", parts=self._parts, pairs=self._pairs, seconds=seconds)
        self._total = 0

    def _tell(self) -> None:
        if self._progress is None:
            return
        seconds = time.perf_counter() - self._start
        left = self._all - self._before - self._now
        self._progress(
            JobProgress(
                self._stage,
                self._parts,
                self._total,
                self._pairs,
                self._pairs / self._comparing if self._comparing else 0.0,
                min((self._before + self._now) / self._all, 1.0),
                seconds,
                seconds * left / self._now if self._now else None,
            )
        )


def costs(plan: Plan) -> dict[str, float]:
    """Estimate the seconds of one core that each part takes."""
    row = _ROW + plan.words * _ROW_WORD
    # The ids of both files are read once, and a line of each link is written.
    written = _PART + sum(plan.records) * _RECORD
    if plan.in_memory:
        # Pairs within the files cost as much again; and each record has pairs to be weighed.
        pairs = 2 * plan.pairs * (_PAIR + plan.words * _WORD)
        return {"links": _PART + pairs + sum(plan.records) * _WEIGHED, WRITING: written}
    made = {
        name: _PART + (chunk.end - chunk.start) * max(len(plan.passes), 1) * row
        for name, chunk in plan.chunk_parts().items()
    }
    for name, (a, b) in plan.pair_parts().items():
        if plan.passes:
            held = plan.passes[a]
            moved = held.left_rows[b] + held.right_rows[b]
            per_pair = _KEYED_PAIR + plan.words * _KEYED_WORD
            made[name] = _PART + moved * row + held.pairs[b] * per_pair
        else:
            one, other = plan.chunks[a], plan.chunks[b]
            pairs = (one.end - one.start) * (other.end - other.start)
            made[name] = _PART + pairs * (_PAIR + plan.words * _WORD)
    for name, (at, bucket) in plan.sampled_parts().items():
        if plan.passes:
            # Comparing within the files costs a sixth of comparing between them, for each.
            made[name] = _PART + made[f"pairs/{at:02}-{bucket:05}"] / 3
        else:
            rows = plan.chunks[at].end - plan.chunks[at].start
            met = sum(plan.samples) * rows
            made[name] = _PART + rows * row + met * (_PAIR + plan.words * _WORD)
    last = _PART + sum(plan.rows) * _RECORD
    made |= dict.fromkeys(plan.merge_parts(), last)
    if plan.sampled:
        made |= {"limits": _LIMITS, "model": sum(plan.samples) * _FITTED, "ranked": last}
    return made | {"links": last, WRITING: written}


def expected_seconds(plan: Plan) -> float:
    """Estimate how long the parts take with the plan's workers."""
    made = costs(plan)
    alone = sum(made.pop(name, 0.0) for name in ("limits", "model", "ranked", "links", WRITING))
    if plan.in_memory:
        return alone / plan.workers
    return alone + sum(made.values()) / plan.workers


def expected_disk(plan: Plan) -> int:
    """Return the bytes that rows in buckets take; spilled pairs, 24 bytes each, come on top."""
    each = 8 * (plan.words + len(plan.passes) + 1)
    return each * sum(sum(one.left_rows) + sum(one.right_rows) for one in plan.passes)
