"""Proven a-priori rounding-error bounds: how far a good implementation may be from the truth.

Model (Higham 2002, Accuracy and Stability of Numerical Algorithms, sections 2.2 and 4.2).  One
operation + - * / in the format has relative error at most u.  exp, log and log1p have relative
error at most c u with c = ELEMENTARY.  A sum of n terms of one sign, in any order, multiplies each
term by at most n - 1 factors 1 + e, |e| <= v, the unit roundoff of the accumulator.  Below the
normal range each result is off by at most UNDERFLOW smallest subnormals more.  No sum overflows.

Errors are bounded in the logarithm, so that no term of second order is dropped: a computed
x (1 + e), |e| <= k u <= c u, is x e^t with |t| <= [k] = k u / (1 - c u).  Exponents t add up, and
the relative error is at most e^t - 1.  ``Model.exponent`` is this sum.

Lemma (*).  m = max z, D_k = m - z_k.  The computed difference is D_k (1 + d), |d| <= u, as one
subtraction rounds once; so the computed exponential is e^(-D_k) e^t with |t| <= D_k u + [c].

Lemma (**).  A sum over e^(-D_k) e^(t_k), |t_k| <= D_k u, is the sum over e^(-D_k) times e^t with
|t| <= u mean(D), the mean taken with weights e^(-(1 - u) D_k).  Proof: g(b) = log sum e^(-b D_k)
is convex, with -g'(b) = mean_b(D), which falls with b.  Upwards, t <= g(1 - u) - g(1) <= u
mean_(1-u)(D).  Downwards, t >= -u mean_1(D) by Jensen's inequality, and mean_1 <= mean_(1-u).

Every bound is returned as an absolute error for each output, in binary64, for the given row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.formats import Format, format_of
from ..arithmetic.gaussian import HALF, float_normal_cdf, float_scaled_cylinder

ELEMENTARY = 8.0  # 4 ulp; who computes exp worse is outside of the class, and is found out
LOGARITHM = 2.0  # 1 ulp of log S: with ELEMENTARY a quarter of 1000 classes could be lost
UNDERFLOW = 5.0  # 4 ulp of an exponential and half an ulp of a quotient, in smallest subnormals
SLACK = 1 + 2.0**-20  # for the rounding errors made in evaluating a bound

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The arithmetic of an implementation: format u, accumulator v, whether it flushes."""

    u: float
    v: float
    underflow: float  # absolute error of a result below the normal range

    @classmethod
    @functools.cache  # asked for at every row
    def of(cls, fmt: Format, accumulator: str = "float32", flushes: bool = False) -> Model:
        """The model of a format with an accumulator "input", "float32" or "float64".

        The accumulator is never narrower than the format.
        """
        wide = fmt if accumulator == "input" else format_of(accumulator)
        v = min(fmt.unit_roundoff, wide.unit_roundoff)
        smallest = fmt.emin if flushes else fmt.tiny_exponent
        return cls(float(fmt.unit_roundoff), float(v), UNDERFLOW * 2.0**smallest)

    def exponent(self, units: Any, terms: int = 1) -> Any:
        """[units] and a sum of so many terms: a bound on |log(computed / exact)|."""
        rounding = units * self.u / (1 - ELEMENTARY * self.u)
        return rounding + max(terms - 1, 0) * self.v / (1 - self.v)


def _distances(z: Vector) -> Vector:
    with np.errstate(over="ignore"):
        return np.asarray(np.max(z) - z, dtype=np.float64)


