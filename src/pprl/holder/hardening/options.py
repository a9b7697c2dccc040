"""What a schema can say about hardening: one frozen value for each method."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, ConfigDict


class _Method(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def length_before(self, bits: int) -> int:
        """Return the length of the filters that become CLKs of ``bits`` bits."""
        return bits


class NoHardening(_Method):
    """The plain CLK: falls to graph matching without the key. Must be asked for by name."""

    method: Literal["none"]


class XorFold(_Method):
    """Halves of a longer filter XORed; the CLK's length is the one after folding.

    Source: Schnell and Borgs, XOR-folding for Bloom filter-based encryptions
    for privacy-preserving record linkage (2016). Does not resist graph matching.
    """

    method: Literal["xor-fold"]
    folds: int = pydantic.Field(ge=1, le=16)

    def length_before(self, bits: int) -> int:
        """Each fold halves the filter."""
        return bits << self.folds


class Diffusion(_Method):
    """Each bit of the CLK is the XOR of ``t`` positions of the filter, under the key.

    ``filter_bits`` is the filter's length, the CLK's own by default. A CLK that is longer
    than the filter does not span all its bits; the secret positions are then found from
    the encodings alone, so nothing new is encoded so. With equal lengths that attack has
    nothing to hold on to; it does not stop graph matching where people live in families.

    Source: Armknecht, Heng and Schnell, Strengthening privacy-preserving record
    linkage using diffusion, PoPETs 2023(2), section 4. The attack: a search for code words
    of low weight (Stern, A method for finding codewords of small weight, 1989).
    """

    method: Literal["diffusion"]
    t: int = pydantic.Field(ge=2, le=64)
    filter_bits: int | None = pydantic.Field(default=None, ge=64, le=1 << 16)

    def undone(self, bits: int) -> bool:
        """Say whether the CLKs alone give the secret positions away."""
        return bits > self.length_before(bits)

    def length_before(self, bits: int) -> int:
        """Filter and CLK have lengths of their own."""
        return self.filter_bits or bits


class Balance(_Method):
    """The filter and its complement, shuffled under the key: each CLK has half its bits set.

    Source: Schnell and Borgs, Randomized response and balanced Bloom filters for
    privacy preserving record linkage, ICDM workshops (2016). Hides the number of
    bits set and nothing else: does not resist graph matching.
    """

    method: Literal["balance"]

    def length_before(self, bits: int) -> int:
        """The CLK is twice as long as the filter."""
        return bits // 2


class Rule90(_Method):
    """Each bit becomes the XOR of its two neighbours, in a ring.

    Source: Schnell and Borgs, Hardening encrypted patient names against
    cryptographic attacks using cellular automata, ICDM workshops (2018). Has no key
    and does not resist graph matching with known pairs.
    """

    method: Literal["rule-90"]


class Rule30(_Method):
    """Each bit becomes its left neighbour XOR (itself OR its right neighbour), in a ring.

    Source: Wolfram, Statistical mechanics of cellular automata (1983). Has no key.
    """

    method: Literal["rule-30"]


class RandomisedResponse(_Method):
    """Each bit becomes a fair coin's with probability ``f``, and so is flipped with f / 2.

    The noise of every record and bit is independent. ``fresh``: drawn anew in each
    run; ``keyed``: derived from a noise key that the holder shares with nobody and
    from the record id, so that encoding again adds the same noise.

    Source: Schnell and Borgs (2016, as for balance), after Erlingsson and others,
    RAPPOR (2014). For an f that still links, no useful differential privacy.
    """

    method: Literal["randomised-response"]
    f: float = pydantic.Field(gt=0, lt=1)
    noise: Literal["fresh", "keyed"] = "fresh"


class RecordLevel(_Method):
    """A filter for each field, long enough to be half full; bits sampled from all of them.

    Each field gets a share of the CLK in proportion to its ``bits_per_feature``; which of
    its bits, and where, is secret.

    Source: Durham, Kantarcioglu, Xue, Toth, Kuzu and Malin, Composite Bloom filters for
    secure record linkage, IEEE TKDE 26(12) (2014). Does not resist graph matching.
    """

    method: Literal["record-level"]


Hardening = Annotated[
    NoHardening
    | XorFold
    | Diffusion
    | Balance
    | Rule90
    | Rule30
    | RandomisedResponse
    | RecordLevel,
    pydantic.Field(discriminator="method"),
]
METHODS: tuple[type[_Method], ...] = (
    *(NoHardening, XorFold, Diffusion, Balance, Rule90, Rule30),
    *(RandomisedResponse, RecordLevel),
)
