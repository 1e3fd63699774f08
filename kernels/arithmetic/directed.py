"""Directed rounding and error-free transformations: the arithmetic under every proven bound.

Binary64, round to nearest, without fused operations; u = 2^-53 is the unit roundoff. All are
compiled scalar functions, shared inside the package and exported by none of its modules.
"""

from __future__ import annotations

import math

import numpy as np

from ..runtime.jit import jit

U = 2.0**-53
"""Unit roundoff: fl(x op y) = (x op y)(1 + d) with |d| <= U, unless it is subnormal."""

LARGEST = float(np.finfo(np.float64).max)

PI_DOWN = math.pi
"""Below pi, by 1.2e-16."""

# pi^2 as the unevaluated sum of two binary64 numbers, relative error below 2^-105.
PI2_HIGH, PI2_LOW = 9.869604401089358, 6.265295508739711e-16


@jit
def up(x: float) -> float:
    """Return the float above x: an upper bound of the number that was rounded to x."""
    return math.nextafter(x, np.inf)


@jit
def down(x: float) -> float:
    """Return the float below x > 0: a lower bound of the number that was rounded to x.

    Positive floats are in the order of their bits; this is a tenth of the time of nextafter.
    """
    return np.int64(np.float64(x).view(np.int64) - 1).view(np.float64)


@jit
def two_difference(x: float, y: float) -> tuple[float, float]:
    """Return d = fl(x - y) and e with x - y = d + e exactly (Knuth's TwoSum); NaN on overflow."""
    d = x - y
    v = d - x
    return d, (x - (d - v)) - (y + v)


@jit
def difference_up(x: float, y: float) -> float:
    """Return x - y rounded up, exact where x - y is a float; its sign is the exact sign."""
    d, error = two_difference(x, y)
    return d if error <= 0.0 else up(d)


@jit
def two_product(x: float, y: float) -> tuple[float, float]:
    """Return fl(x y) and its exact error (Veltkamp, Dekker), for |x|, |y| < 2^480."""
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
def hypot_down(x: float, y: float) -> float:
    """Return a float in (1 - 16u, 1] hypot(x, y), for 0 <= x < inf, 0 < y < inf (down to an ulp).

    big sqrt(1 + (small / big)^2) has a relative error below 4u before it is scaled by 1 - 8u and
    rounded down.
    """
    big, small = max(x, y), min(x, y)
    ratio = small / big
    return down(big * math.sqrt(1.0 + ratio * ratio) * (1.0 - 8.0 * U))


@jit
def scale_down(x: float, exponent: int) -> float:
    """Return x 2^exponent rounded down, for x >= 0; inf stays inf, overflow gives the largest."""
    scaled = math.ldexp(x, exponent)
    if scaled == np.inf and x < np.inf:
        return LARGEST
    # Above the subnormal numbers the product is exact.
    return scaled if scaled >= 2.0**-1022 or scaled == 0.0 else down(scaled)


@jit
def scaled_gap(x: float, y: float) -> tuple[float, float, int]:
    """Return |x - y| = (high + low) 2^exponent, 1/2 <= high < 1; relative error below 2^-900."""
    shift = 4 if max(abs(x), abs(y)) > 2.0**1000 else 0
    high, low = two_difference(math.ldexp(x, -shift), math.ldexp(y, -shift))
    if high < 0.0:
        high, low = -high, -low
    high, exponent = math.frexp(high)
    return high, math.ldexp(low, -exponent), exponent + shift
