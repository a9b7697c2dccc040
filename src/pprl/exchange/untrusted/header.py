"""The header of foreign encodings: bounded, of known names, every number in range."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any

from pydantic import ValidationError

from pprl.errors import UndoneHardeningWarning, UnreadableFile
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.untrusted.documents import BadDocument, parse_json
from pprl.exchange.untrusted.limits import (
    CLK_BITS,
    FIELDS,
    GROUPS,
    HEADER_BYTES,
    NAME_CHARACTERS,
    PASSES,
    SENTENCE_CHARACTERS,
)
from pprl.exchange.untrusted.text import is_clean

METADATA_KEY = b"pprl"
"""The Parquet metadata entry that holds an `EncodingInfo` as JSON."""

_NAMES = (
    *("library", "holder", "schema_name", "schema_fingerprint", "key_check", "self_test"),
    "created",
)
_SENTENCES = ("consent", "provenance")
_GROUP = re.compile(r"[^\s./\\]+", re.ASCII)
_LARGEST = 2**53


def parse_header(path: str | PathLike[str], metadata: Mapping[bytes, bytes]) -> EncodingInfo:
    """Read the header from the metadata of a Parquet file.

    Raises:
        UnreadableFile: There is none, or it says what cannot be.
    """
    if METADATA_KEY not in metadata:
        raise UnreadableFile(
            f"{path} is Parquet but not an encodings file: it has no 'pprl' header. "
            f"Encodings are made with 'pprl encode'."
        )
    content = metadata[METADATA_KEY]
    if len(content) > HEADER_BYTES:
        raise UnreadableFile(f"{path}: the header is larger than {HEADER_BYTES:,} bytes.")
    try:
        info = checked_header(path, parse_json(content))
    except BadDocument as error:
        raise UnreadableFile(f"{path}: the 'pprl' header cannot be read: {error}.") from None
    if info.undone:
        warnings.warn(
            f"{path} was encoded by diffusion with more output bits than filter bits. Who has the "
            f"file can undo that without the key. Treat it like a plain CLK, and let the holders "
            f"encode again with the profiles of today (docs/explanation/what-fell.md)",
            UndoneHardeningWarning,
            stacklevel=4,
        )
    return info


def field_names(metadata: Mapping[bytes, bytes]) -> list[str] | None:
    """Return the fields that a header names, whatever else it says; None where it names none."""
    content = metadata.get(METADATA_KEY, b"")
    try:
        present = parse_json(content)["present"] if len(content) <= HEADER_BYTES else None
    except (BadDocument, KeyError, TypeError):
        return None
    return [*present] if isinstance(present, dict) else None


def checked_header(path: str | PathLike[str], content: Any) -> EncodingInfo:
    """Make a header of a parsed document, from a file of encodings or from a run's facts.

    Args:
        path: The file it comes from, for errors.
        content: The parsed document.

    Raises:
        UnreadableFile: Says which entry cannot be.
    """
    try:
        info = EncodingInfo.model_validate(content, strict=True)
    except (ValidationError, RecursionError, OverflowError) as error:
        where = ""
        if isinstance(error, ValidationError):
            first = [str(part) for part in error.errors()[0]["loc"]]
            where = ".".join(part if is_clean(part, NAME_CHARACTERS) else "?" for part in first)
        raise UnreadableFile(
            f"{path}: the 'pprl' header cannot be read (at {where!r}). "
            f"It may come from a newer version of pprl."
        ) from None
    for where, wrong in _problems(info):
        raise UnreadableFile(f"{path}: the 'pprl' header cannot be right: {where!r} {wrong}.")
    return info


def _problems(info: EncodingInfo) -> list[tuple[str, str]]:
    """List what no honest header says: (entry, what is wrong)."""
    found = [
        (name, "is too long or has control characters")
        for names, longest in ((_NAMES, NAME_CHARACTERS), (_SENTENCES, SENTENCE_CHARACTERS))
        for name in names
        if not is_clean(getattr(info, name), longest)
    ]
    counted = {
        "groups": (info.groups, GROUPS),
        "present": (info.present, FIELDS),
        "blocking": (info.blocking, PASSES),
        "weights": (info.weights, GROUPS),
        "hardening": (info.hardening, GROUPS + FIELDS),
    }
    for name, (entries, most) in counted.items():
        if len(entries) > most:
            found.append((name, f"has more than {most:,} entries"))
        if not all(is_clean(one, NAME_CHARACTERS) for one in entries):
            found.append((name, "has a name that is too long or has control characters"))
    if found:
        return found
    if info.bits > CLK_BITS:
        found.append(("bits", f"is more than {CLK_BITS:,}"))
    if not all(_GROUP.fullmatch(one) for one in info.groups):
        found.append(("groups", "has a name that cannot be a column's"))
    found += [
        (name, "is larger than any file")
        for name in ("records", "rows")
        if getattr(info, name) > _LARGEST
    ]
    if info.records > info.rows:
        found.append(("records", "is more than there are rows"))
    for name in ("present", "blocking"):
        if not all(0.0 <= share <= 1.0 for share in getattr(info, name).values()):
            found.append((name, "has a share that is not from 0 to 1"))
    for group, fields in info.weights.items():
        if len(fields) > FIELDS or not all(
            is_clean(one, NAME_CHARACTERS) and 0 <= weight <= CLK_BITS
            for one, weight in fields.items()
        ):
            found.append((f"weights.{group}", "has a name or a number that cannot be"))
    counts = info.popcounts
    # A header of a file without records has zeros.
    if not 0 <= counts.minimum <= counts.maximum <= info.bits:
        found.append(("popcounts", "has a minimum and a maximum that cannot be"))
    elif not (counts.minimum - 0.001 <= counts.mean <= counts.maximum + 0.001) or not (
        math.isfinite(counts.sd) and 0 <= counts.sd <= info.bits
    ):
        found.append(("popcounts", "has a mean or a deviation that cannot be"))
    found += _wrong_hardening(info)
    return found


def _wrong_hardening(info: EncodingInfo) -> list[tuple[str, str]]:
    for name in info.groups or [""]:
        said = info.hardened(name)
        method = said.get("method", "")
        if not isinstance(method, str) or not is_clean(method, NAME_CHARACTERS):
            return [("hardening", "has a method that is no name")]
    level: list[Any] = [info.hardening]
    while level:
        node = level.pop()
        if isinstance(node, Mapping):
            level.extend([*node.keys(), *node.values()])
        elif isinstance(node, list | tuple):
            level.extend(node)
        elif isinstance(node, str):
            if not is_clean(node, SENTENCE_CHARACTERS):
                return [("hardening", "has a text that is too long or has control characters")]
        elif isinstance(node, int | float) and not abs(node) <= _LARGEST:
            return [("hardening", "has a number out of range")]
    return []
