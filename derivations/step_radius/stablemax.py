"""Where StableMax ceases to be analytic, and the Taylor radius that this leaves along a step.

StableMax and its cross-entropy are made of s(x) = x + 1 for x >= 0 and 1 / (1 - x) for x < 0
(``catalogue.distributions.stablemax``).

**The kink.**  s and s' agree from both sides of 0, the second derivatives are 0 and 2
(`one_sided_derivatives`): s is continuously differentiable, not twice.  A function that is analytic
at 0 has all derivatives there, so s is not; everywhere else on the real line it is, being a
polynomial, or a quotient whose pole, x = 1, lies where the other branch holds.

**Along a step** z + a t let kappa = min |z_k| / |a_k| over the classes with a_k != 0: the distance
to the first t at which a logit changes its sign.

Theorem 1.  For complex |t| < kappa let b_k(t) be the branch of s that class k starts on, and S
their sum.  Then Re b_k(t) > 0 and Re S(t) > 0: no zero of S, no zero and no pole of a branch is
nearer than kappa, and p_k = b_k / S and log S - log b_y are analytic in that disc.  *Proof.*
|a_k t| < |z_k| where a_k != 0.  For z_k > 0, Re (1 + z_k + a_k t) > 1.  For z_k < 0,
Re (1 - z_k - a_k t) > 1, and the reciprocal of a number with positive real part has one.  For
a_k = 0, b_k = s(z_k) > 0.

So, unlike softmax, StableMax has no ghosts before its kinks.

Theorem 2.  rho = kappa for the probabilities: their Taylor series in t at 0 represent them for real
|t| < kappa and on no longer interval, but where all z_k are equal and all a_k are, and p is 1/K
throughout.  *Proof.*  Let t* be a kink, C the classes with z_k + a_k t* = 0, a_k != 0.  Across t*
the second derivative of s(z_k + a_k t) jumps by J_k = -2 a_k |a_k| for k in C, by 0 for others;
so with J = sum J_k that of p_k jumps by (J_k - p_k J) / S.  If that is 0 for all k, some class is
not in C, then p_k J = 0 for it, so J = 0, so all J_k = 0, which they are not; or all are in C, then
all s_k = 1, p_k = 1/K and all J_k are equal, so all a_k are, and all z_k.  A function whose Taylor
series represents it around t* has no such jump.

Theorem 3.  For the loss rho >= kappa, with equality where its second derivative jumps at a nearest
kink, by J / S - J_y (s_y = 1 if y is in C): `curvature_jump`.

The series itself converges further, to the nearest singular point of the branches
(`series_radius`): beyond kappa it converges to another function than the loss.

>>> kink_radius([2.0, -1.0, 0.5], [1.0, 1.0, -1.0])
Fraction(1, 2)
>>> mpmath.nstr(series_radius([2.0, -1.0, 0.5], [1.0, 1.0, -1.0], label=0), 6)
'2.0'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import mpmath
import sympy

from ..catalogue.distributions import stablemax

X = sympy.Symbol("x", real=True)
T = sympy.Symbol("t")
RIGHT, LEFT = X + 1, 1 / (1 - X)


def one_sided_derivatives(order: int) -> tuple[sympy.Expr, sympy.Expr]:
    """The one-sided derivatives of the function s of StableMax at 0, by SymPy.

    Parameters
    ----------
    order
        Which derivative; 0 is the value.

    Returns
    -------
    tuple of Expr
        From the left, and from the right.

    Examples
    --------
    >>> [one_sided_derivatives(n) for n in range(4)]
    [(1, 1), (1, 1), (2, 0), (6, 0)]
    """
    left, right = (sympy.diff(branch, X, order).subs(X, 0) for branch in (LEFT, RIGHT))
    return left, right


def kink_radius(logits: Sequence[float], slopes: Sequence[float]) -> Fraction | float:
    """The radius kappa = min |z_k| / |a_k| of theorems 1 to 3, exactly.

    Parameters
    ----------
    logits
        z, one sample, shape (K,): finite numbers.
    slopes
        a, the derivatives of the logits along the step; like logits.

    Returns
    -------
    Fraction or float
        The radius; inf where no logit moves.

    Raises
    ------
    ValueError
        If the shapes differ, or a number is not finite.

    Examples
    --------
    >>> kink_radius([0.0, 3.0], [1.0, 1.0]), kink_radius([0.0, 3.0], [0.0, 0.0])
    (Fraction(0, 1), inf)
    """
    z, a = _exact(logits, slopes)
    distances = [abs(zk / ak) for zk, ak in zip(z, a, strict=True) if ak]
    return min(distances) if distances else math.inf


for _definition in (stablemax.stablemax, stablemax.stablemax_cross_entropy):
    _definition.kink_radius = kink_radius


def curvature_jump(
    logits: Sequence[float], slopes: Sequence[float], label: int
) -> tuple[Fraction, ...]:
    """The jumps J / S - J_y of the loss's second derivative at the nearest kinks, exactly.

    One that is not 0 proves that kappa is the radius of the loss (theorem 3). Of classes that cross
    0 together, in opposite directions, the jumps cancel, as in the first example.

    Parameters
    ----------
    logits
        z, one sample, shape (K,): finite numbers.
    slopes
        a, the derivatives of the logits along the step; like logits.
    label
        The index of the right class.

    Returns
    -------
    tuple of Fraction
        One or two, of the kinks at kappa and at -kappa; none where no logit moves.

    Raises
    ------
    ValueError
        If the shapes differ, a number is not finite, or the label is no class.

    Examples
    --------
    >>> curvature_jump([1.0, -1.0, 5.0], [-1.0, 1.0, 0.0], label=2)
    (Fraction(0, 1),)
    >>> curvature_jump([1.0, -1.0, 5.0], [-1.0, 1.0, 0.0], label=0)
    (Fraction(-2, 1),)
    """
    z, a = _exact(logits, slopes)
    if not 0 <= label < len(z):
        raise ValueError(f"label is {label}; it must be one of the {len(z)} classes")
    nearest = kink_radius(logits, slopes)
    crossings = {-zk / ak for zk, ak in zip(z, a, strict=True) if ak and abs(zk / ak) == nearest}
    found = []
    for t in sorted(crossings):
        moved = [zk + ak * t for zk, ak in zip(z, a, strict=True)]
        jumps = [
            -2 * ak * abs(ak) if x == 0 else Fraction(0) for x, ak in zip(moved, a, strict=True)
        ]
        total = sum((1 + x if x >= 0 else 1 / (1 - x) for x in moved), Fraction(0))
        found.append(sum(jumps, Fraction(0)) / total - jumps[label])
    return tuple(found)


def series_radius(
    logits: Sequence[float],
    slopes: Sequence[float],
    label: int | None = None,
    digits: int = 20,
) -> mpmath.mpf:
    """The radius of convergence of the Taylor series at t = 0 of the branches' loss.

    That is the distance to the nearest zero or pole of S / b_y, a rational function in lowest
    terms; without a label, of the probabilities: to the nearest pole of any b_k / S. It is never
    below `kink_radius` (theorem 1). A logit of 0 starts on the branch x + 1.

    Parameters
    ----------
    logits
        z, one sample of a few classes, shape (K,): finite numbers.
    slopes
        a, the derivatives of the logits along the step; like logits.
    label
        The index of the right class; None for the radius of the probabilities.
    digits
        How many decimal digits are computed: the roots are those of a polynomial.

    Returns
    -------
    mpf
        The radius; infinity where there is neither zero nor pole.

    Raises
    ------
    ValueError
        As `kink_radius`.

    Examples
    --------
    >>> series_radius([-1.0, -1.0], [1.0, 1.0], label=0)  # b_1 = b_2: the loss is log 2
    mpf('+inf')
    """
    z, a = ([sympy.Rational(x.numerator, x.denominator) for x in v] for v in _exact(logits, slopes))
    paths = [(RIGHT if zk >= 0 else LEFT).subs(X, zk + ak * T) for zk, ak in zip(z, a, strict=True)]
    total = sympy.cancel(sympy.together(sum(paths)))
    if label is None:
        polynomials = [sympy.fraction(sympy.cancel(b / total))[1] for b in paths]
    else:
        polynomials = list(sympy.fraction(sympy.cancel(total / paths[label])))
    with mpmath.workdps(digits + 10):
        nearest = mpmath.inf
        for polynomial in polynomials:
            poly = sympy.Poly(polynomial, T)
            if poly.degree() > 0:
                roots = poly.nroots(n=digits, maxsteps=500)
                nearest = min([nearest, *(abs(mpmath.mpmathify(r)) for r in roots)])
        return +nearest


def _exact(
    logits: Sequence[float], slopes: Sequence[float]
) -> tuple[list[Fraction], list[Fraction]]:
    if len(logits) != len(slopes) or not len(logits):
        raise ValueError(
            f"logits and slopes must be as many, one of each for a class; got {len(logits)} and "
            f"{len(slopes)}"
        )
    if not all(map(math.isfinite, [*logits, *slopes])):
        raise ValueError(f"logits and slopes must be finite, got {[*logits]} and {[*slopes]}")
    return [Fraction(z) for z in logits], [Fraction(a) for a in slopes]
