"""Sao 2026, Ghosts of Softmax, appendix 4: Kullback-Leibler divergence along a step.

p(t)_k is proportional to w_k e^(a_k t).  With K = log F the divergences are

    forward  KL(p(t) || p(0)) = t K'(t) - (K(t) - K(0)) = integral_0^t s K''(s) ds,           (1)
    reverse  KL(p(0) || p(t)) = K(t) - K(0) - t K'(0)   = integral_0^t (t - s) K''(s) ds,

K'' is the variance of the slopes under p(s) and K''' their third central moment, at most
M = Delta^3 / (6 sqrt 3) in modulus.  Proof of both bounds, for all K, z, a and t.  For t > 0 (else
turn the signs of t and a), K''(s) differs from K''(0) by M s at most, so

    |forward - t^2/2 K''(0)| <= M integral_0^t s^2 ds = M t^3 / 3 = t^3 Delta^3 / (18 sqrt 3),
    |reverse - t^2/2 K''(0)| <= M integral_0^t (t - s) s ds = M t^3 / 6 = t^3 Delta^3 / (36 sqrt 3).

Sharp: as t -> 0 the remainders are t^3 K'''(0) / 3 and / 6, and K'''(0) reaches M for two points.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import flint
import numpy as np
import sympy

from ..arithmetic.balls import ball
from .register import COMPUTATION, PROOF, Verdict, attained, claim, proven, refuted, require
from .sao2026_radius import GHOSTS, as_ball, samples

BITS = 320  # remainders of t^3 among terms of 1
QUARTER = sympy.Rational(1, 4)
SHARP_MOMENT = 1 / (6 * sympy.sqrt(3))
SHARP_SHARE = (3 - sympy.sqrt(3)) / 6

T, S, MOMENT = sympy.symbols("t s M", positive=True)


@claim(
    "For any distribution on an interval of width D, |E (X - E X)^3| <= D^3 / (6 sqrt 3); a law of "
    "two points, p = (3 +- sqrt 3) / 6, reaches it.",
    GHOSTS,
    "Lemma Appendix 4.1",
    PROOF,
    opposite={"constant": SHARP_MOMENT * sympy.Rational(99, 100)},
)
def third_central_moment(constant: sympy.Expr = SHARP_MOMENT) -> Verdict:
    """By a line above (x - m)^3 on [0, 1] that meets it at the points of the extremal law.

    With m = E X on [0, 1] and e = 1 - m, a line L >= (x - m)^3 gives E (X - m)^3 <= L(m):

        m <= 1/3, through the ends:           L - (x - m)^3 = x (1 - x) (1 + x - 3 m) >= 0,
        m > 1/3, tangent at x_0 = m - e / 2:  L - (x - m)^3 = (1 - x) (x - x_0)^2     >= 0,

    so E <= m (1 - m) (1 - 2 m), at most 1 / (6 sqrt 3) at m = (3 - sqrt 3) / 6, or <= e^3 / 4
    <= 2 / 27.  Lower bounds by reflection. (The paper's proof assumes two points at the ends.)
    """
    x, m = sympy.symbols("x m", real=True)
    cube, e = (x - m) ** 3, 1 - m
    chord = -(m**3) + x * (e**3 + m**3)
    require(sympy.expand(chord - cube - x * (1 - x) * (1 + x - 3 * m)) == 0)
    start = m - e / 2
    tangent = cube + (1 - x) * (x - start) ** 2
    require(sympy.degree(sympy.expand(tangent), x) == 1)
    require(sympy.expand(tangent.subs(x, m) - e**3 / 4) == 0)
    two_points = sympy.expand(chord.subs(x, m))
    require(sympy.expand(two_points - m * (1 - m) * (1 - 2 * m)) == 0)
    # two_points - maximum = (m - p)^2 (2 m + 4 p - 3), whose last factor is negative for m <= 1/3.
    least = sympy.Rational(1, 3)
    share = SHARP_SHARE
    factored = (m - share) ** 2 * (2 * m + 4 * share - 3)
    require(sympy.expand(two_points - SHARP_MOMENT - factored) == 0)
    require(2 * least + 4 * share - 3 < 0)
    require(sympy.Rational(2, 27) < SHARP_MOMENT)
    if constant < SHARP_MOMENT:
        return refuted(
            f"X in {{0, D}} with P(X = D) = {share} has {sympy.N(SHARP_MOMENT, 8)} D^3, more than "
            f"{sympy.N(constant, 8)} D^3"
        )
    if constant > SHARP_MOMENT:
        return proven("the constant can be lowered to 1 / (6 sqrt 3)")
    return attained(
        "a line above (x - m)^3 that touches it at two points, for every mean m; X in {0, D} with "
        f"P(X = D) = {share} reaches it"
    )


@claim(
    "The variance of slopes of spread Delta is at most Delta^2 / 4, so the cubic term of the "
    "divergence catches up with the quadratic one at 1 / (4 Delta) or before.",
    GHOSTS,
    "appendix 4.5",
    PROOF,
    opposite={"constant": sympy.Rational(1, 5)},
)
def popoviciu(constant: sympy.Expr = QUARTER) -> Verdict:
    """Var <= E (a - c)^2 with c the middle, and (Delta/2)^2 - (a - c)^2 = (max - a)(a - min)."""
    a, low, high = sympy.symbols("a low high", real=True)
    middle = (low + high) / 2
    product = (high - a) * (a - low)
    require(sympy.expand((high - low) ** 2 / 4 - (a - middle) ** 2 - product) == 0)
    if constant < QUARTER:
        return refuted(f"half of the mass at each end has Delta^2 / 4 > {constant} Delta^2")
    return attained("(max - a) (a - min) >= 0; half of the mass at each end reaches it")


@claim(
    "KL(p(t) || p(0)) = K(t) - K(0) - t K'(0), the Bregman divergence of K = log F, as printed.",
    GHOSTS,
    "equation (26)",
    PROOF,
    opposite={"direction": "reverse"},
)
def bregman_divergence(direction: str = "forward") -> Verdict:
    """From the definition of the divergence, with three classes."""
    z, a = sympy.symbols("z_1:4", real=True), sympy.symbols("a_1:4", real=True)
    t = sympy.Symbol("t", real=True)
    total = sum(sympy.exp(x + y * t) for x, y in zip(z, a, strict=True))
    log_total = sympy.log(total)
    # log p(t)_k - log p(0)_k = a_k t - (K(t) - K(0)).
    ratios = [y * t - log_total + log_total.subs(t, 0) for y in a]
    moved = [sympy.exp(x + y * t) / total for x, y in zip(z, a, strict=True)]
    if direction == "reverse":
        divergence = -sum(p.subs(t, 0) * r for p, r in zip(moved, ratios, strict=True))
    else:
        divergence = sum(p * r for p, r in zip(moved, ratios, strict=True))
    claimed = log_total - log_total.subs(t, 0) - t * log_total.diff(t).subs(t, 0)
    if sympy.simplify(sympy.together(sympy.expand(divergence - claimed))) == 0:
        return proven("sum_k p(0)_k = 1 and sum_k p(0)_k a_k = K'(0)")
    point = dict(zip((*z, *a), (0, 0, 0, 3, 0, 0), strict=True)) | {t: 1}
    return refuted(
        f"z = 0, a = (3, 0, 0), t = 1: {sympy.N(divergence.subs(point), 6)} against "
        f"{sympy.N(claimed.subs(point), 6)}. It is KL(p(0) || p(t)) that is this divergence"
    )


def _divergences(z: list[float], a: list[float], t: flint.arb) -> dict[str, flint.arb]:
    """Both divergences, the variance, and K(0), K(t) on the way, in balls."""
    logits, slopes = [ball(x) for x in z], [ball(x) for x in a]
    zero = flint.arb(0)

    def at(moved: flint.arb) -> tuple[flint.arb, flint.arb, flint.arb]:
        terms = [(x + y * moved).exp() for x, y in zip(logits, slopes, strict=True)]
        total = sum(terms, zero)
        mean = sum((w * y for w, y in zip(terms, slopes, strict=True)), zero) / total
        spread = sum((w * (y - mean) ** 2 for w, y in zip(terms, slopes, strict=True)), zero)
        return total.log(), mean, spread / total

    start, mean, variance = at(zero)
    end, tilted, _ = at(t)
    return {
        "forward": t * tilted - (end - start),
        "reverse": end - start - t * mean,
        "quadratic": t**2 / 2 * variance,
    }


def _steps() -> Iterator[tuple[list[float], list[float], Fraction]]:
    random = np.random.default_rng(11)
    for z, a in samples(60, most=40, seed=7):
        width = max(a) - min(a)
        length = 10.0 ** random.uniform(-2, 2) / width
        yield z, a, Fraction(length if random.random() < 0.5 else -length)


def _remainder(direction: str, constant: sympy.Expr) -> Verdict:
    """|KL - t^2/2 Var| <= constant t^3 Delta^3: by (1), in random cases, and for t -> 0."""
    kernel = S if direction == "forward" else T - S
    sharp = sympy.integrate(kernel * S, (S, 0, T)) / T**3 * SHARP_MOMENT
    worst, cases = flint.arb(0), 0
    with flint.ctx.workprec(BITS):
        bound = as_ball(constant)
        for z, a, t in _steps():
            cases += 1
            found = _divergences(z, a, ball(t))
            size = (abs(ball(t)) * (ball(Fraction(max(a)) - Fraction(min(a))))) ** 3
            ratio = abs(found[direction] - found["quadratic"]) / size
            worst = worst.max(ratio)
            if ratio > bound:
                return refuted(f"z = {z}, a = {a}, t = {float(t):.6g}: {float(ratio):.6g}", cases)
        # Two points with the shares of the extremal law, and a small step.
        share = as_ball(SHARP_SHARE)
        z, t = [float((share / (1 - share)).log().mid()), 0.0], Fraction(1, 10**6)
        found = _divergences(z, [1.0, 0.0], ball(t))
        near = abs(found[direction] - found["quadratic"]) / ball(t) ** 3
        if near > bound:
            return refuted(
                f"K = 2, z_1 - z_2 = {z[0]:.6g}, Delta t = 1e-6: the remainder is "
                f"{float(near):.8g} (t Delta)^3",
                cases + 1,
            )
    if constant < sharp:
        return refuted(f"as t -> 0 the extremal law comes to {sympy.N(sharp, 8)} (t Delta)^3")
    if constant > sharp:
        return proven(f"the constant can be lowered to {sharp}", cases + 1)
    return attained(
        f"integrals of the third cumulant, for all K and t; sharp as t -> 0 (ratio "
        f"{float(near / as_ball(sharp)):.6f} at t Delta = 1e-6). Largest of the random cases, K <= "
        f"40, t Delta in [0.01, 100]: {float(worst / as_ball(sharp)):.3f} of the bound",
        cases + 1,
    )


@claim(
    "|KL(p(t) || p(0)) - t^2/2 Var_p(0)(a)| <= |t|^3 Delta^3 / (18 sqrt 3), and this is sharp.",
    GHOSTS,
    "Theorem Appendix 4.2, equation (29)",
    COMPUTATION,
    opposite={"constant": SHARP_MOMENT / 3 * sympy.Rational(99, 100)},
)
def forward_divergence(constant: sympy.Expr = SHARP_MOMENT / 3) -> Verdict:
    """The proof stands at the top of this module; the paper's leads to the other direction."""
    return _remainder("forward", constant)


@claim(
    "|KL(p(0) || p(t)) - t^2/2 Var_p(0)(a)| <= |t|^3 Delta^3 / (36 sqrt 3), and this is sharp.",
    GHOSTS,
    "its public code (theory.py)",
    COMPUTATION,
    opposite={"constant": SHARP_MOMENT / 6 * sympy.Rational(99, 100)},
)
def reverse_divergence(constant: sympy.Expr = SHARP_MOMENT / 6) -> Verdict:
    """The proof stands at the top of this module."""
    return _remainder("reverse", constant)
