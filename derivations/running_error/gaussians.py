"""Functions of the normal distribution of numbers with running errors; rules as in ``elementary``.

Their values come from balls.  All fall like e^(-x^2 / 2), so they multiply the rounding of their
argument: an implementation errs by [2 c] for an exponential and what it is multiplied with
(``error_bounds.activations``), and by what x^2 / 2 is off.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from ..arithmetic import gaussian
from .constants import SMALLEST, UP, Array, quiet
from .elementary import LOWER, function, least_modulus
from .numbers import RunningNumber, rounded


def erf(x: RunningNumber) -> RunningNumber:
    """The error function: its slope is 2 / sqrt(pi) e^(-L^2), L the least modulus, at most 1.13."""

    def spread(e: Any, w: Any) -> Any:
        least = least_modulus(x, e, w)
        slope = np.minimum(1.13 * np.exp(-least * least * LOWER) * UP + SMALLEST, 1.13)
        return np.where(e > 0, np.minimum(slope * e * UP, 2.0), 0.0)

    value, off = _by_balls(flint.arb.erf, x.value)
    return function(x, value, lambda e, w: spread(e, w) + off, x.model.elementary)


def normal_pdf(x: RunningNumber) -> RunningNumber:
    """phi(x) = e^(-x^2 / 2) / sqrt(2 pi); x^2 / 2 rounds once or twice: [x^2].

    |phi'| = |x| phi(x) <= (|v| + w + e) phi(L), L the least modulus, and at most 1/4.
    """

    def spread(e: Any, w: Any) -> Any:
        least = least_modulus(x, e, w)
        slope = (np.abs(x.value) + w + e) * np.exp(-least * least / 2 * LOWER) * 0.4
        return np.where(e > 0, np.minimum(slope * UP + SMALLEST, 0.25) * e * UP, 0.0)

    value, off = _by_balls(gaussian.ball_normal_pdf, x.value)
    with quiet():
        return _falling(x, value, off, spread, (x.above + x.error) ** 2)


def normal_cdf(x: RunningNumber) -> RunningNumber:
    """Phi, the distribution function of the normal distribution, such as erfc(-x / sqrt 2) / 2.

    The slope is phi <= 0.4 e^(-L^2 / 2), L the least modulus.  x / sqrt 2 rounds twice; for x < 0,
    |x| phi(x) <= (1 + x^2) Phi(x) (Mills' ratio), which makes [2 (1 + x^2)]; for x >= 0, |x| phi(x)
    <= Phi(x) / 2, which makes [1].
    """

    def spread(e: Any, w: Any) -> Any:
        least = least_modulus(x, e, w)
        slope = np.minimum(np.exp(-least * least / 2 * LOWER) * 0.4 * UP + SMALLEST, 0.4)
        return np.where(e > 0, np.minimum(slope * e * UP, 1.0), 0.0)

    value, off = _by_balls(gaussian.ball_normal_cdf, x.value)
    with quiet():
        on_the_right = x.value - (x.reference_radius + x.error) * UP >= 0
        units = np.where(on_the_right, 1.0, 2 + 2 * (x.above + x.error) ** 2)
        return _falling(x, value, off, spread, units)


def scaled_cylinder(order: Fraction, x: RunningNumber) -> RunningNumber:
    """e^(-x^2 / 4) D_order(x); its slope is minus that of order + 1 (DLMF 12.8.3).

    The slope is bounded by a ball around all of v +- (w + e). Implementations err as in
    ``error_bounds``: by [3 x^2 / 2] for x >= 0 and [5 / 4] for x < 0.

    Parameters
    ----------
    order
        The order. If it is not negative there are zeros, no relative error is bounded, and the
        errors are infinite.
    x
        The argument.

    Returns
    -------
    RunningNumber
        The function, of the shape of x.
    """

    def spread(e: Any, w: Any) -> Any:
        slope = np.empty(x.shape)
        with flint.ctx.workprec(80):
            for index in np.ndindex(x.shape):
                reach = float(np.broadcast_to(w + e, x.shape)[index])
                if not reach > 0 or not np.isfinite(reach):
                    slope[index] = np.inf if reach else 0.0
                    continue
                around = flint.arb(float(x.value[index]), reach)
                found = abs(gaussian.ball_scaled_cylinder(order + 1, around)).upper()
                slope[index] = float(found) * UP
        return np.where(e > 0, slope * e * UP, 0.0)

    value, off = _by_balls(lambda t: gaussian.ball_scaled_cylinder(order, t), x.value)
    with quiet():
        on_the_left = x.value + (x.reference_radius + x.error) * UP <= 0
        units = np.where(on_the_left, 1.25, 1.25 + 1.5 * (x.above + x.error) ** 2)
        if order >= 0:
            off = np.full(x.shape, np.inf)
        return _falling(x, value, off, spread, units)


def _falling(
    x: RunningNumber, value: Array, off: Array, spread: Callable[[Any, Any], Any], units: Any
) -> RunningNumber:
    """A function whose implementations err by [2 c + units], an exponent: e^t - 1, not t."""
    model = x.model
    zero = 0.0 * x.radius
    exponent = np.minimum(units * model.u / (1 - model.u), 700.0)
    return rounded(
        model,
        value,
        spread(x.radius, zero) + off,
        spread(x.reference_radius, zero) + off,
        spread(x.error, x.reference_radius),
        units=2 * model.elementary * np.exp(exponent) + np.expm1(exponent) / model.u,
        underflow=model.function_underflow,
    )


def _by_balls(function: Callable[[flint.arb], flint.arb], values: Array) -> tuple[Array, Array]:
    """The function in balls of 80 bits, as binary64 numbers, and how far they are off."""
    value, off = np.empty(values.shape), np.empty(values.shape)
    with flint.ctx.workprec(80):
        for index in np.ndindex(values.shape):
            ball = function(flint.arb(float(values[index])))
            value[index] = float(ball.mid())
            off[index] = float(abs(ball - flint.arb(value[index])).upper()) * UP + SMALLEST
    return value, off
