"""Sao 2026, Ghosts of Softmax: the zeros of the partition function and the radii they set.

F(t) = sum_k w_k e^(a_k t), w_k = e^(z_k); rho is the modulus of its zero nearest to 0, which
``certify`` encloses with proof.  Delta is the spread of the slopes a_k.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import flint
import numpy as np
import sympy

from ..arithmetic.balls import ball
from ..step_radius import partition
from ..step_radius.certify import certify
from .register import (
    COMPUTATION,
    OUR_QUESTION,
    PROOF,
    Verdict,
    attained,
    claim,
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


def row(values: list[float]) -> str:
    """Write a row of numbers for a verdict.

    Parameters
    ----------
    values
        The numbers.

    Returns
    -------
    str
        Six digits of each, in brackets.
    """
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
                return refuted(f"z = {row(z)}, a = {row(a)} has rho <= {found.upper:.6g}", cases)
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
                    f"z = {row(z.tolist())}, a = {row(a.tolist())}: rho <= {found.upper:.6g} < "
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
