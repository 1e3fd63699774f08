"""Zhu, Ying, Yang 2023: label distributionally robust losses, with the Kullback-Leibler divergence.

With scores f, label y, margins c and delta_k = f_k - f_y + c_k (delta_y = 0), the loss is
psi_lambda = lambda log (1/K sum_k e^(delta_k / lambda)), the largest of sum_k p_k delta_k - lambda
KL(p || u) over all distributions p, u uniform.  The adaptive loss maximises over lambda as well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import flint
import numpy as np
import sympy

from ..arithmetic.balls import ball
from .register import (
    COMPUTATION,
    OUR_QUESTION,
    PROOF,
    Verdict,
    attained,
    certified,
    claim,
    proven,
    refuted,
    require,
)

LDR = "Zhu, Ying, Yang 2023 (arXiv 2112.14869)"
BITS = 200


def psi(delta: Sequence[flint.arb], lam: flint.arb) -> flint.arb:
    """The loss at margins delta, in balls.

    Parameters
    ----------
    delta
        f_k - f_y + c_k for each class.
    lam
        lambda > 0.

    Returns
    -------
    flint.arb
        lambda log (1/K sum_k e^(delta_k / lambda)).
    """
    largest = max(delta, key=lambda d: float(d.mid()))
    total = sum(((d - largest) / lam).exp() for d in delta)
    return largest + lam * (total / len(delta)).log()


def _instances() -> list[list[flint.arb]]:
    """Margins of 2 to 9 classes, that of the label 0; of some, all others are equal."""
    rng = np.random.default_rng(32)
    drawn = [[0.0, *(4 * rng.standard_normal(k - 1))] for k in range(2, 10) for _ in range(6)]
    drawn += [[0.0, 1.0], [1.0, *[0.0] * 7], [0.0, *[-50.0] * 5]]
    return [[ball(float(d)) for d in row] for row in drawn]


LAMBDAS = ("1e-3", "0.03", "0.5", "1", "7", "1e3", "1e6")


@claim(
    "As lambda tends to 0 the loss tends to the largest margin, from below, and is at most lambda "
    "log K away.",
    LDR,
    "special cases (Crammer-Singer)",
    COMPUTATION,
    opposite={"factor": 0.5},
)
def ldr_small_lambda(factor: float = 1.0) -> Verdict:
    """The sum is between its largest term and K times that; attained where one margin dominates."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for delta, text in itertools.product(_instances(), LAMBDAS):
            cases += 1
            lam = flint.arb(text)
            largest = max(delta, key=lambda d: float(d.mid()))
            gap = largest - psi(delta, lam)
            most = ball(factor) * lam * flint.arb(len(delta)).log()
            if gap > most or gap < 0:
                return refuted(f"lambda = {text}, {len(delta)} classes: {float(gap):.4g}", cases)
            require(not factor >= 1 or gap < most + flint.arb("1e-40"))
    return attained(
        "1 <= sum_k e^((delta_k - max) / lambda) <= K, so psi is from max - lambda log K to max; "
        "one dominating margin attains the lower end in the limit",
        cases,
    )