def softmax(z: Vector, model: Model) -> Vector:
    """Shifted softmax e^(z_k - m) / sum, any order of summation.

    Exponent of the error: D_k u + [c] of the numerator by (*); [c], u mean(D) and the summation by
    (**), with mean(D) <= log K / (1 - u), since b mean_b(D) is the entropy of the weights less
    log(1 / p_max); [1] of the quotient.  Each of the K exponentials may be off by model.underflow
    more, which divides a sum >= 1 by at least 1 - K underflow.  (To first order p_k ((D_k + 2c +
    log K + 1) u + (K - 1) v); cf. Blanchard, Higham, Higham 2021, Theorem 4.2.)

    >>> from .formats import BINARY32
    >>> bound = softmax(np.zeros(4), Model.of(BINARY32))
    >>> round(float(bound[0] / 2**-25), 1)  # p = 1/4, ulp(p) = 2^-25
    10.7
    """
    d = _distances(z)
    total = np.sum(np.exp(-d))
    lost = len(z) * model.underflow
    if lost >= 1:
        return np.full(len(z), np.inf)
    units = ELEMENTARY + np.log(len(z)) / (1 - model.u) + 1
    divisor = model.exponent(units, len(z)) - np.log1p(-lost)
    exponent = divisor + model.exponent(np.where(d < np.inf, d, 0.0) + ELEMENTARY)
    with np.errstate(over="ignore"):
        # p (e^t - 1), written so that it is right also where p alone underflows in binary64.
        relative = -np.exp(exponent - d) * np.expm1(-exponent) / total
        return np.asarray(SLACK * (relative + model.underflow * np.exp(divisor)))


def _log1p_of_losers(z: Vector, model: Model) -> tuple[float, float]:
    """L = log1p(T), T the sum of e^(-D_k) over all but one maximum, and the error of L computed.

    Exponent of T: [c], u mean(D) and the summation by (**).  log1p is concave and vanishes at 0, so
    log1p(e^t T) <= e^t log1p(T): L inherits at most the exponent of T, and [c] of log1p.  Each of
    the K - 1 exponentials may be off by model.underflow more.
    """
    d = np.sort(_distances(z))[1:]
    total = float(np.sum(np.exp(-d)))
    below = len(d) * model.underflow
    if total == 0.0:  # D > 745: L is below 2^-1074, and so is its error
        return 0.0, below + 2.0**-1074
    weights = np.exp(-(1 - model.u) * d)
    near = weights > 0
    mean = float(np.sum(weights[near] * d[near]) / np.sum(weights[near]))
    loss = float(np.log1p(total))
    exponent = model.exponent(mean + 2 * ELEMENTARY, len(d))
    with np.errstate(over="ignore"):
        return loss, float(loss * np.expm1(exponent) + below * np.exp(exponent))


def log_softmax(z: Vector, model: Model) -> Vector:
    """Log-softmax -(D_k + log1p(T)), T the sum over all but one maximum.

    Both terms have one sign: no cancellation, so the bound is relative for *every* output, also
    for the log-probability of a dominating class, where log(1 + T) would return 0.  The difference
    rounds by u D_k; the sum of both rounds once more.
    """
    d = _distances(z)
    loss, error = _log1p_of_losers(z, model)
    return _rounded_sum(d + loss, model.u * d + error, model)


def logsumexp(z: Vector, model: Model) -> Vector:
    """Log-sum-exp m + log1p(T): the error of log1p(T), and one rounding of the result.

    Where m and log1p(T) cancel, the problem itself is ill conditioned and the bound is absolute.
    """
    loss, error = _log1p_of_losers(z, model)
    return _rounded_sum(np.asarray(abs(float(np.max(z)) + loss)), error, model)


def _rounded_sum(value: Vector, error: Any, model: Model) -> Vector:
    """The error of a sum that is off by ``error`` before it rounds."""
    return np.asarray(SLACK * (error + model.u * (value + error)) + model.underflow)


def cross_entropy(z: Vector, label: int, model: Model, smoothing: float = 0.0) -> Vector:
    """Cross-entropy sum_k t_k D_k + log1p(T): terms of one sign.

    Without smoothing the first sum is D_label alone.  With it, K products t_k D_k and their sum:
    [5] for three roundings of t_k, one of D_k, one of the product.
    """
    d = _distances(z)
    loss, error = _log1p_of_losers(z, model)
    if smoothing == 0:
        first, first_error = float(d[label]), model.u * float(d[label])
    else:
        first = float(np.sum(_target(len(z), label, smoothing) * d))
        first_error = first * float(np.expm1(model.exponent(5, len(z))))
    return _rounded_sum(np.asarray(first + loss), first_error + error, model)


def _target(classes: int, label: int, smoothing: float) -> Vector:
    target = np.full(classes, smoothing / classes)
    target[label] += 1 - smoothing
    return target


