"""Sao 2026, Ghosts of Softmax, appendix 5: curvature against radius.

The scalar logistic loss f(x) = log(1 + e^-x) at the margin delta, which moves at the rate Delta.
"""

from __future__ import annotations

import flint
import sympy

from .register import COMPUTATION, PROOF, Verdict, attained, claim, proven, refuted, require
from .sao2026_radius import BITS, GHOSTS

QUARTER = sympy.Rational(1, 4)
U = sympy.Symbol("u", positive=True)  # e^x, so that d/dx is u d/du
MARGIN = sympy.Symbol("delta", positive=True)
RATE = sympy.Symbol("Delta", positive=True)
SECOND = U * (U * sympy.log(1 + 1 / U).diff(U)).diff(U)
SIGMA = U / (1 + U)


@claim(
    "The curvature of the logistic loss is sigma(x) (1 - sigma(x)) <= 1/4.",
    GHOSTS,
    "equation (32)",
    PROOF,
    opposite={"constant": sympy.Rational(1, 5)},
)
def logistic_curvature(constant: sympy.Expr = QUARTER) -> Verdict:
    """1/4 - s (1 - s) = (s - 1/2)^2."""
    require(sympy.cancel(SECOND - SIGMA * (1 - SIGMA)) == 0)
    s = sympy.Symbol("s", real=True)
    require(sympy.expand(sympy.Rational(1, 4) - s * (1 - s) - (s - sympy.Rational(1, 2)) ** 2) == 0)
    if constant < QUARTER:
        return refuted("at x = 0 it is 1/4")
    return attained("1/4 - s (1 - s) = (s - 1/2)^2, which is 0 at x = 0")


@claim(
    "Step sizes from curvature outgrow the radius: (1 / f''(delta)) / sqrt(delta^2 + pi^2) is "
    "asymptotic to e^delta / delta.",
    GHOSTS,
    "equation (36)",
    PROOF,
    opposite={"power": 2},
)
def curvature_mismatch_grows(power: int = 1) -> Verdict:
    """The limit of the quotient of both sides."""
    # 1 / f'' = e^delta (1 + e^-delta)^2 exactly; e^delta cancels.
    decay = sympy.exp(-MARGIN)
    require(sympy.cancel(1 / SECOND - (1 + 1 / U) ** 2 * U) == 0)
    quotient = (1 + decay) ** 2 * MARGIN**power / sympy.sqrt(MARGIN**2 + sympy.pi**2)
    limit = sympy.limit(quotient, MARGIN, sympy.oo)
    if limit != 1:
        return refuted(f"the quotient of both sides tends to {limit}")
    return proven("the quotient of both sides tends to 1")


def _mismatch(numerator: int, ratio: int, margin: int = 10) -> Verdict:
    with flint.ctx.workprec(BITS):
        decay = (-flint.arb(margin)).exp()
        length = numerator * (1 + decay) ** 2 / decay
        quotient = length / (flint.arb(margin) ** 2 + flint.arb.pi() ** 2).sqrt()
        if quotient > ratio:
            return proven(f"the quotient is {float(quotient):.6g}", 1)
        return refuted(
            f"{numerator} / f'' is {float(length):.6g}, the quotient {float(quotient):.6g}", 1
        )


@claim(
    "At delta = 10 the step 2 / f'', at which a quadratic becomes unstable, exceeds the radius "
    "sqrt(delta^2 + pi^2) more than 4000 times.",
    GHOSTS,
    "section 8.5 with appendix 5.5.1, equation (43)",
    COMPUTATION,
    opposite={"ratio": 5000},
)
def hessian_mismatch(ratio: int = 4000) -> Verdict:
    """The quotient of the step and the radius at delta = 10, in balls."""
    return _mismatch(2, ratio)


@claim(
    "At delta = 10 the scale 1 / f'' that Figure 13 draws (22 000) exceeds the radius "
    "sqrt(delta^2 + pi^2) (10) more than 4000 times.",
    GHOSTS,
    "Figure 13",
    COMPUTATION,
    opposite={"ratio": 2000},
)
def hessian_mismatch_of_figure_13(ratio: int = 4000) -> Verdict:
    """The quotient of the scale in the figure, half of the step, and the radius, in balls."""
    return _mismatch(1, ratio)


@claim(
    "The steps 2 / (f''(delta) Delta^2) and pi / Delta meet at the margin delta* ~ ln(pi Delta / 2)"
    " as Delta grows.",
    GHOSTS,
    "equation (48)",
    PROOF,
    opposite={"divisor": 4},
)
def crossover_margin(divisor: int = 2) -> Verdict:
    """1 / f'' = 2 + 2 cosh delta, so they meet where cosh delta = pi Delta / 4 - 1."""
    require(sympy.cancel(1 / SECOND - 2 - (U + 1 / U)) == 0)
    cosh = sympy.pi * RATE / 4 - 1
    exponential = cosh + sympy.sqrt(cosh**2 - 1)  # e^delta*
    ratio = sympy.limit(exponential / (sympy.pi * RATE / divisor), RATE, sympy.oo)
    if ratio != 1:
        return refuted(f"e^delta* / (pi Delta / {divisor}) tends to {ratio}")
    exact = sympy.log(exponential).subs(RATE, 10)
    approximate = sympy.log(sympy.pi * 10 / divisor)
    return proven(
        "delta* = arcosh(pi Delta / 4 - 1), and e^delta* / (pi Delta / 2) tends to 1 (at Delta = "
        f"10: {sympy.N(exact, 4)} against {sympy.N(approximate, 4)}; below Delta = 8 / pi the "
        "steps do not meet)"
    )
