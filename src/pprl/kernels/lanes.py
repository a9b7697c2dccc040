"""Many filters at a time: one bit of each of 256, in one vector.

Bit-sliced, a tile is a *plane* for each bit position: bit ``lane & 63`` of word
``lane >> 6`` is that position's bit in filter ``lane``. Adding a plane to counters that
are themselves planes (the ones, the twos, the fours ...) counts for 256 filters with
five logical instructions, fewer than any way to count bits filter by filter.

A `Lanes` is such a plane in a register. Compiled, it is an LLVM vector; in plain
Python, where kernels are tested, it is a NumPy array of four words. LLVM splits the
vector where the processor's registers are narrower.

Source of the adders: Muła, Kurz, Lemire, Faster population counts using AVX2
instructions (The Computer Journal 61(1), 2018), after Harley and Seal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import lower_builtin, register_model, type_callable
from numpy.typing import NDArray

WORDS = 4
"""Words of a plane."""

LANES = 64 * WORDS
"""Filters in a tile."""

STEP = 32
"""Planes that are added at a time."""

Lanes = NDArray[np.uint64]
"""(WORDS,) uint64: one bit for each filter of a tile."""

_ONES = np.uint64(2**64 - 1)
_VECTOR = ir.VectorType(ir.IntType(64), WORDS)
_WIDE = ir.IntType(LANES)


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES = _LanesType()


@register_model(_LanesType)
class _LanesModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def load(words: NDArray[np.uint64], at: int) -> Lanes:
    """Read the plane at ``words[at : at + WORDS]``."""
    return words[at : at + WORDS].copy()


def store(words: NDArray[np.uint64], at: int, value: Lanes) -> None:
    """Write a plane to ``words[at : at + WORDS]``."""
    words[at : at + WORDS] = value


def all_lanes(value: Lanes) -> bool:
    """Say whether the bit of every lane is set."""
    return bool((value == _ONES).all())


def full_adder(a: Lanes, b: Lanes, c: Lanes) -> tuple[Lanes, Lanes]:
    """Add three bits of each lane; return the sum's ones and twos.

    The path through ``c`` is the shortest: an accumulator belongs there.
    """
    differ = a ^ b
    return differ ^ c, (a & b) | (differ & c)


def add_planes(
    planes: NDArray[np.uint64], places: NDArray[Any], at: int, counters: tuple[Lanes, ...]
) -> tuple[Lanes, ...]:
    """Add the `STEP` planes that begin at ``places[at]``, ``places[at + 1]``, ... in ``planes``.

    Args:
        planes: (p,) a tile's planes one after the other.
        places: (q,) int32 or int64.
        at: The first of the places.
        counters: The ones, twos, fours, eights and sixteens of each lane's number.

    Returns:
        The five, and what is carried.
    """
    return _add_planes(lambda i: load(planes, places[at + i]), counters, full_adder)


def _add_planes(
    plane: Callable[[int], Any], counters: Sequence[Any], add: Callable[..., tuple[Any, Any]]
) -> tuple[Any, ...]:
    """Add planes 0 to `STEP` - 1 by a tree of adders, as NumPy arrays or as LLVM values."""
    sums, numbers = list(counters), iter(range(STEP))

    def carry(level: int) -> Any:
        if level == 0:
            return plane(next(numbers))
        sums[level - 1], out = add(carry(level - 1), carry(level - 1), sums[level - 1])
        return out

    carried = carry(len(sums))
    return (*sums, carried)


# What follows tells numba the types of these functions, and LLVM their instructions, without
# compiling a function for each, which would take seconds.


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())


@type_callable(load)  # type: ignore[untyped-decorator]
def _(_: Any) -> Any:
    return lambda words, at: _LANES


@lower_builtin(load, types.Array, types.Integer)  # type: ignore[untyped-decorator]
def _(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    return builder.load(_pointer(context, builder, signature.args[0], *given), align=8)


@type_callable(store)  # type: ignore[untyped-decorator]
def _(_: Any) -> Any:
    return lambda words, at, value: types.void


@lower_builtin(store, types.Array, types.Integer, _LanesType)  # type: ignore[untyped-decorator]
def _(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    pointer = _pointer(context, builder, signature.args[0], given[0], given[1])
    builder.store(given[2], pointer, align=8)
    return context.get_dummy_value()


@type_callable(all_lanes)  # type: ignore[untyped-decorator]
def _(_: Any) -> Any:
    return lambda value: types.boolean


@lower_builtin(all_lanes, _LanesType)  # type: ignore[untyped-decorator]
def _(_: Any, builder: Any, __: Any, given: Any) -> Any:
    wide = builder.bitcast(given[0], _WIDE)
    return builder.icmp_unsigned("==", wide, ir.Constant(_WIDE, -1))


@type_callable(add_planes)  # type: ignore[untyped-decorator]
def _(_: Any) -> Any:
    return lambda planes, places, at, counters: types.UniTuple(_LANES, len(counters) + 1)


@lower_builtin(add_planes, types.Array, types.Array, types.Integer, types.UniTuple)  # type: ignore[untyped-decorator]
def _(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    planes, places, at, counters = given
    planes_kind, places_kind = signature.args[:2]
    first = builder.gep(context.make_array(places_kind)(context, builder, places).data, [at])

    def plane(number: int) -> Any:
        place = builder.load(builder.gep(first, [ir.Constant(at.type, number)]))
        return builder.load(
            _pointer(context, builder, planes_kind, planes, builder.sext(place, at.type)), align=8
        )

    def add(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        differ = builder.xor(a, b)
        twos = builder.or_(builder.and_(a, b), builder.and_(differ, c))
        return builder.xor(differ, c), twos

    sums = _add_planes(plane, cgutils.unpack_tuple(builder, counters), add)
    return context.make_tuple(builder, signature.return_type, sums)


def _define(operation: Any, instruction: str) -> None:
    """Give planes an operator."""

    @type_callable(operation)  # type: ignore[untyped-decorator]
    def _(_: Any) -> Any:
        return lambda a, b: _LANES if a is _LANES and b is _LANES else None

    @lower_builtin(operation, _LanesType, _LanesType)  # type: ignore[untyped-decorator]
    def _(_: Any, builder: Any, __: Any, given: Any) -> Any:
        return getattr(builder, instruction)(*given)


_define(operator.and_, "and_")
_define(operator.or_, "or_")
_define(operator.xor, "xor")
