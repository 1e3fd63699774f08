"""Statements on networks: symmetry, optima, infinite width and depth, implicit derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import flint
import numpy as np
import sympy

from ..register import (
    COMPUTATION,
    PROOF,
    Verdict,
    attained,
    claim,
    proven,
    refuted,
    require,
)
from .decide import exact, identity, inequalities

SUPPORT_VECTORS = "On the Equivalence between Neural Network and Support Vector Machine"
NEURAL_COLLAPSE = "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data"
OPTIMALITY = "Wide and Deep Neural Networks Achieve Optimality for Classification"
DEEP_SETS = "Deep Sets"
NUCLEAR_NORM = "Nuclear Norm Regularization for Deep Learning"
COMMUTATIVE = "Commutative Width and Depth Scaling in Deep Neural Networks"
TANGENT_KERNEL = "Neural Tangent Kernel: Convergence and Generalization in Neural Networks"
IMPLICIT = "Efficient and Modular Implicit Differentiation"
AUTOENCODERS = "What Regularized Auto-Encoders Learn from the Data Generating Distribution"
PERCEPTRON = (
    "From Logistic Regression to the Perceptron Algorithm: Exploring Gradient Descent with Large "
    "Step Sizes"
)


@claim(
    "Subgradient flow of the hinge loss moves f by -lam f + C sum_(y_i f_i < 1) y_i K(x, x_i).",
    SUPPORT_VECTORS,
    "the flow, for a model linear in its weights (that wide networks are so is not decided)",
    PROOF,
    opposite={"decay": 0},
    papers=(20,),
)
def hinge_flow_is_that_of_a_kernel_machine(decay: int = 1) -> Verdict:
    """Two features, three points, for each set of points within the margin."""
    w = sympy.symbols("w_1 w_2", real=True)
    lam, cost = sympy.symbols("lam C", positive=True)
    features = sympy.symbols("p_1:9", real=True)
    phi, points = features[:2], [features[2 * n : 2 * n + 2] for n in (1, 2, 3)]
    y = (1, -1, 1)

    def inner(a: tuple[sympy.Expr, ...], b: tuple[sympy.Expr, ...]) -> sympy.Expr:
        return sum(s * t for s, t in zip(a, b, strict=True))

    found = proven("")
    for within in range(8):
        inside = [n for n in range(3) if within >> n & 1]
        loss = lam * inner(w, w) / 2 + cost * sum(1 - y[n] * inner(points[n], w) for n in inside)
        speed = -sum(p * loss.diff(v) for p, v in zip(phi, w, strict=True))
        kernel = cost * sum(y[n] * inner(phi, points[n]) for n in inside)
        difference = speed + decay * lam * inner(phi, w) - kernel
        at = {s: n + 1 for n, s in enumerate((*w, lam, cost, *features))}
        found = identity(
            difference, at, "the chain rule, for every set of points within the margin"
        )
        if found.refuted:
            break
    return found


@claim(
    "A simplex ETF of fitting size is stationary for cross-entropy with weight decay on W and H.",
    NEURAL_COLLAPSE,
    "balanced classes, free features (stationarity; that it is global is not decided here)",
    PROOF,
    opposite={"simplex": False},
    papers=(71,),
)
def simplex_is_stationary(simplex: bool = True) -> Verdict:
    """W = a M, H = b M with M = I - 1 1^T / 3: the gradient in W is M times a number.

    u is e^(ab/3); the number, lam a - b p, is 0 for a = b with e^(a^2) = 1 / lam - 2, if lam < 1/3.
    """
    a, b, lam, u = sympy.symbols("a b lam u", positive=True)
    ones = sympy.ones(3, 3)
    frame = sympy.eye(3) - ones / 3 if simplex else sympy.eye(3)
    gram = frame * frame.T  # the logits are a b times this: u^(2/3) or u^(-1/3), or u and 1
    powers = gram.applyfunc(lambda entry: u ** (3 * entry))  # u stands for e^(ab/3)
    softmax = powers / sum(powers[:, 0])
    gradient = (softmax - sympy.eye(3)) * (b * frame).T / 3 + lam * a * frame
    if simplex:
        cosine = gram[0, 1] / gram[0, 0]
        require(cosine == sympy.Rational(-1, 2))  # -1 / (K - 1)
    others = softmax[0, 1]
    number = lam * a - b * others
    at = {a: 2, b: 3, lam: 5, u: 2}
    for entry in gradient - number * frame:
        found = identity(
            entry, at, "the gradient is (lam a - b p) M, p a wrong class's probability"
        )
        if found.refuted:
            return found
    return found


@claim(
    "With squared loss, imbalanced classes collapse to orthogonal means, of max(sqrt n_k - c, 0).",
    NEURAL_COLLAPSE,
    "imbalanced, free of bias; c = N sqrt(lam_W lam_H), from the singular values of the labels",
    PROOF,
    opposite={"power": 1},
    papers=(71,),
)
def imbalanced_means_are_orthogonal(power: int = 2) -> Verdict:
    """Labels of n_k ones in row k have orthogonal rows, of length sqrt n_k: their singular values.

    Of each the product s of both factors minimises (s - sqrt n)^2 / 2 + c s over s >= 0.
    """
    sizes = (5, 2, 1)
    rows = [[int(a == k) for k, n in enumerate(sizes) for _ in range(n)] for a in range(3)]
    labels = sympy.Matrix(rows)
    require(labels * labels.T == sympy.diag(*sizes))
    c, s, n = sympy.symbols("c s n", positive=True)
    root = sympy.sqrt(n)
    slope = ((s - root) ** 2 / 2 + c * s).diff(s)
    require(sympy.expand(slope.subs(s, 0) - (c - root)) == 0)  # at c >= sqrt n, s = 0 is best
    stated = n ** sympy.Rational(1, power) - c
    difference = sympy.expand(slope.subs(s, stated))
    return identity(difference, {n: 4, c: 1}, "the proximal map of s on the singular values")


def _decorrelate(x: flint.arb, linear: Fraction) -> flint.arb:
    """The dual activation of sqrt(a) h_1 + sqrt(1 - a) h_3, a polynomial of the correlation."""
    return exact(linear) * x + exact(1 - linear) * x**3


def _limit_kernel(delta: flint.arb, linear: Fraction, layers: int = 160) -> flint.arb:
    """The limit of (correlation after L layers) / a^L from 1 - delta, with its truncation."""
    x, scale = 1 - delta, flint.arb(1)
    for _ in range(layers):
        x = _decorrelate(x, linear)
        scale /= exact(linear)
    # Each later layer multiplies by 1 + (1 - a)/a x^2 <= e^((1 - a)/a x^2), and x halves or more.
    require(x < exact(Fraction(1, 2**20)))
    tail = (exact((1 - linear) / linear) * x * x * 2).exp()
    return x * scale * flint.arb(1).union(tail)


@claim(
    "An infinitely deep kernel has a singularity |x - x'|^-alpha, alpha = -4 log A' / log B'.",
    OPTIMALITY,
    "the singular kernels: A' = E phi'(z), B' = E phi'(z)^2 (the theorem as we remember it)",
    COMPUTATION,
    opposite={"factor": 2},
    papers=(211,),
)
def order_of_the_deep_singularity(factor: int = 4) -> Verdict:
    """phi = (h_1 + h_3) / sqrt 2, A'^2 = 1/2 and B' = 2: along distances that halve by sqrt B'."""
    linear = Fraction(1, 2)

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        slope = exact(3 - 2 * linear)  # B', at correlation 1
        order = -factor * exact(linear).sqrt().log() / slope.log()
        for m in range(6, 26):
            near, far = (_limit_kernel(slope ** (-k), linear) for k in (m + 1, m))
            growth = (near / far).log() / (slope.log() / 2)  # per factor of the distance
            yield f"1 - correlation = 2^-{m}", abs(growth - order), 8 * slope ** (-m)

    return inequalities(cases(), "20 halvings: the exponent is off by 8 (1 - correlation) at most")


