"""What a hardening costs in links, measured with errors put into the holder's own records."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pprl.errors import PprlWarning
from pprl.evaluation.audit.run import with_errors
from pprl.evaluation.quality import evaluate
from pprl.holder.encode import encode
from pprl.holder.keys import LinkageKey
from pprl.holder.profiles import Setting
from pprl.holder.schema import Schema
from pprl.holder.suggest import Study, write_schema
from pprl.linkage.link import link

WRONG = (0.10, 0.30)
"""Shares of values that are wrong in the second file: a usual one, and a dirty one."""
FEWEST = 300
"""With fewer people one link more or less is a third of a point of F1."""
_ID = "row number"


def points_lost(
    study: Study, people: pa.Table, settings: Sequence[Setting], *, seed: int = 1
) -> Mapping[Setting, tuple[float, ...]]:
    """Measure how many points of F1 each setting loses beside encodings without hardening.

    Two thirds of the people are one file, two thirds the other, so that half of each file is in
    both. In the second one a share of the values is wrong, for each share of `WRONG`: half of
    these are mistyped, a quarter missing, a quarter somebody else's, as after a move or a
    marriage. Both are encoded and linked at the automatic threshold.

    Args:
        study: What was found in the file's columns.
        people: The columns of ``study.found``, of some of the people.
        settings: What is measured.
        seed: Of the order of the people and their typing errors.

    Returns:
        Points of F1, of a hundred, for each share of `WRONG`; below 0 where a setting links
        better than no hardening. Empty with fewer than `FEWEST` people.
    """
    if len(people) < FEWEST:
        return {}
    order = np.random.default_rng(seed).permutation(len(people))
    people = people.take(pa.array(order)).append_column(
        _ID, pa.array(np.arange(len(people)).astype(str))
    )
    third = len(people) // 3
    plain = Schema.from_toml(write_schema(study, "plain", "none"))
    one = people.slice(0, 2 * third)
    others = [_dirty(people.slice(third, 2 * third), plain, share, seed) for share in WRONG]
    both = pa.table({"left_id": people[_ID].slice(third, third)})
    truth = both.append_column("right_id", both["left_id"])
    usual = _linked(plain, one, others, truth)
    lost = {}
    for setting in settings:
        schema = Schema.from_toml(write_schema(study, "trial", setting))
        found = _linked(schema, one, others, truth)
        lost[setting] = tuple(100 * (a - b) for a, b in zip(usual, found, strict=True))
    return lost


def _dirty(people: pa.Table, schema: Schema, share: float, seed: int) -> pa.Table:
    """Make a share of the values wrong."""
    rng = np.random.default_rng([seed, 1])
    people = with_errors(people, schema, share / 2, seed)
    for field in schema.encoded_fields:
        at = people.schema.get_field_index(field.name)
        values = people.column(at).combine_chunks()
        chance = pa.array(rng.random(len(values)))
        other = values.take(pa.array(rng.permutation(len(values))))
        values = pc.if_else(pc.less(chance, share / 4), other, values)
        gone = pc.greater(chance, 1 - share / 4)
        people = people.set_column(at, field.name, pc.if_else(gone, None, values))
    return people


def _linked(
    schema: Schema, one: pa.Table, others: Sequence[pa.Table], truth: pa.Table
) -> list[float]:
    """Return F1 of one file linked with each of the others."""
    key = LinkageKey.generate()
    with warnings.catch_warnings():
        # What the files lack is told when the holder encodes them.
        warnings.simplefilter("ignore", PprlWarning)
        left, *right = (
            encode(table, schema, key, id_column=_ID, on_invalid="warn") for table in (one, *others)
        )
        return [evaluate(link(left, other).links, truth).f1.value for other in right]
