"""One call of a Python function: its axis keyword, its arrays, its silence, its input untouched."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import to_native, to_numpy
from .differentiate import differentiated
from .layouts import in_used_memory, lay_out
from .registration import module_of
from .subject import (
    EnvironmentChanged,
    InputChanged,
    NoSuchSubject,
    NotApplicable,
    SubjectError,
    SubjectRaised,
    WrongResult,
)
from .surroundings import Surroundings

Array = NDArray[Any]

MOST_LARGER = 16  # than the logits: a result beyond is not looked at
MOST_LEFT_BEHIND = 3  # arrays of one size that a function may allocate before its result
USED = "used"
"""The layout of a call where other calls have been: arrays lie where those of the call before lay,
and memory that is free holds NaN."""


@dataclass(frozen=True)
class Loaded:
    """A function, and what it runs under."""

    function: Callable[..., Any]
    surroundings: Surroundings

    def keywords(self, library: str) -> tuple[str, ...]:
        """``keywords_of`` the function, found once: that takes longer than many a call."""
        if library not in self._keywords:
            self._keywords[library] = keywords_of(self.function, library)
        return self._keywords[library]

    @functools.cached_property
    def _keywords(self) -> dict[str, tuple[str, ...]]:
        return {}


_surroundings: dict[str, Surroundings] = {}  # by the name of a module


@functools.cache
def load(subject_id: str) -> Loaded:
    """Load the function named ``module:attribute``.

    SubjectError where its module cannot be imported; its subclass NoSuchSubject where there is
    nothing of that name.

    Parameters
    ----------
    subject_id
        The name; what follows an ``@`` in it, a device, is left out. The working directory is
        searched as well.

    Returns
    -------
    Loaded
        The function, and what it runs under; loaded once in a process.

    Raises
    ------
    SubjectError
        If the module cannot be imported.
    NoSuchSubject
        If there is nothing of that name, or nothing that can be called.
    """
    module_name, _, attribute = subject_id.partition("@")[0].partition(":")  # f@cuda is f
    # As `python -m` does: a user's module in the working directory can be named.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    surroundings = _surroundings.setdefault(module_name, Surroundings())
    fault = SubjectError
    try:
        with surroundings.of_an_import():
            module = module_of(module_name)
            target: Any = importlib.import_module(module)
            if module != module_name:  # a wrapper of ours: see `registration`
                getattr(target, "load_framework", lambda: None)()
        fault = NoSuchSubject
        for part in attribute.split("."):
            target = getattr(target, part)
    except ModuleNotFoundError as error:
        # A module that it imports may be missing, too: then it is there, and cannot be loaded.
        ours = f"{module_name}.".startswith(f"{error.name}.")
        kind = NoSuchSubject if ours else SubjectError
        raise kind(f"{subject_id}: {type(error).__name__}: {error}") from error
    except BaseException as error:  # whatever a user's module does on import
        if isinstance(error, KeyboardInterrupt) and not _alone:
            raise
        raise fault(f"{subject_id}: {type(error).__name__}: {error}") from error
    if not callable(target):
        raise NoSuchSubject(f"{subject_id} is a {type(target).__name__}, not callable")
    return Loaded(target, surroundings)


_alone = False


def have_no_terminal() -> None:
    """Take a KeyboardInterrupt for the subject's: this process has a session of its own."""
    global _alone
    _alone = True


def keywords_of(function: Callable[..., Any], library: str) -> tuple[str, ...]:
    """List the names of a function's parameters.

    Parameters
    ----------
    function
        The function.
    library
        The library whose arrays it takes.

    Returns
    -------
    tuple of str
        The names. Of a compiled function without a signature, what its library calls the axis.
    """
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # compiled functions may have no signature
        return ("dim",) if library == "torch" else ()


def _article(thing: object) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"


