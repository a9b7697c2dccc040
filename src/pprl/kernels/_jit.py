"""The one place that decides how a kernel is compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar, cast

import numba

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Kernel(Protocol[P, R_co]):
    """A compiled function that still knows the Python function it came from."""

    @property
    def py_func(self) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def kernel(function: Callable[P, R_co]) -> Kernel[P, R_co]:
    """Compile on first use, without the GIL, and keep the machine code on disk.

    numba stores it beside the module, or in the user's cache folder where the
    installation is read-only, by writing a temporary file and renaming it. Where neither
    can be written to, every process compiles anew.
    """
    made = numba.njit(nogil=True)(function)
    # numba's word for having no place to write to is RuntimeError.
    with contextlib.suppress(RuntimeError):
        made.enable_caching()
    return cast("Kernel[P, R_co]", made)


def inline(function: Callable[P, R_co]) -> Callable[P, R_co]:
    """Compile a helper that other kernels call; LLVM inlines it."""
    return cast("Callable[P, R_co]", numba.njit(nogil=True, inline="always")(function))
