"""Mao, Mohri, Zhong 2023, Cross-Entropy Loss Functions: comp-sum losses and their H-consistency.

With q = softmax(h), v = sum_{j != y} e^(h_j - h_y) = 1/q_y - 1, a = tau - 1 and s = 1 / (2 - tau)
the loss is Phi_tau(v) = (1 - q_y^a) / a, and -log q_y for a = 0.  All below is for one x: p is the
distribution of its label over n classes, class i has the largest p, class j the largest q, and
b = p_i - p_j is the conditional regret of the zero-one loss.  H is symmetric and complete: q may be
any distribution, also in the limit.

The least risk (Lagrange: q_k is proportional to p_k^s; for a >= 1, q sits on i) makes the regret

    R(p, q) = (N(p) - sum_k p_k q_k^a) / a,  N(p) = (sum_k p_k^s)^(1/s) for tau < 2, else p_i.   (1)

Theorem.  R >= T_tau(b).  Proof.  Sharing Q = q_i + q_j out anew between i and j cannot bring the
risk below its least, so R is at least what that gains.  Let P = p_i + p_j, r = q_i / q_j <= 1.

    tau <= 1:  the gain falls with q_i / Q <= 1/2, as p_i >= p_j: it is least at r = 1, where it is
               (Q^a / a) (N(p_i, p_j) - 2^-a P), and Q^a >= 1.  That is P T(b / P) >= T(b).
    1 < tau:   Q = q_j (1 + r) and q_j >= 1/n, so the gain is at least
               (n^-a / a) g(r), g(r) = (1 + r)^a N(p_i, p_j) - p_i r^a - p_j.
    tau < 2:   g falls up to r = (p_i / p_j)^s >= 1, so g >= g(1) = 2^a N(p_i, p_j) - P, and again
               P T(b / P) >= T(b).
    2 <= tau:  g(r) = p_i ((1 + r)^a - r^a) - p_j rises with r: g >= g(0) = p_i - p_j = b.

T is convex with T(0) = 0, which gives P T(b / P) >= T(b): N is concave for s <= 1 and convex for
s >= 1 (Minkowski).  As T is even, T'(0) = 0, and T does not fall.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import sympy

from ..arithmetic.balls import ball
from ..h_consistency.conditional_regret import conditional_error, infimum, least_error
from ..h_consistency.transform import (
    BRANCHES,
    TAU,
    derived,
    excess_over_published,
    gamma,
    transform,
    transform_ball,
)
from .register import (
    COMPUTATION,
    PROOF,
    SEARCH,
    Verdict,
    attained,
    claim,
    confirmed,
    proven,
    refuted,
    require,
)

COMP_SUM = "Mao, Mohri, Zhong 2023 (arXiv 2304.07288)"
BITS = 128
HALF, ONE, TWO = Fraction(1, 2), Fraction(1), Fraction(2)
TAUS = (Fraction(0), HALF, Fraction(9, 10), ONE, Fraction(11, 10), 3 * HALF, TWO, 3 * ONE)
REGRETS = tuple(Fraction(n, 8) for n in range(1, 9))

B = sympy.Symbol("b", positive=True)


def regret(p: list[Fraction], q: list[Fraction], tau: Fraction) -> flint.arb:
    """The conditional regret R(p, q) of equation (1).

    Parameters
    ----------
    p
        The probabilities of the classes, exact.
    q
        The softmax of the scores, exact; it may be 0 for classes without probability.
    tau
        The parameter of the loss.

    Returns
    -------
    arb
        An enclosure of the regret.

    Examples
    --------
    >>> half = [HALF, HALF]
    >>> print(regret([ONE, Fraction(0)], half, TWO).str(5, radius=False))
    0.50000
    """
    return conditional_error(p, [ball(x) for x in q], tau) - least_error(p, tau)


@claim(
    "Phi_tau is the sum-exponential loss at tau = 0, the logistic loss (cross-entropy) in the "
    "limit tau -> 1, generalised cross-entropy (1 - q_y^a) / a with a = tau - 1 for 1 < tau < 2, "
    "and 1 - q_y, half of the mean absolute error, at tau = 2.",
    COMP_SUM,
    "definition of comp-sum losses",
    PROOF,
    opposite={"gce_exponent": 0},
)
def members(gce_exponent: int = -1) -> Verdict:
    """With v = 1/q - 1; `gce_exponent` is what is added to tau in the exponent of q."""
    q = sympy.Symbol("q", positive=True)
    v = 1 / q - 1
    phi = ((1 + v) ** (1 - TAU) - 1) / (1 - TAU)
    require(sympy.simplify(phi.subs(TAU, 0) - v) == 0)
    require(sympy.simplify(sympy.limit(phi, TAU, 1) + sympy.log(q)) == 0)
    require(sympy.simplify(phi.subs(TAU, 2) - (1 - q)) == 0)
    exponent = TAU + gce_exponent
    difference = sympy.simplify(sympy.powsimp(phi - (1 - q**exponent) / exponent))
    if difference != 0:
        value = difference.subs({TAU: 3 * sympy.S.Half, q: sympy.S.Half})
        return refuted(f"tau = 3/2, q_y = 1/2: off by {sympy.N(value, 6)}")
    return proven("by substitution of 1 + v = 1 / q_y, and the limit")


@claim(
    "T_tau(b) = 2^(1-tau)/(1-tau) [1 - (((1+b)^s + (1-b)^s)/2)^(2-tau)], s = 1/(2-tau), for "
    "0 <= tau < 1.",
    COMP_SUM,
    "H-consistency bound",
    PROOF,
    opposite={"base": 3},
)
def transform_below_one(base: int = 2) -> Verdict:
    """The least risk by its stationary point, and the regret of the extremal pair, for any tau."""
    a, s = TAU - 1, 1 / (2 - TAU)
    # Minimising sum_k p_k (1 - q_k^a) / a with sum q_k = 1: p_k q_k^(a-1) is the same for all k.
    p = sympy.Symbol("p", positive=True)
    require(sympy.simplify(sympy.powsimp(p * p ** (s * (a - 1)))) == 1)
    # With m = ((1+b)^s + (1-b)^s)/2, p_i^s + p_j^s = 2^(1-s) m.
    m = sympy.Symbol("m", positive=True)
    two = sympy.Integer(2) ** sympy.simplify((1 - s) * (2 - TAU))
    regret_at_half = (two * m ** (2 - TAU) - sympy.Integer(2) ** -a) / a
    claimed = sympy.Integer(base) ** (1 - TAU) / (1 - TAU) * (1 - m ** (2 - TAU))
    difference = sympy.simplify(regret_at_half - claimed)
    if difference != 0:
        value = difference.subs({TAU: sympy.S.Half, m: sympy.Rational(9, 10)})
        return refuted(f"tau = 1/2, where the mean is 9/10: off by {sympy.N(value, 6)}")
    return attained(
        "the theorem at the top of derivations/claims/mao2023.py; p = ((1+b)/2, (1-b)/2, 0, ...) "
        "and q = (1/2, 1/2, 0, ...) reach it"
    )


@claim(
    "T_0(b) = 1 - sqrt(1 - b^2).",
    COMP_SUM,
    "H-consistency bound at tau = 0",
    PROOF,
    opposite={"power": 3},
)
def transform_at_zero(power: int = 2) -> Verdict:
    """((sqrt(1 + b) + sqrt(1 - b)) / 2)^2 = (1 + sqrt(1 - b^2)) / 2."""
    up, down = sympy.symbols("x y", positive=True)  # sqrt(1 + b), sqrt(1 - b)
    t = 2 * (1 - ((up + down) / 2) ** 2)
    # x^2 + y^2 = 2, and x y = sqrt(1 - b^2).
    require(sympy.expand(t - (1 - up * down) - (2 - up**2 - down**2) / 2) == 0)
    if sympy.expand((1 + B) * (1 - B) - (1 - B**power)) != 0:  # (x y)^2
        value = 1 - sympy.sqrt(1 - sympy.S.Half**power)
        return refuted(f"b = 1/2: {sympy.N(value, 6)} against {sympy.N(1 - sympy.sqrt(3) / 2, 6)}")
    return proven("with x = sqrt(1 + b), y = sqrt(1 - b): x^2 + y^2 = 2 and x y = sqrt(1 - b^2)")


@claim(
    "T_1(b) = (1+b)/2 log(1+b) + (1-b)/2 log(1-b), and T_tau tends to it as tau -> 1.",
    COMP_SUM,
    "H-consistency bound at tau = 1",
    PROOF,
    opposite={"factor": sympy.Rational(1, 3)},
)
def transform_at_one(factor: sympy.Expr = sympy.S.Half) -> Verdict:
    """The limit is minus the derivative of the mean in e = 1 - tau at 0; and the regret itself."""
    e = sympy.Symbol("e", real=True)
    s = 1 / (1 + e)
    mean = (((1 + B) ** s + (1 - B) ** s) / 2) ** (1 + e)
    limit = -mean.diff(e).subs(e, 0)
    claimed = factor * ((1 + B) * sympy.log(1 + B) + (1 - B) * sympy.log(1 - B))
    if sympy.simplify(claimed - limit) != 0:
        value = (claimed - limit).subs(B, sympy.S.Half)
        return refuted(f"b = 1/2: off by {sympy.N(value, 6)}")
    p = ((1 + B) / 2, (1 - B) / 2)
    require(sympy.simplify(claimed - sum(x * sympy.log(sympy.expand(2 * x)) for x in p)) == 0)
    return attained("the limit by differentiation; it is KL(p || (1/2, 1/2))")


@claim(
    "T_tau(b) = [(((1+b)^s + (1-b)^s)/2)^(2-tau) - 1] / ((tau-1) n^(tau-1)) for 1 < tau < 2: the "
    "bound holds.",
    COMP_SUM,
    "H-consistency bound",
    COMPUTATION,
    opposite={"scale": Fraction(6, 5)},
)
def transform_between_one_and_two(scale: Fraction = ONE) -> Verdict:
    """Random and extremal regrets against T."""
    return _bound((Fraction(11, 10), 3 * HALF, Fraction(19, 10)), scale)


@claim(
    "T_tau(b) = b / ((tau-1) n^(tau-1)) for tau >= 2: the bound holds.",
    COMP_SUM,
    "H-consistency bound",
    COMPUTATION,
    opposite={"scale": Fraction(6, 5)},
)
def transform_from_two(scale: Fraction = ONE) -> Verdict:
    """Random and extremal regrets against T."""
    return _bound((TWO, 5 * HALF, 3 * ONE), scale)


@claim(
    "R01 - R01* <= Gamma_tau(R_tau - R_tau*) for every tau >= 0 and n, conditionally: regrets of "
    "comp-sum losses are at least T_tau(b).",
    COMP_SUM,
    "H-consistency bound",
    COMPUTATION,
    opposite={"scale": Fraction(101, 100)},
)
def consistency_bound(scale: Fraction = ONE) -> Verdict:
    """Random and extremal regrets against T for tau in {0, 1/2, ..., 3}."""
    return _bound(TAUS, scale)


def _instances(tau: Fraction) -> Iterator[tuple[list[Fraction], list[Fraction]]]:
    """Distributions p and predictions q: random ones, and those that reach the bound."""
    random = np.random.default_rng(13)
    for n in range(2, 7):
        for b in REGRETS:
            yield extremal(b, tau, n)
        for _ in range(12):
            yield _distribution(random, n), _distribution(random, n)


def _distribution(random: np.random.Generator, n: int) -> list[Fraction]:
    counts = random.integers(1, 30, n).tolist()
    return [Fraction(count, sum(counts)) for count in counts]


def extremal(b: Fraction, tau: Fraction, n: int) -> tuple[list[Fraction], list[Fraction]]:
    """The extremal p and q of 0-1 regret b: two classes, or n - 1 ties from tau = 2 on for small b.

    Parameters
    ----------
    b
        The 0-1 regret, in [0, 1].
    tau
        The parameter of the loss.
    n
        The number of classes, at least 2.

    Returns
    -------
    tuple of list of Fraction
        p and q, each of n numbers.
    """
    rest = [Fraction(0)] * (n - 2)
    if tau >= 2 and b * (n - 1) <= 1:
        return [(1 - (n - 1) * b) / n] + [(1 + b) / n] * (n - 1), [Fraction(1, n)] * n
    return [(1 + b) / 2, (1 - b) / 2, *rest], [HALF, HALF, *rest]


def _bound(taus: tuple[Fraction, ...], scale: Fraction) -> Verdict:
    cases, near = 0, flint.arb(10)
    with flint.ctx.workprec(BITS):
        for tau in taus:
            for p, q in _instances(tau):
                # Of the classes that share the largest q, the least likely is predicted.
                top = max(q)
                b = max(p) - min(x for x, y in zip(p, q, strict=True) if y == top)
                if b == 0:
                    continue
                cases += 1
                value = regret(p, q, tau)
                bound = ball(scale) * transform_ball(ball(b), tau, len(p))
                if value < bound:
                    return refuted(
                        f"tau = {tau}, p = {_told(p)}, q = {_told(q)}: regret {float(value):.6g}, "
                        f"T = {float(bound):.6g}",
                        cases,
                    )
                near = near.min(value / bound)
    return proven(
        "the theorem at the top of derivations/claims/mao2023.py; the smallest quotient regret / "
        f"T here is {float(near):.6g}",
        cases,
    )


def _told(row: list[Fraction]) -> str:
    return "(" + ", ".join(map(str, row)) + ")"


@claim(
    "The bound is tight for 0 <= tau <= 1 and every n: each b has a regret T_tau(b).",
    COMP_SUM,
    "tightness",
    COMPUTATION,
    opposite={"taus": (5 * HALF,)},
)
def tight_up_to_one(taus: tuple[Fraction, ...] = (Fraction(0), HALF, ONE)) -> Verdict:
    """Regrets of extremal pairs equal T, in balls."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for tau in taus:
            for n in (2, 3, 5, 10):
                for b in REGRETS:
                    cases += 1
                    value = regret(*extremal(b, tau, n), tau)
                    bound = transform_ball(ball(b), tau, n)
                    if not value.overlaps(bound):
                        return refuted(
                            f"tau = {tau}, n = {n}, b = {b}: the regret of that pair is "
                            f"{float(value):.6g}, T = {float(bound):.6g}",
                            cases,
                        )
    return attained("p = ((1+b)/2, (1-b)/2, 0, ...), q = (1/2, 1/2, 0, ...), in the limit", cases)


