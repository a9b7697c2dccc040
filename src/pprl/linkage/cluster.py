"""Linking any number of files, or one with itself, into clusters of one person's records."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import PprlWarning, UsageError
from pprl.exchange.encodings import EncodingInfo, check_compatible, warn_absent_fields
from pprl.exchange.links import Clusters
from pprl.exchange.opening import Encoded, opened, refuse_other_fields
from pprl.linkage.advice import FEW, VAGUE, about_crowded, about_filters, give
from pprl.linkage.candidates.blocking import Blocking, BlockingReport
from pprl.linkage.candidates.crowding import by_file, crowded
from pprl.linkage.candidates.exhaustive import MAX_PAIRS, Progress, check_threshold, scored_pairs
from pprl.linkage.candidates.implausible import without_implausible
from pprl.linkage.candidates.in_blocks import blocked_pairs
from pprl.linkage.candidates.pairs import Pairs, by_similarity
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.decision.decide import Decision
from pprl.linkage.decision.density_valley import NOWHERE, Gap
from pprl.linkage.decision.estimate import Estimate
from pprl.linkage.decision.gather import decide_pool, floor_of_pool
from pprl.linkage.decision.with_duplicates import find_threshold
from pprl.linkage.model.scoring import Criterion
from pprl.linkage.options import Rule, RuleChoice
from pprl.linkage.resolution.agglomerative import SLACK, check_rule, choose_rule, join
from pprl.linkage.resolution.conflicts import find_conflicts
from pprl.linkage.resolution.deliveries import Previous, name_clusters
from pprl.run_log import note

if TYPE_CHECKING:
    import pandas as pd

_REPEATS = 0.02


@dataclass(frozen=True, eq=False)
class _Compared:
    """Pairs of records of a pool.

    Attributes:
        pairs: Those from some Dice similarity up, once each.
        compared: Number of pairs of rows that were compared.
        blocking: What blocking left out; None where every pair was compared.
    """

    pairs: Pairs
    compared: int
    blocking: BlockingReport | None = None


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """The clusters, and what was done to find them.

    Attributes:
        clusters: ``cluster_id, holder, record_id``, a row for every record.
        conflicts: Pairs that the rule decided against their similarity; see
            `pprl.linkage.resolution.conflicts`.
        events: What became of the clusters of an earlier delivery: ``event`` (``merge`` or
            ``split``), ``previous_id``, ``cluster_id``, ``records``. None without one.
        threshold: The Dice similarity that records of one person have on average; above 1
            where none was found. Where ``criterion`` weighs more than similarity, that of the least
            similar pair that was linked.
        how: ``auto``, or ``fixed`` where the threshold was given.
        rule: Which clusters were joined first, and which might be.
        deduplicated: Holders of whose records a cluster has at most one.
        pairs_compared: Number of pairs of rows that were compared, not counting the
            sample for an automatic threshold.
        pairs_above: Number of pairs that reach the threshold, before the rule.
        expected_precision: Of these, or of those in ``estimate``, a rough estimate; None where
            the threshold was given.
        estimate: Where no file repeats people, of the best pairs, one at most of a record with
            each other file; None else, and where the threshold was given.
        criterion: How pairs were scored and cut; for another delivery, see `cluster`.
        doubtful_from: Where an automatic threshold left out pairs that look like members of one
            household, the similarity at which these begin; None where it did not.
        blocking: What blocking left out; None where every pair was compared.
        similarities: ``similarity, pairs, links``: pairs at or above the threshold that
            were compared, and those within a cluster, in bins of 0.005 of similarity.
        seconds: Wall time.
        inputs: Headers of the encodings.
    """

    clusters: Clusters
    conflicts: pa.Table
    events: pa.Table | None
    threshold: float
    how: Literal["auto", "fixed"]
    rule: Rule
    deduplicated: tuple[str, ...]
    pairs_compared: int
    pairs_above: int
    expected_precision: float | None
    estimate: Estimate | None
    criterion: Criterion
    doubtful_from: float | None
    blocking: BlockingReport | None
    similarities: pa.Table
    seconds: float
    inputs: tuple[EncodingInfo, ...] = ()

    def facts(self, *inputs: EncodingInfo) -> dict[str, Any]:
        """Return what was done as plain values, for ``linkage.json``."""
        return {
            "library": inputs[0].library,
            "inputs": [info.model_dump(mode="json") for info in inputs],
            "rule": self.how,
            "threshold": self.threshold,
            "clustering": self.rule,
            "deduplicated": list(self.deduplicated),
            "pairs_compared": self.pairs_compared,
            "pairs_above": self.pairs_above,
            "expected_precision": self.expected_precision,
            "criterion": self.criterion.to_dict(),
            "doubtful_from": self.doubtful_from,
            "blocking": self.blocking and self.blocking.to_dict(),
            "records": self.clusters.table.num_rows,
            "clusters": len(self.clusters),
            "conflicts": _counts(self.conflicts["reason"]),
            "events": None if self.events is None else _counts(self.events["event"]),
            "seconds": round(self.seconds, 3),
        }

    def to_arrow(self) -> pa.Table:
        """Return the clusters as an Arrow table."""
        return self.clusters.to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the clusters as a pandas DataFrame."""
        return self.clusters.to_pandas()

    def report(self, path: str | PathLike[str], **options: Any) -> Any:
        """Write the linkage report; see `pprl.report`, which takes the same options."""
        # By the front door: the linkage unit's room knows nothing of the evaluator's.
        import pprl

        write: Any = pprl.report
        return write(self, path, **options)

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card, share

        sizes = self.clusters.table["cluster_id"].value_counts().field("counts").to_numpy()
        rows = {
            "files": f"{len(self.inputs):,}",
            "records": f"{self.clusters.table.num_rows:,}",
            "clusters": f"{len(sizes):,}, {int((sizes > 1).sum()):,} of several records",
            "threshold": f"{self.threshold:.3g}, {self.how}",
            "conflicts": f"{len(self.conflicts):,}",
            "pairs compared": f"{self.pairs_compared:,}",
        }
        if self.estimate is not None and self.estimate.precision is not None:
            found = self.estimate.precision
            rows["estimated precision"] = share(found.value, found.low, found.high)
        return card("Clusters", rows)

    def __repr__(self) -> str:
        return (
            f"ClusterResult({len(self.clusters):,} clusters of "
            f"{self.clusters.table.num_rows:,} records, {self.how}, threshold "
            f"{self.threshold:g}, {len(self.conflicts):,} conflicts)"
        )


