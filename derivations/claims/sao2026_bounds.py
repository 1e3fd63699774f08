"""Sao 2026, Ghosts of Softmax: bounds of the radius by other means, and what the series does.

Rouche's theorem for logits that bend, half of the mass, the variance; the poles of the logarithm,
and how fast the error of the truncated series falls.  F, rho and Delta as in ``sao2026_radius``.
"""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import numpy as np
import sympy

from ..arithmetic.balls import ball
from ..step_radius import partition
from ..step_radius.certify import certify
from ..step_radius.curvature import rouche_proposition
from .register import (
    COMPUTATION,
    OUR_QUESTION,
    PROOF,
    Verdict,
    attained,
    certified,
    claim,
    not_checkable,
    proven,
    refuted,
    require,
)
from .sao2026_radius import BITS, GHOSTS, TWO, as_ball, row, samples, spread


@claim(
    "If the logits bend, |z_k'' | <= C, rho_true >= rho_a (1 - eps) for eps = C pi^2 / (2 Delta^2 "
    "min_k w_k) < 1, in which w_k are the weights e^(z_k) of F, as printed.",
    GHOSTS,
    "Proposition Appendix 1.1",
    COMPUTATION,
    opposite={"weights": "softmax"},
    name="rouche_with_weights_of_F",
)
def _rouche(weights: str = "exp") -> Verdict:
    """Certified radii of z + a t + b t^2, C = 2 max |b|, against the bound."""
    random = np.random.default_rng(5)
    cases = 0
    for n in range(24):
        size = 2 if n % 2 == 0 else int(random.integers(3, 7))
        a = [1.0, -1.0] if size == 2 else random.standard_normal(size).tolist()
        z = [8.0 * (n % 3)] * 2 if size == 2 else random.standard_normal(size).tolist()
        bend = float(random.uniform(0.01, 0.1))
        b = (bend * np.where(np.arange(size) % 2, -1.0, 1.0)).tolist()
        bound = _rouche_bound(z, a, 2 * bend, weights)
        if bound is None:
            continue
        cases += 1
        if (found := certify(z, a, b)).upper < bound:
            return refuted(
                f"z = {row(z)}, a = {row(a)}, b = {row(b)}: rho <= {found.upper:.6g}, the bound "
                f"is {bound:.6g}. Adding a constant to z makes eps as small as one likes, and "
                "changes no zero",
                cases,
            )
    return proven("with w = softmax(z): see curvature.rouche_proposition", cases)


def _rouche_bound(z: list[float], a: list[float], second: float, weights: str) -> float | None:
    if weights == "softmax":
        return rouche_proposition(z, a, second)
    width = float(spread(a))
    eps = second * np.pi**2 / (2 * width**2 * np.exp(min(z)))
    return float(np.pi / width * (1 - eps)) if eps < 1 else None


@claim(
    "If the logits bend, |z_k''| <= C, rho_true >= rho_a (1 - eps) for eps = C pi^2 / (2 Delta^2 "
    "min_k p_k) < 1, with p = softmax(z).",
    GHOSTS,
    "Proposition Appendix 1.1, with the weights normalised",
    COMPUTATION,
    opposite={"weights": "exp"},
    name="rouche_with_normalised_weights",
)
def _rouche_normalised(weights: str = "softmax") -> Verdict:
    return _rouche(weights)


