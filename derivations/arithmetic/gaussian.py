"""Phi, phi and the parabolic cylinder function D_nu, in symbols, balls, big floats and formats.

Phi(x) and phi(x) are the cumulative distribution function and the density of the standard normal
distribution.  D_nu solves y'' = (x^2 / 4 - nu - 1/2) y and decays as e^(-x^2/4) x^nu at +inf (NIST
Digital Library of Mathematical Functions, section 12.1, where it is U(-nu - 1/2, x)).  It is used
as e^(-x^2/4) D_nu(x), which has no exponential growth.

The symbols are opaque: what is known of them is their derivatives, their values at 0 and infinity,
their symmetry, and where they are positive.  That is all that the proofs use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import mpmath
import sympy

HALF = Fraction(1, 2)


class Opaque(sympy.Function):  # type: ignore[misc]  # SymPy has no types
    """A function of which the proofs know derivatives, sign and symmetry alone."""


class Phi(Opaque):
    """Phi(x) = integral of phi from -inf to x; Phi' = phi, Phi(-x) = 1 - Phi(x).

    >>> x = sympy.Symbol("x", real=True)
    >>> sympy.diff(x * Phi(2 * x), x), Phi(x) + Phi(-x)
    (2*x*phi(2*x) + Phi(2*x), 1)
    """

    nargs = 1

    @classmethod
    def eval(cls, x: sympy.Expr) -> sympy.Expr | None:
        """The values at 0 and at infinity; Phi(-x) in terms of Phi(x)."""
        known = {sympy.S.Zero: sympy.S.Half, sympy.oo: sympy.S.One, -sympy.oo: sympy.S.Zero}
        if x in known:
            return known[x]
        return 1 - cls(-x) if x.could_extract_minus_sign() else None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """The derivative of Phi, phi(x)."""
        return phi(self.args[0])

    def _eval_is_positive(self) -> bool | None:
        return True if self.args[0].is_real else None

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return (sympy.erfc(-self.args[0] / sympy.sqrt(2)) / 2)._eval_evalf(prec)


class phi(Opaque):  # as it is written, and printed
    """phi(x) = e^(-x^2/2) / sqrt(2 pi); phi' = -x phi, phi(-x) = phi(x)."""

    nargs = 1

    @classmethod
    def eval(cls, x: sympy.Expr) -> sympy.Expr | None:
        """The value at infinity; phi(-x) as phi(x)."""
        if x in (sympy.oo, -sympy.oo):
            return sympy.S.Zero
        return cls(-x) if x.could_extract_minus_sign() else None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """The derivative of phi, -x phi(x)."""
        return -self.args[0] * self

    def _eval_is_positive(self) -> bool | None:
        return True if self.args[0].is_real else None

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return (sympy.exp(-(self.args[0] ** 2) / 2) / sympy.sqrt(2 * sympy.pi))._eval_evalf(prec)


class D(Opaque):
    """The parabolic cylinder function D_nu(x); D_nu' = x D_nu / 2 - D_{nu+1} (DLMF 12.8.2, 12.8.3).

    Positive for nu < 0 and real x, as the integral of a positive function: DLMF 12.5.1.
    """

    nargs = 2

    def fdiff(self, argindex: int = 2) -> sympy.Expr:
        """The derivative in x; ArgumentIndexError for the one in nu."""
        if argindex != 2:
            raise sympy.core.function.ArgumentIndexError(self, argindex)
        nu, x = self.args
        return x * self / 2 - D(nu + 1, x)

    def _eval_is_positive(self) -> bool | None:
        nu, x = self.args
        return True if nu.is_negative and x.is_real else None

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        with mpmath.workprec(prec + 20):
            nu, x = (v._to_mpmath(prec + 20) for v in self.args)
            return sympy.Expr._from_mpmath(mpmath.pcfd(nu, x), prec)


