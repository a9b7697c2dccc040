"""Reading and writing the files that travel. Every file appears whole or not at all."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from pprl.errors import OutputExists, UndoneHardeningWarning, UnreadableFile, UsageError
from pprl.exchange.encodings import EncodingInfo, Encodings
from pprl.exchange.links import CLUSTERS_SCHEMA, Clusters, Links
from pprl.exchange.links import SCHEMA as LINKS_SCHEMA

METADATA_KEY = b"pprl"
_KEY_LISTS = pa.list_(pa.binary(8))
"""The Parquet metadata entry that holds an `EncodingInfo` as JSON."""


@contextmanager
def whole_file(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path`` and rename it when the block succeeds.

    Raises:
        OutputExists: There is something at ``path`` already.
        UnreadableFile: The folder does not exist or cannot be written to.
    """
    target = Path(path)
    refuse_existing(target)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise UnreadableFile(f"cannot write {target}: {error.strerror}.") from None
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        refuse_existing(target)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


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


def refuse_existing(*targets: Path) -> None:
    """Refuse, before any work is done, to write where something is.

    Raises:
        OutputExists: One of the targets exists.
    """
    for target in targets:
        if target.exists():
            raise OutputExists(f"{target} exists. Delete it or choose another name.")


def new_folder(folder: str | PathLike[str], files: Sequence[Path]) -> None:
    """Make the folder if needed; refuse, before any work is done, if a file is there.

    Raises:
        OutputExists: One of the files exists, or the folder's name is a file's.
        UnreadableFile: The folder cannot be made.
    """
    refuse_existing(*files)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputExists(f"{folder} is a file. Choose another name.") from None
    except OSError as error:
        raise UnreadableFile(f"cannot make {folder}: {error.strerror}.") from None