@claim(
    "A linear map commutes with all permutations exactly if it is lam I + gam 1 1^T.",
    DEEP_SETS,
    "the lemma on equivariant layers",
    PROOF,
    opposite={"cyclic": True},
    papers=(226,),
)
def equivariant_maps(cyclic: bool = False) -> Verdict:
    """The dimension of the commutant, for 3, 4 and 5 entries, by its linear equations."""
    for n in (3, 4, 5):
        theta = sympy.Matrix(n, n, sympy.symbols(f"t_1:{n * n + 1}"))
        turn = [*range(1, n), 0]
        swaps = [[*range(k), k + 1, k, *range(k + 2, n)] for k in range(n - 1)]
        equations: list[sympy.Expr] = []
        for order in [turn] if cyclic else swaps:
            permutation = sympy.Matrix(n, n, lambda i, j, order=order: int(order[i] == j))
            equations += list(permutation * theta - theta * permutation)
        system, _ = sympy.linear_eq_to_matrix(equations, list(theta))
        free = n * n - system.rank()
        for entry in (sympy.eye(n), sympy.ones(n, n)):
            require(not any(system * sympy.Matrix(list(entry))))
        if free > 2:
            return refuted(f"{n} entries, cyclic shifts alone: {free} dimensions of maps")
        require(free == 2)
    return proven("the commuting maps have two dimensions, which I and 1 1^T span; n = 3, 4, 5")


