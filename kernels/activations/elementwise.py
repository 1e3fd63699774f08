"""Entire activations: RIA, GaussGLU, the normal distribution they are made of, a smoothed 1/sqrt.

They have no complex singularity (Sao 2026, arXiv 2603.13552, appendix 3), so a network made of them
keeps its Taylor series convergent wherever its softmax does. Phi and phi are the cumulative
distribution function and the density of the standard normal distribution.

All is computed in float64 and rounded to the dtype once more. Left of 0 every function is
e^(-t^2/2) times a tail function of t that varies slowly, as Phi(-t) = e^(-t^2/2) q(t): t and t^2
are carried in two floats, e^(-t^2/2) as a pair (m, n) = m 2^n, and the tail functions are Chebyshev
series (`activation_tables`). Nothing cancels, overflows, or is flushed before the result is formed.

Error (u = 2^-53): the series stand for their functions within 4u relative (the tests compare
them with 50 digits), the pair is right within 2u, and 5 to 8 roundings follow. ULP_BOUND is what a
search over bit patterns against ball arithmetic found, rounded up; it is measured, not proven. In
float32 this leaves the one rounding of the result.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.directed import two_product
from ..arithmetic.exp import exp_pair, scale, two_sum
from ..runtime import rows
from ..runtime.arguments import as_number
from ..runtime.declared import kernel_of
from ..runtime.documented import documented
from ..runtime.jit import jit
from .tables import (
    NORMAL_TAIL,
    RIA_TAIL,
    RSQRT_FAR,
    RSQRT_PIECES,
    RSQRT_SLOPE_FAR,
    RSQRT_SLOPE_PIECES,
    RSQRT_SLOPE_TAIL,
    RSQRT_SLOPE_ZERO,
    RSQRT_SLOPE_ZERO_LOW,
    RSQRT_TAIL,
)

__all__ = ["gaussglu", "normal_cdf", "ria", "smoothed_rsqrt", "smoothed_rsqrt_derivative"]

ULP_BOUND: dict[str, dict[str, float]] = {
    name: {"float32": 0.5 + 2.0**-20, "float64": double}
    for name, double in (
        ("normal_cdf", 4.0),
        ("ria", 6.0),
        ("gaussglu", 5.0),
        ("smoothed_rsqrt", 6.0),
        ("smoothed_rsqrt_derivative", 8.0),
    )
}
"""Largest error in ulps of each function, by dtype: above what any search has found; not proven."""

LARGEST_SCALE = 2.0**64
"""beta and width lie between this and its reciprocal, so that scaled results stay in range."""

_FARTHEST = 60.0  # e^-1800: below half of the smallest subnormal, even times 2^96


@kernel_of("normal_cdf", ULP_BOUND["normal_cdf"], is_proven=False)
@documented
def normal_cdf(
    x: ArrayLike,
    beta: float = 1.0,
    *,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> Any:
    """Standard normal distribution function Phi(beta x), element by element.

    It is the derivative of `ria` and the gate of `gaussglu`.

    Parameters
    ----------
    {x}
    {beta}
    {out_elementwise}
    {threads_elementwise}

    Returns
    -------
    ndarray
        The values, of the shape and dtype of `x`; a NumPy scalar for a scalar without `out`.

    Raises
    ------
    {type_error_elementwise}
    {value_error_elementwise}

    Notes
    -----
    0 at -inf, 1 at +inf, NaN at NaN. It has relative accuracy for every x: (1 + erf(x / sqrt 2)) /
    2 would be 0 below x = -8.3.

    The error is at most `error_bound("normal_cdf", dtype)`: 4 ulp in float64 and 0.5 + 2^-20 in
    float32, which is measured, not proven; see the docstring of the module
    `softproof.kernels.activations.elementwise`.

    References
    ----------
    Sao 2026, arXiv 2603.13552, appendix 3.

    Examples
    --------
    >>> normal_cdf(np.array([0.0, -10.0])).tolist()
    [0.5, 7.61985302416052...e-24]
    """
    beta = _checked_scale("beta", beta)
    return _elementwise(lambda x, y: _normal_cdf(x, beta, y), "x", x, out, threads)


@kernel_of("ria", ULP_BOUND["ria"], is_proven=False)
@documented
def ria(
    x: ArrayLike,
    beta: float = 1.0,
    *,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> Any:
    """Rectified integral activation, x Phi(beta x) + phi(beta x) / beta, element by element.

    It is the integral of Phi(beta x): entire, convex, above ReLU by at most 1 / (beta sqrt(2 pi)),
    and ReLU as beta grows. Phi and phi are the distribution function and the density of the
    standard normal distribution. The derivative is `normal_cdf`.

    Parameters
    ----------
    {x}
    {beta}
    {out_elementwise}
    {threads_elementwise}

    Returns
    -------
    ndarray
        The values, of the shape and dtype of `x`; a NumPy scalar for a scalar without `out`.

    Raises
    ------
    {type_error_elementwise}
    {value_error_elementwise}

    Notes
    -----
    0 at -inf, inf at +inf, NaN at NaN. It has relative accuracy for every x: the two terms cancel
    at x < 0, where their sum is about phi(t) / (beta t^2), t = beta x, so that added up they lose a
    factor t^2.

    The error is at most `error_bound("ria", dtype)`: 6 ulp in float64 and 0.5 + 2^-20 in float32,
    which is measured, not proven; see the docstring of the module
    `softproof.kernels.activations.elementwise`.

    References
    ----------
    Sao 2026, arXiv 2603.13552, appendix 3.

    Examples
    --------
    >>> ria(np.array([1.0, 0.0, -10.0])).tolist()
    [1.08331547058768..., 0.3989422804014327, 7.47456...e-25]
    """
    beta = _checked_scale("beta", beta)
    return _elementwise(lambda x, y: _ria(x, beta, y), "x", x, out, threads)


@documented
def gaussglu(
    value: ArrayLike,
    gate: ArrayLike,
    beta: float = 1.0,
    *,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> Any:
    """Gated linear unit value * Phi(beta gate), element by element.

    It is entire in both. `gaussglu(x, x)` is the exact GELU. The derivatives are `normal_cdf(gate,
    beta)` in the value and value beta phi(beta gate) in the gate.

    Parameters
    ----------
    value : array_like
        Float32 or float64, of any shape and strides, or a scalar.
    gate : array_like
        The same, of the shape and dtype of `value`.
    {beta}
    {out_elementwise}
    {threads_elementwise}

    Returns
    -------
    ndarray
        The values, of the shape and dtype of `value`; a NumPy scalar for a scalar without `out`.

    Raises
    ------
    {type_error_elementwise}
    {value_error_elementwise}

    Notes
    -----
    At the edges it is Phi(beta gate) times the value as IEEE 754 has it: inf times Phi(-inf) = 0 is
    NaN. A product that is no subnormal is accurate where Phi alone would be one.

    The error is at most `error_bound("gaussglu", dtype)`: 5 ulp in float64 and 0.5 + 2^-20 in
    float32, which is measured, not proven; see the docstring of the module
    `softproof.kernels.activations.elementwise`.

    References
    ----------
    Sao 2026, arXiv 2603.13552, appendix 3.

    Examples
    --------
    >>> gaussglu(np.array([2.0]), np.array([-10.0])).tolist()
    [1.523970604832...e-23]
    """
    beta = _checked_scale("beta", beta)
    values, gates = rows.as_floats("value", value), rows.as_floats("gate", gate)
    if values.shape != gates.shape or values.dtype != gates.dtype:
        raise ValueError(
            f"value and gate must have one shape and dtype, got {values.shape} {values.dtype} "
            f"and {gates.shape} {gates.dtype}; broadcast and convert them first"
        )
    return _elementwise(
        lambda v, g, y: _gaussglu(v, g, beta, y), "value", values, out, threads, gates
    )


@kernel_of("smoothed_rsqrt", ULP_BOUND["smoothed_rsqrt"], is_proven=False)
@documented
def smoothed_rsqrt(
    v: ArrayLike,
    width: float = 1.0,
    *,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> Any:
    """Reciprocal square root smoothed by a Gaussian: the analytic normaliser, entire in v.

    It is E[f(v + width Z)], Z standard normal, of f(u) = 1 / sqrt(u) for u > 0 and 0 for u <= 0
    (the Weierstrass transform), which is

        e^(-v^2 / (4 width^2)) D_{-1/2}(-v / width) / sqrt(2 width)

    with the parabolic cylinder function D (the constant is derived in
    `softproof.derivations.catalogue.normalisation.rows`). For v >> width it is
    v^(-1/2) (1 + 3/8 (width/v)^2 + ...), at 0 it is 0.86004 width^(-1/2), and it decays as
    e^(-v^2 / (2 width^2)) on the left: put it in place of 1 / sqrt(v) where v is a variance.

    Parameters
    ----------
    v : array_like
        Float32 or float64, of any shape and strides, or a scalar: a variance, in any units.
    {width}
    {out_elementwise}
    {threads_elementwise}

    Returns
    -------
    ndarray
        The values, of the shape and dtype of `v`; a NumPy scalar for a scalar without `out`.

    Raises
    ------
    {type_error_elementwise}
    {value_error_elementwise}

    Notes
    -----
    0 at both infinities, NaN at NaN.

    The error is at most `error_bound("smoothed_rsqrt", dtype)`: 6 ulp in float64 and 0.5 + 2^-20 in
    float32, which is measured, not proven; see the docstring of the module
    `softproof.kernels.activations.elementwise`.

    References
    ----------
    Sao 2026, arXiv 2603.13552, appendix 3.

    Examples
    --------
    >>> smoothed_rsqrt(np.array([4.0, 0.0, -3.0]), width=0.01).tolist()
    [0.50000117..., 8.6003998..., 0.0]
    """
    width = _checked_scale("width", width)
    return _elementwise(lambda x, y: _smoothed_rsqrt(x, width, y), "v", v, out, threads)


@documented
def smoothed_rsqrt_derivative(
    v: ArrayLike,
    width: float = 1.0,
    *,
    out: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> Any:
    """Derivative of `smoothed_rsqrt` in v, element by element.

    That is e^(-v^2 / (4 width^2)) D_{1/2}(-v / width) / sqrt(2 width^3), with the parabolic
    cylinder function D: positive up to v = 0.76495 width, negative beyond, -v^(-3/2) / 2 for v >>
    width.

    Parameters
    ----------
    v : array_like
        Float32 or float64, of any shape and strides, or a scalar: a variance, in any units.
    {width}
    {out_elementwise}
    {threads_elementwise}

    Returns
    -------
    ndarray
        The values, of the shape and dtype of `v`; a NumPy scalar for a scalar without `out`.

    Raises
    ------
    {type_error_elementwise}
    {value_error_elementwise}

    Notes
    -----
    0 at both infinities, NaN at NaN. It has relative accuracy also around the zero.

    The error is at most `error_bound("smoothed_rsqrt_derivative", dtype)`: 8 ulp in float64 and 0.5
    + 2^-20 in float32, which is measured, not proven; see the docstring of the module
    `softproof.kernels.activations.elementwise`.

    References
    ----------
    Sao 2026, arXiv 2603.13552, appendix 3.

    Examples
    --------
    >>> smoothed_rsqrt_derivative(np.array([4.0, 0.0]), width=0.01).round(6).tolist()
    [-0.062501, 411.089479]
    """
    width = _checked_scale("width", width)
    return _elementwise(lambda x, y: _smoothed_rsqrt_derivative(x, width, y), "v", v, out, threads)


def _checked_scale(name: str, value: float) -> float:
    if not 1 / LARGEST_SCALE <= as_number(name, value) <= LARGEST_SCALE:
        raise ValueError(f"{name} must lie between 2^-64 and 2^64, got {value!r}")
    return float(value)


def _elementwise(
    kernel: Callable[..., None],
    name: str,
    x: ArrayLike,
    out: NDArray[np.floating] | None,
    threads: int,
    *others: NDArray[np.floating],
) -> Any:
    """Apply a kernel of blocks; a scalar gives a scalar."""
    array = rows.as_floats(name, x)
    result = rows.output(out, array.shape, array, name=name)
    reads = (np.atleast_1d(array), *map(np.atleast_1d, others))
    rows.apply(kernel, reads, (np.atleast_1d(result),), threads)
    return result if out is not None else result[()]


@jit
def _chebyshev(c: NDArray[np.float64], y: float) -> float:
    """sum_i c_i T_i(y) by Clenshaw's recurrence."""
    b, after = 0.0, 0.0
    for i in range(c.size - 1, 0, -1):
        b, after = 2.0 * y * b - after + c[i], b
    total: float = y * b - after + c[0]
    return total


