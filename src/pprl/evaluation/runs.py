"""What changed from one linkage run to another, pair by pair, and why."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from pprl.errors import UnreadableFile
from pprl.evaluation.tables import PairTable, links_of, pair_codes
from pprl.exchange.links import Links
from pprl.exchange.untrusted.documents import read_json_object
from pprl.linkage.link import LinkResult

Run: TypeAlias = "LinkResult | Links | pd.DataFrame | str | PathLike[str]"
"""A run: what `pprl.link` returned, the folder that ``pprl link`` wrote, or links alone."""

_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class RunComparison:
    """What changed.

    Attributes:
        changes: A row for each pair that changed: ``change`` (``gained``, ``lost`` or
            ``similarity``), ``why``, ``left_id, right_id, old_similarity, new_similarity``, and
            ``left_other, right_other``, what its records are linked to in the other run.
        kept: Number of pairs that are links in both.
        gained, lost: Number of pairs that are links in one of them.
        old_threshold, new_threshold: Where they are known.
    """

    changes: pd.DataFrame
    kept: int
    gained: int
    lost: int
    old_threshold: float | None
    new_threshold: float | None

    def __repr__(self) -> str:
        return f"RunComparison({self.kept:,} kept, {self.gained:,} gained, {self.lost:,} lost)"

    def summary(self) -> pd.DataFrame:
        """Count the changes: ``change, why, pairs``."""
        counts = self.changes.groupby(["change", "why"], sort=True).size()
        return counts.rename("pairs").reset_index()


def compare_runs(
    old: Run,
    new: Run,
    *,
    old_pairs: PairTable | None = None,
    new_pairs: PairTable | None = None,
) -> RunComparison:
    """Compare the links of two runs over the same record ids.

    A link that is in one run only has one of these reasons, the first that holds:
    ``partner changed`` (a record of it is linked to another in the other run), ``threshold``
    (its similarity does not reach the other run's threshold), ``similarity`` (in the
    other run the pair is less alike: below the threshold there), ``no candidate`` (the other
    run's candidate pairs were given and do not have it: not compared, or a record
    is not there) and ``not chosen`` (nothing of this is known to hold).

    Args:
        old: The earlier run.
        new: The later run.
        old_pairs: Candidate pairs of the earlier run with their similarity, if there are;
            see `pprl.compare`.
        new_pairs: Those of the later run.

    Raises:
        MissingColumn: A table has no column ``left_id`` or ``right_id``.
        UnreadableFile: A file cannot be read.
    """
    sides = [_load(run) for run in (old, new)]
    frames = [links.to_pandas()[["left_id", "right_id", "similarity"]] for links, _ in sides]
    cuts = [cut for _, cut in sides]
    pools = [
        None if pool is None else links_of(pool).to_pandas() for pool in (old_pairs, new_pairs)
    ]
    tables = [*frames, *(pool for pool in pools if pool is not None)]
    codes = pair_codes(*tables)
    rest = iter(codes[2:])
    known = [
        _similarities(frame, code, pool, None if pool is None else next(rest))
        for frame, code, pool in zip(frames, codes[:2], pools, strict=True)
    ]
    parts = []
    for change, here, there in (("lost", 0, 1), ("gained", 1, 0)):
        alone = ~np.isin(codes[here], codes[there])
        part = frames[here][alone].copy()
        part["change"] = change
        _add_partners(part, frames[there])
        elsewhere = known[there].reindex(codes[here][alone]).to_numpy()
        part["why"] = _reasons(part, elsewhere, cuts[there], pools[there] is not None)
        own, other = ("old_similarity", "new_similarity")[:: 1 if here == 0 else -1]
        parts.append(part.rename(columns={"similarity": own}).assign(**{other: elsewhere}))
    stayed = frames[0][np.isin(codes[0], codes[1])].rename(columns={"similarity": "old_similarity"})
    after = known[1].reindex(codes[0][np.isin(codes[0], codes[1])]).to_numpy()
    stayed = stayed.assign(new_similarity=after, change="similarity", why="similarity")
    moved = (stayed["old_similarity"] - stayed["new_similarity"]).abs() > _SAME
    columns = ["change", "why", "left_id", "right_id", "old_similarity", "new_similarity"]
    changes = pd.concat([*parts, stayed[moved]], ignore_index=True)
    changes = changes.reindex(columns=[*columns, "left_other", "right_other"])
    return RunComparison(
        changes=changes.sort_values(["change", "left_id", "right_id"], ignore_index=True),
        kept=len(stayed),
        gained=len(parts[1]),
        lost=len(parts[0]),
        old_threshold=cuts[0],
        new_threshold=cuts[1],
    )


def _load(run: Run) -> tuple[Links, float | None]:
    if isinstance(run, LinkResult):
        return run.links, run.threshold
    if isinstance(run, str | PathLike) and Path(run).is_dir():
        return Links.load(Path(run) / "links.parquet"), _threshold(Path(run) / "linkage.json")
    return links_of(run, "the table of links"), None


def _threshold(path: Path) -> float | None:
    if not path.exists():
        return None
    try:
        cut = read_json_object(path)["threshold"]
        return None if cut is None else float(cut)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise UnreadableFile(f"{path} is not the linkage.json of 'pprl link'.") from None


def _similarities(
    frame: pd.DataFrame, codes: Any, pool: pd.DataFrame | None, pool_codes: Any
) -> pd.Series[float]:
    known = pd.Series(frame["similarity"].to_numpy(), codes)
    if pool is None:
        return known
    return known.combine_first(pd.Series(pool["similarity"].to_numpy(), pool_codes))


def _add_partners(part: pd.DataFrame, other: pd.DataFrame) -> None:
    for mine, theirs in (("left_id", "right_id"), ("right_id", "left_id")):
        first = other.drop_duplicates(mine).set_index(mine)[theirs]
        part[mine.replace("_id", "_other")] = part[mine].map(first).astype(object)


def _reasons(part: pd.DataFrame, elsewhere: Any, cut: float | None, pool: bool) -> Any:
    conditions = [(part["left_other"].notna() | part["right_other"].notna()).to_numpy()]
    own = part["similarity"].to_numpy()
    below = np.zeros(len(part), bool) if cut is None else own < cut - _SAME
    less = np.zeros(len(part), bool) if cut is None else elsewhere < cut - _SAME
    same = np.isnan(elsewhere) | (np.abs(elsewhere - own) <= _SAME)
    conditions += [below & same, less, np.isnan(elsewhere) & pool]
    reasons = ["partner changed", "threshold", "similarity", "no candidate"]
    return np.select(conditions, reasons, "not chosen")
