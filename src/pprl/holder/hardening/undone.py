"""Hardening that has been undone: nothing new is encoded by it."""

from __future__ import annotations

from pprl.errors import UndoneHardening
from pprl.holder.groups import Part
from pprl.holder.hardening.options import Diffusion
from pprl.holder.schema import Schema


def undone_parts(schema: Schema) -> list[Part]:
    """List the parts whose CLKs alone give their secrets away: diffusion into more bits."""
    return [
        part
        for part in schema.parts
        if isinstance(part.hardening, Diffusion) and part.hardening.undone(part.bits)
    ]


def refuse_undone(schema: Schema) -> None:
    """Refuse to encode with a schema whose hardening is undone without the key.

    The schema itself loads, so that an audit can attack what was encoded by it.

    Raises:
        UndoneHardening: A part is diffused into more bits than its filter has.
    """
    for part in undone_parts(schema):
        raise UndoneHardening(why_undone(schema, part))


def why_undone(schema: Schema, part: Part) -> str:
    """Say why a part's hardening is refused, and what to write instead."""
    group = f", group {part.name!r}" if part.name else ""
    return (
        f"schema {schema.name!r}{group}: diffusion of {part.filter_bits:,} filter bits into "
        f"{part.bits:,} output bits is undone from about {part.filter_bits + 16:,} encodings, "
        f"without the key and without a list of people. Make the filter as long as the output: "
        f"leave out filter_bits, and let each record insert {part.bits / part.filter_bits:g} times "
        f"as many bits (inserted_bits, or bits_per_feature of every field). All holders then "
        f"encode again. Why: docs/explanation/what-fell.md."
    )
