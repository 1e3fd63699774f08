"""How far a step may go: the distance to the nearest complex zero of the partition function.

Along a step of length t the linearised logits of a sample are z_k + a_k t, and the Taylor series
of its cross-entropy at t = 0 converges exactly for |t| < rho, the modulus of the nearest complex
zero of

    F(t) = sum_k exp(z_k + a_k t).                                                           (1)

Three lower bounds of rho hold for any number of classes, each at least the one before; two classes
have a closed form (Sao, "Ghosts of Softmax", arXiv 2603.13552, Theorems 4.6 and 4.3; the other two
bounds are ours); `nearest_zero` computes rho itself. Write t = s + iy, p = softmax(z + a s),
Delta = max_k a_k - min_k a_k, delta = z_1 - z_2, Var_p(s) for the variance of the slopes under p.

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

variance     rho >= min hypot(s, y_min(s)) over all s where no class holds more than half the mass,

        y_min(s)^2 = max((pi / Delta)^2, 2 / Var_p(s)).                                      (6)

    Proof: let m be the mean of the slopes under p = p(s). F(s + iy) e^(-imy) / F(s) has the real
    part sum_k p_k cos((a_k - m) y) >= 1 - Var_p(s) y^2 / 2, as cos x >= 1 - x^2 / 2. It is
    positive for y^2 < 2 / Var_p(s). With (2) and the proof of (3), every zero s + iy has
    |y| >= y_min(s) and no majority at s. The minimum is bounded from below by
    `radius_bounds.variance_distance`, not sampled.

binary       K = 2: rho = hypot(delta, pi) / Delta, which is also what (3) says.             (5)
    Proof: F = 0 means exp(delta + (a_1 - a_2) t) = -1: delta + (a_1 - a_2) t = i pi (odd).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.directed import down, hypot_down, scale_down, up
from ..runtime.jit import jit
from .nearest_zero import nearest_zero, workspace
from .radius_bounds import (
    POINTS,
    ROWS,
    binary_radius,
    half_mass_distance,
    half_mass_interval,
    load,
    new_lanes,
    padded,
    scale_exponent,
    spread_bound,
    variance_distance,
)

BOUNDS = ("spread", "half_mass", "variance", "exact")
"""The names of the bounds of the radius: each is at least the one before it."""

_SPREAD, _HALF_MASS, _VARIANCE, _EXACT, _ERROR = range(5)  # rows of the result: see Radius
_ALL = len(BOUNDS)


class BatchRadius(NamedTuple):
    """The radii of a whole batch: the minimum over its samples, inf for an empty batch."""

    spread: float
    half_mass: float
    variance: float
    exact: float
    """NaN if any sample is flagged."""


class Radius(NamedTuple):
    """Radii of N samples in units of the step length t: arrays of shape (N,), float64 but one."""

    spread: NDArray[np.float64]
    """pi / Delta, rounded down."""
    half_mass: NDArray[np.float64]
    """hypot(s_half, pi / Delta), rounded down; never below `spread`."""
    variance: NDArray[np.float64]
    """The variance bound, rounded down; never below `half_mass`."""
    exact: NDArray[np.float64]
    """rho within `error`, never below `variance`; inf where F has no zero, NaN if flagged."""
    error: NDArray[np.float64]
    """A proven bound of |exact - rho|: 0 where F has no zero, inf where rho is beyond the largest
    float and `exact` is inf for that, NaN if flagged."""
    flagged: NDArray[np.bool_]
    """Samples too hard for this tier: `variance` is a proven lower bound for them, too."""

    @property
    def batch(self) -> BatchRadius:
        """The minimum over the samples: beyond it some sample's series may diverge.

        >>> samples = radius([[0.0, 0.0], [3.0, 0.0]], [[1.0, -1.0], [2.0, -2.0]])
        >>> [round(value, 6) for value in samples.batch]
        [0.785398, 1.085979, 1.085979, 1.085979]
        """
        # np.min keeps a NaN: one sample without an exact radius leaves the batch without one.
        return BatchRadius(*(float(np.min(values, initial=np.inf)) for values in self[:4]))


def radius(logits: ArrayLike, slopes: ArrayLike) -> Radius:
    """Bound, per sample, the step length at which the loss leaves its Taylor series; and find it.

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
        Arrays of shape (N,) - (1,) for one sample - in units of the step length t:
        spread <= half_mass <= variance <= rho in floating point on every input, and
        variance <= exact with |exact - rho| <= error where the sample is not flagged.

        * All radii are inf where F has no zero: a single unmasked class, or equal slopes.
        * Two unmasked classes have a closed form: `exact` is faithfully rounded.
        * A radius beyond the largest float is reported as that float by the bounds, and as inf with
          the error inf by `exact`.
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
    Equations (1) to (6), their source and their proofs stand at the top of this module; how each
    bound is computed, and why rounding cannot lift it above rho, in `radius_bounds`. float32
    converts exactly. half_mass lies within 1e-12 of (3) unless h is nearly flat at its root or
    logits and slopes cancel; the variance bound, within 2 % of (6) on ordinary samples. The first
    call ever compiles, some fifteen seconds of processor time; the result is kept on disk.

    Examples
    --------
    A confident sample may go much further than its spread alone says:

    >>> bounds = radius([[9.0, 1.0, 0.0]], [[-1.0, 0.5, 1.0]])
    >>> bounds.spread.round(6), bounds.half_mass.round(6)
    (array([1.570796]), array([4.640352]))
    """
    rows = _computed(logits, slopes, _ALL)
    spread, half_mass, variance, exact, error = rows
    return Radius(spread, half_mass, variance, exact, error, np.isnan(exact))


def safe_radius(logits: ArrayLike, slopes: ArrayLike, bound: str = "exact") -> NDArray[np.float64]:
    """Return one proven lower bound of rho per sample, computing no more than it needs.

    Parameters
    ----------
    logits, slopes
        As for `radius`.
    bound
        One of `BOUNDS`, from the cheapest to the closest. "exact" is the lower end of the interval
        exact -+ error, rounded down; the variance bound where the sample is flagged, and the
        largest float where rho is beyond it.

    Returns
    -------
    numpy.ndarray
        float64, shape (N,), in units of the step length t; inf where F has no zero.

    Raises
    ------
    TypeError, ValueError
        As `radius`; ValueError for another `bound`, too.

    Notes
    -----
    What a masked class, a row without slopes and a row that cannot be computed give is as in
    `radius`. That each bound is one is proven in the docstring of this module.

    Examples
    --------
    >>> logits, slopes = [[9.0, 1.0, 0.0]], [[-1.0, 0.5, 1.0]]
    >>> safe_radius(logits, slopes, "spread").round(6), safe_radius(logits, slopes).round(3)
    (array([1.570796]), array([4.703]))
    """
    if bound not in BOUNDS:
        raise ValueError(f"bound must be one of {', '.join(BOUNDS)}, got {bound!r}")
    level = BOUNDS.index(bound)
    rows = _computed(logits, slopes, level)
    if level < _EXACT:
        wanted: NDArray[np.float64] = rows[level]
        return wanted
    _, half_mass, variance, exact, error = rows
    lower = half_mass.copy()  # what is known where rho, or its error, is beyond the largest float
    known = error < np.inf
    lower[known] = np.nextafter(exact[known] - error[known], -np.inf)
    lower[known & (exact == np.inf)] = np.inf
    safe: NDArray[np.float64] = np.where(np.isnan(exact), variance, np.maximum(half_mass, lower))
    return safe


def _computed(logits: ArrayLike, slopes: ArrayLike, level: int) -> NDArray[np.float64]:
    """Check the arguments and compute the rows up to `level`, an index into BOUNDS, or _ALL."""
    z, a = _checked(logits, slopes)
    if level == _SPREAD:
        good, spread = _spreads(z, a)
        rows = spread[np.newaxis]
    else:  # long to compile: for float64 alone, and without `nearest_zero` where it is not wanted
        work = workspace(z.shape[1]) if level >= _EXACT else None
        good, rows = _bounds(
            z.astype(np.float64, copy=False), a.astype(np.float64, copy=False), level, work
        )
    if not good:
        _refuse(np.isnan(z).any(axis=1), "logits hold NaN", "repair the model's output")
        _refuse((z == np.inf).any(axis=1), "logits hold +inf", "pass finite logits, -inf to mask")
        _refuse((z == -np.inf).all(axis=1), "logits mask every class (-inf)", "drop such samples")
        _refuse(~np.isfinite(a).all(axis=1), "slopes hold NaN or inf", "pass finite slopes")
    return rows


def _checked(
    logits: ArrayLike, slopes: ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return both as matrices of one dtype in the layout that the compiled loop knows."""
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
    dtype = np.result_type(z, a)
    return _loaded(z, dtype), _loaded(a, dtype)


