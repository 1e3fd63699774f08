"""Statements on activations, gates and kernels of random features."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product

import flint
import sympy

from ..register import (
    COMPUTATION,
    PROOF,
    Verdict,
    claim,
    proven,
    refuted,
    require,
)
from .decide import BITS, exact, identity

GELU = (
    "GELU Activation Function in Deep Learning: A Comprehensive Mathematical Analysis and "
    "Performance"
)
LIPSDP = "Novel Quadratic Constraints for Extending LipSDP beyond Slope-Restricted Activations"
TOP_K = "Statistical Perspective of Top-K Sparse Softmax Gating Mixture of Experts"
TEMPERATURE = "Is Temperature Sample Efficient for Softmax Gaussian Mixture of Experts?"
SNNK = "Scalable Neural Network Kernels"

U = sympy.symbols("u_1:4", positive=True)
POINT = dict(zip(U, (1, 2, 4), strict=True))


def _gelu(x: flint.arb) -> tuple[flint.arb, flint.arb]:
    """GELU, x Phi(x), and its derivative Phi(x) + x phi(x)."""
    share = (1 + (x / flint.arb(2).sqrt()).erf()) / 2
    density = (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()
    return x * share, share + x * density


@claim(
    "The minimum of GELU is -0.16997, at x = -0.75179.",
    GELU,
    "the extremal values",
    COMPUTATION,
    opposite={"place": Fraction(-75189, 100000)},
    papers=(290,),
)
def least_gelu(
    place: Fraction = Fraction(-75179, 100000), least: Fraction = Fraction(-16997, 100000)
) -> Verdict:
    """The slope changes its sign within half a unit of the last digit, and nowhere else.

    g'' = phi(x) (2 - x^2): below -sqrt 2 the slope falls from 0, so it is negative; between the
    roots it rises through one zero; above sqrt 2 it falls to 1 and stays positive.
    """
    x = sympy.Symbol("x", real=True)
    density = sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)
    slope = (1 + sympy.erf(x / sympy.sqrt(2))) / 2 + x * density
    require(sympy.simplify(slope.diff(x) - density * (2 - x**2)) == 0)
    half = Fraction(1, 200000)
    with flint.ctx.workprec(BITS):
        low, high = (_gelu(exact(place + side)) for side in (-half, half))
        if low[1] > 0 or high[1] < 0:
            told = float(low[1]), float(high[1])
            return refuted(f"the slope is {told[0]:.3g} and {told[1]:.3g} about {float(place)}", 1)
        require(low[1] < 0 < high[1])
        value, _ = _gelu(exact(place - half).union(exact(place + half)))
        if not abs(value - exact(least)) < exact(half):
            return refuted(f"the least value is {float(value):.7g}", 1)
    return proven("the slope changes its sign once, there, as g'' = phi(x) (2 - x^2)", 1)


@claim(
    "The largest slope of GELU, its Lipschitz constant, is 1.12890, at x = sqrt 2.",
    GELU,
    "the Lipschitz constant",
    COMPUTATION,
    opposite={"stated": Fraction(11288, 10000)},
    papers=(290,),
)
def steepest_gelu(stated: Fraction = Fraction(112890, 100000)) -> Verdict:
    """The slope at sqrt 2, where g'' changes its sign; at -sqrt 2 it is -0.1289."""
    with flint.ctx.workprec(BITS):
        top, bottom = (_gelu(sign * flint.arb(2).sqrt())[1] for sign in (1, -1))
        require(abs(bottom) < top)
        if abs(top - exact(stated)) < exact(Fraction(1, 200000)):
            return proven(f"the slope there is {float(top):.9g}, at -sqrt 2 {float(bottom):.4g}", 1)
        return refuted(f"the slope at sqrt 2 is {float(top):.9g}", 1)


@claim(
    "MaxMin preserves the sum and the norm of a pair and is 1-Lipschitz, as QCs for LipSDP say.",
    LIPSDP,
    "the quadratic constraints of GroupSort",
    PROOF,
    opposite={"second": "zero"},
    papers=(308,),
)
def maxmin_is_one_lipschitz(second: str = "min") -> Verdict:
    """Both orders of each of two pairs; the distance shrinks by 2 (a - b)(c - d) or not at all."""
    low = sympy.symbols("x y", real=True)
    gap = sympy.symbols("g h", positive=True)
    for first, other in product((False, True), repeat=2):  # which entry is the larger
        pairs = []
        for turned, base, step in zip((first, other), low, gap, strict=True):
            pair = (base, base + step) if turned else (base + step, base)
            pairs.append((pair, (base + step, base if second == "min" else sympy.Integer(0))))
        for pair, image in pairs:
            if sympy.expand(sum(pair) - sum(image)) != 0:
                return refuted("(2, 1): the sum 3 becomes 2")
            require(sympy.expand(sum(v**2 for v in pair) - sum(v**2 for v in image)) == 0)
        before, after = (
            sum((a - b) ** 2 for a, b in zip(pairs[0][k], pairs[1][k], strict=True)) for k in (0, 1)
        )
        shrink = sympy.expand(before - after)
        require(shrink == (0 if first == other else sympy.expand(2 * gap[0] * gap[1])))
    return proven("in the same order nothing changes, else the square distance falls by 2 g h")


@claim(
    "Householder activations, a reflection at v where v.x < 0, keep the norm and are 1-Lipschitz.",
    LIPSDP,
    "the quadratic constraints of Householder activations",
    PROOF,
    opposite={"length": 3},
    papers=(308,),
)
def householder_is_one_lipschitz(length: int = 2) -> Verdict:
    """In the plane with v = (1, 0), which rotations give: y -> y - 2 (v.y) v where v.y < 0.

    Of points on both sides the square distance falls by 4 (v.x)(-v.y); on one side it stays.
    """
    s, t = sympy.symbols("s t", positive=True)  # v.x and -v.y
    x, y = sympy.Symbol("x", real=True), sympy.Symbol("y", real=True)
    image = (-t + length * t, y)
    norm = identity(image[0] ** 2 + image[1] ** 2 - t**2 - y**2, {t: 1, y: 2}, "reflections")
    if norm.refuted:
        return norm
    before = (s + t) ** 2 + (x - y) ** 2
    after = (s - image[0]) ** 2 + (x - image[1]) ** 2
    require(sympy.expand(before - after - 4 * s * t) == 0)
    return proven("reflections keep distances; across the mirror the square falls by 4 (v.x)|v.y|")


@claim(
    "A top-K softmax gate is the same for logits that are all moved by b1 x + b0, and sums to 1.",
    TOP_K,
    "the identifiability up to translations (rates of estimation are not decided)",
    PROOF,
    opposite={"common": False},
    papers=(99,),
)
def top_k_gate_ignores_translations(common: bool = True) -> Verdict:
    """The kept set depends on differences alone; a common factor cancels in the kept ones."""
    factor = sympy.Symbol("t", positive=True)  # e^(b1 x + b0)
    moved = [factor * u if common or n == 0 else u for n, u in enumerate(U)]
    logits = [Fraction(n) for n in (3, 1, 2)]
    for order in permutations(logits):
        kept = sorted(range(3), key=lambda n: order[n])[1:]
        shifted = [z + Fraction(7, 3) for z in order]
        require(sorted(range(3), key=lambda n: shifted[n])[1:] == kept)
    for members in ((0, 1), (0, 2), (1, 2), (0, 1, 2)):
        gates = [[w[n] / sum(w[m] for m in members) for n in members] for w in (U, moved)]
        require(sympy.cancel(sum(gates[0]) - 1) == 0)
        found = identity(gates[1][0] - gates[0][0], {**POINT, factor: 3}, "a common factor cancels")
        if found.refuted:
            return found
    return proven("differences of logits select, and the common factor cancels; K = 2 and 3 of 3")


@claim(
    "For K below the number of experts the gate jumps where two logits tie; for all of them not.",
    TOP_K,
    "the partition of the input space",
    PROOF,
    opposite={"kept": 2},
    papers=(99,),
)
def top_k_gate_jumps(kept: int = 1) -> Verdict:
    """Two experts with logits t and -t: the first gate for t -> 0 from either side."""
    t = sympy.Symbol("t", positive=True)
    sides = []
    for sign in (1, -1):
        weights = [sympy.exp(sign * t), sympy.exp(-sign * t)]
        chosen = range(2) if kept == 2 else [0 if sign == 1 else 1]
        gate = weights[0] / sum(weights[n] for n in chosen) if 0 in chosen else sympy.Integer(0)
        sides.append(sympy.limit(gate, t, 0))
    if sides[0] == sides[1]:
        return refuted(f"from both sides the gate tends to {sides[0]}")
    return proven(f"the gate tends to {sides[0]} from one side and to {sides[1]} from the other")


@claim(
    "e^(b.x / T) f satisfies T du/dT = -b . du/db: temperature and weights are not told apart.",
    TEMPERATURE,
    "the interaction (the rates of estimation that follow from it are not decided)",
    PROOF,
    opposite={"activated": True},
    papers=(304,),
)
def temperature_interacts_with_weights(activated: bool = False) -> Verdict:
    """The dense-to-sparse gate's numerator times an expert; an activation on b.x breaks it."""
    x, b = sympy.symbols("x_1 x_2", real=True), sympy.symbols("b_1 b_2", real=True)
    t, expert = sympy.Symbol("T", positive=True), sympy.Symbol("f", positive=True)
    inner = sum(v * w for v, w in zip(x, b, strict=True))
    score = (inner**2 if activated else inner) / t
    # du = u d(score), and u > 0 cancels.
    difference = t * score.diff(t) + sum(w * score.diff(w) for w in b)
    require(expert.is_positive)
    point = {**dict(zip((*x, *b), (1, 2, 3, 5), strict=True)), t: 2}
    return identity(difference, point, "both are -(b . x / T) u")


