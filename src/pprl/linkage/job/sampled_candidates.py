"""From the parts that compared the samples to the candidates that a decision is fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UnreadableFile
from pprl.exchange.columns import from_binary
from pprl.exchange.encodings import EncodingInfo, count_bits
from pprl.exchange.untrusted.parquet import FOREIGN_ERRORS
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.decide import Candidates
from pprl.linkage.decision.design import TwoFiles
from pprl.linkage.decision.duplicates import best_partner
from pprl.linkage.decision.missingness import Kinds, Population, kinds_of_masks, lack_alike
from pprl.linkage.decision.null_pairs import Within
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.rows import Rows
from pprl.linkage.job.sample import Limits, Samples, side_of
from pprl.linkage.job.spill import damaged, opened
from pprl.linkage.model.compared_pairs import ComparedPairs, Side, fields_of

_COLUMNS = ["sample", "row", "record", "similarity", "shared", "sizes"]


@dataclass(frozen=True, eq=False)
class _Hits:
    """Rows of one file that a sampled row comes near to, of the same file or of the other.

    Attributes:
        row: (p,) the row of the sample.
        record: (p,) the record of the file.
        similarity: (p,) Dice similarity.
        shared: (p, groups) common bits.
        sizes: (p, groups) bits of the file's row.
        present: (p, bytes) its field-presence mask.
        at: (p,) its place among all hits in the parts of the file.
    """

    row: NDArray[np.int64]
    record: NDArray[np.int64]
    similarity: NDArray[np.float64]
    shared: NDArray[np.int32]
    sizes: NDArray[np.int64]
    present: NDArray[np.uint8]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, places: NDArray[np.int64]) -> _Hits:
        return _Hits(*(value[places] for value in vars(self).values()))

    def once(self, left: NDArray[np.int64]) -> _Hits:
        """Put pairs of records in order, each once: of variants the most similar.

        Args:
            left: (p,) the sampled record.
        """
        order = np.lexsort((-self.similarity, self.record, left))
        one, other = left[order], self.record[order]
        new = np.ones(len(order), bool)
        new[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        return self.take(order[new])


@dataclass(frozen=True, eq=False)
class _File:
    """One file, as far as the samples show it.

    Attributes:
        paths: Its parts.
        sample: Its sampled rows.
        records: Records of the file, and of its sample.
        near: The hits in it, of the left and of the right sample.
        number: The file's number, 0 on the left.
    """

    paths: Sequence[Path]
    sample: Rows
    records: tuple[int, int]
    near: tuple[_Hits, _Hits]
    number: int

    @property
    def own(self) -> _Hits:
        """The hits of its own sample."""
        return self.near[self.number]

    @property
    def foreign(self) -> _Hits:
        """The hits of the other file's sample."""
        return self.near[1 - self.number]

    @property
    def whole(self) -> bool:
        """Whether all records are in the sample."""
        return self.records[0] == self.records[1]

    def numbers(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number records: those of the sample first, then the others that were hit."""
        sampled = np.unique(self.sample.record)
        others = np.setdiff1d(np.concatenate([one.record for one in self.near]), sampled)
        place = np.searchsorted(sampled, records)
        inside = np.append(sampled, -1)[np.minimum(place, len(sampled))] == records
        return np.where(inside, place, len(sampled) + np.searchsorted(others, records))

    def masks(self) -> NDArray[np.uint8]:
        """Return the field-presence mask of each record, by its number."""
        records = np.concatenate([*(one.record for one in self.near), self.sample.record[::-1]])
        present = np.concatenate([*(one.present for one in self.near), self.sample.present[::-1]])
        numbers = self.numbers(records)
        out = np.zeros((int(numbers.max(initial=-1)) + 1, present.shape[1]), np.uint8)
        out[numbers] = present
        return out

    def side(self, info: EncodingInfo, *, masked: bool) -> Side:
        """Lay out the rows: the sample's, then the hits of its own and of the other sample."""
        made = side_of(self.sample, info)
        hits = [self.own, self.foreign]
        present = np.concatenate([self.sample.present, *(one.present for one in hits)])
        return replace(
            made,
            sizes=np.concatenate([made.sizes, *(one.sizes for one in hits)]),
            mask=fields_of(present, info) if masked and present.shape[1] else None,
        )


def gather(
    plan: Plan,
    infos: tuple[EncodingInfo, EncodingInfo],
    names: tuple[str, str],
    samples: Samples,
    limits: Limits,
    paths: tuple[Sequence[Path], Sequence[Path]],
) -> tuple[Candidates, TwoFiles]:
    """Put together what was found near the samples.

    The candidates between the files are those of the sampled records of the smaller file, which
    then stands on the left: each has all its candidates in the larger file.

    Args:
        plan: The plan.
        infos: The files' headers.
        names: The holders.
        samples: The sampled rows.
        limits: What they say of the files.
        paths: The parts of `pprl.linkage.job.sample.write_sampled`, by the file of their chunk.
    """
    files = [
        _File(
            paths[at],
            samples[at],
            (plan.records[at], plan.samples[at]),
            _read(paths[at], samples, at),
            at,
        )
        for at in (0, 1)
    ]
    everything = files[0].whole and files[1].whole
    if plan.records[1] < plan.records[0] and not everything:
        files.reverse()
    small, large = files
    kinds, population = _kinds(files)
    masked = lack_alike(population)
    if not masked:
        kinds = [np.zeros(len(one), np.int64) for one in kinds]
        population = [np.array([one.sum()]) for one in population]
    sides = [one.side(infos[one.number], masked=masked) for one in files]
    left = small.numbers(small.sample.record[large.foreign.row])
    hits = large.foreign
    between = ComparedPairs.known(
        sides[0],
        sides[1],
        Pairs(left, large.numbers(hits.record), hits.similarity),
        (hits.row, len(large.sample) + len(large.own) + np.arange(len(hits))),
        hits.shared,
    )
    between = between.take(np.lexsort((between.pairs.right, between.pairs.left)))
    partners = _partners(small, large, [len(one) for one in kinds])
    within = tuple(
        _within(place, one, other, side, len(kind), plan.records, limits)
        for place, (one, other, side, kind) in enumerate(
            zip(files, files[::-1], sides, kinds, strict=True)
        )
    )
    candidates = Candidates(
        limits.floor,
        between,
        within,
        kinds,
        False,
        0,
        share=small.records[1] / small.records[0],
        population=population,
        partners=partners,
    )
    sizes = np.array([one.records[0] for one in files], np.int64)
    return candidates, TwoFiles(tuple(names[one.number] for one in files), sizes)


def _kinds(files: Sequence[_File]) -> tuple[Kinds, Population]:
    """Number the masks of records, and count them in the files as in the samples."""
    masks = [one.masks() for one in files]
    counted = np.concatenate(
        [np.arange(len(mask)) < one.records[1] for one, mask in zip(files, masks, strict=True)]
    )
    kinds = kinds_of_masks(masks, counted)
    count = max(int(one.max(initial=0)) for one in kinds) + 1
    population = [
        np.bincount(kind[:n], minlength=count).astype(np.float64) * (records / n)
        for kind, (records, n) in zip(kinds, (one.records for one in files), strict=True)
    ]
    return kinds, population


def _partners(
    small: _File, large: _File, counts: Sequence[int]
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Find each record's most similar record in the other file, where all its pairs are known.

    That is so if the record is in a sample, or all of the other file is.
    """
    ends: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    for one, other, (own, foreign) in ((small, large, (0, 1)), (large, small, (1, 0))):
        hits = other.foreign
        ends[own].append(one.numbers(one.sample.record[hits.row]))
        ends[foreign].append(other.numbers(hits.record))
    similarity = np.concatenate([large.foreign.similarity, small.foreign.similarity])
    left, right = (np.concatenate(one) for one in ends)
    order = np.lexsort((right, left))
    left, right, similarity = left[order], right[order], similarity[order]
    found = [
        best_partner(left, right, similarity, counts[0]),
        best_partner(right, left, similarity, counts[1]),
    ]
    for file, other, (partner, best) in zip((small, large), (large, small), found, strict=True):
        if not other.whole:
            partner[file.records[1] :], best[file.records[1] :] = -1, 0.0
    return found


def _within(
    place: int,
    file: _File,
    other: _File,
    side: Side,
    n: int,
    records: tuple[int, int],
    limits: Limits,
) -> Within:
    """Take the pairs within a file."""
    hits, (size, sampled) = file.own, file.records
    left, right = file.numbers(file.sample.record[hits.row]), file.numbers(hits.record)
    rows = hits.row, len(file.sample) + np.arange(len(hits))
    known = ComparedPairs.known(side, side, Pairs(left, right, hits.similarity), rows, hits.shared)
    to_partner = None
    if not other.whole:
        to_partner = np.where(right < sampled, np.nan, _to_partner(file, other, left))
    order = np.lexsort((right, left))
    known, to_partner = known.take(order), None if to_partner is None else to_partner[order]
    others = size - (sampled if sampled < size else 1)
    return Within(
        number=place,
        numbering=place,
        pairs=known,
        n=n,
        size=size,
        records=sampled,
        others=others,
        sampled=sampled < size,
        parts=max(round(size / min(records)), 1),
        share=1.0 if sampled == size else sampled * others / (size * (size - 1) / 2),
        centre=limits.centres[file.number],
        to_partner=to_partner,
    )


def _to_partner(file: _File, other: _File, left: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compare the records near a sampled one with that one's partner in the other file: (p,).

    Args:
        file: The file.
        other: The other file.
        left: (p,) numbers of the sampled records, of the hits in the order of their parts.
    """
    theirs = other.foreign
    mine = file.numbers(file.sample.record[theirs.row])
    order = np.lexsort((theirs.record, -theirs.similarity, mine))
    sampled, first = np.unique(mine[order], return_index=True)
    wanted = theirs.at[order[first]]
    words = np.zeros((file.records[1], file.sample.words.shape[1]), np.uint64)
    by_place = np.argsort(wanted)
    for start, some in _words(other.paths):
        low, high = np.searchsorted(wanted[by_place], [start, start + len(some)])
        these = by_place[low:high]
        words[sampled[these]] = some[wanted[these] - start]
    out = np.zeros(len(file.own))
    by_place = np.argsort(file.own.at)
    for start, some in _words(file.paths):
        low, high = np.searchsorted(file.own.at[by_place], [start, start + len(some)])
        these = by_place[low:high]
        x, y = words[left[these]], some[file.own.at[these] - start]
        bits = np.maximum(count_bits(x) + count_bits(y), 1)
        out[these] = 2.0 * count_bits(x & y) / bits
    return out


def _read(paths: Sequence[Path], samples: Samples, at: int) -> tuple[_Hits, _Hits]:
    """Read the hits in a file, without their filters, by the sample that they are near to."""
    parts: list[list[NDArray[np.generic]]] = []
    first = 0
    bytes_present = samples[at].present.shape[1]
    for path in paths:
        with opened(path) as file:
            names = _COLUMNS + (["present"] if bytes_present else [])
            for group in range(file.num_row_groups):
                try:
                    table = file.read_row_group(group, names, use_threads=False).combine_chunks()
                except FOREIGN_ERRORS as error:
                    raise error if isinstance(error, UnreadableFile) else damaged(path) from None
                n = len(table)
                held = {name: table.column(name).chunk(0) for name in names}
                present = (
                    from_binary(held["present"]) if bytes_present else np.zeros((n, 0), np.uint8)
                )
                parts.append(
                    [
                        held["sample"].to_numpy(),
                        held["row"].to_numpy(),
                        held["record"].to_numpy(),
                        held["similarity"].to_numpy(),
                        from_binary(held["shared"]).view(np.int32),
                        from_binary(held["sizes"]).view(np.int64),
                        present,
                        np.arange(first, first + n),
                    ]
                )
                first += n
    made = []
    for side in (0, 1):
        mine = [[column[part[0] == side] for column in part[1:]] for part in parts]
        groups = parts[0][4].shape[1] if parts else 1
        if not mine:
            empty = np.empty(0, np.int64)
            shape = np.empty((0, groups))
            hits = _Hits(
                empty,
                empty,
                np.empty(0),
                shape.astype(np.int32),
                shape.astype(np.int64),
                np.zeros((0, bytes_present), np.uint8),
                empty,
            )
        else:
            hits = _Hits(*(np.concatenate(column) for column in zip(*mine, strict=True)))
        made.append(hits.once(samples[side].record[hits.row]))
    return made[0], made[1]


def _words(paths: Sequence[Path]) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Yield the filters of hits with the place of the first, a row group at once."""
    first = 0
    for path in paths:
        with opened(path) as file:
            for group in range(file.num_row_groups):
                try:
                    table = file.read_row_group(group, ["words"], use_threads=False)
                except FOREIGN_ERRORS as error:
                    raise error if isinstance(error, UnreadableFile) else damaged(path) from None
                words = from_binary(table.combine_chunks().column("words").chunk(0))
                yield first, words.view(np.uint64)
                first += len(words)
