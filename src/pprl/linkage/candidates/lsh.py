"""Locality-sensitive hashing of CLKs: keys that similar records are likely to share."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings, count_columns
from pprl.kernels.join import sample_bits

LARGEST_BLOCK = 10_000_000
"""Pairs in a block above which it is passed over unless more are asked for."""

MOST_TABLES = 256
"""Tables above which comparing every pair is the better choice."""

_SAMPLE = 20_000
_TELLING_BITS = 256
# Nanoseconds to sort a row, to compare a pair in a block, and one where every pair is
# compared, for choosing between plans.
SORT_NS, PAIR_NS, _EXACT_NS = 140.0, 55.0, 1.0

Keys = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""(n, passes) and (m, passes) keys of two files, 0 for none."""


@dataclass(frozen=True)
class HammingLSH:
    """Compare records whose CLKs agree in one of several random selections of bits.

    The bits and tables are planned from the bits' frequencies. Meant for CLKs without
    diffusion or minhash: after them, similar records differ in too many bits.

    Source: Durham, A framework for accurate, efficient private record linkage (2012),
    chapter 5; the choice of bits by their entropy is ours.

    Attributes:
        recall: The share of pairs at ``similarity`` that some table should bring
            together; of more similar ones more.
        similarity: Dice similarity of the least similar pairs that are wanted.
        seed: Another number selects other bits; with the files' key check it makes the
            selection unlike that of any other project.
        largest_block: A block of more pairs than this is passed over, and reported.
    """

    label: ClassVar[str] = "lsh"
    recall: float = 0.99
    similarity: float = 0.8
    seed: int = 0
    largest_block: int = LARGEST_BLOCK

    def __post_init__(self) -> None:
        if not 0.0 < self.recall < 1.0 or not 0.0 < self.similarity < 1.0:
            raise UsageError("recall and similarity must be between 0 and 1, both excluded.")

    def plan(self, a: Encodings, b: Encodings) -> LSHPlan:
        """Choose bits and tables for two files."""
        return LSHPlan.make(self, a, b)

    def keys(self, a: Encodings, b: Encodings) -> Keys:
        """Return the keys of both files, (n, tables) uint64, 0 for an empty CLK.

        Raises:
            UsageError: The recall cannot be reached with a sensible number of tables.
        """
        plan = self.plan(a, b)
        if plan.tables > MOST_TABLES:
            raise UsageError(
                f"finding {self.recall:.1%} of the pairs of similarity {self.similarity:g} takes "
                f"{plan.tables:,} tables of {plan.bits} bits on these encodings. Compare without "
                f"blocking, or block by keys that the holders make."
            )
        return _sampled_keys(a, b, self.seed, plan.telling, plan.bits, plan.tables)


@dataclass(frozen=True)
class LambdaFold:
    """Compare records whose CLKs agree in one of some selections of bits that you size.

    What blocklib calls lambda-fold, here on the CLKs as they are and with bits drawn by a
    keyed generator. `HammingLSH` chooses both numbers, and the bits, from the data.

    Source: Karapiperis and Verykios, An LSH-based blocking approach with a homomorphic
    matching technique for privacy-preserving record linkage (TKDE 27(4), 2015).

    Attributes:
        tables: Lambda, the number of selections.
        bits: K, the bits in each, 63 at most.
        seed: Another number selects other bits; see `HammingLSH`.
        largest_block: A block of more pairs than this is passed over, and reported.
    """

    label: ClassVar[str] = "lambda-fold"
    tables: int = 30
    bits: int = 30
    seed: int = 0
    largest_block: int = LARGEST_BLOCK

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 63 or not 1 <= self.tables <= MOST_TABLES:
            raise UsageError(f"lambda-fold takes 1 to 63 bits and 1 to {MOST_TABLES} tables.")

    def keys(self, a: Encodings, b: Encodings, places: NDArray[np.int64] | None = None) -> Keys:
        """Return the keys of both files, (n, tables) uint64, 0 for an empty CLK.

        Bits are drawn from ``places``, without it from all.

        Raises:
            UsageError: The CLKs have fewer bits than a selection.
        """
        if a.info.bits < self.bits:
            raise UsageError(f"CLKs of {a.info.bits} bits have no selections of {self.bits}.")
        return _sampled_keys(
            a,
            b,
            self.seed,
            np.arange(a.info.bits) if places is None else places,
            self.bits,
            self.tables,
        )

    def recall(self, a: Encodings, b: Encodings, similarity: float) -> float:
        """Expect this share of the pairs of a Dice similarity to agree in some selection."""
        frequency = (_frequencies(a) + _frequencies(b)) / 2
        differing = 2 * frequency.sum() * (1 - similarity)
        hit = max(1 - differing / a.info.bits, 0.0) ** self.bits
        return float(1 - (1 - hit) ** self.tables)


