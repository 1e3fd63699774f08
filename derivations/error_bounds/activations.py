"""Error bounds of activations: functions of one real."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arithmetic.gaussian import HALF, float_normal_cdf, float_scaled_cylinder
from .declare import error_bound
from .model import Bound, Model, Vector, rounded_sum

FARTHEST = 1e3  # standard deviations: what is there is 0 in every format


@error_bound("sigmoid", form="by sign")
def sigmoid(x: Vector, model: Model) -> Bound:
    """Sigmoid 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0.

    Exponent: [c] of the numerator, [c + 1] of the denominator, [1] of the quotient.
    """
    small = np.exp(-np.abs(x))
    value = np.where(x < 0, small, 1.0) / (1 + small)
    exponent = model.exponent(2 * model.elementary + 2)
    return Bound(value, value * np.expm1(exponent) + model.underflow * np.exp(exponent))


@error_bound("softplus", form="log1p")
def softplus(x: Vector, model: Model) -> Bound:
    """Softplus max(x, 0) + log1p(e^-|x|): terms of one sign.

    Exponent: [c] of e^-|x|, which log1p passes on at most (concave, 0 at 0), [c] of log1p; the sum
    rounds once.
    """
    tail = np.log1p(np.exp(-np.abs(x)))
    exponent = model.exponent(2 * model.elementary)
    error = tail * np.expm1(exponent) + model.underflow * np.exp(exponent)
    return rounded_sum(np.maximum(x, 0) + tail, error, model)


def gaussian_tail(t: Vector, value: Vector, units: float, model: Model) -> Vector:
    """The error of e^(-t^2/2) g_k(t), t >= 0, g_k(t) = integral of s^(k-1) e^(-ts - s^2/2) ds.

    All three functions below are such for negative arguments, but for a constant.  A rounding of t
    enters t^2/2 as t^2 u, one of t^2 as t^2 u / 2: exponent [3 t^2 / 2], and [c] of the
    exponential, [c] of g_k, units for what g_k makes of the rounding of t and for the operations
    around.  g_k makes [k] of it: -t g_k'/g_k is the mean of ts with weights s^(k-1) e^(-ts -
    s^2/2), which is k without the last, falling, factor (a Gamma distribution), and less with it.

    Parameters
    ----------
    t
        The arguments, at least 0.
    value
        The exact results, up to a constant factor.
    units
        What g_k makes of the rounding of t, and the operations around, in unit roundoffs.
    model
        The arithmetic.

    Returns
    -------
    Vector
        The largest error of each result.
    """
    exponent = model.exponent(1.5 * t * t + 2 * model.elementary + units)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = value * np.expm1(exponent)
    return np.asarray(np.where(value > 0, relative, 0.0) + model.underflow)


@error_bound("normal_cdf", form="as published")
def normal_cdf(x: Vector, model: Model, beta: float = 1.0) -> Bound:
    """Phi(-t) for x < 0, t = beta |x|, and 1 less that for x >= 0: k = 1, [1] for the product."""
    t = np.minimum(np.abs(beta * x), FARTHEST)
    tail = each(lambda v: float_normal_cdf(-v), t)
    return _by_sign(x, tail, 1 - tail, gaussian_tail(t, tail, 2, model), model)


def each(function: Callable[[float], float], numbers: Vector) -> Vector:
    """Apply a function of one float to each number of an array.

    Parameters
    ----------
    function
        Takes and returns a float.
    numbers
        An array of any shape.

    Returns
    -------
    Vector
        The results, of the same shape.
    """
    return np.array([function(v) for v in numbers.flat]).reshape(numbers.shape)


def _by_sign(x: Vector, left: Vector, right: Vector, error: Vector, model: Model) -> Bound:
    """A tail for x < 0, off by ``error``, and for x >= 0 a sum with it."""
    of_the_sum = rounded_sum(right, error, model)
    return Bound(np.where(x < 0, left, right), np.where(x < 0, error, of_the_sum.error))


@error_bound("ria", form="parabolic cylinder")
def ria(x: Vector, model: Model, beta: float = 1.0) -> Bound:
    """r(t) / beta for x < 0, x + r(t) / beta for x >= 0, where r(t) = phi(t) - t Phi(-t).

    k = 2, [1] for the product, [1] for the quotient.
    """
    t = np.minimum(np.abs(beta * x), FARTHEST)
    excess = each(lambda v: float_scaled_cylinder(-4 * HALF, v), t) / np.sqrt(2 * np.pi) / beta
    error = gaussian_tail(t, excess, 4, model)
    return _by_sign(x, excess, np.maximum(x, 0) + excess, error, model)