@claim(
    "The nuclear norm of J is the least (|A|^2 + |B|^2) / 2 over J = A B, at the balanced factors.",
    NUCLEAR_NORM,
    "the variational form",
    PROOF,
    opposite={"balanced": False},
    papers=(229,),
)
def nuclear_norm_of_factors(balanced: bool = True) -> Verdict:
    """|A|^2 + |B|^2 - 2 tr(A B Q^T) = |A - Q B^T|^2 for orthogonal Q; U V^T gives the norm."""
    c, s = sympy.symbols("c s", real=True)
    a, b = (sympy.Matrix(2, 2, sympy.symbols(f"{x}_1:5", real=True)) for x in "ab")
    q = sympy.Matrix([[c, -s], [s, c]])

    def square(m: sympy.Matrix) -> sympy.Expr:
        return sum(x**2 for x in m)

    gap = square(a) + square(b) - 2 * (a * b * q.T).trace() - square(a - q * b.T)
    require(sympy.expand(sympy.expand(gap).subs(c**2, 1 - s**2)) == 0)
    left, right = (
        sympy.Matrix([[3, -4], [4, 3]]) / 5,
        sympy.Matrix([[5, 12], [-12, 5]]) / 13,
    )
    values = sympy.diag(9, 4)
    roots = sympy.diag(3, 2)
    factors = (left * roots, roots * right) if balanced else (left * values, right)
    require(factors[0] * factors[1] == left * values * right)
    value = (square(factors[0]) + square(factors[1])) / 2
    if value == values.trace():
        return attained("no pair is below tr(J Q^T), and the balanced pair of 13 = 9 + 4 is there")
    return refuted(f"singular values 9 and 4: these factors give {value}, not 13")


def _gaussian_mean(polynomial: sympy.Expr, symbols: tuple[sympy.Symbol, ...]) -> sympy.Expr:
    """The expectation of a polynomial of independent standard normal symbols, by their moments."""
    terms = sympy.Poly(sympy.expand(polynomial), *symbols).terms()
    return sum(
        coefficient * sympy.prod([0 if n % 2 else sympy.factorial2(n - 1) for n in powers])
        for powers, coefficient in terms
    )


@claim(
    "E |h(x + s e) - h(x)|^2 / s^2 estimates |J|_F^2 with a bias s^2 ((tr H)^2 + 2 tr H^2) / 4.",
    NUCLEAR_NORM,
    "the denoising estimator, e standard normal, for a quadratic h in the plane",
    PROOF,
    opposite={"traces": 0},
    papers=(229,),
)
def denoising_estimates_the_jacobian(traces: int = 1) -> Verdict:
    """Moments of e; h has the gradient (g_1, g_2) and the Hessian (a, b; b, c) at x."""
    g, e = sympy.symbols("g_1 g_2", real=True), sympy.symbols("e_1 e_2", real=True)
    a, b, c = sympy.symbols("a b c", real=True)
    s = sympy.Symbol("s", positive=True)
    hessian = sympy.Matrix([[a, b], [b, c]])
    step = sympy.Matrix(e)
    change = s * sum(x * y for x, y in zip(g, e, strict=True))
    change += s**2 * (step.T * hessian * step)[0] / 2
    found = _gaussian_mean(change**2, e) / s**2
    bias = s**2 * (traces * hessian.trace() ** 2 + 2 * (hessian * hessian).trace()) / 4
    at = dict(zip((*g, a, b, c, s), (1, 2, 3, 5, 7, 2), strict=True))
    difference = found - g[0] ** 2 - g[1] ** 2 - bias
    return identity(difference, at, "the moments of a standard normal in the plane")


