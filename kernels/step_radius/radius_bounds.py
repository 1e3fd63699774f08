"""Proven lower bounds of the step radius of one sample: the half-mass interval, the variance bound.

Scaled units. A sample enters as `gap` and `rise`, arrays over its classes padded to a multiple of
LANES: gap_j = z_j - z_top <= 0 and rise_j = (a_j - a_top) / 2^e, where top is the class with the
largest logit and 2^e the power of two with Delta in [2^(e-1), 2^e). Abscissas s are in units of
2^-e; then nothing here depends on the scale of the slopes, and Delta < 1 up to rounding. The top
class itself, and the padding, stand in the arrays with gap = PAD and rise = 0.

Exponents. x = fl(gap + t), t = fl(rise s), |s| <= S_MAX, is off the exact exponent by at most
4u (|gap| + |t|): gap is off by u relative, rise by 2u, the product and the sum by u each. (A
subnormal rise is off by 2^-1073 absolute, which moves x by less than 1e-200.)

Sums. Weights come from `exp_lean`, right within EXP_ERROR relative, and are added in LANES partial
sums, which costs (classes / LANES + LANES) u relative. `_sum_error` is the total of both.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.directed import (
    PI2_HIGH,
    PI2_LOW,
    PI_DOWN,
    U,
    difference_up,
    down,
    scaled_gap,
    two_difference,
    two_product,
)
from ..arithmetic.exp import LOG2_E, ROUND
from ..runtime.jit import jit

LANES = 16
"""Partial sums that run side by side, so that loops over the classes vectorise."""

PAD = -np.inf
"""Exponent of an absent class. Its weight is that of the least exponent, e^-708 < 1e-307."""

S_MAX = 1e100
"""Largest abscissa at which exponents are evaluated, in scaled units."""

EXP_ERROR = 2.0**-46
"""Proven relative error of `exp_lean`."""

_WIDEST = 708.0  # |exponents| beyond are taken as this
_LN2_HIGH = float.fromhex("0x1.62e42fefap-1")  # 37 bits: its product with |n| < 2^11 is exact
_LN2_LOW = float.fromhex("0x1.cf79abc9e3b3ap-40")  # ln 2 - _LN2_HIGH, within 2^-93
_CHUNK = 1024  # classes between two looks at a sum that may be given up
_STEPS = 64  # about 3 are needed
_SHARP = 2.0**-41  # relative distance from the crossing that is close enough


@jit
def exp_lean(x: float) -> float:
    """Return e^x within EXP_ERROR relative, x cut at -708 and 708; for loops that vectorise.

    Proof. n = x log2(e) rounded to an integer, r = x - n ln 2, |r| <= 0.3466. x - n LN2_HIGH is
    exact (a multiple of min(ulp(x), 2^-37) below 1/2 in modulus, so it fits 53 bits), n LN2_LOW
    is below 2^-29 and its rounding below 2^-82, and the last subtraction rounds |r| < 1/2: r is
    right within 2^-54.9. Taylor's polynomial of degree 11 lacks r^12/12! < 57u, relative to
    e^r > 0.707: 81u. Every coefficient and every operation rounds once; at most 12 roundings bear
    on a term, and the sum of the terms' moduli is e^|r| < 1.42: 17u, 24u relative. Together less
    than 128u = 2^-46. The power of two is exact, no result is subnormal.
    """
    x = x if x > -_WIDEST else -_WIDEST
    x = x if x < _WIDEST else _WIDEST
    n = (x * LOG2_E + ROUND) - ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    p = (1 / 40320 + r * (1 / 362880)) + r2 * (1 / 3628800 + r * (1 / 39916800))
    p = (1 / 24 + r * (1 / 120)) + r2 * (1 / 720 + r * (1 / 5040)) + r4 * p
    p = (1.0 + r) + (r2 * (1 / 2 + r * (1 / 6)) + r4 * p)
    bits = np.float64(n + (ROUND + 1023.0)).view(np.int64)  # see power_of_two in exp.py
    return p * np.int64(bits << 52).view(np.float64)


@jit
def padded(classes: int) -> int:
    """Return the length of `gap` and `rise` for so many classes."""
    return (classes + LANES - 1) & -LANES


@jit
def spread_bound(low: float, high: float) -> float:
    """Return pi / (high - low) rounded down: the spread bound of slopes from low to high."""
    delta = difference_up(high, low)
    if delta < np.inf:
        return down(PI_DOWN / delta)
    # Halving rounds subnormals alone: beside a difference above 2^1023 that moves the quotient by
    # far less than the step down.
    return down(0.5 * PI_DOWN / difference_up(0.5 * high, 0.5 * low))


@jit
def _sum_error(size: int) -> float:
    """Return the relative error of a sum of `size` positive weights with exact exponents."""
    return EXP_ERROR + (size / LANES + LANES) * U


@jit
def new_lanes() -> NDArray[np.float64]:
    """Return an uninitialised array for three sums over a row, formed in LANES lanes each."""
    return np.empty(3 * LANES)


@jit
def _total(lanes: NDArray[np.float64], start: int) -> float:
    """Return the sum of LANES lanes from `start` on, in four strands that run side by side."""
    a: float = lanes[start]
    b: float = lanes[start + 1]
    c: float = lanes[start + 2]
    d: float = lanes[start + 3]
    for lane in range(start + 4, start + LANES, 4):
        a += lanes[lane]
        b += lanes[lane + 1]
        c += lanes[lane + 2]
        d += lanes[lane + 3]
    return (a + b) + (c + d)


@jit
def log_mass(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    s: float,
    limit: float,
    lanes: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Return an upper bound of h(s), equation (4) of radius.py, |s| <= S_MAX, and h' and h''.

    The sum of the competitors' weights is given up once it exceeds `limit`: then h > log(limit).
    The derivatives have no guarantee.

    Proof. Weights are relative to e^X, X = 0 or, if that takes the sum out of range, the largest
    exponent. As |gap| <= |x| + |t|, x may lack 4u (|x| + 2 |s|). For x < X - 50 the rounding of
    x - X and 4u |x - X| add less than 2^-116 to the weight, as |v| e^v < 50 e^-50 for v < -50; for
    the others |x - X| <= max(50, h - X), and |X| <= |h| + 17 for up to 2^24 classes. Hence
    X + log(sum e^(x - X) + classes 2^-116) + 4u (100 + 2 |h| + 2 |s|) bounds h. The computed sum
    may lack `_sum_error`, the logarithm 2u of itself: the term added below pays for all of it.
    Weights below e^-708 are taken as that.
    """
    shift = 0.0
    total = 0.0
    while True:
        for lane in range(3 * LANES):
            lanes[lane] = 0.0
        for chunk in range(0, gap.size, _CHUNK):
            for start in range(chunk, min(chunk + _CHUNK, gap.size), LANES):
                g = gap[start : start + LANES]
                b = rise[start : start + LANES]
                for lane in range(LANES):
                    w = exp_lean((g[lane] + b[lane] * s) - shift)
                    v = w * b[lane]
                    lanes[lane] += w
                    lanes[LANES + lane] += v
                    lanes[2 * LANES + lane] += v * b[lane]
            total = _total(lanes, 0)
            if total > limit:
                break
        if shift != 0.0 or 1e-260 < total < 1e260:
            break
        shift = _largest(gap, rise, s, -1e300, lanes)
    slope = _total(lanes, LANES) / total
    bend = _total(lanes, 2 * LANES) / total - slope * slope
    h = shift + math.log(total + gap.size * 2.0**-116)
    h += 8.0 * U * (100.0 + abs(s) + abs(h)) + 2.0 * _sum_error(gap.size)
    return h, slope, bend


