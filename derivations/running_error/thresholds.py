"""The threshold of a definition from its formula alone, also of its derivatives; the verdict.

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

from ..arithmetic.reverse_mode import vector_jacobian_product
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
        arithmetic as ``xp``, and the parameters.  (A form that overflows, as softmax without its
        maximum does, has an infinite bound there and leaves no verdict: give none that an
        implementation must not follow.)
    arguments
        Arrays of numbers of the format in the order in which the formula takes them, by name or
        not.  Integer arrays (labels), Boolean arrays (masks), strings and None are passed on as
        they are.
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
    return thresholds(formulas, arguments, model, 1, **parameters)[0]


def thresholds(
    formulas: Formula | Sequence[Formula],
    arguments: Sequence[Any] | Mapping[str, Any],
    model: Model,
    outputs: int,
    **parameters: Any,
) -> list[Threshold]:
    """The thresholds of a function of several outputs, each form being evaluated once.

    Parameters
    ----------
    formulas, arguments, model, **parameters
        As for ``threshold``.
    outputs
        How many the function has; of more than one, the formulas give a sequence.

    Returns
    -------
    list of Threshold
        One for each output.

    Raises
    ------
    UndecidedComparison, ValueError
        As ``threshold``.
    """
    xp = RunningErrorArithmetic(model)
    values = arguments.values() if isinstance(arguments, Mapping) else arguments
    with quiet():
        lifted = [_lifted(value, xp) for value in values]
        each = [form(*lifted, xp=xp, **parameters) for form in _forms(formulas)]
        several = [list(found) if outputs > 1 else [found] for found in each]
        return [
            _over_forms([_stored(xp.array(output)) for output in same])
            for same in zip(*several, strict=True)
        ]


def gradient_threshold(
    formulas: Formula | Sequence[Formula],
    arguments: Mapping[str, Any],
    cotangent: Any,
    model: Model,
    *,
    wrt: Sequence[str],
    **parameters: Any,
) -> dict[str, Threshold]:
    """The thresholds of vector-Jacobian products, from the formula of the function alone.

    Reverse mode runs over numbers with running errors, so what an implementation recomputes in its
    backward pass may be off as in the forward pass, and independently of it.  The class is that of
    the rules of ``arithmetic.tape``, such as p (g - <p, g>) for softmax.

    Parameters
    ----------
    formulas, arguments, model, **parameters
        As for ``threshold``; arguments by name, in the order in which the formula takes them.
    cotangent
        Numbers of the format in the shape of the output; 1 for the gradient of a real output.
    wrt
        The names of the arguments to differentiate in.

    Returns
    -------
    dict
        For each name in ``wrt`` a ``Threshold`` of arrays in the shape of that argument.

    Raises
    ------
    ValueError
        A name in ``wrt`` is that of no argument, the cotangent has another shape than the output,
        or there is no formula.
    UndecidedComparison
        A formula decides by a comparison that rounding errors may reverse.

    >>> from ..arithmetic.formats import BINARY32
    >>> found = gradient_threshold(
    ...     lambda x, xp: xp.exp(x), {"x": 0.0}, 1.0, Model.of(BINARY32), wrt=["x"]
    ... )
    >>> float(found["x"].value), float(found["x"].error / 2.0**-24)
    (1.0, 8.0000...)
    """
    xp = RunningErrorArithmetic(model)
    lifted = {name: _lifted(value, xp) for name, value in arguments.items()}
    each = [
        vector_jacobian_product(form, lifted, xp.array(cotangent), xp, wrt=wrt, **parameters)[1]
        for form in _forms(formulas)
    ]
    return {name: _over_forms([_stored(products[name]) for products in each]) for name in wrt}


def _forms(formulas: Formula | Sequence[Formula]) -> list[Formula]:
    forms = [formulas] if callable(formulas) else list(formulas)
    if not forms:
        raise ValueError("there is no formula; give one, or a list of the forms of a definition")
    return forms


def _over_forms(found: Sequence[Threshold]) -> Threshold:
    """The largest error and the narrowest enclosure of several forms."""
    best = found[0]
    for other in found[1:]:
        nearer = other.radius < best.radius
        best = Threshold(
            np.where(nearer, other.value, best.value),
            np.where(nearer, other.radius, best.radius),
            np.maximum(best.error, other.error),
        )
    return best


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
    """The largest admissible distance of a result from ``value``: the error and the radius.

    Parameters
    ----------
    found
        A threshold.

    Returns
    -------
    numpy.ndarray
        In its shape; infinite where nothing is known.
    """
    with quiet():
        return (found.error + found.radius) * SLACK


def verdict(results: Any, found: Threshold, model: Model) -> NDArray[Any]:
    """A ``Verdict`` for each result: within its threshold, beyond it, or nothing known.

    Parameters
    ----------
    results
        What an implementation returned, in the shape of the threshold.
    found
        The threshold of the same arguments.
    model
        The class that it was found for.

    Returns
    -------
    numpy.ndarray
        Of ``Verdict``s.

    Notes
    -----
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
