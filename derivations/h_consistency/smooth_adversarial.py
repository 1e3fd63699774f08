"""Smooth adversarial comp-sum losses: definition, gradient, and the bound they give.

Scores h, label y, margins D_j(x) = h_y(x) - h_j(x) for j != y, a ball B of perturbed inputs x'
around x, rho > 0, and Phi_tau of the comp-sum losses (Mao, Mohri, Zhong 2023, arXiv 2304.07288).

    adversarial 0-1     1 if some x' in B has some D_j(x') <= 0, else 0
    adversarial         sup over B of Phi_tau(sum_j m(D_j(x')))
                        with the margin loss m(u) = min(1, max(0, 1 - u / rho))
    smooth adversarial  Phi_tau(sum_j e^(-D_j(x) / rho)) + nu sup over B of |D(x') - D(x)|_2,
                        nu >= sqrt(n - 1) / rho

so the last asks for a supremum of a norm alone, and is smooth in the margins.

**The smooth loss is above the adversarial one.** Phi_tau' = (1 + v)^(-tau) <= 1, and m falls by at
most 1/rho: D -> Phi_tau(sum m(D_j)) is Lipschitz with sqrt(n - 1) / rho <= nu in the Euclidean
norm. At x, m(u) <= e^(-u / rho), as 1 - t <= e^-t, and Phi_tau rises.

**Bound.** For all h, with C* the infimum of the adversarial conditional error,

    Phi_tau(1) (adversarial 0-1 conditional regret) <= adversarial conditional error - C*,

and the smooth error may stand for the adversarial one on the right. Proof. Let V_y be the argument
of Phi_tau for the label y. At any x' in B, the class of rank k has V >= k - 1: each class above it
has m = 1. So C >= sum_k p_(k-th of x') Phi(k - 1), of which the least, with p in falling order, is
C* (it is attained where scores of margin rho or more are the same all over B). Let y be first at
x', and 1 the likeliest class, of rank k. (i) If y is first all over B, the 0-1 regret is p_1 -
p_y; putting the classes 1 and y each in the other's place shows C - C* >= (p_1 - p_y) Phi(k - 1),
and k >= 2 unless the regret is 0. (ii) Otherwise it is p_1, and V_y >= 1: C - C* >= p_1 Phi(1) for
y = 1, else p_y Phi(1) + (p_1 - p_y) Phi(k - 1) >= p_1 Phi(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import flint

from ..arithmetic.balls import Exact, ball
from ..arithmetic.systems import Arithmetic


def phi(v: Any, tau: Exact, xp: Arithmetic) -> Any:
    """The comp-sum loss Phi_tau(v) as a function of v, the sum of e^-margin over the other classes.

    Parameters
    ----------
    v
        The sum, a number of the arithmetic, at least 0.
    tau
        The parameter of the loss, exact.
    xp
        The arithmetic.

    Returns
    -------
    number of xp
        The loss.
    """
    log = xp.log1p(v)
    if tau == 1:
        return log
    power = 1 - xp.number(tau)
    return xp.expm1(power * log) / power


def smooth_adversarial(
    margins: Any, spread: Any, tau: Exact, rho: Exact, nu: Exact, xp: Arithmetic
) -> Any:
    """The smooth adversarial comp-sum loss of one sample.

    Parameters
    ----------
    margins
        The D_j(x) of all classes j but the right one, a vector of the arithmetic.
    spread
        sup |D(x') - D(x)|_2 over the perturbed x'.
    tau
        The parameter of the comp-sum loss, exact.
    rho
        The scale of the margins, exact, above 0.
    nu
        The weight of the spread, exact.
    xp
        The arithmetic.

    Returns
    -------
    number of xp
        The loss.

    Examples
    --------
    >>> from ..arithmetic.systems import ieee
    >>> from ..arithmetic.formats import BINARY64
    >>> xp = ieee(BINARY64)
    >>> round(float(smooth_adversarial(xp.vector([0.0, 0.0]), xp.number(0.5), 0, 1, 2, xp)), 12)
    3.0
    """
    v = xp.sum(xp.exp(-margins / xp.number(rho)))
    return phi(v, tau, xp) + xp.number(nu) * spread


def smooth_adversarial_gradient(
    margins: Any, spread: Any, tau: Exact, rho: Exact, nu: Exact, xp: Arithmetic
) -> tuple[Any, Any]:
    """The derivatives of the smooth adversarial loss in the margins and in the spread.

    In each margin that is -(1/rho) e^(-D_j/rho) (1 + v)^(-tau), in the spread nu.

    Parameters
    ----------
    margins
        The D_j(x) of all classes j but the right one, a vector of the arithmetic.
    spread
        sup |D(x') - D(x)|_2 over the perturbed x'; the derivatives do not depend on it.
    tau
        The parameter of the comp-sum loss, exact.
    rho
        The scale of the margins, exact, above 0.
    nu
        The weight of the spread, exact.
    xp
        The arithmetic.

    Returns
    -------
    tuple
        A vector with one entry for each margin, and a number.
    """
    e = xp.exp(-margins / xp.number(rho))
    return -e / xp.number(rho) * xp.exp(-xp.number(tau) * xp.log1p(xp.sum(e))), xp.number(nu)


def least_adversarial_error(p: Sequence[Exact], tau: Exact, xp: Arithmetic) -> Any:
    """The least adversarial error C* = sum_k p_(k) Phi_tau(k - 1), with p in falling order.

    Parameters
    ----------
    p
        The probabilities of the classes, exact.
    tau
        The parameter of the loss, exact.
    xp
        The arithmetic.

    Returns
    -------
    number of xp
        The error.
    """
    ranked = sorted((Fraction(q) for q in p), reverse=True)
    return xp.sum([xp.number(q) * phi(xp.number(k), tau, xp) for k, q in enumerate(ranked)])


class LinearScores:
    """Scores h_j(x) = w_j . x + c_j under perturbations |x' - x|_2 <= gamma, in balls.

    All suprema over the ball are known: D_j falls by gamma |w_y - w_j| at most, and |D(x') - D(x)|
    is up to gamma times the spectral norm of the matrix of the rows w_y - w_j.
    """

    def __init__(
        self, weights: Sequence[Sequence[float]], offsets: Sequence[float], gamma: float
    ) -> None:
        self.weights = [[flint.arb(w) for w in row] for row in weights]
        self.offsets = [flint.arb(c) for c in offsets]
        self.gamma = flint.arb(gamma)

    @property
    def classes(self) -> int:
        """The number n of classes."""
        return len(self.weights)

    def _differences(self, y: int) -> list[list[flint.arb]]:
        return [
            [a - b for a, b in zip(self.weights[y], row, strict=True)]
            for j, row in enumerate(self.weights)
            if j != y
        ]

    def margins(self, x: Sequence[float], y: int) -> list[flint.arb]:
        """D_j(x), j != y."""
        others = [c for j, c in enumerate(self.offsets) if j != y]
        return [
            _dot(row, x) + self.offsets[y] - c
            for row, c in zip(self._differences(y), others, strict=True)
        ]

    def spread_from_below(self, y: int, steps: int = 60) -> flint.arb:
        """A lower bound of the spread: gamma |A v| / |v| for a v that the power method found."""
        rows = self._differences(y)
        v = [
            float(sum(abs(float(row[i].mid())) for row in rows)) + 1.0 for i in range(len(rows[0]))
        ]
        for _ in range(steps):
            image = [sum(float(a.mid()) * b for a, b in zip(row, v, strict=True)) for row in rows]
            v = [
                sum(float(row[i].mid()) * t for row, t in zip(rows, image, strict=True))
                for i in range(len(v))
            ]
            size = max(map(abs, v)) or 1.0
            v = [t / size for t in v]
        if not any(v):
            return flint.arb(0)
        norm = _norm([flint.arb(t) for t in v])
        return self.gamma * _norm([_dot(row, v) for row in rows]) / norm

    def errs(self, x: Sequence[float], y: int) -> bool | None:
        """Whether some x' has some D_j(x') <= 0; None where the balls do not tell."""
        worst = [
            d - self.gamma * _norm(row)
            for d, row in zip(self.margins(x, y), self._differences(y), strict=True)
        ]
        if any(d <= 0 for d in worst):
            return True
        return False if all(d > 0 for d in worst) else None


def _dot(row: Sequence[flint.arb], x: Sequence[float]) -> flint.arb:
    return sum((a * ball(b) for a, b in zip(row, x, strict=True)), flint.arb(0))


def _norm(v: Sequence[flint.arb]) -> flint.arb:
    squares = sum((a * a for a in v), flint.arb(0))
    return squares.sqrt() if squares > 0 else flint.arb(0)
