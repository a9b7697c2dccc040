"""Linkage quality against a known truth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from pprl.errors import MissingColumn, UnreadableFile, UsageError
from pprl.exchange.encodings import Encodings
from pprl.exchange.links import Links

_Z95 = 1.959963984540054

Truth: TypeAlias = "str | PathLike[str] | pd.DataFrame | pd.MultiIndex | Links"
"""True pairs: a CSV or Parquet file or table with ``left_id, right_id``, or a MultiIndex."""


@dataclass(frozen=True)
class Figure:
    """A proportion with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How well links agree with the truth.

    Attributes:
        precision: Share of links that are true matches (Wilson interval).
        recall: Share of true matches that were linked (Wilson interval).
        f1: Their harmonic mean; the interval is that of the share of true positives
            among all pairs that are linked or true, which F1 is a function of.
        true_positives, false_positives, false_negatives: Counts of pairs.
        links, true_pairs: Counts of pairs.
        pairs: Number of pairs of records in all, where both encodings were given.
    """

    precision: Figure
    recall: Figure
    f1: Figure
    true_positives: int
    false_positives: int
    false_negatives: int
    links: int
    true_pairs: int
    pairs: int | None = None

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card, intervals, share

        figures = {"precision": self.precision, "recall": self.recall, "F1": self.f1}
        rows = {name: share(one.value, one.low, one.high) for name, one in figures.items()}
        rows |= {"links": f"{self.links:,}", "true pairs": f"{self.true_pairs:,}"}
        bars = {name: (one.value, one.low, one.high) for name, one in figures.items()}
        return card("Quality", rows, picture=intervals(bars))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``quality.json``."""
        return asdict(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write ``quality.json``.

        Raises:
            OutputExists: There is a file already.
        """
        from pprl.exchange.files import write_json

        write_json(self.to_dict(), path)


def evaluate(
    links: Links, truth: Truth, *, a: Encodings | None = None, b: Encodings | None = None
) -> Quality:
    """Compare links with the truth.

    Args:
        links: The links of a linkage.
        truth: Every true pair of record ids, ``left_id, right_id``.
        a: The left encodings; then every left id of the truth must be among theirs.
        b: The right encodings, likewise.

    Raises:
        UsageError: The truth is empty, or names a record that is not in the encodings.
        MissingColumn: The truth has no column ``left_id`` or ``right_id``.
        UnreadableFile: The truth cannot be read.
    """
    true_pairs = read_true_pairs(truth)
    if not len(true_pairs):
        raise UsageError("the truth has no pairs; without any, recall has no meaning.")
    for level, encodings, side in ((0, a, "left"), (1, b, "right")):
        if encodings is not None:
            known = true_pairs.get_level_values(level).isin(encodings.record_ids.to_pylist())
            if not known.all():
                raise UsageError(
                    f"{(~known).sum():,} of the truth's {side}_id are not among the {side} "
                    f"file's record ids. Are left and right swapped?"
                )
    found = pd.MultiIndex.from_frame(links.to_pandas()[["left_id", "right_id"]])
    hits = int(found.isin(true_pairs).sum())
    false_positives = len(found) - hits
    false_negatives = len(true_pairs) - hits
    return Quality(
        precision=wilson(hits, len(found)),
        recall=wilson(hits, len(true_pairs)),
        f1=_f1(hits, false_positives, false_negatives),
        true_positives=hits,
        false_positives=false_positives,
        false_negatives=false_negatives,
        links=len(found),
        true_pairs=len(true_pairs),
        pairs=len(a) * len(b) if a is not None and b is not None else None,
    )


def wilson(successes: int, trials: int) -> Figure:
    """Estimate a proportion with its 95 % interval (Wilson, JASA 22 (1927), p. 209).

    Without trials the value is 0 and the interval is 0 to 1.
    """
    if trials == 0:
        return Figure(0.0, 0.0, 1.0)
    share = successes / trials
    scale = 1 + _Z95**2 / trials
    centre = (share + _Z95**2 / (2 * trials)) / scale
    spread = _Z95 / scale * math.sqrt(share * (1 - share) / trials + _Z95**2 / (4 * trials**2))
    return Figure(share, max(0.0, centre - spread), min(1.0, centre + spread))


def _f1(hits: int, false_positives: int, false_negatives: int) -> Figure:
    """F1 = 2 J / (1 + J), where J = hits / (hits + both kinds of error) is a proportion."""
    jaccard = wilson(hits, hits + false_positives + false_negatives)
    return Figure(*(2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high)))


def read_true_pairs(truth: Truth) -> pd.MultiIndex:
    """Return the distinct true pairs of record ids, left and right, whatever holds them.

    Raises:
        MissingColumn: The truth has no column ``left_id`` or ``right_id``.
        UnreadableFile: The truth cannot be read.
    """
    if isinstance(truth, pd.MultiIndex):
        return truth.unique()
    if isinstance(truth, Links):
        frame = truth.to_pandas()
    elif isinstance(truth, pd.DataFrame):
        frame = truth
    else:
        frame = _read(Path(truth))
    for name in ("left_id", "right_id"):
        if name not in frame.columns:
            raise MissingColumn(f"the truth has no column {name!r}; it needs left_id,right_id.")
    return pd.MultiIndex.from_frame(frame[["left_id", "right_id"]].astype(str)).unique()


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UnreadableFile(f"{path}: there is no such file.") from None
    except Exception as error:
        raise UnreadableFile(
            f"{path} cannot be read as a table ({type(error).__name__})."
        ) from None
