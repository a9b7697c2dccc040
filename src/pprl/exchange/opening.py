"""Encodings from whatever holds them, and files that may take another's place."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from pprl.errors import UsageError
from pprl.exchange.encodings import Encodings

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
