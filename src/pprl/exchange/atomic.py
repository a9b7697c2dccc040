"""Outputs that appear whole or not at all: one file, several files, a folder, a key.

Every write goes to a temporary name first. A disk that is full, or that may not be written to,
becomes `UnwritableFile`, and the temporary files are removed.

Several files of one command appear together. Each has a temporary name until all are written.
Then a marker is put beside the first of them, the files are renamed, and the marker is removed.
A marker that is found later says that the command was killed between two renames: what it had
renamed is removed, and the command may run again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path

from pprl.errors import OutputExists, UnwritableFile, UsageError
from pprl.exchange.untrusted.text import shown

_MARKER = ".unfinished"
_SECRET = shown("AGE-SECRET-KEY-" + 8 * "A")
_LARGEST_MARKER = 1 << 20
_FULL = {
    errno.ENOSPC: "is full",
    errno.EROFS: "is read-only",
    errno.EFBIG: "takes no file so large",
} | ({errno.EDQUOT: "has no more room for you (quota)"} if hasattr(errno, "EDQUOT") else {})


@contextmanager
def whole_file(path: str | PathLike[str], *, private: bool = False) -> Iterator[Path]:
    """Give a temporary name beside ``path`` and rename it when the block succeeds.

    Args:
        path: The file to write.
        private: Readable by its owner only (mode 0600), as for everything that identifies.

    Raises:
        OutputExists: There is something at ``path`` already.
        UnwritableFile: The folder does not exist, cannot be written to, or the disk is full.
    """
    with whole_files(path, private=private) as (temporary,):
        yield temporary


@contextmanager
def whole_files(*paths: str | PathLike[str], private: bool = False) -> Iterator[list[Path]]:
    """Give temporary names beside paths; when the block succeeds, all appear, or none.

    Raises:
        What `whole_file` raises.
    """
    targets = [Path(path) for path in paths]
    refuse_existing(*targets)
    with ExitStack() as stack:
        temporaries = []
        for target in targets:
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
            stack.callback(_remove_quietly, temporary)
            with writing(target):
                mode = 0o600 if private else 0o666
                os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            temporaries.append(temporary)
        with writing(targets[0] if len(targets) == 1 else targets[0].parent):
            yield temporaries
        commit(dict(zip(temporaries, targets, strict=True)))


@contextmanager
def staged_files(*paths: str | PathLike[str]) -> Iterator[list[Path]]:
    """As `whole_files`, for writers that want to make their file themselves.

    Raises:
        What `whole_file` raises.
    """
    targets = [Path(path) for path in paths]
    refuse_existing(*targets)
    mark = uuid.uuid4().hex
    names = [target.with_name(f".{target.name}.{mark}.part") for target in targets]
    try:
        with writing(targets[0]):
            yield names
        commit(dict(zip(names, targets, strict=True)))
    finally:
        for name in names:
            _remove_quietly(name)


@contextmanager
def output_folder(folder: str | PathLike[str], names: Sequence[str]) -> Iterator[Path]:
    """Give a folder to write to; when the block succeeds its files appear in ``folder`` together.

    A folder that does not exist yet is renamed whole.

    Args:
        folder: Where the files are to appear.
        names: The names, relative to the folder, that the block may write.

    Raises:
        OutputExists: One of the names is there already, or the folder is a file.
        UnwritableFile: The folder cannot be made or written to, or the disk is full.
    """
    target = Path(folder)
    refuse_existing(*(target / name for name in names))
    if target.exists() and not target.is_dir():
        raise OutputExists(f"{folder} is a file. Choose another name.")
    new = not target.exists()
    place = target.absolute().parent if new else target.absolute()
    staged = place / f".{target.absolute().name}.{uuid.uuid4().hex}.part"
    try:
        with writing(target):
            staged.mkdir(parents=True)
            yield staged
            written = {path: target / path.relative_to(staged) for path in _files_in(staged)}
            for path in written:
                _to_disk(path)
        refuse_existing(*(target / name for name in names))
        if new and not target.exists():
            with writing(target):
                staged.rename(target)
                sync_folder(place)
            return
        with writing(target):
            for inner in {path.parent for path in written.values()}:
                inner.mkdir(parents=True, exist_ok=True)
        commit(written)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def commit(files: dict[Path, Path]) -> None:
    """Rename files that are complete, so that a kill on the way leaves no half of them.

    Args:
        files: The name to be of each file, by its name now.

    Raises:
        OutputExists: One of the names is taken.
        UnwritableFile: A file cannot be written or renamed.
    """
    first = next(iter(files.values()), None)
    if first is None:
        return
    with writing(first):
        for path in files:
            _to_disk(path)
    refuse_existing(*files.values())
    marker = first.with_name(f".{first.name}{_MARKER}")
    try:
        with writing(first):
            if len(files) > 1:
                _mark(marker, files)
            for path, target in files.items():
                path.replace(target)
            for place in {target.parent for target in files.values()}:
                sync_folder(place)
    except BaseException:
        _roll_back(marker, list(files.values()))
        raise
    if len(files) > 1:
        with writing(first):
            marker.unlink()


def write_secret(text: str, path: str | PathLike[str], what: str) -> None:
    """Write a key, readable by its owner only (mode 0600); a failure leaves nothing.

    Args:
        text: The key as text.
        path: Where to write it.
        what: What it is, for the error, as "A key".

    Raises:
        OutputExists: There is a file already; no secret is ever overwritten.
        UsageError: The name is a key, pasted where the file's name belongs.
        UnwritableFile: The folder does not exist or cannot be written to.
    """
    target = Path(path)
    _refuse_key(target)
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with writing(target):
            if target.exists() or target.is_symlink():
                raise OutputExists(f"{path} exists. {what} is never overwritten.")
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            try:
                # Unlike a rename, a link never takes the place of a file.
                os.link(temporary, target)
            except FileExistsError:
                raise OutputExists(f"{path} exists. {what} is never overwritten.") from None
            except OSError:
                temporary.rename(target)
            sync_folder(target.parent)
    finally:
        del text
        _remove_quietly(temporary)


@contextmanager
def writing(path: str | PathLike[str]) -> Iterator[None]:
    """Make an error that names the disk of whatever goes wrong while something is written.

    Raises:
        UnwritableFile: The system could not write.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: str | PathLike[str], error: OSError) -> UnwritableFile:
    """Make the error for a disk that is full, read-only or gone."""
    reason = error.strerror or str(error).rpartition(": ")[2] or type(error).__name__
    code = error.errno if error.errno is not None else 0
    if code in _FULL:
        disk, state = _disk_of(Path(path)), _FULL[code]
        return UnwritableFile(
            f"cannot write {path}: the disk that holds {disk} {state}. Make room, or write "
            f"elsewhere; nothing half-written is left behind."
        )
    return UnwritableFile(f"cannot write {path}: {reason}.")


