"""Is it true that lower <= rho <= upper?  A certificate of ``certify``, verified from scratch.

This module shares no code with ``certify``; what a reader has to trust is this file, and the balls
of python-flint. Notation as there: F(t) = sum_k exp(z_k + a_k t + b_k t^2), "zeros" are those with
Im t > 0, tau = 2^scale t, slopes and curvatures relative to the stated ones. A certificate states a
circle |tau| = R and discs (c, r, m). Three things are verified:

1. the circle has as many zeros inside as the discs inside it claim (argument principle);
2. each disc holds m zeros of F: with q_j the Taylor coefficients about c, the modulus of q_m x^m
   exceeds that of the rest of the series on |x| = r (Rouche); the discs are disjoint, above the
   real axis, and none meets the circle;
3. `lower` is positive, at most R, and at most |c| - r of every disc; `upper` is at least the least
   |c| + r.
4. `multiplicity` is 0, or `upper` is below R and `multiplicity` the number of zeros in the discs
   below `upper`; the others are beyond it.

Then the discs inside hold all zeros with |tau| <= R, and of those zeros `multiplicity` have a
modulus in [`lower`, `upper`]; 0 states nothing but the enclosure. By Taylor polynomial, F differs
by at most `tail` from its Taylor polynomial of the stated order on |tau| <= R. That is verified by
summing the next forty terms of the majorant M(tau) = sum_k exp(z_k + |a_k| tau + |b_k| tau^2) and
by Cauchy's estimate of those behind, M_n <= M(S) / S^n for every S > R. A tail that is larger than
that order leaves is refused, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol

import flint
from flint import acb, acb_poly, acb_series, arb, arb_series

_ARCS = 50_000
_ORDERS = 1_000
_ZEROS = 64  # in one disc
_MORE = 40  # terms of the tail that are summed one by one
_SLACK = 1.01  # by which the stated tail may exceed the one found here


class CertificateError(Exception):
    """The certificate does not prove the claim; the message says what failed."""


class Claim(Protocol):
    """What ``certify`` returns, or the same read from a file."""

    @property
    def lower(self) -> float:
        """What is claimed to be a lower bound of rho."""

    @property
    def upper(self) -> float:
        """What is claimed to be an upper bound of rho; inf claims nothing."""

    @property
    def multiplicity(self) -> int:
        """The claimed number of zeros between the bounds; 0 claims nothing."""

    @property
    def method(self) -> str:
        """How the zeros were counted: taylor, winding, or none."""

    @property
    def bits(self) -> int:
        """The precision that decided, which the checker doubles."""

    @property
    def certificate(self) -> dict[str, Any]:
        """The circle, the discs and the frame that prove the claim."""


def check(
    logits: Sequence[float | Fraction],
    slopes: Sequence[float | Fraction],
    claim: Claim,
    curvatures: Sequence[float | Fraction] | None = None,
) -> None:
    """Verify what a claim says about the zero of F nearest to 0.

    Parameters
    ----------
    logits
        z, one sample, shape (K,), as `certify` took them; -inf masks a class out.
    slopes
        a, the derivatives of the logits along the step; like logits.
    claim
        The result of `certify`, or the same read from a file.
    curvatures
        b, half the second derivatives of the logits along the step; None: all zero.

    Raises
    ------
    CertificateError
        If the claim is not proven; the message says what failed.

    Examples
    --------
    >>> from softproof.derivations.step_radius.certify import certify
    >>> claim = certify([0.0, 1.0, 0.5], [1.0, -1.0, 0.25])
    >>> check([0.0, 1.0, 0.5], [1.0, -1.0, 0.25], claim)
    >>> check([0.0, 1.0, 0.5], [1.0, -1.0, 0.25], claim._replace(lower=claim.upper + 1e-9))
    Traceback (most recent call last):
    softproof.derivations.check_certificate.CertificateError: lower is above a zero or the circle
    """
    zeros = [0.0] * len(slopes)
    columns = (logits, slopes, zeros if curvatures is None else curvatures)
    rows = [row for row in zip(*columns, strict=True) if row[0] != -math.inf]
    if claim.method == "none":
        _require(len({(a, b) for _, a, b in rows}) == 1, "F has zeros")
        _require(claim.lower == claim.upper == math.inf, "without a zero both bounds are inf")
        _require(claim.multiplicity == 0, "there is no zero to count")
        return
    cap, flint.ctx.cap = flint.ctx.cap, 10**6  # series are as long as they are asked to be
    try:
        with flint.ctx.workprec(2 * min(max(int(claim.bits), 64), 4096)):
            _check(rows, claim)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CertificateError(f"not a certificate: {error!r}") from error
    finally:
        flint.ctx.cap = cap


def _check(rows: list[tuple[Any, ...]], claim: Claim) -> None:
    stated = claim.certificate
    unit = arb((1, -int(stated["scale"])))
    slope, curvature = (arb(float.fromhex(stated[name])) for name in ("slope", "curvature"))
    top = _ball(max(z for z, _, _ in rows))
    terms = [
        (_ball(z) - top, (_ball(a) - slope) * unit, (_ball(b) - curvature) * unit * unit)
        for z, a, b in rows
    ]
    radius = _number(stated["radius"])
    discs = [(acb(_number(x), _number(y)), _number(r), int(m)) for x, y, r, m in stated["discs"]]
    _require(radius > 0 and all(r > 0 for _, r, _ in discs), "a radius is not positive")
    _require(all(0 < m <= _ZEROS for _, _, m in discs), "the zeros of a disc are out of range")
    if claim.method == "taylor":
        turn, expand = _polynomial(terms, radius, int(stated["order"]), _number(stated["tail"]))
    else:
        _require(claim.method == "winding", f"there is no method {claim.method!r}")
        turn, expand = _sums(terms)

    for i, (c, r, m) in enumerate(discs):
        sizes = [q * r**j for j, q in enumerate(expand(c, r, m))]
        _require(m < len(sizes), f"disc {i} claims more zeros than the polynomial has")
        rest = sum(sizes[:m] + sizes[m + 1 :], arb(0))
        _require(sizes[m] > rest, f"disc {i} is not proven to hold {m} zeros")
        _require(c.imag > r, f"disc {i} meets the real axis")
        for d, q, _ in discs[:i]:
            _require(abs(c - d) > r + q, f"disc {i} meets another disc")
    inside = [m for c, r, m in discs if abs(c) + r < radius]
    outside = [m for c, r, m in discs if abs(c) - r > radius]
    _require(len(inside) + len(outside) == len(discs), "a disc meets the circle")
    counted = _count(turn, radius)
    _require(counted == sum(inside), f"{counted} zeros inside the circle, {sum(inside)} in discs")

    # In units of t, where the floats are exact.
    lower, upper, circle = arb(claim.lower), arb(claim.upper), radius * unit
    rings = [((abs(c) - r) * unit, (abs(c) + r) * unit, m) for c, r, m in discs]
    _require(lower > 0, "lower is not positive")
    _require(
        all(lower <= x for x in (circle, *(near for near, _, _ in rings))),
        "lower is above a zero or the circle",
    )
    _require(
        claim.upper == math.inf or any(far <= upper for _, far, _ in rings),
        "upper is below the nearest zero",
    )
    if claim.multiplicity == 0:
        return
    # Every zero is in a disc, as far as the circle reaches: none may be across an end.
    _require(upper < circle, "the zeros up to upper are not known: multiplicity must be 0")
    between = [m for _, far, m in rings if far <= upper]
    beyond = [m for near, _, m in rings if near > upper]
    _require(len(between) + len(beyond) == len(rings), "multiplicity: upper is across a disc")
    _require(claim.multiplicity == sum(between), "multiplicity is not that of discs")


Turn = Callable[[acb, acb, acb], arb | None]  # start, end, arc: the change of arg F, if decided
Expand = Callable[[acb, arb, int], list[arb]]  # centre, radius, m: bounds of |q_0|, |q_1|, ...


def _polynomial(
    terms: list[tuple[arb, arb, arb]], radius: arb, order: int, tail: arb
) -> tuple[Turn, Expand]:
    _require(0 < order < _ORDERS, "the stated order is out of range")
    last = order + _MORE
    series = arb_series([0], last + 1)
    majorant = series
    for z, a, b in terms:
        series += arb_series([z, a, b], last + 1).exp()
        majorant += arb_series([z, abs(a), abs(b)], last + 1).exp()
    rest = arb(math.inf)
    for n in (1.25, 1.5, 2, 3, 4, 8):
        wide = n * radius
        outer = sum(((z + abs(a) * wide + abs(b) * wide**2).exp() for z, a, b in terms), arb(0))
        rest = rest.min(outer / (n - 1) / arb(n) ** last)
    for n in range(order + 1, last + 1):
        rest += majorant[n] * radius**n
    _require(tail >= rest, "the stated tail is too small")
    _require(tail <= _SLACK * rest, "the stated tail is larger than that order leaves")
    polynomial = acb_poly([series[n] for n in range(order + 1)])
    error = acb(arb(0, tail), arb(0, tail))

    def about(c: acb) -> list[acb]:
        return polynomial(acb_poly([c, 1])).coeffs()  # type: ignore[no-any-return]

    def turn(start: acb, end: acb, arc: acb) -> arb | None:
        c = arc.mid()
        reach = abs(arc - c).upper()
        first, *others = about(c)
        if not abs(first) > tail + sum(
            (abs(q) * reach**j for j, q in enumerate(others, 1)), arb(0)
        ):
            return None
        return ((polynomial(end) + error) / (polynomial(start) + error)).arg()

    def expand(c: acb, r: arb, m: int) -> list[arb]:
        _require(abs(c) + r < radius, "a disc lies outside the circle")
        first, *others = map(abs, about(c))
        return [first + tail, *others]

    return turn, expand


def _sums(terms: list[tuple[arb, arb, arb]]) -> tuple[Turn, Expand]:
    def exponent(k: int, t: acb) -> acb:
        z, a, b = terms[k]
        return z + a * t + b * t * t

    def largest(t: acb) -> int:
        return max(range(len(terms)), key=lambda k: exponent(k, t).real.mid())

    def quotient(k: int, t: acb) -> acb:  # F / (term k)
        z, a, b = terms[k]
        rest = (((x - a) * t + (y - b) * t * t + (w - z)).exp() for w, x, y in terms)
        return sum((v for j, v in enumerate(rest) if j != k), acb(1))

    def turn(start: acb, end: acb, arc: acb) -> arb | None:
        k = largest(arc)
        if quotient(k, arc).contains(0):
            return None
        _, a, b = terms[k]
        rise = (a + b * (start + end)) * (end - start)
        return rise.imag + (quotient(k, end) / quotient(k, start)).arg()

    def series(c: acb, length: int, top: acb) -> acb_series:
        parts = (
            acb_series([z + a * c + b * c * c - top, a + 2 * b * c, b], length) for z, a, b in terms
        )
        return sum((part.exp() for part in parts), acb_series([0], length))

    def expand(c: acb, r: arb, m: int) -> list[arb]:
        top = acb(exponent(largest(c), c).real.mid())
        whole = c + acb(arb(0, r), arb(0, r))
        exact, remainder = series(c, m + 1, top), series(whole, m + 2, top)
        return [*(abs(exact[j]) for j in range(m + 1)), abs(remainder[m + 1])]

    return turn, expand


def _count(turn: Turn, radius: arb) -> int:
    """The zeros inside the circle: the change of arg F along its upper half, over 2 pi."""
    total, arcs = arb(0), 0
    stack = [(Fraction(1, 2), Fraction(1)), (Fraction(0), Fraction(1, 2))]  # in units of pi
    while stack:
        x, y = stack.pop()
        start, end = (radius * acb(_ball(angle)).exp_pi_i() for angle in (x, y))
        # Within a quadrant real and imaginary part are monotone.
        arc = acb(start.real.union(end.real), start.imag.union(end.imag))
        change = turn(start, end, arc)
        if change is None:
            arcs += 1
            _require(arcs < _ARCS, "the circle is too near to a zero to be verified")
            stack += [((x + y) / 2, y), (x, (x + y) / 2)]
        else:
            total += change
    zeros = (total / (2 * arb.pi())).unique_fmpz()
    _require(zeros is not None, "the winding number of the circle is not decided")
    return int(zeros)


def _number(text: str) -> arb:
    mantissa, exponent = text.split("p")
    return arb((int(mantissa, 16), int(exponent)))


def _ball(x: Any) -> arb:
    return arb(flint.fmpq(*(x if isinstance(x, int | Fraction) else float(x)).as_integer_ratio()))


def _require(condition: Any, otherwise: str) -> None:
    if not condition:
        raise CertificateError(otherwise)
