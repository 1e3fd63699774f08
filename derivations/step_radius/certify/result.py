"""The result of ``certify``: two floats, and the certificate that proves them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import flint

from ...arithmetic.balls import float_above, float_below, from_text, power_of_two, to_text
from .classes import Classes
from .discs import Disc, nearest_annulus

SHARP_WIDTH = 2.0**-50  # the relative width of an annulus that needs no more precision


class Certified(NamedTuple):
    """The enclosure lower <= rho <= upper, with the evidence for ``check_certificate.check``."""

    lower: float
    """A lower bound of rho, rounded down."""
    upper: float
    """An upper bound of rho, rounded up; inf if rho may be beyond the largest float."""
    multiplicity: int
    """Zeros with lower <= |t| <= upper, Im t > 0; 0 if there is none, or their number is unknown.

    Two zeros between the same two floats count as two, whether or not their moduli are equal.
    """
    method: str
    """How the zeros were counted: taylor, winding, or none (F has no zero: both bounds are inf)."""
    bits: int
    """The precision that decided."""
    certificate: dict[str, Any]
    """What the checker verifies: strings, integers and lists of them, ready for JSON."""

    @property
    def zeros(self) -> list[tuple[complex, float, int]]:
        """Zeros as discs (centre, radius, zeros in it): with `multiplicity` > 0, all up to `upper`.

        >>> from softproof.derivations.step_radius.certify import certify
        >>> [(centre, _, zeros)] = certify([0.0, 0.0], [1.0, -1.0]).zeros
        >>> print(f"{centre.imag:.6f}", zeros)
        1.570796 1
        """
        discs = []
        for x, y, r, zeros in self.certificate.get("discs", []):
            with flint.ctx.workprec(max(self.bits, 64)):
                unit = power_of_two(-self.certificate["scale"])
                exact = flint.acb(from_text(x), from_text(y)) * unit
                centre = complex(exact)
                radius = from_text(r) * unit + abs(exact - flint.acb(centre))
                discs.append((centre, float_above(radius), int(zeros)))
        return discs

    @property
    def is_sharp(self) -> bool:
        """Whether the bounds are so close that more precision would hardly bring them closer."""
        return self.upper <= self.lower * (1 + SHARP_WIDTH) or self.upper <= math.nextafter(
            self.lower, math.inf
        )

    @property
    def is_counted(self) -> bool:
        """Whether the number of zeros between the bounds is known, or `upper` is infinite."""
        return self.multiplicity > 0 or self.upper == math.inf

    def sharpness(self) -> tuple[float, float, int]:
        """A key that sorts results for the same sample from sharp to wide."""
        return self.upper, -self.lower, -self.multiplicity


def certified_by_discs(
    classes: Classes,
    method: str,
    radius: flint.arb,
    discs: list[Disc],
    evidence: dict[str, Any],
) -> Certified:
    """The result that a circle and discs with all zeros inside it prove.

    Parameters
    ----------
    classes
        The sample.
    method
        How the zeros inside the circle were counted, taylor or winding.
    radius
        That of the circle, in units of tau.
    discs
        Those that hold all zeros inside the circle; further ones may lie outside.
    evidence
        What the certificate states besides: the order and the tail of a Taylor polynomial.

    Returns
    -------
    Certified
        If no disc reaches into the circle, `lower` is its radius and `multiplicity` 0.
    """
    certificate = {
        "slope": classes.slope.hex(),
        "curvature": classes.curvature.hex(),
        "scale": classes.scale,
        "radius": to_text(radius),
        "discs": [
            [to_text(d.centre.real), to_text(d.centre.imag), to_text(d.radius), d.zeros]
            for d in discs
        ],
        **evidence,
    }
    unit = power_of_two(-classes.scale)
    near, upper, zeros = radius, math.inf, 0
    if discs:
        nearest, far, all_near = nearest_annulus(discs, unit)
        upper = float_above(far * unit)
        if nearest < radius:
            near, zeros = nearest, all_near if far < radius and far.is_finite() else 0
    return Certified(float_below(near * unit), upper, zeros, method, flint.ctx.prec, certificate)
