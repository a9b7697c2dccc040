"""What a run did, for Python's ``logging``: stages, counts and durations.

The logger is ``pprl``. The library only writes to it, and configures nothing; the command line
shows it (``-v``) and keeps it in the run's folder (``run.log``). A line has the id of its run, what
was done and numbers. It has no other values: `note` takes numbers only, so that no record id, no
name, no key and no encoding can be written by mistake.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

LOG = logging.getLogger("pprl")

_RUN: ContextVar[str] = ContextVar("pprl_run", default="")
# Words of the code: a stage, a command, an error's class.
_WORDS = re.compile(r"[A-Za-z][A-Za-z -]{0,59}")


def run_id() -> str:
    """Return the id of the run that goes on; one is drawn where there is none.

    Examples:
        >>> len(run_id())
        12
    """
    if not _RUN.get():
        _RUN.set(secrets.token_hex(6))
    return _RUN.get()


@contextmanager
def run() -> Iterator[str]:
    """Give what is logged in the block an id of its own, drawn at random.

    Examples:
        >>> with run() as one, run() as other:
        ...     one == other
        False
    """
    token = _RUN.set(secrets.token_hex(6))
    try:
        yield _RUN.get()
    finally:
        _RUN.reset(token)


def note(
    what: str, numbers: Mapping[str, float | None] | None = None, /, **more: float | None
) -> None:
    """Log what was done, with numbers.

    Args:
        what: Words of the code, never a value.
        numbers: Counts and seconds. Those that are None are left out.
        **more: More of them.

    Raises:
        TypeError: A value is no number, or ``what`` is not words.

    Examples:
        >>> note("comparing", pairs=12, seconds=0.25)
        >>> note("comparing", record="123456782")
        Traceback (most recent call last):
        ...
        TypeError: the log takes numbers only, and record is none.
    """
    if not _WORDS.fullmatch(what):
        raise TypeError("the log takes words of the code only.")
    said = []
    for name, value in {**(numbers or {}), **more}.items():
        if value is None:
            continue
        if not isinstance(value, int | float):
            raise TypeError(f"the log takes numbers only, and {name} is none.")
        whole = isinstance(value, int) or not math.isfinite(value)
        said.append(f" {name}={value}" if whole else f" {name}={value:.3f}")
    LOG.info("run=%s %s%s", run_id(), what, "".join(said))


@contextmanager
def stage(what: str, **numbers: float | None) -> Iterator[dict[str, float | None]]:
    """Log that a stage begins, and that it ends or fails, with its seconds.

    Args:
        what: The stage.
        numbers: What is known when it begins.

    Yields:
        A mapping, for the numbers that are known when it ends.
    """
    note(f"{what} begins", numbers)
    start, found = time.perf_counter(), dict[str, float | None]()
    try:
        yield found
    except BaseException as error:
        seconds = time.perf_counter() - start
        note(f"{what} fails with {type(error).__name__}", seconds=seconds)
        raise
    note(f"{what} ends", found, seconds=time.perf_counter() - start)


__all__ = ["LOG", "note", "run", "run_id", "stage"]