@jit
def _largest(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    s: float,
    least: float,
    lanes: NDArray[np.float64],
) -> float:
    """Return the largest computed exponent at s, or `least` if that is larger."""
    for lane in range(LANES):
        lanes[lane] = least
    for start in range(0, gap.size, LANES):
        g = gap[start : start + LANES]
        b = rise[start : start + LANES]
        for lane in range(LANES):
            x = g[lane] + b[lane] * s
            lanes[lane] = x if x > lanes[lane] else lanes[lane]
    half = LANES // 2
    for lane in range(half):
        other = lanes[lane + half]
        lanes[lane] = other if other > lanes[lane] else lanes[lane]
    largest = least
    for lane in range(half):
        largest = lanes[lane] if lanes[lane] > largest else largest
    return largest


@jit
def _first_ties(
    gap: NDArray[np.float64], rise: NDArray[np.float64], lanes: NDArray[np.float64]
) -> tuple[float, float]:
    """Return where a competitor first ties with the top class to the left and to the right of 0.

    Distances, cut at S_MAX.
    """
    for lane in range(LANES):
        lanes[lane] = S_MAX
        lanes[LANES + lane] = S_MAX
    for start in range(0, gap.size, LANES):
        g = gap[start : start + LANES]
        b = rise[start : start + LANES]
        for lane in range(LANES):
            s = g[lane] / b[lane]  # inf or NaN where the slopes are equal
            left = s if b[lane] < 0.0 else S_MAX
            right = -s if b[lane] > 0.0 else S_MAX
            lanes[lane] = left if left < lanes[lane] else lanes[lane]
            lanes[LANES + lane] = right if right < lanes[LANES + lane] else lanes[LANES + lane]
    left, right = S_MAX, S_MAX
    for lane in range(LANES):
        left = min(left, lanes[lane])
        right = min(right, lanes[LANES + lane])
    return left, right