@claim(
    "The exact radius loses no more: R_true >= rho* (1 - eps), with the same eps, for logits that "
    "bend.",
    GHOSTS,
    "section 4, which cites appendix 1 for it",
    COMPUTATION,
    opposite={"bound": "spread"},
)
def rouche_for_the_exact_radius(bound: str = "exact") -> Verdict:
    """At (1 + e^t)^2, whose zero i pi is double, and moves by the root of the curvature."""
    z, a = [0.0] * 4, [0.0, 1.0, 1.0, 2.0]
    linear, cases = certify(z, a), 0
    for bend in (2.0**-11, 2.0**-9, 2.0**-7):
        for signs in ((1, -1, -1, 1), (1, 1, -1, -1), (-1, 1, 1, -1)):
            b = [bend * sign for sign in signs]
            found, cases = certify(z, a, b), cases + 1
            share = rouche_proposition(z, a, 2 * bend)  # (pi / Delta) (1 - eps), rounded down
            require(share is not None)
            loss = float(share or 0.0) / (math.pi / 2)  # 1 - eps, as Delta = 2
            least = loss * (linear.lower if bound == "exact" else math.pi / 2)
            if found.upper < least * (1 - 1e-9):
                return refuted(
                    f"z = 0, a = {row(a)}, b = {row(b)}: rho <= {found.upper:.6g}, rho* (1 - "
                    f"eps) = {least:.6g}. Near a double zero radii move by sqrt(C)",
                    cases,
                )
    return certified(cases, "with rho_a it is the proposition of appendix 1")


@claim(
    "Reversing the step changes no radius.",
    GHOSTS,
    "section 3.2.3 (sign invariance)",
    PROOF,
    opposite={"factor": -2},
)
def sign_invariance(factor: int = -1) -> Verdict:
    """F of slopes c a at t is F of slopes a at c t: zeros are divided by c."""
    total = partition.partition_function(3)
    scaled = total.subs({s: factor * s for s in partition.slopes(3)}, simultaneous=True)
    require(sympy.expand(scaled - total.subs(partition.T, factor * partition.T)) == 0)
    if abs(factor) != 1:
        return refuted(f"slopes times {factor} divide every zero, and the radius, by {factor}")
    return proven("F(t) becomes F(-t), whose zeros have the same moduli; Delta stays")


@claim(
    "The Taylor series of 1 / (x + a) at 0 converges for |x| < a alone: at x = 2 a, where the "
    "function is 1 / (3 a), the errors of its partial sums grow.",
    GHOSTS,
    "section 2.2, equation (2) and Figure 2",
    PROOF,
    opposite={"x": sympy.S.Half},
)
def series_of_a_pole(x: sympy.Expr = TWO) -> Verdict:
    """In units of a: the error of order n is (-x)^(n+1) / (1 + x) exactly."""
    t, n = sympy.Symbol("t"), 5
    partial = sum((-t) ** k for k in range(n + 1))
    require(sympy.cancel(1 / (1 + t) - partial - (-t) ** (n + 1) / (1 + t)) == 0)
    if abs(x) < 1:
        return refuted(f"at x = {x} a the errors shrink by {x} an order")
    return proven(f"the error of order n is (-x/a)^(n+1) / (a + x): it grows by {x} an order")


@claim(
    "Does every zero of F, at s + i y, have |y| >= sqrt(2 / V), V the variance of the slopes under "
    "softmax(z + a s)?",
    GHOSTS,
    "not stated: softproof's bound, which is tighter for many classes",
    PROOF,
    opposite={"constant": sympy.Integer(3)},
    kind=OUR_QUESTION,
)
def variance_bound(constant: sympy.Expr = TWO) -> Verdict:
    """E cos((a - m) y) >= 1 - V y^2 / 2; two tied ends have V = Delta^2/4, y = pi / Delta."""
    if constant > sympy.pi**2 / 4:
        return refuted(
            f"K = 2 tied, slopes +-1: V = 1 and y = pi/2 < {sympy.N(sympy.sqrt(constant), 5)}"
        )
    if constant > 2:
        return not_checkable("between the proof and the counterexample")
    x = sympy.Symbol("x", real=True)
    # x - sin x, the derivative of cos x - 1 + x^2/2, is 0 at 0 and rises: its own is 1 - cos x.
    require((sympy.cos(x) - 1 + x**2 / 2).diff(x, 2) == 1 - sympy.cos(x))
    return proven("cos x >= 1 - x^2 / 2, averaged over the slopes about their mean")