def write_table(table: pa.Table, path: str | PathLike[str]) -> None:
    """Write a table as Parquet, whole or not at all."""
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_text(text: str, path: str | PathLike[str]) -> None:
    """Write UTF-8 text, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: object, path: str | PathLike[str]) -> None:
    """Write a value as indented JSON, whole or not at all."""
    write_text(json.dumps(value, indent=2) + "\n", path)


class EncodingsWriter:
    """Appends batches to an encodings file; made by `encodings_writer`."""

    def __init__(self, writer: pq.ParquetWriter, columns: Mapping[str, int]) -> None:
        self._writer = writer
        self._columns = columns
        self.finished = False

    def write(
        self,
        record_ids: pa.StringArray,
        clks: NDArray[np.uint8],
        variants: NDArray[np.uint8] | None = None,
        present: NDArray[np.uint8] | None = None,
        block_keys: NDArray[np.uint64] | None = None,
    ) -> None:
        """Append rows: ids, (n, bits / 8) CLKs, and what else the file was opened for."""
        schema = self._writer.schema
        columns = {"record_id": record_ids, "variant": variants}
        start = 0
        for name, bits in self._columns.items():
            columns[name] = _to_binary(clks[:, start : start + bits // 8])
            start += bits // 8
        if present is not None and "present" in schema.names:
            columns["present"] = _to_binary(present)
        if block_keys is not None and "block_keys" in schema.names:
            columns["block_keys"] = _to_key_lists(block_keys)
        self._writer.write_table(pa.table([columns[name] for name in schema.names], schema=schema))

    def finish(self, info: EncodingInfo) -> None:
        """Add the header, which is known only when every record is written."""
        self._writer.add_key_value_metadata({METADATA_KEY: info.model_dump_json().encode()})
        self.finished = True


@contextmanager
def encodings_writer(
    path: str | PathLike[str],
    bits: int,
    variants: bool = False,
    mask_bytes: int = 0,
    groups: Mapping[str, int] | None = None,
    passes: int = 0,
    seal_to: Sequence[str] = (),
) -> Iterator[EncodingsWriter]:
    """Write an encodings file batch by batch. Without `finish` no file appears.

    With recipients in ``seal_to`` it is encrypted to them on its way to the disk.
    """
    clk_columns = _clk_columns(bits, groups or {})
    types = {"record_id": pa.string()}
    types |= {name: pa.binary(width // 8) for name, width in clk_columns.items()}
    if variants:
        types["variant"] = pa.uint8()
    if mask_bytes:
        types["present"] = pa.binary(mask_bytes)
    if passes:
        types["block_keys"] = _KEY_LISTS
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])
    with _target(path, seal_to) as target:
        # CLKs are as good as random: compressing them costs time and saves nothing.
        with pq.ParquetWriter(
            target,
            schema,
            compression={name: "none" if name in clk_columns else "zstd" for name in types},
            use_dictionary=False,
        ) as parquet:
            writer = EncodingsWriter(parquet, clk_columns)
            yield writer
        if not writer.finished:
            raise RuntimeError("an encodings file was left without a header")


@contextmanager
def _target(path: str | PathLike[str], seal_to: Sequence[str]) -> Iterator[Path | IO[bytes]]:
    if seal_to:
        from pprl.exchange.sealing import sealed_writer

        with sealed_writer(path, seal_to) as stream:
            yield stream
    else:
        with whole_file(path) as temporary:
            yield temporary


def _clk_columns(bits: int, groups: Mapping[str, int]) -> dict[str, int]:
    """Name the columns that hold CLKs, with their lengths in bits."""
    return {f"clk_{name}": width for name, width in groups.items()} or {"clk": bits}


def read_encodings(
    path: str | PathLike[str], identity: str | PathLike[str] | None = None
) -> Encodings:
    """Read an encodings file into memory; a sealed one with an age identity file.

    Raises:
        UnreadableFile: The file is missing, damaged or not an encodings file, or it is
            sealed and cannot be opened (see `pprl.exchange.sealing.unseal`).
        UsageError: It is sealed and there is no identity.
    """
    table, metadata = _read_parquet(path, identity)
    info = _parse_info(path, metadata)
    clk_columns = _clk_columns(info.bits, info.groups)
    expected = {"record_id": pa.string()}
    expected |= {name: pa.binary(width // 8) for name, width in clk_columns.items()}
    if "variant" in table.column_names:
        expected["variant"] = pa.uint8()
    if "present" in table.column_names:
        expected["present"] = pa.binary(-(-len(info.present) // 8))
    if info.blocking:
        expected["block_keys"] = _KEY_LISTS
    for name, kind in expected.items():
        if name not in table.column_names or table.schema.field(name).type != kind:
            raise UnreadableFile(f"{path}: column {name!r} is missing or not of type {kind}.")
        if table[name].null_count:
            raise UnreadableFile(f"{path}: column {name!r} has missing values.")
    if table.num_rows != info.rows:
        raise UnreadableFile(
            f"{path}: the header announces {info.rows:,} rows, "
            f"the file holds {table.num_rows:,}. Ask the holder to send it again."
        )
    clks = [_from_binary(_one_chunk(table[name])) for name in clk_columns]
    return Encodings(
        record_ids=_one_chunk(table["record_id"]),
        clks=clks[0] if len(clks) == 1 else np.concatenate(clks, axis=1),
        info=info,
        variants=table["variant"].to_numpy() if "variant" in expected else None,
        present=_from_binary(_one_chunk(table["present"])) if "present" in expected else None,
        block_keys=_from_key_lists(path, _one_chunk(table["block_keys"]), len(info.blocking))
        if info.blocking
        else None,
    )


def read_info(path: str | PathLike[str]) -> EncodingInfo:
    """Read the header of an encodings file that is not sealed, and no record.

    Raises:
        UnreadableFile: The file is missing, damaged or not an encodings file.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except FileNotFoundError:
        raise UnreadableFile(f"{path}: there is no such file.") from None
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(
            f"{path} cannot be read as Parquet ({type(error).__name__}). Is it sealed?"
        ) from None
    return _parse_info(path, metadata)


