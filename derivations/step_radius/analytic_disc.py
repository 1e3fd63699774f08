"""A disc about 0 on which a function is analytic, found and proven by balls; and an estimate.

The upper half of a disc is covered by squares, and the function is computed in balls on each
(``arithmetic.continued``).  A square on which that fails is cut into four, and given up when it is
small.  Squares are looked at in the order of their distance from 0: when one is given up, all
numbers that are nearer to 0 than it are covered.  The lower half is the mirror image, since a
function that is real on the real axis satisfies f(conj t) = conj f(t).  So the Taylor series of the
function about 0 converges in the open disc (Cauchy), and its radius is at least that distance: a
proof, as far as the balls of Arb enclose.

The estimate is the least modulus of a pole of a Pade approximant of that series.  Its coefficients
are sums over the corners of a regular polygon in the disc (the trapezoidal rule for Cauchy's
formula).  Nothing is proven of it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flint
import mpmath

from ..arithmetic.continued import Singular

Function = Callable[[flint.acb], Sequence[flint.acb]]  # raises Singular

LARGEST_EXPONENT = 60  # a disc that is larger is not looked for
MOST_SQUARES = 400
LEAST_SQUARE = 1 / 128  # of the disc
BITS = 128
CORNERS = 64
ORDERS = (12, 9)  # of the denominators of two approximants: how far they differ is told
INSIDE = 0.75  # of the proven disc, where the polygon lies


@dataclass(frozen=True)
class Disc:
    """What is known of the radius of convergence of a Taylor series.

    Attributes
    ----------
    lower
        It is at least this: proven. Infinite is never proven; 2^60 is then the largest tried.
    entire
        Whether no singular point was found within 2^60.
    estimate
        What it is estimated to be; infinite where ``entire``, NaN where no pole was found.
    spread
        How far two estimates differ, relative to the first.
    squares
        In how many squares the function was computed.
    """

    lower: float
    entire: bool
    estimate: float
    spread: float
    squares: int


def analytic_disc(function: Function) -> Disc:
    """Find a disc about 0 on which a function, real on the real axis, is analytic.

    Parameters
    ----------
    function
        Maps a complex ball to balls that enclose the values of some functions there; it raises
        Singular where one of them may not be analytic on the ball.

    Returns
    -------
    Disc
        The radius of the disc, and an estimate of the radius of convergence.

    Examples
    --------
    >>> def quotient(t):  # 1 / (1 + t^2)
    ...     square = 1 + t * t
    ...     if square.contains(0):
    ...         raise Singular
    ...     return [1 / square]
    >>> found = analytic_disc(quotient)
    >>> 0.97 < found.lower <= 1, abs(found.estimate - 1) < 1e-6
    (True, True)
    """
    with flint.ctx.workprec(BITS):
        counted = _Counted(function)
        exponent = _largest_covered(counted)
        if exponent is None:
            return Disc(0.0, False, math.nan, math.nan, counted.squares)
        lower = 2.0**exponent
        if exponent == LARGEST_EXPONENT:
            return Disc(lower, True, math.inf, 0.0, counted.squares)
        lower = max(lower, _distance_of_the_first_given_up(counted, 2.0 * lower))
        estimate, other = (_least_pole(function, INSIDE * lower, order) for order in ORDERS)
    if math.isinf(estimate):  # a series too flat to tell
        estimate = math.nan
    spread = 0.0 if estimate == other else abs(other - estimate) / estimate
    return Disc(lower, False, estimate, spread, counted.squares)


class _Counted:
    """Whether a function is analytic on a square, and how often that was asked."""

    def __init__(self, function: Function) -> None:
        self._function, self.squares = function, 0

    def covers(self, x: float, y: float, half: float) -> bool:
        """Ask of the square with that centre and half that side."""
        self.squares += 1
        square = flint.acb(flint.arb(x, half), flint.arb(y, half))
        try:
            return all(value.is_finite() for value in self._function(square))
        except Singular:
            return False


def _largest_covered(counted: _Counted) -> int | None:
    """The exponent of the largest power of two whose disc one square covers; None where none is."""
    step = 1 if counted.covers(0.0, 0.0, 1.0) else -1
    exponent = 0
    while abs(exponent) < LARGEST_EXPONENT:
        exponent += step
        covered = counted.covers(0.0, 0.0, 2.0**exponent)
        if covered != (step > 0):
            return exponent - 1 if step > 0 else exponent
    return exponent if step > 0 else None


def _distance_of_the_first_given_up(counted: _Counted, radius: float) -> float:
    """The distance from 0 of the nearest square that is too small to be cut; at most some radii."""
    half = 8 * radius  # so that squares of every size down to the least occur
    queue: list[tuple[float, float, float, float]] = []

    def push(x: float, y: float, half: float) -> None:
        if y + half > 0:  # the upper half-plane
            dx, dy = max(abs(x) - half, 0.0), max(abs(y) - half, 0.0)
            heapq.heappush(queue, (math.hypot(dx, dy), x, y, half))

    push(0.0, 0.0, half)
    began = counted.squares
    while queue:
        distance, x, y, half = heapq.heappop(queue)
        # math.hypot errs by less than an ulp: what is told is a little less.
        if counted.squares - began >= MOST_SQUARES or distance >= 8 * radius:
            return math.nextafter(distance, 0.0)
        if counted.covers(x, y, half):
            continue
        if half <= LEAST_SQUARE * max(distance, radius / 4):
            return math.nextafter(distance, 0.0)
        for dx in (-half / 2, half / 2):
            for dy in (-half / 2, half / 2):
                push(x + dx, y + dy, half / 2)
    return 8 * radius


def _least_pole(function: Function, radius: float, order: int) -> float:
    """The least modulus of a pole of the [order/order] approximants of a function's series."""
    values = []
    for k in range(CORNERS // 2 + 1):
        angle = flint.arb(2 * k) / CORNERS
        corner = flint.acb(angle.cos_pi(), angle.sin_pi()) * radius
        values.append([_complex_number(value) for value in function(corner)])
    least = math.inf
    with mpmath.workprec(BITS):
        for of_one in zip(*values, strict=True):
            least = min(least, _pole_of(_coefficients(of_one), order), key=_unknown_first)
    return radius * least


def _unknown_first(modulus: float) -> float:
    """A key by which NaN is the least of all."""
    return -math.inf if math.isnan(modulus) else modulus


def _complex_number(value: flint.acb) -> mpmath.mpc:
    """The middle of a ball, as a number of mpmath."""
    parts = (value.real.mid(), value.imag.mid())
    return mpmath.mpc(*(mpmath.mpf(tuple(map(int, part.man_exp()))) for part in parts))


def _coefficients(values: Sequence[mpmath.mpc]) -> list[mpmath.mpf]:
    """c_n r^n of a series that is real on the axis, from its values at half of the corners."""
    half = len(values) - 1
    found = []
    for n in range(half):
        terms = [
            mpmath.re(value * mpmath.expjpi(mpmath.mpf(-n * k) / half))
            for k, value in enumerate(values)
        ]
        whole = 2 * mpmath.fsum(terms[1:-1]) + terms[0] + terms[-1]
        found.append(whole / (2 * half))
    return found


def _pole_of(c: Sequence[mpmath.mpf], order: int) -> float:
    """The least modulus of a zero of the denominator that is no zero of the numerator, too."""
    noise = mpmath.mpf(2) ** (-BITS // 3) * max(map(abs, c), default=0)
    if all(abs(x) <= noise for x in c[order // 2 :]):  # a polynomial, or as good as one
        return math.inf
    matrix = mpmath.matrix(order, order)
    right = mpmath.matrix(order, 1)
    for i in range(order):
        right[i] = -c[order + 1 + i]
        for j in range(order):
            matrix[i, j] = c[order + i - j]
    try:
        q = [mpmath.mpf(1), *mpmath.lu_solve(matrix, right)]
    except ZeroDivisionError:  # a rational function of lower order: fewer equations tell as much
        return _pole_of(c, order - 1) if order > 1 else math.inf
    p = [mpmath.fsum(q[j] * c[n - j] for j in range(min(n, order) + 1)) for n in range(order + 1)]
    while len(q) > 1 and abs(q[-1]) <= noise:
        q.pop()
    try:
        poles = mpmath.polyroots(q[::-1], maxsteps=200, extraprec=2 * BITS)
    except mpmath.libmp.NoConvergence:
        return math.nan
    scale = mpmath.fsum(map(abs, p))
    moduli = [abs(s) for s in poles if abs(mpmath.polyval(p[::-1], s)) > 1e-12 * scale]
    return float(min(moduli, default=mpmath.inf))
