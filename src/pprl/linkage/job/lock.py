"""One owner of a job's folder, for as long as the owner lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pprl.errors import JobLocked
from pprl.exchange.atomic import unwritable

_LONGEST = 200


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the system lets go when the process ends, however it ends.

    Raises:
        JobLocked: Another process holds it.
        UnwritableFile: The lock file cannot be made.
    """
    lock, owner = FileLock(folder / "lock"), folder / "owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise JobLocked(
            f"{folder} is in use by {_read(owner)}. Wait until it is done, or end it and resume."
        ) from None
    except OSError as error:
        raise unwritable(folder / "lock", error) from None
    try:
        try:
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        except OSError as error:
            raise unwritable(owner, error) from None
        yield
    finally:
        try:
            owner.unlink(missing_ok=True)
        finally:
            lock.release()


def _read(owner: Path) -> str:
    """Say who holds the lock, as far as the file beside it is to be read."""
    try:
        with open(owner, encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST)
    except OSError:
        return "another process"
    return text if text.isprintable() and text else "another process"
