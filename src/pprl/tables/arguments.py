"""How a message names an argument: as the option it is on the command line, or as in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class _Caller:
    command_line = False


@contextmanager
def called_from_command_line() -> Iterator[None]:
    """Let messages name options while a command runs, in all its threads.

    >>> with called_from_command_line():
    ...     argument("id_column")
    '--id-column'
    """
    before = _Caller.command_line
    _Caller.command_line = True
    try:
        yield
    finally:
        _Caller.command_line = before


def argument(name: str, option: str = "") -> str:
    """Name an argument as its caller knows it.

        >>> argument("id_column")
        'id_column='

    Args:
        name: The argument in Python.
        option: The option, where it is not the same name with dashes.
    """
    if _Caller.command_line:
        return option or f"--{name.replace('_', '-')}"
    return f"{name}="


def setting(name: str, value: str, option: str = "") -> str:
    """Write an argument with a value, as its caller would.

        >>> setting("on_invalid", "skip")
        "on_invalid='skip'"

    Args:
        name: The argument in Python.
        value: A text.
        option: The option, where it is not the same name with dashes.
    """
    if _Caller.command_line:
        return f"{argument(name, option)} {value}"
    return f"{argument(name)}{value!r}"