def cluster(
    *given: Encoded,
    threshold: float | Literal["auto"] | Criterion = "auto",
    deduplicated: bool | Collection[str] = True,
    rule: RuleChoice = "auto",
    blocking: Blocking | None = None,
    against: Clusters | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> ClusterResult:
    """Find the records of one person in any number of files.

    The files are compared with each other and, unless deduplicated, with themselves.

    Args:
        *given: Encodings made with one schema and key, each under a holder's name of its own.
        threshold: ``auto`` finds it: where no file repeats a person from pairs within the
            files, as for two (`pprl.linkage.decision.decide`), else from the shape of the
            similarities (`pprl.linkage.decision.with_duplicates`). Or a Dice similarity, 0 to 1;
            or the ``criterion`` of an earlier result, so that another delivery is linked in the
            same way (give its ``rule``, too).
        deduplicated: True where no file has two records of one person, so that a cluster has
            at most one of each; False where every file may; or the names of the
            holders whose files have none.
        rule: ``average``, ``complete`` or ``correlation``, see
            `pprl.linkage.resolution.agglomerative`; ``auto`` takes ``complete`` where an automatic
            threshold has many false pairs above it, or a given one is 0.02 below it, and else
            ``average``.
        blocking: A value of `pprl.linkage.blocking`; without it every pair is compared.
        against: The clusters of an earlier delivery. Its records, among those of
            the files given, are not compared with each other again, unless ``auto`` has to learn
            from all files without duplicates; its cluster ids are kept.
        workers: Threads; all processors by default. The result does not depend on it.
        max_pairs: Stop with an error when more pairs than this reach a similarity; there is no
            limit to the pairs that are weighed, some twenty a record and one more for each file.
        progress: Called with the pairs compared so far and in all.

    Raises:
        UsageError: There are no files, two have one name, an option is unknown, a record of
            the earlier delivery is not in the files, or these have not what the criterion weighs.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs reach the threshold.
    """
    refuse_other_fields(given)
    files = tuple(opened(one) for one in given)
    check_rule(rule)
    if threshold != "auto" and not isinstance(threshold, Criterion):
        check_threshold(threshold)
    if not files:
        raise UsageError("give at least one file of encodings.")
    infos = [one.info for one in files]
    check_compatible(infos)
    warn_absent_fields(infos)
    start = time.perf_counter()
    note("clustering begins", files=len(files), records=sum(one.records for one in infos))
    kept, odd = without_implausible(files)
    give(about_filters(odd), stacklevel=2)
    pool = Pool.of(tuple(kept))
    groups = pool.groups(deduplicated)
    previous = None if against is None else Previous.of(against, pool)

    if isinstance(threshold, Criterion):
        threshold.check(pool.encodings)

    def compare(floor: float, earlier: Previous | None, weighed: bool) -> _Compared:
        most = None if weighed else max_pairs
        return _candidates(pool, earlier, floor, blocking, workers, most, progress)

    choice = _choose(pool, groups, threshold, workers, progress, compare)
    criterion = choice.criterion
    low = False
    if rule == "auto" and previous is None and isinstance(threshold, float | int):
        gap = find_threshold(pool, groups, workers=workers, progress=progress)
        low = gap.pairs > 0 and threshold < gap.threshold - SLACK
    used = choose_rule(choice.precision, low=low) if rule == "auto" else rule
    found = choice.candidates or compare(criterion.floor, previous, criterion.rivals)
    linked = criterion.linked(pool, found.pairs)
    if choice.estimate is None:
        many = crowded(linked, len(pool))
        give(about_crowded(by_file(many, pool.file, pool.names)), stacklevel=2)
    if previous is not None:
        new = previous.cluster < 0
        linked = linked.take(new[linked.left] | new[linked.right])
    if isinstance(threshold, float | int):
        _warn_repeats(pool, linked, groups)
    joined = linked if previous is None else previous.with_links(linked)
    earlier = None if previous is None else previous.cluster
    labels = join(pool, joined, criterion, groups, used, earlier)
    if previous is not None:
        labels = previous.untouched(joined, labels)
    ids, events = name_clusters(pool, labels, previous)
    names = pa.array(pool.names).take(pa.array(pool.file))
    made = ClusterResult(
        clusters=Clusters(
            pa.table(
                [ids.take(pa.array(labels)), names, pool.record_ids],
                names=["cluster_id", "holder", "record_id"],
            )
        ),
        conflicts=find_conflicts(pool, linked, labels, ids, criterion, groups),
        events=events,
        threshold=_least_similar(linked) if criterion.rivals else criterion.cut,
        how="auto" if threshold == "auto" else "fixed",
        rule=used,
        deduplicated=tuple(
            name for at, name in enumerate(pool.names) if (groups[pool.file == at] >= 0).any()
        ),
        pairs_compared=found.compared,
        pairs_above=len(linked),
        expected_precision=choice.precision,
        estimate=choice.estimate,
        criterion=criterion,
        doubtful_from=choice.doubtful_from,
        blocking=found.blocking,
        similarities=by_similarity(
            linked.similarity, linked.similarity[labels[linked.left] == labels[linked.right]]
        ),
        seconds=time.perf_counter() - start,
        inputs=tuple(infos),
    )
    note(
        "clustering ends",
        compared=made.pairs_compared,
        candidates=made.pairs_above,
        clusters=len(made.clusters),
        seconds=made.seconds,
    )
    return made


def dedupe(
    a: Encoded,
    *,
    threshold: float | Literal["auto"] = "auto",
    rule: RuleChoice = "auto",
    blocking: Blocking | None = None,
    against: Clusters | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> ClusterResult:
    """Find the records of one person within one file; see `cluster`."""
    return cluster(
        a,
        threshold=threshold,
        deduplicated=False,
        rule=rule,
        blocking=blocking,
        against=against,
        workers=workers,
        max_pairs=max_pairs,
        progress=progress,
    )


@dataclass(frozen=True)
class _Choice:
    """How pairs are scored and cut, and what is known of those that are linked.

    Attributes:
        criterion: The score and its least value.
        candidates: Pairs from the floor of the criterion up, where they were compared already.
        precision: Estimated share of linked pairs that are of one person.
        estimate: The same with an interval, where there is one.
        doubtful_from: See `ClusterResult`.
    """

    criterion: Criterion
    candidates: _Compared | None = None
    precision: float | None = None
    estimate: Estimate | None = None
    doubtful_from: float | None = None


def _choose(
    pool: Pool,
    groups: NDArray[np.int64],
    threshold: float | str | Criterion,
    workers: int | None,
    progress: Progress | None,
    compare: Callable[[float, None, bool], _Compared],
) -> _Choice:
    """Find out how to score pairs and where to cut them."""
    if isinstance(threshold, Criterion):
        return _Choice(threshold)
    if not isinstance(threshold, str):
        return _Choice(Criterion.dice(threshold))
    if (groups >= 0).all() and len(pool.names) > 1:
        if np.count_nonzero(pool.sizes) < 2:
            return _decided(pool, Decision.nothing(), _Compared(Pairs.concat([]), 0))
        floor = floor_of_pool(pool)
        found = compare(floor, None, True)
        return _decided(pool, decide_pool(pool, found.pairs, floor, found.compared), found)
    gap = find_threshold(pool, groups, workers=workers, progress=progress)
    _warn_gap(gap)
    return _Choice(
        Criterion.dice(gap.threshold),
        precision=1 - gap.false_pairs / gap.pairs if gap.pairs else None,
        doubtful_from=gap.doubtful_from if gap.doubtful else None,
    )


def _candidates(
    pool: Pool,
    previous: Previous | None,
    floor: float,
    blocking: Blocking | None,
    workers: int | None,
    max_pairs: int | None,
    progress: Progress | None,
) -> _Compared:
    """Compare what has not been compared; take pairs of records from the floor up, once each."""
    everybody = pool.encodings
    if previous is None:
        n = len(everybody)
        if blocking is not None:
            pairs, blocked = blocked_pairs(
                everybody, None, floor, blocking, workers=workers, max_pairs=max_pairs
            )
            return _Compared(pairs, blocked.compared, blocked)
        pairs = scored_pairs(
            everybody, None, floor, workers=workers, max_pairs=max_pairs, progress=progress
        )
        return _Compared(pairs, n * (n - 1) // 2)
    new = previous.cluster < 0
    numbers = np.flatnonzero(new)
    part = pool.subset(new)
    report = None
    if blocking is None:
        found = scored_pairs(
            part, everybody, floor, workers=workers, max_pairs=max_pairs, progress=progress
        )
        compared = len(part) * len(everybody)
    else:
        found, report = blocked_pairs(
            part, everybody, floor, blocking, workers=workers, max_pairs=max_pairs
        )
        compared = report.compared
    left, right = numbers[found.left], found.right
    # Two new records meet twice, and each meets itself.
    keep = ~new[right] | (left < right)
    low, high = np.minimum(left, right)[keep], np.maximum(left, right)[keep]
    return _Compared(Pairs(low, high, found.similarity[keep]), compared, report)


def _least_similar(linked: Pairs) -> float:
    """Return the lowest similarity of linked pairs; above 1 where there are none."""
    return float(linked.similarity.min()) if len(linked) else NOWHERE.threshold


def _decided(pool: Pool, found: Decision, compared: _Compared) -> _Choice:
    """Take what was decided for files without duplicates, with a warning where it is doubtful."""
    precision = found.estimate.precision
    give(about_crowded(found.crowded), stacklevel=4)
    if found.repeating:
        warnings.warn(
            f"files that are taken to be deduplicated seem to have several records of some people: "
            f"{', '.join(map(repr, found.repeating))}. These were not taken for non-matches. "
            f"If they may repeat people, say so (deduplicated=, --deduplicated)",
            PprlWarning,
            stacklevel=4,
        )
    if len(pool) < FEW or (precision and precision.low < VAGUE):
        warnings.warn(
            "the files are too few or too small for their own pairs to say much about "
            "non-matches; the automatic threshold is a guess",
            PprlWarning,
            stacklevel=4,
        )
    if precision is None:
        warnings.warn(
            "no two records stand out as one person's; every record is a cluster of its own. "
            "If files may repeat people, say so (deduplicated=False, --deduplicated none); give a "
            "threshold if you know better.",
            PprlWarning,
            stacklevel=4,
        )
    share = None if precision is None else precision.value
    return _Choice(found.criterion, compared, share, found.estimate)


def _warn_gap(gap: Gap) -> None:
    """Warn where nothing was found, or where what was left out may be wanted."""
    said = []
    if not gap.pairs:
        said.append(
            "no two records stand out as one person's; every record is a cluster of its own. "
            "Give a threshold if you know better."
        )
    if gap.doubtful:
        end = f"to {gap.threshold:.3f} " if gap.pairs else ""
        said.append(
            f"pairs from {gap.doubtful_from:.3f} {end}in similarity look like members of one "
            f"household ({gap.doubtful:,} of the pairs looked at) and were left out. People "
            f"whose address changed may be among them: review some, or take them in with the "
            f"threshold {gap.doubtful_from:.3f}."
        )
    for text in said:
        warnings.warn(text, PprlWarning, stacklevel=3)


def _warn_repeats(pool: Pool, pairs: Pairs, groups: NDArray[np.int64]) -> None:
    """Warn about deduplicated files that have similar records."""
    same = (groups[pairs.left] == groups[pairs.right]) & (groups[pairs.left] >= 0)
    found = np.bincount(groups[pairs.left[same]], minlength=len(pool.names))
    many = found > _REPEATS * pool.sizes
    if many.any():
        worst = int(np.argmax(found / np.maximum(pool.sizes, 1)))
        warnings.warn(
            f"files that are taken to be deduplicated ({many.sum()}) have pairs of records above "
            f"the threshold: {found[worst]:,} in that of holder {pool.names[worst]!r}. If they may "
            f"repeat people, say so (deduplicated=False, --deduplicated none)",
            PprlWarning,
            stacklevel=3,
        )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}
