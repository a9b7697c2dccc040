"""What lies in the clear beside the encodings, and whom it names by itself."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import PprlWarning
from pprl.evaluation.audit.attacker import own_key
from pprl.evaluation.audit.bits import Rows
from pprl.evaluation.audit.results import Attack
from pprl.evaluation.audit.run import Case
from pprl.holder.encode import encode

_ROUNDS = 6
_ID = "audit record id"


def colours_of(case: Case, *, blocks: bool = True) -> tuple[Rows, Rows] | None:
    """Sort encodings and people into classes by what lies in the clear.

    A class begins as a presence mask. Blocking keys are keyed, but who shares a block with whom
    is not hidden: each round a class is split by the classes of all who share its blocks (colour
    refinement). The attacker makes masks and blocks of his list by the schema.

    Args:
        case: Encodings and list.
        blocks: Use blocking keys, too; only where list and file hold the same people.

    Returns:
        (n,) classes of the encodings and (m,) of the people, or None if nothing is in the clear.
    """
    use = blocks and case.block_keys is not None
    if case.present is None and not use:
        return None
    schema = case.schema.model_copy(update={"variants": ()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        made = encode(
            case.people.append_column(_ID, pc.cast(np.arange(len(case.people)), "string")),
            schema,
            own_key(case.seed, "in the clear"),
            id_column=_ID,
            on_invalid="warn",
        )
    n = len(case.clks)
    colours = np.zeros(n + len(case.people), np.int64)
    if case.present is not None and made.present is not None:
        both = np.vstack([case.present, made.present])
        colours = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if use and made.block_keys is not None and case.block_keys is not None:
        colours = _refine(colours, case.block_keys, made.block_keys)
    return colours[:n], colours[n:]


def _refine(colours: Rows, ours: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> Rows:
    """Split classes by the classes of those in the same blocks, the same way on both sides."""
    n = len(ours)
    side = np.arange(len(colours)) >= n
    blocks = []
    for at in range(ours.shape[1]):
        keys = np.concatenate([ours[:, at], theirs[:, at]])
        number = np.unique(
            np.stack([keys, side.astype(np.uint64)], axis=1), axis=0, return_inverse=True
        )[1].reshape(-1)
        blocks.append(np.where(keys == 0, -1, number))
    for _ in range(_ROUNDS):
        before = int(colours.max()) + 1
        signs = [colours]
        for block in blocks:
            # The classes in a block, in order, as one number for each block of equal content.
            order = np.lexsort((colours, block))
            inside, which = colours[order], block[order]
            starts = np.flatnonzero(np.r_[True, which[1:] != which[:-1]])
            contents: dict[bytes, int] = {}
            sign = np.empty(len(colours), np.int64)
            for first, last in zip(starts, np.r_[starts[1:], len(order)], strict=True):
                text = b"" if which[first] < 0 else inside[first:last].tobytes()
                sign[order[first:last]] = contents.setdefault(text, len(contents))
            signs.append(sign)
        colours = np.unique(np.stack(signs, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        if int(colours.max()) + 1 == before:
            break
    return colours.astype(np.int64)


def guess_inside(ours: Rows, theirs: Rows, rng: np.random.Generator) -> Rows:
    """Name somebody of the same class, each person once; who is alone in it is named rightly."""
    guesses = np.full(len(ours), -1, np.int64)
    rows, people = rng.permutation(len(ours)), rng.permutation(len(theirs))
    rows = rows[np.argsort(ours[rows], kind="stable")]
    people = people[np.argsort(theirs[people], kind="stable")]
    values, first, count = np.unique(ours[rows], return_index=True, return_counts=True)
    other, their_first, their_count = np.unique(
        theirs[people], return_index=True, return_counts=True
    )
    place = {int(value): at for at, value in enumerate(other)}
    for value, start, size in zip(values.tolist(), first.tolist(), count.tolist(), strict=True):
        at = place.get(value)
        if at is None:
            continue
        pairs = min(size, int(their_count[at]))
        begin = int(their_first[at])
        guesses[rows[start : start + pairs]] = people[begin : begin + pairs]
    return guesses


def clear_attacks(case: Case) -> Iterator[Attack]:
    """Name people by presence masks, and by these with blocking keys, without the encodings."""
    for blocks, name in ((False, "presence mask alone"), (True, "blocking keys and presence mask")):
        if blocks and case.block_keys is None:
            continue
        start = time.perf_counter()
        colours = colours_of(case, blocks=blocks)
        if colours is None:
            continue
        guesses = guess_inside(*colours, np.random.default_rng(case.seed))
        yield _count(case, name, guesses, start)


def order_attack(case: Case) -> Attack:
    """Lay the file's rows beside the list, as it is and sorted by each of its columns.

    Args:
        case: Encodings in the order of the file, and the list in its own.
    """
    start = time.perf_counter()
    n, m = len(case.clks), len(case.people)
    at = np.minimum((np.arange(n) * m) // max(n, 1), m - 1)
    rounds = [at]
    for name in case.people.column_names:
        order = pc.sort_indices(case.people, [(name, "ascending")]).to_numpy()
        rounds.append(order.astype(np.int64)[at])
    return _count(case, "order of rows beside a sorted list", np.array(rounds), start)


def _count(case: Case, name: str, guesses: Rows, start: float) -> Attack:
    return Attack.of(
        name,
        guesses,
        case.who,
        len(case.people),
        seed=case.seed,
        seconds=time.perf_counter() - start,
    )
