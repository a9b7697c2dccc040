"""What the command line does with the log: shows it, and keeps it in the run's folder."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from pprl.run_log import LOG, note, run

Command = TypeVar("Command", bound=Callable[..., Any])

LOG_FILE = "run.log"
"""The log's name in a run's folder. A later command on the same folder goes on in it."""

_FORM = "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s"


class _Folder(logging.Handler):
    """Keeps lines until a folder is named and there, then appends them to its log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.folder: Path | None = None
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        self.flush()

    def flush(self) -> None:
        if self.folder is None or not self.folder.is_dir():
            return
        try:
            with open(self.folder / LOG_FILE, "a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in self._lines))
        except OSError:
            # A folder that cannot be written to is told by what writes the results.
            return
        self._lines.clear()


class _Shown(logging.StreamHandler[Any]):
    """Standard error as it is now; a test may have put another in its place."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)


class CommandLog:
    """The log of the command that runs: how much of it is shown, and the folder that keeps it.

    Attributes:
        level: 0 by default; 1, 2 for ``-v``, ``-vv``; below 0 for ``-q``.
    """

    def __init__(self) -> None:
        self.level = 0
        self._kept = _Folder()
        self._shown: logging.Handler | None = None

    @property
    def quiet(self) -> bool:
        """Whether only errors are told."""
        return self.level < 0

    def keep(self, folder: Path) -> None:
        """Keep the log in a folder, as soon as it is there."""
        self._kept.folder = folder
        self._kept.flush()

    def louder(self, by: int) -> None:
        """Change how much is shown."""
        self.level += by
        if self.level > 0 and self._shown is None:
            self._shown = _Shown()
            self._shown.setFormatter(_formatter())
            LOG.addHandler(self._shown)
        if self._shown is not None:
            self._shown.setLevel(logging.DEBUG if self.level > 1 else logging.INFO)

    def begin(self, context: typer.Context) -> None:
        """Begin the log of a command; it ends with the command's context."""
        self.level, self._kept = 0, _Folder()
        self._kept.setFormatter(_formatter())
        before = LOG.level
        LOG.setLevel(logging.DEBUG)
        LOG.addHandler(self._kept)
        going = run()
        going.__enter__()
        command, start = context.invoked_subcommand or "pprl", time.perf_counter()
        note(f"command {command} begins")

        def end() -> None:
            error = sys.exception()
            code = getattr(error, "exit_code", 0 if error is None else 1)
            named = "" if error is None else f" with {type(error).__name__}"
            note(f"command {command} ends{named}", exit=code, seconds=time.perf_counter() - start)
            self._kept.flush()
            going.__exit__(None, None, None)
            for handler in (self._kept, self._shown):
                if handler is not None:
                    LOG.removeHandler(handler)
            self._shown = None
            LOG.setLevel(before)

        context.call_on_close(end)


def _formatter() -> logging.Formatter:
    made = logging.Formatter(_FORM, "%Y-%m-%dT%H:%M:%S")
    made.converter = time.gmtime
    return made


LOGS = CommandLog()
"""The log of the command that runs."""


Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, help="Show the log on standard error; -vv: all."),
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="Show no progress and no warnings, only errors.")
]


class App(typer.Typer):
    """An application whose every command takes ``-v`` and ``-q``."""

    def command(self, *names: Any, **options: Any) -> Callable[[Command], Command]:
        """Register a function as a command, with the two options added."""
        register = super().command(*names, **options)

        def add(function: Command) -> Command:
            register(_with_loudness(function))
            return function

        return add


def _with_loudness(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*arguments: Any, verbose: int = 0, quiet: bool = False, **options: Any) -> Any:
        LOGS.louder(verbose - quiet)
        return function(*arguments, **options)

    more = {"verbose": (Verbose, 0), "quiet": (Quiet, False)}
    # Evaluated, since typer takes a signature that is given as it stands.
    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in more.items()
    ]
    both = signature.replace(parameters=[*signature.parameters.values(), *added])
    called.__signature__ = both  # type: ignore[attr-defined]
    called.__annotations__ = {name: one.annotation for name, one in both.parameters.items()}
    return called


__all__ = ["LOGS", "LOG_FILE", "App", "CommandLog", "Quiet", "Verbose"]
