"""Proven a-priori rounding-error bounds: how far a good implementation may be from the truth.

Model (Higham 2002, Accuracy and Stability of Numerical Algorithms, sections 2.2 and 4.2).  One
operation + - * / has relative error at most u, the unit roundoff of the arithmetic between the
operations.  exp, log and log1p have relative error at most c u with c = ELEMENTARY.  Below the
normal range each result is off by at most UNDERFLOW smallest subnormals more.  No sum overflows.
Where the arithmetic is wider than the format, the result is rounded to the format once, at the end.

Sums.  A sum is a binary tree of additions with its terms at the leaves.  Each addition multiplies
what is below it by a factor 1 + e, |e| <= v, the unit roundoff of the accumulator.  So a term that
goes through h additions is multiplied by h such factors, and of terms of one sign the sum by a mean
of such products.  ``Model.additions`` is the largest h of n terms:

* ``any`` order, one by one included: n - 1.
* ``pairwise``: halves of n terms, and of them, have at most ceil(n / 2) terms, and so on: by
  induction h = ceil(log2(n)).
* ``blocked``: a term goes through at most min(n, b) - 1 additions of its block, b = BLOCK, whatever
  their order, and the sums of ceil(n / b) blocks are added pairwise: ceil(log2(ceil(n / b))) more.
  (Every tree that is no higher is admitted, such as NumPy's, whose blocks are of 64 to 128 terms in
  8 strands.)

Where the accumulator is wider than the arithmetic, the sum is rounded once more, by u; where it is
narrower, each term is rounded to it, by v.

Errors are bounded in the logarithm, so that no term of second order is dropped: a computed
x (1 + e), |e| <= k u <= c u, is x e^t with |t| <= [k] = k u / (1 - c u).  Exponents t add up, and
the relative error is at most e^t - 1.  ``Model.exponent`` is this sum.

Lemma (*).  m = max z, D_k = m - z_k.  The computed difference is D_k (1 + d), |d| <= u, as one
subtraction rounds once; so the computed exponential is e^(-D_k) e^t with |t| <= D_k u + [c].

Lemma (**).  A sum over e^(-D_k) e^(t_k), |t_k| <= D_k u, is the sum over e^(-D_k) times e^t with
|t| <= u mean(D), the mean taken with weights e^(-(1 - u) D_k).  Proof: g(b) = log sum e^(-b D_k)
is convex, with -g'(b) = mean_b(D), which falls with b.  Upwards, t <= g(1 - u) - g(1) <= u
mean_(1-u)(D).  Downwards, t >= -u mean_1(D) by Jensen's inequality, and mean_1 <= mean_(1-u).

Every bound is an absolute error for each output, in binary64.  Rows are columns here: logits are
(classes,) for one row or (classes, rows) for many, as NumPy is fast along the last axis, and a
label is an integer or one for each row.  Masked classes (-inf) take no part.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.formats import Format, format_of
from ..arithmetic.gaussian import HALF, float_normal_cdf, float_scaled_cylinder

ELEMENTARY = 8.0  # 4 ulp; who computes exp worse is outside of the class, and is found out
LOGARITHM = 2.0  # 1 ulp of log S: with ELEMENTARY a quarter of 1000 classes could be lost
UNDERFLOW = 5.0  # 4 ulp of an exponential and half an ulp of a quotient, in smallest subnormals
SLACK = 1 + 2.0**-20  # for the rounding errors made in evaluating a bound
BLOCK = 128  # terms of a block of a blocked sum
SUMMATIONS = ("blocked", "pairwise", "any")

Vector = NDArray[np.float64]
Label = int | NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """The arithmetic of an implementation.

    Parameters
    ----------
    u, v
        Unit roundoffs of the operations, and of the accumulator of sums.
    underflow
        The absolute error of a result of an operation below the normal range.
    summation
        The order of additions, one of SUMMATIONS.
    elementary
        The relative error of exp, log and log1p, in u.
    result
        The format that results are rounded to at the end; None where the operations are in it.
    flushed
        The absolute error of a result of that format below its normal range, beside rounding.
    """

    u: float
    v: float
    underflow: float
    summation: str = "any"
    elementary: float = ELEMENTARY
    result: Format | None = None
    flushed: float = 0.0

    @classmethod
    @functools.cache  # asked for at every row
    def of(
        cls,
        fmt: Format,
        accumulator: str = "float32",
        flushes: bool = False,
        summation: str = "any",
        arithmetic: str = "input",
        elementary: float = ELEMENTARY,
    ) -> Model:
        """The model of a format with an accumulator and an arithmetic between the operations.

        Both are "input", "float32" or "float64", and never narrower than the format.

        >>> from ..arithmetic.formats import BFLOAT16
        >>> model = Model.of(BFLOAT16, arithmetic="float32")
        >>> model.u == 2.0**-24, model.result == BFLOAT16
        (True, True)
        """
        sums, between = (
            min((fmt, fmt if name == "input" else format_of(name)), key=_roundoff)
            for name in (accumulator, arithmetic)
        )
        smallest = max(f.emin if flushes else f.tiny_exponent for f in (sums, between))
        narrow = fmt if _roundoff(fmt) > _roundoff(between) else None
        return cls(
            _roundoff(between),
            _roundoff(sums),
            UNDERFLOW * 2.0**smallest,
            summation,
            elementary,
            narrow,
            2.0**fmt.emin if narrow and flushes else 0.0,
        )

    def additions(self, terms: Any) -> Any:
        """How many additions a term of a sum of so many terms goes through at most.

        >>> [int(Model(0, 0, 0, s).additions(1000)) for s in SUMMATIONS]
        [130, 10, 999]
        """
        count = np.maximum(terms, 1)
        if self.summation == "any":
            return count - 1
        if self.summation == "pairwise":
            return _ceil_log2(count)
        return np.minimum(count, BLOCK) - 1 + _ceil_log2(-(-count // BLOCK))

    def exponent(self, units: Any, terms: Any = 1) -> Any:
        """[units] and a sum of so many terms: a bound on |log(computed / exact)|."""
        unit = self.u / (1 - self.elementary * self.u)
        summing = self.additions(terms) * (self.v / (1 - self.v))
        # Where both are the same, the sum is kept in the arithmetic, and nothing is converted.
        converted: Any = 0.0
        if self.v != self.u:
            converted = np.where(np.greater(terms, 1), max(self.v / (1 - self.v), unit), 0.0)
        return units * unit + summing + converted

    def rounded(self, value: Any, error: Any) -> Any:
        """The error of a result that is off by ``error`` before it is rounded to its format.

        That is half an ulp more, of the largest number that it can be: |value| + error.
        """
        if self.result is None:
            return error
        reach = np.maximum((np.abs(value) + error) * (1 + 2.0**-30), 2.0**self.result.emin)
        _, exponent = np.frexp(np.where(np.isfinite(reach), reach, 1.0))
        half = np.ldexp(0.5, exponent - self.result.precision)
        return np.where(np.isfinite(reach), error + half + self.flushed, np.inf)


def _roundoff(fmt: Format) -> float:
    return float(fmt.unit_roundoff)


def _ceil_log2(count: Any) -> Any:
    """ceil(log2(n)) of integers n >= 1, exactly: the bits of n - 1."""
    return np.frexp(np.asarray(count, dtype=np.float64) - 1)[1]


class Bound(NamedTuple):
    """|exact results| and their errors before they are rounded to a narrower format."""

    value: Vector
    error: Vector


class SharedError(NamedTuple):
    """Errors of the outputs of a row, apart into what all have in common and what each has.

    For some number t, the same for all outputs of a row, |t| <= ``common``, each output is within
    ``own`` of exact + t ``share``.
    """

    common: Vector
    share: Vector
    own: Vector


def _distances(z: Vector) -> Vector:
    with np.errstate(over="ignore"):
        return np.asarray(np.max(z, axis=0) - z, dtype=np.float64)


def _near(d: Vector) -> Vector:
    """Distances, 0 where they are infinite (there the exponential is 0)."""
    return np.where(d < np.inf, d, 0.0)


def _classes(z: Vector) -> Any:
    """How many classes of each row take part."""
    return np.sum(np.isfinite(z), axis=0)


def _at(values: Vector, label: Label) -> Vector:
    return np.asarray(np.take_along_axis(values, np.asarray(label)[None], axis=0)[0])


def _is_other(z: Vector, label: Label) -> NDArray[np.bool_]:
    """Whether each class is not that of the label; masked classes are none."""
    classes = np.arange(len(z)).reshape(-1, *(1 for _ in z.shape[1:]))
    return np.asarray((classes != label) & np.isfinite(z))


def _divisor(d: Vector, z: Vector, model: Model) -> Vector:
    """The exponent of the error of sum e^(-D_k), and of one operation more; see ``softmax``."""
    classes = _classes(z)
    lost = classes * model.underflow
    units = model.elementary + np.log(classes) / (1 - model.u) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        exponent = model.exponent(units, classes) - np.log1p(-lost)
    return np.asarray(np.where(lost < 1, exponent, np.inf))


def softmax(z: Vector, model: Model) -> Bound:
    """Shifted softmax e^(z_k - m) / sum.

    Exponent of the error: D_k u + [c] of the numerator by (*); [c], u mean(D) and the summation by
    (**), with mean(D) <= log K / (1 - u), since b mean_b(D) is the entropy of the weights less
    log(1 / p_max); [1] of the quotient.  Each of the K exponentials may be off by model.underflow
    more, which divides a sum >= 1 by at least 1 - K underflow.  (To first order p_k ((D_k + 2c +
    log K + 1) u + h v), h = model.additions(K); cf. Blanchard, Higham, Higham 2021, Theorem 4.2.)

    >>> from ..arithmetic.formats import BINARY32
    >>> bound = softmax(np.zeros(4), Model.of(BINARY32))
    >>> round(float(bound.error[0] / 2**-25), 1)  # p = 1/4, ulp(p) = 2^-25
    10.7
    """
    d = _distances(z)
    total = np.sum(np.exp(-d), axis=0)
    divisor = _divisor(d, z, model)
    exponent = divisor + model.exponent(_near(d) + model.elementary)
    with np.errstate(over="ignore", invalid="ignore"):
        # p (e^t - 1), written so that it is right also where p alone underflows in binary64.
        relative = -np.exp(exponent - d) * np.expm1(-exponent) / total
        error = np.where(divisor < np.inf, relative + model.underflow * np.exp(divisor), np.inf)
    return Bound(np.exp(-d) / total, np.where(np.isfinite(z), error, 0.0))


def shared_softmax(z: Vector, model: Model) -> SharedError:
    """The errors of ``softmax``: all outputs of a row have the divisor in common.

    With T the exponent of the divisor and t that of the numerator, the result is off by p_k times
    (e^T - 1) + e^T (e^t - 1), of which the first factor is the same for all k.
    """
    d = _distances(z)
    total = np.sum(np.exp(-d), axis=0)
    divisor = _divisor(d, z, model)
    exponent = model.exponent(_near(d) + model.elementary)
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.exp(divisor)
        own = -np.exp(exponent - d) * np.expm1(-exponent) / total * grown + model.underflow * grown
        return SharedError(np.expm1(divisor), np.exp(-d) / total, own)


def _log1p_of_losers(z: Vector, model: Model) -> tuple[Vector, Vector]:
    """L = log1p(T), T the sum of e^(-D_k) over all but one maximum, and the error of L computed.

    Exponent of T: [c], u mean(D) and the summation by (**).  log1p is concave and vanishes at 0, so
    log1p(e^t T) <= e^t log1p(T): L inherits at most the exponent of T, and [c] of log1p.  Each of
    the K - 1 exponentials may be off by model.underflow more.
    """
    d = _distances(z)
    lead = np.argmax(z, axis=0)[None]
    e, weights = np.exp(-d), np.exp(-(1 - model.u) * d)
    for terms in (e, weights):
        np.put_along_axis(terms, lead, 0.0, axis=0)
    total = np.sum(e, axis=0)
    others = _classes(z) - 1
    below = others * model.underflow
    mean = np.sum(weights * _near(d), axis=0) / np.maximum(np.sum(weights, axis=0), 2.0**-1074)
    loss = np.log1p(total)
    exponent = model.exponent(mean + 2 * model.elementary, others)
    with np.errstate(over="ignore", invalid="ignore"):
        error = loss * np.expm1(exponent) + below * np.exp(exponent)
    # D > 745: L is below 2^-1074, and so is its error
    return loss, np.asarray(np.where(total == 0, below + 2.0**-1074, error))


def log_softmax(z: Vector, model: Model) -> Bound:
    """Log-softmax -(D_k + log1p(T)), T the sum over all but one maximum.

    Both terms have one sign: no cancellation, so the bound is relative for *every* output, also
    for the log-probability of a dominating class, where log(1 + T) would return 0.  The difference
    rounds by u D_k; the sum of both rounds once more.
    """
    d = _distances(z)
    loss, error = _log1p_of_losers(z, model)
    of_the_sum = _rounded_sum(d + loss, model.u * d + error, model)
    return Bound(d + loss, np.where(np.isfinite(z), of_the_sum.error, 0.0))


def shared_log_softmax(z: Vector, model: Model) -> SharedError:
    """The errors of ``log_softmax``: all outputs of a row have that of log1p(T) in common."""
    d = _near(_distances(z))
    loss, error = _log1p_of_losers(z, model)
    own = model.u * d + model.u * (d + loss + model.u * d + error) + model.underflow
    return SharedError(error, np.ones_like(d), own)


def logsumexp(z: Vector, model: Model) -> Bound:
    """Log-sum-exp m + log1p(T): the error of log1p(T), and one rounding of the result.

    Where m and log1p(T) cancel, the problem itself is ill conditioned and the bound is absolute.
    """
    loss, error = _log1p_of_losers(z, model)
    return _rounded_sum(np.abs(np.max(z, axis=0) + loss), error, model)


def _rounded_sum(value: Any, error: Any, model: Model) -> Bound:
    """A sum that is off by ``error`` before its last addition rounds."""
    error = error + model.u * (value + error) + model.underflow
    return Bound(np.asarray(value), np.asarray(error))


def cross_entropy(z: Vector, label: Label, model: Model, smoothing: float = 0.0) -> Bound:
    """Cross-entropy sum_k t_k D_k + log1p(T): terms of one sign.

    Without smoothing the first sum is D_label alone.  With it, K products t_k D_k and their sum:
    [5] for three roundings of t_k, one of D_k, one of the product.
    """
    d = _distances(z)
    loss, error = _log1p_of_losers(z, model)
    if smoothing == 0:
        first = _at(d, label)
        first_error = model.u * first
    else:
        first = np.sum(_target(z, label, smoothing) * d, axis=0)
        first_error = first * np.expm1(model.exponent(5, len(z)))
    return _rounded_sum(first + loss, first_error + error, model)


def _target(z: Vector, label: Label, smoothing: float) -> Vector:
    classes = np.arange(len(z)).reshape(-1, *(1 for _ in z.shape[1:]))
    return np.where(classes == label, 1 - smoothing, 0.0) + smoothing / len(z)


def _exp_of_log_softmax(z: Vector, model: Model) -> Bound:
    """p_k as e^(l_k), l_k = -(D_k + log S) in the arithmetic: what is at hand where l is stored.

    S = sum e^(-D) has the exponent t of softmax's divisor.  log S is off by t, and by [2] of what
    it is then (LOGARITHM); D_k by u D_k; their sum rounds once, by u (D_k + log S + these errors).
    The absolute error of l_k is the exponent of the error of e^(l_k), with [c] for the exponential:
    about twice that of the quotient where D_k is large.
    """
    d = _distances(z)
    log_sum = np.log(np.sum(np.exp(-d), axis=0))
    of_the_sum = _divisor(d, z, model)
    near = _near(d)
    error = model.u * near + of_the_sum + (log_sum + of_the_sum) * model.exponent(LOGARITHM)
    error = error * (1 + model.u) + model.u * (near + log_sum)
    exponent = error + model.exponent(model.elementary)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = -np.exp(exponent - d - log_sum) * np.expm1(-exponent)
        relative = np.where(np.isinf(exponent), np.inf, np.where(d < np.inf, relative, 0.0))
    error = np.where(np.isfinite(z), relative + model.underflow, 0.0)
    return Bound(np.exp(-d - log_sum), error)


def logsumexp_gradient(z: Vector, model: Model) -> Bound:
    """Softmax, as a quotient or as e^(log-softmax): the larger of the two bounds."""
    quotient = softmax(z, model)
    return Bound(quotient.value, np.maximum(quotient.error, _exp_of_log_softmax(z, model).error))


def _sum_of(p: Vector, error: Vector, which: NDArray[np.bool_], model: Model) -> Vector:
    """The error of the sum of some probabilities that are off by ``error``."""
    summing = model.exponent(0, np.sum(which, axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(np.where(which, error, 0.0), axis=0) * np.exp(summing)
    return np.asarray(total + np.sum(np.where(which, p, 0.0), axis=0) * np.expm1(summing))


def sum_of_the_others(z: Vector, label: Label, model: Model) -> Bound:
    """The probabilities of all classes but one, added: each as in ``logsumexp_gradient``."""
    each = logsumexp_gradient(z, model)
    which = _is_other(z, label)
    value = np.sum(np.where(which, each.value, 0.0), axis=0)
    return _rounded_sum(value, _sum_of(each.value, each.error, which, model), model)


def cross_entropy_gradient(z: Vector, label: Label, model: Model, smoothing: float = 0.0) -> Bound:
    """Gradient p_k - t_k: the error of p_k, [4] of t_k, one rounding of the difference.

    p_k is as in ``logsumexp_gradient``.
    The component of the label may be p - 1, or minus the sum of the others (and of their errors),
    which keeps its accuracy as p tends to 1: the bound is the larger of the two.
    """
    each = logsumexp_gradient(z, model)
    others = _is_other(z, label)
    of_the_sum = _sum_of(each.value, each.error, others, model)
    error = np.where(others, each.error, np.maximum(each.error, of_the_sum))
    error = np.where(np.isfinite(z), error, 0.0)
    target = _target(z, label, smoothing)
    if smoothing:
        error = error + target * np.expm1(model.exponent(4))
    rounded = _rounded_sum(np.abs(each.value - target), error, model)
    return Bound(rounded.value, np.where(np.isfinite(z), rounded.error, 0.0))


def _of_cross_entropy(loss: Vector, error: Vector, tau: float, model: Model) -> tuple[Any, Any]:
    """Of e^((1 - tau) L) from a cross-entropy L: the value, and the exponent of its error, but [c].

    The exponent (1 - tau) L is off by (1 - tau) times the error of L; by [1] of itself, and by [1]
    and tau u / |1 - tau| more where tau and 1 - tau are rounded to the format.
    """
    power = abs(1 - tau)
    wrong = power * error + power * loss * model.exponent(2) + tau * loss * model.exponent(1)
    return (1 - tau) * loss, wrong


def comp_sum(z: Vector, label: Label, model: Model, tau: float = 0.5) -> Bound:
    """Comp-sum loss expm1((1 - tau) L) / (1 - tau), L the cross-entropy as log1p.

    With t the exponent of ``_of_cross_entropy``, expm1 is off by e^((1-tau) L) (e^t - 1), and by
    [c] of itself; the quotient by [1], and [1] and tau u / |1 - tau| of its divisor.
    """
    loss, error = cross_entropy(z, label, model)
    if tau == 1:
        return Bound(loss, error)
    power = 1 - tau
    exponent, wrong = _of_cross_entropy(loss, error, tau, model)
    units = model.exponent(model.elementary + 2 + tau / abs(power))
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.expm1(exponent) / power
        relative = value * np.expm1(units)
        absolute = _growth(exponent, wrong) / abs(power) * np.exp(units)
    return Bound(value, np.asarray(relative + absolute + model.underflow * (1 + 1 / abs(power))))


def _growth(exponent: Any, wrong: Any) -> Any:
    """e^(exponent + wrong) - e^exponent, or more; right also where e^exponent underflows."""
    grown = np.exp(exponent + wrong)
    return np.where(wrong > 1, grown, np.exp(exponent) * np.expm1(np.minimum(wrong, 1.0)))


def comp_sum_gradient(z: Vector, label: Label, model: Model, tau: float = 0.5) -> Bound:
    """Gradient e^((1 - tau) L) (p - onehot): [c] of the power, [1] of the product.

    p - onehot is off as the gradient of the cross-entropy is: its component of the label may be
    p - 1, or minus the sum of the others.
    """
    loss, error = cross_entropy(z, label, model)
    exponent, wrong = _of_cross_entropy(loss, error, tau, model)
    direction, off = cross_entropy_gradient(z, label, model)
    units = wrong + model.exponent(model.elementary + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        value = direction * np.exp(exponent)
        result = direction * _growth(exponent, units)
        result += (off + model.underflow) * np.exp(exponent + units)
    known = np.where(np.isnan(result), np.inf, result)  # an infinite factor of a vanishing one
    known = np.where(np.isfinite(z), known + model.underflow, 0.0)
    return Bound(np.where(np.isnan(value), 0.0, value), known)


def sum_exponential(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum`` of tau = 0."""
    return comp_sum(z, label, model, 0.0)


