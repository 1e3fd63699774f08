"""Exact numbers as balls, balls as floats and as text (python-flint).

The precision is that of ``flint.ctx``: the caller sets it with ``flint.ctx.workprec(bits)``.
"""

from __future__ import annotations

import math
from fractions import Fraction

import flint

Exact = float | Fraction  # a number without an error


def ball(x: Exact) -> flint.arb:
    """A float as it is, a Fraction with its rounding error.

    >>> ball(0.5).is_exact(), ball(Fraction(1, 3)).is_exact()
    (True, False)
    """
    return flint.arb(flint.fmpq(*x.as_integer_ratio())) if isinstance(x, Fraction) else flint.arb(x)


def power_of_two(exponent: int) -> flint.arb:
    """2^exponent, exactly.

    >>> print(power_of_two(-1))
    0.500000000000000
    """
    return flint.arb((1, exponent))


def to_text(x: flint.arb) -> str:
    """An exact ball as mantissa p exponent, the mantissa hexadecimal.

    >>> to_text(flint.arb(10))
    '0x5p1'
    """
    mantissa, exponent = x.man_exp()
    return f"{int(mantissa):#x}p{int(exponent)}"


def from_text(text: str) -> flint.arb:
    """The exact ball that ``to_text`` wrote.

    >>> print(from_text("0x5p1"))
    10.0000000000000
    """
    mantissa, exponent = text.split("p")
    return flint.arb((int(mantissa, 16), int(exponent)))


def shortened(x: flint.arb, bits: int) -> flint.arb:
    """The middle of a ball rounded to so many bits: an exact ball.

    >>> shortened(flint.arb.pi(), 3).man_exp()
    (3, 0)
    """
    with flint.ctx.workprec(bits):
        return (x.mid() + 0).mid()


def float_below(x: flint.arb) -> float:
    """The largest float that no number of the ball x is below, or the one before it.

    >>> float_below(flint.arb(1) / 3) <= 1 / 3, float_below(flint.arb(10) ** 400)
    (True, 1.7976931348623157e+308)
    """
    value = float(x.lower())
    while not flint.arb(value) <= x:  # an infinite value never is
        value = math.nextafter(value, -math.inf)
    return value


def float_above(x: flint.arb) -> float:
    """The least float that no number of the ball x is above, or the one after it.

    >>> float_above(flint.arb(10) ** 400)
    inf
    """
    return -float_below(-x)