@claim(
    "As lambda grows the loss tends to the mean margin, from above, and is at most the squared "
    "range of the margins over 8 lambda away.",
    LDR,
    "special cases (mean margin)",
    COMPUTATION,
    opposite={"factor": 0.9},
)
def ldr_large_lambda(factor: float = 1.0) -> Verdict:
    """Hoeffding's lemma for a uniform choice of a margin; two margins attain it in the limit."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for delta, text in itertools.product(_instances(), LAMBDAS):
            cases += 1
            lam = flint.arb(text)
            mean = sum(delta) / len(delta)
            width = max(map(float, delta)) - min(map(float, delta))
            gap = psi(delta, lam) - mean
            if gap > ball(factor) * ball(width) ** 2 / (8 * lam):
                return refuted(f"lambda = {text}, {len(delta)} classes: {float(gap):.4g}", cases)
            require(not gap < -flint.arb("1e-40"))
    return attained(
        "Hoeffding: log E e^(s X) <= s E X + s^2 range^2 / 8 with s = 1 / lambda; below by "
        "Jensen; for two margins the quotient of both sides tends to 1",
        cases,
    )


@claim(
    "Label-distributionally-robust loss with lambda = 1 and c = 0 is cross-entropy less log K.",
    LDR,
    "the loss",
    PROOF,
    opposite={"temperature": 2},
)
def ldr_loss(temperature: int = 1) -> Verdict:
    """lambda log((1/K) sum_k e^((z_k - z_y) / lambda)) of three classes."""
    u = sympy.symbols("u_1:4", positive=True)  # e^z
    powers = [(x / u[0]) ** sympy.Rational(1, temperature) for x in u]
    robust = temperature * sympy.log(sum(powers) / 3)
    plain = sympy.log(sum(u) / u[0]) - sympy.log(3)
    ratio = sympy.simplify(sympy.exp(robust - plain))
    if ratio != 1:
        value = math.log(float(ratio.subs(dict(zip(u, (1, 4, 4), strict=True)))))
        return refuted(f"z = (0, log 4, log 4), y = 1: off by {value:.6g}")
    return proven("log((1/K) sum) = log sum - log K")


@claim(
    "The gradient is the maximising distribution, the softmax of the margins over lambda, less the "
    "label.",
    LDR,
    "the maximiser",
    PROOF,
    opposite={"scale": 2},
)
def ldr_gradient(scale: int = 1) -> Verdict:
    """Symbolically for 3 classes."""
    f = sympy.symbols("f_1:4", real=True)
    level = sympy.Symbol("lambda", positive=True)
    loss = level * sympy.log(sum(sympy.exp((v - f[0]) / level) for v in f) / 3)
    weights = [sympy.exp(scale * v / level) for v in f]
    for k, v in enumerate(f):
        if sympy.simplify(sympy.diff(loss, v) - weights[k] / sum(weights) + int(k == 0)) != 0:
            return refuted(f"the entry {k + 1} of the gradient is another")
    return proven("both sides by SymPy, for 3 classes")


@claim(
    "The loss falls as lambda grows: its derivative is minus the divergence of the maximising "
    "distribution from the uniform one.",
    LDR,
    "the maximiser",
    PROOF,
    opposite={"sign": 1},
)
def ldr_derivative_in_lambda(sign: int = -1) -> Verdict:
    """Symbolically for 3 classes; the divergence is not negative by Gibbs' inequality."""
    delta = sympy.symbols("d_1:4", real=True)
    level = sympy.Symbol("lambda", positive=True)
    total = sum(sympy.exp(d / level) for d in delta)
    loss = level * sympy.log(total / 3)
    divergence = sum(
        sympy.exp(d / level) / total * (d / level - sympy.log(total) + sympy.log(3)) for d in delta
    )
    difference = sympy.simplify(
        sympy.expand_log(sympy.diff(loss, level) - sign * divergence, force=True)
    )
    if difference != 0:
        return refuted("the difference is not 0 for 3 classes")
    return proven("d psi / d lambda + KL(p || u) is 0 by SymPy, for 3 classes")


@claim(
    "The minimiser of the expected loss orders the scores as the classes' probabilities, for any "
    "margin that is the same for all classes.",
    LDR,
    "consistency (uniform margins are ours)",
    PROOF,
    opposite={"margins": ("0", "4")},
)
def ldr_preserves_rank(margins: tuple[str, str] = ("4", "4")) -> Verdict:
    """Stationarity in t = softmax(f / lambda): q_y is proportional to t_y (a - (a - 1) t_y).

    With a = e^(c / lambda) >= 1, of two classes the difference of these is
    (t_j - t_i) (a - (a - 1) (t_i + t_j)), and t_i + t_j <= 1.  Where the margins of two classes
    differ, the risk of q = (0.55, 0.45) rises at f_1 = f_2 towards the likelier class.
    """
    a, s, t, q = sympy.symbols("a s t q", positive=True)
    risk = q * (sympy.log(a - (a - 1) * t) - sympy.log(t))
    share = t * (a - (a - 1) * t)
    require(sympy.simplify(sympy.diff(risk, t) + q * a / share) == 0)
    difference = share - share.subs(t, s)
    require(sympy.expand(difference - (t - s) * (a - (a - 1) * (s + t))) == 0)
    with flint.ctx.workprec(BITS):
        first, second = (1 / (1 + (-flint.arb(c)).exp()) for c in margins)
        slope = flint.arb("0.45") * second - flint.arb("0.55") * first  # of the risk in f_1 - f_2
    if slope > 0:
        return refuted(
            f"margins {', '.join(margins)}, lambda = 1, q = (0.55, 0.45): the convex risk has "
            f"slope {float(slope):.3g} at f_1 = f_2, so its minimum has f_1 < f_2"
        )
    return proven(
        "a - (a - 1) (t_i + t_j) >= 1 > 0 since t_i + t_j <= 1: the probabilities are ordered as t"
    )


