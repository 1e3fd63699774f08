"""The exponential of one float64 as a pair (m, n), e^x = m 2^n, and exact sums of two.

The exponent n is a number of its own and is never folded into the exponent field of m, so that
nothing overflows and nothing is flushed before the final result is formed (Dukhan & Ablavatski
2020, arXiv 2001.04438, section 4). All arithmetic is float64, round to nearest, without fused
operations. u = 2^-53 is the unit roundoff throughout.

Functions in this file are scalar code without branches, so that LLVM can vectorise the loops
that call them. None is exported by the package.
"""

import math

import numpy as np

from ..runtime.jit import jit

LOG2_E = 1 / math.log(2)

# ln 2 in three parts (Cody & Waite 1980). The first two have 21 significant bits, hence their
# products with an integer |n| <= 2^32 are exact; the sum is off by 3e-33.
LN2_HIGH = float.fromhex("0x1.62e43p-1")
LN2_MIDDLE = float.fromhex("-0x1.05c61p-29")
LN2_LOW = float.fromhex("-0x1.950d871319ff0p-54")

ROUND = 1.5 * 2.0**52
"""Adding and subtracting this rounds |x| < 2^51 to the nearest integer."""

LOWEST_NORMAL = -700.0
"""e^-700 is a normal number."""


@jit
def two_sum(a: float, b: float) -> tuple[float, float]:
    """Return s = fl(a + b) and e with s + e = a + b exactly (Knuth, TAOCP 2, 4.2.2 Theorem B)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@jit
def add_to_pair(high: float, low: float, term: float) -> tuple[float, float]:
    """The sum (high, low) plus a term, of one sign; `high` is all of it, rounded.

    `low` plus the error of `high` is at most 2u of the sum, u = 2^-53: rounding that loses 2u^2.
    """
    total, error = two_sum(high, term)
    return two_sum(total, low + error)


@jit
def power_of_two(n: float) -> float:
    """Return 2^n for an integer -1022 <= n <= 1023.

    The low mantissa bits of n + (ROUND + 1023) are n + 1023, the exponent field of the answer.
    """
    bits = np.float64(n + (ROUND + 1023.0)).view(np.int64)
    return np.int64(bits << 52).view(np.float64)


@jit
def scale(m: float, n: float) -> float:
    """Return m 2^n, rounded once, for 2^-100 <= |m| <= 2^100, m = 0 or NaN, and any integer n.

    Two multiplications, of which the first is exact: |n| is cut at 2000, where the answer is 0 or
    inf already, so the first result is a normal number. A NaN in n is cut too, m carries it.
    """
    n = n if n > -2000.0 else -2000.0
    n = n if n < 2000.0 else 2000.0
    half = (0.5 * n + ROUND) - ROUND
    return (m * power_of_two(half)) * power_of_two(n - half)


@jit
def scale_any(x: float, n: int) -> float:
    """Return x 2^n, rounded once, for any x and any integer n."""
    fraction, exponent = math.frexp(x)
    return scale(fraction, np.float64(n + exponent))


@jit
def exp_pair(high: float, low: float) -> tuple[float, float]:
    """Return (m, n) with e^(high + low) = m 2^n, n an integer and m in [0.7, 1.42].

    For |high| <= 2^31 and |low| <= ulp(high)/2. NaN in `high` gives NaN in m (n is then NaN, too).

    Error: m is right within 1.9u relative. Proof. The argument is r = high - n ln 2 + low with
    |r| <= 0.3466, because n errs from high log2(e) by 1/2 + 2^-19 at most. Write 2^e <= |high|.
    high - n LN2_HIGH is a multiple of 2^(e-52) below 2^(e+1): exact. Subtracting n LN2_MIDDLE
    leaves a multiple of min(2^(e-52), 2^-49), e >= -2, below 0.36: exact. The last two terms are
    below 2^-20 and are added with one rounding of |r| < 1/2: 2^-55 absolute. Then m = 1 + s with
    s = r + r^2 q(r):
      r^2 q     |..| <= 0.07, relative error below 4u        0.28u  absolute
      s         |..| < 1/2                                    0.25u
      r         as above, times e^r; with the rest            0.25u e^r
      1 + s     0.5u if m < 1, else u
      Taylor    r^14/14! < 5e-18                              0.05u
    For m < 1, m >= 0.707: (0.28 + 0.25 + 0.05 + 0.5)u/0.707 + 0.25u < 1.8u. For m >= 1:
    (0.28 + 0.25 + 0.05 + 1)u + 0.25u < 1.9u.
    """
    n = (high * LOG2_E + ROUND) - ROUND
    r = ((high - n * LN2_HIGH) - n * LN2_MIDDLE) + (low - n * LN2_LOW)
    q = 1 / 6227020800  # 1/13!, and down to 1/2!
    q = q * r + 1 / 479001600
    q = q * r + 1 / 39916800
    q = q * r + 1 / 3628800
    q = q * r + 1 / 362880
    q = q * r + 1 / 40320
    q = q * r + 1 / 5040
    q = q * r + 1 / 720
    q = q * r + 1 / 120
    q = q * r + 1 / 24
    q = q * r + 1 / 6
    q = q * r + 1 / 2
    return 1.0 + (r + r * r * q), n


@jit
def exp_normal(x: float) -> float:
    """Return e^x within 2u relative, for -700 <= x <= 700."""
    m, n = exp_pair(x, 0.0)
    return m * power_of_two(n)
