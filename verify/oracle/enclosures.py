"""Numbers v +- d in binary64: intervals around exact values, by running error analysis.

A number stands for an array of exact values, |exact - v| <= d, with v and d in binary64.  Each rule
bounds the true difference over the whole interval.  Of binary64 it is assumed what IEEE 754 demands
of + - * / and the square root: the exact result, rounded to nearest, off by h = 2^-53 relative or
by half the smallest subnormal.

* A sum a + b = s + e, with e the exact rounding error (two_sum): d = d_a + d_b + |e|.  So what is
  exact in binary64, as the difference of two numbers of float32 often is, has d = 0.
* A product: |a' b' - a b| <= |a| d_b + |b| d_a + d_a d_b, and h |v| of its rounding.
* A quotient: |a' / b' - a / b| <= (d_a + |a / b| d_b) / (|b| - d_b), and h |v|; unknown where the
  divisor may be 0.
* Sums of n terms are added in a tree, with the exact error of each addition.  These errors are
  added up, and the sum corrected by them (Ogita, Rump, Oishi 2005, Accurate sum and dot product,
  section 4): what is lost then is the rounding of that correction, and what n errors lose when they
  are added in any order, at most 2 n h times the sum of their moduli.

d itself is computed by a few operations, each off by h relative, on numbers of one sign, which
factors 1 + 2^-40 (UP) make good.  What overflows, or has no value, has an infinite d: unknown.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.running_error.constants import quiet

H = 2.0**-53  # the unit roundoff of binary64
LOST = 2.0**-1072  # more than a few roundings below the normal range
NORMAL = 2.0**-1000  # far from where numbers are not normal
UP = 1 + 2.0**-40  # for the roundings of a bound

Array = NDArray[np.float64]


class NotEnclosed(ArithmeticError, AttributeError):
    """What these numbers do not have, or do not decide: only balls can tell."""


class Enclosure:
    """An array of numbers v +- d; see the module.

    + - * / and whole powers work element by element and broadcast, with exact numbers too.  A
    comparison that is not the same for all that the numbers may be raises ``NotEnclosed``.

    >>> third = Enclosure(1.0, 0.0) / 3
    >>> float(third.value), float(third.radius) < 2.0**-54
    (0.3333333333333333, True)
    """

    __slots__ = ("radius", "value")
    __array_ufunc__ = None  # NumPy's operators leave arrays with numbers to those below

    def __init__(self, value: Any, radius: Any):
        v = np.asarray(value, dtype=np.float64)
        d = np.asarray(radius, dtype=np.float64)
        known = np.isfinite(v) & np.isfinite(d)
        if not known.all():
            v, d = np.where(known, v, 0.0), np.where(known, d, np.inf)
        self.value: Array = v
        self.radius: Array = d if d.shape == v.shape else np.broadcast_to(d, v.shape)

    def map(self, function: Any) -> Enclosure:
        """Rearrange both parts alike."""
        moved = object.__new__(Enclosure)
        moved.value = np.asarray(function(self.value))
        moved.radius = np.asarray(function(self.radius))
        return moved

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """The number of its entries."""
        return self.value.size

    @property
    def T(self) -> Enclosure:
        """The array with its axes in reverse order."""
        return self.map(np.transpose)

    @property
    def is_exact(self) -> bool:
        """Whether every number is known exactly."""
        return not self.radius.any()

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Enclosure]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Enclosure:
        return self.map(lambda part: part[index])

    def __neg__(self) -> Enclosure:
        return Enclosure(-self.value, self.radius)

    def __abs__(self) -> Enclosure:
        return Enclosure(np.abs(self.value), self.radius)

    def __add__(self, other: Any) -> Enclosure:
        return _add(self, enclosed(other)) if _is_operand(other) else NotImplemented

    def __sub__(self, other: Any) -> Enclosure:
        return _add(self, -enclosed(other)) if _is_operand(other) else NotImplemented

    def __rsub__(self, other: Any) -> Enclosure:
        return _add(enclosed(other), -self) if _is_operand(other) else NotImplemented

    def __mul__(self, other: Any) -> Enclosure:
        return _multiply(self, enclosed(other)) if _is_operand(other) else NotImplemented

    def __truediv__(self, other: Any) -> Enclosure:
        return _divide(self, enclosed(other)) if _is_operand(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Enclosure:
        return _divide(enclosed(other), self) if _is_operand(other) else NotImplemented

    __radd__ = __add__
    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Enclosure:
        count = int(exponent)
        if count < 0:
            return 1 / self**-count
        power = enclosed(np.ones(self.shape))
        for k in range(count):
            power = self if k == 0 else power * self
        return power

    def __gt__(self, other: Any) -> Any:
        return surely_positive(self - other)

    def __lt__(self, other: Any) -> Any:
        return surely_positive(enclosed(other) - self)

    def __ge__(self, other: Any) -> Any:
        return ~np.asarray(self < other)[()]

    def __le__(self, other: Any) -> Any:
        return ~np.asarray(self > other)[()]

    def __eq__(self, other: object) -> Any:
        """Where both are exact and equal; False where that is not sure."""
        if not _is_operand(other):
            return NotImplemented
        number = enclosed(other)
        return (self.value == number.value) & (self.radius == 0) & (number.radius == 0)

    __hash__ = None  # type: ignore[assignment]  # as of arrays


def enclosed(exact: Any) -> Enclosure:
    """An exact number, or an array of them, as a number of this system; such a one as it is.

    Parameters
    ----------
    exact
        A float, int or Fraction, an array of them, or an ``Enclosure``.

    Returns
    -------
    Enclosure
        With d = 0 where binary64 holds the number.  NaN and infinities are unknown.

    >>> enclosed([1, Fraction(1, 3)]).radius.tolist()
    [0.0, 3.7007434154...e-17]
    """
    if isinstance(exact, Enclosure):
        return exact
    array = np.asarray(exact)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return Enclosure(array, 0.0)
    if array.dtype.kind in "biu" and (not array.size or np.abs(array).max() <= 2**53):
        return Enclosure(array, 0.0)
    if array.dtype.kind not in "Oiu":
        array = array.astype(np.float64)
    value, radius = np.empty(array.shape), np.zeros(array.shape)
    for index, number in np.ndenumerate(array):
        nearest = float(number)
        value[index] = nearest
        if math.isfinite(nearest) and Fraction(nearest) != Fraction(number):
            radius[index] = H * abs(nearest) * UP + LOST
    return Enclosure(value, radius)


def surely_positive(x: Enclosure) -> Any:
    """Whether numbers are positive, where that is sure of each.

    Parameters
    ----------
    x
        Numbers v +- d.

    Returns
    -------
    bool or array
        True where a number is positive; False where it is negative or exactly 0.

    Raises
    ------
    NotEnclosed
        A number may be positive or not.
    """
    decided = (np.abs(x.value) > x.radius) | (x.radius == 0)
    if not decided.all():
        raise NotEnclosed("the sign of a number is not known in binary64")
    return x.value > 0


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """s = fl(a + b), and the error e with s + e = a + b exactly (Knuth, TAOCP 2, 4.2.2 Theorem B).

    Parameters
    ----------
    a, b
        Arrays of binary64 that broadcast.

    Returns
    -------
    tuple
        s and e; e is NaN where s overflows.
    """
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def total(x: Enclosure, axis: int) -> Enclosure:
    """The sum over one axis, by a corrected tree; see the module.

    Parameters
    ----------
    x
        Numbers v +- d.
    axis
        The axis.

    Returns
    -------
    Enclosure
        With one axis less; 0 of no terms.
    """
    terms = np.ascontiguousarray(np.moveaxis(x.value, axis, 0))
    count = len(terms)
    if not count:
        return Enclosure(np.zeros(terms.shape[1:]), 0.0)
    with quiet():
        radius = 0.0 if x.is_exact else np.sum(x.radius, axis=axis)
        radius = radius * (1 + (count + 16) * 2.0**-52)
        correction: Any = 0.0
        moduli: Any = 0.0
        while len(terms) > 1:
            half = len(terms) // 2
            sums, errors = two_sum(terms[:half], terms[half : 2 * half])
            correction = correction + np.sum(errors, axis=0)
            moduli = moduli + np.sum(np.abs(errors), axis=0)
            terms = np.concatenate([sums, terms[2 * half :]])
        value, error = two_sum(terms[0], np.asarray(correction))
        lost = np.abs(error) + 2 * count * H * moduli
        return Enclosure(value, (radius + lost) * UP)


def product_is_exact(a: Enclosure, b: Enclosure) -> bool:
    """Whether products of exact numbers have at most 48 bits, so that binary64 holds them.

    Parameters
    ----------
    a, b
        Numbers v +- d.

    Returns
    -------
    bool
        True where both are exact and all are numbers of float32, the least of which is 2^-149.
    """
    return a.is_exact and b.is_exact and _is_float32(a.value) and _is_float32(b.value)


def _is_float32(values: Array) -> bool:
    with quiet():
        return bool((values.astype(np.float32) == values).all())


def _is_operand(x: Any) -> bool:
    return isinstance(x, Enclosure | numbers.Real | np.ndarray | np.generic)


def _add(a: Enclosure, b: Enclosure) -> Enclosure:
    with quiet():
        value, error = two_sum(a.value, b.value)
        return Enclosure(value, (a.radius + b.radius + np.abs(error)) * UP)


def _multiply(a: Enclosure, b: Enclosure) -> Enclosure:
    """Nothing is lost where a factor is exactly 0 or a power of 2."""
    with quiet():
        x, y = np.abs(a.value), np.abs(b.value)
        value = a.value * b.value
        passed_on = x * b.radius + y * a.radius + a.radius * b.radius
        lost = H * np.abs(value) + LOST
        if product_is_exact(a, b):
            lost = np.zeros(value.shape)
        for number, other in ((a, b), (b, a)):
            kept = _shifts(number) & (np.abs(value) > NORMAL)
            lost = np.where(kept, np.where(other.radius > 0, LOST, 0.0), lost)
            lost = np.where((number.value == 0) & (number.radius == 0), other.radius * 0, lost)
        return Enclosure(value, (passed_on + lost) * UP)


def _divide(a: Enclosure, b: Enclosure) -> Enclosure:
    """Nothing is lost where the divisor is exactly a power of 2, or the dividend 0."""
    with quiet():
        y = np.abs(b.value)
        value = a.value / b.value
        least = (y - b.radius) * (1 - 2.0**-50)
        size = np.abs(value)
        passed_on = (a.radius + (size + LOST) * (1 + 2.0**-50) * b.radius) / least
        kept = _shifts(b) & (size > NORMAL)
        kept = kept | ((a.radius == 0) & (a.value == 0))
        lost = np.where(kept, np.where(a.radius > 0, LOST, 0.0), H * size + LOST)
        radius = np.where(least > 0, (passed_on + lost) * UP, np.inf)
        return Enclosure(value, radius)


def _shifts(x: Enclosure) -> NDArray[np.bool_]:
    """Where a number is exactly a power of 2, or minus one: it changes an exponent alone."""
    return np.asarray((np.abs(np.frexp(x.value)[0]) == 0.5) & (x.radius == 0))
