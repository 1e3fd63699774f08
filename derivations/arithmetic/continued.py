"""Numbers continued from a real point to complex ones: where along a step a formula is analytic.

Along a step the arguments of a definition move, x + d t.  A number of this arithmetic is a function
of t, known by two enclosures: its value at t = 0, real, and its values for all t in a set T of
complex numbers, in one ball.  An operation is carried out where it is analytic in a neighbourhood
of that ball, by the branch that is real at t = 0, and else refused:

* ``Singular``: 0 may be among the divisors, or a number on the cut of a logarithm, a root, an
  arcus: T is too large, or has a singular point in it;
* ``Kink``: the formula decides between pieces that meet at t = 0, so that it is no analytic
  function there;
* ``NotContinued``: the operation has no complex values here.

A decision (the larger of two numbers, a sign, an order) is made once, at t = 0: what is continued
is the piece that the point lies in.

**Lemma.**  If a formula is computed in this arithmetic on each of finitely many sets T_1, ..., T_m
whose union is connected, with 0 in it, then the piece of the formula that holds near t = 0 has an
analytic continuation to that union.  *Proof.*  Each operation is a fixed function, the same for all
sets (decisions depend on t = 0 alone), analytic near the enclosure of its arguments; so by
induction each intermediate result is one analytic function on the union: principal logarithms,
roots and arcus, of arguments off their cuts, agree where sets overlap.  []
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import flint
import numpy as np

from .arithmetic import Arithmetic, NoValue, elementwise, elementwise_binary, of_order
from .balls import balls


class Singular(ArithmeticError):
    """An operation is not analytic on the whole set."""


class Kink(ArithmeticError):
    """Pieces of the formula meet at t = 0."""


class NotContinued(ArithmeticError):
    """An operation has no complex values here."""


class Continued:
    """A number: ``at0``, an arb with its value at t = 0, and ``over``, an acb with those on T."""

    __slots__ = ("at0", "over")

    def __init__(self, at0: flint.arb, over: flint.acb) -> None:
        self.at0, self.over = at0, over

    def is_exact(self) -> bool:
        """Whether the value at t = 0 is without an error."""
        return bool(self.at0.is_exact())

    def __add__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return _combined(other, self, lambda a, b: a - b)

    def __mul__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        divisor = number(other)
        _demand(not divisor.over.contains(0))
        return _combined(self, divisor, lambda a, b: a / b)

    def __rtruediv__(self, other: Any) -> Any:
        return number(other) / self

    def __neg__(self) -> Continued:
        return Continued(-self.at0, -self.over)

    def __pos__(self) -> Continued:
        return self

    def __pow__(self, exponent: int) -> Any:
        whole = operator.index(exponent)  # others are `Arithmetic.pow`, which minds the cut
        if whole < 0:
            return 1 / self**-whole
        return Continued(self.at0**whole, self.over**whole)

    def __abs__(self) -> Continued:
        return self if self > 0 else -self

    def __gt__(self, other: Any) -> bool:
        at0 = number(other).at0
        if not (self.at0 > at0 or self.at0 < at0):
            raise Kink("two numbers that are compared meet at t = 0")
        return bool(self.at0 > at0)

    __ge__ = __gt__

    def __lt__(self, other: Any) -> bool:
        return not self > other

    __le__ = __lt__

    def __eq__(self, other: object) -> bool:
        difference = number(self - other)
        return bool(difference.at0 == 0 and difference.over == 0)

    __hash__ = None  # type: ignore[assignment]


def number(value: Any) -> Continued:
    """Make a number of this arithmetic that does not move.

    Parameters
    ----------
    value
        An exact value, or a number of this arithmetic.

    Returns
    -------
    Continued
        The same for all t; a number of this arithmetic as it is.
    """
    if isinstance(value, Continued):
        return value
    at0 = balls().number(value)
    return Continued(at0, flint.acb(at0))


def moving(at0: Any, slope: Any, over: flint.acb) -> Continued:
    """The number at0 + slope t, for t in a ball.

    Parameters
    ----------
    at0, slope
        Exact numbers.
    over
        The ball.

    Returns
    -------
    Continued
        The number.
    """
    start, rate = balls().number(at0), balls().number(slope)
    return Continued(start, start + rate * over)


def _combined(a: Any, b: Any, operation: Callable[[Any, Any], Any]) -> Any:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return NotImplemented
    x, y = number(a), number(b)
    return Continued(operation(x.at0, y.at0), operation(x.over, y.over))


def _demand(analytic: Any) -> None:
    if not analytic:
        raise Singular("an operation is not analytic on the whole set")


def _off_the_cut(z: flint.acb) -> bool:
    """Whether a ball has no number of (-inf, 0] in it."""
    return bool(z.real > 0 or z.imag > 0 or z.imag < 0)


def _with_values(at0: flint.arb, over: Callable[[], flint.acb]) -> Continued:
    if at0.is_nan():
        raise NoValue("the formula has no value at t = 0")
    return Continued(at0, over())


def _by(function: str, where: Callable[[flint.acb], bool] = lambda z: True) -> Any:
    """A function that flint has of real and of complex balls, and where it is analytic."""

    def apply(x: Any) -> Continued:
        x = number(x)
        at0 = getattr(balls(), function)(x.at0)
        _demand(where(x.over))
        return _with_values(at0, lambda: getattr(flint.acb, function)(x.over))

    return elementwise(apply)


def _by_formula(function: Callable[[Continued], Any]) -> Any:
    """A function that is made from others here; its value at t = 0 is theirs."""
    return elementwise(lambda x: function(number(x)))


def _exp(x: Continued) -> Continued:
    return Continued(x.at0.exp(), x.over.exp())


def _reciprocal_of_one_plus_exp(x: Continued) -> Any:
    """1 / (1 + e^x), by the sign of x at t = 0, so that no exponential is too large for a ball."""
    if x.at0 < 0:
        return 1 / (1 + _exp(x))
    small = _exp(-x)
    return small / (1 + small)


def _softplus(x: Continued) -> Any:
    """log(1 + e^x), analytic for |Im x| < pi: there 1 + e^x is off the cut."""
    pi = flint.arb.pi()
    _demand(x.over.imag < pi and x.over.imag > -pi)
    if x.at0 > 0:
        return x + Continued((-x.at0).exp().log1p(), (1 + (-x.over).exp()).log())
    return Continued(x.at0.exp().log1p(), (1 + x.over.exp()).log())


def _pow(x: Any, y: Any) -> Any:
    x, y = number(x), number(y)
    if y.at0.is_integer() and y.over == flint.acb(y.at0):
        whole = int(y.at0.unique_fmpz())
        return x**whole
    _demand(_off_the_cut(x.over))
    return _with_values(balls().pow(x.at0, y.at0), lambda: (y.over * x.over.log()).exp())


def _maximum(a: Any, b: Any) -> Any:
    a, b = number(a), number(b)
    return a if a == b or a > b else b


def _minimum(a: Any, b: Any) -> Any:
    a, b = number(a), number(b)
    return a if a == b or a < b else b


def _step(x: Continued) -> Any:
    return number(1 if x > 0 else 0)


def _descending(a: Any) -> Any:
    order = _order(a)
    for above, below in itertools.pairwise(order):
        _ = a[above] == a[below] or a[above] > a[below]  # a Kink where neither is decided
    return a[order]


def _order(a: Any) -> Any:
    return np.array(sorted(range(len(a)), key=lambda i: -float(a[i].at0.mid())), dtype=np.intp)


def _ranks(a: Any) -> tuple[Any, Any]:
    _descending(a)
    places = np.empty(len(a), dtype=np.intp)
    places[_order(a)] = np.arange(len(a))
    return places, places


def _solve(a: Any, b: Any) -> Any:
    """x of a x = b: analytic where the matrix is regular."""
    right = b[:, None] if b.ndim == 1 else b

    def solved(of: str, kind: Any) -> Any:
        rows = [[[getattr(number(v), of) for v in row] for row in m] for m in (a, right)]
        return kind(rows[0]).solve(kind(rows[1])).tolist()

    try:
        at0, over = solved("at0", flint.arb_mat), solved("over", flint.acb_mat)
    except ZeroDivisionError:
        raise Singular("a matrix may be singular on the set") from None
    found = np.empty(right.shape, dtype=object)
    for i, j in np.ndindex(right.shape):
        found[i, j] = Continued(at0[i][j], over[i][j])
    return found[:, 0] if b.ndim == 1 else found


def _refused(what: str) -> Callable[..., Any]:
    def apply(*_: Any) -> Any:
        raise NotContinued(f"{what} has no complex values here")

    return apply


class ContinuedArithmetic(Arithmetic):
    """The arithmetic; what does not depend on a shift is shifted by any of the largest entries."""

    def _near_largest(self, z: Any) -> Any:
        def largest(row: Any) -> Any:
            return row[_order(row)[0]]

        if not z.shape[-1]:
            raise NoValue("the largest of no values: give one at least")
        if z.ndim == 1:
            return largest(z)
        rows = [largest(row) for row in z.reshape(-1, z.shape[-1])]
        return self.vector(rows).reshape(z.shape[:-1])


@functools.lru_cache
def continued() -> Arithmetic:
    """The arithmetic of ``Continued`` numbers, in balls of the precision of flint.ctx.

    Returns
    -------
    Arithmetic
        Its operations raise Singular, Kink, NotContinued or NoValue where there is no answer.

    Examples
    --------
    >>> t = flint.acb(flint.arb(0, 0.5), flint.arb(0, 0.5))  # all |Re t|, |Im t| <= 1/2
    >>> one_plus = continued().log(1 + moving(0, 1, t))
    >>> bool(one_plus.at0 == 0)
    True
    >>> continued().log(0.25 + moving(0, 1, t))
    Traceback (most recent call last):
    softproof.derivations...Singular: an operation is not analytic on the whole set
    """
    one = flint.arb(1)
    return ContinuedArithmetic(
        name="continued",
        number=number,
        exp=_by_formula(_exp),
        log=_by("log", _off_the_cut),
        log1p=_by_formula(lambda x: _log(1 + x)),
        expm1=_by_formula(lambda x: _exp(x) - 1),
        sqrt=_by("sqrt", _off_the_cut),
        rsqrt=_by("rsqrt", _off_the_cut),
        pow=elementwise_binary(_pow),
        tanh=_by_formula(lambda x: 1 - 2 * _reciprocal_of_one_plus_exp(2 * x)),
        sigmoid=_by_formula(lambda x: _reciprocal_of_one_plus_exp(-x)),
        softplus=_by_formula(_softplus),
        erf=_by("erf"),
        sin=_by("sin"),
        cos=_by("cos"),
        atan=_by("atan", lambda z: bool(not z.real.contains(0) or abs(z.imag) < one)),
        acos=_by("acos", lambda z: bool(not z.imag.contains(0) or abs(z.real) < one)),
        normal_cdf=_by_formula(_normal_cdf),
        normal_pdf=_by_formula(_normal_pdf),
        scaled_cylinder=of_order(_refused("a parabolic cylinder function")),
        maximum=elementwise_binary(_maximum),
        minimum=elementwise_binary(_minimum),
        step=_by_formula(_step),
        descending=_descending,
        ranks=_ranks,
        root=_refused("the root of an equation"),
        solve=_solve,
        singular=_refused("a singular value"),
        pi_number=lambda: number(flint.arb.pi()),
    )


def _log(x: Any) -> Any:
    return continued().log(x)


def _normal_cdf(x: Continued) -> Continued:
    root = flint.arb(2).sqrt()
    return Continued(balls().normal_cdf(x.at0), (1 + (x.over / root).erf()) / 2)


def _normal_pdf(x: Continued) -> Continued:
    root = (2 * flint.arb.pi()).sqrt()
    return Continued(balls().normal_pdf(x.at0), (-x.over * x.over / 2).exp() / root)
