"""What a number system offers to a definition: elementary functions, sums, products, selections.

A definition is plain Python over an arithmetic ``xp``, on numbers and on NumPy arrays of them (of
objects for symbols, balls and big floats; of the format's dtype for formats).  Arrays have
``+ - * /``, whole powers, ``.T``, indices, slices and boolean masks of their own; what else a
definition may use is exactly what stands here, and it means the same in every system.

Definitions are pure: they change no array in place (``put`` gives a changed copy), so that the same
formula can be differentiated (``reverse_mode``).
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

OBJECT = np.dtype(object)
Number = Any
Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]


class NoValue(ValueError):
    """A function has no value there, as the maximum of nothing."""


@dataclass(frozen=True)
class Arithmetic:
    """A number system with its elementary functions, and what is made from them on arrays.

    Fields are what each system has of its own.  ``number`` turns an exact value (int, Fraction, or
    binary64) into a number of the system.  The functions take numbers, exact values and arrays of
    any shape, element by element; ``maximum``, ``minimum`` and ``pow`` broadcast their arguments.

    * ``pow(x, y)`` is x^y for x > 0, for x = 0 its limit, and for x < 0 where y is whole.
    * ``sigmoid`` is 1 / (1 + e^-x), ``softplus`` log(1 + e^x), ``rsqrt`` 1 / sqrt(x), without
      overflow.
    * ``normal_cdf`` and ``normal_pdf`` are Phi and phi of the standard normal distribution;
      ``scaled_cylinder(nu, x)`` is e^(-x^2/4) D_nu(x), D_nu the parabolic cylinder function.
    * ``step`` is the derivative of ``positive_part``: 1 for x > 0, 0 for x < 0, at 0 the middle
      1/2 of the one-sided derivatives; [0, 1] for a ball with 0 in it.
    * ``descending`` sorts a vector, largest first (without NaN).  Over balls, entry k encloses the
      k-th largest of whatever numbers are in the balls; in symbols it is a Max of Min.
    * ``ranks`` gives for each entry of a vector the first and the last place, from 0, that it may
      have in descending order.  They differ for balls that overlap alone; otherwise equal numbers
      keep their order.  ValueError for symbols that cannot be compared.
    * ``root(f, low, high)`` is the zero of a function of one number between low and high, where it
      goes, continuously, from one sign to the other, once.  Over balls it encloses the zeros
      of all functions and brackets in them.  ValueError for symbols.
    * ``solve(a, b)`` is the solution x of a x = b for a square matrix and a vector or a matrix; NaN
      where the matrix is singular, or balls do not prove that it is regular.
    * ``singular`` gives the singular values, descending, of a matrix not wider than high,
      and the matrix of their right vectors.  Over balls, the vectors are NaN where values are not
      proven to be different, and the values where not even clusters are told apart.  ValueError
      for symbols.
    * ``hull`` of two numbers is one that encloses both; None in a system of single numbers.
    * ``level`` is an exact number near its argument, of which ``shifted`` subtracts the largest;
      None in a system of single numbers.

    Outside of their domains, and at NaN, functions are NaN.

    >>> from .symbols import symbols
    >>> xp = symbols()
    >>> x, y = sympy.symbols("x y")
    >>> xp.sum(xp.exp(xp.vector([x, y])))
    exp(x) + exp(y)
    >>> xp.dot(xp.array([[1, 2], [3, 4]]), xp.vector([x, y]))
    array([x + 2*y, 3*x + 4*y], dtype=object)
    """

    name: str
    number: Callable[[Any], Number]
    exp: Unary
    log: Unary
    log1p: Unary
    expm1: Unary
    sqrt: Unary
    rsqrt: Unary
    pow: Binary
    tanh: Unary
    sigmoid: Unary
    softplus: Unary
    erf: Unary
    sin: Unary
    cos: Unary
    atan: Unary
    acos: Unary
    normal_cdf: Unary
    normal_pdf: Unary
    scaled_cylinder: Callable[[Fraction, Any], Any]
    maximum: Binary
    minimum: Binary
    step: Unary
    descending: Unary
    ranks: Callable[[Any], tuple[Any, Any]]
    root: Callable[[Unary, Any, Any], Number]
    solve: Binary
    singular: Callable[[Any], tuple[Any, Any]]
    pi_number: Callable[[], Number]
    level: Unary | None = None
    hull: Binary | None = None
    dtype: np.dtype[Any] = OBJECT
    symbolic: bool = False

    # --- numbers and arrays ---

    @property
    def pi(self) -> Number:
        """The ratio of circumference to diameter, 3.14159...: rounded once, or enclosed."""
        return self.pi_number()

    def vector(self, values: Iterable[Any]) -> Any:
        """An array of numbers of this system, from exact values (or from numbers of it)."""
        numbers = [self.number(v) for v in values]
        array = np.empty(len(numbers), dtype=self.dtype)
        array[:] = numbers
        return array

    def array(self, values: Any) -> Any:
        """Numbers of this system, in the shape of ``values``.

        ``values``: exact values, or numbers of this system, which are kept: a NumPy array of any
        dtype, nested sequences of equal lengths, or a single value, which gives a number.
        """
        if not isinstance(values, np.ndarray):
            values = np.array(values, dtype=object)
        elif values.dtype == self.dtype != OBJECT:
            return values
        numbers = self.vector(values.reshape(-1).tolist())
        return numbers.reshape(values.shape) if values.ndim else numbers[0]

    def counts(self, n: int) -> Any:
        """The vector 1, 2, ..., n."""
        return self.vector(range(1, n + 1))

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """An array of zeros; the number 0 for the shape ()."""
        return self.vector([0] * int(np.prod(shape))).reshape(shape)[()]

    def broadcast(self, a: Any, shape: tuple[int, ...]) -> Any:
        """A number or an array, repeated to a shape by NumPy's rules."""
        return np.broadcast_to(self._boxed(a), shape)[()]

    def expand_dims(self, a: Any, axis: int) -> Any:
        """A number or an array with a new axis of length 1."""
        return np.expand_dims(self._boxed(a), axis)

    def scatter(self, shape: tuple[int, ...], index: Any, values: Any) -> Any:
        """Zeros of a shape with ``values`` added at an index: the adjoint of ``a[index]``."""
        result = self.zeros(shape)
        np.add.at(result, index, values)
        return result

    def put(self, a: Any, index: Any, value: Any) -> Any:
        """A copy of an array with other entries, in ``a[index]``."""
        copy = a.copy()
        copy[index] = value
        return copy

    def stack(self, items: Sequence[Any]) -> Any:
        """Numbers, or arrays of one shape, along a new first axis."""
        return np.stack([self._boxed(item) for item in items])

    def concatenate(self, arrays: Sequence[Any]) -> Any:
        """Arrays one after the other, along the first axis."""
        return np.concatenate(list(arrays))

    def _boxed(self, a: Any) -> Any:
        """A number as an array without axes; an array as it is."""
        if isinstance(a, np.ndarray):
            return a
        box = np.empty((), dtype=self.dtype)
        box[()] = a
        return box

    # --- sums and products ---

    def sum(self, terms: Any, axis: int | None = None) -> Any:
        """Recursive summation, left to right: one rounding per addition.

        Of all entries of an array (in the order of its rows), or along one axis; of a list, of its
        items.  The sum of nothing is 0.
        """
        return self._reduced(operator.add, terms, axis)

    def mean(self, a: Any, axis: int | None = None) -> Any:
        """The sum over the number of terms."""
        terms = np.size(a) if axis is None else np.shape(a)[axis]
        return self.sum(a, axis) / self.number(terms)

    def cumsum(self, a: Any) -> Any:
        """Sums of the first 1, 2, ... entries along the last axis, left to right."""
        if not a.shape[-1]:
            return a
        return np.stack([self._boxed(s) for s in itertools.accumulate(np.moveaxis(a, -1, 0))], -1)

    def dot(self, a: Any, b: Any) -> Any:
        """The product of vectors or matrices: sums of products over the last axis of a, first of b.

        Shapes (k,) or (n, k), and (k,) or (k, m).  Every product is rounded, and summed left to
        right.  ValueError where the inner lengths differ.
        """
        if a.shape[-1] != b.shape[0]:
            raise ValueError(f"dot of shapes {a.shape} and {b.shape}: the inner lengths differ")
        return self.sum((a[..., None] if b.ndim == 2 else a) * b, axis=a.ndim - 1)

    def outer(self, a: Any, b: Any) -> Any:
        """The matrix a_i b_j of two vectors."""
        return a[:, None] * b[None, :]

    def singular_values(self, a: Any) -> Any:
        """The singular values of a matrix, as many as the shorter side is long, descending."""
        return self.singular(a if a.shape[0] >= a.shape[1] else a.T)[0]

    # --- largest, piecewise, softmax ---

    def largest(self, scores: Any, count: int) -> Any:
        """The indices of the largest entries of a vector, so many, the largest first.

        A choice jumps where entries are tied, and any among them is right: a formula returns it as
        its first result, which its definition declares as ``Indices``.  Exact entries that are
        equal keep their order here.  NoValue where balls overlap; ValueError for symbols that
        cannot be compared, and where there are not so many entries.
        """
        if not 0 <= count <= len(scores):
            raise ValueError(f"the {count} largest of {len(scores)} entries; give as many")
        first, last = self.ranks(scores)
        if any(not scores[i].is_exact() for i in np.flatnonzero(first != last)):
            raise NoValue("which entries are the largest is not decided")
        return np.argsort(first, kind="stable")[:count]

    def max(self, values: Any, axis: int | None = None) -> Any:
        """The largest of the values, of all or along an axis; ValueError where there is none."""
        return self._reduced(self.maximum, values, axis)

    def min(self, values: Any, axis: int | None = None) -> Any:
        """The smallest of the values, of all or along an axis; ValueError where there is none."""
        return self._reduced(self.minimum, values, axis)

    def _reduced(self, function: Binary, values: Any, axis: int | None) -> Any:
        if isinstance(values, np.ndarray):
            values = values.reshape(-1) if axis is None else np.moveaxis(values, axis, 0)
        else:
            values = list(values)
        if not len(values):
            if function is not operator.add:
                raise NoValue("the largest or smallest of no values: give one at least")
            return self.zeros(np.shape(values)[1:])
        return functools.reduce(function, values)

    def abs(self, x: Any) -> Any:
        """The modulus |x|; of a ball with 0 in it, one that holds the moduli of all its numbers."""
        return abs(x)

    def positive_part(self, x: Any) -> Any:
        """x where it is positive, and else 0."""
        return self.maximum(x, self.number(0))

    def rounded(self, x: Any) -> Any:
        """x, which an implementation may have rounded once more: a form says so for its bound.

        For what rounds in places where the form does not, as x s - m s does, computed as it stands,
        beside (x - m) s.  In all systems but that of running errors it is x itself.
        """
        return x

    def where(self, mask: Any, a: Any, b: Any) -> Any:
        """Entries of a where the mask (of bools) is true, and else of b; both broadcast."""
        return np.where(mask, self._boxed(a), self._boxed(b))[()]

    def by_sign(self, x: Any, nonnegative: Unary, negative: Unary) -> Any:
        """``nonnegative(x)`` where x >= 0 and ``negative(x)`` elsewhere; NaN takes the second.

        A ball with numbers of both kinds takes the hull of both.
        """
        if isinstance(x, np.ndarray) and self.dtype != OBJECT:
            result, upper = np.empty(x.shape, dtype=self.dtype), x >= 0
            for part, function in ((upper, nonnegative), (~upper, negative)):
                if part.any():
                    result[part] = function(x[part])
            return result
        if isinstance(x, np.ndarray):
            values = [self.by_sign(v, nonnegative, negative) for v in x.reshape(-1)]
            return self.vector(values).reshape(x.shape)
        if self.symbolic:
            return sympy.Piecewise((nonnegative(x), x >= 0), (negative(x), True))
        if self.hull is not None and not (x >= 0 or x < 0):  # a ball around 0
            return self.hull(nonnegative(x), negative(x))
        return nonnegative(x) if x >= 0 else negative(x)

    def shifted(self, z: Any) -> Any:
        """z less its largest entry along the last axis, for what does not depend on a shift.

        Only what is the same for every number that is subtracted may be made from it, such as
        softmax.  (So over balls an exact number near the maximum is subtracted, which leaves the
        radii as they are, and symbols are left as they are: z - max z is not what these give.)
        """
        return z if self.symbolic else z - self.expand_dims(self._near_largest(z), -1)

    def _near_largest(self, z: Any) -> Any:
        """The largest along the last axis; over balls, that of their middles, an exact number.

        What does not depend on a shift may be shifted by any number, so balls need no maximum of
        their own, which would enclose every entry that may be the largest.
        """
        if self.level is None or not np.shape(z)[-1]:
            return self.max(z, axis=-1)
        return np.max(elementwise(self.level)(z), axis=-1)

    def weighted_mean(self, scores: Any, v: Any) -> Any:
        """sum_j softmax(scores)_j v_j, for n scores and v of shape (n,) or (n, m)."""
        return self.dot(self.softmax(scores), v)

    def softmax(self, z: Any) -> Any:
        """Probabilities e^z_i / sum_k e^z_k along the last axis.

        A score -inf has probability 0; rows with +inf or NaN, or of -inf alone, are NaN.
        """
        e = self.exp(self.shifted(z))
        return e / self.expand_dims(self.sum(e, axis=-1), -1)

    def logsumexp(self, z: Any) -> Any:
        """The logarithm log sum_k e^z_k along the last axis, by the largest entry.

        A score -inf adds nothing; rows with +inf or NaN, or of -inf alone, are NaN.
        """
        if self.symbolic:
            return self.log(self.sum(self.exp(z), axis=-1))
        top = self._near_largest(z)
        return top + self.log(self.sum(self.exp(z - self.expand_dims(top, -1)), axis=-1))