def _exp_of_log_softmax(z: Vector, model: Model) -> Vector:
    """p_k as e^(l_k), l_k = -(D_k + log S) in the format: what is at hand where l is stored.

    S = sum e^(-D) has the exponent t of softmax's divisor.  log S is off by t, and by [2] of what
    it is then (LOGARITHM); D_k by u D_k; their sum rounds once, by u (D_k + log S + these errors).
    The absolute error of l_k is the exponent of the error of e^(l_k), with [c] for the exponential:
    about twice that of the quotient where D_k is large.
    """
    d = _distances(z)
    log_sum = float(np.log(np.sum(np.exp(-d))))
    lost = len(z) * model.underflow
    if lost >= 1:
        return np.full(len(z), np.inf)
    units = ELEMENTARY + np.log(len(z)) / (1 - model.u) + 1  # 1: the sum, from the accumulator
    of_the_sum = model.exponent(units, len(z)) - np.log1p(-lost)
    error = model.u * d + of_the_sum + (log_sum + of_the_sum) * model.exponent(LOGARITHM)
    error = error * (1 + model.u) + model.u * (d + log_sum)
    exponent = error + model.exponent(ELEMENTARY)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = -np.exp(exponent - d - log_sum) * np.expm1(-exponent)
        return np.asarray(SLACK * (np.where(d < np.inf, relative, 0.0) + model.underflow))


def logsumexp_gradient(z: Vector, model: Model) -> Vector:
    """Softmax, as a quotient or as e^(log-softmax): the larger of the two bounds."""
    return np.maximum(softmax(z, model), _exp_of_log_softmax(z, model))


def cross_entropy_gradient(z: Vector, label: int, model: Model, smoothing: float = 0.0) -> Vector:
    """Gradient p_k - t_k: the error of p_k, [4] of t_k, one rounding of the difference.

    p_k is as in ``logsumexp_gradient``.
    The component of the label may be p - 1, or minus the sum of the others (and of their errors),
    which keeps its accuracy as p tends to 1: the bound is the larger of the two.
    """
    d = _distances(z)
    p = np.exp(-d) / np.sum(np.exp(-d))
    target = _target(len(z), label, smoothing)
    error = logsumexp_gradient(z, model)
    others = np.arange(len(z)) != label
    summing = model.exponent(0, len(z))
    of_the_sum = np.sum(error[others]) * np.exp(summing) + np.sum(p[others]) * np.expm1(summing)
    error[label] = max(error[label], of_the_sum)
    if smoothing:
        error += target * np.expm1(model.exponent(4))
    return _rounded_sum(np.abs(p - target), error, model)


def _of_cross_entropy(loss: float, error: float, tau: float, model: Model) -> tuple[float, float]:
    """Of e^((1 - tau) L) from a cross-entropy L: the value, and the exponent of its error, but [c].

    The exponent (1 - tau) L is off by (1 - tau) times the error of L; by [1] of itself, and by [1]
    and tau u / |1 - tau| more where tau and 1 - tau are rounded to the format.
    """
    power = abs(1 - tau)
    wrong = power * error + power * loss * model.exponent(2) + tau * loss * model.exponent(1)
    return (1 - tau) * loss, float(wrong)


def comp_sum(z: Vector, label: int, model: Model, tau: float = 0.5) -> Vector:
    """Comp-sum loss expm1((1 - tau) L) / (1 - tau), L the cross-entropy as log1p.

    With t the exponent of ``_of_cross_entropy``, expm1 is off by e^((1-tau) L) (e^t - 1), and by
    [c] of itself; the quotient by [1], and [1] and tau u / |1 - tau| of its divisor.
    """
    loss, error = _cross_entropy_and_error(z, label, model)
    if tau == 1:
        return np.asarray(error)
    power = 1 - tau
    exponent, wrong = _of_cross_entropy(loss, error, tau, model)
    with np.errstate(over="ignore"):
        value = float(np.expm1(exponent)) / power
    units = model.exponent(ELEMENTARY + 2 + tau / abs(power))
    relative = value * float(np.expm1(units))
    with np.errstate(over="ignore"):
        absolute = _growth(exponent, wrong) / abs(power) * float(np.exp(units))
    return np.asarray(SLACK * (relative + absolute) + model.underflow * (1 + 1 / abs(power)))


