"""Exponentials in an expression, as products of a few positive symbols.

The exponent of each is a sum of rational multiples c m of *monomials* m, such as q_1 k_1 s.  With
one positive symbol E_m for e^(m / L), L the common denominator of the multiples of m, each
exponential is the product of its E_m^(c L).  So e^(a + b) is seen to be e^a e^b, and e^-a to be
1 / e^a.  What holds for all positive E_m holds for the exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import sympy

Names = Mapping[sympy.Symbol, sympy.Expr]  # each positive symbol, with the logarithm of its value


def name_exponentials(
    expression: sympy.Expr, expand: Callable[[sympy.Expr], sympy.Expr] = sympy.expand
) -> tuple[sympy.Expr, Names]:
    """Put products of positive symbols for the exponentials of an expression.

    Parameters
    ----------
    expression
        A formula.
    expand
        What writes an exponent as a sum.

    Returns
    -------
    tuple
        The formula without exponentials, and the logarithm of what each new symbol stands for.

    Examples
    --------
    >>> x, y = sympy.symbols("x y", real=True)
    >>> named, _ = name_exponentials(sympy.exp(x + y) - sympy.exp(x) * sympy.exp(y))
    >>> sympy.expand(named)
    0
    """
    exponents: dict[sympy.Expr, Mapping[sympy.Expr, sympy.Rational]] = {}
    waiting = expression.atoms(sympy.exp)
    while waiting:  # exponentials may stand in exponents, too
        function = waiting.pop()
        exponents[function] = sympy.expand(expand(function.args[0])).as_coefficients_dict()
        inner = {e for monomial in exponents[function] for e in monomial.atoms(sympy.exp)}
        waiting |= inner - exponents.keys()
    denominators: dict[sympy.Expr, int] = {}
    for terms in exponents.values():
        for monomial, c in terms.items():
            denominators[monomial] = math.lcm(denominators.get(monomial, 1), int(sympy.denom(c)))
    symbols = {m: sympy.Symbol(f"e^({m / n})", positive=True) for m, n in denominators.items()}
    products = {
        function: sympy.Mul(*(symbols[m] ** (c * denominators[m]) for m, c in terms.items()))
        for function, terms in exponents.items()
    }
    names = {symbols[m]: (m / n).xreplace(products) for m, n in denominators.items()}
    return expression.xreplace(products), names


def logarithms_as_exponents(expression: sympy.Expr, names: Names) -> sympy.Expr:
    """The expression with the exponent for the logarithm of each named exponential.

    Parameters
    ----------
    expression
        A formula whose logarithms are expanded.
    names
        As ``name_exponentials`` gives them.

    Returns
    -------
    Expr
        The formula, without these logarithms.
    """
    return expression.xreplace({sympy.log(name): exponent for name, exponent in names.items()})


def exponents_as_logarithms(expression: sympy.Expr, names: Names) -> sympy.Expr:
    """The expression with logarithms of named exponentials for its terms that are exponents.

    Parameters
    ----------
    expression
        A sum.
    names
        As ``name_exponentials`` gives them.

    Returns
    -------
    Expr
        The sum, the multiples of exponents in it written as multiples of logarithms.
    """
    logs = {}
    for name, exponent in names.items():
        c, monomial = exponent.as_coeff_Mul()
        logs[monomial] = sympy.log(name) / c
    terms = sympy.expand(expression).as_coefficients_dict()
    return sympy.Add(*(c * logs.get(monomial, monomial) for monomial, c in terms.items()))
