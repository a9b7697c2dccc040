"""Reading and writing the files that travel. Every file appears whole or not at all.

What is read is checked in `pprl.exchange.untrusted`; what is written carries digests of its
header and of its content (`pprl.exchange.digests`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pprl.errors import UnreadableFile, UsageError
from pprl.exchange.atomic import (
    new_folder,
    refuse_existing,
    sync_folder,
    whole_file,
    whole_files,
)
from pprl.exchange.columns import (
    KEY_LISTS,
    clk_columns,
    from_binary,
    from_key_lists,
    one_chunk,
    to_binary,
    to_key_lists,
)
from pprl.exchange.digests import TableDigest
from pprl.exchange.encodings import EncodingInfo, Encodings
from pprl.exchange.links import CLUSTERS_SCHEMA, Clusters, Links
from pprl.exchange.links import SCHEMA as LINKS_SCHEMA
from pprl.exchange.untrusted.filters import FilterBounds
from pprl.exchange.untrusted.header import METADATA_KEY, parse_header
from pprl.exchange.untrusted.parquet import (
    check_size,
    check_types,
    open_parquet,
    read_columns,
    size_of,
    verify,
)
from pprl.exchange.untrusted.rows import RowChecks, expected_columns, warn_impossible
from pprl.exchange.untrusted.tables import check_clusters, read_parquet_table

__all__ = [
    "METADATA_KEY",
    "EncodingsWriter",
    "TableWriter",
    "encodings_writer",
    "json_text",
    "new_folder",
    "read_clusters",
    "read_encodings",
    "read_info",
    "read_links",
    "refuse_existing",
    "sync_folder",
    "table_writer",
    "whole_file",
    "write_json",
    "write_table",
    "write_text",
    "write_texts",
]


class TableWriter:
    """Appends rows to a Parquet file that will carry digests; made by `table_writer`."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._digest = TableDigest(writer.schema)

    def write(self, rows: pa.Table) -> None:
        """Append rows that have the columns of the file."""
        self._digest.update(rows)
        self._writer.write_table(rows)

    def finish(self, metadata: Mapping[bytes, bytes]) -> None:
        """Add metadata entries, and the digests of them and of the rows."""
        self._writer.add_key_value_metadata({**metadata, **self._digest.entry(metadata)})


@contextmanager
def table_writer(
    path: str | PathLike[str], schema: pa.Schema, *, private: bool = True
) -> Iterator[TableWriter]:
    """Write a table piece by piece, whole or not at all, with checksums and digests.

    Raises:
        OutputExists: There is a file already.
        UnwritableFile: It cannot be written.
    """
    schema = schema.remove_metadata()
    with (
        whole_file(path, private=private) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", write_page_checksum=True
        ) as parquet,
    ):
        writer = TableWriter(parquet)
        yield writer
        writer.finish({})


def write_table(table: pa.Table, path: str | PathLike[str], *, private: bool = True) -> None:
    """Write a table as Parquet, whole or not at all, with checksums and digests.

    Args:
        table: The rows.
        path: The file.
        private: Readable by its owner only (mode 0600): it may say who is in a register.

    Raises:
        OutputExists: There is a file already.
        UnwritableFile: It cannot be written.
    """
    with table_writer(path, table.schema, private=private) as writer:
        writer.write(table.replace_schema_metadata(None))


def write_text(text: str, path: str | PathLike[str], *, private: bool = False) -> None:
    """Write UTF-8 text, whole or not at all."""
    with whole_file(path, private=private) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: object, path: str | PathLike[str], *, private: bool = False) -> None:
    """Write a value as indented JSON, whole or not at all."""
    write_text(json_text(value), path, private=private)


def write_texts(texts: Mapping[Path, str], *, private: bool = False) -> None:
    """Write several files of UTF-8 text, that appear together or not at all.

    Raises:
        OutputExists: There is one of the files already.
        UnwritableFile: One cannot be written.
    """
    with whole_files(*texts, private=private) as temporaries:
        for temporary, text in zip(temporaries, texts.values(), strict=True):
            temporary.write_text(text, encoding="utf-8")


def json_text(value: object) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2) + "\n"


