"""The arithmetics a definition is evaluated in: symbols, balls, traces, big floats, formats.

A definition is plain Python over an arithmetic ``xp``.  NumPy object arrays carry SymPy
expressions, arb balls and mpmath numbers, so an arithmetic is a small table of elementary
functions.  The table is the same for all: what a definition may use is exactly what stands here.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import flint
import mpmath
import numpy as np
import sympy

from .formats import Format

OBJECT = np.dtype(object)
Number = Any
Unary = Callable[[Any], Any]


@dataclass(frozen=True)
class Arithmetic:
    """A number system with its elementary functions.

    ``number`` turns an exact value (int, Fraction, or a finite binary64) into a number of the
    system; the functions take a number or an array of numbers, element by element.

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
        maximum=flint.arb.max,
    )


@dataclass(frozen=True)
class Nearly:
    """An exact rational, or one but for a positive or negative trace below 2^-40000.

    For what no precision can decide: (1 - 2^-54) - e^-(10^300) is just below a tie.  ``value`` may
    be infinite; it is None where this arithmetic knows nothing, and that spreads like NaN.
    """

    value: Fraction | float | None
    trace: int = 0

    def __add__(self, other: Any) -> Nearly:
        """Traces of opposite signs are not compared."""
        other = nearly(other)
        if self.value is None or other.value is None or self.trace * other.trace < 0:
            return UNKNOWN
        a, b = _alike(self.value, other.value)
        return nearly(a + b, self.trace or other.trace)

    def __mul__(self, other: Any) -> Nearly:
        """(a + s)(b + t) = ab + at + sb, and st where nothing else is left."""
        other = nearly(other)
        if self.value is None or other.value is None:
            return UNKNOWN
        traces = {
            _sign(self.value) * other.trace,
            _sign(other.value) * self.trace,
            0 if self.value or other.value else self.trace * other.trace,
        }
        if {1, -1} <= traces:
            return UNKNOWN
        a, b = _alike(self.value, other.value)
        return nearly(a * b, sum(traces))

    def _inverse(self) -> Nearly:
        if not self.value:  # 0, or unknown
            return UNKNOWN
        finite = isinstance(self.value, Fraction)
        return Nearly(1 / self.value, -self.trace) if finite else Nearly(Fraction(0))

    def __neg__(self) -> Nearly:
        """The negative."""
        return self * -1

    def __sub__(self, other: Any) -> Nearly:
        """By addition."""
        return self + -nearly(other)

    def __rsub__(self, other: Any) -> Nearly:
        """By subtraction."""
        return nearly(other) - self

    def __truediv__(self, other: Any) -> Nearly:
        """By multiplication with the inverse."""
        return self * nearly(other)._inverse()

    def __rtruediv__(self, other: Any) -> Nearly:
        """By division."""
        return nearly(other) / self

    def __pow__(self, power: int) -> Nearly:
        """By multiplication."""
        return functools.reduce(operator.mul, [self] * power, Nearly(Fraction(1)))

    def __ge__(self, other: Any) -> bool:
        """By ``<``."""
        return not self < other

    def __gt__(self, other: Any) -> bool:
        """By ``<``."""
        return nearly(other) < self

    def __lt__(self, other: Any) -> bool:
        """By value, then by trace; ArithmeticError where unknown."""
        other = nearly(other)
        if self.value is None or other.value is None:
            raise ArithmeticError("an unknown number has no order")
        return (self.value, self.trace) < (other.value, other.trace)

    __radd__ = __add__
    __rmul__ = __mul__


UNKNOWN = Nearly(None)
TRACE_BELOW = -(1 << 15)  # e^-32768 < 2^-40000


def nearly(value: Any, trace: int = 0) -> Nearly:
    """A number of that kind: from one, an exact value, or an infinity."""
    if isinstance(value, Nearly):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return UNKNOWN if math.isnan(value) else Nearly(float(value))
    return Nearly(Fraction(value), trace)


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as they are; beside an infinity, the sign is all that counts of a rational."""
    if isinstance(a, float) or isinstance(b, float):
        return tuple(v if isinstance(v, float) else float(_sign(v)) for v in (a, b))  # type: ignore[return-value]
    return a, b


def _sign(value: Fraction | float) -> int:
    return (value > 0) - (value < 0)


@functools.lru_cache
def traces() -> Arithmetic:
    """Exact rationals with traces: e^x is known at 0, and far below as a trace; log at 1."""

    def exp(x: Nearly) -> Nearly:
        if x.value is None or (x.value == 0 and x.trace):
            return UNKNOWN
        if x.value == 0:
            return Nearly(Fraction(1))
        if x.value < TRACE_BELOW:
            return Nearly(Fraction(0), 0 if math.isinf(x.value) else 1)
        return UNKNOWN

    def log1p(x: Nearly) -> Nearly:
        return x if x.value == 0 else UNKNOWN

    def expm1(x: Nearly) -> Nearly:
        return exp(x) - 1 if x.value else x

    return Arithmetic(
        name="traces",
        number=nearly,
        exp=_elementwise(exp),
        log=_elementwise(lambda x: log1p(x - 1)),
        log1p=_elementwise(log1p),
        expm1=_elementwise(expm1),
        sqrt=_elementwise(lambda x: UNKNOWN),
        maximum=max,
    )


@functools.lru_cache
def big_floats(precision: int) -> Arithmetic:
    """Mpmath numbers with p = precision bits, unbounded exponents, in a context of their own.

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

    return Arithmetic(
        name=f"p={precision}",
        number=number,
        exp=_elementwise(context.exp),
        log=_elementwise(context.log),
        log1p=_elementwise(context.log1p),
        expm1=_elementwise(context.expm1),
        sqrt=_elementwise(context.sqrt),
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

    return Arithmetic(
        name=fmt.name,
        number=number,
        exp=np.exp,
        log=np.log,
        log1p=np.log1p,
        expm1=np.expm1,
        sqrt=np.sqrt,
        maximum=np.maximum,
        dtype=fmt.dtype,
    )
