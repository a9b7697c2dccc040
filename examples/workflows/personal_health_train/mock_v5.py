"""Run the train on the mock network of vantage6 5. Started by run.py in its environment.

mock_v5.py SETTINGS.json
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import pandas as pd
from vantage6.algorithm.mock import MockNetwork
from vantage6.algorithm.mock.client import MockAlgorithmClient

DATABASE = [{"type": "dataframe", "dataframe_id": 1}]


def know_tasks() -> None:
    """Let algorithms ask for a task, which the mock client leaves out and the real one can."""
    made = MockAlgorithmClient.Task.__init__

    def with_get(self: MockAlgorithmClient.Task, parent: MockAlgorithmClient) -> None:
        made(self, parent)
        self.get = lambda task_id: parent.network.hq.tasks[int(task_id) - 1]

    MockAlgorithmClient.Task.__init__ = with_get


def refusal(network: MockNetwork, **task: object) -> str:
    """Return what a task was refused with, or nothing where it ran."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            network.user_client.task.create(databases=DATABASE, **task)
    except SystemExit:
        return said.getvalue().strip().splitlines()[-1]
    return ""


def main() -> None:
    """Refuse what must be refused, then link."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    know_tasks()
    frames = [pd.read_parquet(path) for path in settings["data"]]
    # The mock wants a table of this name everywhere; the linkage unit's is empty.
    frames.append(pd.DataFrame())
    network = MockNetwork(
        module_name="pprl_train.v5",
        datasets=[{"people": {"database": frame, "db_type": None}} for frame in frames],
    )
    for node, own in zip(network.nodes, settings["nodes"], strict=True):
        node.env.update(own)
    unit = network.organization_ids[-1]
    stations = network.organization_ids[:-1]
    if unit != settings["linkage_unit"]:
        sys.exit("the linkage unit is not the organisation that the nodes are configured with")

    # A user of another organisation asks for the CLKs; then the linkage unit with a key.
    refused = {"initiator": refusal(network, method="encode", organizations=stations[:1])}
    network.user_client.organization_id = unit
    refused["key"] = refusal(
        network, method="encode", organizations=stations[:1], arguments={"key": "0" * 64}
    )
    task = network.user_client.task.create(
        method="link",
        organizations=[unit],
        databases=DATABASE,
        arguments={"stations": stations, "project": "train", "version": "1"},
    )
    report = network.user_client.wait_for_results(task_id=task["id"])[0]
    Path(settings["out"]).write_text(json.dumps({"refused": refused, "report": report}))


if __name__ == "__main__":
    main()
