"""The command line: options to calls, calls to exit codes. No logic lives here.

A module for each role; `console` has what they share.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path

from pprl.cli import (
    audit,
    cascade,
    evaluation,
    holder,
    linkage,
    planning,
    practice,
    report,
    review,
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
    "review",
]


def main() -> None:
    """Run the command line; turn errors into one clear message and an exit code."""
    warnings.showwarning = show_warning  # type: ignore[assignment]
    called_from_command_line()
    try:
        app()
    except PprlError as error:
        say_error("error", str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say_error("stopped", "nothing half-written is left behind")
        sys.exit(130)
    except Exception as error:
        # Foreign messages may quote values, so only the place is told.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        say_error("internal error", f"{type(error).__name__} in {place}. Please report this.")
        sys.exit(1)
