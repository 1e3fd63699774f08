"""The number of zeros of F inside a circle, by the argument principle.

For multiple zeros, which the roots of a polynomial do not isolate, and for circles that are large
against 1 / range of the slopes, where the order would be high. The zeros with |tau| < R number
1 / (2 pi) times the change of arg F along the upper half of the circle, from F(R) > 0 to
F(-R) > 0. On an arc, divide F by its largest term e_k: G = F / e_k = 1 + sum_{j != k} e_j / e_k.
Where a ball that encloses G on the whole arc excludes 0, it lies in an open half plane, as it is
convex, and arg G changes by the principal argument of G(end) / G(start); arg e_k changes by the
imaginary part of the change of its exponent. Arcs are halved until this holds for each. Many
halvings show where zeros are near.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import flint

from ...arithmetic.balls import ball
from .classes import Terms

HALVINGS_BY_A_ZERO = 4  # halvings of a half circle that show a zero next to the arc


class WindingResult(NamedTuple):
    """How many zeros a circle has inside, and where it is close to one."""

    zeros: int
    """The number of zeros inside the circle with Im > 0, counted with multiplicity."""
    near_zeros: list[flint.acb]
    """Points of the circle that seem to be next to a zero, up to three."""


def count_zeros(terms: Terms, radius: flint.arb, max_arcs: int) -> WindingResult | None:
    """The number of zeros inside a circle about 0, at the precision of ``flint.ctx``.

    Parameters
    ----------
    terms
        The terms of F.
    radius
        R, in units of tau.
    max_arcs
        The most arcs that the upper half of the circle is divided into.

    Returns
    -------
    WindingResult or None
        None where this precision, or this number of arcs, does not decide: the circle all but
        meets a zero.
    """
    bits = flint.ctx.prec
    negligible = -0.5 * bits
    everything = list(range(len(terms.z)))
    nothing = flint.arb(0)
    # Each arc is [number, number + 1] 2^-depth pi, with the terms that matter on it, and a bound of
    # the sum of all others.
    stack = [(0, 1, everything, nothing), (1, 1, everything, nothing)][::-1]
    change = flint.arb(0)  # of arg F
    arcs: list[tuple[int, flint.acb]] = []
    values: dict[tuple[Fraction, int], flint.acb] = {}

    def point(x: Fraction) -> flint.acb:
        return radius * flint.acb(ball(x)).exp_pi_i()

    while stack:
        number, depth, active, rest = stack.pop()
        start, end = Fraction(number, 2**depth), Fraction(number + 1, 2**depth)
        first, last = point(start), point(end)
        # On a quadrant, real and imaginary part are monotone.
        arc = flint.acb(first.real.union(last.real), first.imag.union(last.imag))
        exponents = terms.real_exponents(active, arc)
        top = max(range(len(active)), key=lambda j: exponents[j].mid())
        k = active[top]
        floor = exponents[top].lower()
        # Terms that are too small to matter on this arc do not matter on any part of it.
        light = [j for j, x in zip(active, exponents, strict=True) if x - floor < negligible]
        if light:
            rest += sum(
                (x.exp() for x in exponents if x - floor < negligible), flint.arb(0)
            ).upper()
            dropped = set(light)
            active = [j for j in active if j not in dropped]
        whole = _quotient(terms, active, k, arc, rest)
        if whole.contains(0):
            if depth >= bits or len(arcs) + len(stack) > max_arcs:
                return None
            stack.append((2 * number + 1, depth + 1, active, rest))
            stack.append((2 * number, depth + 1, active, rest))
            continue
        for x, t in ((start, first), (end, last)):
            if (x, k) not in values:
                values[x, k] = _quotient(terms, active, k, t, rest)
        ratio = values[end, k] / values[start, k]
        rise = (terms.a[k] * (last - first) + terms.b[k] * (last - first) * (last + first)).imag
        change += rise + ratio.arg()
        arcs.append((depth, first))
    count = (change / (2 * flint.arb.pi())).unique_fmpz()
    if count is None:
        return None
    arcs.sort(key=lambda arc: -arc[0])
    near = [t.mid() for depth, t in arcs[:3] if depth > HALVINGS_BY_A_ZERO]
    return WindingResult(int(count), near)


def _quotient(terms: Terms, active: list[int], k: int, t: flint.acb, rest: flint.arb) -> flint.acb:
    """F / e_k on t; the terms that are not active are at most `rest` together."""
    zk, ak, bk = terms.z[k], terms.a[k], terms.b[k]
    total = flint.acb(1)
    square = t * t
    for j in active:
        if j != k:
            exponent = (terms.a[j] - ak) * t + (terms.z[j] - zk)
            if terms.quadratic:
                exponent += (terms.b[j] - bk) * square
            total += exponent.exp()
    if not rest.is_zero():
        bound = rest * (-(zk + ak * t.real + bk * square.real).lower()).exp()
        total += flint.acb(flint.arb(0, bound.upper()), flint.arb(0, bound.upper()))
    return total
