"""Prieto et al. 2025, Grokking at the Edge of Numerical Stability: what rounding does to the loss.

g is the gap between the largest logit and the others, p the number of significand bits of a format
and u = 2^-p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import sympy

from ..arithmetic.balls import ball
from ..arithmetic.formats import BFLOAT16, BINARY16, BINARY32, BINARY64, FORMATS, Format
from ..arithmetic.systems import ieee
from ..catalogue.distributions import stablemax
from .register import (
    COMPUTATION,
    PROOF,
    SEARCH,
    Verdict,
    claim,
    confirmed,
    proven,
    refuted,
    require,
)

GROKKING = "Prieto et al. 2025 (arXiv 2501.04697)"
BITS = 160
THRESHOLDS = {"float32": "16.64", "float64": "36.74", "float16": "7.62", "bfloat16": "5.55"}


def rounded(value: flint.arb, fmt: Format) -> Fraction:
    """Round a ball into a format, to nearest.

    Parameters
    ----------
    value
        The ball.
    fmt
        The format.

    Returns
    -------
    Fraction
        The number of the format that all numbers of the ball round to.

    Raises
    ------
    ArithmeticError
        If they do not all round to the same number.
    """
    low, high = (
        fmt.round(Fraction(int(end.man_exp()[0])) * Fraction(2) ** int(end.man_exp()[1]))
        for end in (value.lower(), value.upper())
    )
    require(low == high)
    return Fraction(float(low))


@claim(
    "1 + e^-g rounds to 1 exactly when g >= p ln 2: from 16.64 in float32, 36.74 in float64, 7.62 "
    "in float16, 5.55 in bfloat16.",
    GROKKING,
    "on absorption errors",
    COMPUTATION,
    opposite={"offset": -1},
)
def absorption(offset: int = 0) -> Verdict:
    """e^-g as a ball, the sum rounded once, on both sides of the threshold."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for fmt in (BINARY32, BINARY64, BINARY16, BFLOAT16):
            threshold = (fmt.precision + offset) * flint.arb(2).log()
            if offset == 0:
                require(f"{float(threshold):.2f}" == THRESHOLDS[fmt.name])
            for distance in (-3, -1, -0.5, -0.1, -1e-3, -1e-6, 1e-6, 1e-3, 0.1, 0.5, 1, 10):
                cases += 1
                gap = ball(float(threshold) + distance)
                absorbed = rounded(1 + (-gap).exp(), fmt) == 1
                if absorbed != (gap >= threshold):
                    return refuted(
                        f"{fmt.name}, g = {float(gap):.6g}: 1 + e^-g "
                        f"{'is' if absorbed else 'is not'} rounded to 1",
                        cases,
                    )
    return proven(
        "1 + e rounds to 1 for 0 < e <= u, the half of a spacing (at u to even), and up for more; "
        "e^-g <= 2^-p is g >= p ln 2. (That e^-g is rounded itself moves g by u at most.)",
        cases,
    )


def _sum_in_float32(gap: float, others: int) -> float:
    total, term = np.float32(1), np.exp(np.float32(-gap))
    return float(np.add.accumulate(np.concatenate([[total], np.full(others, term)]))[-1])


@claim(
    "With 50 000 classes and g = 17 in float32, adding the other classes one by one gives the "
    "loss 0, where the truth is 2e-3.",
    GROKKING,
    "on absorption errors",
    COMPUTATION,
    opposite={"gap": 16.0},
)
def absorbed_one_by_one(gap: float = 17.0, classes: int = 50_000) -> Verdict:
    """The running sum in float32, and log(1 + (K - 1) e^-g) in balls."""
    with flint.ctx.workprec(BITS):
        truth = ((classes - 1) * (-ball(gap)).exp()).log1p()
        total = _sum_in_float32(gap, classes - 1)
        told = f"the sum is {total:.8g}, the true loss {float(truth):.6g}"
        return proven(told, 1) if total == 1 and f"{float(truth):.0e}" == "2e-03" else refuted(told)


