"""SymPy expressions as an arithmetic: exact, for derivatives, proofs and LaTeX."""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from . import gaussian
from .arithmetic import Arithmetic, elementwise, elementwise_binary, of_order


def number(value: Any) -> sympy.Expr:
    """An exact value as a rational number, an expression as it is.

    >>> number(0.375)
    3/8
    """
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
    return Arithmetic(
        name="symbols",
        number=number,
        exp=elementwise(sympy.exp),
        log=elementwise(sympy.log),
        log1p=elementwise(lambda x: sympy.log(1 + x)),
        expm1=elementwise(lambda x: sympy.exp(x) - 1),
        sqrt=elementwise(sympy.sqrt),
        rsqrt=elementwise(lambda x: 1 / sympy.sqrt(x)),
        pow=elementwise_binary(sympy.Pow),
        tanh=elementwise(lambda x: 1 - 2 / (sympy.exp(2 * x) + 1)),
        sigmoid=elementwise(lambda x: 1 / (1 + sympy.exp(-x))),
        softplus=elementwise(lambda x: sympy.log(1 + sympy.exp(x))),
        erf=elementwise(lambda x: 2 * gaussian.Phi(sympy.sqrt(2) * x) - 1),
        sin=elementwise(sympy.sin),
        cos=elementwise(sympy.cos),
        atan=elementwise(sympy.atan),
        acos=elementwise(sympy.acos),
        normal_cdf=elementwise(gaussian.Phi),
        normal_pdf=elementwise(gaussian.phi),
        scaled_cylinder=of_order(
            lambda nu, x: sympy.exp(-(x**2) / 4) * gaussian.D(sympy.Rational(nu), x)
        ),
        maximum=elementwise_binary(sympy.Max),
        minimum=elementwise_binary(sympy.Min),
        step=elementwise(lambda x: sympy.Heaviside(x, sympy.S.Half)),
        descending=_descending,
        ranks=_ranks,
        pi_number=lambda: sympy.pi,
        symbolic=True,
    )
