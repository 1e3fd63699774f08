"""The nearest zero of the partition function in a disc around a real point, with a proven bound.

F(t) = sum_k exp(z_k + a_k t) is entire. All arithmetic is float64 with unit roundoff u = 2^-53;
every bound below counts it.

The disc. If a zero of modulus rho_c >= rho is known, the zeros t with Re t >= s and |t| <= rho_c
lie in the disc

    |t - s|^2 = |t|^2 - 2 s Re t + s^2 <= rho_c^2 - s^2                                        (1)

around the real point s >= 0; for s = 0 that is |t| <= rho_c.

Expansion. Around s, with p_k = exp(z_k + a_k s) up to a factor and any centre c of the slopes,

    G(v) = F(s + d v) exp(-c (s + d v)) = sum_k p_k exp(b_k v),   b_k = (a_k - c) d,           (2)

has the zeros of F; c is the mean slope under p, d a power of two near the radius sought. Its
Taylor coefficients are c_n = sum_k p_k b_k^n / n!. Write A_n for sum_k p_k |b_k|^n / n! and h for
max_k |b_k|; A_n = c_n for even n, and A_(n+1) <= A_n h / (n + 1), so for even N

    sum_{n >= N} A_n R^n <= c_N R^N / (1 - h R / (N + 1))      if h R < N + 1,                 (3)
    sum_k p_k exp(|b_k| R) <= 2 sum_k p_k cosh(b_k R) = 2 sum_{n even} c_n R^n =: M.           (4)

Certificate. ||f|| = sum_n |f_n| R^n is submultiplicative and bounds |f| on the disc |v| <= R. Let
q be the monic polynomial with the presumed zeros v_1, ..., v_m in the disc and their conjugates.
Division with remainder gives G = q Q + r, r a bounded error; power series division gives a
polynomial B = 1/Q + ...; and eps = ||Q B - 1|| is computed, not presumed. If eps < 1,

    |Q| >= (1 - eps) / ||B||  on |v| <= R,    so every zero of G there has
    |q(v)| <= eta := max |r| ||B|| / (1 - eps).                                                (5)

No winding number, no search: Q has no zero in the disc, and G only where q is tiny. Where: let
P_j be the product of the distances from v_j to the other roots of q, and e_j = 2 eta / P_j. If
e_j sum_i 1 / |v_j - v_i| <= 1/4 for all j, the discs |v - v_j| <= e_j are disjoint and on their
circles |q| >= e_j P_j (1 - 1/4) > eta. A component of {|q| <= eta} holds a root of q, so it lies
within the disc of that root: all zeros of G in |v| <= R lie in these small discs. On the circle of
one that lies within |v| <= R, |G - q Q| = |r| < |q Q|: by Rouche's theorem it holds exactly one
zero of G. Without presumed zeros q = 1, and (5) says 1 <= eta at every zero: G has none if eta < 1.

Polish. Let v* be the zero in |v - v_j| <= e and w = v_j - G(v_j) / G'(v_j), the Newton step from a
direct evaluation of (2). With |G''| <= M_2 on the small disc, G(v_j) = G'(v_j) (v_j - v*) + x,
|x| <= M_2 e^2 / 2, so |w - v*| <= M_2 e^2 / (2 |G'(v_j)|) and evaluation errors on top.

Who presumes the zeros: 1/Q has its poles at the zeros not yet divided out, the nearest of which
governs the last coefficients of B: b_n = alpha b_(n-1) + beta b_(n-2) for a pair. Newton's method
takes it from there. A presumed zero that is wrong or missing makes eps >= 1 or eta large; that
costs an answer, never a wrong one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.cos_sin import cos_sin
from ..arithmetic.directed import U
from ..arithmetic.exp import LOWEST_NORMAL, exp_normal
from ..arithmetic.power_series import BLOCK, divide, moments, norm_of, presume, reciprocal
from ..runtime.jit import jit

NOWHERE: float = 2.0**-200
"""Nearer than this is at 0, further than its reciprocal is out of reach."""

_POLISHED = 1e-12  # relative width below which a modulus needs no direct evaluation any more

_FEW, _MANY = 48, 96  # Taylor degrees to begin and to end with, multiples of 8
_SHORT, _LONG = 48, 128  # degrees of B, for the first few presumed pairs and for more
_PAIRS, _FIRST = 12, 3  # presumed pairs of zeros, at most and with a short B
_NEARBY = 1.5  # pairs up to so many R are divided out
_MARGIN = 2.0**-10  # R exceeds what (1) asks for by this share, so that small discs fit inside
_WIDEST = 2.0  # largest R in units of d
_NEGLIGIBLE = -46.0  # e^-46 = 1.053e-20

CLASS_ROWS = 6
"""Rows of scratch of one element per class."""

SERIES_ROWS, SERIES_LENGTH = 13, _MANY + _LONG + 16
"""Rows of scratch for coefficients, and their length."""

_Row = NDArray[np.float64]
_Workspace = tuple[NDArray[np.float64], NDArray[np.float64]]
_Pair = tuple[float, float]


class _Terms(NamedTuple):
    """G of equation (2): the classes that matter, and what the others and rounding can do."""

    weights: _Row
    """max(p_k, e^-700): right within a relative error of `slack` + 2u."""
    slopes: _Row
    """b_k: right within u."""
    exponents: _Row
    """log p_k before rounding."""
    size: int
    largest: float
    """h."""
    slack: float
    lost: float
    """Bound of what dropped classes, and e^-700 for p_k, do to G, G' and G'' / 2 on |v| <= 2.5."""
    unit: float
    """d; 0 if there is no sensible one."""


