"""Statements on attention, by identities of softmax in the weights u_i = e^(z_i).

The derivative in the logit z_i is u_i d/du_i, so that all that stands here is rational in the u_i.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import factorial, prod

import flint
import numpy as np
import sympy

from ..register import (
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
from .decide import exact, identity, inequalities

IN_CONTEXT = "The Closeness of In-Context Learning and Weight Shifting for Softmax Regression"
TEST_TIME = (
    "Test-time regression: a unifying framework for designing sequence models with associative "
    "memory"
)
AS_RNN = "On the Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective"
SINKS = (
    "A Unified View of Attention and Residual Sinks: Outlier-Driven Rescaling is Essential for "
    "Transformer Training"
)
DIFFERENCES = (
    "Understanding the differences in Foundation Models: Attention, State Space Models, and "
    "Recurrent Neural Networks"
)
DEMYSTIFIED = (
    "In-Context Linear Regression Demystified: Training Dynamics and Mechanistic Interpretability "
    "of Multi-Head Softmax Attention"
)
ONE_STEP = (
    "One Step of Gradient Descent is Provably the Optimal In-Context Learner with One Layer of "
    "Linear Self-Attention"
)
LIMITATIONS = "Limitations of Normalization in Attention Mechanism"

U = sympy.symbols("u_1:4", positive=True)
V = sympy.symbols("v_1:4", real=True)
K = sympy.symbols("k_1:4", real=True)
Q = sympy.Symbol("q", real=True)
POINT = dict(zip((*U, *V, *K, Q), (1, 2, 4, 3, 5, 11, 1, 3, 7, 2), strict=True))
HALF = sympy.Rational(1, 2)


def _mean(weights: Sequence[sympy.Expr], values: Sequence[sympy.Expr]) -> sympy.Expr:
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


@claim(
    "The gradient of |softmax(Ax) - b|^2 / 2 is A^T (diag f - f f^T) (f - b).",
    IN_CONTEXT,
    "the loss (a normalised exponential)",
    PROOF,
    opposite={"centred": 0},
    papers=(6,),
)
def softmax_regression_gradient(centred: int = 1) -> Verdict:
    """Three rows of A and its two columns; without f f^T it is another function."""
    a = sympy.Matrix(3, 2, sympy.symbols("a_1:7", real=True))
    f = sympy.Matrix([u / sum(U) for u in U])
    residual = f - sympy.Matrix(V)
    loss = (residual.T * residual)[0] / 2
    slopes = sympy.Matrix([u * loss.diff(u) for u in U])  # in the logits A x
    stated = (sympy.diag(*f) - centred * f * f.T) * residual
    point = {**POINT, **{symbol: n + 1 for n, symbol in enumerate(a)}}
    difference = (a.T * (slopes - stated))[0]
    if centred:
        require(sympy.cancel((a.T * (slopes - stated))[1]) == 0)
    return identity(difference, point, "the chain rule, for three rows and two columns")


@claim(
    "|softmax(z) - softmax(z')|_2 <= |z - z'|_2 / 2, so a shift of A or x moves f by as much.",
    IN_CONTEXT,
    "the Lipschitz bound of f",
    PROOF,
    opposite={"constant": sympy.Rational(2, 5)},
    papers=(6,),
)
def softmax_is_half_lipschitz(constant: sympy.Expr = HALF) -> Verdict:
    """The Jacobian diag p - p p^T has eigenvalues up to 1/2."""
    return _largest_eigenvalue(constant)


@claim(
    "Temperature T bounds the Jacobian of softmax(z / T) by 1 / (2 T), and no better.",
    LIMITATIONS,
    "the gradient's sensitivity",
    PROOF,
    opposite={"constant": sympy.Rational(1, 3)},
    papers=(241,),
)
def softmax_jacobian_at_temperature(constant: sympy.Expr = HALF) -> Verdict:
    """The chain rule gives 1 / T; the rest is the bound at T = 1."""
    return _largest_eigenvalue(constant)


def _largest_eigenvalue(constant: sympy.Expr) -> Verdict:
    """Whether v^T (diag p - p p^T) v, the variance of v under p, is at most constant |v|^2."""
    m, top, low = sympy.symbols("m M l", real=True)  # mean, largest and least of v
    # (M - v)(v - l) >= 0 for each v bounds the variance by (M - m)(m - l) <= ((M - l)/2)^2.
    require(
        sympy.expand(((top - low) / 2) ** 2 - (top - m) * (m - low) - (m - (top + low) / 2) ** 2)
        == 0
    )
    # ((M - l)/2)^2 <= (M^2 + l^2)/2 <= |v|^2 / 2.
    require(
        sympy.expand((top**2 + low**2) / 2 - ((top - low) / 2) ** 2 - ((top + low) / 2) ** 2) == 0
    )
    p, v = (HALF, HALF), (1, -1)
    mean = sum(w * x for w, x in zip(p, v, strict=True))
    variance = sum(w * (x - mean) ** 2 for w, x in zip(p, v, strict=True))
    if variance > constant * sum(x**2 for x in v):
        return refuted("p = (1/2, 1/2), v = (1, -1): v^T J v = 1 = |v|^2 / 2")
    return attained("v^T J v = Var_p(v) <= ((max v - min v) / 2)^2 <= |v|^2 / 2; p = (1/2, 1/2)")


@claim(
    "n logits within D of each other have no weight above e^D / (e^D + n - 1), which is O(1/n).",
    LIMITATIONS,
    "the dilution of attention",
    PROOF,
    opposite={"others": 4},
    papers=(241,),
)
def attention_dilutes(others: int = 3) -> Verdict:
    """Four logits: every other weight is at least e^-D times the largest."""
    floor = sympy.Symbol("d", positive=True)  # e^-D
    excess = sympy.symbols("s_1:4", nonnegative=True)
    largest = 1 / (1 + sum(floor + s for s in excess))
    slack = sympy.numer(sympy.together(1 / (1 + others * floor) - largest))
    coefficients = sympy.Poly(sympy.expand(slack), floor, *excess).coeffs()
    if all(c > 0 for c in coefficients):
        return attained("the difference has positive coefficients in the excesses; 0 at none")
    return refuted("all other logits D below the largest: its weight is e^D / (e^D + 3)")


@claim(
    "Softmax attention is the Nadaraya-Watson fit: it minimises sum_i e^(q k_i) |v_i - v|^2.",
    TEST_TIME,
    "local constant regression",
    PROOF,
    opposite={"power": 2},
    papers=(30,),
)
def attention_is_a_local_constant_fit(power: int = 1) -> Verdict:
    """Where the slope is 0; the second derivative, twice the sum of the weights, is positive."""
    v = sympy.Symbol("v", real=True)
    risk = sum(u * (x - v) ** 2 for u, x in zip(U, V, strict=True))
    require(sympy.expand(risk.diff(v, 2) - 2 * sum(U)) == 0)
    output = _mean([u**power for u in U], V)
    return identity(
        risk.diff(v).subs(v, output),
        POINT,
        "the slope is 0 there, the sum convex",
    )


@claim(
    "Local linear attention returns v(q) exactly where the values are affine in the keys.",
    TEST_TIME,
    "local polynomial regression",
    PROOF,
    opposite={"degree": 0},
    papers=(30,),
)
def local_linear_attention_is_exact(degree: int = 1) -> Verdict:
    """The normal equations of three keys on a line; the fit of degree 0 is softmax attention."""
    slope, level = V[0], V[1]
    values = [slope * k + level for k in K]
    away = [k - Q for k in K]

    def moment(power: int, of: Sequence[sympy.Expr] = (1, 1, 1)) -> sympy.Expr:
        return sum(u * d**power * x for u, d, x in zip(U, away, of, strict=True))

    if degree:
        determinant = moment(0) * moment(2) - moment(1) ** 2
        fit = (moment(2) * moment(0, values) - moment(1) * moment(1, values)) / determinant
    else:
        fit = _mean(U, values)
    return identity(
        fit - (slope * Q + level), POINT, "the normal equations of the weighted fit, for three keys"
    )


@claim(
    "(q . k)^n = <q^(x)n, k^(x)n>: each order of e^(q.k) is a linear attention, that is an RNN.",
    AS_RNN,
    "the expansion of the exponential",
    PROOF,
    opposite={"ordered": False},
    papers=(38,),
)
def powers_are_linear_attention(ordered: bool = True) -> Verdict:
    """Two dimensions and order 3; the tensor power repeats a monomial for each order of indices."""
    q, k = U[:2], V[:2]
    words = product(range(2), repeat=3)
    indices = words if ordered else {tuple(sorted(word)) for word in words}
    inner = sum(prod(q[i] for i in word) * prod(k[i] for i in word) for word in sorted(indices))
    power = (q[0] * k[0] + q[1] * k[1]) ** 3
    return identity(power - inner, POINT, "multiplied out, for n = 3 in two dimensions")


@claim(
    "Do weights that are cut at an even order stay positive, so that the normaliser cannot vanish?",
    AS_RNN,
    "not stated there, as far as we know: the normaliser of a truncated expansion",
    PROOF,
    opposite={"odd": 1},
    kind=OUR_QUESTION,
    papers=(38,),
)
def even_orders_are_positive(odd: int = 0) -> Verdict:
    """Of the Taylor polynomial P_N of e^x, P_N' = P_N - x^N/N!: where P_N' = 0, P_N = x^N/N!."""
    x = sympy.Symbol("x", real=True)
    for order in range(2 + odd, 12 + odd, 2):
        polynomial = sum(x**n / sympy.factorial(n) for n in range(order + 1))
        last = x**order / sympy.factorial(order)
        require(sympy.expand(polynomial.diff(x) - polynomial + last) == 0)
        if polynomial.subs(x, -order - 1) <= 0:
            value = polynomial.subs(x, -order - 1)
            return refuted(f"order {order}, q.k = {-order - 1}: the weight is {value}")
        require(polynomial.subs(x, 0) == 1)
        require(sympy.Poly(polynomial, x).count_roots() == 0)
    return proven("at its least value an even P_N is x^N / N! > 0; counted for N = 2 to 10")


def _truncated(extra: int) -> Iterator[tuple[str, flint.arb, flint.arb]]:
    """Attention by the expansion up to order N, its error, and the bound at order N + extra."""
    random = np.random.default_rng(38)
    for order, reach in product((2, 4, 8, 12, 16, 24), (Fraction(1, 2), Fraction(1), Fraction(2))):
        scores = [Fraction(int(n), 16) * reach for n in random.integers(-16, 17, 6)]
        values = [Fraction(int(n), 16) for n in random.integers(-16, 17, 6)]
        true = [exact(s).exp() for s in scores]
        terms = [
            exact(sum((s**n / factorial(n) for n in range(order + 1)), Fraction(0))) for s in scores
        ]
        outputs = [
            sum((w * exact(v) for w, v in zip(weights, values, strict=True)), flint.arb(0))
            / sum(weights, flint.arb(0))
            for weights in (true, terms)
        ]
        top = order + 1 + extra
        share = max(exact(abs(s) ** top / factorial(top)) * exact(abs(s) - s).exp() for s in scores)
        if not share < 1:
            continue
        largest = exact(max(map(abs, values)))
        yield (
            f"order {order}, |q.k| <= {reach}",
            abs(outputs[0] - outputs[1]),
            2 * largest * share / (1 - share),
        )


@claim(
    "Attention cut at order N errs by 2 max|v| d / (1 - d) at most, where d is the largest "
    "|s|^(N+1) e^(|s|-s) / (N+1)! over the scores s.",
    AS_RNN,
    "the limit of the sum of RNNs (the bound is Lagrange's)",
    COMPUTATION,
    opposite={"extra": 2},
    papers=(38,),
)
def attention_as_a_sum_of_recurrences(extra: int = 0) -> Verdict:
    """Six keys with scores s; the error vanishes along N."""
    return inequalities(_truncated(extra), "orders 2 to 24, six keys, |s| up to 2")


@claim(
    "A sink logit s multiplies all other weights by the same Z / (Z + e^s).",
    SINKS,
    "rescaling by softmax",
    PROOF,
    opposite={"others": 0},
    papers=(43,),
)
def sink_rescales_the_others(others: int = 1) -> Verdict:
    """Z is the sum over the other logits; three of them."""
    sink, z = sympy.Symbol("w", positive=True), sum(U)
    factor = 1 / (1 + sink / (z if others else 1))
    point = {**POINT, sink: 6}
    return identity(
        U[0] / (z + sink) - factor * U[0] / z,
        point,
        "the quotient of the weights has no index; three others",
    )


@claim(
    "An outlier o multiplies the d other outputs of RMSNorm by sqrt((1 + 1/d) S / (S + o^2)): "
    "S is the sum of their squares.",
    SINKS,
    "rescaling by RMSNorm",
    PROOF,
    opposite={"counted": 0},
    papers=(43,),
)
def outlier_rescales_the_others(counted: int = 1) -> Verdict:
    """The squares of both sides, whose signs agree; three components beside the outlier."""
    outlier, square = Q, sum(v**2 for v in V)
    with_it = V[0] ** 2 / ((square + outlier**2) / 4)
    without = V[0] ** 2 / (square / 3)
    factor = sympy.Rational(3 + counted, 3) * square / (square + outlier**2)
    return identity(with_it - factor * without, POINT, "the squares of both sides, for d = 3")


@claim(
    "SSM and linear attention (A = 1) are h_i = A_i h_(i-1) + k_i v_i, y_i = q_i h_i, and its sum.",
    DIFFERENCES,
    "the dynamical systems framework",
    PROOF,
    opposite={"first": 0},
    papers=(59,),
)
def recurrence_equals_parallel_form(first: int = 1) -> Verdict:
    """Three steps of one channel: y_i sums q_i (A_i ... A_(j+1)) k_j v_j over j <= i."""
    gates, query = U, Q
    state = sympy.Integer(0)
    for a, k, v in zip(gates, K, V, strict=True):
        state = a * state + k * v
    parallel = query * sum(prod(gates[j + first :]) * K[j] * V[j] for j in range(3))
    ones = dict.fromkeys(gates, 1)
    linear = query * sum(k * v for k, v in zip(K, V, strict=True))
    require(sympy.expand((query * state).subs(ones) - linear) == 0)
    return identity(query * state - parallel, POINT, "the recurrence, unrolled over three steps")


@claim(
    "Attention with keys eps k is mean(v) + eps cov(v, k) q + O(eps^2), the covariance over n.",
    DEMYSTIFIED,
    "small key-query weights",
    PROOF,
    opposite={"less": 1},
    papers=(89,),
)
def attention_of_small_scale(less: int = 0) -> Verdict:
    """The derivative at eps = 0, of three keys on a line."""
    weights = sympy.symbols("e_1:4", positive=True)
    output = _mean(weights, V)
    slope = sum(output.diff(w) * w * k * Q for w, k in zip(weights, K, strict=True))
    at_zero = slope.subs(dict.fromkeys(weights, 1))
    means = [sum(x) / 3 for x in (V, K)]
    covariance = sum((v - means[0]) * (k - means[1]) for v, k in zip(V, K, strict=True)) / (
        3 - less
    )
    return identity(at_zero - covariance * Q, POINT, "the derivative in eps at 0, of three keys")


@claim(
    "Heads of opposite signs cancel the mean: (o(eps) - o(-eps)) / 2 = eps cov(v, k) q + O(eps^3).",
    DEMYSTIFIED,
    "pairs of heads",
    COMPUTATION,
    opposite={"power": 4},
    papers=(89,),
)
def head_pair_cancels_the_mean(power: int = 3) -> Verdict:
    """Along eps = 2^-1 ... 2^-20: the residual over eps^power stays below one bound."""

    def residuals() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        scores, values = (-1, 0, 2), (1, -2, 1)
        covariance = Fraction(sum(s * v for s, v in zip(scores, values, strict=True)), 3)
        require(sum(values) == 0)
        for n in range(1, 21):
            eps = Fraction(1, 2**n)
            heads = []
            for sign in (1, -1):
                weights = [exact(sign * eps * s).exp() for s in scores]
                total = sum((w * v for w, v in zip(weights, values, strict=True)), flint.arb(0))
                heads.append(total / sum(weights, flint.arb(0)))
            residual = abs((heads[0] - heads[1]) / 2 - exact(eps * covariance))
            yield f"eps = 2^-{n}", residual, exact(2 * eps**power)

    return inequalities(residuals(), "20 halvings of eps: the residual is at most 2 eps^3")


@claim(
    "Of all G, Gaussian tasks in d dimensions want x_q^T G X^T y with G = I / (n + d + 1 + s^2).",
    ONE_STEP,
    "the optimal learning rate, X and w standard normal, noise s (derived here for this case)",
    PROOF,
    opposite={"extra": 0},
    papers=(123,),
)
def one_step_is_optimal(extra: int = 1) -> Verdict:
    """The loss E |G A w + G X^T e - w|^2 with A = X^T X is tr(G M G^T) - 2 tr(G E A) + d.

    M = E A^2 + s^2 E A.  Rotations of x leave E A and E A^2 as they are, so both are multiples of
    I, and so is the minimiser, (E A) M^-1: it suffices to minimise over G = eta I.  tr A^2 =
    sum_i |x_i|^4 + sum_(i != j) (x_i . x_j)^2, with E |x|^4 = 3 d + d (d - 1), E (x . x')^2 = d.
    """
    n, d, noise, eta = sympy.symbols("n d s eta", positive=True)
    fourth, cross = 3 * d + d * (d - 1), d
    second = n * fourth + n * (n - 1) * cross
    loss = eta**2 * second - 2 * eta * n * d + d + eta**2 * noise**2 * n * d
    require(sympy.expand(loss.diff(eta, 2) / (2 * n * d) - (n + d + 1 + noise**2)) == 0)
    stated = 1 / (n + d + extra + noise**2)
    point = {n: 5, d: 3, noise: 2}
    return identity(
        loss.diff(eta).subs(eta, stated),
        point,
        "M and E A are multiples of I; a parabola in eta, at its vertex",
    )


@claim(
    "Linear self-attention with fitting weights predicts what one step of gradient descent does.",
    ONE_STEP,
    "the construction",
    PROOF,
    opposite={"sign": -1},
    papers=(123,),
)
def linear_attention_is_a_gradient_step(sign: int = 1) -> Verdict:
    """Tokens (x_i, y_i) and (x_q, 0): the value matrix reads y, the key-query matrix x."""
    eta = U[0]
    tokens = [sympy.Matrix([x, y]) for x, y in zip(K, V, strict=True)]
    query = sympy.Matrix([Q, 0])
    values, key_query = sympy.diag(0, eta), sympy.diag(1, 0)
    attention = sum(((values * t) * (t.T * key_query * query) for t in tokens), sympy.zeros(2, 1))[
        1
    ]
    w = sympy.Symbol("w", real=True)
    loss = sum((w * x - y) ** 2 for x, y in zip(K, V, strict=True)) / 2
    step = -sign * eta * loss.diff(w).subs(w, 0)
    return identity(attention - step * Q, POINT, "both are eta x_q sum_i x_i y_i")
