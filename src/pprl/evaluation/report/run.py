"""A finished linkage, from its folder or from a result in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from pprl.errors import UnreadableFile, UsageError
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.links import Clusters, Links
from pprl.exchange.untrusted.documents import read_json_object
from pprl.exchange.untrusted.header import checked_header
from pprl.exchange.untrusted.tables import read_any_table
from pprl.linkage.cluster import ClusterResult
from pprl.linkage.link import LinkResult

_CURVE = ("score", "similarity", "links", "expected_false")
_SIMILARITIES = ("similarity", "pairs", "links")


@dataclass(frozen=True, eq=False)
class Run:
    """What a linkage left.

    Attributes:
        facts: The content of ``linkage.json``.
        inputs: Headers of the encodings.
        found: Links or clusters.
        estimate: The content of ``estimate.json``, where there is one.
        quality: The content of ``quality.json``, where somebody evaluated.
        review: The content of ``review.json``, where there was a clerical review.
        curve: Estimates at other cuts, of an automatic threshold.
        similarities: Pairs and links by similarity.
        conflicts: Where clusters and similarity disagree.
        events: Merges and splits of an earlier delivery.
        sha256: Of the result files, by name.
    """

    facts: dict[str, Any]
    inputs: tuple[EncodingInfo, ...]
    found: Links | Clusters
    estimate: dict[str, Any] | None = None
    quality: dict[str, Any] | None = None
    review: dict[str, Any] | None = None
    curve: pa.Table | None = None
    similarities: pa.Table | None = None
    conflicts: pa.Table | None = None
    events: pa.Table | None = None
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def holders(self) -> list[str]:
        """Names of the holders, those without one by their place."""
        return [info.holder or f"file {at}" for at, info in enumerate(self.inputs, start=1)]

    @classmethod
    def of(cls, result: LinkResult | ClusterResult, inputs: Sequence[EncodingInfo] = ()) -> Run:
        """Take a result in memory.

        Raises:
            UsageError: The headers of the encodings are not known.
        """
        infos = tuple(inputs) or result.inputs
        if not infos:
            raise UsageError("the result does not know its inputs. Give their headers: inputs=.")
        common: dict[str, Any] = {
            "facts": result.facts(*infos),
            "inputs": infos,
            "similarities": result.similarities,
            "estimate": result.estimate and result.estimate.to_dict(),
        }
        if isinstance(result, ClusterResult):
            return cls(
                found=result.clusters,
                conflicts=result.conflicts,
                events=result.events,
                **common,
            )
        return cls(found=result.links, curve=result.curve, **common)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Run:
        """Read the folder that ``pprl link`` or ``pprl dedupe`` wrote.

        Raises:
            UnreadableFile: It is not such a folder, or one of its files is damaged.
        """
        there = Path(folder)
        facts = _json(there / "linkage.json")
        if facts is None:
            raise UnreadableFile(
                f"{there} has no linkage.json. Is it a folder that 'pprl link' wrote?"
            )
        try:
            inputs = tuple(checked_header(there, one) for one in facts["inputs"])
        except (KeyError, TypeError, UnreadableFile):
            raise UnreadableFile(
                f"{there / 'linkage.json'} does not describe its inputs as pprl does."
            ) from None
        names = ("links.parquet", "clusters.parquet")
        which = next((name for name in names if (there / name).exists()), None)
        if which is None:
            raise UnreadableFile(f"{there} has neither links.parquet nor clusters.parquet.")
        kind = Links if which == names[0] else Clusters
        return cls(
            facts=facts,
            inputs=inputs,
            found=kind.load(there / which),
            estimate=_json(there / "estimate.json"),
            quality=_json(there / "quality.json"),
            review=_json(there / "review.json"),
            curve=_table(there / "curve.parquet", _CURVE),
            similarities=_table(there / "similarities.parquet", _SIMILARITIES),
            conflicts=_table(there / "conflicts.parquet", ("reason",)),
            events=_table(there / "events.parquet", ("event",)),
            sha256={
                name: _digest(there / name)
                for name in (*names, "linkage.json")
                if (there / name).exists()
            },
        )


def _json(path: Path) -> dict[str, Any] | None:
    return read_json_object(path) if path.exists() else None


def _table(path: Path, columns: Sequence[str]) -> pa.Table | None:
    if not path.exists():
        return None
    table = read_any_table(path)
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise UnreadableFile(f"{path}: column {missing[0]!r} is missing.")
    return table


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