@dataclass(frozen=True, eq=False)
class LSHPlan:
    """What `HammingLSH` chose, and what it expects.

    Attributes:
        telling: The bits that tables are drawn from, by entropy.
        bits: Bits of a table's key.
        tables: Number of tables.
        recall: Expected share of the pairs at the wanted similarity.
        comparisons: Expected comparisons of pairs that are no matches, if bits were
            independent; real files have more.
    """

    telling: NDArray[np.int64]
    bits: int
    tables: int
    recall: float
    comparisons: float

    @classmethod
    def make(
        cls, wanted: HammingLSH, a: Encodings, b: Encodings, tables: int | None = None
    ) -> LSHPlan:
        """Choose the cheapest plan that reaches the recall; or the best of some tables.

        Given ``tables``, the selections are as long as they can be without more work than
        comparing every pair, and the recall is what that gives.
        """
        frequency = (_frequencies(a) + _frequencies(b)) / 2
        spread = frequency * (1 - frequency)
        telling = np.argsort(-spread, kind="stable")[: min(_TELLING_BITS, (spread > 0).sum())]
        if not len(telling):
            raise UsageError("every CLK is the same; there is nothing to block by.")
        # Pairs of one similarity vary; a tenth more differing bits keeps the promise.
        differing = 1.1 * 2 * frequency.sum() * (1 - wanted.similarity)
        # A differing bit is the likelier at a place, the more that place varies.
        agree = 1 - np.minimum(differing * spread[telling] / spread.sum(), 0.999)
        same = frequency[telling] ** 2 + (1 - frequency[telling]) ** 2
        log_agree, log_same = np.log(agree).mean(), np.log(same).mean()
        every = _EXACT_NS * len(a) * len(b)
        plans = []
        for bits in range(4, min(63, len(telling)) + 1):
            hit = math.exp(bits * log_agree)
            number = tables or math.ceil(
                math.log(1 - wanted.recall) / math.log1p(-min(hit, 1 - 1e-12))
            )
            recall = 1 - (1 - hit) ** number
            pairs = number * len(a) * len(b) * math.exp(bits * log_same)
            cost = number * (len(a) + len(b)) * SORT_NS + pairs * PAIR_NS
            rank = -recall if tables and cost <= every else cost
            plans.append((rank, cost, bits, number, recall, pairs))
        _, _, bits, number, recall, pairs = min(plans)
        return cls(telling, bits, number, recall, pairs)


def _sampled_keys(
    a: Encodings, b: Encodings, seed: int, places: NDArray[np.int64], bits: int, tables: int
) -> Keys:
    """Make keys of bits drawn from ``places``, keyed by the project's key check."""
    keyed = hashlib.sha256(f"{a.info.key_check}/{seed}".encode()).digest()
    rng = np.random.default_rng(list(keyed))
    chosen = np.stack([rng.choice(places, bits, replace=False) for _ in range(tables)])
    made = []
    for one in (a, b):
        keys = np.empty((len(one), tables), np.uint64)
        sample_bits(one.words, chosen, keys)
        keys[one.popcounts() == 0] = 0
        made.append(keys)
    return made[0], made[1]


def _frequencies(encodings: Encodings) -> NDArray[np.float64]:
    words = encodings.words
    sample = words[:: max(len(words) // _SAMPLE, 1)]
    return count_columns(sample) / max(len(sample), 1)
