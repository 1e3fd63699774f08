"""log(1 + t) of t >= 0 without branches, so that loops over it vectorise."""

import numpy as np

from ..runtime.jit import inline
from .exp import LN2_HIGH, LN2_LOW, LN2_MIDDLE, two_sum

LN2_REST: float = LN2_MIDDLE + LN2_LOW
ONE_BITS = 0x3FF0000000000000


@inline
def log1p(t: float) -> float:
    """log(1 + t) within 2.7u, u = 2^-53, for 0 <= t <= 2^60.

    1 + t = 2^k (1 + f), f in [0, 1], k = 0 for t < 1; and with s = f/(2 + f), h = f^2/2,

        log(1 + f) = 2 atanh(s) = f - (h - s (h + R)),    R = 2 (s^2/3 + s^4/5 + ...),

    as fdlibm has it (Ng 1995, e_log.c). There f is in [-0.3, 0.42] and cancels k ln 2 in part where
    the result is 0.35; here nothing cancels, and the plain Taylor series is still short: s <= 1/3,
    and the first term left out, 2 s^35/35, is below 2^-59.

    Error. k ln 2 is exact in its high part, f in [0, 1] is rounded once, and not at all if k = 0.
    h <= 1/2, s (h + R) <= 0.2, and the difference w <= 0.31 are off by 1.3u f^2 together. So for
    k = 0 the result is right within 1.3u f^2 plus its own rounding: 1.3u/0.69 + 0.73u < 2.7u at
    f = 1, and u for small t. For k > 0 the rounding of f and of f - w, u/2 each, come on top, of a
    result above 0.69: for f near 0 they are far smaller, for f near 1 the result is above 1.38.
    """
    whole, rest = two_sum(1.0, t)
    k = np.float64((np.float64(whole).view(np.int64) - ONE_BITS) >> 52)
    shrink = np.int64((1023 - np.int64(k)) << 52).view(np.float64)  # 2^-k
    f = (whole * shrink - 1.0) + rest * shrink
    s = f / (2.0 + f)
    z = s * s
    r = 2 / 33
    r = r * z + 2 / 31
    r = r * z + 2 / 29
    r = r * z + 2 / 27
    r = r * z + 2 / 25
    r = r * z + 2 / 23
    r = r * z + 2 / 21
    r = r * z + 2 / 19
    r = r * z + 2 / 17
    r = r * z + 2 / 15
    r = r * z + 2 / 13
    r = r * z + 2 / 11
    r = r * z + 2 / 9
    r = r * z + 2 / 7
    r = r * z + 2 / 5
    r = (r * z + 2 / 3) * z
    h = 0.5 * f * f
    return k * LN2_HIGH + (f - ((h - s * (h + r)) - k * LN2_REST))