@claim(
    "At tau = 2 (mean absolute error) the bound is tight, too, for every n.",
    COMP_SUM,
    "tightness",
    COMPUTATION,
    opposite={"classes": (2,)},
)
def tight_at_two(classes: tuple[int, ...] = (2, 3, 5)) -> Verdict:
    """It is for b <= 1/(n-1): q uniform, p with n - 1 classes tied at (1 + b) / n."""
    return _against_infimum((TWO,), classes)


@claim(
    "The bound is tight for 1 < tau < 2 and n > 2, too.",
    COMP_SUM,
    "abstract ('our bounds are tight'), read for all tau",
    COMPUTATION,
    opposite={"classes": (2,)},
)
def tight_between_one_and_two(classes: tuple[int, ...] = (3, 5, 10)) -> Verdict:
    """Up to tau = 3/2 the infimum is (n/2)^(tau-1) times T at every b > 0."""
    return _against_infimum((Fraction(11, 10), 3 * HALF, Fraction(7, 4)), classes)


@claim(
    "The bound is tight for tau > 2.",
    COMP_SUM,
    "abstract ('our bounds are tight'), read for all tau",
    COMPUTATION,
    opposite={"taus": (TWO,)},
)
def tight_above_two(taus: tuple[Fraction, ...] = (5 * HALF, 3 * ONE)) -> Verdict:
    """Two classes: at b = 1 the least regret is (1 - 2^-a) / a, and T is 2^-a / a."""
    return _against_infimum(taus, (2,))


