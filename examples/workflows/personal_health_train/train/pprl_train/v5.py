"""The train for vantage6 5: the algorithm module of its image.

`encode` and `assign` are declared as central steps, since only those have a token, and without one
a node cannot ask which organisation started the task.
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
from vantage6.algorithm.client import AlgorithmClient
from vantage6.algorithm.decorator import algorithm_client, central, dataframe
from vantage6.common.globals import ContainerEnvNames

from pprl_train import station, unit


def _initiator(client: AlgorithmClient) -> int | None:
    """Ask which organisation started this task."""
    task = client.task.get(int(os.environ[ContainerEnvNames.TASK_ID.value]))
    organisation = task.get("init_org", {}).get("id")
    return None if organisation is None else int(organisation)


@central
@algorithm_client
@dataframe(1)
def encode(frame: pd.DataFrame, client: AlgorithmClient, **arguments: Any) -> dict[str, Any]:
    """Encode the station's records (station)."""
    return station.encode(frame, _initiator(client), arguments)


@central
@algorithm_client
def assign(client: AlgorithmClient, **arguments: Any) -> dict[str, Any]:
    """Write the station's pseudonyms (station)."""
    return station.assign(_initiator(client), arguments)


@central
@algorithm_client
def link(client: AlgorithmClient, **arguments: Any) -> dict[str, Any]:
    """Have the stations encode, link, and have them take their pseudonyms (linkage unit)."""
    unit.check(arguments)
    stations = arguments["stations"]
    task = client.task.create(
        method="encode", arguments={}, organizations=stations, name="encode", description="CLKs"
    )
    messages = client.wait_for_results(task_id=task["id"])
    made, report = unit.link(messages, arguments["project"], arguments["version"])
    written = []
    for organisation, own in zip(stations, made, strict=True):
        task = client.task.create(
            method="assign",
            arguments=own,
            organizations=[organisation],
            name="assign",
            description="pseudonyms",
        )
        written += client.wait_for_results(task_id=task["id"])
    return report | {"pseudonyms": {one["station"]: one["records"] for one in written}}
