"""Exact keys first, CLKs for the rest: today's practice, and what comparing adds to it.

Records are linked on a pass when their keyed values are equal and no other record of either file
has that value. A value that is there twice in a file names two people or one person twice; it is
counted, and left to the later passes. Links are one-to-one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pprl.errors import UsageError
from pprl.exchange.encodings import EncodingInfo, Encodings, check_compatible
from pprl.exchange.links import Clusters, Links
from pprl.linkage.candidates.blocking import Blocking
from pprl.linkage.candidates.exhaustive import MAX_PAIRS, Progress
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.link import LinkResult, link
from pprl.linkage.resolution.deliveries import name_clusters

CLK = "clk"
"""What made a link that no exact pass made."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PassCounts:
    """What one exact pass found among the records that earlier ones left.

    Attributes:
        name: The pass.
        left, right: Records that were left.
        left_keyless, right_keyless: Of those, how many have no key: a part is missing.
        ambiguous: Left records that share a key with the right file, but with another record
            of either file, too.
        links: Links made.
    """

    name: str
    left: int
    right: int
    left_keyless: int
    right_keyless: int
    ambiguous: int
    links: int


@dataclass(frozen=True, eq=False)
class CascadeResult:
    """The links of all passes.

    Attributes:
        links: ``left_id, right_id, similarity, probability``. The similarity is that of the
            CLKs for exact links, too; their probability is null.
        made_by: For each link the exact pass that made it, or ``clk``.
        passes: What each exact pass did, in order.
        rest: What comparing CLKs did; None where there was nothing left, or it was not asked for.
        seconds: Wall time.
    """

    links: Links
    made_by: pa.StringArray
    passes: tuple[PassCounts, ...]
    rest: LinkResult | None
    seconds: float

    @property
    def exact_links(self) -> int:
        """Number of links that exact passes made."""
        return sum(one.links for one in self.passes)

    @property
    def gain(self) -> float | None:
        """Links that CLKs add, as a share of the exact ones; None without exact links.

        How many of the links on either side are right it does not say.
        """
        exact = self.exact_links
        return (len(self.links) - exact) / exact if exact else None

    def to_table(self) -> pa.Table:
        """Return the links with a column ``made_by``."""
        return self.links.table.append_column("made_by", self.made_by)

    def facts(self, *inputs: EncodingInfo) -> dict[str, Any]:
        """Return what was done as plain values, for ``linkage.json``."""
        return {
            "library": inputs[0].library,
            "inputs": [info.model_dump(mode="json") for info in inputs],
            "passes": [asdict(one) for one in self.passes],
            "rest": self.rest and self.rest.facts(*inputs),
            "exact_links": self.exact_links,
            "links": len(self.links),
            "gain": self.gain,
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        made = ", ".join(f"{one.links:,} {one.name}" for one in self.passes)
        rest = "" if self.rest is None else f", {len(self.rest.links):,} {CLK}"
        return f"CascadeResult({len(self.links):,} links: {made}{rest})"


def exact_pass_links(a: Encodings, b: Encodings, passes: Sequence[str]) -> CascadeResult:
    """Link records whose keyed values are equal, pass after pass, and compare nothing else.

    Args:
        a: Encodings of the first holder.
        b: Encodings of the second holder, made with the same schema and key.
        passes: Names of the schema's blocking passes, the most trusted first.

    Raises:
        UsageError: No pass is named, or the encodings lack it.
        IncompatibleEncodings: Different schemas, keys or lengths.
    """
    start = time.perf_counter()
    run = _Run(a, b, passes)
    made = run.exact()
    return CascadeResult(*run.collect(made, None), None, time.perf_counter() - start)


def cascade(
    a: Encodings,
    b: Encodings,
    passes: Sequence[str],
    *,
    threshold: float | Literal["auto"] = "auto",
    blocking: Blocking | None = None,
    workers: int | None = None,
    max_pairs: int = MAX_PAIRS,
    progress: Progress | None = None,
) -> CascadeResult:
    """Link on exact keys first, then the records that are left by their CLKs, one-to-one.

    A false exact link stays: two of a family whose keys agree are not compared with others any
    more. `pprl.link` on all records is the way without that risk. Where few matches are left for
    the CLKs, the automatic threshold may find no place to cut and make no links; give a threshold
    then.

    Takes what `exact_pass_links` takes, and for the rest what `pprl.link` takes.

    Raises:
        UsageError: No pass is named, the encodings lack it, or an option is wrong.
        IncompatibleEncodings: Different schemas, keys or lengths.
        TooManyPairs: More than ``max_pairs`` pairs reach the threshold.
    """
    start = time.perf_counter()
    run = _Run(a, b, passes)
    made = run.exact()
    left, right = (free.any() for free in run.free)
    rest = None
    if left and right:
        rest = link(
            _subset(a, run.free[0]),
            _subset(b, run.free[1]),
            threshold=threshold,
            blocking=blocking,
            workers=workers,
            max_pairs=max_pairs,
            progress=progress,
        )
    links, made_by, counts = run.collect(made, rest)
    return CascadeResult(links, made_by, counts, rest, time.perf_counter() - start)


def exact_clusters(*files: Encodings, passes: Sequence[str]) -> Clusters:
    """Take records with an equal keyed value in any pass for one person, in any number of files.

    Equality in one pass or another is followed through, so that A and C are one person if both
    agree with B. A record without a key is a person of its own.

    Raises:
        UsageError: No pass is named, the encodings lack it, or two files are of one holder.
        IncompatibleEncodings: Different schemas, keys or lengths.
    """
    if not files:
        raise UsageError("give at least one file of encodings.")
    check_compatible([one.info for one in files])
    pool = Pool.of(files)
    columns = _columns(files, passes)
    everybody = pool.encodings
    rows = everybody.record_numbers()
    ends: list[tuple[Ints, Ints]] = []
    for at in columns:
        keys = _keys(everybody)[:, at]
        order = np.argsort(keys, kind="stable")
        order = order[keys[order] > 0]
        same = keys[order[1:]] == keys[order[:-1]]
        ends.append((rows[order[:-1][same]], rows[order[1:][same]]))
    left, right = (np.concatenate(part) for part in zip(*ends, strict=True))
    shape = (len(pool), len(pool))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=shape)
    _, part = connected_components(graph, directed=False)
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    labels = first[inverse].astype(np.int64)
    ids, _ = name_clusters(pool, labels, None)
    names = pa.array(pool.names).take(pa.array(pool.file))
    return Clusters(
        pa.table(
            [ids.take(pa.array(labels)), names, pool.record_ids],
            names=["cluster_id", "holder", "record_id"],
        )
    )


