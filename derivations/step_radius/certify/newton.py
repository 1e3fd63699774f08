"""Points near the zeros of F, found by Newton's method without any guarantee.

What is found here is only where a proof begins: ``discs`` proves that zeros are there, and the
count of a circle that there are no others.
"""

from __future__ import annotations

import flint
import numpy as np

from .classes import Terms
from .discs import Disc
from .taylor_series import TaylorSeries

CONVERGING = 2.0**-16  # Newton steps below this, relative to the point, are about to end


def candidates(terms: Terms, series: TaylorSeries) -> list[complex]:
    """Zeros with Im tau > 0 in binary64, nearest first, or one point at least if there is none.

    The starts of Newton's method are the three nearest roots of the Taylor polynomial of order 40,
    and the points where two terms cancel.

    Parameters
    ----------
    terms
        The terms of F.
    series
        Their Taylor series; it is extended to order 40.

    Returns
    -------
    list of complex
        Points in units of tau, none of them proven.
    """
    order, unit = 40, 6.0
    series.extend(order + 1)
    scaled = [float(c.mid()) * unit**n for n, c in enumerate(series.coefficients[: order + 1])]
    roots = sorted(unit * np.roots(scaled[::-1]), key=abs)
    upper = [root for root in roots if root.imag > 0][:3]
    t = np.array([*upper, *(complex(zero) for zero in pair_zeros(terms))])
    z, a, b = (
        np.array([float(x.mid()) for x in row])[:, None] for row in (terms.z, terms.a, terms.b)
    )
    with np.errstate(all="ignore"):
        for _ in range(30):
            exponents = z + a * t + b * t * t
            values = np.exp(exponents - exponents.real.max(axis=0))
            step = values.sum(axis=0) / ((a + 2 * b * t) * values).sum(axis=0)
            t = t - step
            if np.all(~(abs(step) > 1e-9 * abs(t))):
                break
        found = t[abs(step) <= 1e-6 * abs(t)]
    return sorted((complex(zero) for zero in found), key=abs) or [complex(roots[0])]


def pair_zeros(terms: Terms) -> list[flint.acb]:
    """The three nearest points where the largest term at 0 and one other cancel.

    Parameters
    ----------
    terms
        The terms of F.

    Returns
    -------
    list of acb
        Exact points with Im tau > 0, nearest first; none where no two exponents differ.
    """
    k = max(range(len(terms.z)), key=lambda j: terms.z[j].mid())
    zeros = []
    for z, a, b in zip(terms.z, terms.a, terms.b, strict=True):
        c, d, q = z - terms.z[k] - flint.acb(0, flint.arb.pi()), a - terms.a[k], b - terms.b[k]
        if q.contains(0):
            zeros += [-c / d] if not d.contains(0) else []
        else:
            root = (d * d - 4 * q * c).sqrt()
            zeros += [(root - d) / (2 * q), (-root - d) / (2 * q)]
    finite = [t.mid() if t.imag.mid() > 0 else t.conjugate().mid() for t in zeros if t.is_finite()]
    return sorted(finite, key=lambda t: abs(t).mid())[:3]


def newton(terms: Terms, t: flint.acb, known: list[Disc]) -> flint.acb | None:
    """A zero that Newton's method finds from t, or None if the steps do not get small.

    The method runs in the middles of the balls, for F divided by (t - c)^m for every disc (c, m)
    that is already known, so that it finds another zero than these.

    Parameters
    ----------
    terms
        The terms of F.
    t
        The start, in units of tau.
    known
        Discs whose zeros are not to be found again.

    Returns
    -------
    acb or None
        An exact point close to a zero with Im tau > 0.
    """
    last = None
    for _ in range(60):
        exponents = terms.real_exponents(range(len(terms.z)), t)
        top = max(exponent.mid() for exponent in exponents)
        floor = top - flint.ctx.prec
        square = t * t
        total = slope = flint.acb(0)
        for z, a, b, exponent in zip(terms.z, terms.a, terms.b, exponents, strict=True):
            if exponent > floor:
                value = (z - top + a * t + b * square).exp()
                total += value
                slope += (a + 2 * b * t) * value
        pull = sum((disc.zeros / (t - disc.centre) for disc in known), flint.acb(0))
        step = (total / (slope - total * pull)).mid()
        if not step.is_finite():
            break
        t = (t - step).mid()
        size = (abs(step) / abs(t)).mid()
        if last is not None and last < CONVERGING and size >= last:  # only rounding is left
            break
        last = size
    # Towards a multiple zero the steps shrink slowly: any point they lead to will do as a start.
    return None if last is None or not last < CONVERGING else t if t.imag > 0 else t.conjugate()
