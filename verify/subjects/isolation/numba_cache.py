"""Compiled code that Numba kept on disk is not what is verified: it may be older than its source.

Numba compiles anew where the file of a function has changed, and not where the file of a function
that it calls has (numba issue 9483).  In the process of a subject nothing is taken from such a
cache, and nothing put there; our own kernels keep theirs.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

CACHING = "numba.core.caching"
OURS = __name__.partition(".")[0] + "."


def distrust_caches() -> None:
    """From now on, functions of others are compiled; Numba may be imported already, or later."""
    if CACHING in sys.modules:
        _distrust(sys.modules[CACHING])
    else:
        sys.meta_path.insert(0, _WhenImported())


def _distrust(caching: Any) -> None:
    """Have Numba's caches of functions that are not ours be empty, and stay empty."""
    load, save = caching.Cache.load_overload, caching.Cache.save_overload

    def is_ours(cache: Any) -> bool:
        return bool(cache._py_func.__module__.startswith(OURS))

    def load_overload(self: Any, *arguments: Any) -> Any:
        return load(self, *arguments) if is_ours(self) else None

    def save_overload(self: Any, *arguments: Any) -> None:
        if is_ours(self):
            save(self, *arguments)

    caching.Cache.load_overload = load_overload
    caching.Cache.save_overload = save_overload


class _WhenImported(importlib.abc.MetaPathFinder):
    """Finds the module that everybody finds, to change it as soon as it is there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """None for every other module."""
        if name != CACHING:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _distrust(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
