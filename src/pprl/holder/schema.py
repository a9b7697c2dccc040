"""The linkage schema: which fields go into a CLK, and how. It holds no secret.

A schema comes from pprl's own TOML or JSON form, or from a clkhash linkage
schema (`pprl.holder.clkhash_schema`); both become the same frozen values.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
from os import PathLike
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from pprl.errors import SchemaError
from pprl.exchange.untrusted.documents import (
    BadDocument,
    check_document,
    parse_json,
    parse_toml,
    read_text,
)
from pprl.holder.blocking_passes import BlockingPass, check_passes
from pprl.holder.groups import Group, Part, Salt, check_groups, check_lengths, parts_of
from pprl.holder.hardening.options import METHODS, Hardening, MinHash
from pprl.holder.normalize import NORMALISERS
from pprl.holder.patterns import Pattern

MAXIMUM_BITS = 1 << 16
"""clkhash cuts its hashes into 16-bit positions, so longer filters stay half empty."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StringFormat(_Value):
    """Any text, optionally restricted."""

    type: Literal["string"] = "string"
    encoding: Literal["ascii", "utf-8", "utf-16", "utf-32"] = "utf-8"
    pattern: str | None = None
    case: Literal["upper", "lower", "mixed"] = "mixed"
    min_length: int | None = pydantic.Field(default=None, ge=0, le=1_000_000)
    max_length: int | None = pydantic.Field(default=None, ge=1, le=1_000_000)

    @field_validator("pattern", mode="after")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            Pattern.of(pattern)
        return pattern


class IntegerFormat(_Value):
    """A whole number; written without leading zeros or sign before it is encoded."""

    type: Literal["integer"]
    minimum: int | None = None
    maximum: int | None = None


class DateFormat(_Value):
    """A date in a strptime format; written as YYYYMMDD before it is encoded.

    ``also`` lists further formats, tried in order. With ``unknown_parts``, a day or
    month 00 is left out (1950-00-00 is encoded as 1950), and so is a month and day
    in ``placeholders`` ("01-01"), which registries write where they do not know.

    A birth date is not in the future: a year of two digits (``%y``) is the last one that is
    not after the day of encoding, or not after ``latest_year``; and a later date is
    missing, and told, unless ``future`` allows it.
    """

    type: Literal["date"]
    format: str = "%Y-%m-%d"
    also: tuple[str, ...] = ()
    unknown_parts: bool = False
    latest_year: int | None = pydantic.Field(default=None, ge=1900, le=2200)
    future: bool = False
    placeholders: tuple[Annotated[str, pydantic.Field(pattern=r"^\d\d-\d\d$")], ...] = ()


class EnumFormat(_Value):
    """One of a list of codes, in whatever order."""

    type: Literal["enum"]
    values: tuple[str, ...] = pydantic.Field(min_length=1)

    @field_validator("values", mode="after")
    @classmethod
    def _in_order(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(values)))


class BsnFormat(_Value):
    """A Dutch citizen service number; must pass the eleven-test and be compared exactly."""

    type: Literal["bsn"]


Format = Annotated[
    StringFormat | IntegerFormat | DateFormat | EnumFormat | BsnFormat,
    pydantic.Field(discriminator="type"),
]


class NGrams(_Value):
    """Overlapping pieces of n characters, padded with n - 1 blanks on either side."""

    type: Literal["ngram"] = "ngram"
    n: int = pydantic.Field(default=2, ge=1, le=1000)
    positional: bool = False


class Exact(_Value):
    """The whole value as one token: equal or not, nothing between."""

    type: Literal["exact"]


class Numeric(_Value):
    """A number's neighbourhood, so that near numbers share tokens.

    Source: Vatsalan and Christen, Privacy-preserving matching of similar
    patients, Journal of Biomedical Informatics 59 (2016).
    """

    type: Literal["numeric"]
    threshold_distance: float = pydantic.Field(gt=0, le=1e100)
    resolution: int = pydantic.Field(ge=1, le=10_000)
    fractional_precision: int = pydantic.Field(default=0, ge=0, le=100)

    @model_validator(mode="after")
    def _enough_precision(self) -> Self:
        if self.interval == 0:
            raise ValueError("fractional_precision is too small for threshold_distance")
        return self

    @property
    def interval(self) -> int:
        """The distance between two tokens, on clkhash's integer scale."""
        scale: int = 10**self.fractional_precision
        return round(self.threshold_distance * scale)


Tokens = Annotated[NGrams | Exact | Numeric, pydantic.Field(discriminator="type")]


class BlakeHash(_Value):
    """Positions are slices of keyed BLAKE2b digests (random hashing)."""

    type: Literal["blake"] = "blake"


