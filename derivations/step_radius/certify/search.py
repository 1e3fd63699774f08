"""A search for the nearest zero of F with circles whose zeros are counted by winding numbers."""

from __future__ import annotations

import flint

from ...arithmetic.balls import power_of_two, shortened
from .classes import Classes, Terms
from .discs import Disc, half_precision, nearest_annulus, prove_disc
from .newton import candidates, newton, pair_zeros
from .result import Certified, certified_by_discs
from .taylor_series import TaylorSeries
from .winding import WindingResult, count_zeros

MAX_UNDECIDED = 12  # circles that one precision may leave undecided
MAX_ZEROS = 8  # in one disc; larger clusters are not resolved
CENTRING_STEPS = 8  # Newton steps to the middle of a cluster


def certify_by_winding(
    classes: Classes, low: flint.arb | None, max_arcs: int
) -> tuple[flint.arb | None, Certified | None]:
    """Enclose rho by circles with a winding number and discs with as many zeros.

    Parameters
    ----------
    classes
        The sample: two terms of F or more.
    low
        The largest circle known to have no zero inside, in units of tau; None: none is known.
    max_arcs
        The most arcs that the upper half of a circle is divided into.

    Returns
    -------
    tuple
        The largest circle that is now known to have no zero inside, or None, and the result. The
        result is None if the precision of ``flint.ctx`` and this number of arcs do not decide, and
        no circle without a zero is known either.
    """
    search = Search(Terms(classes), low, power_of_two(-classes.scale))
    margin, step, undecided, bisect = 4, 0.5, 0, False
    uncounted = None
    while undecided < MAX_UNDECIDED:
        circle = None if bisect else search.beyond(margin)
        proposed = circle is not None
        if circle is None:
            circle = search.between(step)
        if circle is None:
            break
        counted = count_zeros(search.terms, circle, max_arcs)
        if counted is not None:
            discs = search.all_inside(circle, counted.zeros)
            if discs:
                certified = certified_by_discs(classes, "winding", circle, discs, {})
                if certified.is_counted:
                    return search.low, certified
                # The circle is between zeros whose moduli round to the same float.
                uncounted, counted = certified, None
            else:
                search.narrow(circle, counted)
        # Undecided: the circle all but meets a zero, or is too large.
        if proposed:  # other zeros are as near, or nearer: look in both directions by turns
            margin *= 2
        elif counted is None:
            undecided += 1
            step *= 0.6
        else:
            step = 0.5
        bisect = proposed
    if uncounted is not None or search.low is None:
        return search.low, uncounted
    outside = [disc for disc in search.discs if disc.nearest() > search.low]
    return search.low, certified_by_discs(classes, "winding", search.low, outside, {})