def sum_exponential_gradient(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum_gradient`` of tau = 0."""
    return comp_sum_gradient(z, label, model, 0.0)


def generalized_cross_entropy(z: Vector, label: Label, model: Model, q: float = 0.7) -> Bound:
    """``comp_sum`` of tau = 1 + q."""
    return comp_sum(z, label, model, 1 + q)


def generalized_cross_entropy_gradient(
    z: Vector, label: Label, model: Model, q: float = 0.7
) -> Bound:
    """``comp_sum_gradient`` of tau = 1 + q."""
    return comp_sum_gradient(z, label, model, 1 + q)


def mean_absolute_error(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum`` of tau = 2, or the sum of the other probabilities: the larger of both bounds."""
    p, error = softmax(z, model)
    of_the_sum = _sum_of(p, error, _is_other(z, label), model)
    whole = comp_sum(z, label, model, 2.0)
    return Bound(whole.value, np.maximum(whole.error, of_the_sum))


def mean_absolute_error_gradient(z: Vector, label: Label, model: Model) -> Bound:
    """``comp_sum_gradient`` of tau = 2."""
    return comp_sum_gradient(z, label, model, 2.0)


def sigmoid(x: Vector, model: Model) -> Bound:
    """Sigmoid 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0.

    Exponent: [c] of the numerator, [c + 1] of the denominator, [1] of the quotient.
    """
    small = np.exp(-np.abs(x))
    value = np.where(x < 0, small, 1.0) / (1 + small)
    exponent = model.exponent(2 * model.elementary + 2)
    return Bound(value, value * np.expm1(exponent) + model.underflow * np.exp(exponent))


def softplus(x: Vector, model: Model) -> Bound:
    """Softplus max(x, 0) + log1p(e^-|x|): terms of one sign.

    Exponent: [c] of e^-|x|, which log1p passes on at most (concave, 0 at 0), [c] of log1p; the sum
    rounds once.
    """
    tail = np.log1p(np.exp(-np.abs(x)))
    exponent = model.exponent(2 * model.elementary)
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
    exponent = model.exponent(1.5 * t * t + 2 * model.elementary + units)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = value * np.expm1(exponent)
    return np.asarray(np.where(value > 0, relative, 0.0) + model.underflow)


def normal_cdf(x: Vector, model: Model, beta: float = 1.0) -> Bound:
    """Phi(-t) for x < 0, t = beta |x|, and 1 less that for x >= 0: k = 1, [1] for the product."""
    t = np.minimum(np.abs(beta * x), FARTHEST)
    tail = _each(lambda v: float_normal_cdf(-v), t)
    return _by_sign(x, tail, 1 - tail, _gaussian_tail(t, tail, 2, model), model)


def _each(function: Callable[[float], float], numbers: Vector) -> Vector:
    return np.array([function(v) for v in numbers.flat]).reshape(numbers.shape)


def _by_sign(x: Vector, left: Vector, right: Vector, error: Vector, model: Model) -> Bound:
    """A tail for x < 0, off by ``error``, and for x >= 0 a sum with it."""
    of_the_sum = _rounded_sum(right, error, model)
    return Bound(np.where(x < 0, left, right), np.where(x < 0, error, of_the_sum.error))


def ria(x: Vector, model: Model, beta: float = 1.0) -> Bound:
    """r(t) / beta for x < 0, x + r(t) / beta for x >= 0, where r(t) = phi(t) - t Phi(-t).

    k = 2, [1] for the product, [1] for the quotient.
    """
    t = np.minimum(np.abs(beta * x), FARTHEST)
    excess = _each(lambda v: float_scaled_cylinder(-4 * HALF, v), t) / np.sqrt(2 * np.pi) / beta
    error = _gaussian_tail(t, excess, 4, model)
    return _by_sign(x, excess, np.maximum(x, 0) + excess, error, model)


def smoothed_rsqrt(v: Vector, model: Model, width: float = 1.0) -> Bound:
    """G(x) / sqrt(width), x = v / width: k = 1/2 for v < 0; [3] for product, root and quotient.

    For v >= 0 there is no exponential, and the rounding of x makes [5/4].  Proof: r = G'/G is s - x
    in the mean with weights s^(-1/2) e^(-(s - x)^2/2), where the mean of s (s - x) is 1/2, by
    parts; so the mean m of s has m^2 <= x m + 1/2, and x r = x (m - x) <= 1/2.  From G'' + x G' +
    G/2 = 0, r' = -r^2 - x r - 1/2.  r vanishes at 0.7649; where -x <= r <= 0, r' >= -1/2, so
    r >= -0.59 >= -5/(4 x) up to x = 1.94.  From there on r' exceeds the slope of -5/(4 x) wherever
    r meets it, so r stays above.
    """
    x = np.clip(v / width, -FARTHEST, None)
    value = _each(lambda t: float_scaled_cylinder(-HALF, -t), x) / np.sqrt(2 * width)
    return Bound(value, _gaussian_tail(np.maximum(-x, 0), value, 4.25, model))


def _stablemax_weights(z: Vector) -> Vector:
    return np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))