def _growth(exponent: float, wrong: float) -> float:
    """e^(exponent + wrong) - e^exponent, or more; right also where e^exponent underflows."""
    if wrong > 1:
        return float(np.exp(exponent + wrong))
    return float(np.exp(exponent) * np.expm1(wrong))


def comp_sum_gradient(z: Vector, label: int, model: Model, tau: float = 0.5) -> Vector:
    """Gradient e^((1 - tau) L) (p - onehot): [c] of the power, [1] of the product.

    p - onehot is off as the gradient of the cross-entropy is: its component of the label may be
    p - 1, or minus the sum of the others.
    """
    loss, error = _cross_entropy_and_error(z, label, model)
    exponent, wrong = _of_cross_entropy(loss, error, tau, model)
    direction = np.abs(_softmax(z) - _target(len(z), label, 0.0))
    off = cross_entropy_gradient(z, label, model)
    units = wrong + model.exponent(ELEMENTARY + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        result = direction * _growth(exponent, units)
        result += (off + model.underflow) * np.exp(exponent + units)
    known = np.where(np.isnan(result), np.inf, result)  # an infinite factor of a vanishing one
    return np.asarray(SLACK * known + model.underflow)


def _cross_entropy_and_error(z: Vector, label: int, model: Model) -> tuple[float, float]:
    d = _distances(z)
    tail, _ = _log1p_of_losers(z, model)
    return float(d[label]) + tail, float(cross_entropy(z, label, model))


def _softmax(z: Vector) -> Vector:
    e = np.exp(-_distances(z))
    return np.asarray(e / np.sum(e))


def sum_exponential(z: Vector, label: int, model: Model) -> Vector:
    """``comp_sum`` of tau = 0."""
    return comp_sum(z, label, model, 0.0)


def sum_exponential_gradient(z: Vector, label: int, model: Model) -> Vector:
    """``comp_sum_gradient`` of tau = 0."""
    return comp_sum_gradient(z, label, model, 0.0)


def generalized_cross_entropy(z: Vector, label: int, model: Model, q: float = 0.7) -> Vector:
    """``comp_sum`` of tau = 1 + q."""
    return comp_sum(z, label, model, 1 + q)


def generalized_cross_entropy_gradient(
    z: Vector, label: int, model: Model, q: float = 0.7
) -> Vector:
    """``comp_sum_gradient`` of tau = 1 + q."""
    return comp_sum_gradient(z, label, model, 1 + q)


def mean_absolute_error(z: Vector, label: int, model: Model) -> Vector:
    """``comp_sum`` of tau = 2, or the sum of the other probabilities: the larger of both bounds."""
    p, error = _softmax(z), softmax(z, model)
    others = np.arange(len(z)) != label
    summing = model.exponent(0, len(z))
    of_the_sum = np.sum(error[others]) * np.exp(summing) + np.sum(p[others]) * np.expm1(summing)
    return np.asarray(np.maximum(comp_sum(z, label, model, 2.0), SLACK * of_the_sum))


def mean_absolute_error_gradient(z: Vector, label: int, model: Model) -> Vector:
    """``comp_sum_gradient`` of tau = 2."""
    return comp_sum_gradient(z, label, model, 2.0)


def sigmoid(x: Vector, model: Model) -> Vector:
    """Sigmoid 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0.

    Exponent: [c] of the numerator, [c + 1] of the denominator, [1] of the quotient.
    """
    small = np.exp(-np.abs(x))
    value = np.where(x < 0, small, 1.0) / (1 + small)
    exponent = model.exponent(2 * ELEMENTARY + 2)
    return np.asarray(SLACK * (value * np.expm1(exponent) + model.underflow * np.exp(exponent)))


def softplus(x: Vector, model: Model) -> Vector:
    """Softplus max(x, 0) + log1p(e^-|x|): terms of one sign.

    Exponent: [c] of e^-|x|, which log1p passes on at most (concave, 0 at 0), [c] of log1p; the sum
    rounds once.
    """
    tail = np.log1p(np.exp(-np.abs(x)))
    exponent = model.exponent(2 * ELEMENTARY)
    error = tail * np.expm1(exponent) + model.underflow * np.exp(exponent)
    return _rounded_sum(np.maximum(x, 0) + tail, error, model)


FARTHEST = 1e3  # standard deviations: what is there is 0 in every format


def _gaussian_tail(t: Vector, value: Vector, units: float, model: Model) -> Vector:
    """The error of e^(-t^2/2) g_k(t), t >= 0, g_k(t) = integral of s^(k-1) e^(-ts - s^2/2) ds.

    All three functions below are such for negative arguments, but for a constant.  A rounding of t
    enters t^2/2 as t^2 u, one of t^2 as t^2 u / 2: exponent [3 t^2 / 2], and [c] of the
    exponential, [c] of g_k, units for what g_k makes of the rounding of t and for the operations
    around.  g_k makes [k] of it: -t g_k'/g_k is the mean of ts with weights s^(k-1) e^(-ts -
    s^2/2), which is k without the last, falling, factor (a Gamma distribution), and less with it.
    """
    exponent = model.exponent(1.5 * t * t + 2 * ELEMENTARY + units)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = value * np.expm1(exponent)
    return np.asarray(np.where(value > 0, relative, 0.0) + model.underflow)


def normal_cdf(x: Vector, model: Model, beta: float = 1.0) -> Vector:
    """Phi(-t) for x < 0, t = beta |x|, and 1 less that for x >= 0: k = 1, [1] for the product."""
    t = np.minimum(np.abs(beta * x), FARTHEST)
    tail = np.array([float_normal_cdf(-v) for v in t])
    error = _gaussian_tail(t, tail, 2, model)
    return np.where(x < 0, SLACK * error, _rounded_sum(1 - tail, error, model))


def ria(x: Vector, model: Model, beta: float = 1.0) -> Vector:
    """r(t) / beta for x < 0, x + r(t) / beta for x >= 0, where r(t) = phi(t) - t Phi(-t).

    k = 2, [1] for the product, [1] for the quotient.
    """
    t = np.minimum(np.abs(beta * x), FARTHEST)
    excess = np.array([float_scaled_cylinder(-4 * HALF, v) for v in t]) / np.sqrt(2 * np.pi) / beta
    error = _gaussian_tail(t, excess, 4, model)
    return np.where(x < 0, SLACK * error, _rounded_sum(np.maximum(x, 0) + excess, error, model))


def smoothed_rsqrt(v: Vector, model: Model, width: float = 1.0) -> Vector:
    """G(x) / sqrt(width), x = v / width: k = 1/2 for v < 0; [3] for product, root and quotient.

    For v >= 0 there is no exponential, and the rounding of x makes [5/4].  Proof: r = G'/G is s - x
    in the mean with weights s^(-1/2) e^(-(s - x)^2/2), where the mean of s (s - x) is 1/2, by
    parts; so the mean m of s has m^2 <= x m + 1/2, and x r = x (m - x) <= 1/2.  From G'' + x G' +
    G/2 = 0, r' = -r^2 - x r - 1/2.  r vanishes at 0.7649; where -x <= r <= 0, r' >= -1/2, so
    r >= -0.59 >= -5/(4 x) up to x = 1.94.  From there on r' exceeds the slope of -5/(4 x) wherever
    r meets it, so r stays above.
    """
    x = np.clip(v / width, -FARTHEST, None)
    value = np.array([float_scaled_cylinder(-HALF, -t) for t in x]) / np.sqrt(2 * width)
    return np.asarray(SLACK * _gaussian_tail(np.maximum(-x, 0), value, 4.25, model))


def _stablemax_weights(z: Vector) -> Vector:
    return np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))