@claim(
    "With branches scaled by L^(-1/2), the covariance of a wide ReLU net errs by O(1/L).",
    COMMUTATIVE,
    "the depth limit of the covariance (that it commutes with the width limit is not decided)",
    COMPUTATION,
    opposite={"power": 2},
    papers=(287,),
)
def covariance_converges_with_depth(power: int = 1) -> Verdict:
    """The covariance of two inputs at L and 2 L layers, and the variance against e^(1/2)."""

    def covariance(layers: int) -> tuple[flint.arb, flint.arb]:
        variance, product = flint.arb(1), flint.arb(1) / 4
        for _ in range(layers):
            cosine = product / variance
            angle = cosine.acos()
            sine = (1 - cosine * cosine).sqrt()
            kernel = (sine + (flint.arb.pi() - angle) * cosine) / flint.arb.pi()
            product += variance * kernel / (2 * layers)
            variance *= 1 + flint.arb(1) / (2 * layers)
        return variance, product

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        found = {2**k: covariance(2**k) for k in range(1, 10)}
        for layers in (2**k for k in range(1, 9)):
            bound = exact(Fraction(1, layers**power)) / 4
            yield (
                f"variance at L = {layers}",
                abs(found[layers][0] - exact(Fraction(1, 2)).exp()),
                bound,
            )
            yield (
                f"covariance at L = {layers} and {2 * layers}",
                abs(found[layers][1] - found[2 * layers][1]),
                bound,
            )

    return inequalities(cases(), "L = 2 ... 256: differences of 1 / (4 L) at most")


@claim(
    "The tangent kernel of a wide two-layer ReLU net has the arc-cosine mean at every width.",
    TANGENT_KERNEL,
    "two layers (a mean of n independent terms, so it errs by 1 / sqrt n)",
    PROOF,
    opposite={"sign": -1},
    papers=(309,),
)
def tangent_kernel_of_two_layers(sign: int = 1) -> Verdict:
    """Weights of the plane in polar coordinates: half planes overlap in an arc of pi - theta."""
    theta, phi, r = sympy.symbols("theta phi r", positive=True)
    low, high = theta - sympy.pi / 2, sympy.pi / 2
    both = sympy.integrate(1, (phi, low, high)) / (2 * sympy.pi)
    require(sympy.expand(both - (sympy.pi - theta) / (2 * sympy.pi)) == 0)
    square = sympy.integrate(r**3 * sympy.exp(-(r**2) / 2), (r, 0, sympy.oo))  # E |w|^2
    products = sympy.integrate(sympy.cos(phi) * sympy.cos(phi - theta), (phi, low, high))
    found = sympy.cos(theta) * both + square * products / (2 * sympy.pi)
    stated = (sympy.sin(theta) + 2 * (sympy.pi - sign * theta) * sympy.cos(theta)) / (2 * sympy.pi)
    difference = sympy.simplify(sympy.expand_trig(found - stated))
    if difference == 0:
        return proven("E of both parts by integration over the plane of the two inputs")
    return refuted(f"at theta = 1 the sides differ by {float(difference.subs(theta, 1)):.4g}")


@claim(
    "That kernel is positive definite on distinct points of the circle, whatever their number.",
    TANGENT_KERNEL,
    "positive definiteness on the sphere (drawn points)",
    COMPUTATION,
    opposite={"twice": True},
    papers=(309,),
)
def tangent_kernel_is_positive_definite(twice: bool = False) -> Verdict:
    """The smallest leading minors of Gram matrices of 2 to 6 points, at rational angles."""

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        random = np.random.default_rng(309)
        for n in range(2, 7):
            angles = [Fraction(int(k), 40) for k in random.permutation(60)[:n]]  # of pi
            if twice:
                angles[-1] = angles[0]
            gram = flint.arb_mat(
                [[_kernel(min(abs(a - b), 2 - abs(a - b))) for a in angles] for b in angles]
            )
            yield f"{n} points", exact(Fraction(1, 10**9)), gram.det()

    return inequalities(cases(), "determinants of Gram matrices of 2 to 6 points")


