"""Where a file is: on this machine, or behind a URL that fsspec opens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast

from pprl.errors import EmptyInput, MissingDependency, UnreadableFile

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Source:
    """A file that can be opened several times.

    Attributes:
        where: A path, or a URL such as ``s3://bucket/people.csv``.
        name: What messages call it: without what stands before an ``@`` in a URL.
    """

    where: str
    name: str

    @classmethod
    def at(cls, where: str | PathLike[str]) -> Source:
        """Take a path or a URL; the file must be there and not be empty.

        Raises:
            UnreadableFile: There is no such file, or it cannot be opened.
            EmptyInput: The file is empty.
        """
        text = str(where)
        if is_url(text):
            source = cls(text, re.sub(r"://[^/@]*@", "://", text))
            if not source.start(1):
                raise EmptyInput(f"{source.name} is empty.")
            return source
        path = Path(text)
        if not path.is_file():
            raise UnreadableFile(f"{path}: there is no such file.")
        if path.stat().st_size == 0:
            raise EmptyInput(f"{path} is empty.")
        return cls(str(path), str(path))

    def open(self) -> BinaryIO:
        """Open the file for reading bytes.

        Raises:
            UnreadableFile: It cannot be opened.
            MissingDependency: The URL needs a package that is not installed.
        """
        if not is_url(self.where):
            try:
                return open(self.where, "rb")
            except OSError as error:
                raise UnreadableFile(f"{self.name}: {error.strerror}.") from None
        try:
            import fsspec
        except ImportError:
            raise MissingDependency.of(
                f"{self.name}: a URL needs the package fsspec", "files"
            ) from None
        try:
            return cast("BinaryIO", fsspec.open(self.where, "rb").open())
        except ImportError as error:
            raise MissingDependency(
                f"{self.name}: fsspec needs another package for this kind of URL "
                f"({error.name or 'see its documentation'})."
            ) from None
        except (OSError, ValueError) as error:
            raise UnreadableFile(
                f"{self.name} cannot be opened ({type(error).__name__})."
            ) from None

    def start(self, length: int) -> bytes:
        """Return the first bytes."""
        with self.open() as file:
            return file.read(length)


def is_url(text: str) -> bool:
    """Tell whether a text is a URL and not a path."""
    return bool(_URL.match(text))