def call(
    loaded: Loaded,
    logits: Array,
    labels: Array | None,
    *,
    library: str,
    device: str,
    axis: int | None,
    layout: str,
    options: Mapping[str, Any],
    may_flush: bool = False,
) -> list[Array]:
    """Call a function of rows, and return its results as NumPy arrays.

    The results are copied, for a subject may reuse its buffers.

    Parameters
    ----------
    loaded
        The function, and what it runs under.
    logits
        An array of any shape; (rows, classes) where there are labels.
    labels
        (rows,) integers, or None where the function takes none.
    library, device
        What ``to_native`` makes of the arrays.
    axis
        The axis of the classes, which goes to the parameter ``axis`` or ``dim`` where the function
        has one; None for a function of single numbers.
    layout
        The memory layout of the logits, one of ``layouts.LAYOUTS``, or USED.
    options
        Further arguments by name; arrays among them are converted, too.
    may_flush
        Whether a processor that takes subnormal numbers for 0 is accepted.

    Returns
    -------
    list of numpy.ndarray
        The results: the value, and where the function gives it the gradient.

    Raises
    ------
    SubjectRaised
        If the function raises.
    EnvironmentChanged
        If it leaves the process in another state: see ``surroundings``.
    InputChanged
        If it changes its input.
    WrongResult
        If it returns no arrays, or larger ones than can be meant.
    NotApplicable
        If it takes no such option, axis, layout or dtype.
    """
    names = loaded.keywords(library)
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
    arguments = [to_native(_laid_out(logits, layout, 0), library, device)]
    if labels is not None:
        labels = _laid_out(labels, USED, 1) if layout == USED else labels.copy()
        arguments.append(to_native(labels, library, device))
    if layout == USED:
        _leave_nan_behind(arguments)
    most = MOST_LARGER * max(logits.size, 1)
    return _results(loaded, arguments, keywords, most, may_flush=may_flush)


def call_with_arguments(
    loaded: Loaded,
    arguments: Sequence[Array],
    *,
    library: str,
    device: str,
    parameters: Mapping[str, float],
    defaults: Mapping[str, float],
    most: int,
    out: Array | None = None,
    cotangents: int = 0,
    choices: int = 0,
    layouts: Sequence[str] = (),
    may_flush: bool = False,
) -> list[Array]:
    """Call a function of several arguments, and return its results as NumPy arrays.

    The results are copied. With ``cotangents``, the vector-Jacobian products in all arguments of
    real numbers are asked for; ``differentiate`` says how.

    Parameters
    ----------
    loaded
        The function, and what it runs under.
    arguments
        The arrays, which go by position; single integers go as ``int``.
    library, device
        What ``to_native`` makes of the arrays.
    parameters
        Numbers that go by name.
    defaults
        Numbers that go by name if the function takes them.
    most
        How many numbers a result may have.
    out
        A buffer for the result, which goes to the keyword of that name.
    layouts
        How each argument lies in memory, one of ``layouts.LAYOUTS``, or USED; as a copy of its own
        where none are given.
    cotangents
        How many of the last arguments are cotangents of the results; 0 for a plain call.
    choices
        How many of the first results are indices, which have no cotangent.
    may_flush
        Whether a processor that takes subnormal numbers for 0 is accepted.

    Returns
    -------
    list of numpy.ndarray
        The results, or the vector-Jacobian products.

    Raises
    ------
    NotApplicable
        If the function takes no parameter of a name, or no such array.
    SubjectRaised, EnvironmentChanged, InputChanged, WrongResult
        As ``call`` raises them.
    """
    if cotangents and hasattr(loaded.function, "vjp"):
        called = replace(loaded, function=loaded.function.vjp)
    else:
        called = loaded
    names = called.keywords(library)
    keywords: dict[str, Any] = {n: v for n, v in defaults.items() if n in names}
    for name in (*parameters, *(() if out is None else ("out",))):
        if name not in names:
            raise NotApplicable(f"it takes no {name}")
    keywords |= parameters
    if out is not None:
        keywords["out"] = to_native(out, library, device)
    copies = (
        [_laid_out(*given, i) for i, given in enumerate(zip(arguments, layouts, strict=True))]
        if layouts
        else [a.copy() for a in arguments]
    )
    native = [
        int(a) if a.ndim == 0 and a.dtype.kind == "i" else to_native(a, library, device)
        for a in copies
    ]
    if USED in layouts:
        _leave_nan_behind(native)
    if cotangents and called is loaded:
        real = [i for i, a in enumerate(arguments[:-cotangents]) if a.dtype.kind not in "biu"]
        called = replace(
            loaded, function=differentiated(loaded.function, library, real, cotangents, choices)
        )
    return _results(called, native, keywords, most, may_flush=may_flush)


