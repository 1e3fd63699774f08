"""T_tau and Gamma_tau: what a comp-sum loss' regret says of the 0-1 regret, in float64.

T_tau (Mao, Mohri, Zhong 2023, arXiv 2304.07288, Theorem 3.1) is convex and rises from T(0) = 0, and
Gamma_tau is its inverse: a surrogate regret of y allows a 0-1 regret of Gamma_tau(y) at most. With
b = tanh(t), r = 2 - tau, q = log cosh and c = 2^(1-tau) for tau <= 1, n^(1-tau) above,

    T(b) = c expm1((1 - r) L) / (1 - r),      L = (r q(t / r) - q(t)) / (1 - r),

and c b / (tau - 1) for tau >= 2 (`softproof.derivations.h_consistency.transform` derives
both). The powers of the published formula cancel for small b and near tau = 1; here nothing
does: as

    d (s q(t / s)) / d s = -h(t / s),   h(t) = t tanh t - q(t) > 0,

L is the mean of h(t / s) over s between r and 1, taken by Gauss's quadrature for r >= 1/2. The
integrand is analytic for Re s > 0, so on an ellipse around [1/2, 1], or [1, 2], the semiaxes of
which sum to 5.8 times half the length: NODES = 16 leave less than 5.8^-32 = 2^-81 of its size
there. For r < 1/2 both terms of L are far apart, and log 2 (1 - r) is taken out where t is large.

Errors are measured, not proven: against mpmath, T is right within `TRANSFORM_ULP_BOUND` ulps and
Gamma within `GAMMA_ULP_BOUND` over what the tests draw. (Gamma is well conditioned: y Gamma' /
Gamma <= 1, as T is convex with T(0) = 0; and L is solved for t, not T for b.) `log1p`, `expm1`,
`tanh` and `atanh` are those of the C library.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..runtime.arguments import as_number
from ..runtime.jit import jit

TRANSFORM_ULP_BOUND = 10.0
GAMMA_ULP_BOUND = 8.0

NODES = 16
_X, _W = np.polynomial.legendre.leggauss(NODES)

LN2 = math.log(2)

FARTHEST = 20.0
"""tanh of this is 1 to the last bit."""


def consistency_transform(b: ArrayLike, tau: float, classes: int) -> NDArray[np.float64]:
    """H-consistency transform T_tau(b): the least surrogate regret at a 0-1 regret of b.

    Parameters
    ----------
    b : array_like
        0-1 regrets, real numbers in [0, 1], of any shape.
    tau : float
        Which comp-sum loss, finite and >= 0; see `comp_sum`.
    classes : int
        The number of classes, at least 2.

    Returns
    -------
    ndarray
        Regrets of the surrogate loss, in [0, T_tau(1)], of the shape of the argument, in float64; a
        NumPy scalar for a scalar.

    Raises
    ------
    TypeError
        If an argument is no real number.
    ValueError
        If an argument is out of its range, NaN included.

    Notes
    -----
    The error is at most `error_bound("consistency_transform", "float64")`, 10 ulp, which is
    measured, not proven; see the docstring of the module
    `softproof.kernels.h_consistency.transform`.

    References
    ----------
    Mao, Mohri and Zhong 2023, Cross-Entropy Loss Functions: Theoretical Analysis and Applications,
    arXiv 2304.07288, Theorem 3.1.

    Examples
    --------
    >>> consistency_transform([0.0, 0.6, 1.0], tau=0.0, classes=10).round(15).tolist()
    [0.0, 0.2, 1.0]
    """
    x = _checked(b, "b", tau, classes)
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("b must be in [0, 1], the range of the 0-1 regret")
    result = np.empty(x.size)
    _transforms(x.reshape(-1), float(tau), float(_c(tau, classes)), result)
    return result.reshape(x.shape)[()]


def consistency_gamma(y: ArrayLike, tau: float, classes: int) -> NDArray[np.float64]:
    """Inverse H-consistency transform: the largest 0-1 regret at a surrogate regret of y.

    Where y >= T_tau(1) it is 1.

    Parameters
    ----------
    y : array_like
        Regrets of the surrogate loss, real numbers >= 0, infinity included, of any shape.
    tau : float
        Which comp-sum loss, finite and >= 0; see `comp_sum`.
    classes : int
        The number of classes, at least 2.

    Returns
    -------
    ndarray
        0-1 regrets, in [0, 1], of the shape of the argument, in float64; a NumPy scalar for a
        scalar.

    Raises
    ------
    TypeError
        If an argument is no real number.
    ValueError
        If an argument is out of its range, NaN included.

    Notes
    -----
    The error is at most `error_bound("consistency_gamma", "float64")`, 8 ulp, which is measured,
    not proven; see the docstring of the module `softproof.kernels.h_consistency.transform`.

    References
    ----------
    Mao, Mohri and Zhong 2023, Cross-Entropy Loss Functions: Theoretical Analysis and Applications,
    arXiv 2304.07288, Theorem 3.1.

    Examples
    --------
    >>> consistency_gamma([0.0, 0.2, 5.0], tau=0.0, classes=10).round(15).tolist()
    [0.0, 0.6, 1.0]
    """
    x = _checked(y, "y", tau, classes)
    if not (x >= 0).all():
        raise ValueError("y must be 0 or more, as every regret is")
    result = np.empty(x.size)
    _gammas(x.reshape(-1), float(tau), float(_c(tau, classes)), result)
    return result.reshape(x.shape)[()]


def _checked(x: ArrayLike, name: str, tau: float, classes: int) -> NDArray[np.float64]:
    array = np.asarray(x)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, got {array.dtype}")
    if not 0 <= as_number("tau", tau) < math.inf:
        raise ValueError(f"tau must be finite and not negative, got {tau!r}")
    if not as_number("classes", classes) >= 2:
        raise ValueError(f"classes must be at least 2, got {classes!r}")
    return array.astype(np.float64)


def _c(tau: float, classes: int) -> float:
    return math.pow(2.0 if tau <= 1 else classes, 1.0 - tau)


@jit
def _transforms(b: NDArray[np.float64], tau: float, c: float, result: NDArray[np.float64]) -> None:
    for i in range(b.size):
        if tau >= 2.0:
            result[i] = c * b[i] / (tau - 1.0)
        else:
            length = LN2 if b[i] == 1.0 else _length(math.atanh(b[i]), 2.0 - tau, tau - 1.0)
            x = (tau - 1.0) * length
            result[i] = c * length * (math.expm1(x) / x if x != 0.0 else 1.0)


@jit
def _gammas(y: NDArray[np.float64], tau: float, c: float, result: NDArray[np.float64]) -> None:
    for i in range(y.size):
        v = y[i] / c
        if tau >= 2.0:
            result[i] = min(v * (tau - 1.0), 1.0)
            continue
        x = (tau - 1.0) * v
        if x <= -1.0 or v == np.inf:
            result[i] = 1.0
            continue
        length = v * (math.log1p(x) / x if x != 0.0 else 1.0)
        result[i] = math.tanh(_root(length, 2.0 - tau, tau - 1.0))


@jit
def _log_cosh(t: float) -> float:
    if t < 1.0:
        s = math.sinh(t)
        return 0.5 * math.log1p(s * s)
    return t - LN2 + math.log1p(math.exp(-2.0 * t))


@jit
def _h(t: float) -> float:
    """h(t) = t tanh t - log cosh t for t >= 0, of which L is a mean (see the module)."""
    if t < 1.0:
        return t * math.tanh(t) - _log_cosh(t)
    e = math.exp(-2.0 * t)
    return LN2 - (math.log1p(e) + 2.0 * t * e / (1.0 + e)) if t < 400.0 else LN2


@jit
def _length(t: float, r: float, rest: float) -> float:
    """L as a function of t = atanh(b) (see the module); `rest` is 1 - r."""
    if r >= 0.5:
        middle, half = 0.5 * (1.0 + r), 0.5 * rest
        total = 0.0
        for k in range(NODES):
            total += _W[k] * _h(t / (middle + half * _X[k]))
        return 0.5 * total
    far = t / r
    if t < 1.0:
        return (r * _log_cosh(far) - _log_cosh(t)) / rest
    return LN2 + (r * math.log1p(math.exp(-2.0 * far)) - math.log1p(math.exp(-2.0 * t))) / rest


@jit
def _slope(t: float, r: float, rest: float) -> float:
    """The derivative of L in t, roughly: a step of Newton's method needs no more."""
    if abs(rest) < 1e-4:
        return t / math.cosh(t) ** 2
    return (math.tanh(t / r) - math.tanh(t)) / rest


@jit
def _root(length: float, r: float, rest: float) -> float:
    """The t with L(t) = length; FARTHEST if it is beyond.

    sqrt(2 r length) is not above it, as h(t) <= t^2 / 2; from there Newton's method, which a step
    out of the bracket turns into a bisection.
    """
    if length <= 0.0:
        return 0.0
    if not length < _length(FARTHEST, r, rest):
        return FARTHEST
    low, high = math.sqrt(2.0 * r * length), FARTHEST
    t = low = min(low, high)
    for _ in range(200):
        miss = _length(t, r, rest) - length
        if miss > 0.0:
            high = min(high, t)
        else:
            low = max(low, t)
        slope = _slope(t, r, rest)
        step = miss / slope if slope > 0.0 else np.inf
        after = t - step
        if not low <= after <= high:
            after = 0.5 * (low + high)
        if abs(after - t) <= 1e-15 * t:
            return after
        t = after
    return t