@jit
def _step(h: float, slope: float, bend: float) -> float:
    """Return the d nearest 0 with h + slope d + bend d^2 / 2 = 0, or Newton's if there is none."""
    square = slope * slope - 2.0 * h * bend
    if square > 0.0 and slope > -math.sqrt(square):
        return -2.0 * h / (slope + math.sqrt(square))
    return -h / slope


@jit
def _crossing(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    sign: float,
    h: float,
    slope: float,
    bend: float,
    first: float,
    lanes: NDArray[np.float64],
) -> float:
    """Return a lower bound of the s > 0 at which h(sign s) = 0.

    `h` < 0, `slope` and `bend` are those of h(sign s) at s = 0, `first` the distance of the first
    tie on that side, where h >= 0, or S_MAX.

    Proof. h is convex, so on [l, r] it is below its chord: with h(l) <= H_l < 0 and h(r) <= H_r,
    h < 0 up to the chord's root l + (r - l) (-H_l) / (H_r - H_l), or up to r if H_r < 0. Steps to
    the root of the osculating parabola find a good r, nothing in the proof depends on them.
    """
    # Twice as far, the rounding of exponents alone, 8u |s|, would make up for h(0).
    first = min(first, -h / (16.0 * U))
    left, h_left, right, best = 0.0, h, first, 0.0
    bracketed = False
    s = _step(h, slope, bend)
    for _ in range(_STEPS):
        if not left < s <= right:
            s = 0.5 * (left + right) if bracketed else first
        h, slope, bend = log_mass(gap, rise, sign * s, np.inf, lanes)
        step = _step(h, sign * slope, bend)
        if h < 0.0:
            left, h_left, best = s, h, max(best, s)
            if s == first or abs(step) <= _SHARP * s:
                break
        else:
            right, bracketed = s, True
            root = left + (right - left) * (h_left / (h_left - h)) * (1.0 - 16.0 * U)
            best = max(best, root * (1.0 - 4.0 * U))
            if right - root <= _SHARP * right:
                break
        s += step
    return best


@jit
def half_mass_interval(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    lowest: bool,
    highest: bool,
    lanes: NDArray[np.float64],
) -> tuple[float, float]:
    """Return lower bounds of how far the top class holds more than half the mass, to both sides.

    (0, 0) if that is not proven at s = 0; inf to the left where the top class has the `lowest`
    slope and to the right where it has the `highest`: there it only gains.

    Proof. h(0) < 0 is what `log_mass` says, `_crossing` does each side.
    """
    h, slope, bend = log_mass(gap, rise, 0.0, 1.0, lanes)
    if not h < 0.0:
        return 0.0, 0.0
    left, right = _first_ties(gap, rise, lanes)
    left = np.inf if lowest else _crossing(gap, rise, -1.0, h, -slope, bend, left, lanes)
    right = np.inf if highest else _crossing(gap, rise, 1.0, h, slope, bend, right, lanes)
    return left, right


