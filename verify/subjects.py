"""Subjects: implementations under test, named ``module:attribute``.

A subject is called with logits of shape (rows, classes), and with integer labels of shape (rows,)
where the definition takes a label; where its signature has ``axis`` or ``dim`` it gets -1.  It
returns an array, or a tuple (loss, gradient).
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import importlib
import inspect
import io
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..derivations import Definition, Output, lookup
from ..kernels.cross_entropy import ULP_BOUND as CROSS_ENTROPY_ULPS
from ..kernels.log_softmax import ULP_BOUND as LOG_SOFTMAX_ULPS
from ..kernels.softmax import ULP_BOUND as SOFTMAX_ULPS
from .contract import Contract


class SubjectError(Exception):
    """A subject that cannot be used: the message says why and what to do."""


class SubjectFault(Exception):
    """A call that gave no result to judge: the message is the finding."""


class WrongResult(SubjectFault):
    """A result that has not the shape and the dtype that it must have."""


class SubjectRaised(SubjectFault):
    """A subject raised; the exception is the ``__cause__``."""

    def __str__(self) -> str:
        """The exception, and the innermost line it came from."""
        cause = self.__cause__
        assert cause is not None
        frame = traceback.extract_tb(cause.__traceback__)[-1]
        return f"raised {type(cause).__name__}: {cause} ({frame.filename}:{frame.lineno})"


def short_id(subject_id: str) -> str:
    """An id without what all of ours have in common, for tables and glob patterns.

    >>> short_id("softproof.kernels:online"), short_id("softproof.verify.textbook:stablemax")
    ('kernels:online', 'textbook:stablemax')
    """
    return subject_id.removeprefix("softproof.").removeprefix("verify.")


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
    """An implementation of a definition, with what it declares."""

    id: str
    definition: str
    contract: Contract = field(default_factory=Contract)
    dtypes: tuple[str, ...] = ("float32", "float64")

    def load(self) -> Callable[..., Any]:
        """Import the function; SubjectError where that fails."""
        return _load(self.id)[0]

    def __call__(self, logits: NDArray[Any], labels: NDArray[Any] | None) -> Outcome:
        """Call on a batch.  SubjectFault for an exception, or a result of another form."""
        function, axis_names = _load(self.id)
        elementwise = lookup(self.definition).elementwise
        axis = {} if elementwise else dict.fromkeys(axis_names, -1)
        arguments = [logits] if labels is None else [logits, labels]
        before = [argument.tobytes() for argument in arguments]
        silence = contextlib.redirect_stdout(io.StringIO())  # stdout is the report's
        try:
            with silence, np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a subject's warnings are no finding
                result = function(*arguments, **axis)
                results = result if isinstance(result, tuple) else (result,)
                # Copies: a subject may write its next result into the same buffer.
                arrays = [np.array(r) for r in results]
        except (Exception, SystemExit) as error:
            raise SubjectRaised from error
        if before != [argument.tobytes() for argument in arguments]:
            raise SubjectFault("the input was changed in place")
        self._demand_form(arrays, logits)
        return Outcome(arrays[0], arrays[1] if len(arrays) == 2 else None)

    def _demand_form(self, arrays: list[NDArray[Any]], logits: NDArray[Any]) -> None:
        """WrongResult unless there is a value, or value and gradient, of right shape and dtype."""
        if len(arrays) not in (1, 2):
            raise WrongResult(
                f"returned a tuple of {len(arrays)}; return an array, or (loss, gradient)"
            )
        definition = lookup(self.definition)
        vector = definition.output is Output.VECTOR or definition.elementwise
        shapes = (logits.shape if vector else logits.shape[:1], logits.shape)
        for what, array, shape in zip(("result", "gradient"), arrays, shapes, strict=False):
            if array.shape != shape:
                raise WrongResult(
                    f"{what} has shape {array.shape}, expected {shape} for logits of {logits.shape}"
                )
            if array.dtype != logits.dtype:
                raise WrongResult(f"{what} has dtype {array.dtype}, expected {logits.dtype}")

    def declaring(self, settings: list[str]) -> Subject:
        """The same subject with contract settings ``name=value`` changed."""
        return replace(self, contract=self.contract.with_settings(settings))


@functools.cache
def _load(subject_id: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The function, and which of ``axis`` and ``dim`` its signature has."""
    module_name, _, attribute = subject_id.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (Exception, SystemExit) as error:  # whatever a user's module does on import
        raise SubjectError(f"{subject_id}: {type(error).__name__}: {error}") from error
    if not callable(target):
        raise SubjectError(f"{subject_id} is a {type(target).__name__}, not callable")
    try:
        names = inspect.signature(target).parameters
    except (TypeError, ValueError):  # compiled functions may have no signature
        return target, ()
    return target, tuple(name for name in ("axis", "dim") if name in names)