def _laid_out(array: Array, layout: str, place: int) -> Array:
    """A copy of an argument of a call, its number ``place``, in a layout."""
    return in_used_memory(array, place) if layout == USED else lay_out(array, layout)


def _leave_nan_behind(arguments: Sequence[Any]) -> None:
    """Fill and free memory of the size of each argument, and of its rows, in its library.

    What is allocated next is likely there: who does not write all of it returns NaN.
    """
    for argument in arguments:
        if getattr(argument, "ndim", 0) and to_numpy(argument[:0]).dtype.kind not in "biu":
            left = [argument * math.nan for _ in range(MOST_LEFT_BEHIND)]
            rows = [each[..., 0] * math.nan for each in left if each.shape[-1]]
            del left, rows


def _results(
    loaded: Loaded,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    most: int,
    *,
    may_flush: bool,
) -> list[Array]:
    """Call a function, and see that it returns arrays and leaves its input and all else alone."""
    function, surroundings = loaded.function, loaded.surroundings
    before = [_seen(argument) for argument in arguments]
    silence = contextlib.redirect_stdout(io.StringIO())  # stdout is the report's
    try:
        with silence, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a subject's warnings are no finding
            with surroundings.of_a_call():
                result = function(*arguments, **keywords)
            results = result if isinstance(result, tuple) else (result,)
            for r in results:
                if r is None or isinstance(r, (list, dict, str)):
                    raise WrongResult(f"returned {_article(r)}, not an array")
            arrays = [np.array(to_numpy(r)) for r in results]
    except (NotApplicable, WrongResult):
        raise
    except (Exception, SystemExit) as error:
        under = surroundings.errors if isinstance(error, FloatingPointError) else ""
        told = _told(arguments, keywords)
        raise SubjectRaised.of(error, f" under {under}" if under else "", told) from error
    for array in arrays:
        # (And not unpickled elsewhere, which would run the subject's code there.)
        if array.dtype.hasobject or array.size > most:
            given = ", ".join(f"{a.dtype} {a.shape}" for a in map(to_numpy, arguments))
            raise WrongResult(
                f"a result has dtype {array.dtype} and shape {array.shape}, for {given}"
            )
    if words := surroundings.offences(may_flush=may_flush):
        raise EnvironmentChanged(words)
    after = [_seen(argument) for argument in arguments]
    if [numbers for *_, numbers in before] != [numbers for *_, numbers in after]:
        raise InputChanged("the input was changed in place")
    for (dtype, shape, strides, _), changed in zip(before, after, strict=True):
        if (dtype, shape, strides) != changed[:3]:
            raise InputChanged(
                f"the input's {_form(dtype, shape, strides)} became {_form(*changed[:3])}"
            )
    return arrays


def _told(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """What a function was called with, in a few words."""
    words = [_argument_told(argument) for argument in arguments]
    words += [f"{name}={_argument_told(value)}" for name, value in keywords.items()]
    return ", ".join(words)


def _argument_told(argument: Any) -> str:
    """The dtype and the shape of an array; a number as it is."""
    shape = getattr(argument, "shape", None)
    if shape is None:
        return repr(argument)
    return f"{argument.dtype} {tuple(shape)}"


def _seen(argument: Any) -> tuple[np.dtype[Any], tuple[int, ...], tuple[int, ...], bytes]:
    """All of an array that a call may not change."""
    array = to_numpy(argument)
    return array.dtype, array.shape, array.strides, array.tobytes()


def _form(dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> str:
    return f"shape {shape}, strides {strides}, dtype {dtype}"
