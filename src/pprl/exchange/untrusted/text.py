"""Foreign strings: checked when they are read, and made harmless where they are shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import UnreadableFile
from pprl.exchange.untrusted.limits import ID_BYTES

# Control characters, line and paragraph separators, and the signs that turn the direction of
# writing (they make a text look like another).
_BAD = r"[\p{Cc}\x{2028}\x{2029}\x{202A}-\x{202E}\x{2066}-\x{2069}]"
_BIDI = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SECRETS = re.compile(r"(?i)(pprl1-|pprl-pseudonyms?1?-|AGE-SECRET-KEY-)[a-z0-9]{8,}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def is_clean(text: str, longest: int) -> bool:
    """Tell whether a string is short enough, and has no control characters."""
    return len(text) <= longest and not any(map(_is_control, text))


def check_ids(path: str | PathLike[str], name: str, ids: pa.StringArray) -> None:
    """Refuse ids that are no UTF-8, empty, too long, with control characters, or formulas.

    An id that begins with ``=`` would be run by a spreadsheet, and no record has one.

    Raises:
        UnreadableFile: Says which row is the first such.
    """
    try:
        ids.validate(full=True)
    except pa.ArrowInvalid:
        raise UnreadableFile(f"{path}: column {name!r} is damaged or not UTF-8 text.") from None
    wrong = (
        ("is empty", pc.equal(pc.binary_length(ids), 0)),
        (f"is longer than {ID_BYTES:,} bytes", pc.greater(pc.binary_length(ids), ID_BYTES)),
        ("has control characters", pc.match_substring_regex(ids, _BAD)),
        ("begins with '=', as a formula does", pc.starts_with(ids, "=")),
    )
    for reason, rows in wrong:
        found = np.flatnonzero(pc.fill_null(rows, False).to_numpy(zero_copy_only=False))
        if len(found):
            raise UnreadableFile(
                f"{path}: column {name!r} {reason} in row {found[0] + 1:,}"
                + (f" and {len(found) - 1:,} more" if len(found) > 1 else "")
                + ". Ask who sent the file to mend it."
            )


def shown(text: str) -> str:
    r"""Return a text for a terminal: control characters as escapes, keys left out.

    Example:
        >>> shown("holder \x1b[2J")
        'holder \\x1b[2J'
        >>> shown("AGE-SECRET-KEY-1QQPQYSQ")
        '(a secret key)'
    """
    plain = "".join(
        _escaped(one) if _is_control(one) and one not in "\n\t" else one for one in text
    )
    return _SECRETS.sub("(a secret key)", plain)


def for_spreadsheets(values: Iterable[Any]) -> list[Any]:
    """Put an apostrophe before texts that a spreadsheet would take for a formula.

    Source: OWASP, CSV injection. `from_spreadsheets` takes it away again.

    Example:
        >>> for_spreadsheets(["+31 20", "Jansen", 3])
        ["'+31 20", 'Jansen', 3]
    """
    return [
        f"'{one}" if isinstance(one, str) and one.lstrip("'").startswith(_FORMULA) else one
        for one in values
    ]


def from_spreadsheets(values: Iterable[Any]) -> list[Any]:
    """Take away the apostrophes that `for_spreadsheets` put.

    Example:
        >>> from_spreadsheets(for_spreadsheets(["+31", "'=x", "O'Hara", "'s"]))
        ['+31', "'=x", "O'Hara", "'s"]
    """
    return [
        one[1:]
        if isinstance(one, str) and one[:1] == "'" and one.lstrip("'").startswith(_FORMULA)
        else one
        for one in values
    ]


def _is_control(character: str) -> bool:
    return character in _BIDI or unicodedata.category(character) in ("Cc", "Cs")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
