"""The arithmetics a definition is evaluated in: symbols, balls, big floats, formats.

A definition is plain Python over an arithmetic ``xp``.  NumPy object arrays carry SymPy
expressions, arb balls and mpmath numbers, so an arithmetic is a small table of elementary
functions.  The table is the same for all: what a definition may use is exactly what stands here.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import mpmath
import numpy as np
import sympy

from . import gaussian
from .formats import Format

OBJECT = np.dtype(object)
Number = Any
Unary = Callable[[Any], Any]


@dataclass(frozen=True)
class Arithmetic:
    """A number system with its elementary functions.

    ``number`` turns an exact value (int, Fraction, or a finite binary64) into a number of the
    system; the functions take a number or an array of numbers, element by element.
    ``normal_cdf`` and ``normal_pdf`` are Phi and phi of the standard normal distribution, and
    ``scaled_cylinder(nu, x)`` is e^(-x^2/4) D_nu(x) with the parabolic cylinder function D_nu.

    >>> xp = symbols()
    >>> x, y = sympy.symbols("x y")
    >>> xp.sum(xp.exp(xp.vector([x, y])))
    exp(x) + exp(y)
    """

    name: str
    number: Callable[[Any], Number]
    exp: Unary
    log: Unary
    log1p: Unary
    expm1: Unary
    sqrt: Unary
    normal_cdf: Unary
    normal_pdf: Unary
    scaled_cylinder: Callable[[Fraction, Any], Any]
    maximum: Callable[[Number, Number], Number]
    dtype: np.dtype[Any] = OBJECT
    symbolic: bool = False

    def vector(self, values: Iterable[Any]) -> Any:
        """An array of numbers of this system, from exact values (or from numbers of it)."""
        numbers = [self.number(v) for v in values]
        array = np.empty(len(numbers), dtype=self.dtype)
        array[:] = numbers
        return array

    def sum(self, terms: Any) -> Number:
        """Recursive summation, left to right: one rounding per addition."""
        return functools.reduce(operator.add, terms)

    def max(self, values: Any) -> Number:
        """The largest of the values."""
        return functools.reduce(self.maximum, values)

    def by_sign(self, x: Any, nonnegative: Unary, negative: Unary) -> Any:
        """``nonnegative(x)`` where x >= 0 and ``negative(x)`` elsewhere; NaN takes the second."""
        if isinstance(x, np.ndarray):
            return self.vector(self.by_sign(v, nonnegative, negative) for v in x)
        if self.symbolic:
            return sympy.Piecewise((nonnegative(x), x >= 0), (negative(x), True))
        if isinstance(x, flint.arb) and not (x >= 0 or x < 0):  # a ball around 0: both
            return nonnegative(x).union(negative(x))
        return nonnegative(x) if x >= 0 else negative(x)


def _elementwise(function: Unary) -> Unary:
    """Apply a scalar function to a number, or to each entry of an object array."""

    def apply(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return function(x)
        result = np.empty(x.shape, dtype=object)
        result[...] = [function(v) for v in x]
        return result

    return apply


def _ordered(
    function: Callable[[Fraction, Any], Any], lift: Callable[[Unary], Unary] = _elementwise
) -> Callable[[Fraction, Any], Any]:
    """The same for a function of an order and a number."""
    return lambda order, x: lift(lambda v: function(order, v))(x)


def symbols() -> Arithmetic:
    """SymPy expressions: exact, for derivatives, proofs and LaTeX."""

    def number(value: Any) -> sympy.Expr:
        if isinstance(value, float | Fraction | np.floating):
            fraction = Fraction(float(value)) if not isinstance(value, Fraction) else value
            return sympy.Rational(fraction.numerator, fraction.denominator)
        return sympy.sympify(value)

    return Arithmetic(
        name="symbols",
        number=number,
        exp=_elementwise(sympy.exp),
        log=_elementwise(sympy.log),
        log1p=_elementwise(lambda x: sympy.log(1 + x)),
        expm1=_elementwise(lambda x: sympy.exp(x) - 1),
        sqrt=_elementwise(sympy.sqrt),
        normal_cdf=_elementwise(gaussian.Phi),
        normal_pdf=_elementwise(gaussian.phi),
        scaled_cylinder=_ordered(
            lambda nu, x: sympy.exp(-(x**2) / 4) * gaussian.D(sympy.Rational(nu), x)
        ),
        maximum=sympy.Max,
        symbolic=True,
    )


@functools.lru_cache
def balls() -> Arithmetic:
    """Arb balls: every result encloses the exact value.  The precision is that of flint.ctx.

    The caller sets the precision with ``flint.ctx.workprec(bits)``; it is process-wide.
    log 0 is -inf, the limit (arb itself has NaN there), as exp(-inf) = 0 is.
    """

    def number(value: Any) -> flint.arb:
        if isinstance(value, Fraction):
            return flint.arb(flint.fmpq(value.numerator, value.denominator))
        return flint.arb(float(value)) if isinstance(value, np.floating) else flint.arb(value)

    infinity = flint.arb(float("inf"))
    return Arithmetic(
        name="balls",
        number=number,
        exp=_elementwise(flint.arb.exp),
        log=_elementwise(lambda x: -infinity if x == 0 else x.log()),
        log1p=_elementwise(lambda x: -infinity if x == -1 else x.log1p()),
        expm1=_elementwise(flint.arb.expm1),
        sqrt=_elementwise(flint.arb.sqrt),
        normal_cdf=_elementwise(gaussian.ball_normal_cdf),
        normal_pdf=_elementwise(gaussian.ball_normal_pdf),
        scaled_cylinder=_ordered(gaussian.ball_scaled_cylinder),
        maximum=flint.arb.max,
    )


@functools.lru_cache
def big_floats(precision: int) -> Arithmetic:
    """Mpmath numbers with p = precision bits, unbounded exponents, in a context of their own.

    Where a function leaves the reals (the square root of a negative number, or its logarithm) it
    is NaN, as in the formats.
    With a large p this is the second oracle.  With a small p it is the *emulated p-bit precision*
    of error plots: + - * / and sqrt are rounded to nearest even, so that p = 24 reproduces
    binary32 bit for bit wherever binary32 neither overflows nor is subnormal.

    >>> xp = big_floats(4)
    >>> float(xp.number(1) / 3)  # 11 * 2^-5
    0.34375
    """
    context = mpmath.MPContext()
    context.prec = precision

    def number(value: Any) -> Any:
        if isinstance(value, Fraction):
            return context.mpf(value.numerator) / context.mpf(value.denominator)
        # `+` rounds to p bits: the constructor keeps a binary64 whole.
        return +context.mpf(float(value) if isinstance(value, np.floating) else value)

    def real(function: Unary) -> Unary:
        def apply(x: Any) -> Any:
            result = function(x)
            return context.nan if isinstance(result, context.mpc) else result

        return _elementwise(apply)

    return Arithmetic(
        name=f"p={precision}",
        number=number,
        exp=_elementwise(context.exp),
        log=real(context.log),
        log1p=real(context.log1p),
        expm1=_elementwise(context.expm1),
        sqrt=real(context.sqrt),
        normal_cdf=_elementwise(gaussian.big_normal_cdf(context)),
        normal_pdf=_elementwise(gaussian.big_normal_pdf(context)),
        scaled_cylinder=_ordered(gaussian.big_scaled_cylinder(context)),
        maximum=max,
    )


def ieee(fmt: Format) -> Arithmetic:
    """NumPy arithmetic in a format: what a formula as published does in floating point.

    Sums are recursive in the format itself (``np.sum`` would add float16 in float32).  Overflow,
    underflow and invalid operations give infinities, subnormals and NaN, without warnings:
    evaluate under ``np.errstate(all="ignore")``.
    """
    scalar = fmt.dtype.type

    def number(value: Any) -> Any:
        if isinstance(value, scalar):
            return value
        finite = isinstance(value, Fraction) or np.isfinite(value)
        return fmt.round(Fraction(value)) if finite else scalar(value)

    def rounded(function: Unary) -> Unary:
        """A function of the C library's double, rounded to the format."""
        return lambda x: np.vectorize(lambda v: scalar(function(float(v))), otypes=[fmt.dtype])(x)[
            ()
        ]

    return Arithmetic(
        name=fmt.name,
        number=number,
        exp=np.exp,
        log=np.log,
        log1p=np.log1p,
        expm1=np.expm1,
        sqrt=np.sqrt,
        normal_cdf=rounded(gaussian.float_normal_cdf),
        normal_pdf=rounded(gaussian.float_normal_pdf),
        scaled_cylinder=_ordered(gaussian.float_scaled_cylinder, rounded),
        maximum=np.maximum,
        dtype=fmt.dtype,
    )