def elementwise(function: Unary) -> Unary:
    """Apply a function of numbers to a number, or to each entry of an array of objects.

    Parameters
    ----------
    function
        A function of one number.

    Returns
    -------
    function
        One of a number or an array, whose result has its shape.
    """

    def apply(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype != OBJECT:
            return function(x)
        result = np.empty(x.size, dtype=object)
        result[:] = [function(v) for v in x.reshape(-1)]
        return result.reshape(x.shape)

    return apply


def elementwise_binary(function: Binary) -> Binary:
    """Apply a function of two numbers to numbers, or to the entries of arrays of objects.

    Parameters
    ----------
    function
        A function of two numbers.

    Returns
    -------
    function
        One of numbers or arrays, which are broadcast.
    """

    def apply(a: Any, b: Any) -> Any:
        if not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray):
            return function(a, b)
        result = np.empty(np.broadcast_shapes(np.shape(a), np.shape(b)), dtype=object)
        pairs = [np.broadcast_to(np.asarray(v, dtype=object), result.shape) for v in (a, b)]
        values = np.empty(result.size, dtype=object)
        values[:] = [function(x, y) for x, y in zip(*(p.reshape(-1) for p in pairs), strict=True)]
        return values.reshape(result.shape)

    return apply


def of_order(
    function: Callable[[Fraction, Any], Any], lift: Callable[[Unary], Unary] = elementwise
) -> Callable[[Fraction, Any], Any]:
    """Apply a function of an order and a number to a number, or to each entry of an array.

    Parameters
    ----------
    function
        A function of an order and a number.
    lift
        What makes a function of arrays of one of numbers.

    Returns
    -------
    function
        One of an order and a number or an array.
    """
    return lambda order, x: lift(lambda v: function(order, v))(x)


def descending_order(a: Any) -> Any:
    """Sort the indices of a vector of comparable numbers, largest first.

    Parameters
    ----------
    a
        The vector.

    Returns
    -------
    numpy.ndarray
        The indices; equal numbers stay in their order.
    """
    return np.array(sorted(range(len(a)), key=lambda i: a[i], reverse=True), dtype=np.intp)


def decided_ranks(a: Any) -> tuple[Any, Any]:
    """Return ``Arithmetic.ranks`` where every comparison decides.

    Parameters
    ----------
    a
        The vector.

    Returns
    -------
    first, last
        The place of each entry in descending order, twice.
    """
    places = np.empty(len(a), dtype=np.intp)
    places[descending_order(a)] = np.arange(len(a))
    return places, places