@claim(
    "Where one class holds more than half of the mass at a real s, has F no zero at s + i y?",
    GHOSTS,
    "not stated: softproof's half-mass bound, exact for K = 2",
    PROOF,
    opposite={"share": sympy.Rational(2, 5)},
    kind=OUR_QUESTION,
)
def half_mass(share: sympy.Expr = sympy.S.Half) -> Verdict:
    """The modulus of its term exceeds the sum of the others' moduli, computed at random points."""
    i_pi = sympy.I * sympy.pi
    tied = partition.partition_function(2).subs(
        {
            **dict.fromkeys(partition.logits(2), 0),
            **dict(zip(partition.slopes(2), (1, 0), strict=True)),
        }
    )
    require(sympy.simplify(tied.subs(partition.T, i_pi)) == 0)  # where each of two holds 1/2
    p = sympy.Symbol("p", real=True)
    excess = p - (1 - p)  # of its modulus over those of the others together, all over F(s)
    if sympy.solveset(excess <= 0, p, sympy.Interval.open(share, 1)) is not sympy.S.EmptySet:
        return refuted(f"K = 2 tied: each holds 1/2 > {share} at s = 0, and i pi / Delta is a zero")
    cases = 0
    with flint.ctx.workprec(BITS):
        for z, a in samples(60, seed=3):
            parts = [(ball(x), ball(y)) for x, y in zip(z, a, strict=True)]
            masses = [x.exp() for x, _ in parts]
            most = max(masses, key=float) / sum(masses, flint.arb(0))
            if not most > as_ball(share):
                continue
            for y in (0.5, 3.0, 40.0):
                cases += 1
                value = sum((flint.acb(x, b * y).exp() for x, b in parts), flint.acb(0))
                require(abs(value) >= (2 * most - 1) * sum(masses, flint.arb(0)) * 0.999)
    return attained(
        "the modulus of its term, p_k, exceeds the sum of the others' moduli, 1 - p_k, by SymPy "
        "for every p_k above 1/2; |F(s + i y)| >= (2 p_k - 1) F(s), as computed here; and where "
        "two hold 1/2 there is a zero",
        cases,
    )


@claim(
    "The Taylor polynomials of the loss approach it for |t| < rho_a, at the rate r^n or faster.",
    GHOSTS,
    "section 5.1",
    COMPUTATION,
    opposite={"r": Fraction(3, 2)},
)
def truncation_error_decays(r: Fraction = Fraction(9, 10)) -> Verdict:
    """The series of log F of a tied pair, log(1 + e^(Delta t)), at t = r pi / Delta."""
    orders = (20, 40, 80, 160)
    with flint.ctx.workprec(512):
        t = ball(r) * flint.arb.pi()
        coefficients = softplus_series(0.0, 1.0, max(orders))
        truth = (1 + t.exp()).log()
        errors = [abs(flint.arb_poly(coefficients[: n + 1])(t) - truth) for n in orders]
        rates = [
            float((b / a).root(n - m))
            for m, n, a, b in zip(orders, orders[1:], errors, errors[1:], strict=False)
        ]
    if not all(errors[k + 1] < errors[k] for k in range(len(errors) - 1)):
        return refuted(
            f"K = 2, delta = 0, r = {r}: the errors of orders {orders} are "
            + ", ".join(f"{float(e):.3g}" for e in errors),
            len(orders),
        )
    return certified(
        len(orders),
        f"K = 2, delta = 0, where rho = rho_a: errors shrink by {rates[-1]:.4f} an order at r = "
        f"{float(r)}",
    )


def softplus_series(h: float, rate: float, order: int) -> list[flint.arb]:
    """The Taylor coefficients of log(1 + e^(h + rate t)) at t = 0.

    Parameters
    ----------
    h
        The value of the argument at 0.
    rate
        Its derivative.
    order
        The highest order.

    Returns
    -------
    list of arb
        c_0 ... c_order.
    """
    cap, flint.ctx.cap = flint.ctx.cap, order + 1  # series of python-flint are that long
    try:
        series = (1 + flint.arb_series([h, rate]).exp()).log()
        return [series[n] for n in range(order + 1)]
    finally:
        flint.ctx.cap = cap