class EncodingsWriter:
    """Appends batches to an encodings file; made by `encodings_writer`."""

    def __init__(self, writer: pq.ParquetWriter, columns: Mapping[str, int]) -> None:
        self._writer = writer
        self._columns = columns
        self._digest = TableDigest(writer.schema)
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
            columns[name] = to_binary(clks[:, start : start + bits // 8])
            start += bits // 8
        if present is not None and "present" in schema.names:
            columns["present"] = to_binary(present)
        if block_keys is not None and "block_keys" in schema.names:
            columns["block_keys"] = to_key_lists(block_keys)
        rows = pa.table([columns[name] for name in schema.names], schema=schema)
        self._digest.update(rows)
        self._writer.write_table(rows)

    def finish(self, info: EncodingInfo) -> None:
        """Add the header, which is known only when every record is written."""
        metadata = {METADATA_KEY: info.model_dump_json().encode()}
        self._writer.add_key_value_metadata({**metadata, **self._digest.entry(metadata)})
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
    clks = clk_columns(bits, groups or {})
    types = {"record_id": pa.string()}
    types |= {name: pa.binary(width // 8) for name, width in clks.items()}
    if variants:
        types["variant"] = pa.uint8()
    if mask_bytes:
        types["present"] = pa.binary(mask_bytes)
    if passes:
        types["block_keys"] = KEY_LISTS
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])
    with _target(path, seal_to) as target:
        # CLKs are as good as random: compressing them costs time and saves nothing.
        with pq.ParquetWriter(
            target,
            schema,
            compression={name: "none" if name in clks else "zstd" for name in types},
            use_dictionary=False,
            write_page_checksum=True,
        ) as parquet:
            writer = EncodingsWriter(parquet, clks)
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
        with whole_file(path, private=True) as temporary:
            yield temporary


def read_encodings(
    path: str | PathLike[str],
    identity: str | PathLike[str] | None = None,
    signed_by: str | PathLike[str] | None = None,
) -> Encodings:
    """Read an encodings file into memory; a sealed one with an age identity file.

    Raises:
        UnreadableFile: The file is missing, damaged or not an encodings file, or it is
            sealed and cannot be opened (see `pprl.exchange.sealing.unseal`).
        UsageError: It is sealed and there is no identity.
    """
    with _source(path, identity, signed_by) as source, open_parquet(path, source) as file:
        metadata = file.metadata.metadata or {}
        info = parse_header(path, metadata)
        names = file.schema_arrow.names
        expected = expected_columns(info, names)
        check_types(path, file.schema_arrow, expected)
        if file.metadata.num_rows != info.rows:
            raise UnreadableFile(
                f"{path}: the header announces {info.rows:,} rows, the file holds "
                f"{file.metadata.num_rows:,}. Ask the holder to send it again."
            )
        check_size(path, file, list(expected), size_of(path, source))
        table = read_columns(path, file, list(expected))
    for name in expected:
        if table[name].null_count:
            raise UnreadableFile(f"{path}: column {name!r} has missing values.")
    verify(path, metadata, table, tell=True)
    columns = {name: one_chunk(table[name]) for name in expected}
    parts = [from_binary(columns[name]) for name in clk_columns(info.bits, info.groups)]
    clks = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    variants = columns["variant"].to_numpy() if "variant" in expected else None
    present = from_binary(columns["present"]) if "present" in expected else None
    bounds = FilterBounds.of(info)
    checks = RowChecks(path, info, bounds)
    checks.see(columns["record_id"], clks, variants, present, columns.get("block_keys"))
    checks.finish()
    warn_impossible(path, checks.impossible, info.rows)
    return Encodings(
        record_ids=columns["record_id"],
        clks=bounds.without_impossible(clks)[0],
        info=info,
        variants=variants,
        present=present,
        block_keys=from_key_lists(path, columns["block_keys"], len(info.blocking))
        if info.blocking
        else None,
    )


def read_info(path: str | PathLike[str]) -> EncodingInfo:
    """Read the header of an encodings file that is not sealed, and no record.

    Raises:
        UnreadableFile: The file is missing, damaged or not an encodings file.
    """
    with open_parquet(path) as file:
        return parse_header(path, file.metadata.metadata or {})


def read_links(path: str | PathLike[str]) -> Links:
    """Read a links file.

    Raises:
        UnreadableFile: The file is missing, damaged or has other columns.
    """
    return Links(read_parquet_table(path, LINKS_SCHEMA, "links", required=("left_id", "right_id")))


def read_clusters(path: str | PathLike[str]) -> Clusters:
    """Read a clusters file.

    Raises:
        UnreadableFile: The file is missing, damaged or has other columns.
    """
    table = read_parquet_table(path, CLUSTERS_SCHEMA, "clusters", required=CLUSTERS_SCHEMA.names)
    check_clusters(path, table)
    return Clusters(table)


@contextmanager
def _source(
    path: str | PathLike[str],
    identity: str | PathLike[str] | None,
    signed_by: str | PathLike[str] | None,
) -> Iterator[IO[bytes] | None]:
    """Give the decrypted content of a sealed file, or nothing for a file that is not sealed."""
    from pprl.exchange.sealing import is_sealed, open_sealed

    if not Path(path).is_file():
        raise UnreadableFile(f"{path}: there is no such file.")
    if not is_sealed(path):
        if signed_by is not None:
            raise UsageError(
                f"{path} is not sealed; only of sealed files is it verified who signed them "
                f"(--signed-by)."
            )
        yield None
        return
    if identity is None:
        raise UsageError(
            f"{path} is sealed. Give the identity file it was sealed for (--identity)."
        )
    with open_sealed(path, identity, signed_by=signed_by) as opened:
        yield opened
