"""The radius of a step between two floats that are proven to enclose it.

Along a step of length t the logits of a sample move to z_k + a_k t, or to z_k + a_k t + b_k t^2
where their curvature is known, and the Taylor series of its cross-entropy at t = 0 converges
exactly for |t| < rho, the modulus of the nearest complex zero of

    F(t) = sum_k exp(z_k + a_k t + b_k t^2)                                                  (1)

(Sao, "Ghosts of Softmax", arXiv 2603.13552, section 4). F is positive on the real line and
F(conj t) = conj F(t), so its zeros are conjugate pairs; "zeros" below are those with Im t > 0.
F has infinitely many of them unless all its exponents differ by constants alone, when it has none:
a zero-free entire function of order at most two is the exponential of a quadratic polynomial, and
exponentials of different exponents are linearly independent.

All numbers are balls (python-flint), centres and radii that enclose the exact value. Dividing F by
exp(c t + d t^2) moves no zero, so slopes and curvatures are taken relative to the middle of their
ranges; tau = 2^scale t makes their range about 1. Classes with equal slopes and curvatures are one.

Taylor series and its tail
--------------------------
With F(tau) = P(tau) + E(tau), P the Taylor polynomial of order N at 0, let

    M(tau) = sum_k w_k exp(|a_k| tau + |b_k| tau^2),      M_n its Taylor coefficients.       (2)

The coefficients of exp(a t + b t^2) are polynomials in a and b without a negative coefficient, so
each is at most that of exp(|a| t + |b| t^2) in modulus; summed with the weights w_k = exp(z_k) > 0,
the coefficients of F are at most M_n. For |tau| <= R therefore

    |E(tau)| <= sum_{n > N} M_n R^n = M(R) - sum_{n <= N} M_n R^n =: T.                      (3)

``acb_poly.roots`` isolates, for all polynomials P + e with a constant |e| <= T at once, their N
roots: disjoint balls, each with one root of each of these polynomials. Let no ball meet the circle
|tau| = R. The functions G_s = P + s E, 0 <= s <= 1, are analytic; where G_s(tau) = 0 and
|tau| <= R, tau is a root of P + e with the constant e = s E(tau), |e| <= T, and lies in a ball. So
no zero of G_s ever crosses the circle, and their number inside stays what it is at s = 0: F = G_1
has as many zeros with |tau| <= R as there are balls.

Winding numbers
---------------
For multiple zeros, which ``roots`` does not isolate, and for circles that are large against
1 / range, where the order would be high. The zeros with |tau| < R number 1 / (2 pi) times the
change of arg F along the upper half of the circle, from F(R) > 0 to F(-R) > 0. On an arc, divide F
by its largest term e_k: G = F / e_k = 1 + sum_{j != k} e_j / e_k. Where a ball that encloses G on
the whole arc excludes 0, it lies in an open half plane, as it is convex, and arg G changes by the
principal argument of G(end) / G(start); arg e_k changes by the imaginary part of the change of its
exponent. Arcs are halved until this holds for each. Many halvings show where zeros are near.

Discs
-----
How many zeros the circle has inside is proven by either method. Where they are is found by Newton's
method, and proven by Rouche's theorem: about a point c write F(c + x) = q_0 + q_1 x + ... If

    |q_m| r^m > sum_{j != m} |q_j| r^j,                                                      (4)

F(c + x) and q_m x^m have equally many zeros with |x| < r: m. A bound of E, or of the remainder of
the expansion, joins the right side. Disjoint discs that hold as many zeros as the circle leave none
elsewhere, and the nearest one encloses rho. That takes no precision beyond that of the discs, where
a circle close to a zero would; and a cluster is a disc with m zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from ..arithmetic.balls import (
    Exact,
    ball,
    float_above,
    float_below,
    from_text,
    power_of_two,
    shortened,
    to_text,
)

_LARGEST = np.finfo(np.float64).max
# What is tried until the bounds are sharp: method, bits, and the highest order or the most arcs.
# The roots of a high order take a second or more, often more than winding numbers.
_PLAN = (
    ("taylor", 160, 120),
    ("winding", 128, 200),
    ("taylor", 160, 240),
    ("taylor", 320, 480),
    ("winding", 128, 4_000),
    ("winding", 256, 4_000),
    ("winding", 512, 4_000),
)
_CIRCLES = 8  # that Taylor polynomials try
_CROWDED = 2  # of these may meet a zero, or have some inside that are not isolated
_SHARP = 2.0**-50  # the relative width of an annulus that needs no more precision
_FAILURES = 12  # circles that a precision may leave undecided
_DEEP = 4  # halvings of a half circle that show a zero next to the arc
_NEAR = 2.0**-16  # Newton steps below this, relative to the point, are about to end
_POLISH = 8  # Newton steps for the middle of a cluster
_TERMS = 8  # of the expansion about a zero; more zeros in one disc are not resolved


class Certified(NamedTuple):
    """lower <= rho <= upper, with the evidence for ``check_certificate.check``."""

    lower: float
    """Rounded down."""
    upper: float
    """Rounded up; inf if rho may be beyond the largest float."""
    multiplicity: int
    """Zeros with lower <= |t| <= upper, Im t > 0; 0 if there is none, or their number is unknown.

    Two zeros between the same two floats count as two, whether or not their moduli are equal.
    """
    method: str
    """taylor, winding, or none (F has no zero: both bounds are inf)."""
    bits: int
    """The precision that decided."""
    certificate: dict[str, Any]
    """What the checker verifies: strings, integers and lists of them, ready for JSON."""

    @property
    def zeros(self) -> list[tuple[complex, float, int]]:
        """Zeros as discs (centre, radius, zeros in it): with `multiplicity` > 0, all up to `upper`.

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
    The proofs stand at the top of this module. The bounds of ``kernels.radius`` that rest on the
    spread of the slopes do not hold once there are curvatures; this function does not use them.

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
    for method, bits, most in _PLAN:
        with flint.ctx.workprec(bits):
            if method == "taylor":
                certified = _by_series(classes, most)
            else:
                low, certified = _by_winding(classes, low, most)
        if certified is not None and (best is None or _order(certified) < _order(best)):
            best = certified
        if best is not None and _is_sharp(best):
            break
    if best is None:
        raise ArithmeticError(
            f"no circle without a zero was proven with {_PLAN[-1][1]} bits: "
            "the logits or slopes are too many orders of magnitude apart"
        )
    return best