def _kernel(turn: Fraction) -> flint.arb:
    """The kernel of two unit vectors at the angle pi times `turn`, at most pi."""
    theta = exact(turn) * flint.arb.pi()
    away = flint.arb.pi() - theta
    return (theta.sin() + 2 * away * theta.cos()) / (2 * flint.arb.pi())


@claim(
    "Implicit differentiation, -(d1F)^-1 d2F, of the sparsemax conditions gives I_S - 1 1^T / |S|.",
    IMPLICIT,
    "the implicit function theorem applied to projections onto the simplex",
    PROOF,
    opposite={"sign": 1},
    papers=(313,),
)
def implicit_derivative_of_sparsemax(sign: int = -1) -> Verdict:
    """F(x, tau; theta) = (x - theta + tau, sum x - 1) on supports of 1 to 4."""
    for size in (1, 2, 3, 4):
        x = sympy.symbols(f"x_1:{size + 1}", real=True)
        theta = sympy.symbols(f"t_1:{size + 1}", real=True)
        tau = sympy.Symbol("tau", real=True)
        conditions = [a - b + tau for a, b in zip(x, theta, strict=True)] + [sum(x) - 1]
        inner = sympy.Matrix(conditions).jacobian([*x, tau])
        outer = sympy.Matrix(conditions).jacobian(theta)
        implicit = (sign * inner.inv() * outer)[:size, :]
        closed = sympy.eye(size) - sympy.ones(size, size) / size
        if implicit != closed:
            place = next(
                n for n, pair in enumerate(zip(implicit, closed, strict=True)) if pair[0] != pair[1]
            )
            return refuted(f"support {size}: {implicit[place]} where it is {closed[place]}")
    return proven("the Jacobians agree on supports of 1 to 4")


@claim(
    "From softmax's conditions log x - theta + c = 0, sum x = 1 it gives diag p - p p^T.",
    IMPLICIT,
    "the implicit function theorem applied to an optimality condition",
    PROOF,
    opposite={"centred": 0},
    papers=(313,),
)
def implicit_derivative_of_softmax(centred: int = 1) -> Verdict:
    """Three classes with p = u / sum u."""
    u = sympy.symbols("u_1:4", positive=True)
    p = [v / sum(u) for v in u]
    inner = sympy.Matrix(4, 4, lambda i, j: _softmax_condition(int(i), int(j), p))
    outer = sympy.Matrix(4, 3, lambda i, j: -1 if i == j else 0)
    implicit = -inner.inv() * outer
    closed = sympy.diag(*p) - centred * sympy.Matrix(p) * sympy.Matrix(p).T
    at = dict(zip(u, (1, 2, 4), strict=True))
    return identity(implicit[0, 1] - closed[0, 1], at, "the Jacobians agree for three classes")


def _softmax_condition(i: int, j: int, p: list[sympy.Expr]) -> sympy.Expr:
    """The slope of condition i in x_j, or in c for j = 3."""
    if i == 3:
        return sympy.Integer(int(j < 3))
    return sympy.Integer(1) if j == 3 else (1 / p[i] if i == j else sympy.Integer(0))


POINTS = ((Fraction(2), Fraction(1)), (Fraction(1), Fraction(-1)), (Fraction(-3), Fraction(1)))
"""Points of the plane, each times its label."""


