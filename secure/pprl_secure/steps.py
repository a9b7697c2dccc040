"""The three things that parties compute: links, counts at thresholds, an order among rivals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from pprl_secure.engine import Engine, excess, prepare
from pprl_secure.files import Job, Shares
from pprl_secure.units import Unit

_GATHERED = 1024
"""Pairs whose common bits are counted in one go when rivals are put in order."""
_ORDERED = 1 << 18
"""Comparisons of two similarities in one go."""


def compare(
    engine: Engine,
    job: Job,
    threshold: tuple[int, int],
    left: Shares,
    right: Shares,
    units: Sequence[Unit],
    keep: Callable[[bytes], None],
) -> None:
    """Compare the pairs of each unit, and hand on this party's share of the results.

    Args:
        engine: The engine.
        job: The job.
        threshold: Dice similarity p / q.
        left: Shares of the first file.
        right: Shares of the second file.
        units: What to compare, in order.
        keep: Takes the share of a unit's results: a bit for each pair, packed.
    """
    over = _reaches(threshold, 2 * job.bits)
    loader = _Loader(engine, job.bits)
    for unit in units:
        inputs = loader.load(unit, left, right)
        engine.run(over, inputs, ["reached"])
        share = engine.take_share("reached")
        engine.drop("reached")
        keep(np.packbits(share.reshape(-1) & 1).tobytes())
    loader.forget()


def count(
    engine: Engine, job: Job, left: Shares, right: Shares, units: Sequence[Unit]
) -> np.ndarray:
    """Count the pairs at or above each threshold of the grid, by pass.

    Counts below the least that may be known become 0 before anybody sees them.

    Returns:
        This party's share, (passes, thresholds) uint64, to be added to the others'.
    """
    program = _counts(job.count_grid, 2 * job.bits)
    size = len(job.count_grid)
    kind = ((size,), np.int64)
    loader = _Loader(engine, job.bits)
    shares = []
    for number in range(len(left.passes)):
        started = False
        for unit in units:
            if unit.number != number:
                continue
            inputs = loader.load(unit, left, right)
            engine.run(program, inputs, ["part" if started else "total"])
            if started:
                engine.run(_add, {"total": kind, "part": kind}, ["total2"])
                engine.rename("total2", "total")
            started = True
        if not started:
            shares.append(np.zeros(size, np.uint64))
            continue
        engine.run(_at_least(job.count_least), {"total": kind}, ["shown"])
        shares.append(engine.take_share("shown"))
    loader.forget()
    return np.array(shares)


def order(
    engine: Engine,
    job: Job,
    left: Shares,
    right: Shares,
    pairs: np.ndarray,
    rivals: np.ndarray,
) -> bytes:
    """Tell which of two pairs is the more similar, or as similar.

    Args:
        engine: The engine.
        job: The job.
        left: Shares of the first file.
        right: Shares of the second file.
        pairs: (k, 4) pass, block, row, column of each pair.
        rivals: (m, 2) numbers of two pairs.

    Returns:
        This party's share, a bit for each of the rivals: whether the first is at least as similar.
    """
    common, both = [], []
    for start in range(0, len(pairs), _GATHERED):
        some = pairs[start : start + _GATHERED]
        shape = (len(some), job.bits)
        for name, file, column in (("x", left, 2), ("y", right, 3)):
            rows = [
                np.stack([file.passes[p[0]][side][p[1], p[column]] for p in some])
                for side in (0, 1)
            ]
            engine.put_bits(name, *rows)
        engine.run(_both_counts, {"x": (shape, bool), "y": (shape, bool)}, ["c", "s"])
        common.append(engine.take_pair("c"))
        both.append(engine.take_pair("s"))
    shared, total = np.concatenate(common), np.concatenate(both)
    out = []
    for start in range(0, len(rivals), _ORDERED):
        one, other = rivals[start : start + _ORDERED].T
        named = {"c1": shared[one], "s1": total[one], "c2": shared[other], "s2": total[other]}
        for name, raw in named.items():
            engine.put_pair(name, raw)
        shape = (len(one),)
        engine.run(_at_least_as_similar, dict.fromkeys(named, (shape, np.int64)), ["more"])
        out.append(engine.take_share("more") & 1)
    engine.drop("x", "y", "c", "s", "c1", "s1", "c2", "s2", "more")
    return np.packbits(np.concatenate(out)).tobytes()


class _Loader:
    """Gives the engine the rows of a unit as numbers; the left rows stay for the next one."""

    def __init__(self, engine: Engine, bits: int) -> None:
        self._engine, self._bits = engine, bits
        self._held: tuple[int, ...] = ()

    def load(
        self, unit: Unit, left: Shares, right: Shares
    ) -> dict[str, tuple[tuple[int, ...], Any]]:
        blocks, rows, columns = unit.shape
        span = slice(unit.first_block, unit.end_block)
        held = (unit.number, unit.first_block, unit.end_block, unit.first_row, unit.end_row)
        if held != self._held:
            self._numbers(left, unit.number, span, slice(unit.first_row, unit.end_row), "a")
            self._held = held
        self._numbers(right, unit.number, span, slice(unit.first_column, unit.end_column), "b")
        lead = (blocks,) if blocks > 1 else ()
        return {
            "a": ((*lead, rows, self._bits), np.int64),
            "a_sum": ((*lead, rows), np.int64),
            "b": ((*lead, columns, self._bits), np.int64),
            "b_sum": ((*lead, columns), np.int64),
        }

    def _numbers(self, file: Shares, number: int, blocks: slice, rows: slice, name: str) -> None:
        own, following = (one[blocks, rows] for one in file.passes[number])
        if own.shape[0] == 1:
            own, following = own[0], following[0]
        self._engine.put_bits("bits", own, following)
        shape = (*own.shape[:-1], self._bits)
        self._engine.run(prepare, {"bits": (shape, bool)}, [name, f"{name}_sum"])
        self._engine.drop("bits")

    def forget(self) -> None:
        if self._held:
            self._engine.drop("a", "a_sum", "b", "b_sum")


@functools.cache
def _reaches(threshold: tuple[int, int], scale: int) -> Callable[..., Any]:
    over = excess(threshold, scale)
    return lambda a, a_sum, b, b_sum: over(a, a_sum, b, b_sum) >= 0


@functools.cache
def _counts(grid: tuple[tuple[int, int], ...], scale: int) -> Callable[..., Any]:
    overs = [excess(threshold, scale) for threshold in grid]

    def program(a: Any, a_sum: Any, b: Any, b_sum: Any) -> Any:
        return jnp.stack([(over(a, a_sum, b, b_sum) >= 0).sum() for over in overs])

    return program


@functools.cache
def _at_least(least: int) -> Callable[..., Any]:
    return lambda total: jnp.where(total >= least, total, 0)


def _add(total: Any, part: Any) -> Any:
    return total + part


def _both_counts(x: Any, y: Any) -> Any:
    x, x_sum = prepare(x)
    y, y_sum = prepare(y)
    return (x * y).sum(-1), x_sum + y_sum


def _at_least_as_similar(c1: Any, s1: Any, c2: Any, s2: Any) -> Any:
    return c1 * s2 - c2 * s1 >= 0
