"""Encodings from whatever holds them, and files that may take another's place."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from pprl.errors import SchemaMismatch, UnreadableFile, UsageError
from pprl.exchange.encodings import Encodings
from pprl.exchange.sealing import is_sealed
from pprl.exchange.untrusted.header import field_names
from pprl.exchange.untrusted.parquet import open_parquet

Encoded: TypeAlias = "Encodings | str | PathLike[str]"
"""Encodings, or the path of their file; a JSON file is read as clkhash writes it."""


def opened(given: Encoded) -> Encodings:
    """Return encodings as they are, or read them from their file.

    Raises:
        UnreadableFile: The file is missing, damaged or no encodings file.
        UsageError: It is neither encodings nor a path.
    """
    if isinstance(given, Encodings):
        return given
    if isinstance(given, str | PathLike):
        return Encodings.load(given)
    raise UsageError(
        f"encodings are needed, or the path of their file, not {type(given).__name__}. "
        f"People's records are encoded first: pprl.encode."
    )


def refuse_other_fields(given: Sequence[Encoded]) -> None:
    """Refuse files whose headers name different fields, before their rows are read.

    Of such files a header may be false in other ways, too; that they do not belong together is
    what the user needs to know. Sealed files and encodings in memory are compared when they are
    open (`pprl.exchange.encodings.check_compatible`).

    Raises:
        SchemaMismatch: Names both files.
    """
    seen: list[tuple[str | PathLike[str], list[str]]] = []
    for path in given:
        if not isinstance(path, str | PathLike) or is_sealed(path):
            continue
        try:
            with open_parquet(path) as file:
                names = field_names(file.metadata.metadata or {})
        except UnreadableFile:
            continue
        if names:
            seen.append((path, names))
    for path, names in seen[1:]:
        if sorted(names) != sorted(seen[0][1]):
            raise SchemaMismatch(
                f"{seen[0][0]} and {path} have different fields in their headers. They were "
                f"encoded with different schemas, or one of the headers is not of its rows; let "
                f"both holders encode again with one schema."
            )


@contextmanager
def replacing(path: str | PathLike[str], overwrite: bool) -> Iterator[Path]:
    """Give the path to write to; with ``overwrite`` another one, which takes its place whole.

    What stood there stays until the new file is complete.
    """
    target = Path(path)
    if not overwrite:
        yield target
        return
    new = target.with_name(f".{target.name}.{uuid.uuid4().hex}.new")
    try:
        yield new
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)
