"""The radius of convergence from Taylor coefficients alone: estimates that see no zero of F.

The line loss of ``partition.line_loss`` has the Taylor series sum_n c_n t^n.  Where it converges
follows from its singularities, the zeros t_j of the partition function F (Sao, "Ghosts of Softmax",
arXiv 2603.13552, section 4); here it is read off the c_n, which are made without knowing of any
zero.  Agreement of the two is evidence for both.  What stands here is estimates, no bounds.

For linear logits F is of exponential type.  Hadamard's product over its zeros, each repeated by its
multiplicity, F(t) = F(0) e^(ct) prod_j (1 - t/t_j) e^(t/t_j), gives the derivative of the loss as

    loss'(t) = const + sum_j (1 / (t - t_j) + 1 / t_j),                                      (1)
    n c_n = -sum_j t_j^(-n)  for n >= 2.                                                     (2)

So loss' has only simple poles, with the multiplicities as residues.  (With curvatures, F is of
order 2; const becomes a linear polynomial, and (2) holds for n >= 3.)  F is positive on the real
line, so the nearest zeros are no single real one but conjugate pairs rho e^(+-i theta).  With one
pair of multiplicity m, and rho_2 the modulus of the zeros that come next,

    n c_n = -2 m rho^(-n) cos(n theta) + O(rho_2^(-n)).                                      (3)

That cosine is why the plain ratio c_(n-1) / c_n does not converge for a loss but jumps about, and
why ``ratio_test`` and ``domb_sykes`` have versions for pairs, due to Mercer and Roberts (SIAM
J. Appl. Math. 50, 1990).  The coefficients say nothing of the zeros before n is well above
rho times half the spread of the slopes, where F(t) itself is far from its first Taylor terms.

All functions take coefficients c_0, c_1, ... as ints, floats, Fractions or balls and compute in
balls (python-flint's ``arb``).  The ball of a result encloses rounding, not the distance of the
estimate from the radius.

Without singularities - a single class, or equal slopes - all c_n of order 1 and higher are 0.  So
all estimates take a second half of zeros for a polynomial, and its radius is inf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import flint

from ..arithmetic.systems import balls

# Hankel matrices of n moments lose about n log2(n) bits; 32 n suffices for any n in use.
_BITS_PER_COEFFICIENT = 32
_INTEGER_RESIDUE = 0.1  # how far from a positive integer the residue of a true pole may be

_TOLERANCE = 2.0**-128  # of the poles, in units of the nearest one

_INFINITY = flint.arb("inf")

Ball = Any  # flint.arb, which has no types
ComplexBall = Any


class Pair(NamedTuple):
    """A conjugate pair of singularities, at radius e^(i angle) and radius e^(-i angle)."""

    radius: Ball
    angle: Ball
    """In [0, pi]."""


class Pole(NamedTuple):
    """A pole of a Pade approximant of loss'; the residue of a true one is the multiplicity."""

    position: ComplexBall
    residue: ComplexBall


# --- the coefficients ---


def log_coefficients(
    weights: Sequence[Any],
    slopes: Sequence[Any],
    order: int,
    curvatures: Sequence[Any] | None = None,
) -> list[Any]:
    """Taylor coefficients l_0 ... l_n of log(F(t) / F(0)), F(t) = sum_k w_k e^(a_k t + b_k t^2).

    In the arithmetic of its arguments, exactly for Fractions.  The coefficients h_n of
    e^(at + bt^2) obey n h_n = a h_(n-1) + 2 b h_(n-2), and those of F are f_n = sum_k w_k h_n.  As
    F' = (log F)' F, comparing at t^(n-1),

        n f_0 l_n = n f_n - sum_{j=1}^{n-1} j l_j f_(n-j).

    Parameters
    ----------
    weights
        w_k: positive, or zero for a masked class, and not all zero.
    slopes, curvatures
        a_k and b_k, as many; b is 0 without curvatures.
    order
        n, the highest order, 0 or more.

    Returns
    -------
    list
        l_0 = 0, l_1, ..., l_n.

    Raises
    ------
    ValueError
        If the order is negative or the lengths differ.

    Examples
    --------
    >>> from fractions import Fraction
    >>> half = Fraction(1, 2)
    >>> [str(l) for l in log_coefficients([half, half], [1, -1], 4)]  # log cosh t
    ['0', '0', '1/2', '0', '-1/12']
    """
    _check_order(order)
    b = [0] * len(slopes) if curvatures is None else curvatures
    before, terms = [0] * len(slopes), list(weights)
    f = [sum(terms)]
    for n in range(1, order + 1):
        after = [
            (ak * x + 2 * bk * y) / n for ak, bk, x, y in zip(slopes, b, terms, before, strict=True)
        ]
        before, terms = terms, after
        f.append(sum(terms))
    logarithm = [f[0] - f[0]]
    for n in range(1, order + 1):
        known = sum(j * logarithm[j] * f[n - j] for j in range(1, n))
        logarithm.append((n * f[n] - known) / (n * f[0]))
    return logarithm