@jit
def half_mass_distance(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    lowest: bool,
    highest: bool,
    lanes: NDArray[np.float64],
) -> float:
    """Return the smaller end of `half_mass_interval`, at the cost of little more than one."""
    h, slope, bend = log_mass(gap, rise, 0.0, 1.0, lanes)
    if not h < 0.0:
        return 0.0
    left, right = _first_ties(gap, rise, lanes)
    sign = -1.0 if highest or (left < right and not lowest) else 1.0
    first, last = (left, right) if sign < 0.0 else (right, left)
    near = _crossing(gap, rise, sign, h, sign * slope, bend, first, lanes)
    if lowest or highest:
        return near
    if near < last and log_mass(gap, rise, -sign * near, 1.0, lanes)[0] < 0.0:
        return near
    return min(near, _crossing(gap, rise, -sign, h, -sign * slope, bend, last, lanes))


# --- variance ---

POINTS = 40
"""Most abscissas at which the variance is computed; 3 to 9 are needed on ordinary samples."""

TOLERANCE = 0.02
"""The search stops within this share of the smallest variance bound met, so of the minimum."""

_FAR = 1e6  # farthest abscissa, in scaled units, at which variances are computed
_STRIDE = 64.0  # first step into an interval too long for its exponentials, in scaled units
_TINY = 1e-303  # above e^-700, the weight of what is not summed relative to the largest

# Rows of the table of points, ordered by abscissa.
_S = 0  # abscissa s
_LOG = 1  # log-sum-exp of the exponents
_LOG_ERROR = 2
_MEAN = 3  # of the slopes
_MEAN_ERROR = 4
_VARIANCE = 5  # of the slopes: an upper bound
_MAJORITY = 6  # the class that holds more than half the mass, -1 if none is proven to
_LOWER = 7  # lower bound of s^2 + y^2 between this point and the next
_SPLIT = 8  # where to cut that interval
ROWS = 9


@jit
def _moments(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    s: float,
    point: NDArray[np.float64],
    lanes: NDArray[np.float64],
) -> None:
    """Fill `point` with the moments of the slopes under p(s), |s| <= _FAR.

    Proof. Let X be the largest computed exponent, that of the top class (0) among them. A class
    with x - X > -700 has |gap| <= 700 + X + |t| and |t| <= 1.1 |s|, so its weight is e^(x - X) up
    to EXP_ERROR and a factor e^(+-eta), eta = 4u (700 + X + 2.2 |s|) + 700u for rounding x - X. The
    others have less than _TINY each (as |s| <= _FAR, their exponents are below -699 whatever the
    rounding) and are taken as e^-708 or more; `rest` pays for them. So S_0 = sum w and
    S_2 = sum w rise^2 are right within `error` relative, and S_1 = sum w rise within
    error sum w |rise| <= error sqrt(S_0 S_2) by Cauchy-Schwarz. With q = S_2 / S_0 the mean,
    S_1 / S_0, is right within 2.1 error sqrt(q), its square within 4.4 error q, q within
    2.1 error q, and the variance, q less that square, within 8 error q.
    """
    largest = _largest(gap, rise, s, 0.0, lanes)  # 0 is the exponent of the top class
    for lane in range(3 * LANES):
        lanes[lane] = 0.0
    for start in range(0, gap.size, LANES):
        g = gap[start : start + LANES]
        b = rise[start : start + LANES]
        for lane in range(LANES):
            w = exp_lean((g[lane] + b[lane] * s) - largest)
            v = w * b[lane]
            lanes[lane] += w
            lanes[LANES + lane] += v
            lanes[2 * LANES + lane] += v * b[lane]
    own = exp_lean(-largest) if largest > 0.0 else 1.0  # of the top class, whose rise is 0
    s0 = own + _total(lanes, 0)
    s1, s2 = _total(lanes, LANES), _total(lanes, 2 * LANES)
    error = 8.0 * U * (1000.0 + largest + 3.0 * abs(s)) + _sum_error(gap.size)
    rest = gap.size * _TINY
    mean, q = s1 / s0, s2 / s0 + rest
    point[_S] = s
    point[_LOG] = largest + math.log(s0)
    point[_LOG_ERROR] = 2.0 * error + 4.0 * U * (largest + abs(point[_LOG]))
    point[_MEAN] = mean
    point[_MEAN_ERROR] = 3.0 * error * math.sqrt(q)
    point[_VARIANCE] = max(q - mean * mean, 0.0) + 10.0 * error * q
    point[_MAJORITY] = -1.0
    # The largest weight is 1, so all others are below it if S_0 < 2.
    if s0 < 2.0 - 8.0 * error:
        point[_MAJORITY] = gap.size  # the top class
        for j in range(gap.size if largest > 0.0 else 0):
            if gap[j] + rise[j] * s == largest:
                point[_MAJORITY] = j


