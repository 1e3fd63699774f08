"""Numbers that remember what they were made from, and the way back through them.

A ``Variable`` is made by the operations of a ``tape.Tape``; ``sweep`` goes from results backwards.
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .derivative_rules import DIFFERENCE, PRODUCT, QUOTIENT, SUM, Rule

if TYPE_CHECKING:
    from .tape import Tape

Pullback = Callable[[Any], Any]  # from the cotangent of a result to that of an operand


class Variable:
    """A number or an array of numbers on a tape, with the operators of arrays.

    ``value``: in the arithmetic below.  ``parents``: the variables that it was made from, each with
    the pullback from the cotangent of this one to that of the parent.
    """

    __array_ufunc__ = None  # NumPy's operators leave it to those below
    __slots__ = ("parents", "place", "tape", "value")

    def __init__(
        self, tape: Tape, value: Any, parents: Sequence[tuple[Variable, Pullback]] = ()
    ) -> None:
        self.tape, self.value, self.parents = tape, value, tuple(parents)
        self.place = tape.next_place()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array; () of a number."""
        return tuple(np.shape(self.value))

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.shape)

    @property
    def T(self) -> Any:
        """Return the transposed array, recorded on the tape."""
        return self.tape.record(self.value.T, (self, lambda g: g.T))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        xp, shape = self.tape.below, self.shape
        return self.tape.record(self.value[index], (self, lambda g: xp.scatter(shape, index, g)))

    def __neg__(self) -> Any:
        return self.tape.record(-self.value, (self, lambda g: -g))

    def __gt__(self, other: Any) -> Any:
        """That of the values: which way a formula takes there has no derivative."""
        return self.value > self.tape.value_of(other)

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add, SUM)

    def __radd__(self, other: Any) -> Any:
        return self._with(other, operator.add, SUM, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub, DIFFERENCE)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, operator.sub, DIFFERENCE, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, operator.mul, PRODUCT)

    def __rmul__(self, other: Any) -> Any:
        return self._with(other, operator.mul, PRODUCT, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._with(other, operator.truediv, QUOTIENT)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, operator.truediv, QUOTIENT, swapped=True)

    def _with(
        self,
        other: Any,
        function: Callable[[Any, Any], Any],
        rules: tuple[Rule, Rule],
        swapped: bool = False,
    ) -> Any:
        """The operation, on the tape of this variable unless the other one's is above it."""
        above = isinstance(other, Variable) and other.tape.height > self.tape.height
        tape = other.tape if above else self.tape
        if swapped:
            return tape.binary(function, other, self, rules)
        return tape.binary(function, self, other, rules)

    def __pow__(self, exponent: int) -> Any:
        """A whole power; the slope of x^1 is 1 and that of x^0 is 0, also where x is 0."""
        n, x = operator.index(exponent), self.value
        if n == 0:
            return self.tape.constant(x**0)
        return self.tape.record(x**n, (self, lambda g: g if n == 1 else g * (n * x ** (n - 1))))


def sweep(results: Sequence[tuple[Variable, Any]], wrt: Sequence[Variable]) -> list[Any]:
    """The vector-Jacobian products of results with respect to variables that they were made from.

    ``results``: of one tape, each with its cotangent, which has its shape.  Zeros for a variable
    that no result depends on.

    Proof.  Let v_1, ..., v_m be the numbers of the graph in the order in which they were made, so
    that each is made from earlier ones, and let G_j be the derivative of sum_i g_i y_i in v_j with
    all later ones dependent on it.  Then G_j = sum_k G_k dv_k / dv_j over the k made from v_j, and
    each such k > j.  Going from m down, G_j is complete when j is reached.

    Parameters
    ----------
    results
        Variables of one tape, each with its cotangent, which has its shape.
    wrt
        The variables.

    Returns
    -------
    list
        For each of ``wrt`` an array of its shape; zeros where no result depends on it.
    """
    cotangents: dict[int, Any] = {}
    variables: dict[int, Variable] = {}
    waiting: list[int] = []  # by -place: the latest first

    def add(variable: Variable, g: Any) -> None:
        place = variable.place
        if place in variables:
            cotangents[place] = cotangents[place] + g
        else:
            variables[place], cotangents[place] = variable, g
            heapq.heappush(waiting, -place)

    for result, g in results:
        add(result, g)
    while waiting:
        place = -heapq.heappop(waiting)
        for parent, rule in variables[place].parents:
            add(parent, rule(cotangents[place]))
    return [
        cotangents[v.place] if v.place in variables else v.tape.below.zeros(v.shape) for v in wrt
    ]
