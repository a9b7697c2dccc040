"""At a station: encode its records, and later take its pseudonyms."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import pprl
from pprl.exchange.files import write_table
from pprl_train.node import Node, Refused, check_arguments

ID_COLUMN = "record_id"


def encode(
    frame: pd.DataFrame, initiator: int | None, arguments: Mapping[str, object]
) -> dict[str, Any]:
    """Encode the station's records; return them sealed to the linkage unit.

    The linkage unit gets fresh random tokens in place of record ids. Which token is which
    record stays at the node, in its store.

    Raises:
        Refused: The task is not the linkage unit's, has an argument, or the node has no key.
    """
    node = Node.load()
    node.check_initiator(initiator)
    check_arguments(arguments)
    if node.seal_to is None:
        raise Refused(f"node {node.name!r} has no PPRL_SEAL_TO: nothing leaves it unsealed.")
    key = pprl.LinkageKey.load(node.need("key"))
    schema = pprl.Schema.load(node.need("schema"))
    run = secrets.token_hex(8)
    tokens = [secrets.token_hex(12) for _ in range(len(frame))]
    with TemporaryDirectory() as folder:
        out = Path(folder) / "encodings.age"
        info = pprl.encode_file(
            frame.drop(columns=ID_COLUMN).assign(token=tokens),
            schema,
            key,
            out,
            id_column="token",
            holder=node.name,
            seal_to=[node.seal_to],
        )
        sealed = base64.b64encode(out.read_bytes()).decode()
    known = {"token": tokens, "record_id": frame[ID_COLUMN].astype(str).to_list()}
    write_table(pa.table(known), node.store / f"tokens-{run}.parquet")
    return {"station": node.name, "run": run, "records": info.records, "sealed": sealed}


def assign(initiator: int | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Write the station's pseudonyms, one for each of its records, into its store.

    Args:
        initiator: The organisation that started the task.
        arguments: ``run`` as `encode` returned it, ``pseudonyms`` by token, and ``version``.

    Raises:
        Refused: The task is not the linkage unit's, or a record has no pseudonym.
    """
    node = Node.load()
    node.check_initiator(initiator)
    check_arguments(arguments, ("run", "pseudonyms", "version"))
    run = str(arguments["run"])
    if not run.isalnum():
        raise Refused("the run has no such name.")
    known = pq.read_table(node.store / f"tokens-{run}.parquet")
    pseudonyms = arguments["pseudonyms"]
    tokens = known["token"].to_pylist()
    if set(tokens) != set(pseudonyms):
        raise Refused(
            f"node {node.name!r} submitted {len(tokens)} records; each must have a pseudonym, "
            f"linked or not, and no other."
        )
    made = {
        "record_id": known["record_id"],
        "pseudonym": pa.array([pseudonyms[token] for token in tokens]),
        "version": pa.array([str(arguments["version"])] * len(tokens)),
    }
    write_table(pa.table(made), node.store / f"pseudonyms-{run}.parquet")
    return {"station": node.name, "records": len(tokens)}
