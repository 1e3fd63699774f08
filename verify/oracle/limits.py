"""The limit of a function of one real at -inf or +inf, or none where nothing decides it.

In this order, and nothing else decides:

* a formula: the published one, or else one of the declared forms, has a value at the infinity.  All
  elementary functions are continued to the infinities by their limits, and operations without one
  (0 * inf, inf - inf, inf / inf, 1 / 0) are NaN, so that a value is the limit.
* declared monotony: a function with the fact ``Increasing`` has a limit, which at -inf lies between
  the declared lower end of its range and its value at each -2^n; at +inf likewise.  Where that
  leaves less than any format can tell, it is settled.  (For the derivative: of a function that is
  declared convex it rises.)
* the published formula in symbols, for what is 0 * inf in numbers, such as x / (1 + e^-x) on the
  left: SymPy's limit, by the algorithm of Gruntz (1996, On computing limits in a symbolic
  manipulation system, thesis, ETH Zürich).  It is no proof, as SymPy errs (1.14 says that the
  derivative of x / (1 + e^-x) tends to 0 on the right), so it counts only where the value at 2^n or
  -2^n, in balls, is within 2^(-n/2) of it, or beyond 2^(n/2) where the limit is infinite.

What a formula says, in numbers or in symbols, is held against what monotony leaves: one that
contradicts it is an error.
"""

from __future__ import annotations

import functools
from typing import Any

import flint
import mpmath
import sympy

from ...derivations.arithmetic.balls import power_of_two
from ...derivations.arithmetic.gaussian import elementary
from ...derivations.arithmetic.systems import Arithmetic, balls, big_floats, symbols
from ...derivations.definition import Definition, Formula
from ...derivations.proofs.facts import Convex, Increasing, Range
from ...derivations.proofs.time_limit import OutOfTime, time_limit

# |x| = 2^n, where a monotone function is asked: all that binary64 can tell, and nearer points for
# formulas that overflow there.
FAR = (1200, 200, 40, 12)
# Beyond 2^HUGE every format has an infinity, and what is below 2^-HUGE leaves no trace in any.
HUGE = 1150
RELATIVE = 100  # bits: binary64 needs 53, and 30 of the offset
BITS = 2 * HUGE  # to form far values with: 1 + x / sqrt(1 + x^2) cancels on the left
INFINITE = flint.arb(float("inf"))
SYMBOLS_LIMIT = 20.0  # seconds for a limit in symbols; those of the catalogue take below one


class ContradictoryLimits(ArithmeticError):
    """A form and the declared monotony give different limits: one of the two is wrong."""


def has_limit(definition: Definition, infinity: float) -> bool:
    """Whether a function of one real has a limit at an infinity that can be decided.

    Parameters
    ----------
    definition
        A function of one real.
    infinity
        +inf or -inf.

    Returns
    -------
    bool
        True also where the declared facts and a form contradict each other, for the oracle to
        report.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> has_limit(lookup("ria"), float("-inf"))  # x Phi(x) + phi(x), where -inf * 0 says nothing
    True
    """
    try:
        return not ball_limit(definition, infinity, balls()).is_nan()
    except ContradictoryLimits:  # the oracle reports it
        return True


def ball_limit(
    definition: Definition,
    infinity: float,
    xp: Arithmetic,
    *,
    gradient: bool = False,
    **parameters: float,
) -> flint.arb:
    """The limit of a function of one real, or of its derivative, as a ball.

    Parameters
    ----------
    definition
        A function of one real.
    infinity
        +inf or -inf.
    xp
        The arithmetic of balls.
    gradient
        Whether the limit is that of the derivative.
    **parameters
        Those of the definition, where they have not their defaults.

    Returns
    -------
    arb
        An infinite ball stands for an infinite limit, or for one that is beyond the range of every
        format; NaN if no form and no fact decides the limit.

    Raises
    ------
    ContradictoryLimits
        If the declared facts exclude what a form gives.
    """
    low, high = _between(definition, infinity, xp, gradient, **parameters)

    def demand_possible(value: flint.arb) -> flint.arb:
        if value < low or value > high:
            raise ContradictoryLimits(
                f"{definition.name} at {infinity}: a formula gives {value.str(10)}, but its "
                f"declared facts leave only what is between {low.str(10)} and {high.str(10)}"
            )
        return value

    formulas = _formulas(definition, gradient)
    for formula in formulas:
        value = _evaluate(formula, xp, infinity, **parameters)
        if _is_settled(value):
            return demand_possible(value)
    if low > power_of_two(HUGE):
        return INFINITE
    if high < -power_of_two(HUGE):
        return -INFINITE
    with flint.ctx.workprec(max(flint.ctx.prec, BITS)):
        limit = low.union(high)
        if limit.rad() <= power_of_two(-HUGE) or limit.rel_accuracy_bits() >= RELATIVE:
            return limit
    found = _confirmed_limit(formulas[0], infinity, tuple(parameters.items())) if formulas else None
    return flint.arb("nan") if found is None else demand_possible(found)


