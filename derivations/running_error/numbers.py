"""Numbers that carry how far what they stand for may be away: running error analysis.

Running error analysis (Wilkinson 1986; Higham 2002, Accuracy and Stability of Numerical Algorithms,
section 3.3) bounds the error of a result while it is computed.  Here a number stands for an array
of three things at once,

    |exact - v| <= d,    |reference - v| <= w,    |computed - reference| <= r,

where v, d, w, r are binary64: v the ``value``, d its ``radius``, w its ``reference_radius`` and r
the ``error``.  "Exact" is the mathematical value.  "Computed" is whatever any implementation in the
class of the ``model`` may have there.  "Reference" is what the computed number is compared with:
the exact value, or that of an equivalent argument (``order.shifted``).  Always d <= w.

Each rule bounds the true differences over the whole ranges, so nothing of second order is dropped
and the result holds however large r is.  Where nothing can be said (a divisor that may be 0, a
number that may overflow) a bound is infinite.  It is never NaN: a comparison with NaN is false, and
"the error does not exceed the bound" would hold of everything.

What binary64 itself rounds in the evaluation of v, d, w, r enters d and w through h = 2^-53, and r
through factors 1 + 2^-40 (UP), which cover the dozens of roundings of a rule.

Proofs of the four operations.  For a, b the references and a' = a + s, b' = b + t computed:

* (a' + b') - (a + b) = s + t.  A sum that underflows is exact (Higham 2002, problem 2.19).
* a' b' - a b = a t + b s + s t, with |a| <= |v| + w.
* a' / b' - a / b = (s - (a / b) t) / b', with |b'| >= |v_b| - w_b - r_b; infinite if that is <= 0.

Then the operation rounds: by ``units`` u of the computed result at most, whose modulus is at most
|v| + w + the difference, and by an absolute error below the normal range.  A factor, or a divisor,
that is exactly 1 or -1 rounds nothing.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .constants import SMALLEST, UP, Array, H, is_constant, quiet, rounded_constant
from .model import Model, largest


class UndecidedComparison(ArithmeticError):
    """A comparison that is not the same for the exact value and for every implementation."""


class RunningNumber:
    """An array of numbers with their running errors; see the module.

    + - * / and whole powers work element by element and broadcast, with constants too; indexing,
    ``len``, iteration, ``shape``, ``ndim``, ``size`` and ``T`` are those of arrays.  Comparisons by
    order are answered where all that the numbers stand for agree, and raise ``UndecidedComparison``
    elsewhere.

    Where the reference is the exact value, as everywhere that ``shifted`` has no part in, w and d
    are one array (``refers_to_exact``), which rules make once.

    What a number was made from is kept where a later rule is sharper for it (``log_of_sum`` in
    ``softmax``): ``is_shifted`` of numbers less their largest, so computed as at most 0, and
    ``holds_zero`` where all of these are there along the last axis, so that one is computed as
    exactly 0; ``most_log_probability`` of logarithms of probabilities, which are computed as at
    most that; ``exponent`` of an exponential; ``summed_exponents`` of a sum of exponentials, each
    sum along the last axis; and ``made_of``, for a vector z, ("max", z), ("powers of e", z),
    ("sum exp", z) or ("log sum exp", z).  For ``_of_one_row``: ``over_sum``, a number c and z, of
    c / sum e^z; and ``probabilities``, of e^z for a vector z less its largest, what gives e^z / sum
    e^z.

    Raises
    ------
    ValueError
        A bound is NaN.
    """

    __slots__ = (
        "at_least",
        "error",
        "exponent",
        "holds_zero",
        "is_shifted",
        "made_of",
        "model",
        "most_log_probability",
        "over_sum",
        "probabilities",
        "radius",
        "reference_radius",
        "summed_exponents",
        "value",
    )
    __array_ufunc__ = None  # NumPy's operators leave arrays with numbers to those below

    def __init__(self, model: Model, value: Any, radius: Any, reference_radius: Any, error: Any):
        self._set(model, value, radius, reference_radius, error)
        for part in self.parts():
            if np.isnan(part).any():
                raise ValueError("a value or a bound is NaN; every rule must end in finish()")

    def _set(
        self, model: Model, value: Any, radius: Any, reference_radius: Any, error: Any
    ) -> None:
        self.model = model
        self.is_shifted = self.holds_zero = False
        self.at_least = -np.inf
        self.most_log_probability: float | None = None
        self.made_of: tuple[str, RunningNumber] | None = None
        self.over_sum: tuple[RunningNumber, RunningNumber] | None = None
        self.probabilities: Callable[[], RunningNumber] | None = None
        self.exponent: RunningNumber | None = None
        self.summed_exponents: RunningNumber | None = None
        self.value: Array = np.asarray(value, dtype=np.float64)
        self.radius: Array = np.asarray(radius, dtype=np.float64)
        self.reference_radius: Array = (
            self.radius
            if reference_radius is radius
            else np.asarray(reference_radius, dtype=np.float64)
        )
        self.error: Array = np.asarray(error, dtype=np.float64)

    def parts(self) -> tuple[Array, Array, Array, Array]:
        """v, d, w and r."""
        return self.value, self.radius, self.reference_radius, self.error

    def map(self, function: Callable[[Array], Any]) -> RunningNumber:
        """Rearrange all four parts alike: by an index, a transposition, a repetition.

        A part of shifted numbers may lack the one that is 0.
        """
        moved = object.__new__(RunningNumber)  # nothing new can be NaN, so it is not asked again
        moved.holds_zero, moved.made_of = False, None
        moved.over_sum = moved.probabilities = None
        moved.at_least = self.at_least
        moved.most_log_probability = self.most_log_probability
        moved.model, moved.is_shifted, moved.summed_exponents = self.model, self.is_shifted, None
        moved.exponent = None if self.exponent is None else self.exponent.map(function)
        moved.value, moved.radius = (np.asarray(function(x)) for x in (self.value, self.radius))
        moved.reference_radius = (
            moved.radius if self.refers_to_exact else np.asarray(function(self.reference_radius))
        )
        moved.error = np.asarray(function(self.error))
        return moved

    @property
    def refers_to_exact(self) -> bool:
        """Whether the reference is known to be the exact value, so that w is d."""
        return self.reference_radius is self.radius

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
    def T(self) -> RunningNumber:
        """The array with its axes in reverse order."""
        return self.map(np.transpose)

    @property
    def above(self) -> Array:
        """An upper bound of the modulus of the reference."""
        with quiet():
            return np.asarray((np.abs(self.value) + self.reference_radius) * (1 + 2.0**-50))

    @property
    def below(self) -> Array:
        """A lower bound of the modulus of the reference."""
        with quiet():
            least = (np.abs(self.value) - self.reference_radius) * (1 - 2.0**-50)
            return np.asarray(np.where(least > 0, least, 0.0))

    @property
    def is_exact(self) -> NDArray[np.bool_]:
        """Where the value is exact, and computed without an error."""
        return np.asarray((self.reference_radius == 0) & (self.error == 0))

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[RunningNumber]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> RunningNumber:
        return self.map(lambda part: part[index])

    def __repr__(self) -> str:
        return (
            f"RunningNumber(value={self.value}, radius={self.radius}, "
            f"reference_radius={self.reference_radius}, error={self.error})"
        )

    def __neg__(self) -> RunningNumber:
        return without_nan(self.model, -self.value, *self.parts()[1:])

    def __add__(self, other: Any) -> RunningNumber:
        if not _is_operand(other):
            return NotImplemented
        return _add(self, as_number(self.model, other))

    def __sub__(self, other: Any) -> RunningNumber:
        if not _is_operand(other):
            return NotImplemented
        other = as_number(self.model, other)
        difference = _add(self, -other)
        made, origin = other.made_of or ("", None)
        if origin is self and made == "max":
            difference.is_shifted = difference.holds_zero = True
        elif origin is self and made == "log sum exp":
            difference.most_log_probability = other.most_log_probability
        return difference

    def __rsub__(self, other: Any) -> RunningNumber:
        if not _is_operand(other):
            return NotImplemented
        return _add(as_number(self.model, other), -self)

    def __mul__(self, other: Any) -> RunningNumber:
        if not _is_operand(other):
            return NotImplemented
        return _multiply(self, as_number(self.model, other))

    def __truediv__(self, other: Any) -> RunningNumber:
        if not _is_operand(other):
            return NotImplemented
        return _divide(self, as_number(self.model, other))

    def __rtruediv__(self, other: Any) -> RunningNumber:
        if not _is_operand(other):
            return NotImplemented
        return _divide(as_number(self.model, other), self)

    __radd__ = __add__
    __rmul__ = __mul__

    def __pow__(self, exponent: Any) -> RunningNumber:
        """A whole power: products one by one round at least as often as in any other order."""
        if not isinstance(exponent, numbers.Integral):
            raise TypeError(f"the exponent is {exponent!r}, not an integer; use xp.pow")
        count = int(exponent)
        if count < 0:
            return 1 / self**-count
        if count == 0:
            return constant(self.model, np.ones(self.shape))
        power = self
        for _ in range(count - 1):
            power = power * self
        return power

    def __eq__(self, other: object) -> Any:
        """Where both are exact and equal; False where that is not sure."""
        if not _is_operand(other):
            return NotImplemented
        number = as_number(self.model, other)
        return (self.value == number.value) & self.is_exact & number.is_exact

    __hash__ = None  # type: ignore[assignment]  # as of arrays

    def __lt__(self, other: Any) -> Any:
        return _compare(as_number(self.model, other), self)

    def __gt__(self, other: Any) -> Any:
        return _compare(self, as_number(self.model, other))

    def __le__(self, other: Any) -> Any:
        return ~np.asarray(self > other)[()]

    def __ge__(self, other: Any) -> Any:
        return ~np.asarray(self < other)[()]


def without_nan(model: Model, v: Any, d: Any, w: Any, r: Any) -> RunningNumber:
    """A number whose parts are known to have no NaN, as those that are parts of others.

    Parameters
    ----------
    model
        The class of implementations.
    v, d, w, r
        Its parts, of one shape.

    Returns
    -------
    RunningNumber
        As the constructor gives it, which looks for NaN.
    """
    number = object.__new__(RunningNumber)
    number._set(model, v, d, w, r)
    return number


def of_radii(rule: Callable[..., Any], *numbers: RunningNumber) -> tuple[Any, Any]:
    """What a rule makes of the radii d of some numbers, and of their w, which often are the same.

    Parameters
    ----------
    rule
        A function of one radius of each number.
    numbers
        The numbers.

    Returns
    -------
    tuple
        Twice the same array where each number refers to the exact value.
    """
    d = rule(*(x.radius for x in numbers))
    if all(x.refers_to_exact for x in numbers):
        return d, d
    return d, rule(*(x.reference_radius for x in numbers))


def finish(
    model: Model, v: Any, d: Any, w: Any, r: Any, most: float | None = None
) -> RunningNumber:
    """The number that a rule has found: every rule ends here.

    NaN says nothing, so it becomes an infinite bound.  |computed| <= |v| + w + r: only where that
    is at most ``most`` is it sure that nothing has overflowed.

    Parameters
    ----------
    model
        The class of implementations.
    v, d, w, r
        What the rule has found, in shapes that broadcast.
    most
        The largest number of the format; by default that of the operations.

    Returns
    -------
    RunningNumber
        Whose bounds are finite or infinite, never NaN.
    """
    limit = largest(model.operations) if most is None else most
    with quiet():
        w = d if w is d else np.maximum(w, d)
        if (np.abs(v) + w + r <= limit).all() and np.shape(v) == np.shape(w) == np.shape(r):
            return without_nan(model, v, d, w, r)  # as nearly always: no overflow, either
        lost = np.isnan(v)
        d, w, r = (np.where(lost | np.isnan(bound), np.inf, bound) for bound in (d, w, r))
        v = np.where(lost, 0.0, v)
        return RunningNumber(model, v, d, w, np.where(np.abs(v) + w + r > limit, np.inf, r))


def rounded(
    model: Model,
    v: Any,
    d: Any,
    w: Any,
    r: Any,
    *,
    units: Any = 1.0,
    underflow: float = 0.0,
    evaluation: float = 1.0,
) -> RunningNumber:
    """The result of an operation whose exact result on computed arguments is off by r.

    Parameters
    ----------
    model
        The class of implementations.
    v, d, w, r
        The value in binary64, and the bounds before rounding.
    units, underflow
        What a conforming implementation rounds by: relative, in u (also one for each element), and
        absolute.
    evaluation
        What binary64 rounds v by here, in h.

    Returns
    -------
    RunningNumber
        The number.
    """
    with quiet():
        size, is_same = np.abs(v), w is d
        d = (d + evaluation * H * (size + d)) * UP
        w = d if is_same else (w + evaluation * H * (size + w)) * UP
        r = (r + units * model.u * (size + w + r)) * UP + max(underflow, model.flushed)
    return finish(model, v, d, w, r)


def constant(model: Model, values: Any) -> RunningNumber:
    """Exact numbers of any kind: int, Fraction, float, or arrays of them.

    What the operations' format does not hold is rounded to it, by u |x| or half a subnormal; what
    binary64 does not hold has a radius as well.  (Inputs are numbers of the format, and so exact,
    unless subnormal numbers are flushed.)

    Parameters
    ----------
    model
        The class of implementations.
    values
        One number, or an array of any shape.

    Returns
    -------
    RunningNumber
        In that shape.  NaN has infinite bounds.

    >>> from ..arithmetic.formats import BFLOAT16
    >>> numbers = constant(Model.of(BFLOAT16), [256, 257])
    >>> numbers.error.tolist()
    [0.0, 1.00390625...]
    """
    return RunningNumber(model, *rounded_constant(model, values))


def _is_operand(x: Any) -> bool:
    return isinstance(x, RunningNumber) or is_constant(x)


def as_number(model: Model, x: Any) -> RunningNumber:
    """A number of this system as it is, and a constant as ``constant`` has it.

    Parameters
    ----------
    model
        The class of implementations.
    x
        A number of this system, or an exact one, or an array.

    Returns
    -------
    RunningNumber
        In the shape of x.
    """
    return x if isinstance(x, RunningNumber) else constant(model, x)


def stack(model: Model, items: Sequence[Any]) -> RunningNumber:
    """Numbers or arrays of one shape along a new first axis.

    Parameters
    ----------
    model
        The class of implementations.
    items
        Numbers of this system or exact ones; none gives an empty vector.

    Returns
    -------
    RunningNumber
        With one axis more.
    """
    found = [as_number(model, item).parts() for item in items]
    if not found:
        return constant(model, np.zeros(0))
    return RunningNumber(model, *(np.stack(part) for part in zip(*found, strict=True)))


def _add(a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """An exact infinity plus what is finite for all is that infinity for all."""
    with quiet():
        radii = of_radii(operator.add, a, b)
        total = rounded(a.model, a.value + b.value, *radii, a.error + b.error)
        if not np.isfinite(total.error).all():
            infinite = (_is_infinity(a) & _is_bounded(b)) | (_is_infinity(b) & _is_bounded(a))
            total = without_error(total, infinite)
    if max(a.at_least, b.at_least) > -np.inf:
        total.at_least = _least_of_result(a.model, _lowest(a) + _lowest(b), 0.0)
    return total


def _lowest(x: RunningNumber) -> float:
    """What no entry is below, by ``at_least`` or by its bounds; computed, exact, or reference."""
    with quiet():
        ends = x.value - (x.reference_radius + x.error) * UP
        low = max(x.at_least, float(np.min(ends * (1 - np.sign(ends) * 2.0**-50), initial=np.inf)))
    return low if low < np.inf else -np.inf  # of no entries nothing is said


def _least_of_result(model: Model, exact: float, underflow: float) -> float:
    """What an operation whose exact result is at least so much is computed as at least.

    Rounding is off by u relative, and by so much below the normal range; a number that may be
    flushed may become 0.
    """
    if np.isnan(exact):
        return -np.inf
    low = exact - 2 * model.u * abs(exact) - underflow
    return min(low, 0.0) if low < model.flushed else low


def _is_infinity(x: RunningNumber) -> NDArray[np.bool_]:
    return np.asarray(np.isinf(x.value) & x.is_exact)


def _is_bounded(x: RunningNumber) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(np.abs(x.value) + x.reference_radius + x.error))


def without_error(x: RunningNumber, where: NDArray[np.bool_]) -> RunningNumber:
    """Numbers that are known to be exact at some places.

    Parameters
    ----------
    x
        Numbers of this system.
    where
        A mask in their shape: True where the value is exact for all implementations.

    Returns
    -------
    RunningNumber
        With bounds that are 0 there.
    """
    d, w = of_radii(lambda radius: np.where(where, 0.0, radius), x)
    return without_nan(x.model, x.value, d, w, np.where(where, 0.0, x.error))


def _multiply(a: RunningNumber, b: RunningNumber) -> RunningNumber:
    def off(x: Array, s: Array, y: Array, t: Array) -> Array:
        return x * t + y * s + s * t

    with quiet():
        x, y = np.abs(a.value), np.abs(b.value)
        product = rounded(
            a.model,
            a.value * b.value,
            *of_radii(lambda s, t: off(x, s, y, t) + SMALLEST, a, b),
            off(a.above, a.error, b.above, b.error),
            underflow=a.model.half_subnormal,
        )
    found = _kept(_kept(product, a, _is_unit(b, y)), b, _is_unit(a, x))
    if a is b:
        least = max(a.at_least, 0.0) ** 2
        found.at_least = _least_of_result(a.model, least, a.model.half_subnormal)
    elif max(a.at_least, b.at_least) > -np.inf and min(_lowest(a), _lowest(b)) >= 0:
        least = _lowest(a) * _lowest(b)
        found.at_least = _least_of_result(a.model, least, a.model.half_subnormal)
    for one, other in ((a, b), (b, a)):
        if other.over_sum is not None:
            c, row = other.over_sum
            if one.probabilities is not None and one.made_of is not None and one.made_of[1] is row:
                return _of_one_row(found, one.probabilities, c)
            if not one.ndim:
                found.over_sum = (c if (one == 1) else one * c, row)
    return found


def _of_one_row(
    product: RunningNumber, probabilities: Callable[[], RunningNumber], c: RunningNumber
) -> RunningNumber:
    """e^z (c / S) of one computed row z less its largest, S its computed sum, as c (e^z / S).

    Where z is off by more than the range of exp, nothing is known of e^z or of S alone.  But both
    are of the same computed z, so that e^z / S is a probability: the bounds of softmax hold, with
    its quotient, for the reference as well, which no common shift changes.  Of the further
    operations the product with c is one; the other errs by u more, and c / S and the products below
    the normal range by so much each, times |c| and e^z <= 1 + c' u.  (Who computes z again, in
    another order of sums, conforms where the bound of the product is finite: else alone this is.)
    """
    unknown = np.isinf(product.error)
    if not unknown.any():
        return product
    joint, model = _multiply(c, probabilities()), product.model
    with quiet():
        lost = 4 * max(model.half_subnormal, model.flushed) * (1 + c.above + c.error)
        again = model.u * (np.abs(joint.value) + joint.reference_radius + joint.error)
        v, d, w, r = joint.parts()
        pairs = zip((v, d, w, (r + again) * UP + lost), product.parts(), strict=True)
        v, d, w, r = (np.where(unknown, new, old) for new, old in pairs)
        return finish(model, v, d, w, r)


def _is_unit(x: RunningNumber, size: Array) -> NDArray[np.bool_]:
    """Where a number of that modulus is exactly 1 or -1: as factor or divisor it rounds nothing."""
    unit = np.asarray(size == 1)
    return unit & x.is_exact if unit.any() else unit


def _kept(result: RunningNumber, operand: RunningNumber, where: NDArray[np.bool_]) -> RunningNumber:
    """A product or quotient that is its first operand, but for its sign, at some places.

    Where subnormal numbers may be flushed they may be so here.
    """
    if not where.any():
        return result
    d, w = of_radii(lambda kept, found: np.where(where, kept, found), operand, result)
    r = np.where(where, operand.error + result.model.flushed, result.error)
    return without_nan(result.model, result.value, d, w, r)


def _divide(a: RunningNumber, b: RunningNumber) -> RunningNumber:
    """Where quotients are products with a reciprocal, 1 / b' may be subnormal: |a'| half more.

    A divisor that is known to be at least L > 0, computed or not, has |b'| >= L as well.
    """

    def off(s: Array, t: Array, above: Array, below: Array, floor: float = 0.0) -> Array:
        ratio = np.where(t > 0, above / np.maximum(below, floor) * t, 0.0)
        least = np.maximum(below - t, floor)
        return np.where(least > 0, (s + ratio) / least, np.inf)

    with quiet():
        x, y = np.abs(a.value), np.abs(b.value)
        r = off(a.error, b.error, a.above, b.below, max(b.at_least, 0.0))
        if a.model.division > 1:
            r = r + (a.above + a.error) * a.model.half_subnormal
        quotient = rounded(
            a.model,
            a.value / b.value,
            *of_radii(lambda s, t: off(s, t, x, y) + SMALLEST, a, b),
            r,
            units=a.model.division,
            underflow=a.model.half_subnormal,
        )
    found = quotient if a.model.division > 1 else _kept(quotient, a, _is_unit(b, y))
    if b.made_of is not None and b.made_of[0] == "sum exp":
        found.over_sum = (a, b.made_of[1])
    if a.model.division > 1:
        return found
    if a.at_least > -np.inf and (low := _lowest(b)) > 0:
        exact = a.at_least / (low if a.at_least < 0 else float(np.max(b.above + b.error)))
        found.at_least = _least_of_result(a.model, exact, a.model.half_subnormal)
    return found


def _compare(a: RunningNumber, b: RunningNumber) -> Any:
    """a > b, where that is the same for all that they stand for."""
    with quiet():
        reach = (a.reference_radius + a.error + b.reference_radius + b.error) * UP
        more, less = a.value - b.value > reach, b.value - a.value > reach
    decided = more | less
    if not decided.all():
        decided = decided | ((a.value == b.value) & a.is_exact & b.is_exact)
        if not decided.all():
            raise UndecidedComparison(
                "numbers are compared that rounding errors may exchange; "
                "use xp.maximum, xp.by_sign or xp.where, which take both into account"
            )
    return more
