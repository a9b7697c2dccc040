"""The train for vantage6 4: the algorithm module of its image."""

from __future__ import annotations

from typing import Any

import pandas as pd
from vantage6.algorithm.client import AlgorithmClient
from vantage6.algorithm.tools.decorators import RunMetaData, algorithm_client, data, metadata

from pprl_train import station, unit


@metadata
def _run(about: RunMetaData) -> RunMetaData:
    return about


def _initiator(client: AlgorithmClient) -> int | None:
    """Ask which organisation started this task."""
    organisation = client.task.get(_run().task_id).get("init_org", {}).get("id")
    return None if organisation is None else int(organisation)


@algorithm_client
@data(1)
def encode(frame: pd.DataFrame, client: AlgorithmClient, **arguments: Any) -> dict[str, Any]:
    """Encode the station's records (station)."""
    return station.encode(frame, _initiator(client), arguments)


@algorithm_client
def assign(client: AlgorithmClient, **arguments: Any) -> dict[str, Any]:
    """Write the station's pseudonyms (station)."""
    return station.assign(_initiator(client), arguments)


@algorithm_client
def link(client: AlgorithmClient, **arguments: Any) -> dict[str, Any]:
    """Have the stations encode, link, and have them take their pseudonyms (linkage unit)."""
    unit.check(arguments)
    stations = arguments["stations"]
    task = client.task.create(
        input_={"method": "encode", "kwargs": {}},
        organizations=stations,
        name="encode",
        description="CLKs",
    )
    messages = client.wait_for_results(task_id=task["id"])
    made, report = unit.link(messages, arguments["project"], arguments["version"])
    written = []
    for organisation, own in zip(stations, made, strict=True):
        task = client.task.create(
            input_={"method": "assign", "kwargs": own},
            organizations=[organisation],
            name="assign",
            description="pseudonyms",
        )
        written += client.wait_for_results(task_id=task["id"])
    return report | {"pseudonyms": {one["station"]: one["records"] for one in written}}
