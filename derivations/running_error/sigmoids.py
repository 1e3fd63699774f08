"""Sigmoid, softplus and tanh of numbers with running errors; rules as in ``elementary``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .constants import SMALLEST, UP, quiet
from .elementary import LIBM, function, growth, scaled_argument
from .numbers import RunningNumber


def sigmoid(x: RunningNumber) -> RunningNumber:
    """1 / (1 + e^-x): log f and log(1 - f) are 1-Lipschitz.

    So differences are at most those of e^l (growth) at l = log min(f, 1 - f) = -log(1 + e^|x|), and
    at most 1.  An implementation errs by [c] of the exponential, [c + 1] of the divisor, [1] of the
    quotient (``error_bounds.activations.sigmoid``); below the normal range by what the exponential
    and the quotient are off there.
    """
    x = scaled_argument(x)
    model = x.model
    units = 2 * model.elementary + 2
    with quiet():
        small = np.exp(-np.abs(x.value))
        value = np.where(x.value < 0, small, 1.0) / (1 + small)
        lesser = -np.abs(x.value) - np.log1p(small)
        return function(
            x,
            value,
            lambda e, w: np.minimum(growth(lesser, w, e), 1.0),
            units,
            absolute=True,
            underflow=model.function_underflow * (1 + 2 * units * model.u) + model.half_subnormal,
            evaluation=2 * LIBM,
        )


def softplus(x: RunningNumber) -> RunningNumber:
    """log(1 + e^x), by [c] of the exponential, [c] of log1p and [1] of a sum.

    log1p passes on at most the relative error of its argument, as it is concave and 0 at 0, and
    max(x, 0) + log1p(e^-|x|) has terms of one sign, so both common forms err by (2 c + 1) u at
    most.  The slope is the sigmoid, at most 1 and at most e^(x + w + e), so a difference is at most
    e and that of e^x (growth).
    """
    x = scaled_argument(x)
    model = x.model
    units = 2 * model.elementary + 1
    with quiet():
        value = np.maximum(x.value, 0.0) + np.log1p(np.exp(-np.abs(x.value)))
        return function(
            x,
            value,
            lambda e, w: np.minimum(growth(x.value, w, e), e),
            units,
            absolute=True,
            underflow=model.function_underflow * (2 + 2 * units * model.u),
            evaluation=2 * LIBM,
        )


def tanh(x: RunningNumber) -> RunningNumber:
    """tanh: its slope f' = sech^2 has |(log f')'| <= 2, so it is at most f'(v) e^(2 (w + e))."""
    x = scaled_argument(x)
    with quiet():
        size = np.abs(x.value)
        log_slope = 2 * (math.log(2) - size - np.log1p(np.exp(-2 * size)))

        def spread(e: Any, w: Any) -> Any:
            reach = 2 * (e + w)
            exponent = (log_slope + reach) + (np.abs(log_slope) + reach) * 2.0**-50
            slope = np.minimum(np.exp(np.minimum(exponent, 0.0)) * UP + SMALLEST, 1.0)
            return np.where(e > 0, np.minimum(slope * e * UP, 2.0), 0.0)

        return function(x, np.tanh(x.value), spread, x.model.elementary, absolute=True)
