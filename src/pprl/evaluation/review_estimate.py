"""Precision and recall from the answers of a clerical review.

Counts are weighted by how many pairs of a stratum each pair that was looked at stands for.
Intervals are Wilson's for the number of answers of a simple sample that would be as exact
(effective sample size; Korn and Graubard, Survey Methodology 24 (1998), p. 193; with Wilson's
interval: Dean and Pagano, J. Survey Statistics and Methodology 3 (2015), p. 484). The variance
of a stratum takes its guess for two more answers, so that five equal answers are not taken
for certainty.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import InvalidValues, PprlWarning, UsageError
from pprl.evaluation.figures import Figure, wilson
from pprl.evaluation.review import ReviewPlan, read_answers
from pprl.evaluation.tables import need_columns

_PRIOR = 2.0
_MANY_UNSURE = 0.1
_ANSWERS = {
    **dict.fromkeys(("yes", "y", "1", "true", "ja", "j", "match"), 1.0),
    **dict.fromkeys(("no", "n", "0", "false", "nee", "non-match"), 0.0),
    **dict.fromkeys(("", "?", "unsure", "nan", "none"), np.nan),
}


@dataclass(frozen=True)
class ReviewEstimate:
    """What a review says about the links.

    Attributes:
        precision: Share of links that are true.
        recall: Share of matches that are linked, of the matches among all pairs that could
            have been drawn; an upper bound, since others were not looked for.
        f1: Their harmonic mean.
        false_links, missed_matches: Expected numbers.
        answered: Number of pairs with a yes or no.
        unsure: Number of pairs without; taken to be like the others of their stratum.
        floor: The least similarity of pairs that could be drawn.
    """

    precision: Figure
    recall: Figure
    f1: Figure
    false_links: float
    missed_matches: float
    answered: int
    unsure: int
    floor: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``review.json``."""
        return asdict(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the estimate as JSON.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.files import write_json

        write_json(self.to_dict(), path)


def review_estimate(
    answers: str | PathLike[str] | pd.DataFrame, plan: ReviewPlan | None = None
) -> ReviewEstimate:
    """Estimate precision and recall from a sheet that was filled in.

    Args:
        answers: The sheet, ``pair, left_id, right_id, match``, in any order. ``match`` is yes or
            no (also 1 or 0, true or false, ja or nee); empty, ``?`` or ``unsure`` is no answer.
        plan: What `review_sample` returned; by default the file beside the sheet.

    Raises:
        UsageError: A table is given without its plan, or nothing was answered for the links.
        InvalidValues: An answer is none of these, or a row is not one of the plan's.
        MissingColumn: A column is missing.
        UnreadableFile: A file cannot be read.
    """
    if isinstance(answers, pd.DataFrame):
        if plan is None:
            raise UsageError("a table of answers needs its plan: review_estimate(answers, plan).")
        frame = answers
    else:
        frame = read_answers(answers)
        plan = plan or ReviewPlan.load(answers)
    return estimate_from(plan, answered(plan, frame))


def answered(plan: ReviewPlan, sheet: pd.DataFrame) -> pd.DataFrame:
    """Return the plan's pairs with ``match``, 1, 0 or missing, and the ``weight`` of each.

    The weight is the number of pairs of the stratum that an answered pair stands for;
    `pprl.evaluation.tune` takes this table for a truth.

    Raises:
        InvalidValues: An answer is not understood, or a row is not one of the plan's.
        MissingColumn: A column is missing.
    """
    columns = ["pair", "left_id", "right_id", "match"]
    need_columns(sheet, columns, "the sheet", ",".join(columns))
    sheet = sheet[columns].astype(str)
    asked = plan.pairs.astype({"pair": str, "left_id": str, "right_id": str})
    both = sheet.merge(asked, on="pair", how="left", suffixes=("", "_asked"))
    same = (both["left_id"] == both["left_id_asked"]) & (both["right_id"] == both["right_id_asked"])
    wrong = np.flatnonzero(~same.to_numpy() | sheet["pair"].duplicated().to_numpy())
    if len(wrong):
        raise InvalidValues(
            f"row {wrong[0] + 1} of the sheet is not the plan's pair of that number, or is there "
            f"twice."
        )
    match = both["match"].str.strip().str.lower().map(_ANSWERS)
    unknown = ~both["match"].str.strip().str.lower().isin(_ANSWERS).to_numpy()
    if unknown.any():
        raise InvalidValues(
            f"row {np.flatnonzero(unknown)[0] + 1} of the sheet: match must be yes, no or empty."
        )
    out = asked.merge(pd.DataFrame({"pair": both["pair"], "match": match}), on="pair", how="left")
    known = out["match"].notna()
    counts = np.bincount(out["stratum"], known, minlength=len(plan.strata))
    sizes = np.array([one.pairs for one in plan.strata], np.float64)
    weight = np.divide(sizes, counts, out=np.zeros(len(sizes)), where=counts > 0)
    return out.assign(weight=np.where(known, weight[out["stratum"]], 0.0))


def estimate_from(plan: ReviewPlan, answers: pd.DataFrame) -> ReviewEstimate:
    """Estimate from what `answered` returned."""
    known = answers["match"].notna().to_numpy()
    stratum, k = answers["stratum"].to_numpy(np.int64)[known], len(plan.strata)
    asked = np.bincount(stratum, minlength=k).astype(np.float64)
    yes = np.bincount(stratum, answers["match"].to_numpy(np.float64)[known], minlength=k)
    size = np.array([one.pairs for one in plan.strata], np.float64)
    guess = np.array([one.expected for one in plan.strata])
    link = np.array([one.kind == "link" for one in plan.strata])
    if not asked[link].any():
        raise UsageError("no link of the sheet has an answer.")
    unsure = len(answers) - int(known.sum())
    if unsure > _MANY_UNSURE * len(answers) or (asked == 0).any():
        warnings.warn(
            f"{unsure:,} of {len(answers):,} pairs have no answer; they are taken to be like the "
            f"others of their stratum, or as guessed where it has none",
            PprlWarning,
            stacklevel=3,
        )
    share = np.where(asked > 0, yes / np.maximum(asked, 1), guess)
    smooth = (yes + _PRIOR * guess) / (asked + _PRIOR)
    # What was looked at is known; a stratum that was looked at whole adds no variance.
    variance = size**2 * (1 - asked / size) * smooth * (1 - smooth) / np.maximum(asked - 1, 1)
    hits, missed = (float((size * share)[side].sum()) for side in (link, ~link))
    hits_s, missed_s = (float((size * smooth)[side].sum()) for side in (link, ~link))
    var_hits, var_missed = (float(variance[side].sum()) for side in (link, ~link))
    n, true, true_s = plan.links, hits + missed, hits_s + missed_s
    recall_s, f1_s = hits_s / true_s, 2 * hits_s / (n + true_s)
    var_recall = ((1 - recall_s) ** 2 * var_hits + recall_s**2 * var_missed) / true_s**2
    var_f1 = ((2 - f1_s) ** 2 * var_hits + f1_s**2 * var_missed) / (n + true_s) ** 2
    return ReviewEstimate(
        precision=_interval(hits / n, hits_s / n, var_hits / n**2),
        recall=_interval(hits / true if true else 0.0, recall_s, var_recall),
        f1=_interval(2 * hits / (n + true), f1_s, var_f1),
        false_links=n - hits,
        missed_matches=missed,
        answered=int(known.sum()),
        unsure=unsure,
        floor=plan.floor,
    )


def _interval(value: float, smooth: float, variance: float) -> Figure:
    if variance <= 0:
        return Figure(value, value, value)
    effective = smooth * (1 - smooth) / variance
    figure = wilson(value * effective, effective)
    return Figure(value, figure.low, figure.high)


def strata_table(plan: ReviewPlan, answers: NDArray[Any] | pd.DataFrame) -> pd.DataFrame:
    """Return a row for each stratum: its bounds, size, answers and share of yes."""
    frame = pd.DataFrame([asdict(one) for one in plan.strata])
    table = pd.DataFrame(answers)
    by = table.groupby("stratum")["match"]
    return frame.assign(answered=by.count(), matches=by.sum(), share=by.mean())