@claim(
    "Positive random features, E[e^(g x - x^2/2) e^(g w - w^2/2)], g ~ N(0, 1), are e^(x w).",
    SNNK,
    "universal random features: each direction of a product",
    PROOF,
    opposite={"sign": -1},
    papers=(311,),
)
def random_features_are_unbiased(sign: int = 1) -> Verdict:
    """E e^(g c) = e^(c^2/2): the exponents, for w and for i xi w, which Fourier's transform has."""
    x, w, xi, g, c = sympy.symbols("x w xi g c", real=True)
    density = sympy.exp(-(g**2) / 2) / sympy.sqrt(2 * sympy.pi)
    moment = sympy.integrate(sympy.exp(g * c) * density, (g, -sympy.oo, sympy.oo))
    require(sympy.simplify(moment - sympy.exp(c**2 / 2)) == 0)
    imaginary = sympy.expand((x + sympy.I * xi * w) ** 2 / 2 - x**2 / 2 + xi**2 * w**2 / 2)
    require(sympy.expand(imaginary - sympy.I * xi * x * w) == 0)
    exponent = (x + w) ** 2 / 2 - sign * (x**2 + w**2) / 2 - x * w
    return identity(exponent, {x: 1, w: 2}, "the exponents agree, also for w replaced by i xi w")


@claim(
    "The variance of one such feature is e^(2xw) (e^((x+w)^2) - 1), so it grows with |x + w|.",
    SNNK,
    "the variance of the positive features",
    PROOF,
    opposite={"scale": 2},
    papers=(311,),
)
def variance_of_random_features(scale: int = 1) -> Verdict:
    """E of the square has the exponent 2 (x+w)^2 - x^2 - w^2, by E e^(2 g c) = e^(2 c^2)."""
    x, w = sympy.symbols("x w", real=True)
    second = (2 * (x + w)) ** 2 / 2 - x**2 - w**2
    stated = 2 * x * w + scale * (x + w) ** 2
    return identity(second - stated, {x: 1, w: 2}, "the exponents of E of the square agree")
