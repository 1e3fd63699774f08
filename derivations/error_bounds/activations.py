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


@error_bound("silu", form="as published")
def silu(x: Vector, model: Model) -> Bound:
    """SiLU x sigmoid(x), as it is written.

    Exponent: [2 c + 2] of the sigmoid, whose absolute error is multiplied by x, and [1] of the
    product.
    """
    size = np.abs(x)
    t, small = np.minimum(size, FARTHEST), np.exp(-size)
    value = np.where(x < 0, t * small, _relu(x)) / (1 + small)
    exponent = model.exponent(2 * model.elementary + 3)
    return _of_a_gate(size, value, exponent, model)


def _relu(x: Vector) -> Vector:
    return np.maximum(x, 0)


def _of_a_gate(size: Vector, value: Vector, exponent: Vector, model: Model) -> Bound:
    """The product of a number with a gate, whose own underflow it multiplies.

    Beyond FARTHEST the gate is 0, or 1, in every format, and underflow is none of its errors.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        relative = np.where(value > 0, value * np.expm1(exponent), 0.0)
        lost = model.underflow * np.minimum(size, FARTHEST) * np.exp(np.minimum(exponent, 1.0))
    return Bound(value, relative + lost + model.underflow)


@error_bound("gelu", form="as published")
def gelu(x: Vector, model: Model) -> Bound:
    """GELU x Phi(x), with Phi(x) = erfc(-x / sqrt 2) / 2.

    Exponent: x / sqrt 2 rounds twice.  For x < 0, t = |x|, that is [2 (1 + t^2)] of Phi, as
    t phi(t) <= (1 + t^2) Phi(-t) (Mills' ratio: DLMF 7.8.2); for x >= 0 it is [1], as x phi(x) <=
    Phi(x) / 2.  [2 c] of Phi, and [1] of the product.
    """
    size = np.abs(x)
    t = np.minimum(size, FARTHEST)
    tail = each(lambda v: float_normal_cdf(-v), t)
    value = np.where(x < 0, t * tail, _relu(x) * (1 - tail))
    of_the_argument = np.where(x < 0, 2 * (1 + t * t), 1.0)
    exponent = model.exponent(of_the_argument + 2 * model.elementary + 1)
    return _of_a_gate(size, value, exponent, model)


@error_bound("gelu_tanh", form="sigmoid")
def gelu_tanh(x: Vector, model: Model) -> Bound:
    """Tanh-GELU x sigmoid(s), s = 2 sqrt(2 / pi) (x + 0.044715 x^3).

    s is off by [7]: two constants, two products of the cube, its product with 0.044715, a sum of
    terms of one sign, and the last product.  (log sigmoid)' = 1 - sigmoid <= 1, which makes
    [7 |s|] for s < 0; for s >= 0, s (1 - sigmoid(s)) <= 0.2785 makes [7 * 0.2785] <= [2] at a
    neighbouring s, and [4] where [7] doubles it at most.  [2 c + 2] of the sigmoid, [1] of the
    product.  (Where the cube overflows, the sigmoid is 0 or 1, as the exact one rounds to.)
    """
    size = np.abs(x)
    t = np.minimum(size, FARTHEST)
    s = 2 * np.sqrt(2 / np.pi) * (t + 0.044715 * t * t * t)
    small = np.exp(-s)
    value = np.where(x < 0, t * small, _relu(x)) / (1 + small)
    of_the_argument = np.where(x < 0, 7 * s, 4.0)
    exponent = model.exponent(of_the_argument + 2 * model.elementary + 3)
    return _of_a_gate(size, value, exponent, model)
