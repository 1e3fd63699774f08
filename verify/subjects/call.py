"""One call of a Python function: its axis keyword, its arrays, its silence, its input untouched."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import inspect
import io
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import to_native, to_numpy
from .layouts import lay_out
from .subject import (
    EnvironmentChanged,
    InputChanged,
    NotApplicable,
    SubjectError,
    SubjectRaised,
    WrongResult,
)

Array = NDArray[Any]

# Ids of built-in subjects are public names and stay; the modules that they name have moved.
MOVED_MODULES = {
    "softproof.verify.textbook": "softproof.verify.subjects.implementations.textbook",
    **{
        f"softproof.verify.subjects.{name}": f"softproof.verify.subjects.implementations.{name}"
        for name in ("comp_sum_members", "jax_forms", "onnx_forms", "sklearn_forms", "torch_forms")
    },
}

MOST_LARGER = 16  # than the logits: a result beyond is not looked at


@functools.cache
def load(subject_id: str) -> Callable[..., Any]:
    """The function named ``module:attribute``; SubjectError where that fails."""
    module_name, _, attribute = subject_id.partition("@")[0].partition(":")  # f@cuda is f
    # As `python -m` does: a user's module in the working directory can be named.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        target: Any = importlib.import_module(MOVED_MODULES.get(module_name, module_name))
        for part in attribute.split("."):
            target = getattr(target, part)
    except (Exception, SystemExit) as error:  # whatever a user's module does on import
        raise SubjectError(f"{subject_id}: {type(error).__name__}: {error}") from error
    if not callable(target):
        raise SubjectError(f"{subject_id} is a {type(target).__name__}, not callable")
    function: Callable[..., Any] = target
    return function


def keywords_of(function: Callable[..., Any], library: str) -> tuple[str, ...]:
    """The parameter names of a function; what its library calls the axis where it tells none."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # compiled functions may have no signature
        return ("dim",) if library == "torch" else ()


def _article(thing: object) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"


def _flushes_subnormals() -> bool:
    tiny = np.full(1, np.finfo(np.float64).smallest_subnormal)
    return bool((tiny * 1.0)[0] == 0)


def _default_environment() -> None:
    """The floating-point environment of a new process, where we know how to ask for it."""
    if sys.platform == "linux":
        ctypes.CDLL("libm.so.6").fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV of the GNU library


def call(
    function: Callable[..., Any],
    logits: Array,
    labels: Array | None,
    *,
    library: str,
    device: str,
    axis: int | None,
    layout: str,
    options: Mapping[str, Any],
) -> list[Array]:
    """The result of a call as NumPy arrays, copied: a subject may reuse its buffers.

    ``axis`` goes to the parameter ``axis`` or ``dim`` where the function has one; None for a
    function of single numbers.  Raises SubjectRaised, InputChanged or NotApplicable.
    """
    names = keywords_of(function, library)
    keywords: dict[str, Any] = {}
    if axis is not None:
        keywords = {name: axis for name in ("axis", "dim") if name in names}
        if not keywords and axis not in (-1, logits.ndim - 1):
            raise NotApplicable("it takes no axis")
    for name, value in options.items():
        if name not in names:
            raise NotApplicable(f"it takes no {name}")
        is_array = isinstance(value, np.ndarray)
        keywords[name] = to_native(value, library, device) if is_array else value
    laid_out = lay_out(logits, layout)
    arguments = [to_native(laid_out, library, device)]
    if labels is not None:
        labels = labels.copy()
        arguments.append(to_native(labels, library, device))
    before = [to_numpy(argument).tobytes() for argument in arguments]
    silence = contextlib.redirect_stdout(io.StringIO())  # stdout is the report's
    try:
        with silence, np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a subject's warnings are no finding
            result = function(*arguments, **keywords)
            results = result if isinstance(result, tuple) else (result,)
            for r in results:
                if r is None or isinstance(r, (list, dict, str)):
                    raise WrongResult(f"returned {_article(r)}, not an array")
            arrays = [np.array(to_numpy(r)) for r in results]
    except (NotApplicable, WrongResult):
        raise
    except (Exception, SystemExit) as error:
        raise SubjectRaised.of(error) from error
    for array in arrays:
        # (And not unpickled elsewhere, which would run the subject's code there.)
        if array.dtype.hasobject or array.size > MOST_LARGER * max(logits.size, 1):
            raise WrongResult(
                f"a result has dtype {array.dtype} and shape {array.shape}, for {logits.dtype} "
                f"logits of {logits.shape}"
            )
    if _flushes_subnormals():
        _default_environment()
        raise EnvironmentChanged("it makes the processor take subnormal numbers for 0")
    if before != [to_numpy(argument).tobytes() for argument in arguments]:
        raise InputChanged("the input was changed in place")
    return arrays
