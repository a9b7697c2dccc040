"""Linking two files of encodings: the whole pipeline, in the order in which it runs."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa

from pprl.errors import PprlWarning, UsageError
from pprl.exchange.encodings import EncodingInfo, Encodings, check_compatible, warn_absent_fields
from pprl.exchange.links import Links
from pprl.exchange.opening import Encoded, opened, refuse_other_fields
from pprl.linkage.advice import about_crowded, about_links, give
from pprl.linkage.assignment import check_matching, match, one_to_one
from pprl.linkage.candidates.blocking import Blocking, BlockingReport
from pprl.linkage.candidates.crowding import between as side_by_side
from pprl.linkage.candidates.crowding import by_file, crowded
from pprl.linkage.candidates.exhaustive import MAX_PAIRS, Progress, check_threshold, scored_pairs
from pprl.linkage.candidates.floor import find_floor
from pprl.linkage.candidates.in_blocks import blocked_pairs
from pprl.linkage.candidates.pairs import by_similarity
from pprl.linkage.cluster import ClusterResult, cluster
from pprl.linkage.decision.estimate import Estimate, check_precision
from pprl.linkage.decision.gather import decide_two_files
from pprl.linkage.decision.gaussian_mixture import find_mixture_threshold
from pprl.linkage.options import AUTOMATIC, Matching
from pprl.run_log import note

if TYPE_CHECKING:
    import pandas as pd

_HIGH, _LOW = 0.7, 0.55
_MIXTURES_FAIL = (
    "the threshold is that of two bell curves, which similarities do not keep to: on eight data "
    "sets F1 was between 0.81 and 1 without hardening, and between 0.35 and 1 after diffusion; "
    "auto from 0.93 and 0.83 up"
)


@dataclass(frozen=True, eq=False)
class LinkResult:
    """The links, and what was done to find them.

    Attributes:
        links: ``left_id, right_id, similarity, probability``.
        threshold: The Dice similarity from which pairs were considered; with
            ``"auto"`` that of the least similar link, None without links.
        rule: ``auto`` or ``mixture``, or ``fixed`` where the threshold was given.
        precision_asked: The estimated precision that the links had to have; None if no one asked.
        matching: How pairs became links.
        pairs_compared: Number of pairs between the files that were compared.
        pairs_above: Number of candidate links before the threshold (``auto``) or the
            matching (``mixture``, ``fixed``) chose among them.
        estimate: What is estimated of the links without a truth; None but for ``auto``.
        blocking: What blocking left out; None where every pair was compared.
        similarities: How many candidate pairs and links there are at each similarity:
            ``similarity`` (the lower end of 0.005), ``pairs``, ``links``.
        curve: What other cuts would give (`Decision.curve`); None but for ``auto``.
        seconds: Wall time of the comparison and the matching.
        inputs: Headers of the encodings.
    """

    links: Links
    threshold: float | None
    rule: Literal["auto", "mixture", "fixed"]
    precision_asked: float | None
    matching: Matching
    pairs_compared: int
    pairs_above: int
    estimate: Estimate | None
    blocking: BlockingReport | None
    similarities: pa.Table
    curve: pa.Table | None
    seconds: float
    inputs: tuple[EncodingInfo, ...]

    def facts(self, *inputs: EncodingInfo) -> dict[str, Any]:
        """Return what was done as plain values, for ``linkage.json``."""
        return {
            "library": inputs[0].library,
            "inputs": [info.model_dump(mode="json") for info in inputs],
            "rule": self.rule,
            "threshold": self.threshold,
            "precision_asked": self.precision_asked,
            "matching": self.matching,
            "pairs_compared": self.pairs_compared,
            "pairs_above": self.pairs_above,
            "blocking": self.blocking and self.blocking.to_dict(),
            "links": len(self.links),
            "seconds": round(self.seconds, 3),
        }

    def to_arrow(self) -> pa.Table:
        """Return the links as an Arrow table."""
        return self.links.to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the links as a pandas DataFrame."""
        return self.links.to_pandas()

    def report(self, path: str | PathLike[str], **options: Any) -> Any:
        """Write the linkage report; see `pprl.report`, which takes the same options."""
        # By the front door: the linkage unit's room knows nothing of the evaluator's.
        import pprl

        write: Any = pprl.report
        return write(self, path, **options)

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card, share

        names = [info.holder or f"file {at}" for at, info in enumerate(self.inputs, start=1)]
        rows = {
            "files": " and ".join(names),
            "links": f"{len(self.links):,}, {self.matching}",
            "threshold": "none" if self.threshold is None else f"{self.threshold:.3g}, {self.rule}",
            "pairs compared": f"{self.pairs_compared:,}",
        }
        if self.estimate is not None and self.estimate.precision is not None:
            found = self.estimate.precision
            rows["estimated precision"] = share(found.value, found.low, found.high)
        return card("Links", rows, self.links.table["similarity"].to_numpy())

    def __repr__(self) -> str:
        cut = "no threshold" if self.threshold is None else f"threshold {self.threshold:g}"
        return (
            f"LinkResult({len(self.links):,} links, {self.matching}, "
            f"{self.rule}, {cut}, {self.pairs_compared:,} pairs compared)"
        )