def stablemax(z: Vector, model: Model) -> Bound:
    """Stablemax s_k / sum: [2] of s_k, [2] of the terms of the sum and its summation, [1].

    Each s_k may be off by model.underflow more, and the sum by K times that.
    """
    shares, total = _stablemax_shares(z)
    divisor, lost = _stablemax_divisor(z, total, model)
    exponent = divisor + model.exponent(2)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = shares / np.sum(shares, axis=0) * np.expm1(exponent)
        below = (model.underflow / total + model.underflow) * np.exp(exponent)
        error = np.where(lost < 1, relative + below, np.inf)
    return Bound(shares / np.sum(shares, axis=0), np.where(np.isfinite(z), error, 0.0))


def _stablemax_shares(z: Vector) -> tuple[Vector, Vector]:
    """The weights over their maximum, and the sum of the weights."""
    s = _stablemax_weights(z)
    shares = s / np.max(s, axis=0)  # scaled: the sum itself may overflow here
    with np.errstate(over="ignore"):
        return shares, np.max(s, axis=0) * np.sum(shares, axis=0)


def _stablemax_divisor(z: Vector, total: Vector, model: Model) -> tuple[Vector, Vector]:
    """The exponent of the divisor's error and of the quotient's, and the share that underflows."""
    lost = _classes(z) * model.underflow / total
    with np.errstate(invalid="ignore", divide="ignore"):
        return model.exponent(3, _classes(z)) - np.log1p(-lost), lost


