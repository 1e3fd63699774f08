"""StableMax, softmax with a rational stand-in for the exponential, and its cross-entropy.

    p_k = s(x_k) / S,    S = sum_k s(x_k),    s(x) = x + 1 for x >= 0, 1 / (1 - x) for x < 0

(Prieto et al. 2025, arXiv 2501.04697, eq. 5 and 6). Both branches have s'(x) = s(x) / (1 + |x|), so
with T = sum_{j != y} s(x_j) / s(x_y), the cross-entropy -log p_y and its gradient are

    loss = log1p(T),    g_k = p_k / (1 + |x_k|) for k != y,    g_y = -T / (1 + T) / (1 + |x_y|):

nothing is subtracted from anything near it, so nothing collapses when p_y is 1 to the last bit.

Error. All is float64, u = 2^-53 (other formats: rounded once more, numbers of 16 bits by way of
float32). Relative errors, but for terms in u^2:

* 1 + |x|: u. s(x): u for x >= 0, 2u for x < 0.
* A sum of s: every addition is carried in a pair (a, b), |b| <= u a. TwoSum(a, s) is exact; b plus
  its error is below 2u a, and rounding that loses 2u^2 a: 2 n u^2 of the whole sum, 2^-74 for
  2^31 classes. So the sum is right within 2u, as its terms, and a within 3u.
* p = s / a: 2u + 3u + u = 6u.
* T: the sum of the others within 3u, times 1 + |x_y| for x_y < 0, or over it: 3u + u + u = 5u.
  log1p does not magnify that, and adds 2.7u (`log1p`): 7.7u. Beyond T = 2^60, where log1p(T) is
  log T > 41 within 2^-60, an error of 5u in T is one of 5u / 41, and with those of the logarithm
  below 3u.
* S from the others and s(x_y): at most 3u, and u: 4u. g_k: 2u + 4u + u for p_k, u + u for
  1 + |x_k| and the quotient: 9u. g_y: 5u, u for 1 + T, u for the quotient, and 2u: 9u.

A relative error of one u is at most an ulp of the exact result. Range: sums are formed of c s(x)
with c = 2^100 where all logits are negative, so that no term is subnormal, and c = 2^-100 where one
is above 2^900, so that no sum overflows; else c = 1. T is kept as a number and an exponent.
Where c = 1 a term of the sum may be subnormal, 2^-1075 off: nothing beside a sum of at least 1, and
in a probability, subnormal then, half a unit of the last place more, which 6u = 3 units of relative
error at the lowest normal number leaves room for.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import LN2_HIGH, LN2_LOW, LN2_MIDDLE, add_to_pair, scale, scale_any
from ..arithmetic.log1p import log1p
from ..runtime import rows
from ..runtime.declared import kernel_of
from ..runtime.documented import documented
from ..runtime.jit import jit
from ..runtime.labels import call_losses, call_losses_with_gradient

Array = NDArray[Any]

_NARROW = {"float16": 0.51, "bfloat16": 0.51}

ULP_BOUND: dict[str, float] = {"float32": 0.501, "float64": 6.01, **_NARROW}
"""Proven largest error of a probability in ulps."""

LOSS_ULP_BOUND: dict[str, float] = {"float32": 0.501, "float64": 7.71, **_NARROW}
"""Proven largest error of the cross-entropy in ulps."""

GRADIENT_ULP_BOUND: dict[str, float] = {"float32": 0.501, "float64": 9.01, **_NARROW}
"""Proven largest error of the entries of its gradient in ulps."""

VJP_ERROR: dict[str, float] = {"float32": 0.501, "float64": 17.1, **_NARROW}
"""Of `stablemax_vjp`: see there."""

FACTOR = 100
"""Sums are scaled by 2^FACTOR, 2^-FACTOR or not at all."""

MANY = 2.0**60
"""1 + T is T beyond this, to 2^-60."""


@kernel_of("stablemax", ULP_BOUND)
@documented
def stablemax(
    logits: ArrayLike, *, axis: int = -1, out: Array | None = None, threads: int = 1
) -> Array:
    """StableMax over one axis: s(x_k) / sum_k s(x_k), with s(x) = x + 1 or 1 / (1 - x).

    s is x + 1 for x >= 0 and 1 / (1 - x) for x < 0: a rational stand-in for the exponential.

    Parameters
    ----------
    {logits}
    {axis}
    {out}
    {threads}

    Returns
    -------
    ndarray
        The probabilities, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    {edges_of_stablemax}

    The error is at most `error_bound("stablemax", dtype)`: 6.01 ulp in float64, 0.501 in float32,
    0.51 in 16 bits. An ulp of a subnormal result is that of the lowest normal number. The proof
    stands in the docstring of the module `softproof.kernels.softmax_alternatives.stablemax`.

    References
    ----------
    Prieto, Barsbey, Mediano and Birdal 2025, Grokking at the Edge of Numerical Stability, arXiv
    2501.04697, equations 5 and 6.

    Examples
    --------
    >>> stablemax([1.0, 0.0, -1.0, -np.inf]).round(4).tolist()
    [0.5714, 0.2857, 0.1429, 0.0]
    """
    return rows.call(STABLEMAX, (logits,), (), axis, out, threads)


@documented
def stablemax_vjp(
    logits: ArrayLike,
    cotangent: ArrayLike,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Gradient of sum(cotangent * stablemax(logits)) with respect to the logits.

    That is s'(x_k) / S (g_k - sum_j p_j g_j), g the cotangent and S = sum_k s(x_k). The Jacobian is
    not symmetric: this takes the logits, unlike `softmax_vjp`.

    Parameters
    ----------
    {logits}
    cotangent : array_like
        The g: an array of the shape and dtype of `logits`. One that is infinite or NaN makes its
        row NaN, at a class of probability 0 too.
    {axis}
    {out}
    {threads}

    Returns
    -------
    ndarray
        The gradient, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error_of_vector}
    {value_error_of_vector}

    Notes
    -----
    {edges_of_stablemax}

    Error: at most 17.1 u s'(x_k) / S (|g_k| + sum_j p_j |g_j|), u = 2^-53, and half an ulp of a
    subnormal result; in the other formats VJP_ERROR ulps of the result more. Proof. The products s
    g lose 2u + u of sum s |g|, their sum in pairs u, S 3u, the quotient u: 8u of sum p |g|, and the
    difference u. s' / S: 2u for (1 + |x|)^2 and u for the square, S 3u, two quotients. Exponents
    are kept apart: only the result may be subnormal, but for products s g that are 2^-1022 of the
    largest |g|, which are 2^-1075 of it off.

    References
    ----------
    Prieto, Barsbey, Mediano and Birdal 2025, Grokking at the Edge of Numerical Stability, arXiv
    2501.04697, equations 5 and 6.

    Examples
    --------
    >>> stablemax_vjp([1.0, -1.0], [1.0, 0.0]).round(9).tolist()  # s = 2 and 1/2, s' = 1 and 1/4
    [0.08, -0.08]
    """
    if isinstance(out, np.ndarray) and isinstance(cotangent, np.ndarray):
        cotangent = rows.apart(cotangent, out)
    arrays, names = (logits, cotangent), ("logits", "cotangent")
    return rows.call(VJP, arrays, (), axis, out, threads, names=names)


