"""Sixty-four numbers of 16 bits at a time, in one vector.

Compiled, `Numbers` is an LLVM vector, which stays in the processor's registers from a load
to a store; a loop over arrays would write it to memory and read it again at every step, six
times slower. In plain Python, where kernels are tested, it is a NumPy array.
"""

# ruff: noqa: ARG005 (numba matches calls by the names of the arguments)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba.core.cgutils
import numba.core.datamodel.models
import numba.core.types
import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numpy.typing import NDArray

WIDE = 64
"""Numbers in a vector."""

Numbers = NDArray[np.uint16]
"""(WIDE,) uint16."""

_PIECE = 32
_HALF = ir.IntType(16)
_VECTOR = ir.VectorType(_HALF, WIDE)
_INDEX = ir.IntType(32)

# numba's own annotations do not cover these.
_cgutils: Any = numba.core.cgutils
_extending: Any = numba.extending
_models: Any = numba.core.datamodel.models
_types: Any = numba.core.types


class _NumbersType(_types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        _types.Type.__init__(self, name="Numbers")


_NUMBERS: Any = _NumbersType()


class _NumbersModel(_models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        _models.PrimitiveModel.__init__(self, manager, kind, _VECTOR)


_extending.register_model(_NumbersType)(_NumbersModel)


def read(array: NDArray[np.uint16], at: int) -> Numbers:
    """Read ``array[at : at + WIDE]``."""
    return array[at : at + WIDE].copy()


def write(array: NDArray[np.uint16], at: int, numbers: Numbers) -> None:
    """Write ``array[at : at + WIDE]``."""
    array[at : at + WIDE] = numbers


def alike(number: np.uint16) -> Numbers:
    """Return the same number `WIDE` times."""
    return np.full(WIDE, number, np.uint16)


def lesser(a: Numbers, b: Numbers) -> Numbers:
    """Return the lesser of the two in every place."""
    return np.minimum(a, b)


def plus(a: Numbers, b: Numbers) -> Numbers:
    """Add, modulo 2**16."""
    return a + b


def minus(a: Numbers, b: Numbers) -> Numbers:
    """Subtract, modulo 2**16."""
    return a - b


def fetch(array: NDArray[np.uint16], at: int) -> None:
    """Ask for the numbers from ``array[at]`` on, 64 bytes of them, to be brought near."""


def write_low_bits(array: NDArray[np.uint32], at: int, numbers: Numbers) -> None:
    """Write the lowest bits to ``array[at]`` and ``array[at + 1]``, the first the lowest bit."""
    bits = np.packbits((numbers & 1).astype(np.uint8), bitorder="little")
    array[at : at + WIDE // _PIECE] = bits.view(np.uint32)


# What follows tells numba the types of these functions, and LLVM their instructions, as
# in `pprl.kernels.lanes`.


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())


def _spread(builder: Any, vector: Any, places: range | list[int]) -> Any:
    """Take these places of a vector."""
    where = ir.Constant(ir.VectorType(_INDEX, len(places)), list(places))
    return builder.shuffle_vector(vector, ir.Constant(_VECTOR, ir.Undefined), where)


def _emit_read(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    return builder.load(_pointer(context, builder, signature.args[0], *given), align=2)


def _emit_write(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    pointer = _pointer(context, builder, signature.args[0], given[0], given[1])
    builder.store(given[2], pointer, align=2)
    return context.get_dummy_value()


def _emit_alike(_: Any, builder: Any, __: Any, given: Any) -> Any:
    first = ir.Constant(_INDEX, 0)
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), given[0], first)
    return _spread(builder, one, [0] * WIDE)


def _emit_lesser(_: Any, builder: Any, __: Any, given: Any) -> Any:
    return builder.select(builder.icmp_unsigned("<", *given), *given)


def _emit_plus(_: Any, builder: Any, __: Any, given: Any) -> Any:
    return builder.add(*given)


def _emit_minus(_: Any, builder: Any, __: Any, given: Any) -> Any:
    return builder.sub(*given)


def _emit_fetch(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, _INDEX, _INDEX, _INDEX])
    function = _cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    pointer = builder.bitcast(_pointer(context, builder, signature.args[0], *given), byte)
    # For reading, to be kept in all caches, data.
    builder.call(function, [pointer, *(ir.Constant(_INDEX, number) for number in (0, 3, 1))])
    return context.get_dummy_value()


def _emit_write_low_bits(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    array, at, numbers = given
    data = context.make_array(signature.args[0])(context, builder, array).data
    for piece in range(WIDE // _PIECE):
        # Narrow pieces, for which there are instructions; LLVM takes a wide one apart bit by bit.
        some = _spread(builder, numbers, range(_PIECE * piece, _PIECE * (piece + 1)))
        low = builder.trunc(some, ir.VectorType(ir.IntType(1), _PIECE))
        place = builder.add(at, ir.Constant(at.type, piece))
        builder.store(builder.bitcast(low, ir.IntType(_PIECE)), builder.gep(data, [place]))
    return context.get_dummy_value()


_TYPES: tuple[tuple[Any, Callable[..., Any]], ...] = (
    (read, lambda array, at: _NUMBERS),
    (write, lambda array, at, numbers: _types.void),
    (alike, lambda number: _NUMBERS),
    (lesser, lambda a, b: _NUMBERS),
    (plus, lambda a, b: _NUMBERS),
    (minus, lambda a, b: _NUMBERS),
    (fetch, lambda array, at: _types.void),
    (write_low_bits, lambda array, at, numbers: _types.void),
)
for _function, _type in _TYPES:
    _extending.type_callable(_function)(lambda _, of=_type: of)

_ARRAY, _INTEGER = _types.Array, _types.Integer
for _emit, _function, *_kinds in (
    (_emit_read, read, _ARRAY, _INTEGER),
    (_emit_write, write, _ARRAY, _INTEGER, _NumbersType),
    (_emit_alike, alike, _INTEGER),
    (_emit_lesser, lesser, _NumbersType, _NumbersType),
    (_emit_plus, plus, _NumbersType, _NumbersType),
    (_emit_minus, minus, _NumbersType, _NumbersType),
    (_emit_fetch, fetch, _ARRAY, _INTEGER),
    (_emit_write_low_bits, write_low_bits, _ARRAY, _INTEGER, _NumbersType),
):
    _extending.lower_builtin(_function, *_kinds)(_emit)