def shared_stablemax(z: Vector, model: Model) -> SharedError:
    """The errors of ``stablemax``: all outputs of a row have the divisor in common."""
    shares, total = _stablemax_shares(z)
    divisor, _ = _stablemax_divisor(z, total, model)
    share = shares / np.sum(shares, axis=0)
    exponent = model.exponent(2)
    with np.errstate(over="ignore", invalid="ignore"):
        below = (model.underflow / total + model.underflow) * np.exp(divisor + exponent)
        own = share * np.exp(divisor) * np.expm1(exponent) + below
        return SharedError(np.expm1(divisor), share, own)


def stablemax_cross_entropy(z: Vector, label: Label, model: Model) -> Bound:
    """Cross-entropy of stablemax as log1p(sum of the others / s_label): no cancellation.

    Exponent: [2] of each s and the summation, [2] of s_label, [1] of the quotient, [c] of log1p.
    Each s may be off by model.underflow more.
    """
    s = _stablemax_weights(z)
    which = _is_other(z, label)
    count = np.sum(which, axis=0)
    others = np.where(which, s, 0.0)
    own = _at(s, label)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        most = np.max(others, axis=0)
        log_sum = np.log(most) + np.log(np.sum(others / most, axis=0))
        value = np.logaddexp(0.0, log_sum - np.log(own))
        lost = model.underflow / own, count * model.underflow / np.exp(log_sum)
        exponent = model.exponent(5 + model.elementary, _classes(z))
        exponent = exponent - np.log1p(-lost[0]) - np.log1p(-lost[1])
        error = value * np.expm1(exponent) + model.underflow * np.exp(exponent)
        error = np.where(np.maximum(*lost) < 1, error, np.inf)
    alone = count == 0
    return Bound(np.where(alone, 0.0, value), np.where(alone, model.underflow, error))


