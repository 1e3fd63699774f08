"""Mpmath numbers of p bits as an arithmetic: the second oracle, and emulated precisions."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from . import gaussian
from .arithmetic import (
    Arithmetic,
    Unary,
    decided_ranks,
    descending_order,
    elementwise,
    elementwise_binary,
    of_order,
)
from .equations import root_in_floats, solve_floats
from .singular_values import singular_values_of_floats

GUARD_BITS = 20
MOST_KEPT = 4096  # results of a function: long rows are made of few numbers, which come again


class Context(mpmath.MPContext):  # type: ignore[misc]  # mpmath has no types
    """A context whose numbers multiply arrays at once: mpmath would write them out in digits."""

    def npconvert(self, x: Any) -> Any:
        """Make a number of a NumPy scalar; an array is none, and NumPy asks its entries then."""
        if isinstance(x, np.ndarray):
            raise TypeError("an array is no number")
        return super().npconvert(x)


@functools.lru_cache
def big_floats(precision: int) -> Arithmetic:
    """Mpmath numbers with p = precision bits, unbounded exponents, in a context of their own.

    Where a function leaves the reals (the square root of a negative number, or its logarithm) it
    is NaN, as in the formats.
    With a large p this is the second oracle.  With a small p it is the *emulated p-bit precision*
    of error plots: + - * / and sqrt are rounded to nearest even, so that p = 24 reproduces
    binary32 bit for bit wherever binary32 neither overflows nor is subnormal.

    Parameters
    ----------
    precision
        The number of bits p.

    Returns
    -------
    Arithmetic
        One whose numbers are mpmath's, in a context of their own.

    Examples
    --------
    >>> xp = big_floats(4)
    >>> float(xp.number(1) / 3)  # 11 * 2^-5
    0.34375
    """
    context = Context()
    context.prec = precision

    @functools.lru_cache(maxsize=MOST_KEPT)
    def of_float(value: float) -> Any:
        # `+` rounds to p bits: the constructor keeps a binary64 whole.
        return +context.mpf(value)

    def number(value: Any) -> Any:
        if isinstance(value, float):
            return of_float(value)
        if isinstance(value, Fraction):
            return context.mpf(value.numerator) / context.mpf(value.denominator)
        return +context.mpf(value.item() if isinstance(value, np.generic) else value)

    def kept(value: Any) -> Any:
        return value if isinstance(value, context.mpf) else number(value)

    def real(function: Any) -> Any:
        def apply(*x: Any) -> Any:
            result = function(*x)
            return context.nan if isinstance(result, context.mpc) else result

        return apply

    def rounded_once(function: Unary) -> Unary:
        """What is made from several functions, with guard bits."""

        def apply(x: Any) -> Any:
            with context.extraprec(GUARD_BITS):
                value = function(x)
            return +value

        return elementwise(apply)

    def reciprocal_root(x: Any) -> Any:
        return context.inf if x == 0 else 1 / context.sqrt(x)

    def power(x: Any, y: Any) -> Any:
        x, y = kept(x), kept(y)
        return context.inf if x == 0 and y < 0 else context.power(x, y)

    def sigmoid(x: Any) -> Any:
        e = context.exp(-abs(x))
        return (e if x < 0 else 1) / (1 + e)

    def softplus(x: Any) -> Any:
        tail = context.log1p(context.exp(-abs(x)))
        return x + tail if x > 0 else tail

    def erf(x: Any) -> Any:
        """1 within 2^-750000 far away, where mpmath overflows."""
        return context.sign(x) if abs(x) >= gaussian.FAR else context.erf(x)

    def step(x: Any) -> Any:
        return x if context.isnan(x) else (1 + context.sign(x)) / 2

    xp = Arithmetic(
        name=f"p={precision}",
        number=number,
        exp=elementwise(functools.lru_cache(maxsize=MOST_KEPT)(context.exp)),
        log=elementwise(real(context.log)),
        log1p=elementwise(real(context.log1p)),
        expm1=elementwise(context.expm1),
        sqrt=elementwise(real(context.sqrt)),
        rsqrt=elementwise(real(reciprocal_root)),
        pow=elementwise_binary(real(power)),
        tanh=elementwise(context.tanh),
        sigmoid=rounded_once(sigmoid),
        softplus=rounded_once(softplus),
        erf=elementwise(erf),
        sin=elementwise(context.sin),
        cos=elementwise(context.cos),
        atan=elementwise(context.atan),
        acos=elementwise(real(context.acos)),
        normal_cdf=elementwise(gaussian.big_normal_cdf(context)),
        normal_pdf=elementwise(gaussian.big_normal_pdf(context)),
        scaled_cylinder=of_order(gaussian.big_scaled_cylinder(context)),
        maximum=elementwise_binary(lambda x, y: max(kept(x), kept(y))),
        minimum=elementwise_binary(lambda x, y: min(kept(x), kept(y))),
        step=elementwise(step),
        descending=lambda a: a[descending_order(a)],
        ranks=decided_ranks,
        root=root_in_floats,
        solve=lambda a, b: solve_floats(a, b, context.nan),
        singular=lambda a: singular_values_of_floats(a, xp, context.ldexp(1, -precision)),
        pi_number=lambda: +context.pi,
    )
    return xp
