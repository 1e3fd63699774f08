"""The one compiler decorator of the package."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numba

from .compile_cache import CompileCache

_Function = TypeVar("_Function", bound=Callable[..., Any])


def jit(function: _Function) -> _Function:
    """Compile `function` with numba at its first call, keep the result on disk, release the GIL.

    Strict IEEE arithmetic: `fastmath` would drop NaN and reorder the error-free transformations
    on which every bound of this package rests, and no multiplication is fused with an addition
    but where the source says `fma`, so results are the same bits on every machine, but for `log1p`
    and `exp` of the C library (radii). Division by zero gives inf or NaN, as in NumPy.
    """
    return _compiled(function)


def inline(function: _Function) -> _Function:
    """As `jit`, and make the code part of every caller: for what works on vectors."""
    return _compiled(function, forceinline=True)


def _compiled(function: _Function, **options: bool) -> _Function:
    if numba.config.DISABLE_JIT:
        return _uncompiled(function)
    # Without an entry for callers in C, of which there are none: a twentieth less to compile.
    options |= {"nogil": True, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(error_model="numpy", **options)(function)
    dispatcher._cache = CompileCache(function)
    return dispatcher  # type: ignore[no-any-return]


def _uncompiled(function: _Function) -> _Function:
    """The function itself, for the environment variable NUMBA_DISABLE_JIT; without vectors."""

    @functools.wraps(function)
    def called(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except NotImplementedError:  # of numba, where an intrinsic is called
            raise RuntimeError(
                f"{function.__module__}.{function.__qualname__} computes with SIMD vectors, which "
                "only compiled code has: unset the environment variable NUMBA_DISABLE_JIT"
            ) from None

    return called  # type: ignore[return-value]
