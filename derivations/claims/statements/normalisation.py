"""Statements on normalisation: what it is invariant to, and what that does to training."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations

import flint
import numpy as np
import sympy

from ..register import COMPUTATION, PROOF, Verdict, certified, claim, proven, refuted, require
from .decide import exact, identity, inequalities

SPIKING = "Membrane Potential Batch Normalization for Spiking Neural Networks"
FEDERATED = (
    "Normalization Is All You Need: Understanding Layer-Normalized Federated Learning under "
    "Extreme Label Shift"
)
WEIGHT_DECAY = "L2 Regularization versus Batch and Weight Normalization"
SHUFFLING = "On the Training Instability of Shuffling SGD with Batch Normalization"
COLLAPSE = "Feature Collapse"


@claim(
    "BN(u) >= V is u >= mu + (V - b) sqrt(s^2 + eps) / g for g > 0: folding keeps the spikes.",
    SPIKING,
    "the threshold after training",
    PROOF,
    opposite={"sign": -1},
    papers=(140,),
)
def folding_keeps_spikes(sign: int = 1) -> Verdict:
    """BN(u) - V is g / sqrt(s^2 + eps) times the distance to the threshold."""
    u, mean, bias, level = sympy.symbols("u mu b V", real=True)
    deviation, size = sympy.symbols("s g", positive=True)  # sqrt(s^2 + eps) and |g|
    gain = sign * size
    folded = mean + (level - bias) * deviation / gain
    factor = sympy.cancel((gain * (u - mean) / deviation + bias - level) / (u - folded))
    require(sympy.cancel(factor - gain / deviation) == 0)
    if factor.is_positive:
        return proven("BN(u) - V = (g / s)(u - folded), with g / s > 0")
    return refuted("with g < 0 the factor g / s is negative: the neuron fires below the threshold")


@claim(
    "Where the loss ignores the scale of w, grad f(c w) = grad f(w) / c, and it is normal to w.",
    WEIGHT_DECAY,
    "section 2, the gradient of a normalised network",
    PROOF,
    opposite={"power": 0},
    papers=(168,),
)
def normalised_gradient_scales(power: int = 1) -> Verdict:
    """A quadratic of w / |w| in the plane; |w| is a symbol r with dr/dw_i = w_i / r."""
    w = sympy.symbols("w_1 w_2", positive=True)
    c, r = sympy.symbols("c r", positive=True)
    a = sympy.symbols("a_1:6", real=True)
    x, y = (v / r for v in w)
    loss = a[0] * x + a[1] * y + a[2] * x**2 + a[3] * x * y + a[4] * y**2
    gradient = [loss.diff(v) + v / r * loss.diff(r) for v in w]
    along = sum(v * loss.diff(v) for v in w) + r * loss.diff(r)  # w . gradient, with r^2 = |w|^2
    require(sympy.cancel(along) == 0)
    scaled = gradient[0].subs({v: c * v for v in (*w, r)}, simultaneous=True)
    point = {w[0]: 3, w[1]: 4, r: 5, c: 2, **dict(zip(a, (1, 2, 4, 3, 7), strict=True))}
    difference = scaled - gradient[0] / c**power
    return identity(difference, point, "the chain rule for a quadratic of w / |w| in the plane")


@claim(
    "Gradient steps with weight decay settle at |w|^4 = eta |g|^2 / (2 lam) as eta lam -> 0.",
    WEIGHT_DECAY,
    "the equilibrium of the norm; g is the gradient at |w| = 1, lam w that of the penalty",
    PROOF,
    opposite={"divisor": 1},
    papers=(168,),
)
def weight_decay_equilibrium(divisor: int = 2) -> Verdict:
    """The gradient g / |w| is normal to w, so Pythagoras gives the square of the next norm."""
    rate, decay, slope = sympy.symbols("eta lam g", positive=True)
    fourth = rate**2 * slope**2 / (1 - (1 - rate * decay) ** 2)  # |w|^4 at the fixed point
    square = sympy.sqrt(fourth)
    moved = (1 - rate * decay) ** 2 * square + rate**2 * slope**2 / square
    require(sympy.simplify(moved - square) == 0)
    stated = rate * slope**2 / (divisor * decay)
    limit = sympy.limit(sympy.cancel(fourth / stated), rate, 0)
    if limit != 1:
        return refuted(f"the quotient of the exact fixed point and this tends to {limit}")
    return proven("the exact fixed point is eta |g|^2 / (2 lam - eta lam^2)")


def _one_class(normalised: bool) -> Iterator[tuple[str, flint.arb, flint.arb]]:
    """A floor of the loss of class 0 under logits s w_k . f, and that loss, as s grows."""
    rows = ((1, 0), (-1, 1), (0, -1))
    for n in range(8):
        for x, y, hypotenuse in ((3, 4, 5), (5, 12, 13), (4, -3, 5), (1, 0, 1)):
            scale = 1 if normalised else 2**n
            feature = [Fraction(scale * v, hypotenuse) for v in (x, y)]
            logits = [sum(a * f for a, f in zip(row, feature, strict=True)) for row in rows]
            loss = sum((exact(z - logits[0]).exp() for z in logits), flint.arb(0)).log()
            reach = flint.arb(2).sqrt()  # the longest row
            floor = (1 + 2 * (-2 * reach).exp()).log()
            yield f"|f| = {scale}, f along ({x}, {y})", floor, loss


@claim(
    "With |f| = 1 the loss of a client of one class is at least log(1 + (K-1) e^(-2 max|w|)).",
    FEDERATED,
    "feature normalisation under one-class clients (the bound is ours)",
    COMPUTATION,
    opposite={"normalised": False},
    papers=(166,),
)
def normalised_features_bound_the_loss(normalised: bool = True) -> Verdict:
    """Cauchy and Schwarz bound every logit; without normalisation a longer f passes any floor."""
    return inequalities(_one_class(normalised), "a head of three rows; four directions of f")


@claim(
    "Shuffled once, SGD with BN can diverge on data that no line separates; reshuffled, it cannot.",
    SHUFFLING,
    "the divergence of the logistic loss (our instance)",
    PROOF,
    opposite={"pairing": ((0, 3), (1, 2))},
    papers=(238,),
)
def shuffling_once_may_diverge(pairing: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))) -> Verdict:
    """x = 0, 1, 2, 3 with labels - + - +, in batches of two, which BN maps to -1 and 1."""
    labels = (-1, 1, -1, 1)

    def signs(pairs: tuple[tuple[int, int], ...]) -> set[int]:
        """Of label times normalised input: one sign alone lets the loss fall for ever."""
        return {side * labels[x] for low, high in pairs for side, x in ((-1, low), (1, high))}

    lines = {
        frozenset(sign * labels[x] * (1 if x >= cut else -1) for x in range(4))
        for cut in range(5)
        for sign in (1, -1)
    }
    require(frozenset({1}) not in lines)  # no threshold separates the data themselves
    others = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    require(set().union(*map(signs, others)) == {-1, 1})  # reshuffled: both signs, a finite optimum
    if len(signs(pairing)) == 1:
        return proven(f"batches {pairing}: every normalised input has the sign of its label")
    return refuted(f"batches {pairing} hold both signs: the loss has a finite minimiser")


@claim(
    "Shuffled once, the optimum of linear regression after BN depends on the permutation.",
    SHUFFLING,
    "distorted optima of the linear model (our instance)",
    COMPUTATION,
    opposite={"pairs": 1},
    papers=(238,),
)
def shuffling_once_distorts_the_optimum(pairs: int = 2) -> Verdict:
    """Least squares of y on the batch-normalised x, exactly, for all orders of four points."""
    y = [Fraction(n) for n in (0, 1, 4, 9)]  # x = 0, 1, 2, 3
    optima = set()
    for order in permutations(range(4)):
        design: dict[int, Fraction] = {}
        if pairs == 2:
            for batch in (order[:2], order[2:]):
                design |= {min(batch): Fraction(-1), max(batch): Fraction(1)}
        else:  # one batch of all, whose statistics no order changes
            design = {n: Fraction(2 * n - 3) for n in order}
        square = sum(v**2 for v in design.values())
        optima.add(sum(design[n] * y[n] for n in range(4)) / square)
    told = ", ".join(str(v) for v in sorted(optima))
    if len(optima) > 1:
        return certified(24, f"slopes {told}, by order; reshuffling averages over them")
    return refuted(f"every order gives the slope {told}", 24)


def _spread(first: int, second: int) -> flint.arb:
    """The difference of the minimisers of n log(1 + e^-z) + z^2 / 2 at two frequencies n."""

    def minimiser(count: int) -> flint.arb:
        low, high = Fraction(0), Fraction(count)  # n / (1 + e^z) falls and z grows
        for _ in range(60):
            middle = (low + high) / 2
            slope = exact(middle) - count / (1 + exact(middle).exp())
            low, high = (middle, high) if slope < 0 else (low, middle)
        at_low, at_high = (exact(x) - count / (1 + exact(x).exp()) for x in (low, high))
        require(at_low <= 0 and at_high >= 0)
        return exact(low).union(exact(high))

    return abs(minimiser(first) - minimiser(second))


def _averaged(second: int) -> Iterator[tuple[str, flint.arb, flint.arb]]:
    """The loss where two words of one role share their mean, and where they do not."""
    random = np.random.default_rng(179)
    counts = (4, second)

    def loss(z: tuple[Fraction, Fraction], context: Fraction) -> flint.arb:
        risk = exact(z[0] ** 2 + z[1] ** 2 + context**2) / 2
        for count, word in zip(counts, z, strict=True):
            for sign in (1, -1):  # the context is there in half of the sentences
                risk += count * (1 + exact(-word - sign * context).exp()).log()
        return risk

    for n in range(20):
        word, context = (Fraction(int(k), 8) for k in random.integers(1, 24, 2))
        words = (word, word + Fraction(n + 1, 8))
        mean = (words[0] + words[1]) / 2
        told = f"words at {words[0]} and {words[1]}, context {context}"
        yield told, loss((mean, mean), context), loss(words, context)


@claim(
    "Words of one role that are equally frequent have one representation at the minimum.",
    COLLAPSE,
    "the collapse, in a toy of ours: a logit a word, added up, with logistic loss and ridge",
    COMPUTATION,
    opposite={"second": 64},
    papers=(179,),
)
def words_of_one_role_collapse(second: int = 4) -> Verdict:
    """The loss is strictly convex: the mean of two words of one role is never worse than both."""
    return inequalities(_averaged(second), "at 20 pairs of words their mean has the smaller loss")


@claim(
    "With a long tail of frequencies words of one role do not collapse unless f is normalised.",
    COLLAPSE,
    "why LayerNorm is needed, in the same toy of ours",
    COMPUTATION,
    opposite={"normalised": True},
    papers=(179,),
)
def long_tails_prevent_collapse(normalised: bool = False) -> Verdict:
    """The minimisers grow with the frequency; their directions, all that is left of f, do not."""

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        for n in range(1, 7):
            spread = flint.arb(0) if normalised else _spread(1, 2**n)
            yield f"frequencies 1 and {2**n}", exact(Fraction(n, 8)), spread

    return inequalities(cases(), "the norms differ by log2(frequency ratio) / 8 at least")