@kernel_of("stablemax_cross_entropy", LOSS_ULP_BOUND)
@documented
def stablemax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Cross-entropy of StableMax, -log p_y with p = stablemax(logits), of each sample.

    Parameters
    ----------
    {logits}
    {labels}
    {axis}
    out : ndarray, optional
        Receives the losses. It has the dtype of `logits` and the shape of `labels`, and shares no
        memory with `logits`.
    {threads}

    Returns
    -------
    ndarray
        The losses, in nats, of the dtype of `logits` and the shape of `labels`; a single number
        without `out` is a NumPy scalar.

    Raises
    ------
    {type_error_of_labels}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_stablemax}

    The error is at most `error_bound("stablemax_cross_entropy", dtype)`: 7.71 ulp in float64, 0.501
    in float32, 0.51 in 16 bits. The proof stands in the docstring of the module
    `softproof.kernels.softmax_alternatives.stablemax`.

    References
    ----------
    Prieto, Barsbey, Mediano and Birdal 2025, Grokking at the Edge of Numerical Stability, arXiv
    2501.04697, equations 5 and 6.

    Examples
    --------
    >>> stablemax_cross_entropy([[0.0, 0.0], [2.0**100, 0.0]], [1, 0]).tolist()
    [0.6931471805599453, 7.888609052210118e-31]
    """
    return call_losses(LOSSES, logits, labels, axis=axis, out=out, threads=threads)


@kernel_of("stablemax_cross_entropy", LOSS_ULP_BOUND)
@documented
def stablemax_cross_entropy_with_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> tuple[Array, Array]:
    """Cross-entropy of StableMax of each sample, and its gradient with respect to the logits.

    The entries are p_k / (1 + |x_k|) for k != y and -T / (1 + T) / (1 + |x_y|) for the label y, T
    the sum of all other s(x_j) over s(x_y). They do not add up to 0, for StableMax is not
    shift-invariant.

    Parameters
    ----------
    {logits}
    {labels}
    {axis}
    {out_of_gradient}
    {threads}

    Returns
    -------
    losses : ndarray
        As `stablemax_cross_entropy` returns them, to the same bits.
    gradient : ndarray
        Of the shape and dtype of `logits`.

    Raises
    ------
    {type_error_of_labels}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_stablemax}

    The error of an entry of the gradient is at most `error_bound("stablemax_cross_entropy", dtype,
    gradient=True)`: 9.01 ulp in float64, 0.501 in float32, 0.51 in 16 bits. The proof stands in the
    docstring of the module `softproof.kernels.softmax_alternatives.stablemax`.

    References
    ----------
    Prieto, Barsbey, Mediano and Birdal 2025, Grokking at the Edge of Numerical Stability, arXiv
    2501.04697, equations 5 and 6.

    Examples
    --------
    >>> loss, gradient = stablemax_cross_entropy_with_gradient([1.0, -1.0], 0)
    >>> gradient.tolist()  # s = 2 and 1/2, s' = 1 and 1/4
    [-0.1, 0.1]
    """
    return call_losses_with_gradient(
        LOSSES_AND_GRADIENTS, logits, labels, axis=axis, out=out, threads=threads
    )


# --- one number ---


@jit
def _weight(x: float, factor: float) -> float:
    """s(x) of StableMax, times a power of two."""
    return (x + 1.0) * factor if x >= 0.0 else factor / (1.0 - x)


@jit
def _exponent_for(largest: float) -> int:
    """The exponent of the factor for sums over a row with that largest logit."""
    if largest < 0.0:
        return FACTOR
    return -FACTOR if largest > 2.0**900 else 0


@jit
def _log1p_of(fraction: float, exponent: float) -> float:
    """log(1 + T) of T = fraction 2^exponent, 1/2 <= fraction < 1 or 0; inf of an infinite one."""
    if exponent == np.inf:
        return np.inf
    if exponent <= 60.0 or fraction == 0.0:
        return log1p(scale(fraction, exponent))
    k = exponent - 1.0
    return k * LN2_HIGH + (log1p(2.0 * fraction - 1.0) + k * (LN2_MIDDLE + LN2_LOW))


# --- one row ---


@jit
def _largest(x: NDArray[np.floating]) -> float:
    """The largest logit, NaN where the row has no probabilities."""
    largest = -np.inf
    for j in range(x.size):
        value = np.float64(x[j])
        if not value < np.inf:
            return np.nan
        largest = max(largest, value)
    return largest if largest > -np.inf else np.nan


@jit
def _sum_without(x: NDArray[np.floating], label: int, factor: float) -> float:
    """Factor times the sum of s over all classes but the label; -1 is none."""
    high, low = 0.0, 0.0
    for j in range(x.size):
        if j != label:
            high, low = add_to_pair(high, low, _weight(np.float64(x[j]), factor))
    return high


@jit
def _largest_without(x: NDArray[np.floating], label: int) -> float:
    """The largest logit but the label's; -inf if there is none."""
    largest = -np.inf
    for j in range(x.size):
        if j != label:
            largest = max(largest, np.float64(x[j]))
    return largest


