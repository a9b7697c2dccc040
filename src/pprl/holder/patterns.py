r"""Regular expressions of schemas, matched in time that grows with the text and not faster.

A schema may come from somebody else, and with Python's own engine a pattern such as ``(a+)+$``
takes longer than a lifetime on a value of fifty letters. Arrow's engine is RE2 (Cox, Regular
expression matching in the wild, 2010), which reads a text once, whatever the pattern. It has no
look-around and no back-references; a pattern that needs these is refused.

Patterns are written as for Python: ``\d``, ``\w`` and ``\s`` mean the digits, letters and white
space of every script, and are rewritten for RE2, where they mean those of ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

LONGEST = 2_000
"""Characters of a pattern; the longest in known schemas have some 200."""

_CLASSES = {
    "d": r"\p{Nd}",
    "w": r"\p{L}\p{N}_",
    "s": r"\t\n\v\f\r\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}"
    r"\x{205f}\x{3000}",
}


@dataclass(frozen=True)
class Pattern:
    """A pattern that whole values must have.

    Example:
        >>> Pattern.of(r"[0-9]{4} ?[A-Z]{2}").fits(["1234 AB", "x1234AB"])
        array([ True, False])
    """

    expression: str

    @classmethod
    def of(cls, pattern: str) -> Pattern:
        """Check and rewrite a pattern.

        Raises:
            ValueError: It is too long, no regular expression, or needs what takes no bounded time.
        """
        return _pattern(pattern)

    def fits(self, values: Sequence[str | None] | pa.StringArray) -> NDArray[np.bool_]:
        """Tell which values have the pattern from their first to their last character."""
        texts = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
        found = pc.fill_null(pc.match_substring_regex(texts, self.expression), False)
        matched: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
        return matched


@lru_cache(maxsize=64)
def _pattern(pattern: str) -> Pattern:
    if len(pattern) > LONGEST:
        raise ValueError(f"the pattern has more than {LONGEST:,} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(
            f"the pattern is no regular expression: {error if isinstance(error, re.error) else ''}"
        ) from None
    made = Pattern(rf"\A(?:{_for_re2(pattern)})\z")
    try:
        made.fits([""])
    except pa.ArrowException:
        raise ValueError(
            "the pattern looks ahead or behind, refers back, or is too large; such patterns may "
            "take forever. Write it without"
        ) from None
    return made


def _for_re2(pattern: str) -> str:
    """Rewrite the classes of Python that RE2 reads otherwise."""
    made: list[str] = []
    inside = False
    at = 0
    while at < len(pattern):
        one = pattern[at]
        if one == "\\" and at + 1 < len(pattern):
            made.append(_escape(pattern[at + 1], inside))
            at += 2
            continue
        if one == "[" and not inside:
            inside = True
            # A bracket right behind the opening one is itself.
            start = re.match(r"\[\^?\]?", pattern[at:])
            made.append(start[0].replace("]", r"\]") if start else one)
            at += len(start[0]) if start else 1
            continue
        if one == "[":
            made.append(r"\[")
        elif one == "]" and inside:
            inside = False
            made.append(one)
        else:
            made.append(one)
        at += 1
    return "".join(made)


def _escape(letter: str, inside: bool) -> str:
    kind = _CLASSES.get(letter.lower())
    if kind is None:
        return r"\z" if letter == "Z" else f"\\{letter}"
    if letter.islower():
        return kind if inside else f"[{kind}]"
    if not inside:
        return f"[^{kind}]"
    # RE2 has no complement within a class, but for single properties.
    return r"\P{Nd}" if letter == "D" else f"\\{letter}"