@jit
def _height(point: NDArray[np.float64], spread: float) -> float:
    """Return a value of s^2 + y_min(s)^2 at a point, inf where a class holds the majority."""
    s: float = point[_S]
    variance: float = point[_VARIANCE]
    return s * s + max(spread * spread, 2.0 / variance) if point[_MAJORITY] < 0.0 else np.inf


@jit
def _least(low: float, high: float, first: float, last: float) -> tuple[float, float]:
    """Return a lower bound of s^2 + 2 / V(s) on [low, high], V linear, and about where it is.

    V > 0 goes from `first` to `last`.

    Proof. 2 / V is convex and lies above its tangent at any s. So the function is, d away from s,
    at least height + slope d + d^2, whose minimum over the interval is at the d nearest -slope / 2.
    The guess s comes from regula falsi and a step of Newton's method. `lost` pays for roundings.
    """
    length = high - low
    if length <= 0.0:
        return low * low + (2.0 - 8.0 * U) / max(first, last), low
    k = (last - first) / length
    s = low
    at_low, at_high = low - k / (first * first), high - k / (last * last)
    if at_high <= 0.0:
        s = high
    elif at_low < 0.0:
        s = low - length * (at_low / (at_high - at_low))
        s = s if low < s < high else 0.5 * (low + high)  # among others, no number
        y = 1.0 / (first + k * (s - low))
        steep = k * y * y
        s -= (s - steep) / (1.0 + 2.0 * steep * k * y)
        s = min(max(s, low), high)
    # V from the end where it is less: no cancellation.
    y = 1.0 / (first + k * (s - low) if k >= 0.0 else last - k * (high - s))
    steep = k * y * y
    slope = 2.0 * (s - steep)
    d = min(max(-0.5 * slope, low - s), high - s)
    height = s * s + 2.0 * y
    lost = 32.0 * U * (height + length * (abs(s) + abs(steep) + length))
    return (height + d * (slope + d)) - lost, s


