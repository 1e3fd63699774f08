"""How most statements are decided: an identity by SymPy, an inequality by balls at instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import flint
import sympy

from ..register import Verdict, certified, proven, refuted

BITS = 160
Point = Mapping[sympy.Symbol, sympy.Expr | int]


def identity(difference: sympy.Expr, point: Point, argument: str) -> Verdict:
    """Decide whether a rational expression is zero everywhere.

    Parameters
    ----------
    difference
        Left side less right side, a rational expression in symbols.
    point
        Where a difference that is not zero is evaluated: a number for each of its symbols.
    argument
        What a proof is told as.

    Returns
    -------
    Verdict
        PROVEN where SymPy cancels the difference to 0, REFUTED with its value at the point.

    Raises
    ------
    ArithmeticError
        If it is 0 at the point and not everywhere: the point decides nothing.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> identity((x + 1) ** 2 - x**2 - 2 * x - 1, {x: 1}, "expanded").outcome
    'proven'
    >>> identity((x + 1) ** 2 - x**2 - 1, {x: 1}, "expanded").evidence
    'at x = 1 the sides differ by 2'
    """
    if sympy.cancel(sympy.together(difference)) == 0:
        return proven(argument)
    used = {symbol: value for symbol, value in point.items() if symbol in difference.free_symbols}
    value = sympy.nsimplify(sympy.sympify(difference).subs(used, simultaneous=True))
    if value == 0 or value.free_symbols:
        raise ArithmeticError(f"the difference is {value} at {used}, which decides nothing")
    told = ", ".join(f"{symbol} = {number}" for symbol, number in used.items())
    return refuted(f"at {told} the sides differ by {value}")


def inequalities(
    cases: Iterable[tuple[str, flint.arb, flint.arb]], evidence: str, bits: int = BITS
) -> Verdict:
    """Decide by balls whether the first of two numbers is at most the second, case by case.

    Parameters
    ----------
    cases
        What the instance is, in words; the smaller number; the larger one.  They are computed at
        the precision that is set while the cases are asked for.
    evidence
        What was computed, in words.
    bits
        The working precision.

    Returns
    -------
    Verdict
        CERTIFIED on as many instances as there are, or REFUTED by the first that fails.

    Raises
    ------
    ArithmeticError
        If the balls of an instance overlap, or there is no instance: nothing is decided then.

    Examples
    --------
    >>> inequalities([("1 and 2", flint.arb(1), flint.arb(2))], "by hand").outcome
    'certified'
    """
    held = 0
    with flint.ctx.workprec(bits):
        for what, smaller, larger in cases:
            if smaller > larger:
                return refuted(f"{what}: {float(smaller):.6g} > {float(larger):.6g}", held + 1)
            if not smaller <= larger:
                raise ArithmeticError(f"{what}: {smaller} and {larger} are not told apart")
            held += 1
    if not held:
        raise ArithmeticError("there is no instance to decide")
    return certified(held, evidence)


def exact(value: Fraction | int) -> flint.arb:
    """A ball around a rational number, at the precision that is set.

    Parameters
    ----------
    value
        A rational number.

    Returns
    -------
    arb
        A ball that holds it.
    """
    fraction = Fraction(value)
    return flint.arb(fraction.numerator) / fraction.denominator