def _against_infimum(taus: tuple[Fraction, ...], classes: tuple[int, ...]) -> Verdict:
    """T against the infimum F of all regrets, which ``conditional_regret`` encloses with proof."""
    cases, worst, shown = 0, flint.arb(1), ""
    with flint.ctx.workprec(BITS):
        for tau in taus:
            for n in classes:
                for b in REGRETS:
                    cases += 1
                    least = infimum(b, tau, n)
                    bound = transform_ball(ball(b), tau, n)
                    require(not least.value < bound)
                    if least.value > bound and least.value / bound > worst:
                        worst = (least.value / bound).lower()
                        p = ", ".join(f"{x:.4g}" for x in least.distribution)
                        shown = (
                            f"tau = {tau}, n = {n}, b = {b}: the infimum of all regrets is "
                            f"{float(least.value.mid()):.6g}, at p = ({p}), and T = "
                            f"{float(bound):.6g}"
                        )
    if shown:
        return refuted(shown, cases)
    return attained("T is the infimum of all regrets at each of these b", cases)


@claim(
    "T_tau follows from the conditional regret, in every branch up to tau = 2.",
    COMP_SUM,
    "H-consistency bound",
    PROOF,
    opposite={"branches": BRANCHES},
)
def transform_is_derived(branches: tuple[str, ...] = BRANCHES[:2]) -> Verdict:
    """By SymPy's calculus (``consistency.derived``), less the published form; also at tau = 2."""
    for branch in branches:
        excess = excess_over_published(branch)
        if excess != 0:
            return refuted(f"for {branch} the derived T is larger by {excess}")
    require(sympy.simplify(excess_over_published(BRANCHES[2]).subs(TAU, 2)) == 0)
    share = derived(BRANCHES[1]).best_share
    return proven(f"the likelier of two classes has the share {share} at the infimum")