@claim(
    "Where the sum of exponentials equals its largest term, p_y = 1, the loss is 0 and the "
    "gradient of the right class vanishes, though none of them is 0 (softmax collapse).",
    GROKKING,
    "softmax collapse, the definition",
    COMPUTATION,
    opposite={"gap": 5.0},
)
def softmax_collapse(gap: float = 40.0) -> Verdict:
    """The textbook forms in four formats at the gap g, and the truth in balls."""
    cases = 0
    with flint.ctx.workprec(BITS):
        tail = (-ball(gap)).exp()
        truths = (tail.log1p(), tail / (1 + tail))
        require(all(truth > 0 for truth in truths))
        for fmt in FORMATS.values():
            cases += 1
            one, loser = fmt.dtype.type(1), fmt.dtype.type(math.exp(-gap))
            total = fmt.dtype.type(one + loser)
            p = fmt.dtype.type(one / total)
            loss, gradient = float(-np.log(p)), float(p) - 1.0
            if not (total == one and loss == 0 and gradient == 0):
                return refuted(
                    f"{fmt.name}, g = {gap}: sum {float(total)}, loss {loss:.3g}, gradient "
                    f"{gradient:.3g}",
                    cases,
                )
    return proven(
        "1 / 1 = 1, log 1 = 0 and 1 - 1 = 0 without a rounding, in every format; the true loss is "
        f"{float(truths[0]):.3g}",
        cases,
    )


@claim(
    "In collapse the gradient of the right class vanishes, and those of the wrong classes do not.",
    GROKKING,
    "on softmax collapse",
    SEARCH,
    opposite={"wrong_class": "vanishes"},
)
def gradients_in_collapse(wrong_class: str = "stays") -> Verdict:
    """float32, two logits, from the threshold to where e^-g is the least normal number."""
    gaps = [17.0 + n / 2 for n in range(140)]
    for gap in gaps:
        loser = np.exp(np.float32(-gap))
        right, wrong = np.float32(1) / (1 + loser) - 1, loser / (1 + loser)
        if not (right == 0 and (wrong > 0) == (wrong_class == "stays")):
            return refuted(f"g = {gap}: right {float(right):.3g}, wrong {float(wrong):.3g}")
    return confirmed(len(gaps), "float32, g from 17 to 86.5")


@claim(
    "Scaling the logits of a rightly predicted sample up lowers its loss and changes no prediction "
    "(naive loss minimisation): d loss / d c < 0 at c z.",
    GROKKING,
    "on naive loss minimisation",
    PROOF,
    opposite={"label": "another"},
)
def naive_loss_minimisation(label: str = "largest") -> Verdict:
    """d/dc (log sum e^(c z_k) - c z_y) = sum_k p_k (z_k - z_y), whose terms have one sign."""
    c, top = sympy.symbols("c z", real=True)
    gaps = sympy.symbols("g_1:3", positive=True)
    z = [top, *(top - g for g in gaps)]
    y = z[0] if label == "largest" else z[1]
    loss = sympy.log(sum(sympy.exp(c * x) for x in z)) - c * y
    total = sum(sympy.exp(c * x) for x in z)
    terms = [sympy.exp(c * x) / total * (x - y) for x in z]
    require(sympy.simplify(loss.diff(c) - sum(terms)) == 0)
    values = [sympy.expand(x - y) for x in z]
    if all(value.is_nonpositive for value in values):
        return proven("it is sum_k p_k (z_k - z_y), and z_y is the largest")
    positive = next(value for value in values if value.is_positive)
    return refuted(f"labelled with the second class, z_1 - z_y = {positive} is positive")