def _two_level(classes: int, r: str, lam: flint.arb) -> tuple[flint.arb, flint.arb]:
    """psi_lambda of margins (r, 0, ..., 0), and KL(p || u) of its maximiser, in balls."""
    e = (flint.arb(r) / lam).exp()
    total = e + classes - 1
    loss = lam * (total / classes).log()
    return loss, e / total * flint.arb(r) / lam - (total / classes).log()


@claim(
    "The adaptive loss may have several fixed points lambda = lambda_0 - KL(p || u) / alpha', so "
    "that an iteration need not find the largest value: K = 1000, alpha = 2, margins (5.305, 0, "
    "..., 0) have three.",
    LDR,
    "ALDR-KL, as its code computes it",
    COMPUTATION,
    opposite={"classes": 10},
    kind=OUR_QUESTION,
)
def aldr_fixed_points(classes: int = 1000, r: str = "5.305") -> Verdict:
    """The sign of T(lambda) - lambda at certified points, and the value between them."""
    with flint.ctx.workprec(BITS):
        strength = 2 * flint.arb(classes).log()
        signs, values = [], {}
        for step in range(500, 1001, 2):
            lam = flint.arb(step) / 1000
            loss, divergence = _two_level(classes, r, lam)
            moved = 1 - divergence / strength - lam
            require(moved > 0 or moved < 0)
            signs.append((step, bool(moved > 0)))
            values[step] = loss - strength / 2 * (lam - 1) ** 2
        turns = [b for (_, x), (b, y) in itertools.pairwise(signs) if x != y]
        if len(turns) < 3:
            return refuted(f"{len(turns)} sign changes from 0.5 to 1", len(signs))
        largest = max(turns, key=lambda step: float(values[step]))
        require(all(values[largest] > values[t] for t in turns if t != largest))
    places = ", ".join(f"{turn / 1000:.3g}" for turn in turns)
    return certified(
        len(signs),
        f"sign changes just below lambda = {places}; the value is the largest near "
        f"{largest / 1000:.3g}",
    )


@claim(
    "Is there a symmetric loss that is not negative and whose minimiser keeps the order of all "
    "classes, if scores lie in a ball?",
    LDR,
    "the negative result on symmetric losses, whose hypotheses we have not read",
    PROOF,
    opposite={"exponent": 3},
    kind=OUR_QUESTION,
)
def symmetric_loss_on_a_ball(exponent: int = 1) -> Verdict:
    """The mean margin m_y(f) = mean f - f_y (lambda = infinity) plus a constant is one.

    Its sum over y is 0 for all f, so it is symmetric; its expectation mean f - q . f is linear, and
    by Cauchy-Schwarz the minimiser on |f| <= B is B (q - u) / |q - u|, ordered as q.
    """
    f = sympy.symbols("f_1:5", real=True)
    mean = sum(f) / 4
    total = sympy.expand(sum((mean - v) ** exponent for v in f))
    if total != 0:
        return refuted(f"with power {exponent} the sum over the labels depends on f")
    q = sympy.symbols("q_1:5", positive=True)
    risk = sympy.expand(mean - sum(p * v for p, v in zip(q, f, strict=True)))
    direction = sum((sympy.Rational(1, 4) - p) * v for p, v in zip(q, f, strict=True))
    require(sympy.expand(risk - direction) == 0)
    return proven(
        "yes: on a ball the mean margin is symmetric, bounded below, and its minimiser "
        "B (q - u) / |q - u| has the order of q; so the negative result needs another domain"
    )