BOUNDS: dict[str, Callable[..., Bound]] = {
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
GRADIENT_BOUNDS: dict[str, Callable[..., Bound]] = {
    "logsumexp": logsumexp_gradient,
    "cross_entropy": cross_entropy_gradient,
    "comp_sum": comp_sum_gradient,
    "sum_exponential": sum_exponential_gradient,
    "generalized_cross_entropy": generalized_cross_entropy_gradient,
    "mean_absolute_error": mean_absolute_error_gradient,
}


# Definitions whose outputs have a part of their errors in common.
SHARED_ERRORS: dict[str, Callable[[Vector, Model], SharedError]] = {
    "softmax": shared_softmax,
    "log_softmax": shared_log_softmax,
    "stablemax": shared_stablemax,
}
_OF_ONE_REAL = ("sigmoid", "softplus", "normal_cdf", "ria", "smoothed_rsqrt")


def bound(
    name: str,
    logits: NDArray[Any],
    model: Model,
    *,
    label: Label | None = None,
    gradient: bool = False,
    **parameters: float,
) -> Vector | None:
    """The bound of a definition, aligned with its outputs; None where none is proven.

    Masked classes (-inf) take no part; their own outputs are limits, exact, with bound 0.  (Nothing
    is proven of them under label smoothing, nor where exp may be anything: ELEMENTARY u >= 1.)

    Parameters
    ----------
    name
        The definition.
    logits
        One row, (classes,), or many, (classes, rows); for a function of one real any numbers.
    model
        The arithmetic.
    label
        The right class, or one for each row, where the definition takes it.
    gradient
        Whether the bound is that of the gradient.
    **parameters
        Those of the definition, where they have not their defaults.
    """
    function = (GRADIENT_BOUNDS if gradient else BOUNDS).get(name)
    z = np.asarray(logits, dtype=np.float64)
    finite = np.isfinite(z)
    unproven = parameters and not finite.all() and name not in _OF_ONE_REAL
    if function is None or model.elementary * model.u >= 1 or unproven:
        return None
    there = finite
    with np.errstate(over="ignore", invalid="ignore"):
        if name in _OF_ONE_REAL:
            known = function(np.where(finite, z, 0.0), model, **parameters)
        elif label is None:
            known = function(z, model, **parameters)
        else:
            known = function(z, label, model, **parameters)
            there = finite & np.isfinite(_at(z, label))
        if known.value.ndim < z.ndim:  # one number for each row
            there = np.asarray(True) if label is None else np.isfinite(_at(z, label))
        error = model.rounded(known.value, SLACK * known.error)
    return np.asarray(np.where(there, error, 0.0))


def shared_error(name: str, logits: NDArray[Any], model: Model) -> SharedError | None:
    """The errors of the outputs of rows, with what they have in common apart; see ``SharedError``.

    None where the outputs have nothing in common.  Arguments are those of ``bound``.
    """
    function = SHARED_ERRORS.get(name)
    if function is None or model.elementary * model.u >= 1:
        return None
    z = np.asarray(logits, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        known = function(z, model)
        total = SLACK * (known.own + known.common * known.share)
        rounding = model.rounded(BOUNDS[name](z, model).value, total) - total
    own = np.where(np.isfinite(total), SLACK * known.own + rounding, np.inf)
    own = np.where(np.isfinite(z), own, 0.0)
    return SharedError(SLACK * known.common, np.where(np.isfinite(z), known.share, 0.0), own)