@jit
def _on_half_line(c: NDArray[np.float64], t: float) -> float:
    return _chebyshev(c, (t - 2.0) / (t + 2.0))


@jit
def _magnitude_of_product(x: float, beta: float) -> tuple[float, float]:
    """|beta x| = t + low, cut at _FARTHEST."""
    t = beta * x
    if abs(t) > _FARTHEST:
        return _FARTHEST, 0.0
    t, low = two_product(beta, x)
    return (-t, -low) if t < 0.0 else (t, low)


@jit
def _quotient(v: float, width: float) -> tuple[float, float]:
    """v / width = x + low, cut at +-_FARTHEST."""
    x = v / width
    if abs(x) > _FARTHEST:
        return math.copysign(_FARTHEST, x), 0.0
    product, error = two_product(x, width)
    return x, ((v - product) - error) / width


@jit
def _gaussian(t: float, low: float) -> tuple[float, float]:
    """e^(-(t + low)^2 / 2) as a pair (m, n), within 2u relative; 0 <= t <= _FARTHEST."""
    square, error = two_product(t, t)
    high, rest = two_sum(square, error + 2.0 * t * low)
    return exp_pair(-0.5 * high, -0.5 * rest)


@jit
def _normal_tail(t: float, low: float) -> tuple[float, float]:
    """Phi(-(t + low)), t >= 0, as a pair (m, n) that stands for m 2^n."""
    m, n = _gaussian(t, low)
    return m * (_on_half_line(NORMAL_TAIL, t) / (t + 0.75)), n


