"""How far a step may go: the distance to the nearest complex zero of the partition function.

Along a step of length t the linearised logits of a sample are z_k + a_k t, and the Taylor series
of its cross-entropy at t = 0 converges exactly for |t| < rho, the modulus of the nearest complex
zero of

    F(t) = sum_k exp(z_k + a_k t).                                                           (1)

Two lower bounds of rho hold for any number of classes, and two classes have a closed form
(Sao, "Ghosts of Softmax", arXiv 2603.13552, Theorems 4.6 and 4.3; the half-mass bound is ours).
Write t = s + iy, p = softmax(z + a s), Delta = max_k a_k - min_k a_k, delta = z_1 - z_2.

spread       rho >= pi / Delta.                                                              (2)
    Proof: if |y| < pi / Delta, the arguments a_k y of the terms of F lie in an open arc
    shorter than pi, so all terms have a positive component along its bisector: F(t) != 0.

half-mass    rho >= hypot(s_half, pi / Delta).                                               (3)
    Proof: let class k hold more than half the mass at s, p_k > 1/2. Then term k of F outweighs
    the sum of the moduli of the others, so F(s + iy) != 0 for every y. With k the top class at
    s = 0, p_k(s) > 1/2 means h(s) < 0, where

        h(s) = log sum_{j != k} exp((z_j - z_k) + (a_j - a_k) s).                            (4)

    h is convex (a log-sum-exp of affine functions), so h < 0 on one interval (s_-, s_+) around 0
    if h(0) < 0. Every zero has its real part outside: |s| >= s_half = min(-s_-, s_+), and by (2)
    |y| >= pi / Delta. If h(0) >= 0, s_half = 0 and (3) is (2).

binary       K = 2: rho = hypot(delta, pi) / Delta, which is also what (3) says.             (5)
    Proof: F = 0 means exp(delta + (a_1 - a_2) t) = -1: delta + (a_1 - a_2) t = i pi (odd).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .jit import jit

_U = 2.0**-53  # unit roundoff of binary64
_LARGEST = float(np.finfo(np.float64).max)
_NEWTON_STEPS = 64  # quadratic convergence needs about 5; the bound is proven afterwards anyway
_PI = math.pi  # below pi, by 1.2e-16
# pi^2 as the unevaluated sum of two binary64 numbers, relative error below 2^-105.
_PI2_HIGH, _PI2_LOW = 9.869604401089358, 6.265295508739711e-16


class BatchRadius(NamedTuple):
    """The radii of a whole batch: the minimum over its samples, inf for an empty batch."""

    spread: float
    half_mass: float
    exact: float
    """NaN unless every sample has an exact radius."""


class Radius(NamedTuple):
    """Radii of N samples in units of the step length t: float64 arrays of shape (N,)."""

    spread: NDArray[np.float64]
    """pi / Delta, rounded down."""
    half_mass: NDArray[np.float64]
    """hypot(s_half, pi / Delta), rounded down; never below `spread`."""
    exact: NDArray[np.float64]
    """The radius itself, faithfully rounded; NaN where it has no closed form (K > 2)."""

    @property
    def batch(self) -> BatchRadius:
        """The minimum over the samples: beyond it some sample's series may diverge.

        >>> samples = radius([[0.0, 0.0], [3.0, 0.0]], [[1.0, -1.0], [2.0, -2.0]])
        >>> [round(value, 6) for value in samples.batch]
        [0.785398, 1.085979, 1.085979]
        """
        # np.min keeps a NaN: one sample without an exact radius leaves the batch without one.
        return BatchRadius(*(float(np.min(values, initial=np.inf)) for values in self))


def radius(logits: ArrayLike, slopes: ArrayLike) -> Radius:
    """Bound, per sample, the step length at which the loss leaves its Taylor series.

    Parameters
    ----------
    logits
        z, shape (N, K), float32 or float64; shape (K,) is one sample. -inf masks a class out.
    slopes
        a = J_z v, the derivative of the logits along the unit direction v of the step: the same
        shape, float32 or float64, finite.

    Returns
    -------
    Radius
        `spread`, `half_mass`, `exact`: float64 arrays of shape (N,) - (1,) for one sample - in
        units of the step length t, with spread <= half_mass <= rho in floating point on every
        input, and half_mass <= exact where `exact` is not NaN.

        * All three are inf where F has no zero: a single unmasked class, or equal slopes.
        * `exact` is NaN where more than two classes are unmasked and slopes differ.
        * A radius beyond the largest float is reported as that float by the bounds, inf by `exact`.
        * An empty batch (0, K) gives empty arrays.

    Raises
    ------
    TypeError
        If an array is not float32 or float64.
    ValueError
        If the shapes differ, are not (N, K) or (K,), or K = 0; if logits hold NaN or +inf or a
        sample with every class masked; if slopes are not finite.

    Notes
    -----
    Equations (1) to (5), their source and their proofs stand at the top of this module.

    Rounding, with u = 2^-53 and n = K - 1 competitors of the top class. float32 converts exactly.

    * up(x op y) is the rounded result or the float above it, so it is never below the exact one;
      up(inf) = inf and up(-inf) = -largest keep this true through overflow.
    * pi / Delta: Delta is rounded up, math.pi is below pi, the quotient is rounded down.
    * s_half: a point l >= 0 is accepted only if h(0) < 0 and h(l) < 0 are proven; convexity gives
      h < 0 on all of [0, l], hence l <= s_half. The proof of h(s) < 0: let S be the computed sum of
      exp(x_j), x_j = up(up(z_j - z_k) + up(up(a_j - a_k) s)) >= the exact exponent. With exp
      within 2 ulp (every libm in use states less) and n - 1 additions of positive numbers, the
      exact sum is at most S / ((1 - 4u)(1 - u)^(n-1)) + n 2^-1022, which is below 1 if
      S <= 1 - (n + 8) u. That is the test. Newton's method supplies the point l, but nothing in
      the proof depends on it.
    * hypot: big sqrt(1 + (small / big)^2) has relative error below 4u before the product is scaled
      by 1 - 8u and rounded down.
    * exact: double-double arithmetic, relative error below 2^-95 before the final rounding.

    Accuracy of half_mass: h(l) lies within a small multiple of (K + |z_j - z_k| + |a_j - a_k| s) u
    of 0 for the competitors that carry mass, so half_mass is sharp to 1e-12 unless h is
    nearly flat at the root (a tie up to about 1e-3 with nearly equal slopes); it is a lower
    bound in every case. Slope differences that overflow leave half_mass = spread.

    Examples
    --------
    A confident sample may go much further than its spread alone says:

    >>> import numpy as np
    >>> bounds = radius([[9.0, 1.0, 0.0]], [[-1.0, 0.5, 1.0]])
    >>> bounds.spread.round(6), bounds.half_mass.round(6), bounds.exact
    (array([1.570796]), array([4.640352]), array([nan]))
    """
    z, a = _checked(logits, slopes)
    spread, half_mass, exact = _radii(z, a)
    return Radius(spread, half_mass, exact)


def _checked(
    logits: ArrayLike, slopes: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z, a = np.asarray(logits), np.asarray(slopes)
    for name, array in (("logits", z), ("slopes", a)):
        if array.dtype.type not in (np.float32, np.float64):
            raise TypeError(
                f"{name} must be float32 or float64, got {array.dtype}: "
                f"convert with {name}.astype('float32')"
            )
    if z.ndim not in (1, 2):
        raise ValueError(
            f"logits must have shape (samples, classes) or (classes,), got {z.shape}: "
            "reshape to (-1, classes)"
        )
    if a.shape != z.shape:
        raise ValueError(
            f"slopes must have the shape of logits, {z.shape}, got {a.shape}: "
            "pass one slope per logit"
        )
    if z.shape[-1] == 0:
        raise ValueError(f"logits must hold at least one class, got shape {z.shape}")
    z = np.ascontiguousarray(np.atleast_2d(z), dtype=np.float64)
    a = np.ascontiguousarray(np.atleast_2d(a), dtype=np.float64)
    _refuse(np.isnan(z).any(axis=1), "logits hold NaN", "repair the model's output")
    _refuse((z == np.inf).any(axis=1), "logits hold +inf", "pass finite logits, -inf to mask")
    _refuse((z == -np.inf).all(axis=1), "logits mask every class (-inf)", "drop such samples")
    _refuse(~np.isfinite(a).all(axis=1), "slopes hold NaN or inf", "pass finite slopes")
    return z, a


def _refuse(bad: NDArray[np.bool_], finding: str, remedy: str) -> None:
    if bad.any():
        raise ValueError(f"{finding}, first in sample {int(bad.argmax())}: {remedy}")


@jit
def _radii(
    z: NDArray[np.float64], a: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute all radii of z, a of shape (N, K); every sample has an unmasked class."""
    samples, classes = z.shape
    spread = np.full(samples, np.inf)
    half_mass = np.full(samples, np.inf)
    exact = np.full(samples, np.inf)
    row_z, row_a = np.empty(classes), np.empty(classes)
    gap, rise = np.empty(classes), np.empty(classes)
    for i in range(samples):
        k = 0
        for j in range(classes):
            if z[i, j] > -np.inf:
                row_z[k], row_a[k] = z[i, j], a[i, j]
                k += 1
        low, high = row_a[:k].min(), row_a[:k].max()
        if low == high:
            continue
        spread[i] = _spread_bound(low, high)
        s_half = _half_mass_distance(row_z[:k], row_a[:k], gap[: k - 1], rise[: k - 1])
        # Two lower bounds: their maximum is one, and keeps the ladder in order where s_half = 0.
        half_mass[i] = max(spread[i], _hypot_down(s_half, spread[i]))
        exact[i] = np.nan
        if k == 2:
            exact[i] = _binary_radius(row_z[0], row_z[1], row_a[0], row_a[1])
    return spread, half_mass, exact


