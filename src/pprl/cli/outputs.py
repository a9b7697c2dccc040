"""The formats in which results are given back: options, and where a command writes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pprl.cli.logs import LOGS
from pprl.errors import UsageError

Format = Literal["parquet", "csv", "arrow"]

FormatChoice = Annotated[
    Format | None,
    typer.Option("--format", help="Give the table back in this format, too."),
]
ExcelSafe = Annotated[
    bool,
    typer.Option("--excel-safe", help="CSV: texts that Excel would change or run are marked."),
]

KeepUntil = Annotated[
    datetime | None,
    typer.Option(
        "--keep-until",
        metavar="DATE",
        formats=["%Y-%m-%d"],
        help="Day until which the run may be held.",
    ),
]


def day_of(until: datetime | None) -> dict[str, str]:
    """Return what ``linkage.json`` says of the day until which a run may be held."""
    return {} if until is None else {"keep_until": until.date().isoformat()}


@dataclass(frozen=True)
class Output:
    """Where a linkage writes to: a folder of files, or one file by itself.

    Attributes:
        path: The folder, or the file.
        kind: The format of the file, or of the table that the folder has besides.
        excel: Whether CSV is for Excel.
        alone: Whether it is one file.
    """

    path: Path
    kind: Format | None
    excel: bool
    alone: bool

    @classmethod
    def of(cls, path: Path, kind: Format | None, excel: bool) -> Output:
        """Read what was asked for.

        Raises:
            UsageError: The file's name and the format do not agree, or only CSV is for Excel.
        """
        from pprl.exchange.formats import format_of

        named = None if path.is_dir() else format_of(path)
        if named and kind and named != kind:
            raise UsageError(f"-o {path.name} is a file of another format than --format {kind}.")
        kind = kind or named
        if excel and kind != "csv":
            raise UsageError("--excel-safe is for CSV: add --format csv, or name a file .csv.")
        if named is None:
            LOGS.keep(path)
        return cls(path, kind, excel, named is not None)

    @contextmanager
    def staged(self, names: Sequence[str]) -> Iterator[Path | None]:
        """Give a folder to write to, or nothing where only one file is wanted.

        Raises:
            OutputExists: One of the files is there already.
        """
        from pprl.exchange.atomic import output_folder, refuse_existing

        if self.alone:
            refuse_existing(self.path)
            yield None
            return
        tables = [name for name in names if name in ("links.parquet", "clusters.parquet")]
        more = [str(Path(name).with_suffix(f".{kind}")) for name in tables for kind in _OTHERS]
        with output_folder(self.path, [*names, *more]) as folder:
            yield folder

    def copy(self, table: Path) -> None:
        """Write a table that is in the folder in the format that was asked for, beside it."""
        from pprl.exchange.formats import copy_as

        if self.kind in _OTHERS:
            copy_as(table, table.with_suffix(f".{self.kind}"), self.kind, excel=self.excel)


_OTHERS: tuple[Literal["csv", "arrow"], ...] = ("csv", "arrow")

__all__ = ["ExcelSafe", "Format", "FormatChoice", "KeepUntil", "Output", "day_of"]
