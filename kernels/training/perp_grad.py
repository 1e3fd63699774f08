"""The part of a gradient that is perpendicular to the parameters: perpGrad, in NumPy.

    r = g - k theta,    k = <theta, g> / <theta, theta>,    for each parameter tensor on its own

(Prieto et al. 2025, arXiv 2501.04697, section 5). After over-fitting, the gradient of a
cross-entropy points along the parameters themselves, which scales the logits and changes no
prediction (naive loss minimisation); r leaves that out. `frameworks.torch_perp_grad` does this for
PyTorch optimisers.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.directed import two_product
from ..arithmetic.exp import scale_any, two_sum
from ..runtime import rows
from ..runtime.jit import jit

Array = NDArray[np.floating]


def perp_grad(theta: ArrayLike, gradient: ArrayLike, *, keep_norm: bool = False) -> Array:
    """The gradient of one parameter tensor less its component along the parameters theta.

    Parameters
    ----------
    theta : array_like
        The parameters: float32 or float64, of any shape and strides.
    gradient : array_like
        Their gradient, of the shape and dtype of `theta`.
    keep_norm : bool
        By default the result is the projection, as the paper writes it, no longer than the
        gradient. With True it is scaled to the gradient's norm, as the paper's public code does:
        the length of a step is that of the gradient then, however little of it was perpendicular. A
        projection of 0 stays 0.

    Returns
    -------
    ndarray
        Of the shape and dtype of the arguments, in memory of its own.

    Raises
    ------
    TypeError
        If an argument has another dtype, or the two have not the same one.
    ValueError
        If the two have not the same shape.

    Notes
    -----
    theta = 0: the gradient, as there is no direction to leave out. A NaN or an infinity in either:
    NaN throughout. One element: 0. No elements: none.

    Error. With n elements, u and e the unit roundoff and the smallest positive number of the dtype,
    v = 2^-53, and Euclidean norms, the result r satisfies

        |<theta, r>| <= |theta| (u |r| + (4 n + 30) v^2 |gradient| + sqrt(n) e),                 (1)

    and, as theta is scaled and the rest is exact but for this, projecting r once more changes it by
    at most twice the bracket. Proof. Both are scaled by powers of two to entries below 1. Products
    are split without error (Dekker), sums are pairs: an addition loses at most 4 v^2 of the sum of
    the moduli so far, so <theta, g> is off by 4 n v^2 |theta| |g|. k = k_high + k_low is its
    quotient, off by 4 v^2 |k| more, where |k| <= |g| / |theta|. g_i - k_high theta_i is formed
    exactly as a pair, what is smaller is added in two roundings of at most 4 v^2 (|g_i| + |k
    theta_i|), and all is rounded once, by u |r_i|, or e if r_i is subnormal. Multiplied by
    |theta_i| and summed, by Cauchy-Schwarz: (1). With `keep_norm`, (1) holds for r before it is
    scaled, with 2u for u; the norm is right within 8u.

    References
    ----------
    Prieto, Barsbey, Mediano and Birdal 2025, Grokking at the Edge of Numerical Stability, arXiv
    2501.04697, section 5.

    Examples
    --------
    >>> perp_grad([1.0, 0.0, 1.0], [3.0, 4.0, 1.0]).tolist()
    [1.0, 4.0, -1.0]
    >>> float(np.linalg.norm(perp_grad([1.0, 0.0], [3.0, 4.0], keep_norm=True)))
    5.0
    """
    parameters, g = rows.as_floats("theta", theta), rows.as_floats("gradient", gradient)
    if parameters.dtype != g.dtype:
        raise TypeError(
            f"theta and gradient must have one dtype, got {parameters.dtype} and {g.dtype}"
        )
    if parameters.shape != g.shape:
        raise ValueError(
            f"theta and gradient must have one shape, got {parameters.shape} and {g.shape}; call "
            "perp_grad for each parameter tensor"
        )
    result = np.empty(g.shape, g.dtype)
    x, y = (np.ascontiguousarray(a).reshape(-1) for a in (parameters, g))
    _project(x, y, result.reshape(-1), keep_norm)
    return result


@jit
def _exponent(values: Array) -> tuple[bool, int]:
    """Whether all are finite, and n with |value| < 2^n for all."""
    reach = 0.0
    for value in values:
        size = abs(np.float64(value))
        if not size < np.inf:
            return False, 0
        reach = max(reach, size)
    _, n = math.frexp(reach)
    return True, n


@jit
def _product(x: Array, m: int, y: Array, n: int) -> tuple[float, float]:
    """The scalar product of x 2^-m and y 2^-n as a pair."""
    high, low = 0.0, 0.0
    for i in range(x.size):
        a, b = scale_any(np.float64(x[i]), -m), scale_any(np.float64(y[i]), -n)
        product, lost = two_product(a, b)
        total, error = two_sum(high, product)
        high, low = two_sum(total, low + (error + lost))
    return high, low


@jit
def _perpendicular(g: float, theta: float, k_high: float, k_low: float) -> float:
    """Return g - (k_high + k_low) theta."""
    product, lost = two_product(k_high, theta)
    difference, error = two_sum(g, -product)
    return difference + ((error - lost) - k_low * theta)


@jit
def _project(theta: Array, gradient: Array, result: Array, keep_norm: bool) -> None:
    is_finite, m = _exponent(theta)
    is_finite_too, n = _exponent(gradient)
    if not (is_finite and is_finite_too):
        result[:] = np.nan
        return
    square, square_low = _product(theta, m, theta, m)
    if square == 0.0:
        result[:] = gradient
        return
    along, along_low = _product(theta, m, gradient, n)
    k = along / square
    product, lost = two_product(k, square)
    k_low = (((along - product) - lost) + (along_low - k * square_low)) / square
    factor = 1.0
    if keep_norm:
        rest = 0.0
        for i in range(result.size):
            t, g = scale_any(np.float64(theta[i]), -m), scale_any(np.float64(gradient[i]), -n)
            rest_of_one = _perpendicular(g, t, k, k_low)
            rest += rest_of_one * rest_of_one
        whole, _ = _product(gradient, n, gradient, n)
        factor = math.sqrt(whole / rest) if rest > 0.0 else 0.0
    for i in range(result.size):
        t, g = scale_any(np.float64(theta[i]), -m), scale_any(np.float64(gradient[i]), -n)
        result[i] = scale_any(_perpendicular(g, t, k, k_low) * factor, n)
