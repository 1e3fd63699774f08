"""LDR-KL losses, per sample, and their gradients: accurate at both ends of the temperature.

With d_k = x_k - x_y + c for the classes k but the label y, and d_y = 0 (Zhu, Ying, Yang 2023, arXiv
2112.14869; c the margin, T the temperature, which the paper calls lambda),

    loss = T log(1/K sum_k e^(d_k / T)),      g_k = p_k for k != y,    g_y = -sum_(k != y) p_k,

p = softmax(d / T).  The loss is between the mean of the d_k (T large) and their largest (T small).

How, in float64.  Let M be the largest d_k and S = M - min d_k.  Where S > 0.35 T,

    loss = M + T (log(1 + Z) - log K),    Z = sum of e^((d_k - M)/T) over all k but one maximum,

which does not overflow however small T is; elsewhere, with m the mean of the d_k as it is rounded,

    loss = m + T log(1 + s),    s = 1/K sum_k expm1((d_k - m)/T),

an identity for every m, in which nothing large cancels however large T is.

Error, u = 2^-53, D = max_k |x_k - x_y| + c.  Each d_k is right within 2uD, and the loss, whose
gradient by d has the entries p, moves by no more than that.  Then, of the exact function of the d_k
as they are rounded:

    S > 0.35 T    an exponent z = (d_k - M)/T has a relative error of 2u, e^z one of 2u|z| + 1.9u
                  (`exp_pair`; below e^-800 it is taken for 0, which is nothing beside u).  The sum
                  1 + Z, in a pair, has that of the mean of these by p, and 2u; as the mean of |z|
                  by p is H(p) - log(1 + Z) <= log K, it is at most u (2 log K + 3.9).  log(1 + Z)
                  adds 2.7u log K + that of rounding Z, u; log K and the difference 2u log K; the
                  product with T, u log K.  In all T u (8 log K + 5), T < 2.9 S <= 5.8 D, and the
                  last sum uD: u D (30 + 47 log K).
    S <= 0.35 T   (d_k - m)/T has a relative error of 2u, expm1 of 2u and what passes on, 2.5u: 4.5u
                  of terms of at most 1.2 S/T.  The sum in a pair and the quotient: 6u.  As |s| is
                  below 0.43, log1p passes at most 1.8 times that on, and adds 3u of itself: 17 u S
                  / T, times T; and the last sum uD: 36 u D, S being at most 2 D.

So it is at most u D (32 + 47 log K), and half an ulp of the result in a format that is not float64:
`error_bound_of`.  Of the gradient, an entry moves by the factor e^(+-4uD/T) at most with the d_k
and M; its exponential adds u (2 |z_k| + 1.9), the sum u (2 log K + 3.9), and the quotient u:
within u (4 D / T + 2 |z_k| + 2 log K + 8) of itself while that is small, and half an ulp.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import add_to_pair, exp_pair, scale, two_sum
from ..arithmetic.log1p import log1p
from ..runtime import rows
from ..runtime.arguments import as_number
from ..runtime.documented import documented
from ..runtime.jit import jit
from ..runtime.labels import call_losses, call_losses_with_gradient
from .comp_sum import _expm1

LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 2.0**-100, 2.0**100
LARGEST_MARGIN = 2.0**100
FARTHEST = 800.0  # e^-800 is nothing beside 1
NARROW = 0.35  # the spread over the temperature, up to which the mean is the better start

Array = NDArray[Any]


def error_bound_of(largest: float, classes: int) -> float:
    """Proven largest error of the loss in float64, absolute.

    Parameters
    ----------
    largest
        D, the largest |x_k - x_y|, plus the margin.
    classes
        How many classes there are.

    Returns
    -------
    float
        The bound. In narrower formats half an ulp of the result comes on top.

    Examples
    --------
    >>> error_bound_of(1.0, 10) < 2e-14
    True
    """
    return 2.0**-53 * largest * (32.0 + 47.0 * math.log(classes))


@documented
def ldr_kl(
    logits: ArrayLike,
    labels: ArrayLike,
    temperature: float = 1.0,
    margin: float = 0.0,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """LDR-KL loss of each sample, T log(1/K sum_k e^(d_k / T)), d_k = x_k - x_y + margin, d_y = 0.

    Parameters
    ----------
    {logits}
    {labels}
    temperature : float
        T, from 2^-100 to 2^100: small, the loss is near the largest d_k, the hinge of Crammer and
        Singer; large, near their mean.
    margin : float
        What the logit of the label has to lead by, from 0 to 2^100.
    {axis}
    out : ndarray, optional
        Receives the losses. It has the dtype of `logits` and the shape of `labels`, and shares no
        memory with `logits`.
    {threads}

    Returns
    -------
    ndarray
        The losses, of the dtype of `logits` and the shape of `labels`; a single number without
        `out` is a NumPy scalar. They may be negative, down to -T log K.

    Raises
    ------
    {type_error_of_labels}
    {value_error_of_labels}

    Notes
    -----
    A row with NaN or +inf, or of -inf alone, gives NaN throughout. A logit of -inf counts for
    nothing, but is one of the K classes; if it is the label's, the loss is the limit +inf.

    The absolute error is at most `error_bound_of(D, K)` of the module
    `softproof.kernels.losses.ldr_kl`, where the proof stands, and half an ulp in formats other than
    float64; D is the largest |x_k - x_y|, plus the margin.

    References
    ----------
    Zhu, Ying and Yang 2023, Label Distributionally Robust Losses for Multi-class Classification,
    arXiv 2112.14869.

    Examples
    --------
    >>> [float(ldr_kl([2.0, 1.0, 0.0], 0, t).round(6)) for t in (1e-9, 1.0, 1e9)]
    [-0.0, -0.691006, -1.0]
    """
    options = _checked(temperature, margin)
    return call_losses(LDR_KL, logits, labels, axis=axis, out=out, threads=threads, options=options)


@documented
def ldr_kl_with_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    temperature: float = 1.0,
    margin: float = 0.0,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> tuple[Array, Array]:
    """LDR-KL loss of each sample, and its gradient with respect to the logits.

    The entries are p_k = softmax(d / T)_k for k != y, and minus their sum for the label y: never a
    difference.

    Parameters
    ----------
    {logits}
    {labels}
    temperature : float
        T, from 2^-100 to 2^100.
    margin : float
        What the logit of the label has to lead by, from 0 to 2^100.
    {axis}
    {out_of_gradient}
    {threads}

    Returns
    -------
    losses : ndarray
        As `ldr_kl` returns them, to the same bits.
    gradient : ndarray
        Of the shape and dtype of `logits`.

    Raises
    ------
    {type_error_of_labels}
    {value_error_of_labels}

    Notes
    -----
    A row with NaN or +inf, or of -inf alone, gives NaN throughout. If the label's logit is -inf,
    the gradient is the limit: softmax(x / T) of the others, and -1.

    The relative error of an entry is at most 2^-53 (4 D / T + 2 |d_k - max d| / T + 2 log K + 8)
    while that is small, and half an ulp, D as for `ldr_kl`; the proof stands in the docstring of
    the module `softproof.kernels.losses.ldr_kl`.

    References
    ----------
    Zhu, Ying and Yang 2023, arXiv 2112.14869.

    Examples
    --------
    >>> loss, gradient = ldr_kl_with_gradient([2.0, 1.0, 0.0], 0)
    >>> gradient.round(6).tolist()
    [-0.334759, 0.244728, 0.090031]
    """
    options = _checked(temperature, margin)
    return call_losses_with_gradient(
        LDR_KL, logits, labels, axis=axis, out=out, threads=threads, options=options
    )


def _checked(temperature: float, margin: float) -> tuple[float, float]:
    if not LEAST_TEMPERATURE <= as_number("temperature", temperature) <= LARGEST_TEMPERATURE:
        raise ValueError(f"temperature must be from 2^-100 to 2^100, got {temperature!r}")
    if not 0 <= as_number("margin", margin) <= LARGEST_MARGIN:
        raise ValueError(f"margin must be from 0 to 2^100, got {margin!r}")
    return float(temperature), float(margin)


@jit
def _ldr_kl(
    x: Any, labels: Any, losses: Any, gradient: Any, temperature: float, margin: float
) -> None:
    """The losses, and their gradient unless it is None."""
    for i in range(x.shape[0]):
        row, label = x[i], labels[i]
        own = np.float64(row[label])
        # M, the largest d_k, at `lead`; the least finite one; NaN and infinities.
        lead, largest, least, valid, masked = label, 0.0, 0.0, True, False
        finite = 0
        for k in range(row.size):
            value = np.float64(row[k])
            if not value < np.inf:  # +inf or NaN
                valid = False
            if value == -np.inf:
                masked = True
                continue
            finite += 1
            if k == label or own == -np.inf:
                continue
            d = (value - own) + margin
            if d > largest:
                lead, largest = k, d
            least = d if d < least else least
        if not valid or finite == 0:
            losses[i] = np.nan
            if gradient is not None:
                gradient[i] = np.nan
            continue
        if own == -np.inf:
            losses[i] = np.inf
            if gradient is not None:
                _limit_of_the_gradient(row, label, gradient[i], temperature)
            continue
        # Z, the sum of e^((d_k - M)/T) over all but the lead, and over all but the label.
        others = others_low = 0.0
        for k in range(row.size):
            if k != lead:
                term = _term(row, k, label, own, margin, largest, temperature)
                others, others_low = add_to_pair(others, others_low, term)
        if masked or largest - least > NARROW * temperature:
            log = log1p(others) + others_low / (1.0 + others)
            losses[i] = largest + temperature * (log - math.log(row.size))
        else:
            losses[i] = _about_the_mean(row, label, own, margin, temperature)
        if gradient is None:
            continue
        # g_k = e^((d_k - M)/T) / (1 + Z), and minus the sum of those for the label.
        whole = 1.0 + others
        high = low = 0.0
        for k in range(row.size):
            if k != label:
                term = _term(row, k, label, own, margin, largest, temperature)
                gradient[i, k] = term / whole
                high, low = add_to_pair(high, low, term)
        gradient[i, label] = -high / whole


@jit
def _limit_of_the_gradient(row: Any, label: int, gradient: Any, temperature: float) -> None:
    """The gradient as the label's logit falls to -inf: softmax(x / T) of the others, and -1."""
    largest = -np.inf
    for k in range(row.size):
        largest = max(largest, np.float64(row[k]))
    high = low = 0.0
    for k in range(row.size):
        if row[k] > -np.inf:
            term = _term(row, k, -1, largest, 0.0, 0.0, temperature)
            high, low = add_to_pair(high, low, term)
    for k in range(row.size):
        shares = row[k] > -np.inf
        gradient[k] = _term(row, k, -1, largest, 0.0, 0.0, temperature) / high if shares else 0.0
    gradient[label] = -1.0


@jit
def _difference(row: Any, k: int, label: int, own: float, margin: float) -> float:
    """d_k."""
    return 0.0 if k == label else (np.float64(row[k]) - own) + margin


@jit
def _term(
    row: Any, k: int, label: int, own: float, margin: float, largest: float, temperature: float
) -> float:
    """e^((d_k - M)/T); 0 below e^-FARTHEST."""
    z = (_difference(row, k, label, own, margin) - largest) / temperature
    if not z > -FARTHEST:
        return 0.0
    m, n = exp_pair(z, 0.0)
    return scale(m, n)


@jit
def _about_the_mean(row: Any, label: int, own: float, margin: float, temperature: float) -> float:
    """m + T log(1 + 1/K sum_k expm1((d_k - m)/T)), m near the mean of the d_k."""
    mean = 0.0
    for k in range(row.size):
        mean += _difference(row, k, label, own, margin) / row.size
    high = low = 0.0
    for k in range(row.size):
        z = (_difference(row, k, label, own, margin) - mean) / temperature
        high, error = two_sum(high, _expm1(z, 0.0))
        low += error
    return mean + temperature * math.log1p((high + low) / row.size)


LDR_KL = rows.RowKernel(_ldr_kl, in_two_axes=True)
