"""Elementary functions of numbers with running errors.

Every rule needs one thing of its function f: ``spread(e, w)``, an upper bound of |f(b) - f(a)| over
all a, b with |a - v| <= w and |b - a| <= e.  It serves three times: for the exact value (e = d,
w = 0), for the reference (e = w, w = 0), and for what is computed from the reference (e = r, w).
Then the function itself errs, by ``elementary`` u relative and an absolute error below the normal
range.  In binary64 NumPy's functions are taken to err by LIBM h: 4 ulp, what its vector kernels
document (measured: 1.6 h at most).

Functions take numbers of any shape and give numbers of the same shape.  Bounds are infinite where
the exact value, or what an implementation may have computed, may be outside of the domain of the
function, or its result beyond the largest number; infinities are limits (e^-inf = 0).

The spreads, each in the docstring of its function, use one lemma.

Lemma (growth).  For |a - l| <= w, |b - a| <= e: |e^b - e^a| <= e^(l + w) (e^e - 1).  Where e >= 1
it is bounded by e^(l + w + e), with the sum in the exponent, so that no 0 times infinity appears
where e^l underflows and e is large.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .constants import SMALLEST, UP, Array, quiet
from .numbers import RunningNumber, as_number, finish, of_radii, rounded, without_error
from .softmax import log_of_sum, most_log_probability, softmax

LIBM = 8.0  # the error of NumPy's functions in binary64, in h
LOWER = 1 - 2.0**-50  # factors that make a few roundings of a bound go the safe way
UPPER = 1 + 2.0**-50

Spread = Callable[[Any, Any], Any]


def function(
    x: RunningNumber,
    value: Any,
    spread: Spread,
    units: float,
    *,
    absolute: bool = False,
    underflow: float | None = None,
    evaluation: float = LIBM,
) -> RunningNumber:
    """Make a function of x from its value and its spread.

    Parameters
    ----------
    x
        The argument.
    value
        The function at the values of x, in binary64.
    spread
        From (e, w), an upper bound of the change: see the module.
    units
        The error of an implementation, in u of the result.
    absolute
        Whether it errs besides by an absolute u, as functions with zeros do.
    underflow
        The absolute error below the normal range; by default that of the model.
    evaluation
        The error of ``value``, in h.

    Returns
    -------
    RunningNumber
        The result, of the shape of x.
    """
    model = x.model
    lost = model.function_underflow if underflow is None else underflow
    with quiet():
        zero = 0.0 * x.radius
        return rounded(
            model,
            value,
            *of_radii(lambda e: spread(e, zero) + evaluation * SMALLEST, x),
            spread(x.error, x.reference_radius),
            units=units,
            underflow=lost + (model.absolute * model.u if absolute else 0.0),
            evaluation=evaluation,
        )


def growth(log_value: Any, w: Any, e: Any) -> Any:
    """Bound the spread of exp at log_value, by the lemma above.

    Parameters
    ----------
    log_value
        The exponent l.
    w, e
        How far a may be from l, and b from a.

    Returns
    -------
    numpy.ndarray
        The bound; infinite or NaN where there is none.
    """
    with quiet():
        small = np.exp(log_value + w) * np.expm1(np.minimum(e, 1.0))
        change = np.where(e < 1, small, np.exp(log_value + w + e))
        evaluation = np.exp(np.minimum((np.abs(log_value) + w + e) * 2.0**-51, 700.0))
        grown = change * UP * evaluation + SMALLEST
    return np.where(e == 0, 0.0, grown)  # NaN stays NaN, which finish() makes infinite


def scaled_argument(x: RunningNumber) -> RunningNumber:
    """x, off by what multiplying it by log2(e) may round: exp(x (1 + t)), |t| <= c' u."""
    model = x.model
    if not model.exponent_argument:
        return x
    with quiet():
        off = model.exponent_argument * model.u * (x.above + x.error) * UP + model.half_subnormal
        off = np.where(np.isinf(x.value) & x.is_exact, 0.0, off)
        scaled = finish(model, *x.parts()[:3], x.error + off, math.inf)
    scaled.is_shifted, scaled.holds_zero = x.is_shifted, x.holds_zero
    return scaled


