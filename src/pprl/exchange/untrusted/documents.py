"""Foreign JSON and TOML: bounded in size and depth, every number finite, no name twice."""

from __future__ import annotations

import json
import math
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

from pprl.errors import UnreadableFile
from pprl.exchange.untrusted.limits import DEPTH, DOCUMENT_BYTES, DOTS_IN_A_LINE, RESULT_BYTES


class BadDocument(ValueError):
    """A text is no JSON or TOML that we read; says why, and repeats nothing of it."""


def read_bounded(path: str | PathLike[str], most: int) -> bytes:
    """Read a file of at most so many bytes.

    Raises:
        UnreadableFile: It is missing, cannot be read, or is larger.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise UnreadableFile(f"{path}: there is no such file.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UnreadableFile(f"{path} cannot be read ({why}).") from None
    if len(content) > most:
        raise UnreadableFile(f"{path} is larger than {most:,} bytes, the most that is read.")
    return content


def read_text(path: str | PathLike[str], most: int = DOCUMENT_BYTES) -> str:
    """Read a bounded file of UTF-8 text, with or without a byte-order mark.

    Raises:
        UnreadableFile: It is missing, too large or not UTF-8.
    """
    try:
        return read_bounded(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path} is not UTF-8 text.") from None


def read_json(path: str | PathLike[str], most: int = RESULT_BYTES) -> Any:
    """Read a bounded JSON file.

    Raises:
        UnreadableFile: It is missing, too large, too deep or no JSON.
    """
    content = read_bounded(path, most)
    try:
        return parse_json(content)
    except BadDocument as error:
        raise UnreadableFile(f"{path} cannot be read as JSON: {error}.") from None


def read_json_object(path: str | PathLike[str], most: int = RESULT_BYTES) -> dict[str, Any]:
    """Read a bounded JSON file that holds an object.

    Raises:
        UnreadableFile: It is missing, too large, too deep, no JSON or no object.
    """
    content = read_json(path, most)
    if not isinstance(content, dict):
        raise UnreadableFile(f"{path} is not a JSON object.")
    return content


def parse_json(content: bytes | str) -> Any:
    """Parse JSON.

    Example:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
        >>> parse_json("[" * 1000 + "]" * 1000)
        Traceback (most recent call last):
        pprl.exchange.untrusted.documents.BadDocument: it nests more than 64 levels deep

    Raises:
        BadDocument: It is none, or beyond the limits.
    """
    try:
        made = json.loads(content, parse_constant=_not_finite, object_pairs_hook=_once)
    except RecursionError:
        raise BadDocument(f"it nests more than {DEPTH} levels deep") from None
    except BadDocument:
        raise
    except json.JSONDecodeError as error:
        raise BadDocument(f"{error.msg}, line {error.lineno}, column {error.colno}") from None
    except ValueError:
        raise BadDocument("it is not UTF-8 text, or has a number of thousands of digits") from None
    check_document(made)
    return made


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        BadDocument: It is none, or beyond the limits.
    """
    if len(text) > DOCUMENT_BYTES:
        raise BadDocument(f"it is longer than {DOCUMENT_BYTES:,} characters")
    if any(line.count(".") > DOTS_IN_A_LINE for line in text.splitlines()):
        raise BadDocument(f"a line has more than {DOTS_IN_A_LINE:,} dots")
    try:
        made = tomllib.loads(text)
    except RecursionError:
        raise BadDocument(f"it nests more than {DEPTH} levels deep") from None
    except tomllib.TOMLDecodeError as error:
        # The parser's message may quote a key or a value.
        raise BadDocument(_without_quotes(str(error))) from None
    except ValueError:
        raise BadDocument("a number or a date in it cannot be read") from None
    check_document(made)
    return made


def check_document(document: Any) -> None:
    """Refuse a parsed document that is too deep, or has a number that is not finite.

    Raises:
        BadDocument: Says which.
    """
    level: list[Any] = [[document]]
    for _ in range(DEPTH + 1):
        inner: list[Any] = []
        for node in level:
            values = node.values() if isinstance(node, dict) else node
            inner += [one for one in values if isinstance(one, dict | list)]
            if any(isinstance(one, float) and not math.isfinite(one) for one in values):
                raise BadDocument("a number is not finite")
        if not inner:
            return
        level = inner
    raise BadDocument(f"it nests more than {DEPTH} levels deep")


def load_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a bounded TOML file.

    Raises:
        UnreadableFile: It is missing, too large, too deep or no TOML.
    """
    text = read_text(Path(path))
    try:
        return parse_toml(text)
    except BadDocument as error:
        raise UnreadableFile(f"{path} cannot be read as TOML: {error}.") from None


def _not_finite(_name: str) -> Any:
    raise BadDocument("a number is not finite")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise BadDocument("a name stands twice in one object")
    return made


def _without_quotes(message: str) -> str:
    """Keep of a parser's message what it says of the place, not what it quotes."""
    what, at, place = message.partition(" (at ")
    if what.startswith("Cannot"):
        what = "a name stands twice, or is a table and a value"
    return what + at + place
