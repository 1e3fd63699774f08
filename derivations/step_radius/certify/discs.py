"""Discs of the complex plane that are proven to hold a certain number of zeros of F.

Where the zeros are is found by Newton's method, and proven by Rouche's theorem: about a point c
write F(c + x) = q_0 + q_1 x + ... If

    |q_m| r^m > sum_{j != m} |q_j| r^j,                                                      (4)

F(c + x) and q_m x^m have equally many zeros with |x| < r: m. A bound of what F differs from a
polynomial by, or of the remainder of the expansion, joins the right side. Disjoint discs that hold
as many zeros as a circle about 0 leave none elsewhere inside it, and the nearest one encloses rho.
That takes no precision beyond that of the discs, where a circle close to a zero would; and a
cluster of zeros is a disc with m of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flint

from ...arithmetic.balls import float_above, power_of_two, shortened


class Disc(NamedTuple):
    """A disc above the real axis that holds `zeros` zeros, counted with multiplicity."""

    centre: flint.acb
    radius: flint.arb
    zeros: int

    def is_disjoint(self, other: Disc) -> bool:
        """Whether this disc and the other have no point in common."""
        return bool(abs(self.centre - other.centre) > self.radius + other.radius)

    def nearest(self) -> flint.arb:
        """A lower bound of the modulus of all points of the disc."""
        return (abs(self.centre) - self.radius).lower()

    def farthest(self) -> flint.arb:
        """An upper bound of the modulus of all points of the disc."""
        return (abs(self.centre) + self.radius).upper()


def prove_disc(
    centre: flint.acb, moduli: list[flint.arb], zeros: int, reach: flint.arb
) -> Disc | None:
    """A small disc that the inequality (4) proves to hold `zeros` zeros, or None.

    Parameters
    ----------
    centre
        c, in units of tau.
    moduli
        Upper bounds of |q_0|, |q_1|, ..., where |q_0| includes the error of the polynomial, and
        the last one the remainder; at index `zeros` also a lower bound, as balls are.
    zeros
        m, at least 1.
    reach
        What the radius has to stay below for `moduli` to hold.

    Returns
    -------
    Disc or None
        None where (4) does not hold, or the disc would meet the real axis or exceed `reach`.
    """
    lead = moduli[zeros]
    if not lead > 0:
        return None
    # With r >= 2 |q_j / q_m|^(1 / (m - j)) for j < m, the lower terms add up to less than
    # (1/2 + 1/4 + ...) |q_m| r^m; the sixteenth on top is for the higher ones.
    r = abs(centre) * power_of_two(2 - flint.ctx.prec // 2)
    for j in range(zeros):
        r = r.max(2 * (moduli[j].upper() / lead).root(zeros - j))
    r = shortened((r * (1 + power_of_two(-4))).upper(), 20)
    rest, power, leading = flint.arb(0), flint.arb(1), flint.arb(0)
    for j, q in enumerate(moduli):
        if j == zeros:
            leading = q * power
        else:
            rest += q * power
        power *= r
    return Disc(centre, r, zeros) if r < reach and r < centre.imag and leading > rest else None


def nearest_annulus(discs: list[Disc], unit: flint.arb) -> tuple[flint.arb, flint.arb, int]:
    """The annulus about 0 of the nearest disc, widened until no further disc reaches into it.

    Its outer radius is such that |t| is a float there: zeros that the float `upper` of the result
    does not exclude are counted.

    Parameters
    ----------
    discs
        At least one disc, in units of tau.
    unit
        What a step is in these units: t = unit tau.

    Returns
    -------
    tuple
        The inner radius, the outer radius, and the number of zeros between them, in units of tau.
    """
    ordered = sorted(discs, key=Disc.nearest)
    near, far, zeros = ordered[0].nearest(), flint.arb(0), 0
    for disc in ordered:
        if zeros and disc.nearest() > far:
            break
        far = far.max((flint.arb(float_above(disc.farthest() * unit)) / unit).upper())
        zeros += disc.zeros
    return near, far, zeros


def half_precision(x: Any) -> Any:
    """The middle of a real or complex ball, rounded to half of the present precision.

    Parameters
    ----------
    x
        A ball, real (arb) or complex (acb).

    Returns
    -------
    arb or acb
        An exact number of half as many bits as ``flint.ctx`` has.
    """
    bits = flint.ctx.prec // 2
    if isinstance(x, flint.acb):
        return flint.acb(shortened(x.real, bits), shortened(x.imag, bits))
    return shortened(x, bits)