def exp(x: RunningNumber) -> RunningNumber:
    """e^x: the lemma (growth).

    Of log p = d - log sum e^d, a row d less its largest, the exact value and the reference are in
    [0, 1], and what is computed in [0, U], U = e^m (1 + c u), log p being computed as at most m
    (``softmax.most_log_probability``).  So none of the bounds exceeds 1, or U.
    """
    origin, most = x, x.most_log_probability
    x = scaled_argument(x)
    model = x.model
    with quiet():
        value = np.exp(x.value)
        power = function(x, value, lambda e, w: growth(x.value, w, e), model.elementary)
        if most is not None:
            one = np.maximum(value, 1.0) * UP
            upper = np.exp(most * (1 + model.exponent_argument * model.u))
            upper = upper * (1 + model.elementary * model.u) * UP
            upper = upper + model.function_underflow + model.flushed
            v, d, w, r = power.parts()
            certain = np.isfinite(np.max(origin.error))
            capped = np.where(certain, np.fmin(r, np.maximum(upper, one)), r)
            power = finish(model, v, np.fmin(d, one), np.fmin(w, one), capped)
    power.exponent = x
    if x.ndim == 1:
        power.made_of = ("powers of e", origin)
        if origin.holds_zero:
            power.probabilities = functools.partial(softmax, origin)
    return power


def expm1(x: RunningNumber) -> RunningNumber:
    """e^x - 1: differences are those of e^x."""
    x = scaled_argument(x)
    with quiet():
        value = np.expm1(x.value)
    return function(x, value, lambda e, w: growth(x.value, w, e), x.model.elementary, absolute=True)


def log_spread(e: Any, least: Any) -> Any:
    """Bound the spread of the logarithm: -log(1 - e / least), the worse side.

    Parameters
    ----------
    e
        How far b may be from a.
    least
        The least that a may be.

    Returns
    -------
    numpy.ndarray
        The bound; infinite where a or b may be 0 or negative.
    """
    ratio = np.where(e > 0, e / (least * LOWER) * UPPER, 0.0)
    change = np.where((least > 0) & (ratio < 1), -np.log1p(-np.minimum(ratio, 1.0)), np.inf)
    return change * UP


def log(x: RunningNumber) -> RunningNumber:
    """log x: |log b - log a| <= -log(1 - e / (v - w)), as a >= v - w.

    The logarithm of a sum of exponentials moves by no more than their exponents do, which is the
    sharper bound where these are off by much (``softmax.log_of_sum``): then that one holds, too.
    """
    with quiet():
        value = np.log(x.value)
        sharper = None if x.summed_exponents is None else log_of_sum(x.summed_exponents)

        def spread(e: Any, w: Any) -> Any:
            return log_spread(e, (x.value - w) * LOWER)

        zero = 0.0 * x.radius
        d, w = of_radii(lambda e: spread(e, zero) + LIBM * SMALLEST, x)
        r = spread(x.error, x.reference_radius)
        if sharper is not None:
            refers_to_exact = w is d and sharper[1] is sharper[0]
            d = np.fmin(d, sharper[0] + LIBM * SMALLEST)
            w = d if refers_to_exact else np.fmin(w, sharper[1] + LIBM * SMALLEST)
            r = np.fmin(r, sharper[2])
        model = x.model
        logarithm = rounded(
            model,
            value,
            d,
            w,
            r,
            units=model.elementary,
            underflow=model.function_underflow + model.absolute * model.u,
            evaluation=LIBM,
        )
    if x.made_of is not None and x.made_of[0] == "sum exp":
        logarithm.made_of = ("log sum exp", x.made_of[1])
        logarithm.most_log_probability = most_log_probability(x.made_of[1])
    return logarithm


def log1p(x: RunningNumber) -> RunningNumber:
    """log(1 + x): that of log at 1 + x."""
    with quiet():
        return function(
            x,
            np.log1p(x.value),
            lambda e, w: log_spread(e, (1 + x.value - w) * LOWER),
            x.model.elementary,
            absolute=True,
        )


def sqrt(x: RunningNumber) -> RunningNumber:
    """Square root: |sqrt b - sqrt a| <= e / (sqrt L + sqrt(L - e)), L = v - w; one operation.

    Infinite where the argument may be negative.  Of what is known to be at least M > 0, as of a
    sum of squares and a constant, b >= M, so that max(L - e, M) stands for L - e.  Where neither is
    negative, |sqrt b - sqrt a| <= sqrt |b - a|.
    """
    floor = max(x.at_least, 0.0) * LOWER

    def spread(e: Any, w: Any) -> Any:
        least = np.maximum(x.value - w, floor) * np.where(w > 0, LOWER, 1.0)
        roots = np.sqrt(least) + np.sqrt(np.maximum(least - e, floor))
        change = np.where(e > 0, e / np.maximum(roots, 2.0**-537) * UP, 0.0)
        if x.at_least >= 0:
            return np.fmin(change, np.sqrt(e) * UP)
        return np.where((e <= least) & (x.value >= w), change, np.inf)

    with quiet():
        root = rounded(
            x.model,
            np.sqrt(x.value),
            *of_radii(lambda e: spread(e, 0.0 * x.radius), x),
            spread(x.error, x.reference_radius),
            underflow=x.model.half_subnormal,
        )
    if floor > 0:
        root.at_least = max(np.sqrt(floor) * (1 - 4 * x.model.u) - x.model.half_subnormal, 0.0)
        root.at_least *= root.at_least >= x.model.flushed
    return root


