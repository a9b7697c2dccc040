"""Threads: how many, and tasks done ahead of a consumer in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from pprl.errors import UsageError

T = TypeVar("T")


def threads(workers: int | None) -> int:
    """Return the number of threads to use: as given, or one for each processor.

    Raises:
        UsageError: Fewer than one is asked for.
    """
    if workers is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if workers < 1:
        raise UsageError(f"workers must be 1 or more, not {workers}.")
    return workers


def in_order(tasks: Iterable[Future[T]], ahead: int) -> Iterator[T]:
    """Yield results in the order of their tasks, at most ``ahead`` tasks beyond the last."""
    window: deque[Future[T]] = deque()
    for task in tasks:
        window.append(task)
        if len(window) > ahead:
            yield window.popleft().result()
    while window:
        yield window.popleft().result()