class DoubleHash(_Value):
    """Positions (HMAC-SHA1 + i * HMAC-MD5) mod l. Weak; for old encodings only."""

    type: Literal["double"]
    prevent_singularity: bool = False


Hash = Annotated[BlakeHash | DoubleHash, pydantic.Field(discriminator="type")]


class MissingValue(_Value):
    """A code that stands for a missing value, and the text to encode in its place."""

    sentinel: str
    replace_with: str


class Field(_Value):
    """One column of the data and its way into the CLK.

    Exactly one of ``bits_per_feature`` (shared by the tokens of a value) and
    ``bits_per_token`` says how many bits are inserted.

    Before it is cleaned, a value is looked up in ``values``, which says what codes mean
    (``{ "0" = "m", "1" = "f" }``), and is missing if it is one of ``missing_codes`` or, unless
    ``keep_unknown`` is set, a text such as ``onbekend`` or ``NULL`` (`pprl.holder.absent`).
    """

    name: str
    ignored: bool = False
    format: Format = StringFormat()
    normalise: tuple[str, ...] = ()
    missing_codes: tuple[str, ...] = ()
    values: dict[str, str] | None = None
    keep_unknown: bool = False
    tokens: Tokens = NGrams()
    bits_per_feature: int | None = pydantic.Field(default=None, ge=1, le=MAXIMUM_BITS)
    bits_per_token: int | None = pydantic.Field(default=None, ge=1, le=MAXIMUM_BITS)
    hash: Hash = BlakeHash()
    missing: MissingValue | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = (self.bits_per_feature is not None) + (self.bits_per_token is not None)
        if given != (0 if self.ignored else 1):
            raise ValueError("give exactly one of bits_per_feature and bits_per_token")
        if isinstance(self.format, BsnFormat) and not isinstance(self.tokens, Exact):
            raise ValueError('a bsn can only be compared exactly: tokens = { type = "exact" }')
        for name in self.normalise:
            if name not in NORMALISERS:
                near = difflib.get_close_matches(name, NORMALISERS, 1, 0.0)[0]
                raise ValueError(f"there is no normaliser {name!r}; did you mean {near!r}?")
        return self


class ClkhashKeys(_Value):
    """clkhash's key derivation: one HKDF output cut into two keys a field, in field order.

    ``salt`` and ``info`` are base64, as in clkhash's documents.
    """

    hash: Literal["SHA256", "SHA512"] = "SHA256"
    salt: str | None = None
    info: str | None = None
    key_size: int = pydantic.Field(default=64, ge=1, le=16_320)

    @field_validator("salt", "info", mode="after")
    @classmethod
    def _base64(cls, text: str | None) -> str | None:
        try:
            base64.b64decode(text or "")
        except ValueError:
            raise ValueError("this is not base64") from None
        return text


class Variant(_Value):
    """Another encoding of the same record, with other columns for some of the fields.

    A partner's surname or a former address: ``columns = { surname = "partner_name" }``.
    A record has the variant when one of these columns is filled.
    """

    name: str
    columns: dict[str, str] = pydantic.Field(min_length=1)


