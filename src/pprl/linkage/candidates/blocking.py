"""Blocking: comparing only pairs that share a key in one of several passes.

Each way is a value; `BlockingUnion` puts several together. How blocks are found and compared
is in `pprl.linkage.candidates.blocked`, what they will cost in `pprl.linkage.explain`.

Sorted neighbourhood is left out on purpose: it needs keys whose order means something,
and such keys give away what they are made of.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.lsh import LARGEST_BLOCK, HammingLSH, Keys, LambdaFold

__all__ = [
    "Blocking",
    "BlockingReport",
    "BlockingUnion",
    "HammingLSH",
    "KeyBlocking",
    "LambdaFold",
    "PSig",
    "PassReport",
]


@dataclass(frozen=True)
class KeyBlocking:
    """Compare records that share a blocking key that the holders made.

    Attributes:
        largest_block: A block of more pairs than this is passed over, and reported; without a
            number every block is compared, large ones in tiles, as fast as without blocking.
        passes: Names of the schema's passes to use; without any all of them.
    """

    largest_block: int | None = None
    passes: tuple[str, ...] = ()

    def names(self, a: Encodings) -> list[str]:
        """Name the passes.

        Raises:
            UsageError: The holders made no keys of that name.
        """
        return [_names(a)[at] for at in _chosen(self.passes, a)]

    def keys(self, a: Encodings, b: Encodings) -> Keys:
        """Return the keys of both files, (n, passes) uint64, 0 for none.

        Raises:
            UsageError: A file has no blocking keys, or none of that name.
        """
        return _holder_keys(self.passes, a, b)


@dataclass(frozen=True)
class PSig:
    """Compare records that share a signature which is neither frequent nor, if asked, rare.

    The signatures are the keys that the holders made in the schema's passes: a field's value,
    characters of it, its phonetic code, or several together. Unlike in blocklib, they are
    hashed under the linkage key, so that nobody without it can try out values.

    Source: Zhang, Ng, Churchill, Christen, Scalable entity resolution using probabilistic
    signatures on parallel databases (CIKM 2018), as blocklib took it up.

    Attributes:
        least: A signature that fewer of a file's records have is passed over, and reported.
        most: One that more of them have is, too.
        unit: Whether ``least`` and ``most`` are a ``ratio`` of a file's records or a ``count``.
        passes: Names of the schema's passes to use; without any all of them.
        largest_block: A block of more pairs than this is passed over, and reported.
    """

    least: float = 0.0
    most: float = 0.02
    unit: Literal["ratio", "count"] = "ratio"
    passes: tuple[str, ...] = ()
    largest_block: int = LARGEST_BLOCK

    def __post_init__(self) -> None:
        if self.unit not in {"ratio", "count"} or not 0 <= self.least <= self.most:
            raise UsageError(
                "P-Sig takes 0 <= least <= most, as a 'ratio' of the records or a 'count'."
            )
        if self.unit == "ratio" and self.most > 1:
            raise UsageError("a ratio is at most 1; unit='count' counts records.")

    def names(self, a: Encodings) -> list[str]:
        """Name the passes, like `KeyBlocking.names`."""
        return [_names(a)[at] for at in _chosen(self.passes, a)]

    def keys(self, a: Encodings, b: Encodings) -> Keys:
        """Return the keys of both files, like `KeyBlocking.keys`."""
        return _holder_keys(self.passes, a, b)

    def keeps(
        self, x: NDArray[np.int64], y: NDArray[np.int64], n: int, m: int
    ) -> NDArray[np.bool_]:
        """Say of which blocks, of x by y records in files of n and m, the signature serves."""
        keep = np.ones(len(x), bool)
        for count, records in ((x, n), (y, m)):
            size = count / records if self.unit == "ratio" else count
            keep &= (size >= self.least) & (size <= self.most)
        return keep


Method = KeyBlocking | PSig | HammingLSH | LambdaFold


@dataclass(frozen=True)
class BlockingUnion:
    """Compare records that any of several ways of blocking brings together, each pair once.

    Attributes:
        methods: The ways.
        unreachable: What becomes of records that have a key in none of them: ``report``
            counts them, ``compare`` compares them with every record.
    """

    methods: tuple[Method, ...]
    unreachable: Literal["report", "compare"] = "report"

    def __post_init__(self) -> None:
        if not self.methods or self.unreachable not in {"report", "compare"}:
            raise UsageError(
                "a union of blocking takes at least one method, and unreachable='report' or "
                "'compare'."
            )


Blocking = Method | BlockingUnion


def as_union(blocking: Blocking) -> BlockingUnion:
    """Return a union, of the one method that was given or of several."""
    return blocking if isinstance(blocking, BlockingUnion) else BlockingUnion((blocking,))


@dataclass(frozen=True)
class PassReport:
    """What one pass, or all tables of an LSH together, compared and passed over.

    Attributes:
        name: The pass of the schema, or the way of blocking.
        blocks: Blocks of records of both files, or of two or more of one.
        pairs: Pairs in them, those met in an earlier pass among them.
        dropped_blocks: Blocks that were passed over for their size; not among ``blocks``.
        dropped_pairs: Pairs in them.
        largest_dropped: Rows of either file in the largest of them.
    """

    name: str
    blocks: int
    pairs: int
    dropped_blocks: int
    dropped_pairs: int
    largest_dropped: tuple[int, int]


@dataclass(frozen=True)
class BlockingReport:
    """What blocking left out.

    Attributes:
        compared: Pairs of rows that were compared, each counted once.
        all_pairs: Pairs of rows there are.
        keyless: Rows of each file without any key, which no block reaches.
        purged: Rows of each file all of whose keys are of blocks that were passed over.
        unreachable: ``compare`` where rows without a key were compared with all others.
        passes: What each pass did, in order.
    """

    compared: int
    all_pairs: int
    keyless: tuple[int, int]
    purged: tuple[int, int]
    unreachable: str
    passes: tuple[PassReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``linkage.json``."""
        return asdict(self) | {
            "dropped_blocks": self.dropped_blocks,
            "dropped_pairs": self.dropped_pairs,
            "reduction_ratio": self.reduction_ratio,
        }

    @property
    def dropped_blocks(self) -> dict[str, int]:
        """Blocks that were passed over, by pass."""
        return {one.name: one.dropped_blocks for one in self.passes if one.dropped_blocks}

    @property
    def dropped_pairs(self) -> int:
        """Pairs in them; a pair may be in several, and in one that was compared."""
        return sum(one.dropped_pairs for one in self.passes)

    @property
    def reduction_ratio(self) -> float:
        """The share of pairs that were not compared."""
        return 1 - self.compared / self.all_pairs if self.all_pairs else 0.0


def _names(a: Encodings) -> list[str]:
    """Name the passes of the holders' keys; without a header by number."""
    passes = 0 if a.block_keys is None else a.block_keys.shape[1]
    names = list(a.info.blocking)
    return names if len(names) == passes else [f"pass {at}" for at in range(1, passes + 1)]


def _chosen(passes: tuple[str, ...], a: Encodings) -> list[int]:
    """Find the columns of the passes that are wanted."""
    names = _names(a)
    unknown = [name for name in passes if name not in names]
    if unknown:
        raise UsageError(
            f"there is no blocking pass {unknown[0]!r}; the passes are: "
            f"{', '.join(map(repr, names))}."
        )
    return [names.index(name) for name in passes] or list(range(len(names)))


def _holder_keys(passes: tuple[str, ...], a: Encodings, b: Encodings) -> Keys:
    if a.block_keys is None or b.block_keys is None:
        raise UsageError(
            "the encodings have no blocking keys. Add blocking passes to the schema and "
            "let the holders encode again, or compare without blocking."
        )
    at = _chosen(passes, a)
    return a.block_keys[:, at], b.block_keys[:, at]