class _Run:
    """Two files, and which of their records are still without a link."""

    def __init__(self, a: Encodings, b: Encodings, passes: Sequence[str]) -> None:
        check_compatible([a.info, b.info])
        self.files = a, b
        self._columns = dict(zip(passes, _columns(self.files, passes), strict=True))
        self.free = np.ones(a.info.records, bool), np.ones(b.info.records, bool)
        self._rows = a.record_numbers(), b.record_numbers()
        self._counts: list[PassCounts] = []

    def exact(self) -> list[tuple[str, Ints, Ints]]:
        """Run the exact passes; return each one's links by record number."""
        made = []
        for name, at in self._columns.items():
            left, right, ambiguous = self._one_pass(at)
            free = self.free
            keyless = [int((f & ~self._has_key(side, at)).sum()) for side, f in enumerate(free)]
            n_left, n_right = (int(f.sum()) for f in free)
            self._counts.append(
                PassCounts(name, n_left, n_right, keyless[0], keyless[1], ambiguous, len(left))
            )
            free[0][left] = False
            free[1][right] = False
            made.append((name, left, right))
        return made

    def collect(
        self, made: list[tuple[str, Ints, Ints]], rest: LinkResult | None
    ) -> tuple[Links, pa.StringArray, tuple[PassCounts, ...]]:
        """Put the links of all passes into one table, in the order of the left file."""
        left = np.concatenate([one[1] for one in made])
        right = np.concatenate([one[2] for one in made])
        pairs = Pairs(left, right, self._similarity(left, right))
        table = pairs.to_links(*self.files).table
        by = [name for name, found, _ in made for _ in range(len(found))]
        if rest is not None:
            table = pa.concat_tables([table, rest.links.table])
            by += [CLK] * len(rest.links)
            ids = self.files[0].unique_ids()
            numbers = pc.index_in(table["left_id"], ids).to_numpy()
        else:
            numbers = left
        order = pa.array(np.argsort(numbers, kind="stable"))
        made_by = pa.array(by, pa.string()).take(order)
        return Links(table.take(order).combine_chunks()), made_by, tuple(self._counts)

    def _has_key(self, side: int, at: int) -> NDArray[np.bool_]:
        has = np.zeros(len(self.free[side]), bool)
        has[self._rows[side][_keys(self.files[side])[:, at] > 0]] = True
        return has

    def _one_pass(self, at: int) -> tuple[Ints, Ints, int]:
        """Pair free records whose key no other free record of either file has."""
        keys, records = [], []
        for side in range(2):
            key = _keys(self.files[side])[:, at]
            rows = self._rows[side]
            use = (key > 0) & self.free[side][rows]
            key, record = key[use], rows[use]
            order = np.lexsort((record, key))
            key, record = key[order], record[order]
            # A record counts once for each key, however many of its encodings have it.
            new = np.ones(len(key), bool)
            new[1:] = (key[1:] != key[:-1]) | (record[1:] != record[:-1])
            keys.append(key[new])
            records.append(record[new])
        values, starts, counts = zip(
            *(np.unique(part, return_index=True, return_counts=True) for part in keys),
            strict=True,
        )
        _, i, j = np.intersect1d(values[0], values[1], assume_unique=True, return_indices=True)
        single = (counts[0][i] == 1) & (counts[1][j] == 1)
        left = records[0][starts[0][i[single]]]
        right = records[1][starts[1][j[single]]]
        pairs = np.unique(np.stack([left, right]), axis=1)
        # By two encodings a record can meet two others; then neither is certain.
        alone = [np.bincount(end, minlength=1)[end] == 1 for end in pairs]
        good = alone[0] & alone[1]
        shared = np.isin(keys[0], values[1][j])
        ambiguous = np.setdiff1d(records[0][shared], pairs[0][good])
        return pairs[0][good], pairs[1][good], len(ambiguous)

    def _similarity(self, left: Ints, right: Ints) -> NDArray[np.float64]:
        """Compute the Dice similarity of links between the two files."""
        taken = [np.zeros(len(free), bool) for free in self.free]
        taken[0][left] = taken[1][right] = True
        parts = [
            _subset(one, mask, str(side))
            for side, (one, mask) in enumerate(zip(self.files, taken, strict=True))
        ]
        x, y = (
            np.searchsorted(np.flatnonzero(mask), end)
            for mask, end in zip(taken, (left, right), strict=True)
        )
        links = Pairs(x, y + parts[0].info.records, np.zeros(len(x)))
        return Pool.of(parts).compared(links).similarity


def _subset(encodings: Encodings, records: NDArray[np.bool_], holder: str = "") -> Encodings:
    """Take some records, without the copy that pooling all of them would be."""
    alone = Pool(
        encodings, ("",), np.zeros(len(records), np.int64), pa.array([], pa.string())
    ).subset(records)
    info = alone.info.model_copy(update={"holder": holder or alone.info.holder})
    return replace(alone, info=info)


def _columns(files: Sequence[Encodings], passes: Sequence[str]) -> list[int]:
    """Find the columns of block keys by the names of their passes."""
    if not passes or len(set(passes)) < len(passes):
        raise UsageError("name the exact passes to link on, each once.")
    names = list(files[0].info.blocking)
    for name in passes:
        if name not in names or any(one.block_keys is None for one in files):
            have = ", ".join(map(repr, names)) or "none"
            raise UsageError(
                f"the encodings have no keys of a pass {name!r}; they have: {have}. Add it to "
                f"the schema ('pprl schema match-keys') and let the holders encode again."
            )
    return [names.index(name) for name in passes]


def _keys(encodings: Encodings) -> NDArray[np.uint64]:
    assert encodings.block_keys is not None  # noqa: S101 - _columns has looked
    return encodings.block_keys