class Schema(_Value):
    """A linkage schema, the same at every data holder of a project.

    With ``clkhash`` set, values are taken verbatim and keys are derived as
    clkhash does; without, values are cleaned and every field has a key of its own
    that depends on the whole schema, and on the group where there are several.
    ``bits`` is the length of a CLK, or, with groups, of each group's part of it.
    """

    version: Literal[1] = 1
    name: str
    bits: int = pydantic.Field(default=1024, ge=8, le=MAXIMUM_BITS)
    hardening: Hardening
    fields: tuple[Field, ...] = pydantic.Field(min_length=1)
    groups: tuple[Group, ...] = ()
    variants: tuple[Variant, ...] = ()
    blocking: tuple[BlockingPass, ...] = ()
    presence_mask: bool = False
    allow_field_level: bool = False
    clkhash: ClkhashKeys | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        names = [field.name for field in self.fields]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"field {name!r} is there twice")
        for variant in self.variants:
            for name in variant.columns:
                if name not in names:
                    raise ValueError(f"variant {variant.name!r} names no field: {name!r}")
        if all(field.ignored for field in self.fields):
            raise ValueError("every field is ignored")
        if self.groups:
            if self.clkhash:
                raise ValueError("clkhash's key derivation knows no groups")
            check_groups(self.groups, self.encoded_fields, self.allow_field_level)
        check_passes(self.blocking, [field.name for field in self.encoded_fields])
        for part in self.parts:
            check_lengths(part)
            if self.clkhash and isinstance(part.hardening, MinHash):
                raise ValueError("clkhash's key derivation knows no minhash")
        return self

    @property
    def parts(self) -> tuple[Part, ...]:
        """The filters of a record: one for each group, or a nameless one without groups."""
        return parts_of(self.groups, self.encoded_fields, self.bits, self.hardening)

    @property
    def total_bits(self) -> int:
        """The length of a CLK: of all parts together."""
        return sum(part.bits for part in self.parts)

    @property
    def encoded_fields(self) -> tuple[Field, ...]:
        """The fields that are not ignored."""
        return tuple(field for field in self.fields if not field.ignored)

    @property
    def token_columns(self) -> tuple[str, ...]:
        """The columns of ready-made tokens that blocking passes take."""
        return tuple(one.column for one in self.blocking if one.column is not None)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical form, 64 hexadecimal digits; the name does not count."""
        # Defaults are left out, so that an option added later changes no fingerprint.
        content = self.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Schema:
        """Read a schema: pprl's own (TOML or JSON), or a clkhash one (JSON, v1 to v3).

        Raises:
            UnreadableFile: The file is missing or not text.
            SchemaError: The document is not a valid schema.
        """
        text = read_text(path)
        try:
            document = parse_json(text) if text.lstrip()[:1] in "{[" else parse_toml(text)
        except BadDocument as error:
            raise SchemaError(f"schema {path} is neither JSON nor TOML: {error}.") from None
        return cls.from_document(document, source=str(path))

    @classmethod
    def from_toml(cls, text: str) -> Schema:
        """Build a schema from TOML text.

        Raises:
            SchemaError: The text is not a valid schema.
        """
        try:
            return cls.from_document(parse_toml(text))
        except BadDocument as error:
            raise SchemaError(f"the schema is not TOML: {error}.") from None

    @classmethod
    def from_document(cls, document: Any, source: str = "schema") -> Schema:
        """Build a schema from a parsed document; ``source`` names it in errors.

        Raises:
            SchemaError: The document is not a valid schema.
        """
        if not isinstance(document, dict):
            raise SchemaError(f"{source}: the document must be a table, not a list or a value.")
        try:
            check_document(document)
        except BadDocument as error:
            raise SchemaError(f"{source}: {error}.") from None
        if "clkConfig" in document:
            from pprl.holder.clkhash_schema import from_clkhash

            return from_clkhash(document, source)
        return parse(cls, document, source)

    @classmethod
    def from_clkhash(cls, schema: Any) -> Schema:
        """Take over a ``clkhash.schema.Schema`` object, or a clkhash document as a dict.

        Raises:
            SchemaError: It is neither, or not valid.
        """
        from pprl.holder.clkhash_schema import document_of, from_clkhash

        document = schema if isinstance(schema, dict) else document_of(schema)
        return from_clkhash(document)


def parse(model: type[Schema], document: dict[str, Any], source: str) -> Schema:
    """Validate a document; say where it is wrong and what may have been meant."""
    try:
        # Strict, and by way of JSON, where a list may stand for a tuple: no "20" for 20.
        return model.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        problems = "; ".join(_describe(problem, document) for problem in error.errors()[:5])
        raise SchemaError(f"{source}: {problems}.") from None


def _describe(problem: Any, document: dict[str, Any]) -> str:
    where = ""
    node: Any = document
    for part in problem["loc"]:
        if isinstance(part, int):
            node = node[part] if isinstance(node, list) and part < len(node) else None
            name = node.get("name") if isinstance(node, dict) else None
            where += f"[{part}]" + (f" ({name})" if name else "")
        elif isinstance(node, dict) and part in node:
            node = node[part]
            where += f".{part}" if where else str(part)
        elif part not in _DISCRIMINATORS:
            where += f".{part}" if where else str(part)
    where = where or "the schema"
    if problem["type"] == "extra_forbidden":
        unknown = str(problem["loc"][-1])
        near = difflib.get_close_matches(unknown, _NAMES, 1, 0.0)[0]
        return f"{where} is not known; the nearest valid name is {near!r}"
    if problem["type"] == "missing" and problem["loc"] == ("hardening",):
        return (
            "hardening is missing: say which one; without any, "
            'the plain CLK, it is hardening = { method = "none" }'
        )
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


_MODELS: tuple[type[BaseModel], ...] = (
    *METHODS,
    Schema,
    Field,
    *(StringFormat, IntegerFormat, DateFormat, EnumFormat, BsnFormat, Variant),
    *(NGrams, Exact, Numeric, BlakeHash, DoubleHash),
    *(MissingValue, ClkhashKeys, Group, Salt),
)
_NAMES = sorted({name for model in _MODELS for name in model.model_fields})
_DISCRIMINATORS = {
    value
    for model in _MODELS
    for tag in ("type", "method")
    if tag in model.model_fields
    for value in getattr(model.model_fields[tag].annotation, "__args__", ())
}
