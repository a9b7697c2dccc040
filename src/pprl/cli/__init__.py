"""The command line: options to calls, calls to exit codes. No logic lives here.

A module for each role; `console` has what they share.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import typer

from pprl.cli import (
    audit,
    cascade,
    evaluation,
    holder,
    linkage,
    planning,
    practice,
    report,
    retention,
    review,
    secure,
    tokens,
)
from pprl.cli.console import app, say_error, show_warning
from pprl.errors import PprlError
from pprl.tables.arguments import called_from_command_line

__all__ = [
    "app",
    "audit",
    "cascade",
    "evaluation",
    "holder",
    "linkage",
    "main",
    "planning",
    "practice",
    "report",
    "retention",
    "review",
    "secure",
    "tokens",
]


_DISK = {errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.EIO)}


# Typer has click as a part of its own, or beside it; this is its base of wrong usage in either.
_BAD_USAGE: Any = next(
    one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException"
)


def main() -> None:
    """Run the command line; turn errors into one clear message and an exit code."""
    warnings.showwarning = show_warning  # type: ignore[assignment]
    with called_from_command_line():
        _run()


def _run() -> None:
    try:
        # Not standalone: what a usage error quotes may be a key that was pasted.
        ended = app(standalone_mode=False)
    except _BAD_USAGE as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            say_error("error", f"{error.format_message()} Try --help.")
        sys.exit(error.exit_code)
    except typer.Abort:
        say_error("stopped", "nothing half-written is left behind")
        sys.exit(130)
    except PprlError as error:
        say_error("error", str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say_error("stopped", "nothing half-written is left behind")
        sys.exit(130)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Who read the results has gone; Python would say so once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if error.errno not in _DISK:
            _say_bug(error)
            sys.exit(1)
        say_error("error", f"something could not be written or read: {error.strerror}.")
        sys.exit(3)
    except Exception as error:
        _say_bug(error)
        sys.exit(1)
    sys.exit(ended if isinstance(ended, int) else 0)


def _say_bug(error: Exception) -> None:
    """Say where a bug is. Foreign messages may quote values, so only the place is told."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    say_error("internal error", f"{type(error).__name__} in {place}. Please report this.")