def _is_sharp(certified: Certified) -> bool:
    """Whether more precision would hardly bring the bounds closer."""
    low, high = certified.lower, certified.upper
    return high <= low * (1 + _SHARP) or high <= math.nextafter(low, math.inf)


def _is_counted(certified: Certified) -> bool:
    """Whether the zeros between the bounds are known, or are infinitely many."""
    return certified.multiplicity > 0 or certified.upper == math.inf


def _order(certified: Certified) -> tuple[float, float, int]:
    """Sorts bounds of the same rho from sharp to wide."""
    return certified.upper, -certified.lower, -certified.multiplicity


# ---------------------------------------------------------------------------------------- input


@dataclass(frozen=True)
class Classes:
    """Logits by (slope, curvature), exact, and the frame that they are computed in."""

    groups: dict[tuple[Exact, Exact], list[Exact]]
    top: Exact  # the largest logit
    slope: float  # subtracted from all slopes
    curvature: float  # subtracted from all curvatures
    scale: int  # tau = 2^scale t


def read_classes(logits: Any, slopes: Any, curvatures: Any = None) -> Classes:
    """Check the arguments of ``certify``, and put its classes into their frame."""
    z = _numbers("logits", logits)
    a = _numbers("slopes", slopes)
    b = [0.0] * len(z) if curvatures is None else _numbers("curvatures", curvatures)
    if not z:
        raise ValueError("logits must hold at least one class, got none")
    for name, row in (("slopes", a), ("curvatures", b)):
        if len(row) != len(z):
            raise ValueError(
                f"{name} must have the shape of logits, ({len(z)},), got ({len(row)},): "
                "pass one per logit"
            )
        if not all(map(math.isfinite, row)):
            raise ValueError(f"{name} hold NaN or inf: pass finite {name}")
    if not all(map(math.isfinite, z)):
        if any(x != x for x in z):
            raise ValueError("logits hold NaN: repair the model's output")
        if math.inf in z:
            raise ValueError("logits hold +inf: pass finite logits, -inf to mask")
        if max(z) == -math.inf:
            raise ValueError("logits mask every class (-inf): drop such samples")
    groups: dict[tuple[Exact, Exact], list[Exact]] = {}
    for zk, ak, bk in zip(z, a, b, strict=True):
        if zk != -math.inf:
            groups.setdefault((ak, bk), []).append(zk)
    slope, slope_exponent = _middle([ak for ak, _ in groups])
    curvature, curvature_exponent = _middle([bk for _, bk in groups])
    scale = max(slope_exponent, -(-curvature_exponent // 2))
    return Classes(groups, max(z), slope, curvature, scale)


def _numbers(name: str, values: Any) -> list[Exact]:
    if isinstance(values, np.ndarray):
        if values.dtype.type not in (np.float32, np.float64, np.object_):
            raise TypeError(
                f"{name} must be float32 or float64, got {values.dtype}: "
                f"convert with {name}.astype('float64')"
            )
        if values.ndim != 1:
            raise ValueError(
                f"{name} must have shape (classes,), got {values.shape}: pass one sample"
            )
        values = values.tolist()
    numbers = []
    for x in values:
        if isinstance(x, np.float32 | np.float64):
            x = float(x)
        elif isinstance(x, int):
            x = Fraction(x)
        elif not isinstance(x, float | Fraction):
            raise TypeError(
                f"{name} must hold floats, integers or Fractions, got {type(x).__name__}"
            )
        if isinstance(x, Fraction) and abs(x) > _LARGEST:
            raise ValueError(f"{name} hold a number beyond the largest float: rescale the step")
        numbers.append(x)
    return numbers


def _middle(values: list[Exact]) -> tuple[float, int]:
    """A float in the middle of the range, and the binary exponent of the range."""
    low, high = min(values), max(values)
    half = float(high) / 2 - float(low) / 2
    exponent = math.frexp(half)[1] if half > 0 else -(10**6) if low == high else -1074
    return float(low) / 2 + float(high) / 2, exponent


class _Terms:
    """The exponents of F at the present precision: z relative to the top, a, b in units of tau."""

    def __init__(self, classes: Classes) -> None:
        top = ball(classes.top)
        slope, curvature = flint.arb(classes.slope), flint.arb(classes.curvature)
        unit, unit2 = power_of_two(-classes.scale), power_of_two(-2 * classes.scale)
        self.a = [(ball(a) - slope) * unit for a, _ in classes.groups]
        self.b = [(ball(b) - curvature) * unit2 for _, b in classes.groups]
        gaps = [[ball(z) - top for z in group] for group in classes.groups.values()]
        self.w = [sum((gap.exp() for gap in group), flint.arb(0)) for group in gaps]
        self.z = [
            group[0] if len(group) == 1 else weight.log()
            for group, weight in zip(gaps, self.w, strict=True)
        ]
        self.quadratic = any(not b.is_zero() for b in self.b)


def _rounded(x: Any) -> Any:
    """The middle of a real or complex ball, to half of the present precision."""
    bits = flint.ctx.prec // 2
    if isinstance(x, flint.acb):
        return flint.acb(shortened(x.real, bits), shortened(x.imag, bits))
    return shortened(x, bits)


# ------------------------------------------------------------------------------- Taylor series


def _coefficients(terms: _Terms) -> Iterator[tuple[flint.arb, flint.arb]]:
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


class _Series:
    """Taylor coefficients of F and of M, as many as were asked for so far."""

    def __init__(self, terms: _Terms) -> None:
        self._terms = terms
        self._source = _coefficients(terms)
        self.coefficients: list[flint.arb] = []
        self._majorant: list[flint.arb] = []

    def extend(self, length: int) -> None:
        while len(self.coefficients) < length:
            coefficient, bound = next(self._source)
            self.coefficients.append(coefficient)
            self._majorant.append(bound)

    def truncated(self, radius: flint.arb, most: int) -> tuple[int, flint.arb] | None:
        """The least even order N <= most whose tail T, equation (3), is small, and T."""
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
        for n in range(most + 1):
            self.extend(n + 1)
            rest -= self._majorant[n] * power
            power *= radius
            # Coefficients of even order are positive sums without curvatures. With them, one that
            # may be 0 cannot lead a polynomial.
            if n % 2 == 0 and rest < goal and not self.coefficients[n].contains(0):
                # One part in a thousand covers the rounding, here and in the checker.
                return n, shortened((rest.upper() * (1 + power_of_two(-10))).upper(), 32) + 0
        return None


def _by_series(classes: Classes, most: int) -> Certified | None:
    """By Taylor polynomial of an order up to `most`, or None where it does not decide."""
    terms = _Terms(classes)
    series = _Series(terms)
    radius = shortened(flint.arb(1.125 * abs(_candidates(terms, series)[0])), 20)
    crowded = 0
    for _ in range(_CIRCLES):
        truncated = series.truncated(radius, most)
        if truncated is None:
            return None
        order, tail = truncated
        discs = _isolated(series.coefficients[: order + 1], radius, tail)
        if discs:
            evidence = {"order": order, "tail": to_text(tail)}
            certified = _certified(classes, "taylor", radius, discs, evidence)
            if _is_counted(certified):
                return certified
        if discs is None:
            crowded += 1
            if crowded == _CROWDED:
                return None
        radius = shortened(radius * (1.25 if discs == [] else 1.0625), 20)
    return None


def _isolated(
    coefficients: list[flint.arb], radius: flint.arb, tail: flint.arb
) -> list[_Disc] | None:
    """Discs (4), one for each zero with Im > 0 inside the circle; None if not isolated."""
    power = flint.arb(1)
    scaled = []
    for coefficient in coefficients:
        scaled.append(flint.acb(coefficient * power))
        power *= radius
    scaled[0] += flint.acb(flint.arb(0, tail), flint.arb(0, tail))
    try:
        roots = flint.acb_poly(scaled).roots()
    except ValueError:  # a multiple root, or too little precision
        return None
    if any(not (abs(root) < 1 or abs(root) > 1) for root in roots):
        return None
    polynomial = flint.acb_poly(coefficients)
    derivative = polynomial.derivative()
    discs: list[_Disc] = []
    for root in roots:
        if root.imag > 0 and abs(root) < 1:
            c = (root * radius).mid()
            for _ in range(3):  # from single precision or better to all bits
                c = (c - polynomial(c) / derivative(c)).mid()
            c = _rounded(c)
            moduli = [abs(q) for q in polynomial(flint.acb_poly([c, 1])).coeffs()]
            moduli[0] += tail
            disc = _disc(c, moduli, 1, radius - abs(c))
            if disc is None or not all(map(disc.apart, discs)):
                return None
            discs.append(disc)
    # Roots on the real axis, where F has none, would be missing here.
    return discs if 2 * len(discs) == sum(1 for root in roots if abs(root) < 1) else None


# ------------------------------------------------------------------------------------- discs


class _Disc(NamedTuple):
    """A disc above the real axis with so many zeros, counted with multiplicity."""

    centre: flint.acb
    radius: flint.arb
    zeros: int

    def apart(self, other: _Disc) -> bool:
        """Whether two discs are disjoint."""
        return bool(abs(self.centre - other.centre) > self.radius + other.radius)

    def nearest(self) -> flint.arb:
        return (abs(self.centre) - self.radius).lower()

    def farthest(self) -> flint.arb:
        return (abs(self.centre) + self.radius).upper()


def _disc(centre: flint.acb, moduli: list[flint.arb], zeros: int, reach: flint.arb) -> _Disc | None:
    """A small disc, below `reach`, that (4) proves to hold so many zeros.

    `moduli` bound the coefficients of F about the centre, the first with all that is not a power.
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
    return _Disc(centre, r, zeros) if r < reach and r < centre.imag and leading > rest else None


def _certified(
    classes: Classes,
    method: str,
    radius: flint.arb,
    discs: list[_Disc],
    evidence: dict[str, Any],
) -> Certified:
    """The result that a circle and discs with all zeros inside it prove."""
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
        nearest, far, all_near = _annulus(discs, unit)
        upper = float_above(far * unit)
        if nearest < radius:
            near, zeros = nearest, all_near if far < radius and far.is_finite() else 0
    return Certified(float_below(near * unit), upper, zeros, method, flint.ctx.prec, certificate)


def _annulus(discs: list[_Disc], unit: flint.arb) -> tuple[flint.arb, flint.arb, int]:
    """The annulus of the nearest disc and of all that reach into it, and its zeros.

    It ends where |t|, t = unit tau, is a float: zeros that `upper` does not exclude count.
    """
    ordered = sorted(discs, key=_Disc.nearest)
    near, far, zeros = ordered[0].nearest(), flint.arb(0), 0
    for disc in ordered:
        if zeros and disc.nearest() > far:
            break
        far = far.max((flint.arb(float_above(disc.farthest() * unit)) / unit).upper())
        zeros += disc.zeros
    return near, far, zeros


# --------------------------------------------------------------------------- candidates for zeros


def _candidates(terms: _Terms, series: _Series) -> list[complex]:
    """Zeros by binary64, nearest first and without a guarantee; at least one number."""
    order, unit = 40, 6.0
    series.extend(order + 1)
    scaled = [float(c.mid()) * unit**n for n, c in enumerate(series.coefficients[: order + 1])]
    roots = sorted(unit * np.roots(scaled[::-1]), key=abs)
    upper = [root for root in roots if root.imag > 0][:3]
    t = np.array([*upper, *(complex(zero) for zero in _pair_zeros(terms))])
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


def _pair_zeros(terms: _Terms) -> list[flint.acb]:
    """Where the largest term at 0 and one other cancel: the three nearest such points."""
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


def _newton(terms: _Terms, t: flint.acb, known: list[_Disc]) -> flint.acb | None:
    """Newton's method in the middles of the balls, for F divided by (t - c)^m for `known` zeros."""
    last = None
    for _ in range(60):
        heights = _heights(terms, range(len(terms.z)), t)
        top = max(height.mid() for height in heights)
        floor = top - flint.ctx.prec
        square = t * t
        total = slope = flint.acb(0)
        for z, a, b, height in zip(terms.z, terms.a, terms.b, heights, strict=True):
            if height > floor:
                value = (z - top + a * t + b * square).exp()
                total += value
                slope += (a + 2 * b * t) * value
        pull = sum((disc.zeros / (t - disc.centre) for disc in known), flint.acb(0))
        step = (total / (slope - total * pull)).mid()
        if not step.is_finite():
            break
        t = (t - step).mid()
        size = (abs(step) / abs(t)).mid()
        if last is not None and last < _NEAR and size >= last:  # only rounding is left
            break
        last = size
    # Towards a multiple zero the steps shrink but slowly: what there is will do as a start.
    return None if last is None or not last < _NEAR else t if t.imag > 0 else t.conjugate()


# ----------------------------------------------------------------------------- winding numbers


def _by_winding(
    classes: Classes, low: flint.arb | None, most: int
) -> tuple[flint.arb | None, Certified | None]:
    """A circle, the number of zeros inside by winding, and discs with as many of them.

    Takes and returns the largest circle known to have no zero inside; the result is None if the
    present precision, and so many arcs of a circle, do not decide.
    """
    search = _Search(_Terms(classes), low, power_of_two(-classes.scale))
    margin, step, failures, bisect = 4, 0.5, 0, False
    uncounted = None
    while failures < _FAILURES:
        circle = None if bisect else search.beyond(margin)
        proposed = circle is not None
        if circle is None:
            circle = search.between(step)
        if circle is None:
            break
        turned = _winding(search.terms, circle, most)
        if turned is not None:
            discs = search.all_inside(circle, turned.zeros)
            if discs:
                certified = _certified(classes, "winding", circle, discs, {})
                if _is_counted(certified):
                    return search.low, certified
                # The circle is between zeros that floats do not tell apart.
                uncounted, turned = certified, None
            else:
                search.narrow(circle, turned)
        # Undecided: the circle all but meets a zero, or is too large.
        if proposed:  # other zeros are as near, or nearer: look in both directions by turns
            margin *= 2
        elif turned is None:
            failures += 1
            step *= 0.6
        else:
            step = 0.5
        bisect = proposed
    if uncounted is not None or search.low is None:
        return search.low, uncounted
    outside = [disc for disc in search.discs if disc.nearest() > search.low]
    return search.low, _certified(classes, "winding", search.low, outside, {})


class _Search:
    """What is known about the zeros: circles without and with some, discs with one or more."""

    def __init__(self, terms: _Terms, low: flint.arb | None, unit: flint.arb) -> None:
        self.terms = terms
        self.unit = unit  # t = unit tau
        self.low = low  # the largest circle without a zero
        self._high: flint.arb | None = None  # the smallest with some
        self._inside = 1  # and how many
        self.discs: list[_Disc] = []
        starts = _pair_zeros(terms)
        self._hint = abs(starts[0]).mid() if starts else flint.arb(3)
        starts += [flint.acb(t) for t in _candidates(terms, _Series(terms))[:3]]
        self._find(starts, _TERMS)

    def _find(self, starts: list[flint.acb], missing: int) -> None:
        for start in starts:
            disc = _local_disc(self.terms, start, min(missing, _TERMS), self.discs)
            if disc is not None and all(map(disc.apart, self.discs)):
                self.discs.append(disc)

    def _narrows(self, circle: flint.arb) -> bool:
        return (self.low is None or circle > self.low) and (
            self._high is None or circle < self._high
        )

    def beyond(self, margin: int) -> flint.arb | None:
        """A circle just beyond the nearest discs: in the gap behind them, or 2^-margin farther."""
        if not self.discs:
            return None
        _, far, _ = _annulus(self.discs, self.unit)
        circle = far * (1 + power_of_two(-margin))
        limits = [disc.nearest() for disc in self.discs if disc.nearest() > far]
        for limit in limits if self._high is None else [*limits, self._high]:
            circle = circle.min((far * limit).sqrt())
        circle = _rounded(circle)
        return circle if circle > far and self._narrows(circle) else None

    def between(self, step: float) -> flint.arb | None:
        """A circle that narrows the bracket, or that finds an end of it; None if none is left."""
        if self.low is None:
            return _rounded(flint.arb(3 * step) if self._high is None else self._high * step)
        high = (self.low * 1.5).max(self._hint / 2) if self._high is None else self._high
        circle = _rounded(self.low * (high / self.low) ** step)
        return circle if self._narrows(circle) else None

    def all_inside(self, circle: flint.arb, zeros: int) -> list[_Disc] | None:
        """The discs inside a circle, if they account for all the zeros there."""
        inside = [disc for disc in self.discs if disc.farthest() < circle]
        complete = sum(disc.zeros for disc in inside) == zeros
        return inside if complete else None

    def narrow(self, circle: flint.arb, turned: _Turned) -> None:
        """Take a counted circle into account, and look for zeros where it is next to some."""
        if turned.zeros:
            self._high, self._inside = circle, turned.zeros
        else:
            self.low = circle
        if self.low is not None and self._high is not None and self._high < 1.25 * self.low:
            missing = self._inside - sum(
                disc.zeros for disc in self.discs if disc.nearest() < self._high
            )
            if missing <= _TERMS:
                self._find(turned.closest, missing)


def _local_disc(terms: _Terms, start: flint.acb, most: int, known: list[_Disc]) -> _Disc | None:
    """The disc about what Newton's method finds from `start`, with the fewest zeros, up to most."""
    c = _newton(terms, start, known)
    if c is None:
        return None
    for zeros in range(1, most + 1):
        # An m-fold zero, like the middle of a cluster, is a simple zero of derivative m - 1.
        step = flint.acb(0)
        for _ in range(_POLISH):
            c = _rounded(c - step)
            q, remainder, reach = _expansion(terms, c)
            step = (q[zeros - 1] / (zeros * q[zeros])).mid()
            if not abs(step) > abs(c) * power_of_two(-flint.ctx.prec // 2):
                break
        disc = _disc(c, [*map(abs, q), remainder], zeros, reach)
        if disc is not None:
            return disc
    return None


def _expansion(terms: _Terms, c: flint.acb) -> tuple[list[flint.acb], flint.arb, flint.arb]:
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
    for n in range(_TERMS + 1):  # the recurrence of _coefficients
        coefficients.append(sum(now, flint.acb(0)) / factorial)
        past, now = (
            now,
            [a * x + 2 * n * b * y for a, b, x, y in zip(slopes, terms.b, now, past, strict=True)],
        )
        factorial *= n + 1
    return coefficients, 2 * majorant / outer ** (_TERMS + 1), reach


class _Turned(NamedTuple):
    """The outcome of a circle."""

    zeros: int
    """Inside it, with Im > 0."""
    closest: list[flint.acb]
    """Points of the circle that seem to be next to a zero."""


def _winding(terms: _Terms, radius: flint.arb, most: int) -> _Turned | None:
    """The number of zeros inside a circle; None if this precision, or so many arcs, do not do."""
    bits = flint.ctx.prec
    negligible = -0.5 * bits
    everything = list(range(len(terms.z)))
    nothing = flint.arb(0)
    stack = [(0, 1, everything, nothing), (1, 1, everything, nothing)][::-1]
    turned = flint.arb(0)
    spots: list[tuple[int, flint.acb]] = []
    values: dict[tuple[Fraction, int], flint.acb] = {}

    def point(x: Fraction) -> flint.acb:
        return radius * flint.acb(ball(x)).exp_pi_i()

    while stack:
        number, depth, active, rest = stack.pop()
        start, end = Fraction(number, 2**depth), Fraction(number + 1, 2**depth)
        first, last = point(start), point(end)
        # On a quadrant, real and imaginary part are monotone.
        arc = flint.acb(first.real.union(last.real), first.imag.union(last.imag))
        heights = _heights(terms, active, arc)
        top = max(range(len(active)), key=lambda j: heights[j].mid())
        k = active[top]
        floor = heights[top].lower()
        light = [j for j, h in zip(active, heights, strict=True) if h - floor < negligible]
        if light:
            rest += sum((h.exp() for h in heights if h - floor < negligible), flint.arb(0)).upper()
            dropped = set(light)
            active = [j for j in active if j not in dropped]
        whole = _quotient(terms, active, k, arc, rest)
        if whole.contains(0):
            if depth >= bits or len(spots) + len(stack) > most:
                return None
            stack.append((2 * number + 1, depth + 1, active, rest))
            stack.append((2 * number, depth + 1, active, rest))
            continue
        for x, t in ((start, first), (end, last)):
            if (x, k) not in values:
                values[x, k] = _quotient(terms, active, k, t, rest)
        ratio = values[end, k] / values[start, k]
        rise = (terms.a[k] * (last - first) + terms.b[k] * (last - first) * (last + first)).imag
        turned += rise + ratio.arg()
        spots.append((depth, first))
    count = (turned / (2 * flint.arb.pi())).unique_fmpz()
    if count is None:
        return None
    spots.sort(key=lambda spot: -spot[0])
    return _Turned(int(count), [t.mid() for depth, t in spots[:3] if depth > _DEEP])


def _heights(terms: _Terms, active: Iterable[int], t: flint.acb) -> list[flint.arb]:
    """The real parts of exponents on t."""
    x, square = t.real, (t * t).real
    if terms.quadratic:
        return [terms.z[j] + terms.a[j] * x + terms.b[j] * square for j in active]
    return [terms.z[j] + terms.a[j] * x for j in active]


def _quotient(terms: _Terms, active: list[int], k: int, t: flint.acb, rest: flint.arb) -> flint.acb:
    """F / e_k on t; the terms that are not active are at most `rest` together."""
    zk, ak, bk = terms.z[k], terms.a[k], terms.b[k]
    total = flint.acb(1)
    square = t * t
    for j in active:
        if j != k:
            exponent = (terms.a[j] - ak) * t + (terms.z[j] - zk)
            if terms.quadratic:
                exponent += (terms.b[j] - bk) * square
            total += exponent.exp()
    if not rest.is_zero():
        bound = rest * (-(zk + ak * t.real + bk * square.real).lower()).exp()
        total += flint.acb(flint.arb(0, bound.upper()), flint.arb(0, bound.upper()))
    return total
