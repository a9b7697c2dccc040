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

# ruff: noqa: ARG005 (numba matches calls by the names of the arguments)

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numba.core.cgutils
import numba.core.datamodel.models
import numba.core.types
import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
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

# numba's own annotations do not cover these.
_cgutils: Any = numba.core.cgutils
_extending: Any = numba.extending
_models: Any = numba.core.datamodel.models
_types: Any = numba.core.types


class _LanesType(_types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        _types.Type.__init__(self, name="Lanes")


_LANES: Any = _LanesType()


class _LanesModel(_models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        _models.PrimitiveModel.__init__(self, manager, kind, _VECTOR)


_extending.register_model(_LanesType)(_LanesModel)


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


def _emit_load(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    return builder.load(_pointer(context, builder, signature.args[0], *given), align=8)


def _emit_store(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    pointer = _pointer(context, builder, signature.args[0], given[0], given[1])
    builder.store(given[2], pointer, align=8)
    return context.get_dummy_value()


def _emit_all_lanes(_: Any, builder: Any, __: Any, given: Any) -> Any:
    wide = builder.bitcast(given[0], _WIDE)
    return builder.icmp_unsigned("==", wide, ir.Constant(_WIDE, -1))


def _emit_and(_: Any, builder: Any, __: Any, given: Any) -> Any:
    return builder.and_(*given)


def _emit_or(_: Any, builder: Any, __: Any, given: Any) -> Any:
    return builder.or_(*given)


def _emit_xor(_: Any, builder: Any, __: Any, given: Any) -> Any:
    return builder.xor(*given)


def _emit_add_planes(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    planes, places, at, counters = given
    planes_kind, places_kind = signature.args[:2]
    first = builder.gep(context.make_array(places_kind)(context, builder, places).data, [at])

    def plane(number: int) -> Any:
        place = builder.load(builder.gep(first, [ir.Constant(at.type, number)]))
        pointer = _pointer(context, builder, planes_kind, planes, builder.sext(place, at.type))
        return builder.load(pointer, align=8)

    def add(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        differ = builder.xor(a, b)
        twos = builder.or_(builder.and_(a, b), builder.and_(differ, c))
        return builder.xor(differ, c), twos

    sums = _add_planes(plane, _cgutils.unpack_tuple(builder, counters), add)
    return context.make_tuple(builder, signature.return_type, sums)


_TYPES: tuple[tuple[Any, Callable[..., Any]], ...] = (
    (load, lambda words, at: _LANES),
    (store, lambda words, at, value: _types.void),
    (all_lanes, lambda value: _types.boolean),
    (add_planes, lambda planes, places, at, counters: _types.UniTuple(_LANES, len(counters) + 1)),
    *(
        (operation, lambda a, b: _LANES if a is _LANES and b is _LANES else None)
        for operation in (operator.and_, operator.or_, operator.xor)
    ),
)
for _function, _type in _TYPES:
    _extending.type_callable(_function)(lambda _, of=_type: of)

_ARRAY, _INTEGER = _types.Array, _types.Integer
for _emit, _function, *_kinds in (
    (_emit_load, load, _ARRAY, _INTEGER),
    (_emit_store, store, _ARRAY, _INTEGER, _LanesType),
    (_emit_all_lanes, all_lanes, _LanesType),
    (_emit_and, operator.and_, _LanesType, _LanesType),
    (_emit_or, operator.or_, _LanesType, _LanesType),
    (_emit_xor, operator.xor, _LanesType, _LanesType),
    (_emit_add_planes, add_planes, _ARRAY, _ARRAY, _INTEGER, _types.UniTuple),
):
    _extending.lower_builtin(_function, *_kinds)(_emit)
