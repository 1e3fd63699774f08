"""Sao 2026, Ghosts of Softmax: the zeros of the partition function and the radii they set.

F(t) = sum_k w_k e^(a_k t), w_k = e^(z_k); rho is the modulus of its zero nearest to 0, which
``certify`` encloses with proof.  Delta is the spread of the slopes a_k.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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

GHOSTS = "Sao 2026 (arXiv 2603.13552)"
BITS = 128
TWO = sympy.Integer(2)


def samples(count: int, most: int = 24, seed: int = 1) -> Iterator[tuple[list[float], list[float]]]:
    """Draw logits and slopes of random samples at several scales.

    Parameters
    ----------
    count
        How many samples.
    most
        The largest number of classes; the smallest is 2.
    seed
        The seed of the generator.

    Yields
    ------
    tuple of list of float
        Logits and slopes of one sample.
    """
    random = np.random.default_rng(seed)
    for n in range(count):
        size = int(random.integers(2, most + 1))
        z = (0.5, 2.0, 8.0)[n % 3] * random.standard_normal(size)
        yield z.tolist(), random.standard_normal(size).tolist()


def spread(slopes: list[float]) -> Fraction:
    """The spread Delta of the slopes, exactly.

    Parameters
    ----------
    slopes
        The slopes of one sample.

    Returns
    -------
    Fraction
        The largest less the smallest.
    """
    exact = [Fraction(a) for a in slopes]
    return max(exact) - min(exact)


def as_ball(number: sympy.Expr | float) -> flint.arb:
    """A real constant of SymPy as a ball, at the precision of ``flint.ctx``.

    Parameters
    ----------
    number
        The constant; a float stands for the simple number that it is close to.

    Returns
    -------
    arb
        An enclosure of it.
    """
    exact = sympy.nsimplify(number) if isinstance(number, float) else sympy.sympify(number)
    digits = int(flint.ctx.prec * 0.302) + 12
    value = flint.arb(str(sympy.N(exact, digits)))
    return value + flint.arb(0, abs(value) * flint.arb(2) ** -flint.ctx.prec)


def _row(values: list[float]) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in values) + "]"


@claim(
    "The loss along a step converges up to the nearest zero of F and no further, and for K = 2 all "
    "zeros are (delta + i pi (2 k + 1)) / (a_2 - a_1), k an integer.",
    GHOSTS,
    "Proposition 4.2 and Theorem 4.3",
    PROOF,
    opposite={"odd": 0},
)
def binary_zeros(odd: int = 1) -> Verdict:
    """With another parity, F does not vanish there."""
    a_1, a_2 = partition.slopes(2)
    claimed = (partition.DELTA + sympy.I * sympy.pi * (2 * partition.N + odd)) / (a_2 - a_1)
    # F / (its first term) = 1 + e^((a_2 - a_1) t - delta).
    value = sympy.simplify(1 + sympy.exp(sympy.expand((a_2 - a_1) * claimed - partition.DELTA)))
    if value != 0:
        return refuted(f"F / (its first term) is {value} there")
    if sympy.simplify(claimed - partition.binary_zeros()) != 0:
        return refuted(f"solving 1 + e^w = 0 gives {partition.binary_zeros()}")
    return proven(
        "F vanishes there, and solving 1 + e^w = 0 over the complex numbers gives no other zero; "
        "log F is analytic where F does not vanish, and branches where it does."
    )


@claim(
    "For K = 2 the radius is sqrt(delta^2 + pi^2) / Delta exactly.",
    GHOSTS,
    "Theorem 4.3, equation (10)",
    COMPUTATION,
    opposite={"constant": Fraction(314, 100)},
)
def binary_radius(constant: Fraction | sympy.Expr = sympy.pi) -> Verdict:
    """The closed form, derived by SymPy, against certified radii."""
    cases = [(Fraction(d, 4), Fraction(s, 8)) for d in (0, 1, 7, 40, 300) for s in (1, 5, 64)]
    with flint.ctx.workprec(BITS):
        c = as_ball(constant)
        for delta, width in cases:
            found = certify([float(delta), 0.0], [float(width), 0.0])
            value = (ball(delta) ** 2 + c**2).sqrt() / ball(width)
            if value < found.lower or value > found.upper:
                return refuted(
                    f"delta = {delta}, Delta = {width}: the formula gives {float(value):.15g}, the "
                    f"radius is between {found.lower!r} and {found.upper!r}",
                    len(cases),
                )
    a_1, a_2 = partition.slopes(2)
    closed = sympy.sqrt(partition.DELTA**2 + constant**2) / sympy.Abs(a_1 - a_2)
    if sympy.simplify(closed - partition.binary_radius()) != 0:
        return refuted(f"the least modulus of the zeros is {partition.binary_radius()}")
    return proven(
        "SymPy takes the least modulus of all zeros; certified radii enclose the formula.",
        len(cases),
    )


@claim(
    "The binary radius is least for balanced logits, delta = 0, where it is pi / Delta.",
    GHOSTS,
    "Theorem 4.3",
    PROOF,
    opposite={"delta": 1},
)
def binary_radius_is_least_at_a_tie(delta: int = 0) -> Verdict:
    """The stationary points of the closed form."""
    square = partition.DELTA**2 + sympy.pi**2
    stationary = sympy.solve(square.diff(partition.DELTA), partition.DELTA)
    if stationary != [delta]:
        return refuted(f"the only stationary point of delta^2 + pi^2 is {stationary[0]}")
    return proven("delta^2 + pi^2 is convex and stationary at 0 alone.")


@claim(
    "Confident binary samples have radii sqrt(1 + (delta / pi)^2) times the bound pi / Delta.",
    GHOSTS,
    "section 4.3.2",
    PROOF,
    opposite={"power": 1},
)
def confidence_factor(power: int = 2) -> Verdict:
    """The quotient of the two formulas."""
    delta, gap = sympy.symbols("delta gap", positive=True)
    a_1, a_2 = partition.slopes(2)
    radius = partition.binary_radius().subs({partition.DELTA: delta, a_1: gap, a_2: 0})
    quotient = radius / partition.spread_bound().subs(partition.SPREAD, gap)
    claimed = sympy.sqrt(1 + (delta / sympy.pi) ** power)
    if sympy.simplify(quotient**2 - claimed**2) != 0:
        return refuted(
            f"at delta = 1 the quotient is {sympy.N(quotient.subs(delta, 1), 6)}, "
            f"claimed {sympy.N(claimed.subs(delta, 1), 6)}"
        )
    return proven("the quotient of Theorem 4.3 and of the bound, simplified")


@claim(
    "Complex numbers with arguments in an open arc shorter than pi have no positive combination "
    "that is 0.",
    GHOSTS,
    "Lemma 4.5",
    PROOF,
    opposite={"arc": sympy.Rational(13, 12) * sympy.pi},
)
def half_plane(arc: sympy.Expr = sympy.pi) -> Verdict:
    """For an open arc of any length: projections on its bisector, or three vectors that cancel.

    Turned so that the bisector is the real axis, every argument is below arc / 2 in modulus.
    """
    x = sympy.Symbol("x", real=True)
    zeros = sympy.solveset(sympy.cos(x), x, sympy.Interval.open(-arc / 2, arc / 2))
    if zeros is sympy.S.EmptySet:  # so cos, which is 1 at 0, is positive between
        cases = 0
        with flint.ctx.workprec(BITS):
            for angles, weights in _combinations(as_ball(arc) / 2):
                cases += 1
                pairs = list(zip(angles, weights, strict=True))
                real = sum((w * angle.cos() for angle, w in pairs), flint.arb(0))
                require(real > 0)
        return proven(
            "turned so that its bisector is the real axis, every argument is below arc / 2 in "
            f"modulus; SymPy finds no zero of cos between -{arc / 2} and {arc / 2}, so it is "
            "positive there, and so is the real part of every combination, as of those formed here",
            cases,
        )
    angle = (sympy.pi + arc) / 4  # half of an arc between pi and the one allowed
    weight = -2 * sympy.cos(angle)
    total = sympy.exp(sympy.I * angle) + sympy.exp(-sympy.I * angle) + weight
    require(weight > 0)
    require(sympy.simplify(total.rewrite(sympy.cos)) == 0)
    return refuted(f"1 e^(i {angle}) + 1 e^(-i {angle}) + {sympy.N(weight, 6)} e^(0 i) = 0")


def _combinations(half: flint.arb) -> Iterator[tuple[list[flint.arb], list[flint.arb]]]:
    """Arguments below `half` in modulus, some of them barely, and positive weights."""
    random = np.random.default_rng(11)
    for n in range(20):
        size = int(random.integers(1, 9))
        near = flint.arb(1) - flint.arb(2) ** -(1 + 3 * n)
        shares = [flint.arb(float(v)) for v in random.uniform(-1, 1, size)]
        weights = [flint.arb(float(v)) for v in random.exponential(size=size + 2)]
        yield [half * near * v for v in (*shares, flint.arb(1), flint.arb(-1))], weights


@claim(
    "F has no zero with |Im t| < pi / Delta, for any K: rho >= pi / Delta.",
    GHOSTS,
    "Theorem 4.6, equation (12)",
    COMPUTATION,
    opposite={"constant": sympy.Rational(16, 5)},
)
def zero_free_strip(constant: sympy.Expr = sympy.pi) -> Verdict:
    """The lemma in the strip |Im t| < constant / Delta, certified radii, and the case of a tie."""
    cases = 0
    with flint.ctx.workprec(BITS):
        for z, a in samples(40):
            cases += 1
            bound = as_ball(constant) / ball(spread(a))
            if (found := certify(z, a)).upper < bound:
                return refuted(f"z = {_row(z)}, a = {_row(a)} has rho <= {found.upper:.6g}", cases)
    # The arguments a_k Im t of the terms lie in an arc of length Delta |Im t| < constant.
    if half_plane(constant).refuted:
        return refuted(
            f"two tied classes have a zero at i pi / Delta, and pi < {sympy.N(constant, 6)}", cases
        )
    a_1, a_2 = partition.slopes(2)
    tied = partition.binary_radius().subs({partition.DELTA: 0, a_1: partition.SPREAD, a_2: 0})
    require(sympy.simplify(tied - partition.spread_bound()) == 0)
    if constant < sympy.pi:
        return proven("by Lemma 4.5; so it is with pi for the constant", cases)
    return attained(
        "by Lemma 4.5, as the arguments of the terms lie in an arc of length Delta |Im t|; "
        "equality for K = 2, delta = 0",
        cases,
    )


@claim(
    "pi / max_x Delta_a(x) is a lower bound of the radius of every sample of a batch.",
    GHOSTS,
    "Definition 4.7, equation (14)",
    COMPUTATION,
    opposite={"aggregate": "median"},
)
def batch_radius(aggregate: str = "max") -> Verdict:
    """Certified radii of random batches, and of tied pairs, which reach their own bound."""
    cases = 0
    for seed in range(4):
        batch = [*samples(6, seed=seed), ([0.0, 0.0], [3.0 + seed, 0.0])]
        with flint.ctx.workprec(BITS):
            widths = sorted(spread(a) for _, a in batch)
            width = widths[-1] if aggregate == "max" else widths[len(widths) // 2]
            bound = flint.arb.pi() / ball(width)
            for z, a in batch:
                cases += 1
                if (found := certify(z, a)).upper < bound:
                    return refuted(
                        f"a sample with Delta = {float(spread(a)):.6g} has rho <= "
                        f"{found.upper:.6g}, the bound of its batch is {float(bound):.6g}",
                        cases,
                    )
    return proven(
        "pi / max Delta <= pi / Delta(x) <= rho(x); a batch of tied pairs reaches it.", cases
    )


@claim(
    "The estimate of the two largest logits, sqrt(delta^2 + pi^2) / |a_y - a_c|, is exact for "
    "K = 2 and no bound for more classes.",
    GHOSTS,
    "equation (13)",
    COMPUTATION,
    opposite={"classes": 2},
)
def top_two_is_no_bound(classes: int = 3) -> Verdict:
    """The first sample whose certified radius is below the estimate."""
    random = np.random.default_rng(3)
    cases = 0
    with flint.ctx.workprec(BITS):
        for cases in range(1, 41):
            z, a = np.sort(random.standard_normal(classes))[::-1], random.standard_normal(classes)
            delta, width = Fraction(z[0]) - Fraction(z[1]), Fraction(a[0]) - Fraction(a[1])
            estimate = (ball(delta) ** 2 + flint.arb.pi() ** 2).sqrt() / abs(ball(width))
            found = certify(z, a)
            if found.upper < estimate * 0.999:
                return proven(
                    f"z = {_row(z.tolist())}, a = {_row(a.tolist())}: rho <= {found.upper:.6g} < "
                    f"{float(estimate):.6g}",
                    cases,
                )
    return refuted(f"it is the radius in all of {cases} cases, as Theorem 4.3 says", cases)


@claim(
    "The factor min(1, rho / |p|) makes the normalised step r = |p| / rho at most 1.",
    GHOSTS,
    "Definition 5.1 and Proposition 5.2",
    PROOF,
    opposite={"target": sympy.Rational(11, 10)},
)
def radius_clip(target: sympy.Expr = sympy.S.One) -> Verdict:
    """The largest normalised step after a clip to `target` radii, by cases."""
    norm, rho = sympy.symbols("p rho", positive=True)
    shrunk = sympy.simplify(target * rho / norm * norm / rho)  # where |p| > target rho
    if shrunk > 1:
        return refuted(f"an update with |p| = {target} rho is left as it is: r = {shrunk}")
    return attained("r is |p| / rho <= 1 where nothing is clipped, and 1 where something is.")


@claim(
    "Dividing the logits by a temperature T multiplies the bound: pi T / Delta.",
    GHOSTS,
    "section 6 (temperature scaling)",
    PROOF,
    opposite={"power": 2},
)
def temperature(power: int = 1) -> Verdict:
    """The quotient of the bounds at T and at 1."""
    quotient = partition.at_temperature(partition.spread_bound()) / partition.spread_bound()
    claimed = partition.TEMPERATURE**power
    if sympy.simplify(quotient - claimed) != 0:
        return refuted(f"the quotient is {sympy.simplify(quotient)}, not {claimed}")
    return proven("slopes of z / T are a / T, so Delta becomes Delta / T.")


@claim(
    "Does dividing the logits by a temperature T multiply the exact radius by T, too?",
    GHOSTS,
    "not stated there: Figure 9 normalises by the bound",
    PROOF,
    opposite={"margin_grows": True},
    kind=OUR_QUESTION,
)
def temperature_of_the_exact_radius(margin_grows: bool = False) -> Verdict:
    """For K = 2; true only where the margin of z is as many times larger as T."""
    hot = partition.at_temperature(partition.binary_radius())
    t = partition.TEMPERATURE
    if margin_grows:
        hot = hot.subs(partition.DELTA, partition.DELTA * t)
    quotient = hot / partition.binary_radius()
    if sympy.simplify(quotient - t) == 0:
        return proven("both terms of sqrt(delta^2 + pi^2) are multiplied")
    value = sympy.N(quotient.subs({partition.DELTA: 10, t: 4}), 6)
    return refuted(f"K = 2, delta = 10, T = 4: the radius is multiplied by {value}, not by 4")


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
                f"z = {_row(z)}, a = {_row(a)}, b = {_row(b)}: rho <= {found.upper:.6g}, the bound "
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
                    f"z = 0, a = {_row(a)}, b = {_row(b)}: rho <= {found.upper:.6g}, rho* (1 - "
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
