"""The zeros of F inside a circle, isolated as roots of its Taylor polynomial.

With F = P + E and the bound T of |E| on |tau| <= R, equation (3) of ``taylor_series``,
``acb_poly.roots`` isolates, for all polynomials P + e with a constant |e| <= T at once, their N
roots: disjoint balls, each with one root of each of these polynomials. Let no ball meet the circle
|tau| = R. The functions G_s = P + s E, 0 <= s <= 1, are analytic; where G_s(tau) = 0 and
|tau| <= R, tau is a root of P + e with the constant e = s E(tau), |e| <= T, and lies in a ball. So
no zero of G_s ever crosses the circle, and their number inside stays what it is at s = 0: F = G_1
has as many zeros with |tau| <= R as there are balls.
"""

from __future__ import annotations

import flint

from ...arithmetic.balls import shortened, to_text
from .classes import Classes, Terms
from .discs import Disc, half_precision, prove_disc
from .newton import candidates
from .result import Certified, certified_by_discs
from .taylor_series import TaylorSeries

MAX_CIRCLES = 8  # that are tried, one larger than the other
MAX_FAILED_CIRCLES = 2  # that meet a zero, or have some inside that are not isolated


def certify_by_taylor(classes: Classes, max_order: int) -> Certified | None:
    """Enclose rho by a Taylor polynomial of F, at the precision of ``flint.ctx``.

    Parameters
    ----------
    classes
        The sample: two terms of F or more.
    max_order
        The highest order of the polynomial.

    Returns
    -------
    Certified or None
        None where this precision and polynomials of these orders do not decide, as for a multiple
        zero.
    """
    terms = Terms(classes)
    series = TaylorSeries(terms)
    radius = shortened(flint.arb(1.125 * abs(candidates(terms, series)[0])), 20)
    failed = 0
    for _ in range(MAX_CIRCLES):
        truncated = series.truncate(radius, max_order)
        if truncated is None:
            return None
        order, tail = truncated
        discs = _isolate_zeros(series.coefficients[: order + 1], radius, tail)
        if discs:
            evidence = {"order": order, "tail": to_text(tail)}
            certified = certified_by_discs(classes, "taylor", radius, discs, evidence)
            if certified.is_counted:
                return certified
        if discs is None:
            failed += 1
            if failed == MAX_FAILED_CIRCLES:
                return None
        radius = shortened(radius * (1.25 if discs == [] else 1.0625), 20)
    return None


def _isolate_zeros(
    coefficients: list[flint.arb], radius: flint.arb, tail: flint.arb
) -> list[Disc] | None:
    """Discs (4), one for each zero with Im > 0 inside the circle; None if not isolated."""
    power = flint.arb(1)
    scaled = []
    for coefficient in coefficients:
        scaled.append(flint.acb(coefficient * power))
        power *= radius
    scaled[0] += flint.acb(flint.arb(0, tail), flint.arb(0, tail))
    try:
        roots = flint.acb_poly(scaled).roots()
    except ValueError:  # a multiple root, or too little precision
        return None
    if any(not (abs(root) < 1 or abs(root) > 1) for root in roots):
        return None
    polynomial = flint.acb_poly(coefficients)
    derivative = polynomial.derivative()
    discs: list[Disc] = []
    for root in roots:
        if root.imag > 0 and abs(root) < 1:
            c = (root * radius).mid()
            for _ in range(3):  # from single precision or better to all bits
                c = (c - polynomial(c) / derivative(c)).mid()
            c = half_precision(c)
            moduli = [abs(q) for q in polynomial(flint.acb_poly([c, 1])).coeffs()]
            moduli[0] += tail
            disc = prove_disc(c, moduli, 1, radius - abs(c))
            if disc is None or not all(map(disc.is_disjoint, discs)):
                return None
            discs.append(disc)
    # Roots on the real axis, where F has none, would be missing here.
    return discs if 2 * len(discs) == sum(1 for root in roots if abs(root) < 1) else None