@claim(
    "Gradient descent on logistic loss with step g, over g, tends to the batch perceptron.",
    PERCEPTRON,
    "section 3: it starts at half of the mean of y a",
    COMPUTATION,
    opposite={"start": 1},
    papers=(203,),
)
def large_steps_are_a_perceptron(start: Fraction = Fraction(1, 2)) -> Verdict:
    """Four steps at g = 10 ... 10^6 on three points: within 1 / g of the perceptron's."""

    def perceptron() -> list[list[Fraction]]:
        theta = [start * sum(a[k] for a in POINTS) / 3 for k in (0, 1)]
        path = [theta]
        for _ in range(3):
            margins = [sum(a * t for a, t in zip(point, theta, strict=True)) for point in POINTS]
            wrong = [p for p, m in zip(POINTS, margins, strict=True) if m <= 0]
            require(0 not in margins)  # a tie would have half its weight in the limit
            theta = [t + sum((a[k] for a in wrong), Fraction(0)) / 3 for k, t in enumerate(theta)]
            path.append(theta)
        return path

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        path = perceptron()
        for power in range(2, 7):
            step = flint.arb(10) ** power
            theta = [flint.arb(0), flint.arb(0)]
            for t in range(4):
                pull = [
                    1 / (1 + (exact(a) * theta[0] + exact(b) * theta[1]).exp()) for a, b in POINTS
                ]
                theta = [
                    v
                    + step
                    * sum(
                        (exact(p[k]) * s for p, s in zip(POINTS, pull, strict=True)), flint.arb(0)
                    )
                    / 3
                    for k, v in enumerate(theta)
                ]
                error = max(abs(v / step - exact(w)) for v, w in zip(theta, path[t], strict=True))
                yield f"g = 10^{power}, step {t + 1}", error, 1 / step

    return inequalities(cases(), "g = 100 ... 10^6, the first four steps", bits=400)


@claim(
    "Normalised descent on logistic loss moves by g times a convex combination of the y_i a_i.",
    PERCEPTRON,
    "section 6: the normaliser is the mean residual, not the loss",
    PROOF,
    opposite={"normalised": False},
    papers=(203,),
)
def normalised_steps_are_convex_combinations(normalised: bool = True) -> Verdict:
    """beta grad L = -sum_i s_i y_i a_i / sum s, with s_i = 1 / (1 + e^(margin_i)) > 0."""
    s = sympy.symbols("s_1:4", positive=True)
    mean = sum(s) / 3
    normaliser = 1 / mean if normalised else sympy.Integer(1)
    weights = [normaliser * v / 3 for v in s]
    require(all(w.is_positive for w in weights))
    at = dict(zip(s, (1, 2, 4), strict=True))
    return identity(sum(weights) - 1, at, "the weights are positive and sum to 1")


def _denoised(x: Fraction, noise: Fraction, share: int) -> tuple[flint.arb, flint.arb]:
    """(r(x) - x) / s^2 of the best denoiser r, and the score, for two Gaussians of variance 1/4."""
    variance, means = Fraction(1, 4), (-1, 1)

    def weights(total: Fraction) -> list[flint.arb]:
        found = [exact(-((x - m) ** 2) / (2 * total)).exp() for m in means]
        return [w / sum(found, flint.arb(0)) for w in found]

    total = variance + noise
    posterior = [(variance * x + noise * m) / total for m in means]  # E of the clean one, by part
    restored = sum(
        (w * exact(p) for w, p in zip(weights(total), posterior, strict=True)), flint.arb(0)
    )
    score = sum(
        (w * exact((m - x) / variance) for w, m in zip(weights(variance), means, strict=True)),
        flint.arb(0),
    )
    return (restored - exact(x)) / exact(share * noise), score


@claim(
    "(r(x) - x) / s^2 of the best denoiser r at noise s tends to the score d log p / dx, like s^2.",
    AUTOENCODERS,
    "the main theorem, for two Gaussians (a denoiser; contraction is not decided)",
    COMPUTATION,
    opposite={"share": 2},
    papers=(280,),
)
def denoisers_learn_the_score(share: int = 1) -> Verdict:
    """Along s^2 = 2^-4 ... 2^-40 at seven points, in balls: r(x) - x cancels as s vanishes."""

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        for n in range(4, 41, 4):
            noise = Fraction(1, 2**n)
            for k in range(-3, 4):
                found, score = _denoised(Fraction(2 * k + 1, 4), noise, share)
                yield f"s^2 = 2^-{n}, x = {2 * k + 1}/4", abs(found - score), exact(100 * noise)

    return inequalities(cases(), "s^2 from 2^-4 to 2^-40, seven points: off by 100 s^2 at most")