@jit
def _up(x: float) -> float:
    """The float above x: an upper bound of the number that was rounded to x."""
    return math.nextafter(x, np.inf)


@jit
def _down(x: float) -> float:
    return math.nextafter(x, -np.inf)


@jit
def _two_difference(x: float, y: float) -> tuple[float, float]:
    """fl(x - y) and its exact error e: x - y = d + e (Knuth's TwoSum); e is NaN on overflow."""
    d = x - y
    v = d - x
    return d, (x - (d - v)) - (y + v)


@jit
def _difference_up(x: float, y: float) -> float:
    """x - y rounded up, exact where x - y is a float; its sign is the exact sign."""
    d, error = _two_difference(x, y)
    return d if error <= 0.0 else _up(d)


@jit
def _spread_bound(low: float, high: float) -> float:
    """pi / (high - low) rounded down, equation (2)."""
    delta = _difference_up(high, low)
    if delta < np.inf:
        return _down(_PI / delta)
    # Halving rounds subnormals alone: beside a difference above 2^1023 that moves the quotient by
    # far less than the step down.
    return _down(0.5 * _PI / _difference_up(0.5 * high, 0.5 * low))


@jit
def _hypot_down(x: float, y: float) -> float:
    """A float in (1 - 16u, 1] hypot(x, y), for 0 <= x < inf, 0 < y < inf (down to an ulp)."""
    big, small = max(x, y), min(x, y)
    ratio = small / big
    return _down(big * math.sqrt(1.0 + ratio * ratio) * (1.0 - 8.0 * _U))


