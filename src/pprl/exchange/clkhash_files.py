"""Encodings in clkhash's forms: bitarrays, and JSON ``{"clks": [base64, ...]}``.

They carry no record ids and no header. Encodings read from them get their row
numbers as ids, and a header that says what is not known: whether two such files
were made with one schema and one key cannot be checked.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa
from bitarray import bitarray
from numpy.typing import NDArray

from pprl.errors import EmptyInput, LengthMismatch, UnreadableFile, UsageError
from pprl.exchange.encodings import (
    UNKNOWN,
    EncodingInfo,
    Encodings,
    Popcounts,
    as_words,
    count_bits,
)
from pprl.exchange.files import write_json


def to_bitarrays(encodings: Encodings) -> list[bitarray]:
    """Return the CLKs as big-endian bitarrays, as clkhash and anonlink use them."""
    made = []
    for row in encodings.clks:
        bits = bitarray(endian="big")
        bits.frombytes(row.tobytes())
        made.append(bits)
    return made


def from_bitarrays(
    bitarrays: Iterable[bitarray],
    record_ids: Sequence[str] | None = None,
    *,
    holder: str = "",
    schema_name: str = UNKNOWN,
) -> Encodings:
    """Take over CLKs made by clkhash.

    Args:
        bitarrays: CLKs of one length.
        record_ids: Their ids; row numbers from 0 by default.
        holder: The data holder's name.
        schema_name: The schema's name, for people to read.

    Raises:
        EmptyInput: There are none.
        LengthMismatch: They have different lengths.
        UsageError: The ids do not fit the CLKs.
    """
    # Big-endian, as clkhash makes them, whatever way a bitarray keeps its bits.
    rows = [bitarray(bits, endian="big").tobytes() for bits in bitarrays]
    return _wrap(rows, record_ids, holder, schema_name)


def save_clkhash_json(encodings: Encodings, path: str | PathLike[str]) -> None:
    """Write ``{"clks": [base64, ...]}``; record ids and header are lost.

    Raises:
        OutputExists: There is a file already.
    """
    clks = [base64.b64encode(row.tobytes()).decode("ascii") for row in encodings.clks]
    write_json({"clks": clks}, path)


def load_clkhash_json(
    path: str | PathLike[str],
    record_ids: Sequence[str] | None = None,
    *,
    holder: str = "",
    schema_name: str = UNKNOWN,
) -> Encodings:
    """Read ``{"clks": [base64, ...]}``, as anonlink-client and the entity service write it.

    Raises:
        UnreadableFile: The file is missing or has another form.
        EmptyInput: It holds no CLK.
        LengthMismatch: The CLKs have different lengths.
    """
    try:
        rows = json.loads(Path(path).read_bytes())["clks"]
        decoded = [base64.b64decode(row, validate=True) for row in rows]
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise UnreadableFile(f'{path} is not of the form {{"clks": [base64, ...]}}.') from None
    return _wrap(decoded, record_ids, holder, schema_name)


def _wrap(
    rows: list[bytes], record_ids: Sequence[str] | None, holder: str, schema_name: str
) -> Encodings:
    if not rows or not rows[0]:
        raise EmptyInput("there are no CLKs.")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise LengthMismatch(
            f"the CLKs have different lengths: {8 * lengths[0]} to {8 * lengths[-1]} bits."
        )
    ids = list(record_ids) if record_ids is not None else [str(at) for at in range(len(rows))]
    if len(ids) != len(rows) or len(set(ids)) != len(ids):
        raise UsageError(f"there are {len(rows):,} CLKs; give as many different record ids.")
    clks: NDArray[np.uint8] = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    bits = count_bits(as_words(clks))
    info = EncodingInfo(
        library="clkhash",
        holder=holder,
        schema_name=schema_name,
        schema_fingerprint=UNKNOWN,
        key_check=UNKNOWN,
        self_test=UNKNOWN,
        bits=8 * lengths[0],
        hardening={"method": UNKNOWN},
        records=len(rows),
        rows=len(rows),
        popcounts=Popcounts.of(Counter(bits.tolist())),
        present={},
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    return Encodings(pa.array(ids, pa.string()), clks, info)