@functools.lru_cache(maxsize=256)
def _confirmed_limit(
    formula: Formula, infinity: float, parameters: tuple[tuple[str, float], ...]
) -> flint.arb | None:
    """The limit in symbols, where values far away confirm it; None elsewhere."""
    limit = _limit_in_symbols(formula, infinity, parameters)
    if limit is None:
        return None
    with flint.ctx.workprec(BITS):
        for exponent in FAR:
            x = power_of_two(exponent) if infinity > 0 else -power_of_two(exponent)
            value = _evaluate(formula, balls(), x, **dict(parameters))
            if not value.is_finite():
                continue
            if limit.is_Rational:
                exact = flint.arb(flint.fmpq(int(limit.p), int(limit.q)))
                return exact if abs(value - exact) <= power_of_two(-exponent // 2) else None
            far = (
                value > power_of_two(exponent // 2)
                if limit > 0
                else value < -power_of_two(exponent // 2)
            )
            return (INFINITE if limit > 0 else -INFINITE) if far else None
    return None


def _limit_in_symbols(
    formula: Formula, infinity: float, parameters: tuple[tuple[str, float], ...]
) -> sympy.Expr | None:
    """SymPy's limit of a formula, a rational number or an infinity; None where it finds none."""
    x, xp = sympy.Symbol("x", real=True), symbols()
    try:
        with time_limit(SYMBOLS_LIMIT):
            expression = sympy.together(
                elementary(formula(xp.vector([x]), xp, **dict(parameters))[0])
            )
            limit = sympy.limit(expression, x, sympy.oo if infinity > 0 else -sympy.oo)
    except (ArithmeticError, AttributeError, NotImplementedError, TypeError, ValueError, OutOfTime):
        return None
    return limit if limit.is_Rational or limit in (sympy.oo, -sympy.oo) else None


def big_float_limit(
    definition: Definition,
    infinity: float,
    xp: Arithmetic,
    *,
    gradient: bool = False,
    **parameters: float,
) -> Any:
    """The limit in big floats, for the second oracle: a formula's value there, or else far away.

    Parameters
    ----------
    definition
        A function of one real.
    infinity
        +inf or -inf.
    xp
        The arithmetic of big floats.
    gradient
        Whether the limit is that of the derivative.
    **parameters
        Those of the definition, where they have not their defaults.

    Returns
    -------
    mpf
        What the formula gives: for comparison with `ball_limit`, without a proof of its own.
    """
    formulas = _formulas(definition, gradient)
    for formula in formulas:
        value = _evaluate(formula, xp, infinity, **parameters)
        if not mpmath.isnan(value):
            return value
    finer = big_floats(BITS)
    far = finer.number(1 if infinity > 0 else -1) * finer.number(2) ** FAR[0]
    return _evaluate(formulas[0], finer, far, **parameters)


def _formulas(definition: Definition, gradient: bool) -> list[Formula]:
    if gradient:
        return [definition.gradient] if definition.gradient else []
    return [definition.formula, *definition.forms.values()]


def _evaluate(formula: Formula, xp: Arithmetic, x: Any, **parameters: float) -> Any:
    """A formula at one number; NaN where it divides by 0, for which mpmath raises."""
    try:
        return formula(xp.vector([x]), xp, **parameters)[0]
    except ZeroDivisionError:
        return xp.number(float("nan"))


def _is_settled(value: flint.arb) -> bool:
    """Whether a ball says anything: it is finite, or a true infinity."""
    return value.is_finite() or (value.rad().is_finite() and bool(value > 0 or value < 0))


def _between(
    definition: Definition, infinity: float, xp: Arithmetic, gradient: bool, **parameters: float
) -> tuple[flint.arb, flint.arb]:
    """Between which numbers declared facts leave the limit."""
    low, high = -INFINITE, INFINITE
    for fact in definition.facts:
        if isinstance(fact, Range) and not gradient:
            low = low if fact.lower is None else flint.arb(fact.lower)
            high = high if fact.upper is None else flint.arb(fact.upper)
        if isinstance(fact, Increasing) and gradient:
            low = flint.arb(0)
    if any(isinstance(fact, Convex if gradient else Increasing) for fact in definition.facts):
        with flint.ctx.workprec(max(flint.ctx.prec, BITS)):
            for exponent in FAR:
                x = power_of_two(exponent) if infinity > 0 else -power_of_two(exponent)
                value = _evaluate(_formulas(definition, gradient)[0], xp, x, **parameters)
                if value.is_finite() and infinity > 0:
                    low = low.max(value.lower())
                elif value.is_finite():
                    high = high.min(value.upper())
    return low, high
