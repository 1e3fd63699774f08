"""SymPy expressions as an arithmetic: exact, for derivatives, proofs and LaTeX."""

from __future__ import annotations

import functools
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from . import gaussian
from .arithmetic import Arithmetic, Binary, Unary, elementwise, elementwise_binary, of_order
from .equations import root_in_symbols, solve_symbols
from .singular_values import no_singular_values


def number(value: Any) -> sympy.Expr:
    """Make a symbol of an exact value, and leave an expression as it is.

    Parameters
    ----------
    value
        A float, an integer, a Fraction or an expression.

    Returns
    -------
    sympy.Expr
        A rational number, an infinity as SymPy has it, or the expression.

    Examples
    --------
    >>> number(0.375)
    3/8
    >>> number(-math.inf)
    -oo
    """
    if isinstance(value, float | np.floating) and math.isinf(value):
        return sympy.oo if value > 0 else -sympy.oo
    if isinstance(value, float | Fraction | np.floating):
        fraction = Fraction(float(value)) if not isinstance(value, Fraction) else value
        return sympy.Rational(fraction.numerator, fraction.denominator)
    return sympy.sympify(value)


def _descending(a: Any) -> Any:
    """The k-th largest is the largest of the minima of k entries."""
    result = np.empty(len(a), dtype=object)
    for k in range(len(a)):
        minima = [sympy.Min(*chosen) for chosen in itertools.combinations(a, k + 1)]
        result[k] = sympy.Max(*minima)
    return result


def _ranks(a: Any) -> tuple[Any, Any]:
    above = np.zeros(len(a), dtype=np.intp)
    for i, j in itertools.combinations(range(len(a)), 2):
        larger = a[j] > a[i]
        if larger not in (sympy.true, sympy.false):
            raise ValueError(f"{larger} is not decided: give symbols that have a known order")
        above[i if larger else j] += 1
    return above, above


@functools.lru_cache
def symbols() -> Arithmetic:
    """SymPy expressions: exact, for derivatives, proofs and LaTeX.

    What is made of exponentials is written so (sigmoid, softplus, tanh): proofs replace those.
    """

    def exact(function: Unary) -> Unary:
        return elementwise(lambda x: function(number(x)))

    def exact_binary(function: Binary) -> Binary:
        return elementwise_binary(lambda x, y: function(number(x), number(y)))

    return Arithmetic(
        name="symbols",
        number=number,
        exp=exact(sympy.exp),
        log=exact(sympy.log),
        log1p=exact(lambda x: sympy.log(1 + x)),
        expm1=exact(lambda x: sympy.exp(x) - 1),
        sqrt=exact(sympy.sqrt),
        rsqrt=exact(lambda x: 1 / sympy.sqrt(x)),
        pow=exact_binary(sympy.Pow),
        tanh=exact(lambda x: 1 - 2 / (sympy.exp(2 * x) + 1)),
        sigmoid=exact(lambda x: 1 / (1 + sympy.exp(-x))),
        softplus=exact(lambda x: sympy.log(1 + sympy.exp(x))),
        erf=exact(lambda x: 2 * gaussian.Phi(sympy.sqrt(2) * x) - 1),
        sin=exact(sympy.sin),
        cos=exact(sympy.cos),
        atan=exact(sympy.atan),
        acos=exact(sympy.acos),
        normal_cdf=exact(gaussian.Phi),
        normal_pdf=exact(gaussian.phi),
        scaled_cylinder=of_order(
            lambda nu, x: sympy.exp(-(x**2) / 4) * gaussian.D(sympy.Rational(nu), x), exact
        ),
        maximum=exact_binary(sympy.Max),
        minimum=exact_binary(sympy.Min),
        step=exact(lambda x: sympy.Heaviside(x, sympy.S.Half)),
        descending=_descending,
        ranks=_ranks,
        root=root_in_symbols,
        solve=solve_symbols,
        singular=no_singular_values,
        pi_number=lambda: sympy.pi,
        symbolic=True,
    )
