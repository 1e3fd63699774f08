"""Error bounds of elementary functions: those of the model, or of what is composed of them."""

from __future__ import annotations

import math

import numpy as np

from .activations import each
from .declare import error_bound
from .model import Bound, Model, Vector


def _relative(value: Vector, units: float, model: Model) -> Bound:
    """A result of one sign that is off by so many units, and below the normal range besides."""
    return Bound(value, value * np.expm1(model.exponent(units)) + model.underflow)


@error_bound("exp", form="as published")
def exp(x: Vector, model: Model) -> Bound:
    """Exponential e^x: [c], as the model has it."""
    with np.errstate(over="ignore"):
        return _relative(np.exp(x), model.elementary, model)


@error_bound("expm1", form="expm1")
def expm1(x: Vector, model: Model) -> Bound:
    """Exponential less one, e^x - 1, as one function: [c]."""
    with np.errstate(over="ignore"):
        return _relative(np.abs(np.expm1(x)), model.elementary, model)


@error_bound("tanh", form="expm1")
def tanh(x: Vector, model: Model) -> Bound:
    """Hyperbolic tangent -d / (2 + d), d = e^-2|x| - 1.

    Exponent: [c] of d; it moves 2 + d, which is at least 1 >= |d|, by no more than [c]; [1] of the
    sum and [1] of the quotient.
    """
    return _relative(np.abs(np.tanh(x)), 2 * model.elementary + 2, model)


@error_bound("erf", form="as published")
def erf(x: Vector, model: Model) -> Bound:
    """Error function, as one function: [c]."""
    return _relative(each(lambda v: abs(math.erf(v)), np.asarray(x)), model.elementary, model)
