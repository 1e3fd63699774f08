"""How far the radius of linearised logits can be off, when the logits bend a little.

With logits z_k + a_k t + b_k t^2 along the step, the radius is the modulus rho_b of the nearest
zero of F_b(t) = sum_k exp(z_k + a_k t + b_k t^2). Knowing b, ``certify`` encloses it. Here only
|b_k| <= C is known, and the question is what the linear problem, b = 0, still says:

* ``spread_with_curvature``: a lower bound from the slopes alone, like pi / Delta; it is attained.
* ``radius_with_curvature``: an interval around the linear radius that holds every rho_b.
* ``rouche_proposition``: the bound that the paper states (Sao, "Ghosts of Softmax", arXiv
  2603.13552, appendix 1), with a proof that it holds, and that it is never better than the first.

All results are computed in balls and rounded outward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from ..arithmetic.balls import Exact, ball, float_above, float_below
from .certify import Certified, Classes, certify, read_classes

_BITS = 128
_ARCS = 2_000  # of a circle; a condition that needs more is taken not to hold
_GRID = 128  # points of a circle for a first guess in binary64
_SHRINK = (1 - 2.0**-10, 1 - 2.0**-7, 0.97, 0.9, 0.75)  # a guess times these is tried for a proof

Row = Sequence[Exact] | np.ndarray[Any, Any]


class RadiusInterval(NamedTuple):
    """lower <= rho_b <= upper for every b with |b_k| <= C."""

    lower: float
    upper: float
    """inf where C is too large to say."""
    linear: Certified
    """The radius for b = 0."""


def spread_with_curvature(slopes: Row, curvature: Exact) -> float:
    """rho_b >= min_s hypot(s, pi / (Delta + 4 C s)) for all logits and all |b_k| <= C.

    Proof. At t = s + iy the argument of term k is y (a_k + 2 b_k s) (mod 2 pi). These lie in an
    interval of length |y| (Delta + 4 C |s|), and while that is less than pi, all terms have a
    positive component along its bisector: F_b(t) != 0. So a zero has |y| >= pi / (Delta + 4 C |s|)
    and |t| = hypot(s, y) is at least the minimum.

    It is attained: for K = 2 with b = (C, -C) the zero s + i pi / (Delta + 4 C s) of the minimum
    is one of F_b for suitable logits. The square of hypot is convex in s, as
    (Delta + 4 C s)^-2 is, so its minimum is where s (Delta + 4 C s)^3 = 4 C pi^2. By the tangent
    1 / (1 + x) >= 1 - x it is at least (pi / Delta) / sqrt(1 + (4 pi C / Delta^2)^2): the loss is
    of second order in C. For Delta = 0 it is sqrt(pi / (2 C)); for C = 0, pi / Delta.

    Parameters
    ----------
    slopes
        a, shape (K,), as for ``certify``. Leave masked classes out.
    curvature
        C >= 0, a bound of |b_k|, half the second derivative of logit k along the step.

    Returns
    -------
    float
        The bound, rounded down; inf if the slopes are equal and C = 0.

    Raises
    ------
    TypeError, ValueError
        As ``certify`` for the slopes; if C is negative, NaN or infinite.

    Examples
    --------
    >>> spread_with_curvature([1.0, -1.0], 0.0) <= math.pi / 2
    True
    >>> round(spread_with_curvature([1.0, -1.0], 0.1), 4), round(math.pi / 2, 4)
    (1.5084, 1.5708)
    """
    spread = _spread(read_classes([0.0] * len(slopes), slopes))
    _check_bound(curvature)
    with flint.ctx.workprec(_BITS):
        delta, c4 = ball(spread), 4 * ball(curvature)
        if c4.is_zero():
            return float_below(flint.arb.pi() / delta) if spread else math.inf
        low, high = _turning_point(delta, c4)
        height = flint.arb.pi() / (delta + c4 * high)
        return float_below((low * low + height * height).sqrt())


def _turning_point(delta: flint.arb, c4: flint.arb) -> tuple[flint.arb, flint.arb]:
    """low <= s <= high where s (Delta + 4 C s)^3 = 4 C pi^2; c4 is 4 C > 0."""
    goal = c4 * flint.arb.pi() ** 2
    # The left side increases with s, and at sqrt(pi / (4 C)) it is not below the right one.
    low, high = flint.arb(0), (flint.arb.pi() / c4).sqrt().upper()
    for _ in range(100):
        middle = ((low + high) / 2).mid()
        value = middle * (delta + c4 * middle) ** 3
        if value < goal:
            low = middle
        elif value > goal:
            high = middle
        else:  # too close for this precision to say
            break
    return low, high


def radius_with_curvature(logits: Row, slopes: Row, curvature: Exact) -> RadiusInterval:
    """Enclose the radius of every F_b with |b_k| <= C, from the linear problem F = F_0.

    Proof. |F_b(t) - F(t)| <= sum_k w_k e^(a_k Re t) |e^(b_k t^2) - 1|. As |e^x - 1| <= e^|x| - 1,

        |F_b(t) - F(t)| <= S(t) (e^(C |t|^2) - 1),      S(t) = sum_k w_k e^(a_k Re t).        (1)

    Where |F| exceeds the right side on a circle, F_b and F have equally many zeros inside it by
    Rouche's theorem. *Lower end:* the circle |t| = r < rho has none. *Upper end:* a circle about
    the nearest zero of F, of radius d, has one: rho_b <= |zero| + d. The radii come from binary64;
    that (1) is below |F| is proven in balls, arc by arc. Let v_k = w_k e^(a_k c), g_k = a_k - m
    with the mean m = sum_k |v_k| a_k / sum_k |v_k|, and E_2(x) = e^x - 1 - x. For |t - c| <= h

        |e^(-m (t - c)) F(t)| >= |sum_k v_k| - |sum_k v_k g_k| h - sum_k |v_k| E_2(|g_k| h),     (2)
        |e^(-m (t - c))| S(t) <= sum_k |v_k| + sum_k |v_k| E_2(|g_k| h).

    Where ``spread_with_curvature`` is larger, it is the lower end. (1) holds
    for all analytic logits with |z_k(t) - z_k - a_k t| <= C |t|^2, so the upper end does, too.

    Parameters
    ----------
    logits, slopes
        z and a, one sample, as for ``certify``.
    curvature
        C >= 0, as in ``spread_with_curvature``.

    Returns
    -------
    RadiusInterval
        The interval and the linear radius. `upper` is inf where C is too large; `lower` never is 0.
        For C = 0 it is the enclosure of the linear radius.

    Raises
    ------
    TypeError, ValueError, ArithmeticError
        As ``certify``; ValueError if C is negative, NaN or infinite.

    Examples
    --------
    >>> bounds = radius_with_curvature([0.0, 1.0, 0.5], [1.0, -1.0, 0.25], 0.01)
    >>> round(bounds.lower, 3), round(bounds.linear.lower, 3), round(bounds.upper, 3)
    (1.968, 2.042, 2.113)
    """
    linear = certify(logits, slopes)
    _check_bound(curvature)
    if curvature == 0:
        return RadiusInterval(linear.lower, linear.upper, linear)
    classes = read_classes(logits, slopes)
    lower, upper = spread_with_curvature([a for a, _ in classes.groups], curvature), math.inf
    if not linear.zeros:
        return RadiusInterval(lower, upper, linear)
    with flint.ctx.workprec(_BITS):
        problem = _Problem(classes, curvature)
        for r in problem.largest_circle(linear.lower):
            if r > lower and problem.dominates(flint.acb(0), r):
                lower = r
                break
        zero, error, _ = min(linear.zeros, key=lambda disc: abs(disc[0]))
        for d in problem.smallest_circle(zero):
            if d > error and problem.dominates(flint.acb(zero), d):
                upper = float_above(abs(flint.acb(zero)) + flint.arb(d))
                break
    return RadiusInterval(lower, upper, linear)


def rouche_proposition(logits: Row, slopes: Row, curvature: Exact) -> float | None:
    """The paper's bound: rho_b >= (pi / Delta)(1 - eps), eps = C pi^2 / (2 Delta^2 min_k w_k).

    The paper states it for eps < 1 and takes C from the remainder of the logits. We read w as
    softmax(z) and C as here, |z_k(t) - z_k - a_k t| <= C |t|^2. (The formula must be invariant to a
    shift of all logits: with w = exp(z) large logits would make eps as small as one likes, which
    is false, see the tests. Where C bounds the second derivative, half of it will do here.)

    Proof, in that reading, for any analytic logits. The arguments of the terms of F at t differ by
    at most Delta |t| + 2 C |t|^2, and F(t) = 0 needs pi. Let |t| = r <= (pi / Delta)(1 - eps). As
    min_k w_k <= 1/2 for two classes or more, C pi^2 / Delta^2 <= eps, so

        Delta r + 2 C r^2 <= pi (1 - eps) + 2 eps (1 - eps)^2 <= pi - (pi - 2) eps < pi.

    ``spread_with_curvature`` is never below it: with c = 4 pi C / Delta^2 <= 4 eps / pi, it is at
    least (pi / Delta) / sqrt(1 + c^2), and (1 - eps)^2 (1 + (4 eps / pi)^2) <= 1 on [0, 1].

    Parameters
    ----------
    logits, slopes
        z and a, one sample, as for ``certify``.
    curvature
        C >= 0, as in ``spread_with_curvature``.

    Returns
    -------
    float or None
        The bound, rounded down; None where eps >= 1 or the slopes are equal: it says nothing.

    Raises
    ------
    TypeError, ValueError
        As ``certify`` for logits and slopes; if C is negative, NaN or infinite.

    Examples
    --------
    >>> round(rouche_proposition([0.0, 0.0], [1.0, -1.0], 0.1), 4)
    1.1832
    >>> rouche_proposition([0.0, 5.0], [1.0, -1.0], 0.1) is None
    True
    """
    classes = read_classes(logits, slopes)
    spread = _spread(classes)
    _check_bound(curvature)
    if not spread:
        return None
    with flint.ctx.workprec(_BITS):
        top = ball(classes.top)
        weights = [(ball(z) - top).exp() for group in classes.groups.values() for z in group]
        least = min(weight.lower() for weight in weights) / sum(weights, flint.arb(0))
        pi, delta = flint.arb.pi(), ball(spread)
        eps = ball(curvature) * pi**2 / (2 * delta**2 * least)
        return float_below(pi / delta * (1 - eps)) if eps < 1 else None


def _check_bound(curvature: Exact) -> None:
    if not 0 <= curvature < math.inf:
        raise ValueError(
            f"curvature must be a finite bound C >= 0, got {curvature}: pass max |b_k|"
        )


def _spread(classes: Classes) -> Fraction:
    slopes = [Fraction(a) for a, _ in classes.groups]
    return max(slopes) - min(slopes)


class _Problem:
    """F of the linear problem, and the right side of (1)."""

    def __init__(self, classes: Classes, curvature: Exact) -> None:
        top, slope = ball(classes.top), flint.arb(classes.slope)
        self._a = [ball(a) - slope for a, _ in classes.groups]
        self._w = [
            sum(((ball(z) - top).exp() for z in group), flint.arb(0))
            for group in classes.groups.values()
        ]
        self._curvature = ball(curvature)
        # For the guesses: lengths in units of 1 / Delta.
        self._unit = 1 / float(_spread(classes))
        self._slopes = np.array([float(a) for a in self._a]) * self._unit
        self._logits = np.array([float(w.log()) for w in self._w])
        self._bend = float(curvature) * self._unit**2

    def dominates(self, centre: flint.acb, radius: float) -> bool:
        """Whether |F| exceeds the right side of (1) on a circle, by (2) on adaptive arcs."""
        r = flint.arb(radius)
        # F(conj t) = conj F(t): half of a circle about a real point does.
        stack = [(Fraction(0), Fraction(1))]
        if not centre.imag.is_zero():
            stack.append((Fraction(1), Fraction(2)))
        arcs = 0
        while stack:
            x, y = stack.pop()
            c = centre + r * flint.acb(ball((x + y) / 2)).exp_pi_i()
            h = r * flint.arb.pi() * ball((y - x) / 2)  # half of the arc: no point is farther
            values = [w * (a * c).exp() for w, a in zip(self._w, self._a, strict=True)]
            sizes = [abs(value) for value in values]
            total = sum(sizes, flint.arb(0))
            mean = (
                sum((x * a for x, a in zip(sizes, self._a, strict=True)), flint.arb(0)) / total
            ).mid()
            slopes = [a - mean for a in self._a]
            slope = sum((v * g for v, g in zip(values, slopes, strict=True)), flint.acb(0))
            rest = sum(
                (
                    x * ((abs(g) * h).expm1() - abs(g) * h)
                    for x, g in zip(sizes, slopes, strict=True)
                ),
                flint.arb(0),
            )
            modulus = abs(sum(values, flint.acb(0))) - abs(slope) * h - rest
            # The mean is rounded: what is left of it is a slope of S, too.
            drift = abs(sum((x * g for x, g in zip(sizes, slopes, strict=True)), flint.arb(0))) * h
            excess = _excess(self._curvature, abs(c) + h)
            if not modulus > (total + drift + rest) * excess:
                arcs += 1
                if arcs > _ARCS:
                    return False
                stack += [((x + y) / 2, y), (x, (x + y) / 2)]
        return True

    def _margin(self, centre: complex, radius: float) -> float:
        """The least |F| / S minus the excess on a circle, sampled, in units of 1 / Delta."""
        t = centre + radius * np.exp(2j * math.pi * np.arange(_GRID) / _GRID)[:, None]
        exponents = self._logits + self._slopes * t
        values = np.exp(exponents - exponents.real.max(axis=1, keepdims=True))
        ratio = abs(values.sum(axis=1)) / abs(values).sum(axis=1)
        with np.errstate(over="ignore"):
            return float((ratio - np.expm1(self._bend * abs(t[:, 0]) ** 2)).min())

    def largest_circle(self, rho: float) -> list[float]:
        """Radii below rho for a circle about 0, the most ambitious first."""
        low, high = 0.0, rho / self._unit
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self._margin(0.0, middle) > 0 else (low, middle)
        return [low * shrink * self._unit for shrink in _SHRINK]

    def smallest_circle(self, zero: complex) -> list[float]:
        """Radii for a circle about a zero of F, the most ambitious first; empty if none will do."""
        centre = zero / self._unit
        low, high = 0.0, abs(centre) * 2.0**-40
        while self._margin(centre, high) <= 0:
            low, high = high, high * 1.5
            if high > 2 * abs(centre):
                return []
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (low, middle) if self._margin(centre, middle) > 0 else (middle, high)
        return [high / shrink * self._unit for shrink in _SHRINK]


def _excess(curvature: flint.arb, radius: flint.arb) -> flint.arb:
    """e^(C |t|^2) - 1 for |t| <= radius."""
    return (curvature * radius * radius).expm1()