def elementary(expression: sympy.Expr) -> sympy.Expr:
    """Write Phi by erfc and phi by the exponential, of which SymPy knows limits.

    Parameters
    ----------
    expression
        A formula in symbols.

    Returns
    -------
    sympy.Expr
        The same function.

    Examples
    --------
    >>> elementary(2 * phi(sympy.Symbol("x")))
    sqrt(2)*exp(-x**2/2)/sqrt(pi)
    """
    return expression.replace(Phi, lambda x: sympy.erfc(-x / sympy.sqrt(2)) / 2).replace(
        phi, lambda x: sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)
    )


def is_infinity(x: flint.arb) -> bool:
    """Tell whether a ball is +inf or -inf alone, not an unbounded one.

    Parameters
    ----------
    x
        The ball.

    Returns
    -------
    bool
        Whether it is.
    """
    return not x.is_finite() and not x.is_nan() and bool(x.rad() == 0)


def ball_normal_cdf(x: flint.arb) -> flint.arb:
    """Enclose Phi = erfc(-x / sqrt 2) / 2, without cancellation on either side.

    Parameters
    ----------
    x
        The ball.

    Returns
    -------
    flint.arb
        The enclosure; 0 and 1 at the infinities.
    """
    if is_infinity(x):
        return flint.arb(1 if x > 0 else 0)
    return (-x / flint.arb(2).sqrt()).erfc() / 2