def refuse_existing(*targets: Path) -> None:
    """Refuse, before any work is done, to write where something is.

    What a killed command had renamed of several outputs is removed first.

    Raises:
        OutputExists: One of the targets exists.
        UsageError: A name is a key, pasted where the file's name belongs.
    """
    for target in targets:
        _refuse_key(target)
    for folder in {target.parent for target in targets if target.exists()}:
        for marker in folder.glob(f".*{_MARKER}"):
            _roll_back(marker, targets)
    for target in targets:
        if target.exists():
            raise OutputExists(f"{target} exists. Delete it or choose another name.")


def new_folder(folder: str | PathLike[str], files: Sequence[Path]) -> None:
    """Make the folder if needed; refuse, before any work is done, if a file is there.

    Raises:
        OutputExists: One of the files exists, or the folder's name is a file's.
        UnwritableFile: The folder cannot be made.
    """
    refuse_existing(*files)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputExists(f"{folder} is a file. Choose another name.") from None
    except OSError as error:
        raise unwritable(folder, error) from None


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder last through a loss of power, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _refuse_key(target: Path) -> None:
    """Refuse a name that is a key: the folder would show it to everybody."""
    if _SECRET in shown(str(target)):
        raise UsageError("the name of the file to write is itself a key. Name a file.")


def _mark(marker: Path, files: dict[Path, Path]) -> None:
    """Write down which files are about to be renamed, and what tells each from any other."""
    content = {os.path.relpath(to, marker.parent): _identity(path) for path, to in files.items()}
    temporary = marker.with_name(f".{uuid.uuid4().hex}.part")
    try:
        temporary.write_text(json.dumps(content), encoding="utf-8")
        _to_disk(temporary)
        temporary.replace(marker)
        sync_folder(marker.parent)
    finally:
        _remove_quietly(temporary)


def _roll_back(marker: Path, targets: Sequence[Path]) -> None:
    """Remove those of the targets that a command had renamed when it was killed.

    Only a file that the marker describes, and that this call is about to write, is removed.
    """
    try:
        if marker.stat().st_size > _LARGEST_MARKER:
            return
        content = json.loads(marker.read_bytes())
        listed = {(marker.parent / name).absolute(): content[name] for name in content}
    except (OSError, ValueError, TypeError, RecursionError):
        return
    wanted = {Path(os.path.normpath(target.absolute())) for target in targets}
    left = False
    for path, identity in listed.items():
        place = Path(os.path.normpath(path))
        if not place.exists() or _identity(place) != identity:
            continue
        if place in wanted:
            _remove_quietly(place)
        else:
            left = True
    if not left:
        _remove_quietly(marker)


def _identity(path: Path) -> list[int]:
    """Return what a file keeps when it is renamed: inode, size, time of its last change."""
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _to_disk(path: Path) -> None:
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode))


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _disk_of(path: Path) -> Path:
    """Return the folder of a path that exists, to name the disk by."""
    place = path.absolute().parent
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


__all__ = [
    "commit",
    "new_folder",
    "output_folder",
    "refuse_existing",
    "staged_files",
    "sync_folder",
    "unwritable",
    "whole_file",
    "whole_files",
    "write_secret",
    "writing",
]
