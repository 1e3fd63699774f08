"""Comp-sum losses of all tau >= 0, per sample, and their gradients.

With v = sum_(k != y) e^(x_k - x_y), y the label of a sample (Mao, Mohri, Zhong 2023, arXiv
2304.07288, section 2),

    loss = ((1 + v)^(1 - tau) - 1) / (1 - tau),     log(1 + v) for tau = 1,

so tau = 0 is the sum-exponential loss v, 1 the cross-entropy, 1 < tau < 2 the generalised
cross-entropy with q = tau - 1, and 2 the mean absolute error 1 - p_y. The gradient has the entries

    g_k = e^(x_k - x_y) (1 + v)^(-tau),  k != y,        g_y = -v (1 + v)^(-tau),

the entry of the label being minus the sum of the others, never a difference.

How. M is the largest logit, d = M - x_y, T the sum of e^(x_k - M) over all but one maximum (the
label, if it is one), l = log(1 + T). Then log(1 + v) = d + l, two terms of one sign, and

    loss = expm1(z) / (1 - tau),   z = (1 - tau)(d + l),
    g_k = e^E_k,  E_k = (x_k - M) + (1 - tau) d - tau l,      g_y = -(v e^-d) e^((1-tau) d - tau l),

with v e^-d the sum over all k but y. Exponents are sums of two float64, exact but for l, and each
result is one exponential, a pair (m, n) as in `exp`: nothing overflows or is flushed that is not
so in the result. (1 - tau) d - tau l may be huge where x_k - M cancels it: then the terms, exact
products, are added without error (`_exact_sum`).

Error, u = 2^-53, computed in float64 in every format. T is the sum, in a pair, of terms that are
right within 1.9u (`exp_pair`). For T < 1, l is right within 1.9u + 2.7u relative, so 3.2u absolute
(l < 0.7); for T >= 1 it is corrected by one Newton step, (1 + T) e^-l - 1, and right within the
error of T/(1 + T) and of `exp_pair`, 3.9u absolute, 5.7u relative. So with e = min(5.7 l, 3.9) u
the absolute error of l:

    tau = 1     the loss is d + l, one rounding: 6.7u.
    |z| < 0.35  expm1 by its series is right within 2u, and |z e^z / expm1(z)| <= 1.2 passes 5.7u
                on: 6.8u; division: 10.5u in all.
    z >= 0.35   e^z / (e^z - 1) <= 3.4 (2.0 for z >= 0.69) times 2u of the exponential: 6.8u (4u);
                of l min(5.7 z, 3.9) e^z / (e^z - 1) <= 7.9u; subtraction and division u each: 16u.
    z <= -0.35  e^z / (1 - e^z) <= 2.4 times 2u: 4.8u; of l 5.7 |z| / (e^|z| - 1) <= 5.7u: 12.5u.

The gradient: 1.9u of the exponential, tau e <= 3.9 tau u of l, one rounding to the format; and for
g_y 1.9u of the sum, u of its rounding and u of a product: (6 + 3.9 tau) u in all, and 0.5 ulp.
A relative error of r u is at most r ulp, and float32 results inherit r 2^-29 ulp of their own,
which those of 16 bits are rounded from: there an ulp is 2^13 or 2^16 of them. `ULP_BOUND` and
`gradient_ulp_bound`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.exp import add_to_pair, exp_pair, power_of_two, scale, two_sum
from ..arithmetic.log1p import log1p
from ..arithmetic.simd import fma
from ..runtime import rows
from ..runtime.arguments import as_number
from ..runtime.documented import documented
from ..runtime.jit import jit
from ..runtime.labels import call_losses, call_losses_with_gradient

ULP_BOUND: dict[str, float] = {"float16": 0.51, "bfloat16": 0.51, "float32": 0.51, "float64": 16.0}
"""Proven largest error of the loss, in ulps of the exact result, for every tau."""

LARGEST_TAU = 2.0**100

FARTHEST = 800.0
"""e^-800 is nothing beside 1, nor is a sum of 2^31 of them beside the least subnormal number."""

RAISED = 512.0
"""Sums run over terms times 2^RAISED, so that no term above e^-FARTHEST is subnormal."""

EXACT_BELOW = 2.0**40
"""Up to here two float64 hold an exponent to 2^-60."""

TERMS = 11
"""Of an exponent: seven of (1 - tau) d, two of tau l, two of x_k - M."""

Array = NDArray[Any]


def gradient_ulp_bound(dtype: Any, tau: float) -> float:
    """Proven largest error of the entries of the gradient, in ulps of the exact result.

    Parameters
    ----------
    dtype
        The format of the logits, as NumPy names it.
    tau
        As in `comp_sum`; the bound grows with it.

    Returns
    -------
    float
        The bound: 6.5 + 3.9 tau in float64; in the other formats that is hidden by their rounding.

    Examples
    --------
    >>> gradient_ulp_bound(np.float64, 1.0)
    10.4
    """
    in_float64 = 6.5 + 3.9 * tau
    in_float32 = 0.5 + 2.0**-29 * in_float64
    name = np.dtype(dtype).name
    return {"float64": in_float64, "float32": in_float32}.get(name, 0.5 + 2.0**-13 * in_float32)


@documented
def comp_sum(
    logits: ArrayLike,
    labels: ArrayLike,
    tau: float,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Comp-sum loss of each sample, ((1 + v)^(1 - tau) - 1) / (1 - tau).

    v is the sum of e^(x_k - x_y) over all classes k but y, the label; for tau = 1 the loss is its
    limit log(1 + v).

    Parameters
    ----------
    {logits}
    {labels}
    tau : float
        Which loss of the family, a pure number from 0 to 2^100: 0 is the sum-exponential loss v, 1
        the cross-entropy, 1 < tau < 2 the generalised cross-entropy, and 2 the mean absolute error
        1 - p_y.
    {axis}
    out : ndarray, optional
        Receives the losses. It has the dtype of `logits` and the shape of `labels`, and shares no
        memory with `logits`.
    {threads}

    Returns
    -------
    ndarray
        The losses, of the dtype of `logits` and the shape of `labels`; a single number without
        `out` is a NumPy scalar.

    Raises
    ------
    {type_error_of_labels}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_comp_sum}

    The error is at most `error_bound("comp_sum", dtype)` for every tau: 16 ulp in float64, 0.51 in
    the other formats. The proof stands in the docstring of the module
    `softproof.kernels.losses.comp_sum`.

    References
    ----------
    Mao, Mohri and Zhong 2023, Cross-Entropy Loss Functions: Theoretical Analysis and Applications,
    arXiv 2304.07288, section 2.

    Examples
    --------
    >>> [float(comp_sum([40.0, 0.0], 0, tau)) for tau in (0.0, 1.0, 1.7, 2.0)]
    [4.248354255291589e-18, 4.248354255291589e-18, 4.248354255291589e-18, 4.248354255291589e-18]
    >>> comp_sum([[0.0, 3.0], [0.0, 3.0]], [0, 1], 2.0).round(6).tolist()
    [0.952574, 0.047426]
    """
    options = (_checked_tau(tau),)
    return call_losses(
        COMP_SUM, logits, labels, axis=axis, out=out, threads=threads, options=options
    )


