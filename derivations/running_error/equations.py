"""Zeros of functions, linear equations and singular values of numbers with running errors.

**Zeros.** The class: a bracket of points of the format is narrowed until its ends are neighbours,
by computed signs alone; on which side f is positive is known.  Its result lies within a neighbour's
distance of a point where the computed sign is not the right one, or where it changes.

Let t stand for a whole interval: its middle as the value, half its width as both radii, no error.
Then f(t) gives v, d, w, r such that |f - v| <= d, and |computed f - v| <= w + r, at *every* point
of it.  If |v| exceeds w + r, all implementations compute that sign everywhere there.  So intervals
are laid end to end, from the lower end up as long as the sign is surely that below the zero, and
from the upper end down as long as it is surely the other one: the results lie between.  With d, or
w, in place of w + r, the exact zero and that of the references do.  A computed bracket may lie
beside its reference; the result is then the median of its ends and a point between, and the median
is monotone in each.

**Linear equations.** The class: elimination with partial or complete pivoting, in any variant and
order of sums.  (Elimination without pivoting, QR and Cholesky are none of it.) With t the largest
of the relative errors of its operations, g = (3n + 3) t / (1 - (3n + 3) t), its solution solves
exactly

    (A' + F) x' = b' + f,    |F| <= g |L| |U|,

A', b' the computed arguments (Higham 2002, theorems 9.3 and 9.4, with one conversion of each sum
more).  Pivots make |L| <= 1 + t, and each step at most doubles the largest of a column, so |U_kj|
<= 2^(k-1) m_j (1 + g)^(2n), m_j = max_i |A'_ij|: (|L| |U|)_ij <= (2^n - 1) m_j (1 + g)^(2n).  Below
the normal range each operation is off by h more: entry (i, j) of L U by (2n + U + U^2) h, U the
largest of |U|, and the right side by 2n h + n (2n + U + y U) h, y >= |L^-1 b'|, at most 2^(n-1) max
|b'| (1 + g)^(2n).

Now let A X = B up to a residual, C an approximate inverse.  For A* = A + P with |P| <= D and y = x*
- X, C A* y = C (B* - A* X), so |y| <= |C| |B* - A* X| + G |y|, G = |I - C A| + |C| D.  If the
largest row sum s of G is less than 1, then max |y| <= max |c| / (1 - s) for the first summand c,
and |y| <= c + s_i max |y|.  That encloses the exact solution and the reference.  For the computed
one, x' - x = y with A_ref y = f - E x', |E| <= r_A + |F| and |x'| <= |x| + |y|: the same, with |C|
|E| added to G.

**Singular values** are enclosed: with A = U S V^T + R in binary64 and |U^T U - I|, |V^T V - I| <=
p, q in the Frobenius norm, the i-th singular value of U S V^T lies between S_i sqrt((1 - p)(1 - q))
and S_i sqrt((1 + p)(1 + q)), and that of A within |R| of it (Weyl).  Their errors are refused,
infinite, but for one column, whose singular value is its norm: algorithms are backward stable up to
constants that depend on the algorithm and that no source proves small, and no class of them can be
fixed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .constants import SMALLEST, UP, Array, quiet
from .elementary import sqrt
from .model import Model, largest
from .numbers import RunningNumber, UndecidedComparison, as_number, finish
from .sums import sum

Function = Callable[[RunningNumber], RunningNumber]
FINEST = 2.0**-48  # of the modulus: shorter intervals are not asked
MOST_INTERVALS = 400


def root(model: Model, f: Function, low: Any, high: Any) -> RunningNumber:
    """The zero of a continuous function between two points, where it changes its sign once.

    Parameters
    ----------
    model
        The class of arithmetic.
    f
        A function of one number.
    low, high
        Numbers on both sides of the zero.

    Returns
    -------
    RunningNumber
        The zero; with infinite bounds where no sign of f is known at either end.
    """
    ends = [as_number(model, end) for end in (low, high)]
    known: dict[tuple[float, float], tuple[float, float, float, float]] = {}

    def parts(a: float, b: float) -> tuple[float, float, float, float]:
        """v, d, w and r of f at all points from a to b."""
        if (a, b) not in known:
            middle = a + (b - a) / 2
            half = max(b - middle, middle - a) * UP
            try:
                found = f(RunningNumber(model, middle, half, half, 0.0)).parts()
                known[a, b] = tuple(float(part) for part in found)  # type: ignore[assignment]
            except UndecidedComparison:
                known[a, b] = (0.0, math.inf, math.inf, math.inf)
        return known[a, b]

    def between(reach: Callable[..., float], within: Callable[..., Any]) -> tuple[float, float]:
        """Where the zero is, by signs that are sure within a reach, and the ends of the bracket."""

        def signed(a: float, b: float) -> int:
            v, *bounds = parts(a, b)
            return (v > reach(*bounds)) - (v < -reach(*bounds))

        lower, upper = ((float(e.value - within(e)), float(e.value + within(e))) for e in ends)
        if not side or not math.isfinite(lower[0] + upper[1]):
            return -math.inf, math.inf
        first = _sure(lambda a, b: signed(a, b) == -side, lower[0], upper[1])
        last = -_sure(lambda a, b: signed(-b, -a) == side, -upper[1], -lower[0])
        return (
            sorted((lower[0], first, upper[0]))[1],
            sorted((lower[1], max(first, last), upper[1]))[1],
        )

    with quiet():
        side = 0  # the sign of f above its zero
        for sign, end in ((-1, ends[0]), (1, ends[1])):
            v, d, *_ = parts(float(end.value), float(end.value))
            side = sign * ((v > d) - (v < -d)) or side
        exact = between(lambda d, w, r: d, lambda e: e.radius)
        reference = between(lambda d, w, r: w, lambda e: e.reference_radius)
        computed = between(lambda d, w, r: w + r, lambda e: e.reference_radius + e.error)
        if not all(map(math.isfinite, (*exact, *reference, *computed))):
            return finish(model, math.nan, 0.0, 0.0, 0.0)
        value = exact[0] + (exact[1] - exact[0]) / 2
        d = (exact[1] - exact[0]) * UP
        w = max(reference[1] - value, value - reference[0]) * UP
        reach = max(abs(computed[0]), abs(computed[1]))
        neighbour = 4 * model.u * reach + 4 * model.half_subnormal + model.flushed
        r = max(computed[1] - reference[0], reference[1] - computed[0]) + neighbour
        return finish(model, value, d, w, r * UP)


def _sure(holds: Callable[[float, float], bool], start: float, end: float) -> float:
    """How far from the start something holds on intervals laid end to end."""
    step = end - start
    for _ in range(MOST_INTERVALS):
        if start >= end or start + step == start or step < FINEST * abs(start):
            break
        reached = min(start + step, end)
        if holds(start, reached):
            start, step = reached, 2 * step
        else:
            step /= 2
    return start


def solve(model: Model, a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """The solution x of a x = b by elimination with pivoting.

    Parameters
    ----------
    model
        The class of arithmetic.
    a
        A matrix of shape (n, n).
    b
        Right-hand sides of shape (n,) or (n, m).

    Returns
    -------
    RunningNumber
        In the shape of b.  Its bounds are infinite where a may be singular.
    """
    n = len(a)
    if n == 1:
        return b / a[0, 0]
    columns = b if b.ndim == 2 else b[:, None]
    try:
        inverse = np.linalg.inv(a.value)
    except np.linalg.LinAlgError:
        return finish(model, np.full(b.shape, np.nan), 0.0, 0.0, 0.0)
    c, matrix, right = np.abs(inverse), np.abs(a.value), np.abs(columns.value)
    small = (n + 8) * 2.0**-52  # what binary64 rounds in products of n terms
    with quiet():
        x = inverse @ columns.value
        defect = np.abs(np.eye(n) - inverse @ a.value) + small * (c @ matrix + np.eye(n))
        residual = np.abs(columns.value - a.value @ x) + small * (matrix @ np.abs(x) + right)
        residual = residual + n * SMALLEST

        def off(of_matrix: Array, of_right: Array) -> Array:
            """A bound of y with |y| <= |C| of_right + (defect + |C| of_matrix) |y|."""
            rows = np.sum(defect + c @ of_matrix, axis=1, keepdims=True) * (1 + small) * UP
            first = (c @ of_right) * (1 + small) * UP + n * SMALLEST
            share = np.max(rows)
            most = np.max(first, axis=0, keepdims=True) / (1 - share) * UP
            return np.where(share < 1, (first + rows * most) * UP, np.inf)

        def of(bound: str) -> Array:
            changed = getattr(a, bound)
            return off(changed, residual + getattr(columns, bound) + changed @ np.abs(x))

        d, w = of("radius"), of("reference_radius")
        of_matrix, of_right, fits = _elimination(model, a, columns, np.abs(x) + w)
        changed, added = (a.error + of_matrix) * UP, (columns.error + of_right) * UP
        r = off(a.reference_radius + changed, added + changed @ (np.abs(x) + w))
        found = finish(model, x, d, w, np.where(fits, r, np.inf))
    return found if b.ndim == 2 else found[:, 0]


def _elimination(
    model: Model, a: RunningNumber, b: RunningNumber, x: Array
) -> tuple[Array, Array, bool]:
    """The bounds of F and f of the module, and whether nothing overflows with solutions |x|."""
    n = len(a)
    unit = max(model.u, model.v) * max(model.division, 1.0)
    part = (3 * n + 3) * unit
    if part >= 1 or n > 1000:  # beyond that, 2^n is not looked at
        infinite = np.full(a.shape, np.inf)
        return infinite, np.full(b.shape, np.inf), False
    g = part / (1 - part)
    grown = (1 + g) ** (2 * n)
    reach = np.abs(a.value) + a.reference_radius + a.error
    columns = np.max(reach, axis=0, keepdims=True)
    u = 2.0 ** (n - 1) * grown * float(np.max(columns))
    y = 2.0 ** (n - 1) * grown * float(np.max(np.abs(b.value) + b.reference_radius + b.error))
    h = max(model.half_subnormal, model.product_underflow, model.flushed, model.flushed_addition)
    of_matrix = g * (2.0**n - 1) * grown * columns + (2 * n + u + u * u) * h
    of_right = (2 * n + n * (2 * n + u + y * u)) * h
    most = min(largest(model.operations), largest(model.accumulator))
    fits = max(u, y, n * u * float(np.max(x)) + y) * 4 <= most
    return np.broadcast_to(of_matrix, a.shape), np.full(b.shape, of_right), fits


def singular(model: Model, a: RunningNumber) -> tuple[RunningNumber, RunningNumber]:
    """The singular values of a matrix, descending, and the matrix of right vectors.

    Parameters
    ----------
    model
        The class of arithmetic.
    a
        A matrix of at least as many rows as columns.

    Returns
    -------
    values
        Enclosed, with infinite errors unless there is one column.
    vectors
        With infinite bounds unless there is one column.
    """
    count = a.shape[1]
    if count == 1:
        one = as_number(model, np.ones((1, 1)))
        return sqrt(sum(model, a * a, axis=0)), one
    unknown = np.full((count, count), np.nan)
    try:
        u, s, v = np.linalg.svd(a.value, full_matrices=False)
    except np.linalg.LinAlgError:
        values = finish(model, unknown[0], 0.0, 0.0, 0.0)
        return values, finish(model, unknown, 0.0, 0.0, 0.0)
    small = (max(a.shape) + 8) * 2.0**-52
    with quiet():
        product = np.abs(u) * s @ np.abs(v)
        rest = np.abs(a.value - (u * s) @ v) + small * (product + np.abs(a.value))
        p, q = _not_orthonormal(u, small), _not_orthonormal(v.T, small)
        moved = s * (p + q + p * q) + _norm(rest)
        d, w = (
            np.where(max(p, q) < 1, (moved + _norm(part)) * UP, np.inf)
            for part in (a.radius, a.reference_radius)
        )
        values = finish(model, s, d, w, np.inf)
    return values, finish(model, unknown, 0.0, 0.0, 0.0)


def _not_orthonormal(u: Array, small: float) -> float:
    """A bound of |U^T U - I| in the Frobenius norm."""
    product = np.abs(u.T @ u - np.eye(u.shape[1])) + small * (np.abs(u.T) @ np.abs(u))
    return _norm(product)


def _norm(a: Array) -> float:
    """A bound of the Frobenius norm: squares are of numbers up to 1, so that none is lost."""
    scale = float(np.max(np.abs(a), initial=0.0))
    if scale == 0 or not math.isfinite(scale):
        return scale
    root_of_squares = float(np.sqrt(np.sum((a / scale) ** 2)))
    return scale * root_of_squares * (1 + a.size * 2.0**-52) * UP + a.size * SMALLEST
