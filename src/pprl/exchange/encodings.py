"""Encodings: what a data holder gives to the linkage unit, and nothing more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

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
from pprl.exchange.bits import as_words, count_bits, count_columns
from pprl.exchange.columns import to_binary
from pprl.exchange.exposure import Exposure
from pprl.version import library_version

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORMAT_VERSION",
    "UNKNOWN",
    "EncodingInfo",
    "Encodings",
    "Popcounts",
    "absent_fields",
    "as_words",
    "check_compatible",
    "count_bits",
    "count_columns",
    "warn_absent_fields",
]

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
        """Summarise how many CLKs of a file have how many bits set; all 0 where there is none."""
        if not any(counts.values()):
            return cls(mean=0.0, sd=0.0, minimum=0, maximum=0)
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
    library: str = Field(default_factory=lambda: f"pprl {library_version()}")
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

    def decay(self, group: str) -> float:
        """Return the rate at which agreement in a half-full group falls with each bit that differs.

        Where half of a group's bits are set whatever a record holds, two records that differ in d
        of the l bits inserted agree beyond chance in about exp(-rate d). For diffusion that is
        (1 - 2 d / l)**t, so that the rate is 2 t / l. It is 0 where the header does not say that
        a group is so hardened.

        Args:
            group: The group's name, or "" for the CLK without groups.
        """
        said = self.hardened(group)
        t, bits = said.get("t"), said.get("filter_bits")
        if said.get("method") != "diffusion" or not (isinstance(t, int) and isinstance(bits, int)):
            return 0.0
        return 2.0 * t / max(bits, 1)

    def power(self, group: str) -> float:
        """Return to which power of similarity agreement in a min-hashed group falls: its t.

        Two records whose tokens have the weighted Jaccard similarity J agree beyond chance in
        about J**t. It is 0 where the header does not say that a group is min-hashed.

        Args:
            group: The group's name, or "" for the CLK without groups.
        """
        said = self.hardened(group)
        t = said.get("t")
        return float(t) if said.get("method") == "minhash" and isinstance(t, int) else 0.0

    @property
    def half_full(self) -> bool:
        """Whether every group is hardened so that about half of its bits are set in any record."""
        return all(self.decay(name) or self.power(name) for name in self.groups or [""])


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

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together or the header, before any kernel sees them."""
        n, info = len(self.record_ids), self.info
        # Passes have no names where a linkage unit made the keys itself.
        passes = len(info.blocking)
        if not passes and self.block_keys is not None and self.block_keys.ndim == 2:
            passes = self.block_keys.shape[1]
        shapes = {
            "clks": (self.clks, np.uint8, (n, info.bits // 8)),
            "variants": (self.variants, np.uint8, (n,)),
            "present": (self.present, np.uint8, (n, -(-len(info.present) // 8))),
            "block_keys": (self.block_keys, np.uint64, (n, passes)),
        }
        for name, (array, kind, shape) in shapes.items():
            if array is not None and (array.dtype != kind or array.shape != shape):
                raise UsageError(
                    f"encodings: {name} must be {np.dtype(kind)} of shape {shape}, not "
                    f"{array.dtype} of shape {array.shape}."
                )
        own = n if self.variants is None else int((self.variants == 0).sum())
        if (info.rows, info.records) != (n, own):
            raise UsageError(
                f"encodings: the header says {info.records:,} records in {info.rows:,} rows; there "
                f"are {own:,} in {n:,}."
            )
        if self.variants is not None and n and self.variants[0]:
            raise UsageError("encodings: the first row is a variant without its record.")

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

    def to_arrow(self) -> pa.Table:
        """Return the encodings as an Arrow table, with the columns of an encodings file.

        ``record_id``, ``clk`` (or ``clk_<group>`` for each CLK group) as binary, and, where there
        are any, ``variant``, ``present`` as binary and ``block_keys`` as a list of numbers.
        """
        columns: dict[str, pa.Array] = {"record_id": self.record_ids}
        if self.info.groups:
            columns |= {f"clk_{name}": to_binary(self.group(name)) for name in self.info.groups}
        else:
            columns["clk"] = to_binary(self.clks)
        if self.variants is not None:
            columns["variant"] = pa.array(self.variants)
        if self.present is not None:
            columns["present"] = to_binary(self.present)
        if self.block_keys is not None:
            flat = pa.array(self.block_keys.reshape(-1))
            passes = self.block_keys.shape[1]
            columns["block_keys"] = pa.FixedSizeListArray.from_arrays(flat, passes)
        return pa.table(columns)

    def to_pandas(self) -> pd.DataFrame:
        """Return the encodings as a pandas DataFrame, with the columns of `to_arrow`."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

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
        cls,
        path: str | PathLike[str],
        *,
        identity: str | PathLike[str] | None = None,
        signed_by: str | PathLike[str] | None = None,
    ) -> Encodings:
        """Read an encodings file; a sealed one with an age identity file.

        With ``signed_by``, a file of public keys, a sealed file is opened only if one of them
        signed it.

        A JSON file is read as clkhash writes it, ``{"clks": [base64, ...]}``; its records
        have their numbers as ids, and its file name is the holder.

        Raises:
            UnreadableFile: The file is missing, damaged or not an encodings file, or it
                is sealed and cannot be opened.
            BadSignature: It is not signed by one of those in ``signed_by``.
            UsageError: It is sealed and there is no identity, or it is to be signed and is not
                sealed.
        """
        from pprl.exchange.files import read_encodings

        if str(path).lower().endswith(".json") and signed_by is None:
            from pprl.exchange.clkhash_files import load_clkhash_json

            return load_clkhash_json(path, holder=Path(path).stem)
        return read_encodings(path, identity, signed_by)


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
        if list(first.present) != list(other.present) or list(first.blocking) != list(
            other.blocking
        ):
            raise SchemaMismatch(
                f"{who} have different fields or blocking passes in their headers, though both "
                f"name the schema {first.schema_name!r}. One of the headers is not of its rows; "
                f"let both holders encode again."
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