@jit
def least_modulus(
    z: _Row, a: _Row, scale: float, start: float, reach: float, work: _Workspace
) -> _Pair:
    """[low, high] holds the least modulus of the zeros with Re t >= start, if it is <= reach.

    start = 0: of all zeros. high = inf: no zero was found. NaN: failed.
    """
    if not start < 1.0 / NOWHERE:
        return np.nan, np.nan
    if start < NOWHERE:
        start = 0.0
    unit = 0.0
    for _ in range(4):
        terms = _expand(z, a, scale, start, unit, work[0])
        if terms.unit == 0.0:
            break
        low, high, wider = _certify(terms, start / terms.unit, reach / terms.unit, work)
        if not wider:
            return low * terms.unit, high * terms.unit
        unit = 2.0 * terms.unit
    return np.nan, np.nan


@jit
def _expand(
    z: _Row, a: _Row, scale: float, start: float, unit: float, work: NDArray[np.float64]
) -> _Terms:
    """Equation (2) around s = start; unit = 0 leaves the choice of d to this function.

    The exponent x_k = (z_k - z_0) + (a_k - a_0) s, class 0 the top class at s, has three roundings
    of its two terms and one of itself: `slack`, with a factor of 2 for the conversion to a relative
    error of p_k. A class is dropped if x_k + 3.5 |b_k| < -46 in spite of that: then |b_k|^j p_k
    exp(|b_k| |v|) / j! < e^-46 for |v| <= 2.5 and j = 0, 1, 2, as |b|^j e^-|b| / j! <= 1.

    A class kept for its |b_k| may have x_k < -700; its weight is taken as e^-700. `_certify` gives
    up where h R exceeds 0.9 _MANY < 87, and `_polish` goes beyond that by 1 at most, so the true
    term and the one in its place are below e^-612. |b_k| < 16 (6 + log(mass) - x_k) < 2^38 by the
    choice of d below, doubled three times at most, as slack < 1e-6 implies |x_k| < 2^33. So |b_k|^j
    times that is below e^-550 < 1e-238, which `lost` takes in for every class kept.
    """
    classes = z.size
    weights, slopes, exponents = work[0], work[1], work[2]
    top, best = 0, -np.inf
    for k in range(classes):
        x = z[k] + a[k] * scale * start
        if x > best:
            top, best = k, x
    z_top, a_top = z[top], a[top] * scale
    for k in range(classes):
        slope = a[k] * scale - a_top
        x = (z[k] - z_top) + slope * start
        slopes[k] = slope
        exponents[k] = x
        weights[k] = exp_normal(x if x > LOWEST_NORMAL else LOWEST_NORMAL)
    mass = mean = variance = 0.0
    for k in range(classes):
        mass += weights[k]
        mean += weights[k] * slopes[k]
    mean /= mass
    for k in range(classes):
        variance += weights[k] * (slopes[k] - mean) ** 2
    if unit == 0.0:
        # Two classes that tie have a zero at pi/2 standard deviations; many, further out. And no
        # term should dwarf the rest within reach.
        unit = 2.8 * math.sqrt(mass / variance)
        ceiling = 6.0 + math.log(mass)
        for k in range(classes):
            room = ceiling - exponents[k]
            distance = abs(slopes[k] - mean)
            if unit * distance > room:
                unit = room / distance
        unit = math.ldexp(1.0, math.frexp(unit)[1]) if NOWHERE < unit < 1.0 / NOWHERE else 0.0
    centre = a_top + mean
    count = 0
    largest = slack = 0.0
    for k in range(classes):
        x = exponents[k]
        doubt = abs(z[k] - z_top) + 2.0 * abs(slopes[k] * start) + abs(x)
        b = (a[k] * scale - centre) * unit
        if x + 4.0 * U * doubt + 3.501 * abs(b) > _NEGLIGIBLE:
            weights[count] = weights[k]
            slopes[count] = b
            exponents[count] = x
            count += 1
            largest = max(largest, abs(b))
            slack = max(slack, doubt)
    slack *= 2.0 * U
    if not slack < 1e-6:
        unit = 0.0
    lost = 1.06e-20 * (classes - count) + 1e-238 * count
    return _Terms(
        weights[:count], slopes[:count], exponents[:count], count, largest, slack, lost, unit
    )