def ball_normal_pdf(x: flint.arb) -> flint.arb:
    """Enclose phi by its formula e^(-x^2 / 2) / sqrt(2 pi).

    Parameters
    ----------
    x
        The ball.

    Returns
    -------
    flint.arb
        The enclosure.
    """
    return (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()


def ball_scaled_cylinder(nu: Fraction, x: flint.arb) -> flint.arb:
    """Enclose e^(-x^2/4) D_nu(x), by Kummer's functions U for x > 0 and M else.

    2^(nu/2) e^(-x^2/2) U(-nu/2, 1/2, x^2/2) for x > 0 (DLMF 12.7.14); for every x, with Kummer's
    transformation of DLMF 12.7.12 and 12.7.13,

        2^(nu/2) (sqrt(pi) / Gamma((1-nu)/2) M((1+nu)/2, 1/2, -x^2/2)
                  - sqrt(2 pi) x / Gamma(-nu/2) M(1 + nu/2, 3/2, -x^2/2)).

    At infinity it is 0, the limit (for nu < 1).

    Parameters
    ----------
    nu
        The order.
    x
        The ball.

    Returns
    -------
    flint.arb
        The enclosure; at infinity 0, the limit (for nu < 1).
    """
    if is_infinity(x):
        return flint.arb(0)
    order, half = flint.arb(flint.fmpq(nu.numerator, nu.denominator)), flint.arb(0.5)
    square = x * x / 2
    factor = flint.arb(2) ** (order / 2)
    if x > 0:
        return factor * (-square).exp() * square.hypgeom_u(-order / 2, half)
    pi = flint.arb.pi()
    even = pi.sqrt() * ((1 - order) / 2).rgamma() * (-square).hypgeom_1f1((1 + order) / 2, half)
    odd = (2 * pi).sqrt() * (-order / 2).rgamma() * (-square).hypgeom_1f1(1 + order / 2, 3 * half)
    return factor * (even - x * odd)


FAR = 1024  # from here on the asymptotic series is right to e^(-FAR^2 / 2), 750 000 bits


def _far_cylinder(context: mpmath.MPContext, nu: Fraction, x: Any) -> Any:
    """e^(-x^2/4) D_nu(x) for |x| >= FAR by its asymptotic series (DLMF 12.9.1, 12.9.3).

    On the left, what decays beside it is below the error of the series.
    """
    order = context.mpf(nu.numerator) / nu.denominator
    first, sign = (-order, -1) if x > 0 else (order + 1, 1)
    total = term = context.mpf(1)
    k = 0
    while abs(term) > context.eps * abs(total):
        term *= sign * (first + 2 * k) * (first + 2 * k + 1) / ((k + 1) * 2 * x * x)
        total += term
        k += 1
    if x > 0:
        return context.exp(-x * x / 2) * x**order * total
    return context.sqrt(2 * context.pi) * context.rgamma(-order) * (-x) ** (-order - 1) * total


def _near_cylinder(context: mpmath.MPContext, order: Any, x: Any) -> Any:
    """e^(-x^2/4) D_nu(x) around 0, by the second formula of ``ball_scaled_cylinder``."""
    square, half = -x * x / 2, context.mpf(1) / 2
    even = context.rgamma((1 - order) / 2) * context.hyp1f1((1 + order) / 2, half, square)
    odd = context.rgamma(-order / 2) * context.hyp1f1(1 + order / 2, 3 * half, square)
    root = context.sqrt(context.pi)
    return 2 ** (order / 2) * root * (even - context.sqrt(2) * x * odd)


def big_normal_cdf(context: mpmath.MPContext) -> Callable[[Any], Any]:
    """Make Phi of big floats, also where mpmath's erfc overflows, beyond 10^150.

    Parameters
    ----------
    context
        What gives the precision.

    Returns
    -------
    function
        Phi of a number.
    """

    def normal_cdf(x: Any) -> Any:
        if abs(x) < FAR or not context.isfinite(x):
            return context.erfc(-x / context.sqrt(2)) / 2
        tail = _far_cylinder(context, Fraction(-1), abs(x)) / context.sqrt(2 * context.pi)
        return tail if x < 0 else 1 - tail

    return normal_cdf


def big_normal_pdf(context: mpmath.MPContext) -> Callable[[Any], Any]:
    """Make phi of big floats, by its formula.

    Parameters
    ----------
    context
        What gives the precision.

    Returns
    -------
    function
        The density at a number.
    """
    return lambda x: context.exp(-x * x / 2) / context.sqrt(2 * context.pi)


def big_scaled_cylinder(context: mpmath.MPContext) -> Callable[[Fraction, Any], Any]:
    """Make e^(-x^2/4) D_nu(x) of big floats.

    mpmath's own D_nu is used but for 0 (where that is slow) and far away.

    Parameters
    ----------
    context
        What gives the precision.

    Returns
    -------
    function
        One of the order and a number.
    """

    def scaled_cylinder(nu: Fraction, x: Any) -> Any:
        if context.isinf(x):
            return context.mpf(0)
        if abs(x) >= FAR:
            return _far_cylinder(context, nu, x)
        with context.extraprec(32):  # what x^2 / 4 < 2^18 takes
            order = context.mpf(nu.numerator) / nu.denominator
            if abs(x) > context.mpf(1) / 1024:
                value = context.exp(-x * x / 4) * context.pcfd(order, x)
            else:
                value = _near_cylinder(context, order, x)
        return +value

    return scaled_cylinder


WIDE = mpmath.MPContext()
WIDE.prec = 64


def float_normal_cdf(x: float) -> float:
    """Compute Phi in binary64 by the C library's erfc.

    Parameters
    ----------
    x
        The number.

    Returns
    -------
    float
        The probability.
    """
    return 0.5 * math.erfc(-x / math.sqrt(2))


def float_normal_pdf(x: float) -> float:
    """Compute phi in binary64 by the C library's exponential.

    Parameters
    ----------
    x
        The number.

    Returns
    -------
    float
        The density.
    """
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def float_scaled_cylinder(nu: Fraction, x: float) -> float:
    """Compute e^(-x^2/4) D_nu(x), rounded to binary64 from 64 bits or more.

    Balls take a tenth of the time of mpmath, which answers where they do not decide.

    Parameters
    ----------
    nu
        The order.
    x
        The number.

    Returns
    -------
    float
        The value; NaN for NaN.
    """
    if math.isnan(x):
        return math.nan
    if abs(x) < FAR:
        with flint.ctx.workprec(128):
            value = ball_scaled_cylinder(nu, flint.arb(x))
        if value.rel_accuracy_bits() >= 64:
            return float(value.mid())
    return float(big_scaled_cylinder(WIDE)(nu, WIDE.mpf(x)))
