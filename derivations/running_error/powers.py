"""Powers with real exponents of numbers with running errors; rules as in ``elementary``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .constants import SMALLEST, UP, quiet
from .elementary import LIBM, LOWER, growth, log_spread
from .numbers import RunningNumber, as_number, rounded, without_error


def pow(x: RunningNumber, y: Any) -> RunningNumber:
    """x^y for x > 0, and for x < 0 where y is exact and whole.

    |x|^y is e^(y log |x|), whose exponent is off by t: with log |x| off by s as in ``log``, t <=
    |y| s + |log |x|| e_y + s e_y.  For an exact x = 0 and y > 0 it is 0, and x^0 = 1, both exact;
    infinite where x may otherwise be 0 or of either sign.
    """
    y = as_number(x.model, y)
    with quiet():
        size = np.abs(x.value)
        logarithm = np.log(size)

        def exponent_off(ex: Any, ey: Any, wx: Any, wy: Any) -> Any:
            s = log_spread(ex, (size - wx) * LOWER)
            log_above = np.abs(logarithm) + np.where(wx > 0, log_spread(wx, size), 0.0)
            return ((np.abs(y.value) + wy) * s + log_above * ey + s * ey) * UP

        zero = 0.0 * x.radius
        exponent = y.value * logarithm
        evaluation = np.abs(exponent) * 2.0**-49 + SMALLEST
        wide = exponent_off(x.reference_radius, y.reference_radius, zero, zero)
        reach = exponent_off(x.error, y.error, x.reference_radius, y.reference_radius)
        if x.model.exponent_argument:
            moved = np.abs(exponent) + wide + reach
            reach = reach + x.model.exponent_argument * x.model.u * moved
        whole = y.is_exact & (y.value == np.rint(y.value))
        value = np.where((x.value >= 0) | whole, np.power(x.value, y.value), np.nan)
        power = rounded(
            x.model,
            value,
            growth(exponent, evaluation, exponent_off(x.radius, y.radius, zero, zero)),
            growth(exponent, evaluation, wide),
            growth(exponent, wide + evaluation, reach),
            units=x.model.elementary,
            underflow=x.model.function_underflow,
            evaluation=LIBM,
        )
        of_zero = (x.value == 0) & x.is_exact & (y.value > y.reference_radius + y.error)
        to_the_zeroth = (y.value == 0) & y.is_exact
    certain = np.asarray(of_zero | to_the_zeroth)
    return without_error(power, certain) if certain.any() else power