ANY_FORMAT = ("float16", "bfloat16", "float32", "float64")
IN_FORMAT = Contract(accumulator="input")
UNSHIFTED = Contract(accumulator="input", pos_inf="nan_at")  # inf / inf is NaN, x / inf is 0
SHIFTED = Contract(accumulator="input", empty="error")  # NumPy's max of nothing raises


def _kernel(name: str, definition: str, promised: Mapping[str, float]) -> Subject:
    return Subject(f"softproof.kernels:{name}", definition, Contract(ulps=promised))


def _textbook(name: str, definition: str, contract: Contract = IN_FORMAT) -> Subject:
    return Subject(f"softproof.verify.textbook:{name}", definition, contract, ANY_FORMAT)


def _scipy(name: str, definition: str, contract: Contract) -> Subject:
    return Subject(f"scipy.special:{name}", definition, contract)


BUILT_IN: tuple[Subject, ...] = (
    *(_kernel(name, "softmax", promised) for name, promised in SOFTMAX_ULPS.items()),
    Subject("softproof.kernels:naive", "softmax", UNSHIFTED),
    _textbook("softmax_naive", "softmax", UNSHIFTED),
    _textbook("softmax_shifted", "softmax", SHIFTED),
    _scipy("softmax", "softmax", SHIFTED),
    _kernel("log_softmax", "log_softmax", LOG_SOFTMAX_ULPS),
    _textbook("log_softmax_naive", "log_softmax", SHIFTED),
    _textbook("log_softmax_shifted", "log_softmax", SHIFTED),
    _scipy("log_softmax", "log_softmax", replace(SHIFTED, pos_inf="nan_at")),
    Subject("softproof.kernels:logsumexp", "logsumexp"),
    _textbook("logsumexp_naive", "logsumexp"),
    _textbook("logsumexp_shifted", "logsumexp", SHIFTED),
    _scipy("logsumexp", "logsumexp", IN_FORMAT),
    _kernel("cross_entropy", "cross_entropy", CROSS_ENTROPY_ULPS),
    _kernel("cross_entropy_with_gradient", "cross_entropy", CROSS_ENTROPY_ULPS),
    _textbook("cross_entropy_naive", "cross_entropy", UNSHIFTED),
    _textbook("cross_entropy_shifted", "cross_entropy"),
    _textbook("sigmoid_naive", "sigmoid"),
    _scipy("expit", "sigmoid", IN_FORMAT),
    _textbook("softplus_naive", "softplus"),
    _textbook("softplus_logaddexp", "softplus"),
    _textbook("stablemax", "stablemax", UNSHIFTED),
    _textbook("stablemax_cross_entropy", "stablemax_cross_entropy", UNSHIFTED),
)


def registered(subject_id: str, definition: str) -> Subject:
    """The built-in subject of that name, or the user's as ``select`` makes it."""
    known = (s for s in BUILT_IN if (s.id, s.definition) == (subject_id, definition))
    return next(known, Subject(subject_id, definition, dtypes=ANY_FORMAT))


def select(pattern: str, definitions: list[Definition]) -> list[Subject]:
    """Built-in subjects whose id matches a glob pattern, or else the user's ``module:attribute``.

    SubjectError where nothing matches, or where a user's subject comes without exactly one
    definition to hold it against.
    """
    names = [d.name for d in definitions]
    is_glob = any(c in pattern for c in "*?[")
    known = [
        subject
        for subject in BUILT_IN
        if subject.definition in names
        # A literal id is the whole id: `kernels:softmax` may be a module of the user's.
        and (
            subject.id == pattern
            or (is_glob and fnmatch.fnmatchcase(subject.id, pattern))
            or (is_glob and fnmatch.fnmatchcase(short_id(subject.id), pattern))
        )
    ]
    if known:
        return known
    if ":" not in pattern or is_glob:
        raise SubjectError(
            f"no built-in subject of {', '.join(names)} matches {pattern!r}; "
            "name one as module:attribute, or list them with `softproof subjects`"
        )
    if len(definitions) != 1:
        raise SubjectError(
            f"say which definition {pattern} implements: softproof verify NAME --subject {pattern}"
        )
    # As `python -m` does: a user's module in the working directory can be named.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    subject = registered(pattern, names[0])
    subject.load()
    return [subject]
