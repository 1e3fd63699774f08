"""Compiled functions on disk, one file for each function and types of arguments.

numba's own cache is not used. It takes a function for unchanged while its own file is, keeps an
index that two processes can overwrite at the same time, trusts what it reads, and lets an error of
the disk come out of the call. Here a file is named after all that went into it, written whole or
not at all, and read only if its checksum is right: whatever else is there is compiled and written
again. A disk that cannot be written costs time, said once, and never a result.
"""

import functools
import hashlib
import inspect
import logging
import os
import pickle
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl
from numba.core.serialize import dumps

from .source_stamp import source_stamp

_VERSIONS = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__)
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_OLD = 86400.0  # seconds


class CompileCache:
    """What a numba dispatcher asks of its cache, for one function.

    The folder is numba's choice: that of the environment variable NUMBA_CACHE_DIR, or else
    `__pycache__` beside the source, or else the user's cache folder, the first that can be written.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def cache_path(self) -> str | None:
        """The folder of the files, or None where none can be written."""
        return None if self._numba is None else self._numba.locator.get_cache_path()

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return what was compiled for these types, or None if no whole file of it is there."""
        target_context.refresh()
        if self._numba is None:
            return None
        key = self._key(signature, target_context.codegen())
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        data = content[_CHECKSUM_BYTES:]
        if hashlib.sha256(data).digest() != content[:_CHECKSUM_BYTES]:
            return None
        try:
            stored_key, compiled = pickle.loads(data)
            if stored_key != key:
                return None
            result = self._numba.rebuild(target_context, compiled)
        except Exception:  # whatever is wrong with the file: compiling makes a new one
            return None
        _log("data loaded from", path)
        return result

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled for these types, if that is possible."""
        if self._numba is None or not self._numba.check_cachable(result):
            return
        key = self._key(signature, result.codegen)
        data = dumps((key, self._numba.reduce(result)))
        path = self._path(key)
        try:
            self._numba.locator.ensure_cache_path()
            _write(path, hashlib.sha256(data).digest() + data)
            self._remove_old(path.parent)
        except OSError as error:
            _say_once(f"{path.parent}: {error.strerror}")
        else:
            _log("data saved to", path)

    def flush(self) -> None:
        """Forget what was compiled of this function."""
        if self._numba is not None:
            for path in self._folder.glob(f"{self._name}-*.nbc"):
                path.unlink(missing_ok=True)

    @functools.cached_property
    def _numba(self) -> Any:
        """numba's way of finding a folder and of packing code, or None where no folder will do."""
        try:
            return CompileResultCacheImpl(self._function)
        except RuntimeError:
            _say_once("neither the folder of the package nor that of the user can be written")
            return None

    @property
    def _folder(self) -> Path:
        return Path(self._numba.locator.get_cache_path())

    @property
    def _module(self) -> Path:
        return Path(inspect.getfile(self._function))

    @property
    def _name(self) -> str:
        return f"{self._module.stem}.{self._function.__qualname__}".replace("<locals>", "locals")

    @functools.cached_property
    def _stamp(self) -> str:
        """Digest of the code and of the name under which its module was imported.

        The name counts because the files refer to modules by name, and the package can be imported
        under two: `softproof.kernels` and, in a checkout, `kernels`.
        """
        source = f"{self._function.__module__} {source_stamp(self._module)}"
        return hashlib.sha256(source.encode()).hexdigest()[:16]

    def _key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        """All that distinguishes one compilation of the function from another."""
        code = self._function.__code__.co_code
        cells = [cell.cell_contents for cell in self._function.__closure__ or ()]
        return (*_VERSIONS, signature, codegen.magic_tuple(), code, dumps(cells))

    def _path(self, key: tuple[Any, ...]) -> Path:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return self._folder / f"{self._name}-{self._stamp}-{digest}.nbc"

    def _remove_old(self, folder: Path) -> None:
        """Remove the files of this module's other versions, unless they may be in use.

        Other processes may run another version, or under the other name: a file stays for a day.
        """
        for path in folder.glob(f"{self._module.stem}.*.nb[ci]"):
            if self._stamp not in path.name and time.time() - path.stat().st_mtime > _OLD:
                path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; OSError if that is not possible."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


_said = threading.Event()


def _say_once(reason: str) -> None:
    """Say that nothing is kept, and why.

    Through `logging`, which prints to stderr where nothing else is set up: a warning would become
    an exception where warnings are errors, and no result is wrong.
    """
    if not _said.is_set():
        _said.set()
        logging.getLogger(__name__).warning(
            "softproof: compiled functions cannot be kept (%s), so each process compiles them "
            "again; set NUMBA_CACHE_DIR to a folder that can be written",
            reason,
        )


def _log(event: str, path: Path) -> None:
    """Print what the environment variable NUMBA_DEBUG_CACHE asks numba's own cache to print."""
    if numba.config.DEBUG_CACHE:
        print(f"[cache] {event} {str(path)!r}")
