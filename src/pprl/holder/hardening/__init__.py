"""Hardening: changing finished filters so that they are harder to attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pprl.holder.hardening.diffusion import diffuse, index_sets
from pprl.holder.hardening.draws import Draws
from pprl.holder.hardening.mixing import (
    balance,
    permutation,
    pick,
    rule_30,
    rule_90,
    sampled,
    xor_fold,
)
from pprl.holder.hardening.options import (
    Balance,
    Diffusion,
    MinHash,
    NoHardening,
    RandomisedResponse,
    RecordLevel,
    Rule30,
    Rule90,
    XorFold,
)

if TYPE_CHECKING:
    from pprl.holder.groups import Part

Derive = Callable[[str], bytes]
"""Derives a key of 32 bytes for a purpose."""
Harden = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""From (n, bytes before) filters to (n, bytes) CLKs."""


def hardener(part: Part, derive: Derive) -> Harden:
    """Prepare a schema's hardening: draw its secrets once, then apply them to any filters.

    Randomised response changes nothing here: its noise depends on the record, and is
    added last (`pprl.holder.hardening.noise`).

    Args:
        part: The filter's fields, lengths and hardening.
        derive: The linkage key's derivation, bound to the schema and the group.
    """
    hardening, bits = part.hardening, part.bits
    match hardening:
        case NoHardening() | RandomisedResponse():
            return lambda filters: filters
        case XorFold():
            return lambda filters: xor_fold(filters, hardening.folds)
        case Rule90():
            return rule_90
        case Rule30():
            return rule_30
        case Balance():
            order = permutation(bits, Draws(derive("balance")))
            return lambda filters: balance(filters, order)
        case Diffusion():
            sets = index_sets(part.filter_bits, bits, hardening.t, Draws(derive("diffuse")))
            return lambda filters: diffuse(filters, sets)
        case MinHash():
            slots = index_sets(part.filter_bits, bits, hardening.t, Draws(derive("minhash-slots")))
            # Slots stand in words with the lowest bit first, and bits in CLKs the other way.
            return lambda filters: diffuse(filters, slots ^ np.uint16(7))
        case RecordLevel():
            weights = list(part.weights().values())
            chosen = sampled(part.slots, weights, bits, Draws(derive("sample")))
            return lambda filters: pick(filters, chosen)
