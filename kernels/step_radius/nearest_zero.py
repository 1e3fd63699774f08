"""The nearest complex zero of the partition function of one sample, with a proven error bound.

F(t) = sum_k exp(z_k + a_k t) is entire; rho is the least modulus of its zeros. Allocate
``work = workspace(classes)`` once per thread, then call ``nearest_zero(z, a, left, right, work)``
for each sample. All arithmetic is float64 with unit roundoff u = 2^-53; every bound counts it.

Zeros have Re t <= -left or Re t >= right (``left`` and ``right`` are given, the half-mass
interval), and they are conjugate pairs. `least_modulus` of zeros_in_disc.py finds the nearest one
with Re t >= right, and proves it; the left side is the right side of the mirrored slopes. With
left = right = 0 either side has all zeros. This file says where to look; the bound itself is proven
there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.directed import U
from ..arithmetic.exp import LOWEST_NORMAL, exp_normal
from ..runtime.jit import jit
from .zeros_in_disc import CLASS_ROWS, NOWHERE, SERIES_LENGTH, SERIES_ROWS, least_modulus

_ACCURACY = 1e-10  # relative: what is promised, or the sample is flagged
_BREAKPOINTS, _STRIPS, _HALVINGS = 8, 8, 8  # effort for samples that are hard

_Row = NDArray[np.float64]
_Workspace = tuple[NDArray[np.float64], NDArray[np.float64]]
_Pair = tuple[float, float]


@jit
def workspace(classes: int) -> _Workspace:
    """Scratch for `nearest_zero`, for samples of at most so many classes; one per thread."""
    return np.empty((CLASS_ROWS, classes)), np.zeros((SERIES_ROWS, SERIES_LENGTH))


@jit
def nearest_zero(z: _Row, a: _Row, left: float, right: float, work: _Workspace) -> _Pair:
    """The modulus rho of the nearest zero of F, and a proven bound of its error.

    Parameters
    ----------
    z, a
        Logits and slopes of one sample: finite, at least two distinct slopes.
    left, right
        Zeros have Re t <= -left or Re t >= right; 0 <= left, right <= inf. The bound is no better
        than this promise.
    work
        Scratch from ``workspace(classes)``, classes >= z.size.

    Returns
    -------
    rho, error
        |rho - true rho| <= error <= 1e-10 rho; or NaN twice, where that cannot be shown: zeros that
        (nearly) coincide, more than a few zeros at about the same distance, slopes that differ by
        more than the largest float, rho beyond 2^-960 or 2^1000.

    Notes
    -----
    The proofs stand with the functions below and in zeros_in_disc.py. The only functions of the C
    library in them are sqrt, hypot, log, exp and ldexp of scalars, taken to be right within 2 ulp.

    Examples
    --------
    F(t) = 1 + e^t + e^(2 t) has its nearest zeros at +-2 pi i / 3:

    >>> import numpy as np
    >>> slopes = np.array([0.0, 1.0, 2.0])
    >>> rho, error = nearest_zero(np.zeros(3), slopes, 0.0, 0.0, workspace(3))
    >>> abs(rho - 2.0 * np.pi / 3.0) <= error < 1e-11
    True
    """
    lowest, highest = _ends(a)
    width = highest - lowest
    if not width < np.inf:
        return np.nan, np.nan
    if _two_valued(a):
        rho, error = _binary(z, a)
    else:
        # Slopes are multiplied by a power of two, lengths divided by it. That is exact, but for
        # slopes 2^-1000 times smaller than the width, where it is off by 2^-1075.
        scale = math.ldexp(1.0, -min(max(math.frexp(width)[1], -1000), 1000))
        left, right = left / scale, right / scale
        low, high = _both_sides(z, a, scale, left, right, np.inf, work)
        if not (high < np.inf and high - low <= _ACCURACY * high):
            low, high = _peaked(z, a, scale, left, right, work)
        rho = 0.5 * (low + high) * scale
        error = (0.5 * (high - low) + 2.0 * U * high) * scale
    if error <= _ACCURACY * rho and 2.0**-960 < rho < 2.0**1000:
        return rho, error
    return np.nan, np.nan


@jit
def _ends(a: _Row) -> _Pair:
    """The least and the greatest slope. (numba takes a second to compile `min` of an array.)"""
    low = high = a[0]
    for x in a:
        low, high = min(low, x), max(high, x)
    return low, high


@jit
def _two_valued(a: _Row) -> bool:
    low, high = _ends(a)
    for x in a:  # noqa: SIM110
        if low < x < high:
            return False
    return True


@jit
def _binary(z: _Row, a: _Row) -> _Pair:
    """hypot(delta, pi) / Delta for slopes of two values, delta the log of the ratio of weights.

    Each weight is e^m S with m the largest logit. S = sum exp(z_k - m) >= 1 has n terms, right
    within (2 + |z_k - m|) u relative, where |x| e^x < 1/2; adding them costs (n - 1) u S. So log S
    is right within 4 n u + u log S <= 5 n u. Differences of maxima and of slopes round once, and
    the derivative of hypot(delta, pi) by delta is at most 1.
    """
    low, high = _ends(a)
    top_low = top_high = -np.inf
    for k in range(a.size):
        if a[k] == low:
            top_low = max(top_low, z[k])
        else:
            top_high = max(top_high, z[k])
    sum_low = sum_high = 0.0
    for k in range(a.size):
        if a[k] == low:
            sum_low += exp_normal(max(z[k] - top_low, LOWEST_NORMAL))
        else:
            sum_high += exp_normal(max(z[k] - top_high, LOWEST_NORMAL))
    gap = top_low - top_high
    delta = gap + (math.log(sum_low) - math.log(sum_high))
    doubt = (6.0 * a.size + 4.0 * abs(delta) + 4.0 * abs(gap)) * U
    rho = math.hypot(delta, math.pi) / (high - low)
    return rho, 1.01 * (doubt / (high - low) + 8.0 * U * rho)


@jit
def _both_sides(
    z: _Row, a: _Row, scale: float, left: float, right: float, reach: float, work: _Workspace
) -> _Pair:
    """[low, high] holds rho if rho <= reach; else high > reach. NaN: failed.

    Given that zeros with |t| <= reach have Re t <= -left or Re t >= right.
    """
    first, near, far = scale, right, left
    if left < right:
        first, near, far = -scale, left, right
    low, high = least_modulus(z, a, first, near, reach, work)
    reach = min(reach, high)
    # Zeros of the other side have |Re t| >= far and |Im t| >= pi / width.
    lowest, highest = _ends(a)
    height = math.pi / ((highest - lowest) * scale)
    if near < NOWHERE or math.hypot(far, height) * (1.0 - 8.0 * U) >= reach or math.isnan(low):
        return low, high
    other_low, other_high = least_modulus(z, a, -first, far, reach, work)
    if math.isnan(other_low):
        return np.nan, np.nan
    return min(low, other_low), min(high, other_high)


@jit
def _peaked(z: _Row, a: _Row, scale: float, left: float, right: float, work: _Workspace) -> _Pair:
    """`_both_sides` for samples in which few classes matter at a time, some with close slopes.

    Zeros lie near the breakpoints of the upper envelope of the lines z_k + a_k s, where two
    classes tie: at s + i pi / (jump of the slope). The disc around the most promising one yields a
    zero, and with it a bound of rho; then the strip without zeros is widened for that bound.
    """
    reach = np.inf
    for sign in (1.0, -1.0):
        at, s = int(z.argmax()), 0.0
        for _ in range(_BREAKPOINTS):
            at, s, jump = _breakpoint(z, a, sign * scale, at)
            if not s < reach:
                break
            if math.hypot(s, math.pi / jump) < reach:
                high = least_modulus(z, a, sign * scale, s, np.inf, work)[1]
                reach = min(reach, high * (1.0 + 1e-6)) if high < np.inf else reach
    if not reach < np.inf:
        return np.nan, np.nan
    right = _strip(z, a, scale, right, reach, work[0])
    left = _strip(z, a, -scale, left, reach, work[0])
    low, high = _both_sides(z, a, scale, left, right, reach, work)
    return (low, high) if high <= reach else (np.nan, np.nan)


@jit
def _breakpoint(z: _Row, a: _Row, scale: float, at: int) -> tuple[int, float, float]:
    """The next class on the envelope to the right, where it takes over, the jump; s = inf: none."""
    after, s, jump = at, np.inf, 0.0
    for k in range(z.size):
        rise = (a[k] - a[at]) * scale
        if rise > 0.0:
            tie = (z[at] - z[k]) / rise
            if tie < s or (tie == s and rise > jump):
                after, s, jump = k, tie, rise
    return after, s, jump


@jit
def _strip(
    z: _Row, a: _Row, scale: float, start: float, reach: float, work: NDArray[np.float64]
) -> float:
    """The end s >= start of a strip start <= Re t <= s without zeros of modulus <= reach.

    Let A be the classes with slopes in an interval of length w, and w y <= 2 theta for the height
    y = sqrt(reach^2 - start^2) of the disc: at s + iy, |sum over A| >= cos(theta) A(s), with A(s)
    the sum of moduli, by projection upon the direction of the middle slope. So F != 0 where the sum
    R(s) of the other moduli is below cos(theta) A(s). log R is convex, and log A lies above its
    tangent: if log R is below the tangent of log A at one end, less log(1 / cos(theta)), at both
    ends of an interval, it is so in between.

    theta = 1.25, cos(theta) > 0.31, where 0.3 is asked for: 5 % make up for all rounding.
    """
    s = start
    if not (s < reach and reach < 1.0 / NOWHERE):
        return s
    for _ in range(_STRIPS):
        height = math.sqrt((reach - s) * (reach + s))
        width = 2.5 / height
        end = reach
        for _ in range(_HALVINGS):
            if _free(z, a, scale, s, end, width, work):
                break
            end = 0.5 * (s + end)
        else:
            break
        s = end
    return s


@jit
def _free(
    z: _Row, a: _Row, scale: float, s: float, end: float, width: float, work: NDArray[np.float64]
) -> bool:
    """Whether a window of slopes, from a little below the top class at s, holds from s to end."""
    top, best = 0, -np.inf
    for k in range(z.size):
        x = z[k] + a[k] * scale * s
        if x > best:
            top, best = k, x
    low = -0.25 * width
    high = low + width * (1.0 - 8.0 * U)
    peak = -np.inf
    biggest = 0.0
    for k in range(z.size):
        slope = (a[k] - a[top]) * scale
        gap = z[k] - z[top]
        work[0, k] = slope
        work[1, k] = gap + slope * s
        work[2, k] = gap + slope * end
        biggest = max(biggest, abs(gap) + abs(slope * end))
        peak = max(peak, work[2, k])
    if not biggest < 1e9:
        return False
    inner = mean = outer_s = outer_end = 0.0
    for k in range(z.size):
        slope = work[0, k]
        if low <= slope <= high:
            m = exp_normal(max(work[2, k] - peak, LOWEST_NORMAL))
            inner += m
            mean += m * slope
        else:
            outer_s += exp_normal(max(work[1, k], LOWEST_NORMAL))
            outer_end += exp_normal(max(work[2, k] - peak, LOWEST_NORMAL))
    if not outer_end <= 0.3 * inner:
        return False
    tangent = math.log(inner) + peak + mean / inner * (s - end)
    return math.log(outer_s) <= math.log(0.3) + tangent
