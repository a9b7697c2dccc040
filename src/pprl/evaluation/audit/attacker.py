"""The attacker: he has the schema and a list of people, and keys of his own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.evaluation.audit.bits import Floats, Rows, centred, hamming
from pprl.holder.encoder import Encoder
from pprl.holder.groups import Part
from pprl.holder.hardening.applied import add_noise, noise_of
from pprl.holder.hardening.options import Diffusion, NoHardening, RandomisedResponse
from pprl.holder.keys import LinkageKey
from pprl.holder.records import read_batches
from pprl.holder.schema import Schema

_KEYS = 3
"""Keys of his own over which he averages what he expects."""


@dataclass(frozen=True)
class Target:
    """Encodings that are attacked: one CLK group, or the whole CLK.

    Attributes:
        name: The group; ``all groups`` for the whole of several, empty for the only one.
        columns: Its bytes in a CLK.
        parts: The parts of the schema that it is made of.
    """

    name: str
    columns: slice
    parts: tuple[Part, ...]

    @property
    def label(self) -> str:
        """How an attack's name ends."""
        return f" on {self.name}" if self.name else ""


def targets_of(schema: Schema) -> list[Target]:
    """List what can be attacked: every group, and all of them together."""
    found = []
    start = 0
    for part in schema.parts:
        end = start + part.bits // 8
        found.append(Target(part.name, slice(start, end), (part,)))
        start = end
    if len(found) > 1:
        found.append(Target("all groups", slice(0, start), schema.parts))
    return found


class Attacker:
    """Encodes his list as the holder would, but for the key.

    Args:
        people: A column for every field of the schema that is encoded, by its name.
        schema: The holder's, with hardening, lengths and groups.
        seed: Makes his keys.
        key: The linkage key itself, for the attacker who has it.
    """

    def __init__(
        self, people: pa.Table, schema: Schema, seed: int, key: LinkageKey | None = None
    ) -> None:
        self._given = key
        self.people = people
        self.schema = schema.model_copy(update={"variants": (), "blocking": ()})
        self._seed = seed
        self._known: dict[tuple[bool, int], NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.people)

    def encodings(self, number: int = 0) -> NDArray[np.uint8]:
        """Encode the list, hardened, under his key of that number: (m, bits / 8) uint8."""
        return self._encode(self.schema, number, plain=False)

    def agreement(self, target: Target, of: Rows, with_: Rows) -> list[Floats]:
        """Predict how the encodings of two people agree, part by part.

        For diffused filters (1 - 2 d)**t, where d is the share of bits in which undiffused
        ones differ (Armknecht, Heng and Schnell, PoPETs 2023(2)), for others what he sees
        under his own keys: the mean product of bits written as +1 and -1, less each
        column's mean.

        Args:
            target: What is attacked.
            of: (n,) places on his list.
            with_: (m,) places on his list.

        Returns:
            An (n, m) matrix for each part of the target.
        """
        found: list[Floats] = []
        first = {part.name: at for at, part in enumerate(self.schema.parts)}
        for part in target.parts:
            at = first[part.name]
            total = np.zeros((len(of), len(with_)), np.float32)
            for number in range(_KEYS):
                if isinstance(part.hardening, Diffusion):
                    plain = self._part(self._plain(number), _plain_lengths(self.schema), at)
                    share = hamming(plain[of], plain[with_]) / part.filter_bits
                    total += np.sign(1 - 2 * share) * np.abs(1 - 2 * share) ** part.hardening.t
                else:
                    own = self._part(self.encodings(number), _lengths(self.schema), at)
                    signs = centred(own)
                    total += signs[of] @ signs[with_].T / part.bits
            found.append(total / _KEYS)
        return found

    def _plain(self, number: int) -> NDArray[np.uint8]:
        return self._encode(undiffused(self.schema), number, plain=True)

    @staticmethod
    def _part(clks: NDArray[np.uint8], lengths: list[int], at: int) -> NDArray[np.uint8]:
        start = sum(lengths[:at]) // 8
        return clks[:, start : start + lengths[at] // 8]

    def _encode(self, schema: Schema, number: int, *, plain: bool) -> NDArray[np.uint8]:
        if (plain, number) not in self._known:
            keyed = any(
                isinstance(part.hardening, RandomisedResponse) and part.hardening.noise == "keyed"
                for part in schema.parts
            )
            key = self._given or self._key(f"linkage {number}")
            noise = noise_of(schema, key, self._key(f"noise {number}") if keyed else None)
            # Not by `encode`, which shuffles, and refuses what an old file was made with.
            encoder = Encoder(schema, key)
            names = [field.name for field in schema.encoded_fields]
            clks = np.concatenate(
                [encoder.encode(batch).clks for batch in read_batches(self.people, names)]
            )
            if noise is not None:
                ids = [str(at) for at in range(len(clks))]
                clks = add_noise(clks, encoder.parts, noise, ids, [0] * len(clks))
            self._known[plain, number] = clks
        return self._known[plain, number]

    def _key(self, purpose: str) -> LinkageKey:
        text = f"pprl audit, the attacker's own key: {self._seed} {purpose}"
        return LinkageKey(hashlib.sha256(text.encode()).digest())


def undiffused(schema: Schema) -> Schema:
    """Return the schema with its diffused filters as they are before diffusion."""
    none = NoHardening(method="none")
    if not schema.groups:
        (part,) = schema.parts
        if not isinstance(part.hardening, Diffusion):
            return schema
        return schema.model_copy(update={"bits": part.filter_bits, "hardening": none})
    groups = [
        group.model_copy(update={"bits": part.filter_bits, "hardening": none})
        if isinstance(part.hardening, Diffusion)
        else group
        for group, part in zip(schema.groups, schema.parts, strict=True)
    ]
    return schema.model_copy(update={"groups": tuple(groups)})


def _lengths(schema: Schema) -> list[int]:
    return [part.bits for part in schema.parts]


def _plain_lengths(schema: Schema) -> list[int]:
    return _lengths(undiffused(schema))