def loss_coefficients(
    logits: Sequence[float],
    slopes: Sequence[float],
    order: int,
    label: int = 0,
    curvatures: Sequence[float] | None = None,
) -> list[Ball]:
    """Taylor coefficients c_0 ... c_n of the loss -(z_y + a_y t + b_y t^2) + log F(t), y = label.

    Parameters
    ----------
    logits
        z_k, one sample; -inf masks a class, but not the label's.
    slopes, curvatures
        a_k and b_k, as many, finite; b is 0 without curvatures.
    order
        n, the highest order, 0 or more.
    label
        y, the index of the right class.

    Returns
    -------
    list of balls
        c_0, ..., c_n, the ball of c_j narrower than 2^(-64 - 32 (n + 1)) r^j, so that all
        estimates of this module can be made from them.  r is max |c_j|^(1/j) over j >= 3, the pace
        of the decay; where none of these is told from 0, the spread of the slopes (of curvatures:
        its root) times the smallest share of a class.  Precision is doubled until they
        are, for the recursion cancels when the radius is large.

    Raises
    ------
    ValueError
        If the lengths differ or are 0, the order is negative, the label is no class or a masked
        one, or an entry is not finite (nor a masking -inf).

    Examples
    --------
    >>> c = loss_coefficients([1.0, 0.0], [2.0, 0.0], 3)
    >>> [round(float(x), 6) for x in c]  # log(1 + e^(-1 - 2t))
    [0.313262, -0.537883, 0.393224, -0.121144]
    """
    _check_order(order)
    bends = [0.0] * len(slopes) if curvatures is None else curvatures
    kept = _unmasked(logits, slopes, bends, label)
    z, a, b = ([flint.arb(float(row[k])) for k in kept] for row in (logits, slopes, bends))
    y = kept.index(label)
    bits = 64 + _BITS_PER_COEFFICIENT * (order + 1)
    precision = bits
    while True:
        with flint.ctx.workprec(precision):
            weights = [(x - z[y]).exp() for x in z]
            # What all exponents share is put back at the end: fewer digits cancel without it.
            shared = (max(a) + min(a)) / 2, (max(b) + min(b)) / 2
            relative = [x - shared[0] for x in a], [x - shared[1] for x in b]
            c = log_coefficients(weights, relative[0], order, relative[1])
            if any(not x.contains(0) for x in c[3:]):
                pace = _pace(c, range(3, order + 1))
            else:  # they may be 0: |c_n|^(1/n) would shrink along with their balls, for ever
                spread = max(max(a) - min(a), (max(b) - min(b)).sqrt())
                pace = spread * min(weights) / sum(weights)
            for n, shift in enumerate((sum(weights).log(), shared[0] - a[y], shared[1] - b[y])):
                c[n : n + 1] = [x + shift for x in c[n : n + 1]]
            if not any(x.rad() * flint.arb(2) ** bits > pace**n for n, x in enumerate(c)):
                return c
        precision *= 2


def derivative(coefficients: Sequence[Any]) -> list[Ball]:
    """Taylor coefficients of the derivative of a series: (n + 1) c_(n+1).

    Parameters
    ----------
    coefficients
        c_0, c_1, ...: numbers or balls.

    Returns
    -------
    list of arb
        One coefficient less.

    Raises
    ------
    ValueError
        As `root_test`.

    Examples
    --------
    >>> [float(c) for c in derivative([1, 1, 1, 1])]
    [1.0, 2.0, 3.0]
    """
    with _working(coefficients, 1) as c:
        return [n * x for n, x in enumerate(c)][1:]


# --- estimates from the last coefficients ---


def root_test(coefficients: Sequence[Any]) -> Ball:
    """1 / max |c_n|^(1/n) over the second half of the coefficients (Cauchy, Hadamard).

    For any singularities; the maximum stands in for the limit superior, and passes over the n where
    the cosine of (3) is small.  Relative error O(log(n) / n) for a loss, by (3).

    Parameters
    ----------
    coefficients
        c_0, c_1, ..., 2 or more.

    Returns
    -------
    ball
        The radius; inf where the second half is 0.

    Raises
    ------
    ValueError
        For too few coefficients, or one that is NaN or infinite.

    Examples
    --------
    >>> from fractions import Fraction
    >>> round(float(root_test([Fraction(1, 2**n) for n in range(20)])), 6)
    2.0
    """
    with _working(coefficients, 2) as c:
        return _INFINITY if _is_polynomial(c) else 1 / _pace(c, _second_half(c))