@jit
def _normal_cdf(x: NDArray[np.floating], beta: float, result: NDArray[np.floating]) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            m, n = _normal_tail(*_magnitude_of_product(x[i, j], beta))
            tail = scale(m, n)
            result[i, j] = tail if x[i, j] < 0.0 else 1.0 - tail


@jit
def _ria(x: NDArray[np.floating], beta: float, result: NDArray[np.floating]) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            t, low = _magnitude_of_product(x[i, j], beta)
            m, n = _gaussian(t, low)
            series = _on_half_line(RIA_TAIL, t) / ((t + 1.0) * (t + 1.0))
            excess = scale(m * series / beta, n)  # above ReLU
            result[i, j] = excess if x[i, j] < 0.0 else x[i, j] + excess


@jit
def _gaussglu(
    value: NDArray[np.floating],
    gate: NDArray[np.floating],
    beta: float,
    result: NDArray[np.floating],
) -> None:
    for i in range(value.shape[0]):
        for j in range(value.shape[1]):
            v, g = np.float64(value[i, j]), np.float64(gate[i, j])
            m, n = _normal_tail(*_magnitude_of_product(g, beta))
            if not g < 0.0:
                result[i, j] = v * (1.0 - scale(m, n))
            elif math.isfinite(v) and v != 0.0:
                # The value's exponent joins n: Phi alone may be subnormal where v Phi is not.
                fraction, exponent = math.frexp(v)
                result[i, j] = scale(m * fraction, n + exponent)
            else:  # Phi > 0 unless g is -inf
                result[i, j] = v * (1.0 if g > -np.inf else 0.0)