@jit
def _half_mass_distance(
    z: NDArray[np.float64],
    a: NDArray[np.float64],
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
) -> float:
    """A lower bound of s_half, equation (3); gap and rise are scratch for the K - 1 competitors."""
    top = z.argmax()
    nearest = np.inf
    for sign in (1.0, -1.0):  # to the right, then to the left as the right of the mirrored slopes
        n = 0
        for j in range(z.size):
            if j != top:
                gap[n] = _difference_up(z[j], z[top])
                rise[n] = _difference_up(sign * a[j], sign * a[top])
                n += 1
        # h may be positive at 0 and negative further on: without h(0) < 0 there is no interval.
        if not _holds_half(gap, rise, 0.0):
            return 0.0
        nearest = min(nearest, _crossing(gap, rise))
    return nearest


@jit
def _crossing(gap: NDArray[np.float64], rise: NDArray[np.float64]) -> float:
    """A lower bound of the root s > 0 of h, inf if there is none; h(0) < 0 is proven."""
    # A rising competitor alone reaches the top class at -gap / rise: h >= 0 at the first of these
    # points, and h <= log(n) as no exponent is positive there. Newton descends from it, staying to
    # the right of the root of the convex h.
    if rise.max() <= 0.0:
        return np.inf
    s = _LARGEST
    for j in range(gap.size):
        if rise[j] > 0.0:
            s = min(s, -gap[j] / rise[j])
    for _ in range(_NEWTON_STEPS):
        h, slope = _log_mass(gap, rise, s)
        closer = s - h / slope
        # False once rounding puts s left of the root, where Newton may jump anywhere; and for NaN.
        if not (h > 0.0 and 0.0 < closer < s):
            break
        s = closer
    # Step back from the computed root until h < 0 is proven.
    back = 16.0 * _U
    while back < 1.0:
        left = s * (1.0 - back)
        if _holds_half(gap, rise, left):
            return left
        back *= 2.0
    return 0.0