@documented
def comp_sum_with_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    tau: float,
    *,
    axis: int = -1,
    out: Array | None = None,
    threads: int = 1,
) -> tuple[Array, Array]:
    """Comp-sum loss of each sample, and its gradient with respect to the logits.

    The entries are e^(x_k - x_y) (1 + v)^(-tau) for k != y, and -v (1 + v)^(-tau) for the label y:
    minus the sum of the others, and never a difference.

    Parameters
    ----------
    {logits}
    {labels}
    tau : float
        Which loss of the family, a pure number from 0 to 2^100: 0 is the sum-exponential loss v, 1
        the cross-entropy, 1 < tau < 2 the generalised cross-entropy, and 2 the mean absolute error
        1 - p_y.
    {axis}
    {out_of_gradient}
    {threads}

    Returns
    -------
    losses : ndarray
        As `comp_sum` returns them, to the same bits.
    gradient : ndarray
        Of the shape and dtype of `logits`.

    Raises
    ------
    {type_error_of_labels}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_comp_sum}

    The error of an entry of the gradient is at most `gradient_ulp_bound(dtype, tau)` of the module
    `softproof.kernels.losses.comp_sum`, in whose docstring the proof stands.

    References
    ----------
    Mao, Mohri and Zhong 2023, Cross-Entropy Loss Functions: Theoretical Analysis and Applications,
    arXiv 2304.07288, section 2.

    Examples
    --------
    >>> loss, gradient = comp_sum_with_gradient([40.0, 0.0], 0, 0.5)
    >>> gradient.tolist()
    [-4.248354255291589e-18, 4.248354255291589e-18]
    """
    options = (_checked_tau(tau),)
    return call_losses_with_gradient(
        COMP_SUM, logits, labels, axis=axis, out=out, threads=threads, options=options
    )


