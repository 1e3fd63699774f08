"""Power series arithmetic for zeros_in_disc.py, whose equations and names are used here.

Coefficients are in rows, f_n in f[n]. What each function says of its own rounding is counted in
`_certify`. `presume` promises nothing: a presumed zero that is wrong costs an answer, never a wrong
one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..runtime.jit import jit

BLOCK = 512
"""Classes per partial sum: fits the cache, keeps rounding errors small."""

_Row = NDArray[np.float64]
_Pair = tuple[float, float]


@jit
def moments(weights: _Row, slopes: _Row, degree: int, power: _Row, c: _Row) -> None:
    """c_n = sum_k p_k b_k^n / n! for n up to `degree`, a multiple of 8, and beyond it a little."""
    for n in range(degree + 8):
        c[n] = 0.0
    for begin in range(0, weights.size, BLOCK):
        p = weights[begin : begin + BLOCK]
        b = slopes[begin : begin + BLOCK]
        y = power[: p.size]
        for k in range(p.size):
            y[k] = p[k]
        for n in range(0, degree + 1, 8):
            # Eight sums side by side, because floating-point sums must not be reordered.
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
            for k in range(p.size):
                x1 = b[k]
                x2 = x1 * x1
                x3 = x1 * x2
                x4 = x2 * x2
                y0 = y[k]
                y4 = y0 * x4
                s0 += y0
                s1 += y0 * x1
                s2 += y0 * x2
                s3 += y0 * x3
                s4 += y4
                s5 += y4 * x1
                s6 += y4 * x2
                s7 += y4 * x3
                y[k] = y4 * x4
            c[n] += s0
            c[n + 1] += s1
            c[n + 2] += s2
            c[n + 3] += s3
            c[n + 4] += s4
            c[n + 5] += s5
            c[n + 6] += s6
            c[n + 7] += s7
    factorial = 1.0
    for n in range(1, degree + 8):
        factorial /= n
        c[n] *= factorial


@jit
def norm_of(f: _Row) -> float:
    """||f|| = sum_n |f_n|, for coefficients scaled to R = 1."""
    total = 0.0
    for x in f:
        total += abs(x)
    return total


@jit
def divide(
    f: _Row, root_re: _Row, root_im: _Row, pairs: int, radius: float, q: _Row, quotient: _Row
) -> float:
    """f = q Q + r, q monic with the roots over `radius` and their conjugates; return ||r||.

    From the highest coefficient down: errors do not grow, as the roots lie in the unit disc.
    """
    q[0] = 1.0
    for j in range(pairs):
        x, y = root_re[j] / radius, root_im[j] / radius
        b, c = -2.0 * x, x * x + y * y
        q[2 * j + 1] = q[2 * j + 2] = 0.0
        for n in range(2 * j + 2, 1, -1):
            q[n] = c * q[n] + (b * q[n - 1] + q[n - 2])
        q[1] = c * q[1] + b * q[0]
        q[0] *= c
    m = 2 * pairs
    for n in range(f.size):
        quotient[n] = f[n]
    for n in range(f.size - 1, m - 1, -1):
        for j in range(m):
            quotient[n - m + j] -= q[j] * quotient[n]
    remainder = norm_of(quotient[:m])
    for n in range(f.size - m):
        quotient[n] = quotient[n + m]
    return remainder


@jit
def reciprocal(f: _Row, inverse: _Row, product: _Row) -> float:
    """B with f B = 1 to the degree of B; return the norm of f B beyond it."""
    for n in range(inverse.size + f.size):
        product[n] = 0.0
    rising = f[1:]
    for n in range(inverse.size):
        b = (1.0 if n == 0 else -product[n]) / f[0]
        inverse[n] = b
        onward = product[n + 1 : n + f.size]
        for j in range(rising.size):
            onward[j] += rising[j] * b
    return norm_of(product[inverse.size : inverse.size + f.size - 1])


@jit
def presume(c: _Row, inverse: _Row, radius: float, root_re: _Row, root_im: _Row) -> _Pair:
    """A zero of the Taylor polynomial in the upper half-plane that is not among the roots yet.

    From the pair that governs the end of `inverse`; failing that, from around the circle whose
    radius is its rate of growth. y = 0: none found.
    """
    n = inverse.size - 1
    while n > 16 and abs(inverse[n]) + abs(inverse[n - 1]) < 1e-250:
        n -= 8
    b0, b1, b2, b3 = inverse[n], inverse[n - 1], inverse[n - 2], inverse[n - 3]
    determinant = b1 * b3 - b2 * b2
    alpha = (b0 * b3 - b1 * b2) / determinant
    beta = (b1 * b1 - b0 * b2) / determinant
    discriminant = -4.0 * beta - alpha * alpha
    if discriminant > 0.0:
        # x^2 = alpha x + beta has the roots radius / v.
        x = -0.5 * alpha / beta * radius
        y = -0.5 * math.sqrt(discriminant) / beta * radius
        x, y = _newton(c, x, y, root_re, root_im)
        if y > 0.0:
            return x, y
    late = abs(b0) + abs(b1) + abs(b2) + abs(b3)
    early = 0.0
    for j in range(4):
        early += abs(inverse[n - 8 - j])
    distance = radius * (early / late) ** 0.125
    for j in range(6):
        angle = (2 * j + 1) * math.pi / 12.0
        x, y = distance * math.cos(angle), distance * math.sin(angle)
        x, y = _newton(c, x, y, root_re, root_im)
        if y > 0.0 and math.hypot(x, y) < 2.0 * distance:
            return x, y
    return 0.0, 0.0


@jit
def _newton(c: _Row, x: float, y: float, root_re: _Row, root_im: _Row) -> _Pair:
    """Newton's method on the polynomial divided by its known roots; y = 0: it went nowhere."""
    v = complex(x, y)
    for _ in range(24):
        value, slope = 0j, 0j
        for n in range(c.size - 1, -1, -1):
            slope = slope * v + value
            value = value * v + c[n]
        rate = _quotient(slope, value)
        for j in range(root_re.size):
            rate -= _quotient(1.0 + 0j, v - complex(root_re[j], root_im[j]))
            rate -= _quotient(1.0 + 0j, v - complex(root_re[j], -root_im[j]))
        step = _quotient(1.0 + 0j, rate)
        size = abs(v.real) + abs(v.imag)
        if not size < 64.0:
            break
        if value == 0j or abs(step.real) + abs(step.imag) < 1e-10 * size:
            return v.real, (abs(v.imag) if abs(v.imag) > 1e-6 * size else 0.0)
        v -= step
    return 0.0, 0.0


@jit
def _quotient(x: complex, y: complex) -> complex:
    """x / y; infinite or NaN for y = 0, where Python raises."""
    square = y.real * y.real + y.imag * y.imag
    return complex(
        (x.real * y.real + x.imag * y.imag) / square, (x.imag * y.real - x.real * y.imag) / square
    )