def stablemax(z: Vector, model: Model) -> Vector:
    """Stablemax s_k / sum: [2] of s_k, [2] of the terms of the sum and its summation, [1].

    Each s_k may be off by model.underflow more, and the sum by K times that.
    """
    s = _stablemax_weights(z)
    shares = s / np.max(s)  # scaled: the sum itself may overflow here
    with np.errstate(over="ignore"):
        total = np.max(s) * np.sum(shares)
    lost = len(z) * model.underflow / total
    if lost >= 1:
        return np.full(len(z), np.inf)
    exponent = model.exponent(5, len(z)) - np.log1p(-lost)
    relative = shares / np.sum(shares) * np.expm1(exponent)
    below = (model.underflow / total + model.underflow) * np.exp(exponent)
    return np.asarray(SLACK * (relative + below))


def stablemax_cross_entropy(z: Vector, label: int, model: Model) -> Vector:
    """Cross-entropy of stablemax as log1p(sum of the others / s_label): no cancellation.

    Exponent: [2] of each s and the summation, [2] of s_label, [1] of the quotient, [c] of log1p.
    Each s may be off by model.underflow more.
    """
    s = _stablemax_weights(z)
    others = np.delete(s, label)
    if others.size == 0:
        return np.asarray(model.underflow)
    shares = others / np.max(others)
    log_sum = float(np.log(np.max(others)) + np.log(np.sum(shares)))
    value = np.logaddexp(0.0, log_sum - np.log(s[label]))
    with np.errstate(over="ignore"):
        lost = model.underflow / s[label], others.size * model.underflow / np.exp(log_sum)
    if max(lost) >= 1:
        return np.asarray(np.inf)
    exponent = model.exponent(5 + ELEMENTARY, len(z)) - np.log1p(-lost[0]) - np.log1p(-lost[1])
    return np.asarray(SLACK * (value * np.expm1(exponent) + model.underflow * np.exp(exponent)))