def _checked_tau(tau: float) -> float:
    if not 0 <= as_number("tau", tau) <= LARGEST_TAU:
        raise ValueError(f"tau must be from 0 to 2^100, got {tau!r}")
    return float(tau)


@jit
def _comp_sum(x: Any, labels: Any, losses: Any, gradient: Any, tau: float) -> None:
    """The losses, and their gradient unless it is None."""
    kappa, kappa_low = two_sum(1.0, -tau)
    terms = np.empty(TERMS)
    for i in range(x.shape[0]):
        row, label = x[i], labels[i]
        # M = x_lead; a row without probabilities has none.
        lead = _lead(row, label)
        if lead < 0:
            losses[i] = np.nan
            if gradient is not None:
                gradient[i] = np.nan
            continue
        maximum, own = np.float64(row[lead]), np.float64(row[label])
        # T, the sum over all but the lead, and v e^-d, that over all but the label, times 2^RAISED.
        others, others_low = _sum_others(row, lead, label)
        in_front, in_front_low, without_label = others, others_low, others
        if label != lead:
            m, n = _power(own, maximum)
            in_front, in_front_low = add_to_pair(others, others_low, scale(m, n + RAISED))
            without_label, _ = add_to_pair(others, others_low, power_of_two(RAISED))
        # l = log(1 + T), (1 - tau) d - tau l, and the loss expm1((1 - tau)(d + l)) / (1 - tau).
        log, log_low = _log1p(in_front, in_front_low)
        near = _exponent_of_label(kappa, kappa_low, maximum, own, tau, log, log_low, terms)
        losses[i] = _loss(kappa, kappa_low, maximum, own, in_front, log, log_low)
        if gradient is None:
            continue
        # g_k = e^E_k, and g_y = -(v e^-d) e^((1 - tau) d - tau l).
        exact = not abs(near) < EXACT_BELOW
        for k in range(row.size):
            value = np.float64(row[k])
            if value == -np.inf and own > -np.inf:
                gradient[i, k] = 0.0
            elif own == -np.inf:
                gradient[i, k] = _masked_label(kappa, value, maximum, log, k == label)
            elif k == label:
                high, low = _exponent(maximum, maximum, near, terms, exact)
                gradient[i, k] = -_times(without_label, high, low)
            else:
                high, low = _exponent(value, maximum, near, terms, exact)
                gradient[i, k] = _exp(high, low)


@jit
def _lead(row: Any, label: int) -> int:
    """The place of the largest logit, the label if it is one; -1 if a row has no probabilities."""
    lead = label
    for k in range(row.size):
        if not row[k] < np.inf:  # +inf or NaN
            return -1
        if row[k] > row[lead]:
            lead = k
    return lead if row[lead] > -np.inf else -1


