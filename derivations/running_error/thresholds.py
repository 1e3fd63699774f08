"""The threshold of a definition from its formula alone, and the verdict on a result.

A formula evaluated in numbers with running errors gives an enclosure of the exact value and a bound
on the error of every implementation in the class.  Two more steps belong to the end:

* The result is rounded to its format, where that is narrower than the operations': by half a unit
  in the last place of the largest that it can be, or by a whole one where the rounding is only
  faithful.
* |computed - reference| is taken for |computed - exact|, which is right where the reference of the
  result is the exact value: where every ``shifted`` is used in what is invariant.

Who implements any of the forms of a definition conforms: the threshold is the largest over them.
Each form encloses the same exact value, so the narrowest enclosure holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import RunningErrorArithmetic
from .constants import Array, quiet
from .model import Model, largest, underflow, unit_roundoff
from .numbers import RunningNumber

SLACK = 1 + 2.0**-30  # what evaluating the last steps may round
Formula = Callable[..., Any]


@dataclass(frozen=True)
class Threshold:
    """The exact value of each output is within ``radius`` of ``value``, and the largest admissible
    distance of a result from the exact value is ``error``: infinite where nothing is known.
    """

    value: Array
    radius: Array
    error: Array


class Verdict(Enum):
    """Of one output: it is within its threshold, beyond it, or nothing is known."""

    PASSED = 1
    FAILED = 0
    NONE = -1


def threshold(
    formulas: Formula | Sequence[Formula],
    arguments: Sequence[Any] | Mapping[str, Any],
    model: Model,
    **parameters: Any,
) -> Threshold:
    """The enclosure of the exact value and the largest admissible error of a function.

    Parameters
    ----------
    formulas
        One formula, or all forms that an implementation may follow; called with the arguments, the
        arithmetic as ``xp``, and the parameters.
    arguments
        Arrays of numbers of the format, by position or by name.  Integer arrays (labels), Boolean
        arrays (masks), strings and None are passed on as they are.
    model
        The class of implementations.
    **parameters
        Those of the definition.

    Returns
    -------
    Threshold
        Arrays of the shape of the output.  Never NaN.  Where an argument is NaN, or where something
        may overflow or leave the domain, bounds are infinite.

    Raises
    ------
    UndecidedComparison
        A formula decides by a comparison that rounding errors may reverse.
    ValueError
        There is no formula.

    >>> from ..arithmetic.formats import BFLOAT16
    >>> model = Model.of(BFLOAT16, arithmetic="float32")
    >>> found = threshold(lambda z, xp: xp.softmax(z), [[0.0, 0.0]], model)
    >>> found.value.tolist(), (found.error / 2.0**-9).round(3).tolist()  # in half ulps of bfloat16
    ([0.5, 0.5], [1.0, 1.0])
    """
    forms = [formulas] if callable(formulas) else list(formulas)
    if not forms:
        raise ValueError("there is no formula; give one, or a list of the forms of a definition")
    xp = RunningErrorArithmetic(model)
    found = [_stored(_evaluate(form, arguments, xp, parameters)) for form in forms]
    best = found[0]
    for other in found[1:]:
        nearer = other.radius < best.radius
        best = Threshold(
            np.where(nearer, other.value, best.value),
            np.where(nearer, other.radius, best.radius),
            np.maximum(best.error, other.error),
        )
    return best


def _evaluate(
    formula: Formula,
    arguments: Sequence[Any] | Mapping[str, Any],
    xp: RunningErrorArithmetic,
    parameters: Mapping[str, Any],
) -> RunningNumber:
    if isinstance(arguments, Mapping):
        named = {name: _lifted(value, xp) for name, value in arguments.items()}
        return xp.array(formula(**named, xp=xp, **parameters))
    return xp.array(formula(*(_lifted(a, xp) for a in arguments), xp=xp, **parameters))


def _lifted(argument: Any, xp: RunningErrorArithmetic) -> Any:
    """Numbers as numbers of the arithmetic; labels, masks and words as they are."""
    if argument is None or isinstance(argument, RunningNumber | str | bool | int | np.integer):
        return argument
    array = np.asarray(argument)
    return argument if array.dtype.kind in "biu" else xp.array(array)


def _stored(y: RunningNumber) -> Threshold:
    """A result rounded to its format."""
    model, fmt = y.model, y.model.result
    with quiet():
        error = y.error * SLACK
        if unit_roundoff(fmt) > model.u:
            reach = (np.abs(y.value) + y.radius + y.reference_radius + error) * SLACK
            exponent = np.frexp(np.where(np.isfinite(reach), np.maximum(reach, 2.0**fmt.emin), 1))[
                1
            ]
            ulps = 1.0 if model.faithful_result else 0.5
            flushed = underflow(fmt, 0.0, True) if model.flushes else 0.0
            error = error + np.ldexp(ulps, exponent - fmt.precision) + flushed
        reach = np.abs(y.value) + y.radius + y.reference_radius + error
        error = np.where(reach <= largest(fmt), error, np.inf)
    return Threshold(y.value, y.radius, error)


def admissible(found: Threshold) -> Array:
    """The largest admissible distance of a result from ``value``: the error and the radius."""
    with quiet():
        return (found.error + found.radius) * SLACK


def verdict(results: Any, found: Threshold, model: Model) -> NDArray[Any]:
    """A ``Verdict`` for each result.

    Passing is stated (the error is at most the bound), so NaN never passes, and a result that is
    not finite passes only where the exact value is beyond the largest number of the format.  An
    infinite bound is no verdict, whatever the result.

    >>> from ..arithmetic.formats import BINARY32
    >>> found = Threshold(np.ones(3), np.zeros(3), np.array([0.5, 0.5, np.inf]))
    >>> [v.name for v in verdict([1.25, np.nan, 7.0], found, Model.of(BINARY32))]
    ['PASSED', 'FAILED', 'NONE']
    """
    computed = np.asarray(results, dtype=np.float64)
    fmt = model.result
    with quiet():
        passed = np.isfinite(computed) & (np.abs(computed - found.value) <= admissible(found))
        beyond = np.abs(found.value) - found.radius > largest(fmt) * (1 + unit_roundoff(fmt))
        right = beyond & (computed == np.copysign(np.inf, found.value))
    shape = np.broadcast_shapes(computed.shape, found.value.shape)
    answers = np.full(shape, Verdict.FAILED, dtype=object)
    answers[np.broadcast_to(passed, shape)] = Verdict.PASSED
    answers[np.broadcast_to(np.isinf(found.error), shape)] = Verdict.NONE
    answers[np.broadcast_to(right, shape)] = Verdict.PASSED
    return answers
