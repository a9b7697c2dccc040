"""The design of a linkage: who may be linked to whom, and what is false by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.decision.duplicates import best_partner
from pprl.linkage.local_fdr import false_links, false_links_of_many

_GRID = 1024
"""Ranks at which the records that are left over are counted; between them it is interpolated."""
_ROUNDS = 50
"""The fixed point is met to a thousandth of a link in a dozen rounds wherever it was tried."""

Expect = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Turns the chance that two records which are no match reach each rank's score into the number of
false links down to there."""

Partners = list[tuple[NDArray[np.int64], NDArray[np.float64]]]
"""For each numbering of records, the most similar record in another file, and the similarity."""


class Design(Protocol):
    """What `pprl.linkage.decision.decide.decide` asks of a linkage."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files' holders."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of records of each file."""

    @property
    def once(self) -> tuple[bool, ...]:
        """Whether a person is in each file once at most."""

    def places(self, pairs: Pairs) -> tuple[Pairs, int, int]:
        """Return the places that pairs between files take up, and how many places there are.

        A place can have one link: a record, or a record and the file of its partner. The
        similarities stay.
        """

    def partners(self, between: Pairs) -> Partners:
        """Find each record's most similar record in another file."""

    def expect(self, chosen: Pairs, share: float = 1.0) -> Expect:
        """Say how many of these links, best first, are false at given rates.

        Args:
            chosen: The links.
            share: Share of the pairs between the files that could be candidates.
        """


@dataclass(frozen=True, eq=False)
class TwoFiles:
    """Each record of a file has one link at most if the other file has a person once.

    Attributes:
        names: The holders.
        sizes: Records of the left and of the right file.
        once: Whether a person is in the left, and in the right file, once at most. For persons
            on the left and their visits on the right it is (True, False): a person may be linked
            to several visits. At least one is true.
    """

    names: tuple[str, ...]
    sizes: NDArray[np.int64]
    once: tuple[bool, ...] = (True, True)

    @classmethod
    def of(cls, names: tuple[str, ...], sizes: NDArray[np.int64], matching: str) -> TwoFiles:
        """Take the design that a matching means: one-to-one, one-to-many or many-to-one."""
        return cls(names, sizes, once_of(matching))

    def places(self, pairs: Pairs) -> tuple[Pairs, int, int]:
        """Take the records; where one may have several links, each pair has a place."""
        every = np.arange(len(pairs))
        left = pairs.left if self.once[1] else every
        right = pairs.right if self.once[0] else every
        n_left, n_right = (int(one.max(initial=-1)) + 1 for one in (left, right))
        return Pairs(left, right, pairs.similarity), n_left, n_right

    def partners(self, between: Pairs) -> Partners:
        """Find each record's most similar record in the other file."""
        left, right, similarity = between.left, between.right, between.similarity
        return [
            best_partner(left, right, similarity, int(self.sizes[0])),
            best_partner(right, left, similarity, int(self.sizes[1])),
        ]

    def expect(self, chosen: Pairs, share: float = 1.0) -> Expect:  # noqa: ARG002
        """Expect false links among the records that are left over."""
        n_a, n_b = int(self.sizes[0]), int(self.sizes[1])
        if not all(self.once):
            one, many = (n_a, n_b) if self.once[0] else (n_b, n_a)
            return lambda rate: (
                false_links_of_many(np.arange(1, len(rate) + 1) / share, rate, one, many) * share
            )
        return lambda rate: false_links(np.arange(1, len(rate) + 1) / share, rate, n_a, n_b) * share


def once_of(matching: str) -> tuple[bool, bool]:
    """Say whether a matching takes a person to be in the left, and in the right file, once."""
    return matching != "many-to-one", matching != "one-to-many"


@dataclass(frozen=True, eq=False)
class SeveralFiles:
    """Each record has one link at most with each other file; all records are in one numbering.

    Attributes:
        names: The holders.
        sizes: Records of each file.
        file: (n,) the file of each record.
    """

    names: tuple[str, ...]
    sizes: NDArray[np.int64]
    file: NDArray[np.int64]

    @property
    def once(self) -> tuple[bool, ...]:
        """A person is in no file twice."""
        return (True,) * len(self.names)

    def places(self, pairs: Pairs) -> tuple[Pairs, int, int]:
        """Give a record a place for each file.

        On the left the other file is a later one, on the right an earlier: no place is on both.
        """
        files = len(self.names)
        left = pairs.left * files + self.file[pairs.right]
        right = pairs.right * files + self.file[pairs.left]
        most = len(self.file) * files
        return Pairs(left, right, pairs.similarity), most, most

    def partners(self, between: Pairs) -> Partners:
        """Find each record's most similar record in any other file."""
        ends = np.concatenate([between.left, between.right])
        others = np.concatenate([between.right, between.left])
        similarity = np.tile(between.similarity, 2)
        return [best_partner(ends, others, similarity, len(self.file))]

    def expect(self, chosen: Pairs, share: float = 1.0) -> Expect:  # noqa: ARG002
        """Expect false links as between two files.

        A record that has its match in a file is out of reach of the others there. How many are
        is known for up to 1,024 ranks, and interpolated between them.
        """
        m, files = len(chosen), len(self.names)
        sizes = self.sizes.astype(np.float64)
        grid = np.unique(np.linspace(1, max(m, 1), min(max(m, 1), _GRID)).astype(np.int64))
        step = np.searchsorted(grid, np.arange(1, m + 1))
        ends = sum(
            np.bincount(step * files + self.file[side], minlength=len(grid) * files)
            for side in (chosen.left, chosen.right)
        )
        places = np.maximum(sizes * (np.count_nonzero(sizes) - 1), 1)
        taken = np.reshape(ends, (len(grid), files)).cumsum(axis=0) / places

        def left_over(
            false: NDArray[np.float64],
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            """Count the pairs of records without a match, and the most of such in one file."""
            free = sizes * np.clip(1 - taken * (1 - false / grid)[:, None], 0.0, 1.0)
            return (free.sum(axis=1) ** 2 - (free**2).sum(axis=1)) / 2, free.max(axis=1)

        def expect(rate: NDArray[np.float64]) -> NDArray[np.float64]:
            if not m:
                return np.empty(0)
            chance, false = rate[grid - 1], np.zeros(len(grid))
            for _ in range(_ROUNDS):
                pairs, most = left_over(false)
                false = np.minimum(pairs * chance / (1 + chance * most), grid)
            ranks = np.arange(1, m + 1)
            reach = np.interp(ranks, grid, pairs) * rate
            false = reach / (1 + rate * np.interp(ranks, grid, most))
            return np.minimum(false, ranks)

        return expect