@claim(
    "T_tau is convex and increasing on [0, 1], with T_tau(0) = 0, for every tau >= 0.",
    COMP_SUM,
    "H-consistency bound",
    COMPUTATION,
    opposite={"convex": False},
)
def transform_is_convex(convex: bool = True) -> Verdict:
    """Minkowski's inequality; second differences on a grid, in balls."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for tau in TAUS:
            grid = [transform_ball(ball(Fraction(k, 32)), tau, 3) for k in range(33)]
            require(grid[0].contains(0))
            require(all(y > x for x, y in itertools.pairwise(grid)))
            for x, y, z in zip(grid, grid[1:], grid[2:], strict=False):
                cases += 1
                bend = x - 2 * y + z
                if bend > 0 and not convex:
                    return refuted(f"tau = {tau}: a second difference is {float(bend):.3g}", cases)
                require(bend > 0 or tau >= 2)
    return proven(
        "N is concave for s <= 1 and convex for s >= 1 (Minkowski), T even; for tau >= 2 linear",
        cases,
    )


@claim(
    "As tau -> 2 from below, T_tau(b) tends to b / n, its value at tau = 2.",
    COMP_SUM,
    "H-consistency bound",
    COMPUTATION,
    opposite={"limit_at_half": Fraction(1, 4)},
)
def transform_near_two(limit_at_half: Fraction = Fraction(1, 6), n: int = 3) -> Verdict:
    """((1+b) 2^(-1/s) <= mean^(1/s) <= 1 + b, and 1/s = 2 - tau -> 0; at b = 1/2, n = 3."""
    gaps = []
    with flint.ctx.workprec(4096):  # (1 - b)^s with s up to 10^4
        for e in (Fraction(1, 10**k) for k in range(1, 5)):
            gaps.append(abs(transform_ball(ball(HALF), 2 - e, n) - ball(limit_at_half)))
    shrinks = all(y < x * 0.2 for x, y in itertools.pairwise(gaps))
    told = ", ".join(f"{float(gap):.2e}" for gap in gaps)
    if not shrinks:
        return refuted(f"2 - tau = 1e-1 ... 1e-4: off by {told}", len(gaps))
    return proven(
        f"(1+b) 2^(tau-2) <= mean <= 1+b; at b = 1/2, n = 3, 2 - tau = 1e-1 ... 1e-4: off by "
        f"{told}",
        len(gaps),
    )


@claim(
    "Gamma_tau is the inverse of T_tau.",
    COMP_SUM,
    "H-consistency bound (of softproof's Gamma)",
    SEARCH,
    opposite={"scale": 2},
)
def gamma_is_the_inverse(scale: int = 1) -> Verdict:
    """Gamma(scale T(b)) = b to 100 bits, in big floats."""
    cases = 0
    for tau in TAUS:
        for b in REGRETS[:-1]:
            cases += 1
            y = transform(b, tau, 3, 160)
            back = gamma(scale * _as_fraction(y), tau, 3, 160)
            if abs(_as_fraction(back) - b) > Fraction(1, 2**100):
                return refuted(f"tau = {tau}, b = {b}: Gamma gives {float(back):.6g}", cases)
    return confirmed(cases, "to 100 bits, n = 3")


def _as_fraction(number: Any) -> Fraction:
    mantissa, exponent = number.man_exp
    return int(mantissa) * Fraction(2) ** int(exponent)


@claim(
    "The gradient of a comp-sum loss is q_y^a times that of cross-entropy: bounded for tau >= 1, "
    "and vanishing for hard samples for tau > 1.",
    COMP_SUM,
    "definition of comp-sum losses; the form is ours",
    PROOF,
    opposite={"power": 2},
)
def gradient_of_a_comp_sum_loss(power: int = 1) -> Verdict:
    """d/dz (1 - q^a) / a = -q^(a-1) dq/dz = q^a d/dz (-log q)."""
    q = sympy.Function("q")(sympy.Symbol("z"))
    (z,) = q.args
    a = TAU - 1
    derivative = ((1 - q**a) / a).diff(z)
    claimed = q ** (power * a) * (-sympy.log(q)).diff(z)
    if sympy.simplify(derivative - claimed) != 0:
        return refuted(f"the quotient of both sides is {sympy.simplify(derivative / claimed)}")
    return proven("by the chain rule")