@jit
def _smoothed_rsqrt(v: NDArray[np.floating], width: float, result: NDArray[np.floating]) -> None:
    root = math.sqrt(width)
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            w = np.float64(v[i, j])
            x, low = _quotient(w, width)
            if x < 0.0:
                m, n = _gaussian(-x, -low)
                tail = _on_half_line(RSQRT_TAIL, -x) / (math.sqrt(0.6875 - x) * root)
                result[i, j] = scale(m * tail, n)
            elif x < 9.0:
                result[i, j] = _on_piece(RSQRT_PIECES, x) / root
            else:
                result[i, j] = _far(RSQRT_FAR, w / width) / math.sqrt(w)


@jit
def _smoothed_rsqrt_derivative(
    v: NDArray[np.floating], width: float, result: NDArray[np.floating]
) -> None:
    root = width * math.sqrt(width)
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            w = np.float64(v[i, j])
            x, low = _quotient(w, width)
            if x < 0.0:
                m, n = _gaussian(-x, -low)
                tail = _on_half_line(RSQRT_SLOPE_TAIL, -x) * math.sqrt(2.0 - x) / root
                result[i, j] = scale(m * tail, n)
            elif x < 9.0:
                from_zero = (x - RSQRT_SLOPE_ZERO) + (low - RSQRT_SLOPE_ZERO_LOW)
                result[i, j] = from_zero * _on_piece(RSQRT_SLOPE_PIECES, x) / root
            else:
                result[i, j] = _far(RSQRT_SLOPE_FAR, w / width) / math.sqrt(w) / w


@jit
def _on_piece(pieces: NDArray[np.float64], x: float) -> float:
    k = int(x / 1.5)
    return _chebyshev(pieces[k], (x - (1.5 * k + 0.75)) / 0.75)


@jit
def _far(c: NDArray[np.float64], x: float) -> float:
    ratio = 9.0 / x
    return _chebyshev(c, 2.0 * ratio * ratio - 1.0)