@jit
def _log_mass(gap: NDArray[np.float64], rise: NDArray[np.float64], s: float) -> tuple[float, float]:
    """h(s) of equation (4) and its derivative, without a guarantee."""
    top = -np.inf
    for j in range(gap.size):
        top = max(top, gap[j] + rise[j] * s)
    mass = 0.0
    slope = 0.0
    for j in range(gap.size):
        weight = math.exp(gap[j] + rise[j] * s - top)
        mass += weight
        slope += weight * rise[j]
    return top + math.log(mass), slope / mass


@jit
def _holds_half(gap: NDArray[np.float64], rise: NDArray[np.float64], s: float) -> bool:
    """Whether h(s) < 0 is proven for s >= 0 (the proof stands in the notes of `radius`)."""
    total = 0.0
    for j in range(gap.size):
        total += math.exp(_up(gap[j] + _up(rise[j] * s)))
    return total <= 1.0 - (gap.size + 8) * _U  # False for a NaN


@jit
def _two_product(x: float, y: float) -> tuple[float, float]:
    """fl(x y) and its exact error (Veltkamp, Dekker); for |x|, |y| < 2^480."""
    product = x * y
    c = 134217729.0 * x  # 2^27 + 1
    x_high = c - (c - x)
    x_low = x - x_high
    c = 134217729.0 * y
    y_high = c - (c - y)
    y_low = y - y_high
    return product, x_low * y_low - (
        ((product - x_high * y_high) - x_low * y_high) - x_high * y_low
    )


@jit
def _scaled_gap(x: float, y: float) -> tuple[float, float, int]:
    """|x - y| = (high + low) 2^exponent, 1/2 <= high < 1; relative error below 2^-900."""
    shift = 4 if max(abs(x), abs(y)) > 2.0**1000 else 0
    high, low = _two_difference(math.ldexp(x, -shift), math.ldexp(y, -shift))
    if high < 0.0:
        high, low = -high, -low
    high, exponent = math.frexp(high)
    return high, math.ldexp(low, -exponent), exponent + shift


@jit
def _binary_radius(z1: float, z2: float, a1: float, a2: float) -> float:
    """hypot(z1 - z2, pi) / |a1 - a2| faithfully rounded, equation (5); a1 != a2."""
    high, low, exponent = _scaled_gap(z1, z2)
    if exponent < 60:  # from 2^60 on, pi changes the root by a factor below 1 + 2^-114
        delta, delta_low = math.ldexp(high, exponent), math.ldexp(low, exponent)
        square, error = _two_product(delta, delta)
        error += 2.0 * delta * delta_low
        total, rest = _two_difference(square, -_PI2_HIGH)
        rest += error + _PI2_LOW
        # One Newton correction of the square root doubles its precision.
        high = math.sqrt(total)
        product, error = _two_product(high, high)
        low = (((total - product) - error) + rest) / (2.0 * high)
        exponent = 0
    width, width_low, width_exponent = _scaled_gap(a1, a2)
    quotient = high / width
    product, error = _two_product(quotient, width)
    remainder = (((high - product) - error) + low) - quotient * width_low
    return math.ldexp(quotient + remainder / width, exponent - width_exponent)