@jit
def _certify(
    terms: _Terms, start: float, reach: float, work: _Workspace
) -> tuple[float, float, bool]:
    """`least_modulus` in units of d; the flag asks for a larger unit.

    Error of a computed c_n R^n, relative to A_n R^n: 2n u for n slopes and their product, n u for
    1/n!, n u for R^n, one u per addition of classes, slack + 2u for the weights. In all, N terms:
    below ((4 N + 64 + additions) u + slack) M, M of (4).

    Division by q, in units of u ||Q|| prod (1 + |v_j|)^2, m pairs: 2m + 1 for each of the two sides
    of c = q Q + r, and 7m for the rounding of q itself: below 16m + 8.

    B: Q_0 B_n is the sum of D products, rounded: the residual of each of the equations is below
    (D + 3) u sum_j |Q_j| |B_(n-j)|.
    """
    c, scaled, quotient, room, product = work[1][:5]
    root_re, root_im, error, low, high, found_re, found_im, q = work[1][5:13]
    slopes = terms.slopes
    degree = min(max(8 * int(3.0 + 0.28 * terms.largest), _FEW), _MANY)
    moments(terms.weights, slopes, degree, work[0][3], c)
    found = 0
    for _ in range(_PAIRS + 5):
        # The disc of equation (1) for the nearest zero presumed so far.
        nearest = reach
        for j in range(found):
            modulus = math.hypot(start + found_re[j], found_im[j]) * (1.0 + 1e-9)
            if modulus > start:
                nearest = min(nearest, modulus)
        known = nearest < np.inf
        radius = 1.0
        if known:
            radius = math.sqrt((nearest - start) * (nearest + start)) * (1.0 + _MARGIN)
        # Zeros somewhat outside the disc slow the decay of B, those far outside spoil the division.
        pairs = 0
        for j in range(found):
            if math.hypot(found_re[j], found_im[j]) <= _NEARBY * radius:
                root_re[pairs], root_im[pairs] = found_re[j], found_im[j]
                pairs += 1
        if not radius <= _WIDEST:
            return np.nan, np.nan, radius > _WIDEST
        if not radius > 0.0:
            break

        power = 1.0
        norm = 0.0
        for n in range(0, degree + 1, 2):
            scaled[n] = c[n] * power
            scaled[n + 1] = c[n + 1] * (power * radius)
            power = power * radius * radius
            norm += scaled[n]
        growth = terms.largest * radius
        if growth >= 0.9 * degree or scaled[degree] > 1e-12 * norm:
            if degree < _MANY:
                degree = min(degree + 24, _MANY)
                moments(terms.weights, slopes, degree, work[0][3], c)
                continue
            if growth >= 0.9 * degree:
                break
        last = degree  # the tail begins here
        while (
            last > 2 * pairs + 8
            and scaled[last - 2] < 1e-18 * scaled[0]
            and growth < 0.9 * (last - 2)
        ):
            last -= 2
        tail = 1.01 * scaled[last] / (1.0 - growth / (last + 1))
        norm = 2.02 * (norm + tail)
        roundings = 4 * last + 64 + min(terms.size, BLOCK) + terms.size // BLOCK
        doubt = norm * (roundings * U + terms.slack) + tail + terms.lost

        remainder = divide(scaled[:last], root_re, root_im, pairs, radius, q, quotient)
        size = last - 2 * pairs
        inverse = room[: (_SHORT if found < _FIRST else _LONG) + 1]
        rest = reciprocal(quotient[:size], inverse, product)
        quotient_norm = norm_of(quotient[:size])
        inverse_norm = norm_of(inverse)
        root_norm = 1.0
        for j in range(pairs):
            root_norm *= (1.0 + math.hypot(root_re[j], root_im[j]) / radius) ** 2
        epsilon = 1.01 * (rest + (size + 3) * U * quotient_norm * inverse_norm)
        if known and epsilon < 0.9:
            residual = remainder + (16 * pairs + 8) * U * root_norm * quotient_norm + doubt
            eta = 1.02 * residual * inverse_norm / (1.0 - epsilon)
            if _isolate(root_re, root_im, pairs, radius, eta, error):
                least = _least(
                    terms, start, reach, radius, pairs, root_re, root_im, error, low, high, work[0]
                )
                if not math.isnan(least[0]):
                    return least[0], least[1], False
        if found == _PAIRS:
            break
        x, y = presume(c[: degree + 1], inverse, radius, found_re[:found], found_im[:found])
        if not y > 0.0:
            break
        found_re[found], found_im[found] = x, y
        found += 1
    return np.nan, np.nan, False


