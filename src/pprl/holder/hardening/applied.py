"""Hardening as it was applied: what the header says of it, and the noise that comes last."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.holder.groups import Part
from pprl.holder.hardening.diffusion import contrast
from pprl.holder.hardening.noise import Noise
from pprl.holder.hardening.options import Diffusion, MinHash, RandomisedResponse
from pprl.holder.keys import LinkageKey
from pprl.holder.schema import Schema


def describe(part: Part, fill: float) -> dict[str, Any]:
    """Describe a part's hardening for people and for the linkage unit.

    With diffusion it says the fill before it and the contrast c = (1 - 2 fill)**t.
    """
    hardening = part.hardening
    said: dict[str, Any] = hardening.model_dump()
    if isinstance(hardening, Diffusion):
        said["filter_bits"] = part.filter_bits
        said["fill"] = round(fill, 4)
        said["c"] = round(contrast(fill, hardening.t), 5)
    if isinstance(hardening, MinHash):
        said["slots"] = part.filter_bits
    if part.salts:
        said["salts"] = [salt.model_dump(exclude_none=True) for salt in part.salts]
    return said


def noise_of(schema: Schema, key: LinkageKey, noise_key: LinkageKey | None) -> Noise | None:
    """Make the noise that a schema asks for; None if it asks for none.

    Raises:
        UsageError: The noise key is missing, not needed or the linkage key itself.
    """
    kinds = {
        part.hardening.noise
        for part in schema.parts
        if isinstance(part.hardening, RandomisedResponse)
    }
    if noise_key is not None and "keyed" not in kinds:
        raise UsageError("the schema asks for no keyed noise, so a noise key has no use.")
    if not kinds:
        return None
    if "keyed" not in kinds:
        return Noise(secrets.token_bytes(32))
    if noise_key is None:
        raise UsageError(
            "the schema asks for keyed noise: give a key of your own that nobody else has "
            "(make one with 'pprl keygen' and pass it with --noise-key)."
        )
    if noise_key == key:
        raise UsageError(
            "the noise key is the linkage key, with which every holder could take the noise "
            "away. Make one of your own with 'pprl keygen'."
        )
    return Noise(noise_key.derive("noise", schema.fingerprint))


def add_noise(
    clks: NDArray[np.uint8],
    parts: Sequence[Part],
    noise: Noise,
    record_ids: Iterable[str],
    variants: Iterable[int],
) -> NDArray[np.uint8]:
    """Flip bits of the parts with randomised response; return (n, bytes) uint8."""
    nonces = noise.nonces(record_ids, variants)
    out = clks.copy()
    first = 0
    for part in parts:
        columns = slice(first // 8, (first + part.bits) // 8)
        if isinstance(part.hardening, RandomisedResponse):
            out[:, columns] = noise.flip(clks[:, columns], nonces, part.hardening.f / 2, first)
        first += part.bits
    return out