def ratio_test(coefficients: Sequence[Any]) -> Ball:
    """|c_(n-1) / c_n| of the last two coefficients (d'Alembert).

    For one nearest singularity, which then is real.  Not for a loss, whose nearest ones come in
    pairs: there it never converges; see ``pair_ratio_test``.  Relative error O(1/n), and for a
    simple pole as fast as (radius / modulus of the next singularity)^n.

    Parameters
    ----------
    coefficients
        c_0, c_1, ..., 2 or more.

    Returns
    -------
    ball
        The radius; inf where the second half is 0; NaN where the last alone is, as no single
        singularity makes it.

    Raises
    ------
    ValueError
        As ``root_test``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> float(ratio_test([Fraction(1, 2**n) for n in range(20)]))
    2.0
    """
    with _working(coefficients, 2) as c:
        return _INFINITY if _is_polynomial(c) else abs(c[-2] / c[-1])


def domb_sykes(coefficients: Sequence[Any]) -> Ball:
    """The ratio test extrapolated: a straight line through c_n / c_(n-1) over 1/n, at 1/n = 0.

    Beside a singularity (1 - t / t_0)^nu, c_n / c_(n-1) = (1 - (nu + 1) / n) / t_0 exactly, and
    a logarithm counts as nu = 0: the line meets the axis at 1 / t_0 (Domb and Sykes, Proc. R.
    Soc. A 240, 1957).  The line is that of least squares over the second half of the ratios.  For
    one nearest singularity, as ``ratio_test``.

    Parameters
    ----------
    coefficients
        c_0, c_1, ..., 4 or more.

    Returns
    -------
    ball
        The radius; inf where the second half is 0; NaN where a ratio is one by 0.

    Raises
    ------
    ValueError
        As ``root_test``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> geometric_over_n = [Fraction(0)] + [Fraction(1, n * 3**n) for n in range(1, 9)]
    >>> round(float(domb_sykes(geometric_over_n)), 12)
    3.0
    """
    with _working(coefficients, 4) as c:
        if _is_polynomial(c):
            return _INFINITY
        ratios = [(n, c[n] / c[n - 1]) for n in range(len(c) // 2 + 1, len(c))]
        return 1 / abs(_intercept(ratios))


def pair_ratio_test(coefficients: Sequence[Any]) -> Pair:
    """The ratio test for a conjugate pair, from the last four coefficients (Mercer and Roberts).

    C rho^(-n) cos(n theta + phi), n any four consecutive integers, solves
    c_(n+1) = p c_n - q c_(n-1) with p = 2 cos(theta) / rho and q = 1 / rho^2, whatever C and phi.
    Two such equations give p and q; their determinant, c_n c_(n-2) - c_(n-1)^2, is
    -C^2 rho^(2-2n) sin(theta)^2, never 0 for a complex pair.

    Of a loss, relative error O(1/n); of its ``derivative``, by (3), O((rho / rho_2)^n).

    Parameters
    ----------
    coefficients
        c_0, c_1, ..., 4 or more.

    Returns
    -------
    Pair
        Radius and angle; inf and 0 where the second half is 0; NaN where the determinant is 0 or
        the q found is negative, which no pair makes.

    Raises
    ------
    ValueError
        As ``root_test``.

    Examples
    --------
    >>> pair = pair_ratio_test([0, 1, 0, -1, 0, 1])  # 1 / (1 + t^2): poles at +-i
    >>> float(pair.radius), round(float(pair.angle), 6)
    (1.0, 1.570796)
    """
    with _working(coefficients, 4) as c:
        if _is_polynomial(c):
            return Pair(_INFINITY, flint.arb(0))
        p, q = _recurrence(c, len(c) - 2)
        return Pair(1 / q.sqrt(), (p / (2 * q.sqrt())).acos())


def pair_domb_sykes(coefficients: Sequence[Any]) -> Pair:
    """The ratio test for a pair, extrapolated: a straight line over 1/n, at 1/n = 0.

    The line through sqrt(q) of ``pair_ratio_test``, which is (1 - (nu + 1) / n) / rho + O(1/n^2)
    beside (1 - t / t_0)^nu and its conjugate (Mercer and Roberts).  nu = 0 in a loss: by (3)
    the c_n are C rho^(-n) cos(n theta) / n, the smooth part of sqrt(q) is (1 - 1/n) / rho, and what
    is left swings about it with size O(1/n^2); the least-squares line over the second half averages
    the swings away, to a relative error of O(1/n^3).  Of ``derivative`` the plain test is better.
    The angle is that of the straight line through cos(theta).

    Parameters
    ----------
    coefficients
        c_0, c_1, ..., 6 or more.

    Returns
    -------
    Pair
        Radius and angle; inf, 0 and NaN as of ``pair_ratio_test``.

    Raises
    ------
    ValueError
        As ``root_test``.

    Examples
    --------
    >>> c = loss_coefficients([1.0, 0.0], [1.0, -1.0], 80)  # zeros at (-1 +- i pi) / 2
    >>> pair = pair_domb_sykes(c)
    >>> round(float(pair.radius), 3), round(math.hypot(1.0, math.pi) / 2, 3)
    (1.648, 1.648)
    """
    with _working(coefficients, 6) as c:
        if _is_polynomial(c):
            return Pair(_INFINITY, flint.arb(0))
        solved = [(n, *_recurrence(c, n)) for n in range(len(c) // 2, len(c) - 1)]
        inverse = _intercept([(n, q.sqrt()) for n, _, q in solved])
        cosine = _intercept([(n, p / (2 * q.sqrt())) for n, p, q in solved])
        return Pair(1 / inverse, cosine.acos())


# --- Pade approximants ---


def pade_poles(coefficients: Sequence[Any]) -> list[Pole]:
    """Poles of the diagonal Pade approximant of a function with these coefficients, nearest first.

    Meant for ``derivative`` of a loss, which is meromorphic by (1): with more coefficients the
    nearest poles settle first, each with its residue, 1 for a simple zero of F, whereas those far
    out have yet to settle, and a spurious pole has a residue near 0.  The degree is the
    highest that the coefficients determine, at most half of the highest order given, and lower
    where blocks of the Pade table or coefficients of few digits leave it open.

    Parameters
    ----------
    coefficients
        Those of a meromorphic function, 1 or more.

    Returns
    -------
    list of Pole
        Nearest first; empty for a polynomial of low degree.

    Raises
    ------
    ValueError
        As ``root_test``.

    Examples
    --------
    >>> [(complex(pole.position), complex(pole.residue)) for pole in pade_poles([1, 2, 4, 8, 16])]
    [((0.5+0j), (-0.5+0j))]
    """
    with _working(coefficients, 1) as d:
        # In units in which the nearest pole is near 1, so that one tolerance suits all.
        pace = _pace(d, range(1, len(d)))
        unit = flint.arb(2) ** (0 if pace == 0 else -math.frexp(float(pace))[1])
        d = [c * unit**n for n, c in enumerate(d)]
        for degree in range((len(d) - 1) // 2, 0, -1):
            # Denominator 1 + q_1 t + ... + q_M t^M: orders M + 1 ... 2 M of its product with the
            # function vanish.
            rows = [[d[degree + i - j] for j in range(1, degree + 1)] for i in range(1, degree + 1)]
            right = [[-d[degree + i]] for i in range(1, degree + 1)]
            try:
                solution = flint.arb_mat(rows).solve(flint.arb_mat(right))
            except ZeroDivisionError:  # singular, or not proven regular
                continue
            q = [flint.arb(1), *(solution[j, 0] for j in range(degree))]
            if any(c.rad() > _TOLERANCE for c in q):
                continue
            p = [sum(q[j] * d[k - j] for j in range(k + 1)) for k in range(degree + 1)]
            numerator, denominator = flint.acb_poly(p), flint.acb_poly([c.mid() for c in q])
            slope = denominator.derivative()
            poles = [
                Pole(t * unit, numerator(t) / slope(t) * unit)
                for t in denominator.roots(tol=_TOLERANCE)
            ]
            return sorted(poles, key=lambda pole: float(pole.position.abs_lower()))
    return []


def nearest_pole(coefficients: Sequence[Any]) -> Pole:
    """The pole of ``pade_poles`` nearest to 0, upper half-plane, with a residue near 1, 2, 3, ...

    Of the ``derivative`` of a loss it estimates the nearest zero of F; a diagonal approximant
    uses all of (2) at once and so converges faster than any ratio (``pair_ratio_test`` sees
    one pair alone).

    Parameters
    ----------
    coefficients
        Those of the derivative of a loss, 2 or more.

    Returns
    -------
    Pole
        Position and residue; inf and 0 where the second half is 0.

    Raises
    ------
    ValueError
        As ``root_test``, and where no pole has such a residue: too few coefficients.

    Examples
    --------
    >>> c = loss_coefficients([0.0, 0.0], [1.0, -1.0], 21)
    >>> pole = nearest_pole(derivative(c))  # log cosh t: i pi / 2
    >>> round(float(pole.position.imag), 12), round(float(pole.residue.real), 12)
    (1.570796326795, 1.0)
    """
    with _working(coefficients, 2) as c:
        if _is_polynomial(c):
            return Pole(_INFINITY, flint.arb(0))
    for pole in pade_poles(coefficients):
        residue = complex(pole.residue)
        multiplicity = max(round(residue.real), 1)
        if abs(residue - multiplicity) < _INTEGER_RESIDUE and float(pole.position.imag) >= 0:
            return pole
    raise ValueError(
        f"no pole with the residue 1, 2, ... from {len(coefficients)} coefficients: give more, "
        "of the derivative of a loss"
    )


# --- shared ---


@contextmanager
def _working(coefficients: Sequence[Any], least: int) -> Iterator[list[Ball]]:
    """The coefficients as balls, in a precision that is ample for their number."""
    if len(coefficients) < least:
        raise ValueError(f"coefficients has length {len(coefficients)}; give {least} or more")
    with flint.ctx.workprec(64 + _BITS_PER_COEFFICIENT * len(coefficients)):
        c = [balls().number(x) for x in coefficients]
        for n, x in enumerate(c):
            if not x.is_finite():
                raise ValueError(f"coefficients[{n}] is {coefficients[n]}; give finite ones")
        yield c


def _check_order(order: int) -> None:
    if order < 0:
        raise ValueError(f"order is {order}; give 0 or more, the highest power of t")


def _unmasked(
    logits: Sequence[float], slopes: Sequence[float], curvatures: Sequence[float], label: int
) -> list[int]:
    """The indices of the classes that are not masked, once the arguments are found to be valid."""
    size = len(logits)
    if not size == len(slopes) == len(curvatures):
        raise ValueError(
            f"{size} logits, {len(slopes)} slopes, {len(curvatures)} curvatures: "
            "give as many of each"
        )
    if not 0 <= label < size:
        raise ValueError(f"label is {label}; give the index of one of the {size} classes")
    if logits[label] == -math.inf:
        raise ValueError(f"label is {label}, a class that its logit -inf masks: its loss is inf")
    kept = [k for k, x in enumerate(logits) if x != -math.inf]
    for name, row in (("logits", logits), ("slopes", slopes), ("curvatures", curvatures)):
        for k in kept:
            if not math.isfinite(row[k]):
                raise ValueError(f"{name}[{k}] is {row[k]}; give finite ones (logits: or -inf)")
    return kept


def _second_half(c: Sequence[Ball]) -> range:
    return range(len(c) // 2, len(c))


def _is_polynomial(c: Sequence[Ball]) -> bool:
    """Whether the second half is exactly 0."""
    return all(c[n] == 0 for n in _second_half(c))


def _pace(c: Sequence[Ball], orders: Iterable[int]) -> Ball:
    """max |c_n|^(1/n) over some orders n; of upper ends, for a ball around 0 has no root."""
    ends = ((n, c[n].abs_upper()) for n in orders)
    return max((end.root(n) for n, end in ends if end != 0), default=flint.arb(0))


def _recurrence(c: Sequence[Ball], n: int) -> tuple[Ball, Ball]:
    """p and q of c_(n+1) = p c_n - q c_(n-1) and c_n = p c_(n-1) - q c_(n-2)."""
    determinant = c[n] * c[n - 2] - c[n - 1] * c[n - 1]  # (arb's ** is NaN around 0)
    p = (c[n + 1] * c[n - 2] - c[n] * c[n - 1]) / determinant
    q = (c[n + 1] * c[n - 1] - c[n] * c[n]) / determinant
    return p, q


def _intercept(values: Sequence[tuple[int, Ball]]) -> Ball:
    """The value at 1/n = 0 of the least-squares line through (1/n, value)."""
    x = [flint.arb(1) / n for n, _ in values]
    x_mean = sum(x) / len(x)
    y_mean = sum(y for _, y in values) / len(x)
    slope = sum((xi - x_mean) * y for xi, (_, y) in zip(x, values, strict=True))
    return y_mean - slope / sum((xi - x_mean) ** 2 for xi in x) * x_mean
