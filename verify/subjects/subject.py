"""Subjects: implementations under test, and what a call of one can come to."""

from __future__ import annotations

import ctypes
import fnmatch
import functools
import os
import shutil
import sysconfig
import traceback
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Contract

LIBRARIES = ("numpy", "torch", "jax", "cupy")  # of arrays
CXX = "a C++ compiler with Python.h"  # a requirement that is no distribution


KERNELS = "softproof.kernels:"  # what ids of our kernels begin with
# Where functions of users are called.
_CALLERS = {Path(__file__).resolve().with_name(f"{name}.py") for name in ("call", "differentiate")}
MOST_TEXT = 300  # characters of an exception's message


class SubjectError(Exception):
    """A subject that cannot be used: the message says why and what to do."""


class NoSuchSubject(SubjectError):
    """There is nothing callable of the name that was given."""


class NotApplicable(Exception):
    """What a subject cannot be asked: it has no such keyword, or cannot express the layout."""


class SubjectFault(Exception):
    """A call that gave no result to judge: the message is the finding, ``kind`` its sort."""

    kind = "form"


class WrongResult(SubjectFault):
    """A result that has not the shape and the dtype that it must have."""


class InputChanged(SubjectFault):
    """The input was changed in place."""

    kind = "input changed"


class EnvironmentChanged(SubjectFault):
    """The floating-point environment is another one: what is computed in it is wrong."""

    kind = "environment"


class SubjectRaised(SubjectFault):
    """A subject raised an exception."""

    kind = "raised"

    @classmethod
    def of(cls, error: BaseException, under: str = "", called_with: str = "") -> SubjectRaised:
        """The exception, what it was raised under, and the innermost line it came from.

        Where that is our own call, as of a function that takes other arguments, what it was called
        with takes the place of the line.
        """
        frame = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{frame.filename}:{frame.lineno}"
        if called_with and Path(frame.filename).resolve() in _CALLERS:
            at = f"called with {called_with}"
        try:
            words = str(error).encode(errors="backslashreplace").decode()  # reports are UTF-8
        except Exception as another:
            words = f"(without a message: {type(another).__name__} from its __str__)"
        first, *more = words.splitlines() or [""]
        words = first[:MOST_TEXT] + (" ..." if more or len(first) > MOST_TEXT else "")
        return cls(f"raised {type(error).__name__}: {words}{under} ({at})")


class ProcessDied(SubjectFault):
    """The process that runs a subject ended during a call; the next call starts a new one.

    After ``MOST_DEATHS`` of a kind no further call is made: the exception then comes with
    ``called=False``.
    """

    def __init__(self, message: str, *, called: bool = True) -> None:
        super().__init__(message)
        self.called = called


class Crashed(ProcessDied):
    """The process ended by itself: a signal, an abort, an exit."""

    kind = "crashed"


class TimedOut(ProcessDied):
    """The call took longer than its time limit."""

    kind = "hung"


class OutOfMemory(ProcessDied):
    """The process took more memory than its limit."""

    kind = "memory"


def short_id(subject_id: str) -> str:
    """Return an id without what all of ours have in common, for tables and glob patterns.

    Parameters
    ----------
    subject_id
        The id.

    Returns
    -------
    str
        The short form; the id of a subject of the user's is unchanged.

    Examples
    --------
    >>> short_id("softproof.kernels:online"), short_id("softproof.verify.textbook:stablemax")
    ('kernels:online', 'textbook:stablemax')
    """
    for prefix in ("softproof.", "verify.", "subjects."):
        subject_id = subject_id.removeprefix(prefix)
    return subject_id


def matches(pattern: str, subject_id: str) -> bool:
    """Tell whether a pattern is an id, or a glob that matches it, in full or in short.

    Parameters
    ----------
    pattern
        The pattern. A literal id is the whole id: ``kernels:online`` may be a module of the user's.
    subject_id
        The id.

    Returns
    -------
    bool
        Whether it matches.

    Examples
    --------
    >>> [matches(p, "softproof.kernels:online") for p in ("kernels:*", "kernels:online")]
    [True, False]
    """
    names = {subject_id}
    if any(c in pattern for c in "*?["):
        names.add(short_id(subject_id))
    return pattern in names or any(fnmatch.fnmatchcase(name, pattern) for name in names)


@dataclass(frozen=True)
class Outcome:
    """What one call returned."""

    value: NDArray[Any]
    gradient: NDArray[Any] | None

    def equals(self, other: Outcome, row: int | slice = slice(None)) -> bool:
        """Whether value and gradient are the same numbers (at one row); NaN equals NaN."""
        if self.gradient is None or other.gradient is None:
            same = self.gradient is other.gradient
        else:
            same = np.array_equal(self.gradient[row], other.gradient[row], equal_nan=True)
        return same and np.array_equal(self.value[row], other.value[row], equal_nan=True)


@dataclass(frozen=True)
class Subject:
    """An implementation of a definition, with what it declares.

    A subject is called with logits of shape (rows, classes), and with integer labels of shape
    (rows,) where the definition takes a label; where its signature has ``axis`` or ``dim`` it gets
    that.  It returns an array, or a tuple (value, gradient).

    * ``id``: ``module:attribute``, or the command line of a program.
    * ``arrays``: the array library whose arrays it takes: numpy, torch, jax or cupy.
    * ``device``: where its arrays live, as that library names it; "" for the library's default.
    * ``command``: a program that speaks a protocol of ``program.py``, in place of a function.
    * ``requires``: distributions; where one is missing the subject is skipped.
    * ``time_limit``: seconds that a call may take, but for the first, which may import and compile.
    * ``slow``: why it is run only where it is named; "" where it is quick.
    * ``declared_in``: the TOML file that declares it; "" where none does.
    * ``snippet``: the call without softproof, an expression over ``x`` and ``labels``, or over the
      names of the arguments and the parameters.
    """

    id: str
    definition: str
    contract: Contract = field(default_factory=Contract)
    dtypes: tuple[str, ...] = ("float32", "float64")
    arrays: str = "numpy"
    device: str = ""
    command: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    time_limit: float = 30.0
    slow: str = ""
    declared_in: str = ""
    snippet: str = ""

    def declaring(self, settings: list[str]) -> Subject:
        """Change settings ``name=value`` of the subject's contract."""
        return replace(self, contract=self.contract.with_settings(settings))

    @property
    def is_our_kernel(self) -> bool:
        """Whether it is one of our kernels, on whose exponential the fast oracle stands as well."""
        return self.id.startswith(KERNELS)

    def missing(self) -> str | None:
        """The word that says why the subject cannot be run here; None where it can."""
        for requirement in self.requires:
            if not _is_here(requirement):
                return f"{requirement} is not installed"
        if self.device.startswith("cuda") and not _has_cuda():
            return "no CUDA device here"
        return None


@functools.cache
def _is_here(requirement: str) -> bool:
    """Whether a distribution is installed, or what a compiler of kernels at run time needs."""
    if requirement == CXX:
        header = Path(sysconfig.get_path("include"), "Python.h")
        return header.exists() and shutil.which(os.environ.get("CXX", "g++")) is not None
    try:
        version(requirement)
    except PackageNotFoundError:
        return False
    return True


@functools.cache
def _has_cuda() -> bool:
    """Asked of the driver: importing an array library for it would take seconds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return bool(
        driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value
    )
