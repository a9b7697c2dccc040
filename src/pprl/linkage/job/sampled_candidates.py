"""From the pairs of sampled records to the candidates that a decision is fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pprl.exchange.encodings import EncodingInfo, count_bits
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.design import Partners, TwoFiles
from pprl.linkage.decision.duplicates import best_partner
from pprl.linkage.decision.fit import Candidates
from pprl.linkage.decision.missingness import Kinds, Population, kinds_of_masks, lack_alike
from pprl.linkage.decision.null_pairs import Within
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.rows import Rows
from pprl.linkage.job.sample import Limits, Samples
from pprl.linkage.job.sampled_hits import End, Hits, read_hits, words_of_hits
from pprl.linkage.job.sampled_pairs import side_of
from pprl.linkage.model.compared_pairs import ComparedPairs, Side, fields_of
from pprl.linkage.model.fellegi_sunter import can_be_added

_BEST_BELOW = 0.05
_Found = Mapping[tuple[int, int], Hits]


@dataclass(frozen=True, eq=False)
class _File:
    """One file, as far as the sampled pairs show it. Its records are numbered anew.

    Attributes:
        number: 0 for the left file, 1 for the right one.
        size: Number of its records.
        sampled: Number of those that are sampled.
        drawn: Some of its rows, drawn at random.
        own: Pairs within the file.
        ahead: Pairs of its sampled records and the other file's.
        back: Pairs of the other file's sampled records and its own.
        records: (n,) its records in any of these, rising.
        inside: (n,) whether they are sampled.
    """

    number: int
    size: int
    sampled: int
    drawn: Rows
    own: Hits
    ahead: Hits
    back: Hits
    records: NDArray[np.int64]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, number: int, plan: Plan, samples: Samples, limits: Limits, found: _Found) -> _File:
        own, ahead = found[number, number], found[number, 1 - number]
        back = found[1 - number, number]
        ends = (own.left, own.right, ahead.left, back.right)
        records = np.unique(np.concatenate([one.record for one in ends]))
        inside = limits.sampled(plan, number, records)
        count = limits.count(plan, number)
        size = plan.records[number]
        return cls(number, size, count, samples[number], own, ahead, back, records, inside)

    @property
    def whole(self) -> bool:
        """Whether all records are sampled."""
        return self.size == self.sampled

    @property
    def ends(self) -> tuple[End, End, End, End]:
        """The ends of pairs that are in this file, in the order of `side`."""
        return self.own.left, self.own.right, self.ahead.left, self.back.right

    def numbers(self, end: End) -> NDArray[np.int64]:
        """Number the records of pairs: (p,)."""
        return np.searchsorted(self.records, end.record)

    def rows(self, place: int) -> NDArray[np.int64]:
        """Return the rows of an end in `side`: (p,)."""
        lengths = [len(self.drawn), *(len(one.record) for one in self.ends)]
        return sum(lengths[: place + 1]) + np.arange(lengths[place + 1])

    def side(self, info: EncodingInfo, *, masked: bool) -> Side:
        """Lay out rows: those that were drawn, then each end of each pair."""
        made = side_of(self.drawn, info)
        sizes = np.concatenate([made.sizes, *(one.sizes for one in self.ends)])
        present = np.concatenate([self.drawn.present, *(one.present for one in self.ends)])
        mask = fields_of(present, info) if masked and present.shape[1] else None
        side = replace(made, sizes=sizes, mask=mask)
        if can_be_added(info):
            prints = [made.fingerprints, *(one.prints for one in self.ends)]
            side.__dict__["fingerprints"] = np.concatenate(prints)
        return side

    def masks(self) -> NDArray[np.uint8]:
        """Return the field-presence mask of each record: (n, bytes)."""
        out = np.zeros((len(self.records), self.drawn.present.shape[1]), np.uint8)
        for end in self.ends:
            out[self.numbers(end)] = end.present
        return out


def gather(
    plan: Plan,
    infos: tuple[EncodingInfo, EncodingInfo],
    names: tuple[str, str],
    samples: Samples,
    limits: Limits,
    paths: Sequence[Path],
) -> tuple[Candidates, TwoFiles]:
    """Put together what was found near the sampled records.

    The candidates between the files are those of the sampled records of the smaller file, which
    then stands on the left: each has all its candidates in the larger file.

    Args:
        plan: The plan.
        infos: The files' headers.
        names: The holders.
        samples: Rows that were drawn from each file.
        limits: What they say of the files.
        paths: The parts of `pprl.linkage.job.sampled_pairs`.
    """
    found = read_hits(paths)
    files = [_File.of(at, plan, samples, limits, found) for at in (0, 1)]
    if plan.records[1] < plan.records[0] and not (files[0].whole and files[1].whole):
        files.reverse()
    left, right = files
    kinds, population = _kinds(files)
    masked = lack_alike(population)
    if not masked:
        kinds = [np.zeros(len(one), np.int64) for one in kinds]
        population = [np.array([one.sum()]) for one in population]
    sides = [one.side(infos[one.number], masked=masked) for one in files]
    hits = left.ahead
    pairs = Pairs(left.numbers(hits.left), right.numbers(hits.right), hits.similarity)
    between = ComparedPairs.known(
        sides[0], sides[1], pairs, (left.rows(2), right.rows(3)), hits.shared
    )
    within = tuple(
        _within(place, one, other, side, plan, limits, paths)
        for place, (one, other, side) in enumerate(zip(files, files[::-1], sides, strict=True))
        if plan.once[one.number]
    )
    candidates = Candidates(
        limits.floor,
        between,
        within,
        kinds,
        False,
        0,
        share=left.sampled / left.size,
        population=population,
        partners=_partners(left, right),
    )
    sizes = np.array([one.size for one in files], np.int64)
    once = tuple(plan.once[one.number] for one in files)
    return candidates, TwoFiles(tuple(names[one.number] for one in files), sizes, once)


def _kinds(files: Sequence[_File]) -> tuple[Kinds, Population]:
    """Number the masks of records, and count them in the files as among the rows drawn."""
    seen = [one.masks() for one in files]
    every = [
        np.concatenate([mask, one.drawn.present]) for mask, one in zip(seen, files, strict=True)
    ]
    drawn = [np.arange(len(rows)) >= len(mask) for rows, mask in zip(every, seen, strict=True)]
    kinds = kinds_of_masks(every, np.concatenate(drawn))
    count = max(int(one.max(initial=0)) for one in kinds) + 1
    population = []
    for kind, chosen, one in zip(kinds, drawn, files, strict=True):
        counts = np.bincount(kind[chosen], minlength=count).astype(np.float64)
        population.append(counts * (one.size / max(chosen.sum(), 1)))
    return [kind[: len(mask)] for kind, mask in zip(kinds, seen, strict=True)], population


def _partners(left: _File, right: _File) -> Partners:
    """Find each record's most similar record in the other file, where all its pairs are known.

    That is so if the record is sampled, or all of the other file is.
    """
    x = [left.numbers(left.ahead.left), left.numbers(left.back.right)]
    y = [right.numbers(right.back.right), right.numbers(right.ahead.left)]
    one, other = np.concatenate(x), np.concatenate(y)
    similarity = np.concatenate([left.ahead.similarity, left.back.similarity])
    order = np.lexsort((other, one))
    one, other, similarity = one[order], other[order], similarity[order]
    found = [
        best_partner(one, other, similarity, len(left.records)),
        best_partner(other, one, similarity, len(right.records)),
    ]
    for file, whole, (partner, best) in zip(
        (left, right), (right.whole, left.whole), found, strict=True
    ):
        if not whole:
            partner[~file.inside], best[~file.inside] = -1, 0.0
    return found


def _within(
    place: int,
    file: _File,
    other: _File,
    side: Side,
    plan: Plan,
    limits: Limits,
    paths: Sequence[Path],
) -> Within:
    """Take the pairs within a file."""
    hits, size, sampled = file.own, file.size, file.sampled
    pairs = Pairs(file.numbers(hits.left), file.numbers(hits.right), hits.similarity)
    known = ComparedPairs.known(side, side, pairs, (file.rows(0), file.rows(1)), hits.shared)
    to_partner = None
    if not other.whole:
        near = _to_partner(file, paths)
        near[near < _least_of_best(file)] = 0.0
        to_partner = np.where(file.inside[pairs.right], np.nan, near)
    others = size - (1 if file.whole else sampled)
    return Within(
        number=place,
        numbering=place,
        pairs=known,
        n=len(file.records),
        size=size,
        records=sampled,
        others=others,
        sampled=not file.whole,
        parts=max(round(size / min(plan.records)), 1),
        share=1.0 if file.whole else sampled * others / (size * (size - 1) / 2),
        centre=limits.centres[file.number],
        to_partner=to_partner,
    )


def _least_of_best(file: _File) -> float:
    """Return the similarity to its best partner that all but one in twenty sampled records have.

    A record that is less similar than this to another's partner has a better one of its own.
    """
    ends = file.ahead.left.record
    if not len(ends):
        return 1.0
    starts = np.flatnonzero(np.append(True, ends[1:] != ends[:-1]))
    best = np.maximum.reduceat(file.ahead.similarity, starts)
    return float(np.quantile(best, _BEST_BELOW))


def _to_partner(file: _File, paths: Sequence[Path]) -> NDArray[np.float64]:
    """Compare each right record of the file's own pairs with the left one's partner: (p,).

    The partner is the most similar record in the other file. Filters are read piece by piece.
    """
    ahead, own = file.ahead, file.own
    order = np.lexsort((ahead.right.record, -ahead.similarity, ahead.left.record))
    sampled, first = np.unique(ahead.left.record[order], return_index=True)
    # Only partners of records that have a pair within the file are of use.
    used = np.isin(sampled, own.left.record)
    sampled, wanted = sampled[used], ahead.at[order[first[used]]]
    words = np.zeros((len(sampled) + 1, file.drawn.words.shape[1]), np.uint64)
    for places, some in _pick(wanted, paths):
        words[places] = some
    # Where a record has no partner, the last filter, which is empty.
    partner = np.searchsorted(sampled, own.left.record)
    partner[~np.isin(own.left.record, sampled)] = len(sampled)
    out = np.zeros(len(own))
    for places, some in _pick(own.at, paths):
        theirs = words[partner[places]]
        bits = np.maximum(count_bits(theirs) + count_bits(some), 1)
        out[places] = 2.0 * count_bits(theirs & some) / bits
    return out


def _pick(
    wanted: NDArray[np.int64], paths: Sequence[Path]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Read the filters at some places, as pieces: which of these places, and the filters."""
    order = np.argsort(wanted)
    for start, words in words_of_hits(paths):
        low, high = np.searchsorted(wanted[order], [start, start + len(words)])
        if low < high:
            yield order[low:high], words[wanted[order[low:high]] - start]