def _loaded(array: NDArray[np.floating], dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    """Return a matrix, contiguous and, lest numba compile everything once more, writeable."""
    if array.dtype != dtype or not array.flags.carray:
        array = np.array(array, dtype, order="C")
    return np.atleast_2d(array)


def _refuse(bad: NDArray[np.bool_], finding: str, remedy: str) -> None:
    if bad.any():
        raise ValueError(f"{finding}, first in sample {int(bad.argmax())}: {remedy}")


@jit
def _scan(z: NDArray[np.floating], a: NDArray[np.floating]) -> tuple[int, int, float, float]:
    """Return a sample's number of unmasked classes, its top class, and its extreme slopes.

    The number is 0 if the sample is to be refused.
    """
    count, top = 0, 0
    low, high = np.inf, -np.inf
    good = True
    for j in range(z.size):
        good &= z[j] < np.inf and abs(a[j]) < np.inf  # False for NaN, too
        if z[j] > -np.inf:
            count += 1
            low, high = min(low, a[j]), max(high, a[j])
            if z[j] > z[top]:
                top = j
    return (count if good else 0), top, low, high


@jit
def _spreads(z: NDArray[np.floating], a: NDArray[np.floating]) -> tuple[bool, NDArray[np.float64]]:
    """Return whether all samples are good, and their spread bounds."""
    spread = np.full(len(z), np.inf)
    for i in range(len(z)):
        count, _, low, high = _scan(z[i], a[i])
        if count == 0:
            return False, spread
        if low < high:
            spread[i] = spread_bound(np.float64(low), np.float64(high))
    return True, spread


@jit
def _bounds(
    z: NDArray[np.float64], a: NDArray[np.float64], highest: int, work: Any
) -> tuple[bool, NDArray[np.float64]]:
    """Return whether all samples are good, and the bounds up to `highest`, one row for each field.

    `highest` is an index into BOUNDS, or len(BOUNDS) for all fields of `Radius`. With "exact" the
    variance bound is computed only where the sample is flagged. `work` is the workspace of
    `nearest_zero`, or None below "exact": numba leaves that branch out.
    """
    samples, classes = z.shape
    rows = np.full((5, samples), np.inf)
    rows[_ERROR] = 0.0
    lanes = new_lanes()
    points = np.empty((POINTS, ROWS))
    gap, rise = np.empty(padded(classes)), np.empty(padded(classes))
    row_z, row_a = np.empty(classes), np.empty(classes)
    for i in range(samples):
        count, top, low, high = _scan(z[i], a[i])
        if count == 0:
            return False, rows
        if low == high:
            continue
        spread = spread_bound(low, high)
        rows[_SPREAD, i] = spread
        if count == 2:
            other = top
            for j in range(classes):
                if j != top and z[i, j] > -np.inf:
                    other = j
            rho = binary_radius(z[i, top], z[i, other], low, high)
            rows[_HALF_MASS:_EXACT, i] = max(spread, down(rho))
            rows[_EXACT, i] = rho
            rows[_ERROR, i] = up(rho) - rho if rho < np.inf else np.inf
            continue
        exponent = scale_exponent(low, high)
        size = load(z[i], a[i], count, top, exponent, gap, rise)
        y = math.ldexp(spread, exponent)  # in scaled units, where it is about pi
        lowest, steepest = a[i, top] == low, a[i, top] == high
        if highest == _HALF_MASS:
            s = half_mass_distance(gap[:size], rise[:size], lowest, steepest, lanes)
            rows[_HALF_MASS, i] = max(spread, scale_down(hypot_down(s, y), -exponent))
            continue
        left, right = half_mass_interval(gap[:size], rise[:size], lowest, steepest, lanes)
        half_mass = max(spread, scale_down(hypot_down(min(left, right), y), -exponent))
        rho, error = np.nan, np.nan
        if work is not None:
            n = 0
            for j in range(classes):
                if z[i, j] > -np.inf:
                    row_z[n], row_a[n] = z[i, j], a[i, j]
                    n += 1
            rho, error = nearest_zero(
                row_z[:n],
                row_a[:n],
                scale_down(left, -exponent),
                scale_down(right, -exponent),
                work,
            )
        variance = half_mass
        if highest != _EXACT or math.isnan(rho):
            s = variance_distance(gap[:size], rise[:size], left, right, y, points, lanes)
            variance = max(variance, scale_down(s, -exponent))
        rows[_HALF_MASS, i] = half_mass
        rows[_VARIANCE, i] = variance
        rows[_EXACT, i] = max(rho, variance) if rho == rho else rho
        rows[_ERROR, i] = error
    return True, rows
