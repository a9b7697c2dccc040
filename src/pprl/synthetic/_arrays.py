"""Seeded streams, and arrays of text made without a loop over rows."""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import OutputExists, UnwritableFile, UsageError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the random stream of a seed and a path of names, independent of every other."""
    path = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))


def check_seed(seed: object) -> None:
    """Refuse what numpy cannot seed with.

    Raises:
        UsageError: The seed is not an integer of 0 or more.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError("seed must be an integer of 0 or more.")


def mix(values: Ints) -> NDArray[np.uint64]:
    """Scramble integers one to one: the finaliser of SplitMix64 (Steele and others, 2014)."""
    x = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def text(matrix: Bytes) -> pa.StringArray:
    """Turn an (n, width) matrix of ASCII codes into n strings of one width."""
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    content = np.ascontiguousarray(matrix)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(content))


def digits(values: Ints, width: int) -> Bytes:
    """Write numbers of 0 or more as an (n, width) matrix of ASCII digits."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def hexadecimal(values: NDArray[np.uint64]) -> pa.StringArray:
    """Write 64-bit numbers as 16 hexadecimal digits each."""
    shifts = np.arange(60, -1, -4, dtype=np.uint64)
    nibbles = (values[:, None] >> shifts & np.uint64(15)).astype(np.uint8)
    return text(np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles])


def coded(codes: Ints, values: pa.Array) -> pa.DictionaryArray:
    """Choose from a list of values; a negative code is a missing value."""
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=codes < 0), values, safe=False
    )


def dates(days: Ints, known: Bools | None = None) -> pa.Array:
    """Turn days since 1970-01-01 into dates, missing where not ``known``."""
    mask = None if known is None else ~known
    return pa.array(days.astype(np.int32), mask=mask).cast(pa.date32())


def civil(days: Ints) -> tuple[Ints, Ints, Ints]:
    """Split days since 1970-01-01 into year, month and day."""
    day = days.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    year = day.astype("datetime64[Y]")
    return (
        year.astype(np.int64) + 1970,
        (month - year).astype(np.int64) + 1,
        (day - month).astype(np.int64) + 1,
    )


@contextmanager
def whole_files(*paths: str | PathLike[str]) -> Iterator[list[Path]]:
    """Give a temporary name beside each path; rename them all when the block succeeds.

    Raises:
        OutputExists: There is something at one of the paths, or a path is given twice.
        UnwritableFile: A folder does not exist or cannot be written to, or the disk is full.
    """
    targets = [Path(path) for path in paths]
    if len({target.resolve() for target in targets}) < len(targets):
        raise OutputExists(f"{targets[0]} is to be written twice. Choose another name.")
    for target in targets:
        _refuse_existing(target)
        if not (target.parent.is_dir() and os.access(target.parent, os.W_OK)):
            raise UnwritableFile(f"cannot write {target}: {target.parent} is not a folder to use.")
    mark = uuid.uuid4().hex
    parts = [target.with_name(f".{target.name}.{mark}.part") for target in targets]
    try:
        yield parts
        for part, target in zip(parts, targets, strict=True):
            with open(part, "rb") as written:
                os.fsync(written.fileno())
            _refuse_existing(target)
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    except OSError as error:
        raise UnwritableFile(
            f"cannot write {targets[0]}: {error.strerror or type(error).__name__}. Is the disk "
            f"that holds {targets[0].parent} full?"
        ) from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise OutputExists(f"{target} exists. Delete it or choose another name.")
