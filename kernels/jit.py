"""The one compiler decorator of the package."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _source_stamp() -> str:
    """Digest of the package's import name and of all its sources.

    The import name belongs to it because numba's cache files refer to modules by name, and this
    folder can be imported under two: `softproof.kernels` and, in a checkout, `kernels`.
    """
    digest = hashlib.sha256(__package__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _source_stamp()


def jit(function: _Function) -> _Function:
    """Compile `function` with numba at its first call, keep the result on disk, release the GIL.

    Strict IEEE arithmetic: `fastmath` would drop NaN and reorder the error-free transformations
    on which every bound of this package rests, and no multiplication is fused with an addition,
    so results are the same bits on every machine, but for `log1p` and `exp` of the C library
    (logarithms, losses, radii). Division by zero gives inf or NaN, as in NumPy.

    Numba's disk cache knows a function as stale only when its own file changed; functions here
    are inlined across files, so the stamp covers all of them.
    """
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    dispatcher._cache._cache_file._source_stamp = _STAMP
    return dispatcher  # type: ignore[no-any-return]
