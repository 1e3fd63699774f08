"""Cosine and sine of moderate angles at once, without branches: loops that call it vectorise."""

import math

import numpy as np

from ..runtime.jit import jit
from .exp import ROUND

_TWO_OVER_PI = 2.0 / math.pi
# pi/2 in three parts (Cody & Waite 1980). The first two have 33 significant bits at most.
_HALF_PI_HIGH = float.fromhex("0x1.921fb544p0")
_HALF_PI_MIDDLE = float.fromhex("0x1.0b4611a6p-34")
_HALF_PI_LOW = float.fromhex("0x1.3198a2e037073p-69")


@jit
def cos_sin(x: float) -> tuple[float, float]:
    """Return cos x and sin x, both within 2.5u absolutely, for |x| <= 2^20.

    n = round(2 x / pi), |n| < 2^20, so n times the first two parts of pi/2 is exact. x - n HIGH is
    below 1 and a multiple of 2^-53 (of 2^-32, where |x| < 1/2 makes n = 0): exact. The other two
    subtractions round by 2^-54 each: r = x - n pi/2 errs by 1.1u, |r| < 0.786. Polynomials: the
    Taylor tails are below r^19/19! < 1e-19 and r^18/18! < 3e-18; the corrections to r and to 1 are
    below 0.1 and 0.31 and right within 4u and 1.5u relative, the last addition rounds by u/2.
    """
    n = (x * _TWO_OVER_PI + ROUND) - ROUND
    r = ((x - n * _HALF_PI_HIGH) - n * _HALF_PI_MIDDLE) - n * _HALF_PI_LOW
    square = r * r
    s = 1 / 355687428096000  # 1/17!, down to 1/3!
    s = s * square - 1 / 1307674368000
    s = s * square + 1 / 6227020800
    s = s * square - 1 / 39916800
    s = s * square + 1 / 362880
    s = s * square - 1 / 5040
    s = s * square + 1 / 120
    s = s * square - 1 / 6
    s = r + r * square * s
    c = 1 / 20922789888000  # 1/16!, down to 1/4!
    c = c * square - 1 / 87178291200
    c = c * square + 1 / 479001600
    c = c * square - 1 / 3628800
    c = c * square + 1 / 40320
    c = c * square - 1 / 720
    c = c * square + 1 / 24
    c = 1.0 - (0.5 * square - square * square * c)
    quadrant = np.float64(n + ROUND).view(np.int64)  # n in the low bits
    swap = (quadrant & 1) != 0
    cosine = s if swap else c
    sine = c if swap else s
    cosine = -cosine if ((quadrant + 1) & 2) != 0 else cosine
    sine = -sine if (quadrant & 2) != 0 else sine
    return cosine, sine