@jit
def _power(value: float, maximum: float) -> tuple[float, float]:
    """e^(value - maximum) as a pair (m, n); m = 0 below e^-FARTHEST."""
    if not value - maximum > -FARTHEST:
        return 0.0, 0.0
    d, rest = two_sum(value, -maximum)
    return exp_pair(d, rest)


@jit
def _sum_others(row: Any, lead: int, label: int) -> tuple[float, float]:
    """2^RAISED times the sum of e^(x_k - M) over all k but `lead` and `label`, as a pair."""
    maximum = np.float64(row[lead])
    high = low = 0.0
    for k in range(row.size):
        if k != lead and k != label:
            m, n = _power(np.float64(row[k]), maximum)
            high, low = add_to_pair(high, low, scale(m, n + RAISED))
    return high, low


@jit
def _log1p(raised: float, raised_low: float) -> tuple[float, float]:
    """log(1 + T) as a sum of two, T = (raised + raised_low) 2^-RAISED."""
    down = power_of_two(-RAISED)
    t, t_low = raised * down, raised_low * down
    log = log1p(t)
    if t < 1.0:
        return two_sum(log, t_low / (1.0 + t))
    whole, rest = two_sum(1.0, t)
    m, n = exp_pair(-log, 0.0)
    inverse = m * power_of_two(n)  # of 1 + T, within 1.9u; what is lacking there is added here
    product = whole * inverse
    error = fma(whole, inverse, -product)
    return two_sum(log, (product - 1.0) + (error + (rest + t_low) * inverse))


@jit
def _exponent_of_label(
    kappa: float,
    kappa_low: float,
    maximum: float,
    own: float,
    tau: float,
    log: float,
    log_low: float,
    terms: Array,
) -> float:
    """Fill terms[:9] with ((1 - tau) d - tau l) / 8, exact but for l; return it, rounded."""
    g, g_low = two_sum(0.125 * maximum, -0.125 * own)  # d itself may overflow
    terms[0] = kappa * g
    terms[1] = fma(kappa, g, -terms[0])
    terms[2] = kappa * g_low
    terms[3] = fma(kappa, g_low, -terms[2])
    terms[4] = kappa_low * g
    terms[5] = fma(kappa_low, g, -terms[4])
    terms[6] = kappa_low * g_low
    part = -0.125 * tau
    terms[7] = part * log
    terms[8] = fma(part, log, -terms[7]) + part * log_low
    near: float = terms[0] + (terms[2] + terms[4] + terms[7])
    return near


@jit
def _exponent(
    value: float, maximum: float, near: float, terms: Array, exact: bool
) -> tuple[float, float]:
    """E = (x_k - M) + (1 - tau) d - tau l as a sum of two."""
    d, d_low = two_sum(0.125 * value, -0.125 * maximum)
    if exact:
        if not math.isfinite(near):  # tau > 1: E is below every exponent
            return -np.inf, 0.0
        terms[9], terms[10] = d, d_low
        high, low = _exact_sum(terms)
    else:
        high, low = two_sum(d, terms[0])
        sum_, error = two_sum(terms[2] + terms[4], terms[7])
        low += ((terms[1] + terms[3]) + (terms[5] + terms[6])) + (terms[8] + d_low) + error
        high, error = two_sum(high, sum_)
        high, low = two_sum(high, low + error)
    return 8.0 * high, 8.0 * low


@jit
def _exact_sum(terms: Array) -> tuple[float, float]:
    """The sum of so many terms as good as exact: each pass moves it into the last ones.

    (Ogita, Rump, Oishi 2005, SIAM J. Sci. Comput. 26(6), algorithm 4.3: as with 2 + TERMS times
    the precision.)
    """
    work = terms.copy()
    for _ in range(TERMS):
        for j in range(1, TERMS):
            work[j], work[j - 1] = two_sum(work[j], work[j - 1])
    rest = 0.0
    for j in range(TERMS - 1):
        rest += work[j]
    return two_sum(work[TERMS - 1], rest)


