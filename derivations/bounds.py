"""Proven a-priori rounding-error bounds: how far a good implementation may be from the truth.

Model (Higham 2002, Accuracy and Stability of Numerical Algorithms, sections 2.2 and 4.2).  One
operation + - * / in the format has relative error at most u.  exp, log and log1p have relative
error at most c u with c = ELEMENTARY.  A sum of n terms of one sign, in any order, in an
accumulator of unit roundoff v, has relative error at most gamma = (n-1) v / (1 - (n-1) v).  Below
the normal range each result is off by at most UNDERFLOW smallest subnormals more.  Terms of second
order in u are covered by the factor SLACK.

Common lemma (*).  m = max z, D_k = m - z_k.  The computed difference is D_k (1 + d), |d| <= u,
since a subtraction rounds once; e^(-D_k (1 + d)) = e^(-D_k) e^(-d D_k), so the computed exponential
has relative error at most (D_k + c) u to first order.

Every bound is returned as an absolute error for each output, in binary64, for the given row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .formats import Format, format_of

ELEMENTARY = 8.0  # 4 ulp: what NumPy, Intel, AMD and Apple promise of their vector functions
UNDERFLOW = 5.0  # 4 ulp of an exponential and half an ulp of a quotient, in smallest subnormals
SLACK = 1.01

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The arithmetic of an implementation: format u, accumulator v, whether it flushes."""

    u: float
    v: float
    underflow: float  # absolute error of a result below the normal range

    @classmethod
    def of(cls, fmt: Format, accumulator: str = "float32", flushes: bool = False) -> Model:
        """The model of a format with an accumulator "input", "float32" or "float64".

        The accumulator is never narrower than the format.
        """
        wide = fmt if accumulator == "input" else format_of(accumulator)
        v = min(fmt.unit_roundoff, wide.unit_roundoff)
        smallest = fmt.emin if flushes else fmt.tiny_exponent
        return cls(float(fmt.unit_roundoff), float(v), UNDERFLOW * 2.0**smallest)

    def gamma(self, terms: int) -> float:
        """Relative error of a sum of terms of one sign, in any order; inf where none is proven."""
        nv = max(terms - 1, 0) * self.v
        return nv / (1 - nv) if nv < 1 else np.inf


def _distances(z: Vector) -> Vector:
    with np.errstate(over="ignore"):
        return np.asarray(np.max(z) - z, dtype=np.float64)


def softmax(z: Vector, model: Model) -> Vector:
    """Shifted softmax e^(z_k - m) / sum, any order of summation.

    By (*) term k is off by (D_k + c) u and the sum by the mean of that, weighted by p, plus gamma;
    the quotient rounds once.  sum_k p_k D_k <= log K (it is log p_max plus the entropy).  Hence
    |error_k| <= p_k ((D_k + 2c + log K + 1) u + gamma).  (Cf. Blanchard, Higham, Higham 2021,
    Theorem 4.2: (n + c + 2 max D) u.)

    >>> from .formats import BINARY32
    >>> bound = softmax(np.zeros(4), Model.of(BINARY32))
    >>> round(float(bound[0] / 2**-25), 1)  # p = 1/4, ulp(p) = 2^-25
    10.8
    """
    d = _distances(z)
    p = np.exp(-d) / np.sum(np.exp(-d))
    relative = (d + 2 * ELEMENTARY + np.log(len(z)) + 1) * model.u + model.gamma(len(z))
    # p * D is at most 1 / e wherever p itself underflows to 0 in binary64.
    with np.errstate(invalid="ignore"):
        return SLACK * np.where(p > 0, p * relative, 0.0) + model.underflow


def _log1p_of_losers(z: Vector, model: Model) -> tuple[float, float]:
    """L = log sum_k e^(-D_k) and the error of log1p(T), T the sum over all but one maximum.

    By (*) T has relative error at most the mean of (D_k + c) u with weights e^(-D_k), plus gamma.
    log1p has condition number T / ((1 + T) log1p T) <= 1, so L inherits at most that, plus c u.
    Each of the K - 1 exponentials may be below the normal range, and off by model.underflow more.
    """
    d = np.sort(_distances(z))[1:]
    weights = np.exp(-d)
    total = float(np.sum(weights))
    below = len(d) * model.underflow
    if total == 0.0:
        # e^(-D) underflows in binary64: D > 745, L itself is below every format's range.
        return 0.0, below
    mean = float(np.sum(np.where(weights > 0, weights * np.minimum(d, 800.0), 0.0)) / total)
    loss = float(np.log1p(total))
    return loss, loss * ((mean + 2 * ELEMENTARY) * model.u + model.gamma(len(d))) + below


