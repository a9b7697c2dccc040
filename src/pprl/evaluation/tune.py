"""Choosing the threshold with a truth, or with reviewed pairs, and how much that flatters.

A threshold that was chosen as the best for some pairs looks better on them than it is. Here
it is chosen on all folds but one and judged on that one, in turn (cross-validation; Stone,
JRSS B 36 (1974), p. 111). The folds divide records, not pairs, since the pairs of a record
depend on each other. What the apparent F1 has beyond the cross-validated one is the optimism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.evaluation.tables import (
    PairTable,
    best_first,
    links_of,
    need_columns,
    pair_codes,
    score_of,
    true_pairs,
)
from pprl.exchange.links import Links
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.model.margin import WEIGHT, with_margin


@dataclass(frozen=True, eq=False)
class Tuning:
    """The threshold that was chosen.

    Attributes:
        threshold: For ``pprl.link(a, b, threshold=...)`` where ``margin`` is 0; else for the
            score, similarity - margin * (runner-up - lowest), as `links` has been cut; the
            lowest similarity is that of all candidates.
        margin: The weight of the margin that was chosen.
        apparent: F1 at this threshold on the pairs that it was chosen with.
        cross_validated: F1 on pairs that had no part in the choice, the mean of the repeats.
        spread: Standard deviation of the cross-validated F1 over the repeats.
        threshold_range: Least and greatest threshold that a fold chose.
        curve: ``margin, threshold, precision, recall, f1`` on all pairs.
        links: The candidates that are links at this threshold.
    """

    threshold: float
    margin: float
    apparent: float
    cross_validated: float
    spread: float
    threshold_range: tuple[float, float]
    curve: pd.DataFrame
    links: Links

    @property
    def optimism(self) -> float:
        """How much the apparent F1 flatters: apparent less cross-validated."""
        return self.apparent - self.cross_validated

    def __repr__(self) -> str:
        return (
            f"Tuning(threshold {self.threshold:.4g}, margin {self.margin:g}, F1 "
            f"{self.cross_validated:.4f} cross-validated, {self.apparent:.4f} apparent)"
        )


@dataclass(frozen=True)
class _Items:
    """Pairs with a known answer, best score first.

    Attributes:
        score: (m,) falling.
        true: (m,) weight where the pair is true, else 0.
        weight: (m,) how many pairs each stands for.
        record: (m,) number of its left record, which decides the fold.
    """

    score: NDArray[np.float64]
    true: NDArray[np.float64]
    weight: NDArray[np.float64]
    record: NDArray[np.int64]


def tune(
    candidates: PairTable,
    truth: PairTable,
    *,
    margins: Sequence[float] = (0.0,),
    folds: int = 5,
    repeats: int = 10,
    seed: int = 0,
) -> Tuning:
    """Choose the threshold of greatest F1 for one-to-one links.

    Args:
        candidates: Pairs with a similarity, such as `pprl.compare` finds above a low threshold.
        truth: Every true pair; or, with a column ``match`` of 1 and 0, pairs that were reviewed,
            and then a column ``weight``, the number of pairs that each stands for:
            what `pprl.evaluation.review_estimate.answered` returns. Without weights the F1 is
            that of the reviewed pairs alone.
        margins: Weights of the runner-up margin to try; 0 is the similarity itself, 0.45 what
            the automatic threshold uses. `pprl.link` takes a threshold of the similarity only.
        folds: Number of parts that records are divided into.
        repeats: How often they are divided anew.
        seed: Another number divides otherwise.

    Raises:
        UsageError: There are fewer records than folds, no true pairs, or no similarity.
        MissingColumn: A table lacks a column.
        UnreadableFile: A file cannot be read.
    """
    if folds < 2 or repeats < 1:
        raise UsageError("cross-validation needs two folds or more and one repeat or more.")
    if not margins or min(margins) < 0:
        raise UsageError("margins are weights, 0 or more, and at least one.")
    pool = links_of(candidates, "the candidate pairs")
    frame, similarity = pool.to_pandas()[["left_id", "right_id"]], score_of(pool)
    known = _known(truth)
    codes, known_codes = pair_codes(frame, known)
    records, _ = pd.factorize(known["left_id"])
    by_margin = {}
    places = {}
    for margin, score in _scores(frame, similarity, margins):
        place = best_first(frame, score, one_to_one=True)
        places[margin] = place, score[place]
        by_margin[margin] = _items(known, known_codes, codes[place], score[place], frame, place)
    true = known["weight"].to_numpy() * known["match"].to_numpy()
    if not true.sum():
        raise UsageError("no pair of the truth is true; without any, F1 has no meaning.")
    n_records = 1 + max(int(items.record.max(initial=0)) for items in by_margin.values())
    n_records = max(n_records, 1 + int(records.max()))
    if n_records < folds:
        raise UsageError(f"there are {n_records} records and {folds} folds.")
    margin, threshold, apparent = _best(by_margin, None, float(true.sum()))
    rng = np.random.default_rng(seed)
    scores, chosen = [], []
    for _ in range(repeats):
        fold = rng.permutation(n_records) % folds
        counts = np.zeros(3)
        for out in range(folds):
            inside = fold != out
            totals = [float(true[inside[records] == side].sum()) for side in (True, False)]
            picked, cut, _ = _best(by_margin, inside, totals[0])
            items = by_margin[picked]
            kept = (items.score >= cut) & ~inside[items.record]
            counts += items.true[kept].sum(), items.weight[kept].sum(), totals[1]
            if picked == margin:
                chosen.append(cut)
        scores.append(2 * counts[0] / (counts[1] + counts[2]))
    place, score = places[margin]
    links = np.sort(place[score >= threshold])
    return Tuning(
        threshold=threshold,
        margin=margin,
        apparent=apparent,
        cross_validated=float(np.mean(scores)),
        spread=float(np.std(scores)),
        threshold_range=(min(chosen, default=threshold), max(chosen, default=threshold)),
        curve=pd.concat(
            [_curve(items, float(true.sum())).assign(margin=m) for m, items in by_margin.items()],
            ignore_index=True,
        )[["margin", "threshold", "precision", "recall", "f1"]],
        links=Links(pool.table.take(links)),
    )


def _known(truth: PairTable) -> pd.DataFrame:
    """Return ``left_id, right_id, match, weight`` of every pair that is known."""
    if not isinstance(truth, pd.DataFrame) or "match" not in truth.columns:
        return true_pairs(truth).assign(match=1.0, weight=1.0, partial=False)
    need_columns(truth, ["left_id", "right_id"], "the truth", "left_id,right_id")
    known = truth[truth["match"].notna()].copy()
    ids = known[["left_id", "right_id"]].astype(str)
    weight = known["weight"] if "weight" in known.columns else 1.0
    return ids.assign(match=known["match"].astype(float), weight=weight, partial=True)


def _scores(
    frame: pd.DataFrame, similarity: NDArray[np.float64], margins: Sequence[float]
) -> list[tuple[float, NDArray[np.float64]]]:
    left, right = (pd.factorize(frame[name])[0].astype(np.int64) for name in frame.columns)
    penalty = np.zeros(len(frame))
    if len(frame) and any(margins):
        places = left, int(left.max()) + 1 + right
        lowered = with_margin(Pairs(left, right, similarity), *places, float(similarity.min()))
        penalty = (similarity - lowered.similarity) / WEIGHT
    return [(margin, similarity - margin * penalty) for margin in margins]


def _items(
    known: pd.DataFrame,
    known_codes: NDArray[np.int64],
    codes: NDArray[np.int64],
    score: NDArray[np.float64],
    frame: pd.DataFrame,
    place: NDArray[np.int64],
) -> _Items:
    """Join ranked pairs with what is known of them."""
    row = pd.Index(known_codes).get_indexer(pd.Index(codes))
    names = pd.unique(known["left_id"])
    records = pd.Index(names).get_indexer(pd.Index(frame["left_id"].to_numpy(object)[place]))
    if bool(known["partial"].iloc[:1].any()):
        seen = row >= 0
        match, weight = (
            known[name].to_numpy(np.float64)[row[seen]] for name in ("match", "weight")
        )
        return _Items(score[seen], match * weight, weight, records[seen])
    # Left records that are in no true pair belong to a fold, too.
    unnamed, _ = pd.factorize(frame["left_id"].to_numpy(object)[place])
    records = np.where(records >= 0, records, len(names) + unnamed)
    return _Items(score, (row >= 0).astype(np.float64), np.ones(len(score)), records)


def _best(
    by_margin: dict[float, _Items], inside: NDArray[np.bool_] | None, true: float
) -> tuple[float, float, float]:
    """Return margin, threshold and F1 of the greatest F1 among the pairs that are inside."""
    best = (next(iter(by_margin)), np.inf, -1.0)
    for margin, items in by_margin.items():
        mine = slice(None) if inside is None else inside[items.record]
        score, hits, links = items.score[mine], items.true[mine], items.weight[mine]
        if not len(score):
            continue
        f1 = 2 * np.cumsum(hits) / (np.cumsum(links) + true)
        f1[:-1][score[:-1] == score[1:]] = -1.0
        at = int(np.argmax(f1))
        if f1[at] > best[2]:
            # Between the last pair that is kept and the first that is not.
            below = score[at + 1] if at + 1 < len(score) else score[at]
            best = (margin, float((score[at] + below) / 2), float(f1[at]))
    return best


def _curve(items: _Items, true: float) -> pd.DataFrame:
    hits, links = np.cumsum(items.true), np.cumsum(items.weight)
    last = np.append(items.score[:-1] != items.score[1:], np.ones(min(len(links), 1), bool))
    curve = pd.DataFrame(
        {
            "threshold": items.score,
            "precision": hits / links,
            "recall": hits / true,
            "f1": 2 * hits / (links + true),
        }
    )
    return curve[last].iloc[::-1]
