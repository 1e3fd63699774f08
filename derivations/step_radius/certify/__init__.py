"""The radius of a step between two floats that are proven to enclose it.

Along a step of length t the logits of a sample move to z_k + a_k t, or to z_k + a_k t + b_k t^2
where their curvature is known, and the Taylor series of its cross-entropy at t = 0 converges
exactly for |t| < rho, the modulus of the nearest complex zero of

    F(t) = sum_k exp(z_k + a_k t + b_k t^2)                                                  (1)

(Sao, "Ghosts of Softmax", arXiv 2603.13552, section 4). F is positive on the real line and
F(conj t) = conj F(t), so its zeros are conjugate pairs; "zeros" in this folder are those with
Im t > 0. F has infinitely many of them unless all its exponents differ by constants alone, when it
has none: a zero-free entire function of order at most two is the exponential of a quadratic
polynomial, and exponentials of different exponents are linearly independent.

All numbers are balls (python-flint), centres and radii that enclose the exact value. An enclosure
of rho takes a circle |tau| = R in the units of ``classes``, the number of zeros inside it, and
disjoint discs inside it that hold as many:

* the number comes from a Taylor polynomial (``taylor``, with the series of ``taylor_series``), or
  from the winding number of F on the circle (``winding``, for the circles of ``search``);
* the discs are proven by Rouche's theorem (``discs``), about points that Newton's method finds
  (``newton``);
* the nearest disc gives the two floats, and all of it the certificate (``result``), which
  ``derivations.check_certificate`` verifies without this folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flint
import numpy as np

from ...arithmetic.balls import Exact
from .classes import Classes, read_classes
from .result import Certified
from .search import certify_by_winding
from .taylor import certify_by_taylor

__all__ = ["Certified", "Classes", "certify", "read_classes"]


class _Attempt(NamedTuple):
    """One way to enclose rho."""

    method: str
    bits: int
    limit: int
    """The highest order of a Taylor polynomial, or the most arcs of a circle."""


# What is tried until the bounds are sharp. The roots of a high order take a second or more, often
# more than winding numbers.
ATTEMPTS = (
    _Attempt("taylor", 160, 120),
    _Attempt("winding", 128, 200),
    _Attempt("taylor", 160, 240),
    _Attempt("taylor", 320, 480),
    _Attempt("winding", 128, 4_000),
    _Attempt("winding", 256, 4_000),
    _Attempt("winding", 512, 4_000),
)


def certify(
    logits: Sequence[Exact] | np.ndarray[Any, Any],
    slopes: Sequence[Exact] | np.ndarray[Any, Any],
    curvatures: Sequence[Exact] | np.ndarray[Any, Any] | None = None,
) -> Certified:
    """Enclose the modulus rho of the complex zero of F nearest to 0, equation (1), with proof.

    Parameters
    ----------
    logits
        z, one sample, shape (K,): a float32 or float64 array, or a sequence of floats, integers and
        Fractions. Every number is taken as exact. -inf masks a class out.
    slopes
        a, the derivatives of the logits along the step; like logits, finite.
    curvatures
        b, half the second derivatives of the logits along the step; like slopes. None: all zero.

    Returns
    -------
    Certified
        Most often the bounds are neighbours among the floats. `multiplicity` is 1 for a conjugate
        pair of simple zeros. Zeros of equal modulus, and all others between the two bounds, count.

        * No zero (one unmasked class, or all slopes and all curvatures equal): inf, inf, method
          "none".
        * Where orders, arcs and 512 bits run out, lower <= rho <= upper still holds, but the bounds
          may be wide (upper may be inf), and `multiplicity` is 0. Known causes: more than eight
          zeros in one place; moduli that agree to many digits without being equal (two classes
          with logits 1e20 apart and slopes 1 apart); a sum F that cancels to far less than its
          terms on all circles near rho, where no Taylor polynomial of order 480 will do.
        * Sharp bounds, too, may come with `multiplicity` 0: where more zeros share the two floats
          than were found (two logits 1e9 apart), or rho is beyond the largest float.

    Raises
    ------
    TypeError
        If an argument holds anything but float32, float64, integers and Fractions.
    ValueError
        If shapes differ or are not (K,), or K = 0; for NaN or +inf, a mask on every class, slopes
        or curvatures that are not finite.
    ArithmeticError
        If not even a lower bound can be proven.

    Notes
    -----
    The proofs stand at the top of the modules of this folder. The bounds of ``kernels.radius`` that
    rest on the spread of the slopes do not hold once there are curvatures; this function does not
    use them.

    Examples
    --------
    Two tied classes have zeros at i pi (2n + 1) / Delta:

    >>> certified = certify([0.0, 0.0], [1.0, -1.0])
    >>> certified.lower <= math.pi / 2 <= certified.upper
    True
    >>> certified.upper - certified.lower < 1e-15, certified.multiplicity, certified.method
    (True, 1, 'taylor')

    (1 + e^t)^2 = 1 + 2 e^t + e^2t has a double zero:

    >>> certified = certify([0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 2.0])
    >>> certified.lower <= math.pi <= certified.upper, certified.multiplicity, certified.method
    (True, 2, 'winding')

    Without slopes, curvatures alone have a pair of zeros on each diagonal, at sqrt(i pi):

    >>> certified = certify([0.0, 0.0], [0.0, 0.0], [1.0, 0.0])
    >>> certified.lower <= math.sqrt(math.pi) <= certified.upper, certified.multiplicity
    (True, 2)
    """
    classes = read_classes(logits, slopes, curvatures)
    if len(classes.groups) == 1:
        return Certified(math.inf, math.inf, 0, "none", 0, {})
    low, best = None, None
    for attempt in ATTEMPTS:
        with flint.ctx.workprec(attempt.bits):
            if attempt.method == "taylor":
                certified = certify_by_taylor(classes, attempt.limit)
            else:
                low, certified = certify_by_winding(classes, low, attempt.limit)
        if certified is not None and (best is None or certified.sharpness() < best.sharpness()):
            best = certified
        if best is not None and best.is_sharp:
            break
    if best is None:
        raise ArithmeticError(
            f"no circle without a zero was proven with {ATTEMPTS[-1].bits} bits: "
            "the logits or slopes are too many orders of magnitude apart"
        )
    return best