@claim(
    "StableMax's s(x) is continuously differentiable at 0, k = 1 times and no more.",
    GROKKING,
    "StableMax, equation (5)",
    PROOF,
    opposite={"order": 2},
)
def stablemax_smoothness(order: int = 1) -> Verdict:
    """One-sided derivatives of both pieces at 0."""
    x = sympy.Symbol("x", real=True)
    right, left = x + 1, 1 / (1 - x)
    jumps = [sympy.simplify((right - left).diff(x, k).subs(x, 0)) for k in range(4)]
    first = next(k for k, jump in enumerate(jumps) if jump != 0)
    if first != order + 1:
        return refuted(f"derivative {first} jumps at 0, from {left.diff(x, first).subs(x, 0)} to 0")
    return proven(
        "s and s' are continuous at 0, s'' jumps from 2 to 0: no Taylor series there represents s "
        "on both sides"
    )


@claim(
    "StableMax's s is positive and increasing, so that s(z) / sum s(z) is a distribution that "
    "keeps the order of the logits.",
    GROKKING,
    "StableMax, equation (5)",
    PROOF,
    opposite={"below_zero": "linear"},
)
def stablemax_is_a_distribution(below_zero: str = "reciprocal") -> Verdict:
    """For x = -t, t > 0, and for x >= 0; with x + 1 below 0, too, s would be negative."""
    t = sympy.Symbol("t", positive=True)
    left = 1 / (1 + t) if below_zero == "reciprocal" else 1 - t
    if not left.is_positive:
        return refuted(f"s(-2) = {left.subs(t, 2)}")
    require((-left.diff(t)).is_positive)
    require(left.subs(t, 0) == 1)
    return proven("1 / (1 + t) is positive and falls with t = -x; x + 1 rises from 1")


@claim(
    "StableMax in float32 does not collapse at gaps where softmax does, up to 1e6 and more.",
    GROKKING,
    "on StableMax",
    SEARCH,
    opposite={"gap": 2.0**26},
)
def stablemax_absorbs_later(gap: float = 1e6) -> Verdict:
    """s(g) + s(0) = g + 2 against s(g) = g + 1, for g on a grid up to the given one."""
    s: Callable[..., Any] = stablemax.s
    xp = ieee(BINARY32)
    gaps = [float(np.float32(17.0 * (gap / 17.0) ** (n / 20))) for n in range(21)]
    for x in gaps:
        e = s(np.array([x, 0.0], np.float32), xp)
        if e[0] + e[1] == e[0]:
            return refuted(f"g = {x:g}: s(g) + s(0) rounds to s(g)", len(gaps))
    return confirmed(len(gaps), f"gaps from 17 to {gap:g}; absorption begins near 2^24")


@claim(
    "perpGrad, g - (<w, g> / <w, w>) w, is orthogonal to the weights w, and a step along it still "
    "descends: <g, perp> >= 0.",
    GROKKING,
    "on perpGrad",
    PROOF,
    opposite={"factor": 2},
)
def perp_grad(factor: int = 1) -> Verdict:
    """In three dimensions, as any two vectors lie in one; <g, perp> is a sum of squares."""
    w, g = sympy.Matrix(sympy.symbols("w_1:4")), sympy.Matrix(sympy.symbols("g_1:4"))
    perp = g - factor * w.dot(g) / w.dot(w) * w
    product = sympy.simplify(w.dot(perp))
    if product != 0:
        return refuted(f"<w, perp> = {product}")
    squares = sum(entry**2 for entry in w.cross(g))  # Lagrange's identity
    require(sympy.cancel(g.dot(perp) * w.dot(w) - squares) == 0)
    return proven("<w, perp> = 0, and <g, perp> <w, w> = |w x g|^2, which is not negative")


@claim(
    "float64 puts collapse off, to gaps 53 / 24 = 2.2 times as large as in float32.",
    GROKKING,
    "on the precision of the loss",
    COMPUTATION,
    opposite={"ratio": Fraction(3)},
)
def wider_format_delays(ratio: Fraction = Fraction(53, 24)) -> Verdict:
    """The quotient of the thresholds p ln 2."""
    exact = Fraction(BINARY64.precision, BINARY32.precision)
    if ratio != exact:
        return refuted(f"p ln 2 / (q ln 2) = {exact}")
    return proven("thresholds are p ln 2, with p = 53 and 24")
