"""At the linkage unit's node: open what the stations sent, link, make pseudonyms."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pprl
from pprl.exchange.files import write_table
from pprl_train.node import Node, check_arguments

THRESHOLD = 0.6
"""For three stations or more; two find theirs by themselves. See the README."""


def link(
    messages: Sequence[Mapping[str, Any]], project: str, version: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Link the stations' encodings; write the crosswalk for research into the unit's store.

    Returns:
        For each station the arguments of `pprl_train.station.assign`, and a report of counts.
    """
    node = Node.load()
    identity = node.need("identity")
    key = pprl.PseudonymKey.load(node.need("pseudonym_key"))
    files = []
    with TemporaryDirectory() as folder:
        for message in messages:
            path = Path(folder) / "encodings.age"
            path.write_bytes(base64.b64decode(message["sealed"]))
            files.append(pprl.Encodings.load(path, identity=identity))
            path.unlink()
    threshold = pprl.link(*files).threshold if len(files) == 2 else THRESHOLD
    result = pprl.cluster(*files, threshold=1.0 if threshold is None else threshold)
    made = pprl.pseudonymise(result.clusters, key, project=project, version=version)
    write_table(made.research, node.store / "research.parquet")
    result.clusters.save(node.store / "clusters.parquet")
    arguments = [
        {
            "run": message["run"],
            "version": f"{project}/{version}",
            "pseudonyms": dict(
                zip(
                    made.holders[message["station"]]["record_id"].to_pylist(),
                    made.holders[message["station"]]["pseudonym"].to_pylist(),
                    strict=True,
                )
            ),
        }
        for message in messages
    ]
    report = {
        "stations": {message["station"]: message["records"] for message in messages},
        "clusters": len(result.clusters),
        "threshold": round(result.threshold, 4),
        "sealed_bytes": sum(len(message["sealed"]) for message in messages),
    }
    return arguments, report


def check(arguments: Mapping[str, object]) -> None:
    """Refuse arguments that `link` does not take."""
    check_arguments(arguments, ("stations", "project", "version"))
