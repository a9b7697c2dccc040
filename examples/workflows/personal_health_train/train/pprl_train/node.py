"""What a node's administrator configures, and what a task is refused for."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pprl.errors import UsageError

_SECRET = ("key", "secret", "salt", "password")


class Refused(UsageError):
    """The node does not run this task."""


@dataclass(frozen=True)
class Node:
    """The node's own settings, from its environment; no task can set or read them.

    Attributes:
        name: The station's name.
        linkage_unit: Id of the only organisation whose tasks are run.
        store: A folder of the node for what stays there.
        schema: The linkage schema. None at the linkage unit.
        key: File with the linkage key, shared among the stations. None at the linkage unit.
        seal_to: The linkage unit's age recipient. None at the linkage unit.
        identity: The linkage unit's age identity file. None at a station.
        pseudonym_key: The linkage unit's key for pseudonyms. None at a station.
    """

    name: str
    linkage_unit: int
    store: Path
    schema: Path | None = None
    key: Path | None = None
    seal_to: str | None = None
    identity: Path | None = None
    pseudonym_key: Path | None = None

    @classmethod
    def load(cls) -> Node:
        """Read ``PPRL_NAME``, ``PPRL_LINKAGE_UNIT``, ``PPRL_STORE`` and the others.

        Raises:
            Refused: The node is not configured.
        """

        def file(name: str) -> Path | None:
            value = os.environ.get(name)
            return Path(value) if value else None

        try:
            return cls(
                name=os.environ["PPRL_NAME"],
                linkage_unit=int(os.environ["PPRL_LINKAGE_UNIT"]),
                store=Path(os.environ["PPRL_STORE"]),
                schema=file("PPRL_SCHEMA"),
                key=file("PPRL_KEY_FILE"),
                seal_to=os.environ.get("PPRL_SEAL_TO") or None,
                identity=file("PPRL_IDENTITY"),
                pseudonym_key=file("PPRL_PSEUDONYM_KEY"),
            )
        except (KeyError, ValueError):
            raise Refused(
                "this node is not configured for linkage: set PPRL_NAME, PPRL_LINKAGE_UNIT (a "
                "number) and PPRL_STORE in the node's configuration."
            ) from None

    def need(self, name: str) -> Path:
        """Return a file that a role cannot do without.

        Raises:
            Refused: The node has none.
        """
        path: Path | None = getattr(self, name)
        if path is None or not path.is_file():
            raise Refused(f"node {self.name!r} has no {name} configured, or the file is gone.")
        return path

    def check_initiator(self, organisation: int | None) -> None:
        """Refuse a task that is not the linkage unit's.

        Raises:
            Refused: Another organisation started the task, or nobody knows which.
        """
        if organisation != self.linkage_unit:
            raise Refused(
                f"node {self.name!r} runs linkage tasks of organisation {self.linkage_unit} only, "
                f"the linkage unit it is configured with; this one is of {organisation}."
            )


def check_arguments(given: Mapping[str, object], allowed: Collection[str] = ()) -> None:
    """Refuse arguments that the task does not take, a key above all.

    Raises:
        Refused: There is such an argument. Its value is not told.
    """
    for name in given:
        if any(word in name.lower() for word in _SECRET):
            raise Refused(
                f"argument {name!r}: a key is never an argument, for whoever starts or relays a "
                f"task can read it. The node has its own, in PPRL_KEY_FILE."
            )
        if name not in allowed:
            raise Refused(f"there is no argument {name!r}.")
