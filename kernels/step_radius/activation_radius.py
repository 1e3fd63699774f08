"""How far a step may move a preactivation before an activation's Taylor series breaks down.

A preactivation moves as h + h' t along a step of length t. The Taylor series of f(h + h' t)
converges to it for |t| below

    rho = min_s |s - h| / |h'|,                                                              (1)

the minimum over the singular points s of f (Sao 2026, arXiv 2603.13552, appendix 2). Which these
are, with proofs, stands in `softproof.derivations.step_radius.activation_singularities`. The least
over a layer, or over a network, is `np.min`; that of the loss is the smaller of this and
`softproof.kernels.radius`.

All arithmetic is + - * / and sqrt of float64, correctly rounded, so results are the same bits on
every machine. u = 2^-53.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.directed import U

_CUBIC = 0.044715
_HALF_PI_OVER_KAPPA = (math.pi / 2) * math.sqrt(math.pi / 2)  # pi / (2 sqrt(2 / pi)), within 4u

Distance = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def activation_radius(name: str, h: ArrayLike, dh: ArrayLike) -> NDArray[np.float64]:
    """Return a proven lower bound of (1) for every neuron, within 2^-42 relative of it.

    Parameters
    ----------
    name
        One of ACTIVATIONS, as PyTorch names them; the gate of SwiGLU is "silu", of GEGLU "gelu" or
        "gelu_tanh".
    h, dh
        Preactivations and their slopes along the step, float32 or float64, finite, of one shape,
        any shape; scalars too. Of sigmoid, SiLU or softplus with a factor beta, pass beta h and
        beta dh; for "rsqrt", v + eps.

    Returns
    -------
    numpy.ndarray
        float64, of their shape, in units of the step length t. inf for entire functions and where
        dh is 0; 0 where h is a kink and dh is not 0; empty for empty arrays.

    Raises
    ------
    TypeError
        If h or dh is not float32 or float64.
    ValueError
        For an unknown name, NaN or inf in h or dh, or shapes that differ.

    Notes
    -----
    Around a kink the series of one piece may converge further, but not to the function.

    Proof of the bound. Let c be the distance |s - h| to the nearest singular point.

    * sigmoid, SiLU, softplus: s = i pi (2n + 1), so |s - h|^2 = h^2 + pi^2 (2n + 1)^2, least at
      n = 0 and -1: c = hypot(h, pi). tanh: s = i pi (2n + 1) / 2, c = hypot(h, pi / 2).
    * Mish: s = log(2) / 2 +- 3 pi i / 4 + 2 pi i n, whose imaginary parts are least in modulus at
      n = 0: c = hypot(h - log(2) / 2, 3 pi / 4).
    * tanh-GELU: see `_to_tanh_gelu`. rsqrt: c = |h|. Kinks: the nearer one.
    * `_hypot` errs by less than 4u relative, its arguments by less than 3u of the result, and c is
      multiplied by 1 - 16u. (The tanh-GELU has its own bound.) h - kink is rounded once and lowered
      by one float unless it is 0.
    * The quotient by |dh| is rounded, and lowered by one float: down(inf) is the largest float.

    Examples
    --------
    >>> activation_radius("silu", np.array([0.0, 4.0]), np.array([1.0, -2.0])).round(6).tolist()
    [3.141593, 2.543109]
    >>> float(activation_radius("relu", -0.25, 1.0)), float(activation_radius("gelu", 0.5, 1.0))
    (0.24999999999999997, inf)
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"name must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    h, dh = _checked("h", h), _checked("dh", dh)
    if h.shape != dh.shape:
        raise ValueError(
            f"h and dh must have one shape, got {h.shape} and {dh.shape}; "
            "pass one slope per preactivation"
        )
    distance = ACTIVATIONS[name](h)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        lowered = np.nextafter(distance / np.abs(dh), 0.0)
    return np.where(np.isposinf(distance) | (dh == 0.0), np.inf, lowered)


def _checked(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must be float32 or float64, got {array.dtype}; "
            f"convert with {name}.astype(np.float32)"
        )
    wrong = ~np.isfinite(array)
    if wrong.any():
        value = array[wrong].flat[0]
        raise ValueError(
            f"{name} holds {value}, first at flat index {int(np.argmax(wrong))}; "
            "pass finite numbers: there is no radius at others"
        )
    return array.astype(np.float64)