@jit
def _bound_between(p: NDArray[np.float64], q: NDArray[np.float64], spread: float) -> None:
    """Bound s^2 + y_min(s)^2 from below between two neighbouring points; p keeps the result.

    Proof. If one class holds the majority at both points it does so between them: its h, equation
    (4) of radius.py, is convex. There is no zero there.

    Otherwise let c = m(p), d = s - s_p. For any c, and by the convexity of exp for the denominator,

        Var(s) <= sum_k p_k(s) (a_k - c)^2 = V(d) / sum_k p_k(s_p) e^((a_k - c) d) <= V(d),
        V(d) = sum_k p_k(s_p) (a_k - c)^2 e^((a_k - c) d),

    as sum_k p_k e^((a_k - c) d) >= e^((m - c) d) = 1 (Jensen). V is convex in d, so it lies below
    its chord; V(0) = Var(s_p), and at the other point, h = s_q - s_p away, the weights are those of
    q again:

        V(h) = e^D (Var(s_q) + (m(q) - c)^2),     D = log F(s_q) - log F(s_p) - c h >= 0.

    So no exponential is needed beyond those of the two points. The same from q back to p gives a
    second line; the lower of both bounds the variance, and s^2 + 2 / Var is least on either side of
    where they cross (`_least`). If the computed mean c is off by E, Jensen gives e^(-E |d|) for 1;
    V(d) e^(E |d|) is convex, too, and takes the place of V(d).
    """
    h = q[_S] - p[_S]
    nearer = 0.0 if p[_S] < 0.0 < q[_S] else min(abs(p[_S]), abs(q[_S]))
    floor = (nearer * nearer + spread * spread) * (1.0 - 4.0 * U)
    p[_LOWER], p[_SPLIT] = floor, p[_S] + 0.5 * h
    if p[_MAJORITY] >= 0.0 and p[_MAJORITY] == q[_MAJORITY]:
        p[_LOWER] = np.inf
        return
    error = p[_LOG_ERROR] + q[_LOG_ERROR] + 8.0 * U * (abs(p[_LOG]) + abs(q[_LOG]))
    shift_p, shift_q = p[_MEAN] * h, q[_MEAN] * h
    error_p = error + 8.0 * U * abs(shift_p) + p[_MEAN_ERROR] * h
    error_q = error + 8.0 * U * abs(shift_q) + q[_MEAN_ERROR] * h
    log_p = (q[_LOG] - p[_LOG]) - shift_p + 2.0 * error_p
    log_q = (p[_LOG] - q[_LOG]) + shift_q + 2.0 * error_q
    if not max(log_p, log_q) < 600.0:
        # Nothing is known here but the floor. Steps away from 0 that double find where to look.
        step = min(0.5 * h, max(_STRIDE, nearer))
        p[_SPLIT] = p[_S] + step if p[_S] >= 0.0 else q[_S] - step
        return
    apart = abs(q[_MEAN] - p[_MEAN]) * (1.0 + 4.0 * U) + p[_MEAN_ERROR] + q[_MEAN_ERROR]
    up_16u = 1.0 + 16.0 * U
    p_at_q = math.exp(log_p) * (q[_VARIANCE] + apart * apart) * up_16u
    q_at_p = math.exp(log_q) * (p[_VARIANCE] + apart * apart) * up_16u
    p_at_p, q_at_q = p[_VARIANCE], q[_VARIANCE]
    if p_at_p >= q_at_p:
        lower, at = _least(p[_S], q[_S], q_at_p, q_at_q)
    elif q_at_q >= p_at_q:
        lower, at = _least(p[_S], q[_S], p_at_p, p_at_q)
    else:
        below, above = q_at_p - p_at_p, p_at_q - q_at_q
        cross = min(p[_S] + h * (below / (below + above)), q[_S])
        # Both lines at the rounded crossing, from its own distances to the points.
        ahead, behind = (cross - p[_S]) / h, (q[_S] - cross) / h
        line_p = p_at_p * (1.0 - ahead) + p_at_q * ahead + 16.0 * U * max(p_at_p, p_at_q)
        line_q = q_at_q * (1.0 - behind) + q_at_p * behind + 16.0 * U * max(q_at_p, q_at_q)
        lower, at = _least(p[_S], cross, p_at_p, line_p)
        lower_q, at_q = _least(cross, q[_S], line_q, q_at_q)
        if lower_q < lower:
            lower, at = lower_q, at_q
    # Underflow and overflow make `lower` no number, or `at`.
    p[_LOWER] = lower if lower > floor else floor
    if at == at:
        p[_SPLIT] = min(max(at, p[_S] + 0.2 * h), q[_S] - 0.2 * h)


@jit
def variance_distance(
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
    left: float,
    right: float,
    spread: float,
    points: NDArray[np.float64],
    lanes: NDArray[np.float64],
) -> float:
    """Return a lower bound of min over s of hypot(s, y_min(s)), equation (6) of radius.py.

    Over s <= -left and s >= right, the half-mass interval; `spread` is a lower bound of pi / Delta,
    `points` is scratch of shape (POINTS, ROWS). 0 if there is nothing to gain.

    Proof. Beyond s = +-reach, s^2 + y_min(s)^2 >= reach^2 + spread^2. Up to there the abscissas are
    cut into intervals, each with its own lower bound. Best first: the interval with the least bound
    is cut at about its minimum, until that bound is within TOLERANCE of the least value met at a
    point, or the points are used up; the least of all bounds is the result in any case.
    """
    count = 0
    least = np.inf
    for end in (-left, right):
        if abs(end) < _FAR and not (count == 1 and end == points[0, _S]):
            _moments(gap, rise, end, points[count], lanes)
            points[count, _MAJORITY] = -1.0  # not beyond this point
            least = min(least, _height(points[count], spread))
            count += 1
    # Beyond this reach s^2 + spread^2 alone is more than the least value that was met.
    reach = min(math.sqrt(max(least - spread * spread, 0.0)), _FAR)
    if not min(left, right) < reach:
        return 0.0
    if left < reach:
        _insert(points, 0, count)
        count += 1
        _moments(gap, rise, -reach, points[0], lanes)
        least = min(least, _height(points[0], spread))
    if right < reach:
        _moments(gap, rise, reach, points[count], lanes)
        least = min(least, _height(points[count], spread))
        count += 1
    for i in range(count - 1):
        _bound_between(points[i], points[i + 1], spread)
        if -left <= points[i, _S] and points[i + 1, _S] <= right:
            points[i, _LOWER] = np.inf  # between the ends of the half-mass interval
    outside = (reach * reach + spread * spread) * (1.0 - 4.0 * U)
    while True:
        i = 0
        for j in range(1, count - 1):
            i = j if points[j, _LOWER] < points[i, _LOWER] else i
        lower: float = points[i, _LOWER]
        if count == POINTS or lower >= min(outside, (1.0 - TOLERANCE) ** 2 * least):
            break
        s = points[i, _SPLIT]
        if not points[i, _S] < s < points[i + 1, _S]:
            break
        _insert(points, i + 1, count)
        count += 1
        _moments(gap, rise, s, points[i + 1], lanes)
        least = min(least, _height(points[i + 1], spread))
        _bound_between(points[i], points[i + 1], spread)
        _bound_between(points[i + 1], points[i + 2], spread)
    return down(math.sqrt(min(lower, outside)) * (1.0 - 4.0 * U))


