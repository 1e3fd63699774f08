"""The one compiler decorator of the package."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import IndexDataCacheFile

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _source_stamp() -> str:
    """Digest of the package's import name and of all its sources.

    The import name belongs to it because numba's cache files refer to modules by name, and this
    folder can be imported under two: `softproof.kernels` and, in a checkout, `kernels`.
    """
    digest = hashlib.sha256(__package__.encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _source_stamp()


def jit(function: _Function) -> _Function:
    """Compile `function` with numba at its first call, keep the result on disk, release the GIL.

    Strict IEEE arithmetic: `fastmath` would drop NaN and reorder the error-free transformations
    on which every bound of this package rests, and no multiplication is fused with an addition
    but where the source says `fma`, so results are the same bits on every machine, but for `log1p`
    and `exp` of the C library (radii). Division by zero gives inf or NaN, as in NumPy.

    Numba's disk cache knows a function as stale only when its own file changed; functions here
    are inlined across files, so the stamp covers all of them. It stands in the name of the cache
    file, for reading the index of another version may fail: it holds types of this package.
    """
    return _compiled(function)


def inline(function: _Function) -> _Function:
    """As `jit`, and make the code part of every caller: for what works on vectors."""
    return _compiled(function, forceinline=True)


def _compiled(function: _Function, **options: bool) -> _Function:
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    if not numba.config.DISABLE_JIT:
        cache = dispatcher._cache
        cache._cache_file = _CacheFile(cache._cache_path, cache._impl.filename_base, _STAMP)
    return dispatcher  # type: ignore[no-any-return]


class _CacheFile(IndexDataCacheFile):
    """The files of one function in numba's cache, named after the sources they were made from."""

    def __init__(self, cache_path: str, filename_base: str, stamp: str) -> None:
        super().__init__(cache_path, f"{filename_base}-{stamp[:16]}", stamp)
        self._of_all_sources = f"{filename_base}-*.nb?"

    def _save_index(self, overloads: Any) -> None:
        if not overloads or len(overloads) == 1:  # the first of these sources: others are stale
            for path in Path(self._cache_path).glob(self._of_all_sources):
                if self._source_stamp[:16] not in path.name and _is_old(path):
                    path.unlink(missing_ok=True)
        super()._save_index(overloads)


def _is_old(path: Path) -> bool:
    """Whether a file is a day old: other processes may run other versions, or another name."""
    try:
        return time.time() - path.stat().st_mtime > 86400
    except OSError:  # another process was faster
        return False