def _hypot(x: NDArray[np.float64], y: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """sqrt(x^2 + y^2) within 4u relative, without overflow; y > 0."""
    large, small = np.maximum(np.abs(x), y), np.minimum(np.abs(x), y)
    with np.errstate(under="ignore"):
        ratio = small / large
        return np.asarray(large * np.sqrt(1.0 + ratio * ratio))


def _above(real: float, imaginary: float) -> Distance:
    """The distance to a pair real +- i imaginary, rounded down."""
    return lambda h: np.asarray(_hypot(h - real, imaginary) * (1.0 - 16 * U))


def _kinks(*points: float) -> Distance:
    """The distance to the nearest of some points on the real axis, exact floats, rounded down."""

    def distance(h: NDArray[np.float64]) -> NDArray[np.float64]:
        nearest = np.asarray(np.minimum.reduce([np.abs(h - point) for point in points]))
        return nearest if points == (0.0,) else np.nextafter(nearest, 0.0)  # |h| is exact

    return distance


def _none(h: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(h.shape, np.inf)


def _to_tanh_gelu(h: NDArray[np.float64]) -> NDArray[np.float64]:
    """A lower bound of the distance to the poles of x (1 + tanh(k (x + c x^3))) / 2.

    k = sqrt(2 / pi), c = 0.044715. The poles are where k (x + c x^3) = i pi m / 2, m odd.
    Conjugates and x -> -x change nothing: take h >= 0, m > 0. For each m (singularities.py):

    * two poles +-q_m + i p_m, with p^2 = (q^2 + 1/c) / 3 (the real part of x + c x^3 is 0) and
      8 c p^3 - 2 p = pi m / (2 k) (the imaginary part);                                        (2)
    * one at -2 i p_m. It is never nearer than the pole at q_m: h^2 + 4 p^2 >= (h - q)^2 + p^2 is
      3 p^2 >= q^2 - 2 h q, and 3 p^2 = q^2 + 1/c.

    Nor is the one at -q_m. So the squared distance is the least over m of

        (h - q)^2 + (q^2 + 1/c) / 3 = (4/3) (q - 3h/4)^2 + h^2/4 + 1/(3c),                      (3)

    which takes the q_m nearest to 3h/4. By (2) p, and q with it, increases with m, so that one is
    of the two odd m around the real number m with q(m) = 3h/4. Should rounding have made that
    number wrong by less than 1, the nearest q_m is still among the four odd m that are tried:
    the two around it and one more on each side.

    For h > 2000 neighbouring q_m are so close that (3) without its first term is sharp within
    2^-52; it is a lower bound for every h.

    Error. Newton's method for (2) ends at a float p with the residual r. With e the rounding
    error of r, below 16u (8 c p^3 + 2 p), the root is within d = 1.01 (|r| + e) / (24 c p^2 - 2) of
    p, the quotient being the residual over the derivative there, and 1.01 more than that falls
    within d (it is above 6, and d < 10^-6 is demanded: else (3) without its first term is
    returned). q = sqrt(3 p^2 - 1/c) is off by 3 p d / q and its own rounding, 8u (3 p^2 + 1/c) / q.
    By (3) the slope of the distance in q is (4/3) (q - 3h/4) / distance, below 2 in modulus. So the
    bound subtracts twice the error of q, and 16u relative for `_hypot` and the height.
    """
    h = np.abs(h)
    floor = _hypot(0.5 * h, math.sqrt(1.0 / (3.0 * _CUBIC))) * (1.0 - 16 * U)
    near = np.minimum(h, 2000.0)
    target = 0.75 * near
    p = np.sqrt((target * target + 1.0 / _CUBIC) / 3.0)
    m = p * (8.0 * _CUBIC * p * p - 2.0) / _HALF_PI_OVER_KAPPA
    below = 2.0 * np.floor((m - 1.0) / 2.0) + 1.0
    nearest = np.full(h.shape, np.inf)
    for step in (-2.0, 0.0, 2.0, 4.0):
        q, error = _pole(np.maximum(below + step, 1.0), p)
        height = np.sqrt((q * q + 1.0 / _CUBIC) / 3.0)
        distance = _hypot(q - near, height) * (1.0 - 16 * U) - 2.0 * error
        nearest = np.minimum(nearest, np.where(error < 1e-6, distance, 0.0))
    return np.where(h > 2000.0, floor, np.maximum(nearest, floor))


def _pole(
    m: NDArray[np.float64], p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """q_m > 0 of equation (2) and a bound of its error, for odd m > 0, from a nearby p > 2.73."""
    goal = _HALF_PI_OVER_KAPPA * m
    # 8 c p^3 - 2 p is convex and increasing for p > 2: Newton goes to its root from either side.
    for _ in range(8):
        p = p - (p * (8.0 * _CUBIC * p * p - 2.0) - goal) / (24.0 * _CUBIC * p * p - 2.0)
    residual = np.abs(p * (8.0 * _CUBIC * p * p - 2.0) - goal)
    rounding = 16 * U * (8.0 * _CUBIC * p * p * p + 2.0 * p)
    of_p = 1.01 * (residual + rounding) / (24.0 * _CUBIC * p * p - 2.0)
    q = np.sqrt(3.0 * p * p - 1.0 / _CUBIC)
    return q, (3.0 * p * of_p + 8 * U * (3.0 * p * p + 1.0 / _CUBIC)) / q


ACTIVATIONS: dict[str, Distance] = {
    "elu": _kinks(0.0),
    "gaussglu": _none,
    "gelu": _none,
    "gelu_tanh": _to_tanh_gelu,
    "hardtanh": _kinks(-1.0, 1.0),
    "leaky_relu": _kinks(0.0),
    "mish": _above(0.5 * math.log(2.0), 0.75 * math.pi),
    "normal_cdf": _none,
    "relu": _kinks(0.0),
    "relu6": _kinks(0.0, 6.0),
    "ria": _none,
    "rsqrt": _kinks(0.0),
    "sigmoid": _above(0.0, math.pi),
    "silu": _above(0.0, math.pi),
    "smoothed_rsqrt": _none,
    "softplus": _above(0.0, math.pi),
    "tanh": _above(0.0, math.pi / 2),
}
"""Activations by name, each with the distance of a preactivation to its nearest singular point."""