@jit
def _insert(points: NDArray[np.float64], index: int, count: int) -> None:
    """Make room for one more point among the first `count`."""
    for i in range(count, index, -1):
        for row in range(ROWS):
            points[i, row] = points[i - 1, row]


# --- two classes, and scaling ---


@jit
def binary_radius(z1: float, z2: float, a1: float, a2: float) -> float:
    """Return hypot(z1 - z2, pi) / |a1 - a2| faithfully rounded, for a1 != a2.

    In double-double arithmetic, with a relative error below 2^-95 before the last rounding.
    """
    high, low, exponent = scaled_gap(z1, z2)
    if exponent < 60:  # from 2^60 on, pi changes the root by a factor below 1 + 2^-114
        delta, delta_low = math.ldexp(high, exponent), math.ldexp(low, exponent)
        square, error = two_product(delta, delta)
        error += 2.0 * delta * delta_low
        total, rest = two_difference(square, -PI2_HIGH)
        rest += error + PI2_LOW
        # One Newton correction of the square root doubles its precision.
        high = math.sqrt(total)
        product, error = two_product(high, high)
        low = (((total - product) - error) + rest) / (2.0 * high)
        exponent = 0
    width, width_low, width_exponent = scaled_gap(a1, a2)
    quotient = high / width
    product, error = two_product(quotient, width)
    remainder = (((high - product) - error) + low) - quotient * width_low
    return math.ldexp(quotient + remainder / width, exponent - width_exponent)


@jit
def scale_exponent(low: float, high: float) -> int:
    """Return e with 2^(e-1) <= high - low < 2^e, up to rounding."""
    delta = high - low
    return math.frexp(delta)[1] if delta < np.inf else 1025


@jit
def load(
    z: NDArray[np.float64],
    a: NDArray[np.float64],
    count: int,
    top: int,
    exponent: int,
    gap: NDArray[np.float64],
    rise: NDArray[np.float64],
) -> int:
    """Fill `gap` and `rise` from the `count` unmasked classes of a sample; return the padded size.

    Powers of two are multiplied in halves, for 2^1074 is no float; the products are exact unless
    they are subnormal.
    """
    half = exponent >> 1
    c, d = math.ldexp(1.0, -half), math.ldexp(1.0, half - exponent)
    z_top, a_top = z[top], (a[top] * c) * d
    if count == z.size and count >= 64:  # vectorised, which pays off in long rows
        for j in range(z.size):
            gap[j] = z[j] - z_top
            rise[j] = (a[j] * c) * d - a_top
        gap[top] = PAD
    else:
        n, own = 0, 0
        for j in range(z.size):
            gap[n] = z[j] - z_top
            rise[n] = (a[j] * c) * d - a_top
            own = n if j == top else own
            n += 1 if z[j] > -np.inf else 0
        gap[own] = PAD
    size = padded(count)
    for j in range(count, size):
        gap[j], rise[j] = PAD, 0.0
    return size