def read_links(path: str | PathLike[str]) -> Links:
    """Read a links file.

    Raises:
        UnreadableFile: The file is missing, damaged or has other columns.
    """
    return Links(_read_columns(path, LINKS_SCHEMA, "links"))


def read_clusters(path: str | PathLike[str]) -> Clusters:
    """Read a clusters file.

    Raises:
        UnreadableFile: The file is missing, damaged or has other columns.
    """
    table = _read_columns(path, CLUSTERS_SCHEMA, "clusters")
    for name in table.column_names:
        if table[name].null_count:
            raise UnreadableFile(f"{path}: column {name!r} has missing values.")
    return Clusters(table)


def _read_columns(path: str | PathLike[str], schema: pa.Schema, kind: str) -> pa.Table:
    table, _ = _read_parquet(path)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise UnreadableFile(f"{path} is not a {kind} file: column {missing[0]!r} is missing.")
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowInvalid:
        raise UnreadableFile(f"{path} is not a {kind} file: a column has another type.") from None


def _read_parquet(
    path: str | PathLike[str], identity: str | PathLike[str] | None = None
) -> tuple[pa.Table, dict[bytes, bytes]]:
    from pprl.exchange.sealing import is_sealed, open_sealed

    if not Path(path).is_file():
        raise UnreadableFile(f"{path}: there is no such file.")
    source: Any = path
    if is_sealed(path):
        if identity is None:
            raise UsageError(
                f"{path} is sealed. Give the identity file it was sealed for (--identity)."
            )
        source = open_sealed(path, identity)
    try:
        with pq.ParquetFile(source) as file:
            return file.read(), file.metadata.metadata or {}
    except (pa.ArrowException, OSError) as error:
        reason = "it is empty" if Path(path).stat().st_size == 0 else type(error).__name__
        raise UnreadableFile(
            f"{path} cannot be read as Parquet ({reason}). Was it cut short on its way?"
        ) from None


def _parse_info(path: str | PathLike[str], metadata: dict[bytes, bytes]) -> EncodingInfo:
    if METADATA_KEY not in metadata:
        raise UnreadableFile(
            f"{path} is Parquet but not an encodings file: it has no 'pprl' header. "
            f"Encodings are made with 'pprl encode'."
        )
    try:
        info = EncodingInfo.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UnreadableFile(
            f"{path}: the 'pprl' header cannot be read (at {where!r}). "
            f"It may come from a newer version of pprl."
        ) from None
    if info.undone:
        warnings.warn(
            f"{path} was encoded by diffusion with more output bits than filter bits. Who has the "
            f"file can undo that without the key. Treat it like a plain CLK, and let the holders "
            f"encode again with the profiles of today (docs/explanation/what-fell.md)",
            UndoneHardeningWarning,
            stacklevel=4,
        )
    return info


def _to_binary(rows: NDArray[np.uint8]) -> pa.FixedSizeBinaryArray:
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, data])


def _from_binary(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """View fixed-size binary values as rows of bytes, without a copy."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def _to_key_lists(keys: NDArray[np.uint64]) -> pa.ListArray:
    """Write (n, passes) keys as lists of 8 bytes, most significant first; null for 0."""
    flat = np.ascontiguousarray(keys).reshape(-1)
    present = pa.array(flat != 0).buffers()[1]
    data = pa.py_buffer(flat.astype(">u8"))
    values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(flat), [present, data])
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * keys.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=_KEY_LISTS)


def _from_key_lists(
    path: str | PathLike[str], column: pa.ListArray, passes: int
) -> NDArray[np.uint64]:
    values = pc.fill_null(column.flatten(), bytes(8))
    if (np.diff(column.offsets.to_numpy()) != passes).any():
        raise UnreadableFile(f"{path}: a record does not have {passes} blocking keys.")
    return _from_binary(values).copy().view(">u8").astype(np.uint64).reshape(-1, passes)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