def log_softmax(z: Vector, model: Model) -> Vector:
    """Log-softmax -(D_k + log1p(T)), T the sum over all but one maximum.

    Both terms have one sign: no cancellation, so the bound is relative for *every* output, also
    for the log-probability of a dominating class, where log(1 + T) would return 0.  The difference
    rounds by u D_k, the sum of both by u (D_k + L).
    """
    d = _distances(z)
    loss, error = _log1p_of_losers(z, model)
    return SLACK * (2 * model.u * d + model.u * loss + error) + model.underflow


def logsumexp(z: Vector, model: Model) -> Vector:
    """Log-sum-exp m + log1p(T): error of log1p(T) plus one rounding of the result.

    Where m and log1p(T) cancel, the problem itself is ill conditioned and the bound is absolute.
    """
    loss, error = _log1p_of_losers(z, model)
    value = abs(float(np.max(z)) + loss)
    return np.asarray(SLACK * (model.u * value + error) + model.underflow)


def cross_entropy(z: Vector, label: int, model: Model, smoothing: float = 0.0) -> Vector:
    """Cross-entropy sum_k t_k D_k + log1p(T): terms of one sign.

    Without smoothing the first sum is D_label alone.  With it, K products t_k D_k (three roundings
    each: t_k, D_k, product) and their sum.
    """
    d = _distances(z)
    loss, error = _log1p_of_losers(z, model)
    if smoothing == 0:
        first, first_error = float(d[label]), model.u * float(d[label])
    else:
        target = np.full(len(z), smoothing / len(z))
        target[label] += 1 - smoothing
        first = float(np.sum(target * d))
        first_error = first * (5 * model.u + model.gamma(len(z)))
    return np.asarray(SLACK * (first_error + error + model.u * (first + loss)) + model.underflow)


def cross_entropy_gradient(z: Vector, label: int, model: Model, smoothing: float = 0.0) -> Vector:
    """Gradient p_k - t_k: the error of p_k, four roundings of t_k, one of the difference."""
    error = softmax(z, model)
    d = _distances(z)
    p: Vector = np.exp(-d) / np.sum(np.exp(-d))
    target = np.full(len(z), smoothing / len(z))
    target[label] += 1 - smoothing
    target_error: Vector = 4 * model.u * target * (smoothing > 0)
    difference_error: Vector = model.u * np.abs(p - target)
    return error + SLACK * (target_error + difference_error) + model.underflow


def sigmoid(x: Vector, model: Model) -> Vector:
    """Sigmoid 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0.

    Numerator c u, denominator c u + u, quotient u: (2 c + 2) u relative.
    """
    value = 0.5 * (1 + np.tanh(0.5 * np.maximum(x, 0)))
    value = np.where(x < 0, np.exp(np.minimum(x, 0)) / (1 + np.exp(np.minimum(x, 0))), value)
    return SLACK * (2 * ELEMENTARY + 2) * model.u * value + model.underflow


def softplus(x: Vector, model: Model) -> Vector:
    """Softplus max(x, 0) + log1p(e^-|x|): terms of one sign.

    e^-|x| is off by c u, log1p has condition number <= 1 and adds c u, the sum adds u.
    """
    value = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return SLACK * (2 * ELEMENTARY + 1) * model.u * value + model.underflow


def stablemax(z: Vector, model: Model) -> Vector:
    """Stablemax s_k / sum: s rounds at most twice, the sum too plus gamma, the quotient once."""
    s = np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))
    with np.errstate(over="ignore"):
        p: Vector = s / np.sum(s)
    return SLACK * p * (5 * model.u + model.gamma(len(z))) + model.underflow


def stablemax_cross_entropy(z: Vector, label: int, model: Model) -> Vector:
    """Cross-entropy of stablemax as log1p(sum of the others / s_label): no cancellation."""
    s = np.where(z >= 0, z + 1, 1 / (1 - np.minimum(z, 0)))
    with np.errstate(over="ignore"):
        value = np.log1p(np.sum(np.delete(s, label)) / s[label])
    relative = (5 + ELEMENTARY) * model.u + model.gamma(len(z))
    return np.asarray(SLACK * value * relative + model.underflow)


BOUNDS: dict[str, Callable[..., Vector]] = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "cross_entropy": cross_entropy,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "stablemax": stablemax,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}
GRADIENT_BOUNDS: dict[str, Callable[..., Vector]] = {"cross_entropy": cross_entropy_gradient}


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

    Masked classes (-inf) take no part; their own outputs are limits, exact, with bound 0.
    """
    function = (GRADIENT_BOUNDS if gradient else BOUNDS).get(name)
    if function is None:
        return None
    z = np.asarray(logits, dtype=np.float64)
    finite = np.isfinite(z)
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