class Search:
    """What is known about the zeros: circles without and with some, discs with one or more.

    Attributes
    ----------
    terms
        The terms of F.
    unit
        What a step is in units of tau: t = unit tau.
    low
        The radius of the largest circle known to have no zero inside, in units of tau, or None.
    discs
        Disjoint discs that are proven to hold zeros.
    """

    def __init__(self, terms: Terms, low: flint.arb | None, unit: flint.arb) -> None:
        self.terms = terms
        self.unit = unit
        self.low = low
        self._high: flint.arb | None = None  # the smallest circle with zeros inside
        self._inside = 1  # and how many
        self.discs: list[Disc] = []
        starts = pair_zeros(terms)
        self._hint = abs(starts[0]).mid() if starts else flint.arb(3)
        starts += [flint.acb(t) for t in candidates(terms, TaylorSeries(terms))[:3]]
        self._find(starts, MAX_ZEROS)

    def _find(self, starts: list[flint.acb], missing: int) -> None:
        """Add the discs that are found from these points, with up to `missing` zeros each."""
        for start in starts:
            disc = _disc_from(self.terms, start, min(missing, MAX_ZEROS), self.discs)
            if disc is not None and all(map(disc.is_disjoint, self.discs)):
                self.discs.append(disc)

    def _narrows(self, circle: flint.arb) -> bool:
        """Whether a circle lies between those without and with zeros."""
        return (self.low is None or circle > self.low) and (
            self._high is None or circle < self._high
        )

    def beyond(self, margin: int) -> flint.arb | None:
        """A circle just beyond the nearest discs: in the gap behind them, or 2^-margin farther.

        None if no disc is known, or there is no room for such a circle.
        """
        if not self.discs:
            return None
        _, far, _ = nearest_annulus(self.discs, self.unit)
        circle = far * (1 + power_of_two(-margin))
        limits = [disc.nearest() for disc in self.discs if disc.nearest() > far]
        for limit in limits if self._high is None else [*limits, self._high]:
            circle = circle.min((far * limit).sqrt())
        circle = half_precision(circle)
        return circle if circle > far and self._narrows(circle) else None

    def between(self, step: float) -> flint.arb | None:
        """A circle that narrows the bracket, or that finds an end of it; None if none is left."""
        if self.low is None:
            return half_precision(flint.arb(3 * step) if self._high is None else self._high * step)
        high = (self.low * 1.5).max(self._hint / 2) if self._high is None else self._high
        circle = half_precision(self.low * (high / self.low) ** step)
        return circle if self._narrows(circle) else None

    def all_inside(self, circle: flint.arb, zeros: int) -> list[Disc] | None:
        """The discs inside a circle, if they account for all the `zeros` zeros there."""
        inside = [disc for disc in self.discs if disc.farthest() < circle]
        complete = sum(disc.zeros for disc in inside) == zeros
        return inside if complete else None

    def narrow(self, circle: flint.arb, counted: WindingResult) -> None:
        """Take a counted circle into account, and look for zeros where it is next to some."""
        if counted.zeros:
            self._high, self._inside = circle, counted.zeros
        else:
            self.low = circle
        if self.low is not None and self._high is not None and self._high < 1.25 * self.low:
            missing = self._inside - sum(
                disc.zeros for disc in self.discs if disc.nearest() < self._high
            )
            if missing <= MAX_ZEROS:
                self._find(counted.near_zeros, missing)


def _disc_from(terms: Terms, start: flint.acb, max_zeros: int, known: list[Disc]) -> Disc | None:
    """The disc about what Newton's method finds from `start`, with as few zeros as are proven."""
    c = newton(terms, start, known)
    if c is None:
        return None
    for zeros in range(1, max_zeros + 1):
        # An m-fold zero, like the middle of a cluster, is a simple zero of derivative m - 1.
        step = flint.acb(0)
        for _ in range(CENTRING_STEPS):
            c = half_precision(c - step)
            q, remainder, reach = _expand(terms, c)
            step = (q[zeros - 1] / (zeros * q[zeros])).mid()
            if not abs(step) > abs(c) * power_of_two(-flint.ctx.prec // 2):
                break
        disc = prove_disc(c, [*map(abs, q), remainder], zeros, reach)
        if disc is not None:
            return disc
    return None


def _expand(terms: Terms, c: flint.acb) -> tuple[list[flint.acb], flint.arb, flint.arb]:
    """q_0 ... q_(n-1) of F(c + x), scaled; q, and a reach: |remainder| <= q |x|^n, |x| <= reach.

    By Cauchy's estimate on a circle of radius 2 reach, coefficient n of the majorant (2) of the
    terms at c is at most M(2 reach) / (2 reach)^n; those from n on add up to twice that.
    """
    square = c * c
    exponents = [z + a * c + b * square for z, a, b in zip(terms.z, terms.a, terms.b, strict=True)]
    top = max(e.real.mid() for e in exponents)
    values = [(e - top).exp() for e in exponents]
    slopes = [a + 2 * b * c for a, b in zip(terms.a, terms.b, strict=True)]
    widest = max(abs(a).upper() for a in slopes)
    reach = shortened(1 / (2 * (1 + widest)), 20)
    outer = 2 * reach
    majorant = sum(
        (
            abs(v) * (abs(a) * outer + abs(b) * outer * outer).exp()
            for v, a, b in zip(values, slopes, terms.b, strict=True)
        ),
        flint.arb(0),
    )
    coefficients = []
    past, now = [flint.acb(0)] * len(values), values
    factorial = 1
    for n in range(MAX_ZEROS + 1):  # the recurrence of the Taylor series at 0
        coefficients.append(sum(now, flint.acb(0)) / factorial)
        past, now = (
            now,
            [a * x + 2 * n * b * y for a, b, x, y in zip(slopes, terms.b, now, past, strict=True)],
        )
        factorial *= n + 1
    return coefficients, 2 * majorant / outer ** (MAX_ZEROS + 1), reach