BOUNDS: dict[str, Callable[..., Vector]] = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "cross_entropy": cross_entropy,
    "comp_sum": comp_sum,
    "sum_exponential": sum_exponential,
    "generalized_cross_entropy": generalized_cross_entropy,
    "mean_absolute_error": mean_absolute_error,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "normal_cdf": normal_cdf,
    "ria": ria,
    "smoothed_rsqrt": smoothed_rsqrt,
    "stablemax": stablemax,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}
# The form (of the definition) that each bound is proven for.
PROVEN_FORM = {
    "softmax": "shifted",
    "log_softmax": "log1p",
    "logsumexp": "log1p",
    "cross_entropy": "log1p",
    "comp_sum": "log1p",
    "sum_exponential": "log1p",
    "generalized_cross_entropy": "log1p",
    "mean_absolute_error": "others",
    "sigmoid": "by sign",
    "softplus": "log1p",
    "normal_cdf": "as published",
    "ria": "parabolic cylinder",
    "smoothed_rsqrt": "as published",
    "stablemax": "as published",
    "stablemax_cross_entropy": "log1p",
}
GRADIENT_BOUNDS: dict[str, Callable[..., Vector]] = {
    "logsumexp": logsumexp_gradient,
    "cross_entropy": cross_entropy_gradient,
    "comp_sum": comp_sum_gradient,
    "sum_exponential": sum_exponential_gradient,
    "generalized_cross_entropy": generalized_cross_entropy_gradient,
    "mean_absolute_error": mean_absolute_error_gradient,
}


def bound(
    name: str,
    logits: NDArray[Any],
    model: Model,
    *,
    label: int | None = None,
    gradient: bool = False,
    **parameters: float,
) -> Vector | None:
    """The bound of a definition at one row, aligned with its outputs; None where none is proven.

    Masked classes (-inf) take no part; their own outputs are limits, exact, with bound 0.  (Nothing
    is proven of them under label smoothing, nor where exp may be anything: ELEMENTARY u >= 1.)
    """
    function = (GRADIENT_BOUNDS if gradient else BOUNDS).get(name)
    z = np.asarray(logits, dtype=np.float64)
    finite = np.isfinite(z)
    if function is None or ELEMENTARY * model.u >= 1 or (parameters and not finite.all()):
        return None
    arguments: list[Any] = [z[finite]]
    if label is not None:
        if not finite[label]:
            return np.zeros(len(z) if gradient else ())
        arguments.append(int(finite[:label].sum()))
    result = function(*arguments, model, **parameters)
    if result.ndim == 0:
        return result
    whole = np.zeros(len(z))
    whole[finite] = result
    return whole
