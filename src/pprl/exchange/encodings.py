"""Encodings: what a data holder gives to the linkage unit, and nothing more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pprl.errors import (
    EncodingMismatch,
    KeyMismatch,
    LengthMismatch,
    PprlWarning,
    SchemaMismatch,
    UsageError,
)
from pprl.exchange.exposure import Exposure

FORMAT_VERSION: Literal[1] = 1
"""The version of the encodings file that this library writes and reads."""

UNKNOWN = "unknown"
"""Stands in a header for what encodings from other software do not say."""


class Popcounts(BaseModel):
    """How many bits the CLKs of a file have set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    sd: float
    minimum: int
    maximum: int

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> Popcounts:
        """Summarise how many CLKs of a file have how many bits set."""
        bits, rows = (np.array(list(part)) for part in (counts.keys(), counts.values()))
        mean = np.average(bits, weights=rows)
        return cls(
            mean=round(float(mean), 3),
            sd=round(float(np.sqrt(np.average((bits - mean) ** 2, weights=rows))), 3),
            minimum=int(bits[rows > 0].min()),
            maximum=int(bits[rows > 0].max()),
        )


class EncodingInfo(BaseModel):
    """What a file of encodings says about itself. Never a secret or an identifier.

    Attributes:
        bits: Length of a CLK, all groups together.
        groups: Bits of each CLK group, in order; empty where there is one without a name.
        weights: Bits that each field's value, or each of its tokens, inserts into each
            group, by the group's name, or by "" where there is one without a name.
        hardening: Method and parameters, by the group's name where there are groups.
        blocking: Share of rows with a blocking key, by pass.
        exposure: What lies open in the file; None in files of before November 2026.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT_VERSION
    library: str = Field(default_factory=lambda: f"pprl {version('pprl')}")
    holder: str = ""
    schema_name: str
    schema_fingerprint: str
    key_check: str
    self_test: str
    bits: int = Field(gt=0, multiple_of=8)
    groups: Mapping[str, int] = Field(default_factory=dict)
    weights: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    hardening: Mapping[str, Any]
    records: int = Field(ge=0)
    rows: int = Field(ge=0)
    popcounts: Popcounts
    present: Mapping[str, float]
    blocking: Mapping[str, float] = Field(default_factory=dict)
    exposure: Exposure | None = None
    created: str
    consent: str = ""
    provenance: str = ""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.groups:
            if sum(self.groups.values()) != self.bits:
                raise ValueError("the groups do not add up to the CLK")
            if any(bits <= 0 or bits % 64 for bits in self.groups.values()):
                raise ValueError("a group's bits must be a multiple of 64")
        return self

    @property
    def methods(self) -> list[str]:
        """The hardening of each filter; ``unknown`` where the header does not say."""
        return [str(self.hardened(name).get("method", UNKNOWN)) for name in self.groups or [""]]

    @property
    def undone(self) -> list[str]:
        """The groups that are diffused into more bits than their filters had.

        Their secrets are found from the encodings alone. "" stands for the only filter of
        a file without groups.
        """
        found = []
        for name, bits in (self.groups or {"": self.bits}).items():
            made = self.hardened(name)
            before = made.get("filter_bits")
            if made.get("method") == "diffusion" and isinstance(before, int) and before < bits:
                found.append(name)
        return found

    def hardened(self, group: str) -> Mapping[str, Any]:
        """Return what the header says of a group's hardening, or without groups of the CLK's.

        It is empty where it says nothing, as that of other software may.
        """
        said = self.hardening.get(group, self.hardening)
        return said if isinstance(said, Mapping) else {}


@dataclass(frozen=True, eq=False)
class Encodings:
    """The CLKs of one data holder's records.

    Attributes:
        record_ids: (n,) Arrow strings, opaque to the linkage unit; unique, but for the
            variants of a record, which stand together.
        clks: (n, bits / 8) uint8; bit i is byte i >> 3, mask 0x80 >> (i & 7). CLK
            groups stand side by side, each a multiple of 8 bytes wide.
        info: What made them; see `EncodingInfo`.
        variants: (n,) uint8, 0 for a record's own encoding, 1 and up for its variants
            (partner's name, former address); None where the schema has none.
        present: (n, bytes) uint8, a bit for each field that has a value, in the order of
            ``info.present`` and of the CLK's bits; None where the schema carries no mask.
        block_keys: (n, passes) uint64, keyed hashes in the order of ``info.blocking``, 0
            where a record has none; None where the schema has no blocking passes.
    """

    record_ids: pa.StringArray
    clks: NDArray[np.uint8]
    info: EncodingInfo
    variants: NDArray[np.uint8] | None = None
    present: NDArray[np.uint8] | None = None
    block_keys: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.record_ids)

    def __repr__(self) -> str:
        return (
            f"Encodings({self.info.records:,} records, {self.info.bits} bits, "
            f"holder {self.info.holder!r}, schema {self.info.schema_name!r})"
        )

    def _repr_html_(self) -> str:
        from pprl.exchange._html import card

        rows = {
            "holder": self.info.holder or "-",
            "records": f"{self.info.records:,}",
            "schema": f"{self.info.schema_name} {self.info.schema_fingerprint[:12]}",
            "bits": f"{self.info.bits:,}, {self.info.popcounts.mean:.0f} set on average",
        }
        rows |= {f"{name} filled": f"{share:.1%}" for name, share in self.info.present.items()}
        return card("Encodings", rows, self.popcounts() / self.info.bits, "share of bits set")

    @property
    def words(self) -> NDArray[np.uint64]:
        """The CLKs as (n, ceil(bits / 64)) words, zero padded."""
        return as_words(self.clks)

    def group(self, name: str) -> NDArray[np.uint8]:
        """View one CLK group: (n, its bits / 8) uint8.

        Raises:
            UsageError: There is no such group.
        """
        start = 0
        for one, bits in self.info.groups.items():
            if one == name:
                return self.clks[:, start // 8 : (start + bits) // 8]
            start += bits
        names = ", ".join(map(repr, self.info.groups)) or "none"
        raise UsageError(f"there is no CLK group {name!r}; the groups are: {names}.")

    def record_numbers(self) -> NDArray[np.int64]:
        """Number the records: (n,) int64, the same for all variants of a record."""
        if self.variants is None:
            return np.arange(len(self))
        return np.cumsum(self.variants == 0) - 1

    def unique_ids(self) -> pa.StringArray:
        """Return one id for each record, in order, without its variants' repeats."""
        if self.variants is None:
            return self.record_ids
        return self.record_ids.filter(pa.array(self.variants == 0))

    def popcounts(self) -> NDArray[np.int64]:
        """Count the set bits of each record, (n,) int64."""
        return count_bits(self.words)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write an encodings file (Parquet, format 1).

        Args:
            path: Where to.
            overwrite: Replace a file that is there, when the new one is whole.

        Raises:
            OutputExists: There is a file already, and ``overwrite`` was not given.
        """
        from pprl.exchange.files import encodings_writer
        from pprl.exchange.opening import replacing

        mask_bytes = 0 if self.present is None else self.present.shape[1]
        with (
            replacing(path, overwrite) as target,
            encodings_writer(
                target,
                self.info.bits,
                self.variants is not None,
                mask_bytes,
                self.info.groups,
                len(self.info.blocking),
            ) as writer,
        ):
            writer.write(self.record_ids, self.clks, self.variants, self.present, self.block_keys)
            writer.finish(self.info)

    @classmethod
    def load(
        cls, path: str | PathLike[str], *, identity: str | PathLike[str] | None = None
    ) -> Encodings:
        """Read an encodings file; a sealed one with an age identity file.

        A JSON file is read as clkhash writes it, ``{"clks": [base64, ...]}``; its records
        have their numbers as ids, and its file name is the holder.

        Raises:
            UnreadableFile: The file is missing, damaged or not an encodings file, or it
                is sealed and cannot be opened.
            UsageError: It is sealed and there is no identity.
        """
        from pprl.exchange.files import read_encodings

        if str(path).lower().endswith(".json"):
            from pprl.exchange.clkhash_files import load_clkhash_json

            return load_clkhash_json(path, holder=Path(path).stem)
        return read_encodings(path, identity)


def as_words(clks: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View (n, bytes) filters as (n, ceil(bytes / 8)) words, zero padded where needed."""
    short = -clks.shape[1] % 8
    padded = np.pad(clks, ((0, 0), (0, short))) if short else clks
    return np.ascontiguousarray(padded).view(np.uint64)


def count_bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the set bits of each row of (n, words); (n,) int64."""
    counts: NDArray[np.int64] = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return counts


def count_columns(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count for each bit of (n, w) words the rows that have it: (64 w,) int64.

    Bit i is word i >> 6, mask 1 << (i & 63).
    """
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    counts: NDArray[np.int64] = bits.sum(axis=0, dtype=np.int64)
    return counts


def check_compatible(infos: Sequence[EncodingInfo]) -> None:
    """Refuse encodings that must not be compared, and say which of the reasons it is.

    Raises:
        LengthMismatch: Different CLK lengths or groups.
        SchemaMismatch: Different schemas.
        KeyMismatch: The same schema and different linkage keys.
        EncodingMismatch: The same schema and key, and yet the twenty built-in
            fictitious people were encoded differently.
    """
    first = infos[0]
    if any(info.schema_fingerprint == UNKNOWN for info in infos):
        warnings.warn(
            "encodings without a header: that they share a schema and a key cannot be checked",
            PprlWarning,
            stacklevel=3,
        )
    for at, other in enumerate(infos[1:], start=2):
        who = f"{_party(first, 1)} and {_party(other, at)}"
        if first.bits != other.bits:
            raise LengthMismatch(
                f"{who} have CLKs of {first.bits} and {other.bits} bits. "
                f"Encode both with one schema."
            )
        if list(first.groups.items()) != list(other.groups.items()):
            raise LengthMismatch(f"{who} have different CLK groups. Encode both with one schema.")
        if first.schema_fingerprint != other.schema_fingerprint:
            raise SchemaMismatch(
                f"{who} used different schemas: {first.schema_name!r} "
                f"({first.schema_fingerprint[:12]}) and {other.schema_name!r} "
                f"({other.schema_fingerprint[:12]}). Give both holders the same schema file "
                f"and let them encode again; 'pprl schema check' prints the fingerprint."
            )
        if first.key_check != other.key_check:
            raise KeyMismatch(
                f"{who} used the same schema with different linkage keys "
                f"(key check {first.key_check} and {other.key_check}). Let the holders compare "
                f"the key check of their key files and encode again with one key."
            )
        if first.self_test != other.self_test:
            raise EncodingMismatch(
                f"{who} have the same schema and key, but encode the same built-in test people "
                f"differently ({first.library} and {other.library}). Let both holders encode "
                f"with the same version of pprl."
            )


def absent_fields(infos: Sequence[EncodingInfo]) -> list[str]:
    """Describe every field that one holder fills and another leaves (almost) empty."""
    found = []
    for name in infos[0].present:
        shares = [info.present.get(name, 0.0) for info in infos]
        if max(shares) > 0.2 and min(shares) < 0.1 * max(shares):
            filled = ", ".join(
                f"{_party(info, at)} {share:.0%}"
                for at, (info, share) in enumerate(zip(infos, shares, strict=True), start=1)
            )
            found.append(f"field {name!r} is filled very differently: {filled}")
    return found


def warn_absent_fields(infos: Sequence[EncodingInfo]) -> None:
    """Warn about a renamed or empty column at one holder before anything is compared."""
    for line in absent_fields(infos):
        warnings.warn(f"{line}. Was a column renamed or left out?", PprlWarning, stacklevel=3)


def _party(info: EncodingInfo, at: int) -> str:
    return f"holder {info.holder!r}" if info.holder else f"file {at}"
