"""Run the train on the mock client of vantage6 4. Started by run.py in its environment.

mock_v4.py SETTINGS.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt
import pandas as pd
from vantage6.algorithm.tools.mock_client import MockAlgorithmClient

from pprl.errors import PprlError

TASKS: dict[int, dict] = {}
NODES: dict[int, dict[str, str]] = {}


class Client(MockAlgorithmClient):
    """The mock client, with what a node adds to it: own settings, a token, a task to ask for."""

    def __init__(self, datasets: list, module: str) -> None:
        super().__init__(datasets, module)
        self.task = self.Task(self)

    class Task(MockAlgorithmClient.Task):
        """Tasks that run with the environment of the organisation's own node."""

        def create(self, input_: dict, organizations: list[int], **words: str) -> dict:
            """Run the method at one organisation after another."""
            number = len(TASKS) + 1
            TASKS[number] = {"id": number, "init_org": {"id": self.parent.organization_id}}
            ours = []
            for organisation in organizations:
                with TemporaryDirectory() as folder, node(organisation, number, Path(folder)):
                    super().create(input_, [organisation], **words)
                ours.append(self.parent.results[-1])
            for result in ours:
                result["task"]["id"] = number
            return TASKS[number]

        def get(self, task_id: int) -> dict:
            """Return a task as the server would."""
            return TASKS[task_id]


class node:  # noqa: N801 - used like a function
    """The environment of a node's container, for as long as a method runs in it."""

    def __init__(self, organisation: int, task: int, folder: Path) -> None:
        about = {
            "task_id": task,
            "node_id": organisation,
            "organization_id": organisation,
            "collaboration_id": 1,
        }
        token = folder / "token"
        token.write_text(jwt.encode({"sub": about}, "m" * 32, algorithm="HS256"))
        names = ("TEMPORARY_FOLDER", "OUTPUT_FILE", "INPUT_FILE", "TOKEN_FILE")
        self._own = dict.fromkeys(names, str(folder)) | {"TOKEN_FILE": str(token)}
        self._own |= NODES[organisation]

    def __enter__(self) -> None:
        """Take the node's environment for that of whoever called."""
        self._before = dict(os.environ)
        for name in [name for name in os.environ if name.startswith("PPRL_")]:
            del os.environ[name]
        os.environ.update(self._own)

    def __exit__(self, *_: object) -> None:
        """Give the environment back."""
        os.environ.clear()
        os.environ.update(self._before)


def refusal(client: Client, organisation: int, **arguments: str) -> str:
    """Return what a task was refused with, or nothing where it ran."""
    try:
        client.task.create({"method": "encode", "kwargs": arguments}, [organisation])
    except PprlError as error:
        return str(error)
    return ""


def main() -> None:
    """Refuse what must be refused, then link."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    frames = [pd.read_parquet(path) for path in settings["data"]]
    # The linkage unit stands first, for the mock's own organisation is the first.
    client = Client([[{"database": frame}] for frame in (pd.DataFrame(), *frames)], "pprl_train.v4")
    unit, *stations = client.all_organization_ids
    if unit != settings["linkage_unit"]:
        sys.exit("the linkage unit is not the organisation that the nodes are configured with")
    NODES.update(zip([*stations, unit], settings["nodes"], strict=True))

    client.organization_id = stations[1]
    refused = {"initiator": refusal(client, stations[0])}
    client.organization_id = unit
    refused["key"] = refusal(client, stations[0], key="0" * 64)
    words = {"stations": stations, "project": "train", "version": "1"}
    task = client.task.create({"method": "link", "kwargs": words}, [unit])
    report = client.wait_for_results(task["id"])[0]
    Path(settings["out"]).write_text(json.dumps({"refused": refused, "report": report}))


if __name__ == "__main__":
    main()