@jit
def _isolate(
    root_re: _Row, root_im: _Row, pairs: int, radius: float, eta: float, error: _Row
) -> bool:
    """Whether small discs around the roots hold all zeros, see (5); `error` are their radii.

    No roots, no discs: whether there is no zero.
    """
    if pairs == 0:
        return eta < 1.0
    for j in range(pairs):
        distances = 2.0 * root_im[j] / radius
        nearness = 1.0 / distances
        for i in range(pairs):
            if i != j:
                across = (root_re[i] - root_re[j]) / radius
                same = math.hypot(across, (root_im[i] - root_im[j]) / radius)
                other = math.hypot(across, (root_im[i] + root_im[j]) / radius)
                distances *= same * other
                nearness += 1.0 / same + 1.0 / other
        e = 2.04 * eta / distances
        if not e * nearness <= 0.2:
            return False
        error[j] = e * radius
    return True


@jit
def _least(
    terms: _Terms,
    start: float,
    reach: float,
    radius: float,
    pairs: int,
    root_re: _Row,
    root_im: _Row,
    error: _Row,
    low: _Row,
    high: _Row,
    work: NDArray[np.float64],
) -> _Pair:
    """[low, high] around the least modulus of the zeros in the small discs, polished."""
    for j in range(pairs):
        modulus = math.hypot(start + root_re[j], root_im[j])
        low[j] = modulus * (1.0 - 8.0 * U) - error[j] * (1.0 + 8.0 * U)
        high[j] = modulus * (1.0 + 8.0 * U) + error[j] * (1.0 + 8.0 * U)
        distance = math.hypot(root_re[j], root_im[j])
        if distance - error[j] > radius * (1.0 + 8.0 * U):
            low[j] = high[j] = np.inf  # the small disc is of no concern
        elif not distance + error[j] < radius * (1.0 - 8.0 * U):
            high[j] = np.inf  # and here it need not hold a zero
    while True:
        least, most = np.inf, np.inf
        for j in range(pairs):
            least, most = min(least, low[j]), min(most, high[j])
        # The first uncertain one of those that can be the nearest.
        j = -1
        for i in range(pairs):
            vague = low[i] <= most and _POLISHED * most < high[i] - low[i] < np.inf
            if vague and (j < 0 or low[i] < low[j]):
                j = i
        if j < 0:
            break
        x, y, e = _polish(terms, root_re[j], root_im[j], error[j], work)
        if not e < 0.5 * error[j]:
            break
        root_re[j], root_im[j], error[j] = x, y, e
        modulus = math.hypot(start + x, y)
        low[j] = modulus * (1.0 - 8.0 * U) - e * (1.0 + 8.0 * U)
        high[j] = modulus * (1.0 + 8.0 * U) + e * (1.0 + 8.0 * U)
    # Equation (1): no zero is missed up to this modulus.
    cover = math.sqrt(radius * radius + start * start) * (1.0 - 8.0 * U)
    if (most == np.inf and least < cover) or cover < min(most, reach) < np.inf:
        return np.nan, np.nan
    return min(least, cover), most


