"""One owner of a job's folder, for as long as the owner lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pprl.errors import JobLocked, MissingDependency, UnreadableFile


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the system lets go when the process ends, however it ends.

    Raises:
        JobLocked: Another process holds it.
        UnreadableFile: The lock file cannot be made.
        MissingDependency: The system has no ``flock``.
    """
    try:
        import fcntl
    except ImportError:
        raise MissingDependency("jobs need file locks (flock), as Linux and macOS have.") from None
    path = folder / "lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UnreadableFile(f"cannot write {path}: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            raise JobLocked(
                f"{folder} is in use by {owner}. Wait until it is done, or end it and resume."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
