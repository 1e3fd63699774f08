"""Exact numbers as balls, balls as floats and as text, and balls as an arithmetic (python-flint).

The precision is that of ``flint.ctx``: the caller sets it with ``flint.ctx.workprec(bits)``.
"""

from __future__ import annotations

import bisect
import functools
import math
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from . import gaussian
from .arithmetic import Arithmetic, Binary, Unary, elementwise, elementwise_binary, of_order
from .equations import root_in_balls, solve_balls
from .singular_values import singular_values_of_balls

Exact = float | Fraction  # a number without an error


def ball(x: Exact) -> flint.arb:
    """Make a ball of a number without an error.

    Parameters
    ----------
    x
        A float, which is taken as it is, or a Fraction.

    Returns
    -------
    flint.arb
        The ball; that of a Fraction holds its rounding error.

    Examples
    --------
    >>> ball(0.5).is_exact(), ball(Fraction(1, 3)).is_exact()
    (True, False)
    """
    return flint.arb(flint.fmpq(*x.as_integer_ratio())) if isinstance(x, Fraction) else flint.arb(x)


def power_of_two(exponent: int) -> flint.arb:
    """Make the exact ball 2^exponent.

    Parameters
    ----------
    exponent
        Any integer.

    Returns
    -------
    flint.arb
        The ball.

    Examples
    --------
    >>> print(power_of_two(-1))
    0.500000000000000
    """
    return flint.arb((1, exponent))


def to_text(x: flint.arb) -> str:
    """Write an exact ball as mantissa p exponent, the mantissa hexadecimal.

    Parameters
    ----------
    x
        A ball of radius 0.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> to_text(flint.arb(10))
    '0x5p1'
    """
    mantissa, exponent = x.man_exp()
    return f"{int(mantissa):#x}p{int(exponent)}"


def from_text(text: str) -> flint.arb:
    """Read the exact ball that ``to_text`` wrote.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    flint.arb
        The ball.

    Examples
    --------
    >>> print(from_text("0x5p1"))
    10.0000000000000
    """
    mantissa, exponent = text.split("p")
    return flint.arb((int(mantissa, 16), int(exponent)))


def shortened(x: flint.arb, bits: int) -> flint.arb:
    """Round the middle of a ball to so many bits, to an exact ball.

    Parameters
    ----------
    x
        The ball.
    bits
        The precision.

    Returns
    -------
    flint.arb
        The rounded middle.

    Examples
    --------
    >>> shortened(flint.arb.pi(), 3).man_exp()
    (3, 0)
    """
    with flint.ctx.workprec(bits):
        return (x.mid() + 0).mid()


def float_below(x: flint.arb) -> float:
    """Return the largest float that no number of a ball is below, or the one before it.

    Parameters
    ----------
    x
        The ball.

    Returns
    -------
    float
        The float; -inf where there is no finite one.

    Examples
    --------
    >>> float_below(flint.arb(1) / 3) <= 1 / 3, float_below(flint.arb(10) ** 400)
    (True, 1.7976931348623157e+308)
    """
    value = float(x.lower())
    while not flint.arb(value) <= x:  # an infinite value never is
        value = math.nextafter(value, -math.inf)
    return value


def float_above(x: flint.arb) -> float:
    """Return the least float that no number of a ball is above, or the one after it.

    Parameters
    ----------
    x
        The ball.

    Returns
    -------
    float
        The float; inf where there is no finite one.

    Examples
    --------
    >>> float_above(flint.arb(10) ** 400)
    inf
    """
    return -float_below(-x)


_INFINITY = flint.arb(float("inf"))
_UNDECIDED = flint.arb(0.5, 0.5)  # any number of [0, 1]


def _number(value: Any) -> flint.arb:
    if type(value) in (float, int):  # nearly all; to ask for a Fraction takes longer
        return flint.arb(value)
    if isinstance(value, Fraction):
        return flint.arb(flint.fmpq(value.numerator, value.denominator))
    if isinstance(value, np.generic):
        return flint.arb(value.item())
    return flint.arb(value)


def _lifted(function: Unary) -> Unary:
    """Element by element; other numbers become balls first (methods of balls crash on those)."""
    of_balls = elementwise(function)
    of_numbers = elementwise(lambda x: function(_ball_of(x)))

    def apply(x: Any) -> Any:
        only_balls = isinstance(x, np.ndarray) and set(map(type, x.flat)) == {flint.arb}
        return of_balls(x) if only_balls else of_numbers(x)

    return apply