@jit
def _exp(high: float, low: float) -> float:
    """e^(high + low), rounded once; 0 and infinity beyond FARTHEST."""
    if not high > -FARTHEST:
        return 0.0
    if not high < FARTHEST:
        return np.inf
    m, n = exp_pair(high, low)
    return scale(m, n)


@jit
def _times(raised: float, high: float, low: float) -> float:
    """raised 2^-RAISED e^(high + low), rounded once but for the product."""
    if raised == 0.0 or not high > -2.0 * FARTHEST:
        return 0.0
    if not high < 2.0 * FARTHEST:
        return np.inf
    fraction, exponent = math.frexp(raised)
    m, n = exp_pair(high, low)
    return scale(m * fraction, n + (exponent - RAISED))


@jit
def _masked_label(kappa: float, value: float, maximum: float, log: float, is_label: bool) -> float:
    """An entry of the gradient where the logit of the label is -inf: a limit."""
    if kappa < 0.0 or (value == -np.inf and not is_label):
        return 0.0
    if kappa > 0.0:
        return -np.inf if is_label else np.inf
    if is_label:
        return -1.0
    d, rest = two_sum(value, -maximum)
    high, error = two_sum(d, -log)
    return _exp(high, rest + error)


@jit
def _loss(
    kappa: float,
    kappa_low: float,
    maximum: float,
    own: float,
    raised: float,
    log: float,
    log_low: float,
) -> float:
    """expm1((1 - tau)(d + l)) / (1 - tau), where l is log(1 + raised 2^-RAISED)."""
    if own == -np.inf:
        return np.inf if kappa >= 0.0 else -1.0 / kappa
    half, half_low = two_sum(0.5 * maximum, -0.5 * own)
    if half == 0.0 and raised < power_of_two(RAISED - 200.0):
        return raised * power_of_two(-RAISED)  # tau T^2 / 2 is nothing beside T
    half, error = two_sum(half, 0.5 * log)
    half_low += error + 0.5 * log_low  # (d + l) / 2
    z = kappa * half
    if abs(z) > FARTHEST:  # it may be infinite
        return np.inf if z > 0.0 else -1.0 / kappa
    z_low = fma(kappa, half, -z) + (kappa * half_low + kappa_low * half)
    z, z_low = two_sum(2.0 * z, 2.0 * z_low)
    if kappa == 0.0 or abs(z) < 2.0**-60:
        return 2.0 * (half + half_low)
    if abs(z) < 0.35:
        return _divided(_expm1(z, z_low), kappa, kappa_low)
    m, n = exp_pair(z, z_low)
    if n > 100.0:
        return scale(_divided(m, kappa, kappa_low), n)
    return _divided(scale(m, n) - 1.0, kappa, kappa_low)


@jit
def _divided(a: float, kappa: float, kappa_low: float) -> float:
    """The quotient a / (kappa + kappa_low), of second order in kappa_low."""
    quotient = a / kappa
    return quotient - quotient * (kappa_low / kappa)


@jit
def _expm1(z: float, low: float) -> float:
    """e^(z + low) - 1 within 2u, for |z| <= 0.35.

    z + z^2 q(z) by Taylor's series up to z^14/14!, of which z^15/15! < 2^-62 |z| is left out.
    z^2 q is below 0.21 |z| and within 4u of itself, 0.8u |z|; low enters as low e^z; the result
    rounds by u of itself at most, and |e^z - 1| >= 0.84 |z|: 0.8/0.84 u + u.
    """
    q = 1 / 87178291200
    q = q * z + 1 / 6227020800
    q = q * z + 1 / 479001600
    q = q * z + 1 / 39916800
    q = q * z + 1 / 3628800
    q = q * z + 1 / 362880
    q = q * z + 1 / 40320
    q = q * z + 1 / 5040
    q = q * z + 1 / 720
    q = q * z + 1 / 120
    q = q * z + 1 / 24
    q = q * z + 1 / 6
    q = q * z + 1 / 2
    square = z * z * q
    return z + (square + (low + low * z))


COMP_SUM = rows.RowKernel(_comp_sum, in_two_axes=True)
