"""Dai 2025, EnsLoss: random derivatives of calibrated losses, and what a draw has to fulfil.

A batch of margins s gets derivatives g = phi'(s) of a loss phi that nobody writes down.  phi is
convex where g does not fall with s, classification-calibrated where phi'(0) < 0, and bounded below
where the tail of |g| has a finite integral.
"""

from __future__ import annotations

import math

import numpy as np
import sympy
from numpy.typing import NDArray

from .register import (
    OUR_QUESTION,
    PROOF,
    SEARCH,
    Verdict,
    claim,
    confirmed,
    proven,
    refuted,
    require,
)

ENSLOSS = "Dai 2025 (arXiv 2409.00908)"
OFFSET = 1e-6  # what the published code subtracts from every derivative


def inverse_box_cox(u: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """The inverse of the Box-Cox transform: e^u, or max(1 + power u, 0)^(1 / power).

    Parameters
    ----------
    u
        Numbers.
    power
        From -1 to 1; 0 for the exponential.

    Returns
    -------
    array
        Not negative; infinite where 1 + power u <= 0 and the power is negative.
    """
    if power == 0:
        return np.exp(u)
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(1 + power * u, 0) ** (1 / power))


def drawn_derivatives(
    margins: NDArray[np.float64], power: float, rng: np.random.Generator, *, ordered: bool = True
) -> NDArray[np.float64]:
    """The derivatives that the published code draws for a batch of margins.

    Parameters
    ----------
    margins
        The margins of a batch.
    power
        Of the inverse Box-Cox transform of normal numbers.
    rng
        What is drawn from.
    ordered
        Whether they are sorted as the margins, as the method has it.

    Returns
    -------
    array
        One derivative for each margin.
    """
    drawn = np.maximum(-inverse_box_cox(rng.standard_normal(margins.size), power), -1.0)
    found = np.empty_like(margins)
    found[np.argsort(margins, kind="stable")] = np.sort(drawn) if ordered else drawn
    return np.where(margins > 1, found / np.maximum(margins, 1), found) - OFFSET


@claim(
    "Every draw is the derivative of a convex calibrated loss: negative, and not falling with the "
    "margin.",
    ENSLOSS,
    "Algorithm 1, as its code has it",
    SEARCH,
    opposite={"ordered": False},
)
def ensloss_is_convex(ordered: bool = True) -> Verdict:
    """Batches of 128 margins, for powers from -1 to 1."""
    rng, cases = np.random.default_rng(111), 0
    for power in (-1.0, -0.5, 0.0, 0.5, 1.0):
        for scale in (0.1, 1.0, 10.0, 1e3):
            cases += 1
            margins = scale * rng.standard_normal(128)
            found = drawn_derivatives(margins, power, rng, ordered=ordered)
            in_order = found[np.argsort(margins)]
            if not (np.all(found < 0) and np.all(np.diff(in_order) >= 0)):
                return refuted(f"power {power}, margins of scale {scale}", cases)
    return confirmed(cases, "float64, batches of 128 margins of scales 0.1 to 1000")


@claim(
    "About half of each batch, the smallest margins, gets the same derivative -1 whatever the "
    "power of the Box-Cox transform is.",
    ENSLOSS,
    "Algorithm 1, as its code has it",
    PROOF,
    opposite={"level": 2},
    kind=OUR_QUESTION,
)
def ensloss_clips_half(level: int = 1) -> Verdict:
    """BC^-1(u) >= 1 exactly where u >= 0, which has probability 1/2, for each power p in [-1, 1].

    The transform grows with u, and at u = 0 it is 1.
    """
    u, p = sympy.symbols("u p", real=True)
    value = (1 + p * u) ** (1 / p)
    require(sympy.simplify(value.subs(u, 0)) == 1)
    require(sympy.simplify(sympy.diff(value, u) / (1 + p * u) ** (1 / p - 1)) == 1)  # positive
    shares = []
    for power in (-0.5, 0.0, 0.5):
        # Where it is `level`: u = (level^p - 1) / p.
        at = math.log(level) if power == 0 else (level**power - 1) / power
        shares.append(0.5 * math.erfc(at / math.sqrt(2)))
    if any(abs(share - 0.5) > 1e-12 for share in shares):
        told = ", ".join(f"{share:.3f}" for share in shares)
        return refuted(f"the share above {level} is {told} for the powers -0.5, 0, 0.5")
    return proven("BC^-1 is increasing in u and 1 at u = 0, so its share above 1 is P(u >= 0)")


@claim(
    "The implied losses are bounded below, as calibration by a surrogate asks.",
    ENSLOSS,
    "the superlinear raising tail, in its published code",
    PROOF,
    opposite={"offset": 0.0, "power_of_log": 2},
)
def ensloss_tail(offset: float = OFFSET, power_of_log: int = 0) -> Verdict:
    """|phi'(s)| = 1 / (s log^k s) + offset beyond s = e: its integral has to be finite.

    The code has k = 0 and offset 1e-6; an earlier version of it k = 2 and the same offset.
    """
    s = sympy.Symbol("s", positive=True)
    tail = 1 / (s * sympy.log(s) ** power_of_log)
    total = sympy.integrate(tail, (s, sympy.E, sympy.oo))
    if offset > 0:
        return refuted(
            f"phi' <= -{offset:g} for every margin, so phi falls below any bound; and "
            f"the integral of the tail 1 / s without it is {total}"
        )
    if not total.is_finite:
        return refuted(f"the integral of the tail is {total}")
    return proven(f"the integral of 1 / (s log^{power_of_log} s) from e on is {total}")


@claim(
    "A batch whose margins are all 0, as of a head that starts with zeros, has a calibrated loss.",
    ENSLOSS,
    "Algorithm 1, as its code has it",
    SEARCH,
    opposite={"spread": 1.0},
    kind=OUR_QUESTION,
)
def ensloss_ties(spread: float = 0.0) -> Verdict:
    """Equal margins get different derivatives: at 0 no loss that has them has one derivative."""
    rng = np.random.default_rng(7)
    margins = spread * rng.standard_normal(64)
    found = drawn_derivatives(margins, 0.0, rng)
    at_zero = found[margins == 0]
    if at_zero.size > 1 and np.ptp(at_zero) > 0:
        return refuted(
            f"64 margins at 0 get derivatives from {at_zero.min():.3g} to {at_zero.max():.3g}: no "
            "loss is differentiable there with these"
        )
    return confirmed(1, "no two margins of the batch are equal")