def rsqrt(x: RunningNumber) -> RunningNumber:
    """1 / sqrt(x): at most (1 / sqrt L) (1 / s - 1), s = sqrt(1 - e / L), L = v - w.

    With q = e / L, 1 / s - 1 = q / (s (1 + s)), which has no cancellation.  Of what is known to be
    at least M > 0 both are at most 1 / sqrt M, and so is their difference.
    """
    floor = max(x.at_least, 0.0) * LOWER

    def spread(e: Any, w: Any) -> Any:
        least = np.maximum(x.value - w, 0.0) * LOWER
        q = np.where(e > 0, e / least * UPPER, 0.0)
        s = np.sqrt(1 - np.minimum(q, 1.0))
        most = UP / np.sqrt(floor) if floor > 0 else np.inf
        change = np.where((q < 1) & (least > 0), q / (np.sqrt(least) * s * (1 + s)) * UP, np.inf)
        return np.minimum(change, most)

    with quiet():
        return function(x, 1 / np.sqrt(x.value), spread, x.model.roots)


def pow(x: RunningNumber, y: Any) -> RunningNumber:
    """x^y for x > 0, and for x < 0 where y is exact and whole.

    |x|^y is e^(y log |x|), whose exponent is off by t: with log |x| off by s as in ``log``, t <=
    |y| s + |log |x|| e_y + s e_y.  For an exact x = 0 and y > 0 it is 0, and x^0 = 1, both exact.
    Where x may otherwise be 0, and is known not to be negative, x and x' are in [0, X] and their
    powers, for y > 0, in [0, X^y]; with an exact, whole y of either sign, in [-X^y, X^y].  (The
    largest X^y is that of the largest y, or where X < 1 of the least.)  Else infinite.

    Parameters
    ----------
    x
        The base.
    y
        The exponent, which may be a plain number.

    Returns
    -------
    RunningNumber
        The power.
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
        sides = np.where(x.at_least >= 0, 1.0, np.where(whole, 2.0, np.inf))
        least_y, most_y = (y.value + side * (y.reference_radius + y.error) * UP for side in (-1, 1))
        sides = np.where(least_y > 0, sides, np.inf)

        def spread(w: Any, e: Any, grown: Any) -> Any:
            """The smaller of both bounds; the first holds where 0 is far enough."""
            largest = (size + w + e) * UPPER
            most = np.maximum(np.power(largest, least_y), np.power(largest, most_y))
            most = most * UP + SMALLEST
            return np.fmin(np.where(np.isnan(grown), np.inf, grown), sides * most)

        value = np.where((x.value >= 0) | whole, np.power(x.value, y.value), np.nan)
        power = rounded(
            x.model,
            value,
            spread(
                zero,
                x.radius,
                growth(exponent, evaluation, exponent_off(x.radius, y.radius, zero, zero)),
            ),
            spread(zero, x.reference_radius, growth(exponent, evaluation, wide)),
            spread(x.reference_radius, x.error, growth(exponent, wide + evaluation, reach)),
            units=x.model.elementary,
            underflow=x.model.function_underflow,
            evaluation=LIBM,
        )
        of_zero = (x.value == 0) & x.is_exact & (y.value > y.reference_radius + y.error)
        to_the_zeroth = (y.value == 0) & y.is_exact
    certain = np.asarray(of_zero | to_the_zeroth)
    return without_error(power, certain) if certain.any() else power


def least_modulus(x: RunningNumber, e: Any, w: Any) -> Array:
    """Return the least modulus of all that is within w + e of x.

    Parameters
    ----------
    x
        The number.
    e, w
        Distances, of its shape or numbers.

    Returns
    -------
    numpy.ndarray
        The moduli, 0 where x may be 0.
    """
    return np.asarray(np.maximum(np.abs(x.value) * LOWER - (w + e) * UP, 0.0))