def _lifted_binary(function: Binary) -> Binary:
    of_numbers = elementwise_binary(lambda x, y: function(_ball_of(x), _ball_of(y)))

    def apply(x: Any, y: Any) -> Any:
        if isinstance(x, flint.arb) and isinstance(y, flint.arb):
            return function(x, y)
        return of_numbers(x, y)

    return apply


def _ball_of(x: Any) -> flint.arb:
    return x if isinstance(x, flint.arb) else _number(x)


def _pow(x: flint.arb, y: flint.arb) -> flint.arb:
    if x == 0 and y != 0:  # arb has NaN for orders that are not whole
        return flint.arb(0) if y > 0 else _INFINITY if y < 0 else flint.arb.nan()
    return x**y


def _sigmoid(x: flint.arb) -> flint.arb:
    y = 1 / (1 + (-x).exp())
    if y.is_finite() or not x < 0:
        return y
    return x.exp() / (1 + x.exp())  # where e^-x is too large for a ball


def _softplus(x: flint.arb) -> flint.arb:
    return x + (-x).exp().log1p() if x > 0 else x.exp().log1p()


def _erf(x: flint.arb) -> flint.arb:
    return flint.arb(1 if x > 0 else -1) if gaussian.is_infinity(x) else x.erf()


def _oscillating(function: Any) -> Any:
    """Sine and cosine: NaN at the infinities, as elsewhere (arb has [-1, 1])."""
    return lambda x: function(x) if x.is_finite() else flint.arb.nan()


def _step(x: flint.arb) -> flint.arb:
    return flint.arb(1) if x > 0 else flint.arb(0) if x < 0 else x * 0 + _UNDECIDED


def _descending(a: Any) -> Any:
    """Entry k is between the k-th largest of the lower ends and that of the upper ends.

    For the k-th largest number does not fall when an entry grows.
    """
    lower = sorted((x.lower() for x in a), reverse=True)
    upper = sorted((x.upper() for x in a), reverse=True)
    result = np.empty(len(a), dtype=object)
    result[:] = [x.union(y) for x, y in zip(lower, upper, strict=True)]
    return result


def _ranks(a: Any) -> tuple[Any, Any]:
    """Before an entry stand all that are surely larger, after it all that are surely smaller."""
    lower, upper = sorted(x.lower() for x in a), sorted(x.upper() for x in a)
    first = [len(a) - bisect.bisect_right(lower, x.upper()) for x in a]
    last = [len(a) - 1 - bisect.bisect_left(upper, x.lower()) for x in a]
    return np.array(first, dtype=np.intp), np.array(last, dtype=np.intp)


@functools.lru_cache
def balls() -> Arithmetic:
    """Arb balls: every result encloses the exact value.  The precision is that of flint.ctx.

    The caller sets the precision with ``flint.ctx.workprec(bits)``; it is process-wide.
    log 0 is -inf, the limit (arb itself has NaN there), as exp(-inf) = 0 is.  Where a ball does
    not decide between the pieces of a function, the result encloses all of them.
    """
    return Arithmetic(
        name="balls",
        number=_number,
        exp=_lifted(flint.arb.exp),
        log=_lifted(lambda x: -_INFINITY if x == 0 else x.log()),
        log1p=_lifted(lambda x: -_INFINITY if x == -1 else x.log1p()),
        expm1=_lifted(flint.arb.expm1),
        sqrt=_lifted(flint.arb.sqrt),
        rsqrt=_lifted(lambda x: _INFINITY if x == 0 else x.rsqrt()),
        pow=_lifted_binary(_pow),
        tanh=_lifted(flint.arb.tanh),
        sigmoid=_lifted(_sigmoid),
        softplus=_lifted(_softplus),
        erf=_lifted(_erf),
        sin=_lifted(_oscillating(flint.arb.sin)),
        cos=_lifted(_oscillating(flint.arb.cos)),
        atan=_lifted(flint.arb.atan),
        acos=_lifted(lambda x: x if x.is_nan() else x.acos()),  # arb: acos NaN is pi
        normal_cdf=_lifted(gaussian.ball_normal_cdf),
        normal_pdf=_lifted(gaussian.ball_normal_pdf),
        scaled_cylinder=of_order(gaussian.ball_scaled_cylinder, _lifted),
        maximum=_lifted_binary(flint.arb.max),
        minimum=_lifted_binary(flint.arb.min),
        step=_lifted(_step),
        descending=_descending,
        ranks=_ranks,
        root=root_in_balls,
        solve=solve_balls,
        singular=lambda a: singular_values_of_balls(a, _descending),
        pi_number=flint.arb.pi,
        level=flint.arb.mid,
        hull=flint.arb.union,
    )