@jit
def _polish(
    terms: _Terms, x: float, y: float, error: float, work: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Newton's step from x + iy, which is within `error` of a zero, and the new error; NaN: failed.

    A term exp(x_k + b_k v) is right within slack (its weight), slack (rounding of x_k), 3 h |v| u
    (b_k v, once each for b_k, the product and the sum; real and imaginary part), 2u (exp), 4u
    (cos + i sin), products and sums.
    """
    failed = (np.nan, np.nan, np.nan)
    h = terms.largest
    if not h * error <= 1.0 or not h * y <= 2.0**20 or not error < 0.25:
        return failed
    n = terms.size
    slopes, exponents = terms.slopes, terms.exponents
    real, imaginary, modulus = work[3], work[4], work[5]
    for k in range(n):
        e = exponents[k] + slopes[k] * x
        m = exp_normal(e if e > LOWEST_NORMAL else LOWEST_NORMAL)
        cosine, sine = cos_sin(slopes[k] * y)
        modulus[k] = m
        real[k] = m * cosine
        imaginary[k] = m * sine
    g_re = g_im = f_re = f_im = size_0 = size_1 = size_2 = 0.0  # F, F', sums of moduli
    for begin in range(0, n, BLOCK):
        p_re = p_im = r_re = r_im = t_0 = t_1 = t_2 = 0.0
        for k in range(begin, min(begin + BLOCK, n)):
            b, m = slopes[k], modulus[k]
            p_re += real[k]
            p_im += imaginary[k]
            r_re += b * real[k]
            r_im += b * imaginary[k]
            t_0 += m
            t_1 += abs(b) * m
            t_2 += b * b * m
        g_re += p_re
        g_im += p_im
        f_re += r_re
        f_im += r_im
        size_0 += t_0
        size_1 += t_1
        size_2 += t_2
    roundings = 3.0 * h * (abs(x) + abs(y)) + 24 + min(n, BLOCK) + n // BLOCK
    relative = 1.01 * (2.0 * terms.slack + roundings * U)
    value_error = relative * size_0 + terms.lost
    slope_error = relative * size_1 + terms.lost
    curvature = 1.01 * math.exp(h * error) * size_2 + 2.0 * terms.lost
    square = f_re * f_re + f_im * f_im
    steepness = math.sqrt(square) * (1.0 - 8.0 * U) - slope_error
    if not steepness > 0.0:
        return failed
    step_re = (g_re * f_re + g_im * f_im) / square
    step_im = (g_im * f_re - g_re * f_im) / square
    step = math.hypot(step_re, step_im)
    x, y = x - step_re, y - step_im
    error = 1.01 * (0.5 * curvature * error * error + value_error + step * slope_error) / steepness
    return x, y, error + 16.0 * U * step + 2.0 * U * (abs(x) + abs(y))
