"""Error bounds of softmax, log-softmax and log-sum-exp; the lemmas (*) and (**) are in model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .declare import error_bound, gradient_bound, product_bound, shared_error
from .logits import count_classes, distances, finite_or_zero, is_other
from .model import LOGARITHM, Bound, Label, Model, SharedError, Vector, rounded_sum


def _divisor(d: Vector, z: Vector, model: Model) -> Vector:
    """The exponent of the error of sum e^(-D_k), and of one operation more; see ``softmax``."""
    classes = count_classes(z)
    lost = classes * model.underflow
    units = model.elementary + np.log(classes) / (1 - model.u) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        exponent = model.exponent(units, classes) - np.log1p(-lost)
    return np.asarray(np.where(lost < 1, exponent, np.inf))


@error_bound("softmax", form="shifted")
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
    d = distances(z)
    total = np.sum(np.exp(-d), axis=0)
    divisor = _divisor(d, z, model)
    exponent = divisor + model.exponent(finite_or_zero(d) + model.elementary)
    with np.errstate(over="ignore", invalid="ignore"):
        # p (e^t - 1), written so that it is right also where p alone underflows in binary64.
        relative = -np.exp(exponent - d) * np.expm1(-exponent) / total
        error = np.where(divisor < np.inf, relative + model.underflow * np.exp(divisor), np.inf)
    return Bound(np.exp(-d) / total, np.where(np.isfinite(z), error, 0.0))


@shared_error("softmax")
def shared_softmax(z: Vector, model: Model) -> SharedError:
    """The errors of ``softmax``: all outputs of a row have the divisor in common.

    With T the exponent of the divisor and t that of the numerator, the result is off by p_k times
    (e^T - 1) + e^T (e^t - 1), of which the first factor is the same for all k.
    """
    d = distances(z)
    total = np.sum(np.exp(-d), axis=0)
    divisor = _divisor(d, z, model)
    exponent = model.exponent(finite_or_zero(d) + model.elementary)
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.exp(divisor)
        own = -np.exp(exponent - d) * np.expm1(-exponent) / total * grown + model.underflow * grown
        return SharedError(np.expm1(divisor), np.exp(-d) / total, own)


def log1p_of_other_classes(z: Vector, model: Model) -> tuple[Vector, Vector]:
    """L = log1p(T), T the sum of e^(-D_k) over all but one maximum, with its error as computed.

    Exponent of T: [c], u mean(D) and the summation by (**). log1p is concave and vanishes at 0, so
    log1p(e^t T) <= e^t log1p(T): L inherits at most the exponent of T, and [c] of log1p. Each of
    the K - 1 exponentials may be off by model.underflow more.

    Parameters
    ----------
    z
        Logits, (classes,) or (classes, rows).
    model
        The arithmetic.

    Returns
    -------
    tuple of Vector
        L, and the largest error of it, one for each row.
    """
    d = distances(z)
    lead = np.argmax(z, axis=0)[None]
    e, weights = np.exp(-d), np.exp(-(1 - model.u) * d)
    for terms in (e, weights):
        np.put_along_axis(terms, lead, 0.0, axis=0)
    total = np.sum(e, axis=0)
    others = count_classes(z) - 1
    below = others * model.underflow
    weight = np.maximum(np.sum(weights, axis=0), 2.0**-1074)
    mean = np.sum(weights * finite_or_zero(d), axis=0) / weight
    loss = np.log1p(total)
    exponent = model.exponent(mean + 2 * model.elementary, others)
    with np.errstate(over="ignore", invalid="ignore"):
        error = loss * np.expm1(exponent) + below * np.exp(exponent)
    # D > 745: L is below 2^-1074, and so is its error
    return loss, np.asarray(np.where(total == 0, below + 2.0**-1074, error))


@error_bound("log_softmax", form="log1p")
def log_softmax(z: Vector, model: Model) -> Bound:
    """Log-softmax -(D_k + log1p(T)), T the sum over all but one maximum.

    Both terms have one sign: no cancellation, so the bound is relative for *every* output, also
    for the log-probability of a dominating class, where log(1 + T) would return 0.  The difference
    rounds by u D_k; the sum of both rounds once more.
    """
    d = distances(z)
    loss, error = log1p_of_other_classes(z, model)
    of_the_sum = rounded_sum(d + loss, model.u * d + error, model)
    return Bound(d + loss, np.where(np.isfinite(z), of_the_sum.error, 0.0))


@shared_error("log_softmax")
def shared_log_softmax(z: Vector, model: Model) -> SharedError:
    """The errors of ``log_softmax``: all outputs of a row have that of log1p(T) in common."""
    d = finite_or_zero(distances(z))
    loss, error = log1p_of_other_classes(z, model)
    own = model.u * d + model.u * (d + loss + model.u * d + error) + model.underflow
    return SharedError(error, np.ones_like(d), own)


@error_bound("logsumexp", form="log1p")
def logsumexp(z: Vector, model: Model) -> Bound:
    """Log-sum-exp m + log1p(T): the error of log1p(T), and one rounding of the result.

    Where m and log1p(T) cancel, the problem itself is ill conditioned and the bound is absolute.
    """
    loss, error = log1p_of_other_classes(z, model)
    return rounded_sum(np.abs(np.max(z, axis=0) + loss), error, model)


def _exp_of_log_softmax(z: Vector, model: Model) -> Bound:
    """p_k as e^(l_k), l_k = -(D_k + log S) in the arithmetic: what is at hand where l is stored.

    S = sum e^(-D) has the exponent t of softmax's divisor.  log S is off by t, and by [2] of what
    it is then (LOGARITHM); D_k by u D_k; their sum rounds once, by u (D_k + log S + these errors).
    The absolute error of l_k is the exponent of the error of e^(l_k), with [c] for the exponential:
    about twice that of the quotient where D_k is large.
    """
    d = distances(z)
    log_sum = np.log(np.sum(np.exp(-d), axis=0))
    of_the_sum = _divisor(d, z, model)
    near = finite_or_zero(d)
    error = model.u * near + of_the_sum + (log_sum + of_the_sum) * model.exponent(LOGARITHM)
    error = error * (1 + model.u) + model.u * (near + log_sum)
    exponent = error + model.exponent(model.elementary)
    with np.errstate(over="ignore", invalid="ignore"):
        relative = -np.exp(exponent - d - log_sum) * np.expm1(-exponent)
        relative = np.where(np.isinf(exponent), np.inf, np.where(d < np.inf, relative, 0.0))
    error = np.where(np.isfinite(z), relative + model.underflow, 0.0)
    return Bound(np.exp(-d - log_sum), error)


@gradient_bound("logsumexp")
def logsumexp_gradient(z: Vector, model: Model) -> Bound:
    """Softmax, as a quotient or as e^(log-softmax): the larger of the two bounds."""
    quotient = softmax(z, model)
    return Bound(quotient.value, np.maximum(quotient.error, _exp_of_log_softmax(z, model).error))


def error_of_sum(p: Vector, error: Vector, which: NDArray[np.bool_], model: Model) -> Vector:
    """The error of the sum of some probabilities that are themselves off by `error`.

    Parameters
    ----------
    p
        The exact probabilities, (classes,) or (classes, rows).
    error
        The error of each.
    which
        Which of them are added.
    model
        The arithmetic.

    Returns
    -------
    Vector
        The largest error, one for each row.
    """
    summing = model.exponent(0, np.sum(which, axis=0))
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(np.where(which, error, 0.0), axis=0) * np.exp(summing)
    return np.asarray(total + np.sum(np.where(which, p, 0.0), axis=0) * np.expm1(summing))


def sum_of_the_others(z: Vector, label: Label, model: Model) -> Bound:
    """The sum of the probabilities of all classes but one, each as in `logsumexp_gradient`.

    Parameters
    ----------
    z
        Logits, (classes,) or (classes, rows).
    label
        The class that is left out, or one for each row.
    model
        The arithmetic.

    Returns
    -------
    Bound
        The sum, and its error, one for each row.
    """
    each = logsumexp_gradient(z, model)
    which = is_other(z, label)
    value = np.sum(np.where(which, each.value, 0.0), axis=0)
    return rounded_sum(value, error_of_sum(each.value, each.error, which, model), model)


@product_bound("softmax")
def softmax_product(
    p: Sequence[Fraction], weights: Sequence[Fraction], relative: Fraction, u: Fraction
) -> Iterator[tuple[Fraction, Fraction]]:
    """Each p_k (g_k - s), s = sum g_k p_k, of the product of weights g and Jacobian, and its error.

    With probabilities right to r relative, which counts the sum as well, s is off by r sum |g_k|
    p_k, so p (g - s) by 2 r p (|g| + sum |g_k| p_k).  (The second order is in the factor 2, and the
    last rounding.)
    """
    mean = sum((w * v for w, v in zip(weights, p, strict=True)), Fraction(0))
    size = sum((abs(w) * v for w, v in zip(weights, p, strict=True)), Fraction(0))
    for w, v in zip(weights, p, strict=True):
        yield v * (w - mean), 2 * relative * v * (abs(w) + size)


@product_bound("log_softmax")
def log_softmax_product(
    p: Sequence[Fraction], weights: Sequence[Fraction], relative: Fraction, u: Fraction
) -> Iterator[tuple[Fraction, Fraction]]:
    """Each g_k - p_k sum g, the product of weights g with the Jacobian, and its error.

    With probabilities right to r relative, which counts the sum as well: r p sum |g|, twice as in
    ``softmax_product``, and 2 u |g|.
    """
    total = sum(weights, Fraction(0))
    size = sum((abs(w) for w in weights), Fraction(0))
    for w, v in zip(weights, p, strict=True):
        yield w - v * total, 2 * relative * v * size + 2 * u * abs(w)
