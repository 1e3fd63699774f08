"""The Taylor series of F at 0, and a bound of its tail.

With F(tau) = P(tau) + E(tau), P the Taylor polynomial of order N at 0, let

    M(tau) = sum_k w_k exp(|a_k| tau + |b_k| tau^2),      M_n its Taylor coefficients.       (2)

The coefficients of exp(a t + b t^2) are polynomials in a and b without a negative coefficient, so
each is at most that of exp(|a| t + |b| t^2) in modulus; summed with the weights w_k = exp(z_k) > 0,
the coefficients of F are at most M_n. For |tau| <= R therefore

    |E(tau)| <= sum_{n > N} M_n R^n = M(R) - sum_{n <= N} M_n R^n =: T.                      (3)
"""

from __future__ import annotations

from collections.abc import Iterator

import flint

from ...arithmetic.balls import power_of_two, shortened
from .classes import Terms


def _coefficients(terms: Terms) -> Iterator[tuple[flint.arb, flint.arb]]:
    """The Taylor coefficients of F at 0 and those of M, equation (2), one order after another.

    n! h_n, with h_n the coefficients of exp(a t + b t^2), obeys H_(n+1) = a H_n + 2 n b H_(n-1).
    Without curvatures M needs no recurrence of its own: it adds what the positive and the negative
    slopes bring, F adds or subtracts.
    """
    zero = flint.arb(0)
    if terms.quadratic:
        # One recurrence for F and one for M, side by side: [a, |a|], [b, |b|], [w, w].
        size = len(terms.w)
        a = terms.a + [abs(x) for x in terms.a]
        b = [2 * x for x in terms.b] + [2 * abs(x) for x in terms.b]
        past, now = [zero] * (2 * size), terms.w * 2
    else:
        negative = [k for k, x in enumerate(terms.a) if not x >= 0]
        order = [k for k in range(len(terms.a)) if terms.a[k] >= 0] + negative
        size = len(order) - len(negative)
        a = [abs(terms.a[k]) for k in order]
        now = [terms.w[k] for k in order]
    factorial = flint.arb(1)
    n = 0
    while True:
        first, second = sum(now[:size], zero), sum(now[size:], zero)
        if terms.quadratic:
            yield first / factorial, second / factorial
            past, now = (
                now,
                [x * y + n * (u * v) for x, y, u, v in zip(a, now, b, past, strict=True)],
            )
        else:
            difference = first - second if n % 2 else first + second
            yield difference / factorial, (first + second) / factorial
            now = [x * y for x, y in zip(a, now, strict=True)]
        n += 1
        factorial *= n


class TaylorSeries:
    """The Taylor coefficients of F and of its majorant M, computed as far as they were needed."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._source = _coefficients(terms)
        self.coefficients: list[flint.arb] = []
        self._majorant: list[flint.arb] = []

    def extend(self, length: int) -> None:
        """Compute coefficients until there are `length` of them."""
        while len(self.coefficients) < length:
            coefficient, bound = next(self._source)
            self.coefficients.append(coefficient)
            self._majorant.append(bound)

    def truncate(self, radius: flint.arb, max_order: int) -> tuple[int, flint.arb] | None:
        """The least even order up to `max_order` whose tail T on the circle is small.

        Parameters
        ----------
        radius
            R of equation (3), in units of tau.
        max_order
            The highest order that is tried.

        Returns
        -------
        tuple or None
            N and an upper bound of T; None if the tails of all these orders are too large.
        """
        terms = self._terms
        rest = sum(
            (
                w * (abs(a) * radius + abs(b) * radius * radius).exp()
                for w, a, b in zip(terms.w, terms.a, terms.b, strict=True)
            ),
            flint.arb(0),
        )
        # Three bits out of five: F may be far smaller than M(R), and its zeros are to be sharp.
        goal = rest * power_of_two(-3 * flint.ctx.prec // 5)
        power = flint.arb(1)
        for n in range(max_order + 1):
            self.extend(n + 1)
            rest -= self._majorant[n] * power
            power *= radius
            # Coefficients of even order are positive sums without curvatures. With them, one that
            # may be 0 cannot lead a polynomial.
            if n % 2 == 0 and rest < goal and not self.coefficients[n].contains(0):
                # One part in a thousand covers the rounding, here and in the checker.
                return n, shortened((rest.upper() * (1 + power_of_two(-10))).upper(), 32) + 0
        return None