@jit
def _others(x: NDArray[np.floating], label: int) -> tuple[float, int, float, float]:
    """The sum over the others as sum 2^-n, and T as fraction 2^exponent."""
    n = _exponent_for(_largest_without(x, label))
    total = _sum_without(x, label, math.ldexp(1.0, n))
    y = np.float64(x[label])
    if y == -np.inf and total > 0.0:
        return total, n, 0.5, np.inf
    fraction, exponent = math.frexp(total)
    own, own_exponent = math.frexp(1.0 + abs(y))
    if y < 0.0:
        fraction, more = math.frexp(fraction * own)
        exponent += own_exponent + more
    else:
        fraction, more = math.frexp(fraction / own)
        exponent += more - own_exponent
    return total, n, fraction, np.float64(exponent - n)


# --- all rows ---


@jit
def _stablemax(x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
    for i in range(x.shape[0]):
        largest = _largest(x[i])
        if math.isnan(largest):
            y[i, :] = np.nan
            continue
        # S, times a factor that keeps it in range, and s(x_k) / S.
        factor = math.ldexp(1.0, _exponent_for(largest))
        total = _sum_without(x[i], -1, factor)
        for j in range(x.shape[1]):
            y[i, j] = _weight(np.float64(x[i, j]), factor) / total


@jit
def _losses(
    x: NDArray[np.floating],
    labels: NDArray[np.intp],
    loss: NDArray[np.floating],
    gradient: None,
) -> None:
    for i in range(x.shape[0]):
        loss[i] = np.nan
        if not math.isnan(_largest(x[i])):
            _, _, fraction, exponent = _others(x[i], labels[i])
            loss[i] = _log1p_of(fraction, exponent)


@jit
def _losses_and_gradients(
    x: NDArray[np.floating],
    labels: NDArray[np.intp],
    loss: NDArray[np.floating],
    gradient: NDArray[np.floating],
) -> None:
    for i in range(x.shape[0]):
        largest, label = _largest(x[i]), labels[i]
        if math.isnan(largest):
            loss[i] = np.nan
            gradient[i, :] = np.nan
            continue
        # T = sum_{j != y} s(x_j) / s(x_y), as a fraction and an exponent, and the loss log1p(T).
        others, n, fraction, exponent = _others(x[i], label)
        loss[i] = _log1p_of(fraction, exponent)
        # The label's entry, T / (1 + T) / (1 + |x_y|); 1 + T is T beyond MANY.
        t = scale(fraction, exponent)
        own = np.float64(x[i, label])
        right = (t / (1.0 + t) if t < MANY else 1.0) / (1.0 + abs(own))
        m = _exponent_for(largest)
        factor = math.ldexp(1.0, m)
        # S from the sum over the others, and the other entries p_k / (1 + |x_k|).
        total = scale_any(others, m - n) + _weight(own, factor)
        for j in range(x.shape[1]):
            value = np.float64(x[i, j])
            gradient[i, j] = _weight(value, factor) / total / (1.0 + abs(value))
        gradient[i, label] = -right


@jit
def _stablemax_vjp(
    x: NDArray[np.floating], cotangent: NDArray[np.floating], y: NDArray[np.floating]
) -> None:
    for i in range(x.shape[0]):
        largest, reach = _largest(x[i]), 0.0
        for j in range(x.shape[1]):
            size = abs(np.float64(cotangent[i, j]))
            reach = size if not size <= reach else reach  # NaN stays
        if math.isnan(largest) or not reach < np.inf:
            y[i, :] = np.nan
            continue
        # sum_j p_j g_j, with g scaled by 2^-e to be below 1 and s by a factor 2^m.
        _, e = math.frexp(reach)
        m = _exponent_for(largest)
        factor = math.ldexp(1.0, m)
        high, low, total, rest = 0.0, 0.0, 0.0, 0.0
        for j in range(x.shape[1]):
            weight = _weight(np.float64(x[i, j]), factor)
            product = weight * scale_any(np.float64(cotangent[i, j]), -e)
            high, low = add_to_pair(high, low, product)
            total, rest = add_to_pair(total, rest, weight)
        mean = high / total
        # s'(x_k) / S (g_k - mean), with s' = 1 for x >= 0 and 1 / (1 - x)^2 below.
        whole, exponent = math.frexp(total)
        for j in range(x.shape[1]):
            value = np.float64(x[i, j])
            own = scale_any(np.float64(cotangent[i, j]), -e)
            difference, n = math.frexp(own - mean)
            n += e - exponent + m
            if value >= 0.0:
                y[i, j] = scale(difference / whole, np.float64(n))
            elif value > -np.inf:
                slope, k = math.frexp(1.0 - value)
                y[i, j] = scale(difference / whole / (slope * slope), np.float64(n - 2 * k))
            else:
                y[i, j] = 0.0


STABLEMAX = rows.RowKernel(_stablemax, in_two_axes=True)
VJP = rows.RowKernel(_stablemax_vjp, in_two_axes=True)
LOSSES = rows.RowKernel(_losses, in_two_axes=True)
LOSSES_AND_GRADIENTS = rows.RowKernel(_losses_and_gradients, in_two_axes=True)