@overload
def link(
    a: Encoded,
    b: Encoded,
    *,
    threshold: float | Literal["auto", "mixture"] = "auto",
    precision: float | None = None,
    matching: Matching = "one-to-one",
    blocking: Blocking | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> LinkResult: ...


@overload
def link(
    a: Encoded,
    b: Encoded,
    c: Encoded,
    /,
    *more: Encoded,
    threshold: float | Literal["auto"] = "auto",
    precision: float | None = None,
    matching: Matching = "one-to-one",
    blocking: Blocking | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> ClusterResult: ...


def link(
    a: Encoded,
    b: Encoded,
    *more: Encoded,
    threshold: float | Literal["auto", "mixture"] = "auto",
    precision: float | None = None,
    matching: Matching = "one-to-one",
    blocking: Blocking | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> LinkResult | ClusterResult:
    """Link the records of data holders from their encodings alone.

    Two files give links. Three or more give clusters, with at most one record of each file
    (``one-to-one``) or any number (``many-to-many``); `pprl.cluster` has more to choose.

    Every pair is compared unless ``blocking`` is given. Warns when a field is filled at
    one holder and (almost) empty at the other.

    Args:
        a: Encodings of the first holder, or the path of their file.
        b: Encodings of the second holder, made with the same schema and key.
        *more: Encodings of further holders.
        threshold: ``auto`` finds it; with two files from what each file's own neighbours
            look like (see `pprl.linkage.decision.cut`), comparing each file with itself, too; or
            the Dice similarity, 0 to 1, at or above which a pair is considered. ``mixture``
            takes that from two bell curves (`pprl.linkage.decision.gaussian_mixture`), for two
            files; it often fails, and says so.
        precision: With ``auto``, the estimated precision, 0 to 1, that the links must have
            all together: fewer are kept where more would go below it.
        matching: ``one-to-one`` (greedy, best first), ``optimal`` (one-to-one of the greatest
            sum), ``one-to-many`` (a left record may have several partners), ``many-to-one``
            or ``many-to-many``; see `pprl.linkage.assignment`. ``auto`` works with ``one-to-one``,
            ``one-to-many`` and ``many-to-one``.
        blocking: A value of `pprl.linkage.blocking`, to compare fewer pairs and lose some.
        workers: Threads; all processors by default. The result does not depend on it.
        max_pairs: Stop with an error when more pairs than this reach the threshold.
        progress: Called with the pairs compared so far and in all.

    Raises:
        UsageError: The threshold is no word above and outside 0 to 1, ``matching`` is
            unknown, or ``auto`` or ``mixture`` is combined with what it cannot be.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs reach the threshold.
    """
    refuse_other_fields((a, b, *more))
    a, b, more = opened(a), opened(b), tuple(opened(one) for one in more)
    check_matching(matching)
    check_precision(precision, threshold)
    if more:
        if precision is not None:
            raise UsageError("a precision can be asked for with two files, not with clusters.")
        if threshold == "mixture":
            raise UsageError("a mixture is fitted to two files, not to clusters.")
        if matching not in {"one-to-one", "many-to-many"}:
            raise UsageError(
                f"three files or more give clusters: matching is one-to-one (one record per "
                f"holder) or many-to-many (any number), not {matching}."
            )
        return cluster(
            a,
            b,
            *more,
            threshold=threshold,
            deduplicated=matching == "one-to-one",
            blocking=blocking,
            workers=workers,
            max_pairs=max_pairs,
            progress=progress,
        )
    if threshold == "auto":
        if matching not in AUTOMATIC:
            raise UsageError(
                f"the automatic threshold needs a matching in which a record of some file has "
                f"one partner at most: {', '.join(AUTOMATIC)}. Give a threshold between 0 and 1."
            )
    elif threshold != "mixture":
        check_threshold(threshold)
    check_compatible([a.info, b.info])
    warn_absent_fields([a.info, b.info])
    note("linking begins", left=a.info.records, right=b.info.records)
    if threshold == "auto":
        return _noted(_link_by_itself(a, b, matching, precision, blocking, workers, progress))
    if threshold == "mixture":
        warnings.warn(_MIXTURES_FAIL, PprlWarning, stacklevel=2)
    else:
        _warn_unlikely(a.info, threshold)
    start = time.perf_counter()
    least = find_floor(a, b) if threshold == "mixture" else threshold
    report = None
    if blocking is None:
        pairs = scored_pairs(a, b, least, workers=workers, max_pairs=max_pairs, progress=progress)
    else:
        pairs, report = blocked_pairs(a, b, least, blocking, workers=workers, max_pairs=max_pairs)
    n_a, n_b = a.info.records, b.info.records
    linked, cut = pairs, least
    files = np.repeat([0, 1], [n_a, n_b])
    if threshold == "mixture":
        found = find_mixture_threshold(pairs.similarity[one_to_one(pairs, n_a, n_b)])
        cut = np.inf if found is None else found
        linked = pairs.take(pairs.similarity >= cut)
    names = [one.info.holder or f"file {at}" for at, one in enumerate((a, b), start=1)]
    many = crowded(side_by_side(linked, n_a), len(files))
    give(about_crowded(by_file(many, files, names)), stacklevel=2)
    chosen = match(linked, n_a, n_b, matching)
    made = LinkResult(
        links=chosen.to_links(a, b),
        threshold=None if cut == np.inf else cut,
        rule="mixture" if threshold == "mixture" else "fixed",
        precision_asked=None,
        matching=matching,
        pairs_compared=len(a) * len(b) if report is None else report.compared,
        pairs_above=len(linked),
        estimate=None,
        blocking=report,
        similarities=by_similarity(pairs.similarity, chosen.similarity),
        curve=None,
        seconds=time.perf_counter() - start,
        inputs=(a.info, b.info),
    )
    return _noted(made)


def _noted(made: LinkResult) -> LinkResult:
    note(
        "linking ends",
        compared=made.pairs_compared,
        candidates=made.pairs_above,
        links=len(made.links),
        threshold=made.threshold,
        seconds=made.seconds,
    )
    return made


def _warn_unlikely(info: EncodingInfo, threshold: float) -> None:
    """Warn where a threshold that was given has been seen to fail: see docs, The threshold."""
    said = None
    if set(info.methods) == {"minhash"} and threshold >= _HIGH:
        said = (
            "after minhash two records that share four fifths of their tokens come to about 0.5 + "
            "0.5 * 0.8**t, 0.7 with t = 4; auto finds where links end in these files"
        )
    elif info.half_full and threshold >= _HIGH:
        said = (
            "after diffusion two records of one person are often less alike: on eight data sets "
            "0.75 and 0.85 gave F1 between 0.09 and 1, and between 0.04 and 0.9; auto from 0.83 up"
        )
    elif set(info.methods) == {"none"} and threshold <= _LOW:
        said = (
            "without hardening many records of different people are as alike: on eight data sets "
            "0.55 gave F1 between 0.38 and 0.97; auto from 0.93 up"
        )
    if said:
        warnings.warn(f"the threshold {threshold:g} was given; {said}", PprlWarning, stacklevel=3)


def _link_by_itself(
    a: Encodings,
    b: Encodings,
    matching: Matching,
    precision: float | None,
    blocking: Blocking | None,
    workers: int | None,
    progress: Progress | None,
) -> LinkResult:
    start = time.perf_counter()
    decision = decide_two_files(
        a,
        b,
        precision=precision,
        matching=matching,
        blocking=blocking,
        workers=workers,
        progress=progress,
    )
    order = np.lexsort((decision.kept.right, decision.kept.left))
    links = decision.kept.take(order)
    estimate = decision.estimate
    give(
        about_links(
            (a.info.records, b.info.records),
            len(links),
            decision.cut.range,
            estimate.precision,
            decision.repeating,
            decision.implausible,
            decision.crowded,
            untold=decision.untold,
        ),
        stacklevel=3,
    )
    return LinkResult(
        links=links.to_links(a, b, decision.cut.probability[order]),
        threshold=float(links.similarity.min()) if len(links) else None,
        rule="auto",
        precision_asked=precision,
        matching=matching,
        pairs_compared=decision.compared,
        pairs_above=len(decision.ranked),
        estimate=decision.estimate,
        blocking=decision.blocking,
        similarities=by_similarity(decision.similarities, links.similarity),
        curve=decision.curve,
        seconds=time.perf_counter() - start,
        inputs=(a.info, b.info),
    )
